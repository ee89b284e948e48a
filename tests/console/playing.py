"""A fleet of hosts that are this machine, with playbooks that do well, fail, hang and do not reach anybody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.fleet.inventory import Host

ROOT = Path(__file__).parents[2]
PLAYBOOK = """
- name: Everything
  hosts: all
  gather_facts: false
  tasks:
    - name: A file is there
      ansible.builtin.copy:
        content: "{{ my_token | default('nothing') }} {{ word | default('none') }}\\n"
        dest: "{{ marks }}/{{ inventory_hostname }}"
        mode: "0600"
    - name: It fails
      ansible.builtin.fail: {msg: on purpose}
      when: does == 'fail' and not ansible_check_mode
    - name: It would fail
      ansible.builtin.fail: {msg: it is foreseen}
      when: does == 'foreseen'
    - name: It hangs
      ansible.builtin.command: sleep 600
      changed_when: false
      when: does == 'hang' and not ansible_check_mode
    - name: It waits
      ansible.builtin.wait_for: {path: "{{ marks }}/.go", timeout: 300, sleep: 1}
      when: does == 'wait' and not ansible_check_mode
    - name: It is counted
      ansible.builtin.shell: echo once >> {{ marks }}/{{ inventory_hostname }}.runs
      changed_when: false
      when: not ansible_check_mode
"""
AWAY = {"ansible_connection": "ssh", "ansible_ssh_common_args": "-o ProxyCommand=/bin/false"}


@dataclass
class Ground:
    """Its folder; `ports` are of fake nodes.  Hosts of other names have an API that does not answer."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    does: dict[str, str] = field(default_factory=dict)
    begun: list[subprocess.Popen[str]] = field(default_factory=list)
    """Commands that a test has started, and may have left."""

    def __post_init__(self) -> None:
        (self.folder / "playbooks").mkdir()
        (self.folder / "marks").mkdir()
        plugins = ROOT / "playbooks" / "callback_plugins"
        (self.folder / "ansible.cfg").write_text(f"[defaults]\ncallback_plugins = {plugins}\n")
        self.playbook("mixed", PLAYBOOK)

    def playbook(self, name: str, text: str) -> Path:
        path = self.folder / "playbooks" / f"{name}.yml"
        path.write_text(text)
        return path

    @property
    def inventory(self) -> Path:
        return self.folder / "hosts.json"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def has(self, *names: str, canary: str = "", **more: Any) -> list[Host]:
        """Makes these the inventory; `does` says what happens on each."""
        hosts = {name: self._variables(name) | more for name in names}
        groups = {"canary": {"hosts": {canary: {}}}} if canary else {}
        self.inventory.write_text(json.dumps({"fleet": {"hosts": hosts}, **groups}))
        of = {name: ("canary", "fleet") if name == canary else ("fleet",) for name in names}
        return [Host(name, "127.0.0.1", self._port(name), "http", groups=of[name]) for name in names]

    def _port(self, name: str) -> int:
        return self.ports.get(name, 1 + sum(name.encode()))  # nobody listens below 1024

    def _variables(self, name: str) -> dict[str, Any]:
        does = self.does.get(name, "well")
        way = AWAY if does == "away" else {"ansible_connection": "local"}
        return {
            "ansible_host": "127.0.0.1", "heliograph_scheme": "http", "heliograph_port": self._port(name),
            "ansible_python_interpreter": "{{ ansible_playbook_python }}", "does": does,
            "marks": str(self.folder / "marks"), **way,
        }  # fmt: skip

    def changed(self) -> list[str]:
        """The hosts on which something was done."""
        return sorted(path.name for path in (self.folder / "marks").iterdir() if "." not in path.name)

    def runs(self, name: str) -> int:
        """How often it came to its end there."""
        path = self.folder / "marks" / f"{name}.runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def left(self) -> list[int]:
        """Processes that playbooks of this ground have left behind."""
        return sorted(pid for pid in _pids() if str(self.folder).encode() in _environment(pid))

    def end_left(self) -> None:
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)
        for process in self.begun:
            process.kill()
            process.communicate()


def _pids() -> Iterator[int]:
    return (
        int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and int(path.name) != os.getpid()
    )


def _environment(pid: int) -> bytes:
    """Of a process that Ansible was started as, or started; empty of others."""
    try:
        found = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
    return found if b"ANSIBLE_CONFIG=" in found else b""


def wait_for(met: Any, what: str, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, what
        time.sleep(0.05)
