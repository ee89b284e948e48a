"""What outlives a console, for one inventory: acknowledgements, snapshot, views, command log, recordings.

Nothing here ends a console: what cannot be kept is kept in memory, and `Book.trouble` says so.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from console.fleet.clock import Clock
from console.fleet.inventory import Host
from console.fleet.keep import FORMAT, Journal, NotKept, read_document, write_document
from console.fleet.text import clean
from console.fleet.view import FleetModel, NodeView
from node.wire.errors import RecordingUnusable
from node.wire.status import NodeStatus
from node.wire.times import US, to_text

LAST_US = 253_402_300_799 * US
"""The end of the year 9999: the last instant that can be written as a date."""
LONG_BYTES = 1_000_000
"""A list of acknowledgements longer than this loses what counts no longer."""
LOG_LIMIT_BYTES = 4_000_000
"""A command log larger than this makes way for a new one; the one before is kept."""
DEMO_MARK = ".heliograph-demo"
"""A file beside the inventory of a demo: what is kept of it is beside it too."""
DEMO_STATE = "state"
VIEW_NUMBERS = range(1, 10)
STUCK_S = 5.0
OF_A_SECOND = 1000
"""Recordings that may bear the name of one second."""
ENDING = ".jsonl"

Moment = Annotated[int, Field(ge=0, le=LAST_US)]
Key = Annotated[str, Field(min_length=1, max_length=400)]
Words = Annotated[str, Field(max_length=1000), AfterValidator(clean)]
Whole = Annotated[str, Field(max_length=40_000), AfterValidator(partial(clean, chars=40_000))]
"""A command for many nodes, to be run as it stands."""
Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody knows of an alert.  It ends when the condition does, or at `until_us`."""

    key: Key
    by: Words
    reason: Words
    at_us: Moment
    until_us: Moment | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """An acknowledgement, and the one that it replaced."""

    ack: Ack
    before: Ack | None = None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Keys of alerts that nobody knows of any more, and of those whose acknowledgement of before counts again."""

    opened: tuple[str, ...]
    restored: tuple[str, ...]
    saved: bool


@dataclass(frozen=True, slots=True)
class SavedView:
    """A way to look at a list, under a number."""

    name: Words
    view: Words
    filter: Words = ""
    sort: Words = ""
    columns: tuple[Words, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """What somebody had done, as the command line that does the same."""

    at_us: Moment
    who: Words
    command: Whole
    outcome: Words


@dataclass(frozen=True, slots=True)
class Kept:
    """A node in the snapshot."""

    heard_us: Moment
    status: NodeStatus


KEPT = TypeAdapter(Kept)
ACK, VIEW, COMMAND, HOST = TypeAdapter(Ack), TypeAdapter(SavedView), TypeAdapter(CommandEntry), TypeAdapter(Host)


def demo_folder(inventory: Path | None) -> Path | None:
    """Where the demo of that inventory keeps its state; None where it is no demo's."""
    if inventory is None or not (inventory.parent / DEMO_MARK).is_file():
        return None
    return inventory.parent / DEMO_STATE


