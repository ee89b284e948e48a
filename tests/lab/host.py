"""One host of a lab, as a test handles it: over ssh, and at its cable, its power and its disks."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import calls
from tests.lab.names import Machine, Place, Refused

READY_S = 90.0
BOOT_ID = "/proc/sys/kernel/random/boot_id"
FAULTS = """table bridge {table} {{
  chain faults {{
    type filter hook {hook} priority 0
    {rule}
  }}
}}
"""
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True)
class Host:
    machine: Machine
    place: Place

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def address(self) -> str:
        return self.machine.address

    # --- commands on it ---

    def run(
        self, command: str | Sequence[str], *, check: bool = True, given: str = "", within_s: float = 120.0
    ) -> Done:
        """As pi, over a fresh ssh connection from the control host."""
        text = command if isinstance(command, str) else shlex.join(command)
        whole = ["ssh", "-F", str(self.place.ssh_config), "-o", "ControlPath=none", self.name, "--", text]
        return _run([*self._network(), *whole], check=check, given=given, within_s=within_s)

    def inside(
        self, command: str | Sequence[str], *, check: bool = True, given: str = "", within_s: float = 120.0
    ) -> Done:
        """As root by the back door: just as well when the cable is cut or ssh refuses."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        leader = self.state()["leader"]
        if leader is None:
            raise Refused(f"{self.name} is off")
        # its number is the keeper's, so the way in is through the keeper's namespaces
        through = ["nsenter", f"--target={calls.found(self.place)}", "--mount", "--pid", "--"]
        whole = [*through, "nsenter", f"--target={leader}", "--all", "--", *words]
        return _run(whole, check=check, given=given, within_s=within_s)

    def boot_id(self) -> str:
        return self.inside(["cat", BOOT_ID]).stdout.strip()

    # --- its power ---

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = calls.ask(self.place, "state")[self.name]
        return found

    def power_cut(self) -> None:
        """No process of it has a last word; what it had written stays."""
        calls.ask(self.place, "cut", host=self.name)

    def power_off(self) -> None:
        """In good order."""
        calls.ask(self.place, "off", host=self.name)

    def start(self, *, wait: bool = True) -> None:
        """After a power cut or a shutdown, with all that it had."""
        calls.ask(self.place, "start", host=self.name)
        if wait:
            self.ready()

    def reboot(self, within_s: float = READY_S) -> None:
        before = self.boot_id()
        self.inside(["systemctl", "reboot"], check=False)
        until(lambda: self._boot_id_or_none() not in {None, before}, within_s)
        self.ready(within_s)

    def ready(self, within_s: float = READY_S) -> None:
        """It answers at its ssh port and lets users in."""
        calls.ask(self.place, "ready", host=self.name, within_s=within_s)

    # --- its cable; what is done to it lasts until the cable is whole again, a reboot also mends link and bandwidth ---

    def link(self, *, up: bool) -> None:
        self._cable("ip", "link", "set", self.machine.port, "up" if up else "down")

    def bandwidth(self, rate: str | None) -> None:
        """Towards the host, as tc writes it ("256kbit"); None = as fast as it goes."""
        self._cable("tc", "qdisc", "delete", "dev", self.machine.port, "root", check=False)
        if rate is not None:
            shaped = ["tbf", "rate", rate, "burst", "16kb", "latency", "400ms"]
            self._cable("tc", "qdisc", "add", "dev", self.machine.port, "root", *shaped)

    def loss(self, percent: int) -> None:
        """So many of the packets that it sends are lost; 0 = none."""
        self._filter(
            "loss", "input", f'iifname "{self.machine.port}" numgen random mod 100 < {percent} drop', on=percent > 0
        )

    def black_hole(self, port: int | None) -> None:
        """What is sent to that TCP port of it vanishes without a word; None = nothing does."""
        self._filter("hole", "output", f'oifname "{self.machine.port}" tcp dport {port} drop', on=port is not None)

    # --- its disks ---

    def card_error(self) -> None:
        """From now on nobody can write to its card (Options.card); the next start after a power cut repairs it."""
        calls.ask(self.place, "card_error", host=self.name)

    def read_only(self, path: str, *, on: bool = True) -> None:
        """One mounted disk, which nobody has open for writing just now."""
        self.inside(["mount", "-o", f"remount,bind,{'ro' if on else 'rw'}", path])

    def first_keys(self) -> list[str]:
        """Lines for known_hosts, read from the card itself."""
        card = f"/proc/{calls.found(self.place)}/root{self.place.host(self.name)}/root"
        keys = sorted(Path(card, "etc/ssh").glob("ssh_host_*_key.pub"))
        return [f"{self.name},{self.address} {' '.join(key.read_text().split()[:2])}\n" for key in keys]

    def console(self) -> str:
        """All that it has written there since it was new."""
        return (self.place.host(self.name) / "console.log").read_text(errors="replace")

    def _boot_id_or_none(self) -> str | None:
        try:
            return self.boot_id()
        except (Refused, subprocess.CalledProcessError):
            return None

    def _filter(self, what: str, hook: str, rule: str, *, on: bool) -> None:
        table = f"{what}_{self.name}"
        text = f"table bridge {table}\ndelete table bridge {table}\n"
        if on:
            text += FAULTS.format(table=table, hook=hook, rule=rule)
        self._cable("nft", "-f", "-", given=text)

    def _cable(self, *command: str, check: bool = True, given: str = "") -> None:
        _run([*self._network(), *command], check=check, given=given, within_s=10.0)

    def _network(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{calls.found(self.place)}/ns/net", "--"]


def until(holds: Callable[[], object], within_s: float) -> None:
    """Waits for what a host does."""
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        pause.wait(0.1)


def _run(command: Sequence[str], *, check: bool, given: str, within_s: float) -> Done:
    return subprocess.run(command, capture_output=True, text=True, check=check, input=given, timeout=within_s)
