"""The columns of the fleet: what a node's cells say."""

from __future__ import annotations

from console.columns.table import HIGHEST_SCORE, Cell, Column, Manner, Table, said
from console.fleet.nodes import NODES, NodeRow
from console.fleet.text import ago, clean
from console.fleet.view import (
    LOOKS,
    counts_today,
    dead_jobs,
    disk_used_pct,
    last_good_age_s,
    lowest_quality,
    open_jobs,
    unsent,
    worst_camera,
)

BAR_CELLS = 4
LOW_QUALITY = 50
DIGEST_CHARS = 6
DISK_STYLES = {"ok": "plain", "warn": "warn", "crit": "crit"}


def _dated(row: NodeRow, manner: Manner, text: str, style: str = "plain") -> Cell:
    """A value as the node said it, or, when that is long ago, with a question mark and dim."""
    if not text:
        return Cell(manner.unknown, "dim")
    return Cell(f"{text}?", "dim") if row.old else Cell(text, style)


def _state(row: NodeRow, manner: Manner) -> Cell:
    look = LOOKS[row.word]
    return Cell(f"{look.ascii if manner.ascii else look.glyph} {row.word}", row.word)


def _node(row: NodeRow, _manner: Manner) -> Cell:
    return Cell(row.view.host.name, "dim" if row.old else "name")


def _last(row: NodeRow, manner: Manner) -> Cell:
    if row.view.status is not None and worst_camera(row.view.status) is None:
        return Cell("no cam", "dim")
    age_s = last_good_age_s(row.view, row.now_s)
    return _dated(row, manner, ago(age_s))


def _today(row: NodeRow, manner: Manner) -> Cell:
    if row.view.status is None:
        return _dated(row, manner, "")
    due, captured, gaps = counts_today(row.view.status)
    return _dated(row, manner, f"{captured}/{due}", "warn" if gaps else "plain")


def _quality(row: NodeRow, manner: Manner) -> Cell:
    quality = lowest_quality(row.view.status) if row.view.status is not None else None
    if quality is None or not 0 <= quality <= HIGHEST_SCORE:
        return _dated(row, manner, "")
    return _dated(row, manner, str(quality), "warn" if quality < LOW_QUALITY else "plain")


def _spark(row: NodeRow, manner: Manner) -> Cell:
    camera = worst_camera(row.view.status) if row.view.status is not None else None
    return Cell(manner.spark(camera.quality_24h if camera is not None else ""), "dim" if row.old else "spark")


def _disk(row: NodeRow, manner: Manner) -> Cell:
    status = row.view.status
    used = disk_used_pct(status) if status is not None else None
    if status is None or status.disk is None or used is None or not 0 <= used <= HIGHEST_SCORE:
        return _dated(row, manner, "")
    return _dated(row, manner, f"{manner.bar(used, BAR_CELLS)} {int(used):2d}%", DISK_STYLES[status.disk.level])


def _jobs(row: NodeRow, manner: Manner) -> Cell:
    """What is due or runs, and after it, with an x, what has failed for good."""
    count = open_jobs(row.view.status) if row.view.status is not None else None
    dead = dead_jobs(row.view.status) if row.view.status is not None else None
    if count is None:
        return _dated(row, manner, "")
    return _dated(row, manner, f"{count} {dead}x", "warn") if dead else _dated(row, manner, str(count))


def _unsent(row: NodeRow, manner: Manner) -> Cell:
    """Over all targets; an exclamation mark where one of them fails."""
    if row.view.status is None:
        return _dated(row, manner, "")
    count = unsent(row.view.status)
    if count is None:
        return Cell("no arch", "dim")
    fails = any(target.breaker != "closed" for target in row.view.status.archive)
    return _dated(row, manner, f"{count}!", "warn") if fails else _dated(row, manner, str(count))


def _site(row: NodeRow, _manner: Manner) -> Cell:
    return said(row.site, "dim" if row.old else "plain")


def _seen(row: NodeRow, manner: Manner) -> Cell:
    if row.view.heard_s is None:
        return Cell(manner.unknown, "dim")
    return Cell(ago(row.view.silence_s(row.now_s)), "dim")


def _cause(row: NodeRow, _manner: Manner) -> Cell:
    return said(row.cause)


def _version(row: NodeRow, manner: Manner) -> Cell:
    return _dated(row, manner, clean(row.view.status.version) if row.view.status is not None else "")


def _digest(row: NodeRow, manner: Manner) -> Cell:
    """The first of its configuration's digest, and an exclamation mark while that has not proved itself."""
    if row.view.status is None:
        return _dated(row, manner, "")
    config = row.view.status.config
    probation = "" if config.state == "active" else "!"
    return _dated(row, manner, clean(config.digest[:DIGEST_CHARS]) + probation, "warn" if probation else "plain")


NODE_TABLE: Table[NodeRow] = Table(
    kind=NODES,
    columns=(
        Column("state", "STATE", 6, 13, 0, _state, "the node's state, worst first", snug=True),
        Column("node", "NODE", 8, 28, 0, _node, "its name in the inventory"),
        Column("site", "SITE", 8, 16, 10, _site, "where it stands"),
        Column("seen", "SEEN", 5, 5, 11, _seen, "how long ago it answered", right=True),
        Column("last", "LAST", 6, 6, 1, _last, "age of the worst camera's last good frame", right=True),
        Column("today", "TODAY", 9, 12, 3, _today, "captured of the slots due on the site's day", right=True),
        Column("quality", "QUAL", 4, 4, 4, _quality, "worst camera's quality now, 100 = perfect", right=True),
        Column("spark", "24H", 12, 24, 7, _spark, "its quality over 24 hours, one sign an hour", tail=True),
        Column("disk", "DISK", 9, 9, 5, _disk, "data disk in use"),
        Column("jobs", "JOBS", 6, 6, 8, _jobs, "jobs due or running; 2x = two are dead", right=True),
        Column("unsent", "UNSENT", 7, 7, 9, _unsent, "unsent to the archive; ! = a target fails", right=True),
        Column("version", "VER", 6, 12, 12, _version, "release of its software"),
        Column("digest", "CFG", 7, 7, 13, _digest, "its configuration's digest; ! = not proved yet"),
        Column("cause", "CAUSE", 26, 400, 2, _cause, "why it is so; 2/3 ok = cameras that are well"),
    ),
    growth=(("cause", 34), ("site", 16), ("spark", 24), ("today", 12), ("cause", 400)),
    name="node",
    eager="cause",
)
