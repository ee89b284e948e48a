"""The running configuration of a node, to be read: every field in force, and where its value comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from textual.app import ComposeResult

from console.columns.document import SETTING_TABLE
from console.columns.table import Cell
from console.fleet.asking import Asked
from console.fleet.document_rows import Setting, settings
from console.fleet.text import ago, clean
from console.fleet.times import Times, shown
from console.screens.node.tab import ListTab, Question, why
from console.widgets.lines import Line, Lines
from console.widgets.pane import Framing
from node.wire.errors import HeliographError
from node.wire.records import ConfigRecord

EVERY_S = 15.0
DIGEST_CHARS = 12


class ConfigTab(ListTab):
    """As YAML; filter by path."""

    NAME = "config"
    TABLE = SETTING_TABLE

    def body(self) -> ComposeResult:
        yield Lines(id="version")
        yield from self.listed()

    def again(self) -> None:
        super().again()
        self.record = Asked[ConfigRecord](EVERY_S)
        self._rows: dict[str, Setting] = {}
        self._of: ConfigRecord | None = None

    def questions(self) -> Iterable[Question]:
        yield self.record, lambda client: client.fetch("/v1/config", ConfigRecord)

    def read(self, key: str) -> Setting | None:
        return self._rows.get(key)

    def keys(self) -> Collection[str]:
        """Made anew only for another version: a document is long."""
        record = self.record.value
        if record is not None and record != self._of:
            self._of, self._rows = record, settings(record)
        return self._rows

    def known(self, key: str) -> Mapping[str, Any]:
        row = self._rows[key]
        return {"node": self.node, "path": row.path, "line": row.text.strip(), "origin": row.origin}

    def why_empty(self, framing: Framing) -> list[Line]:
        return why(self.record, self.nobody("configuration"), "an empty document, all by default", framing)

    def old(self) -> HeliographError | None:
        return self.record.error

    def paint(self) -> None:
        super().paint()
        self.host.get("#version", Lines).show([self._version()])

    def _version(self) -> Line:
        record = self.record.value
        if record is None:
            return Line()
        probation = ""
        if record.state == "probation":
            until = shown(record.probation_until, Times.UTC, self.desk.model.clock.utc_us())
            probation = f", on probation until {until}" if until else ", on probation"
        said = f" version {record.version}   digest {clean(record.digest[:DIGEST_CHARS])}   {record.state}{probation}"
        unknown = f"   {len(record.unknown_fields)} unknown here" if record.unknown_fields else ""
        old = f"   {ago(self.record.age_s(self.now_s))} old?" if self.record.error else ""
        look = "plain" if record.state == "active" else "warn"
        return Line((Cell(said, look), Cell(unknown, "warn"), Cell(old, "dim")))
