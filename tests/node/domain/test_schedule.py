"""The calendar against a brute-force scan that asks of every instant whether it is due, by definition."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.almanac import Sun
from node.domain.config import DAYS, Document, Schedule, parse_document
from node.domain.frame import SlotKey
from node.domain.schedule import Calendar, Due
from node.domain.times import US, from_text, to_datetime, to_text

STEP_S = 60
DAY_US = 86400 * US
CAMERAS = ("front", "yard")
PLACES = {
    "berlin": {"latitude": 52.5, "longitude": 13.4, "timezone": "Europe/Berlin"},
    "tromso": {"latitude": 69.65, "longitude": 18.96, "timezone": "Europe/Oslo"},
    "lord-howe": {"latitude": -31.55, "longitude": 159.08, "timezone": "Australia/Lord_Howe"},
    "quito": {"latitude": -0.2, "longitude": -78.5, "timezone": "America/Guayaquil"},
    "fiji-utc": {"latitude": -17.7, "longitude": 178.0, "timezone": "UTC"},
}
# a change of clocks in Berlin and Oslo (both ways), in Lord Howe, a solstice of each kind, and plain days
STARTS = ("2026-03-28T09:00", "2026-10-24T09:00", "2026-04-03T20:00", "2026-06-19T03:00", "2026-12-20T03:00",
          "2026-02-27T13:00")  # fmt: skip


# --- the scan: no code of the product but the sun's own times -------------------------------------------------------


def anchor_us(sun: Sun, edge: dict[str, Any], day: date) -> tuple[int, bool]:
    """Where an edge lies, and whether the sun stays below it; spelled out case by case."""
    offset = edge.get("offset_s", 0) * US
    anchor = edge["anchor"]
    if anchor == "noon":
        return sun.noon_us(day) + offset, False
    rising = anchor in ("sunrise", "civil_dawn")
    height = {"sunrise": -0.833, "sunset": -0.833, "civil_dawn": -6.0, "civil_dusk": -6.0}[anchor]
    crossing = sun.crossing_us(day, height, rising=rising)
    if crossing is not None:
        return crossing + offset, False
    if sun.elevation_deg(sun.noon_us(day)) < height:
        return sun.noon_us(day), True
    return sun.midnight_us(day if rising else day + timedelta(days=1)), False


ORDER = ("civil_dawn", "sunrise", "noon", "sunset", "civil_dusk")


def solar_bounds(sun: Sun, window: dict[str, Any], day: date) -> tuple[int, int] | None:
    overnight = ORDER.index(window["start"]["anchor"]) > ORDER.index(window["end"]["anchor"])
    start, low_start = anchor_us(sun, window["start"], day)
    end, low_end = anchor_us(sun, window["end"], day + timedelta(days=overnight))
    if not overnight and (low_start or low_end):
        if window.get("polar_night", "none") == "none":
            return None
        return sun.noon_us(day) - 3600 * US, sun.noon_us(day) + 3600 * US
    return (start, end) if start < end else None


class Scan:
    """Membership by definition, one instant after the other."""

    def __init__(self, document: dict[str, Any], sun: Sun) -> None:
        self.document = document
        self.sun = sun
        self.zone = ZoneInfo(document["site"]["timezone"])
        self.bounds: dict[tuple[str, date], tuple[int, int] | None] = {}

    def date_of(self, name: str, schedule: dict[str, Any], at: int, shown: datetime) -> date | None:
        """The date of the window that holds the instant; `shown` is the highest time the site's clock has shown."""
        window = schedule.get("window", {"kind": "always"})
        days = [shown.date() + timedelta(days=n) for n in range(-3, 4)]
        holding = [day for day in days if self.holds(name, window, day, at, shown)]
        assert len(holding) <= 1, "windows overlap"
        found = [day for day in holding if DAYS[day.weekday()] in schedule.get("days", DAYS)]
        return found[0] if found else None

    def holds(self, name: str, window: dict[str, Any], day: date, at: int, shown: datetime) -> bool:
        if window["kind"] == "always":
            return shown.date() == day
        if window["kind"] == "clock":
            start = datetime.fromisoformat(f"{day}T{window['start']}")
            end = datetime.fromisoformat(f"{day}T{window['end']}")
            return start <= shown < (end if end > start else end + timedelta(days=1))
        own = self.solar(name, window, day)
        later = [self.solar(name, window, day + timedelta(days=n)) for n in (1, 2, 3)]
        return own is not None and own[0] <= at < own[1] and not any(other and other[0] <= at for other in later)

    def solar(self, name: str, window: dict[str, Any], day: date) -> tuple[int, int] | None:
        if (name, day) not in self.bounds:
            self.bounds[name, day] = solar_bounds(self.sun, window, day)
        return self.bounds[name, day]

    def due(self, camera: str, after: int, until: int) -> dict[tuple[int, str], set[tuple[str, str]]]:
        """By (instant, profile): the schedules that want it, with their shoots."""
        found: dict[tuple[int, str], set[tuple[str, str]]] = defaultdict(set)
        shown = to_datetime(0).replace(tzinfo=None)
        for at in range(after // US - 86400, until // US + 1, STEP_S):
            shown = max(shown, to_datetime(at * US).astimezone(self.zone).replace(tzinfo=None))
            if at * US <= after:
                continue
            for name, schedule in self.document["schedules"].items():
                if (at - schedule["phase_s"]) % schedule["interval_s"] == 0 and self.asks(schedule, camera):
                    day = self.date_of(name, schedule, at * US, shown)
                    for profile in schedule["profiles"] if day else ():
                        found[at * US, profile].add((name, f"{camera}/{name}/{day}/{profile}"))
        return dict(found)

    def asks(self, schedule: dict[str, Any], camera: str) -> bool:
        off = not self.document["cameras"].get(camera, {}).get("enabled", True)
        return schedule.get("enabled", True) and not off and camera in (schedule["cameras"] or CAMERAS)


# --- random documents -----------------------------------------------------------------------------------------------

minutes = st.sampled_from(["00:00", "01:30", "02:00", "02:15", "02:30", "03:00", "08:00", "12:20", "22:00", "23:59"])
edges = st.fixed_dictionaries(
    {"anchor": st.sampled_from(ORDER)}, optional={"offset_s": st.sampled_from([-43200, -7200, -1801, 0, 900, 43200])}
)
windows = st.one_of(
    st.just({"kind": "always"}),
    st.fixed_dictionaries({"kind": st.just("clock"), "start": minutes, "end": minutes}),
    st.fixed_dictionaries(
        {"kind": st.just("solar"), "start": edges, "end": edges, "polar_night": st.sampled_from(["none", "noon"])}
    ),
)
schedules = st.fixed_dictionaries(
    {
        "interval_s": st.sampled_from([600, 900, 1200, 3600, 7200, 21600, 86400]),
        "phase_s": st.sampled_from([0, 0, 300, 660, 3540]),
        "cameras": st.lists(st.sampled_from(CAMERAS), max_size=2, unique=True),
        "profiles": st.lists(st.sampled_from(["auto", "dark", "long"]), min_size=1, max_size=3),
        "priority": st.integers(-2, 2),
        "window": windows,
    },
    optional={
        "days": st.lists(st.sampled_from(DAYS), min_size=1, max_size=6, unique=True),
        "enabled": st.sampled_from([True, True, False]),
    },
)
documents = st.builds(
    lambda place, named, off: {
        "site": PLACES[place],
        "profiles": {"dark": {}, "long": {}},
        "cameras": {"yard": {"enabled": not off}},
        "schedules": named,
    },
    st.sampled_from(sorted(PLACES)),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), schedules, min_size=1, max_size=4),
    st.sampled_from([False, False, False, True]),
)


