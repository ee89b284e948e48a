"""The jobs of one node, from the board of all jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from console.columns.jobs import JOB_TABLE
from console.fleet.asking import is_older
from console.fleet.job_rows import JobLine, job_line
from console.fleet.jobs import JobRow
from console.screens.node.tab import ListTab
from console.widgets.lines import Line
from console.widgets.pane import Framing, asking, note, trouble
from node.wire.errors import HeliographError

AWAY = frozenset({"node", "site"})


class JobsTab(ListTab):
    """Those that wait, run or have failed for good."""

    NAME = "jobs"
    TABLE = replace(JOB_TABLE, columns=tuple(one for one in JOB_TABLE.columns if one.key not in AWAY), name="job")

    def again(self) -> None:
        super().again()
        self._rows: dict[str, JobRow] = {}
        self._of = -1

    def read(self, key: str) -> JobLine | None:
        row = self._rows.get(key)
        return None if row is None else job_line(row, self.desk.model, self.desk.jobs)

    def keys(self) -> Collection[str]:
        board = self.desk.jobs
        if self._of != board.revision:
            self._of = board.revision
            self._rows = {row.key: row for row in board.rows() if row.node == self.node}
        return self._rows

    def known(self, key: str) -> Mapping[str, Any]:
        row = self._rows[key]
        return {"node": row.node, **row.job.model_dump(exclude_none=True)}

    def twin(self, key: str) -> Sequence[str]:
        return ("jobs", f"job:{self._rows[key].job.id}")

    def troubled(self) -> bool:
        error = self.desk.jobs.trouble.get(self.node)
        return error is not None and not is_older(error)

    def old(self) -> HeliographError | None:
        return self.desk.jobs.trouble.get(self.node)

    def why_empty(self, framing: Framing) -> list[Line]:
        nobody, error = self.nobody("jobs"), self.old()
        if nobody:
            return note(nobody, framing)
        if error is not None:
            return trouble(error, framing)
        return asking(framing) if self._told_of() else note("no job waits, runs or has failed for good", framing)

    def _told_of(self) -> bool:
        """Whether the status counts jobs that are not listed yet."""
        queue = self.view.status.queue if self.view is not None and self.view.status is not None else None
        return queue is not None and bool(queue.due or queue.running or queue.dead)

    def subjects(self) -> list[str]:
        return self.listing.chosen()
