"""What an operator does to nodes from the screens: real servers answer, and keep what was sent to them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shlex
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from textual import events
from textual.app import ComposeResult
from textual.pilot import Pilot

from console import cli
from console.app import FleetApp
from console.fleet.acts import DEEDS, Aim, Deed, Options, Plan, plan
from console.fleet.desk import Desk, Pace, Undo
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.state import Ack, Book, Made
from console.fleet.view import Patience
from console.registry import ACTIONS, Risk
from console.screens.base import Ask, View
from console.screens.chooser import Chooser
from console.screens.headline import Crumb
from console.widgets.lines import Lines
from node.wire.errors import NodeUnreachable

RESTART = "POST /v1/cameras/main/restart"
HOLD, RESUME = "POST /v1/cameras/main/hold", "POST /v1/cameras/main/resume"
RESTARTED = {"camera": {"name": "main", "state": "ok", "attempt": 0, "since": "2027-01-15T08:00:00.000Z"}}
DEADLINE_S = 10.0


class Still(Fleet):
    """Asks nobody by itself; what it is told to ask is kept."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.asked_now: list[str] = []

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await self._close()

    def ask_now(self, name: str) -> None:
        self.asked_now.append(name)


class Seat:
    """Where the operator sits."""

    def __init__(self, app: FleetApp, pilot: Pilot[bool], fleet: Still) -> None:
        self.app, self.pilot, self.fleet = app, pilot, fleet
        self.desk = app.desk

    @property
    def view(self) -> View:
        return next(one for one in self.app.screen_stack if isinstance(one, View))

    def does(self, action: str, words: str = "") -> None:
        """By its id, as a key or a command would."""
        self.view.handlers()[action](Ask(words=words))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not true():
                await self.pilot.pause(0.01)

    async def over(self) -> None:
        await self.until(lambda: "Esc closes" in self.text())

    def lines(self) -> list[str]:
        return ["".join(part.text for part in strip) for strip in self.app.screen._compositor.render_strips()]

    def text(self) -> str:
        return "\n".join(self.lines())

    def log(self) -> list[tuple[str, str]]:
        assert self.desk.book is not None
        return [(entry.command, entry.outcome) for entry in self.desk.book.commands(99)]


Story = Callable[[Seat], Awaitable[None]]
Sit = Callable[..., None]


def _host(one: Any) -> Host:
    if isinstance(one, Host):
        return one
    return Host(one, "127.0.0.1", 9, "http") if isinstance(one, str) else cast("Host", one.host)


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is copied goes to a file here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TMUX", raising=False)


@pytest.fixture
def sit(hand: Any, tmp_path: Path, make_status: Callable[..., Any]) -> Sit:
    """Tells a story before the nodes given: fakes, hosts, or names of nodes that nobody answers for."""

    def run(story: Story, *nodes: Any, size: tuple[int, int] = (120, 40), live: bool = True, **status: Any) -> None:
        async def whole() -> None:
            hosts = [_host(one) for one in nodes]
            fleet = Still(hosts, patience=Patience(poll_s=60), clock=hand.as_clock())
            for host in hosts:
                fleet.model.heard(host.name, make_status(host.name, **{"version": "0.3.0", **status}))
            clock = hand.as_clock()
            book = Book.open(tmp_path / "state", None, clock) if live else None
            desk = Desk(fleet, book, operator="mw", clock=clock, pace=Pace(lambda: 0.0))
            app = FleetApp(desk)
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                await story(Seat(app, pilot, fleet))

        asyncio.run(whole())

    return run


def orders(fake: Any) -> list[str]:
    return [path for path, _, _ in fake.orders]


# --- whether anything may be done -------------------------------------------------------------------------------------


def test_read_only_says_in_place_how_to_arm(sit: Sit) -> None:
    async def story(seat: Seat) -> None:
        for key in ("r", "C", "H"):
            await seat.press(key)
            assert "read-only: :unlock first (; unl Enter)" in seat.lines()[1]
            assert isinstance(seat.app.screen, View)

    sit(story, "kyoto")


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("", "ARMED 10:00"), ("5", "ARMED 05:00"), ("90s", "ARMED 01:30"), ("1h", "ARMED 60:00"),
        ("2h", "ARMED 60:00"), ("999999h", "ARMED 60:00"),
    ],
)  # fmt: skip
def test_unlock_arms_for_a_while_and_the_header_counts_down(sit: Sit, hand: Any, typed: str, left: str) -> None:
    async def story(seat: Seat) -> None:
        await seat.press(*f":unlock {typed}", "enter")
        assert left in seat.lines()[0]
        hand.now_s += 1
        seat.view.paint()
        await seat.pilot.pause()
        assert left not in seat.lines()[0]
        assert "ARMED" in seat.lines()[0]
        await seat.press(*":lock", "enter")
        assert "READ-ONLY" in seat.lines()[0]

    sit(story, "kyoto")


