"""After the faults: an independent count by plain SQL, hashes and ffprobe of what was kept, sent, deleted and made."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Any

from node.archive.base import MARKER, WORKSHOP
from node.domain.errors import NoFrames, NotArchived
from node.store.database import NAME
from tests.docks import COUNTED, KEPT
from tests.faults.station import TARGETS, Station
from tests.simulate.ledger import Rule, complaints, scan

_LOST, _WRONG, _TWICE, _LEFT = "lost", "deleted unverified", "twice", "left"
HOPELESS = {("render", "dead", NoFrames.code), ("restore", "dead", NotArchived.code)}
"""Jobs that no repetition helps: too few frames were taken, or what is gone is at the other target."""
KINDS = (_LOST, _WRONG, _TWICE, _LEFT)


@dataclass
class Reckoning:
    """What is wrong, by kind; `late` are frames whose target changed them after a true receipt, counted apart."""

    said: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    frames: int = 0
    gone: int = 0
    receipts: int = 0
    videos: int = 0
    denied: int = 0
    late: int = 0

    @property
    def all(self) -> list[str]:
        return [f"{kind}: {each}" for kind, said in self.said.items() for each in said]

    def add(self, kind: str, said: Iterable[str]) -> None:
        self.said[kind] += said


@dataclass(frozen=True)
class Receipt:
    item: str
    target: str
    name: str
    size_bytes: int
    sha256: str


class Books:
    """The rows of a node that has ended, and what lies on its disk and at its targets, each file read once."""

    def __init__(self, station: Station) -> None:
        self.station, self.data = station, station.home.data
        with closing(sqlite3.connect(self.data / NAME)) as database:
            self.read = database.execute
            self.sound = [row[0] for row in self.read("PRAGMA integrity_check")]
            self.frames = {row[0]: row[1:] for row in self.read("SELECT id, path, size_bytes, sha256 FROM frames")}
            self.aside = {row[0] for row in self.read("SELECT id FROM frames WHERE quarantined = 1")}
            self.gone = {row[0]: json.loads(row[1]) for row in self.read("SELECT frame_id, receipts FROM frames_gone")}
            columns = "item, target, name, size_bytes, sha256"
            self.receipts = [Receipt(*row) for row in self.read(f"SELECT {columns} FROM receipts")]
            self.jobs = list(self.read("SELECT kind, key, state, error_code, id FROM jobs"))
            self.videos = list(self.read("SELECT id, job_id, shoot, path, poster, sha256, frames, width, height, fps,"
                                         " duration_s, deleted_us FROM videos"))  # fmt: skip
            self.shoots = dict(self.read("SELECT shoot, state FROM shoots"))
            self.outbox = list(self.read("SELECT target, item, error_code FROM outbox"))
            self.sums = list(self.read(KEPT)), list(self.read(COUNTED))
            self.told = list(self.read("SELECT kind, body FROM events WHERE kind IN ('frame', 'video')"))
            self.denied = [row[0] for row in self.read("SELECT body FROM events WHERE kind = 'receipt_denied'")]
        self.here = _hashes(self.data, ("frames", "quarantine", "videos", "thumbs", "backup"))
        self.there = {target: _hashes(station.disks[target].behind, ("",)) for target in TARGETS}

    def true(self, receipt: Receipt) -> bool:
        """Whether the target holds what the receipt says."""
        return self.there[receipt.target].get(receipt.name) == receipt.sha256

    def held(self, frame: str) -> set[str]:
        """Targets that have it, with a receipt that says what its row says."""
        _, size, sha256 = self.frames[frame]
        mine = [each for each in self.receipts if each.item == frame]
        return {each.target for each in mine if (each.size_bytes, each.sha256) == (size, sha256) and self.true(each)}


def reckon(station: Station) -> Reckoning:
    """Of a station whose processes have ended; the bits that were flipped are still so."""
    books, found = Books(station), Reckoning()
    found.frames, found.gone, found.receipts = len(books.frames), len(books.gone), len(books.receipts)
    found.videos, found.denied, found.late = len(books.videos), len(books.denied), len(station.late)
    found.add(_LOST, [*_reported(books), *_kept(books), *_ledger(books)])
    found.add(_WRONG, [*_deleted(books), *_false(books)])
    found.add(_TWICE, [*_doubles(books), *_videos(books)])
    found.add(_LEFT, [*_unsettled(books), *_strays(books)])
    return found


# --- frames -----------------------------------------------------------------------------------------------------------
def _reported(books: Books) -> Iterator[str]:
    """What the API said was kept, and is neither here nor at a target that has proved it."""
    for frame, (sha256, path) in books.station.witness.reported().items():
        row = books.frames.get(frame)
        if row is None:
            yield f"frame {frame} was reported and has no row"
        elif sha256 and (row[2], row[0]) != (sha256, path):
            yield f"frame {frame} is not as it was reported"
    yield from books.station.witness.lies


def _kept(books: Books) -> Iterator[str]:
    for frame, (path, _, sha256) in books.frames.items():
        here = books.here.get(path)
        if frame in books.station.flipped:
            yield from _flipped(books, frame, here)
        elif here not in (None, sha256):
            yield f"frame {frame} is altered here"
        elif here is None and frame not in books.gone:
            yield f"frame {frame} is not here, and no rule took it"
        elif here is None and not books.held(frame) and not _late(books, frame, sha256):
            yield f"frame {frame} is not here, and no target has proved it"


def _flipped(books: Books, frame: str, here: str | None) -> Iterator[str]:
    """It lies there as it was spoilt, unless it was proved elsewhere before."""
    _, true, other = books.station.flipped[frame]
    if here is None and not books.held(frame):
        yield f"frame {frame}, altered, was deleted"
    if here not in (None, _sha256(true), _sha256(other)):
        yield f"frame {frame}, altered, was altered once more"


def _late(books: Books, frame: str, sha256: str) -> bool:
    """Lied about after it was proved; the lie was taken back."""
    path = f"{books.station.at('nas').name}/{books.frames[frame][0]}"
    return frame in books.station.late and books.there["nas"].get(path) == sha256


def _ledger(books: Books) -> Iterator[str]:
    """Each slot that was due is a frame or a gap: counted in a folder to which all frames have come back."""
    days, whole = books.station.days, books.station.folder / "whole"
    shutil.copytree(books.data / "frames", whole / "frames", dirs_exist_ok=True)
    shutil.copy(books.data / NAME, whole / NAME)
    for frame, (path, *_) in books.frames.items():
        for target in sorted(books.held(frame)) if path not in books.here else ():
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(books.station.at(target) / path, whole / path)
    for path, true, _ in books.station.flipped.values():
        own = whole / path.relative_to(books.data)
        if own.exists():
            own.write_bytes(true)
    with closing(sqlite3.connect(whole / NAME)) as database:
        ((from_us,),) = database.execute("SELECT MIN(from_us) FROM activations")
    yield from complaints(whole, scan([Rule(from_us, 1, days.wanted)], from_us, days.until_us - 1))
    shutil.rmtree(whole)


def _deleted(books: Books) -> Iterator[str]:
    """Frames that went without as many true receipts as it takes."""
    needed = books.station.shape.receipts_needed
    for frame, receipts in books.gone.items():
        _, size, sha256 = books.frames[frame]
        said = {each["target"] for each in receipts if (each["size_bytes"], each["sha256"]) == (size, sha256)}
        if len(said) < needed:
            yield f"frame {frame} went with receipts of {sorted(said)}, {needed} needed"
        elif len(books.held(frame) & said) < needed and frame not in books.station.late:
            yield f"frame {frame} went, and not all of {sorted(said)} hold it"


def _false(books: Books) -> Iterator[str]:
    for receipt in books.receipts:
        if not books.true(receipt) and receipt.item not in books.station.late:
            yield f"receipt of {receipt.target} for {receipt.item}: that is not what lies there"


# --- side effects -----------------------------------------------------------------------------------------------------
def _doubles(books: Books) -> Iterator[str]:
    """Anything that happened once and was told, written or made more often."""
    counts = Counter((kind, json.loads(body)[kind]) for kind, body in books.told)
    yield from (f"{kind} {item} was told of {count} times" for (kind, item), count in counts.items() if count > 1)
    by_job = Counter(video[1] for video in books.videos)
    yield from (f"job {job} made {count} videos" for job, count in by_job.items() if count > 1)
    by_shoot = Counter(video[2] for video in books.videos if video[2])
    yield from (f"shoot {shoot} has had {count} videos" for shoot, count in by_shoot.items() if count > 1)
    asked = Counter(key for kind, key, *_ in books.jobs if kind == "render" and key in books.shoots)
    yield from (f"shoot {shoot} was rendered by {count} jobs" for shoot, count in asked.items() if count > 1)
    paths = Counter(row[0] for row in books.frames.values())
    yield from (f"{count} frames lie at {path}" for path, count in paths.items() if count > 1)


def _videos(books: Books) -> Iterator[str]:
    """Every job that is done has made its video, and each is what its row says."""
    made = {video[1] for video in books.videos}
    for kind, key, state, _, job in books.jobs:
        if kind == "render" and state == "done" and job not in made:
            yield f"render {key} is done and there is no video"
    for video in books.videos:
        identity, _, _, path, _, sha256, *facts, deleted_us = video
        if deleted_us is None and books.here.get(path) != sha256:
            yield f"video {identity} is not what its row says"
        elif deleted_us is None and not all(map(isclose, probed(books.data / path), facts)):
            yield f"video {identity} has {probed(books.data / path)}, its row says {facts}"


def probed(path: Path) -> tuple[int, int, int, float, float]:
    """Frames (counted by decoding), width, height, frames per second, seconds."""
    shown = "stream=nb_read_frames,width,height,r_frame_rate,duration"
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", shown]
    done = subprocess.run([*command, "-of", "json", str(path)], capture_output=True, timeout=60, check=True)
    (stream,) = json.loads(done.stdout)["streams"]
    over, under = map(int, stream["r_frame_rate"].split("/"))
    frames, fps = int(stream["nb_read_frames"]), over / under
    return frames, stream["width"], stream["height"], fps, frames / fps


# --- what is left -----------------------------------------------------------------------------------------------------
def _unsettled(books: Books) -> Iterator[str]:
    """Jobs that nobody ends, shoots without their video, what no target got, sums that are off."""
    for kind, key, state, error_code, _ in books.jobs:
        if state not in ("done", "cancelled") and (kind, state, error_code) not in HOPELESS:
            yield f"{kind} {key} is {state} {error_code}".rstrip()
    poor = {key for kind, key, state, *_ in books.jobs if (kind, state) == ("render", "dead")}
    for shoot, state in books.shoots.items():
        if state not in ("done", "degraded") and not (state == "failed" and shoot in poor):
            yield f"shoot {shoot} is {state}"
    with_video = {video[2] for video in books.videos}  # which may have gone to make room
    ended = [shoot for shoot, state in books.shoots.items() if state in ("done", "degraded")]
    yield from (f"shoot {shoot} is done without a video" for shoot in ended if shoot not in with_video)
    yield from (f"{item} is unsent to {target} {error}" for target, item, error in books.outbox)
    here = [frame for frame in books.frames if frame not in books.gone and frame not in books.aside]
    got = {(each.item, each.target) for each in books.receipts}
    lacking = [(frame, target) for frame in here for target in TARGETS if (frame, target) not in got]
    yield from (f"frame {frame} is here and not at {target}" for frame, target in lacking)
    if books.sums[0] != books.sums[1]:
        yield f"sums of targets {books.sums[0]} should be {books.sums[1]}"
    yield from (f"database: {said}" for said in books.sound if said != "ok")


def _strays(books: Books) -> Iterator[str]:
    """Files that nobody has.  Half a thumbnail, whose frame has gone since, goes by a rule after an hour."""
    halves = {name for name in books.here if name.startswith("thumbs/") and name.endswith(".tmp")}
    thumbs = {name for name in books.here if name.startswith("thumbs/")} - halves
    backups = {name for name in books.here if name.startswith("backup/") and name.endswith(".db")}
    videos = {path for video in books.videos if video[-1] is None for path in video[3:5]}
    frames = {row[0] for frame, row in books.frames.items() if frame not in books.gone}
    beside = {f"{books.frames[frame][0]}.json" for frame in books.aside}
    nobodys = books.here.keys() - halves - thumbs - backups - videos - frames - beside
    yield from (f"{name} belongs to nobody" for name in sorted(nobodys))
    yield from (f"{name} is of no frame" for name in sorted(thumbs) if Path(name).name[:26] not in books.frames)
    scratch = [path for path in (books.data / "scratch").rglob("*") if not path.is_dir()]
    yield from (f"{path.relative_to(books.data)} was left" for path in scratch)
    for target, files in books.there.items():
        own = [name for name in files if name != MARKER and not name.startswith(WORKSHOP)]
        unfinished = [name for name in own if Path(name).name.startswith(".")]
        yield from (f"{name} was left at {target}" for name in unfinished)


def _hashes(folder: Path, tops: Iterable[str]) -> dict[str, str]:
    paths = (path for top in tops for path in (folder / top).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path.read_bytes()) for path in paths}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def events(station: Station, kind: str) -> list[dict[str, Any]]:
    """Bodies of all events of a kind."""
    return [json.loads(body) for (body,) in station.rows("SELECT body FROM events WHERE kind = ? ORDER BY id", kind)]
