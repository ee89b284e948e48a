"""The node screen before a node that answers as it is told to."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from PIL import Image

from console.app import FleetApp
from console.fleet.desk import Desk, Pace
from console.fleet.frames import Turn, frame_row, gap_row
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.view import Patience
from console.registry import known_on
from console.screens.acting import RECORDING
from console.screens.node.frames import _title
from console.screens.node.screen import GROUP, NAMES, NodeScreen
from console.widgets import framed
from console.widgets.lines import Lines
from node.wire.errors import NodeUnreachable
from node.wire.records import FrameRecord, SlotRecord
from node.wire.stream import StreamEvent

SIZES = [(80, 24), (120, 40), (200, 60)]
AT = "2027-01-15T07:5{}:00.000Z"


class Quiet(Fleet):
    """A fleet that is told what to know; its nodes can be asked."""

    async def run(self) -> None:
        await asyncio.Event().wait()


class Seen:
    """The screen as a person has it before them."""

    def __init__(self, app: FleetApp, pilot: Any, fleet: Fleet) -> None:
        self.app, self.pilot, self.fleet, self.model = app, pilot, fleet, fleet.model

    @property
    def screen(self) -> NodeScreen:
        return next(one for one in reversed(self.app.screen_stack) if isinstance(one, NodeScreen))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def settle(self) -> None:
        """Until all that was asked for has been answered."""
        for _ in range(4):
            await self.pilot.pause()
            workers = [one for one in self.app.workers if one.group == GROUP or one.group.startswith("picture-")]
            await asyncio.gather(*(one._task for one in workers if one._task is not None), return_exceptions=True)
            self.screen.paint()
        await self.pilot.pause()

    def lines(self) -> list[str]:
        return ["".join(part.text for part in strip) for strip in self.app.screen._compositor.render_strips()]

    def text(self) -> str:
        return "\n".join(self.lines())

    def flat(self) -> str:
        """Without what words are broken by: of one column of panes at a time only where there is one."""
        return " ".join(self.text().replace("│", " ").split())


Story = Callable[[Seen], Awaitable[None]]


def picture(colour: str = "green") -> bytes:
    into = io.BytesIO()
    Image.new("RGB", (64, 36), colour).save(into, "JPEG")
    return into.getvalue()


def frame(number: int, verdict: str = "good", **more: Any) -> dict[str, Any]:
    return {
        "id": f"01ARZ3NDEKTSV4RRFFQ69G{number:04d}", "camera": "main", "profile": "auto", "verdict": verdict,
        "captured": AT.format(number), "due": AT.format(number), "score": 96 if verdict == "good" else 7,
        "reasons": [] if verdict == "good" else ["blur"], "size_bytes": 1_234_567, "width": 4056, "height": 3040,
        "actual": {"exposure_s": 0.004, "gain": 1.5}, **more,
    }  # fmt: skip


def page(*items: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(items), "next": None}


@pytest.fixture
def node(start_node: Callable[..., Any], answer: Any) -> Any:
    """One that has two good frames, a bad one and a gap."""
    fake = start_node("reykjavik")
    gap = {"camera": "main", "profile": "auto", "due": AT.format(4), "reason": "camera_fault", "fault": True,
           "sentence": "The camera gave no picture."}  # fmt: skip
    probes = [{"name": "disk", "state": "ok", "age_s": 3}, {"name": "clock", "state": "warn", "sentence": "It drifts."}]
    document = {"site.name": {"value": "Harbour", "origin": "document"},
                "cameras.main.enabled": {"value": True, "origin": "default"}}  # fmt: skip
    fake.answers("GET /v1/frames", page(frame(3, "bad"), frame(2), frame(1)))
    fake.answers("GET /v1/frames/latest", page(frame(2)))
    fake.answers("GET /v1/gaps", page(gap))
    fake.answers("GET /v1/queue", {"done_last_hour": {"thumbnail": 57}})
    fake.answers("GET /health/deep", {"state": "warn", "ready": True, "probes": probes})
    fake.answers("GET /v1/config", {"version": 4, "digest": "abcdef" * 10, "state": "active", "document": {},
                                    "effective": document})  # fmt: skip
    for number in range(5):
        fake.answers(f"GET /v1/frames/01ARZ3NDEKTSV4RRFFQ69G{number:04d}/small", answer(picture()))
    return fake


@pytest.fixture
def visit(
    node: Any, hand: Any, make_status: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Runs a story before the screen of reykjavik, in a fleet of three."""
    monkeypatch.setattr(framed, "SETTLE_S", 0.0)

    def run(
        story: Story,
        size: tuple[int, int] = (120, 40),
        *,
        live: bool = True,
        pictures: bool = True,
        heard: bool = True,
        **status: Any,
    ) -> None:
        async def whole() -> None:
            hosts = [node.host, Host("nairobi", "127.0.0.1", 1, "http"), Host("kyoto", "127.0.0.1", 2, "http")]
            fleet = Quiet(hosts, patience=Patience(poll_s=2), clock=hand.as_clock())
            if heard:
                fleet.model.heard("reykjavik", make_status("reykjavik", **status))
            fleet.model.heard("nairobi", make_status("nairobi", state="crit"))
            fleet.model.heard("kyoto", make_status("kyoto"))
            if not live:
                monkeypatch.setattr(fleet, "client", lambda name: None)
            app = FleetApp(Desk(fleet, clock=hand.as_clock(), pace=Pace(lambda: 0.0), pictures=pictures))
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                app.visit("node", node="reykjavik")
                await pilot.pause()
                seen = Seen(app, pilot, fleet)
                await seen.settle()
                await story(seen)
            for host in hosts:
                client = Fleet.client(fleet, host.name)
                if client is not None:
                    await client.close()

        asyncio.run(whole())

    return run


