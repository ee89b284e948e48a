from __future__ import annotations

import asyncio

import pytest

from node.api.access import Access
from node.api.limits import TOLD_EVERY_S
from node.domain.errors import DatabaseBusy
from node.domain.events import AccessRefused
from tests.clocks import JumpClock


def test_what_waits_is_told_without_another_attempt() -> None:
    async def play() -> None:
        for _ in range(4):
            access.turned_away("a", "SEC-005")
        clock.advance(TOLD_EVERY_S)
        access.look()
        await access.close()

    clock, told = JumpClock(), list[AccessRefused]()
    access = Access(told.append, clock.monotonic)
    asyncio.run(play())
    assert told == [AccessRefused("a", "SEC-005", 1), AccessRefused("a", "SEC-005", 3)]


def test_at_the_end_all_is_told() -> None:
    async def play() -> None:
        await access.refused("a", "API-001")
        assert told == [AccessRefused("a", "API-001", 1)]
        await access.refused("a", "API-001")
        await access.close()

    told = list[AccessRefused]()
    access = Access(told.append, JumpClock().monotonic)
    asyncio.run(play())
    assert told[1:] == [AccessRefused("a", "API-001", 1)]


def test_what_cannot_be_written_down_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: AccessRefused) -> None:
        raise DatabaseBusy("locked")

    async def play() -> None:
        access.turned_away("a", "SEC-005")
        await access.close()

    access = Access(fails, JumpClock().monotonic)
    asyncio.run(play())
    assert "refused access not recorded" in caplog.text
