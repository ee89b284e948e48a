"""What the preflight says of inventories and hosts, before anything is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ansible import plugins

Filters = dict[str, Callable[..., list[str]]]
ROLES = str(Path(__file__).parents[2] / "roles")
LIMITS = {"clock_tolerance_s": 120, "free_mib": {"/": 300, "/boot/firmware": 20}}
FIT = {
    "suite": "trixie",
    "python": "3.13.5",
    "clock_s": 1000,
    "dpkg": {"broken": [], "interrupted": False},
    "free_bytes": {"/": 1 << 30},
    "trouble": None,
}


@pytest.fixture
def filters() -> Filters:
    return plugins.filters()


def hosts(**more: Any) -> dict[str, dict[str, Any]]:
    return {"one": {"ansible_host": "192.0.2.1"}, "two": {"ansible_host": "192.0.2.2"}, **more}


def faults(filters: Filters, found: dict[str, dict[str, Any]]) -> list[str]:
    return filters["inventory_faults"](found, list(found), ROLES)


def test_a_good_inventory_has_no_faults(filters: Filters) -> None:
    good = {"heliograph_port": 1, "heliograph_config_50_site": {}, "hardening_ssh_enabled": True, "my_own": 1}
    of_playbooks = dict.fromkeys(("preflight_clock_tolerance_s", "reboot_serial", "retire_backup", "bootstrap_card"), 1)
    assert faults(filters, hosts(three=good | of_playbooks)) == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ansible_host": "192.0.2.1"}, "address 192.0.2.1 port 22 is one's already"),
        ({"heliograph_tls_name": "one"}, "heliograph_tls_name one is one's already"),
        ({"hardening_ssh_enable": 1}, "did you mean hardening_ssh_enabled"),
        ({"base_nothing_like_it": 1}, "no variable is called base_nothing_like_it. "),
        ({"heliograph_config_9_x": 1}, "no variable is called heliograph_config_9_x"),
        ({"heliograph_prot": 1}, "did you mean heliograph_port"),
        ({"retire_reachabel": False}, "did you mean retire_reachable"),
        ({"reboot_al": True}, "did you mean reboot_all"),
        ({"collect_day": 1}, "did you mean collect_days"),
        ({"bootstrap_timeout": 1}, "did you mean bootstrap_timeout_s"),
        ({"preflight_clock_s": 1}, "no variable is called preflight_clock_s"),
        ({"hardning_ssh_enabled": 1}, "did you mean hardening_ssh_enabled"),
        ({"heliogrpah_port": 1}, "did you mean heliograph_port"),
    ],
)
def test_what_is_wrong_with_a_node_is_named_with_what_to_do(filters: Filters, variables: Any, said: str) -> None:
    [found] = faults(filters, hosts(three=variables))
    assert found.startswith("three: ")
    assert said in found
    assert "Remedy: " in found


def test_what_many_nodes_have_is_said_once(filters: Filters) -> None:
    many = {f"n{number}": {"ansible_host": f"192.0.2.{number}", "base_x": 1} for number in range(1, 8)}
    [found] = faults(filters, many)
    assert found.startswith("n1, n2, n3, n4 and 3 more: no variable is called base_x.")


@pytest.mark.parametrize("name", ["vault_become_password", "my_own", "site_cameras", "ansible_hosts", "lab_wheels"])
def test_variables_of_somebodys_own_are_let_be(filters: Filters, name: str) -> None:
    assert faults(filters, hosts(three={name: 1})) == []


def test_one_address_with_two_ports_is_two_nodes(filters: Filters) -> None:
    assert faults(filters, hosts(three={"ansible_host": "192.0.2.1", "ansible_port": 2222})) == []


@pytest.mark.parametrize("name", ["One", "a_b", "a.b", "-a", "a-", "x" * 64, ""])
def test_names_that_no_node_can_have_are_refused(filters: Filters, name: str) -> None:
    [found] = faults(filters, hosts(**{name: {}}))
    assert "no name for a node" in found


def test_all_faults_are_named_at_once(filters: Filters) -> None:
    assert len(faults(filters, hosts(A={"base_x": 1, "node_y": 2}))) == 3


def test_a_host_that_is_fit_has_no_faults(filters: Filters) -> None:
    assert filters["host_faults"](FIT, 1000.0, LIMITS) == []


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ({"suite": "bullseye"}, "it runs bullseye"),
        ({"suite": ""}, "it runs no Debian"),
        ({"python": "3.9.2"}, "older than 3.11"),
        ({"clock_s": 5000}, "4000 s ahead"),
        ({"clock_s": 0}, "1000 s behind"),
        ({"dpkg": {"broken": ["vim", "zsh"], "interrupted": False}}, "half installed: vim, zsh"),
        ({"dpkg": {"broken": [], "interrupted": True}}, "half installed. Remedy: on the host `sudo dpkg --configure"),
        ({"free_bytes": {"/": 1 << 20}}, "/ has 1 MiB free and needs 300"),
        ({"trouble": "placed by a newer release"}, "newer release"),
        ({"trouble": "certificate: cut short; packages: no permission"}, "cannot tell all of itself: packages: no per"),
        ({"trouble": "[Errno 5] Input/output error"}, "it cannot tell all of itself: [Errno 5]"),
    ],
)
def test_what_a_host_is_not_fit_for_is_said_with_what_to_do(filters: Filters, fact: Any, said: str) -> None:
    [found] = filters["host_faults"]({**FIT, **fact}, 1000.0, LIMITS)
    assert said in found
    assert "Remedy: " in found


def test_a_clock_off_by_less_than_is_tolerated_is_right(filters: Filters) -> None:
    assert filters["host_faults"]({**FIT, "clock_s": 1119}, 1000.0, LIMITS) == []


@pytest.mark.parametrize("trouble", [None, "", "the manifest is damaged; certificate: cut short"])
def test_trouble_that_the_bundle_mends_stops_nothing(filters: Filters, trouble: Any) -> None:
    assert filters["host_faults"]({**FIT, "trouble": trouble}, 1000.0, LIMITS) == []
