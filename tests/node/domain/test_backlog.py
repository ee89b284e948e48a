"""The pace at which a backlog goes."""

from __future__ import annotations

import pytest

from node.domain.backlog import EVERY_S, HOUR_S, Mark, Pace, kept, pace

GB = 10**9


def run(hours: float, captured: int, sent: int, unsent: int = 0) -> tuple[tuple[Mark, ...], Mark]:
    """A look every two seconds, with so many bytes an hour; the marks kept, and the last look."""
    marks: tuple[Mark, ...] = ()
    now = Mark(0, 0, unsent)
    for second in range(0, round(hours * HOUR_S) + 1, 2):
        share = second / HOUR_S
        now = Mark(second, round(sent * share), max(0, round(unsent + (captured - sent) * share)))
        marks = kept(marks, now)
    return marks, now


def test_an_hour_is_kept_in_few_marks() -> None:
    marks, now = run(5, GB, GB)
    assert len(marks) <= HOUR_S / EVERY_S + 2
    assert HOUR_S <= now.at_s - marks[0].at_s < HOUR_S + EVERY_S


def test_what_shrinks_is_gone_when_the_pace_says() -> None:
    assert pace(*run(2, captured=GB, sent=3 * GB, unsent=10 * GB)).eta_s == pytest.approx(3 * HOUR_S, rel=0.01)


def test_what_is_empty_takes_no_time_and_what_was_never_watched_is_not_known() -> None:
    assert pace((), Mark(0, 0, 0)) == Pace(eta_s=0.0)
    assert pace((), Mark(0, 0, 5)) == Pace()
    assert pace(*run(0.05, captured=GB, sent=3 * GB, unsent=10 * GB)) == Pace()


@pytest.mark.parametrize(
    ("hours", "captured", "sent", "unsent", "outgrown"),
    [
        (2, 3 * GB, GB, 0, True),
        (0.9, 3 * GB, GB, 0, False),  # not for an hour yet
        (2, GB, GB, 50 * GB, False),  # does not grow
        (2, 3 * GB, 0, GB, False),  # is not sent from at all: it fails, or is not its time
        (1.2, GB + 1000, GB, 1000, False),  # a frame or two more are under way
    ],
)
def test_a_link_is_outgrown_where_more_comes_than_goes_for_an_hour(
    hours: float, captured: int, sent: int, unsent: int, outgrown: bool
) -> None:
    assert pace(*run(hours, captured, sent, unsent)) == Pace(outgrown=outgrown)


def test_bytes_that_a_target_lost_are_no_pace() -> None:
    assert pace((Mark(0, 5 * GB, GB),), Mark(HOUR_S, 3 * GB, 3 * GB)) == Pace()
