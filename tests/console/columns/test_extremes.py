"""Each cell, sort and field of what nodes may say at the utmost: nothing overflows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from console.columns.frames import FRAME_TABLE
from console.columns.nodes import NODE_TABLE
from console.columns.table import Manner, Table, plain
from console.fleet.alerts import AlertBoard
from console.fleet.frames import frame_row, gap_row
from console.fleet.inventory import Host
from console.fleet.nodes import row_of
from console.fleet.summary import as_json
from console.fleet.times import Times
from console.fleet.view import FleetModel, Patience
from console.widgets.inspector import described
from node.wire.records import FrameRecord, SlotRecord
from node.wire.status import NodeStatus
from tests.bench.fleet.extreme import FRAME, Extreme

MANY = 150


def said(kind: Any, number: int, **well: Any) -> Any:
    return kind.model_validate_json(json.dumps(Extreme(random.Random(number), well).of(kind)))


@pytest.fixture
def model(hand: Any) -> FleetModel:
    model = FleetModel([Host(f"cam-{number}", "127.0.0.1", 1) for number in range(MANY)], patience=Patience(),
                       clock=hand.as_clock())  # fmt: skip
    for number, name in enumerate(model.views):
        model.heard(name, said(NodeStatus, number, node=name))
    return model


def drawn(table: Table[Any], rows: list[Any], now_us: int) -> Iterator[list[str]]:
    """The lines of the rows, at times of each kind."""
    for times in Times:
        yield plain(table, rows, Manner(times=times, now_us=now_us))[1:]


def ordered(table: Table[Any], rows: list[Any]) -> Iterator[list[Any]]:
    """By each value that it may be sorted by; what has none comes last."""
    for of in table.kind.sorts.values():
        yield sorted(((value := of(row)) is None, value) for row in rows)


def fits(table: Table[Any], rows: list[Any], now_us: int) -> bool:
    """One line that steers nothing for each row, at times of each kind and in each order."""
    lines = list(drawn(table, rows, now_us))
    plain_lines = all(line.isprintable() for each in lines for line in each)
    counts = {len(each) for each in (*lines, *ordered(table, rows))}
    return plain_lines and counts == {len(rows)}


def test_nodes(model: FleetModel) -> None:
    rows = [row_of(model, name) for name in model.views]
    assert len(rows) == MANY
    assert fits(NODE_TABLE, rows, model.clock.utc_us())
    assert json.loads(json.dumps(as_json(model), allow_nan=False))["nodes"]


def test_inspector_and_alerts(model: FleetModel) -> None:
    board = AlertBoard(model)
    board.refresh()
    assert len(board.rows()) > MANY
    for name in model.views:
        row = row_of(model, name)
        assert row is not None
        for times in Times:
            assert described(row, board.of(name), Manner(times=times, now_us=model.clock.utc_us()), 60)


@pytest.mark.parametrize(
    "row",
    [
        lambda number: frame_row("cam", said(FrameRecord, number, id=FRAME)),
        lambda number: gap_row("cam", said(SlotRecord, number)),
    ],
)
def test_frames(row: Callable[[int], Any], model: FleetModel) -> None:
    assert fits(FRAME_TABLE, [row(number) for number in range(MANY)], model.clock.utc_us())
