"""Where a model comes from: a live fleet, or a recording played back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from console.fleet.view import FleetModel

if TYPE_CHECKING:  # whoever only looks at a model needs no HTTP
    from console.fleet.client import NodeClient


class Source(Protocol):
    """What a screen may ask of it."""

    model: FleetModel

    async def run(self) -> None:
        """Until cancelled."""

    def attend(self, names: Iterable[str]) -> None:
        """The nodes on the screen: their events are streamed."""

    def client(self, name: str) -> NodeClient | None:
        """Who asks that node; None = there is nobody to ask."""

    def ask_now(self, name: str) -> None:
        """Polls that node at once, however long it has been silent."""
