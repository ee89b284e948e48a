"""Where the demo's nodes stand, and the two files that make each of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

INTERVAL_S = 5
WIDTH, HEIGHT = 640, 360
STALE_S = 20
FIRST_ENDS_S = 35
WINDOWS = ("first-minute", "second-minute")
"""Two windows of a minute follow each other; so much at least is left of the first one, nodes' start included."""
ROLLING_S, MIN_FRAMES, GATHER_S = 120, 5, 30
TARGET, UNPLUGGED = "shelf", "unplugged"
"""The archive of every node; with faults the last node's is a folder on which nothing is mounted."""
SHOT_MARGIN_S = 3.0
FOLDERS = ("data", "run")
"""Made by the demo below each node's root, as Ansible makes them on a Pi."""
ROLES = ("viewer", "operator", "admin")
US_PER_HOUR, DEGREES_PER_HOUR = 3_600_000_000, 15


@dataclass(frozen=True, slots=True)
class Place:
    name: str
    site: str
    latitude: float
    longitude: float
    timezone: str
    weather: str


PLACES = (
    Place("reykjavik", "Iceland", 64.15, -21.94, "Atlantic/Reykjavik", "cloudy"),
    Place("nairobi", "Kenya", -1.29, 36.82, "Africa/Nairobi", "clear"),
    Place("kyoto", "Japan", 35.01, 135.77, "Asia/Tokyo", "rain"),
    Place("cusco", "Peru", -13.53, -71.97, "America/Lima", "fog"),
    Place("tromso", "Norway", 69.65, 18.96, "Europe/Oslo", "snow"),
    Place("hobart", "Tasmania", -42.88, 147.33, "Australia/Hobart", "cloudy"),
    Place("denver", "Colorado", 39.74, -104.99, "America/Denver", "clear"),
    Place("oaxaca", "Mexico", 17.07, -96.72, "America/Mexico_City", "clear"),
)
Fault = dict[str, Any]
FAULTS: tuple[tuple[Fault, ...], ...] = (
    (
        {"kind": "half_grey", "after_shots": 2, "shots": 2, "every": 40},
        {"kind": "black", "after_shots": 6, "shots": 14, "every": 40},
    ),
    ({"kind": "stall", "after_shots": 2, "shots": 3, "every": 16},),
    ({"kind": "crash", "after_shots": 2, "shots": 4, "every": 18},),
    ({"kind": "absent", "after_shots": 2, "shots": 6, "every": 20},),
)
"""A script for each node while they last, by daylight: where the sun is highest, a black picture is a fault.

Each begins with the third shot, lasts long enough to become an alert, passes, and comes again.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """One node to be: its id, its node.yml and its configuration document."""

    name: str
    node_file: dict[str, Any]
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asked for."""

    nodes: int
    frames: Path | None = None
    faults: bool = False
    sun_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What the demo lends its nodes: tokens by role, the time now, a folder on another file system (None = none)."""

    tokens: dict[str, str]
    now_us: int
    shelf: Path | None = None


def plans(wish: Wish, lent: Setting) -> tuple[Plan, ...]:
    """The nodes of a demo; the first one has two cameras."""
    places = [_place(number) for number in range(wish.nodes)]
    scripts = _scripts(places, lent.now_us) if wish.faults else {}
    found = []
    for place in places:
        node_file = _node_file(place, wish, lent, scripts.get(place.name, []))
        if lent.shelf is not None:
            unplugged = wish.faults and place is places[-1]
            node_file["archive"] = {TARGET: _target(lent.shelf / UNPLUGGED if unplugged else lent.shelf)}
        found.append(Plan(place.name, node_file, _document(place, node_file["cameras"], lent.now_us)))
    return tuple(found)


def _target(path: Path) -> dict[str, str]:
    return {"kind": "directory", "path": str(path)}


def _place(number: int) -> Place:
    place, round_ = PLACES[number % len(PLACES)], number // len(PLACES)
    if not round_:
        return place
    return Place(
        f"{place.name}-{round_ + 1}", place.site, place.latitude, place.longitude, place.timezone, place.weather
    )


def _scripts(places: list[Place], now_us: int) -> dict[str, list[Fault]]:
    by_daylight = sorted(places, key=lambda place: _height_of_sun(place, now_us), reverse=True)
    return {place.name: list(script) for place, script in zip(by_daylight, FAULTS, strict=False)}


def _height_of_sun(place: Place, now_us: int) -> float:
    """Sine of its elevation as at an equinox: good enough to tell day from night, and tropics from poles."""
    degrees_west = now_us / US_PER_HOUR * DEGREES_PER_HOUR - 180
    return math.cos(math.radians(place.latitude)) * math.cos(math.radians(degrees_west + place.longitude))


def _node_file(place: Place, wish: Wish, lent: Setting, faults: list[Fault]) -> dict[str, Any]:
    return {
        "node": {"id": place.name},
        "paths": {name: f"/{name}" for name in FOLDERS},
        "api": {
            "port": 0,
            "insecure_loopback": True,
            "tokens": [
                {"name": f"demo-{role}", "role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()}
                for role, token in lent.tokens.items()
            ],
        },
        "cameras": _cameras(place, wish, faults),
        "clock": {"trusted": True},
        "simulation": {"sun_factor": wish.sun_factor, "sun_from_us": lent.now_us},
    }


def _cameras(place: Place, wish: Wish, faults: list[Fault]) -> dict[str, Any]:
    if wish.frames is not None:
        return {"main": {"backend": "replay", "folder": str(wish.frames)}}
    camera = {
        "backend": "synthetic", "width": WIDTH, "height": HEIGHT, "weather": place.weather,
        "latitude": place.latitude, "longitude": place.longitude,
    }  # fmt: skip
    if place is PLACES[0]:
        return {"north": {**camera, "seed": 1, "faults": faults}, "south": {**camera, "seed": 2}}
    return {"main": {**camera, "seed": 1, "faults": faults}}


def _document(place: Place, cameras: Iterable[str], now_us: int) -> dict[str, Any]:
    return {
        "site": {
            "name": place.site, "latitude": place.latitude, "longitude": place.longitude, "timezone": place.timezone,
        },
        "cameras": {name: {"shot_margin_s": SHOT_MARGIN_S} for name in cameras},
        "schedules": {"demo": {"interval_s": INTERVAL_S, "phase_s": "auto"}, **_windows(place, now_us)},
        "triggers": {"rolling": {"on": "capture", "throttle_s": ROLLING_S, "last_s": ROLLING_S}},
        "render": {"min_frames": MIN_FRAMES},
        "archive": {"targets": {TARGET: {"gather_s": GATHER_S, "breaker": {"failures": 2, "pause_s": 10}}}},
        "jobs": {"retry_s": {"transfer": [5, 10, 20, *([30] * 100)]}},
        "alerts": {"stale_min_s": STALE_S, "unsent_warn_s": 6 * STALE_S},
    }  # fmt: skip


def _windows(place: Place, now_us: int) -> dict[str, Any]:
    """Two short windows by the site's clock, one after the other: each is a shoot that ends with its video."""
    zone = ZoneInfo(place.timezone)
    start = datetime.fromtimestamp(now_us / 1e6 + FIRST_ENDS_S, zone)
    edges = [f"{start + timedelta(minutes=number):%H:%M}" for number in range(3)]
    return {
        name: {
            "interval_s": INTERVAL_S, "phase_s": "auto",
            "window": {"kind": "clock", "start": edges[number], "end": edges[number + 1]},
        }
        for number, name in enumerate(WINDOWS)
    }  # fmt: skip
