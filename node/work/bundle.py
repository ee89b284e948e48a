"""A node in one file: its database, node.yml, the keys named there, the cameras' baselines; and a node from that file.

Of names inside only those of the pattern below are taken, every content is compared with the hash in the list of
contents, and where each goes is said by the node.yml of this machine.  On a machine without one it is said by that in
the file: then keys go below the folders that the caller names, or nothing is changed at all.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pydantic import Field, ValidationError

from node.clock import Clock
from node.crashpoint import crash_point
from node.domain.config import Section
from node.domain.errors import BackupUnusable, DatabaseBusy, DatabaseMissing, DirectoryHeld, DirectoryMissing
from node.domain.nodefile import CREDENTIAL, NodeFile, RsyncTarget
from node.domain.times import US, to_datetime
from node.host import disk
from node.host.files import TMP, hash_of, sync, tmp_beside
from node.journal import Journal
from node.store.backup import STAMP, bytes_of, copy, verified
from node.store.database import NAME
from node.store.files import hold, room_for
from node.store.frames import FrameReader
from node.store.replace import UNPACKED, open_sound, replace
from node.store.sharing import alone
from node.work.rebuild import Report, recover

CONTENTS, NODE_FILE = "contents.json", "node.yml"
KEYS, BASELINE = "keys/", "baseline/"
SUFFIX = ".tar"
_MODE = 0o600
_NAME = re.compile(rf"{re.escape(NAME)}|{re.escape(NODE_FILE)}|(keys|baseline)/[A-Za-z0-9_][A-Za-z0-9._-]*")
_CHUNK = 1 << 20
_MOST_BYTES_OF_CONTENTS = 4 << 20
_MARGIN_BYTES = 1 << 20


class Item(Section):
    """One file inside."""

    size_bytes: int = Field(ge=0)
    sha256: str


class Contents(Section):
    """What a file of backup says of itself, first thing in it."""

    format: Literal[1] = 1
    node: str
    version: str
    made_us: int = Field(ge=0)
    items: dict[str, Item] = Field(max_length=1000)


@dataclass(frozen=True, slots=True)
class Packed:
    """The file that was made; `left_out` names what node.yml speaks of and could not be read, with the reason."""

    path: Path
    size_bytes: int
    frames: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of a restore: files put back, those left as they were, and what frames on disk had to add."""

    put_back: tuple[str, ...]
    kept: tuple[str, ...]
    report: Report


def key_files(settings: NodeFile) -> dict[str, Path]:
    """Files of TLS and of the archive's keys that node.yml names, by field; credentials are the service manager's."""
    tls = settings.api.tls.model_dump() if settings.api.tls else {}
    found = {f"api.tls.{name}": path for name, path in tls.items() if path is not None}
    for name, target in settings.archive.items():
        if isinstance(target, RsyncTarget):
            found |= {f"archive.{name}.key": target.key, f"archive.{name}.known_hosts": target.known_hosts}
    return {field: Path(path) for field, path in found.items() if not path.startswith(CREDENTIAL)}


# --- making ---------------------------------------------------------------------------------------------------------


def pack(settings: NodeFile, node_file: Path, target: Path, version: str, clock: Clock) -> Packed:
    """All of a node but its pictures in one new file (0600), also beside a running service.

    `target` is the file, or a folder that gets it under a name of its own.  Raises FileExistsError, DatabaseMissing,
    DatabaseDamaged, DatabaseBusy, BackupUnusable, DiskFull before anything is written, DiskReadOnly, DirectoryMissing.
    """
    data, now_us = Path(settings.paths.data), clock.now_us()
    if not (data / NAME).exists():
        raise DatabaseMissing(f"{data / NAME}")
    if target.is_dir():
        target /= f"heliograph-{settings.node.id}-{to_datetime(now_us).strftime(STAMP)}{SUFFIX}"
    if target.exists():
        raise FileExistsError(str(target))
    if not target.parent.is_dir():
        raise DirectoryMissing(str(target.parent))
    texts, left_out = _texts(settings, node_file)
    copied = target.with_name(f".{target.name}.db{TMP}")
    room_for(target.parent, 2 * bytes_of(data / NAME) + sum(map(len, texts.values())) + _MARGIN_BYTES)
    with disk.failures_named(target.parent):
        copied.unlink(missing_ok=True)
        try:
            frames = copy(data / NAME, copied, bool).frames
            items = {NAME: _item(copied), **{name: _item_of(text) for name, text in texts.items()}}
            contents = Contents(node=settings.node.id, version=version, made_us=now_us, items=items)
            _write(target, contents, copied, texts)
        finally:
            copied.unlink(missing_ok=True)
        return Packed(target, target.stat().st_size, frames, left_out)


