from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from node.domain.errors import LeaseHeld
from node.domain.lease import LONGEST_S, Lease, Moment, Wish, from_json, refuse_others, taken, to_json
from node.domain.times import US

NOON = 1_795_089_600 * US
PUSH, OTHER = "push-20261119T120000Z-1f2e@ops1", "rollout-20261119T120001Z-77aa@ops2"


def at(seconds: float, *, boot: str = "a", wall: float | None = None) -> Moment:
    return Moment(NOON + round((seconds if wall is None else wall) * US), boot, 1000.0 + seconds)


def wish(owner: str = PUSH, ttl_s: int = 60) -> Wish:
    return Wish(owner, "Ann pushes the winter exposure", "ann", ttl_s)


def test_a_lease_lasts_for_as_long_as_was_asked_and_then_is_nobodys() -> None:
    lease = taken(None, wish(), at(0))
    assert (lease.owner, lease.by, lease.taken_us, lease.until_us) == (PUSH, "ann", NOON, NOON + 60 * US)
    assert lease.as_of(at(59.9)) is not None
    assert lease.as_of(at(60)) is None


def test_a_step_of_the_wall_clock_neither_ends_nor_prolongs_it_and_its_end_is_said_anew() -> None:
    lease = taken(None, wish(), at(0))
    for wall in (-86_400.0, 86_400.0):
        seen = lease.as_of(at(30, wall=wall))
        assert seen is not None
        assert seen.until_us == NOON + round((wall + 30) * US)
        assert lease.as_of(at(61, wall=wall)) is None


def test_small_drifts_do_not_move_the_end_that_is_shown() -> None:
    lease = taken(None, wish(), at(0))
    seen = lease.as_of(at(10, wall=10.4))
    assert seen is not None
    assert seen.until_us == lease.until_us


def test_after_a_boot_it_lasts_by_the_wall_clock_and_never_longer_than_was_asked_for() -> None:
    lease = taken(None, wish(), at(0))
    assert lease.left_s(at(-900, boot="b", wall=20)) == 40
    assert lease.left_s(at(-900, boot="b", wall=61)) == 0
    assert lease.left_s(at(-900, boot="b", wall=-86_400)) == 60


def test_ones_own_is_renewed_and_keeps_when_it_was_taken() -> None:
    first = taken(None, wish(), at(0))
    again = taken(first, wish(ttl_s=120), at(50))
    assert (again.taken_us, again.until_us) == (first.taken_us, NOON + 170 * US)
    assert taken(first, wish(), at(70)).taken_us == NOON + 70 * US


def test_anothers_is_refused_with_owner_message_and_end_until_it_is_over() -> None:
    first = taken(None, wish(), at(0))
    with pytest.raises(LeaseHeld) as error:
        taken(first, wish(OTHER), at(59))
    assert error.value.holder == {
        "owner": PUSH, "message": "Ann pushes the winter exposure", "until": "2026-11-19T12:01:00.000Z",
    }  # fmt: skip
    assert all(word in str(error.value) for word in error.value.holder.values())
    assert taken(first, wish(OTHER), at(60)).owner == OTHER


def test_only_the_owner_may_go_on_while_it_is_held() -> None:
    lease = taken(None, wish(), at(0))
    refuse_others(lease, PUSH)
    refuse_others(None, "")
    for owner in ("", OTHER, PUSH.upper()):
        with pytest.raises(LeaseHeld):
            refuse_others(lease, owner)


def test_what_is_written_is_read_again() -> None:
    lease = taken(None, wish(), at(0))
    assert from_json(to_json(lease)) == lease
    newer = json.dumps({**asdict(lease), "moon": "full"}).encode()
    assert from_json(newer) == lease


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": ""}, {"owner": 7}, {"owner": "a b"}, {"message": None}, {"message": "x" * 201},
        {"ttl_s": LONGEST_S + 1}, {"ttl_s": 0}, {"ttl_s": "60"}, {"until_s": float("nan")}, {"until_s": float("inf")},
        {"until_us": 10**18}, {"taken_us": -1}, {"boot": ["a"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_file_that_holds_no_lease_binds_nobody(changes: dict[str, object]) -> None:
    good: Lease = taken(None, wish(), at(0))
    assert from_json(json.dumps({**asdict(good), **changes}).encode()) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"{}"], ids=repr)
def test_bytes_that_are_no_lease_bind_nobody(data: bytes) -> None:
    assert from_json(data[:200_000]) is None


def test_the_end_is_never_beyond_what_was_asked_for() -> None:
    lease = replace(taken(None, wish(), at(0)), until_s=10**9)
    assert lease.left_s(at(0)) == 60
