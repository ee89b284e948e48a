"""Memory: what the machine has left, and the proportional share (PSS) of each process of this node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessShare:
    """One process: its PSS counts a page that n processes share as 1/n, so shares add up to the truth."""

    pid: int
    name: str
    pss_bytes: int


def available_bytes(proc: Path = PROC) -> int | None:
    """What programs may still take without swapping (MemAvailable); None where the kernel does not say."""
    return _kilobytes(proc / "meminfo", "MemAvailable:")


def shares(pid: int, proc: Path = PROC) -> tuple[ProcessShare, ...]:
    """`pid` and all its descendants, parents first.  Reading costs 2 to 5 ms a process: ask seldom.

    A process that ends meanwhile, or belongs to another user, is left out.
    """
    return tuple(share for each in _tree(pid, proc) if (share := _share(each, proc)) is not None)


def _share(pid: int, proc: Path) -> ProcessShare | None:
    pss = _kilobytes(proc / str(pid) / "smaps_rollup", "Pss:")
    if pss is None:
        return None
    return ProcessShare(pid, _text(proc / str(pid) / "comm").strip(), pss)


def _tree(pid: int, proc: Path) -> Iterator[int]:
    waiting, seen = [pid], set[int]()
    while waiting:
        current = waiting.pop(0)
        if current not in seen:
            seen.add(current)
            yield current
            waiting.extend(_children(current, proc))


def _children(pid: int, proc: Path) -> list[int]:
    """Each thread has its own list: a child belongs to the thread that started it."""
    lists = sorted((proc / str(pid) / "task").glob("*/children"))
    return [int(child) for children in lists for child in _text(children).split()]


def _kilobytes(path: Path, label: str) -> int | None:
    for line in _text(path).splitlines():
        if line.startswith(label):
            return int(line.split()[1]) * 1024
    return None


def _text(path: Path) -> str:
    """Empty where the process is gone or is not ours."""
    try:
        return path.read_text()
    except OSError:
        return ""
