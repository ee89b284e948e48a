"""Builds a release of the node's software beside those that are there: whole and tried, or not at all.

Reads an order (JSON) on standard input, answers in JSON.  Runs on the host as root with nothing but Python's own
library.  `current` is not touched: the bundle moves it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

CONFIGURATION, FAULT = 78, 1
RECORD = "release.json"
BUILDING = ".building-"
NOTHING: Mapping[str, str] = MappingProxyType({})
NEEDED_BYTES = 600_000_000
TOLD_LINES = 3
REMEDIES = {
    errno.ENOSPC: "free space on the host, then run the play again",
    errno.EROFS: "see `dmesg` on the host why it is mounted read-only; reboot it, or replace its card",
    errno.EIO: "the card or disk fails: `dmesg` on the host; replace it",
}
USERINFO = re.compile(r"(://)[^/\s@]+@")
"""Before the host of an index: a name, mostly with a password."""
_AT_FDCWD, _EXCHANGE = -100, 2  # renameat2(2)
SMOKE = """
import importlib, json, pkgutil, sys
import node
names = [each.name for each in pkgutil.walk_packages(node.__path__, "node.")] + sys.argv[1:]
for name in names:
    importlib.import_module(name)
print(json.dumps({"version": node.__version__, "modules": len(names)}))
"""


class Refused(Exception):
    """Nothing was changed; `remedy` says what to do.  Neither says who may come to an index."""

    def __init__(self, error: str, remedy: str, status: int = FAULT) -> None:
        super().__init__(USERINFO.sub(r"\1", error))
        self.remedy, self.status = USERINFO.sub(r"\1", remedy), status


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted.  `wheel` and `wheelhouse` are paths on this host, `lock` is the text of the locked versions.

    `digest` is of all that it is made of: where it differs, the release is made again.
    """

    version: str
    digest: str
    wheel: str
    lock: str
    user: str = "heliograph"
    root: str = "/opt/heliograph"
    wheelhouse: str = ""
    index: str = ""
    system_site_packages: bool = False
    imports: tuple[str, ...] = ("av", "cv2", "simplejpeg", "numpy")
    keep: int = 3
    needed_bytes: int = NEEDED_BYTES


@dataclass(frozen=True, slots=True)
class Record:
    """What a release was made of; lies in it."""

    version: str
    digest: str
    wheel: str
    lock: str
    system_site_packages: bool
    python: str


def main() -> int:
    """Answers {changed, version, removed}, or {error, remedy} with another status than 0."""
    try:
        order = Order(**json.load(sys.stdin))
        _answer(make(order))
    except Refused as refusal:
        _answer({"error": str(refusal), "remedy": refusal.remedy})
        return refusal.status
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "see `journalctl -xe` and `dmesg` on the host, then run the play again")
        _answer({"error": ": ".join(filter(None, (error.filename, error.strerror))) or str(error), "remedy": remedy})
        return FAULT
    return 0


