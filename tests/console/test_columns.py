"""The table of columns: what cells say, and what makes room for what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from console.columns.nodes import NODE_TABLE
from console.columns.table import Cell, Manner, is_utf8, plain
from console.fleet.inventory import Host
from console.fleet.nodes import row_of
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable

COLUMNS = NODE_TABLE.columns
CELLS = {column.key: column.cell for column in COLUMNS}
ASCII = Manner(ascii=True)
LONGEST = {"node": 12, "state": 13}


@pytest.fixture
def model(hand: Any) -> FleetModel:
    return FleetModel([Host("cam", "127.0.0.1", 1, "http")], patience=Patience(), clock=hand.as_clock())


def cells(model: FleetModel, *, ascii_only: bool = False) -> dict[str, Cell]:
    row = row_of(model, "cam")
    assert row is not None
    return {key: cell(row, Manner(ascii=ascii_only)) for key, cell in CELLS.items()}


def texts(model: FleetModel, *, ascii_only: bool = False) -> dict[str, str]:
    return {key: cell.text for key, cell in cells(model, ascii_only=ascii_only).items()}


def test_a_well_node_says_what_it_measured(model: FleetModel, make_status: Callable[..., Any]) -> None:
    model.heard("cam", make_status("cam"))
    assert texts(model) == {
        "state": "● ok", "node": "cam", "site": "Harbour", "seen": "0s", "last": "7s", "today": "120/120",
        "quality": "91", "spark": "▆▇▇▇▇▇▇▆▆···▇▇▇▇▇▇▇▆▆▆▆", "disk": "██░░ 55%", "jobs": "·", "unsent": "no arch",
        "version": "0.1.0", "digest": "000000", "cause": "",
    }  # fmt: skip


def test_what_waits_and_what_failed_stand_beside_each_other(model: FleetModel, make_status: Callable[..., Any]) -> None:
    model.heard("cam", make_status("cam", queue={"due": 3, "running": 1}, archive=[{"name": "nas", "unsent": 12}]))
    assert (texts(model)["jobs"], texts(model)["unsent"]) == ("4", "12")
    assert {cells(model)[key].style for key in ("jobs", "unsent")} == {"plain"}
    failing = [{"name": "nas", "unsent": 12, "breaker": "open"}, {"name": "vault", "unsent": 5}]
    model.heard("cam", make_status("cam", queue={"due": 0, "running": 0, "dead": 2}, archive=failing))
    assert (texts(model)["jobs"], texts(model)["unsent"]) == ("0 2x", "17!")
    assert {cells(model)[key].style for key in ("jobs", "unsent")} == {"warn"}


def test_a_node_that_was_never_heard_shows_no_zero(model: FleetModel) -> None:
    found = texts(model)
    assert {found[key] for key in ("seen", "last", "today", "quality", "disk")} == {"·"}
    assert (found["state"], found["cause"]) == ("… waiting", "no answer yet")


def test_a_measured_zero_is_a_zero(
    model: FleetModel, make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    camera = make_camera(due=0, captured=0, quality=0, last_good_age_s=0.0)
    disk = {"total_bytes": 100, "free_bytes": 100, "level": "ok"}
    model.heard("cam", make_status("cam", cameras=[camera], disk=disk))
    found = texts(model)
    assert (found["last"], found["today"], found["quality"], found["disk"]) == ("0s", "0/0", "0", "░░░░  0%")


def test_an_old_value_looks_old_without_colour_and_with_it(
    model: FleetModel, make_status: Callable[..., Any], hand: Any
) -> None:
    model.heard("cam", make_status("cam"))
    hand.now_s += 31
    for key in ("last", "today", "quality", "disk"):
        cell = cells(model)[key]
        assert cell.text.endswith("?")
        assert cell.style == "dim"
    assert cells(model)["state"] == Cell("◔ stale", "stale")


def test_an_unreachable_node_keeps_its_last_values_and_says_why(
    model: FleetModel, make_status: Callable[..., Any]
) -> None:
    model.heard("cam", make_status("cam"))
    for _ in range(3):
        model.failed("cam", NodeUnreachable("Connection refused"))
    found = texts(model)
    assert (found["state"], found["today"], found["cause"]) == (
        "◌ unreachable", "120/120?", "FLT-002 Connection refused",
    )  # fmt: skip


def test_gaps_and_low_quality_and_a_full_disk_stand_out(
    model: FleetModel, make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    disk = {"total_bytes": 100, "free_bytes": 3, "level": "crit"}
    model.heard("cam", make_status("cam", cameras=[make_camera(gaps=1, quality=49)], disk=disk))
    found = cells(model)
    assert [found[key].style for key in ("today", "quality", "disk")] == ["warn", "warn", "crit"]


def test_a_node_without_cameras_says_so(model: FleetModel, make_status: Callable[..., Any]) -> None:
    model.heard("cam", make_status("cam", cameras=[]))
    assert texts(model)["last"] == "no cam"


def test_hostile_values_are_shown_for_what_they_are(
    model: FleetModel, make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    camera = make_camera(
        last_good_age_s=float("inf"), due=-(10**30), captured=10**30, quality=10**9, quality_24h="9x\x1b[2J²٣" * 9
    )
    disk = {"total_bytes": 1, "free_bytes": -(10**30), "level": "ok"}
    model.heard(
        "cam", make_status("cam", site="\x1b[31m" * 999, reasons=["a\x00b" * 9999], cameras=[camera], disk=disk)
    )
    found = texts(model)
    assert (found["last"], found["quality"], found["disk"]) == ("·", "·", "·")
    assert all(text.isprintable() for text in found.values())


def test_ascii_only_is_ascii_only(model: FleetModel, make_status: Callable[..., Any]) -> None:
    assert all(text.isascii() for text in texts(model, ascii_only=True).values())
    model.heard("cam", make_status("cam", disk=None))
    assert all(text.isascii() for text in texts(model, ascii_only=True).values())
    model.heard("cam", make_status("cam"))
    found = texts(model, ascii_only=True)
    assert (found["state"], found["disk"]) == ("+ ok", "##-- 55%")


def test_a_spark_shows_the_last_day_higher_is_better() -> None:
    assert Manner().spark("0123456789.") == "▁▁▂▃▃▄▅▆▆▇·"
    assert ASCII.spark("0123456789.") == "0123456789."
    assert len(Manner().spark("9" * 100)) == 24


def test_a_layout_never_is_wider_than_the_screen() -> None:
    for width in range(1, 260):
        chosen = NODE_TABLE.layout(width, LONGEST)
        used = sum(size for _, size in chosen) + len(chosen) - 1
        assert used <= max(width, 15), width
        assert [column.key for column, _ in chosen][:2] == ["state", "node"]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (20, ["state", "node"]),
        (79, ["state", "node", "last", "today", "quality", "cause"]),
        (107, ["state", "node", "last", "today", "quality", "spark", "disk", "jobs", "cause"]),
        (
            124,
            ["state", "node", "site", "last", "today", "quality", "spark", "disk", "jobs", "unsent", "cause"],
        ),
    ],
)
def test_the_less_important_columns_go_first(width: int, expected: list[str]) -> None:
    assert [column.key for column, _ in NODE_TABLE.layout(width, LONGEST)] == expected


def test_a_wide_screen_gives_the_room_to_the_cause() -> None:
    sizes = {column.key: size for column, size in NODE_TABLE.layout(199, {"node": 9, "state": 6})}
    assert (sizes["node"], sizes["spark"], sizes["site"]) == (9, 24, 16)
    assert sizes["cause"] > 60


def test_the_state_is_as_wide_as_its_longest_word() -> None:
    for words, expected in ((0, 6), (6, 6), (13, 13), (99, 13)):
        sizes = {column.key: size for column, size in NODE_TABLE.layout(80, {"node": 9, "state": words})}
        assert sizes["state"] == expected


def test_the_cause_is_read_whole_before_minor_columns_are_shown() -> None:
    short, long = ({"node": 9, "state": 6, "cause": cells} for cells in (20, 56))
    assert {"site", "seen", "version", "digest"} <= {column.key for column, _ in NODE_TABLE.layout(150, short)}
    chosen = {column.key: size for column, size in NODE_TABLE.layout(150, long)}
    assert chosen["cause"] >= 56
    assert "digest" not in chosen
    assert {"spark", "disk", "jobs", "unsent"} <= chosen.keys()
    endless = {"node": 9, "state": 6, "cause": 4000}
    assert {"spark", "disk", "jobs"} <= {column.key for column, _ in NODE_TABLE.layout(150, endless)}


def test_where_there_is_hardly_room_the_name_is_the_last_to_give_way() -> None:
    assert [size for _, size in NODE_TABLE.layout(17, {"node": 9, "state": 13})] == [7, 9]
    assert [size for _, size in NODE_TABLE.layout(11, {"node": 9, "state": 13})] == [3, 7]


def test_the_tables_agree() -> None:
    keys = {column.key for column in COLUMNS}
    assert {key for key, _ in NODE_TABLE.growth} <= keys
    assert set(NODE_TABLE.kind.order) <= set(NODE_TABLE.kind.sorts) <= keys


def test_the_plain_table_has_one_line_a_node(model: FleetModel, make_status: Callable[..., Any]) -> None:
    model.heard("cam", make_status("cam"))
    lines = plain(NODE_TABLE, [row_of(model, "cam")], Manner())
    assert lines[0].split() == [column.title for column in COLUMNS]
    assert lines[1].split()[:4] == ["●", "ok", "cam", "Harbour"]
    assert all(line.isascii() for line in plain(NODE_TABLE, [row_of(model, "cam")], ASCII))


@pytest.mark.parametrize(("encoding", "expected"), [("UTF-8", True), ("utf8", True), ("ascii", False), (None, False)])
def test_a_utf8_terminal_is_recognised(encoding: str | None, expected: bool) -> None:
    assert is_utf8(encoding) is expected
