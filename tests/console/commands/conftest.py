"""Commands run inside the tests' own process, on tiny nodes, with no Ansible to wait for."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from console import cli
from console.fleet import inventory
from console.fleet.inventory import Host


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Typed(io.StringIO):
    """What somebody types at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes these nodes the inventory; each has the variables."""

    def made(*nodes: Any, **variables: Any) -> None:
        hosts = tuple(node if isinstance(node, Host) else node.host for node in nodes)
        monkeypatch.setattr(inventory, "read", lambda _: hosts)
        wants = {host.name: dict(variables) for host in hosts}
        monkeypatch.setattr(inventory, "read_whole", lambda _: (hosts, wants))

    return made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def command(*words: str, typed: str | None = None) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO() if typed is None else Typed(typed))
        code = cli.main(words)
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return command


@pytest.fixture
def start(start_node: Callable[..., Any], make_camera: Callable[..., Any]) -> Callable[..., Any]:
    """Starts a node of today's release with those cameras."""

    def started(name: str = "kyoto", cameras: tuple[str, ...] = ("main",), **changes: Any) -> Any:
        told = {"version": "0.3.0", "cameras": [make_camera(each) for each in cameras], **changes}
        return start_node(name, **told)

    return started
