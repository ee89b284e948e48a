"""One thing that a node is asked for now and then: its last answer, how old that is, and what went wrong since."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Generic, TypeVar

from node.wire.errors import HeliographError, NodeAnswerWrong, NodeRefused, OrderRefused

T = TypeVar("T")
AFTER_TROUBLE_S = 15.0
STALE_AFTER = 3
"""So many times its pace without an answer, and what was said is old."""


NO_SUCH_ROUTE = "API-003"
"""What a node says of a path that its release does not have."""


class Stage(StrEnum):
    """How an answer stands (closed)."""

    ASKING = "asking"
    HERE = "here"
    STALE = "stale"
    REFUSED = "refused"
    FAILED = "failed"


class Asked(Generic[T]):
    """Holds what was answered.  A failure leaves the answer before it in place."""

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self.value: T | None = None
        self.error: HeliographError | None = None
        self.heard_s = self._asked_s = float("-inf")
        self._asking = False

    def due(self, now_s: float) -> bool:
        pace_s = AFTER_TROUBLE_S if self.error is not None else self.every_s
        return not self._asking and now_s - self._asked_s >= pace_s

    def want(self) -> None:
        """It is to be asked for as soon as can be."""
        self._asked_s = float("-inf")

    async def ask(self, get: Callable[[], Awaitable[T]], now: Callable[[], float]) -> None:
        """Never raises what a node may do."""
        self._asking, self._asked_s = True, now()
        try:
            self.value = await get()
            self.error, self.heard_s = None, now()
        except HeliographError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - one answer's oddity must not end the screen; it is shown by its type
            self.error = NodeAnswerWrong(f"unexpected {type(error).__name__}")
        finally:
            self._asking = False

    def age_s(self, now_s: float) -> float:
        return now_s - self.heard_s

    def stage(self, now_s: float) -> Stage:
        if self.value is not None:
            old = self.error is not None or self.age_s(now_s) > STALE_AFTER * self.every_s
            return Stage.STALE if old else Stage.HERE
        if self.error is None:
            return Stage.ASKING
        return trouble_stage(self.error)


def is_older(error: HeliographError | None) -> bool:
    """Whether the node's release does not have it: asking again helps nothing, and nothing is broken."""
    return isinstance(error, OrderRefused) and error.theirs == NO_SUCH_ROUTE


def trouble_stage(error: HeliographError) -> Stage:
    """Whether it was said no, or nothing came of it."""
    return Stage.REFUSED if isinstance(error, NodeRefused | OrderRefused) else Stage.FAILED
