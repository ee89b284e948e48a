"""What is sent to the terminal when a part of the screen has changed: that part, and nothing before it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from textual._compositor import ChopsUpdate
from textual.strip import Strip


class Spans(ChopsUpdate):
    """Textual's own sends a line from its widget's left edge up to what has changed."""

    def render_segments(self, console: Console) -> str:
        return "".join(
            f"\x1b[{y + 1};{x + 1}H{strip.render(console)}" for span in self.spans for x, y, strip in self._parts(*span)
        )

    def _parts(self, y: int, first: int, end: int) -> Iterator[tuple[int, int, Strip]]:
        """Of each widget that lies in those columns of line `y`."""
        for chop_end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
            begins, ends = max(x, first), min(chop_end, end)
            if strip is not None and begins < ends:
                yield begins, y, strip.crop(begins - x, ends - x)


def narrowed(renderable: RenderableType | None) -> RenderableType | None:
    """The same update, without what has not changed."""
    if type(renderable) is ChopsUpdate:
        return Spans(renderable.chops, renderable.spans, renderable.chop_ends)
    return renderable