@pytest.mark.parametrize("typed", ["0", "0m", "x", "-5m", "5m5", "1d", "9" * 400, "١٠"])
def test_what_is_no_length_of_time_arms_nothing(sit: Sit, typed: str) -> None:
    async def story(seat: Seat) -> None:
        seat.does("unlock", typed)
        assert not seat.desk.armed.left_s
        await seat.pilot.pause()
        assert "is no length of time: :unlock 10m" in seat.text()

    sit(story, "kyoto")


def test_without_a_time_it_is_armed_for_as_long_as_the_settings_say(sit: Sit) -> None:
    async def story(seat: Seat) -> None:
        seat.desk.unlock_s = 90
        await seat.press(*":unlock", "enter")
        assert "ARMED 01:30" in seat.lines()[0]
        assert "armed for 1.5 min; :lock ends it" in seat.text()

    sit(story, "kyoto")


@pytest.mark.parametrize("typed", ["unl", "un"])
def test_the_palette_arms_by_few_keys_as_the_refusal_says(sit: Sit, typed: str) -> None:
    async def story(seat: Seat) -> None:
        await seat.press(*f";{typed}", "enter")
        assert seat.desk.armed.left_s == 600

    sit(story, "kyoto")


def test_a_recording_can_only_be_looked_at(sit: Sit) -> None:
    async def story(seat: Seat) -> None:
        for action in ("unlock", "restart", "hold", "capture", "undo"):
            seat.does(action)
            await seat.pilot.pause()
            assert "a recording can only be looked at" in seat.lines()[1], action
        assert not seat.desk.armed.left_s

    sit(story, "kyoto", live=False)


def test_with_nothing_under_the_cursor_there_is_nothing_to_act_on(sit: Sit) -> None:
    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        assert "there is nothing here to act on" in seat.text()

    sit(story)


# --- one node ---------------------------------------------------------------------------------------------------------


def test_y_restarts_the_camera_under_the_cursor_and_tells_what_became_of_it(
    sit: Sit, start_node: Any, hand: Any
) -> None:
    fake = start_node("kyoto")
    fake.answers(RESTART, RESTARTED)

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        shown = seat.text()
        for words in (
            "plan: camera restart", "kyoto: restart camera main (ok)", "costs: no frame while it reopens",
            "undo: nothing to undo", "same as: heliograph camera restart kyoto", "ARMED 10:00",
            "1 order to 1 node. y = do it; Enter alone or Esc = no",
        ):  # fmt: skip
            assert words in shown
        assert fake.orders == []
        await seat.press("y")
        await seat.over()
        assert "● kyoto/main: restarted, a test shot proved it" in seat.text()
        assert "1 done; y copies this, Esc closes" in seat.text()
        assert orders(fake) == ["/v1/cameras/main/restart"]
        assert seat.fleet.asked_now == ["kyoto"]
        line, outcome = seat.log()[0]
        assert line == "heliograph camera restart kyoto/main"
        assert outcome == "1 done; kyoto/main: restarted, a test shot proved it"
        await seat.press("escape")
        assert isinstance(seat.app.screen, View)

    sit(story, fake)


@pytest.mark.parametrize("key", ["enter", "escape", "n"])
def test_the_default_is_no_and_sends_nothing(sit: Sit, start_node: Any, key: str) -> None:
    fake = start_node("kyoto")

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        await seat.press(key)
        assert isinstance(seat.app.screen, View)
        await seat.press("y")
        assert fake.orders == []
        assert seat.log() == []

    sit(story, fake)


def test_armed_mode_that_runs_out_while_the_plan_is_open_sends_nothing(sit: Sit, start_node: Any, hand: Any) -> None:
    fake = start_node("kyoto")

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock(60)
        await seat.press("r")
        hand.now_s += 61
        await seat.press("y")
        assert "armed mode has run out: nothing was sent" in seat.text()
        await seat.press("y")
        await seat.until(lambda: "copied: " in seat.text())
        assert "armed mode has run out: nothing was sent" in seat.text()
        assert fake.orders == []
        await seat.press("escape")
        await seat.press("r")
        assert "read-only" in seat.text()

    sit(story, fake)


