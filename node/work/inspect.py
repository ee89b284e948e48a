"""The judge over files: single ones, a list with histories, a folder in the order of time.  The same code as live."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from typing import Any

from node.domain.config import Quality
from node.domain.errors import HeliographError, PictureUnreadable
from node.domain.times import to_us
from node.imaging.decode import check
from node.imaging.exif import HEAD_BYTES, read_sidecar, taken_at
from node.imaging.measure import Picture, measure
from node.work.judge import Assessed, Judge

LARGEST_PICTURE = 256 * 1024 * 1024
REMEMBERED_PICTURES = 256  # measures of history pictures, about 40 KB each, since lines of a list share them
SUFFIXES = {".jpg", ".jpeg"}
DEFAULTS, DEFAULT_PROFILE = Quality(), "auto"

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a list: a picture and what is known about it."""

    path: str
    history: tuple[str, ...] = ()
    sun_elevation_deg: float | None = None


def inspect_files(paths: Iterable[Path], quality: Quality = DEFAULTS) -> Iterator[Entry]:
    """Each file by itself, without any history."""
    for path in paths:
        yield _entry(str(path), Judge(None, ""), DEFAULT_PROFILE, None, quality)


def inspect_batch(path: Path, quality: Quality = DEFAULTS) -> Iterator[Entry]:
    """A list: lines of JSON with `path`, perhaps `history` (good pictures, oldest first) and `sun_elevation`.

    A history picture that cannot be used is left out, and named in `error` beside the verdict.  Raises
    PictureUnreadable where the list itself cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _inspect_line(number, line, quality)
    except OSError as error:
        raise PictureUnreadable(f"{path}: {error.strerror or error}") from error


def inspect_series(folder: Path, quality: Quality = DEFAULTS) -> Iterator[Entry]:
    """A folder and those below it in the order of time, learning as the node does; one judge for each camera.

    Time, camera, profile and sun come from the sidecars; else the time from EXIF; else the name gives the order.
    Raises PictureUnreadable where the folder cannot be read.
    """
    judges: dict[str, Judge] = {}
    for path in in_order(folder):
        try:
            sidecar = read_sidecar(_head(path)) or {}
        except PictureUnreadable as error:
            yield _error_entry(str(path), error)
            continue
        judge = judges.setdefault(str(sidecar.get("camera", "")), Judge(None, ""))
        profile, sun = str(sidecar.get("profile", DEFAULT_PROFILE)), _number(sidecar.get("sun_elevation_deg"))
        yield _entry(str(path), judge, profile, sun, quality, learn=True)


def in_order(folder: Path) -> list[Path]:
    """The JPEG files below a folder: by the time of capture; one without it follows its neighbour by name.

    Raises PictureUnreadable where the folder cannot be read.
    """
    if not folder.is_dir():
        raise PictureUnreadable(f"{folder}: not a folder")
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    paths.sort(key=_by_name)
    timed, last_us = [], 0
    for place, path in enumerate(paths):
        captured_us = _captured_us(path)
        last_us = last_us if captured_us is None else captured_us
        timed.append((last_us, place, path))
    return [path for _, _, path in sorted(timed)]


def _inspect_line(number: int, line: str, quality: Quality) -> Entry:
    try:
        listed = _listed(line)
    except ValueError as error:
        return _error_entry(None, PictureUnreadable(f"line {number}: {error}"))
    judge, left_out = Judge(None, ""), []
    for earlier in listed.history[-quality.limits.history_frames :]:
        picture = _measured(earlier)
        if picture is None:
            left_out.append(earlier)
        else:
            judge.teach(picture, DEFAULT_PROFILE, listed.sun_elevation_deg, quality)
    entry = _entry(listed.path, judge, DEFAULT_PROFILE, listed.sun_elevation_deg, quality)
    if left_out and "error" not in entry:
        entry["error"] = str(PictureUnreadable(f"left out of the history: {', '.join(left_out)}"))
    return entry


def _entry(
    path: str, judge: Judge, profile: str, sun_elevation_deg: float | None, quality: Quality, *, learn: bool = False
) -> Entry:
    started = time.thread_time()
    try:
        data = _read(Path(path))
    except PictureUnreadable as error:
        return _error_entry(path, error)
    assessed = judge.assess(data, profile, sun_elevation_deg, quality)
    if learn:
        judge.learn(assessed)
    return _said(path, assessed, time.thread_time() - started)


def _said(path: str, assessed: Assessed, cpu_s: float) -> Entry:
    judgement = assessed.judgement
    entry: Entry = {
        "path": path,
        "integrity": assessed.integrity.value,
        "score": judgement.score,
        "verdict": judgement.verdict.value,
        "reasons": [
            {"code": reason.code, "measure": reason.measure, "limit": reason.limit} for reason in judgement.reasons
        ],
        "cpu_ms": round(cpu_s * 1000, 2),
        "baseline_frames": judgement.baseline_frames,
        "cold": judgement.cold,
    }
    return entry | ({"errors": [str(error) for error in assessed.errors]} if assessed.errors else {})


def _error_entry(path: str | None, error: HeliographError) -> Entry:
    return {"path": path, "error": str(error)}


def _listed(line: str) -> Listed:
    """Raises ValueError, in words, where a line is not one of a list."""
    given = json.loads(line)
    if not isinstance(given, dict) or not isinstance(given.get("path"), str):
        message = "not an object with a path"
        raise ValueError(message)  # noqa: TRY004 one error for all that can be wrong with a line
    history, sun = given.get("history") or [], given.get("sun_elevation")
    if not isinstance(history, list) or not all(isinstance(earlier, str) for earlier in history):
        message = "history is not a list of paths"
        raise ValueError(message)
    if sun is not None and _number(sun) is None:
        message = "sun_elevation is not a number of degrees"
        raise ValueError(message)
    return Listed(given["path"], tuple(history), _number(sun))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _measured(path: str) -> Picture | None:
    """The measures of a history picture; None where it is not intact or cannot be read."""
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):
        return None
    return _measured_once(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=REMEMBERED_PICTURES)
def _measured_once(path: str, _changed_ns: int, _size: int) -> Picture | None:
    try:
        data = _read(Path(path))
    except PictureUnreadable:
        return None
    checked = check(data)
    return None if checked.pixels is None else measure(data, checked)


def _read(path: Path) -> bytes:
    return _opened(path, path.read_bytes)


def _head(path: Path) -> bytes:
    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)

    return _opened(path, read)


def _opened(path: Path, read: Callable[[], bytes]) -> bytes:
    """Raises PictureUnreadable for what is no ordinary file, too large for a picture, or not readable."""
    try:
        if not path.is_file():
            raise PictureUnreadable(f"{path}: {'not a file' if path.exists() else 'no such file'}")
        if path.stat().st_size > LARGEST_PICTURE:
            raise PictureUnreadable(f"{path}: over {LARGEST_PICTURE} bytes")
        return read()
    except (OSError, ValueError) as error:
        raise PictureUnreadable(f"{path}: {error}") from error


def _captured_us(path: Path) -> int | None:
    try:
        head = _head(path)
    except PictureUnreadable:
        return None
    captured_us = (read_sidecar(head) or {}).get("captured_us")
    if isinstance(captured_us, int):
        return captured_us
    moment = taken_at(head)
    return None if moment is None else to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _by_name(path: Path) -> list[tuple[int, str]]:
    """Numbers in names by their value: shot2 before shot10."""
    parts = re.split(r"([0-9]+)", str(path.with_suffix("")))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in (*parts, path.suffix)]
