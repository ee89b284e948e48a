"""The jobs of all nodes that wait, run or have failed for good."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from textual.worker import Worker

from console.columns.jobs import JOB_TABLE
from console.columns.table import Cell
from console.fleet.asking import Asked
from console.fleet.desk import Desk
from console.fleet.job_rows import JOB_LOOKS, JobLine, job_line
from console.fleet.job_search import LEAST_LETTERS, Found, ending, search
from console.fleet.jobs import MOST_KEPT, PATH, STATES, JobRow
from console.fleet.text import clean
from console.screens.base import Handler, View
from console.screens.chooser import Choice, Chooser
from console.screens.gathered import GatheredView
from console.screens.headline import Crumb
from console.screens.inspect import Inspect
from console.screens.node.screen import NodeScreen
from console.widgets.lines import Line
from console.widgets.pane import Framing, note, told
from node.wire.errors import HeliographError
from node.wire.work_records import JobRecord

REST_S = 0.4
"""The cursor stands still for so long before a node is asked about its job."""
AGAIN_S = 5.0
AGAIN = ":reconnect asks again"
SECONDS = slice(11, 19)


class JobsScreen(GatheredView):
    """Dead ones first; under them the attempts of the one that the cursor is on."""

    NAME = "jobs"
    TABLE = JOB_TABLE
    PANEL = "attempts"

    def __init__(self, desk: Desk) -> None:
        self._rows: dict[str, JobRow] = {}
        self._of = -1
        self._counts: Counter[str] = Counter()
        self._rests: tuple[str | None, float] = (None, 0.0)
        self._asked = Asked[JobRecord](AGAIN_S)
        self._work: Worker[None] | None = None
        self._sought = ""
        super().__init__(desk)

    # --- its rows -------------------------------------------------------------------------------------------------

    def read(self, key: str) -> JobLine | None:
        row = self._rows.get(key)
        return None if row is None else job_line(row, self.model, self.desk.jobs)

    def keys(self) -> Collection[str]:
        return self._rows

    def update(self, changed: Iterable[str]) -> None:
        self._take()
        super().update(changed)
        self.desk.source.attend(dict.fromkeys(key.partition("/")[0] for key in self.grid.shown))
        self._show_attempts()
        if self._sought:
            letters, self._sought = self._sought, ""
            self._find(letters)

    def _take(self) -> None:
        """The board's rows."""
        self._fresh = set()
        if self._of == self.desk.jobs.revision:
            return
        before, self._of = self._rows, self.desk.jobs.revision
        self._rows = {row.key: row for row in self.desk.jobs.rows()}
        self._fresh = {key for key, row in self._rows.items() if before.get(key) is not row}
        self._counts = Counter(row.job.state for row in self._rows.values())

    def why_none(self) -> str:
        if not self.desk.live:
            return "a recording has no jobs: there is nobody to ask"
        return "no job waits, runs or has failed for good"

    def crumb(self) -> Crumb:
        return replace(super().crumb(), facts="  ".join(self._facts()))

    def _facts(self) -> Iterator[str]:
        yield from (f"{JOB_LOOKS[state].word} {self._counts[state]}" for state in STATES if self._counts[state])
        more, mute = sum(self.desk.jobs.more.values()), len(self.desk.jobs.trouble)
        if more:
            yield f"+{more} not listed"
        if mute:
            yield "1 node gives none" if mute == 1 else f"{mute} nodes give none"

    # --- the one under the cursor ---------------------------------------------------------------------------------

    def _show_attempts(self) -> None:
        row = self._rows.get(self.listing.cursor or "")
        self._look_at(row)
        if row is None:
            self.tell("", [])
        else:
            self.tell(f"{row.node}/{row.job.id}: attempts", self._attempts())

    def _look_at(self, row: JobRow | None) -> None:
        """The node is asked when the cursor rests, and again now and then, or when its job has moved."""
        now_s, key = self.desk.clock.monotonic(), row.key if row is not None else None
        if key != self._rests[0]:
            self._rests, self._asked, self._work = (key, now_s), Asked[JobRecord](AGAIN_S), None
        elif key in self._fresh:
            self._asked.want()
        if row is not None and self.has_room and now_s - self._rests[1] >= REST_S:
            self._ask_for(row)

    def _ask_for(self, row: JobRow) -> None:
        under_way = self._work is not None and not self._work.is_finished
        if self._asked.due(self.model.clock.monotonic()) and not under_way:
            self._work = self.run_worker(partial(self._ask, row, self._asked), group="attempts", exclusive=True)

    async def _ask(self, row: JobRow, asked: Asked[JobRecord]) -> None:
        client = self.desk.source.client(row.node)
        if client is not None:
            get = client.fetch
            await asked.ask(lambda: get(f"{PATH}/{row.job.id}", JobRecord), self.model.clock.monotonic)
            self._show_attempts()

    def _attempts(self) -> list[Line]:
        framing = Framing(self.manner(), self.size.width - 4, self.model.clock.monotonic(), AGAIN)
        if not self.desk.live:
            return note("a recording has nobody to ask", framing)
        return told(self._asked, attempts, "it has not been tried yet", framing)

    # --- what is done with them -----------------------------------------------------------------------------------

    def known(self, key: str) -> Mapping[str, Any]:
        row = self._rows[key]
        asked = self._asked.value if key == self._rests[0] else None
        return {"node": row.node, **(asked or row.job).model_dump(exclude_none=True)}

    def twin(self, key: str) -> Sequence[str]:
        return ("jobs", key)

    def row_handlers(self) -> Mapping[str, Handler]:
        return {
            "open": lambda _: self._open_node(),
            "inspect": lambda _: self._inspect_job(),
        }

    def _open_node(self) -> None:
        """Its jobs, with the cursor where it is here."""
        row = self._rows.get(self.listing.cursor or "")
        if row is None:
            return
        self.desktop.visit("node", node=row.node)
        screen = self.desktop.view("node")
        if isinstance(screen, NodeScreen):
            screen.show_tab("jobs")
            screen.listing.cursor = row.key

    def _inspect_job(self) -> None:
        row = self._rows.get(self.listing.cursor or "")
        if row is None:
            self.reply("nothing to look into")
            return
        _: Worker[None] = self.run_worker(partial(self._inspect_whole, row), group="inspect", exclusive=True)

    async def _inspect_whole(self, row: JobRow) -> None:
        """With payload, result and attempts; where its node does not answer, what the list has of it."""
        client, why, job = self.desk.source.client(row.node), "", row.job
        try:
            if client is not None:
                job = await client.fetch(f"{PATH}/{row.job.id}", JobRecord)
        except HeliographError as error:
            why = f"{error}\nonly what the list has:\n\n"
        whole = {"node": row.node, **job.model_dump(exclude_none=True)}
        text = why + json.dumps(whole, ensure_ascii=False, indent=2)
        self.app.push_screen(Inspect(row.key, text))

    # --- finding one ----------------------------------------------------------------------------------------------

    def find(self, letters: str) -> None:
        """By the end of its id, as soon as this screen is there."""
        self._sought = letters.rpartition("/")[2].strip() or " "
        self.paint()

    def _find(self, letters: str) -> None:
        """In the list, else on the nodes."""
        if len(letters) < LEAST_LETTERS or not letters.isalnum():
            self.reply(f":job and at least {LEAST_LETTERS} of the last letters of its id")
            return
        self._take()
        rows = ending(self._rows.values(), letters)
        if rows:
            self._pick(rows)
        elif not self.desk.live:
            self.reply(f"no job ends with {letters[:26]}, and a recording has nobody to ask")
        else:
            self.reply(f"asking the nodes for …{letters[:26]}")
            _: Worker[None] = self.run_worker(partial(self._search, letters), group="search", exclusive=True)

    async def _search(self, letters: str) -> None:
        found = await search(self.desk.source, letters)
        if not found.rows:
            self.reply(_missed(found, letters))
            return
        self.desk.jobs.keep(found.rows)
        self._pick(found.rows[:MOST_KEPT])

    def _pick(self, rows: Sequence[JobRow]) -> None:
        if len(rows) == 1:
            self._point_at(rows[0].key)
            return
        choices = [Choice(row.key, f"{row.key}  {row.job.kind}", JOB_LOOKS[row.job.state].word) for row in rows]
        self.choose(Chooser("which job", choices), lambda one: self._point_at(one.id))

    def _point_at(self, key: str) -> None:
        """The cursor goes there; a filter that hides it goes too."""
        self._take()
        self.listing.refresh(self._rows, self._fresh)
        if key not in self.listing.keys:
            self.listing.show_marked(only=False)
            self.listing.filter_by("")
            self.listing.refresh(self._rows)
        if key in self.listing.keys:
            self.listing.cursor = key
            self.grid.show()
            self.grid.move(0)
        self.paint()


def job_handlers(view: View) -> Mapping[str, Handler]:
    """Of every screen."""
    return {"job": lambda ask: _seek(view, ask.words)}


def _seek(view: View, words: str) -> None:
    jobs = view.desktop.view(JobsScreen.NAME)
    view.desktop.visit(JobsScreen.NAME)
    if isinstance(jobs, JobsScreen):
        jobs.find(words)


def _missed(found: Found, letters: str) -> str:
    silent = f", {found.silent} of them gave no answer" if found.silent else ""
    left = f"; {found.left} nodes were not asked" if found.left else ""
    return f"no job ends with {letters[:26]}: {found.asked} nodes asked{silent}{left}"


def attempts(job: JobRecord) -> list[Line]:
    """The latest first."""
    return [
        Line((
            Cell(f"{each.attempt:>3}  ", "dim"),
            Cell(f"{each.started[SECONDS]}Z to {each.ended[SECONDS]}Z  "),
            Cell(clean(" ".join(filter(None, (each.outcome, each.error_code, each.error))))),
        ))
        for each in reversed(job.attempts or ())
    ]  # fmt: skip
