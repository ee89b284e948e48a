"""Real node processes, each in a folder of its own, as a test starts, asks and ends them."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

PROGRAM = str(Path(sys.executable).with_name("heliograph-node"))
ROLES = ("viewer", "operator", "admin")
READY_S, STOP_S = 40.0, 15.0
OWN_ENVIRONMENT = "HELIOGRAPH_"
EACH_SECOND = {
    "schedules": {"each": {"interval_s": 1}},
    "alerts": {"disk_reserve_bytes": 0},
    "api": {"requests_per_s": 10_000, "burst": 100_000},
}
SMALL = {"backend": "synthetic", "width": 160, "height": 120}
# in a name space of its own, where anybody may mount; it goes with its last process
MOUNTED = "mount -t tmpfs -o {options} tmpfs {data} && exec {command}"


@dataclass
class Home:
    """What is on a node's disk: node.yml, a document, and the folders.  `tmpfs` = mount options of the data folder."""

    folder: Path
    cameras: Mapping[str, Any] = field(default_factory=lambda: {"main": SMALL})
    document: Mapping[str, Any] = field(default_factory=lambda: EACH_SECOND)
    node_file: Mapping[str, Any] = field(default_factory=dict)
    tmpfs: str = ""

    def __post_init__(self) -> None:
        for folder in (self.data, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        tokens = [{"name": role, "role": role, "sha256": hashlib.sha256(role.encode()).hexdigest()} for role in ROLES]
        made = {
            "node": {"id": "test"},
            "paths": {"data": str(self.data), "run": str(self.run)},
            "api": {"port": 0, "insecure_loopback": True, "tokens": tokens},
            "cameras": dict(self.cameras),
            **self.node_file,
        }
        self.config.write_text(yaml.safe_dump(made))
        (self.folder / "document.yml").write_text(yaml.safe_dump(dict(self.document)))
        for role in ROLES:
            (self.folder / f"{role}.token").write_text(role)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def config(self) -> Path:
        return self.folder / "node.yml"

    @property
    def ready_file(self) -> Path:
        return self.folder / "ready.json"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def command(self) -> list[str]:
        wanted = [
            *(PROGRAM, "run", "--config", str(self.config), "--document", str(self.folder / "document.yml")),
            *("--ready-file", str(self.ready_file)),
        ]
        if not self.tmpfs:
            return wanted
        mounted = MOUNTED.format(options=self.tmpfs, data=shlex.quote(str(self.data)), command=shlex.join(wanted))
        return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted]

    def start(self, **environment: str) -> Node:
        """A process; whether it is ready is asked later."""
        self.ready_file.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            return Node(self, subprocess.Popen(self.command(), stderr=log, env=clean_environment(environment)))

    def start_beside(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """`work` or `ship` with its options; its log is `WORD.log`."""
        command = [PROGRAM, *words, "--config", str(self.config)]
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            return subprocess.Popen(command, stderr=log, env=clean_environment(environment))

    def fails(self) -> tuple[int, str]:
        """Exit status and words of a start that does not come up."""
        node = self.start()
        try:
            return node.process.wait(READY_S), self.log
        finally:
            node.kill()


class Node:
    """One life of a node."""

    def __init__(self, home: Home, process: subprocess.Popen[bytes]) -> None:
        self.home, self.process = home, process
        self.http = httpx.Client(timeout=10, trust_env=False, limits=httpx.Limits(max_connections=4))
        self.url = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def data(self) -> Path:
        """Its data folder as it sees it."""
        return Path(f"/proc/{self.pid}/root") / self.home.data.relative_to("/") if self.home.tmpfs else self.home.data

    def ready(self, within_s: float = READY_S) -> Node:
        """Waits until it serves."""
        wait_for(lambda: self.home.ready_file.exists() or not self.alive, "ready", within_s)
        assert self.alive, self.home.log[-3000:]
        self.url = json.loads(self.home.ready_file.read_text())["url"]
        return self

    def ask(self, method: str, path: str, role: str = "admin", **how: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {role}", **how.pop("headers", {})}
        return self.http.request(method, self.url + path, headers=headers, **how)

    def get(self, path: str, **how: Any) -> Any:
        answer = self.ask("GET", path, **how)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def camera(self, name: str = "main") -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v1/cameras/{name}")
        return found

    def frames(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/v1/frames?limit=1000&fields=id,camera,due,sha256,path,quarantined")[
            "items"
        ]
        return found

    def gaps(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/v1/gaps?limit=1000")["items"]
        return found

    def put(self, document: Mapping[str, Any]) -> httpx.Response:
        version = self.get("/v1/config")["version"]
        return self.ask("PUT", "/v1/config", json=dict(document), headers={"If-Match": f'"{version}"'})

    def workers(self) -> list[int]:
        """Pids of its camera workers."""
        text = Path(f"/proc/{self.pid}/task")
        found = [(task / "children").read_text().split() for task in text.iterdir()]
        return [int(pid) for pids in found for pid in pids]

    def stop(self) -> tuple[int, float]:
        """As the service manager does: exit status, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S), time.monotonic() - began
        finally:
            self.kill()

    def kill(self) -> None:
        """At once, whatever it does; nothing happens where it has ended."""
        self.process.kill()
        self.process.wait()
        self.http.close()


@contextmanager
def begun(home: Home, **environment: str) -> Iterator[Node]:
    """A process, perhaps not ready yet; ended, one way or the other, when the test is over."""
    node = home.start(**environment)
    try:
        yield node
    finally:
        node.kill()


@contextmanager
def started(home: Home, **environment: str) -> Iterator[Node]:
    """A node that serves."""
    with begun(home, **environment) as node:
        yield node.ready()


@contextmanager
def beside(home: Home, *words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process beside the service; ended, one way or the other, when the test is over."""
    process = home.start_beside(*words, **environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's, without what would configure a node."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN_ENVIRONMENT)} | dict(more)


def heliograph_node(*arguments: str | Path, within_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        env=clean_environment({}), capture_output=True, text=True, timeout=within_s, check=False,
    )  # fmt: skip


def wait_for(holds: Callable[[], object], what: str, within_s: float = 15.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)


def ended(pids: Sequence[int]) -> bool:
    """Whether none of these processes is there any more."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 0)
            return False
    return True
