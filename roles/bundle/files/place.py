#!/usr/bin/python3 -IS
"""Place on this host what a playbook wants: all of it or nothing, ended after a power cut, told as a fact.

Runs on the host itself with nothing but the standard library of Python 3.11.  As `/etc/ansible/facts.d/heliograph.fact`
it prints the fact; `place.py apply` takes a bundle as JSON on its standard input and prints what it has changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import hashlib
import json
import os
import posixpath
import pwd
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

FORMAT = 1
STATE = "/var/lib/heliograph-host"
MANIFEST = f"{STATE}/manifest.json"
DAMAGED = f"{STATE}/manifest.damaged"
"""Where it is, copies in BEFORE of which no manifest tells stay until a person takes it away."""
BEFORE = f"{STATE}/before"
STAGE = f"{STATE}/stage"
FLAGS = "/run/heliograph-host/flags"
RELEASES = "/opt/heliograph"
CERTIFICATE = "/etc/heliograph/tls/in-force/node.pem"

DONE, UNAVAILABLE, TRY_AGAIN, WRONG = 0, 69, 75, 78
CRASH_VARIABLE = "HELIOGRAPH_CRASH_AT"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
CHECK_TIMEOUT_S = 60
ACTION_TIMEOUT_S = 300
FACT_TIMEOUT_S = 5
KEPT_BYTES = 1 << 20
"""Of a file that stood here before us, at most; larger ones are not kept."""
SHARED_BYTES = 1 << 20
"""Of a file in which others write too, at most."""
SAID_LINES = 5
SHOWN_LINES = 100
SHOWN_SIGNS = 200
LINKS_FOLLOWED = 8

PART = re.compile(r"[a-z][a-z0-9_:.-]{0,63}")
MODE = re.compile(r"0?[0-7]{3,4}")
FLAG = re.compile(r"flag:([a-z0-9-]{1,63})")
HOSTILE = re.compile(r"[\x00-\x1f\x7f]")
NAMED = re.compile(r"\{(/[^{}]+)\}")
"""In a check: another file of the bundle, as it is staged, or as it stands where it stays as it is."""
FORBIDDEN = ("/proc", "/sys", "/dev", STATE)

Json = dict[str, Any]


class Refused(Exception):
    """What is wrong, where, and what to do about it."""

    def __init__(self, error: str, path: str, remedy: str, status: int = WRONG) -> None:
        super().__init__(error)
        self.answer = {"error": error, "path": path, "remedy": remedy}
        self.status = status


_passed: list[str] = []


def crash_point(name: str) -> None:
    """End this process as a power cut would, where a test asks for it: at `name`, or `name:n`, its n-th passage."""
    planned = os.environ.get(CRASH_VARIABLE)
    if planned:
        _passed.append(name)
        if planned in (name, f"{name}:{_passed.count(name)}"):
            os.kill(os.getpid(), signal.SIGKILL)


# --- the tree ---------------------------------------------------------------------------------------------------------

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
NOT_THERE = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True)
class Look:
    """Mode and owner of a file, as numbers."""

    mode: int = 0o644
    uid: int = 0
    gid: int = 0

    @staticmethod
    def of(status: os.stat_result) -> Look:
        return Look(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


class Tree:
    """The host's files, each reached step by step from one folder: nobody's link leads a step elsewhere."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def inside(self, path: str) -> Iterator[int]:
        """A descriptor of that folder."""
        fd = self._walk(path, LINKS_FOLLOWED)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def beside(self, path: str) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that a path is in, and its name there."""
        folder, name = posixpath.split(path)
        with self.inside(folder) as fd:
            yield fd, name

    def _walk(self, path: str, hops: int) -> int:
        fd, done, names = os.dup(self._fd), "/", [name for name in path.split("/") if name]
        for index, name in enumerate(names):
            try:
                below = self._step(fd, name, posixpath.join(done, name))
            finally:
                os.close(fd)
            if isinstance(below, str):
                return self._follow(posixpath.join(done, below, *names[index + 1 :]), hops)
            fd, done = below, posixpath.join(done, name)
        return fd

    def _follow(self, path: str, hops: int) -> int:
        if not hops:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        return self._walk(posixpath.normpath(path), hops - 1)

    def _step(self, fd: int, name: str, path: str) -> int | str:
        """The folder below, or where a link of root's leads."""
        try:
            return os.open(name, FOLDER_FLAGS, dir_fd=fd)
        except NotADirectoryError:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                raise
        if status.st_uid not in {0, os.geteuid()}:
            raise Refused("a link of another user's is on the way", path, "take the link away, or correct the path")
        return os.readlink(name, dir_fd=fd)

    def status(self, path: str) -> os.stat_result | None:
        """What stands at that path itself; None = nothing."""
        with contextlib.suppress(*NOT_THERE), self.beside(path) as (fd, name):
            return os.stat(name or ".", dir_fd=fd, follow_symlinks=False)
        return None

    def read(self, path: str, at_most: int | None = None) -> bytes | None:
        """A regular file; None = there is none.  Raises Refused for one that is larger."""
        status = self.status(path)
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        if at_most is not None and status.st_size > at_most:
            raise Refused(f"larger than {at_most} bytes", path, "see what it is, and make it smaller by hand")
        with self.beside(path) as (fd, name), os.fdopen(os.open(name, READ_FLAGS, dir_fd=fd), "rb") as file:
            return file.read()

    def link(self, path: str) -> str | None:
        with contextlib.suppress(OSError), self.beside(path) as (fd, name):
            return os.readlink(name, dir_fd=fd)
        return None

    def names(self, path: str) -> list[str]:
        with contextlib.suppress(*NOT_THERE), self.inside(path) as fd, os.scandir(fd) as found:
            return sorted(each.name for each in found)
        return []

    def write(self, path: str, content: bytes, look: Look) -> None:
        """The whole file, or, at any instant before, what stood there; on the disk when this returns."""
        with _at(path), self.beside(path) as (fd, name):
            staged = _staged(name)
            _unlink(staged, fd)
            with contextlib.ExitStack() as left_over:
                left_over.callback(_unlink, staged, fd)
                _write(staged, fd, content, look)
                crash_point("staged")
                os.rename(staged, name, src_dir_fd=fd, dst_dir_fd=fd)
            os.fsync(fd)

    def point(self, path: str, to: str) -> None:
        """A link, in place of what stood there, with no instant of nothing."""
        with _at(path), self.beside(path) as (fd, name):
            staged = _staged(name)
            _unlink(staged, fd)
            os.symlink(to, staged, dir_fd=fd)
            os.rename(staged, name, src_dir_fd=fd, dst_dir_fd=fd)
            os.fsync(fd)

    def make_way(self, path: str) -> None:
        """The folders above, where they are missing, root's own."""
        above = posixpath.dirname(path)
        with contextlib.suppress(*NOT_THERE), self.inside(above):
            return
        self.make(above, Look(0o755, os.geteuid(), os.getegid()))

    def make(self, path: str, look: Look) -> None:
        """A folder with that look, and the way to it."""
        self.make_way(path)
        with _at(path), self.beside(path) as (fd, name):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=fd)
            os.fsync(fd)
        with self.inside(path) as fd:
            _dress(fd, look)

    def unlink(self, path: str) -> None:
        with contextlib.suppress(*NOT_THERE), self.beside(path) as (fd, name):
            _unlink(name, fd)
            os.fsync(fd)

    def rmdir(self, path: str) -> None:
        """Where it is empty."""
        with contextlib.suppress(OSError), self.beside(path) as (fd, name):
            os.rmdir(name, dir_fd=fd)


