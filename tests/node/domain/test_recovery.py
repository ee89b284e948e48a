from __future__ import annotations

import pytest

from node.domain import recovery
from node.domain.errors import REGISTRY, CameraBusy, CameraError, CameraFault, CameraLost, CameraTimeout
from node.domain.recovery import OPENING, RECOVERY, Course, Limits, Place, Rung


def rungs(place: Place, count: int) -> list[tuple[Rung, int, float]]:
    taken = []
    for _ in range(count):
        taken.append((place.step.rung, place.attempt, place.step.wait_s))
        place = place.climb()
    return taken


@pytest.mark.parametrize("error", [CameraTimeout, CameraFault, CameraLost])
def test_a_dead_camera_goes_to_the_ladder_at_once(error: type[CameraError]) -> None:
    assert recovery.course(error()) is Course.AT_ONCE


def test_a_camera_that_still_answers_is_counted() -> None:
    assert recovery.course(CameraBusy()) is Course.COUNTED


def test_an_error_that_the_table_does_not_know_counts_as_a_dead_camera() -> None:
    assert recovery.course(REGISTRY["DSK-004"]()) is Course.AT_ONCE


def test_the_ladder_reopens_once_then_respawns_with_back_off_then_goes_offline() -> None:
    assert rungs(Place(RECOVERY), 8) == [
        (Rung.REOPEN, 1, 0.0),
        (Rung.RESPAWN, 1, 0.0),
        (Rung.RESPAWN, 2, 2.0),
        (Rung.RESPAWN, 3, 5.0),
        (Rung.RESPAWN, 4, 10.0),
        (Rung.RESPAWN, 5, 20.0),
        (Rung.OFFLINE, 1, 45.0),
        (Rung.OFFLINE, 2, 45.0),
    ]


def test_opening_is_tried_three_times_more_with_back_off_from_five_seconds() -> None:
    assert [entry[2] for entry in rungs(Place(OPENING), 5)] == [0.0, 5.0, 10.0, 20.0, 45.0]


def test_a_worker_that_is_gone_is_not_asked_to_reopen() -> None:
    assert recovery.start(worker_alive=False, earlier=0).step.rung is Rung.RESPAWN


def test_reopening_that_did_not_help_before_is_not_tried_again() -> None:
    assert recovery.start(worker_alive=True, earlier=0).step.rung is Rung.REOPEN
    assert recovery.start(worker_alive=True, earlier=1).step.rung is Rung.RESPAWN


def test_patience_doubles_up_to_a_bound() -> None:
    limits = Limits()
    assert [recovery.patience(limits, earlier) for earlier in (0, 1, 2, 6, 60)] == [10, 20, 40, 640, 640]


def test_offline_tries_are_told_ever_more_rarely() -> None:
    place = Place(RECOVERY).top()
    told = []
    for _ in range(40):
        if recovery.worth_telling(place):
            told.append(place.attempt)
        place = place.climb()
    assert told == [1, 2, 4, 8, 16, 32]


def test_the_top_is_offline_and_stays_there() -> None:
    place = Place(RECOVERY, 2).top()
    assert (place.step.rung, place.attempt) == (Rung.OFFLINE, 1)
    assert place.top().attempt == 2


@pytest.mark.parametrize(
    ("settle", "requested", "previous", "expected"),
    [(2, None, None, 6 / 30 + 5), (0, 1.0, None, 4 + 5), (2, None, 2.0, 12 + 5), (2, 0.001, 0.5, 3 + 5)],
)
def test_a_shots_deadline_covers_the_pipeline_at_the_longest_exposure(
    settle: int, requested: float | None, previous: float | None, expected: float
) -> None:
    assert recovery.shot_deadline_s(Limits(), settle, requested, previous, 5.0) == pytest.approx(expected)
