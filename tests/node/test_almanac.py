"""The sun's times against a scan of its elevation that shares no code with the product."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, product
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from node.almanac import Sun
from node.domain.config import DAYS, Edge, Site, SolarWindow
from node.domain.errors import SiteUnknown
from node.domain.times import US, from_text, local_date, to_us
from node.domain.windows import HORIZON_DEG, Span, Windows

MINUTE_US = 60 * US
HALF_DAY_MINUTES = 720
ALLOWED_US = 2 * MINUTE_US
DAYLIGHT = SolarWindow(kind="solar", start=Edge(anchor="sunrise"), end=Edge(anchor="sunset"))
ZONES = (
    "Pacific/Auckland", "Pacific/Pago_Pago", "Pacific/Honolulu", "America/Anchorage", "America/Vancouver",
    "America/Denver", "America/Chicago", "America/New_York", "America/Halifax", "America/Nuuk",
    "Atlantic/South_Georgia", "Atlantic/Azores", "Africa/Casablanca", "Europe/Berlin", "Africa/Cairo",
    "Europe/Moscow", "Asia/Dubai",
    "Asia/Karachi", "Asia/Dhaka", "Asia/Bangkok", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney", "Pacific/Noumea",
)  # fmt: skip
LATITUDES = (-78, -66, -52, -26, 0, 26, 52, 60, 66, 70, 78)


def elevation_and_hour_angle(at_us: np.ndarray, latitude: float, longitude: float) -> tuple[np.ndarray, np.ndarray]:
    """Degrees, by Meeus, Astronomical Algorithms, chapters 12, 13 and 25 (low accuracy, about 0.01 degrees)."""
    days = at_us / (86400 * US) + 2440587.5 - 2451545.0
    century = days / 36525
    anomaly = np.radians(357.52911 + 35999.05029 * century)
    centre = (1.914602 - 0.004817 * century) * np.sin(anomaly) + 0.019993 * np.sin(2 * anomaly)
    node = np.radians(125.04 - 1934.136 * century)
    along = np.radians(280.46646 + 36000.76983 * century + centre - 0.00569 - 0.00478 * np.sin(node))
    tilt = np.radians(23.439291 - 0.0130042 * century + 0.00256 * np.cos(node))
    declination = np.arcsin(np.sin(tilt) * np.sin(along))
    ascension = np.degrees(np.arctan2(np.cos(tilt) * np.sin(along), np.cos(along)))
    angle = (280.46061837 + 360.98564736629 * days + longitude - ascension + 180) % 360 - 180
    north = np.radians(latitude)
    height = np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(np.radians(angle))
    return np.degrees(np.arcsin(height)), angle


def scanned(day: date, site: Site) -> tuple[int, int] | None:
    """First and last minute of daylight of the solar day nearest to that date, minute by minute."""
    zone = ZoneInfo(site.timezone)
    clock_noon = to_us(datetime.combine(day, time(12), zone)) // MINUTE_US * MINUTE_US
    minutes = clock_noon + np.arange(-HALF_DAY_MINUTES, HALF_DAY_MINUTES + 1) * MINUTE_US
    _, angle = elevation_and_hour_angle(minutes, site.latitude, site.longitude)
    noon = int(minutes[np.argmin(np.abs(angle))])
    minutes = noon + np.arange(-HALF_DAY_MINUTES, HALF_DAY_MINUTES + 1) * MINUTE_US
    height, _ = elevation_and_hour_angle(minutes, site.latitude, site.longitude)
    light = minutes[height >= HORIZON_DEG]
    return (int(light[0]), int(light[-1])) if light.size else None


def compare(site: Site, day: date) -> None:
    sun = Sun(site)
    windows = Windows(DAYLIGHT, DAYS, ZoneInfo(site.timezone), sun)
    noon = sun.noon_us(day)
    span = next((span for span in windows.spans(noon - 86400 * US, noon + 86400 * US) if span.day == day), None)
    judge(span, scanned(day, site), f"{site} {day}")


def judge(span: Span | None, expected: tuple[int, int] | None, where: str) -> None:
    """Within two minutes at either end; a day or night shorter than that may be missed by one of the two."""
    if span is None or expected is None:
        length = span.end_us - span.start_us if span else expected[1] - expected[0] if expected else 0
        assert length < 2 * ALLOWED_US, f"{where}: {span} {expected}"
        return
    assert span.start_us < span.end_us, where
    assert abs(span.start_us - expected[0]) <= ALLOWED_US, f"{where}: {span} {expected}"
    assert abs(span.end_us - expected[1]) <= ALLOWED_US, f"{where}: {span} {expected}"


def sites() -> Iterator[Site]:
    for latitude, (hour, zone) in product(LATITUDES, enumerate(ZONES)):
        yield Site(latitude=latitude, longitude=15 * hour - 180 + 3.7, timezone=zone)


def clock_changes(zone: str, year: int) -> list[date]:
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(366)]
    offsets = [datetime.combine(day, time(12), ZoneInfo(zone)).utcoffset() for day in days]
    return [days[n + 1] for n, (one, two) in enumerate(pairwise(offsets)) if one != two]


def test_windows_agree_with_a_scan_of_elevation_on_a_sample_of_days_everywhere() -> None:
    chance = random.Random(20260101)
    for site in sites():
        days = [date(2026, 1, 1) + timedelta(days=chance.randrange(365)) for _ in range(2)]
        for day in (*days, *clock_changes(site.timezone, 2026)):
            compare(site, day)


def scanned_year(site: Site, year: int) -> dict[date, tuple[int, int] | None]:
    """First and last minute of daylight of every solar day, by the date that the site's clock shows at its noon."""
    first = to_us(datetime(year, 1, 1, tzinfo=UTC)) // MINUTE_US
    minutes = np.arange(first - 2880, first + 367 * 1440) * MINUTE_US
    height, angle = elevation_and_hour_angle(minutes, site.latitude, site.longitude)
    begins = np.flatnonzero(np.diff(angle) < -180) + 1
    days = {}
    for one, two in pairwise(begins):
        light = minutes[one:two][height[one:two] >= HORIZON_DEG]
        noon = local_date(int(minutes[(one + two) // 2]), ZoneInfo(site.timezone))
        days[noon] = (int(light[0]), int(light[-1])) if light.size else None
    return days


@pytest.mark.slow
@pytest.mark.parametrize("latitude", [-78, -45, 0, 52, 66, 78])
def test_windows_agree_with_a_scan_of_elevation_on_every_day(latitude: float) -> None:
    """365 days x 24 longitudes x six latitudes; windows never overlap."""
    for site in (site.model_copy(update={"latitude": latitude}) for site in sites() if site.latitude == 0):
        windows = Windows(DAYLIGHT, DAYS, ZoneInfo(site.timezone), Sun(site))
        start = to_us(datetime(2026, 1, 1, tzinfo=UTC))
        spans = list(windows.spans(start, start + 365 * 86400 * US))
        assert all(one.end_us <= two.start_us for one, two in pairwise(spans))
        found = {span.day: span for span in spans}
        for day, expected in scanned_year(site, 2026).items():
            if date(2026, 1, 2) <= day <= date(2026, 12, 30):
                judge(found.get(day), expected, f"{site} {day}")


@pytest.mark.parametrize(("latitude", "longitude"), [(52.5, 13.4), (-78, 166), (78, -40), (0, 0), (-33.9, 151.2)])
def test_elevation_agrees_with_an_independent_formula(latitude: float, longitude: float) -> None:
    sun = Sun(Site(latitude=latitude, longitude=longitude))
    moments = from_text("2026-01-01T00:00:00Z") + np.arange(0, 365 * 24, 7) * 3600 * US
    expected, _ = elevation_and_hour_angle(moments, latitude, longitude)
    assert max(abs(sun.elevation_deg(int(at)) - float(e)) for at, e in zip(moments, expected, strict=True)) < 0.03


@pytest.mark.parametrize("latitude", [-90, -89.95, 89.95, 90])
def test_at_the_poles_every_day_has_an_answer(latitude: float) -> None:
    site = Site(latitude=latitude, longitude=0)
    windows = Windows(DAYLIGHT, DAYS, UTC, Sun(site))
    start = from_text("2026-01-01T00:00:00Z")
    spans = list(windows.spans(start, start + 365 * 86400 * US))
    assert 175 <= len(spans) <= 195
    assert all(one.end_us <= two.start_us for one, two in pairwise(spans))


def test_days_of_midnight_sun_meet_exactly() -> None:
    site = Site(latitude=78.2, longitude=15.6, timezone="Arctic/Longyearbyen")
    windows = Windows(DAYLIGHT, DAYS, ZoneInfo(site.timezone), Sun(site))
    summer = list(windows.spans(from_text("2026-05-10T12:00:00Z"), from_text("2026-07-10T12:00:00Z")))
    assert [span.day for span in summer] == [date(2026, 5, 10) + timedelta(days=n) for n in range(62)]
    assert all(one.end_us == two.start_us for one, two in pairwise(summer))
    assert all(abs(span.end_us - span.start_us - 86400 * US) < MINUTE_US for span in summer)


def test_where_solar_midnight_wanders_over_midnight_each_date_still_has_one_window() -> None:
    """Kirkenes in summer: the solar day begins at 23:56 in May and at 00:06 in July."""
    site = Site(latitude=69.73, longitude=30.05, timezone="Europe/Oslo")
    zone = ZoneInfo(site.timezone)
    windows = Windows(DAYLIGHT, DAYS, zone, Sun(site))
    spans = list(windows.spans(from_text("2026-05-01T10:00:00Z"), from_text("2026-08-01T10:00:00Z")))
    assert [span.day for span in spans] == [date(2026, 5, 1) + timedelta(days=n) for n in range(93)]
    assert len({local_date(span.start_us, zone) for span in spans}) < len(spans)


@pytest.mark.parametrize(("zone", "longitude"), [("UTC", 179.9), ("UTC", -179.9), ("Asia/Tokyo", -120), ("UTC", 91)])
def test_a_timezone_far_from_the_longitude_still_gives_every_date_its_own_solar_day(
    zone: str, longitude: float
) -> None:
    sun = Sun(Site(latitude=10, longitude=longitude, timezone=zone))
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(366)]
    noons = [sun.noon_us(day) for day in days]
    assert all(abs(two - one - 86400 * US) < MINUTE_US for one, two in pairwise(noons))
    assert all(sun.elevation_deg(noon) > 55 for noon in noons)
    assert all(sun.solar_day(noon) == day for day, noon in zip(days, noons, strict=True))
    clock_noons = [to_us(datetime.combine(day, time(12), ZoneInfo(zone))) for day in days]
    assert all(abs(n - c) <= 12.5 * 3600 * US for n, c in zip(noons, clock_noons, strict=True))


def test_a_solar_day_holds_every_instant_from_its_midnight_to_the_next() -> None:
    sun = Sun(Site(latitude=69.73, longitude=30.05, timezone="Europe/Oslo"))
    for ahead in range(0, 365, 5):
        day = date(2026, 1, 1) + timedelta(days=ahead)
        start, end = sun.midnight_us(day), sun.midnight_us(day + timedelta(days=1))
        assert [sun.solar_day(at) for at in (start - 1, start, end - 1, end)] == [
            day - timedelta(days=1), day, day, day + timedelta(days=1),
        ]  # fmt: skip


def test_a_faster_sun_has_its_days_in_less_time_from_the_given_instant_on() -> None:
    site = Site(latitude=52.5, longitude=13.4, timezone="Europe/Berlin")
    start = from_text("2026-06-01T00:00:00Z")
    plain, fast = Sun(site), Sun(site, factor=24, from_us=start)
    assert fast.elevation_deg(start - 3600 * US) == plain.elevation_deg(start - 3600 * US)
    assert fast.elevation_deg(start + 3600 * US) == plain.elevation_deg(start + 24 * 3600 * US)
    day = date(2026, 6, 11)
    rise = fast.crossing_us(day, HORIZON_DEG, rising=True)
    assert rise is not None
    assert start + 10 * 3600 * US < rise < start + 11 * 3600 * US
    assert abs(fast.elevation_deg(rise) - HORIZON_DEG) < 0.01
    assert fast.solar_day(rise) == day
    assert fast.solar_day(fast.noon_us(day)) == day


def test_a_site_without_coordinates_is_refused() -> None:
    with pytest.raises(SiteUnknown, match="TIM-001"):
        Sun(Site(name="somewhere"))


def test_an_elevation_that_the_sun_does_not_reach_has_no_crossing() -> None:
    sun = Sun(Site(latitude=52.5, longitude=13.4, timezone="Europe/Berlin"))
    assert sun.crossing_us(date(2026, 12, 21), 20, rising=True) is None
    assert sun.crossing_us(date(2026, 6, 21), -18, rising=False) is None


def test_an_edge_is_asked_of_the_sky_only_once() -> None:
    sun = Sun(Site(latitude=52.5, longitude=13.4))
    asked = []
    measure = sun._height
    sun._height = lambda at: asked.append(at) or measure(at)  # type: ignore[method-assign,func-returns-value]
    first = sun.crossing_us(date(2026, 6, 21), 0.0, rising=True)
    count = len(asked)
    assert sun.crossing_us(date(2026, 6, 21), 0.0, rising=True) == first
    assert len(asked) == count > 0
