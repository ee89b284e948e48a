"""The lab for a whole run of tests, made where it may be; and the marker for what needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.lab import needs, papers
from tests.lab.guest import Options
from tests.lab.lab import Lab, Played, running
from tests.lab.names import Place, Refused

FOLDER = "/var/tmp/heliograph-lab-tests"
"""Not the one of `make lab`: what somebody tries there is not disturbed."""
WORKER = "PYTEST_XDIST_WORKER"
FLEET, OTHERS = "fleet", {"test_hardening", "test_lab", "test_python313", "test_site"}
"""Those in which nothing is done to a fleet that `site` has made."""
TOLD = "told"
KEEP = "HELIOGRAPH_LAB_KEEP"
OPTIONS = {"charlie": Options(card="2g")}
"""A disk of its own can be filled, and can fail."""
HELIOGRAPH = str(Path(sys.executable).parent / "heliograph")


class ByHosts(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """One worker makes the fleet and tries it, another meanwhile does all else, file by file, on hosts of its own."""

    def _split_scope(self, nodeid: str) -> str:
        name = Path(nodeid.partition("::")[0]).stem
        return name if name in OTHERS else FLEET


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """For --dist loadgroup: its own marks are not heard, xdist 3.8 writes them where pytest 9.2 no longer looks."""
    return ByHosts(config, log) if config.getoption("dist") == "loadgroup" else None


def place(*more: str) -> Place:
    """Each worker's own; `more` names another one beside it."""
    given, worker = Place.given(FOLDER), os.environ.get(WORKER)
    name = "-".join([given.folder.name, *([worker] if worker else []), *more])
    return replace(given, folder=given.folder.with_name(name))


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """For a figure that is to be read at the end."""
    return lambda line: record_property(TOLD, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.getreports("passed")
    lines = [line for report in passed for name, line in report.user_properties if name == TOLD]
    if lines:
        terminalreporter.section("figures")
    for line in lines:
        terminalreporter.write_line(str(line))


def need_rights() -> None:
    """Where hosts cannot be, what needs one is left out with the reason."""
    try:
        needs.check()
    except Refused as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The usual three hosts, fresh; with HELIOGRAPH_LAB_KEEP=1 as they were left, and left as they are."""
    need_rights()
    with running(Lab(place()), keep=os.environ.get(KEEP) == "1", options=OPTIONS) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Site:
    """The usual three hosts as nodes, as their operator's first run of site.yml left them."""

    lab: Lab
    first: Played

    def heliograph(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The console's program on the control host, over the lab's inventory."""
        return self.lab.control([HELIOGRAPH, *words, "-i", str(self.lab.place.inventory)], check=check)


@pytest.fixture(scope="session")
def site(lab: Lab) -> Site:
    """Consoles lab (admin), hand (operator) and watcher (viewer); frames go to the lab's shelf."""
    papers.make(lab.place)
    first = lab.play("site", "-e", "archive_init=true")
    assert first.rc == 0, first.stdout
    return Site(lab, first)
