"""What a console saw, written and played back: nothing lost to a crash, nothing hostile believed, no time spent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.fleet import record
from console.fleet.alerts import AlertBoard
from console.fleet.inventory import Host
from console.fleet.record import Recorder, Replay
from console.fleet.view import FleetModel, Patience, Word
from node.wire.errors import NodeRefused, RecordingUnusable
from node.wire.stream import StreamEvent

NOW_US = 1_800_000_000_000_000
TOKEN = "s3cret-of-the-fleet"
WRITER = """
import sys
from pathlib import Path
from console.fleet.clock import Clock
from console.fleet.inventory import Host
from console.fleet.record import Recorder
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable
model = FleetModel([Host("cam", "127.0.0.1", 1, "http")], patience=Patience(), clock=Clock())
recorder = Recorder(Path(sys.argv[1]), model)
for number in range(100):
    model.failed("cam", NodeUnreachable(f"try {number}"))
    recorder.record()
print("recorded", flush=True)
sys.stdin.readline()
"""


class Stage:
    """A fleet of two that is recorded, second by second."""

    def __init__(self, path: Path, hand: Any, make_status: Callable[..., Any], **options: Any) -> None:
        self.path, self.hand, self.make_status = path, hand, make_status
        token = path.with_name("token")
        token.write_text(f"{TOKEN}\n")
        self.hosts = [Host(name, "127.0.0.1", 1, "http", token_file=str(token)) for name in ("cam", "harbour")]
        self.model = FleetModel(self.hosts, patience=Patience(poll_s=2), clock=hand.as_clock())
        self.recorder = Recorder(path, self.model, **options)

    def hears(self, name: str = "cam", **changes: Any) -> None:
        self.model.heard(name, self.make_status(name, **changes))
        self.recorder.record()

    def passes(self, seconds: float) -> None:
        self.recorder.record()
        self.hand.now_s += seconds
        self.recorder.record()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def stage(tmp_path: Path, hand: Any, make_status: Callable[..., Any]) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(**options: Any) -> Stage:
        made.append(Stage(tmp_path / f"{len(made)}.jsonl", hand, make_status, **options))
        return made[-1]

    yield make
    for one in made:
        one.recorder.close()


class Player:
    """A recording on a clock of its own, moved by the pauses that `run` asks for."""

    def __init__(self, path: Path) -> None:
        self.now_s = 0.0
        clock = type("Wall", (), {"monotonic": lambda _: self.now_s, "utc_us": lambda _: 0})()
        self.replay = Replay(path, clock=clock, pause=self._pause)
        self._left_s = 0.0

    async def _pause(self, seconds: float) -> None:
        self.now_s += seconds
        self._left_s -= seconds
        if self._left_s < 0 and seconds:
            raise asyncio.CancelledError

    def plays(self, seconds: float) -> None:
        """As `run` does, without closing the file."""
        self._left_s = seconds
        closing, self.replay.close = self.replay.close, lambda: None  # type: ignore[method-assign]
        with suppress(asyncio.CancelledError):
            asyncio.run(self.replay.run())
        self.replay.close = closing  # type: ignore[method-assign]


@pytest.fixture
def player() -> Iterator[Callable[[Path], Player]]:
    made: list[Player] = []

    def make(path: Path) -> Player:
        made.append(Player(path))
        return made[-1]

    yield make
    for one in made:
        one.replay.close()


@pytest.fixture
def story(stage: Callable[..., Stage]) -> Stage:
    """20 s: two nodes heard, one refused at 5 s and back at 12 s, a gap at 8 s."""
    it = stage()
    for second in range(21):
        if second % 2 == 0:
            it.hears("harbour", state="warn" if second >= 16 else "ok")
        if second == 0 or second >= 12:
            it.hears("cam")
        if second in (5, 6, 7):
            it.model.failed("cam", NodeRefused("HTTP 401"))
        if second == 8:
            it.model.happened("harbour", StreamEvent(id=1, at="2027-01-15T08:00:08.000Z", kind="gap"))
        it.passes(1)
    it.recorder.close()
    return it


def test_a_recording_plays_as_it_happened(story: Stage, player: Callable[[Path], Player]) -> None:
    it = player(story.path)
    model = it.replay.model
    assert (it.replay.begin_us, it.replay.end_us) == (NOW_US, NOW_US + 21_000_000)
    assert (model.patience.poll_s, {*model.views}, model.word("cam")) == (2, {"cam", "harbour"}, Word.WAITING)
    it.plays(3)
    assert (model.word("cam"), model.word("harbour"), it.replay.now_us) == (Word.OK, Word.OK, NOW_US + 3_250_000)
    it.plays(4)
    assert (model.word("cam"), len(model.happenings)) == (Word.REFUSED, 0)
    it.plays(2)
    assert (model.word("cam"), [one.node for one in model.happenings]) == (Word.REFUSED, ["harbour"])
    it.plays(4)
    assert model.word("cam") is Word.OK
    it.plays(600)
    assert (model.word("cam"), model.word("harbour"), it.replay.ended) == (Word.OK, Word.WARN, True)
    assert it.replay.now_us == it.replay.end_us, "it stays on the last state"


def test_it_pauses_goes_faster_and_goes_anywhere(story: Stage, player: Callable[[Path], Player]) -> None:
    it = player(story.path)
    it.replay.pause()
    it.plays(60)
    assert (it.replay.paused, it.replay.now_us) == (True, NOW_US)
    it.replay.seek(NOW_US + 9_000_000)
    it.plays(1)
    assert (it.replay.now_us, it.replay.model.word("cam")) == (NOW_US + 9_000_000, Word.REFUSED)
    it.replay.seek(NOW_US + 1_000_000)
    it.plays(1)
    assert (it.replay.now_us, it.replay.model.word("cam")) == (NOW_US + 1_000_000, Word.OK)
    assert len(it.replay.model.happenings) == 0
    it.replay.resume()
    it.replay.speed = 10
    it.plays(1)
    assert it.replay.now_us == NOW_US + 12_000_000, "not past what is still to be played"
    for beyond in (-1, 10**18):
        it.replay.seek(beyond)
        it.plays(0.5)
        assert it.replay.begin_us <= it.replay.now_us <= it.replay.end_us


def test_a_board_follows_a_recording_also_backwards(story: Stage, player: Callable[[Path], Player]) -> None:
    it = player(story.path)
    board = AlertBoard(it.replay.model)
    it.replay.pause()
    for second, expected in ((9, ["cam/node.refused/node"]), (2, []), (15, []), (8, ["cam/node.refused/node"])):
        it.replay.seek(NOW_US + second * 1_000_000)
        it.plays(1)
        board.refresh()
        assert [row.key for row in board.rows()] == expected, second


def test_it_is_a_source_with_nobody_to_ask(story: Stage, player: Callable[[Path], Player]) -> None:
    replay = player(story.path).replay
    replay.attend(["cam"])
    replay.ask_now("cam")
    assert replay.client("cam") is None


def test_a_recording_that_begins_late_knows_what_was_known(stage: Callable[..., Stage], player: Any) -> None:
    it = stage()
    it.hears("harbour")
    it.passes(60)
    it.hears("cam")
    it.passes(2)
    late = stage()
    late.recorder.close()
    recorder = Recorder(it.path.with_name("late.jsonl"), it.model)
    recorder.close()
    one = player(recorder.path)
    assert one.replay.begin_us == NOW_US + 62_000_000
    one.plays(1)
    model = one.replay.model
    assert (model.word("cam"), model.word("harbour")) == (Word.OK, Word.STALE)
    assert model.views["harbour"].silence_s(model.clock.monotonic()) == pytest.approx(61, abs=1)


def test_at_its_beginning_it_shows_at_once_what_was_known(stage: Callable[..., Stage], player: Any) -> None:
    it = stage()
    it.hears("harbour")
    it.passes(3)
    recorder = Recorder(it.path.with_name("late.jsonl"), it.model)
    it.hand.now_s += 1
    it.hears("cam")
    it.hears("harbour")
    recorder.record()
    it.hand.now_s += 30
    recorder.close()
    one = player(recorder.path)
    for _ in range(2):
        one.plays(0)
        model = one.replay.model
        assert one.replay.now_us >= one.replay.begin_us == NOW_US + 3_000_000
        assert (model.word("harbour"), model.word("cam")) == (Word.OK, Word.WAITING)
        assert model.views["harbour"].silence_s(model.clock.monotonic()) == pytest.approx(3, abs=0.5)
        one.plays(20)
        one.replay.seek(0)


def test_nodes_that_come_and_go_are_recorded(stage: Callable[..., Stage], player: Any) -> None:
    it = stage()
    it.hears("cam")
    it.passes(5)
    it.model.set_hosts([it.hosts[0], Host("new", "127.0.0.1", 3, "http", groups=("roof",))])
    it.passes(5)
    it.hears("new")
    it.recorder.close()
    one = player(it.path)
    one.plays(1)
    assert {*one.replay.model.views} == {"cam", "harbour"}
    one.plays(20)
    assert {*one.replay.model.views} == {"cam", "new"}
    assert one.replay.model.views["new"].host.groups == ("roof",)
    assert one.replay.model.word("new") is Word.OK


def test_only_what_is_new_is_written(stage: Callable[..., Stage]) -> None:
    it = stage()
    it.hears("cam")
    count = len(it.lines())
    for _ in range(10):
        it.passes(0.25)
    assert len(it.lines()) == count
    assert {*it.lines()[0]} == {"format", "t", "began", "patience", "hosts"}


def test_no_token_gets_in_not_even_one_that_a_node_sends_back(stage: Callable[..., Stage]) -> None:
    it = stage()
    it.hears("cam", reasons=[f"Bearer {TOKEN}"])
    it.model.failed("harbour", NodeRefused(f"HTTP 401: {TOKEN}"))
    it.model.happened("cam", StreamEvent(id=1, at="x", kind="gap", body={"reason": TOKEN}))
    it.recorder.close()
    text = it.path.read_text()
    assert TOKEN not in text
    assert "token" not in text
    assert text.count("***") == 3
    assert it.path.stat().st_mode & 0o777 == 0o600


def test_a_token_that_was_changed_or_is_another_nodes_by_now_is_hidden_too(stage: Callable[..., Stage]) -> None:
    it = stage()
    it.hears("cam", reasons=[TOKEN])
    again, other = f"{TOKEN}-of-tomorrow", it.path.with_name("other")
    it.path.with_name("token").write_text(again)
    it.hears("cam", reasons=[f"{again} after {TOKEN}"])
    other.write_text("an0ther-secret")
    it.model.set_hosts([replace(it.hosts[0], token_file=str(other)), it.hosts[1]])
    it.hears("cam", reasons=[f"an0ther-secret after {again}"])
    it.recorder.close()
    text = it.path.read_text()
    assert [secret for secret in (TOKEN, "tomorrow", "an0ther-secret") if secret in text] == []
    assert text.count("*** after ***") == 2


def test_what_is_noted_is_written_in_order_by_whoever_comes_first(stage: Callable[..., Stage]) -> None:
    it = stage()
    for uptime_s in (1.0, 2.0, 3.0):
        it.model.heard("cam", it.make_status("cam", uptime_s=uptime_s))
        it.recorder.note()
    before = len(it.lines())
    it.recorder.close()
    it.recorder.write()  # of a thread that was late
    assert before == 1
    assert [line["status"]["uptime_s"] for line in it.lines() if "status" in line] == [1.0, 2.0, 3.0]
    assert it.lines()[-1]["end"] == "closed"


def test_a_recording_has_a_largest_size_and_says_that_it_was_reached(stage: Callable[..., Stage], player: Any) -> None:
    it = stage(limit_bytes=20_000)
    while not it.recorder.stopped:
        it.hears("cam")
        it.passes(1)
    size = it.path.stat().st_size
    it.hears("cam")
    assert (it.path.stat().st_size, size < 21_000) == (size, True)
    assert it.recorder.stopped == it.lines()[-1]["end"] == "the recording has reached its largest size"
    one = player(it.path)
    one.plays(1000)
    assert (one.replay.ended, one.replay.skipped) == (True, 0)


def test_a_full_disk_ends_the_recording_and_nothing_else(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = stage()

    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record.os, "write", full)
    it.hears("cam")
    it.hears("cam")
    assert it.recorder.stopped == f"{it.path}: No space left on device"


def test_a_recording_overwrites_nothing(stage: Callable[..., Stage], tmp_path: Path) -> None:
    it = stage()
    for path in (it.path, tmp_path, tmp_path / "none" / "x"):
        with pytest.raises(RecordingUnusable, match=str(path)):
            Recorder(path, it.model)


def test_it_runs_until_it_is_stopped(stage: Callable[..., Stage]) -> None:
    it = stage()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        it.model.heard("cam", it.make_status("cam", uptime_s=float(len(pauses))))
        if len(pauses) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(it.recorder.run(pause))
    assert pauses == [record.TICK_S] * 3
    assert it.lines()[-1]["end"] == "closed"
    assert it.lines()[-2]["status"]["uptime_s"] == 3.0


def test_a_kill_costs_nothing_that_was_recorded(tmp_path: Path, player: Any) -> None:
    path = tmp_path / "killed.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "recorded\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    with path.open("ab") as file:
        file.write(b'{"t":1800000000000000,"node":"cam","sta')
    one = player(path)
    one.replay.speed = 1e9
    one.plays(10)
    error = one.replay.model.views["cam"].error
    assert error is not None
    assert (error.detail, one.replay.skipped) == ("try 99", 1)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"", "is empty"), (b"\n", "is no recording"), (b"GIF89a", "is no recording"), (b"{", "is no recording"),
        (b"[1]\n", "is no recording"), (b'{"format": 1}\n', "is no recording"),
        (b"\xff" * 5_000_000, "is no recording"),
        (b'{"format": true, "t": 1, "hosts": []}\n', "is no recording"),
        (b'{"format": 1, "t": 1, "hosts": [{"name": "../x"}]}\n', "is no recording"),
        (b'{"format": 1, "t": 1e99, "hosts": []}\n', "is no recording"),
        (b'{"format": 2, "t": {"new": 1}, "fleet": []}\n', r"written by a newer release \(format 2\)"),
        (b"[" * 1_000_000, "is no recording"),
    ],
)  # fmt: skip
def test_what_is_no_recording_is_refused(tmp_path: Path, head: bytes, why: str) -> None:
    path = tmp_path / "it.jsonl"
    path.write_bytes(head)
    with pytest.raises(RecordingUnusable, match=why):
        Replay(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none", tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(RecordingUnusable, match="no such file"):
            Replay(path)


def head(**changes: Any) -> bytes:
    given = {"format": 1, "t": NOW_US, "hosts": [{"name": "cam"}], **changes}
    return json.dumps(given).encode() + b"\n"


def test_a_head_of_a_later_edition_with_more_in_it_is_understood(tmp_path: Path, player: Any) -> None:
    path = tmp_path / "it.jsonl"
    path.write_bytes(head(weather="fine", hosts=[{"name": "cam", "colour": "red"}], patience={"poll_s": -1}))
    replay = player(path).replay
    assert (replay.model.patience, replay.ended, replay.end_us) == (Patience(), True, NOW_US)


def test_hostile_lines_are_passed_over_and_counted(tmp_path: Path, player: Any) -> None:
    path = tmp_path / "it.jsonl"
    lines = [
        b"", b"null", b"\xff\xfe", b'{"t": -1}', b'{"t": 1e300}', b'{"t": "x", "node": "cam"}', b"{" * 10_000,
        b'{"t": %d, "node": "cam", "status": {"node": "cam"}}' % NOW_US, b"x" * (record.LONGEST_LINE_BYTES * 2 + 5),
    ]  # fmt: skip
    good = b'{"t": %d, "node": "cam", "error": {"code": "FLT-999", "detail": "x", "failures": 9999999999}}' % NOW_US
    foreign = b'{"t": %d, "node": "nobody", "error": {"code": "FLT-002"}}' % NOW_US
    path.write_bytes(head() + b"\n".join([*lines, foreign, good]) + b"\n")
    one = player(path)
    one.plays(1)
    assert (one.replay.skipped, one.replay.ended) == (len(lines), True)
    assert one.replay.model.word("cam") is Word.UNREACHABLE


def test_a_line_without_an_end_takes_no_memory(tmp_path: Path, player: Any) -> None:
    path = tmp_path / "it.jsonl"
    path.write_bytes(head())
    with path.open("ab") as file:
        file.truncate(200_000_000)
    one = player(path)
    one.plays(1)
    assert (one.replay.skipped, one.replay.ended) == (1, True)


def test_time_never_goes_back(tmp_path: Path, player: Any, make_status: Callable[..., Any]) -> None:
    status = json.loads(make_status("cam").model_dump_json())
    times = (10, 5, 20, 0)
    lines = [json.dumps({"t": NOW_US + at * 1_000_000, "node": "cam", "status": status}).encode() for at in times]
    path = tmp_path / "it.jsonl"
    path.write_bytes(head() + b"\n".join(lines) + b"\n")
    one = player(path)
    seen = []
    for _ in range(30):
        one.plays(0.9)
        seen.append(one.replay.now_us)
    assert seen == sorted(seen)
    assert seen[-1] == NOW_US + 20_000_000
    assert one.replay.model.views["cam"].heard_s == pytest.approx(seen[-1] / 1e6, rel=0, abs=0.01)
