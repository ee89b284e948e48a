"""Windows by clock and by sun: changes of clocks, nights, polar days and nights, long offsets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from node.almanac import Sun
from node.domain.config import DAYS, AlwaysWindow, ClockWindow, Edge, Site, SolarWindow
from node.domain.times import US, from_text, to_text
from node.domain.windows import Span, Windows, solar_span

BERLIN = Site(latitude=52.5, longitude=13.4, timezone="Europe/Berlin")
TROMSO = Site(latitude=69.65, longitude=18.96, timezone="Europe/Oslo")
PETERSBURG = Site(latitude=59.94, longitude=30.31, timezone="Europe/Moscow")
HOUR_US = 3600 * US
WINTER, SPRING, SUMMER = date(2026, 12, 21), date(2026, 3, 20), date(2026, 6, 21)


def clock(start: str, end: str, zone: str = "Europe/Berlin", days: tuple[str, ...] = DAYS) -> Windows:
    return Windows(ClockWindow(kind="clock", start=start, end=end), days, ZoneInfo(zone), None)


def solar(start: dict[str, object], end: dict[str, object], **more: object) -> SolarWindow:
    return SolarWindow(kind="solar", start=Edge(**start), end=Edge(**end), **more)


def on(windows: Windows, day: date) -> Span | None:
    noon = from_text(f"{day.isoformat()}T12:00:00Z")
    return next((span for span in windows.spans(noon - 48 * HOUR_US, noon + 48 * HOUR_US) if span.day == day), None)


def texts(span: Span | tuple[int, int] | None) -> tuple[str, str]:
    assert span is not None
    start, end = (span.start_us, span.end_us) if isinstance(span, Span) else span
    return to_text(start)[:16], to_text(end)[:16]


@pytest.mark.parametrize(
    ("start", "end", "day", "expected"),
    [
        ("08:00", "17:30", date(2026, 1, 5), ("2026-01-05T07:00", "2026-01-05T16:30")),
        ("22:00", "04:00", date(2026, 1, 5), ("2026-01-05T21:00", "2026-01-06T03:00")),
        ("00:00", "00:00", date(2026, 1, 5), ("2026-01-04T23:00", "2026-01-05T23:00")),
        # 29 March: 02:00 becomes 03:00, so any time between is the moment of the change, 01:00 UTC
        ("01:30", "04:00", date(2026, 3, 29), ("2026-03-29T00:30", "2026-03-29T02:00")),
        ("02:30", "04:00", date(2026, 3, 29), ("2026-03-29T01:00", "2026-03-29T02:00")),
        ("01:30", "02:30", date(2026, 3, 29), ("2026-03-29T00:30", "2026-03-29T01:00")),
        ("22:00", "02:30", date(2026, 3, 28), ("2026-03-28T21:00", "2026-03-29T01:00")),
        # 25 October: 03:00 becomes 02:00, so times between come twice and the first counts
        ("01:30", "02:30", date(2026, 10, 25), ("2026-10-24T23:30", "2026-10-25T00:30")),
        ("02:30", "03:30", date(2026, 10, 25), ("2026-10-25T00:30", "2026-10-25T02:30")),
        ("00:00", "00:00", date(2026, 10, 25), ("2026-10-24T22:00", "2026-10-25T23:00")),
    ],
)
def test_a_clock_window_runs_from_the_first_time_the_clock_shows_its_start_to_the_first_time_it_shows_its_end(
    start: str, end: str, day: date, expected: tuple[str, str]
) -> None:
    assert texts(on(clock(start, end), day)) == expected


def test_a_clock_window_that_the_change_of_clocks_leaves_out_is_not_that_day() -> None:
    assert on(clock("02:10", "02:50"), date(2026, 3, 29)) is None
    assert on(clock("02:10", "02:50"), date(2026, 3, 30)) is not None


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("minute", ["00:00", "02:15", "12:00", "23:30"])
def test_whole_day_windows_meet_exactly_on_every_day_of_the_year(zone: str, minute: str) -> None:
    start = from_text("2026-01-01T00:00:00Z")
    spans = list(clock(minute, minute, zone).spans(start, start + 365 * 24 * HOUR_US))
    assert all(one.end_us == two.start_us for one, two in pairwise(spans))
    assert len(spans) in (365, 366, 367)


def test_an_always_window_is_the_site_day_even_where_midnight_is_left_out() -> None:
    """In Cairo the clocks go from 00:00 to 01:00 on 24 April 2026."""
    windows = Windows(AlwaysWindow(), DAYS, ZoneInfo("Africa/Cairo"), None)
    assert texts(on(windows, date(2026, 4, 24))) == ("2026-04-23T22:00", "2026-04-24T21:00")


def test_days_of_the_week_are_those_of_the_start() -> None:
    nights = clock("22:00", "04:00", days=("fri",))
    start = from_text("2026-01-01T00:00:00Z")
    spans = list(nights.spans(start, start + 14 * 24 * HOUR_US))
    assert [texts(span) for span in spans] == [
        ("2026-01-02T21:00", "2026-01-03T03:00"),
        ("2026-01-09T21:00", "2026-01-10T03:00"),
    ]


def test_a_solar_window_runs_between_its_edges_with_their_offsets() -> None:
    sun = Sun(BERLIN)
    plain = solar_span(solar({"anchor": "sunrise"}, {"anchor": "sunset"}), SPRING, sun)
    wider = solar_span(
        solar({"anchor": "sunrise", "offset_s": -1800}, {"anchor": "sunset", "offset_s": 900}), SPRING, sun
    )
    assert plain is not None
    assert wider == (plain[0] - 1800 * US, plain[1] + 900 * US)
    assert texts(plain) == ("2026-03-20T05:09", "2026-03-20T17:19")


def test_every_anchor_comes_in_the_order_of_the_day() -> None:
    order = (
        "astronomical_dawn", "nautical_dawn", "civil_dawn", "sunrise", "noon",
        "sunset", "civil_dusk", "nautical_dusk", "astronomical_dusk",
    )  # fmt: skip
    for one, two in pairwise(order):
        span = solar_span(solar({"anchor": one}, {"anchor": two}), SPRING, Sun(BERLIN))
        assert span is not None
        assert 0 < span[1] - span[0] < 7 * HOUR_US


def test_an_elevation_of_ones_own_is_an_anchor() -> None:
    sun = Sun(BERLIN)
    high = solar(
        {"anchor": "elevation_rising", "elevation_deg": 20}, {"anchor": "elevation_setting", "elevation_deg": 20}
    )
    span = solar_span(high, SUMMER, sun)
    assert span is not None
    assert abs(sun.elevation_deg(span[0]) - 20) < 0.01
    assert abs(sun.elevation_deg(span[1]) - 20) < 0.01


def test_a_window_from_dusk_to_dawn_ends_on_the_next_day() -> None:
    night = solar({"anchor": "sunset"}, {"anchor": "sunrise"})
    span = solar_span(night, SPRING, Sun(BERLIN))
    assert texts(span) == ("2026-03-20T17:19", "2026-03-21T05:06")


DAYLIGHT = solar({"anchor": "sunrise", "offset_s": 3600}, {"anchor": "sunset", "offset_s": -3600})
NIGHT = solar({"anchor": "civil_dusk"}, {"anchor": "civil_dawn"})
MORNING = solar({"anchor": "sunrise", "offset_s": -900}, {"anchor": "sunrise", "offset_s": 900})


def test_under_the_midnight_sun_daylight_is_the_whole_solar_day_and_offsets_do_not_move_it() -> None:
    sun = Sun(TROMSO)
    assert solar_span(DAYLIGHT, SUMMER, sun) == (sun.midnight_us(SUMMER), sun.midnight_us(SUMMER + timedelta(days=1)))


def test_under_the_midnight_sun_there_is_no_night_and_no_sunrise_to_look_at() -> None:
    assert solar_span(NIGHT, SUMMER, Sun(TROMSO)) is None
    assert solar_span(MORNING, SUMMER, Sun(TROMSO)) is None


def test_in_polar_night_daylight_is_what_the_window_says() -> None:
    sun = Sun(TROMSO)
    assert solar_span(DAYLIGHT, WINTER, sun) is None
    around = DAYLIGHT.model_copy(update={"polar_night": "noon", "noon_half_width_s": 1200})
    noon = sun.noon_us(WINTER)
    assert solar_span(around, WINTER, sun) == (noon - 1200 * US, noon + 1200 * US)


def test_in_polar_night_a_night_goes_from_noon_to_noon_and_nights_meet() -> None:
    dark = solar(
        {"anchor": "elevation_setting", "elevation_deg": 2}, {"anchor": "elevation_rising", "elevation_deg": 2}
    )
    windows = Windows(dark, DAYS, ZoneInfo("Europe/Oslo"), Sun(TROMSO))
    start = from_text("2026-12-10T00:00:00Z")
    spans = list(windows.spans(start, start + 20 * 24 * HOUR_US))
    assert len(spans) == 21
    assert all(one.end_us == two.start_us for one, two in pairwise(spans))


def test_a_dawn_whose_darkness_never_comes_begins_at_solar_midnight() -> None:
    """White nights: in St Petersburg in June the sun stays above -12 degrees."""
    sun = Sun(PETERSBURG)
    dawn = solar({"anchor": "nautical_dawn"}, {"anchor": "sunrise"})
    span = solar_span(dawn, SUMMER, sun)
    assert span == (sun.midnight_us(SUMMER), sun.crossing_us(SUMMER, -0.833, rising=True))


@pytest.mark.parametrize("site", [BERLIN, TROMSO, PETERSBURG])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ({"anchor": "sunrise", "offset_s": -43200}, {"anchor": "sunset", "offset_s": 43200}),
        ({"anchor": "sunset", "offset_s": -43200}, {"anchor": "sunrise", "offset_s": 43200}),
        ({"anchor": "noon", "offset_s": -43200}, {"anchor": "noon", "offset_s": 43200}),
        ({"anchor": "astronomical_dusk", "offset_s": -43200}, {"anchor": "civil_dusk", "offset_s": 43200}),
        ({"anchor": "sunrise", "offset_s": -43200}, {"anchor": "civil_dawn", "offset_s": 43200}),
    ],
)
def test_windows_longer_than_a_day_end_where_the_next_begins(
    site: Site, start: dict[str, object], end: dict[str, object]
) -> None:
    windows = Windows(solar(start, end, polar_night="noon"), DAYS, ZoneInfo(site.timezone), Sun(site))
    begin = from_text("2026-01-01T00:00:00Z")
    spans = list(windows.spans(begin, begin + 365 * 24 * HOUR_US))
    assert all(one.end_us <= two.start_us for one, two in pairwise(spans))
    assert all(span.start_us < span.end_us for span in spans)
    assert len({span.day for span in spans}) == len(spans) >= 290


def test_a_window_whose_end_comes_before_its_start_is_not_that_day() -> None:
    late = solar({"anchor": "sunrise", "offset_s": 5 * 3600}, {"anchor": "noon"})
    assert solar_span(late, WINTER, Sun(BERLIN)) is None
    assert solar_span(late, SUMMER, Sun(BERLIN)) is not None


@pytest.mark.parametrize("make", [lambda: None, lambda: Sun(BERLIN)])
def test_an_empty_stretch_of_time_has_no_windows(make: Callable[[], Sun | None]) -> None:
    windows = Windows(DAYLIGHT, DAYS, ZoneInfo("Europe/Berlin"), make())
    at = from_text("2026-06-21T12:00:00Z")
    assert list(windows.spans(at, at)) == []


def test_without_a_sun_a_solar_window_never_comes() -> None:
    windows = Windows(DAYLIGHT, DAYS, ZoneInfo("Europe/Berlin"), None)
    at = from_text("2026-06-21T12:00:00Z")
    assert list(windows.spans(at, at + 90 * 24 * HOUR_US)) == []
    assert windows.horizon_us(at, 400) == at


def test_the_memory_of_windows_is_bounded() -> None:
    windows = clock("08:00", "09:00")
    start = from_text("2026-01-01T00:00:00Z")
    assert len(list(windows.spans(start, start + 1000 * 24 * HOUR_US))) == 1000
    assert windows._span.cache_info().currsize <= 64  # type: ignore[attr-defined]
