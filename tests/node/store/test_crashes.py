"""A process that ends by SIGKILL at each named point of a write, again and again on the same data directory."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.crashpoint import VARIABLE
from node.store.configs import VersionBook
from node.work.rebuild import adopt_recent
from tests.clocks import START_US, JumpClock
from tests.stores import opened

WRITES_FRAMES = """
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from node.domain.sidecar import to_sidecar
from node.imaging.exif import with_sidecar
from node.store.files import write_atomic
from tests.clocks import JumpClock
from tests.stores import day, frame_of, kept_event, opened, slot_of

folder, start_us = Path(sys.argv[1]), int(sys.argv[2])
picture = bytes.fromhex("ffd8ffe000104a46494600010100000100010000") + bytes(2000) + bytes.fromhex("ffd9")
with opened(folder, JumpClock(start_us)) as store:
    for number in range(12):
        store.clock.advance(60)
        frame = frame_of(store.clock, store.clock.now_us())
        data = with_sidecar(picture, to_sidecar(frame))
        write_atomic(folder / frame.path, data)
        frame = replace(frame, size_bytes=len(data), sha256=sha256(data).hexdigest())
        store.journal.keep(frame, slot_of(frame), [kept_event(frame)], day=day(frame.captured_us))
        print(frame.id, frame.path, frame.sha256, flush=True)
"""
CHANGES_CONFIG = """
import sys
from pathlib import Path
from node.store.configs import Proof
from node.store.log import Actor
from tests.stores import opened

with opened(Path(sys.argv[1])) as store:
    running = store.journal.begin_book()
    for number in range(3):
        store.clock.advance(60)
        document = {"site": {"name": f"{number}"}}
        now_us = store.clock.now_us()
        running = store.journal.put_config(document, running.version.version, Actor("a"), now_us, Proof(now_us, 3))
        print("running", running.version.version, flush=True)
        act = store.journal.confirm_config
        if number == 1:
            act = lambda version: store.journal.roll_back_config(version, "bad", store.clock.now_us())
        running = act(running.version.version)
        print("running", running.version.version, flush=True)
"""
POINTS = ("before_rename", "after_rename", "before_commit", "after_commit")


def run(script: str, planned: str, *arguments: object) -> tuple[int, list[list[str]]]:
    """Exit status, and what it had said by then."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env={VARIABLE: planned}, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, [line.split() for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_every_frame_that_was_reported_is_there_once_whatever_the_crash(tmp_path: Path, point: str) -> None:
    said: list[list[str]] = []
    for life, passage in enumerate((1, 4, 11)):
        status, lines = run(WRITES_FRAMES, f"{point}:{passage}", tmp_path, START_US + life * 3_600_000_000)
        assert (status, len(lines)) == (-signal.SIGKILL, passage - 1)
        said += lines
    with opened(tmp_path, JumpClock(START_US + 9 * 3_600_000_000)) as store:
        store.database.check()
        report = adopt_recent(tmp_path, store.journal, store.frames)
        assert len(report.adopted) == (3 if point in ("after_rename", "before_commit") else 0)
        assert report.swept == (3 if point == "before_rename" else 0)
        frames = list(store.frames.every())
        for identity, path, digest in said:
            assert store.frames.get(identity).sha256 == digest
            assert hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() == digest
        assert sorted(frame.path for frame in frames) == sorted(
            path.relative_to(tmp_path).as_posix() for path in (tmp_path / "frames").rglob("*.*")
        )
        assert len(frames) == len(said) + (0 if point == "before_rename" else 3)
        assert store.rows("SELECT COUNT(DISTINCT frame_id), COUNT(*) FROM slots") == [(len(frames), len(frames))]
        assert store.rows("SELECT MAX(id), COUNT(*) FROM events") == [(len(frames), len(frames))]
        assert sum(each.captured for each in store.ledger.days()) == len(frames)
        assert adopt_recent(tmp_path, store.journal, store.frames).adopted == ()


# after so many commits: version and state of what runs, and how many versions are known
COMMITS = (
    (1, "active", 1),  # the book is begun again at the next start
    (1, "active", 1),
    (2, "probation", 2),
    (2, "confirmed", 2),
    (3, "probation", 3),
    (2, "active", 3),
    (4, "probation", 4),
    (4, "confirmed", 4),
)


@pytest.mark.slow
@pytest.mark.parametrize("passage", range(1, len(COMMITS)))
@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
def test_a_crash_leaves_one_whole_running_document(tmp_path: Path, point: str, passage: int) -> None:
    status, _ = run(CHANGES_CONFIG, f"{point}:{passage}", tmp_path)
    assert status == -signal.SIGKILL
    commits = passage if point == "after_commit" else passage - 1
    with opened(tmp_path) as store:
        running = store.journal.begin_book()
        known = len(VersionBook(store.database).history())
        assert (running.version.version, running.activation.state, known) == COMMITS[commits]
        current = "SELECT COUNT(*) FROM activations WHERE state IN ('active', 'probation', 'confirmed')"
        assert store.rows(current) == [(1,)]
        entries = [(max(0, commits - 1),)]
        assert store.rows("SELECT COUNT(*) FROM events") == store.rows("SELECT COUNT(*) FROM audit") == entries
