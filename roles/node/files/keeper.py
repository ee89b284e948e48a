"""Keeps the way back open while a release proves itself on this host, and takes it where it does not.

A play arms it before a release is placed, and hears its word afterwards.  All between is done here, for a host that
nobody can reach decides alone: `run` is the unit heliograph-keeper, which goes on after a crash or a power cut where
the journal says.  Runs as root with nothing but Python's own library, and is part of no release.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import gate

FORMAT = 1
DONE, FAULT, UNAVAILABLE, TRY_AGAIN, WRONG = 0, 1, 69, 75, 78
CRASH_VARIABLE = "HELIOGRAPH_CRASH_AT"
LOOK_S, IDLE_LOOK_S, RECORD_S = 2.0, 20.0, 15.0
SILENCE_S = 300.0
"""A service that has been provisional and answers no more for so long has failed."""
HOPELESS = 2
"""Looks one after the other at a unit that systemd has given up."""
COLD = 10
"""Good frames of before; with fewer nobody knows how good they usually are."""
WORSE = 5.0
"""Points of quality below nearly all frames of before."""
NEARLY_ALL = 10
COMMAND_S, BACKUP_S = 120.0, 1800.0
MARGIN_BYTES = 64 << 20
MIB = 1 << 20
UNDER_VOLTAGE = 0b101
"""Bits of the firmware's word for now: too little voltage, and slowed down."""
CONFIG = "etc/heliograph/config.yml"
FILES = (
    "etc/heliograph/node.yml",
    CONFIG,
    "etc/tmpfiles.d/heliograph.conf",
    "etc/systemd/system/heliograph-retry@.service",
    "etc/systemd/system/heliograph-node.service",
    "etc/systemd/system/heliograph-worker.service",
    "etc/systemd/system/heliograph-ship.service",
    "etc/systemd/system/heliograph-node.service.d/*.conf",
    "etc/systemd/system/heliograph-worker.service.d/*.conf",
    "etc/systemd/system/heliograph-ship.service.d/*.conf",
)
"""All that goes with a release; what is not there when a trial begins is taken away when it fails."""
LINKS = ("current", "previous")
UNITS = ("heliograph-node", "heliograph-worker", "heliograph-ship")
SCHEMA = """
import sqlite3, sys
with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=10) as database:
    print(database.execute("PRAGMA user_version").fetchone()[0])
"""
LEASE = "--lease"
"""Of `config apply`, in releases that know leases."""
Json = dict[str, Any]


class Refused(Exception):
    """Nothing was changed; `remedy` says what to do."""

    def __init__(self, error: str, remedy: str, status: int = FAULT) -> None:
        super().__init__(error)
        self.remedy, self.status = remedy, status


def log(line: str) -> None:
    sys.stderr.write(line + "\n")


def crash_point(name: str) -> None:
    """End this process as a power cut would, where a test asks for it."""
    if os.environ.get(CRASH_VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)


# --- what is known ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """What a play wants proved.  `digest` is of all that the release is made of, `document` that of the document.

    `back`: to a release that ran here before, with its own files.  `again`: also one that has failed here.  Times are
    seconds: to be placed, to be ready, for good frames at least, and between the two looks that have to find no fault.
    """

    version: str
    digest: str
    name: str
    owner: str = ""
    document: str = ""
    units: tuple[str, ...] = UNITS[:2]
    frames: int = 3
    back: bool = False
    again: bool = False
    placed_s: float = 300.0
    ready_s: float = 120.0
    least_s: float = 180.0
    again_s: float = 10.0
    user: str = "heliograph"


@dataclass(frozen=True, slots=True)
class Before:
    """What the node was like: its document's digest, dead letters, and each camera's lowest usual score.

    `cold` are cameras with too few frames to know one.  `schema` is the number in its database, `units` are
    those that ran.
    """

    digest: str = ""
    dead: int | None = None
    floors: Mapping[str, float] = field(default_factory=dict)
    cold: tuple[str, ...] = ()
    schema: int | None = None
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """The journal.  `end_s` is of the clock of that boot; `left_s` was left of the phase when it was last written."""

    order: Order
    previous: str
    phase: str
    since_us: int
    boot: str
    before: Before
    word: Json | None = None
    """What was said of the trial before."""
    end_s: float = 0.0
    left_s: float = 0.0
    reason: str = ""
    idle: tuple[str, ...] = ()
    """Cameras that have yet to show a frame."""
    cold: tuple[str, ...] = ()
    """Cameras that have yet to show more frames than others."""
    database_back: bool = False
    format: int = FORMAT

    @property
    def provisional(self) -> bool:
        return bool(self.idle or self.cold)


def trial_of(text: str) -> Trial:
    """Raises Refused for one that is damaged, or of another version of this program."""
    try:
        told = json.loads(text)
        order, before = _with_tuples(told.pop("order")), _with_tuples(told.pop("before"))
        return Trial(order=Order(**order), before=Before(**before), **_with_tuples(told))
    except (ValueError, KeyError, TypeError) as error:
        remedy = "the playbooks of the release that wrote it; else take it away: what runs then stays"
        raise Refused(f"the journal of a trial, trial.json, cannot be read: {error}", remedy, WRONG) from error


def _with_tuples(told: Json) -> Json:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}


# --- files ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """Mode and owner of a file."""

    mode: int = 0o600
    uid: int = -1
    gid: int = -1


OWN, PUBLIC = Look(), Look(0o644)


def put(path: Path, content: bytes, look: Look = OWN) -> None:
    """The whole file, or what stood there; on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.heliograph")
    staged.unlink(missing_ok=True)
    with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        os.fchown(file.fileno(), look.uid, look.gid)
        os.fchmod(file.fileno(), look.mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)
    sync(path.parent)


