"""The first process of a lab's own namespaces: with it end all its hosts, mounts and the network.

Started by `tests.lab.lab`; takes one JSON line a connection at the lab's socket and answers with one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab import doors
from tests.lab.guest import Guest, Options
from tests.lab.names import BRIDGE, CONTROL, MACHINES, PREFIX, TIED, Place, Refused

SCRATCH = ("/run/systemd/nspawn", "/run/sshd")
SYSFS = ["mount", "-t", "sysfs", "sysfs", "/sys"]
CGROUP = ["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"]
NETWORK = (
    "link set lo up",
    f"link add name {BRIDGE} type bridge",
    f"address add {CONTROL}/{PREFIX} dev {BRIDGE}",
    f"link set {BRIDGE} up",
)


class Keeper:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.over = asyncio.Event()
        self.guests = {name: Guest(machine, place) for name, machine in MACHINES.items()}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        try:
            said = await self._done(json.loads(line)) if line else {}  # a look whether somebody is there
        except (Refused, OSError, subprocess.CalledProcessError, TimeoutError) as fault:
            said = {"error": str(fault) or type(fault).__name__}
        if line:
            writer.write(json.dumps(said).encode() + b"\n")
        writer.close()

    async def _done(self, asked: dict[str, Any]) -> dict[str, Any]:
        guest = self.guests[asked["host"]] if "host" in asked else None
        match asked["do"], guest:
            case "state", None:
                return {name: guest.state() for name, guest in self.guests.items()}
            case "start", Guest():
                guest.start(asked.get("root"), Options(**asked.get("options", {})))
            case "cut", Guest():
                await guest.cut()
            case "off", Guest():
                await guest.off()
            case "ready", Guest():
                await guest.ready(asked["within_s"])
            case "card_error", Guest():
                guest.card_error()
            case "forget", Guest():
                await guest.forget()
            case other:
                raise Refused(f"{other} is nothing that the keeper does")
        return guest.state()

    async def run(self, *, tied: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.over.set)
        if tied:
            loop.add_reader(sys.stdin.fileno(), self.over.set)
        helpers = doors.open_all(self.place)
        server = await asyncio.start_unix_server(self.answer, self.place.socket)
        await self.over.wait()
        server.close()
        for helper in helpers:
            helper.terminate()


def main() -> None:
    place = Place(Path(sys.argv[1]), Path("/nowhere"))
    os.umask(0o022)
    _mounts()
    for words in NETWORK:
        subprocess.run(["ip", *words.split()], check=True)
    asyncio.run(Keeper(place).run(tied=TIED in sys.argv))


def _mounts() -> None:
    for folder in map(Path, SCRATCH):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(folder)], check=True)
    if not Path("/sys/fs/cgroup").is_dir():
        subprocess.run(SYSFS, check=True)
    subprocess.run(CGROUP, check=True)


if __name__ == "__main__":
    main()
