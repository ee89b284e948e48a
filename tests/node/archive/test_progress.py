from __future__ import annotations

from node.archive.progress import Pace, Progress
from tests.clocks import JumpClock


def test_progress_is_a_share_and_never_more_than_all() -> None:
    told: list[tuple[float | None, str]] = []
    progress = Progress(lambda share, said: told.append((share, said)), 200, "to far")
    for size in (50, 0, 100, 100):
        progress.took(size)
    assert told == [(0.25, "to far"), (0.25, "to far"), (0.75, "to far"), (1.0, "to far")]


def test_progress_of_nothing_is_told_too() -> None:
    told: list[float | None] = []
    Progress(lambda share, _: told.append(share), 0, "").took(0)
    assert told == [0.0]


def test_a_sender_without_limit_never_waits() -> None:
    clock = JumpClock()
    Pace(clock, None).took(10**12, Progress(lambda *_: None, 1, ""))
    assert clock.waits == 0


def test_a_limit_is_kept_on_average_and_a_pause_that_was_long_enough_counts() -> None:
    clock, beats = JumpClock(), []
    progress = Progress(lambda *_: beats.append(clock.monotonic()), 1, "")
    pace = Pace(clock, 1000)
    pace.took(2500, progress)
    assert clock.monotonic() == 2.5
    assert beats == [1.0, 2.0, 2.5]
    clock.advance(60)
    pace.took(2500, progress)
    assert clock.monotonic() == 62.5
