"""The example that operators copy: it is read, its names are known, its documents are valid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.fleet import inventory
from node.domain.config import parse_document
from tests.ansible import plugins
from tests.ansible.parts import UNMEASURED

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "inventory" / "example"
BIN = Path(sys.executable).parent
NODES = ["harbour-1", "harbour-2", "quarry-1"]


@pytest.fixture(scope="module")
def listed() -> dict[str, Any]:
    argv = [BIN / "ansible-inventory", "-i", EXAMPLE, "--list"]
    environment = {**os.environ, **UNMEASURED, "LC_ALL": "C.UTF-8"}
    said = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment, cwd=ROOT, timeout=120)
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def _merged(layers: list[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, dict) and isinstance(found.get(name), dict)
            found[name] = _merged([found[name], value]) if both else value
    return found


def test_it_has_three_hosts_in_groups_by_site_and_model(listed: dict[str, Any]) -> None:
    assert sorted(listed["_meta"]["hostvars"]) == NODES
    groups = {name for name in listed if name.startswith(("site_", "model_"))}
    assert groups == {"site_harbour", "site_quarry", "model_pi5", "model_zero2"}
    assert listed["canary"]["hosts"] == ["harbour-1"]


def test_the_console_reads_it() -> None:
    assert [host.name for host in inventory.read(EXAMPLE)] == NODES


def test_every_variable_of_it_is_known(listed: dict[str, Any]) -> None:
    assert plugins.filters()["inventory_faults"](listed["_meta"]["hostvars"], NODES, str(ROOT / "roles")) == []


@pytest.mark.parametrize("node", NODES)
def test_every_nodes_document_is_valid(listed: dict[str, Any], node: str) -> None:
    variables = listed["_meta"]["hostvars"][node]
    layers = sorted(name for name in variables if name.startswith("heliograph_config_"))
    assert len(layers) >= 2
    parse_document(_merged([variables[name] for name in layers]))


def test_no_secret_is_in_it() -> None:
    for path in EXAMPLE.rglob("*.yml"):
        assert not [key for key in yaml.safe_load(path.read_text()) if str(key).startswith("vault_")]