def test_a_plan_left_open_says_by_itself_that_armed_mode_ran_out(sit: Sit, hand: Any) -> None:
    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock(60)
        await seat.press("H")
        hand.now_s += 61
        await seat.until(lambda: "armed mode has run out" in seat.text())
        assert not any(row.display for row in seat.app.screen.query(".entry"))

    sit(story, "kyoto")


def test_a_node_that_refuses_is_quoted_in_its_own_words(sit: Sit, start_node: Any) -> None:
    fake = start_node("kyoto")
    fake.refuses(RESTART, 409, "CAM-021", "The camera is busy", "it is being opened")

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        await seat.press("y")
        await seat.over()
        assert "✖ kyoto/main: failed: CAM-021" in seat.text()
        assert "it is being opened" in seat.text()
        assert "0 done, 1 failed" in seat.text()
        assert "CAM-021" in seat.log()[0][1]

    sit(story, fake)


def test_a_node_that_does_not_answer_is_said_not_to(sit: Sit) -> None:
    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        await seat.press("y")
        await seat.over()
        assert "✖ kyoto/main: failed: FLT-002" in seat.text()

    sit(story, "kyoto")


def test_a_lost_answer_is_asked_for_again_under_the_same_key(sit: Sit, start_node: Any, answer: Any) -> None:
    fake = start_node("kyoto")
    fake.answers(RESTART, answer({}, lost=True), answer(RESTARTED))

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        await seat.press("y")
        await seat.over()
        assert "1 done" in seat.text()
        keys = [key for _, key, _ in fake.orders]
        assert len(keys) == 2
        assert len(set(keys)) == 1

    sit(story, fake)


def test_a_node_that_is_not_heard_is_refused_and_nothing_is_asked(sit: Sit, hand: Any) -> None:
    async def story(seat: Seat) -> None:
        hand.now_s += 1000
        seat.desk.armed.unlock()
        await seat.press("r")
        assert "kyoto: cannot: unreachable" in seat.text()
        assert "nothing of it can be done; y copies this, Esc closes" in seat.text()

    sit(story, "kyoto")


def test_words_of_a_hostile_node_are_shown_and_copied_plain(sit: Sit, start_node: Any, tmp_path: Path) -> None:
    fake = start_node("kyoto")
    fake.refuses(RESTART, 409, "[red]X", "[bold]a\x1b[31mb", "[/] " + "漢" * 200)

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        await seat.press("y")
        await seat.over()
        assert "[red]X" in seat.text()
        assert "\x1b" not in seat.text()
        await seat.press("y")
        await seat.until(lambda: "copied: terminal" in seat.text())
        copied = (tmp_path / "home/heliograph/copied.txt").read_text()
        assert copied.startswith("0 done, 1 failed\nfailed kyoto/main: failed: [red]X")
        assert copied.endswith("heliograph camera restart kyoto\n")

    sit(story, fake, size=(80, 24))


def test_a_node_lost_while_the_plan_was_read_is_left_out_and_said_so(sit: Sit, start_node: Any) -> None:
    fakes = [start_node("kyoto"), start_node("oslo")]
    for fake in fakes:
        fake.answers(RESTART, RESTARTED)

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("A", "r")
        for _ in range(3):
            seat.fleet.model.failed("oslo", NodeUnreachable("no route"))
        await seat.press("2", "enter")
        await seat.over()
        assert "✖ oslo/main: cannot: unreachable: FLT-002 no route" in seat.text()
        assert "● kyoto/main: restarted" in seat.text()
        assert [len(fake.orders) for fake in fakes] == [1, 0]

    sit(story, *fakes)


def test_a_console_that_ends_while_orders_are_under_way_has_logged_them(
    sit: Sit, start_node: Any, tmp_path: Path, hand: Any
) -> None:
    fake = start_node("kyoto")
    fake.delay = threading.Event()

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        await seat.press("y")
        await seat.until(lambda: len(fake.orders) == 1)

    sit(story, fake)
    fake.delay.set()
    (entry,) = Book.open(tmp_path / "state", None, hand.as_clock()).commands(9)
    assert entry.outcome == "0 done, 1 unknown; kyoto/main: may still be on its way"


