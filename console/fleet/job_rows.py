"""The list of jobs: a row, what can be asked of it, and how it is ordered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from console.fleet.acts import SHORT
from console.fleet.filter import Field, Fields
from console.fleet.jobs import JobBoard, JobRow
from console.fleet.listing import Kind
from console.fleet.text import clean
from console.fleet.times import to_us
from console.fleet.view import FleetModel
from node.wire.times import US
from node.wire.work_records import JobRecord


@dataclass(frozen=True, slots=True)
class JobLook:
    """How a job's state is called and shown; `style` is one of the palette's."""

    word: str
    glyph: str
    ascii: str
    style: str


JOB_LOOKS: dict[str, JobLook] = {  # worst first: the order of the rows
    "dead": JobLook("dead", "✖", "X", "crit"),
    "retry": JobLook("retry", "▲", "!", "warn"),
    "leased": JobLook("running", "▶", ">", "ok"),
    "queued": JobLook("queued", "◇", "-", "idle"),
    "cancelled": JobLook("cancelled", "⊘", "/", "dim"),
    "done": JobLook("done", "●", "+", "ok"),
}
JOB_RANK = {state: rank for rank, state in enumerate(JOB_LOOKS)}


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job of one node as of now, UTC in microseconds.

    `old`: it may have changed since it was listed, `listed_s` ago.  `zone` is its site's (IANA), where known.
    """

    node: str
    job: JobRecord
    site: str
    old: bool
    now_us: int
    zone: str = ""
    listed_s: float | None = None

    @property
    def short(self) -> str:
        return self.job.id[-SHORT:]

    @property
    def look(self) -> JobLook:
        return JOB_LOOKS[self.job.state]

    @property
    def said(self) -> str:
        """Why its last attempt failed, else what it does."""
        job = self.job
        failed = f"{job.error_code} {job.error}".strip()
        return (job.said or failed) if job.state == "leased" else (failed or job.said)

    @property
    def age_s(self) -> float | None:
        """Since it was made."""
        return _since_s(self.job.created, self.now_us)

    @property
    def due_s(self) -> float | None:
        """Until it may begin; below 0 where it could have.  None where it will not begin by itself."""
        since_s = _since_s(self.job.due, self.now_us) if self.job.state in {"queued", "retry"} else None
        return None if since_s is None else -since_s


def job_line(row: JobRow, model: FleetModel, board: JobBoard) -> JobLine | None:
    """None where the inventory no longer names its node."""
    view = model.views.get(row.node)
    if view is None:
        return None
    site, zone = (clean(view.status.site), view.status.timezone) if view.status is not None else ("", "")
    old, listed_s = board.is_old(row), board.age_s(row.node)
    return JobLine(row.node, row.job, site, old, model.clock.utc_us(), zone, listed_s)


def _since_s(at: str, now_us: int) -> float | None:
    then_us = to_us(at)
    return None if then_us is None else (now_us - then_us) / US


def _newest(row: JobLine) -> int | None:
    """An age to sort by that does not change by itself."""
    then_us = to_us(row.job.created)
    return None if then_us is None else -then_us


def _texts(row: JobLine) -> Iterator[str]:
    yield row.node
    yield row.site
    yield row.job.id
    yield row.job.kind
    yield row.job.key
    yield row.said


JOBS: Kind[JobLine] = Kind(
    name="jobs",
    fields=Fields(
        {
            "state": Field(
                "state in a word: state:dead,retry",
                text=lambda row: row.look.word,
                words=tuple(look.word for look in JOB_LOOKS.values()),
            ),
            "kind": Field("what it does: kind:render", text=lambda row: row.job.kind),
            "node": Field("name of its node", text=lambda row: row.node),
            "site": Field("name of the node's site", text=lambda row: row.site),
            "job": Field("part of its id", text=lambda row: row.job.id),
            "key": Field("what it is about", text=lambda row: row.job.key),
            "error": Field("why the last attempt failed", text=lambda row: f"{row.job.error_code} {row.job.error}"),
            "try": Field("attempts so far: try>2", number=lambda row: row.job.attempt),
            "age": Field("since it was made: age>2h", number=lambda row: row.age_s, timed=True),
        },
        _texts,
    ),
    sorts={
        "state": lambda row: JOB_RANK[row.job.state],
        "job": lambda row: row.job.id,
        "node": lambda row: row.node,
        "kind": lambda row: row.job.kind,
        "key": lambda row: row.job.key,
        "try": lambda row: row.job.attempt,
        "age": _newest,
        "next": lambda row: row.job.due if row.due_s is not None else None,
        "progress": lambda row: row.job.progress,
        "said": lambda row: row.said,
    },
    order=("state", "age"),
)
