"""Capture that an operator holds: whether a camera is held now, and which slots that explains."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_S = 366 * 86_400


@dataclass(frozen=True, slots=True)
class CameraHold:
    """One camera is held from `from_us` on.  `until_us` None = until somebody resumes it.

    `ended_us` is set once it has ended, by itself or by hand.
    """

    id: int
    camera: str
    from_us: int
    until_us: int | None
    reason: str
    who: str
    ended_us: int | None = None

    @property
    def end_us(self) -> int | None:
        """When it ends, or ended; None = nobody knows yet."""
        return self.until_us if self.ended_us is None else self.ended_us

    def lasts(self, now_us: int) -> bool:
        """Whether the camera is held now.  A clock that was set back does not let go of it."""
        return self.ended_us is None and (self.until_us is None or now_us < self.until_us)

    def lapsed(self, now_us: int) -> bool:
        """Whether its time is over, and nobody has said so yet."""
        return self.ended_us is None and not self.lasts(now_us)

    def explains(self, due_us: int) -> bool:
        """Whether a slot due then came due while the camera was held: start included, end not."""
        return self.from_us <= due_us and (self.end_us is None or due_us < self.end_us)
