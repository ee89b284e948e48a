from __future__ import annotations

from dataclasses import replace

import pytest

from node.domain.hold import CameraHold

FROM, UNTIL = 1_000, 2_000
OPEN = CameraHold(1, "main", FROM, None, "storm", "lena")
TIMED = replace(OPEN, until_us=UNTIL)
RESUMED = replace(TIMED, ended_us=1_500)
OVER = replace(TIMED, ended_us=UNTIL)
NEVER = replace(OPEN, ended_us=FROM)
BACK = replace(OPEN, ended_us=FROM - 500)  # the clock was set back before it was resumed


@pytest.mark.parametrize(
    ("hold", "explained"),
    [
        (OPEN, [False, True, True, True, True]),
        (TIMED, [False, True, True, False, False]),
        (RESUMED, [False, True, False, False, False]),
        (OVER, [False, True, True, False, False]),
        (NEVER, [False] * 5),
        (BACK, [False] * 5),
    ],
)
def test_a_slot_is_explained_from_the_start_on_and_not_at_the_end(hold: CameraHold, explained: list[bool]) -> None:
    assert [hold.explains(due_us) for due_us in (FROM - 1, FROM, UNTIL - 1, UNTIL, UNTIL + 1)] == explained


@pytest.mark.parametrize(
    ("hold", "lasts"),
    [
        (OPEN, [True, True, True]),
        (TIMED, [True, True, False]),
        (RESUMED, [False, False, False]),
        (OVER, [False, False, False]),
    ],
)
def test_it_lasts_until_its_end_also_where_the_clock_was_set_back_before_its_start(
    hold: CameraHold, lasts: list[bool]
) -> None:
    assert [hold.lasts(now_us) for now_us in (FROM - 500, UNTIL - 1, UNTIL)] == lasts


def test_only_one_whose_time_is_over_and_that_nobody_ended_has_lapsed() -> None:
    assert [hold.lapsed(UNTIL) for hold in (OPEN, TIMED, RESUMED, OVER)] == [False, True, False, False]
    assert not TIMED.lapsed(UNTIL - 1)


def test_the_end_is_the_one_that_was_or_the_one_that_is_planned() -> None:
    assert [hold.end_us for hold in (OPEN, TIMED, RESUMED)] == [None, UNTIL, 1_500]
