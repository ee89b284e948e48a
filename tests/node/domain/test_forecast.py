"""The dry run: what is counted is what would be due, and the day the disk is full."""

from __future__ import annotations

import json

import pytest

from node.almanac import Sun
from node.domain.config import parse_document
from node.domain.forecast import Room, forecast, room_of
from node.domain.schedule import Calendar
from node.domain.times import US, from_text

DAY_US = 86400 * US
START = from_text("2026-03-27T11:00:00Z")  # two days before the clocks go forward in Berlin
CAMERAS = ("front", "yard")
SUNNY = {"kind": "solar", "start": {"anchor": "sunrise"}, "end": {"anchor": "sunset"}}
SITE = {"latitude": 52.5, "longitude": 13.4, "timezone": "Europe/Berlin"}


def calendar(schedules: dict[str, object], profiles: dict[str, object] | None = None) -> Calendar:
    document = parse_document({"site": SITE, "profiles": profiles or {}, "schedules": schedules})
    return Calendar(document, CAMERAS, "node", Sun(document.site))


def test_frames_are_the_slots_that_will_be_due_and_bytes_follow_from_their_size() -> None:
    found = calendar(
        {
            "day": {"interval_s": 60, "window": SUNNY, "profiles": ["auto", "dark"], "cameras": ["front"]},
            "all": {"interval_s": 90},
        },
        {"dark": {}},
    )
    plan = forecast(found, CAMERAS, START, 5, Room(frame_bytes=1000))
    end = found.day_us(found.date_of(START + 4 * DAY_US))[1]
    due = {camera: len(list(found.due(camera, START - 1, end - 1))) for camera in CAMERAS}
    assert plan.frames_by_camera == due
    assert plan.frames == sum(day.frames for day in plan.days) == sum(due.values())
    assert plan.size_bytes == plan.frames * 1000
    assert plan.full_in_days is None


def test_the_first_day_is_what_is_left_of_it_and_days_follow_the_sites_clock() -> None:
    plan = forecast(calendar({"s": {"interval_s": 3600}}), ["front"], START, 4, Room(1))
    assert [(day.date, day.frames) for day in plan.days] == [
        ("2026-03-27", 12), ("2026-03-28", 24), ("2026-03-29", 23), ("2026-03-30", 24),
    ]  # fmt: skip


def test_a_day_lists_the_windows_that_start_in_it_and_the_first_those_that_are_open() -> None:
    night = {"kind": "clock", "start": "22:00", "end": "04:00"}
    found = calendar({"sun": {"window": SUNNY, "profiles": ["auto", "dark"]}, "night": {"window": night}}, {"dark": {}})
    plan = forecast(found, ["front"], START, 2, Room(1))
    listed = [[(window.schedule, window.profiles, window.start[:16]) for window in day.windows] for day in plan.days]
    assert listed == [
        [("sun", ("auto", "dark"), "2026-03-27T04:52"), ("night", ("auto",), "2026-03-27T21:00")],
        [("sun", ("auto", "dark"), "2026-03-28T04:50"), ("night", ("auto",), "2026-03-28T21:00")],
    ]


@pytest.mark.parametrize(
    ("free", "days"),
    [(0, 0), (-5, 0), (12, 0.5), (12 + 24, 1.5), (12 + 6, 0.75), (12 + 24 + 23 + 24, 3.4583), (84, None)],
)
def test_the_disk_is_full_when_its_free_bytes_are_used(free: int, days: float | None) -> None:
    found = calendar({"s": {"interval_s": 3600}})
    plan = forecast(found, ["front"], START, 4, Room(1, free))
    lasts = "beyond these" if days is None else f"{days:.1f}"
    assert plan.lines(found.zone)[-1].endswith(f"; disk lasts {lasts} days")
    assert plan.full_in_days == (days if days is None else pytest.approx(days, abs=0.001))


@pytest.mark.parametrize(
    ("given", "measured", "size", "how"),
    [
        (1000, 47_000.4, 1000, "given"),
        (None, 47_000.4, 47_000, "measured"),
        (None, 0.2, 1, "measured"),
        (None, None, 2_000_000, "assumed"),
    ],
)
def test_the_size_of_a_frame_is_given_or_measured_or_assumed(
    given: int | None, measured: float | None, size: int, how: str
) -> None:
    assert room_of(given, measured, 5) == Room(size, 5, how)  # type: ignore[arg-type]  # the literal, by parameters


@pytest.mark.parametrize(
    ("size", "shown"),
    [(47_400, "1.1 MB at 47 kB"), (2_000_000, "48.0 MB at 2.0 MB"), (99_900_000, "2.4 GB at 99.9 MB")],
)
def test_the_sums_say_by_which_size_of_a_frame(size: int, shown: str) -> None:
    found = calendar({"s": {"interval_s": 3600}})
    midnight_us = START + DAY_US // 2
    plan = forecast(found, ["front"], midnight_us, 1, Room(size, None, "assumed"))
    sums = f"1 days: 24 frames (front 24), {shown} a frame, assumed"
    assert plan.lines(found.zone)[-1] == f"{sums}; free space is not known"
    assert (plan.as_json()["frame_bytes"], plan.as_json()["frame_bytes_are"]) == (size, "assumed")


def test_a_plan_is_json_and_a_year_of_seconds_costs_little() -> None:
    schedules: dict[str, object] = {
        "second": {"interval_s": 1},
        "sun": {"interval_s": 7, "window": SUNNY},
        "slow": {"interval_s": 600},
    }
    plan = forecast(calendar(schedules), CAMERAS, START, 365, Room(2_000_000, 10**14))
    assert len(plan.days) == 365
    assert json.loads(json.dumps(plan.as_json()))["days"][1]["frames"] == 2 * 86400


def test_a_camera_without_slots_plans_nothing() -> None:
    plan = forecast(calendar({"s": {"cameras": ["yard"]}}), ["front"], START, 3, Room(1, 0))
    assert (plan.frames, plan.full_in_days) == (0, None)
    assert all(day.windows == () for day in plan.days)
