"""What screens do beside themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import console

HOME = Path(console.__file__).parent
FILES = [path for folder in ("screens", "widgets") for path in sorted((HOME / folder).rglob("*.py"))]


def works(tree: ast.AST) -> Iterator[ast.expr]:
    """What each worker is given to do."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "run_worker":
            yield node.args[0]


def made_here(tree: ast.AST) -> set[str]:
    """Names that stand for a coroutine made before its turn: what they were given is a call, and not of `partial`."""
    assigned = (node for node in ast.walk(tree) if isinstance(node, ast.Assign) and is_begun(node.value, set()))
    return {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}


def is_begun(work: ast.expr, names: set[str]) -> bool:
    if isinstance(work, ast.Call):
        return not (isinstance(work.func, ast.Name) and work.func.id == "partial")
    return isinstance(work, ast.Name) and work.id in names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOME)))
def test_workers_are_given_functions_for_a_coroutine_that_never_has_its_turn_complains(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [ast.unparse(work) for work in works(tree) if is_begun(work, made_here(tree))]


def test_the_workers_are_found() -> None:
    assert sum(len(list(works(ast.parse(path.read_text(encoding="utf-8"))))) for path in FILES) > len(FILES) / 5