class Book:
    """The files of one inventory in one folder, which several operators may share."""

    def __init__(self, folder: Path, inventory: str, clock: Clock) -> None:
        self.folder = folder
        self.options: tuple[str, ...] = ()
        """With which a command works on the same: absolute, for the log is read from anywhere."""
        self.acks: Mapping[str, Ack] = {}
        self.views: Mapping[int, SavedView] = {}
        self._inventory = inventory
        self._clock = clock
        self._troubles: dict[str, str] = {}
        self._journal = Journal(folder / f"acks{ENDING}")
        self._filed: dict[str, Ack] = {}
        self._unsaved: list[dict[str, Any]] = []
        self._logged: list[CommandEntry] = []
        self._snapshot_lock = Lock()

    @classmethod
    def open(cls, folder: Path | None, inventory: Path | None, clock: Clock) -> Book:
        """Of that folder as it is, or of the inventory's own below the user's state directory."""
        called = str(inventory.absolute()) if inventory is not None else ""
        book = cls(folder or state_home() / identity(inventory), called, clock)
        book.options = _options(folder, inventory)
        book._did("folder", lambda: book.folder.mkdir(0o700, parents=True, exist_ok=True))
        book.views = book._try("views", book._read_views) or {}
        book._try("acks", lambda: book._journal.shorten(LONG_BYTES, book._live))
        book.refresh()
        return book

    @property
    def trouble(self) -> str:
        """What cannot be kept or read, and why; empty = all is well."""
        said = list(dict.fromkeys(list(self._troubles.values())))
        unsaved = [f"{len(self._unsaved)} changes of acknowledgements are not saved"] if self._unsaved else []
        return "; ".join(said + unsaved)

    # --- acknowledgements -------------------------------------------------------------------------------------------

    def acknowledge(self, *acks: Ack) -> bool:
        """Whether it is on the disk; it counts in any case."""
        return self._enter([{"ack": asdict(ack)} for ack in acks], lasting=True)

    def withdraw(self, *keys: str, lasting: bool = True) -> bool:
        """Ends acknowledgements as they are now, not those that may come; answers as `acknowledge`."""
        return self._enter([_end(self.acks[key]) for key in keys if key in self.acks], lasting=lasting)

    def take_back(self, made: Iterable[Made]) -> TakenBack:
        """Those that still stand as they were made; what they had replaced counts again, where its time is not up."""
        self.refresh()
        now_us = self._clock.utc_us()
        standing = [one for one in made if _is_still(self.acks.get(one.ack.key), one.ack)]
        again = [one.before for one in standing if one.before is not None and _holds(one.before, now_us)]
        ends = [_end(one.ack) for one in standing]
        saved = self._enter([*ends, *({"ack": asdict(ack)} for ack in again)], lasting=True)
        back = {ack.key for ack in again}
        return TakenBack(tuple(one.ack.key for one in standing if one.ack.key not in back), tuple(sorted(back)), saved)

    def refresh(self) -> None:
        """Takes up what the others wrote, drops what has expired, and saves what could not be saved before."""
        self._take_up()
        self._save(lasting=True)
        self._settle()

    def _take_up(self) -> None:
        fresh = self._try("acks", self._journal.fresh)
        if fresh is not None and self._journal.began_anew:
            self._filed = {}
        for entry in fresh or ():
            _apply(self._filed, entry)
        if fresh is not None:
            self._did("acks", self._journal.check)

    def _enter(self, entries: list[dict[str, Any]], *, lasting: bool) -> bool:
        """What could not be saved before is tried again with it, in order."""
        if not entries:
            return True
        self._take_up()
        self._unsaved += entries
        saved = self._save(lasting=lasting)
        self._settle()
        return saved

    def _save(self, *, lasting: bool) -> bool:
        waiting = list(self._unsaved)
        if not waiting:
            return True
        saved = self._did("saving acks", lambda: self._journal.append(waiting, lasting=lasting))
        if saved:
            self._unsaved = []
            for entry in waiting:
                _apply(self._filed, entry)
        return saved

    def _live(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of these, what still counts."""
        acks: dict[str, Ack] = {}
        for entry in entries:
            _apply(acks, entry)
        now_us = self._clock.utc_us()
        return [{"ack": asdict(ack)} for ack in acks.values() if _holds(ack, now_us)]

    def _settle(self) -> None:
        now_us, acks = self._clock.utc_us(), dict(self._filed)
        for entry in self._unsaved:
            _apply(acks, entry)
        acks = {key: ack for key, ack in acks.items() if _holds(ack, now_us)}
        if acks != self.acks:
            self.acks = acks

    # --- the last snapshot ------------------------------------------------------------------------------------------

    def write_snapshot(self, model: FleetModel) -> bool:
        """Every status with the instant when it was heard.  May run in a thread while the model goes on.

        One at a time, so that what is written last was read last; one that is stuck keeps nobody from ending.
        """
        if not self._snapshot_lock.acquire(timeout=STUCK_S):
            return False
        try:
            return self._write("snapshot", self._snapshot(model))
        finally:
            self._snapshot_lock.release()

    def _snapshot(self, model: FleetModel) -> bytearray:
        now_s, now_us = model.clock.monotonic(), model.clock.utc_us()
        text, before = bytearray(b'{"format":%d,"at_us":%d,"nodes":[' % (FORMAT, now_us)), b"\n"
        for view in list(model.views.values()):  # one after the other: of a large fleet it is many megabytes
            node = _kept(view, now_us - round(view.silence_s(now_s) * US))
            if node:
                text += before + node
                before = b",\n"
        text += b"\n]}\n"
        return text

    def read_snapshot(self, model: FleetModel) -> int:
        """Gives the model what it does not know yet; how many nodes the file had something of."""
        nodes = (self._try("snapshot", lambda: read_document(self._file("snapshot"))) or {}).get("nodes")
        return sum(_restored(model, one) for one in nodes) if isinstance(nodes, list) else 0

    def write_hosts(self, hosts: Iterable[Host]) -> bool:
        listed = [HOST.dump_python(host, mode="json") for host in hosts]
        return self._write("inventory", {"inventory": self._inventory, "hosts": listed})

    def read_hosts(self) -> tuple[Host, ...]:
        """The nodes as this inventory last named them; none where that is not known."""
        found = self._try("inventory", lambda: read_document(self._file("inventory"))) or {}
        return tuple(_each(HOST, found.get("hosts"))) if found.get("inventory") == self._inventory else ()

    # --- views, commands, recordings --------------------------------------------------------------------------------

    def save_view(self, number: int, view: SavedView) -> bool:
        """Under that number from 1 to 9; others' views are kept."""
        assert number in VIEW_NUMBERS
        self.views = {**self.views, **(self._try("views", self._read_views) or {}), number: view}
        return self._write("views", {"views": {str(each): asdict(one) for each, one in self.views.items()}})

    def _read_views(self) -> dict[int, SavedView]:
        found = read_document(self._file("views")).get("views")
        listed = found if isinstance(found, dict) else {}
        read = {number: next(_each(VIEW, [listed.get(str(number))]), None) for number in VIEW_NUMBERS}
        return {number: view for number, view in read.items() if view is not None}

    def log(self, entry: CommandEntry) -> bool:
        self._logged.append(entry)
        journal = Journal(self.folder / f"commands{ENDING}")
        self._did("commands", lambda: _rotate(journal.path))
        return self._did("commands", lambda: journal.append([asdict(entry)], lasting=False))

    def commands(self, limit: int) -> list[CommandEntry]:
        """The newest first; also those that could not be saved."""
        read = self._try("commands", Journal(self.folder / f"commands{ENDING}").fresh) or []
        known = dict.fromkeys([*_each(COMMAND, read), *self._logged])
        return sorted(known, key=lambda one: one.at_us, reverse=True)[:limit]

    def recordings(self) -> list[Path]:
        """The newest first."""
        found = self._try("recordings", lambda: list((self.folder / "recordings").glob(f"*{ENDING}"))) or []
        return sorted(found, reverse=True)

    def new_recording(self) -> Path:
        """A path that nothing stands at yet, named by the time.  Raises RecordingUnusable."""
        folder = self.folder / "recordings"
        self._did("recordings", lambda: folder.mkdir(parents=True, exist_ok=True))
        called = to_text(self._clock.utc_us())[:19].replace(":", "-")
        names = (f"{called}Z{more}{ENDING}" for more in ("", *(f"-{count}" for count in range(2, OF_A_SECOND))))
        try:
            free = next((path for path in map(folder.joinpath, names) if not path.exists()), None)
        except OSError as error:
            raise RecordingUnusable(f"{folder}: {error.strerror}") from None
        if free is None:
            raise RecordingUnusable(f"{folder}: there are too many of {called}Z already")
        return free

    # ----------------------------------------------------------------------------------------------------------------

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _write(self, name: str, content: Mapping[str, Any] | bytearray) -> bool:
        return self._did(name, lambda: write_document(self._file(name), content))

    def _did(self, about: str, act: Callable[[], object]) -> bool:
        """Whether that went well."""

        def whole() -> bool:
            act()
            return True

        return self._try(about, whole) is not None

    def _try(self, about: str, act: Callable[[], Kind]) -> Kind | None:
        """What it gives; None where it fails, and then the trouble is noted."""
        try:
            done = act()
        except NotKept as error:
            self._troubles[about] = str(error)
            return None
        except OSError as error:
            self._troubles[about] = f"{error.filename or self.folder}: {error.strerror}"
            return None
        self._troubles.pop(about, None)
        return done


def state_home() -> Path:
    """`heliograph` below XDG_STATE_HOME."""
    given = os.environ.get("XDG_STATE_HOME", "")
    if Path(given).is_absolute():
        return Path(given) / "heliograph"
    with suppress(RuntimeError):  # a user without a home
        return Path.home() / ".local" / "state" / "heliograph"
    return Path(os.devnull) / "heliograph"  # nothing can be kept there, and the operator is told


def identity(inventory: Path | None) -> str:
    """A folder name for that inventory: its own name, and a digest of its path."""
    if inventory is None:
        return "default"
    digest = hashlib.sha256(os.fsencode(inventory.absolute())).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9-]+', '-', inventory.name)[:40]}-{digest}"