def point(link: Path, to: str) -> None:
    """A link in place of what stood there, with no instant of nothing."""
    staged = link.with_name(f".{link.name}.heliograph")
    staged.unlink(missing_ok=True)
    staged.symlink_to(to)
    staged.rename(link)
    sync(link.parent)


def drop(path: Path) -> None:
    path.unlink(missing_ok=True)
    sync(path.parent)


def sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


class Places:
    """Where everything is, below the root of the host."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "var/lib/heliograph-host"
        self.journal = self.state / "trial.json"
        self.word = self.state / "release.json"
        self.saved = self.state / "trial-saved.json"
        self.backup = self.state / "trial-backup.tar"
        self.placed = self.state / "trial-placed"
        self.back = self.state / "trial-back"
        self.lock = self.state / "keeper.lock"
        self.owner = root / "run/heliograph-host/lease"
        self.kept = self.state / "kept"
        self.home = root / "opt/heliograph"
        self.staging = self.home / ".trial"
        self.database = root / "var/lib/heliograph/heliograph.db"

    def link(self, name: str) -> str | None:
        path = self.home / name
        return str(path.readlink()) if path.is_symlink() else None

    @property
    def current(self) -> str:
        """The release that runs, or would; empty = none."""
        return Path(self.link("current") or "").name

    def program(self, version: str) -> str:
        return str(self.home / "releases" / version / "bin/heliograph-node")

    def kept_of(self, version: str, ending: str = "json") -> Path:
        return self.kept / f"{version}.{ending}"

    def watched(self) -> list[Path]:
        return sorted(path for each in FILES for path in self.root.glob(each) if path.is_file())


def save(places: Places, document: Json | None, schema: int | None) -> Json:
    """All that goes with the release that runs, but its database."""
    files = {str(path.relative_to(places.root)): _kept(path) for path in places.watched()}
    links = {name: places.link(name) for name in LINKS}
    return {"format": FORMAT, "files": files, "links": links, "document": document, "schema": schema}


def _kept(path: Path) -> Json:
    status = path.stat()
    look = {"mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
    return {"content": base64.b64encode(path.read_bytes()).decode(), **look}


def is_as_saved(places: Places, saved: Json) -> bool:
    now = save(places, None, None)
    return all(now[name] == saved[name] for name in ("files", "links"))


def restore(places: Places, saved: Json, links: Mapping[str, str | None]) -> None:
    """Its files, and no others; then the links, `current` last.  May be done again from anywhere in it."""
    for path in places.watched():
        if str(path.relative_to(places.root)) not in saved["files"]:
            drop(path)
    for name, kept in saved["files"].items():
        look = Look(kept["mode"], kept["uid"], kept["gid"])
        put(places.root / name, base64.b64decode(kept["content"]), look)
    crash_point("files_restored")
    for name in reversed(LINKS):
        to = links[name]
        if to is None:
            drop(places.home / name)
        else:
            point(places.home / name, to)
        crash_point(f"{name}_restored")


# --- this host --------------------------------------------------------------------------------------------------------


class Host(gate.Host, Protocol):
    """What the keeper asks of this machine, beside what the gate does."""

    def boot(self) -> str: ...
    def now_us(self) -> int: ...
    def run(self, words: Sequence[str], within_s: float) -> subprocess.CompletedProcess[str]: ...


class ThisHost(gate.ThisHost):
    def boot(self) -> str:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def run(self, words: Sequence[str], within_s: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        """Status 75 where it does not end in time, 69 where there is no such program."""
        try:
            return subprocess.run(words, capture_output=True, text=True, check=False, timeout=within_s)  # noqa: S603 - systemctl, runuser
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, TRY_AGAIN, "", f"not ended after {within_s:.0f} s")
        except OSError as error:
            return subprocess.CompletedProcess(words, UNAVAILABLE, "", str(error))


def said_by(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"ended with {done.returncode}"


def as_user(user: str, *words: str) -> list[str]:
    return ["runuser", "-u", user, "--", *words]


def schema_of(places: Places, host: Host, user: str) -> int | None:
    """The number in the database, read as its owner; None = it cannot be read."""
    done = host.run(as_user(user, sys.executable, "-I", "-c", SCHEMA, str(places.database)), COMMAND_S)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else None


# --- arming -----------------------------------------------------------------------------------------------------------


def arm(places: Places, host: Host, order: Order) -> Json:
    """All of the release that runs is laid by, and the trial of the next one is open.  Raises Refused."""
    if places.current == order.version:
        return {"armed": False, "version": order.version}
    with alone(places):
        _check(places, host, order)
        # it waits for us to end, however that is: an open trial is never without it
        host.run(["systemctl", "start", "--no-block", "heliograph-keeper.service"], COMMAND_S)
        before, document = look_before(places, host, order)
        _back_up(places, host, order)
        put(places.saved, json.dumps(save(places, document, before.schema)).encode())
        crash_point("saved")
        trial = _begun(places, host, order, before)
        note(places, trial, host.now_us())
    crash_point("armed")
    return {"armed": True, "version": order.version, "previous": places.current}


def _begun(places: Places, host: Host, order: Order, before: Before) -> Trial:
    for mark in (places.placed, places.back):
        mark.unlink(missing_ok=True)
    began_s = host.monotonic()
    return Trial(
        order, places.current, "armed", host.now_us(), host.boot(), before, word_of(places),
        end_s=began_s + order.placed_s, left_s=order.placed_s,
    )  # fmt: skip


def note(places: Places, trial: Trial, now_us: int) -> None:
    """For this program, and for others."""
    put(places.journal, json.dumps(asdict(trial)).encode())
    until_us = now_us + round(trial.left_s * 1_000_000) if trial.left_s else None
    put(places.word, json.dumps(said(trial, until_us)).encode(), PUBLIC)


@contextlib.contextmanager
def alone(places: Places, *, patiently: bool = False) -> Iterator[None]:
    """One keeper at a time.  Raises Refused, or waits."""
    places.state.mkdir(mode=0o711, parents=True, exist_ok=True)
    places.state.chmod(0o711)  # the service reads the word; all else in it is root's alone
    with places.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if patiently else fcntl.LOCK_NB))
        except BlockingIOError:
            raise open_trial(places) from None
        yield


def open_trial(places: Places) -> Refused:
    trial, remedy = load(places), "wait until it has ended"
    if trial is None:
        return Refused("another keeper is at work here", remedy, TRY_AGAIN)
    what = "; ".join(filter(None, (f"{trial.order.version} is on trial here", trial.order.owner, trial.reason)))
    return Refused(f"release {what}", "wait for its end, or end it: playbooks/rollback.yml", TRY_AGAIN)


def _check(places: Places, host: Host, order: Order) -> None:
    if places.journal.exists():
        raise open_trial(places)
    for check in CHECKS:
        check(places, host, order)


def _whole(places: Places, _host: Host, order: Order) -> None:
    if not places.current:
        raise Refused("no release runs here yet", "playbooks/site.yml brings the first one", WRONG)
    if not Path(places.program(order.version)).exists():
        raise Refused(f"release {order.version} is not on this host", "playbooks/release.yml brings it", WRONG)
    if order.back and not places.kept_of(order.version).exists():
        remedy = f"playbooks/release.yml with the wheel of {order.version} as node_wheel"
        raise Refused(f"nothing of release {order.version} was laid by on this host", remedy, WRONG)


def _untried(places: Places, _host: Host, order: Order) -> None:
    word = word_of(places) or {}
    failed = word.get("state") == "rolled_back" and word.get("digest") == order.digest
    left = word.get("back") and word.get("previous") == order.version
    if (failed or left) and not (order.again or order.back):
        raise Refused(
            f"this host went back from release {order.version}: {word['reason']}",
            "another version in which that is mended; or the same once more with -e node_release_again=true",
        )


def _room(places: Places, _host: Host, _order: Order) -> None:
    database = places.database
    held = sum(path.stat().st_size for path in (database, Path(f"{database}-wal")) if path.exists())
    needed = 2 * held + MARGIN_BYTES
    for folder in (places.state, places.home):
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise Refused(
                f"{free // MIB} MiB free below {folder}, and a backup needs {needed // MIB}",
                "on the host `sudo apt-get clean` and `sudo journalctl --vacuum-size=32M`, or a larger card",
            )


def _power(_places: Places, host: Host, _order: Order) -> None:
    done = host.run(["vcgencmd", "get_throttled"], COMMAND_S)
    value = done.stdout.strip().removeprefix("throttled=0x")
    if done.returncode == 0 and int(value, 16) & UNDER_VOLTAGE:
        raise Refused(f"the board has too little voltage (0x{value})", "give it a better power supply or cable")


CHECKS: Sequence[Callable[[Places, Host, Order], None]] = (_whole, _untried, _room, _power)


def look_before(places: Places, host: Host, order: Order) -> tuple[Before, Json | None]:
    """What the node is like now, and the document that it runs."""
    schema = schema_of(places, host, order.user) if places.database.exists() else None
    units = tuple(unit for unit in UNITS if host.unit(unit) == "active")
    status, config = host.get("/v1/status"), host.get("/v1/config")
    if status is None:
        return Before(schema=schema, units=units), None
    scores = {camera["name"]: _scores(host, camera["name"]) for camera in status["cameras"]}
    cold = tuple(name for name, found in scores.items() if len(found) < COLD)
    floors = {name: usual(found) - WORSE for name, found in scores.items() if name not in cold}
    dead = (status.get("queue") or {}).get("dead")
    before = Before(status["config"]["digest"], dead, floors, cold, schema, units)
    return before, (config or {}).get("document")


def _scores(host: Host, camera: str) -> list[float]:
    page = host.get("/v1/frames", camera=camera, limit=gate.PAGE, fields=gate.FRAME_FIELDS) or {"items": []}
    return [float(each["score"]) for each in page["items"] if each["verdict"] == "good" and each["score"] is not None]


def usual(scores: Sequence[float]) -> float:
    """What all but the worst tenth of them reach."""
    return sorted(scores)[len(scores) // NEARLY_ALL]


def _back_up(places: Places, host: Host, order: Order) -> None:
    """By the release that runs: the next one may already write otherwise."""
    if not places.database.exists():
        return
    with _staged(places, order.user) as folder:
        words = as_user(order.user, places.program(places.current), "backup", "--json", str(folder))
        done = host.run(words, BACKUP_S)
        if done.returncode not in {DONE, FAULT} or not done.stdout.startswith("{"):
            raise Refused(f"no backup could be made: {said_by(done)}", "on the host `systemctl status heliograph-node`")
        crash_point("backup_made")
        shutil.copyfile(json.loads(done.stdout)["path"], places.backup)
    places.backup.chmod(OWN.mode)
    os.sync()


@contextlib.contextmanager
def _staged(places: Places, user: str) -> Iterator[Path]:
    """A folder of the service's user, below one of root's."""
    shutil.rmtree(places.staging, ignore_errors=True)
    places.staging.mkdir(mode=0o700)
    shutil.chown(places.staging, user)
    try:
        yield places.staging
    finally:
        shutil.rmtree(places.staging, ignore_errors=True)


# --- what is said -----------------------------------------------------------------------------------------------------


def load(places: Places) -> Trial | None:
    """None = no trial is open."""
    try:
        return trial_of(places.journal.read_text())
    except FileNotFoundError:
        return None


def word_of(places: Places) -> Json | None:
    try:
        word: Json = json.loads(places.word.read_text())
    except (OSError, ValueError):
        return None
    return word


ENDED = ("confirmed", "rolled_back", "rollback_failed")


def said(trial: Trial, until_us: int | None) -> Json:
    """`version` was to take the place of `previous`, and runs unless the trial was rolled back."""
    open_state = "provisional" if trial.provisional else "trial"
    return {
        "format": FORMAT,
        "state": trial.phase if trial.phase in ENDED else open_state,
        "version": trial.order.version,
        "previous": trial.previous,
        "since_us": trial.since_us,
        "until_us": until_us,
        "reason": trial.reason,
        "owner": trial.order.owner,
        "digest": trial.order.digest,
        "back": trial.order.back,
    }


# --- the trial --------------------------------------------------------------------------------------------------------


class Keeper:
    """One step after the other; each is written down before the next, and may be done again."""

    def __init__(self, places: Places, host: Host) -> None:
        self._places, self._host = places, host
        self._noted_s = 0.0

    def run(self) -> None:
        """Until no trial is open."""
        trial = load(self._places)
        if trial is not None:
            trial = self._taken_up(trial)
        while trial is not None:
            trial = PHASES[trial.phase](self, trial)

    def _taken_up(self, trial: Trial) -> Trial:
        """In another boot its clock has begun anew: what was left is left.  Half a placing is not gone on with."""
        if trial.boot == self._host.boot():
            return trial
        again = replace(trial, boot=self._host.boot(), end_s=self._host.monotonic() + trial.left_s)
        if trial.phase == "armed":
            return self._to(again, "abandoning", reason="the host started anew while it was being placed")
        self._note(again)
        return again

    def _to(self, trial: Trial, phase: str, seconds: float = 0.0, reason: str | None = None) -> Trial:
        end_s = self._host.monotonic() + seconds
        why = trial.reason if reason is None else reason
        after = replace(trial, phase=phase, end_s=end_s, left_s=seconds, reason=why)
        self._note(after)
        log(f"{trial.order.version}: {phase}{why and f': {why}'}")
        crash_point(phase)
        return after

    def _note(self, trial: Trial) -> None:
        note(self._places, trial, self._host.now_us())
        self._noted_s = self._host.monotonic()

    def _looks(self, trial: Trial, pause_s: float = LOOK_S) -> Iterator[str]:
        """Why somebody wants it ended, mostly nobody; until its time is over, which is written down as it goes."""
        while True:
            yield self._asked_back()
            now_s = self._host.monotonic()
            if now_s >= trial.end_s:
                return
            if trial.left_s and now_s - self._noted_s >= RECORD_S:
                self._note(replace(trial, left_s=trial.end_s - now_s))
            self._host.wait(pause_s)

    def _asked_back(self) -> str:
        try:
            return self._places.back.read_text().strip() or "asked for"
        except OSError:
            return ""

    def _fail(self, trial: Trial, reason: str) -> Trial:
        return self._to(trial, "failing", reason=reason)

    def _judge(self, trial: Trial) -> gate.Judge:
        return gate.Judge(self._wanted(trial), self._host)

    def _wanted(self, trial: Trial) -> gate.Wanted:
        order, before = trial.order, trial.before
        return gate.Wanted(
            name=order.name,
            units=order.units,
            version=order.version,
            digest=order.document,
            frames=order.frames,
            least_s=order.least_s,
            dead=before.dead,
            floors=before.floors,
        )

    # --- forward

    def armed(self, trial: Trial) -> Trial:
        if trial.order.back:
            return self._placed_back(trial)
        for asked in self._looks(trial, pause_s=1.0):
            if self._places.placed.exists():
                return self._to(trial, "restarting")
            if asked:
                return self._to(trial, "abandoning", reason=asked)
        return self._to(trial, "abandoning", reason=f"it was not placed within {trial.order.placed_s:.0f} s")

    def _placed_back(self, trial: Trial) -> Trial:
        """The release's own files, as they were when it ran last."""
        kept = json.loads(self._places.kept_of(trial.order.version).read_text())
        backup = self._places.kept_of(trial.order.version, "tar")
        trial = self._older_database(trial, kept["schema"], backup, trial.order.version)
        links = {"current": f"releases/{trial.order.version}", "previous": f"releases/{trial.previous}"}
        restore(self._places, kept, links)
        return self._to(trial, "restarting")

    def restarting(self, trial: Trial) -> Trial:
        self._restart(trial.order.units)
        return self._to(trial, "starting", trial.order.ready_s)

    def _restart(self, names: Sequence[str]) -> None:
        units = [f"{name}.service" for name in names]
        for words in (["daemon-reload"], ["reset-failed", *units], ["restart", "--no-block", *units]):
            self._do(["systemctl", *words])

    def _do(self, words: Sequence[str], within_s: float = COMMAND_S) -> str:
        """What went wrong, which is written to the log too; empty = nothing."""
        done = self._host.run(words, within_s)
        if not done.returncode:
            return ""
        log(f"{' '.join(words)}: {said_by(done)}")
        return said_by(done)

    def starting(self, trial: Trial) -> Trial:
        judge, faults, hopeless = self._judge(trial), [], 0
        for asked in self._looks(trial):
            faults = list(judge.up())
            hopeless = hopeless + 1 if self._given_up(trial) else 0
            if not faults:
                return self._to(trial, "applying")
            if asked or hopeless >= HOPELESS:
                return self._fail(trial, asked or _words(faults))
        return self._fail(trial, _words(faults))

    def _given_up(self, trial: Trial) -> bool:
        return any(self._host.unit(unit) == "failed" for unit in trial.order.units)

    def applying(self, trial: Trial) -> Trial:
        """The document that was placed with the release, by the release that knows its fields."""
        if trial.order.document and self._running_digest() not in ("", trial.order.document):
            path = self._places.root / CONFIG
            fault = self._apply(trial, trial.order.version, path)
            if fault:
                return self._fail(trial, f"its document was refused: {fault}")
        return self._to(trial, "proving", self._judge(trial).patience_s() + trial.order.again_s)

    def _running_digest(self) -> str:
        status = self._host.get("/v1/status")
        return str(status["config"]["digest"]) if status else ""

    def _apply(self, trial: Trial, version: str, path: Path) -> str:
        """What went wrong; empty = nothing.  In the name of who holds the node's lease, where there is one."""
        words = as_user(trial.order.user, self._places.program(version), "config", "apply")
        owned = (
            [] if self._host.run([*words, "--help"], COMMAND_S).stdout.find(LEASE) < 0 else [LEASE, trial.order.owner]
        )
        return self._do([*words, *owned, str(path)])

    def proving(self, trial: Trial) -> Trial:
        judge, clean_s = self._judge(trial), None
        faults: list[gate.Fault] = []
        for asked in self._looks(trial):
            if asked:
                return self._fail(trial, asked)
            faults = [*judge.up(), *judge.proved()]
            clean_s = None if faults else self._host.monotonic() if clean_s is None else clean_s
            if clean_s is not None and self._host.monotonic() - clean_s >= trial.order.again_s:
                return self._proved(trial, judge)
        return self._fail(trial, _words(faults) or "its looks did not come to the same")

    def _proved(self, trial: Trial, judge: gate.Judge) -> Trial:
        idle, good = judge.idle(), judge.good()
        owed = [name for name in trial.before.cold if good.get(name, 0) < COLD and name not in idle]
        after = replace(trial, idle=tuple(idle), cold=tuple(owed))
        if not after.provisional:
            back = f"gone back from {trial.previous} by {trial.order.owner}" if trial.order.back else ""
            return self._to(after, "confirmed", reason=back)
        self._let_go(trial)
        return self._to(after, "provisional", reason=_owed(after))

    def _let_go(self, trial: Trial) -> None:
        """Of the node's lease, which the play took: it may not hear of the end.  One of the two may know no leases."""
        for version in (trial.order.version, trial.previous):
            words = [self._places.program(version), "lease", "release", "--owner", trial.order.owner]
            if not self._host.run(as_user(trial.order.user, *words), COMMAND_S).returncode:
                return

    def provisional(self, trial: Trial) -> Trial:
        """Nothing that could be looked at was amiss.  What could not is looked at when it is due."""
        judge, heard_s = self._judge(trial), self._host.monotonic()
        for asked in self._looks(replace(trial, end_s=float("inf")), IDLE_LOOK_S):
            if asked:
                return self._fail(trial, asked)
            if self._host.get("/v1/status") is not None:
                heard_s = self._host.monotonic()
                if self._is_due(trial, judge):
                    return self._to(trial, "proving", self._due_s(trial, judge))
            elif self._host.monotonic() - heard_s > SILENCE_S:
                return self._fail(trial, "the service stopped answering")
        return trial

    def _is_due(self, trial: Trial, judge: gate.Judge) -> bool:
        good, idle = judge.good(), judge.idle()
        if set(trial.idle) - set(idle):
            return True
        return bool(trial.cold) and all(good.get(name, 0) >= COLD for name in trial.cold)

    def _due_s(self, trial: Trial, judge: gate.Judge) -> float:
        """A camera counts as due up to its patience before its slot."""
        return 2 * judge.patience_s() + trial.order.again_s

    # --- back

    def abandoning(self, trial: Trial) -> Trial | None:
        """It was not placed, or not wholly."""
        if is_as_saved(self._places, self._saved()) and not trial.database_back:
            self._let_go(trial)
            self._close(trial.word)
            return None
        return self._fail(trial, trial.reason)

    def _saved(self) -> Json:
        saved: Json = json.loads(self._places.saved.read_text())
        return saved

    def failing(self, trial: Trial) -> Trial:
        saved = self._saved()
        trial = self._older_database(trial, trial.before.schema, self._places.backup, trial.previous)
        restore(self._places, saved, saved["links"])
        return self._to(trial, "returning")

    def _older_database(self, trial: Trial, schema: int | None, backup: Path, version: str) -> Trial:
        """One with which that release cannot live gives way to the one that it had."""
        now = schema_of(self._places, self._host, trial.order.user)
        newer = schema is not None and now is not None and now > schema
        if not (newer or trial.database_back) or not backup.exists():
            return trial
        trial = replace(trial, database_back=True)
        self._note(trial)
        self._do(["systemctl", "stop", *(f"{unit}.service" for unit in UNITS)])
        with _staged(self._places, trial.order.user) as folder:
            tar = folder / "backup.tar"
            owner = pwd.getpwnam(trial.order.user)
            put(tar, backup.read_bytes(), Look(0o600, owner.pw_uid, owner.pw_gid))
            words = as_user(trial.order.user, self._places.program(version), "restore", "--json", str(tar))
            self._do(words, BACKUP_S)
        crash_point("database_restored")
        return trial

    def returning(self, trial: Trial) -> Trial:
        self._restart(trial.before.units or trial.order.units)
        return self._to(trial, "returned", trial.order.ready_s)

    def returned(self, trial: Trial) -> Trial:
        units = trial.before.units or trial.order.units
        judge = gate.Judge(
            gate.Wanted(name=trial.order.name, units=units, version=trial.previous, frames=0), self._host
        )
        faults: list[gate.Fault] = []
        for _ in self._looks(trial):
            faults = [*judge.up(), *judge.proved()]
            if not faults:
                return self._to(trial, "settling")
        return self._to(trial, "rollback_failed", reason=f"{trial.reason}; back at {trial.previous}: {_words(faults)}")

    def settling(self, trial: Trial) -> Trial:
        """Frames of the time between are known again, and the document is the one of before."""
        if trial.database_back:
            words = [self._places.program(trial.previous), "reconcile", "--no-wait"]
            self._do(as_user(trial.order.user, *words))
        document = self._saved()["document"]
        if document and trial.before.digest and self._running_digest() not in ("", trial.before.digest):
            with _staged(self._places, trial.order.user) as folder:
                path, owner = folder / "document.json", pwd.getpwnam(trial.order.user)
                put(path, json.dumps(document).encode(), Look(0o600, owner.pw_uid, owner.pw_gid))
                fault = self._apply(trial, trial.previous, path)
            if fault:
                return self._to(trial, "rollback_failed", reason=f"{trial.reason}; its document was refused: {fault}")
        return self._to(trial, "rolled_back")

    # --- the end

    def confirmed(self, trial: Trial) -> None:
        """What the release before ran with stays, so that an operator can go back to it."""
        places = self._places
        now = schema_of(places, self._host, trial.order.user)
        places.kept.mkdir(mode=0o700, exist_ok=True)
        put(places.kept_of(trial.previous), places.saved.read_bytes())
        if places.backup.exists() and now != trial.before.schema:
            places.backup.rename(places.kept_of(trial.previous, "tar"))
        crash_point("laid_by")
        there = {path.name for path in (places.home / "releases").iterdir()}
        for path in places.kept.iterdir():
            if path.stem not in there:
                path.unlink()
        self._let_go(trial)
        self._close(said(trial, None))

    def ended(self, trial: Trial) -> None:
        self._let_go(trial)
        self._close(said(trial, None))

    def _close(self, word: Json | None) -> None:
        """The word first: who sees no trial finds it."""
        places = self._places
        if word is None:
            drop(places.word)
        else:
            put(places.word, json.dumps(word).encode(), PUBLIC)
        crash_point("said")
        drop(places.journal)
        crash_point("closed")
        for path in (places.saved, places.backup, places.placed, places.back):
            path.unlink(missing_ok=True)