def calendar_of(document: dict[str, Any], cameras: tuple[str, ...] = CAMERAS, node: str = "node") -> Calendar:
    parsed = parse_document(document)
    return Calendar(parsed, cameras, node, Sun(parsed.site) if parsed.site.latitude is not None else None)


def by_slot(dues: list[Due]) -> dict[tuple[int, str], set[tuple[str, str]]]:
    found = {(due.slot.due_us, due.slot.profile): set(zip(due.schedules, due.shoots, strict=True)) for due in dues}
    assert len(found) == len(dues), "a slot came twice"
    return found


@settings(derandomize=True, database=None, deadline=None, max_examples=80)
@given(documents, st.sampled_from(STARTS), st.integers(0, 3600))
def test_due_slots_are_those_that_a_brute_force_scan_finds(document: dict[str, Any], start: str, late: int) -> None:
    calendar, scan = calendar_of(document), Scan(document, Sun(parse_document(document).site))
    after = from_text(f"{start}:00Z") + late // STEP_S * STEP_S * US
    until = after + 2 * DAY_US
    for camera in CAMERAS:
        dues = list(calendar.due(camera, after, until))
        assert by_slot(dues) == scan.due(camera, after, until)
        assert calendar.count(camera, after, until) == len(dues)
        keys = [(due.slot.due_us, -due.priority, due.slot.profile) for due in dues]
        assert keys == sorted(keys)
        first = calendar.next_due(camera, after)
        assert (first if first and first.slot.due_us <= until else None) == next(iter(dues), None)


