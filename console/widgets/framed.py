"""One frame with its picture: fetched when it is looked at, decoded beside the loop, its figures below."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.worker import Worker

from console.columns.frames import bytes_text, shutter, verdict_cell
from console.columns.table import Cell
from console.fleet.asking import Asked, Stage
from console.fleet.client import NodeClient
from console.fleet.frames import FrameRow, exposure_s, gain
from console.fleet.times import Times, shown
from console.widgets.lines import Line, Lines
from console.widgets.paint import titled
from console.widgets.pane import Framing, after, asking, note, trouble
from console.widgets.picture import Kept, Picture, Raster, decode

SETTLE_S = 0.12
"""While the cursor runs through a list, pictures that it only passes are not fetched."""
LEAST_CELLS = (8, 3)


class FramePane(Vertical):
    """Shows a frame, a gap, or words."""

    def __init__(
        self,
        kept: Kept,
        now: Callable[[], float],
        *,
        id: str,  # noqa: A002 - Textual's own name
        drawn: bool = True,
    ) -> None:
        super().__init__(id=id)
        self._kept, self._now, self._drawn = kept, now, drawn
        self._asked = Asked[Raster](float("inf"))
        self._wanted: tuple[str, Size] | None = None

    def compose(self) -> ComposeResult:
        yield Lines(id=f"{self.id}-facts")
        yield Picture(id=f"{self.id}-picture")

    @property
    def picture(self) -> Picture:
        return self.query_one(Picture)

    def again(self) -> None:
        if self._asked.error is not None:
            self._asked.want()

    @property
    def failed(self) -> bool:
        return self._asked.error is not None

    def say(self, title: str, lines: Sequence[Line], *, ascii_only: bool) -> None:
        """Words, and no frame."""
        self._title(title, ascii_only=ascii_only)
        self._wanted = None
        self.picture.say(lines)
        self._tell([])

    def fit(self, framing: Framing) -> Framing:
        """For words as wide as it is itself."""
        return replace(framing, width=max(LEAST_CELLS[0], self.size.width or framing.width))

    def show(
        self, title: str, row: FrameRow, client: NodeClient | None, framing: Framing, *, least_lines: int = 1
    ) -> None:
        """That frame; its picture follows, below at least so many lines."""
        self._title(title, ascii_only=framing.manner.ascii)
        framing = self.fit(framing)
        self._tell(facts(row, framing), least_lines)
        picture = self.picture
        if row.gap is not None:
            picture.say(note(f"no picture: {row.why}", framing))
        elif not self._drawn:
            picture.say(note("the settings say pictures = none", framing))
        elif client is None:
            picture.say(note("a recording has no pictures: there is nobody to ask", framing))
        else:
            self._aim(row, client, framing)

    def _tell(self, lines: list[Line], least_lines: int = 1) -> None:
        where, height = self.query_one(Lines), max(least_lines, len(lines))
        if where.size.height != height:
            where.styles.height = height
        where.show(lines)

    def _aim(self, row: FrameRow, client: NodeClient, framing: Framing) -> None:
        picture = self.picture
        picture.ascii = framing.manner.ascii
        size = picture.size
        if size.width < LEAST_CELLS[0] or size.height < LEAST_CELLS[1]:
            picture.say(note("no room", framing))
            return
        if self._wanted != (row.key, size):
            self._wanted, self._asked = (row.key, size), Asked[Raster](float("inf"))
        if self._asked.due(framing.now_s):
            load = partial(self._load, row, client, framing)
            _: Worker[None] = self.run_worker(load, group=f"picture-{self.id}", exclusive=True)
        self._draw(self._asked, framing)

    async def _load(self, row: FrameRow, client: NodeClient, framing: Framing) -> None:
        asked, size = self._asked, self.picture.size
        await asked.ask(lambda: self._raster(row, client, (size.width, size.height)), self._now)
        self._draw(asked, framing)

    async def _raster(self, row: FrameRow, client: NodeClient, cells: tuple[int, int]) -> Raster:
        """Raises as `picture` of the client does."""
        key = f"{row.node}/{row.key}"
        data = self._kept.get(key)
        if data is None:
            await asyncio.sleep(SETTLE_S)
            data = await client.picture(row.key)
            self._kept.put(key, data)
        return await asyncio.to_thread(decode, data, cells)

    def _draw(self, asked: Asked[Raster], framing: Framing) -> None:
        """What came of it, where nothing else is wanted by now."""
        if asked is not self._asked or self._wanted is None or not self.query(Picture):
            return  # the last: the screen is being taken down
        if asked.value is not None:
            self.picture.draw(asked.value)
        elif asked.error is not None:
            self.picture.say(trouble(asked.error, framing))
        elif asked.stage(framing.now_s) is Stage.ASKING and not self.picture.shows_picture:
            self.picture.say(asking(framing))

    def _title(self, title: str, *, ascii_only: bool) -> None:
        content = titled(title)
        if self._border_title != content:
            self.border_title = content
        if self.has_class("ascii") != ascii_only:
            self.set_class(ascii_only, "ascii")


def facts(row: FrameRow, framing: Framing) -> list[Line]:
    """When, how good and why; how it was taken."""
    manner = framing.manner
    at, age = shown(row.at, Times.UTC, manner.now_us), shown(row.at, Times.AGO, manner.now_us)
    judged, score = verdict_cell(row, manner), "" if row.score is None else f" {row.score}"
    lines = after(Cell(f"{judged.text}{score}  ", judged.style), f"{at} {age} ago", framing, "name")
    return [*lines, *note(row.why, framing, "warn"), *note(_taken(row), framing)]


def _taken(row: FrameRow) -> str:
    if row.frame is None:
        return ""
    frame, gained = row.frame, gain(row)
    size = f"{frame.width}x{frame.height}" if frame.width and frame.height else ""
    parts = (
        shutter(exposure_s(row)),
        "" if gained is None else f"gain {gained:.1f}",
        size,
        "" if frame.size_bytes is None else bytes_text(frame.size_bytes),
    )
    return "  ".join(part for part in parts if part)