Phase = Callable[[Keeper, Trial], "Trial | None"]
PHASES: dict[str, Phase] = {
    "armed": Keeper.armed,
    "restarting": Keeper.restarting,
    "starting": Keeper.starting,
    "applying": Keeper.applying,
    "proving": Keeper.proving,
    "provisional": Keeper.provisional,
    "confirmed": Keeper.confirmed,
    "abandoning": Keeper.abandoning,
    "failing": Keeper.failing,
    "returning": Keeper.returning,
    "returned": Keeper.returned,
    "settling": Keeper.settling,
    "rolled_back": Keeper.ended,
    "rollback_failed": Keeper.ended,
}


def _words(faults: Sequence[gate.Fault]) -> str:
    return "; ".join(what for what, _ in faults)


def _owed(trial: Trial) -> str:
    idle = f"nothing is due from {', '.join(trial.idle)} now: judged at the first slots that are" if trial.idle else ""
    cold = (
        f"too few frames of before to compare {', '.join(trial.cold)} with: judged after {COLD}" if trial.cold else ""
    )
    return "; ".join(filter(None, (idle, cold)))


# --- commands ---------------------------------------------------------------------------------------------------------


def _arm(places: Places, host: Host, _words: Sequence[str]) -> int:
    _answer(arm(places, host, Order(**_with_tuples(json.load(sys.stdin)))))
    return DONE