def _staged(name: str) -> str:
    """Of a file that is being written; what reads whole folders passes such names over."""
    return f".{name}.heliograph"


def _unlink(name: str, fd: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=fd)


def _write(name: str, fd: int, content: bytes, look: Look) -> None:
    with os.fdopen(os.open(name, WRITE_FLAGS, 0o600, dir_fd=fd), "wb") as file:
        _dress(file.fileno(), look)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _dress(fd: int, look: Look) -> None:
    """Owner first: to change it takes set-user bits away.  What is right is left alone: FAT has no owners."""
    now = Look.of(os.fstat(fd))
    if (now.uid, now.gid) != (look.uid, look.gid):
        os.fchown(fd, look.uid, look.gid)
    if Look.of(os.fstat(fd)).mode != look.mode:
        os.fchmod(fd, look.mode)


# --- the bundle -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that stands on the host: a record that the manifest keeps, and what only placing needs."""

    record: Json
    content: str = ""
    check: tuple[str, ...] = ()
    check_told: bool = True
    """Whether what the check says may be shown: it repeats nothing secret."""

    @property
    def path(self) -> str:
        return str(self.record["path"])

    @property
    def kind(self) -> str:
        return str(self.record["kind"])


@dataclass(frozen=True, slots=True)
class Part:
    """What one role wants."""

    name: str
    digest: str
    entries: tuple[Entry, ...]
    actions: dict[str, list[str]]
    units: tuple[str, ...]
    held: tuple[str, ...]
    packages: tuple[str, ...]

    def kept(self) -> Json:
        """As the manifest holds it."""
        return {
            "digest": self.digest,
            "entries": [entry.record for entry in self.entries],
            "actions": self.actions,
            "units": list(self.units),
            "held": list(self.held),
            "packages": list(self.packages),
        }


@dataclass(frozen=True, slots=True)
class Bundle:
    """All parts; a whole bundle also takes away the parts that it does not name."""

    parts: tuple[Part, ...]
    whole: bool


TEXT, TRUTH, WORDS, LIST, TABLE = "text", "true or false", "a list of words", "a list", "a mapping"
IS: dict[str, Callable[[object], bool]] = {
    TEXT: lambda value: isinstance(value, str),
    TRUTH: lambda value: isinstance(value, bool),
    WORDS: lambda value: isinstance(value, list) and all(isinstance(word, str) for word in value),
    LIST: lambda value: isinstance(value, list),
    TABLE: lambda value: isinstance(value, dict),
}
OWNED = {"mode": TEXT, "owner": TEXT, "group": TEXT}
FIELDS: dict[str, dict[str, str]] = {
    "folder": {"path": TEXT, **OWNED},
    "file": {
        "path": TEXT,
        "content": TEXT,
        **OWNED,
        "secret": TRUTH,
        "check": WORDS,
        "check_told": TRUTH,
        "then": WORDS,
    },
    "link": {"path": TEXT, "to": TEXT, "then": WORDS},
    "block": {"path": TEXT, "content": TEXT, "then": WORDS},
    "words": {"path": TEXT, "words": WORDS, "then": WORDS},
    "absent": {"path": TEXT, "then": WORDS},
}
NEEDED = frozenset({"path", "content", "to", "words"})
LISTS = {"folders": "folder", "files": "file", "links": "link", "blocks": "block", "words": "words", "absent": "absent"}
"""Of a part, in the order of placing; the kind of what is in each."""
PLAYBOOKS = ("users", "groups")
"""What the playbooks do themselves, before; not read here."""
PART_FIELDS = {
    "role": TEXT,
    **dict.fromkeys((*LISTS, *PLAYBOOKS, "units"), LIST),
    "held": WORDS,
    "packages": WORDS,
    "actions": TABLE,
}
PARTS_FIX = "correct the part of that role in roles/, or the variables that it is made of"


def read_bundle(text: str) -> Bundle:
    """Raises Refused for the first thing that is wrong."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise Refused(f"the bundle is no JSON: {error}", "stdin", PARTS_FIX) from None
    _fits(given, {"format": "1", "whole": TRUTH, "parts": LIST}, {"parts"}, "the bundle")
    if given.get("format", FORMAT) != FORMAT:
        raise Refused(f"a bundle of format {given['format']}", "stdin", "use playbooks and place.py of one release")
    parts = tuple(_part(part) for part in given["parts"])
    _no_twins(parts)
    return Bundle(parts, given.get("whole", False))


def _fits(given: object, fields: Mapping[str, str], needed: Iterable[str], where: str) -> None:
    if not isinstance(given, dict):
        raise Refused(f"{where} is no mapping", where, PARTS_FIX)
    unknown = sorted(str(name) for name in set(given) - set(fields))
    missing = sorted(set(needed) - set(given))
    wrong = sorted(name for name in set(given) & set(fields) if not IS.get(fields[name], bool)(given[name]))
    said = [
        *(f"no field is called {name}" for name in unknown),
        *(f"{name} is missing" for name in missing),
        *(f"{name} is not {fields[name]}" for name in wrong),
    ]
    if said:
        raise Refused(f"{where}: {', '.join(said)}", str(given.get("path", where)), PARTS_FIX)


def _part(given: object) -> Part:
    _fits(given, PART_FIELDS, {"role"}, "a part")
    part: Json = given  # type: ignore[assignment]  # _fits says so
    name = part["role"]
    if not PART.fullmatch(name):
        raise Refused(f"{name!r} is no name of a part", "stdin", PARTS_FIX)
    actions = part.get("actions", {})
    _known_actions(actions, name)
    entries = [_entry(kind, each, name) for listed, kind in LISTS.items() for each in part.get(listed, [])]
    for entry in entries:
        _known_then(entry, actions)
    digest = hashlib.sha256(json.dumps(given).encode()).hexdigest()
    units = tuple(_units(part.get("units", []), name))
    held, packages = tuple(part.get("held", ())), tuple(part.get("packages", ()))
    return Part(name, digest, tuple(entries), actions, units, held, packages)


def _known_actions(actions: Json, part: str) -> None:
    for name, argv in actions.items():
        if not argv or not IS[WORDS](argv):
            raise Refused(f"part {part}: action {name} is no list of words", name, PARTS_FIX)


def _known_then(entry: Entry, actions: Json) -> None:
    strange = [name for name in entry.record.get("then", []) if name not in actions and not FLAG.fullmatch(name)]
    if strange:
        raise Refused(f"part {entry.record['part']}: no action is called {strange[0]}", entry.path, PARTS_FIX)


def _units(units: Sequence[object], part: str) -> Iterator[str]:
    for unit in units:
        if not isinstance(unit, dict) or not isinstance(unit.get("name"), str):
            raise Refused(f"part {part}: a unit without a name", "units", PARTS_FIX)
        yield unit["name"]


def _entry(kind: str, given: object, part: str) -> Entry:
    fields = FIELDS[kind]
    _fits(given, fields, NEEDED & set(fields), f"part {part}: {kind}")
    asked: Json = given  # type: ignore[assignment]  # _fits says so
    _sound_path(asked["path"], part)
    record: Json = {"kind": kind, "part": part, **{name: asked[name] for name in fields if name in asked}}
    content = record.pop("content", "")
    check = tuple(record.pop("check", ()))
    check_told = record.pop("check_told", not record.get("secret"))
    if "mode" in fields:
        record = {"mode": "0755" if kind == "folder" else "0644", "owner": "root", "group": "root", **record}
        _sound_mode(record)
    if "content" in fields:
        record |= _print_of(content if kind == "file" else _bare(content))
    return Entry(record, content, check, check_told)


def _print_of(content: str) -> Json:
    raw = content.encode()
    return {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw)}


def _sound_path(path: str, part: str) -> None:
    why = ""
    if not path.startswith("/") or path.startswith("//") or path == "/":
        why = "no absolute path"
    elif HOSTILE.search(path) or posixpath.normpath(path) != path:
        why = "a path with '..', a control sign or a doubled or trailing slash"
    elif any(path == folder or path.startswith(f"{folder}/") for folder in FORBIDDEN):
        why = "nothing to be placed there"
    if why:
        raise Refused(f"part {part}: {why}", repr(path), PARTS_FIX)


def _sound_mode(record: Json) -> None:
    if not MODE.fullmatch(record["mode"]):
        raise Refused(f"part {record['part']}: {record['mode']!r} is no mode", record["path"], PARTS_FIX)


def _no_twins(parts: Sequence[Part]) -> None:
    """Two that want one path differently, one action in two meanings, one part twice."""
    names: set[str] = set()
    kinds: dict[str, Entry] = {}
    wanted: dict[tuple[str, ...], Entry] = {}
    actions: dict[str, list[str]] = {}
    for part in parts:
        if part.name in names:
            raise Refused(f"part {part.name} is there twice", "stdin", PARTS_FIX)
        names.add(part.name)
        for entry in part.entries:
            _one_kind(entry, kinds.setdefault(entry.path, entry))
            _one_wish(entry, wanted.setdefault(_place_of(entry.record), entry))
        for name, argv in part.actions.items():
            if actions.setdefault(name, argv) != argv:
                raise Refused(f"action {name} means two things; one of them in part {part.name}", name, PARTS_FIX)


def _one_kind(entry: Entry, first: Entry) -> None:
    if entry.kind != first.kind:
        both = f"as {first.kind} by {first.record['part']} and as {entry.kind} by {entry.record['part']}"
        raise Refused(f"wanted twice, {both}", entry.path, PARTS_FIX)


def _one_wish(entry: Entry, first: Entry) -> None:
    same = _without_part(entry.record) == _without_part(first.record)
    if entry is not first and not (same and entry.kind == "folder"):
        both = f"{first.record['part']} and {entry.record['part']}"
        raise Refused(f"wanted twice, by {both}", entry.path, PARTS_FIX)


def _without_part(record: Json) -> Json:
    return {name: value for name, value in record.items() if name != "part"}


def _place_of(record: Json) -> tuple[str, ...]:
    """What no two may hold: a path; of a shared file, a part's own share."""
    if record["kind"] in ("block", "words"):
        return record["path"], record["kind"], record["part"]
    return (record["path"],)


