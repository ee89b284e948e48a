"""One control group holds all processes of a lab: by it they are found and ended, whatever started them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tests.lab.names import Place, Refused

KEEPER, CONTROL = "keeper", "control"
# cgroup2 is one tree for the whole machine; a mount of our own is there also where nobody has mounted it
SEEN = ["unshare", "--mount", "--propagation", "private", "sh", "-euc"]
MOUNTED = "mount -t cgroup2 cgroup2 /mnt; top=/mnt/$1; "
MAKE = MOUNTED + 'mkdir -p "$top/$2"'
COUNT = MOUNTED + '[ ! -d "$top" ] || find "$top" -name cgroup.procs -exec cat {} +'
END = (
    MOUNTED
    + """
[ -d "$top" ] || exit 0
for try in $(seq 2400); do
  found=$(find "$top" -name cgroup.procs -exec cat {} +)
  [ -z "$found" ] || kill -KILL $found 2>/dev/null || true
  [ -n "$found" ] || ! find "$top" -depth -type d -exec rmdir {} + 2>/dev/null || exit 0
  sleep 0.025
done
exit 1
"""
)


def make(place: Place, *names: str) -> None:
    for name in names:
        _run(MAKE, place.cgroup, name)


def processes(place: Place) -> list[int]:
    """Of the whole lab."""
    return [int(word) for word in _run(COUNT, place.cgroup).split()]


def end(place: Place) -> None:
    """Every process of the lab is over, and its groups are gone."""
    try:
        _run(END, place.cgroup)
    except subprocess.CalledProcessError as fault:
        raise Refused(f"processes of {place.cgroup} do not end: {processes(place)}") from fault


def inside(place: Place, name: str, command: Sequence[str]) -> list[str]:
    """That command as a member of the group; the mount that it needs to get in goes before it starts."""
    enter = 'echo $$ >"$top/$2/cgroup.procs"; umount /mnt; shift 2; exec "$@"'
    return [*SEEN, MOUNTED + enter, "sh", place.cgroup, name, *command]


def _run(script: str, *words: str) -> str:
    return subprocess.run([*SEEN, script, "sh", *words], capture_output=True, text=True, check=True).stdout