@pytest.mark.parametrize("size", [(80, 24), (20, 5), (200, 60)])
def test_a_plan_fits_any_terminal_and_its_question_is_always_there(sit: Sit, size: tuple[int, int]) -> None:
    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("A", "r")
        assert {len(line) for line in seat.lines()} == {size[0]}
        await seat.press("9", "enter")
        words = " ".join(seat.text().replace("│", " ").split())
        assert "no" in words.split()
        await seat.pilot.resize_terminal(100, 30)
        await seat.pilot.pause()
        assert "type 40 and Enter = do it" in seat.text()

    sit(story, *(f"cam-{number}" for number in range(40)), size=size)


# --- which camera -----------------------------------------------------------------------------------------------------


def test_of_several_cameras_the_sick_one_is_offered_first(
    sit: Sit, start_node: Any, make_camera: Callable[..., Any]
) -> None:
    fake = start_node("kyoto")
    fake.answers("POST /v1/cameras/south/restart", RESTARTED)

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        assert isinstance(seat.app.screen, Chooser)
        inside = [line[line.index("│") : line.rindex("│")] for line in seat.lines() if line.count("│") > 1]
        choices = [words for line in inside if (words := line.strip("│ ").split()) and "type" not in words][:3]
        assert choices == [[">", "south", "offline"], ["all", "2", "cameras"], ["north", "ok"]]
        await seat.press("enter")
        assert "same as: heliograph camera restart kyoto/south" in seat.text()
        await seat.press("y")
        await seat.over()
        assert orders(fake) == ["/v1/cameras/south/restart"]

    sit(story, fake, cameras=[make_camera("north"), make_camera("south", state="offline")])


def test_all_cameras_of_a_node_are_one_node(sit: Sit, start_node: Any, make_camera: Callable[..., Any]) -> None:
    fake = start_node("kyoto")

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("r")
        await seat.press("enter")
        assert "2 orders to 1 node. y = do it" in seat.text()
        await seat.press("y")
        await seat.over()
        assert orders(fake) == ["/v1/cameras/north/restart", "/v1/cameras/south/restart"]

    sit(story, fake, cameras=[make_camera("north"), make_camera("south")])


# --- more than one ----------------------------------------------------------------------------------------------------


def test_of_several_nodes_their_number_is_typed(sit: Sit, start_node: Any) -> None:
    fakes = [start_node(name) for name in ("kyoto", "oslo", "quito")]
    for fake in fakes:
        fake.answers(RESTART, RESTARTED)

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("space", "space")
        await seat.press("r")
        assert "2 orders to 2 nodes. type 2 and Enter = do it; Enter alone or Esc = no" in seat.text()
        await seat.press("y", "enter")
        assert "y is not the number of nodes" in seat.text()
        await seat.press("3", "enter")
        assert "3 is not the number of nodes" in seat.text()
        assert [fake.orders for fake in fakes] == [[], [], []]
        await seat.press("2", "enter")
        await seat.over()
        assert "2 done" in seat.text()
        assert [len(fake.orders) for fake in fakes] == [1, 1, 0]

    sit(story, *fakes)


def test_keys_that_come_in_one_piece_reach_what_they_open(sit: Sit, start_node: Any) -> None:
    fakes = [start_node("kyoto"), start_node("oslo")]
    for fake in fakes:
        fake.answers(RESTART, RESTARTED)

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        for keys in (["r", "y"], ["A", "r", "2", "enter"]):
            for key in keys:
                seat.app.post_message(events.Key(key, key if len(key) == 1 else None))
            await seat.over()
            await seat.press("escape")
        assert [len(fake.orders) for fake in fakes] == [2, 1]

    sit(story, *fakes)


def test_enter_alone_on_several_nodes_is_no(sit: Sit, start_node: Any) -> None:
    fakes = [start_node(name) for name in ("kyoto", "oslo")]

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("A", "r")
        await seat.press("enter")
        assert isinstance(seat.app.screen, View)
        assert [fake.orders for fake in fakes] == [[], []]

    sit(story, *fakes)


