"""A group of alerts: how it is written, found and ordered, and what it costs to keep it in step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from console.columns.alerts import ALERT_TABLE, table_of
from console.columns.table import Manner
from console.fleet import alert_rows
from console.fleet.alert_rows import ALERTS, SHARED_EVERY_S, GroupLine, Groups, as_known, counted, nodes_of
from console.fleet.alerts import AlertBoard
from console.fleet.inventory import Host
from console.fleet.listing import Listing
from console.fleet.nodes import select
from console.fleet.state import Ack, Book
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable

NOW_US = 1_800_000_000_000_000
MINUTE_US = 60_000_000


def alert(code: str = "camera_offline", **changes: Any) -> dict[str, Any]:
    return {
        "code": code, "severity": "crit", "subject": "main", "since": "2027-01-15T07:00:00.000Z",
        "sentence": f"{code} it is", **changes,
    }  # fmt: skip


class Ground:
    """Nodes, a book, a board, and its groups."""

    def __init__(self, names: Sequence[str], hand: Any, make_status: Callable[..., Any], book: Book) -> None:
        self.hand, self.make_status, self.book = hand, make_status, book
        hosts = [Host(name, "h", 1, "http") for name in names]
        self.model = FleetModel(hosts, patience=Patience(), clock=hand.as_clock())
        self.board = AlertBoard(self.model, book)
        self.groups = Groups(self.model, self.board)

    def hears(self, name: str, *alerts: dict[str, Any], site: str = "Harbour") -> None:
        self.model.heard(name, self.make_status(name, alerts=list(alerts), site=site))

    def take(self) -> set[str]:
        self.board.refresh()
        return self.groups.take()

    def line(self, key: str) -> GroupLine:
        return GroupLine(self.groups.groups[key], self.model.clock.utc_us())

    def cells(self, key: str, manner: Manner | None = None) -> dict[str, str]:
        manner = manner or Manner(now_us=self.model.clock.utc_us())
        return {column.key: column.cell(self.line(key), manner).text for column in ALERT_TABLE.columns}


@pytest.fixture
def ground(tmp_path: Any, hand: Any, make_status: Callable[..., Any]) -> Callable[..., Ground]:
    book = Book.open(tmp_path / "state", None, hand.as_clock())
    return lambda *names: Ground(names or ("a", "b", "c"), hand, make_status, book)


def test_a_group_says_how_grave_it_is_where_for_how_long_and_what_is_shared(ground: Callable[..., Ground]) -> None:
    it = ground("a", "b", "c", "d")
    for name in "ab":
        it.hears(name, alert(), site="dam-3")
    it.hears("c", alert("disk_filling", severity="warn"))
    it.hears("d")
    assert it.take() == {"cause:camera_offline", "cause:disk_filling"}
    assert it.cells("cause:camera_offline") == {
        "severity": "✖ crit", "cause": "camera_offline", "nodes": "2", "first": "07:00:00Z", "for": "60m", "ack": "·",
        "note": "dam-3 2/2",
    }  # fmt: skip
    warns = it.cells("cause:disk_filling", Manner(ascii=True))
    assert (warns["severity"], warns["note"]) == ("! warn", "disk_filling it is")


def test_what_one_of_two_nodes_has_is_not_shared(ground: Callable[..., Ground]) -> None:
    it = ground("a", "b", "c", "d")
    it.hears("a", alert(), site="dam-3")
    it.hears("b", alert(), site="tower")
    for name in "cd":
        it.hears(name)
    it.take()
    assert it.line("cause:camera_offline").note == ""


def test_what_was_acknowledged_for_eight_hours_is_said_to_hold_for_eight(ground: Callable[..., Ground]) -> None:
    it = ground()
    it.hears("a", alert())
    it.take()
    it.book.acknowledge(Ack("a/camera_offline/main", "mw", "known", NOW_US, NOW_US + 8 * 60 * MINUTE_US))
    it.hand.now_s += 3
    it.take()
    assert it.cells("cause:camera_offline")["ack"] == "mw, 8h left"


def test_who_knows_of_it_is_said_with_what_time_is_left(ground: Callable[..., Ground]) -> None:
    it = ground()
    it.hears("a", alert())
    it.hears("b", alert())
    it.take()
    it.book.acknowledge(Ack("a/camera_offline/main", "mw", "lens visit", NOW_US, NOW_US + 90 * MINUTE_US))
    assert it.take() == {"cause:camera_offline"}
    assert (it.cells("cause:camera_offline")["ack"], it.line("cause:camera_offline").known) == ("1 of 2", "partly")
    it.book.acknowledge(Ack("b/camera_offline/main", "kb", "lens visit", NOW_US))
    it.take()
    assert it.cells("cause:camera_offline")["ack"] == "mw, 90m left"
    it.groups.by = "node"
    it.take()
    assert it.cells("node:b")["ack"] == "kb, until over"
    assert counted(it.board.rows(), NOW_US + 40 * MINUTE_US) == alert_rows.Counts(firing=2, acked=2, soon=1)


def test_what_a_silent_node_said_last_is_marked_as_old(ground: Callable[..., Ground]) -> None:
    it = ground()
    it.hears("a", alert())
    for _ in range(3):
        it.model.failed("a", NodeUnreachable("no route"))
    it.take()
    assert it.cells("cause:camera_offline")["for"] == "60m?"
    assert it.cells("cause:node.unreachable")["for"] == "0s"


def test_groups_are_found_by_their_fields(ground: Callable[..., Ground]) -> None:
    it = ground("a", "b", "c")
    it.hears("a", alert(), alert("disk_filling", severity="warn", since="2027-01-14T07:00:00.000Z"))
    it.hears("b", alert(), site="")
    it.take()
    it.book.acknowledge(Ack("a/disk_filling/main", "mw", "known", NOW_US))
    it.take()
    listing = Listing[GroupLine](ALERTS, lambda key: it.line(key) if key in it.groups.groups else None)
    found = {}
    texts = (
        "",
        "severity:warn",
        "cause:disk",
        "node:b",
        "site:harbour",
        "ack:open",
        "by:mw",
        "nodes>1",
        "age>1d",
        "it is",
    )
    for text in texts:
        listing.filter_by(text)
        assert not listing.error, text
        listing.refresh(it.groups.groups)
        found[text] = [key.partition(":")[2][:4] for key in listing.keys]
    assert found == {
        "": ["came", "disk"], "severity:warn": ["disk"], "cause:disk": ["disk"], "node:b": ["came"],
        "site:harbour": ["came", "disk"], "ack:open": ["came"], "by:mw": ["disk"], "nodes>1": ["came"],
        "age>1d": ["disk"], "it is": ["came", "disk"],
    }  # fmt: skip
    for name in ALERTS.sorts:
        listing.sort_by(name)
        listing.refresh(it.groups.groups)
        assert len(listing.keys) == 2


def test_the_second_column_is_called_after_what_they_are_grouped_by() -> None:
    assert [table_of(by).columns[1].title for by in alert_rows.EVERY] == ["CAUSE", "NODE", "SITE"]


@pytest.mark.parametrize(("by", "site"), [("cause", "dam-3"), ("site", "North, Mill"), ("site", "dam-3"), ("node", "")])
def test_the_fleet_can_be_filtered_to_the_nodes_of_any_group(ground: Callable[..., Ground], by: Any, site: str) -> None:
    names = [f"cam-{number:03d}" for number in range(400)]
    it = ground(*names, "well", "other")
    for name in names:
        it.hears(name, alert(), site=site)
    it.hears("well", site="elsewhere")
    it.hears("other", alert("disk_filling"), site="elsewhere")
    it.groups.by = by
    it.take()
    for group in it.groups.groups.values():
        text = nodes_of(group, by)
        assert len(text) < 80
        assert set(select(it.model, text)) == set(group.nodes)


def test_it_is_all_told_to_a_program(ground: Callable[..., Ground]) -> None:
    it = ground()
    it.hears("a", alert())
    it.take()
    it.book.acknowledge(Ack("a/camera_offline/main", "mw", "known", NOW_US, NOW_US + MINUTE_US))
    it.take()
    (told,) = as_known(it.line("cause:camera_offline"))["alerts"]  # type: ignore[misc]
    assert told["since"] == "2027-01-15T07:00:00.000Z"
    assert told["ack"]["until_us"] == "2027-01-15T08:01:00.000Z"


def test_where_nothing_changes_nothing_is_grouped_and_what_is_shared_is_not_worked_out_each_time(
    ground: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    real = alert_rows.grouped
    monkeypatch.setattr(alert_rows, "grouped", lambda *given: calls.append(len(given) > 2) or real(*given))
    it = ground(*(f"cam-{number}" for number in range(2000)), "last")
    for number in range(2000):
        it.hears(f"cam-{number}", alert(f"code_{number % 20}"), site=f"s{number % 20}")
    it.hears("last")
    assert len(it.take()) == 20
    assert (it.take(), calls) == (set(), [True])
    note = it.line("cause:code_3").note
    assert note == "s3 100/100"
    it.hears("last", alert("code_3"), site="s3")
    assert it.take() == {"cause:code_3"}
    assert (it.line("cause:code_3").note, calls) == (note, [True, False])
    it.hand.now_s += SHARED_EVERY_S
    for number in range(2000):
        it.hears(f"cam-{number}", alert(f"code_{number % 20}"), site=f"s{number % 20}")
    it.hears("last", alert("code_3"), site="s3")
    it.take()
    assert (it.line("cause:code_3").note, calls) == ("s3 101/101", [True, False, True])


def test_where_nobody_knows_of_anything_the_note_has_the_room() -> None:
    longest = {"cause": 14, "ack": 1, "first": 9, "note": 60}
    sizes = {column.key: size for column, size in ALERT_TABLE.layout(110, longest)}
    assert (sizes["ack"], sizes["first"]) == (4, 9)
    assert sizes["note"] >= 60
    known = {column.key: size for column, size in ALERT_TABLE.layout(110, {**longest, "ack": 99})}
    assert known["ack"] == 22
