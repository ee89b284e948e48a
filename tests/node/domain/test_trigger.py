from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.config import Trigger
from node.domain.times import US, to_us
from node.domain.trigger import Cursor, counted, crossed, last_moment_us, pulled_in

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_US, DAY_US = 3600 * US, 86400 * US


def trigger(on: str, **fields: Any) -> Trigger:
    return Trigger.model_validate({"on": on, **fields})


def at(text: str, zone: Any = UTC) -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=zone))


def fired(rule: Trigger, cursor: Cursor, now_us: int, zone: Any = UTC) -> tuple[Cursor, bool]:
    crossing = crossed(rule, cursor, now_us, zone)
    return (cursor, False) if crossing is None else (crossing.cursor, True)


def test_a_milestone_fires_at_each_nth_frame() -> None:
    rule, cursor, fires = trigger("milestone", every=10), Cursor(), []
    for number in range(1, 41):
        cursor, fires_now = fired(rule, counted(cursor, number, 1), number)
        fires += [number] if fires_now else []
    assert fires == [10, 20, 30, 40]


@given(st.lists(st.integers(0, 75), max_size=60), st.integers(10, 40))
def test_a_milestone_that_is_looked_at_late_fires_once_for_what_it_leapt_over(looks: list[int], every: int) -> None:
    rule, cursor, total = trigger("milestone", every=every), Cursor(), 0
    for number, new in enumerate(looks):
        before, total = total, total + new
        cursor, fires_now = fired(rule, counted(cursor, number, new), number)
        assert fires_now == (total // every > before // every)
        assert not fired(rule, cursor, number)[1]


def test_a_smaller_milestone_takes_effect_at_once() -> None:
    cursor = Cursor(count=60)
    assert not fired(trigger("milestone", every=100), cursor, 0)[1]
    assert fired(trigger("milestone", every=50), cursor, 0) == (Cursor(count=10), True)


def test_a_capture_trigger_fires_for_new_frames_and_then_rests() -> None:
    rule = trigger("capture", throttle_s=60)
    assert not fired(rule, Cursor(), 500 * US)[1]
    cursor, fires = fired(rule, counted(Cursor(), 7, 1), 500 * US)
    assert (fires, cursor) == (True, Cursor(7, 500 * US))
    more = counted(cursor, 9, 2)
    assert [fired(rule, more, at_s * US)[1] for at_s in (501, 559, 560)] == [False, False, True]
    assert not fired(rule, fired(rule, more, 560 * US)[0], 10_000 * US)[1]


def test_a_clock_set_back_does_not_silence_a_capture_trigger() -> None:
    cursor = counted(Cursor(at_us=10 * DAY_US), 1, 1)
    assert fired(trigger("capture"), cursor, DAY_US) == (Cursor(1, DAY_US), True)


def test_a_daily_trigger_fires_once_a_day_and_shows_what_was_before_its_time() -> None:
    rule, cursor = trigger("daily", at="06:30"), Cursor(at_us=at("2026-05-01T12:00"))
    assert crossed(rule, cursor, at("2026-05-02T06:29"), UTC) is None
    crossing = crossed(rule, cursor, at("2026-05-02T06:31"), UTC)
    assert crossing is not None
    assert crossing.to_us == crossing.cursor.at_us == at("2026-05-02T06:30")
    assert crossed(rule, crossing.cursor, at("2026-05-03T06:29"), UTC) is None


def test_days_missed_are_made_up_for_once_by_the_latest() -> None:
    rule, cursor = trigger("daily", at="00:00"), Cursor(at_us=at("2026-05-01T00:00"))
    crossing = crossed(rule, cursor, at("2026-05-09T17:00"), UTC)
    assert crossing is not None
    assert crossing.to_us == at("2026-05-09T00:00")
    assert crossed(rule, crossing.cursor, at("2026-05-09T17:01"), UTC) is None


def test_a_clock_set_back_over_the_time_of_day_fires_no_second_time() -> None:
    rule = trigger("daily", at="00:00")
    cursor, fires = fired(rule, Cursor(at_us=at("2026-05-01T10:00")), at("2026-05-02T00:05"))
    assert fires
    assert [fired(rule, cursor, at(text))[1] for text in ("2026-05-01T23:50", "2026-05-02T00:00")] == [False, False]


def test_a_cursor_far_ahead_of_the_clock_is_pulled_in() -> None:
    now_us = at("2026-05-01T10:00")
    assert pulled_in(Cursor(3, now_us + DAY_US + 1, 5), now_us) == Cursor(3, now_us, 5)
    assert pulled_in(Cursor(3, now_us + DAY_US, 5), now_us) == Cursor(3, now_us + DAY_US, 5)


@pytest.mark.parametrize(
    ("time", "now", "expected"),
    [
        ("02:30", "2026-03-29T03:10+02:00", "2026-03-29T03:00+02:00"),  # left out: the moment of the change
        ("02:30", "2026-03-29T01:59+01:00", "2026-03-28T02:30+01:00"),
        ("02:30", "2026-10-25T02:30+01:00", "2026-10-25T02:30+02:00"),  # the second of two is not another one
        ("02:30", "2026-10-25T02:29+02:00", "2026-10-24T02:30+02:00"),
        ("00:00", "2026-10-25T00:00+02:00", "2026-10-25T00:00+02:00"),
    ],
)
def test_the_time_of_day_is_the_sites_also_where_the_clocks_change(time: str, now: str, expected: str) -> None:
    now_us, expected_us = to_us(datetime.fromisoformat(now)), to_us(datetime.fromisoformat(expected))
    assert last_moment_us(time, now_us, BERLIN) == expected_us


@pytest.mark.parametrize("time", ["00:00", "02:30", "12:00", "23:59"])
def test_a_year_of_hourly_looks_fires_once_on_each_date(time: str) -> None:
    rule, cursor, dates = trigger("daily", at=time), Cursor(at_us=at("2026-01-01T00:00", BERLIN)), []
    for hour in range(24 * 365):
        now_us = at("2026-01-01T00:30", BERLIN) + hour * HOUR_US
        crossing = crossed(rule, cursor, now_us, BERLIN)
        if crossing is not None:
            assert crossing.to_us is not None
            dates.append(datetime.fromtimestamp(crossing.to_us / US, BERLIN).date())
            cursor = crossing.cursor
    # the looks begin half an hour into the first date, and end half an hour before the end of the last one
    assert len(dates) == len(set(dates)) == 365 - (time in ("00:00", "23:59"))
