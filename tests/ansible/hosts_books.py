"""What hosts of the lab have kept and missed, counted without the node's own code for it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.clock import SystemClock
from tests.ansible.conftest import Site
from tests.lab import calls
from tests.lab.host import Host, until
from tests.lab.lab import Lab
from tests.simulate.ledger import US, files

INTERVAL_S = 10
"""Of the lab's inventory; the grid begins in 1970."""
PATIENCE_S = 10.0 * INTERVAL_S
"""A busy machine may sleep over some."""
SETTLED = "SELECT settled_to_us FROM ledger WHERE camera = 'main'"
DATA = "var/lib/heliograph"
ROWS = """
import json, sqlite3, sys
database = sqlite3.connect("file:/var/lib/heliograph/heliograph.db?mode=ro", uri=True)
print(json.dumps([database.execute(each).fetchall() for each in sys.argv[1:]]))
"""
ASK = """
import http.client, socket, ssl, sys
address, name, keys, path = sys.argv[1:]
context = ssl.create_default_context(cafile=keys + "/ca.pem")
context.load_cert_chain(keys + "/consoles/watcher.pem", keys + "/consoles/watcher.key")
connection = http.client.HTTPConnection(name)
connection.sock = context.wrap_socket(socket.create_connection((address, 8460), timeout=20), server_hostname=name)
connection.request("GET", path)
print(connection.getresponse().read().decode())
"""


@dataclass(frozen=True, slots=True)
class Books:
    """A node's slots in a time, each due one looked at by hand."""

    due: frozenset[int]
    frames: frozenset[int]
    gaps: Mapping[int, str]
    """The reason of each."""

    @property
    def reasons(self) -> Counter[str]:
        return Counter(self.gaps.values())

    @property
    def wrong(self) -> list[str]:
        """Empty = each due slot is a file or a gap, never both, and no more is there."""
        found, settled = Counter([*self.frames, *self.gaps]), self.frames | self.gaps.keys()
        return [
            *(f"slot {at} has neither frame nor gap" for at in sorted(self.due - settled)),
            *(f"slot {at} was never due" for at in sorted(settled - self.due)),
            *(f"slot {at} is frame and gap" for at, count in found.items() if count > 1),
        ]


def data_of(host: Host) -> Path:
    """Its data folder, as this machine sees it."""
    return Path(f"/proc/{calls.found(host.place)}/root{host.place.host(host.name)}/root", DATA)


def now_us() -> int:
    """Of this machine, which is also that of its hosts."""
    return SystemClock().now_us()


def of_interval() -> float:
    """How much of the time from slot to slot is over."""
    return now_us() / (INTERVAL_S * US) % 1


def away_from_slots() -> None:
    """No frame is just being kept."""
    until(lambda: 0.3 < of_interval() < 0.7, PATIENCE_S)


def at_a_slot() -> None:
    """A frame is just being taken."""
    until(lambda: of_interval() < 0.03, PATIENCE_S)


def read(host: Host, since_us: int, until_us: int | None = None) -> Books:
    """What is settled after `since_us`; frames are files whose hash their row has."""
    away_from_slots()
    wanted = f"SELECT due_us, frame_id, reason FROM slots WHERE due_us > {since_us}"
    slots, kept_rows, [[settled_us]] = rows(host, wanted, "SELECT id, sha256 FROM frames", SETTLED)
    told = dict(kept_rows)
    end_us = settled_us if until_us is None else until_us
    step = INTERVAL_S * US
    due = frozenset(at for at in range(since_us // step * step, end_us + 1, step) if at > since_us)
    kept = frozenset(
        int(str(sidecar["due_us"]))
        for sidecar, sha256 in files(data_of(host))
        if told.get(str(sidecar["id"])) == sha256
    )
    gaps = {at: reason for at, frame, reason in slots if frame is None and at <= end_us}
    return Books(due, frozenset(at for at in kept if since_us < at <= end_us), gaps)


def rows(host: Host, *queries: str) -> list[list[list[Any]]]:
    """Of its database, by plain SQL on the host."""
    found: list[list[list[Any]]] = json.loads(host.inside(["python3", "-c", ROWS, *queries]).stdout)
    return found


def said_kept(host: Host, lab: Lab, name: str = "") -> dict[str, str]:
    """Hash by id of all frames that the node's API tells a viewer of.  `name`: of the node, where that is another."""
    words = [host.address, name or host.name, str(host.place.pki), "/v1/frames?limit=1000&fields=id,sha256"]
    page = json.loads(lab.control([sys.executable, "-c", ASK, *words]).stdout)
    assert page["next"] is None
    return {frame["id"]: frame["sha256"] for frame in page["items"]}


def hashes(host: Host) -> set[str]:
    """Of every frame file on the host, quarantined or not, and of its files at the archive."""
    stored = host.place.shelf / "store" / host.name
    data = data_of(host)
    return {sha256 for folder in (data, stored) for _, sha256 in files(folder)}


def seen(site: Site, name: str) -> dict[str, Any]:
    """What `heliograph status --json` makes of one node; its exit status as "exit"."""
    done = site.heliograph("status", name, "--json", check=False)
    [node] = json.loads(done.stdout)["nodes"]
    return {**node, "exit": done.returncode}
