"""The application: a live fleet, recordings above it, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.app import FleetApp
from console.fleet.desk import Desk
from console.fleet.inventory import Host
from console.fleet.keep import FORMAT
from console.fleet.poller import Fleet
from console.fleet.record import Recorder, Replay
from console.fleet.state import Book, CommandEntry
from console.fleet.view import Patience, Word
from console.screens.fleet import FleetScreen
from console.screens.inspect import Inspect

Look = Callable[..., None]


async def until(seen: Any, holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await seen.settle()
    await seen.settle()


async def command(seen: Any, words: str) -> None:
    """As if it stood after the colon."""
    seen.screen.run_command(words)
    await seen.settle()


def tape_of(seen: Any) -> Replay:
    tape = seen.screen.desk.source
    assert isinstance(tape, Replay)
    return tape


@pytest.fixture
def recording(tmp_path: Path, hand: Any, make_status: Callable[..., Any]) -> Path:
    """Ten minutes of one node that fell ill after five."""
    fleet = Fleet([Host("kyoto", "127.0.0.1", 1, "http")], patience=Patience(poll_s=2), clock=hand.as_clock())
    path = tmp_path / "outage.jsonl"
    fleet.model.heard("kyoto", make_status("kyoto"))
    recorder = Recorder(path, fleet.model)
    for seconds in range(0, 601, 2):
        state = "crit" if seconds >= 300 else "ok"
        fleet.model.heard("kyoto", make_status("kyoto", state=state, reasons=["lens"] if seconds >= 300 else []))
        recorder.record()
        hand.now_s += 2
    recorder.close()
    hand.now_s = 1000.0
    return path


async def opened(seen: Any, path: Path) -> None:
    await command(seen, f"replay {path}")
    await until(seen, lambda: isinstance(seen.screen.desk.source, Replay))


# --- recordings -------------------------------------------------------------------------------------------------------


def test_a_recording_lies_above_the_live_fleet_which_is_as_it_was(look: Look, recording: Path) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/kyoto")
        await seen.press("enter", "space")
        live = seen.screen
        await opened(seen, recording)
        assert seen.screen is not live
        assert seen.names() == ["kyoto"]
        assert "REPLAY 0% 1x" in seen.lines()[0]
        assert "2027-" in seen.lines()[0]
        await seen.press("escape")
        assert seen.screen is live
        assert "REPLAY" not in seen.text()
        assert (live.listing.text, live.listing.marks) == ("kyoto", {"kyoto"})

    look(story)


def test_the_live_fleet_goes_on_under_a_recording(look: Look, recording: Path, make_status: Callable[..., Any]) -> None:
    async def story(seen: Any) -> None:
        await opened(seen, recording)
        seen.model.heard("reykjavik", make_status("reykjavik", state="crit", reasons=["rain"]))
        await command(seen, "q")
        assert not seen.app._exit
        assert "✖ crit" in seen.line_of("reykjavik")

    look(story)


def test_a_recording_is_gone_through_by_time_speed_and_pause(look: Look, recording: Path) -> None:
    async def story(seen: Any) -> None:
        await opened(seen, recording)
        await seen.press("p")
        assert "paused" in seen.lines()[0]
        await command(seen, "at 08:06")
        await until(seen, lambda: seen.screen.model.word("kyoto") is Word.CRIT)
        assert "59% paused" in seen.lines()[0]
        assert "08:06:0" in seen.lines()[0]
        await command(seen, "at -3m")
        await until(seen, lambda: seen.screen.model.word("kyoto") is Word.OK)
        await command(seen, "speed 5000x")
        assert "paused, 5000x" in seen.lines()[0]
        await seen.press("p")
        await until(seen, lambda: tape_of(seen).ended)
        await seen.settle()
        assert "100% ended" in seen.lines()[0]
        assert "✖ crit" in seen.line_of("kyoto")

    look(story)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("at", "nothing is no time"),
        ("at yesterday", "yesterday is no time"),
        ("at 25:00", "25:00 is no time"),
        ("at 1900-01-01", "at 2027-"),
        ("at +999999d", "at 2027-"),
        ("speed", "nothing is no speed"),
        ("speed 0", "0 is no speed"),
        ("speed -3", "-3 is no speed"),
        ("speed nan", "nan is no speed"),
        ("speed 1e999", "speed 10000x"),
        ("record", "a recording is not recorded again"),
        ("replay", "this is a recording; Esc closes it"),
        ("save 1 mine", "a recording has no saved views"),
        ("ssh", "a recording has no node to go to"),
        ("reconnect", "a recording has nobody to ask"),
        ("log", "a recording has no log"),
    ],
)
def test_what_makes_no_sense_in_a_recording_says_so(look: Look, recording: Path, words: str, answer: str) -> None:
    async def story(seen: Any) -> None:
        await opened(seen, recording)
        await command(seen, words)
        assert answer in seen.lines()[1]

    look(story)


@pytest.mark.parametrize("words", ["at 08:05", "speed 3"])
def test_a_live_fleet_has_no_times_to_go_to(look: Look, words: str) -> None:
    async def story(seen: Any) -> None:
        await command(seen, words)
        assert "there is no recording open; :replay opens one" in seen.lines()[1]

    look(story)


def test_what_is_recorded_can_be_chosen_and_played(look: Look, make_status: Callable[..., Any]) -> None:
    async def story(seen: Any) -> None:
        await command(seen, "record")
        assert "recording to " in seen.lines()[1]
        assert " REC READ-ONLY" in seen.lines()[0]
        seen.model.heard("kyoto", make_status("kyoto", state="crit", reasons=["rain"]))
        await command(seen, "record")
        assert "recorded: " in seen.lines()[1]
        assert "REC" not in seen.lines()[0]
        await command(seen, "replay")
        assert "recordings" in seen.text()
        await seen.press("enter")
        await until(seen, lambda: isinstance(seen.screen.desk.source, Replay))
        await until(seen, lambda: seen.screen.model.word("nairobi") is Word.CRIT)

    look(story)


def test_without_recordings_the_chooser_says_how_to_make_one(look: Look) -> None:
    async def story(seen: Any) -> None:
        await command(seen, "replay")
        assert "no recordings yet; :record makes one" in seen.text()
        await seen.press("enter", "escape")
        assert isinstance(seen.app.screen, FleetScreen)

    look(story)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"\x00\xff binary\n", "is no recording"),
        (b'{"format": %d, "t": 1, "hosts": []}\n' % (FORMAT + 1), "was written by a newer release"),
    ],
)
def test_a_broken_recording_is_named_by_code_and_the_fleet_stays(
    look: Look, tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "broken.jsonl"
    if content is not None:
        path.write_bytes(content)

    async def story(seen: Any) -> None:
        await command(seen, f"replay {path}")
        assert isinstance(seen.app.screen, Inspect)
        assert says in " ".join(seen.app.screen._text.split())
        assert seen.app.screen._title.startswith("FLT-")
        await seen.press("escape")
        assert len(seen.names()) == 4

    look(story)


def test_where_no_recording_can_be_named_it_is_said_in_place(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    async def story(seen: Any) -> None:
        with monkeypatch.context() as folder:
            folder.setattr(Path, "exists", closed)
            await command(seen, "record")
        assert isinstance(seen.app.screen, Inspect)
        assert "recordings: Permission denied" in " ".join(seen.app.screen._text.split())
        await seen.press("escape")
        assert "REC" not in seen.lines()[0]

    look(story)


def test_a_recording_that_cannot_be_written_is_refused_with_its_reason(look: Look, tmp_path: Path) -> None:
    async def story(seen: Any) -> None:
        await command(seen, f"record {tmp_path}/no/such/folder.jsonl")
        assert "No such file or directory" in seen.app.screen._text
        await seen.press("escape")
        assert "REC" not in seen.lines()[0]
        await command(seen, "record ~nobody-of-that-name/x")
        await seen.press("escape")
        assert seen.screen.desk.recorder is None

    look(story)


def test_a_recording_that_stops_says_so_at_the_top(look: Look, tmp_path: Path) -> None:
    async def story(seen: Any) -> None:
        desk = seen.screen.desk
        desk.recorder = Recorder(tmp_path / "small.jsonl", seen.model, limit_bytes=10)
        await seen.settle()
        assert "REC STOPPED" in seen.lines()[0]
        assert "recording stopped: the recording has reached its largest size" in seen.lines()[1]

    look(story, (160, 30))


def test_a_recording_within_a_recording_closes_to_the_one_below(look: Look, recording: Path) -> None:
    async def story(seen: Any) -> None:
        await opened(seen, recording)
        first = seen.screen
        await command(seen, f"replay {recording}")
        assert seen.screen is not first
        await seen.press("escape")
        assert seen.screen is first
        await seen.press("escape")
        assert seen.screen.desk.live

    look(story)


# --- what is known at the start, and the end --------------------------------------------------------------------------


class Silent(Fleet):
    """Nobody answers."""

    async def run(self) -> None:
        await asyncio.Event().wait()


def console(tmp_path: Path, hand: Any, stop: asyncio.Event | None = None, **more: Any) -> FleetApp:
    hosts = [Host(name, "127.0.0.1", port, "http") for port, name in enumerate(("kyoto", "cusco"), 1)]
    fleet = Silent(hosts, patience=Patience(poll_s=2), clock=hand.as_clock())
    book = Book.open(tmp_path / "state", tmp_path / "inventory.yml", hand.as_clock())
    return FleetApp(Desk(fleet, book, clock=hand.as_clock(), **more), stop=stop)


def test_a_console_that_ends_keeps_what_it_knew_and_the_next_opens_with_it(
    tmp_path: Path, hand: Any, make_status: Callable[..., Any]
) -> None:
    async def first() -> None:
        stop = asyncio.Event()
        app = console(tmp_path, hand, stop)
        async with app.run_test() as pilot:
            app.desk.model.heard("kyoto", make_status("kyoto"))
            await pilot.pause()
            stop.set()
            async with asyncio.timeout(5):
                while not app._exit:
                    await pilot.pause()

    async def second() -> None:
        hand.now_s += 100
        app = console(tmp_path, hand)
        async with app.run_test() as pilot:
            await pilot.pause()
            assert app.desk.model.word("kyoto") is Word.STALE
            assert app.desk.model.word("cusco") is Word.WAITING

    asyncio.run(first())
    asyncio.run(second())


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 99}', b'{"format": 1, "nodes": 7}'])
def test_a_snapshot_that_cannot_be_read_is_told_and_nothing_else(tmp_path: Path, hand: Any, content: bytes) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "snapshot.json").write_bytes(content)

    async def whole() -> None:
        app = console(tmp_path, hand)
        async with app.run_test(size=(160, 30)) as pilot:
            await pilot.pause()
            assert isinstance(app.screen, FleetScreen)
            assert ("snapshot.json" in app.screen.notice()) is (b"nodes" not in content)

    asyncio.run(whole())


def test_a_state_folder_that_cannot_be_is_told_in_the_second_line(tmp_path: Path, hand: Any) -> None:
    (tmp_path / "state").write_text("a file")

    async def whole() -> None:
        app = console(tmp_path, hand)
        async with app.run_test(size=(200, 30)) as pilot:
            await pilot.pause()
            assert isinstance(app.screen, FleetScreen)
            app.screen.paint()
            await pilot.pause()
            shown = "".join(part.text for part in app.screen._compositor.render_strips()[1])
            assert f"{tmp_path}/state" in shown

    asyncio.run(whole())


def test_a_notice_of_the_source_stands_in_the_second_line(look: Look) -> None:
    async def story(seen: Any) -> None:
        seen.screen.desk.source.note("inventory", "FLT-003 x.yml: line 3; the nodes of before stay")
        await seen.settle()
        assert "FLT-003 x.yml: line 3; the nodes of before stay" in seen.lines()[1]
        seen.screen.desk.source.note("inventory", "")
        await seen.settle()
        assert "heliograph status -i x.yml" in seen.lines()[1]

    look(story)


def test_nodes_may_come_and_go_under_the_cursor(look: Look, hand: Any) -> None:
    async def story(seen: Any) -> None:
        await seen.press("j", "space")
        seen.model.set_hosts([Host("kyoto", "127.0.0.1", 3, "http"), Host("new", "127.0.0.1", 9, "http")])
        hand.now_s += 3  # while the operator moves, nothing new comes in between
        await seen.settle()
        assert set(seen.names()) == {"kyoto", "new"}
        assert seen.screen.listing.cursor in {"kyoto", "new"}
        assert "1 marked" not in seen.lines()[1]
        await seen.press("v")
        assert isinstance(seen.app.screen, Inspect)
        seen.model.set_hosts([])
        await seen.press("escape")
        assert seen.names() == []
        await seen.press("v", "enter", "y", "y", "E", "escape")
        assert isinstance(seen.app.screen, FleetScreen)

    look(story)


def test_the_log_lists_what_was_done_newest_first(look: Look) -> None:
    async def story(seen: Any) -> None:
        book = seen.screen.desk.book
        book.log(CommandEntry(1_000_000, "mw", "heliograph hold kyoto", "held"))
        book.log(CommandEntry(2_000_000, "kb", "heliograph retry kyoto", "2 redriven"))
        await command(seen, "log")
        text = seen.text()
        assert text.index("heliograph retry kyoto") < text.index("heliograph hold kyoto")
        assert "2 redriven" in text

    look(story)


def test_quit_is_another_word_for_q(look: Look) -> None:
    async def story(seen: Any) -> None:
        seen.screen.run_command("quit")
        await seen.pilot.pause()
        assert seen.app._exit

    look(story)


def test_reconnect_asks_the_chosen_nodes_at_once(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(seen: Any) -> None:
        asked: list[str] = []
        monkeypatch.setattr(seen.screen.desk.source, "ask_now", asked.append)
        await seen.press("A")
        await command(seen, "reconnect")
        assert sorted(asked) == ["cusco", "kyoto", "nairobi", "reykjavik"]
        assert "asking cusco, kyoto, nairobi and 1 more again now" in seen.lines()[1]

    look(story)
