"""Programs of the roles, as modules: they run on the hosts and lie in no package."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.ansible.parts import ROOT


def program(role: str, name: str) -> ModuleType:
    path = ROOT / "roles" / role / "files" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{role}_{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
