"""Pictures in a terminal: two pixels in each cell as a half block, or signs of brightness where colours are few."""

from __future__ import annotations

import io
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from console.columns.table import Cell
from console.widgets.lines import Line
from console.widgets.paint import COMPONENTS, strip_of
from node.wire.errors import NodeAnswerWrong

MOST_PIXELS = 4_000_000
"""A small picture has a fifth of a million."""
KEPT_BYTES = 8_000_000
HALF = "▀"
DARK_TO_LIGHT = " .:-=+*#%@"
RICH_COLOURS = frozenset({"truecolor", "256"})
WIDEST, HIGHEST = 320, 240

Pixel = tuple[int, int, int]


class Depth(StrEnum):
    """How a picture is drawn."""

    COLOURS = "colours"
    SIGNS = "signs"


@dataclass(frozen=True, slots=True)
class Raster:
    """Pixels row by row, from the top."""

    width: int
    height: int
    pixels: bytes

    def at(self, x: int, y: int) -> Pixel:
        start = 3 * (y * self.width + x)
        red, green, blue = self.pixels[start : start + 3]
        return red, green, blue


def decode(data: bytes, cells: tuple[int, int]) -> Raster:
    """That JPEG in as many pixels as fit into so many cells, two in each, upright.  Raises NodeAnswerWrong.

    Belongs into a thread: it takes milliseconds, and what a hostile node sends up to a hundred.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # broken tags are not ours to mend
            return _decode(data, cells)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise NodeAnswerWrong(f"its picture is damaged: {str(error)[:80]}") from None


def _decode(data: bytes, cells: tuple[int, int]) -> Raster:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise NodeAnswerWrong(f"its picture has {width} × {height} pixels, a small one was asked for")
        wanted = fitting(width, height, cells)
        image.draft("RGB", wanted)
        small = image.convert("RGB").resize(wanted, Image.Resampling.BOX)
        return Raster(*wanted, small.tobytes())


def fitting(width: int, height: int, cells: tuple[int, int]) -> tuple[int, int]:
    """The pixels of a picture of that shape in so many cells; a cell is twice as high as it is wide."""
    room_x, room_y = max(1, min(WIDEST, cells[0])), max(2, min(HIGHEST, 2 * cells[1]))
    scale = min(room_x / width, room_y / height)
    return max(1, min(room_x, round(width * scale))), max(2, min(room_y, round(height * scale)))


class Kept:
    """Pictures as they came, the last ones used, so many bytes of them."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most = most_bytes
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self.size = 0

    def get(self, key: str) -> bytes | None:
        if key in self._pictures:
            self._pictures.move_to_end(key)
        return self._pictures.get(key)

    def put(self, key: str, data: bytes) -> None:
        self.size += len(data) - len(self._pictures.pop(key, b""))
        self._pictures[key] = data
        while self.size > self._most:
            self.size -= len(self._pictures.popitem(last=False)[1])


class Picture(Widget):
    """Draws a raster in the middle of its area, or says why there is none."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(COMPONENTS)

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._raster: Raster | None = None
        self._said: tuple[Line, ...] = ()
        self._strips: list[Strip] = []
        self._drawn: tuple[int, int, bool] | None = None
        self.ascii = False

    @property
    def depth(self) -> Depth:
        rich = self.app.console.color_system in RICH_COLOURS
        return Depth.COLOURS if rich and not self.ascii and not self.app.no_color else Depth.SIGNS

    @property
    def shows_picture(self) -> bool:
        return self._raster is not None

    def draw(self, raster: Raster) -> None:
        if raster is not self._raster:
            self._raster, self._said, self._drawn = raster, (), None
            self.refresh()

    def say(self, lines: Sequence[Line]) -> None:
        """Words instead of a picture."""
        if self._raster is not None or self._said != tuple(lines):
            self._raster, self._said = None, tuple(lines)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        if self._raster is None:
            lines = self._said
            return strip_of(self, lines[y].left if y < len(lines) else (Cell(""),), width)
        state = (width, height, self.app.current_theme.dark)
        if self._drawn != state:
            self._strips, self._drawn = self._rows(self._raster), state
        return self._strips[y] if y < len(self._strips) else Strip.blank(width, self.rich_style)

    def _rows(self, raster: Raster) -> list[Strip]:
        left = max(0, (self.size.width - raster.width) // 2)
        rows = range(0, raster.height, 2)
        draw = half_blocks if self.depth is Depth.COLOURS else self._signs
        pad = Segment(" " * left, self.rich_style)
        return [Strip([pad, *draw(raster, y)]).adjust_cell_length(self.size.width, self.rich_style) for y in rows]

    def _signs(self, raster: Raster, y: int) -> list[Segment]:
        return [Segment(signs(raster, y, dark=self.app.current_theme.dark), self.rich_style)]


def half_blocks(raster: Raster, y: int) -> list[Segment]:
    """The pixel rows y and y + 1, one above the other in each cell."""
    low = min(y + 1, raster.height - 1)
    return [Segment(HALF, _style(raster.at(x, y), raster.at(x, low))) for x in range(raster.width)]


def signs(raster: Raster, y: int, *, dark: bool) -> str:
    """The same two rows as signs, the fuller the brighter; on light ground, the darker."""
    low = min(y + 1, raster.height - 1)
    scale = DARK_TO_LIGHT if dark else DARK_TO_LIGHT[::-1]
    light = (_luminance(raster.at(x, y)) + _luminance(raster.at(x, low)) for x in range(raster.width))
    return "".join(scale[min(len(scale) - 1, int(both / 2 * len(scale) / 256))] for both in light)


def _luminance(pixel: Pixel) -> float:
    """Of sRGB as it is, ITU-R BT.601."""
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


def _style(top: Pixel, bottom: Pixel) -> Style:
    return Style(color=Color.from_rgb(*top), bgcolor=Color.from_rgb(*bottom))
