"""What the tabs of the node screen have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from textual.app import ComposeResult
from textual.geometry import Size
from textual.widget import Widget

from console.columns.table import Cell, Manner, Table
from console.fleet.asking import Asked, is_older
from console.fleet.client import NodeClient
from console.fleet.desk import Desk
from console.fleet.listing import Listing
from console.fleet.view import NodeView
from console.screens.base import Handler
from console.widgets.grid import RowGrid
from console.widgets.lines import Line
from console.widgets.pane import Framing, Pane, note, told, trouble
from console.widgets.picture import Kept
from node.wire.errors import HeliographError

RECORDING = "a recording has no {what}: there is nobody to ask"
W = TypeVar("W", bound=Widget)
ABSENT = "the inventory no longer names this node"
Question = tuple[Asked[Any], Callable[[NodeClient], Awaitable[Any]]]
"""What is asked for, and how."""


class Host(Protocol):
    """What a tab sees of the screen that it is on."""

    desk: Desk
    node: str
    kept: Kept

    @property
    def size(self) -> Size:
        """In cells."""

    def get(self, where: str, kind: type[W]) -> W:
        """A widget of it."""

    def manner(self) -> Manner:
        """How things are written."""

    def client(self) -> NodeClient | None:
        """Who asks the node; None = there is nobody to ask."""

    def paint(self) -> None:
        """What is known now, in place."""

    def follow(self) -> None:
        """The cursor was put on another row."""

    def reply(self, text: str) -> None:
        """Says it in the second line."""


class Tab:
    """One of them.  It is told when another node is looked at, and paints what is known now."""

    NAME: ClassVar[str]
    AGAIN: ClassVar[str] = ":reconnect asks again"
    """Which key does so where it failed."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.again()

    def body(self) -> ComposeResult:
        raise NotImplementedError

    def again(self) -> None:
        """Another node: nothing is known yet."""

    def questions(self) -> Iterable[Question]:
        """What it wants to have been asked for lately."""
        return ()

    def troubled(self) -> bool:
        """Whether something that it asked for has failed, and may not the next time."""
        return any(asked.error is not None and not is_older(asked.error) for asked, _ in self.questions())

    def ask_again(self) -> None:
        for asked, _ in self.questions():
            asked.want()

    def paint(self) -> None:
        raise NotImplementedError

    def handlers(self) -> Mapping[str, Handler]:
        """Of its own actions, by the ids of the registry."""
        return {}

    def subjects(self) -> list[str]:
        """What an action acts on: nodes, `node/camera` or `node/JOB`."""
        return []

    def opened(self) -> bool:
        """Whether Enter has more to show here than what `v` shows."""
        return False

    def pause(self) -> None:
        self.host.reply("only events and recordings can be held")

    def closed(self) -> bool:
        """Whether Esc had something to close."""
        return False

    # --- what it has ----------------------------------------------------------------------------------------------

    @property
    def desk(self) -> Desk:
        return self.host.desk

    @property
    def node(self) -> str:
        return self.host.node

    @property
    def view(self) -> NodeView | None:
        return self.desk.model.views.get(self.node)

    @property
    def now_s(self) -> float:
        return self.desk.model.clock.monotonic()

    def framing(self, width: int) -> Framing:
        return Framing(self.host.manner(), width, self.now_s, self.AGAIN)

    def nobody(self, what: str) -> str:
        """Why it cannot be asked for; empty = it can."""
        if self.view is None:
            return ABSENT
        return "" if self.host.client() is not None else RECORDING.format(what=what)


class ListTab(Tab):
    """A tab with a list of rows."""

    AGAIN = "Enter asks again"
    TABLE: ClassVar[Table[Any]]

    def __init__(self, host: Host) -> None:
        self.listing = Listing[Any](self.TABLE.kind, self.read)
        super().__init__(host)

    @property
    def grid_id(self) -> str:
        return f"{self.NAME}-grid"

    def grid(self) -> RowGrid:
        return RowGrid(self.listing, self.TABLE, self.host.manner, self.empty, id=self.grid_id)

    def body(self) -> ComposeResult:
        yield from self.listed()

    def listed(self) -> ComposeResult:
        """Its rows, and what is the matter with them."""
        yield Pane(id=f"{self.NAME}-why")
        yield self.grid()

    def again(self) -> None:
        """Filter and order stay: what was looked for on one node is looked for on the next."""
        self.listing.mark_none()
        self.listing.cursor = None

    def read(self, key: str) -> Any:  # noqa: ANN401 - the rows of each list have their own type
        raise NotImplementedError

    def keys(self) -> Collection[str]:
        raise NotImplementedError

    def known(self, key: str) -> Mapping[str, Any]:
        """All that is known of that row, for a program."""
        raise NotImplementedError

    def twin(self, key: str) -> Sequence[str]:  # noqa: ARG002 - for lists whose rows have commands of their own
        """The words after `heliograph` that show it without a screen."""
        return (self.NAME, self.node)

    def why_empty(self, framing: Framing) -> list[Line]:
        """Of a list without rows: what is the matter."""
        raise NotImplementedError

    def old(self) -> HeliographError | None:
        """Why the rows are no longer renewed."""
        return None

    def empty(self) -> Cell:
        return Cell("nothing passes this filter; / and Enter on an empty line clears it", "warn")

    def paint(self) -> None:
        """What is the matter stands where the rows would; over them where they are only old."""
        pane, grid = self.host.get(f"#{self.NAME}-why", Pane), self.host.get(f"#{self.grid_id}", RowGrid)
        framing, error = self.framing((pane.container_size.width or self.host.size.width) - 4), self.old()
        rows = bool(self.keys())
        lines = self.why_empty(framing) if not rows else [] if error is None else trouble(error, framing)
        pane.display, grid.display = bool(lines), rows
        pane.tell("old" if rows else self.NAME, lines, ascii_only=self.desk.ascii)


def why(asked: Asked[Any], nobody: str, empty: str, framing: Framing) -> list[Line]:
    """One of the looks of a list without rows."""
    return note(nobody, framing) if nobody else told(asked, lambda _: [], empty, framing)
