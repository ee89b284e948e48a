"""An independent count of a ledger: due instants by brute force, frames by the files on disk, gaps by plain SQL."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.imaging.exif import read_sidecar

US = 1_000_000


@dataclass(frozen=True)
class Rule:
    """From `from_us` on (not included) a slot is due at each multiple of `every_s` at which `wanted` says so."""

    from_us: int
    every_s: int
    wanted: Callable[[int], bool] = lambda _: True


def scan(rules: list[Rule], after_us: int, until_us: int) -> set[int]:
    """Due instants with after < due <= until: every second that any rule's grid touches is looked at."""
    found: set[int] = set()
    ends = [*(rule.from_us for rule in rules[1:]), until_us]
    for rule, end_us in zip(rules, ends, strict=True):
        step = rule.every_s * US
        at = max(after_us, rule.from_us) // step * step
        while at <= min(end_us, until_us):
            if at > max(after_us, rule.from_us) and rule.wanted(at):
                found.add(at)
            at += step
    return found


def files(folder: Path, camera: str = "main") -> Iterator[tuple[dict[str, object], str]]:
    """Sidecar and SHA-256 of every kept file of a camera."""
    for path in sorted((folder / "frames" / camera).rglob("*.jpg")):
        data = path.read_bytes()
        sidecar = read_sidecar(data)
        assert sidecar is not None, f"{path} has no sidecar"
        yield sidecar, hashlib.sha256(data).hexdigest()


def complaints(folder: Path, due: set[int], camera: str = "main") -> list[str]:
    """What is wrong with a camera's ledger; empty = each due slot is a frame on disk or a gap, and no more is there."""
    with sqlite3.connect(f"file:{folder}/heliograph.db?mode=ro", uri=True) as database:
        slots = database.execute("SELECT due_us, frame_id, reason FROM slots WHERE camera = ?", (camera,)).fetchall()
        rows = dict(
            database.execute("SELECT id, sha256 FROM frames WHERE quarantined = 0 AND camera = ?", (camera,)).fetchall()
        )
    database.close()
    found = [(str(sidecar["id"]), sidecar["due_us"], sha) for sidecar, sha in files(folder, camera)]
    on_disk = {frame: (due_us, sha) for frame, due_us, sha in found}
    frames = Counter(due_us for due_us, frame, _ in slots if frame)
    gaps = Counter(due_us for due_us, frame, _ in slots if not frame)
    said = []
    said += [f"slot {at} has neither frame nor gap" for at in sorted(due - frames.keys() - gaps.keys())]
    said += [f"slot {at} was never due" for at in sorted((frames.keys() | gaps.keys()) - due)]
    said += [f"slot {at} twice" for at, count in (frames + gaps).items() if count > 1]
    said += [f"frame {frame} of slot {at} is not on disk" for at, frame, _ in slots if frame and frame not in on_disk]
    said += [
        f"frame {frame} was due at another time than slot {at}"
        for at, frame, _ in slots
        if frame in on_disk and on_disk[frame][0] != at
    ]
    said += [f"frame {frame} lies there {n} times" for frame, n in Counter(each[0] for each in found).items() if n > 1]
    said += [
        f"frame {frame} is not as its row says" for frame, sha in rows.items() if on_disk.get(frame, ("", ""))[1] != sha
    ]
    said += [f"file of {frame} has no row" for frame in on_disk if frame not in rows]
    return said


def reasons(folder: Path) -> Counter[str]:
    """Gaps by reason."""
    with sqlite3.connect(f"file:{folder}/heliograph.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT reason, COUNT(*) FROM slots WHERE reason IS NOT NULL GROUP BY reason")
        found = Counter(dict(rows.fetchall()))
    database.close()
    return found


def events(folder: Path, kind: str) -> list[dict[str, object]]:
    """Bodies of all events of a kind."""
    with sqlite3.connect(f"file:{folder}/heliograph.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT body FROM events WHERE kind = ? ORDER BY id", (kind,)).fetchall()
    database.close()
    return [json.loads(body) for (body,) in rows]


def all_complaints(folder: Path, cameras: tuple[str, ...] = ("main",)) -> list[str]:
    """Of every camera, over all documents that ran: each asks for its shortest interval, day and night."""
    with closing(sqlite3.connect(f"file:{folder}/heliograph.db?mode=ro", uri=True)) as database:
        spans = database.execute(
            "SELECT from_us, document FROM activations JOIN configs USING (version) ORDER BY activations.id"
        ).fetchall()
        last = dict(database.execute("SELECT camera, MAX(due_us) FROM slots GROUP BY camera").fetchall())
    rules = [Rule(from_us, _interval_s(json.loads(document))) for from_us, document in spans]
    return [
        f"{camera}: {said}"
        for camera in cameras
        for said in complaints(folder, scan(rules, rules[0].from_us, last[camera]), camera)
    ]


def settled_to(folder: Path) -> dict[str, int]:
    """Up to when each camera's ledger says that it is complete, UTC microseconds."""
    with closing(sqlite3.connect(f"file:{folder}/heliograph.db?mode=ro", uri=True)) as database:
        return dict(database.execute("SELECT camera, settled_to_us FROM ledger").fetchall())


def _interval_s(document: dict[str, Any]) -> int:
    return min((each["interval_s"] for each in document.get("schedules", {}).values()), default=60)
