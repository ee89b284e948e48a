"""One host as the keeper holds it: an overlay over its suite's root, and systemd-nspawn in a loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.lab.names import BRIDGE, CONTROL, MIRROR, PREFIX, WHEELS, Machine, Place, Refused

REBOOTS = 133
SHORT_S = 0.05
STOP_S = 30.0
ORDERLY = signal.SIGRTMIN + 3
"""systemd, as pid 1, powers off."""
OVERLAYFS = "overlayfs"
FLAGS = (
    "--boot", "--quiet", "--register=no", "--keep-unit", f"--network-bridge={BRIDGE}", "--resolv-conf=off",
    "--timezone=off", "--link-journal=no", "--console=read-only",
    "--capability=CAP_BPF", "--system-call-filter=bpf",  # else IPAddressDeny= would silently do nothing
)  # fmt: skip
ENTER = 'echo $$ >"$0/cgroup.procs"; exec unshare --mount --propagation private sh -euc "$1" "$@"'
LEAVE = 'until [ "$1" = -- ]; do umount --lazy "$1"; shift; done; shift; exec "$@"'
"""Mounts of other hosts: it would keep each in use for as long as it lives, also the card of one that has none."""
CABLE = f"""[Match]
Name=host0

[Network]
Address={{address}}/{PREFIX}
Gateway={CONTROL}
LinkLocalAddressing=ipv6
IPv6AcceptRA=no
"""
HOSTS = f"""127.0.0.1\tlocalhost
::1\t\tlocalhost ip6-localhost ip6-loopback
ff02::1\t\tip6-allnodes
ff02::2\t\tip6-allrouters

127.0.1.1\t{{name}}
{CONTROL}\t{MIRROR}
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What one host has beside the others."""

    disks: dict[str, str] = field(default_factory=dict)
    """Small disks: size (as tmpfs takes it, "64m") by the path that they are mounted at.  They outlive a power cut."""
    binds: dict[str, str] = field(default_factory=dict)
    """Paths of this machine by the path where the host sees them, read-only."""
    card: str = ""
    """Size ("1g") of a card with a file system of its own, on which errors can be had; empty = the machine's disk."""


