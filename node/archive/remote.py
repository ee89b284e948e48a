"""Shell scripts for an archive host, and what they answer.  They need a shell, coreutils and xargs there.

$1 is always the target's folder.  Names go in and out ended by NUL, never through a shell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node.archive.base import MARKER
from node.archive.child import Ended
from node.archive.ssh import meaning
from node.domain.errors import ArchiveError, MarkerMissing, TargetRefused, TargetUnavailable
from node.host.disk import Space

_NO_FOLDER, _NO_ENTRY, _NO_PROGRAM, _NO_MARKER = 66, 67, 68, 69
_STATUSES: Mapping[int, tuple[type[ArchiveError], str]] = {
    _NO_FOLDER: (TargetUnavailable, "no such folder there"),
    _NO_ENTRY: (TargetRefused, "its folder cannot be entered"),
    _NO_MARKER: (MarkerMissing, "it was there before; is it mounted?"),
}
# complaints are understood in English alone
_ENTER = f"""LC_ALL=C; export LC_ALL
cd -- "$1" 2>/dev/null || {{ [ -d "$1" ] && exit {_NO_ENTRY}; exit {_NO_FOLDER}; }}"""

EXAMINE = f"""{_ENTER}
for program in rsync sha256sum xargs; do
  command -v $program >/dev/null || {{ echo "$program is not installed there" >&2; exit {_NO_PROGRAM}; }}
done
if [ -f {MARKER} ]; then cat {MARKER}; else echo; fi
cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo
stat -c %d .
stat -f -c '%S %b %a' .
"""
"""Marker, boot id, device, and room: one line each."""

MARK = f"""{_ENTER}
cat >{MARKER}.tmp && sync {MARKER}.tmp && mv {MARKER}.tmp {MARKER} && sync .
"""

PREPARE = f"""{_ENTER}
mkdir -p "$2" && rm -f "$2"/.[!.]*
"""
"""$2 = the workshop.  Temporary files that a killed rsync left go; what it could still save, in `partial`, stays."""

_HASH_SOME = r"""stat -L --printf "%s %n\0" -- "$@"
if [ "$ONE_LINE" ] && openssl dgst -sha256 -r -- /dev/null >/dev/null
then openssl dgst -sha256 -r -- "$@" | tr "\n" "\0"
else sha256sum -z -- "$@"
fi"""
HASH = f"""{_ENTER}
[ -f {MARKER} ] || exit {_NO_MARKER}
sync -f . || exit 1
ONE_LINE=$2 xargs -0 sh -c '{_HASH_SOME}' sh 2>/dev/null
case $? in 0 | 123) ;; *) exit 1 ;; esac
"""
"""Of names: sizes and hashes of what can be read; 123 = of some it could not.  $2 is empty when a name has a newline.

Its folder has the marker, whatever was mounted or unmounted since that was looked at: no other folder gives receipts.

openssl, where there is one, is five times as fast as sha256sum on a processor that has instructions for it.
"""

FETCH = f"""{_ENTER}
exec xargs -0 cat --
"""

FINISH = f"""{_ENTER}
rm -rf "$2"
"""

_HASHED = re.compile(rb"([0-9a-f]{64}) [ *](.*)", re.DOTALL)
_SIZED = re.compile(rb"(\d+) (.*)", re.DOTALL)
Found = tuple[Mapping[str, int], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Examined:
    """What EXAMINE said; `marker` is None where there is none."""

    marker: str | None
    boot: str
    device: str
    space: Space


def examined(out: bytes) -> Examined:
    """Raises TargetUnavailable where the host speaks otherwise."""
    lines = out.decode(errors="replace").splitlines()
    try:
        *marker, boot, device, room = lines
        unit, blocks, free = map(int, room.split())
    except ValueError:
        raise TargetUnavailable(f"no proper answer: {lines[-1][:80] if lines else 'nothing'}") from None
    return Examined("\n".join(marker).strip() or None, boot.strip(), device, Space(blocks * unit, free * unit))


def answer(ended: Ended) -> bytes:
    """What a script wrote.  Raises what its end means."""
    if ended.status == 0:
        return ended.out
    if ended.status in _STATUSES:
        error, words = _STATUSES[ended.status]
        raise error(words)
    raise meaning(ended.complaints)


def one_line(found: bytes) -> str:
    """HASH's $2 for these names."""
    return "" if b"\n" in found else "yes"


def names(found: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in found)


def hashes(out: bytes) -> Found:
    """Sizes of the files that are there, and hashes of those that could be read, by name."""
    sizes, digests = {}, {}
    for record in out.split(b"\0"):
        if hashed := _HASHED.fullmatch(record):
            digests[os.fsdecode(hashed[2])] = hashed[1].decode()
        elif sized := _SIZED.fullmatch(record):
            sizes[os.fsdecode(sized[2])] = int(sized[1])
    return sizes, digests
