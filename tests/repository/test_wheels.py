"""All that a node needs is in the index as a wheel for its ARM: exactly what the locks say, and nothing beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.tags import Tag
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[2]
MACHINE, OLDEST_GLIBC = "aarch64", 17
UNREACHED = "connection broken by"
"""What pip says, and says again, of an index from which there is no answer."""
NODES = {"bookworm": ("3.11", 36), "trixie": ("3.13", 41)}
"""Of each Debian: its Python and its glibc, 2.x."""

Resolved = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Debian:
    """Where a lock is installed."""

    lock: str
    python: str
    glibc: int

    @property
    def platforms(self) -> list[str]:
        """manylinux2014 is the older word for 2_17."""
        numbered = [f"manylinux_2_{minor}_{MACHINE}" for minor in range(self.glibc, OLDEST_GLIBC - 1, -1)]
        return [*numbered, f"manylinux2014_{MACHINE}"]

    @property
    def environment(self) -> dict[str, str]:
        """What the markers of a requirement are judged by there; pip judges them by the Python that it runs in."""
        here = {key: str(value) for key, value in default_environment().items()}
        there = {"python_version": self.python, "python_full_version": f"{self.python}.0", "platform_machine": MACHINE}
        return {**here, **there, "sys_platform": "linux", "extra": ""}


@pytest.fixture(scope="module", params=NODES)
def debian(request: pytest.FixtureRequest) -> Debian:
    return Debian(request.param, *NODES[request.param])


@pytest.fixture(scope="module")
def pins(debian: Debian) -> dict[str, str]:
    lines = (ROOT / "locks" / f"{debian.lock}.txt").read_text().splitlines()
    named = [line.split("==") for line in lines if re.match(r"[A-Za-z0-9]", line)]
    return {canonicalize_name(name): version for name, version in named}


@pytest.fixture(scope="module")
def resolved(debian: Debian) -> Resolved:
    return resolve(debian, "-r", str(ROOT / "locks" / f"{debian.lock}.txt"))


def resolve(debian: Debian, *wanted: str) -> Resolved:
    """What pip would install there, of what is wanted and of what that needs; it reads metadata and nothing else."""
    done = asked(debian, wanted)
    if done.returncode and UNREACHED in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    found: Resolved = json.loads(done.stdout)["install"]
    return found


def asked(debian: Debian, wanted: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    platforms = [word for each in debian.platforms for word in ("--platform", each)]
    tags = ["--implementation", "cp", "--python-version", debian.python, *platforms]
    return subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--no-input", "--retries=2", "--timeout=20",
         "--disable-pip-version-check", "--dry-run", "--ignore-installed", "--target=nowhere", "--report=-",
         "--only-binary=:all:", *tags, *wanted],
        capture_output=True, text=True, check=False, timeout=300, env=os.environ | environment,
    )  # fmt: skip


def tags_of(resolved: Resolved) -> Iterator[Tag]:
    for each in resolved:
        yield from parse_wheel_filename(each["download_info"]["url"].rpartition("/")[2])[3]


def unmet(resolved: Resolved, pins: dict[str, str], environment: dict[str, str]) -> list[str]:
    """Requirements of what is in the lock that the lock does not answer there."""
    texts = [text for each in resolved for text in each["metadata"].get("requires_dist", [])]
    wanted = [Requirement(text) for text in texts]
    there = [each for each in wanted if each.marker is None or each.marker.evaluate(environment)]
    return [str(each) for each in there if pins.get(canonicalize_name(each.name), "") not in each.specifier]


@pytest.mark.slow
def test_every_pin_is_a_wheel_there_and_nothing_else_is_needed(resolved: Resolved, pins: dict[str, str]) -> None:
    found = {canonicalize_name(each["metadata"]["name"]): each["metadata"]["version"] for each in resolved}
    assert found == pins


@pytest.mark.slow
def test_each_wheel_is_for_that_machine_or_for_any(resolved: Resolved, debian: Debian) -> None:
    platforms = {"any", *debian.platforms}
    strange = {tag.platform for tag in tags_of(resolved)} - platforms
    assert strange == set()
    assert {tag.platform for tag in tags_of(resolved)} & set(debian.platforms), "some are compiled"


@pytest.mark.slow
def test_what_the_wheels_need_there_is_in_the_lock(resolved: Resolved, pins: dict[str, str], debian: Debian) -> None:
    assert unmet(resolved, pins, debian.environment) == []
    without = {name: version for name, version in pins.items() if name != "starlette"}
    assert [Requirement(each).name for each in unmet(resolved, without, debian.environment)] == ["starlette"]


@pytest.mark.slow
def test_what_is_not_there_as_a_wheel_is_found_out() -> None:
    done = asked(Debian("bookworm", *NODES["bookworm"]), ["--no-deps", "opencv-python-headless==4.2.0.32"])
    if UNREACHED in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert "No matching distribution found for opencv-python-headless==4.2.0.32" in done.stderr


def test_an_index_out_of_reach_is_told_from_one_without_the_wheel() -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": ""}
    done = asked(Debian("bookworm", *NODES["bookworm"]), ["--retries=1", "h11==0.16.0"], **nowhere)
    assert done.returncode != 0
    assert UNREACHED in done.stderr
