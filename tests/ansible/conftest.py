"""The lab for a whole run of tests, made where it may be; and the marker for what needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import needs, papers
from tests.lab.guest import Options
from tests.lab.lab import Lab, Played, running
from tests.lab.names import Place, Refused

FOLDER = "/var/tmp/heliograph-lab-tests"
"""Not the one of `make lab`: what somebody tries there is not disturbed."""
KEEP = "HELIOGRAPH_LAB_KEEP"
OPTIONS = {"charlie": Options(card="2g")}
"""A disk of its own can be filled, and can fail."""
HELIOGRAPH = str(Path(sys.executable).parent / "heliograph")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The usual three hosts, fresh; with HELIOGRAPH_LAB_KEEP=1 as they were left, and left as they are."""
    try:
        needs.check()
    except Refused as reason:
        pytest.skip(str(reason))
    with running(Lab(Place.given(FOLDER)), keep=os.environ.get(KEEP) == "1", options=OPTIONS) as made:
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
