"""A host reached with rsync over SSH as archive target.  Only hashes give receipts, never a status."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from node.archive import remote
from node.archive.base import (
    NOTHING,
    WORKSHOP,
    Beat,
    Item,
    Outcome,
    Receipt,
    Refused,
    Where,
    after_sending,
    check_marker,
    judged,
    marker_text,
    settled,
)
from node.archive.child import Child, Ended, Said, installed
from node.archive.files import altered_here, fault_here, landing
from node.archive.progress import Progress
from node.archive.remote import Examined, Found
from node.archive.ssh import Link, meaning
from node.crashpoint import crash_point
from node.domain.config import TargetPolicy
from node.domain.errors import (
    ArchiveError,
    HeliographError,
    NotArchived,
    ReceiptRefused,
    SameDevice,
    TargetRefused,
    TargetUnavailable,
)
from node.domain.nodefile import RsyncTarget
from node.host.disk import Space

HOW = "hash of bytes read at the target after its sync"
SHARES = (0.5, 0.3, 0.2)
"""Of a batch's bytes: while one part is sent, the one before is hashed; nothing hides the hashing of the last."""
SMALLEST_PART_BYTES = 8 << 20
VERIFY_ITEMS = 500
SLOWEST_HASH_BYTES_PER_S = 1e6
NEW_ONLY, ANEW = "--ignore-existing", "--ignore-times"
_PARTIAL = (23, 24)  # rsync(1): some files could not be sent, or were gone
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PERCENT = re.compile(r"(\d+)%")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why rsync did not send all; `final` = it gave up, else only some files are concerned."""

    error: ArchiveError
    final: bool


@dataclass(frozen=True, slots=True)
class Hashing:
    """A part that is being hashed there, and what went wrong when it was sent."""

    part: Sequence[Item]
    child: Child
    trouble: Trouble | None


class RsyncArchive:
    """What is there under a name is replaced only when its hash is wrong and the file here is sound."""

    def __init__(self, name: str, endpoint: RsyncTarget, policy: TargetPolicy, where: Where) -> None:
        self.name = name
        self._endpoint, self._policy, self._where = endpoint, policy, where
        self._scratch, self._root = where.scratch / f"{name}-{_mark(endpoint)}", endpoint.path
        self._workshop = f"{endpoint.path.rstrip('/')}/{WORKSHOP}/{where.node}"
        self._link = Link(endpoint, self._scratch, where.clock, policy.timeout_s)

    def check(self) -> None:
        check_marker(self._examined(_silent).marker)

    def put(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
        said = _Share(beat, f"to {self.name}", sum(item.size_bytes for item in items))
        check_marker(self._examined(said).marker)
        self._ask(remote.PREPARE, self._workshop, said=said)
        faults = {item: fault for item in items if (fault := fault_here(item))}
        outcomes = self._proved([item for item in items if item not in faults], said)
        outcomes += self._there_all_the_same(faults, said)
        if all(isinstance(outcome, Receipt) for outcome in outcomes):
            with suppress(ArchiveError):  # the receipts stand, and the next transfer clears up
                self._ask(remote.FINISH, self._workshop, said=said)
        return settled(items, outcomes)

    def verify(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
        progress = Progress(beat, len(items), f"reading {self.name}")
        self.check()
        outcomes: list[Outcome] = []
        for first in range(0, len(items), VERIFY_ITEMS):
            part = items[first : first + VERIFY_ITEMS]
            with self._hasher(part) as child:
                outcomes += self._judged(Hashing(part, child, None), lambda _: progress.took(0))
            progress.took(len(part))
        return outcomes

    def fetch(self, item: Item, into: Path, beat: Beat) -> None:
        progress = Progress(beat, item.size_bytes, f"from {self.name}")
        self.check()
        with landing(item, into, progress.took) as tmp, tmp.open("wb") as writing:
            with self._link.start(remote.FETCH, self._root, given=remote.names([item.name]), into=writing) as child:
                ended = self._wait(child, lambda _: progress.took(0))
            if ended.status and "No such file" in ended.complaints:
                raise NotArchived(item.name)
            remote.answer(ended)

    def init(self) -> None:
        if self._examined(_silent).marker is None:
            self._ask(remote.MARK, said=_silent, given=marker_text(self._where).encode())

    def space(self) -> Space:
        found = self._examined(_silent)
        check_marker(found.marker)
        return found.space

    def close(self) -> None:
        self._link.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _examined(self, said: Said) -> Examined:
        """Raises SameDevice for a host that is this machine."""
        installed("rsync")
        found = remote.examined(self._ask(remote.EXAMINE, said=said))
        if (found.boot, found.device) == (_BOOT_ID.read_text().strip(), str(self._where.data_dir.stat().st_dev)):
            raise SameDevice(f"{self._root} on {self._endpoint.host} and {self._where.data_dir}")
        return found

    def _ask(self, script: str, *arguments: str, said: Said, given: bytes = b"") -> bytes:
        self._link.connect(said)
        with self._link.start(script, self._root, *arguments, given=given) as child:
            return remote.answer(self._wait(child, said))

    def _wait(self, child: Child, said: Said, more_s: float = 0.0) -> Ended:
        return child.wait(self._where.clock, self._policy.timeout_s + more_s, said)

    def _there_all_the_same(self, faults: Mapping[Item, HeliographError], said: Said) -> list[Outcome]:
        """What cannot be sent from here, but may lie there since an earlier time."""
        if not faults:
            return []
        with self._hasher(list(faults)) as child:
            found = self._judged(Hashing(list(faults), child, None), said)
        return [each if isinstance(each, Receipt) else Refused(each.item, faults[each.item]) for each in found]

    def _proved(self, items: Sequence[Item], said: _Share) -> list[Outcome]:
        """What is wrong there after a first pass is looked at here, and sent once more over what lies there."""
        first = self._sent(items, NEW_ONLY, said)
        doubts = {
            outcome.item: altered_here(outcome.item, lambda _: said("")) for outcome in first if _is_wrong(outcome)
        }
        outcomes = [outcome for outcome in first if outcome.item not in doubts]
        outcomes += [Refused(item, fault) for item, fault in doubts.items() if fault]
        return outcomes + self._sent([item for item, fault in doubts.items() if not fault], ANEW, said)

    def _sent(self, items: Sequence[Item], mode: str, said: _Share) -> list[Outcome]:
        """Sends in parts, and hashes each part there while the next one goes; also after rsync gave up."""
        outcomes: list[Outcome] = []
        trouble, waiting = None, None
        with ExitStack() as children:
            for part in _parts(items):
                trouble = self._rsync(part, mode, said)
                outcomes += self._judged(waiting, said)
                waiting = Hashing(part, children.enter_context(self._hasher(part)), trouble)
                if trouble and trouble.final:
                    break
            outcomes += self._judged(waiting, said)
        if trouble and trouble.final:
            self._link.close()
            tried = {outcome.item for outcome in outcomes}
            outcomes += [Refused(item, trouble.error) for item in items if item not in tried]
        return [after_sending(outcome) for outcome in outcomes]

    def _rsync(self, part: Sequence[Item], mode: str, said: _Share) -> Trouble | None:
        said.begin(sum(item.size_bytes for item in part))
        stage = self._staged(part)
        given = remote.names(f"./{item.name}" for item in part)
        try:
            with Child(self._words(mode, stage), self._scratch, given) as child:
                ended = self._wait(child, said)
        except TargetUnavailable as error:
            return Trouble(error, final=True)
        crash_point("target_sent")
        return _trouble(ended)

    def _words(self, mode: str, stage: Path) -> list[str]:
        limit, host = self._policy.limit_bytes_per_s, self._link.rsync_destination
        return [
            *("rsync", "--from0", "--files-from=-", "--copy-links", "--times", "--omit-dir-times", mode),
            *(f"--temp-dir={self._workshop}", f"--partial-dir={self._workshop}/partial"),
            *(
                f"--timeout={max(1, int(self._policy.timeout_s))}",
                "--info=progress2",
                f"--rsh={self._link.remote_shell}",
            ),
            *([f"--bwlimit={max(1, limit // 1024)}"] if limit else []),
            *(f"{stage}/", f"{host}:{self._root}/"),
        ]

    def _staged(self, part: Sequence[Item]) -> Path:
        """Links to the files, under the names that they have there."""
        stage = self._scratch / "stage"
        shutil.rmtree(stage, ignore_errors=True)
        for item in part:
            link = stage / item.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(item.path.absolute())
        return stage

    def _hasher(self, part: Sequence[Item]) -> Child:
        given = remote.names(item.name for item in part)
        return self._link.start(remote.HASH, self._root, remote.one_line(given), given=given)

    def _judged(self, hashing: Hashing | None, said: Said) -> list[Outcome]:
        if hashing is None:
            return []
        more_s = sum(item.size_bytes for item in hashing.part) / SLOWEST_HASH_BYTES_PER_S
        try:
            found = remote.hashes(remote.answer(self._wait(hashing.child, said, more_s)))
        except ArchiveError as error:
            return [Refused(item, error) for item in hashing.part]
        now_us = self._where.clock.now_us()
        outcomes = [_judged(item, found, now_us) for item in hashing.part]
        return [_explained(outcome, hashing.trouble, outcomes) for outcome in outcomes]


class _Share:
    """Progress of a batch, from what rsync says of each part."""

    def __init__(self, beat: Beat, said: str, total_bytes: int) -> None:
        self._beat, self._said, self._total = beat, said, max(1, total_bytes)
        self._before = self._part = 0
        self._told = 0.0

    def begin(self, size_bytes: int) -> None:
        self._before, self._part = self._before + self._part, size_bytes

    def __call__(self, words: str) -> None:
        percents = _PERCENT.findall(words[-200:])
        done = self._before + (self._part * int(percents[-1]) / 100 if percents else 0)
        self._told = min(1.0, max(self._told, done / self._total))
        self._beat(self._told, self._said)


def _mark(endpoint: RsyncTarget) -> str:
    """Of this host, port and folder alone: what belongs to another endpoint under the same name is never used."""
    return hashlib.sha256(endpoint.model_dump_json().encode()).hexdigest()[:12]


def _parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """By SHARES of the bytes, none of them too small to be worth an rsync of its own."""
    total = sum(item.size_bytes for item in items)
    shares = iter(SHARES)
    part: list[Item] = []
    size, wanted = 0, max(SMALLEST_PART_BYTES, next(shares) * total)
    for item in items:
        part.append(item)
        size += item.size_bytes
        if size >= wanted:
            yield part
            part, size, wanted = [], 0, max(SMALLEST_PART_BYTES, next(shares, 1.0) * total)
    if part:
        yield part


def _trouble(ended: Ended) -> Trouble | None:
    """What rsync's status and words mean; of a partial transfer without a cause of the target's, the hashes tell."""
    if ended.status == 0:
        return None
    error = meaning(ended.complaints)
    if ended.status not in _PARTIAL:
        return Trouble(error, final=True)
    return None if isinstance(error, TargetUnavailable) else Trouble(error, final=False)


def _judged(item: Item, found: Found, now_us: int) -> Outcome:
    sizes, digests = found
    size = sizes.get(item.name)
    proof = None if size is None else (size, digests.get(item.name, "of nothing that can be read"))
    return judged(item, proof, HOW, now_us)


def _explained(outcome: Outcome, trouble: Trouble | None, outcomes: Sequence[Outcome]) -> Outcome:
    """With rsync's reason, where it has one.  What takes other files refuses this one, not the node."""
    if isinstance(outcome, Receipt) or trouble is None or not (trouble.final or outcome.found == NOTHING):
        return outcome
    takes_others = any(isinstance(other, Receipt) for other in outcomes)
    error: ArchiveError = trouble.error
    if isinstance(error, TargetRefused) and not trouble.final and takes_others:
        error = ReceiptRefused(f"{outcome.item.name}: {error.detail}")
    return Refused(outcome.item, error, outcome.found)


def _is_wrong(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and isinstance(outcome.error, ReceiptRefused)


def _silent(_words: str) -> None:
    """Nobody asked to be told."""