def _texts(settings: NodeFile, node_file: Path) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The small files' contents, by name inside; and which of those that are named cannot be read."""
    wanted = {NODE_FILE: node_file} if node_file.exists() else {}
    wanted |= {KEYS + field: path for field, path in key_files(settings).items()}
    wanted |= {BASELINE + path.name: path for path in sorted(Path(settings.paths.data, BASELINE).glob("*.baseline"))}
    texts: dict[str, bytes] = {}
    left_out: list[str] = []
    for name, path in wanted.items():
        try:
            texts[name] = path.read_bytes()
        except OSError as error:
            left_out.append(f"{path}: {error.strerror}")
    return texts, tuple(left_out)


def _write(target: Path, contents: Contents, database: Path, texts: Mapping[str, bytes]) -> None:
    unfinished = tmp_beside(target)
    unfinished.unlink(missing_ok=True)
    small = {CONTENTS: contents.model_dump_json(indent=1).encode(), **texts}
    try:
        with _created(unfinished) as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                for name, text in small.items():
                    tar.addfile(_member(name, len(text), contents.made_us), io.BytesIO(text))
                with database.open("rb") as source:
                    tar.addfile(_member(NAME, contents.items[NAME].size_bytes, contents.made_us), source)
            file.flush()
            os.fsync(file.fileno())
        crash_point("bundle_written")
        unfinished.rename(target)
        sync(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _created(path: Path) -> IO[bytes]:
    """A new file that nobody else can read at any time."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb")


def _member(name: str, size_bytes: int, made_us: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size_bytes, _MODE, made_us // US
    return member


def _item(path: Path) -> Item:
    size_bytes, sha256 = hash_of(path)
    return Item(size_bytes=size_bytes, sha256=sha256)


def _item_of(text: bytes) -> Item:
    return Item(size_bytes=len(text), sha256=hashlib.sha256(text).hexdigest())


# --- reading --------------------------------------------------------------------------------------------------------


def node_file_of(file: Path) -> bytes:
    """The node.yml inside; empty where the node had none.  Raises BackupUnusable."""
    with _opened(file) as tar:
        items = _contents(tar).items
        while (member := tar.next()) is not None:
            if member.name == NODE_FILE and member.isreg() and NODE_FILE in items:
                return _bytes(tar, member)
    return b""


def unpack(file: Path, folder: Path) -> Contents:
    """Every content into the folder, under the name that it has inside, with its hash compared.

    Raises BackupUnusable where anything is amiss; DiskFull before anything is written.
    """
    with _opened(file) as tar:
        contents = _contents(tar)
        room_for(folder, sum(item.size_bytes for item in contents.items.values()) + _MARGIN_BYTES)
        missing = set(contents.items)
        while (member := tar.next()) is not None:
            if member.name not in missing or not member.isreg():
                raise BackupUnusable(f"{file.name}: {member.name[:80]!r} does not belong there")
            _take(tar, member, contents.items[member.name], folder / member.name)
            missing.remove(member.name)
    if missing:
        raise BackupUnusable(f"{file.name}: {min(missing)} is missing")
    verified(folder / NAME)
    return contents


def _contents(tar: tarfile.TarFile) -> Contents:
    first = tar.next()
    if first is None or first.name != CONTENTS or not first.isreg():
        raise BackupUnusable("it does not begin with a list of contents")
    try:
        contents = Contents.model_validate_json(_bytes(tar, first))
    except ValidationError as error:
        raise BackupUnusable(f"its list of contents cannot be read: {error.errors()[0]['msg']}") from None
    foreign = [name for name in contents.items if not _NAME.fullmatch(name)]
    if foreign or NAME not in contents.items:
        raise BackupUnusable(f"{foreign[0][:80]!r} does not belong there" if foreign else "it holds no database")
    return contents


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Of a small member."""
    source = tar.extractfile(member)
    if source is None or member.size > _MOST_BYTES_OF_CONTENTS:
        raise BackupUnusable(f"{member.name[:80]!r} is too large")
    return source.read()


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, item: Item, target: Path) -> None:
    source = tar.extractfile(member)
    if source is None or member.size != item.size_bytes:
        raise BackupUnusable(f"{member.name} has another size than it should")
    target.parent.mkdir(exist_ok=True)
    with _created(target) as file:
        shutil.copyfileobj(source, file, _CHUNK)
    if _item(target) != item:
        raise BackupUnusable(f"{member.name} is not what was packed")


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    """What a broken file brings up is BackupUnusable."""
    try:
        with file.open("rb") as source, _archive(source) as tar:
            yield tar
    except (tarfile.TarError, EOFError, ValueError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise BackupUnusable(f"{file}: {error}") from error


def _archive(source: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=source, mode="r:")


def refuse_beyond(folders: Collection[Path], keys: Mapping[str, Path]) -> None:
    """Raises BackupUnusable where a key that is not there yet would be made elsewhere than below these folders."""
    roots = [folder.resolve() for folder in folders]
    beyond = [
        f"{field}: {path}"
        for field, path in keys.items()
        if not path.exists() and not any(path.resolve().is_relative_to(root) for root in roots)
    ]
    if beyond:
        raise BackupUnusable(f"its node.yml puts keys in folders of others, write one here first: {', '.join(beyond)}")


# --- putting back ---------------------------------------------------------------------------------------------------


def restore(data_dir: Path, file: Path, places: Mapping[str, Path], clock: Clock) -> Unpacked:
    """The database of the file in the place of the present one, which is put aside; then rows from all frames on disk.

    `places` says by its name inside where a file belongs; one that is there already stays as it is.  Raises
    BackupUnusable and DiskFull before anything is changed, DirectoryHeld beside service or workers, DirectoryMissing.
    """
    with hold(data_dir), _nobody(data_dir), _scratch(data_dir) as folder:
        contents = unpack(file, folder)
        places = {**{name: data_dir / name for name in contents.items if name.startswith(BASELINE)}, **places}
        fitting = {name: path for name, path in places.items() if name in contents.items}
        kept = tuple(name for name, path in fitting.items() if path.exists())
        aside = f"{NAME}.before-{to_datetime(clock.now_us()).strftime(STAMP)}"
        with disk.failures_named(file):
            for name, path in fitting.items():
                if name not in kept:
                    _put(folder / name, path)
        replace(data_dir, folder / NAME, aside, says=file.name)
        crash_point("bundle_restored")
        report = _looked_for(data_dir, clock)
    return Unpacked(tuple(name for name in fitting if name not in kept), kept, report)


def _put(source: Path, target: Path) -> None:
    """Its content, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = tmp_beside(target)
    unfinished.unlink(missing_ok=True)
    with source.open("rb") as found, _created(unfinished) as file:
        shutil.copyfileobj(found, file, _CHUNK)
    sync(unfinished)
    unfinished.rename(target)
    sync(target.parent)


def _looked_for(data_dir: Path, clock: Clock) -> Report:
    database = open_sound(data_dir, clock.now_us())
    try:
        return recover(data_dir, Journal(database, clock), FrameReader(database))
    finally:
        database.close()


@contextmanager
def _nobody(data_dir: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(alone(data_dir, 0.0))
        except DatabaseBusy:
            raise DirectoryHeld("the worker or the shipper of this node has the database open") from None
        yield


@contextmanager
def _scratch(data_dir: Path) -> Iterator[Path]:
    folder = data_dir / UNPACKED
    with disk.failures_named(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
