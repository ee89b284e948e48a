"""What the preflight says of values that no host could do anything with, before any is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible import plugins

ROOT = Path(__file__).parents[2]


def faults(variables: dict[str, Any], *sources: Path) -> list[str]:
    """Of one node that has them."""
    found: list[str] = plugins.filters()["variable_faults"](
        {"one": variables}, ["one"], str(ROOT / "roles"), [str(source) for source in sources]
    )
    return found


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"node_verify_frames": "lots"}, 'node_verify_frames is "lots", and wanted is a whole number'),
        ({"node_verify_frames": True}, "node_verify_frames is true, and wanted is a whole number"),
        ({"heliograph_port": "84x60"}, 'heliograph_port is "84x60", and wanted is a whole number'),
        ({"hardening_ssh_enabled": "maybe"}, "wanted is true or false"),
        ({"hardening_ssh_forwarding": "maybe"}, "wanted is one of no, local, yes"),
        ({"hardening_ssh_forwarding": False}, "Remedy: put it in quotes"),
        ({"base_timezone": ["Etc/UTC"]}, "base_timezone is a list, and wanted is a text"),
        ({"base_timezone": None}, "base_timezone is empty, and wanted is a text"),
        ({"node_cameras": ["main"]}, "node_cameras is a list, and wanted is names with values"),
        ({"base_timezone": "Mars/Phobos"}, "no time zone is called that"),
        ({"base_timezone": "Europe/Berln"}, "Remedy: such as Europe/Berlin"),
        ({"base_timezone": "../../passwd"}, "no time zone is called that"),
        ({"time_servers": "a.example"}, "Remedy: time_servers: [a.example]"),
        ({"time_servers": "a.example b.example"}, "Remedy: time_servers: [a.example, b.example]"),
        ({"time_servers": ["a.example b.example"]}, 'time_servers[0] is "a.example b.example", and wanted is one word'),
        ({"base_packages": ["vim", "x;y"]}, 'base_packages[1] is "x;y", and wanted is one word'),
        ({"base_deploy_keys": "ssh-ed25519 AAAA kim"}, "Remedy: base_deploy_keys: [ssh-ed25519 AAAA kim]"),
        ({"heliograph_port": 22}, "heliograph_port is 22, and wanted is 1024 to 65535"),
        ({"hardening_ssh_port": 8460}, "heliograph_port is 8460, which is hardening_ssh_port's already"),
        ({"hardening_ports": [{"name": "a", "port": 8460}]}, "hardening_ports[0] is 8460, which is heliograph_port's"),
        ({"hardening_ports": [{"name": "a", "port": 0}]}, "hardening_ports[0].port is 0, and wanted is 1 to 65535"),
        ({"hardening_ports": [{"name": "a"}]}, "hardening_ports[0] has no port"),
        ({"hardening_ports": [{"name": "a", "port": 1, "net": []}]}, "hardening_ports[0] has net, and may have name,"),
        ({"base_upgrades_from": 25}, "base_upgrades_from is 25, and wanted is 0 to 23"),
        ({"hardening_management_nets": ["10.77.0.0/33"]}, 'hardening_management_nets[0] is "10.77.0.0/33"'),
        ({"hardening_ports": [{"name": "a", "port": 1, "nets": ["x"]}]}, 'hardening_ports[0].nets[0] is "x"'),
        ({"node_ship_networks": ["nowhere"]}, "that is no net"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_wanted(variables: dict[str, Any], said: str) -> None:
    [found] = faults(variables)
    assert found.startswith("one: ")
    assert said in found
    assert found.count("Remedy: ") == 1


@pytest.mark.parametrize(
    "variables",
    [
        {"node_verify_frames": "0", "hardening_ssh_enabled": "yes", "hardening_wifi_enabled": 1},  # as -e has them
        {"heliograph_token_file": None, "camera_gpu_mem_mb": None},
        {"node_ship_networks": ["any"], "hardening_console_nets": ["10.0.0.1", "fe80::/10"]},
        {"base_deploy_keys": ["ssh-ed25519 AAAA kim at home"], "base_timezone": "Europe/Berlin"},
        {"hardening_ports": [{"name": "dns", "port": 8460, "protocol": "udp"}]},
        {"node_tokens": "{{ vault_tokens }}", "my_own": "whatever"},
        {"hardening_ports": [{"name": "a", "port": "{{ a_port }}"}]},
    ],
)
def test_what_can_be_is_let_be(variables: dict[str, Any]) -> None:
    assert faults(variables) == []


def test_a_value_that_may_be_a_secret_is_not_shown() -> None:
    [found] = faults({"node_tokens": "do not tell"})
    assert "do not tell" not in found


def test_what_all_nodes_have_is_said_once() -> None:
    nodes = {f"n{number}": {"base_upgrades_from": 25} for number in range(6)}
    [found] = plugins.filters()["variable_faults"](nodes, list(nodes), str(ROOT / "roles"))
    assert found.startswith("n0, n1, n2, n3 and 2 more: base_upgrades_from")


@pytest.mark.parametrize("name", ["archive_keys_dir", "heliograph_pki_dir", "node_backup_dir"])
def test_files_that_are_no_inventory_do_not_lie_in_it(tmp_path: Path, name: str) -> None:
    [found] = faults({name: str(tmp_path / "mine/backups")}, tmp_path / "mine.yml", tmp_path)
    assert f"{name} is {tmp_path}/mine/backups, below the inventory" in found
    assert faults({name: str(tmp_path / ".mine")}, tmp_path) == []
    assert faults({name: str(tmp_path / "mine")}, tmp_path / "hosts.yml") == []


@pytest.mark.parametrize("role", sorted(path.name for path in (ROOT / "roles").iterdir()))
def test_the_roles_own_defaults_are_what_they_ask_for(role: str) -> None:
    file = ROOT / "roles" / role / "defaults/main.yml"
    assert faults(yaml.safe_load(file.read_text())) == [] if file.exists() else True


def test_every_bound_is_a_variables() -> None:
    plugins.filters()
    module = sys.modules["filters_variables"]
    specs = [yaml.safe_load(path.read_text()) for path in (ROOT / "roles").glob("*/meta/argument_specs.yml")]
    known = {name for spec in specs for entry in spec["argument_specs"].values() for name in entry.get("options", {})}
    named = {*module.BOUNDS, *module.FREE_LINES, *module.NETS, *module.FOLDERS}
    assert {name.split(".")[0] for name in named} <= known
