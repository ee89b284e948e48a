"""Instants, texts, site dates and changes of clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.times import DAY_MINUTES, US, day_us, from_text, local_date, local_us, to_datetime, to_text, to_us

ZONES = (
    "Europe/Berlin", "Europe/Dublin", "America/Santiago", "Africa/Cairo", "Africa/Casablanca", "Australia/Lord_Howe",
    "Pacific/Chatham", "Asia/Kathmandu", "UTC",
)  # fmt: skip
quiet = settings(derandomize=True, database=None, deadline=None, max_examples=150)


def test_a_text_has_milliseconds_and_ends_in_z() -> None:
    assert to_text(1_795_151_760_123_999) == "2026-11-20T05:16:00.123Z"


@quiet
@given(st.integers(-(10**15), 4 * 10**15))
def test_instants_survive_text_to_the_millisecond_and_datetimes_exactly(at_us: int) -> None:
    assert from_text(to_text(at_us)) == at_us // 1000 * 1000
    assert to_us(to_datetime(at_us)) == at_us


def test_any_offset_is_read() -> None:
    assert from_text("2026-06-01T12:00:00+02:00") == from_text("2026-06-01T10:00:00Z")


@pytest.mark.parametrize("text", ["2026-06-01T12:00:00", "yesterday", "", "2026-13-01T00:00:00Z"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_text(text)


@quiet
@given(st.sampled_from(ZONES), st.dates(date(2024, 1, 1), date(2028, 12, 31)), st.integers(0, DAY_MINUTES))
def test_a_local_time_is_the_first_instant_at_which_the_sites_clock_shows_it_or_more(
    zone_name: str, day: date, minutes: int
) -> None:
    zone = ZoneInfo(zone_name)
    wanted = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minutes)
    found = local_us(day, minutes, zone)

    def shows(at_us: int) -> datetime:
        return to_datetime(at_us).astimezone(zone).replace(tzinfo=None)

    assert shows(found) >= wanted
    for earlier in (1, US, 60 * US, 1799 * US, 3600 * US, 5400 * US, 7200 * US):
        assert shows(found - earlier) < wanted


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Pacific/Apia", date(2011, 12, 30), 0),
        ("UTC", date(2026, 3, 29), 24),
    ],
)
def test_a_site_day_is_as_long_as_its_clock_makes_it(zone: str, day: date, hours: float) -> None:
    start, end = day_us(day, ZoneInfo(zone))
    assert end - start == hours * 3600 * US


@quiet
@given(st.sampled_from(ZONES), st.integers(1_700_000_000, 1_900_000_000))
def test_an_instant_lies_in_the_day_of_its_date(zone_name: str, second: int) -> None:
    zone = ZoneInfo(zone_name)
    start, end = day_us(local_date(second * US, zone), zone)
    assert start <= second * US < end


def test_a_plain_timezone_will_do() -> None:
    assert local_us(date(2026, 1, 1), 90, UTC) == from_text("2026-01-01T01:30:00Z")