def _options(folder: Path | None, inventory: Path | None) -> tuple[str, ...]:
    named = () if inventory is None else ("-i", str(inventory if "," in str(inventory) else inventory.absolute()))
    return (*named, *(() if folder is None else ("--state", str(folder.absolute()))))


def _holds(ack: Ack, now_us: int) -> bool:
    return ack.until_us is None or ack.until_us > now_us


def _is_still(now: Ack | None, made: Ack) -> bool:
    return now is not None and now.at_us == made.at_us and clean(now.by) == clean(made.by)


def _end(ack: Ack) -> dict[str, Any]:
    return {"withdraw": ack.key, "of_us": ack.at_us}


def _rotate(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_name(f"{path.stem}-before{ENDING}"))


def _apply(acks: dict[str, Ack], entry: Mapping[str, Any]) -> None:
    for ack in _each(ACK, [entry.get("ack")]):
        acks[ack.key] = ack
    ended = acks.get(str(entry.get("withdraw")))
    if ended is not None and ended.at_us == entry.get("of_us"):
        del acks[ended.key]


def _each(kind: TypeAdapter[Kind], values: object) -> Iterator[Kind]:
    """Those of the values that are of that kind."""
    for value in values if isinstance(values, list) else ():
        with suppress(ValidationError):
            yield kind.validate_python(value)


def _kept(view: NodeView, heard_us: int) -> bytes:
    if view.status is None or view.heard_s is None:
        return b""
    status = view.status.model_dump_json(exclude_defaults=True).encode()
    return b'{"heard_us":%d,"status":%s}' % (max(0, heard_us), status)


def _restored(model: FleetModel, one: object) -> bool:
    for kept in _each(KEPT, [one]):
        model.restore(kept.status.node, kept.status, kept.heard_us)
        return True
    return False
