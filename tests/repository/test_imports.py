"""What import contracts alone cannot say: their own completeness, and the purity of the rule book."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: dict[str, dict[str, Any]] = {
    contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]
}

# Of the standard library, what computes and does not touch files, clocks, sockets, processes or threads.
PURE = {
    "__future__", "abc", "base64", "bisect", "calendar", "collections", "contextlib", "copy", "dataclasses", "datetime",
    "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "itertools", "json", "math", "numbers", "operator",
    "re", "reprlib", "statistics", "string", "textwrap", "types", "typing", "unicodedata", "zoneinfo",
}  # fmt: skip

# Outside libraries without a single home, each with the reason.
AT_HOME_EVERYWHERE = {
    "pydantic": "every schema, on the node, on the wire and in the console, is a pydantic model",
    "pydantic_core": "pydantic's own reader of JSON: bounded, and it tells what is torn; it comes with pydantic",
    "yaml": "operators write YAML: node.yml, documents put as YAML, inventories",
}


# Requirements that nobody imports by their own name, each with the reason.
IMPORTED_OTHERWISE = {
    "httptools": "uvicorn parses HTTP with it, a third of the time of its own parser",
    "tzdata": "zoneinfo reads it where the system has no time zones",
}
MODULE_OF = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml"}


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imported(path: Path) -> Iterator[str]:
    """Full names, wherever in the file they are imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            yield node.module


def test_the_console_is_forbidden_every_part_of_the_node_but_its_wire() -> None:
    tree = {path.stem for path in (ROOT / "node").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    expected = {f"node.{name}" for name in tree - {"__init__", "wire"}}
    assert set(CONTRACTS["console-node"]["forbidden_modules"]) == expected


def test_layers_are_exhaustive_in_both_packages() -> None:
    assert all(CONTRACTS[name]["exhaustive"] for name in ("node-layers", "console-layers"))


def test_every_outside_library_has_a_home_or_a_reason() -> None:
    homes = {name for contract in CONTRACTS.values() for name in contract.get("protected_modules", ())}
    known = homes | set(AT_HOME_EVERYWHERE) | set(sys.stdlib_module_names) | {"node", "console"}
    files = [*_modules("node"), *_modules("console")]
    strays = {(str(path.relative_to(ROOT)), name) for path in files for name in _imported(path)}
    assert {stray for stray in strays if stray[1].split(".")[0] not in known} == set()


@pytest.mark.parametrize("package", ["node", "console"])
def test_each_requirement_is_imported_where_it_is_required_for(package: str) -> None:
    given = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"][package]]
    names = {re.split(r"[^\w-]", text)[0].lower() for text in given} - set(IMPORTED_OTHERWISE)
    imported = {name.split(".")[0] for path in _modules(package) for name in _imported(path)}
    assert {MODULE_OF.get(name, name) for name in names} - imported == set()


@pytest.mark.parametrize("path", _modules("node/domain"), ids=lambda path: path.stem)
def test_the_rule_book_imports_only_what_computes(path: Path) -> None:
    outside = {name for name in _imported(path) if not name.startswith("node.domain")}
    assert {name for name in outside if name.split(".")[0] not in PURE | {"pydantic"}} == set()


@pytest.mark.parametrize("path", _modules("node/domain"), ids=lambda path: path.stem)
def test_the_rule_book_opens_no_file_and_asks_no_clock(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"(?<![.\w])(?:open|input|print)\(|\b(?:now|today|utcnow)\(\)", text) == []


def test_the_package_itself_imports_nothing() -> None:
    assert list(_imported(ROOT / "node" / "__init__.py")) == []


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_are_no_packages(path: Path) -> None:
    assert path.name != "__init__.py"
