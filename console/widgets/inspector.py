"""One node in some lines: what stands beside the grid."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len

from console.columns.table import Cell, Manner, said
from console.fleet.alerts import AlertRow
from console.fleet.nodes import NodeRow
from console.fleet.text import ago, clean
from console.fleet.times import Times, shown, to_us
from console.fleet.view import CAMERA_RANK, LOOKS, Word, disk_used_pct, lowest_quality, worst_camera
from console.widgets.lines import Line
from console.widgets.paint import fitted, flowed
from node.wire.status import CameraStatus, NodeStatus, TargetStatus
from node.wire.times import US

LABEL_CELLS = 8
BAR_CELLS, SPARK_CELLS = 8, 21
MOST_CAUSE_LINES, MOST_CAMERAS, MOST_ALERTS = 4, 6, 8
DIGEST_CHARS = 8
CAMERA_STYLES = {"ok": "ok", "idle": "idle", "disabled": "dim", "warming": "plain", "recovering": "warn"}
DAY_S = 86400
SEVERITY_WORDS = {"crit": Word.CRIT, "warn": Word.WARN}


def described(row: NodeRow, alerts: Sequence[AlertRow], manner: Manner, width: int) -> list[Line]:
    """From what matters first to what can be cut off."""
    status = row.view.status
    parts = [(_head(row, alerts, manner, width), 0)]
    if status is not None:
        parts.append((_facts(row, status, manner), LABEL_CELLS))
        parts.append((_cameras(row, status.cameras, manner), 2))
    parts.append((_alerts(alerts, manner, width), 2))
    lines = [[Line(line) for cells in part for line in flowed(cells, width, hang=hang)] for part, hang in parts]
    return [line for part in lines if part for line in (*part, Line())]


def _head(row: NodeRow, alerts: Sequence[AlertRow], manner: Manner, width: int) -> Iterator[tuple[Cell, ...]]:
    look = LOOKS[row.word]
    name = (
        Cell(row.name, "name"),
        *([Cell(" · " if not manner.ascii else " - ", "dim"), said(row.site)] if row.site else []),
    )
    yield name
    yield (
        Cell(f"{look.ascii if manner.ascii else look.glyph} {row.word}", row.word),
        Cell(_since(row, alerts, manner), "dim"),
    )
    for line in _wrapped(row.cause, width, MOST_CAUSE_LINES, manner):
        yield (Cell(line, row.word if row.word in {Word.CRIT, Word.WARN} else "plain"),)


def _since(row: NodeRow, alerts: Sequence[AlertRow], manner: Manner) -> str:
    """Of the oldest alert."""
    first_us = min((alert.since_us for alert in alerts), default=0)
    if first_us:
        return f"  since {_at(first_us, manner, row.zone)}"
    return "  not heard yet" if row.view.heard_s is None else ""


def _at(at_us: int, manner: Manner, zone: str) -> str:
    text = manner.time(datetime.fromtimestamp(at_us / US, UTC).isoformat(), zone)
    return f"{text} ago" if manner.times is Times.AGO else text


def _facts(row: NodeRow, status: NodeStatus, manner: Manner) -> Iterator[tuple[Cell, ...]]:
    for label, value in FACTS.items():
        cells = value(row, status, manner)
        if cells:
            yield (Cell(label.ljust(LABEL_CELLS), "dim"), *(_aged(cell, row) for cell in cells))


def _aged(cell: Cell, row: NodeRow) -> Cell:
    """What is old looks old."""
    return Cell(cell.text, "dim") if row.old else cell


def _heard(row: NodeRow, _: NodeStatus, __: Manner) -> list[Cell]:
    return [Cell(f"{ago(row.view.silence_s(row.now_s))} ago"), Cell(" ?" if row.old else "")]


def _queue(_: NodeRow, status: NodeStatus, __: Manner) -> list[Cell]:
    queue = status.queue
    if queue is None:
        return []
    stuck = f" {queue.stuck} stuck" if queue.stuck else ""
    dead = Cell(f" {queue.dead} dead", "warn" if queue.dead else "plain")
    return [Cell(f"{queue.due} due {queue.running} run"), dead, Cell(stuck, "warn")]


def _disk(_: NodeRow, status: NodeStatus, manner: Manner) -> list[Cell]:
    used, disk = disk_used_pct(status), status.disk
    if disk is None or used is None:
        return []
    left = ago(disk.full_in_days * DAY_S if disk.full_in_days is not None else None)
    days = f" full in {left}" if left else ""
    style = "plain" if disk.level == "ok" else disk.level
    return [
        Cell(f"{manner.bar(used, BAR_CELLS)} {used:.0f}%", style),
        Cell(days, "plain"),
        Cell(_step(disk.step), "warn"),
    ]


def _step(step: str) -> str:
    return f" {clean(step)}" if step not in {"", "ok", "normal"} else ""


def _quality(_: NodeRow, status: NodeStatus, manner: Manner) -> list[Cell]:
    camera, quality = worst_camera(status), lowest_quality(status)
    if camera is None or quality is None:
        return []
    return [Cell(f"{quality:3d} "), Cell(manner.spark(camera.quality_24h)[-SPARK_CELLS:], "spark")]


def _archive(_: NodeRow, status: NodeStatus, __: Manner) -> list[Cell]:
    """What fails first; where nothing is amiss, that."""
    if not status.archive:
        return [Cell("none", "dim")]
    amiss = sorted((target for target in status.archive if _lacks(target)), key=lambda one: one.breaker == "closed")
    said = [Cell(_lacks(target), "plain" if target.breaker == "closed" else "warn") for target in amiss]
    return said or [Cell("all sent")]


def _lacks(target: TargetStatus) -> str:
    """What one target has not got, and whether it is given anything now; empty = all is well."""
    parts = (target.breaker if target.breaker != "closed" else "", f"{target.unsent} unsent" if target.unsent else "")
    told = ", ".join(filter(None, parts))
    return f"{clean(target.name)} {told} " if told else ""


def _clock(_: NodeRow, status: NodeStatus, __: Manner) -> list[Cell]:
    return [Cell("synced") if status.clock.synced else Cell("not synced", "warn")]


def _config(_: NodeRow, status: NodeStatus, __: Manner) -> list[Cell]:
    config = status.config
    on_trial = Cell({"probation": " on probation", "provisional": " provisional"}.get(config.state, ""), "warn")
    return [Cell(f"{clean(config.digest[:DIGEST_CHARS])} v{config.version}"), on_trial]


def _release(_: NodeRow, status: NodeStatus, __: Manner) -> list[Cell]:
    return [said(status.version), Cell(f"  up {ago(status.uptime_s)}", "dim")]


def _host(_: NodeRow, status: NodeStatus, __: Manner) -> list[Cell]:
    return [] if status.host.temperature_c is None else [Cell(f"{status.host.temperature_c:.0f} C")]


def _next(row: NodeRow, status: NodeStatus, manner: Manner) -> list[Cell]:
    following = min((camera.next_slot for camera in status.cameras if camera.next_slot), default="")
    at_us = to_us(following)
    if at_us is None:
        return []
    if manner.times is Times.AGO:
        left_s = (at_us - manner.now_us) / US
        return [Cell(f"in {ago(left_s)}" if left_s >= 1 else "now" if not row.old else "")]
    return [Cell(manner.time(following, row.zone))]


FACTS: dict[str, Callable[[NodeRow, NodeStatus, Manner], list[Cell]]] = {
    "heard": _heard, "queue": _queue, "disk": _disk, "quality": _quality, "archive": _archive, "next": _next,
    "clock": _clock, "config": _config, "version": _release, "cpu": _host,
}  # fmt: skip


def _cameras(row: NodeRow, cameras: Sequence[CameraStatus], manner: Manner) -> Iterator[tuple[Cell, ...]]:
    worst = sorted(cameras, key=lambda one: CAMERA_RANK[one.state])
    longest = max((cell_len(clean(one.name)) for one in worst[:MOST_CAMERAS]), default=0)
    for camera in worst[:MOST_CAMERAS]:
        style = "dim" if row.old else CAMERA_STYLES.get(camera.state, "crit")
        name = Cell(fitted(clean(camera.name), longest) + "  ")
        yield (
            name,
            Cell(_state(camera, row, manner), style),
            Cell(_last(camera, row), "dim"),
            Cell(_rung(camera), "warn"),
        )
    if len(cameras) > MOST_CAMERAS:
        yield (Cell(f"and {len(cameras) - MOST_CAMERAS} more", "dim"),)


def _state(camera: CameraStatus, row: NodeRow, manner: Manner) -> str:
    if camera.held is None:
        return camera.state
    times = Times.UTC if manner.times is Times.AGO else manner.times  # an end lies ahead: it has no age
    return f"held until {shown(camera.held_until, times, manner.now_us, row.zone)}" if camera.held_until else "held"


def _rung(camera: CameraStatus) -> str:
    return f"  {clean(camera.recovery_rung)} {camera.recovery_attempt}" if camera.recovery_rung else ""


def _last(camera: CameraStatus, row: NodeRow) -> str:
    if camera.last_good_age_s is None:
        return "  no frame yet"
    return f"  {ago(camera.last_good_age_s + row.view.silence_s(row.now_s))}"


def _alerts(alerts: Sequence[AlertRow], manner: Manner, width: int) -> Iterator[tuple[Cell, ...]]:
    for alert in alerts[:MOST_ALERTS]:
        look, word = LOOKS[SEVERITY_WORDS[alert.severity]], SEVERITY_WORDS[alert.severity]
        acked = f"acked by {alert.ack.by}: {alert.ack.reason}" if alert.ack is not None else ""
        first, *rest = _wrapped(alert.sentence, width - 2, 2, manner) or [alert.code]
        yield (
            Cell(f"{look.ascii if manner.ascii else look.glyph} ", word),
            Cell(first, "dim" if acked or alert.stale else "plain"),
        )
        for line in (*rest, *_wrapped(acked, width - 2, 2, manner)):
            yield (Cell(f"  {line}", "dim" if acked or alert.stale else "plain"),)
    if len(alerts) > MOST_ALERTS:
        yield (Cell(f"and {len(alerts) - MOST_ALERTS} more alerts", "dim"),)


def _wrapped(text: str, width: int, most: int, manner: Manner) -> list[str]:
    """In at most so many lines."""
    return textwrap.wrap(
        clean(text), max(4, width), max_lines=most, placeholder=f" {manner.cut}", break_on_hyphens=False
    )