def test_two_hundred_marked_nodes_are_one_plan_that_scrolls(sit: Sit, start_node: Any) -> None:
    fake = start_node("kyoto")
    fake.answers(RESTART, RESTARTED)
    hosts = [Host(f"cam-{number:03d}", "127.0.0.1", fake.port, "http") for number in range(200)]  # one server

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("A", "r")
        assert "200 orders to 200 nodes" in seat.text()
        assert "lines below" in seat.text()
        assert {len(line) for line in seat.lines()} == {80}
        for _ in range(40):
            await seat.press("pagedown")
        assert "same as" not in seat.lines()[0]
        assert " 0 lines below" in seat.text()
        await seat.press(*"200", "enter")
        await seat.over()
        assert "200 done; y copies this" in seat.text()
        assert len(fake.orders) == len({key for _, key, _ in fake.orders}) == 200
        assert len(seat.log()[0][0].split()) == 203

    sit(story, *hosts, size=(80, 24))


def test_esc_while_it_runs_stops_and_says_what_may_still_happen(sit: Sit, start_node: Any) -> None:
    fakes = [start_node(f"cam-{number}") for number in range(2)]
    answered = threading.Event()
    fakes[1].delay = answered
    for fake in fakes:
        fake.answers(RESTART, RESTARTED)

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("A", "r")
        await seat.press("2", "enter")
        await seat.until(lambda: "1 done" in seat.text() and len(fakes[1].orders) == 1)
        assert "Esc stops here" in seat.text()
        await seat.press("escape")
        await seat.over()
        assert "stopped here: 1 order may still be on its way; 1 done" in seat.text()
        assert "? cam-1/main: may still be on its way" in seat.text()
        assert "1 unknown" in seat.log()[0][1]
        answered.set()

    sit(story, *fakes)


# --- jobs -------------------------------------------------------------------------------------------------------------


class JobsBench(View):
    """Any list of jobs: only what is meant matters here."""

    NAME = "jobs"
    AUTO_FOCUS = ""

    def __init__(self, desk: Desk, meant: list[str]) -> None:
        super().__init__(desk)
        self._meant = meant

    def body(self) -> ComposeResult:
        yield Lines(id="nothing")

    def own_handlers(self) -> dict[str, Any]:
        return {}

    def crumb(self) -> Crumb:
        return Crumb(("jobs",))

    def update(self, changed: Any) -> None:
        pass

    def subjects(self) -> list[str]:
        return self._meant


async def at_jobs(seat: Seat, *meant: str) -> None:
    """Before a list of jobs, those marked, once the board knows all that nodes tell of."""
    seat.desk.armed.unlock()
    await seat.until(lambda: all(name in seat.desk.jobs.jobs() for name in meant))
    await seat.app.push_screen(JobsBench(seat.desk, list(meant)))


@pytest.fixture
def node_with(start_node: Any, make_job: Callable[..., Any]) -> Callable[..., Any]:
    """A node with one job in each of those states, numbered from 1."""

    def made(name: str, *states: str) -> Any:
        fake = start_node(name)
        jobs = [make_job(number, state=state) for number, state in enumerate(states, 1)]
        fake.answers("GET /v1/jobs", {"items": jobs, "next": None})
        for job in jobs:
            for deed, state in (("redrive", "queued"), ("cancel", "cancelled"), ("discard", "discarded")):
                fake.answers(f"POST /v1/jobs/{job['id']}/{deed}", {**job, "state": state})
        return fake

    return made


def job_id(number: int) -> str:
    return f"01ARZ3NDEKTSV4RRFFQ69G{number:04d}"


QUEUE = {"due": 0, "running": 0, "stuck": 0, "dead": 1}


def test_two_marked_dead_jobs_of_two_nodes_wait_again_once_two_is_typed(sit: Sit, node_with: Any) -> None:
    fakes = [node_with("kyoto", "dead"), node_with("oslo", "dead")]

    async def story(seat: Seat) -> None:
        await at_jobs(seat, f"kyoto/{job_id(1)}", f"oslo/{job_id(1)}")
        await seat.press("r")
        assert "plan: retry" in seat.text()
        assert "kyoto: let wait again render Q69G0001 (dead, REN-004)" in seat.text()
        await seat.press("1", "enter")
        assert [fake.orders for fake in fakes] == [[], []]
        await seat.press("2", "enter")
        await seat.over()
        assert "2 done" in seat.text()
        assert [orders(fake) for fake in fakes] == [[f"/v1/jobs/{job_id(1)}/redrive"]] * 2

    sit(story, *fakes, queue=QUEUE)


