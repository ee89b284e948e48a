"""The lock files are in step with pyproject.toml and name no machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCKS = ["bookworm", "dev", "trixie"]


def _wanted(extra: str) -> list[Requirement]:
    """The project's own requirements and those of an extra, extras of the project itself unfolded."""
    found = [Requirement(text) for text in (*PROJECT["dependencies"], *EXTRAS[extra])]
    nested = [name for requirement in found if requirement.name == PROJECT["name"] for name in requirement.extras]
    others = [requirement for requirement in found if requirement.name != PROJECT["name"]]
    return others + [requirement for name in nested for requirement in _wanted(name)]


def _locked(name: str, python: str) -> dict[str, Requirement]:
    """By canonical name, what that lock installs under that Python on Linux."""
    environment = {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
    }
    lines = (ROOT / "locks" / f"{name}.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if re.match(r"[A-Za-z0-9]", line)]
    present = [each for each in pinned if each.marker is None or each.marker.evaluate(environment)]
    return {canonicalize_name(each.name): each for each in present}


@pytest.mark.parametrize(
    ("lock", "extra", "python"),
    [("bookworm", "node", "3.11"), ("trixie", "node", "3.13"), ("dev", "dev", "3.11"), ("dev", "dev", "3.13")],
)
def test_a_lock_holds_all_that_the_project_asks_for(lock: str, extra: str, python: str) -> None:
    locked = _locked(lock, python)
    for requirement in _wanted(extra):
        pin = next(iter(locked[canonicalize_name(requirement.name)].specifier))
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), f"{requirement} is locked to {pin.version}: make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_index_no_file_and_no_machine(name: str) -> None:
    lines = (ROOT / "locks" / f"{name}.txt").read_text().splitlines()
    assert [line for line in lines if re.search(r"://|--|@|\bfile:|(?<![\w.])/", line)] == []


@pytest.mark.parametrize(("name", "python"), [("bookworm", "3.11"), ("trixie", "3.13")])
def test_a_node_keeps_the_numpy_that_its_camera_library_was_built_with(name: str, python: str) -> None:
    [given] = [line for line in (ROOT / "locks" / f"{name}.in").read_text().splitlines() if line.startswith("numpy")]
    assert str(_locked(name, python)["numpy"]) == given


@pytest.mark.parametrize("name", ["bookworm", "trixie"])
def test_a_node_gets_nothing_of_the_console_or_the_tests(name: str) -> None:
    assert {"textual", "httpx", "ansible-core", "pytest", "mypy"} & set(_locked(name, "3.11")) == set()