# --- summary ----------------------------------------------------------------------------------------------------------

WHOLE: dict[str, Any] = {
    "queue": {"due": 3, "running": 1, "dead": 2, "oldest_s": 44},
    "archive": [{"name": "vault", "breaker": "half_open", "unsent": 12, "unsent_bytes": 9_000_000, "oldest_s": 600}],
    "alerts": [{"code": "no_good_frame", "severity": "crit", "subject": "main", "since": AT.format(5),
                "sentence": "Camera main has given no good frame."}],
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_the_summary_says_what_there_is_at_every_size(visit: Callable[..., None], size: tuple[int, int]) -> None:
    async def story(seen: Seen) -> None:
        text = seen.text()
        for said in ("Harbour", "0.1.0", "cfg 000000", "120 of 120", "12 unsent", "half-open", "no_good_frame",
                     "disk 3s", "It drifts.", "57", "no_good_frame main"):  # fmt: skip
            assert said in text, said
        assert all(len(line) == size[0] for line in seen.lines())
        assert "quality " not in seen.lines()[3]

    visit(story, size, **WHOLE)


def test_a_wide_summary_has_the_last_good_picture_and_a_narrow_one_asks_for_none(
    visit: Callable[..., None], node: Any
) -> None:
    async def narrow(seen: Seen) -> None:
        assert not any("/small" in path for path, _ in node.asked)

    async def wide(seen: Seen) -> None:
        assert any(path.endswith("0002/small") for path, _ in node.asked)
        assert "good 96" in seen.text()

    visit(narrow, (80, 24))
    visit(wide, (120, 40))


def test_several_cameras_have_a_block_each_and_a_held_one_says_so(
    visit: Callable[..., None], make_camera: Callable[..., Any]
) -> None:
    held = make_camera("south", state="idle", held=AT.format(0), held_until=AT.format(9))
    sick = make_camera("north", state="recovering", recovery_rung="reopen", recovery_attempt=2, error_code="CAM-004")

    async def story(seen: Seen) -> None:
        text = seen.text()
        assert "capture south" in text
        assert "since 07:50:00Z, until" in text
        assert "▲ recovering, reopen," in text
        assert "attempt 2, CAM-004" in text

    visit(story, cameras=[held, sick])


def test_a_fault_in_one_pane_leaves_the_others_alive(visit: Callable[..., None], node: Any) -> None:
    node.refuses("GET /health/deep", 503, "API-009", "busy", "try later", "wait")

    async def story(seen: Seen) -> None:
        text = seen.text()
        assert "API-009 busy: try later" in text
        assert ":reconnect asks again" in text
        assert "57   57 thumbnail" in text
        node.answers("GET /health/deep", {"state": "ok", "ready": True, "probes": [{"name": "fan", "state": "ok"}]})
        await seen.press(*":reconnect", "enter")
        assert "● fan" in seen.text()

    visit(story, **WHOLE)


@pytest.mark.parametrize("code", [404, 503])
def test_r_is_for_restarts_while_the_node_is_heard_whatever_it_does_not_tell(
    visit: Callable[..., None], node: Any, code: int
) -> None:
    node.refuses("GET /v1/queue", code, "API-003" if code == 404 else "API-009", "no such resource")

    async def story(seen: Seen) -> None:
        await seen.press("r")
        assert RECORDING in seen.text(), "what a restart says without a book"

    visit(story, **WHOLE)


@pytest.mark.parametrize(("code", "again"), [("API-003", False), ("API-009", True)])
def test_enter_asks_again_only_for_what_may_come(
    visit: Callable[..., None], node: Any, monkeypatch: pytest.MonkeyPatch, code: str, again: bool
) -> None:
    node.refuses("GET /v1/config", 404, code, "no such resource")

    async def story(seen: Seen) -> None:
        asked: list[str] = []
        monkeypatch.setattr(seen.fleet, "ask_now", asked.append)
        await seen.press("5", "enter")
        assert bool(asked) == again

    visit(story, **WHOLE)


def test_an_older_node_is_shown_as_older_and_not_as_broken(visit: Callable[..., None], node: Any) -> None:
    for route in ("GET /health/deep", "GET /v1/queue", "GET /v1/gaps", "GET /v1/config"):
        node.refuses(route, 404, "API-003", "no such resource")

    async def story(seen: Seen) -> None:
        assert seen.text().count("this node's release does not tell") == 2
        await seen.press("3")
        assert "✖ bad" in seen.text()
        await seen.press("5")
        assert "release does not tell" in seen.text()

    visit(story, **WHOLE)


def test_a_refused_token_is_told_in_every_pane_that_asks(visit: Callable[..., None], node: Any) -> None:
    for route in list(node.routes):
        node.refuses(route, 401, "SEC-001", "no token")

    async def story(seen: Seen) -> None:
        for tab in "135":
            await seen.press(tab)
            assert "FLT-004" in seen.text(), tab

    visit(story)


@pytest.mark.parametrize("body", [b"", b"[]", b"{" * 100_000, b'{"items": 7}', b"\xff" * 2_000_000])
def test_an_answer_that_is_none_is_a_sentence(visit: Callable[..., None], node: Any, answer: Any, body: bytes) -> None:
    for route in list(node.routes):
        node.answers(route, answer(body))

    async def story(seen: Seen) -> None:
        for tab in "135":
            await seen.press(tab)
            assert "FLT-003" in seen.text(), tab

    visit(story)


def test_a_hostile_status_does_no_harm(visit: Callable[..., None], make_camera: Callable[..., Any]) -> None:
    nasty = "\x1b[2J[bold]x[/bold]\u202e\n" * 50
    camera = make_camera(nasty, error_code=nasty, recovery_rung=nasty, next_slot=nasty, quality_24h=nasty, gaps=1,
                         last_gap_reason=nasty, last_good=nasty, last_good_age_s=float("nan"))  # fmt: skip
    status: dict[str, Any] = {
        "site": nasty, "version": nasty, "cameras": [camera] * 30, "uptime_s": float("inf"), "reasons": [nasty],
        "alerts": [{"code": nasty, "severity": "crit", "subject": nasty, "since": nasty, "sentence": nasty}] * 50,
        "archive": [{"name": nasty, "unsent": 10**30, "unsent_bytes": 10**30, "oldest_s": float("nan")}] * 50,
        "disk": {"total_bytes": 1, "free_bytes": -(10**30), "level": "crit", "full_in_days": float("inf")},
    }  # fmt: skip

    async def story(seen: Seen) -> None:
        assert "\x1b" not in seen.text()
        assert "\u202e" not in seen.text()
        assert "[bold]x" in seen.text()
        for key in "2345":
            await seen.press(key)

    for size in SIZES:
        visit(story, size, **status)


def test_an_unreachable_node_keeps_its_last_values_dim_and_asks_again_by_r(
    visit: Callable[..., None], node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(seen: Seen) -> None:
        asked: list[str] = []
        monkeypatch.setattr(seen.fleet, "ask_now", asked.append)
        for _ in range(3):
            seen.model.failed("reykjavik", NodeUnreachable("no route"))
        await seen.settle()
        assert "unreachable" in seen.lines()[2]
        assert "120 of 120?" in seen.text()
        await seen.press("r")
        assert asked == ["reykjavik"]
        assert "unreachable: asking reykjavik again; it acts once it is heard" in seen.lines()[1]
        seen.app.desk.armed.unlock()
        await seen.press("3", "r")
        assert asked == ["reykjavik"] * 2
        assert "unreachable: asking reykjavik again" in seen.lines()[1]

    visit(story)


def test_v_shows_the_status_as_it_came(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        await seen.press("v")
        assert '"node": "reykjavik"' in seen.text()
        await seen.press("escape")
        assert seen.app.screen is seen.screen

    visit(story)


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_frames_and_gaps_stand_beside_the_picture_under_the_cursor(
    visit: Callable[..., None], node: Any, size: tuple[int, int]
) -> None:
    async def story(seen: Seen) -> None:
        await seen.press("3")
        text = seen.text()
        assert text.index("○ gap") < text.index("✖ bad") < text.index("● good")
        assert "no picture: camera_fault" in seen.flat()
        await seen.press("j")
        assert any(path.endswith("0003/small") for path, _ in node.asked)
        assert "blur" in seen.text()
        assert "1/250 s" in seen.text()

    visit(story, size)


def test_older_and_newer_go_by_time_and_over_gaps(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        await seen.press("3", ",")
        assert seen.screen.listing.cursor.endswith("0003")
        await seen.press(",", ",", ",")
        assert seen.screen.listing.cursor.endswith("0001")
        assert "no older frame" in seen.lines()[1]
        await seen.press("s", *"camera", "enter", ".")
        assert seen.screen.listing.cursor.endswith("0002")

    visit(story)


def test_a_picture_that_is_damaged_or_not_there_is_a_sentence(
    visit: Callable[..., None], node: Any, answer: Any
) -> None:
    node.answers("GET /v1/frames/01ARZ3NDEKTSV4RRFFQ69G0003/small", answer(picture()[:300]))
    node.refuses("GET /v1/frames/01ARZ3NDEKTSV4RRFFQ69G0002/small", 410, "DSK-008", "frame was reclaimed")

    async def story(seen: Seen) -> None:
        await seen.press("3", "j")
        assert "its picture is damaged" in seen.flat()
        await seen.press("j")
        assert "DSK-008 frame was reclaimed" in seen.flat()
        await seen.press("j")
        assert "DSK-008" not in seen.text()

    visit(story)


BAD = frame_row("reykjavik", FrameRecord(id="x", captured="2027-01-15T08:00:00.000Z", verdict="bad"))
LOST = gap_row("reykjavik", SlotRecord(camera="main", profile="auto", due="2027-01-15T08:00:00.000Z"))


@pytest.mark.parametrize(("turn", "title"), [
    (Turn("main"), "first bad after it"),
    (Turn("main", BAD, BAD), "first bad after it"),
    (Turn("main", BAD, BAD, over=True), "first bad after it, over by now"),
    (Turn("main", BAD, BAD, cut=True, over=True), "a bad one after it, over by now"),
    (Turn("main", BAD, LOST), "first gap after it"),
    (Turn("main", BAD, LOST, cut=True), "a gap after it"),
    (Turn("main", None, BAD), "the newest bad one"),
])  # fmt: skip
def test_only_what_is_the_first_is_called_so(turn: Turn, title: str) -> None:
    assert _title(turn) == title


def test_a_picture_is_fetched_once(visit: Callable[..., None], node: Any) -> None:
    async def story(seen: Seen) -> None:
        await seen.press("3", "j", "j", "k", "j", "k")
        fetched = [path for path, _ in node.asked if path.endswith("0003/small")]
        assert len(fetched) == 1

    visit(story, (80, 24))


def test_three_keys_lead_from_the_node_to_the_last_good_and_the_first_bad_picture(
    visit: Callable[..., None], node: Any
) -> None:
    node.answers("GET /v1/frames", page(frame(3, "bad"), frame(2), frame(1)), page(frame(2)), page(frame(3, "bad")))

    async def story(seen: Seen) -> None:
        await seen.press("3", "=")
        text = seen.text()
        assert "last good, main" in text
        assert "first bad after it" in text
        assert "✖ bad 7" in text
        assert any(path.endswith("0002/small") for path, _ in node.asked)
        assert any(path.endswith("0003/small") for path, _ in node.asked)
        await seen.press("escape")
        assert "last good, main" not in seen.text()
        assert seen.screen.sub == "frames"

    visit(story)


def test_of_a_node_that_was_never_heard_nobody_says_that_it_has_no_camera(
    visit: Callable[..., None], node: Any, make_status: Callable[..., Any]
) -> None:
    node.answers("GET /v1/frames", page())
    node.answers("GET /v1/gaps", page())

    async def story(seen: Seen) -> None:
        await seen.press("3", "=")
        assert "it was never heard" in seen.flat()
        assert "no camera" not in seen.flat()
        assert "last good," not in seen.text()
        seen.model.heard("reykjavik", make_status("reykjavik"))
        await seen.settle()
        assert "last good, main" in seen.text()
        assert "never heard" not in seen.text()

    visit(story, heard=False)


def test_enter_makes_the_picture_large_and_esc_small_again(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        await seen.press("3", "j", "enter")
        assert "VERDICT" not in seen.text()
        await seen.press("escape")
        assert "VERDICT" in seen.text()

    visit(story, (80, 24))


def test_the_next_page_comes_when_the_cursor_nears_the_end(visit: Callable[..., None], node: Any) -> None:
    node.answers(
        "GET /v1/frames", {"items": [frame(3, "bad")], "next": "c1"}, {"items": [frame(2), frame(1)], "next": None}
    )
    node.answers("GET /v1/gaps", page())

    async def story(seen: Seen) -> None:
        await seen.press("3", "G")
        assert len(seen.screen.listing.keys) == 3
        assert any("cursor=c1" in path for path, _ in node.asked)

    visit(story)


# --- the other tabs ---------------------------------------------------------------------------------------------------


def test_the_jobs_of_this_node_alone_are_listed(
    visit: Callable[..., None], node: Any, make_job: Callable[..., Any]
) -> None:
    node.answers("GET /v1/jobs", page(make_job(7)))

    async def story(seen: Seen) -> None:
        await seen.app.desk.jobs.catch_up()
        await seen.press("2")
        assert "✖ dead" in seen.text()
        assert list(seen.screen.subjects()) == ["reykjavik/01ARZ3NDEKTSV4RRFFQ69G0007"]
        await seen.press("]")
        assert "nairobi" in seen.lines()[1] or "kyoto" in seen.lines()[1]
        assert "✖ dead" not in seen.text()

    visit(story, queue={"dead": 1})


def test_at_the_top_the_cursor_follows_the_newest_event(visit: Callable[..., None]) -> None:
    def happen(seen: Seen, number: int) -> None:
        event = StreamEvent(id=number, at=AT.format(number), kind="camera_held", body={"camera": f"cam{number}"})
        seen.model.happened("reykjavik", event)

    def under_the_cursor(seen: Seen) -> str:
        return next(line for line in seen.lines() if line.startswith("›") and "cam" in line)

    async def story(seen: Seen) -> None:
        for number in range(3):
            happen(seen, number)
        await seen.press("4")
        assert "cam2" in under_the_cursor(seen)
        happen(seen, 3)
        await seen.settle()
        assert "cam3" in under_the_cursor(seen)
        await seen.press("j")
        happen(seen, 4)
        await seen.settle()
        assert "cam2" in under_the_cursor(seen)

    visit(story)


def test_both_pictures_of_a_comparison_begin_on_one_line(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        await seen.press("3", "=")
        before, after = (seen.screen.query_one(name, framed.FramePane).picture.region for name in ("#before", "#after"))
        assert "blur" in seen.text(), "why the one is bad takes a line, and the other has none"
        assert (before.y, before.height) == (after.y, after.height)

    visit(story)


def test_with_pictures_switched_off_none_is_asked_for(visit: Callable[..., None], node: Any) -> None:
    async def story(seen: Seen) -> None:
        await seen.press("3", "j")
        said = seen.screen.query_one("#picked", framed.FramePane).picture._said
        assert " ".join(line.left[0].text for line in said) == "the settings say pictures = none"
        assert not [path for path, _ in node.asked if path.endswith("small")]

    visit(story, pictures=False)


def test_only_the_word_dead_is_red(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        dense = seen.screen.query_one("#dense", Lines)
        line = next(one for one in dense._lines if any("dead" in cell.text for cell in one.left))
        assert "".join(cell.text for cell in line.left if cell.style == "crit").split() == ["1", "dead"]

    visit(story, size=(80, 24), queue={"due": 3, "running": 1, "dead": 1})


def test_events_of_this_node_are_listed_and_can_be_held(visit: Callable[..., None]) -> None:
    def happen(seen: Seen, number: int, name: str = "reykjavik") -> None:
        event = StreamEvent(id=number, at=AT.format(1), kind="camera_held", body={"camera": f"cam{number}"})
        seen.model.happened(name, event)

    async def story(seen: Seen) -> None:
        happen(seen, 1)
        happen(seen, 2, "kyoto")
        await seen.press("4")
        assert "cam1" in seen.text()
        assert "cam2" not in seen.text()
        await seen.press("p")
        happen(seen, 3)
        await seen.settle()
        assert "cam3" not in seen.text()
        await seen.press("p")
        assert "cam3" in seen.text()

    visit(story)


def test_the_configuration_is_read_as_yaml_with_where_it_comes_from(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        await seen.press("5")
        text = seen.text()
        assert "version 4   digest abcdefabcdef   active" in text
        assert "  name: Harbour" in text
        assert "    enabled: true" in text
        await seen.press("slash", *"path:main.en", "enter")
        assert "name: Harbour" not in seen.text()
        assert "cameras.main.enabled" in seen.text()

    visit(story)


def test_a_configuration_on_probation_says_until_when(visit: Callable[..., None], node: Any) -> None:
    node.answers("GET /v1/config", {"version": 5, "digest": "ff" * 32, "state": "probation", "document": {},
                                    "probation_until": AT.format(9), "unknown_fields": ["a.b"]})  # fmt: skip

    async def story(seen: Seen) -> None:
        await seen.press("5")
        assert "probation, on probation until 07:59:00Z" in seen.text()
        assert "1 unknown here" in seen.text()

    visit(story)


# --- going about ------------------------------------------------------------------------------------------------------


def test_the_nodes_before_and_after_come_in_the_order_of_the_list(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        order = list(seen.app.view("nodes").listing.keys)  # type: ignore[union-attr]
        assert order[0] == "nairobi"
        await seen.press("3")
        for _ in range(3):
            await seen.press("]")
            at = order.index(seen.screen.node)
            assert seen.screen.sub == "frames"
        assert seen.screen.node == "reykjavik"
        await seen.press("[")
        assert seen.screen.node == order[at - 1]

    visit(story)


def test_a_click_takes_a_tab(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        for name in NAMES:
            await seen.pilot.click("#tabs", offset=(seen.lines()[3].index(name), 0))
            await seen.settle()
            assert seen.screen.sub == name

    visit(story)


def test_a_node_that_leaves_the_inventory_says_so(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        seen.model.set_hosts([view.host for name, view in seen.model.views.items() if name != "reykjavik"])
        for key in "12345":
            await seen.press(key)
            assert "the inventory no longer names this node" in seen.text()
            assert list(seen.screen.subjects()) == []
        await seen.press("]")
        assert seen.screen.node in seen.model.views

    visit(story)


def test_in_a_recording_nobody_is_asked(visit: Callable[..., None], node: Any) -> None:
    async def story(seen: Seen) -> None:
        assert "120 of 120" in seen.text()
        for tab, what in (("1", "pictures"), ("2", "jobs"), ("3", "frames"), ("5", "configuration")):
            await seen.press(tab)
            assert f"a recording has no {what}:" in seen.flat()
        await seen.press("3", "=")
        assert node.asked == []

    visit(story, live=False)


@pytest.mark.parametrize("size", [(20, 5), (80, 24)])
def test_every_key_on_every_tab_leaves_it_alive(visit: Callable[..., None], size: tuple[int, int]) -> None:
    async def story(seen: Seen) -> None:
        for tab in range(1, 6):
            seen.screen.show_tab(NAMES[tab - 1])
            for action in known_on(seen.screen.scopes):
                if action.id in {"back", "previous_view", "nodes", "jobs", "alerts", "events", "tab", "quit", "ssh"}:
                    continue
                for sequence in action.keys:
                    await seen.pilot.press(*([sequence] if len(sequence) > 2 else sequence))
                    while seen.app.screen is not seen.screen:
                        seen.app.pop_screen()
                        await seen.pilot.pause()
                    await seen.pilot.press("escape") if action.id in {"filter", "command"} else None
            await seen.settle()
            assert seen.app.screen is seen.screen

    visit(story, size)


@pytest.mark.parametrize("tab", NAMES)
def test_every_action_that_is_known_there_has_a_handler(visit: Callable[..., None], tab: str) -> None:
    async def story(seen: Seen) -> None:
        seen.screen.show_tab(tab)
        known = {action.id for action in known_on(seen.screen.scopes)}
        assert known - set(seen.screen.handlers()) == set()

    visit(story)


def test_ascii_terminals_get_ascii(visit: Callable[..., None]) -> None:
    async def story(seen: Seen) -> None:
        seen.app.desk.ascii = True
        for tab in "12345":
            await seen.press(tab)
            below = "\n".join(seen.lines()[2:-1])
            assert below.isascii(), [char for char in below if not char.isascii()]

    visit(story, **WHOLE)