# --- what is right, how it is made right, how it is taken away --------------------------------------------------------


def _look_wanted(record: Json) -> Look:
    """Raises Refused where nobody has that name."""
    try:
        ids = pwd.getpwnam(record["owner"]).pw_uid, grp.getgrnam(record["group"]).gr_gid
    except KeyError as error:
        remedy = "add the user or group to the users or groups of a part"
        raise Refused(f"no such user or group: {error.args[0]}", record["path"], remedy) from None
    return Look(int(record["mode"], 8), *ids)


def _looks_right(status: os.stat_result, record: Json) -> bool:
    try:
        return Look.of(status) == _look_wanted(record)
    except Refused:
        return False


def _folder_right(tree: Tree, record: Json) -> bool:
    status = tree.status(record["path"])
    return status is not None and stat.S_ISDIR(status.st_mode) and _looks_right(status, record)


def _file_right(tree: Tree, record: Json) -> bool:
    status = tree.status(record["path"])
    if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != record["size"]:
        return False
    return _looks_right(status, record) and _hash(tree.read(record["path"])) == str(record["sha256"])


def _hash(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _link_right(tree: Tree, record: Json) -> bool:
    return tree.link(record["path"]) == str(record["to"])


def _absent_right(tree: Tree, record: Json) -> bool:
    return tree.status(record["path"]) is None


def _block_right(tree: Tree, record: Json) -> bool:
    inside = _split(_text(tree, record["path"]), record)[1]
    return inside is not None and _hash(inside.encode("utf-8", "surrogateescape")) == str(record["sha256"])


def _words_right(tree: Tree, record: Json) -> bool:
    there = set(_first_line(_text(tree, record["path"])).split())
    return there.issuperset(record["words"]) and there.isdisjoint(_dropped(record))


def _dropped(record: Json) -> set[str]:
    """Words that we added once and that are no longer wanted."""
    return set(record.get("added", ())) - set(record["words"])


def _text(tree: Tree, path: str) -> str:
    """Of a file in which others write too."""
    content = tree.read(path, SHARED_BYTES)
    return "" if content is None else content.decode("utf-8", "surrogateescape")


def _bare(content: str) -> str:
    return content.strip("\n") + "\n"


def _marks(record: Json) -> tuple[str, str]:
    return f"# BEGIN heliograph {record['part']}\n", f"# END heliograph {record['part']}\n"


def _split(text: str, record: Json) -> tuple[str, str | None, str]:
    """Before our block, in it (None = it is not there), after it.  Raises Refused where a mark is torn off."""
    begin, end = _marks(record)
    whole = text if text.endswith("\n") or not text else f"{text}\n"
    lines = whole.splitlines(keepends=True)
    found = lines.count(begin), lines.count(end)
    if found == (0, 0):
        return text, None, ""
    if found != (1, 1) or lines.index(begin) > lines.index(end):
        remedy = f"correct the lines {begin.strip()!r} and {end.strip()!r} in it by hand: each once, in this order"
        raise Refused("the marks of our block are damaged", record["path"], remedy)
    first, last = lines.index(begin), lines.index(end)
    return "".join(lines[:first]), "".join(lines[first + 1 : last]), "".join(lines[last + 1 :])


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]


def _place_folder(tree: Tree, entry: Entry) -> None:
    tree.make(entry.path, _look_wanted(entry.record))


def _place_file(tree: Tree, entry: Entry) -> None:
    tree.make_way(entry.path)
    tree.write(entry.path, entry.content.encode(), _look_wanted(entry.record))


def _place_link(tree: Tree, entry: Entry) -> None:
    tree.make_way(entry.path)
    tree.point(entry.path, entry.record["to"])


def _place_absent(tree: Tree, entry: Entry) -> None:
    tree.unlink(entry.path)


def _place_block(tree: Tree, entry: Entry) -> None:
    _rewrite(tree, entry.path, _with_block(_text(tree, entry.path), entry))


def _with_block(text: str, entry: Entry) -> str:
    before, _, after = _split(text, entry.record)
    begin, end = _marks(entry.record)
    gap = "" if before.endswith("\n") or not before else "\n"
    return f"{before}{gap}{begin}{_bare(entry.content)}{end}{after}"


def _place_words(tree: Tree, entry: Entry) -> None:
    _rewrite(tree, entry.path, _with_words(_text(tree, entry.path), entry.record))


def _with_words(text: str, record: Json) -> str:
    dropped = _dropped(record)
    line, rest = _first_line(text), text[len(_first_line(text)) :]
    kept = [word for word in line.split() if word not in dropped]
    return " ".join([*kept, *(word for word in record["words"] if word not in kept)]) + rest


def _rewrite(tree: Tree, path: str, text: str) -> None:
    """In the look that it has; a file of nothing but us goes when we go."""
    status = tree.status(path)
    look = Look.of(status) if status else Look(0o644, os.geteuid(), os.getegid())
    if text:
        tree.write(path, text.encode("utf-8", "surrogateescape"), look)
    else:
        tree.unlink(path)