def test_on_the_list_of_jobs_the_marked_ones_are_meant(sit: Sit, node_with: Any) -> None:
    fakes = [node_with("kyoto", "dead", "retry"), node_with("oslo", "dead")]

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("g", "j")
        await seat.until(lambda: len(seat.desk.jobs.rows()) == 3 and "3/3" in seat.lines()[1])
        await seat.press("A", "r")
        assert "2 orders to 2 nodes, 1 cannot" in seat.text()
        await seat.press("2", "enter")
        await seat.over()
        assert [len(fake.orders) for fake in fakes] == [1, 1]

    sit(story, *fakes, queue=QUEUE)


TASKS = [  # from a console that has just been opened
    ("restart the camera of the sickest", (*";un", "enter", "r", "y"), RESTART),
    ("redrive its dead job", (*";un", "enter", *"gj", "r", "y"), "POST /v1/jobs/01ARZ3NDEKTSV4RRFFQ69G0001/redrive"),
]


@pytest.mark.parametrize(("task", "keys", "route"), TASKS)
def test_no_task_takes_more_than_eight_keys(
    sit: Sit, node_with: Any, task: str, keys: tuple[str, ...], route: str
) -> None:
    fake = node_with("kyoto", "dead")
    fake.answers(RESTART, RESTARTED)

    async def story(seat: Seat) -> None:
        await seat.until(lambda: len(seat.desk.jobs.rows()) == 1)
        for key in keys:
            await seat.press(key)
        await seat.over()
        assert [f"POST {path}" for path in orders(fake)] == [route], task
        assert len(keys) <= 8

    sit(story, fake, queue=QUEUE)


def test_only_dead_jobs_wait_again_the_others_are_refused_beforehand(sit: Sit, node_with: Any) -> None:
    fake = node_with("kyoto", "dead", "retry")

    async def story(seat: Seat) -> None:
        await at_jobs(seat, f"kyoto/{job_id(1)}", f"kyoto/{job_id(2)}")
        await seat.press("r")
        assert "it is retry: only dead jobs can be redriven" in seat.text()
        assert "1 order to 1 node, 1 cannot" in seat.text()
        await seat.press("y")
        await seat.over()
        assert orders(fake) == [f"/v1/jobs/{job_id(1)}/redrive"]

    sit(story, fake, queue=QUEUE)


@pytest.mark.parametrize(("state", "said", "path"), [("dead", "discard", "discard"), ("retry", "cancel", "cancel")])
def test_x_cancels_a_job_and_gives_a_dead_one_up_and_the_plan_says_which(
    sit: Sit, node_with: Any, state: str, said: str, path: str
) -> None:
    fake = node_with("kyoto", state)

    async def story(seat: Seat) -> None:
        await at_jobs(seat, f"kyoto/{job_id(1)}")
        await seat.press("x")
        assert f"plan: {said}" in seat.text()
        await seat.press("y")
        await seat.over()
        assert orders(fake) == [f"/v1/jobs/{job_id(1)}/{path}"]

    sit(story, fake, queue=QUEUE)


def test_x_on_dead_and_living_jobs_asks_which_are_meant(sit: Sit, node_with: Any) -> None:
    fake = node_with("kyoto", "dead", "retry")

    async def story(seat: Seat) -> None:
        await at_jobs(seat, f"kyoto/{job_id(1)}", f"kyoto/{job_id(2)}")
        await seat.press("x")
        assert "cancel 1 job not dead yet" in seat.text()
        await seat.press("down", "enter")
        assert f"same as: heliograph discard kyoto/{job_id(1)}" in seat.text()

    sit(story, fake, queue=QUEUE)


def test_a_job_whose_id_is_none_is_refused_and_shown_plain(sit: Sit) -> None:
    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.app.push_screen(JobsBench(seat.desk, ["kyoto/\x1b[31m../x"]))
        await seat.press("r")
        assert "is no id of a job" in seat.text()
        assert "\x1b" not in seat.text()
        assert "nothing of it can be done" in seat.text()

    sit(story, "kyoto")


# --- parity -----------------------------------------------------------------------------------------------------------

