"""Rollouts over hosts that boot: a playbook of the fleet over all, and a host that is cut off in mid-task."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.fleet.keep import Journal
from console.fleet.rollout_history import holder
from tests.ansible.conftest import HELIOGRAPH, Site
from tests.lab.lab import Lab
from tests.lab.names import ROOT, USUAL

pytestmark = pytest.mark.lab

SLEEPER = """
- name: Somebody sleeps
  hosts: fleet
  gather_facts: false
  tasks:
    - name: It sleeps
      ansible.builtin.command: sleep 300
      changed_when: false
      when: not ansible_check_mode
"""
GIVEN_UP_S = 60.0
"""ServerAliveInterval times its count is 20 s; the rest is for a slow machine."""


def events(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def test_verify_is_rolled_out_canary_first(site: Site, tmp_path: Path, told: Callable[[str], None]) -> None:
    begun = time.monotonic()
    given = ["rollout", "verify", *USUAL, "--yes", "--soak", "1", "--json", "--fleet", str(ROOT)]
    done = site.heliograph(*given, "--state", str(tmp_path), check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    said = events(done.stdout)
    assert [len(each["nodes"]) for each in said if each.get("event") == "batch"] == [1, 2]
    assert {row["node"]: row["phase"] for row in said[-1]["rows"]} == dict.fromkeys(USUAL, "done")
    assert all(row["runs"] for row in said[-1]["rows"])
    assert holder(tmp_path) == "", "an ssh that stays open holds it still"
    told(f"rollout of verify over 3 hosts: {time.monotonic() - begun:.0f} s, check mode and gates included")


def fleet_that_sleeps(folder: Path) -> Path:
    """A fleet's folder as this one, with a playbook more."""
    shutil.copytree(ROOT / "playbooks", folder / "playbooks", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "playbooks" / "sleeper.yml").write_text(SLEEPER)
    (folder / "ansible.cfg").write_text((ROOT / "ansible.cfg").read_text())
    (folder / "roles").symlink_to(ROOT / "roles")
    return folder


def asleep(lab: Lab, host: str) -> bool:
    return "sleep 300" in lab.host(host).inside("ps -eo args").stdout


def test_a_host_that_is_cut_off_in_mid_task_is_given_up_in_bounded_time(lab: Lab, tmp_path: Path) -> None:
    """Also one without a node: it was called by its name."""
    fleet, ended = fleet_that_sleeps(tmp_path / "fleet"), list[Any]()
    given = [HELIOGRAPH, "rollout", "sleeper", "alpha", "bravo", "--yes", "--soak", "0", "--json"]
    where = ["-i", str(lab.place.inventory), "--fleet", str(fleet), "--state", str(tmp_path / "state")]
    thread = threading.Thread(target=lambda: ended.append(lab.control([*given, *where], check=False)))
    thread.start()
    host = lab.host("alpha")
    until = time.monotonic() + 120
    while not asleep(lab, "alpha"):
        assert time.monotonic() < until
        time.sleep(0.5)
    host.link(up=False)
    try:
        cut = time.monotonic()
        thread.join(GIVEN_UP_S)
        assert ended, "it has not ended in time"
        assert time.monotonic() - cut >= 5
    finally:
        host.link(up=True)
        thread.join(60)
        host.inside("pkill -f 'sleep 300'", check=False)
    said = events(ended[0].stdout)
    assert ended[0].returncode == 1
    assert {row["node"]: row["phase"] for row in said[-1]["rows"]} == {"alpha": "unreachable", "bravo": "not begun"}
    [kept] = (tmp_path / "state" / "rollouts").glob("*.jsonl")
    assert Journal(kept).fresh()[-1]["how"] == "stopped"