def _remove_folder(tree: Tree, record: Json) -> None:
    if record.get("made"):
        tree.rmdir(record["path"])


def _remove_leaf(tree: Tree, record: Json) -> None:
    tree.unlink(record["path"])


def _remove_block(tree: Tree, record: Json) -> None:
    if _split(_text(tree, record["path"]), record)[1] is not None:
        _rewrite(tree, record["path"], _without_block(_text(tree, record["path"]), record))


def _without_block(text: str, record: Json) -> str:
    before, _, after = _split(text, record)
    return before + after


def _remove_words(tree: Tree, record: Json) -> None:
    if tree.status(record["path"]) is not None:
        _rewrite(tree, record["path"], _without_words(_text(tree, record["path"]), record))


def _without_words(text: str, record: Json) -> str:
    return _with_words(text, {**record, "words": []})


WITHOUT: dict[str, Callable[[str, Json], str]] = {"block": _without_block, "words": _without_words}
"""The text of a file in which others write too, without our share."""


def _remove_nothing(tree: Tree, record: Json) -> None:
    """What was kept comes back, and that is all."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of entry is judged, placed and taken away."""

    right: Callable[[Tree, Json], bool]
    place: Callable[[Tree, Entry], None]
    remove: Callable[[Tree, Json], None]
    stood: frozenset[Callable[[int], bool]]
    """What it may replace, beside nothing at all."""


LEAF = frozenset({stat.S_ISREG, stat.S_ISLNK})
KINDS = {
    "folder": Kind(_folder_right, _place_folder, _remove_folder, frozenset({stat.S_ISDIR})),
    "file": Kind(_file_right, _place_file, _remove_leaf, LEAF),
    "link": Kind(_link_right, _place_link, _remove_leaf, LEAF),
    "block": Kind(_block_right, _place_block, _remove_block, frozenset({stat.S_ISREG})),
    "words": Kind(_words_right, _place_words, _remove_words, frozenset({stat.S_ISREG})),
    "absent": Kind(_absent_right, _place_absent, _remove_nothing, LEAF),
}
KEPT_KINDS = ("file", "link", "absent")
"""Before which what stands there is laid by."""


# --- what was placed --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Manifest:
    """What this program placed here, and what it has begun and not ended."""

    parts: dict[str, Json] = field(default_factory=dict)
    before: dict[str, Json] = field(default_factory=dict)
    pending: tuple[tuple[str, list[str]], ...] = ()
    begun: bool = False
    lost: bool = False
    """Nobody knows what was placed here."""

    def records(self) -> Iterator[Json]:
        for part in self.parts.values():
            yield from part["entries"]

    def units(self) -> list[str]:
        return sorted({unit for part in self.parts.values() for unit in part["units"]})

    def packages(self) -> set[str]:
        return {name for part in self.parts.values() for name in part["packages"]}

    def text(self) -> str:
        pending = [[name, argv] for name, argv in self.pending]
        said = {"format": FORMAT, "parts": self.parts, "before": self.before, "pending": pending, "begun": self.begun}
        return json.dumps(said, indent=1) + "\n"


class Unreadable(Exception):
    """A manifest that says nothing any more."""


KEPT_FIELDS = ("digest", "entries", "actions", "units", "held", "packages")


def manifest_of(content: bytes | None) -> Manifest:
    """Raises Unreadable, or Refused for one that a newer release wrote."""
    if content is None:
        return Manifest()
    try:
        said = json.loads(content)
        newer = said["format"] > FORMAT
    except (ValueError, KeyError, TypeError):
        raise Unreadable from None
    if newer:
        raise Refused("placed by a newer release", MANIFEST, "run the playbooks of that release, or of a newer one")
    try:
        pending = tuple((str(name), list(argv)) for name, argv in said["pending"])
        parts = {name: {each: part[each] for each in KEPT_FIELDS} for name, part in said["parts"].items()}
        manifest = Manifest(parts, said["before"], pending, said["begun"])
        list(map(_place_of, manifest.records()))
        manifest.units()
        manifest.packages()
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unreadable from None
    return manifest


def load(tree: Tree) -> Manifest:
    return manifest_of(tree.read(MANIFEST))


def load_or_begin(tree: Tree) -> Manifest:
    """In place of a damaged one nothing is known: everything is looked at and placed anew."""
    try:
        return load(tree)
    except Unreadable:
        return Manifest(begun=True, lost=True)


def save(tree: Tree, manifest: Manifest) -> None:
    tree.write(MANIFEST, manifest.text().encode(), _own(0o600))


def _own(mode: int) -> Look:
    return Look(mode, os.geteuid(), os.getegid())


# --- the plan ---------------------------------------------------------------------------------------------------------

