"""What outlives a console: nothing acknowledged is lost, nothing newer is touched, no fault ends anything."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.fleet import keep, state
from console.fleet.inventory import Host
from console.fleet.state import Ack, Book, CommandEntry, SavedView
from console.fleet.view import FleetModel, Patience, Word
from node.wire.errors import RecordingUnusable

NOW_US = 1_800_000_000_000_000
HOUR_US = 3_600_000_000
ACK = Ack("cam/camera_offline/main", "mw", "lens visit on friday", NOW_US)
HOSTS = [Host("cam", "127.0.0.1", 1, "http"), Host("new", "127.0.0.1", 2, "http")]
WRITER = """
import os, sys
from pathlib import Path
from console.fleet.clock import Clock
from console.fleet.state import Ack, Book
folder, who, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
book = Book.open(folder, None, Clock())
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    assert book.acknowledge(Ack(f"{who}/gap/{number}", who, "seen", 1))
print("saved", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def book(tmp_path: Path, hand: Any) -> Callable[[], Book]:
    return lambda: Book.open(tmp_path / "state", None, hand.as_clock())


def writer(folder: Path, who: str, count: int = 1) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), who, str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def saved(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    assert child.stdout.readline() == "saved\n"


def test_an_acknowledgement_outlives_its_console(book: Callable[[], Book]) -> None:
    assert book().acknowledge(ACK)
    again = book()
    assert (again.acks, again.trouble) == ({ACK.key: ACK}, "")
    assert again.withdraw(ACK.key)
    assert (again.acks, book().acks) == ({}, {})


def test_what_was_said_to_be_saved_is_there_after_a_kill(tmp_path: Path, hand: Any) -> None:
    child = writer(tmp_path, "mw")
    go(child)
    saved(child)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert list(Book.open(tmp_path, None, hand.as_clock()).acks) == ["mw/gap/0"]


def test_two_writers_at_once_keep_both(tmp_path: Path, hand: Any) -> None:
    children = [writer(tmp_path, who, 50) for who in ("mw", "kb")]
    for child in children:
        go(child)
    for child in children:
        saved(child)
        child.communicate("\n")
    assert len(Book.open(tmp_path, None, hand.as_clock()).acks) == 100


def test_others_acknowledgements_come_with_a_refresh(book: Callable[[], Book]) -> None:
    mine, theirs = book(), book()
    theirs.acknowledge(ACK)
    before = mine.acks
    mine.refresh()
    after = mine.acks
    assert (before, after) == ({}, {ACK.key: ACK})
    mine.refresh()
    assert mine.acks is after, "nothing has changed"


def test_a_withdrawal_ends_what_was_there_and_not_what_came_after(book: Callable[[], Book]) -> None:
    mine, theirs = book(), book()
    mine.acknowledge(ACK)
    theirs.refresh()
    later = Ack(ACK.key, "kb", "again", NOW_US + 1)
    mine.acknowledge(later)
    theirs._enter([{"withdraw": ACK.key, "of_us": ACK.at_us}], lasting=True)  # as a console that saw less would
    mine.refresh()
    assert mine.acks == theirs.acks == {ACK.key: later}


def test_an_acknowledgement_expires(book: Callable[[], Book], hand: Any) -> None:
    one = book()
    one.acknowledge(Ack(ACK.key, "mw", "", NOW_US, NOW_US + HOUR_US))
    hand.now_s += 3599
    one.refresh()
    assert one.acks
    hand.now_s += 1
    one.refresh()
    assert (one.acks, book().acks) == ({}, {})


def test_a_torn_line_costs_itself_only(book: Callable[[], Book], tmp_path: Path) -> None:
    first = book()
    first.acknowledge(ACK)
    path = tmp_path / "state" / "acks.jsonl"
    with path.open("ab") as file:
        file.write(b'\n{"format":1,"ack":{"key":"torn')
    second = book()
    assert second.acknowledge(Ack("cam/gap/a", "kb", "", NOW_US))
    assert set(book().acks) == {ACK.key, "cam/gap/a"}
    first.refresh()
    assert set(first.acks) == {ACK.key, "cam/gap/a"}


@pytest.mark.parametrize(
    "line",
    [
        b"", b"null", b"[1]", b"\xff\xfe", b'{"ack":{}}', b'{"format":true,"ack":{"key":"a"}}', b"x" * 200_000,
        b'{"format":1,"ack":{"key":"","by":"a","reason":"b","at_us":1}}',
        b'{"format":1,"ack":{"key":"k","by":"a","reason":"b","at_us":1e300}}',
        b'{"format":1,"ack":[]}', b'{"format":1,"withdraw":{}}', b'{"format":1}',
        b'{"format":1,"ack":' + b"[" * 5000,
    ],
)  # fmt: skip
def test_a_foreign_line_is_passed_over(book: Callable[[], Book], tmp_path: Path, line: bytes) -> None:
    book().acknowledge(ACK)
    with (tmp_path / "state" / "acks.jsonl").open("ab") as file:
        file.write(line + b"\n")
    assert (book().acks, book().trouble) == ({ACK.key: ACK}, "")


def test_what_another_wrote_cannot_move_the_cursor(book: Callable[[], Book]) -> None:
    one = book()
    one.acknowledge(Ack(ACK.key, "m\x1b[2Jw", "a\nb", NOW_US))
    (ack,) = book().acks.values()
    assert (ack.by, ack.reason) == ("m [2Jw", "a b")


def test_a_file_of_a_newer_release_is_not_touched(book: Callable[[], Book], tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    files = {name: folder / name for name in ("acks.jsonl", "views.json", "snapshot.json", "inventory.json")}
    for path in files.values():
        path.write_text('{"format": 2, "acks": {}, "ack": {"key": "other"}}\n')
    before = {path: path.read_bytes() for path in files.values()}
    one = book()
    assert not one.acknowledge(ACK)
    assert not one.save_view(1, SavedView("triage", "nodes"))
    assert not one.write_hosts(HOSTS)
    assert one.read_hosts() == ()
    assert {path: path.read_bytes() for path in files.values()} == before
    assert (one.acks, one.views[1].name) == ({ACK.key: ACK}, "triage")
    assert "newer release (format 2)" in one.trouble
    assert one.trouble.endswith("1 changes of acknowledgements are not saved")


def test_what_cannot_be_saved_counts_and_is_saved_when_it_can_be(
    book: Callable[[], Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, real = book(), os.write

    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keep.os, "write", full)
    assert not one.acknowledge(ACK)
    assert (one.acks, "No space left on device" in one.trouble) == ({ACK.key: ACK}, True)
    one.refresh()
    assert one.acks == {ACK.key: ACK}
    assert one.trouble.startswith("/"), "why, as long as it is not saved"
    assert "No space left on device; 1 changes" in one.trouble
    monkeypatch.setattr(keep.os, "write", real)
    assert one.acknowledge(Ack("cam/gap/a", "mw", "", NOW_US))
    assert (set(book().acks), one.trouble) == ({ACK.key, "cam/gap/a"}, "")


def test_what_could_not_be_saved_is_saved_by_itself_later(
    book: Callable[[], Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = book()
    with monkeypatch.context() as full:
        full.setattr(keep.os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert not one.acknowledge(ACK)
    assert book().acks == {}
    one.refresh()
    assert (book().acks, one.acks, one.trouble) == ({ACK.key: ACK}, {ACK.key: ACK}, "")


def test_it_is_on_the_disk_before_it_is_answered(book: Callable[[], Book], monkeypatch: pytest.MonkeyPatch) -> None:
    one, synced, real = book(), list[int](), os.fsync
    monkeypatch.setattr(keep.os, "fsync", lambda handle: (synced.append(handle), real(handle)))
    one.acknowledge(ACK)
    assert len(synced) == 1
    one.withdraw(ACK.key, lasting=False)
    assert (len(synced), one.acks) == (1, {})


@pytest.mark.parametrize("inside", [False, True])
def test_without_a_folder_all_is_kept_in_memory(tmp_path: Path, hand: Any, inside: bool) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    one = Book.open(blocked / "inside" if inside else blocked, None, hand.as_clock())
    model = FleetModel(HOSTS, patience=Patience(), clock=hand.as_clock())
    entry = CommandEntry(NOW_US, "mw", "heliograph ack", "done")
    done = (one.acknowledge(ACK), one.write_snapshot(model), one.write_hosts(HOSTS), one.log(entry))
    assert done == (False, False, False, False)
    assert (one.acks, one.commands(5), one.recordings()) == ({ACK.key: ACK}, [entry], [])
    assert one.trouble
    assert "\n" not in one.trouble


def test_a_snapshot_gives_back_what_was_known_with_its_age(
    book: Callable[[], Book], hand: Any, make_status: Callable[..., Any]
) -> None:
    model = FleetModel(HOSTS, patience=Patience(), clock=hand.as_clock())
    model.heard("cam", make_status("cam", state="warn", alerts=[]))
    hand.now_s += 5
    assert book().write_snapshot(model)
    hand.now_s += 60
    later = FleetModel(HOSTS, patience=Patience(), clock=hand.as_clock())
    assert book().read_snapshot(later) == 1
    assert later.views["cam"].status == model.views["cam"].status
    assert later.views["cam"].silence_s(hand.now_s) == pytest.approx(65)
    assert (later.word("cam"), later.word("new")) == (Word.STALE, Word.WAITING)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format":1}', '{"format":1,"nodes":[1,{},{"heard_us":-1},{"heard_us":1,"status":{}}]}']
)
def test_a_wrong_snapshot_gives_nothing_and_is_written_anew(
    book: Callable[[], Book], tmp_path: Path, hand: Any, make_status: Callable[..., Any], text: str
) -> None:
    one, model = book(), FleetModel(HOSTS, patience=Patience(), clock=hand.as_clock())
    (tmp_path / "state" / "snapshot.json").write_text(text)
    assert one.read_snapshot(model) == 0
    model.heard("cam", make_status("cam"))
    assert one.write_snapshot(model)
    assert one.read_snapshot(FleetModel(HOSTS, patience=Patience(), clock=hand.as_clock())) == 1
    damaged = tmp_path / "state" / "snapshot.json.damaged"
    assert damaged.exists() == (text in ("{", "[]"))
    assert list((tmp_path / "state").glob(".*")) == []


def test_hosts_are_cached_for_their_inventory_only(tmp_path: Path, hand: Any) -> None:
    def of(inventory: str) -> Book:
        return Book.open(tmp_path / "shared", Path(inventory), hand.as_clock())

    assert of("/a/hosts.yml").write_hosts(HOSTS)
    assert of("/a/hosts.yml").read_hosts() == tuple(HOSTS)
    assert of("/b/hosts.yml").read_hosts() == ()


def test_each_inventory_has_a_folder_of_its_own(tmp_path: Path, hand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    paths = [Path("/a/hosts.yml"), Path("/b/hosts.yml"), None, Path("one,two,")]
    folders = [Book.open(None, path, hand.as_clock()).folder for path in paths]
    assert len({*folders}) == 4
    assert all(folder.parent == tmp_path / "heliograph" for folder in folders)
    assert folders[0].name.startswith("hosts-yml-")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state.state_home() == Path.home() / ".local" / "state" / "heliograph"


def test_views_are_kept_by_number_and_others_are_not_lost(book: Callable[[], Book]) -> None:
    mine, theirs = book(), book()
    mine.save_view(1, SavedView("triage", "nodes", "state:!ok", "state name", ("NODE", "CAUSE")))
    theirs.save_view(9, SavedView("disks", "nodes"))
    assert book().views == {
        1: SavedView("triage", "nodes", "state:!ok", "state name", ("NODE", "CAUSE")), 9: SavedView("disks", "nodes"),
    }  # fmt: skip


def test_commands_are_listed_newest_first(book: Callable[[], Book]) -> None:
    one = book()
    for number in range(5):
        one.log(CommandEntry(NOW_US + number, "mw", f"heliograph ack {number}", "done"))
    assert [entry.command[-1] for entry in book().commands(3)] == ["4", "3", "2"]


def test_a_long_command_log_makes_way(
    book: Callable[[], Book], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LOG_LIMIT_BYTES", 50)
    one = book()
    for number in range(3):
        one.log(CommandEntry(NOW_US + number, "mw", "x", "done"))
    assert len(book().commands(9)) == 1
    assert (tmp_path / "state" / "commands-before.jsonl").exists()


def test_recordings_are_named_by_the_time(book: Callable[[], Book], hand: Any) -> None:
    one = book()
    first = one.new_recording()
    first.touch()
    second = one.new_recording()
    assert (first.name, second.name) == ("2027-01-15T08-00-00Z.jsonl", "2027-01-15T08-00-00Z-2.jsonl")
    hand.now_s += 60
    third = one.new_recording()
    third.touch()
    assert one.recordings() == [third, first]


def test_where_no_recording_can_be_named_it_says_why(book: Callable[[], Book], monkeypatch: pytest.MonkeyPatch) -> None:
    one = book()
    one.new_recording().touch()
    monkeypatch.setattr(state, "OF_A_SECOND", 2)
    with pytest.raises(RecordingUnusable, match="too many of 2027-01-15T08-00-00Z"):
        one.new_recording()

    def closed(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", closed)
    with pytest.raises(RecordingUnusable, match="recordings: Permission denied"):
        one.new_recording()


def test_every_file_carries_its_format(book: Callable[[], Book], tmp_path: Path, hand: Any) -> None:
    one = book()
    one.acknowledge(ACK)
    one.save_view(1, SavedView("a", "nodes"))
    one.write_hosts(HOSTS)
    one.write_snapshot(FleetModel(HOSTS, patience=Patience(), clock=hand.as_clock()))
    one.log(CommandEntry(NOW_US, "mw", "x", "done"))
    for path in (tmp_path / "state").iterdir():
        text = path.read_text()
        documents = [text] if path.suffix == ".json" else [line for line in text.splitlines() if line]
        assert [json.loads(each)["format"] for each in documents] == [1], path.name


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o2775, 0o664)])
def test_a_file_is_as_open_as_its_folder(book: Callable[[], Book], tmp_path: Path, folder: int, file: int) -> None:
    shared = tmp_path / "state"
    shared.mkdir()
    shared.chmod(folder)
    one = book()
    one.acknowledge(ACK)
    one.write_hosts(HOSTS)
    assert {path.stat().st_mode & 0o777 for path in shared.iterdir()} == {file}


def test_a_long_list_is_shortened_to_what_counts_and_nobody_misses_anything(
    book: Callable[[], Book], tmp_path: Path, hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, first = tmp_path / "state" / "acks.jsonl", book()
    for number in range(20):
        first.acknowledge(Ack(f"cam/gap/{number}", "mw", "", NOW_US, NOW_US + HOUR_US if number % 2 else None))
    watching = book()
    first.withdraw("cam/gap/0")
    before = path.stat().st_size
    hand.now_s += 7200
    monkeypatch.setattr(state, "LONG_BYTES", 1000)
    assert len(book().acks) == 9
    assert path.stat().st_size < before / 2
    watching.refresh()
    first.refresh()
    assert watching.acks == first.acks == book().acks
    assert first.acknowledge(ACK)
    watching.refresh()
    assert len(watching.acks) == len(book().acks) == 10


def test_a_list_that_is_being_written_to_is_not_shortened(
    book: Callable[[], Book], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LONG_BYTES", 0)
    book().acknowledge(ACK)
    path = tmp_path / "state" / "acks.jsonl"
    before = path.stat().st_ino
    with path.open("ab") as writing:
        fcntl.flock(writing, fcntl.LOCK_SH)
        assert book().acks == {ACK.key: ACK}
        assert path.stat().st_ino == before
    assert book().acks == {ACK.key: ACK}
    assert path.stat().st_ino != before


def test_who_waited_while_it_was_shortened_writes_into_the_new_one(
    book: Callable[[], Book], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LONG_BYTES", 0)
    one, real = book(), fcntl.flock
    one.acknowledge(ACK)

    def late(handle: int, how: int) -> None:
        monkeypatch.setattr(keep.fcntl, "flock", real)
        book()  # shortens it between our opening and our lock
        real(handle, how)

    monkeypatch.setattr(keep.fcntl, "flock", late)
    assert one.acknowledge(Ack("cam/gap/a", "mw", "", NOW_US))
    assert set(book().acks) == {ACK.key, "cam/gap/a"}


def test_a_newer_list_is_not_shortened(
    book: Callable[[], Book], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LONG_BYTES", 0)
    path = tmp_path / "state" / "acks.jsonl"
    path.parent.mkdir()
    path.write_text('{"format": 2, "ack": {"key": "other"}}\n')
    before = path.stat().st_ino, path.read_bytes()
    assert "newer release" in book().trouble
    assert (path.stat().st_ino, path.read_bytes()) == before


def test_without_locks_it_is_written_all_the_same(book: Callable[[], Book], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(handle: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(keep.fcntl, "flock", none)
    monkeypatch.setattr(state, "LONG_BYTES", 0)
    assert book().acknowledge(ACK)
    assert (book().acks, book().trouble) == ({ACK.key: ACK}, "")


def test_a_newer_list_is_told_of_at_once(book: Callable[[], Book], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "acks.jsonl").write_text('{"format": 2}\n')
    assert "newer release" in book().trouble


def test_a_shortened_list_that_has_grown_again_is_read_from_its_start(
    book: Callable[[], Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = book()
    one.acknowledge(ACK)
    one.withdraw(ACK.key)
    watching = book()
    monkeypatch.setattr(state, "LONG_BYTES", 0)
    other = book()
    for number in range(9):
        other.acknowledge(Ack(f"cam/gap/{number}", "mw", "", NOW_US))
    watching.refresh()
    assert watching.acks == other.acks
