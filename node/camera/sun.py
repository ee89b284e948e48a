"""The sun's elevation for synthetic skies, without the almanac's library (a worker stays small)."""

from __future__ import annotations

from math import asin, atan2, cos, degrees, radians, sin

_DAY_US = 86_400_000_000
_J2000_DAYS = 10957.5


def elevation_deg(at_us: int, latitude: float, longitude: float) -> float:
    """Geometric elevation of the sun's centre in degrees; within 0.02° from 1950 to 2050.

    Source: the Astronomical Almanac's low-precision formulae for the sun.
    """
    days = at_us / _DAY_US - _J2000_DAYS
    anomaly = radians(357.529 + 0.98560028 * days)
    ecliptic = radians(280.459 + 0.98564736 * days + 1.915 * sin(anomaly) + 0.020 * sin(2 * anomaly))
    tilt = radians(23.439 - 0.00000036 * days)
    ascension = atan2(cos(tilt) * sin(ecliptic), cos(ecliptic))
    declination = asin(sin(tilt) * sin(ecliptic))
    hour_angle = radians(280.46062 + 360.98564737 * days + longitude) - ascension
    north = radians(latitude)
    return degrees(asin(sin(north) * sin(declination) + cos(north) * cos(declination) * cos(hour_angle)))
