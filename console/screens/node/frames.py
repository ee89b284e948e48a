"""The frames of a node: the list, the picture beside it, and the two that show when a camera went bad."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from console.columns.frames import FRAME_TABLE
from console.fleet.asking import Asked
from console.fleet.frames import FrameRow, Roll, Turn, last_turn
from console.fleet.view import worst_camera
from console.screens.base import Handler
from console.screens.node.tab import ListTab, Question, why
from console.widgets.framed import FramePane, facts
from console.widgets.lines import Line
from console.widgets.pane import Framing, asking, note, trouble
from node.wire.errors import HeliographError

EVERY_S = 5.0
TURN_EVERY_S = 30.0
NEVER_HEARD = "it was never heard; what cameras it has is not known"
NEAR_END = 20
"""So many rows before the end of the list the next page is asked for."""


class FramesTab(ListTab):
    """Newest first."""

    NAME = "frames"
    TABLE = FRAME_TABLE
    AGAIN = "Enter asks again"

    def body(self) -> ComposeResult:
        now = self.desk.model.clock.monotonic
        with Horizontal(id="frames-list"):
            yield Vertical(*self.listed(), id="frames-rows")
            yield FramePane(self.host.kept, now, id="picked", drawn=self.desk.pictures)
        with Horizontal(id="compare"):
            yield FramePane(self.host.kept, now, id="before", drawn=self.desk.pictures)
            yield FramePane(self.host.kept, now, id="after", drawn=self.desk.pictures)

    def again(self) -> None:
        super().again()
        self.roll, self.page = Asked[Roll](EVERY_S), Asked[Roll](float("inf"))
        self._read = Roll(self.node)
        self._close()

    def _close(self) -> None:
        self.comparing, self.large, self.camera = False, False, ""
        self.before: str | None = None
        self.turn = Asked[Turn](TURN_EVERY_S)

    # --- asking ---------------------------------------------------------------------------------------------------

    def questions(self) -> Iterable[Question]:
        if self.comparing:
            yield self.turn, lambda client: last_turn(client, self.node, self.camera, self.before)
            return
        yield self.roll, self._read.newest
        if self.page_wanted:
            yield self.page, self._read.older

    @property
    def page_wanted(self) -> bool:
        return self._read.more and self.listing.row >= len(self.listing.keys) - NEAR_END

    def ask_again(self) -> None:
        super().ask_again()
        for name in ("#picked", "#before", "#after"):
            self.host.get(name, FramePane).again()

    # --- the list -------------------------------------------------------------------------------------------------

    def read(self, key: str) -> FrameRow | None:
        return self._read.rows.get(key)

    def keys(self) -> Collection[str]:
        return self._read.rows

    def known(self, key: str) -> Mapping[str, Any]:
        row = self._read.rows[key]
        record = row.frame if row.frame is not None else row.gap
        return {"node": self.node, **(record.model_dump(exclude_none=True) if record is not None else {})}

    def twin(self, key: str) -> Sequence[str]:
        return ("frames", "get", f"{self.node}/{key}")

    def why_empty(self, framing: Framing) -> list[Line]:
        return why(self.roll, self.nobody("frames"), "no frame and no gap yet", framing)

    def old(self) -> HeliographError | None:
        return self.roll.error or self.page.error or self._read.gaps_trouble

    def row(self) -> FrameRow | None:
        found: FrameRow | None = self.listing.current()
        return found

    def subjects(self) -> list[str]:
        """The cameras of the rows meant; without rows, the node."""
        rows = (self.read(key) for key in self.listing.chosen())
        cameras = dict.fromkeys(f"{self.node}/{row.camera}" for row in rows if row is not None)
        return list(cameras) or [self.node]

    def paint(self) -> None:
        if self.page.value is not None and self.page_wanted:
            self.page.want()
        super().paint()
        self.host.get("#frames-rows", Widget).display = not self.large
        self.host.get("#frames-list", Widget).display = not self.comparing
        self.host.get("#compare", Widget).display = self.comparing
        if self.comparing:
            self._paint_pair()
        else:
            self._paint_picked()

    def _paint_picked(self) -> None:
        pane, row = self.host.get("#picked", FramePane), self.row()
        if row is None:
            pane.say("picture", [], ascii_only=self.desk.ascii)
            return
        pane.show(row.camera or "picture", row, self.host.client(), self.framing(30))

    # --- its actions ----------------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "older": lambda _: self._step(-1),
            "newer": lambda _: self._step(1),
            "compare": lambda _: self._compare(),
        }

    def _step(self, later: int) -> None:
        """To the next picture in time, whatever the order of the list; in a comparison, to another turn."""
        if self.comparing:
            self._other_turn(later)
            return
        shown = [row for key in self.listing.keys if (row := self.read(key)) is not None and row.frame is not None]
        shown.sort(key=lambda row: row.at_us)
        here = self.row()
        at_us = here.at_us if here is not None else 0
        next_one = [row for row in shown if (row.at_us - at_us) * later > 0]
        if not next_one:
            self.host.reply(f"no {'newer' if later > 0 else 'older'} frame is shown")
            return
        self.listing.cursor = (next_one[0] if later > 0 else next_one[-1]).key
        self.host.follow()

    def _compare(self) -> None:
        """Of the camera under the cursor; where nobody has moved it, of the one that most wants looking at."""
        if self.comparing:
            self._close()
        else:
            self.comparing, self.camera, self.before = True, self._camera(), None
        self.host.paint()

    def _camera(self) -> str:
        row, status = self.row(), self.view.status if self.view is not None else None
        worst = worst_camera(status) if status is not None else None
        moved = self.listing.row > 0
        return row.camera if row is not None and (moved or worst is None) else worst.name if worst is not None else ""

    def _other_turn(self, later: int) -> None:
        turn = self.turn.value
        if later > 0 or turn is None or turn.good is None:
            self.before = None
        else:
            self.before = turn.good.at
        self.turn = Asked[Turn](TURN_EVERY_S)
        self.host.paint()

    def closed(self) -> bool:
        """The comparison, or the one large picture."""
        if not self.comparing and not self.large:
            return False
        self._close()
        return True

    def opened(self) -> bool:
        """The picture alone, as large as there is room for."""
        row = self.row()
        if self.comparing or row is None or row.frame is None:
            return False
        self.large = not self.large
        return True

    # --- the pair -------------------------------------------------------------------------------------------------

    def _paint_pair(self) -> None:
        before, after = (self.host.get(name, FramePane) for name in ("#before", "#after"))
        framing, turn = before.fit(self.framing(36)), self.turn.value
        if not self.camera and (camera := self._camera()):
            self.camera, self.turn = camera, Asked[Turn](TURN_EVERY_S)
        nobody = self.nobody("frames") or ("" if self.camera else self._no_camera())
        if turn is None or nobody:
            error = self.turn.error
            said = note(nobody, framing) if nobody else trouble(error, framing) if error else asking(framing)
            before.say(", ".join(filter(None, ("last good", self.camera))), said, ascii_only=self.desk.ascii)
            after.say("first bad after it", [], ascii_only=self.desk.ascii)
            return
        # both pictures begin on the same line, whatever is said above them
        lines = max((len(facts(row, framing)) for row in (turn.good, turn.bad) if row is not None), default=1)
        self._side(before, f"last good, {turn.camera}", turn.good, "no good frame is kept", lines)
        self._side(after, _title(turn), turn.bad, "no bad frame since, and no gap by a fault", lines)

    def _no_camera(self) -> str:
        known = self.view is not None and self.view.status is not None
        return "it has no camera" if known else NEVER_HEARD

    def _side(self, pane: FramePane, title: str, row: FrameRow | None, absent: str, lines: int) -> None:
        framing = pane.fit(self.framing(36))
        if row is None:
            pane.say(title, note(absent, framing), ascii_only=self.desk.ascii)
        else:
            pane.show(title, row, self.host.client(), framing, least_lines=lines)


def _title(turn: Turn) -> str:
    """Without a good one before it, and where there are too many, it need not be the first."""
    gap = turn.bad is not None and turn.bad.gap is not None
    what = "first gap after it" if gap else "first bad after it"
    if turn.bad is not None and turn.good is None:
        what = "the newest bad one"
    elif turn.cut:
        what = "a gap after it" if gap else "a bad one after it"
    return f"{what}, over by now" if turn.over else what
