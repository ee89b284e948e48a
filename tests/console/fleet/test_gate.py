"""What a machine's limits make of a large fleet."""

from __future__ import annotations

import asyncio
import resource

import pytest

from console.fleet.gate import AT_ONCE, SPARE, STREAMS_MAX, Gate, raised_limit, room_for


@pytest.mark.parametrize(
    ("nodes", "limit", "streams", "keep", "told"),
    [
        (5000, 20_000, STREAMS_MAX, True, False),
        (10, 1024, STREAMS_MAX, True, False),
        (1000, SPARE + 1000 + 2 * AT_ONCE, STREAMS_MAX, True, False),
        (1000, 1024, STREAMS_MAX, False, True),
        (5000, 256, 48, False, True),
        (5000, 10, 0, False, True),
        (0, 10, STREAMS_MAX, True, False),
    ],
)
def test_fewer_descriptors_make_fewer_streams_and_a_notice(
    nodes: int, limit: int, streams: int, keep: bool, told: bool
) -> None:
    room = room_for(nodes, limit)
    assert (room.streams, room.keep, bool(room.notice)) == (streams, keep, told)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1024, 4096), 1264),
        ((256, 1024), 1024),
        ((20_000, 20_000), 20_000),
        ((256, resource.RLIM_INFINITY), 1264),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 1264),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may(
    limits: tuple[int, int], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: None)
    assert raised_limit(1000) == expected


def test_a_limit_that_may_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raised_limit(1000) == 256


def test_the_gate_lets_no_more_in_than_it_may_and_gives_places_back() -> None:
    async def whole() -> int:
        gate, inside, most = Gate(at_once=3), 0, 0

        async def visit() -> None:
            nonlocal inside, most
            async with gate:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        async with asyncio.timeout(5):
            await asyncio.gather(*(visit() for _ in range(50)))
        return most

    assert asyncio.run(whole()) <= 3


def test_whoever_gives_up_in_the_queue_leaves_its_place() -> None:
    async def whole() -> bool:
        gate = Gate(at_once=1)
        await gate._turn.acquire()
        waiting = asyncio.create_task(gate.__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        gate._turn.release()
        async with asyncio.timeout(1), gate:
            return gate._room.locked()  # by this one alone: there is one place

    assert asyncio.run(whole())
