"""Pollers and listeners against real servers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar, cast

import pytest

from console.fleet import garbage, poller
from console.fleet.client import NodeClient
from console.fleet.gate import SPARE
from console.fleet.inventory import Host
from console.fleet.poller import BACKLOG, Fleet, answers, preferred
from console.fleet.summary import as_json, counts, exit_status, oldest_s, worst_first
from console.fleet.view import NodeView, Patience, Word
from node.wire.errors import NodeAnswerWrong, NodeUnreachable
from node.wire.status import NodeStatus
from node.wire.stream import StreamEvent

SOON = Patience(poll_s=0.05)
NOBODY = Host("tromso", "127.0.0.1", 1, "http")


async def until(holds: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.01)


def run(fleet_of: Callable[[], Fleet], story: Callable[[Fleet], Awaitable[None]]) -> Fleet:
    async def whole() -> Fleet:
        fleet = fleet_of()
        fleet.attend(fleet.model.views)
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

    fleet = run(lambda: Fleet([fake.host], patience=SOON), story)
    assert fleet.model.word("reykjavik") is Word.OK
    assert len([path for path, _ in fake.asked if path == "/v1/status"]) >= 4


def test_one_silent_node_does_not_hold_up_the_others(start_node: Callable[..., Any]) -> None:
    fake = start_node()

    async def story(fleet: Fleet) -> None:
        await until(lambda: fleet.model.word("tromso") is Word.UNREACHABLE)
        await until(lambda: fleet.model.word("reykjavik") is Word.OK)

    fleet = run(lambda: Fleet([fake.host, NOBODY], patience=SOON), story)
    assert [fleet.model.word(name) for name in ("tromso", "reykjavik")] == [Word.UNREACHABLE, Word.OK]


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


class Scripted(NodeClient):
    """A node without a network: `script` says what each poll meets."""

    made: list[Scripted]
    script: Callable[[Scripted], NodeStatus]

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.polls = self.closed = 0
        self.streams: list[int] = []
        self.told: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
        type(self).made.append(self)

    async def status(self) -> NodeStatus:
        self.polls += 1
        return type(self).script(self)

    async def events(self, after: int) -> AsyncIterator[StreamEvent]:
        self.streams.append(after)
        while (event := await self.told.get()) is not None:
            yield event

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def scripted(make_status: Callable[..., Any]) -> type[Scripted]:
    class Mine(Scripted):
        made: ClassVar[list[Scripted]] = []
        script = staticmethod(lambda one: make_status(one.host.name))

    return Mine


def hosts(*names: str) -> list[Host]:
    return [Host(name, "127.0.0.1", number + 1, "http") for number, name in enumerate(names)]


def unattended(fleet_of: Callable[[], Fleet], story: Callable[[Fleet], Awaitable[None]]) -> Fleet:
    async def late(fleet: Fleet) -> None:
        fleet.attend(())
        await story(fleet)

    return run(fleet_of, late)


def by_name(kind: type[Scripted]) -> dict[str, Scripted]:
    return {one.host.name: one for one in kind.made}


def listening(fleet: Fleet) -> set[str]:
    return {name for name, node in fleet._nodes.items() if node.listens}


def test_only_nodes_on_the_screen_or_in_trouble_are_listened_to(
    scripted: type[Scripted], make_status: Callable[..., Any]
) -> None:
    states = {"sick": "crit", "well": "ok", "seen": "ok"}
    scripted.script = staticmethod(lambda one: make_status(one.host.name, state=states[one.host.name]))

    async def story(fleet: Fleet) -> None:
        await until(lambda: listening(fleet) == {"sick"})
        fleet.attend(["seen", "nobody"])
        await until(lambda: listening(fleet) == {"sick", "seen"})
        fleet.attend([])
        states["sick"] = "ok"
        await until(lambda: listening(fleet) == set())

    unattended(lambda: Fleet(hosts("sick", "well", "seen"), patience=SOON, connect=scripted), story)
    assert [len(by_name(scripted)[name].streams) for name in ("sick", "well", "seen")] == [1, 0, 1]


def test_a_node_that_does_not_answer_is_not_listened_to(scripted: type[Scripted]) -> None:
    def script(one: Scripted) -> NodeStatus:
        raise NodeUnreachable

    scripted.script = staticmethod(script)

    async def story(fleet: Fleet) -> None:
        fleet.attend(["a"])
        await until(lambda: fleet.model.word("a") is Word.UNREACHABLE)
        assert listening(fleet) == set()

    run(lambda: Fleet(hosts("a"), patience=SOON, connect=scripted), story)


def test_a_node_that_falls_silent_is_listened_to_no_longer(
    scripted: type[Scripted], make_status: Callable[..., Any]
) -> None:
    silent = False

    def script(one: Scripted) -> NodeStatus:
        if silent:
            raise NodeUnreachable
        return cast("NodeStatus", make_status(one.host.name, state="crit"))

    scripted.script = staticmethod(script)

    async def story(fleet: Fleet) -> None:
        nonlocal silent
        await until(lambda: listening(fleet) == {"a"})
        silent = True
        await until(lambda: listening(fleet) == set())

    fleet = run(lambda: Fleet(hosts("a"), patience=SOON, connect=scripted), story)
    assert fleet.model.word("a") is Word.UNREACHABLE
    assert len(by_name(scripted)["a"].streams) == 1


@pytest.mark.parametrize(("failures", "expected"), [(0, True), (2, True), (3, False)])
def test_one_late_poll_ends_no_stream(make_status: Callable[..., Any], failures: int, expected: bool) -> None:
    assert answers(NodeView(NOBODY, 0.0, make_status(), 1.0, failures=failures)) is expected
    assert not answers(NodeView(NOBODY, 0.0, make_status(), 1.0, remembered=True))
    assert not answers(None)


def test_who_is_on_the_screen_comes_before_the_sick_and_these_in_order_of_streams() -> None:
    order = preferred(["b", "a"], {"x": None, "y": None, "a": None}, {"y"})
    assert list(order) == ["b", "a", "y", "x"]


def test_streams_are_bounded_by_the_limit_of_open_files(
    scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "raised_limit", lambda nodes: SPARE + nodes + 2)
    names = [f"cam-{number}" for number in range(9)]

    async def story(fleet: Fleet) -> None:
        fleet.attend(names)
        await until(lambda: len(listening(fleet)) == 2)
        assert "open files for 9 nodes (ulimit -n): 2 event streams" in fleet.notice

    run(lambda: Fleet(hosts(*names), patience=SOON, connect=scripted), story)


def test_a_silent_node_is_asked_ever_more_seldom_and_at_once_when_told(scripted: type[Scripted]) -> None:
    def script(one: Scripted) -> NodeStatus:
        raise NodeUnreachable

    scripted.script = staticmethod(script)

    async def story(fleet: Fleet) -> None:
        node = fleet._nodes["a"]
        waits = []
        for _ in range(8):
            await node.ask()
            waits.append(node._wait_s(10.0))
        assert waits == [10, 10, 20, 40, 60, 60, 60, 60]
        polls = by_name(scripted)["a"].polls
        fleet.ask_now("a")
        fleet.ask_now("nobody")
        await until(lambda: by_name(scripted)["a"].polls > polls)
        assert node._wait_s(10.0) == 10

    run(lambda: Fleet(hosts("a"), patience=Patience(poll_s=3600), connect=scripted), story)


def test_a_slow_poll_is_not_made_faster_by_its_breaker(scripted: type[Scripted]) -> None:
    async def whole() -> float:
        node = Fleet(hosts("a"), connect=scripted)._nodes["a"]
        node._failures = 99
        return node._wait_s(600.0)

    assert asyncio.run(whole()) == 600.0


def test_nodes_come_and_go_while_it_runs(scripted: type[Scripted]) -> None:
    async def story(fleet: Fleet) -> None:
        await until(lambda: fleet.model.word("a") is Word.OK and fleet.model.word("b") is Word.OK)
        first = by_name(scripted)
        fleet.set_hosts([hosts("a")[0], Host("b", "127.0.0.9", 9, "http"), Host("c", "127.0.0.1", 7, "http")])
        await until(lambda: fleet.model.word("c") is Word.OK)
        second = by_name(scripted)
        assert (first["a"] is second["a"], first["b"] is second["b"]) == (True, False)
        await until(lambda: first["b"].closed)
        polling = [node._polling for node in fleet._nodes.values()]
        fleet.set_hosts([])
        await until(lambda: all(one.closed for one in scripted.made))
        await until(lambda: all(task is not None and task.done() for task in polling))
        assert (fleet.client("a"), fleet.model.views) == (None, {})

    run(lambda: Fleet(hosts("a", "b"), patience=SOON, connect=scripted), story)


def test_a_reset_is_followed_from_near_its_end_and_a_goodbye_asks_again(scripted: type[Scripted]) -> None:
    async def story(fleet: Fleet) -> None:
        await until(lambda: scripted.made[0].streams == [0])
        node = scripted.made[0]
        node.told.put_nowait(StreamEvent(id=9, at="", kind="reset", body={"oldest": 10, "newest": 9000}))
        await until(lambda: node.streams == [0, 9000 - BACKLOG])
        node.told.put_nowait(StreamEvent(id=7, at="", kind="gap"))
        node.told.put_nowait(StreamEvent(id=0, at="", kind="goodbye", body={"reason": "stopping"}))
        await until(lambda: node.streams[2:] == [7])

    fleet = run(lambda: Fleet(hosts("a"), patience=SOON, connect=scripted), story)
    assert [one.event.kind for one in fleet.model.happenings] == ["gap"]


def test_a_long_log_is_not_read_from_its_beginning(scripted: type[Scripted], make_status: Callable[..., Any]) -> None:
    scripted.script = staticmethod(lambda one: make_status(one.host.name, last_event_id=100_000))

    async def story(fleet: Fleet) -> None:
        await until(lambda: scripted.made[0].streams)

    run(lambda: Fleet(hosts("a"), patience=SOON, connect=scripted), story)
    assert scripted.made[0].streams == [100_000 - BACKLOG]


def test_without_descriptors_to_spare_connections_are_not_kept(
    scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "raised_limit", lambda nodes: SPARE + 8)

    async def story(fleet: Fleet) -> None:
        await until(lambda: scripted.made[0].polls > 2)
        await until(lambda: all(one.closed > 1 for one in scripted.made))

    unattended(lambda: Fleet(hosts(*"abcdefghi"), patience=SOON, connect=scripted), story)
    assert [one.host.name for one in scripted.made if one.closed < 2] == []


def test_what_a_large_fleet_holds_is_seldom_searched_for_garbage(
    scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "LARGE", 3)
    usual = gc.get_threshold()

    async def story(fleet: Fleet) -> None:
        assert gc.get_threshold() == usual
        fleet.set_hosts(hosts(*"abc"))
        await until(lambda: gc.get_threshold()[2] == garbage.NEVER)

    run(lambda: Fleet(hosts(*"ab"), patience=SOON, connect=scripted), story)
    assert gc.get_threshold() == usual
