"""The filters of our playbooks and roles, as Ansible loads them: from files that are in no package."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILES = (
    "playbooks/filter_plugins/patches.py",
    "playbooks/filter_plugins/preflight.py",
    "playbooks/filter_plugins/variables.py",
    "roles/bundle/filter_plugins/bundle.py",
)


@cache
def filters() -> dict[str, Callable[..., Any]]:
    return {name: each for path in FILES for name, each in _filters(ROOT / path).items()}


def _filters(path: Path) -> dict[str, Callable[..., Any]]:
    spec = importlib.util.spec_from_file_location(f"filters_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look there for what their fields are
    spec.loader.exec_module(module)
    found: dict[str, Callable[..., Any]] = module.FilterModule().filters()
    return found
