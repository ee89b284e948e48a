"""No dead code: all that vulture suspects is listed with who uses it."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from vulture import Vulture

ROOT = Path(__file__).parents[2]
LISTED = ROOT / "tests" / "repository" / "used_otherwise.py"
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]


@pytest.fixture(scope="module")
def suspected() -> set[str]:
    vulture = Vulture(ignore_names=SETTINGS["ignore_names"], ignore_decorators=SETTINGS["ignore_decorators"])
    vulture.scavenge([str(ROOT / "node"), str(ROOT / "console")])
    return {item.name for item in vulture.get_unused_code(min_confidence=SETTINGS["min_confidence"])}


def _listed() -> set[str]:
    nodes = list(ast.walk(ast.parse(LISTED.read_text())))
    names = {node.id for node in nodes if isinstance(node, ast.Name)} - {"_"}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_all_that_is_suspected_is_listed(suspected: set[str]) -> None:
    assert suspected - _listed() == set()


def test_all_that_is_listed_is_still_there() -> None:
    files = [path for folder in ("node", "console") for path in (ROOT / folder).rglob("*.py")]
    words = {word for path in files for word in re.findall(r"\w+", path.read_text())}
    assert _listed() - words == set()


def test_each_line_says_who_uses_it() -> None:
    lines = [line for line in LISTED.read_text().splitlines()[1:] if line and not line.startswith("#")]
    assert [line for line in lines if len(line.partition("  # ")[2].split()) < 2] == []
