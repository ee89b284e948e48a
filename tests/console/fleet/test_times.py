"""Times as ages, in UTC, or of the site."""

from __future__ import annotations

import pytest

from console.fleet.times import Times, shown, to_us

NOW_US = 1_800_000_000_000_000  # 2027-01-15T08:00:00Z
BEYOND = (
    "0001-01-01T00:00:00+12:00",
    "0001-06-01T00:00:00Z",
    "9999-06-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59.999999-23:59",
)
"""RFC 3339 all of them; but no calendar reckons with them in every zone."""


@pytest.mark.parametrize(
    ("at", "times", "zone", "expected"),
    [
        ("2027-01-15T07:59:53.000Z", Times.AGO, "", "7s"),
        ("2027-01-15T08:00:09.000Z", Times.AGO, "", "0s"),
        ("2027-01-15T07:59:53.000Z", Times.UTC, "Asia/Tokyo", "07:59:53Z"),
        ("2027-01-14T07:59:53.000Z", Times.UTC, "", "01-14 07:59Z"),
        ("2027-01-15T07:59:53.000Z", Times.SITE, "Asia/Tokyo", "16:59:53"),
        ("2027-01-15T15:30:00.000Z", Times.SITE, "Asia/Tokyo", "01-16 00:30"),
        ("2027-01-15T07:59:53.000Z", Times.SITE, "Nowhere/At_All", "07:59:53Z"),
        ("2027-01-15T07:59:53.000Z", Times.SITE, "../../etc/passwd", "07:59:53Z"),
        ("2027-01-15T07:59:53.000Z", Times.SITE, "", "07:59:53Z"),
        ("2027-01-15T07:59:53", Times.UTC, "", ""),
        ("yesterday", Times.AGO, "", ""),
        (None, Times.AGO, "", ""),
        *((at, times, zone, "") for at in BEYOND for times in Times for zone in ("", "Asia/Tokyo")),
    ],
)
def test_a_time_is_shown_as_wanted(at: str | None, times: Times, zone: str, expected: str) -> None:
    assert shown(at, times, NOW_US, zone) == expected


def test_they_go_round() -> None:
    assert [Times.AGO.next(), Times.UTC.next(), Times.SITE.next()] == [Times.UTC, Times.SITE, Times.AGO]


def test_microseconds() -> None:
    assert to_us("2027-01-15T08:00:00.000Z") == NOW_US
    assert to_us("") is None
    assert [to_us(at) for at in BEYOND] == [None] * len(BEYOND)
