"""The list of nodes and the groups of alerts: what a group's filter shows is what the group has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from console.fleet.alert_rows import EVERY, Groups, nodes_of
from console.fleet.alerts import AlertBoard
from console.fleet.inventory import Host
from console.fleet.nodes import select
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable

NAMES = ("a", "b", "c", "d", "lost")
SITES = ("Dam 3", "Dam 30", "", 'North, the "Mill"', "dam")
CODES = ("disk", "disk.full", "disk, full", 'a "b" c', "x\x1b[2J")


@pytest.fixture
def model(hand: Any) -> FleetModel:
    hosts = [Host(name, "127.0.0.1", port, "http") for port, name in enumerate(NAMES, 1)]
    return FleetModel(hosts, patience=Patience(), clock=hand.as_clock())


def fired(code: str) -> dict[str, Any]:
    return {"code": code, "severity": "crit", "subject": "x", "since": "2027-01-15T07:00:00.000Z", "sentence": "so"}


def test_what_a_group_opens_is_that_group_and_nobody_else(model: FleetModel, make_status: Callable[..., Any]) -> None:
    for name, site, code in zip(NAMES, SITES, CODES, strict=True):
        model.heard(name, make_status(name, site=site, alerts=[fired(code)]))
    board = AlertBoard(model)
    board.refresh()
    seen = 0
    for by in EVERY:
        groups = Groups(model, board, by)
        groups.take()
        for group in groups.groups.values():
            assert tuple(select(model, nodes_of(group, by))) == group.nodes, nodes_of(group, by)
            seen += 1
    assert seen == 15


def test_nodes_remembered_and_not_yet_asked_have_no_alerts_of_this_consoles_own(
    model: FleetModel, make_status: Callable[..., Any]
) -> None:
    for name in NAMES:
        model.restore(name, make_status(name, alerts=[fired("disk")] if name == "a" else []), 1)
    assert select(model, "alerts>0") == ["a"]
    for _ in range(3):
        model.failed("lost", NodeUnreachable("no route"))
    assert select(model, "alerts>0") == ["a", "lost"]
    assert select(model, "alert:node.unreachable") == ["lost"]
