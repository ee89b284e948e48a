"""One node in some lines, however little or much is known of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len

from console.columns.table import Manner
from console.fleet.alerts import AlertRow
from console.fleet.inventory import Host
from console.fleet.nodes import row_of
from console.fleet.state import Ack
from console.fleet.times import Times
from console.fleet.view import FleetModel, Patience
from console.widgets.inspector import described
from node.wire.errors import NodeUnreachable

WIDTH = 34


@pytest.fixture
def model(hand: Any) -> FleetModel:
    return FleetModel([Host("cam", "127.0.0.1", 1, "http")], patience=Patience(), clock=hand.as_clock())


def lines(model: FleetModel, *alerts: AlertRow, times: Times = Times.UTC, ascii_only: bool = False) -> list[str]:
    row = row_of(model, "cam")
    assert row is not None
    manner = Manner(ascii_only, times, model.clock.utc_us())
    told = ["".join(cell.text for cell in line.left) for line in described(row, alerts, manner, WIDTH)]
    assert all(cell_len(line) <= WIDTH for line in told), told
    return [line.rstrip() for line in told]


def alert(number: int = 0, **changes: Any) -> AlertRow:
    values = {
        "key": f"cam/camera.lost/{number}", "code": "camera.lost", "node": "cam", "site": "", "subject": "main",
        "severity": "crit", "sentence": f"camera {number} has given no good frame for a long time", "since_us": 0,
        "stale": False, "ack": None,
    }  # fmt: skip
    return AlertRow(**{**values, **changes})


def test_a_node_that_was_never_heard_is_a_name_and_that(model: FleetModel) -> None:
    assert lines(model) == ["cam", "… waiting  not heard yet", "no answer yet", ""]


def test_what_is_known_stands_line_by_line(
    model: FleetModel, make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    cameras = [
        make_camera("north"),
        make_camera("south", state="recovering", recovery_rung="reopen", recovery_attempt=2),
    ]
    targets = [{"name": "nas", "unsent": 3}, {"name": "vault", "breaker": "open", "unsent": 1}, {"name": "well"}]
    queue = {"due": 12, "running": 1, "dead": 2, "stuck": 1}
    model.heard(
        "cam", make_status("cam", state="warn", reasons=["rain"], cameras=cameras, queue=queue, archive=targets)
    )
    told = lines(model, alert(since_us=model.clock.utc_us() - 60_000_000))
    assert told[:3] == ["cam · Harbour", "▲ warn  since 07:59:00Z", "1/2 ok: rain"]
    queue, archive = (next(at for at, line in enumerate(told) if line.startswith(word)) for word in ("queue", "arch"))
    assert told[queue : queue + 2] == ["queue   12 due 1 run 2 dead 1", "        stuck"]
    assert told[archive : archive + 2] == ["archive vault open, 1 unsent nas 3", "        unsent"]
    assert "south  recovering  7s  reopen 2" in told
    assert told.index("south  recovering  7s  reopen 2") < told.index("north  ok  7s")
    assert "✖ camera 0 has given no good frame" in told


def test_a_held_camera_says_until_when(
    model: FleetModel, make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    held = {"held": "2027-01-15T07:00:00.000Z", "held_until": "2027-01-15T09:30:00.000Z"}
    model.heard("cam", make_status("cam", cameras=[make_camera("main", **held)]))
    assert "main  held until 09:30:00Z  7s" in lines(model, times=Times.AGO)
    model.heard("cam", make_status("cam", cameras=[make_camera("main", held=held["held"])]))
    assert "main  held  7s" in lines(model)


def test_many_cameras_and_alerts_are_counted(
    model: FleetModel, make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    model.heard("cam", make_status("cam", cameras=[make_camera(f"c{number}") for number in range(40)]))
    told = lines(model, *(alert(number) for number in range(30)))
    assert "and 34 more" in told
    assert "and 22 more alerts" in told


def test_an_alert_that_somebody_knows_of_says_who_and_why(model: FleetModel, make_status: Callable[..., Any]) -> None:
    model.heard("cam", make_status("cam"))
    told = lines(model, alert(ack=Ack("k", "mw", "lens visit on friday", 1)))
    assert told[-3:] == ["  acked by mw: lens visit on", "  friday", ""]


def test_a_cause_is_cut_between_words_and_names_broken_nowhere(
    model: FleetModel, make_status: Callable[..., Any]
) -> None:
    model.heard("cam", make_status("cam", state="warn", reasons=["the lens of the camera is dirty " * 9]))
    told = lines(model)
    assert told[5] == "the lens of the camera is dirty …"
    model.heard("cam", make_status("cam", version="v" * 80, site="漢" * 40))
    assert lines(model)[:2] == ["cam ·", "漢" * 17]


def test_silence_leaves_the_last_values_marked(model: FleetModel, make_status: Callable[..., Any], hand: Any) -> None:
    model.heard("cam", make_status("cam"))
    hand.now_s += 600
    for _ in range(3):
        model.failed("cam", NodeUnreachable("no route"))
    row = row_of(model, "cam")
    assert row is not None
    told = described(row, (), Manner(), WIDTH)
    assert "heard   10m ago ?" in ["".join(cell.text for cell in line.left) for line in told]
    assert {cell.style for line in told[4:8] for cell in line.left} == {"dim"}


def test_hostile_values_are_shown_and_harm_nothing(
    model: FleetModel, make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    camera = make_camera(
        "\x1b[31m" + "x" * 300, quality=10**12, quality_24h="😀" * 500, last_good_age_s=math.nan, next_slot="soon",
        state="recovering", recovery_rung="港" * 200, recovery_attempt=10**9,
    )  # fmt: skip
    disk = {"total_bytes": 1, "free_bytes": 10**30, "level": "ok", "full_in_days": math.inf, "step": "\x9b" * 50}
    config = {"version": 10**9, "digest": "", "state": "active"}
    status = make_status("cam", site="\x07" * 90, version="v" * 200, cameras=[camera], disk=disk, config=config)
    model.heard("cam", status)
    for times in Times:
        text = "\n".join(lines(model, alert(sentence="", since_us=1), times=times))
        assert not set(text) & {"\x1b", "\x07", "\x9b"}


def test_in_ascii_nothing_else_is_drawn(model: FleetModel, make_status: Callable[..., Any]) -> None:
    model.heard("cam", make_status("cam", reasons=["a long reason " * 20], state="crit"))
    assert "\n".join(lines(model, alert(), ascii_only=True)).isascii()