PARITY = [
    (Deed.RESTART, "kyoto", Options()),
    (Deed.CAPTURE, "kyoto/main", Options(profile="night")),
    (Deed.HOLD, "kyoto", Options(reason="it's a 'lens' visit", for_s=5400)),
    (Deed.HOLD, "kyoto", Options(reason="--yes")),
    (Deed.RESUME, "kyoto", Options()),
    (Deed.REDRIVE, f"kyoto/{job_id(1)}", Options()),
    (Deed.CANCEL, f"kyoto/{job_id(2)}", Options()),
    (Deed.DISCARD, f"kyoto/{job_id(1)}", Options()),
]


def test_every_action_that_changes_a_node_is_in_the_parity_table_by_its_twin() -> None:
    twins = {action.twin for action in ACTIONS if action.risk is Risk.NODE}
    assert twins <= {DEEDS[deed].twin for deed, _, _ in PARITY}
    assert {deed for deed, _, _ in PARITY} == set(Deed)


@pytest.mark.parametrize("row", PARITY, ids=lambda row: f"{row[0]}-{row[2].reason}")
def test_the_command_of_a_plan_leads_to_the_same_plan(
    sit: Sit, node_with: Any, inventory: Any, capsys: Any, row: tuple[Deed, str, Options]
) -> None:
    deed, subject, options = row
    fake = node_with("kyoto", "dead", "retry")
    fake.says(version="0.3.0", queue=QUEUE)
    for job in fake.routes["GET /v1/jobs"][0].body["items"]:
        fake.answers(f"GET /v1/jobs/{job['id']}", job)
    path = inventory(fake)
    planned = list[Plan]()

    async def story(seat: Seat) -> None:
        await at_jobs(seat, f"kyoto/{job_id(1)}")
        node, _, part = subject.partition("/")
        aim = Aim(node, job=part) if DEEDS[deed].aims == "job" else Aim(node, part)
        said = dataclasses.replace(options, inventory=path)
        planned.append(plan(deed, [aim], seat.desk.model, said, seat.desk.jobs.jobs()))

    sit(story, fake, queue=QUEUE)
    program, *words = shlex.split(planned[0].command)
    assert program == "heliograph"
    assert cli.main([*words, "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["plan"]
    assert found["deed"] == deed
    assert [(step["path"], step["body"], step["says"]) for step in found["steps"]] == [
        (step.path, dict(step.body), step.sentence) for step in planned[0].steps
    ]


# --- hold, resume, undo -----------------------------------------------------------------------------------------------


def test_a_hold_wants_a_reason_and_says_until_when(sit: Sit, start_node: Any) -> None:
    fake = start_node("kyoto")
    held = {"camera": "main", "changed": True, "held": "2027-01-15T08:00:00.000Z", "held_until": "2027-01-15T10:00:00Z"}
    fake.answers(HOLD, held)

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("H")
        await seat.press("enter")
        assert "a reason is needed" in seat.text()
        await seat.press(*"lens visit", "enter")
        await seat.press(*"soon", "enter")
        assert "'soon' is no length of time: 30m, 2h, 1d" in seat.text()
        await seat.press(*["backspace"] * 4, *"2h", "enter")
        assert "heliograph hold kyoto --for=2h '--reason=lens visit'" in seat.text()
        await seat.press("y")
        await seat.over()
        assert "capture is held until 2027-01-15T10:00:00Z" in seat.text()
        assert [body for _, _, body in fake.orders] == [{"reason": "lens visit", "for_s": 7200}]
        assert seat.desk.undo == [Undo("hold of kyoto/main", held=(Aim("kyoto", "main"),))]

    sit(story, fake)


def test_a_held_camera_is_resumed_and_then_there_is_nothing_to_take_back(
    sit: Sit, start_node: Any, make_camera: Callable[..., Any]
) -> None:
    fake = start_node("kyoto")
    fake.answers(RESUME, {"camera": "main", "changed": True})

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        seat.desk.undo.append(Undo("hold of kyoto/main", held=(Aim("kyoto", "main"),)))
        await seat.press("H")
        assert "plan: resume" in seat.text()
        await seat.press("y")
        await seat.over()
        assert "capture goes on" in seat.text()
        assert seat.desk.undo == []

    sit(story, fake, cameras=[make_camera(held="2027-01-15T08:00:00.000Z")])


def test_where_some_are_held_and_some_not_it_is_asked_which(sit: Sit, make_camera: Callable[..., Any]) -> None:
    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("H")
        await seat.press("enter")  # all cameras
        assert "hold 1 camera not held yet" in seat.text()
        await seat.press("down", "enter")
        assert "same as: heliograph resume kyoto/south" in seat.text()

    sit(story, "kyoto", cameras=[make_camera("north"), make_camera("south", held="2027-01-15T08:00:00.000Z")])


def test_undo_offers_to_resume_what_was_held_last(sit: Sit) -> None:
    async def story(seat: Seat) -> None:
        await seat.press("u")
        assert "nothing to take back" in seat.text()
        seat.desk.undo.append(Undo("hold of kyoto/main", held=(Aim("kyoto", "main"),)))
        await seat.press("u")
        assert "hold of kyoto/main: read-only" in seat.text()
        seat.desk.armed.unlock()
        await seat.press("u")
        assert "same as: heliograph resume kyoto/main" in seat.text()
        assert len(seat.desk.undo) == 1, "until it is resumed"

    sit(story, "kyoto")


def test_undo_takes_the_last_acknowledgement_back_unarmed(sit: Sit) -> None:
    async def story(seat: Seat) -> None:
        book = seat.desk.book
        assert book is not None
        made = acked(book, "kyoto/x/y")
        seat.desk.undo.append(Undo("ack of x on kyoto", acks=made))
        await seat.press("u")
        assert "taken back: ack of x on kyoto" in seat.text()
        assert not book.acks
        assert seat.desk.undo == []
        assert seat.log() == [(f"heliograph unack kyoto/x/y --state {book.folder}", "1 open again")]

    sit(story, "kyoto")


def acked(book: Book, *keys: str) -> tuple[Made, ...]:
    """By this console, at one instant."""
    made = tuple(Made(Ack(key, "mw", "seen", 1_000), book.acks.get(key)) for key in keys)
    assert book.acknowledge(*(one.ack for one in made))
    return made


def test_undo_leaves_what_somebody_else_has_acknowledged_since(sit: Sit, hand: Any) -> None:
    async def story(seat: Seat) -> None:
        book = seat.desk.book
        assert book is not None
        made = acked(book, "kyoto/x/y", "kyoto/x/z")
        theirs = [Ack(one.ack.key, "ab", "lens visit", 2_000) for one in made]
        other = Book.open(book.folder, None, hand.as_clock())
        assert other.acknowledge(theirs[0])
        seat.desk.undo.append(Undo("ack of x on kyoto", acks=made))
        await seat.press("u")
        assert "taken back 1 of 2, the others are over or somebody else's: ack of x on kyoto" in seat.text()
        assert list(book.acks.values()) == theirs[:1]
        assert [command for command, _ in seat.log()] == [f"heliograph unack kyoto/x/z --state {book.folder}"]
        seat.desk.undo.append(Undo("ack of x on kyoto", acks=made))
        await seat.press("u")
        assert "nothing taken back, over or somebody else's by now: ack of x" in seat.text()
        assert list(book.acks.values()) == theirs[:1]
        assert len(seat.log()) == 1

    sit(story, "kyoto")


def test_undo_puts_back_the_acknowledgement_that_mine_had_replaced(sit: Sit) -> None:
    async def story(seat: Seat) -> None:
        book = seat.desk.book
        assert book is not None
        theirs, up = Ack("kyoto/x/y", "ab", "lens visit", 500), Ack("kyoto/x/z", "ab", "short", 500, until_us=600)
        assert book.acknowledge(theirs, up)
        (first, *_), timed = acked(book, "kyoto/x/y"), acked(book, "kyoto/x/z")
        seat.desk.undo.append(Undo("ack of x", acks=(first, Made(timed[0].ack, up))))
        await seat.press("u")
        assert "taken back: ack of x; 1 as known before" in seat.text()
        assert book.acks == {theirs.key: theirs}, "the other's time is up"
        assert sorted(outcome for _, outcome in seat.log()) == ["1 as known before", "1 open again"]

    sit(story, "kyoto")


def test_capture_takes_a_profile_where_one_is_typed(sit: Sit, start_node: Any) -> None:
    fake = start_node("kyoto")
    fake.answers("POST /v1/cameras/main/capture", {"id": "01ARZ3NDEKTSV4RRFF1A2B3C4D", "score": 93})

    async def story(seat: Seat) -> None:
        seat.desk.armed.unlock()
        await seat.press("C")
        await seat.press("tab", *"night", "enter")
        assert "--profile=night" in seat.text()
        await seat.press("y")
        await seat.over()
        assert [body for _, _, body in fake.orders] == [{"profile": "night"}]

    sit(story, fake)