def _placed(places: Places, _host: Host, _words: Sequence[str]) -> int:
    """The bundle has placed what was armed; elsewhere this says nothing."""
    if is_armed(places):
        put(places.placed, b"")
    return DONE


def is_armed(places: Places) -> bool:
    trial = load(places)
    return trial is not None and trial.phase == "armed"


def _outside(places: Places, _host: Host, words: Sequence[str]) -> int:
    """That command, unless a release is just being placed: then the keeper does it at its time."""
    if not is_armed(places):
        os.execvp(words[0], list(words))  # noqa: S606 - what the bundle would else run itself
    return DONE


def _document(places: Places, host: Host, words: Sequence[str]) -> int:
    """The document is put in force, unless a release is just being placed; in the name of the play's lease."""
    if is_armed(places):
        return DONE
    owner = places.owner.read_text().strip() if places.owner.exists() else ""
    done = host.run([*words, *([LEASE, owner] if owner else []), str(places.root / CONFIG)], COMMAND_S)
    sys.stdout.write(done.stdout + done.stderr)
    return done.returncode


def _run(places: Places, host: Host, _words: Sequence[str]) -> int:
    with alone(places, patiently=True):
        Keeper(places, host).run()
    return DONE


def _back(places: Places, host: Host, _words: Sequence[str]) -> int:
    """An open trial is ended, else the release before is tried; nothing where that was done."""
    given = json.load(sys.stdin)
    _answer(go_back(places, host, Order(**_with_tuples(given))))
    return DONE


