"""The summary of a node: panes where there is room, lines where there is not, and its last good picture."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import islice

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget

from console.columns.table import Cell
from console.fleet.asking import Asked
from console.fleet.client import NodeClient
from console.fleet.frames import FIELDS, FRAMES_PATH, FrameRow, checked, frame_row
from console.fleet.view import worst_camera
from console.screens.node.summary import (
    Block,
    Facts,
    alerts_block,
    capture_blocks,
    dense,
    disk_block,
    events_block,
    probes_block,
    queue_block,
)
from console.screens.node.tab import ABSENT, Question, Tab
from console.widgets.framed import FramePane
from console.widgets.lines import Line, Lines
from console.widgets.pane import Framing, Pane, asking, note, trouble
from node.wire.records import DeepHealth, FrameRecord, Page
from node.wire.status import NodeStatus
from node.wire.work_records import QueueRecord

WIDE_FROM, HIGH_FROM = 100, 28
EVERY_S = 10.0
EVENTS = 30
MOST_CAMERAS = 16
FRAME_CELLS = 4
"""A pane's border and padding, both sides."""


class SummaryTab(Tab):
    """Everything at a glance."""

    NAME = "summary"

    def body(self) -> ComposeResult:
        now = self.desk.model.clock.monotonic
        with VerticalScroll(id="panes", can_focus=False):
            with Horizontal(id="upper"):
                yield Vertical(*(Pane(id=f"camera-{number}") for number in range(MOST_CAMERAS)), id="cameras")
                yield Vertical(Pane(id="queue"), Pane(id="disk"), id="stores")
            yield from (Pane(id=name) for name in ("probes", "alerts", "happened"))
            yield Lines(id="dense")
        yield FramePane(self.host.kept, now, id="last-good", drawn=self.desk.pictures)

    def again(self) -> None:
        self.queue, self.health = Asked[QueueRecord](EVERY_S), Asked[DeepHealth](EVERY_S)
        self.good = Asked[tuple[FrameRow, ...]](EVERY_S)

    def questions(self) -> Iterable[Question]:
        yield self.queue, lambda client: client.fetch("/v1/queue", QueueRecord)
        yield self.health, lambda client: client.fetch("/health/deep", DeepHealth)
        if self.roomy:
            yield self.good, partial(last_good, self.node)

    def ask_again(self) -> None:
        super().ask_again()
        self.host.get("#last-good", FramePane).again()

    def subjects(self) -> list[str]:
        return [self.node]

    def facts(self) -> Facts | None:
        """None where the inventory no longer names it."""
        view, model = self.view, self.desk.model
        if view is None:
            return None
        happened = tuple(islice((one for one in reversed(model.happenings) if one.node == self.node), EVENTS))
        acks = self.desk.book.acks if self.desk.book is not None else {}
        return Facts(
            view=view,
            word=model.word(self.node),
            now_s=self.now_s,
            now_us=model.clock.utc_us(),
            queue=self.queue,
            health=self.health,
            nobody=self.nobody("probes"),
            acked=frozenset(key for key in acks if key.startswith(f"{self.node}/")),
            events=happened[::-1],
        )

    # --- painting -------------------------------------------------------------------------------------------------

    @property
    def roomy(self) -> bool:
        size = self.host.size
        return size.width >= WIDE_FROM and size.height >= HIGH_FROM

    def paint(self) -> None:
        facts, roomy = self.facts(), self.roomy
        status = facts.view.status if facts is not None else None
        panes = roomy and status is not None
        for name in ("#upper", "#probes", "#alerts", "#happened"):
            self.host.get(name, Widget).display = panes
        self.host.get("#dense", Widget).display = not panes
        self.host.get("#last-good", Widget).display = panes
        if facts is None or status is None:
            self._dense([Line((Cell(self._why_nothing(facts), "dim"),))])
        elif roomy:
            self._wide(facts, status)
        else:
            self._dense(dense(facts, status, self.framing(self.host.size.width - 2)))

    def _why_nothing(self, facts: Facts | None) -> str:
        if facts is None:
            return ABSENT
        if facts.view.error is None:
            return "asking" + (self.host.manner().cut)
        return f"nothing is known of it: {facts.view.error}; {facts.view.error.hint}; {self.AGAIN}"

    def _dense(self, lines: list[Line]) -> None:
        where = self.host.get("#dense", Lines)
        where.styles.height = max(1, len(lines))
        where.show([Line((Cell(" "), *line.left), line.right) for line in lines])

    def _wide(self, facts: Facts, status: NodeStatus) -> None:
        half, whole = self._width("#cameras"), self._width("#probes")
        cameras = capture_blocks(facts, status, half)[:MOST_CAMERAS]
        for number in range(MOST_CAMERAS):
            self.host.get(f"#camera-{number}", Widget).display = number < len(cameras)
        for number, block in enumerate(cameras):
            self._tell(f"#camera-{number}", block)
        self._tell("#queue", queue_block(facts, status, half))
        self._tell("#disk", disk_block(facts, status, half))
        self._tell("#probes", probes_block(facts, whole))
        self._tell("#alerts", alerts_block(facts, status, whole))
        self._tell("#happened", events_block(facts, whole))
        self._picture(status)

    def _width(self, where: str) -> Framing:
        return self.framing(max(20, self.host.get(where, Widget).size.width - FRAME_CELLS))

    def _tell(self, where: str, block: Block) -> None:
        self.host.get(where, Pane).tell(block.title, block.lines, ascii_only=self.desk.ascii)

    def _picture(self, status: NodeStatus) -> None:
        """Of the camera that most wants looking at."""
        pane, framing = self.host.get("#last-good", FramePane), self.framing(30)
        worst = worst_camera(status)
        row = next((one for one in self.good.value or () if worst is not None and one.camera == worst.name), None)
        if row is not None:
            pane.show(f"last good frame, {row.camera}", row, self.host.client(), framing)
            return
        pane.say("last good frame", self._no_picture(framing), ascii_only=self.desk.ascii)

    def _no_picture(self, framing: Framing) -> list[Line]:
        nobody = self.nobody("pictures")
        if nobody:
            return note(nobody, framing)
        if self.good.error is not None:
            return trouble(self.good.error, framing)
        return asking(framing) if self.good.value is None else note("no good frame yet", framing)


async def last_good(node: str, client: NodeClient) -> tuple[FrameRow, ...]:
    """Of each camera.  Raises as `fetch` does."""
    page = await client.fetch(f"{FRAMES_PATH}/latest", Page[FrameRecord], {"good": "true", "fields": FIELDS})
    return tuple(frame_row(node, checked(frame)) for frame in page.items[:MOST_CAMERAS])
