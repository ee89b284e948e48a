"""The jobs of all nodes on one screen, key by key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from console.fleet import job_search
from console.fleet.client import NodeClient
from console.fleet.job_search import MOST_NODES
from console.screens import jobs as screen
from console.screens.inspect import Inspect
from console.screens.jobs import AGAIN_S, REST_S
from node.wire.errors import NodeUnreachable, OrderRefused

Look = Callable[..., None]
STATES = ("dead", "retry", "leased", "queued")
ATTEMPT = {"started": "2027-01-15T07:00:00.000Z", "ended": "2027-01-15T07:00:30.000Z"}


@dataclass
class Answers(NodeClient):
    """A node whose jobs are in plain sight."""

    name: str = ""
    jobs: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    error: Exception | None = None
    gate: asyncio.Event | None = None

    async def fetch(self, path: str, kind: type[Any], query: Mapping[str, str] | None = None) -> Any:
        self.asked.append(path)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        if query is not None:
            return kind.model_validate({"items": [job for job in self.jobs if job["state"] == query["state"]]})
        found = [job for job in self.jobs if path.endswith(job["id"])]
        if not found:
            raise OrderRefused("API-003", "no such job")
        tries = [{**ATTEMPT, "attempt": number, "outcome": "failed", "error": f"try {number}"} for number in (1, 2, 3)]
        return kind.model_validate({**found[0], "payload": {"shoot": "[red]\x1b\x9b2J\u202e"}, "attempts": tries})

    async def close(self) -> None: ...


class Nodes(dict[str, Answers]):
    """Which jobs they have, and that they are listed."""

    async def listed(self, seen: Any, **changes: Any) -> None:
        for name, node in self.items():
            states = [job["state"] for job in node.jobs]
            queue = {"dead": states.count("dead"), "running": states.count("leased"), "due": states.count("queued")}
            if any(state in STATES for state in states):
                seen.model.heard(name, seen.make_status(name, queue=queue, **changes))
        await seen.app.desk.jobs.catch_up()
        await seen.settle()


@pytest.fixture
def stock(make_job: Callable[..., Any], make_status: Callable[..., Any], monkeypatch: Any) -> Callable[..., Nodes]:
    """Gives nodes these jobs: by their states."""

    def stocked(seen: Any, **states: str) -> Nodes:
        names = [name.replace("_", "-") for name in states]
        nodes, number = Nodes({name: Answers(name) for name in names}), 0
        for name, given in zip(names, states.values(), strict=True):
            for state in given.split():
                nodes[name].jobs.append(make_job(number := number + 1, state=state))
        seen.make_status = make_status
        monkeypatch.setattr(seen.app.desk.source, "client", nodes.get)
        return nodes

    return stocked


def shown(seen: Any) -> list[str]:
    lines = (seen.screen.read(key) for key in seen.screen.listing.keys)
    return [f"{line.node} {line.look.word} {line.short[-2:]}" for line in lines]


async def until(seen: Any, holds: Callable[[], bool]) -> None:
    """What goes on beside the screen has come to that."""
    for _ in range(200):
        if holds():
            return
        await seen.pilot.pause()
    raise AssertionError(seen.text())


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_dead_jobs_come_first_with_their_error(look: Look, stock: Any, size: tuple[int, int]) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="queued leased dead", reykjavik="retry dead")
        await nodes.listed(seen)
        await seen.press(*"gj")
        assert shown(seen) == [
            "kyoto dead 03", "reykjavik dead 05", "reykjavik retry 04", "kyoto running 02", "kyoto queued 01",
        ]  # fmt: skip
        assert "dead 2  retry 1  running 1  queued 1" in seen.lines()[1]
        assert {len(line) for line in seen.lines()} == {size[0]}
        assert "✖ dead" in next(line for line in seen.lines() if line.startswith("›"))
        assert "REN-004" in seen.text()

    look(story, size)


def test_the_attempts_of_a_job_are_asked_for_when_the_cursor_rests(look: Look, stock: Any, hand: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead dead")
        await nodes.listed(seen)
        asked = nodes["kyoto"].asked
        await seen.press(*"gjjk")
        del asked[:]
        for _ in range(4):
            hand.now_s += REST_S / 5
            await seen.settle()
        assert asked == []
        assert "asking…" in seen.text()
        hand.now_s += REST_S
        await seen.settle()
        await until(seen, lambda: "try 3" in seen.text())
        assert len(asked) == 1
        assert "  3  07:00:00Z to 07:00:30Z  failed try 3" in seen.text()
        hand.now_s += AGAIN_S / 2
        await seen.settle()
        assert len(asked) == 1
        hand.now_s += AGAIN_S
        await seen.settle()
        await until(seen, lambda: len(asked) == 2)

    look(story)


def test_on_a_low_screen_nobody_is_asked_for_attempts(look: Look, stock: Any, hand: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead")
        await nodes.listed(seen)
        await seen.press(*"gj")
        del nodes["kyoto"].asked[:]
        hand.now_s += 60
        await seen.settle()
        assert "attempts" not in seen.text()
        assert not [path for path in nodes["kyoto"].asked if path != "/v1/jobs"]

    look(story, (80, 24))


def test_a_node_that_does_not_tell_its_attempts_leaves_the_list_alive(look: Look, stock: Any, hand: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead dead")
        await nodes.listed(seen)
        await seen.press(*"gj")
        nodes["kyoto"].error = NodeUnreachable("no route")
        hand.now_s += 1
        await seen.settle()
        await until(seen, lambda: "no route" in seen.text())
        assert len(shown(seen)) == 2
        await seen.press("j")
        assert seen.screen.listing.row == 1

    look(story)


def test_enter_opens_the_jobs_of_its_node_with_the_cursor_on_it(look: Look, stock: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead dead queued")
        await nodes.listed(seen)
        await seen.press("g", "j", "j", "enter")
        await seen.settle()
        assert seen.screen.NAME == "node"
        assert seen.screen.sub == "jobs"
        assert seen.screen.listing.cursor.endswith("0002")
        await seen.press("escape")
        assert "fleet › jobs" in seen.lines()[1]

    look(story)


def test_v_shows_the_whole_job_and_without_an_answer_what_the_list_has(look: Look, stock: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead")
        await nodes.listed(seen)
        await seen.press(*"gjv")
        await until(seen, lambda: isinstance(seen.app.screen, Inspect))
        told = json.loads(seen.app.screen._text)
        assert (told["node"], len(told["attempts"]), told["payload"]["shoot"]) == ("kyoto", 3, "[red]\x1b 2J ")
        assert not {"\x1b", "\x9b", "\u202e"} & set(seen.text())
        assert "[red]" in seen.text()
        await seen.press("escape")
        nodes["kyoto"].error = NodeUnreachable("no route")
        await seen.press("v")
        await until(seen, lambda: isinstance(seen.app.screen, Inspect))
        assert "no route" in seen.app.screen._text
        assert '"key": "main/1"' in seen.app.screen._text

    look(story)


# --- finding one ------------------------------------------------------------------------------------------------------


async def ask(seen: Any, text: str) -> None:
    await seen.type(f":job {text}")
    await seen.press("enter")
    await seen.settle()


def test_a_job_is_found_by_the_end_of_its_id_from_any_screen_and_behind_a_filter(look: Look, stock: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead dead", reykjavik="retry dead")
        await nodes.listed(seen)
        await ask(seen, "g0002")
        assert seen.screen.listing.cursor.endswith("G0002")
        assert "fleet › jobs" in seen.lines()[1]
        await seen.type("/state:retry")
        await seen.press("enter")
        assert len(shown(seen)) == 1
        await ask(seen, "kyoto/0001")
        assert seen.screen.listing.cursor.endswith("G0001")
        assert len(shown(seen)) == 4

    look(story)


def test_where_several_end_so_it_is_asked_which(look: Look, stock: Any, make_job: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead", reykjavik="dead")
        nodes["reykjavik"].jobs[0]["id"] = nodes["kyoto"].jobs[0]["id"]
        await nodes.listed(seen)
        await ask(seen, "0001")
        assert "which job" in seen.text()
        await seen.press(*"reyk", "enter")
        assert seen.screen.listing.cursor.startswith("reykjavik/")

    look(story)


@pytest.mark.parametrize("whole", [False, True])
def test_one_that_no_list_has_is_asked_for_on_the_nodes(look: Look, stock: Any, whole: bool) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead", reykjavik="done", nairobi="queued")
        await nodes.listed(seen)
        nodes["nairobi"].error = NodeUnreachable("no route")
        job = nodes["reykjavik"].jobs[0]["id"]
        await ask(seen, job if whole else job[-6:].lower())
        await until(seen, lambda: (seen.screen.listing.cursor or "").startswith("reykjavik/"))
        assert "reykjavik done 02" in shown(seen)
        assert not any(path.endswith(job) for path in nodes["kyoto"].asked) or whole

    look(story)


def test_one_that_was_looked_for_is_followed_and_acted_on_as_it_is(look: Look, stock: Any, hand: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, reykjavik="dead", kyoto="queued")
        await nodes.listed(seen)
        job = nodes["reykjavik"].jobs[0]
        seen.model.heard("reykjavik", seen.make_status("reykjavik"))
        hand.now_s += 10
        await seen.app.desk.jobs.catch_up()
        nodes["reykjavik"].jobs, hidden = [], nodes["reykjavik"].jobs
        hand.now_s += 10
        seen.model.heard("reykjavik", seen.make_status("reykjavik", queue={"due": 1}))
        await seen.app.desk.jobs.catch_up()
        assert not [row for row in seen.app.desk.jobs.rows() if row.node == "reykjavik"]
        nodes["reykjavik"].jobs = hidden
        await ask(seen, job["id"])
        await until(seen, lambda: (seen.screen.listing.cursor or "").startswith("reykjavik/"))
        assert "reykjavik dead 01" in shown(seen)
        seen.app.desk.armed.unlock(600)
        await seen.press("x")
        assert "plan: discard" in seen.text()

    look(story)


@pytest.mark.parametrize("text", ["", "ab", "../x", "a b c", "%2e%2e"])
def test_too_few_letters_and_what_is_no_id_are_asked_nowhere(look: Look, stock: Any, text: str) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead")
        await nodes.listed(seen)
        del nodes["kyoto"].asked[:]
        await ask(seen, text)
        assert "at least 3 of the last letters" in seen.lines()[1]
        assert "/v1/jobs" not in nodes["kyoto"].asked

    look(story)


def test_where_no_node_has_it_it_is_said_how_many_were_asked(look: Look, stock: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead", reykjavik="done", nairobi="queued")
        await nodes.listed(seen)
        nodes["nairobi"].error = NodeUnreachable("no route")
        await ask(seen, "zzzz")
        await until(seen, lambda: "no job ends with zzzz" in seen.lines()[1])
        assert "3 nodes asked, 1 of them gave no answer" in seen.lines()[1]

    look(story)


def test_of_a_large_fleet_the_busy_nodes_are_asked_first_and_no_more_than_a_bound(
    look: Look, stock: Any, make_status: Any, make_job: Any
) -> None:
    async def story(seen: Any) -> None:
        names = [f"cam-{number:03d}" for number in range(MOST_NODES + 100)]
        nodes = stock(seen, **{name.replace("-", "_"): "" for name in names})
        nodes[names[-1]].jobs.append(make_job(7, state="done"))
        for name in names:
            seen.model.heard(name, make_status(name, queue={"dead": int(name == names[-1])}))
        found = await job_search.search(seen.app.desk.source, "0007")
        assert [row.node for row in found.rows] == [names[-1]]
        assert (found.asked, found.left) == (MOST_NODES, 103)
        assert sum(bool(node.asked) for node in nodes.values()) == MOST_NODES

    look(story, more=MOST_NODES + 100)


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_of_five_thousand_jobs_only_what_changes_is_looked_at(
    look: Look, stock: Any, make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, **{f"cam_{number:03d}": "" for number in range(50)})
        for place, node in enumerate(nodes.values()):
            node.jobs = [make_job(100 * place + number, state="queued") for number in range(100)]
        await nodes.listed(seen)
        await seen.press(*"gj")
        assert len(shown(seen)) == 5000
        reads: list[str] = []
        real = screen.job_line
        monkeypatch.setattr(screen, "job_line", lambda row, *rest: reads.append(row.key) or real(row, *rest))
        for _ in range(5):
            await seen.settle()
        still = len(reads)
        assert still <= 8 * (5000 / 8 + 60), "a part in turn, for ages, and what is on the screen"
        del reads[:]
        nodes["cam-007"].jobs[3]["state"] = "dead"
        seen.app.desk.jobs._known["cam-007"].asked_s = float("-inf")
        await nodes.listed(seen)
        assert len(reads) <= 5000 / 8 * 2 + 300
        assert shown(seen)[0].startswith("cam-007 dead")

    look(story, more=50)


def test_an_empty_queue_and_a_recording_say_why_there_is_nothing(look: Look) -> None:
    async def story(seen: Any) -> None:
        await seen.press("g", "j", "enter", "v")
        assert "no job waits, runs or has failed for good" in seen.text()
        seen.app.desk.book = None
        await seen.settle()
        assert "a recording has no jobs" in seen.text()
        await ask(seen, "abcd")
        assert "a recording has nobody to ask" in seen.lines()[1]

    look(story)


def test_nodes_that_give_no_list_and_jobs_not_listed_are_counted(look: Look, stock: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead", reykjavik="dead")
        nodes["kyoto"].error = NodeUnreachable("no route")
        await nodes.listed(seen)
        seen.app.desk.jobs.more["reykjavik"] = 300
        await seen.press(*"gj")
        assert "dead 1  +300 not listed  1 node gives none" in seen.lines()[1]

    look(story)


def test_what_a_node_says_is_no_markup_and_no_escape(look: Look, stock: Any) -> None:
    async def story(seen: Any) -> None:
        nodes = stock(seen, kyoto="dead")
        nodes["kyoto"].jobs[0].update(error="\x1b[2J[bold]no", kind="[red]k", key="\x07")
        await nodes.listed(seen)
        await seen.press(*"gj")
        assert "[red]k" in seen.text()
        assert "\x1b" not in seen.text()

    look(story)
