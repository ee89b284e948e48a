from __future__ import annotations

from typing import Any, get_args

import pytest

from node.domain.config import JobKind
from node.domain.errors import PayloadInvalid, UnknownKind
from node.domain.job import (
    KINDS,
    LANES,
    LIVE,
    MOVES,
    JobState,
    RenderPayload,
    key_of,
    lease_ms,
    next_delay,
    parse_payload,
)

SHOOT = "main/default/2026-11-18/auto"


def test_every_state_has_its_row_of_moves() -> None:
    assert set(MOVES) == set(JobState)
    ended = {state for state, moves in MOVES.items() if not moves}
    assert ended == {JobState.DONE, JobState.CANCELLED}


def test_only_waiting_jobs_are_leased_and_only_leased_ones_get_done() -> None:
    assert {state for state in JobState if JobState.LEASED in MOVES[state]} == {JobState.QUEUED, JobState.RETRY}
    assert {state for state in JobState if JobState.DONE in MOVES[state]} == {JobState.LEASED}
    assert {state for state in JobState if JobState.DEAD in MOVES[state]} == {JobState.LEASED}


def test_what_is_live_can_end_as_cancelled() -> None:
    assert all(JobState.CANCELLED in MOVES[state] for state in LIVE)


def test_every_kind_has_a_lane_and_may_be_named_in_the_document() -> None:
    assert set(KINDS) == set(get_args(JobKind))
    assert {kind.lane for kind in KINDS.values()} == set(LANES)


def test_derivatives_wait_while_the_disk_is_critical_and_nothing_else_does() -> None:
    assert {name for name, kind in KINDS.items() if kind.derivative} == {"render", "thumbnail", "thumbnail-repair"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_lease_outlives_the_stall_limit_of_its_kind(kind: str) -> None:
    assert lease_ms(kind) >= 1000 * (KINDS[kind].stall_s + 30)
    assert KINDS[kind].stall_s <= KINDS[kind].hard_s


def test_a_kind_of_a_newer_release_has_a_lease_and_delays_too() -> None:
    assert lease_ms("hologram") == 30_000
    assert next_delay("hologram", 1) == 300


@pytest.mark.parametrize(("attempt", "delay_s"), [(1, 300), (2, 900), (3, 3600), (4, None), (9, None)])
def test_a_render_is_tried_again_after_5_15_and_60_minutes(attempt: int, delay_s: float | None) -> None:
    assert next_delay("render", attempt) == delay_s


def test_a_transfer_is_tried_again_hourly_up_to_a_day() -> None:
    delays = [next_delay("transfer", attempt) for attempt in range(1, 40)]
    known = [each for each in delays if each is not None]
    assert known[:3] == [300, 900, 3600]
    assert set(known[3:]) == {3600}
    assert 23 * 3600 <= sum(known) <= 26 * 3600
    assert delays.index(None) == len(known)


@pytest.mark.parametrize(("jitter", "delay_s"), [(-1, 270), (0, 300), (1, 330)])
def test_jitter_moves_a_delay_by_a_tenth(jitter: float, delay_s: float) -> None:
    assert next_delay("render", 1, None, jitter) == pytest.approx(delay_s)


def test_the_documents_delays_stand_instead_of_the_kinds_own() -> None:
    assert [next_delay("render", attempt, [1, 2]) for attempt in (1, 2, 3)] == [1, 2, None]
    assert next_delay("render", 1, []) is None


def test_a_payload_comes_out_typed() -> None:
    payload = parse_payload("render", {"camera": "main", "shoot": SHOOT})
    assert payload == RenderPayload(camera="main", shoot=SHOOT)


@pytest.mark.parametrize(
    ("payload", "paths"),
    [
        ({}, ["camera"]),
        ({"camera": "main"}, ["(payload)"]),
        ({"camera": "main", "shoot": SHOOT, "from_us": 1}, ["(payload)"]),
        ({"camera": "main", "from_us": 1}, ["(payload)"]),
        ({"camera": "main", "from_us": 5, "to_us": 5}, ["(payload)"]),
        ({"camera": "main", "shoot": SHOOT, "fps": 0, "colour": 3}, ["fps", "colour"]),
        ({"camera": "../etc", "shoot": "x" * 301}, ["camera", "shoot"]),
        ({"camera": None, "shoot": 7}, ["camera", "shoot"]),
    ],
)
def test_a_wrong_payload_is_refused_with_the_path_of_each_field(payload: dict[str, Any], paths: list[str]) -> None:
    with pytest.raises(PayloadInvalid) as caught:
        parse_payload("render", payload)
    assert [fault.path for fault in caught.value.fields] == paths


@pytest.mark.parametrize("kind", ["", "Render", "judge" * 100])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    with pytest.raises(UnknownKind, match="there are render"):
        parse_payload(kind, {})


@pytest.mark.parametrize(
    ("kind", "payload", "key"),
    [
        ("render", {"camera": "main", "shoot": SHOOT}, SHOOT),
        ("render", {"camera": "main", "from_us": 1, "to_us": 2}, "main/auto/1/2"),
        ("transfer", {"target": "nas"}, "nas"),
        ("thumbnail-repair", {"camera": "main"}, "main"),
        ("backup", {}, "node"),
        ("restore", {"target": "nas"}, "nas"),
        ("restore", {"target": "nas", "camera": "main"}, "nas/main//"),
        ("verify-archive", {"target": "nas", "from_us": 1, "to_us": 2}, "nas//1/2"),
    ],
)
def test_two_jobs_that_ask_for_the_same_have_the_same_key(kind: str, payload: dict[str, Any], key: str) -> None:
    assert key_of(parse_payload(kind, payload)) == key