def go_back(places: Places, host: Host, order: Order) -> Json:
    """An order without a version means the release before the one that runs.  Raises Refused."""
    trial, word = load(places), word_of(places) or {}
    if trial is not None and order.version in ("", trial.previous):
        put(places.back, f"rolled back by {order.owner or 'an operator'}".encode())
        host.run(["systemctl", "start", "--no-block", "heliograph-keeper.service"], COMMAND_S)
        return {"changed": True, "version": trial.previous}
    if not order.version and (word.get("back") or word.get("state") == "rolled_back"):
        return {"changed": False, "version": places.current}
    version = order.version or Path(places.link("previous") or "").name
    if not version:
        raise Refused(
            "no release ran here before this one", "playbooks/release.yml with a wheel of the one wanted", WRONG
        )
    record = json.loads((places.home / "releases" / version / "release.json").read_text())
    done = arm(places, host, replace(order, version=version, digest=record["digest"], back=True))
    return {"changed": done["armed"], "version": version}


def _wait(places: Places, host: Host, words: Sequence[str]) -> int:
    """Prints the word once the trial has ended, or goes on without anybody."""
    end_s = host.monotonic() + float(words[0])
    while places.journal.exists() and (word_of(places) or {}).get("state") != "provisional":
        if host.monotonic() >= end_s:
            raise Refused(f"no word after {float(words[0]):.0f} s", "on the host `journalctl -u heliograph-keeper`")
        host.wait(1.0)
    _answer({**(word_of(places) or {}), "runs": places.current})
    return DONE


def _answer(told: Json) -> None:
    sys.stdout.write(json.dumps(told) + "\n")


COMMANDS: dict[str, Callable[[Places, Host, Sequence[str]], int]] = {
    "arm": _arm,
    "placed": _placed,
    "outside": _outside,
    "document": _document,
    "run": _run,
    "back": _back,
    "wait": _wait,
}
ROOT = "HELIOGRAPH_ROOT"
"""Another folder than / stands for the host, in tests."""


def main() -> int:
    """Answers in JSON: {error, remedy} with another status than 0."""
    command, *words = sys.argv[1:]
    root = Path(os.environ.get(ROOT, "/"))
    wanted = gate.Wanted(name="", certificate=_certificate(root), run=str(root / "run/heliograph"))
    try:
        return COMMANDS[command](Places(root), ThisHost(wanted), words)
    except Refused as refusal:
        _answer({"error": str(refusal), "remedy": refusal.remedy})
        return refusal.status
    except OSError as error:
        _answer({"error": str(error), "remedy": "`dmesg` and `df -h` on the host"})
        return FAULT


def _certificate(root: Path) -> str:
    """The one by which the service shows itself; empty = none."""
    path = root / "etc/heliograph/tls/node.pem"
    return str(path) if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
