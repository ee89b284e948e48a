"""What the demo writes for its nodes is what the nodes take."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from console.demo.places import FAULTS, FIRST_ENDS_S, INTERVAL_S, PLACES, WINDOWS, Plan, Setting, Wish, plans
from node.almanac import Sun
from node.domain.config import Document, parse_document
from node.domain.nodefile import NodeFile, check_bind
from node.domain.schedule import Calendar
from node.domain.times import US

NOON_GREENWICH_US = 1_800_000_000_000_000 // 86_400_000_000 * 86_400_000_000 + 12 * 3_600_000_000
SHELF = Path("/shelf")
TOKENS = {"viewer": "v-token", "admin": "a-token"}


def made(**wish: Any) -> list[tuple[Plan, NodeFile, Document]]:
    found = plans(Wish(**{"nodes": 5, **wish}), Setting(TOKENS, NOON_GREENWICH_US, SHELF))
    return [(plan, NodeFile.model_validate(plan.node_file), parse_document(plan.document)) for plan in found]


@pytest.mark.parametrize(
    "wish", [{}, {"nodes": 32}, {"faults": True, "nodes": 8}, {"frames": Path("/photos")}, {"sun_factor": 600.0}]
)
def test_both_files_of_every_node_are_valid_and_name_the_same_cameras(wish: dict[str, Any]) -> None:
    for plan, node_file, document in made(**wish):
        assert node_file.node.id == plan.name
        assert set(document.cameras) == set(node_file.cameras)
        check_bind(node_file.api)
        assert node_file.api.port == 0


def test_nodes_stand_in_different_places_under_different_weathers() -> None:
    found = made()
    assert len({document.site.timezone for _, _, document in found}) == 5
    weathers = {
        camera.weather for _, file, _ in found for camera in file.cameras.values() if hasattr(camera, "weather")
    }
    assert len(weathers) >= 4


def test_every_timezone_of_the_table_is_one() -> None:
    assert [document.site.timezone for _, _, document in made(nodes=len(PLACES))] == [one.timezone for one in PLACES]


def test_more_nodes_than_places_get_names_of_their_own() -> None:
    names = [plan.name for plan, _, _ in made(nodes=20)]
    assert len(set(names)) == 20
    assert names[8] == "reykjavik-2"


def test_one_node_has_two_cameras() -> None:
    assert sorted(len(file.cameras) for _, file, _ in made()) == [1, 1, 1, 1, 2]


def test_the_files_hold_the_hashes_of_the_tokens_and_not_the_tokens() -> None:
    plan, node_file, _ = made()[0]
    assert {token.role: token.sha256 for token in node_file.api.tokens} == {
        role: hashlib.sha256(token.encode()).hexdigest() for role, token in TOKENS.items()
    }
    assert "token" not in str(plan.node_file["cameras"])
    assert all(token not in str(plan.node_file) for token in TOKENS.values())


def faults_of(file: NodeFile) -> list[str]:
    return [fault.kind for camera in file.cameras.values() for fault in getattr(camera, "faults", [])]


def test_faults_are_given_to_some_nodes_a_script_each_and_daylight_goes_black() -> None:
    kinds = {plan.name: faults_of(file) for plan, file, _ in made(faults=True)}
    assert sorted(filter(None, kinds.values())) == sorted([fault["kind"] for fault in script] for script in FAULTS)
    assert kinds["nairobi"] == ["half_grey", "black"]
    assert [] in kinds.values()


def test_every_script_begins_within_fifteen_seconds() -> None:
    assert all(min(fault["after_shots"] for fault in script) * INTERVAL_S < 15 for script in FAULTS)


def test_without_being_asked_nothing_fails() -> None:
    assert all(faults_of(file) == [] for _, file, _ in made())


def test_photographs_take_the_place_of_every_made_sky() -> None:
    for _, file, _ in made(frames=Path("/photos")):
        assert [(camera.backend, camera.folder) for camera in file.cameras.values() if camera.backend == "replay"] == [
            ("replay", "/photos")
        ]


def test_the_sun_runs_faster_from_now_on() -> None:
    for _, file, _ in made(sun_factor=60.0):
        assert (file.simulation.sun_factor, file.simulation.sun_from_us) == (60.0, NOON_GREENWICH_US)


def test_every_node_sends_to_the_shelf_and_with_faults_one_to_a_folder_that_is_none() -> None:
    def shelves(**wish: Any) -> list[str]:
        return [target.path for _, file, _ in made(**wish) for target in file.archive.values()]

    assert shelves() == ["/shelf"] * 5
    assert shelves(faults=True) == [*["/shelf"] * 4, "/shelf/unplugged"]


def test_without_a_second_file_system_there_is_no_archive() -> None:
    for plan in plans(Wish(nodes=2), Setting(TOKENS, NOON_GREENWICH_US)):
        assert NodeFile.model_validate(plan.node_file).archive == {}


@pytest.mark.parametrize("second", [0, 24, 26, 59])
def test_two_windows_of_a_minute_follow_each_other_and_enough_is_left_of_the_first(second: int) -> None:
    now_us = NOON_GREENWICH_US + second * US
    for plan in plans(Wish(nodes=8), Setting(TOKENS, now_us)):
        document = parse_document(plan.document)
        calendar = Calendar(document, ("main",), plan.name, Sun(document.site))
        shoots = list(calendar.occurrences("main", now_us, now_us + 4 * 60 * US))
        first, other = (next(each for each in shoots if each.schedule == name) for name in WINDOWS)
        assert FIRST_ENDS_S * US <= first.end_us - now_us < (FIRST_ENDS_S + 60) * US
        assert first.end_us == first.start_us + 60 * US == other.start_us == other.end_us - 60 * US
        taken = list(calendar.due("main", max(first.start_us, now_us + 9 * US) - 1, first.end_us - 1))
        assert len(taken) >= document.render.min_frames
        assert all(first.shoot in due.shoots for due in taken), "the frames of the day serve the window too"