def _answer(said: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")


def make(order: Order) -> dict[str, object]:
    """The release, unless it is there already; then no more than `keep` of them.  Raises Refused."""
    releases = Path(order.root, "releases")
    releases.mkdir(parents=True, exist_ok=True)
    with _alone(releases):
        place = releases / order.version
        there = record_in(place)
        changed = there is None or there.digest != order.digest
        if changed:
            _build(order, _record_of(order), place)
        Path(order.wheel).unlink(missing_ok=True)
        return {"changed": changed, "version": order.version, "removed": prune(Path(order.root), order)}


def record_in(place: Path) -> Record | None:
    """None where there is no whole release."""
    try:
        return Record(**json.loads((place / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _alone(releases: Path) -> Iterator[None]:
    with (releases / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another run builds a release here", "wait until it has ended") from None
        yield


def _record_of(order: Order) -> Record:
    try:
        wheel = hashlib.sha256(Path(order.wheel).read_bytes()).hexdigest()
    except OSError as error:
        raise Refused(
            f"{order.wheel}: {error.strerror}", "run the play again: it brings the wheel", CONFIGURATION
        ) from error
    lock = hashlib.sha256(order.lock.encode()).hexdigest()
    python = ".".join(map(str, sys.version_info[:3]))
    return Record(order.version, order.digest, wheel, lock, order.system_site_packages, python)


# --- building -------------------------------------------------------------------------------------------------------


def _build(order: Order, wanted: Record, place: Path) -> None:
    _check(order, place.parent)
    unfinished = place.with_name(BUILDING + order.version)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        _fill(order, unfinished)
        _settle(unfinished, place)
        _smoke(order, unfinished)
        (unfinished / RECORD).write_text(json.dumps(asdict(wanted), indent=1) + "\n")
        os.sync()
        _swap(unfinished, place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check(order: Order, releases: Path) -> None:
    """What can be known to fail is refused before minutes are spent."""
    try:
        pwd.getpwnam(order.user)
    except KeyError:
        raise Refused(
            f"there is no user {order.user}", "run playbooks/site.yml: its role base makes it", CONFIGURATION
        ) from None
    if order.wheelhouse and not Path(order.wheelhouse).is_dir():
        raise Refused(
            f"node_wheelhouse {order.wheelhouse} is no folder on this host", "copy the wheels there", CONFIGURATION
        )
    free = shutil.disk_usage(releases).free
    if free < order.needed_bytes:
        raise Refused(
            f"{free >> 20} MiB free below {releases}", f"make room: {order.needed_bytes >> 20} MiB are needed"
        )


def _fill(order: Order, unfinished: Path) -> None:
    site = ["--system-site-packages"] if order.system_site_packages else []
    remedy = "install python3-venv"
    _run([sys.executable, "-m", "venv", *site, str(unfinished)], "the environment could not be made", remedy)
    lock = unfinished / "lock.txt"
    lock.write_text(order.lock)
    source = f"node_wheelhouse {order.wheelhouse}" if order.wheelhouse else f"the index {order.index or 'of pip'}"
    remedy = f"see that {source} can be reached and holds every version of the lock for this Python and machine"
    words = [*_pip(order, unfinished), "-r", str(lock), order.wheel]
    _run(words, "packages could not be installed", remedy, more=_index(order))


def _pip(order: Order, unfinished: Path) -> list[str]:
    source = ["--no-index", "--find-links", order.wheelhouse] if order.wheelhouse else []
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
    exactly = ["--no-deps", "--no-compile", "--only-binary", ":all:"]
    return [str(unfinished / "bin/python"), "-I", "-m", "pip", "install", *quiet, *exactly, *source]


def _index(order: Order) -> dict[str, str]:
    """Not among the words of the command, which everybody on the host can read."""
    return {"PIP_INDEX_URL": order.index} if order.index and not order.wheelhouse else {}


def _settle(unfinished: Path, place: Path) -> None:
    """As if it had been made in its place: first lines of its programs, and names inside compiled files."""
    for program in (unfinished / "bin").iterdir():
        if program.is_file() and not program.is_symlink():
            program.write_bytes(program.read_bytes().replace(os.fsencode(unfinished), os.fsencode(place)))
    words = ["compileall", "-q", "-s", str(unfinished), "-p", str(place), str(unfinished / "lib")]
    compiler = [str(unfinished / "bin/python"), "-I", "-m", *words]
    subprocess.run(compiler, check=False, capture_output=True)  # noqa: S603 - the release's own interpreter


def _smoke(order: Order, unfinished: Path) -> None:
    """Every module of the product and the native ones it stands on, as the user that will run it."""
    words = [str(unfinished / "bin/python"), "-I", "-B", "-c", SMOKE, *order.imports]
    said = _run(
        words,
        f"release {order.version} does not start: it is not used",
        "mend the release (a library is missing, broken, or built for another machine) and run the play again",
        user=order.user if os.geteuid() == 0 else None,
    )
    found = json.loads(said)["version"]
    if found != order.version:
        raise Refused(f"the wheel named {order.version} holds {found}", "build it again: make wheel", CONFIGURATION)


def _run(
    words: Sequence[str], error: str, remedy: str, user: str | None = None, more: Mapping[str, str] = NOTHING
) -> str:
    """What it prints.  Raises Refused with the last lines of its complaints."""
    group = None if user is None else pwd.getpwnam(user).pw_gid
    groups: list[int] | None = None if user is None else []
    ended = subprocess.run(  # noqa: S603 - the interpreter of this host, or of the release
        words,
        user=user,
        group=group,
        extra_groups=groups,
        umask=0o022,
        cwd="/",
        env={**_environment(), **more},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        lines = (ended.stderr or ended.stdout).strip().splitlines()[-TOLD_LINES:]
        ending = f"ended by signal {-ended.returncode}" if ended.returncode < 0 else f"status {ended.returncode}"
        raise Refused("; ".join([f"{error} ({ending})", *lines]), remedy)
    return ended.stdout


def _environment() -> dict[str, str]:
    """The index behind a proxy or another authority stays reachable; nothing else comes along."""
    kept = ("PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C.UTF-8", "HOME": "/"}


def _swap(unfinished: Path, place: Path) -> None:
    """One rename; another build of the same version changes places with it, so that its path is never empty."""
    if place.exists():
        words = (_AT_FDCWD, os.fsencode(unfinished), _AT_FDCWD, os.fsencode(place), _EXCHANGE)
        if ctypes.CDLL(None, use_errno=True).renameat2(*words):
            raise OSError(ctypes.get_errno(), f"{place} could not be exchanged")
    else:
        unfinished.rename(place)
    folder = os.open(place.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


# --- keeping the last -----------------------------------------------------------------------------------------------


def prune(root: Path, order: Order) -> list[str]:
    """Remove leftovers, and the oldest releases beyond `keep`: never the wanted one, `current` or `previous`."""
    releases = root / "releases"
    for leftover in releases.glob(f"{BUILDING}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    used = {order.version, *(_target(root / link) for link in ("current", "previous"))}
    found = sorted(releases.glob(f"*/{RECORD}"), key=lambda record: record.stat().st_mtime_ns, reverse=True)
    spare = [record.parent for record in found if record.parent.name not in used]
    room = max(0, order.keep - sum(record.parent.name in used for record in found))
    for place in spare[room:]:
        shutil.rmtree(place.rename(releases / f"{BUILDING}{place.name}"))  # half of it is no release
    return [place.name for place in spare[room:]]


def _target(link: Path) -> str:
    return link.readlink().name if link.is_symlink() else ""


if __name__ == "__main__":
    sys.exit(main())
