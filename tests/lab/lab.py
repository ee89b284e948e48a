"""A lab of hosts that boot: what tests and `make lab` do with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab import calls, cgroups, doors, needs, roots, wheels
from tests.lab.guest import Options
from tests.lab.host import Host
from tests.lab.locks import locked, session
from tests.lab.names import CONTROL, INVENTORY, LINK, MACHINES, ROOT, SHELF_PORT, SPARE, TIED, USUAL, Place, Refused
from tests.lab.ways import ssh_config

NAMESPACES = [
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]
FIRST = ["sh", "-c", 'exec 3<&0; "$@" <&3 & wait $!', "sh"]
"""Pid 1 of the namespace: takes leave of every process that has lost its parent, and ends with the keeper."""
UP_S = 60.0
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Played:
    """What a playbook came to; numbers by host, from its recap."""

    rc: int
    changed: dict[str, int]
    unreachable: dict[str, int]
    failed: dict[str, int]
    stdout: str
    stderr: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Shelf:
    """The archive host: a real sshd in the control namespace, for whoever is in its `authorized_keys`."""

    folder: Path
    address: str = CONTROL
    port: int = SHELF_PORT
    user: str = "root"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def known_hosts(self) -> str:
        """The line that says who it is."""
        return f"[{self.address}]:{self.port} {(self.folder.parent / 'host_key.pub').read_text()}"

    def let_in(self, public_key: str) -> None:
        with (self.folder / "authorized_keys").open("a") as keys:
            keys.write(public_key.strip() + "\n")


@contextmanager
def running(lab: Lab, *names: str, keep: bool = False, options: Mapping[str, Options] | None = None) -> Iterator[Lab]:
    """Fresh hosts for the block.  They end with it, and with this process, however that does: they hold its pipe."""
    if keep:
        lab.up(*names)
        yield lab
        return
    with session(lab.place):
        end, held = os.pipe()
        try:
            lab.down()
            lab.up(*names, tied_to=end, options=options)
            yield lab
        finally:
            os.close(end)
            os.close(held)
            lab.down()


class Lab:
    def __init__(self, place: Place) -> None:
        self.place = place.checked()
        self._begun: subprocess.Popen[bytes] | None = None

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.place.shelf)

    def up(self, *names: str, tied_to: int | None = None, options: Mapping[str, Options] | None = None) -> None:
        """Those hosts answer; what runs already is left alone.  The lab ends with the pipe `tied_to`."""
        wanted = names or USUAL
        unknown = set(wanted) - set(MACHINES)
        if unknown:
            raise Refused(f"no such host: {', '.join(sorted(unknown))}; there are {', '.join(MACHINES)}")
        needs.check()
        self.place.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.place.folder / "lock"):
            suites = {MACHINES[name].suite for name in wanted}
            found = roots.ready(suites, self.place.cache)
            for suite in suites:
                self.wheels(suite)
            self._keep(tied_to)
            for name in wanted:
                self._start(name, found[MACHINES[name].suite], (options or {}).get(name, Options()))
            for name in wanted:
                self.host(name).ready()
            self._publish()

    def down(self) -> None:
        """Nothing of the lab is left but the cache."""
        if os.geteuid() != 0:
            raise Refused("the lab is root's: run it as root")
        if not self.place.folder.exists():
            return
        with locked(self.place.folder / "lock"):
            self._end()
            self._clear("lock", "session")
            if self.place.usual:
                (INVENTORY / LINK).unlink(missing_ok=True)

    def host(self, name: str) -> Host:
        return Host(MACHINES[name], self.place)

    def spare(self) -> Host:
        """A host more, as fresh as it can be."""
        if self.state()[SPARE]["known"]:
            calls.ask(self.place, "forget", host=SPARE)
        self.up(SPARE)
        return self.host(SPARE)

    def state(self) -> dict[str, dict[str, object]]:
        return calls.ask(self.place, "state")

    def wheels(self, suite: str) -> Path:
        return wheels.ready(suite, self.place)

    def inside(self, command: Sequence[str]) -> list[str]:
        """That command on the control host: in the lab's network, else as here."""
        network = f"--net=/proc/{calls.found(self.place)}/ns/net"
        return cgroups.inside(self.place, cgroups.CONTROL, ["nsenter", network, "--", *command])

    @property
    def environment(self) -> dict[str, str]:
        """Of what runs there: Ansible finds this lab's inventory files, and keeps its sockets with it."""
        made = {
            "HELIOGRAPH_LAB": str(self.place.folder),
            "ANSIBLE_INVENTORY": str(self.place.inventory),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.place.folder / "cp"),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', needs.PATH)}",
        }
        config = ROOT / "ansible.cfg"
        return {**os.environ, **made, **({"ANSIBLE_CONFIG": str(config)} if config.exists() else {})}

    def control(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        within_s: float = 600.0,
        given: str | None = None,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run on the control host, in the root of the tree; `more` are environment variables."""
        return subprocess.run(
            self.inside(command),
            cwd=ROOT,
            env=self.environment | more,
            capture_output=True,
            text=True,
            check=check,
            timeout=within_s,
            input=given if given is not None else "",
        )

    def ansible(
        self, command: Sequence[str], *, within_s: float = 1800.0, given: str | None = None, **more: str
    ) -> Played:
        """Any of Ansible's programs; the recap is of playbooks."""
        began = time.monotonic()
        done = self.control(command, check=False, within_s=within_s, given=given, **more)
        rows = {name: [int(number) for number in numbers] for name, *numbers in RECAP.findall(done.stdout)}
        changed, unreachable, failed = ({name: row[at] for name, row in rows.items()} for at in (1, 2, 3))
        return Played(done.returncode, changed, unreachable, failed, done.stdout, done.stderr, time.monotonic() - began)

    def play(self, playbook: str, *options: str, within_s: float = 1800.0, **more: str) -> Played:
        """playbooks/NAME.yml over the lab's inventory."""
        command = ["ansible-playbook", "-i", str(self.place.inventory), f"playbooks/{playbook}.yml", *options]
        return self.ansible(command, within_s=within_s, **more)

    def _keep(self, tied_to: int | None) -> None:
        """A keeper is there; where one has died, nothing that it left is."""
        if calls.keeper(self.place) is not None:
            return
        self._end()
        self._clear("lock", "session", "wheels")
        self._link()
        doors.prepare(self.place)
        (self.place.folder / "cp").mkdir(mode=0o700)
        self.place.ssh_config.write_text(ssh_config(self.place))
        cgroups.make(self.place, cgroups.KEEPER, cgroups.CONTROL, *MACHINES)
        self._begin(tied_to)

    def _end(self) -> None:
        cgroups.end(self.place)
        if self._begun is None:
            return
        try:
            self._begun.wait(UP_S)
        except subprocess.TimeoutExpired as fault:
            raise Refused(f"the lab's keeper does not end: process {self._begun.pid}") from fault
        self._begun = None

    def _clear(self, *kept: str) -> None:
        for path in self.place.folder.iterdir():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _link(self) -> None:
        """The inventory of the tree, with this lab's keys and ways."""
        self.place.inventory.mkdir()
        for path in INVENTORY.glob("[!.]*"):
            (self.place.inventory / path.name).symlink_to(path)
        (self.place.inventory / LINK).symlink_to(self.place.folder)
        if self.place.usual:
            (INVENTORY / LINK).unlink(missing_ok=True)
            (INVENTORY / LINK).symlink_to(self.place.folder)

    def _begin(self, tied_to: int | None) -> None:
        command = [*NAMESPACES, *FIRST, sys.executable, "-m", "tests.lab.keeper", str(self.place.folder)]
        command += [TIED] if tied_to is not None else []
        with self.place.log.open("ab") as log, Path("/proc/self/ns/net").open("rb") as outside:
            self._begun = process = subprocess.Popen(
                cgroups.inside(self.place, cgroups.KEEPER, command),
                cwd=ROOT,
                env={**os.environ, "PATH": needs.PATH, doors.OUTSIDE: str(outside.fileno())},
                stdin=subprocess.DEVNULL if tied_to is None else tied_to,
                stdout=log,
                stderr=log,
                pass_fds=(outside.fileno(),),
                start_new_session=True,
            )
        deadline, pause = time.monotonic() + UP_S, threading.Event()
        while calls.keeper(self.place) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Refused(f"the lab does not start: {self.place.log.read_text().strip().splitlines()[-1:]}")
            pause.wait(0.02)

    def _start(self, name: str, root: Path, options: Options) -> None:
        calls.ask(self.place, "start", host=name, root=str(root), options=asdict(options))

    def _publish(self) -> None:
        """Each host's first key, as its first boot shows it on the console: no connection is ever to an unknown one."""
        known = [name for name, state in self.state().items() if state["known"]]
        lines = [line for name in known for line in self.host(name).first_keys()]
        own = (self.place.folder / "host_key.pub").read_text()
        self.place.known_hosts.write_text("".join([f"control {own}", self.shelf.known_hosts, *lines]))
