"""The jobs of the fleet: who is asked, how often, and what is kept of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from console.fleet import jobs
from console.fleet.client import NodeClient
from console.fleet.inventory import Host
from console.fleet.jobs import EVERY_S, MOST, MOST_KEPT, OLD_S, RENEW_S, RENEWED_A_SECOND, JobBoard, JobRow
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeAnswerWrong, NodeUnreachable, OrderRefused
from node.wire.stream import StreamEvent
from node.wire.work_records import JobRecord


@dataclass
class Asked(NodeClient):
    """Answers from a table and counts what it was asked."""

    name: str = "reykjavik"
    jobs: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Mapping[str, str]] = field(default_factory=list)
    error: Exception | None = None

    async def fetch(self, path: str, kind: type[Any], query: Mapping[str, str] | None = None) -> Any:
        self.asked.append(query if query is not None else {"path": path})
        if self.error is not None:
            raise self.error
        if query is None:
            return self._one(path, kind)
        assert path == "/v1/jobs"
        of_state = [job for job in self.jobs if job["state"] == query["state"]]
        start = int(query.get("cursor", 0))
        stop = start + int(query["limit"])
        return _page(kind, of_state[start:stop], str(stop) if stop < len(of_state) else None)

    def _one(self, path: str, kind: type[Any]) -> Any:
        found = [job for job in self.jobs if path == f"/v1/jobs/{job['id']}"]
        if not found:
            raise OrderRefused("API-003", "gone")
        return kind.model_validate(found[0])


def _page(kind: type[BaseModel], items: list[Any], cursor: str | None) -> BaseModel:
    return kind.model_validate({"items": items, "next": cursor})


class Ground:
    """A source whose nodes answer from tables."""

    def __init__(self, names: Iterable[str], clock: Any) -> None:
        hosts = [Host(name, "127.0.0.1", 1, "http") for name in names]
        self.model = FleetModel(hosts, patience=Patience(), clock=clock)
        self.nodes = {host.name: Asked(host.name) for host in hosts}

    def client(self, name: str) -> NodeClient | None:
        return self.nodes.get(name)

    async def run(self) -> None: ...

    def attend(self, names: Iterable[str]) -> None: ...

    def ask_now(self, name: str) -> None: ...


@pytest.fixture
def ground(hand: Any) -> Callable[..., Ground]:
    return lambda *names: Ground(names or ("reykjavik",), hand.as_clock())


@pytest.fixture
def say(make_status: Callable[..., Any]) -> Callable[..., None]:
    def said(ground: Ground, name: str = "reykjavik", **queue: int) -> None:
        ground.model.heard(name, make_status(name, queue=queue))

    return said


def look(board: JobBoard) -> list[str]:
    asyncio.run(board.catch_up())
    return [f"{row.node} {row.job.state}" for row in board.rows()]


def test_only_nodes_with_jobs_are_asked_and_only_for_what_there_may_be(
    ground: Any, say: Any, make_job: Callable[..., Any]
) -> None:
    fleet = ground("cusco", "kyoto", "oslo")
    fleet.nodes["kyoto"].jobs = [make_job(1), make_job(2, state="retry")]
    say(fleet, "cusco", dead=0)
    say(fleet, "kyoto", dead=1)
    assert look(JobBoard(fleet)) == ["kyoto dead", "kyoto retry"]
    assert [query["state"] for query in fleet.nodes["kyoto"].asked] == ["dead", "retry"]
    assert (fleet.nodes["cusco"].asked, fleet.nodes["oslo"].asked) == ([], [])


def test_of_five_thousand_nodes_only_those_are_asked_again_whose_figures_change(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    names = [f"cam-{number}" for number in range(5000)]
    fleet = ground(*names)
    for name in names[:100]:
        fleet.nodes[name].jobs = [make_job(1)]
    for name in names:
        say(fleet, name, dead=int(name in names[:100]))
    board = JobBoard(fleet)
    assert len(look(board)) == 100
    assert sum(len(node.asked) for node in fleet.nodes.values()) == 200
    revision = board.revision
    hand.now_s += 60
    for name in names:
        say(fleet, name, dead=int(name in names[:100]) + (name == "cam-7"))
    look(board)
    assert sum(len(node.asked) for node in fleet.nodes.values()) == 202
    assert board.revision == revision  # the answer was the same


def test_a_node_is_asked_at_most_every_two_seconds(ground: Any, say: Any, hand: Any) -> None:
    fleet = ground()
    board = JobBoard(fleet)
    for dead in range(1, 5):
        say(fleet, dead=dead)
        look(board)
    assert len(fleet.nodes["reykjavik"].asked) == 2
    hand.now_s += EVERY_S
    look(board)
    assert len(fleet.nodes["reykjavik"].asked) == 4


def test_an_event_of_a_job_asks_again_and_another_does_not(ground: Any, say: Any, hand: Any) -> None:
    fleet = ground()
    board = JobBoard(fleet)
    say(fleet, dead=1)
    look(board)
    for kind, asked in (("frame", 2), ("job", 4), ("job_dead", 6)):
        hand.now_s += EVERY_S
        event = StreamEvent(id=1, at="2027-01-15T08:00:00.000Z", kind=kind)
        fleet.model.happened("reykjavik", event)
        fleet.model.happened("a-node-that-is-gone", event)
        look(board)
        assert len(fleet.nodes["reykjavik"].asked) == asked


def test_when_the_last_job_has_gone_its_row_goes(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    fleet = ground()
    board, node = JobBoard(fleet), fleet.nodes["reykjavik"]
    node.jobs = [make_job(1)]
    say(fleet, dead=1)
    assert look(board) == ["reykjavik dead"]
    hand.now_s += 10
    node.jobs = []
    say(fleet, dead=0)
    assert look(board) == []


def test_most_rows_of_a_node_are_five_hundred_and_the_rest_is_counted(
    ground: Any, say: Any, make_job: Callable[..., Any]
) -> None:
    fleet = ground()
    fleet.nodes["reykjavik"].jobs = [make_job(number) for number in range(700)]
    say(fleet, dead=700)
    board = JobBoard(fleet)
    assert len(look(board)) == MOST
    assert board.more == {"reykjavik": 200}


def test_a_fleet_full_of_jobs_keeps_few_rows_of_each_further_node(
    ground: Any, say: Any, make_job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_IN_ALL", 100)
    monkeypatch.setattr(jobs, "AT_ONCE", 1)
    fleet = ground("cusco", "kyoto")
    for name in ("cusco", "kyoto"):
        fleet.nodes[name].jobs = [make_job(number) for number in range(150)]
        say(fleet, name, dead=150)
    board = JobBoard(fleet)
    assert len(look(board)) == 155
    assert list(board.more.values()) == [145]


def test_a_list_without_an_end_is_left_after_some_pages(
    ground: Any, say: Any, make_job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = ground()
    monkeypatch.setattr(Asked, "fetch", lambda self, path, kind, query: _same(self, kind, query, make_job(1)))
    say(fleet, dead=9)
    board = JobBoard(fleet)
    assert look(board) == ["reykjavik dead"]
    assert len(fleet.nodes["reykjavik"].asked) == 2 * MOST // jobs.PAGE
    assert board.more == {"reykjavik": 8}


async def _same(self: Asked, kind: type[BaseModel], query: Mapping[str, str], job: Any) -> BaseModel:
    self.asked.append(query)
    return _page(kind, [job] * 300, "again")


@pytest.mark.parametrize("error", [NodeUnreachable("gone"), NodeAnswerWrong("HTTP 500"), OrderRefused("API-003")])
def test_what_goes_wrong_is_told_the_rows_stay_and_it_is_tried_again(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any, error: Exception
) -> None:
    fleet = ground()
    board, node = JobBoard(fleet), fleet.nodes["reykjavik"]
    node.jobs = [make_job(1)]
    say(fleet, dead=1)
    look(board)
    hand.now_s += 10
    node.error = error
    say(fleet, dead=2)
    assert look(board) == ["reykjavik dead"]
    assert board.trouble == {"reykjavik": error}
    node.error = None
    hand.now_s += jobs.AFTER_TROUBLE_S
    say(fleet, dead=2)
    look(board)
    assert board.trouble == {}


def test_who_is_not_heard_is_not_asked_until_it_is(ground: Any, say: Any, hand: Any) -> None:
    fleet = ground()
    board = JobBoard(fleet)
    say(fleet, dead=1)
    hand.now_s += 100
    look(board)
    assert fleet.nodes["reykjavik"].asked == []
    say(fleet, dead=1)
    look(board)
    assert len(fleet.nodes["reykjavik"].asked) == 2


def test_a_node_that_leaves_the_inventory_takes_its_rows_along(
    ground: Any, say: Any, make_job: Callable[..., Any]
) -> None:
    fleet = ground()
    fleet.nodes["reykjavik"].jobs = [make_job(1)]
    say(fleet, dead=1)
    board = JobBoard(fleet)
    look(board)
    fleet.model.set_hosts([])
    assert look(board) == []


def test_a_node_that_leaves_between_the_making_of_its_task_and_its_turn_ends_nothing(
    ground: Any, say: Any, make_job: Callable[..., Any]
) -> None:
    fleet = ground("cusco", "kyoto")
    for name in ("cusco", "kyoto"):
        fleet.nodes[name].jobs = [make_job(1)]
        say(fleet, name, dead=1)
    board = JobBoard(fleet)

    async def story() -> None:
        asked = asyncio.create_task(board.catch_up())
        asyncio.get_running_loop().call_soon(fleet.model.set_hosts, [Host("kyoto", "127.0.0.1", 1, "http")])
        await asked

    asyncio.run(story())
    assert fleet.nodes["cusco"].asked == []
    assert look(board) == ["kyoto dead"]
    assert board.trouble == {}


def test_an_oddity_of_one_node_is_its_own_trouble_and_all_others_go_on(
    ground: Any, say: Any, make_job: Callable[..., Any]
) -> None:
    fleet = ground("cusco", "kyoto")
    fleet.nodes["cusco"].error = ZeroDivisionError("nobody thought of that")
    fleet.nodes["kyoto"].jobs = [make_job(1)]
    for name in ("cusco", "kyoto"):
        say(fleet, name, dead=1)
    board = JobBoard(fleet)
    assert look(board) == ["kyoto dead"]
    assert "unexpected ZeroDivisionError" in str(board.trouble["cusco"])


def test_a_recording_has_nobody_to_ask(ground: Any, say: Any) -> None:
    fleet = ground()
    fleet.nodes.clear()
    say(fleet, dead=1)
    assert look(JobBoard(fleet)) == []


def test_words_of_a_node_are_bounded_and_fit_for_a_terminal(
    ground: Any, say: Any, make_job: Callable[..., Any]
) -> None:
    fleet = ground()
    long = "\x1b[2J" + "x" * 100_000
    fleet.nodes["reykjavik"].jobs = [make_job(1, error=long, created=long, payload={"x": long})]
    say(fleet, dead=1)
    board = JobBoard(fleet)
    look(board)
    (row,) = board.rows()
    assert max(len(row.job.error), len(row.job.created)) <= 400
    assert "\x1b" not in row.job.error
    assert row.job.payload is None


def test_it_goes_on_until_it_is_ended(ground: Any, say: Any, make_job: Callable[..., Any]) -> None:
    fleet = ground()
    fleet.nodes["reykjavik"].jobs = [make_job(1)]
    looks = 0

    async def pause(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            say(fleet, dead=1)
        if board.rows():
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    board = JobBoard(fleet, pause)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(board.run())
    assert looks >= 4


# --- what no figure of a status tells ---------------------------------------------------------------------------------


def test_how_far_a_job_is_is_asked_for_again_while_no_figure_changes(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    fleet = ground()
    node = fleet.nodes["reykjavik"]
    node.jobs = [make_job(1, state="leased", progress=0.1)]
    say(fleet, running=1)
    board = JobBoard(fleet)
    look(board)
    for progress in (0.5, 0.9):
        node.jobs[0]["progress"] = progress
        hand.now_s += RENEW_S - 1
        say(fleet, running=1)
        look(board)
        assert board.rows()[0].job.progress < progress
        hand.now_s += 1
        look(board)
        assert board.rows()[0].job.progress == progress


def test_a_job_that_ends_as_another_begins_is_seen_to_without_any_event(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    fleet = ground()
    node = fleet.nodes["reykjavik"]
    node.jobs = [make_job(1, state="leased")]
    say(fleet, running=1)
    board = JobBoard(fleet)
    look(board)
    node.jobs = [make_job(2, state="leased")]
    hand.now_s += RENEW_S
    say(fleet, running=1)
    look(board)
    assert [row.job.id[-1] for row in board.rows()] == ["2"]


def test_where_much_runs_only_so_many_nodes_are_asked_again_in_a_second(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    names = [f"cam-{number}" for number in range(400)]
    fleet = ground(*names)
    for name in names:
        fleet.nodes[name].jobs = [make_job(1, state="leased")]
        say(fleet, name, running=1)
    board = JobBoard(fleet)
    look(board)
    before = sum(len(node.asked) for node in fleet.nodes.values())
    for _ in range(30):
        hand.now_s += 1
        for name in names:
            say(fleet, name, running=1)
        look(board)
    asked = (sum(len(node.asked) for node in fleet.nodes.values()) - before) / 2
    assert len(names) <= asked <= 30 * RENEWED_A_SECOND


def test_what_was_said_long_ago_of_one_that_runs_is_old_and_a_dead_one_stays_dead(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    fleet = ground()
    fleet.nodes["reykjavik"].jobs = [make_job(1), make_job(2, state="leased")]
    say(fleet, dead=1, running=1)
    board = JobBoard(fleet)
    assert board.age_s("reykjavik") is None
    look(board)
    for seconds, old in ((OLD_S, False), (1.0, True)):
        hand.now_s += seconds
        say(fleet, dead=1, running=1)
        assert [board.is_old(row) for row in board.rows()] == [False, old]
    assert board.age_s("reykjavik") == OLD_S + 1


def test_rows_of_a_node_that_is_heard_but_gives_no_list_are_old(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    fleet = ground()
    node = fleet.nodes["reykjavik"]
    node.jobs = [make_job(1)]
    say(fleet, dead=1)
    board = JobBoard(fleet)
    look(board)
    node.error = NodeAnswerWrong("HTTP 500")
    hand.now_s += 10
    say(fleet, dead=2)
    look(board)
    assert [board.is_old(row) for row in board.rows()] == [True]


# --- what was looked for ----------------------------------------------------------------------------------------------


def kept(fleet: Ground, board: JobBoard, *jobs: dict[str, Any]) -> None:
    board.keep([JobRow("reykjavik", JobRecord.model_validate(job)) for job in jobs])


def test_a_job_that_was_looked_for_is_asked_for_again_until_it_is_over(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    fleet = ground()
    node, board = fleet.nodes["reykjavik"], JobBoard(fleet)
    node.jobs = [make_job(1, state="leased")]
    say(fleet, dead=0)
    kept(fleet, board, node.jobs[0])
    for state in ("leased", "dead", "done"):
        node.jobs[0]["state"] = state
        hand.now_s += RENEW_S
        say(fleet, dead=0)
        assert look(board) == [f"reykjavik {state}"]
    assert [job.state for job in board.jobs().values()] == ["done"]
    del node.asked[:]
    for _ in range(5):
        hand.now_s += RENEW_S
        say(fleet, dead=0)
        look(board)
    assert node.asked == []


def test_a_job_that_was_looked_for_looks_old_while_its_node_does_not_answer(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    fleet = ground()
    node, board = fleet.nodes["reykjavik"], JobBoard(fleet)
    say(fleet, dead=0)
    kept(fleet, board, make_job(1, state="dead"))
    assert not board.is_old(board.rows()[0])
    node.error = NodeUnreachable("no route")
    hand.now_s += RENEW_S
    say(fleet, dead=0)
    look(board)
    assert board.is_old(board.rows()[0])


def test_a_job_that_was_looked_for_goes_with_the_node_or_when_that_has_it_no_longer(
    ground: Any, say: Any, make_job: Callable[..., Any], hand: Any
) -> None:
    fleet = ground()
    board = JobBoard(fleet)
    say(fleet, dead=0)
    kept(fleet, board, make_job(1))
    assert len(board.rows()) == 1
    assert look(board) == []
    assert board.trouble == {}
    kept(fleet, board, make_job(1))
    fleet.model.set_hosts([])
    assert look(board) == []
    kept(fleet, board, make_job(1))
    assert board.rows() == []


def test_a_job_that_is_listed_too_is_there_once_and_as_it_is_listed(
    ground: Any, say: Any, make_job: Callable[..., Any]
) -> None:
    fleet = ground()
    board = JobBoard(fleet)
    fleet.nodes["reykjavik"].jobs = [make_job(1)]
    say(fleet, dead=1)
    look(board)
    kept(fleet, board, make_job(1, state="leased"), *(make_job(number) for number in range(2, 200)))
    assert [row.job.state for row in board.rows()] == ["dead"] * MOST_KEPT