@settings(derandomize=True, database=None, deadline=None, max_examples=25)
@given(documents, st.sampled_from(STARTS), st.lists(st.integers(0, 2 * 86400), max_size=4))
def test_due_slots_do_not_depend_on_how_the_time_is_cut(document: dict[str, Any], start: str, cuts: list[int]) -> None:
    calendar, after = calendar_of(document), from_text(f"{start}:00Z")
    borders = sorted({after, after + 2 * DAY_US, *(after + cut * US for cut in cuts)})
    whole = list(calendar.due("front", after, after + 2 * DAY_US))
    assert [due for one, two in pairwise(borders) for due in calendar.due("front", one, two)] == whole
    walked, at = [], after
    while (due := calendar.next_due("front", at)) and due.slot.due_us <= after + 2 * DAY_US:
        walked.append(due.slot.due_us)
        at = due.slot.due_us
    assert walked == sorted({due.slot.due_us for due in whole})


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(documents, st.sampled_from(STARTS))
def test_every_slot_lies_in_the_shoot_that_it_names_and_every_shoot_has_a_slot(
    document: dict[str, Any], start: str
) -> None:
    calendar, after = calendar_of(document), from_text(f"{start}:00Z")
    shoots = list(calendar.occurrences("front", after, after + 4 * DAY_US))
    named = {shoot.shoot: shoot for shoot in shoots}
    assert len(named) == len(shoots), "two shoots of one name"
    assert [s.start_us for s in shoots] == sorted(s.start_us for s in shoots)
    seen = set()
    for due in calendar.due("front", after, after + 4 * DAY_US):
        for name, shoot in zip(due.schedules, due.shoots, strict=True):
            assert named[shoot].start_us <= due.slot.due_us < named[shoot].end_us
            assert (named[shoot].schedule, named[shoot].profile) == (name, due.slot.profile)
            seen.add(shoot)
        assert calendar.interval_s("front", due.slot.due_us) <= due.interval_s
    whole = {s.shoot for s in shoots if s.start_us > after and s.end_us <= after + 4 * DAY_US}
    assert whole <= seen


# --- by example -----------------------------------------------------------------------------------------------------

START = from_text("2026-05-04T00:00:00Z")  # a Monday


def dues(document: dict[str, Any], camera: str = "front", hours: float = 1) -> list[Due]:
    return list(calendar_of(document).due(camera, START - 1, START - 1 + round(hours * 3600) * US))


def test_an_empty_document_asks_every_camera_each_minute() -> None:
    found = dues({})
    assert len(found) == 60
    assert found[0] == Due(
        SlotKey("front", "auto", START), ("default",), ("front/default/2026-05-04/auto",), 60, 0, 10 * US
    )


def test_an_instant_that_two_schedules_want_is_one_slot_tagged_with_both() -> None:
    found = dues({"schedules": {"slow": {"interval_s": 1800, "priority": 3}, "fast": {"interval_s": 600}}})
    assert [due.schedules for due in found[:4]] == [("fast", "slow"), ("fast",), ("fast",), ("fast", "slow")]
    assert (found[0].interval_s, found[0].priority) == (600, 3)
    assert found[0].shoots == ("front/fast/2026-05-04/auto", "front/slow/2026-05-04/auto")


