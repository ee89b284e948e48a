"""The replay camera: the files of a folder, one per shot, in the order of their names, round and round."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path

import simplejpeg

from node.camera.base import CameraConfig, CameraHealth, CameraInfo, Capabilities, ExposurePlan, Shot, ShotSpec
from node.clock import Clock
from node.domain.errors import CameraFault, DirectoryMissing, FieldFault, ReplayEmpty
from node.domain.frame import Exposure

BACKEND = "replay"
READ_LIMIT = 100_000_000
"""Bytes read of one file: more is no photograph, and the judge says so of the part as well."""
_LOOKED_AT = 5


class ReplayCamera:
    """Delivers every regular, non-hidden file as it is, whatever it holds: naming what is wrong is the judge's work."""

    def __init__(self, _clock: Clock) -> None:
        self._folder: Path | None = None
        self._names: list[str] = []
        self._seen_ns = -1
        self._last: str | None = None
        self._size = (0, 0)
        self._shots = 0

    def probe(self) -> list[CameraInfo]:
        return [CameraInfo(BACKEND, "files of a folder")]

    def open(self, config: CameraConfig) -> None:
        """Raises DirectoryMissing and ReplayEmpty.  A new worker goes on where an ended one was."""
        folder = Path(config.options["folder"])
        names = _pictures(folder)
        if not names:
            raise ReplayEmpty(str(folder))
        if folder != self._folder:
            self._last = names[(config.shots_before - 1) % len(names)] if config.shots_before else None
        self._folder, self._names, self._seen_ns = folder, names, -1
        self._size = _first_size(folder, names)

    def capabilities(self) -> Capabilities:
        return Capabilities(*self._size)

    def apply(self, plan: ExposurePlan) -> tuple[str, ...]:
        values = {"exposure_s": plan.exposure_s, "gain": plan.gain, "ev_stops": plan.ev_stops}
        return tuple(name for name, value in values.items() if value)

    def capture(self, deadline_s: float, spec: ShotSpec) -> Shot:  # noqa: ARG002 - a read has no deadline of its own
        """`captured_us` is the moment asked for: the file stands for the slot."""
        if self._folder is None:
            raise CameraFault("the camera is not open")
        jpeg = self._next(self._folder)
        height, width = _size(jpeg)
        self._size = (width, height)
        self._shots += 1
        return Shot(
            jpeg=jpeg,
            width=width,
            height=height,
            captured_us=spec.at_us,
            requested=Exposure(spec.plan.exposure_s, spec.plan.gain, spec.plan.ev_stops),
            actual=Exposure(),
            settled=True,
            frames_used=1,
            backend=BACKEND,
            source=self._last or "",
        )

    def close(self) -> None:
        self._names = []
        self._seen_ns = -1

    def health(self) -> CameraHealth:
        return CameraHealth(open=bool(self._names), shots=self._shots, detail=self._last or "")

    def _next(self, folder: Path) -> bytes:
        self._reread(folder)
        for _ in range(len(self._names)):
            place = bisect_right(self._names, self._last) if self._last is not None else 0
            self._last = self._names[place % len(self._names)]
            try:
                with (folder / self._last).open("rb") as file:
                    return file.read(READ_LIMIT)
            except FileNotFoundError:
                self._seen_ns = -1  # taken away since the folder was read
        raise ReplayEmpty(str(folder))

    def _reread(self, folder: Path) -> None:
        changed_ns = _changed_ns(folder)
        if changed_ns == self._seen_ns:
            return
        self._names = _pictures(folder)
        self._seen_ns = changed_ns
        if not self._names:
            raise ReplayEmpty(str(folder))


def check_folders(folders: Mapping[str, str]) -> None:
    """At start: replay folders by camera.  Raises DirectoryMissing or ReplayEmpty, naming each field."""
    missing: list[FieldFault] = []
    empty: list[FieldFault] = []
    for name, folder in folders.items():
        field = f"cameras.{name}.folder"
        try:
            names = _pictures(Path(folder))
        except DirectoryMissing as error:
            missing.append(FieldFault(field, error.detail))
        else:
            empty += [] if names else [FieldFault(field, f"{folder}: no files")]
    if missing:
        raise DirectoryMissing(fields=[*missing, *empty])
    if empty:
        raise ReplayEmpty(fields=empty)


def _changed_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError as error:
        raise DirectoryMissing(f"{folder}: {error.strerror}") from error


def _pictures(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    except OSError as error:
        raise DirectoryMissing(f"{folder}: {error.strerror}") from error


def _first_size(folder: Path, names: list[str]) -> tuple[int, int]:
    """Width and height of the first picture that has one; zeros where the first few have none."""
    for name in names[:_LOOKED_AT]:
        with (folder / name).open("rb") as file:
            height, width = _size(file.read(READ_LIMIT))
        if width:
            return width, height
    return 0, 0


def _size(jpeg: bytes) -> tuple[int, int]:
    """Height and width in pixels as the header has them; zeros where it is no JPEG."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError:
        return 0, 0
    return height, width
