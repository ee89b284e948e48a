"""The columns of a list of jobs."""

from __future__ import annotations

from console.columns.table import Cell, Column, Manner, Table, aged, said
from console.fleet.job_rows import JOBS, JobLine
from console.fleet.text import ago, clean
from console.fleet.times import Times

BAR_CELLS = 4


def _dated(row: JobLine, text: str, style: str = "plain") -> Cell:
    """As the node said it, or, where it may have changed since, with a question mark and dim."""
    return Cell(f"{text}?", "dim") if row.old and text else Cell(text, style)


def _state(row: JobLine, manner: Manner) -> Cell:
    sign = row.look.ascii if manner.ascii else row.look.glyph
    return _dated(row, f"{sign} {row.look.word}", row.look.style)


def _job(row: JobLine, _manner: Manner) -> Cell:
    return said(row.short, "dim" if row.old else "plain")


def _node(row: JobLine, _manner: Manner) -> Cell:
    return Cell(row.node, "dim" if row.old else "name")


def _kind(row: JobLine, _manner: Manner) -> Cell:
    return said(row.job.kind, "dim" if row.old else "plain")


def _tries(row: JobLine, _manner: Manner) -> Cell:
    return _dated(row, str(row.job.attempt))


def _age(row: JobLine, manner: Manner) -> Cell:
    return aged(row.age_s, manner)


def _next(row: JobLine, manner: Manner) -> Cell:
    due_s = row.due_s
    if due_s is None:
        return Cell(manner.unknown, "dim")
    if due_s <= 0:
        return _dated(row, "now")
    return _dated(row, f"in {ago(due_s)}" if manner.times is Times.AGO else manner.time(row.job.due, row.zone))


def _progress(row: JobLine, manner: Manner) -> Cell:
    """Only of one that runs: what an attempt got done is lost with it."""
    if row.job.state != "leased":
        return Cell(manner.unknown, "dim")
    percent = 100 * row.job.progress
    return _dated(row, f"{manner.bar(percent, BAR_CELLS)} {int(percent):3d}%", "spark")


def _site(row: JobLine, _manner: Manner) -> Cell:
    return said(row.site, "dim" if row.old else "plain")


def _key(row: JobLine, _manner: Manner) -> Cell:
    return said(row.job.key, "dim" if row.old else "plain")


def _said(row: JobLine, _manner: Manner) -> Cell:
    ending = "to be cancelled; " if row.job.cancel_asked and row.job.state == "leased" else ""
    listed = f"{ago(row.listed_s)} ago: " if row.old and row.listed_s is not None else ""
    return _dated(row, clean(listed + ending + row.said))


JOB_TABLE: Table[JobLine] = Table(
    kind=JOBS,
    columns=(
        Column("state", "STATE", 6, 12, 0, _state, "the job's state, dead first", snug=True),
        Column("job", "JOB", 8, 8, 0, _job, "the end of its id; :job finds it by that"),
        Column("node", "NODE", 8, 28, 0, _node, "the node that has it"),
        Column("site", "SITE", 12, 16, 9, _site, "where that stands"),
        Column("kind", "KIND", 6, 9, 2, _kind, "what it does", snug=True),
        Column("try", "TRY", 3, 3, 3, _tries, "attempts so far", right=True),
        Column("age", "AGE", 4, 4, 6, _age, "since it was made", right=True),
        Column("next", "NEXT", 5, 12, 5, _next, "when it may begin", right=True, snug=True),
        Column("progress", "PROGRESS", 8, 10, 7, _progress, "how far it is, of one that runs", snug=True),
        Column("key", "ABOUT", 20, 40, 8, _key, "what it is about"),
        Column("said", "LAST ERROR", 24, 400, 1, _said, "why its last attempt failed, or what it does"),
    ),
    growth=(
        ("said", 30),
        ("site", 16),
        ("key", 24),
        ("said", 60),
        ("key", 40),
        ("said", 400),
    ),
    name="node",
)