Action = tuple[str, list[str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in the order of doing it."""

    wrong: tuple[Entry, ...]
    gone: tuple[Json, ...]
    actions: tuple[Action, ...]
    fresh: tuple[Entry, ...]
    """Paths that we hold for the first time."""
    freed: dict[str, Freed]
    after: Manifest

    @property
    def idle(self) -> bool:
        return not (self.wrong or self.gone or self.actions)


def make_plan(tree: Tree, bundle: Bundle, now: Manifest) -> Plan:
    """Raises Refused where something stands that may not be replaced."""
    held = {_place_of(record): record for record in now.records()}
    kept = _kept_parts(bundle, now)
    remain = {_place_of(record) for part in (kept | _as_kept(bundle.parts)).values() for record in part["entries"]}
    gone = tuple(record for place, record in held.items() if place not in remain and _was_something(record, now))
    freed = _freed(tree, gone, now)
    parts = [_with_history(tree, part, held, freed) for part in bundle.parts]
    wrong = _wrong(tree, parts, freed)
    after = kept | _as_kept(parts)
    then = {name for record in (*(entry.record for entry in wrong), *gone) for name in record.get("then", ())}
    return Plan(wrong, gone, _actions(then, parts, now), _fresh(parts, held), freed, Manifest(after, now.before))


def _as_kept(parts: Iterable[Part]) -> dict[str, Json]:
    return {part.name: part.kept() for part in parts}


@dataclass(frozen=True, slots=True)
class Freed:
    """A path at which something of ours goes: what it was, and what stands there then."""

    kinds: frozenset[str]
    mode: int | None
    text: str

    def renews(self, kind: str) -> bool:
        """Whether what is wanted there is to be placed in any case, after that."""
        return kind == "words" or kind not in self.kinds


def _freed(tree: Tree, gone: Iterable[Json], now: Manifest) -> dict[str, Freed]:
    found: dict[str, list[Json]] = {}
    for record in gone:
        found.setdefault(record["path"], []).append(record)
    return {path: _freed_path(tree, path, records, now) for path, records in found.items()}


def _freed_path(tree: Tree, path: str, gone: Sequence[Json], now: Manifest) -> Freed:
    kinds = frozenset(record["kind"] for record in gone)
    if not kinds.isdisjoint(KEPT_KINDS):
        kept = now.before.get(path)
        return Freed(kinds, _mode_of(kept), _text(tree, f"{BEFORE}/{_copy_of(path)}"))
    status = tree.status(path)
    return Freed(kinds, status and status.st_mode, _without_shares(_text(tree, path), gone))


def _mode_of(kept: Json | None) -> int | None:
    if kept is None:
        return None
    return stat.S_IFLNK if "link" in kept else stat.S_IFREG


def _without_shares(text: str, gone: Iterable[Json]) -> str:
    for record in gone:
        text = WITHOUT[record["kind"]](text, record) if record["kind"] in WITHOUT else text
    return text


def _was_something(record: Json, now: Manifest) -> bool:
    """Where nothing was wanted, and nothing stood before, there is nothing to take away."""
    return record["kind"] != "absent" or record["path"] in now.before


def _fresh(parts: Iterable[Part], held: Mapping[tuple[str, ...], Json]) -> tuple[Entry, ...]:
    entries = (entry for part in parts for entry in part.entries if entry.kind in KEPT_KINDS)
    return tuple(entry for entry in entries if _place_of(entry.record) not in held)


def _wrong(tree: Tree, parts: Iterable[Part], freed: Mapping[str, Freed]) -> tuple[Entry, ...]:
    """In the order of placing; folders before what is in them."""
    order = list(KINDS)
    entries = {_place_of(entry.record): entry for part in parts for entry in part.entries}.values()
    found = [entry for entry in entries if _is_wrong(tree, entry, freed.get(entry.path))]
    return tuple(sorted(found, key=lambda entry: (order.index(entry.kind), entry.kind == "folder" and entry.path)))


def _is_wrong(tree: Tree, entry: Entry, freed: Freed | None) -> bool:
    kind = KINDS[entry.kind]
    if kind.right(tree, entry.record) and not (freed and freed.renews(entry.kind)):
        return False
    status = tree.status(entry.path)
    mode = freed.mode if freed else status and status.st_mode
    if mode is not None and not any(may(mode) for may in kind.stood):
        raise Refused(f"a {entry.kind} is wanted where something else stands", entry.path, "take it away by hand")
    if mode is None and entry.kind == "words":
        remedy = "see that the boot partition is mounted, or switch off what wants kernel words on this host"
        raise Refused("there is no such line of kernel words", entry.path, remedy)
    return True


def _with_history(tree: Tree, part: Part, held: Mapping[tuple[str, ...], Json], freed: Mapping[str, Freed]) -> Part:
    entries = (
        _remembering(tree, entry, held.get(_place_of(entry.record), {}), freed.get(entry.path))
        for entry in part.entries
    )
    return replace(part, entries=tuple(entries))


def _remembering(tree: Tree, entry: Entry, old: Json, freed: Freed | None) -> Entry:
    """With what is to be known when it is taken away: the words that we added, whether the folder is of our making."""
    if entry.kind == "words":
        there = set(_first_line(freed.text if freed else _text(tree, entry.path)).split())
        new = [word for word in entry.record["words"] if word not in there]
        return replace(entry, record={**entry.record, "added": sorted({*old.get("added", ()), *new})})
    if entry.kind == "folder":
        made = bool(old.get("made")) or tree.status(entry.path) is None
        return replace(entry, record={**entry.record, "made": made})
    return entry


def _kept_parts(bundle: Bundle, now: Manifest) -> dict[str, Json]:
    """Those that the bundle says nothing about, without what a part of the bundle takes over."""
    if bundle.whole:
        return {}
    entries = [entry for part in bundle.parts for entry in part.entries]
    taken = {_place_of(entry.record) for entry in entries}
    kinds = {entry.path: entry.kind for entry in entries}
    return {name: {**part, "entries": _not_taken(part["entries"], taken, kinds)} for name, part in now.parts.items()}


def _not_taken(records: Iterable[Json], taken: set[tuple[str, ...]], kinds: Mapping[str, str]) -> list[Json]:
    """Of one path, all is of one kind."""
    alike = (record for record in records if kinds.get(record["path"], record["kind"]) == record["kind"])
    return [record for record in alike if _place_of(record) not in taken]


def _actions(then: set[str], parts: Sequence[Part], now: Manifest) -> tuple[Action, ...]:
    """Each once: what was begun and not ended, then in the order of the parts, then those of parts of before."""
    new = {name: argv for part in parts for name, argv in part.actions.items()}
    old = {name: argv for part in now.parts.values() for name, argv in part["actions"].items()}
    known = {**new, **{name: argv for name, argv in old.items() if name not in new}}
    wanted = [(name, argv) for name, argv in known.items() if name in then]
    flags: list[Action] = [(name, []) for name in sorted(then) if FLAG.fullmatch(name)]
    begun = [(name, known.get(name, argv)) for name, argv in now.pending if name not in then]
    return tuple(_once([*begun, *wanted])) + tuple(flags)


def _once(actions: Iterable[Action]) -> Iterator[Action]:
    """Roles that know nothing of each other have the same thing reloaded."""
    seen: set[tuple[str, ...]] = set()
    for name, argv in actions:
        if not argv or tuple(argv) not in seen:
            seen.add(tuple(argv))
            yield name, argv


# --- the checks -------------------------------------------------------------------------------------------------------


def check_all(tree: Tree, entries: Sequence[Entry], *, dry: bool) -> None:
    """Each on a copy under its real name, before anything is placed.  Raises Refused."""
    with contextlib.ExitStack() as left_over:
        left_over.callback(_clear_stage, tree)
        staged = {entry.path: _stage(tree, number, entry) for number, entry in enumerate(_tried(entries))}
        for entry in (entry for entry in entries if entry.check):
            _check(entry, staged, tree.root, dry=dry)


def _tried(entries: Sequence[Entry]) -> list[Entry]:
    """What is checked, and what a check names as its other file."""
    named = {path for entry in entries for word in entry.check for path in NAMED.findall(word)}
    return [entry for entry in entries if entry.check or (entry.kind == "file" and entry.path in named)]


def _stage(tree: Tree, number: int, entry: Entry) -> str:
    folder = f"{STAGE}/{number}"
    tree.make(STAGE, _own(0o700))
    tree.make(folder, _own(0o700))
    staged = f"{folder}/{posixpath.basename(entry.path)}"
    tree.write(staged, entry.content.encode(), _own(int(entry.record["mode"], 8)))
    return tree.root + staged


def _clear_stage(tree: Tree) -> None:
    for number in tree.names(STAGE):
        for name in tree.names(f"{STAGE}/{number}"):
            tree.unlink(f"{STAGE}/{number}/{name}")
        tree.rmdir(f"{STAGE}/{number}")
    tree.rmdir(STAGE)


def _word(word: str, own: str, staged: Mapping[str, str], root: str) -> str:
    """`{}` is the file itself, `{/PATH}` the other file there: as it will be."""
    return NAMED.sub(lambda found: staged.get(found[1], root + found[1]), word).replace("{}", own)


def _check(entry: Entry, staged: Mapping[str, str], root: str, *, dry: bool) -> None:
    argv = [_word(word, staged[entry.path], staged, root) for word in entry.check]
    program = _program(argv)
    try:
        done = _run(argv, CHECK_TIMEOUT_S)
    except FileNotFoundError:
        if dry:  # what installs it would have run before
            return
        remedy = "add the package that brings it to the packages of the part"
        raise Refused(f"there is no {program} to check it", entry.path, remedy) from None
    except subprocess.TimeoutExpired:
        raise Refused(f"{program} took more than {CHECK_TIMEOUT_S} s to check it", entry.path, "try again") from None
    if done.returncode:
        said = _last_lines(_unstaged(done.stdout, staged)) if entry.check_told else ""
        remedy = "correct the variables or the template that it is made of; nothing was placed"
        raise Refused(f"{program} refuses it ({done.returncode}): {said}".rstrip(": "), entry.path, remedy)


def _program(argv: Sequence[str]) -> str:
    """A script within the words is named by the word after it, as the shell does."""
    return argv[3] if argv[1:2] == ["-c"] and argv[3:] else argv[0]


def _unstaged(said: str, staged: Mapping[str, str]) -> str:
    for path, place in staged.items():
        said = said.replace(place, path)
    return said


def _run(argv: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the words are the playbooks', and no shell reads them
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=ENVIRONMENT,
        cwd="/",
        timeout=timeout_s,
        check=False,
    )


def _last_lines(said: str) -> str:
    return " | ".join(line.strip() for line in said.strip().splitlines()[-SAID_LINES:])


# --- doing it ---------------------------------------------------------------------------------------------------------


def carry_out(tree: Tree, plan: Plan, now: Manifest) -> None:
    """Raises Refused where an action fails; whatever ends this, the next run goes on from there."""
    if now.begun:
        _sweep(tree, now)
    if now.lost:
        tree.write(DAMAGED, tree.read(MANIFEST) or b"", _own(0o600))
    before = now.before | _laid_by(tree, plan, now)
    after = replace(plan.after, before=_still_kept(plan, before))
    if not plan.idle or now.begun:
        _change(tree, plan, replace(after, parts=_both(now, after), before=before, pending=plan.actions, begun=True))
        _act(tree, plan.actions, replace(after, begun=True))
    if after != now:
        save(tree, _without_dropped(after))
        crash_point("ended")
    known = map(_copy_of, before) if tree.status(DAMAGED) else tree.names(BEFORE)
    for name in set(known) - set(map(_copy_of, after.before)):
        tree.unlink(f"{BEFORE}/{name}")


def _sweep(tree: Tree, begun: Manifest) -> None:
    """What a run that did not end had written and not yet put in its place."""
    for record in begun.records():
        folder, name = posixpath.split(record["path"])
        tree.unlink(f"{folder}/{_staged(name)}")


def _change(tree: Tree, plan: Plan, begun: Manifest) -> None:
    crash_point("before-manifest")
    save(tree, begun)
    crash_point("begun")
    renewed = {entry.path for entry in plan.wrong}
    _take_all_away(tree, [record for record in plan.gone if record["path"] in renewed], begun.before)
    for entry in plan.wrong:
        with _at(entry.path):
            KINDS[entry.kind].place(tree, entry)
        crash_point("placed-one")
    crash_point("placed")
    _take_all_away(tree, [record for record in plan.gone if record["path"] not in renewed], begun.before)
    crash_point("removed")


def _take_all_away(tree: Tree, gone: Iterable[Json], before: Mapping[str, Json]) -> None:
    """What is in a folder goes before the folder."""
    for record in sorted(gone, key=lambda record: str(record["path"]), reverse=True):
        with _at(record["path"]):
            _take_away(tree, record, before)
        crash_point("removed-one")


@contextlib.contextmanager
def _at(path: str) -> Iterator[None]:
    """Says of an error where it was: below a folder's descriptor there are names only."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _both(now: Manifest, after: Manifest) -> dict[str, Json]:
    """What stands here while things change: the new and, until it is taken away, the old."""
    remain = {_place_of(record) for record in after.records()}
    old = {
        name: {**part, "entries": [record for record in part["entries"] if _place_of(record) not in remain]}
        for name, part in now.parts.items()
    }
    both = {
        name: {**part, "entries": old.get(name, {"entries": []})["entries"] + part["entries"]}
        for name, part in after.parts.items()
    }
    return old | both


def _laid_by(tree: Tree, plan: Plan, now: Manifest) -> dict[str, Json]:
    """What stands where we are to be for the first time."""
    found = {entry.path: _original(tree, entry.path, plan, now) for entry in plan.fresh}
    return {path: kept for path, kept in found.items() if kept is not None}


def _original(tree: Tree, path: str, plan: Plan, now: Manifest) -> Json | None:
    """Once a manifest was lost, the copy of before is the original, and what stands there may be our own."""
    kept = _look_of(tree, f"{BEFORE}/{_copy_of(path)}") if now.lost or tree.status(DAMAGED) else None
    return kept if kept or now.lost else _lay_by(tree, path, plan.freed.get(path))


def _look_of(tree: Tree, path: str) -> Json | None:
    status = tree.status(path)
    if status is None:
        return None
    if stat.S_ISLNK(status.st_mode):
        return {"link": tree.link(path)}
    look = Look.of(status)
    return {"mode": look.mode, "uid": look.uid, "gid": look.gid}


def _lay_by(tree: Tree, path: str, freed: Freed | None) -> Json | None:
    """A copy that says by itself how it looked.  Without our share, where that goes."""
    kept, copy = _look_of(tree, path), f"{BEFORE}/{_copy_of(path)}"
    if kept is None:
        return None
    tree.make(BEFORE, _own(0o700))
    if "link" in kept:
        tree.point(copy, kept["link"])
        return kept
    content = _small(tree, path) if freed is None else freed.text.encode("utf-8", "surrogateescape") or None
    if content is None:
        return None
    tree.write(copy, content, Look(**kept))
    return kept


def _small(tree: Tree, path: str) -> bytes | None:
    status = tree.status(path)
    return tree.read(path) if status and status.st_size <= KEPT_BYTES else None


def _copy_of(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def _still_kept(plan: Plan, before: Mapping[str, Json]) -> dict[str, Json]:
    gone = {record["path"] for record in plan.gone if record["kind"] in KEPT_KINDS}
    return {path: kept for path, kept in before.items() if path not in gone}


def _take_away(tree: Tree, record: Json, before: Mapping[str, Json]) -> None:
    kept = before.get(record["path"]) if record["kind"] in KEPT_KINDS else None
    if kept is None:
        KINDS[record["kind"]].remove(tree, record)
    elif "link" in kept:
        tree.point(record["path"], kept["link"])
    else:
        _give_back(tree, record["path"], kept)


def _give_back(tree: Tree, path: str, kept: Json) -> None:
    content = tree.read(f"{BEFORE}/{_copy_of(path)}")
    if content is not None:  # else it was given back by a run that did not end
        tree.write(path, content, Look(kept["mode"], kept["uid"], kept["gid"]))


def _without_dropped(manifest: Manifest) -> Manifest:
    """Words that were taken away are no longer ours."""
    return replace(
        manifest,
        parts={
            name: {**part, "entries": [_own_words(record) for record in part["entries"]]}
            for name, part in manifest.parts.items()
        },
    )


def _own_words(record: Json) -> Json:
    if record["kind"] != "words":
        return record
    return {**record, "added": [word for word in record["added"] if word in record["words"]]}


def _act(tree: Tree, actions: Sequence[Action], after: Manifest) -> None:
    """All of them, also after one has failed; those that failed are tried again by the next run."""
    failed: list[tuple[Action, str]] = []
    for name, argv in actions:
        crash_point("acting")
        said = _do(tree, name, argv)
        if said is not None:
            failed.append(((name, argv), said))
    crash_point("acted")
    if failed:
        save(tree, replace(after, pending=tuple(action for action, _ in failed)))
        said = "; ".join(f"{_shown(argv)}: {said}" for (_, argv), said in failed)
        remedy = "see `journalctl -xe` on the host; everything is in place, and the next run tries the action again"
        raise Refused(said, failed[0][0][0], remedy)


def _shown(argv: Sequence[str]) -> str:
    """Without the text of a whole program."""
    return " ".join(word if len(word) <= SHOWN_SIGNS else "..." for word in argv)


def _do(tree: Tree, name: str, argv: Sequence[str]) -> str | None:
    """What went wrong; None = nothing."""
    flag = FLAG.fullmatch(name)
    if flag:
        tree.make(FLAGS, _own(0o755))
        tree.write(f"{FLAGS}/{flag[1]}", b"", _own(0o644))
        return None
    try:
        done = _run(argv, ACTION_TIMEOUT_S)
    except FileNotFoundError:
        return "no such program"
    except subprocess.TimeoutExpired:
        return f"not ended after {ACTION_TIMEOUT_S} s"
    return (_last_lines(done.stdout) or f"ended with {done.returncode}") if done.returncode else None


# --- what would be seen -----------------------------------------------------------------------------------------------


def diffs(tree: Tree, plan: Plan, now: Manifest) -> list[Json]:
    """Of everything that is no secret, and was none."""
    import difflib  # noqa: PLC0415 - for --diff only; the fact has to be quick

    found: list[Json] = []
    secret = {record["path"] for record in now.records() if record.get("secret")}
    for entry in plan.wrong:
        old, new = ([], []) if entry.path in secret else _seen(tree, entry)
        lines = _shortened(list(difflib.unified_diff(old, new, f"{entry.path} (now)", entry.path, lineterm="")))
        found.append({"path": entry.path, "text": "\n".join(lines) or f"{entry.kind}: {_said(entry.record)}"})
    return found + [{"path": record["path"], "text": f"{record['kind']}: taken away"} for record in plan.gone]


def _shortened(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN_LINES
    return [*lines[:SHOWN_LINES], f"({more} more lines)"] if more > 0 else lines


def _seen(tree: Tree, entry: Entry) -> tuple[list[str], list[str]]:
    """Lines of now, lines of then."""
    if entry.record.get("secret"):
        return [], []
    now = _seen_now(tree, entry.path)
    then = {
        "file": lambda: entry.content,
        "block": lambda: _with_block(now, entry),
        "words": lambda: _with_words(now, entry.record),
    }
    text = then.get(entry.kind, lambda: now)()
    return now.splitlines(), text.splitlines()


def _seen_now(tree: Tree, path: str) -> str:
    status = tree.status(path)
    small = status is not None and status.st_size <= SHARED_BYTES
    return _text(tree, path) if small else ""


def _said(record: Json) -> str:
    shown = ("to", "mode", "owner", "group")
    return " ".join(f"{name}={record[name]}" for name in shown if name in record) or "taken away"


# --- the fact ---------------------------------------------------------------------------------------------------------


def tell(tree: Tree, units: Iterable[str] = ()) -> Json:
    """All that the playbooks decide by.  Never fails for what it finds: `trouble` says it."""
    trouble: list[str] = []
    manifest = _told_manifest(tree, trouble)
    parts = {name: _told(tree, part) for name, part in manifest.parts.items()}
    asked: dict[str, tuple[Json, Callable[[], Json]]] = {
        "packages": (NO_PACKAGES, lambda: _packages(tree, manifest.packages())),
        "units": ({"units": {}}, lambda: {"units": _unit_states(sorted({*manifest.units(), *units}))}),
        "accounts": (NO_ACCOUNTS, lambda: _accounts(tree)),
        "flags": ({"flags": []}, lambda: {"flags": tree.names(FLAGS)}),
        "releases": (NO_RELEASES, lambda: _releases(tree)),
        "certificate": ({"certificate": None}, lambda: {"certificate": _certificate(tree)}),
        "machine": (NO_MACHINE, lambda: _machine(tree)),
    }
    found = [_found(what, instead, ask, trouble) for what, (instead, ask) in asked.items()]
    return {
        "format": FORMAT,
        "digest": None if manifest.begun else _digest_of(manifest),
        "pending": manifest.begun,
        "parts": parts,
        "drifted": sorted({path for part in parts.values() for path in part["drifted"]}),
        **{name: value for section in found for name, value in section.items()},
        "clock_s": int(time.clock_gettime(time.CLOCK_REALTIME)),
        "python": ".".join(map(str, sys.version_info[:3])),
        "trouble": "; ".join(trouble) or None,
    }


FOUND_WRONG = (OSError, Refused, ValueError, LookupError, TypeError)
NO_PACKAGES: Json = {"packages": {}, "held": [], "dpkg": {"broken": [], "interrupted": False}}
NO_ACCOUNTS: Json = {"users": [], "groups": [], "accounts": {}}
NO_RELEASES: Json = {"releases": [], "release_digests": {}, "current": None, "previous": None}
NO_MACHINE: Json = {"suite": "", "model": None, "free_bytes": {}}


def _told_manifest(tree: Tree, trouble: list[str]) -> Manifest:
    try:
        return load(tree)
    except Unreadable:
        trouble.append("the manifest is damaged")
    except (Refused, OSError) as error:
        trouble.append(str(error))
    return Manifest()


def _found(what: str, instead: Json, ask: Callable[[], Json], trouble: list[str]) -> Json:
    try:
        return ask()
    except FOUND_WRONG as error:
        trouble.append(f"{what}: {error}")
        return instead


def _told(tree: Tree, part: Json) -> Json:
    return {"digest": part["digest"], "drifted": _drifted(tree, part), "held": part["held"]}


def _digest_of(manifest: Manifest) -> str | None:
    lines = "".join(f"{name} {part['digest']}\n" for name, part in sorted(manifest.parts.items()))
    return hashlib.sha256(lines.encode()).hexdigest() if lines else None


def _drifted(tree: Tree, part: Json) -> list[str]:
    return sorted({record["path"] for record in part["entries"] if not _right_or_damaged(tree, record)})


def _right_or_damaged(tree: Tree, record: Json) -> bool:
    try:
        return KINDS[record["kind"]].right(tree, record)
    except FOUND_WRONG:
        return False


INSTALLED = "installed"
WHOLE = (INSTALLED, "config-files", "not-installed")


def _packages(tree: Tree, wanted: set[str]) -> Json:
    """Versions of what is wanted: Ansible copies facts often.  Before the first bundle, of all."""
    versions: dict[str, str] = {}
    held: list[str] = []
    broken: list[str] = []
    for paragraph in (tree.read("/var/lib/dpkg/status") or b"").decode("utf-8", "replace").split("\n\n"):
        name, status = _field(paragraph, "Package"), _field(paragraph, "Status").split()
        if len(status) != len(("want", "error", "state")):
            continue
        if status[2] not in WHOLE or status[1] != "ok":
            broken.append(name)
        if status[2] == INSTALLED and (not wanted or name in wanted):
            versions[name] = _field(paragraph, "Version")
        if status[0] == "hold":
            held.append(name)
    interrupted = any(name.isdigit() for name in tree.names("/var/lib/dpkg/updates"))
    return {"packages": versions, "held": held, "dpkg": {"broken": broken, "interrupted": interrupted}}


def _field(paragraph: str, name: str) -> str:
    at = 0 if paragraph.startswith(f"{name}: ") else paragraph.find(f"\n{name}: ") + 1
    if not at and not paragraph.startswith(f"{name}: "):
        return ""
    return paragraph[at + len(name) + 2 :].split("\n", 1)[0]


SHOWN = "Id,LoadState,UnitFileState,ActiveState"
ENABLED = frozenset({"enabled", "enabled-runtime", "alias", "static", "indirect", "generated"})
ACTIVE = frozenset({"active", "activating", "reloading", "refreshing"})


def _unit_states(names: Sequence[str]) -> Json:
    if not names:
        return {}
    try:
        said = _run(["systemctl", "show", f"--property={SHOWN}", "--", *names], FACT_TIMEOUT_S).stdout
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return {}
    each = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in said.strip().split("\n\n")
    ]
    return {name: _unit_state(shown) for name, shown in zip(names, each, strict=False)}


def _unit_state(shown: Mapping[str, str]) -> Json:
    state = shown.get("UnitFileState", "")
    return {
        "there": shown.get("LoadState") not in {"not-found", None},
        "enabled": state in ENABLED,
        "active": shown.get("ActiveState") in ACTIVE,
        "masked": shown.get("LoadState") == "masked",
        "state": state,
    }


def _rows(tree: Tree, path: str, least: int) -> Iterator[list[str]]:
    for line in (tree.read(path) or b"").decode("utf-8", "replace").splitlines():
        cells = line.split(":")
        if len(cells) >= least:
            yield cells


def _accounts(tree: Tree) -> Json:
    groups = {
        cells[0]: (cells[2], [name for name in cells[3].split(",") if name]) for cells in _rows(tree, "/etc/group", 4)
    }
    shadow = {cells[0]: cells for cells in _rows(tree, "/etc/shadow", 5)}
    accounts = {cells[0]: _account(cells, groups, shadow.get(cells[0])) for cells in _rows(tree, "/etc/passwd", 7)}
    return {"users": sorted(accounts), "groups": sorted(groups), "accounts": accounts}


NUMBER = re.compile("-?[0-9]{1,9}")


def _account(cells: Sequence[str], groups: Mapping[str, tuple[str, list[str]]], shadow: Sequence[str] | None) -> Json:
    member = sorted(name for name, (gid, names) in groups.items() if cells[0] in names or gid == cells[3])
    return {
        "home": cells[5],
        "shell": cells[6],
        "groups": member,
        "locked": shadow is None or shadow[1].startswith(("!", "*")),
        "max_days": int(shadow[4]) if shadow and NUMBER.fullmatch(shadow[4]) else None,
    }


def _releases(tree: Tree) -> Json:
    found = {name: tree.link(f"{RELEASES}/{name}") for name in ("current", "previous")}
    named = {name: to and posixpath.basename(to.rstrip("/")) for name, to in found.items()}
    releases = [name for name in tree.names(f"{RELEASES}/releases") if not name.startswith(".")]
    return {"releases": releases, "release_digests": {name: _release(tree, name) for name in releases}, **named}


def _release(tree: Tree, release: str) -> str:
    """The hash of what it was made of, as its builder left it there; empty where it is not whole."""
    with contextlib.suppress(*NOT_THERE, ValueError, KeyError, TypeError):
        return str(json.loads(tree.read(f"{RELEASES}/releases/{release}/release.json") or b"")["digest"])
    return ""


def _machine(tree: Tree) -> Json:
    release = dict(row.split("=", 1) for row in _lines(tree, "/usr/lib/os-release") if "=" in row)
    model = (tree.read("/proc/device-tree/model") or b"").decode("ascii", "replace").strip("\x00\n ")
    return {
        "suite": release.get("VERSION_CODENAME", "").strip('"'),
        "model": model or None,
        "free_bytes": _free(tree),
    }


PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


def _certificate(tree: Tree) -> Json | None:
    """The first in that file, by its hash; None = there is none."""
    import base64  # noqa: PLC0415 - where there is a certificate only

    found = PEM.search(tree.read(CERTIFICATE, SHARED_BYTES) or b"")
    der = found and base64.b64decode(b"".join(found[1].split()), validate=True)
    return {"sha256": hashlib.sha256(der).hexdigest()} if der else None


def _lines(tree: Tree, path: str) -> list[str]:
    return (tree.read(path) or b"").decode("utf-8", "replace").splitlines()


def _free(tree: Tree) -> dict[str, int]:
    found: dict[str, int] = {}
    for folder in ("/", "/var", "/boot/firmware"):
        with contextlib.suppress(*NOT_THERE), tree.inside(folder) as fd:
            room = os.fstatvfs(fd)
            found[folder] = room.f_bavail * room.f_frsize
    return found


# --- the commands -----------------------------------------------------------------------------------------------------

REMEDIES = {
    errno.ENOSPC: "free space on the host, then run again",
    errno.EDQUOT: "free space on the host, then run again",
    errno.EROFS: "see `dmesg` on the host why it is mounted read-only; reboot it, or replace its card",
    errno.EIO: "the card or disk fails: `dmesg` on the host; replace it",
    errno.EACCES: "run as root (become)",
    errno.EPERM: "run as root (become)",
}


def apply(tree: Tree, text: str, *, dry: bool, with_diff: bool) -> Json:
    """What was done, or would be.  Raises Refused; OSError only from what lies outside all entries."""
    bundle = read_bundle(text)
    with _alone(tree, dry=dry):
        now = load_or_begin(tree)
        plan = make_plan(tree, bundle, now)
        seen = diffs(tree, plan, now) if with_diff else []
        check_all(tree, plan.wrong, dry=dry)
        if not dry:
            for entry in plan.wrong:
                _known_owner(entry)
            carry_out(tree, plan, now)
    units = [unit for part in bundle.parts for unit in part.units]
    return {**_summary(plan), "diff": seen, "digest": _digest_of(plan.after), "fact": tell(tree, units)}


def _known_owner(entry: Entry) -> None:
    if "owner" in entry.record:
        _look_wanted(entry.record)


def _summary(plan: Plan) -> Json:
    names = [name for name, _ in plan.actions]
    return {
        "changed": sorted({*(entry.path for entry in plan.wrong), *(str(record["path"]) for record in plan.gone)}),
        "ran": [name for name in names if not FLAG.fullmatch(name)],
        "flags": [found[1] for name in names if (found := FLAG.fullmatch(name))],
    }


@contextlib.contextmanager
def _alone(tree: Tree, *, dry: bool) -> Iterator[None]:
    """Two control hosts do not place at once."""
    if dry and tree.status(STATE) is None:
        yield
        return
    tree.make(STATE, _own(0o711))  # release.json in it is for everybody, all else is root's alone
    with tree.inside(STATE) as fd:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            remedy = "wait until the other run has ended, then run again"
            raise Refused("another run is placing here", STATE, remedy, TRY_AGAIN) from None
        yield


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the command."""

    command: str = "facts"
    check: bool = False
    diff: bool = False
    root: str = "/"


def _asked(argv: Sequence[str]) -> Asked:
    if not argv:
        return Asked()
    import argparse  # noqa: PLC0415 - not for the fact, which has to be quick

    parser = argparse.ArgumentParser(prog="place.py", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("apply", "facts"), default="facts")
    parser.add_argument("--check", action="store_true", help="place nothing, say what would be")
    parser.add_argument("--diff", action="store_true", help="say how files would differ")
    parser.add_argument("--root", default="/", help="the folder that is taken for /")
    return Asked(**vars(parser.parse_args(argv)))


def _answer(asked: Asked) -> tuple[Json, int]:
    tree = Tree(asked.root)
    if asked.command == "facts":
        return tell(tree), DONE
    try:
        return apply(tree, sys.stdin.read(), dry=asked.check, with_diff=asked.diff), DONE
    except Refused as refused:
        return refused.answer, refused.status
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "see `journalctl -xe` and `dmesg` on the host, then run again")
        return {"error": error.strerror or str(error), "path": str(error.filename or ""), "remedy": remedy}, UNAVAILABLE


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 done, 69 the host's files fail, 75 another run is at it, 78 what is wanted cannot be."""
    answer, status = _answer(_asked(argv))
    sys.stdout.write(json.dumps(answer) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