def test_several_profiles_of_an_instant_go_by_priority_then_name_and_share_its_grace() -> None:
    document = {
        "profiles": {"dark": {}, "bright": {}},
        "schedules": {
            "main": {"interval_s": 600, "profiles": ["dark", "auto"]},
            "extra": {"interval_s": 4, "profiles": ["bright", "dark"], "priority": 1},
        },
    }
    found = [due for due in dues(document) if due.slot.due_us == START]
    assert [(due.slot.profile, due.priority) for due in found] == [("bright", 1), ("dark", 1), ("auto", 0)]
    assert {due.grace_us for due in found} == {2 * US}


@pytest.mark.parametrize(("interval_s", "grace_us"), [(1, US // 2), (5, 5 * US // 2), (20, 10 * US), (86400, 10 * US)])
def test_grace_is_half_an_interval_and_ten_seconds_at_most(interval_s: int, grace_us: int) -> None:
    assert dues({"schedules": {"s": {"interval_s": interval_s}}})[0].grace_us == grace_us


def test_a_profile_named_twice_is_shot_once() -> None:
    assert len(dues({"schedules": {"s": {"interval_s": 3600, "profiles": ["auto", "auto"]}}})) == 1


def test_automatic_phases_spread_nodes_and_stay() -> None:
    document = {"schedules": {"s": {"interval_s": 600, "phase_s": "auto"}}}
    firsts = [
        calendar_of(document, node=f"cam-{n}").next_due("front", START).slot.due_us  # type: ignore[union-attr]
        for n in range(20)
    ]
    assert len(set(firsts)) > 15
    assert firsts[3] == calendar_of(document, node="cam-3").next_due("front", START).slot.due_us  # type: ignore[union-attr]


def test_a_disabled_camera_an_unknown_one_and_a_disabled_schedule_ask_for_nothing() -> None:
    document = {"cameras": {"yard": {"enabled": False}}}
    assert dues(document, "yard") == dues(document, "nowhere") == []
    assert dues({"schedules": {"s": {"enabled": False}}}) == []
    calendar = calendar_of(document)
    assert calendar.next_due("yard", START) is None
    assert calendar.interval_s("yard", START) is None
    assert list(calendar.occurrences("yard", START, START + DAY_US)) == []


def test_the_interval_is_the_shortest_of_the_open_windows_and_none_outside_them() -> None:
    office = {"kind": "clock", "start": "08:00", "end": "17:00"}
    noon = {"kind": "clock", "start": "12:00", "end": "13:00"}
    calendar = calendar_of({"schedules": {"a": {"interval_s": 600, "window": office}, "b": {"window": noon}}})
    hours = {hour: calendar.interval_s("front", START + hour * 3600 * US) for hour in (7, 8, 12, 13, 17)}
    assert hours == {7: None, 8: 600, 12: 60, 13: 600, 17: None}


def test_an_always_schedule_has_one_shoot_a_site_day() -> None:
    document = {"site": {"timezone": "Europe/Berlin"}, "schedules": {"s": {"interval_s": 3600}}}
    change = from_text("2026-10-24T22:00:00Z")
    (shoot,) = calendar_of(document).occurrences("front", change, change + 3600 * US)
    assert (shoot.shoot, shoot.date) == ("front/s/2026-10-25/auto", "2026-10-25")
    assert shoot.end_us - shoot.start_us == 25 * 3600 * US


def test_site_dates_and_days_are_those_of_the_sites_clock() -> None:
    calendar = calendar_of({"site": {"timezone": "Pacific/Auckland"}})
    assert calendar.date_of(from_text("2026-05-04T12:00:00Z")) == date(2026, 5, 5)
    assert [to_text(at) for at in calendar.day_us(date(2026, 5, 5))] == [
        "2026-05-04T12:00:00.000Z", "2026-05-05T12:00:00.000Z",
    ]  # fmt: skip


def test_half_a_year_is_walked_slot_by_slot() -> None:
    solar = {"kind": "solar", "start": {"anchor": "sunrise"}, "end": {"anchor": "sunset"}}
    calendar = calendar_of(
        {
            "site": PLACES["berlin"],
            "schedules": {"all": {"interval_s": 600}, "day": {"interval_s": 600, "window": solar}},
        }
    )
    at, slots = START, 0
    while (due := calendar.next_due("front", at)) and due.slot.due_us <= START + 180 * DAY_US:
        at, slots = due.slot.due_us, slots + 1
    assert slots == 180 * 144


# --- check ----------------------------------------------------------------------------------------------------------


def faults(document: dict[str, Any]) -> dict[str, str]:
    return {fault.path: fault.message for fault in calendar_of(document).check(START)}


def test_a_sound_document_has_no_faults() -> None:
    solar = {"kind": "solar", "start": {"anchor": "sunrise"}, "end": {"anchor": "sunset"}}
    assert faults({}) == {}
    assert faults({"site": PLACES["tromso"], "schedules": {"s": {"window": solar, "cameras": ["yard"]}}}) == {}


def test_cameras_that_node_yml_does_not_name_are_faults_with_their_paths() -> None:
    found = faults({"cameras": {"roof": {}}, "schedules": {"s": {"cameras": ["front", "attic"]}}})
    assert set(found) == {"cameras.roof", "schedules.s.cameras.1"}
    assert "front, yard" in found["cameras.roof"]


def test_a_solar_window_without_coordinates_is_a_fault() -> None:
    solar = {"kind": "solar", "start": {"anchor": "sunrise"}, "end": {"anchor": "sunset"}}
    assert "site.latitude" in faults({"schedules": {"s": {"window": solar}}})["schedules.s.window"]


@pytest.mark.parametrize(
    "schedule",
    [
        {"interval_s": 3600, "phase_s": 1800, "window": {"kind": "clock", "start": "12:00", "end": "12:10"}},
        {"window": {"kind": "solar", "start": {"anchor": "sunset"}, "end": {"anchor": "sunset"}}},
        {
            "window": {
                "kind": "solar",
                "start": {"anchor": "elevation_rising", "elevation_deg": 60},
                "end": {"anchor": "elevation_setting", "elevation_deg": 60},
            }
        },
    ],
)
def test_a_schedule_that_never_fires_is_a_fault_unless_it_is_off(schedule: dict[str, Any]) -> None:
    document = {"site": PLACES["tromso"], "schedules": {"s": schedule}}
    assert set(faults(document)) == {"schedules.s"}
    assert calendar_of(document).next_due("front", START) is None
    document["schedules"]["s"] = schedule | {"enabled": False}
    assert faults(document) == {}


def test_the_next_slot_may_be_months_away() -> None:
    dark = {
        "kind": "solar",
        "start": {"anchor": "elevation_setting", "elevation_deg": -18},
        "end": {"anchor": "elevation_rising", "elevation_deg": -18},
    }
    calendar = calendar_of({"site": PLACES["tromso"], "schedules": {"s": {"window": dark}}})
    due = calendar.next_due("front", START)
    assert due is not None
    assert to_text(due.slot.due_us) > "2026-08-01"


def test_a_sun_that_runs_faster_has_several_shoots_a_day_each_of_its_own_name() -> None:
    document = Document.model_validate(
        {
            "site": PLACES["quito"],
            "schedules": {
                "s": Schedule.model_validate(
                    {
                        "interval_s": 10,
                        "window": {"kind": "solar", "start": {"anchor": "sunrise"}, "end": {"anchor": "sunset"}},
                    }
                )
            },
        }
    )
    calendar = Calendar(document, CAMERAS, "node", Sun(document.site, factor=144, from_us=START))
    shoots = list(calendar.occurrences("front", START, START + 3600 * US))
    assert 5 <= len(shoots) <= 7
    assert len({shoot.shoot for shoot in shoots}) == len(shoots)
    found = list(calendar.due("front", START, START + 3600 * US))
    assert 160 <= len(found) <= 200
    assert calendar.check(START) == ()
