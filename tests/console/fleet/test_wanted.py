"""The document that the inventory wants of a node is the one that the role places there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.fleet.wanted import Unresolved, Wanted, wanted
from node.wire.config import digest

VAULTED = {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n6132\n"}


def made(**variables: Any) -> Wanted:
    found = wanted("cam-1", variables, Path("/fleet"))
    assert isinstance(found, Wanted), found
    return found


def left(**variables: Any) -> tuple[Unresolved, ...]:
    found = wanted("cam-1", variables, Path("/fleet"))
    assert isinstance(found, tuple)
    return found


def test_layers_are_laid_over_each_other_in_the_order_of_their_names() -> None:
    found = made(
        heliograph_config_90_host={"schedules": {"a": {"interval_s": 30}}, "site": {"name": None}},
        heliograph_config_10_fleet={"schedules": {"a": {"interval_s": 600, "days": ["mon"]}, "b": {}}},
        heliograph_config_50_site={"site": {"name": "hill"}, "schedules": {"a": {"days": ["tue", "wed"]}}},
        heliograph_config_1_short={"no": "layer"},
        heliograph_port=1,
    )
    wants = {"schedules": {"a": {"interval_s": 30, "days": ["tue", "wed"]}, "b": {}}, "site": {"name": None}}
    assert (found.document, found.digest) == (wants, digest(wants))


def test_a_node_without_a_layer_has_no_document_to_be_pushed() -> None:
    assert wanted("cam-1", {"heliograph_port": 1}) is None


def test_templates_that_are_names_are_filled_in_with_the_kind_of_their_value() -> None:
    found = made(
        heliograph_config_10_a={
            "site": {"name": "{{ label }} of {{ inventory_hostname }}", "latitude": "{{ lat }}"},
            "x": ["{{ inventory_dir }}", "{{ heliograph_pki_dir }}"],
        },
        heliograph_config_20_b="{{ common }}",
        common={"schedules": "{{ schedules }}"}, schedules={"a": {"interval_s": "{{ pace }}"}}, pace=30,
        label="hill {{ number }}", number=7, lat=5.5,
    )  # fmt: skip
    assert found.document == {
        "site": {"name": "hill 7 of cam-1", "latitude": 5.5},
        "x": ["/fleet", "/fleet/.pki"],
        "schedules": {"a": {"interval_s": 30}},
    }


def test_what_is_unsafe_is_taken_as_it_stands() -> None:
    assert made(heliograph_config_10_a={"a": {"__ansible_unsafe": "{{ raw }}"}}).document == {"a": "{{ raw }}"}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{{ lookup('file', 'x') }}", "only Ansible can fill in"),
        ("{% if x %}{% endif %}", "only Ansible can fill in"),
        ("{{ gone }}", "names gone, which the inventory does not have"),
        ("a {{ gone }}", "names gone"),
        ("{{ itself }}", "without an end"),
        ("a {{ listed }}", "stands for no text"),
        (VAULTED, "in a vault"),
        ("{{ vaulted }}", "in a vault"),
    ],
)
def test_what_only_ansible_can_make_is_named_with_its_place(value: Any, why: str) -> None:
    faults = left(
        heliograph_config_10_a={"site": {"name": value}, "cameras": {}},
        itself="{{ itself }}", listed=[1], vaulted=VAULTED,
    )  # fmt: skip
    assert [fault.variable for fault in faults] == ["heliograph_config_10_a.site.name"]
    assert why in faults[0].why


def test_all_that_cannot_be_made_is_named_at_once() -> None:
    faults = left(heliograph_config_10_a={"a": "{{ x }}", "b": ["{{ y }}"]}, heliograph_config_20_b=["no mapping"])
    assert [(each.variable, each.why[:12]) for each in faults] == [
        ("heliograph_config_10_a.a", "names x, whi"),
        ("heliograph_config_10_a.b", "names y, whi"),
        ("heliograph_config_20_b", "is no mappin"),
    ]


def test_what_came_from_a_secret_or_is_called_one_is_hidden() -> None:
    found = made(
        heliograph_config_10_a={
            "site": {"name": "{{ vault_name }}", "label": "{{ plain }}"},
            "weather": {"api_key": "k", "keys": 3, "tokens": [1]},
        },
        vault_name="hush", plain="{{ vault_plain }}", vault_plain="deep",
    )  # fmt: skip
    hidden = {path: found.hides(path) for path in ("site.name", "site.label", "weather.api_key", "weather.tokens.0")}
    assert hidden == dict.fromkeys(hidden, True)
    assert not found.hides("weather.keys")
    assert not found.hides("site")
    assert made(heliograph_config_10_a="{{ vault_all }}", vault_all={"a": 1}).hides("a")


def test_faults_name_every_field_and_repeat_no_secret() -> None:
    found = made(
        heliograph_config_10_a={"site": {"timezone": "{{ vault_zone }}", "latitude": 100}, "nope": 1},
        vault_zone="Hush/Hush",
    )  # fmt: skip
    said = {fault.path: fault.message for fault in found.faults()}
    assert set(said) == {"site.timezone", "site.latitude", "nope"}
    assert said["site.timezone"] == "is wrong"
    assert "Hush" not in str(found.faults())
