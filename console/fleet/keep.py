"""Files that outlive a console and that several may share: whole documents, and journals that only grow.

Each carries its format.  What a newer release wrote is read as nothing and never touched.  A file is as open as the
folder that it stands in: to its owner alone, or to a group of operators.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

FORMAT = 1
LARGEST_BYTES = 256 * 1024 * 1024
LONGEST_LINE_BYTES = 64 * 1024
HEAD_BYTES = 200
HEAD = re.compile(rb'\s*\{\s*"format"\s*:\s*(\d{1,9})\b')
FOR_A_FILE = 0o666
LEFT_BY_A_CRASH = ".tmp"


class NotKept(Exception):
    """A file could not be read or written; the message is for the operator."""


def read_document(path: Path) -> dict[str, Any]:
    """What that file holds; nothing where there is none.  Raises NotKept."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise NotKept(f"{path}: {error.strerror}") from None
    found = _object(data) if len(data) <= LARGEST_BYTES else None
    if found is None or format_of(found) is None:
        raise NotKept(f"{path} is damaged")
    _refuse_newer(path, format_of(found))
    return found


def write_document(path: Path, content: Mapping[str, Any] | bytes | bytearray) -> None:
    """In place of what was there, whole or not at all.  Bytes are a document that is ready.  Raises NotKept."""
    data = content if isinstance(content, bytes | bytearray) else to_json({"format": FORMAT, **content})
    try:
        _make_way(path)
        _replace(path, data)
    except OSError as error:
        raise NotKept(f"{path}: {error.strerror}") from None


def _make_way(path: Path) -> None:
    """What is damaged is put aside, not lost."""
    with suppress(FileNotFoundError):
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        match = HEAD.match(head)
        _refuse_newer(path, int(match[1]) if match else None)
        if head and match is None:
            path.replace(path.with_name(f"{path.name}.damaged"))


def _replace(path: Path, data: bytes | bytearray) -> None:
    handle, name = tempfile.mkstemp(LEFT_BY_A_CRASH, f".{path.name}.", path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _open_up(handle, path.parent)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _open_up(handle: int, folder: Path) -> None:
    with suppress(PermissionError):  # another operator's file
        os.fchmod(handle, folder.stat().st_mode & FOR_A_FILE)


def _refuse_newer(path: Path, found: int | None) -> None:
    if found is not None and found > FORMAT:
        raise NotKept(f"{path} was written by a newer release (format {found}): it is left as it is")


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = from_json(data)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def format_of(found: Mapping[str, Any]) -> int | None:
    """None where it carries none."""
    number = found.get("format")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


class Journal:
    """Lines of JSON that several processes append to, each line with its format.

    A line begins with a line break of its own: it is whole even after one that a crash has torn.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began_anew = False
        """Whether the last `fresh` began at the start: what was read before counts no longer."""
        self._file = 0
        self._read_to = 0
        self._newest_format = 0

    def fresh(self) -> list[dict[str, Any]]:
        """The lines since the last call, in their order; torn and foreign ones are passed over.  Raises NotKept."""
        try:
            with self.path.open("rb") as file:
                data = self._unread(file.fileno())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise NotKept(f"{self.path}: {error.strerror}") from None
        whole = data[: data.rfind(b"\n") + 1]
        self._read_to += len(whole)
        return self._understood(whole)

    def check(self) -> None:
        """Raises NotKept where a newer release has written."""
        _refuse_newer(self.path, self._newest_format)

    def append(self, entries: Iterable[Mapping[str, Any]], *, lasting: bool) -> None:
        """In one piece at the end, after what the others wrote; `lasting`: on the disk before this returns.

        Raises NotKept; then some of it may be there all the same.
        """
        self.check()
        data = _lines(entries)
        try:
            with self._held(fcntl.LOCK_SH) as handle:
                if not os.fstat(handle).st_size:
                    _open_up(handle, self.path.parent)
                _write_all(handle, data)
                if lasting:
                    os.fsync(handle)
        except OSError as error:
            raise NotKept(f"{self.path}: {error.strerror}") from None

    def shorten(self, above_bytes: int, live: Callable[[list[dict[str, Any]]], Iterable[Mapping[str, Any]]]) -> None:
        """Puts the lines that still count in place of all, where they are many and nobody writes.  Raises NotKept."""
        try:
            if self.path.stat().st_size <= above_bytes:
                return
            with self._held(fcntl.LOCK_EX | fcntl.LOCK_NB):
                whole = Journal(self.path)
                entries = whole.fresh()
                whole.check()
                _replace(self.path, _lines(live(entries)))
        except (FileNotFoundError, BlockingIOError):
            return
        except OSError as error:
            raise NotKept(f"{self.path}: {error.strerror}") from None

    @contextmanager
    def _held(self, how: int) -> Iterator[int]:
        """The file that stands there now, which nobody replaces meanwhile."""
        while True:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FOR_A_FILE)
            try:
                _lock(handle, how)
                if os.fstat(handle).st_ino == _inode(self.path):
                    yield handle
                    return
            finally:
                os.close(handle)

    def _unread(self, handle: int) -> bytes:
        found = os.fstat(handle)
        self.began_anew = found.st_ino != self._file or found.st_size < self._read_to
        if self.began_anew:
            self._file, self._read_to = found.st_ino, 0
        if found.st_size - self._read_to > LARGEST_BYTES:
            raise NotKept(f"{self.path} is damaged")
        return os.pread(handle, found.st_size - self._read_to, self._read_to)

    def _understood(self, data: bytes) -> list[dict[str, Any]]:
        found = [_object(line) for line in data.split(b"\n") if line and len(line) <= LONGEST_LINE_BYTES]
        known = [entry for entry in found if entry is not None and format_of(entry) is not None]
        self._newest_format = max([self._newest_format, *(format_of(entry) or 0 for entry in known)])
        return [entry for entry in known if (format_of(entry) or 0) <= FORMAT]


def _lock(handle: int, how: int) -> None:
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks: then nothing is shortened, and nobody needs them
        if how != fcntl.LOCK_SH:
            raise


def _inode(path: Path) -> int:
    """0 where nothing stands."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _lines(entries: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(b"\n" + to_json({"format": FORMAT, **entry}) + b"\n" for entry in entries)


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