class Guest:
    def __init__(self, machine: Machine, place: Place) -> None:
        self.machine = machine
        self.place = place
        self.options = Options()
        self._lower = Path()
        self._process: asyncio.subprocess.Process | None = None
        self._lives: asyncio.Task[None] | None = None
        self._boots = 0

    @property
    def folder(self) -> Path:
        return self.place.host(self.machine.name)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def layers(self) -> Path:
        """All that it has written."""
        return self.folder / "layers"

    @property
    def card(self) -> Path:
        return self.folder / "card.img"

    def state(self) -> dict[str, object]:
        leader = self._leader()
        return {
            "known": self.root.exists(),
            "running": leader is not None,
            "boots": self._boots,
            "leader": leader,
            "options": asdict(self.options),
        }

    def start(self, lower: str | None, options: Options) -> None:
        """Where it has been before: as it was; else from a fresh card, over that root."""
        if self._lives is not None and not self._lives.done():
            return
        if self.root.exists():
            self._checked()
        else:
            if lower is None:
                raise Refused(f"{self.machine.name} was never up: python -m tests.lab up {self.machine.name}")
            self._fresh(Path(lower), options)
        self._lives = asyncio.create_task(self._live())

    async def ready(self, within_s: float) -> None:
        """It answers at its ssh port, and lets users in."""
        async with asyncio.timeout(within_s):
            while not (self._open_to_users() and await self._greets()):
                self._must_live()
                await asyncio.sleep(SHORT_S)

    async def cut(self) -> None:
        """The power: no process of the host has a last word."""
        while self._lives is not None and not self._lives.done():
            leader = self._leader()
            if leader is not None:  # else it is just being started
                _signal(leader, signal.SIGKILL)
            await asyncio.sleep(SHORT_S)

    async def off(self) -> None:
        leader = self._leader()
        if leader is not None:
            _signal(leader, ORDERLY)
        await self._ended()

    async def forget(self) -> None:
        """The next start is of a fresh card."""
        await self.cut()
        self._clear()

    def _clear(self) -> None:
        for path in (self.root, *(self._disk(path) for path in self.options.disks), self.layers):
            _unmount(path)
        shutil.rmtree(self.folder)

    def card_error(self) -> None:
        """The kernel finds the card's file system damaged, and lets nobody write to it any more."""
        if not self.options.card:
            raise Refused(f'{self.machine.name} was started without a card of its own: Options(card="1g")')
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        [device] = [words[0] for words in mounts if words[1] == str(self.layers)]
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("1")

    def _checked(self) -> None:
        """As a boot checks its card."""
        if not self.options.card:
            return
        for path in (self.root, self.layers):
            _unmount(path)
        self._let_go()
        subprocess.run(["e2fsck", "-p", "-f", str(self.card)], check=False, stdout=subprocess.DEVNULL)
        self._insert()

    def _let_go(self) -> None:
        """What is left of the last life has ended: until then the card would be mounted as it was, damaged."""
        deadline, pause = time.monotonic() + STOP_S, threading.Event()
        while str(self.card) in _in_loops():
            if time.monotonic() > deadline:
                raise Refused(f"{self.machine.name}: its card is still in use: {self.card}")
            pause.wait(SHORT_S)

    async def _ended(self) -> None:
        if self._lives is not None:
            await asyncio.wait_for(self._lives, STOP_S)

    async def _live(self) -> None:
        while await self._life() == REBOOTS:
            pass

    async def _life(self) -> int:
        self._boots += 1
        group = f"/sys/fs/cgroup/{self.place.cgroup}/{self.machine.name}"
        command = ["sh", "-euc", ENTER, group, LEAVE, *self._of_others(), "--", *self._command()]
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with (self.folder / "console.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
        return await self._process.wait()

    def _of_others(self) -> list[str]:
        """Mounts of this lab's other hosts, the uppermost first."""
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        hosts, mine = f"{self.folder.parent}/", f"{self.folder}/"
        return [path for path in reversed(mounted) if path.startswith(hosts) and not path.startswith(mine)]

    def _command(self) -> list[str]:
        wheels = self.place.wheels(self.machine.suite)
        binds = {WHEELS: str(wheels), **self.options.binds}
        return [
            "systemd-nspawn",
            *FLAGS,
            f"--machine={self.machine.name}",
            f"--directory={self.root}",
            *(f"--bind-ro={here}:{there}" for there, here in binds.items()),
            *(f"--bind={self._disk(there)}:{there}" for there in self.options.disks),
        ]

    def _leader(self) -> int | None:
        """Its pid 1, as the keeper numbers processes."""
        if self._process is None or self._process.returncode is not None:
            return None
        try:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended this very moment
            return None
        return int(children[0]) if len(children) == 1 else None

    def _open_to_users(self) -> bool:
        leader = self._leader()
        if leader is None:
            return False
        run = Path(f"/proc/{leader}/root/run")
        return (run / "systemd/system").exists() and not (run / "nologin").exists()

    async def _greets(self) -> bool:
        try:
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_connection(self.machine.address, 22)
                said = await reader.read(4)
                writer.close()
        except (OSError, TimeoutError):
            return False
        return said == b"SSH-"

    def _must_live(self) -> None:
        if self._lives is None or self._lives.done():
            last = (self.folder / "console.log").read_text(errors="replace").strip().splitlines()[-1:]
            raise Refused(f"{self.machine.name} does not run: {''.join(last) or 'it was not started'}")

    def _fresh(self, lower: Path, options: Options) -> None:
        self.options = options
        self._boots = 0
        self._lower = lower
        self.layers.mkdir(parents=True)
        self.root.mkdir()
        if options.card:
            _file_system(self.card, options.card)
        self._insert()
        for path, size in options.disks.items():
            disk = self._disk(path)
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(disk)], check=True)
        self._write()

    def _insert(self) -> None:
        if self.options.card:
            subprocess.run(["mount", "-o", "loop,errors=remount-ro", str(self.card), str(self.layers)], check=True)
        elif _kind(self.layers) == OVERLAYFS:  # which takes no upper layer on another one
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(self.layers)], check=True)
        for name in ("upper", "work"):
            (self.layers / name).mkdir(exist_ok=True)
        # without a card of its own it must not wait for the machine's disk: what it syncs, others have written
        options = "rw" if self.options.card else "volatile"
        options += f",lowerdir={self._lower},upperdir={self.layers}/upper,workdir={self.layers}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)], check=True)

    def _disk(self, path: str) -> Path:
        return self.folder / f"disk{path.replace('/', '-')}"

    def _write(self) -> None:
        """What the imager writes onto a fresh card: the name, the way to it, and who may log in."""
        name, address = self.machine.name, self.machine.address
        ssh = self.root / "home/pi/.ssh"
        ssh.mkdir(mode=0o700)
        written = {
            self.root / "etc/hostname": f"{name}\n",
            self.root / "etc/hosts": HOSTS.format(name=name),
            self.root / "etc/systemd/network/10-cable.network": CABLE.format(address=address),
            ssh / "authorized_keys": self.place.key.with_suffix(".pub").read_text(),
        }
        for path, text in written.items():
            path.write_text(text)
        (ssh / "authorized_keys").chmod(0o600)
        for path in (ssh, ssh / "authorized_keys"):
            os.chown(path, 1000, 1000)


def _signal(process: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.kill(process, number)


def _unmount(path: Path) -> None:
    if path.is_mount():
        subprocess.run(["umount", str(path)], check=True)


def _in_loops() -> set[str]:
    """Files that are mounted somewhere, in whatever namespace."""
    found = set()
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(FileNotFoundError):  # it has just been let go
            found.add(path.read_text().strip())
    return found


def _kind(path: Path) -> str:
    return subprocess.run(
        ["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True, check=True
    ).stdout.strip()


def _file_system(image: Path, size: str) -> None:
    if not Path("/dev/loop-control").exists():  # a root that was given no devices of its own
        subprocess.run(["mount", "-t", "devtmpfs", "devtmpfs", "/dev"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-E", "nodiscard", str(image), size], check=True, stdin=subprocess.DEVNULL)
