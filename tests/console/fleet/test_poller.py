"""Pollers and listeners against real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from console.fleet.client import NodeClient
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.summary import as_json, counts, exit_status, oldest_s, worst_first
from console.fleet.view import Patience, Word
from node.wire.errors import NodeAnswerWrong
from node.wire.status import NodeStatus

SOON = Patience(poll_s=0.05)
NOBODY = Host("tromso", "127.0.0.1", 1, "http")


async def until(holds: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.01)


def run(fleet_of: Callable[[], Fleet], story: Callable[[Fleet], Awaitable[None]]) -> Fleet:
    async def whole() -> Fleet:
        fleet = fleet_of()
        running = asyncio.create_task(fleet.run())
        try:
            await story(fleet)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return fleet

    return asyncio.run(whole())


def test_nodes_are_polled_again_and_again(start_node: Callable[..., Any]) -> None:
    fake = start_node()

    async def story(fleet: Fleet) -> None:
        await until(lambda: fleet.model.word("reykjavik") is Word.OK)
        fake.says(state="crit")
        await until(lambda: fleet.model.word("reykjavik") is Word.CRIT)
        fake.body = b"nonsense"
        await until(lambda: fleet.model.word("reykjavik") is Word.GARBLED)
        fake.says()
        await until(lambda: fleet.model.word("reykjavik") is Word.OK)

    run(lambda: Fleet([fake.host], patience=SOON), story)


def test_one_silent_node_does_not_hold_up_the_others(start_node: Callable[..., Any]) -> None:
    fake = start_node()

    async def story(fleet: Fleet) -> None:
        await until(lambda: fleet.model.word("tromso") is Word.UNREACHABLE)
        await until(lambda: fleet.model.word("reykjavik") is Word.OK)

    run(lambda: Fleet([fake.host, NOBODY], patience=SOON), story)


def test_an_event_brings_the_next_poll_forward(start_node: Callable[..., Any]) -> None:
    fake = start_node()

    async def story(fleet: Fleet) -> None:
        await until(lambda: fleet.model.word("reykjavik") is Word.OK)
        fake.says(state="warn")
        fake.tells(1, "gap", camera="main", reason="timeout")
        await until(lambda: fleet.model.word("reykjavik") is Word.WARN)

    fleet = run(lambda: Fleet([fake.host], patience=Patience(poll_s=3600)), story)
    assert [one.event.kind for one in fleet.model.happenings] == ["gap"]


def test_a_broken_stream_is_taken_up_where_it_ended(start_node: Callable[..., Any]) -> None:
    fake = start_node()

    async def story(fleet: Fleet) -> None:
        fake.tells(41, "gap")
        await until(lambda: fleet.model.told == 1)
        fake.events.put(None)
        fake.tells(42, "gap")
        await until(lambda: fleet.model.told == 2)

    run(lambda: Fleet([fake.host], patience=SOON), story)
    asked = [headers["Last-Event-ID"] for path, headers in fake.asked if path == "/v1/events"]
    assert asked == ["0", "41"]


def test_something_unforeseen_is_shown_in_the_nodes_row_and_polling_goes_on() -> None:
    class Odd(NodeClient):
        asked = 0

        async def status(self) -> NodeStatus:
            Odd.asked += 1
            raise ZeroDivisionError

        def events(self, after: int) -> Any:
            raise ZeroDivisionError

    async def story(fleet: Fleet) -> None:
        await until(lambda: fleet.model.word("tromso") is Word.GARBLED and Odd.asked > 3)

    fleet = run(lambda: Fleet([NOBODY], patience=SOON, connect=Odd), story)
    error = fleet.model.views["tromso"].error
    assert isinstance(error, NodeAnswerWrong)
    assert "ZeroDivisionError" in error.detail


def once(*hosts: Host) -> Fleet:
    async def whole() -> Fleet:
        fleet = Fleet(hosts, patience=Patience(failed=1))
        await fleet.ask_once()
        return fleet

    return asyncio.run(whole())


def test_a_summary_counts_sorts_and_judges(start_node: Callable[..., Any]) -> None:
    sick, well = start_node("nairobi", state="crit"), start_node("cusco")
    model = once(well.host, NOBODY, sick.host).model
    assert counts(model) == {Word.CRIT: 1, Word.UNREACHABLE: 1, Word.OK: 1}
    assert worst_first(model) == ["nairobi", "tromso", "cusco"]
    assert oldest_s(model) is None
    assert exit_status(model) == 2


def test_the_exit_status_is_the_worst_state(start_node: Callable[..., Any]) -> None:
    assert exit_status(once(start_node("a").host, start_node("b", state="warn").host).model) == 1
    well = once(start_node("c").host).model
    assert exit_status(well) == 0
    assert 0 <= (oldest_s(well) or 0.0) < 5


def test_the_summary_is_json_even_where_a_node_says_nan(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    fake.body = fake.body.replace(b'"last_good_age_s": 7.0', b'"last_good_age_s": NaN')
    node = as_json(once(fake.host, NOBODY).model)["nodes"][1]
    assert (node["state"], node["last_good_age_s"], node["error"]) == ("ok", None, None)
    assert node["status"]["cameras"][0]["last_good_age_s"] is None


def test_the_summary_names_code_and_hint_of_a_node_that_does_not_answer() -> None:
    node = as_json(once(NOBODY).model)["nodes"][0]
    assert (node["status"], node["error"]["code"], node["cause"]) == (None, "FLT-002", "FLT-002 Connection refused")
    assert node["error"]["hint"]
