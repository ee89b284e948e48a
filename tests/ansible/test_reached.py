"""What is said of a host that cannot be reached, by why that is; and of one that goes away in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import sshd
from tests.ansible.parts import UNMEASURED

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PREFLIGHT = {"name": "Preflight", "ansible.builtin.import_tasks": str(ROOT / "playbooks/preflight/host.yml")}
WAYS = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Host]:
    with sshd.running(tmp_path_factory.mktemp("reached")) as running:
        yield running


def variables(host: sshd.Host, **more: Any) -> dict[str, Any]:
    ways = [*WAYS, "-o", f"UserKnownHostsFile={host.folder / 'known_hosts'}", "-o", "ControlPath=none"]
    return {
        "ansible_host": "127.0.0.1",
        "ansible_port": host.port,
        "ansible_ssh_private_key_file": str(host.folder / "key"),
        "ansible_ssh_common_args": " ".join(ways),
        "ansible_python_interpreter": sys.executable,
        **more,
    }


def run(folder: Path, given: dict[str, Any], *tasks: dict[str, Any]) -> str:
    """What a play says that fails, in one line."""
    play = {"name": "Reach", "hosts": "fleet", "gather_facts": False, "tasks": tasks}
    (folder / "playbooks").mkdir()
    (folder / "playbooks/action_plugins").symlink_to(ROOT / "playbooks/action_plugins")
    (folder / "playbooks/play.yml").write_text(json.dumps([play]))
    (folder / "hosts.yml").write_text(json.dumps({"fleet": {"hosts": {"cam-1": given}}}))
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(folder / "hosts.yml")]
    environment = {**os.environ, **UNMEASURED, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*argv, str(folder / "playbooks/play.yml")],
        capture_output=True, text=True, check=False, env=environment, timeout=120, cwd=folder, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode != 0, done.stdout
    return " ".join((done.stdout + done.stderr).split()).replace("''", "'")


def test_a_host_of_another_key_is_told_from_one_without_power(host: sshd.Host, tmp_path: Path) -> None:
    other = tmp_path / "other_hosts"
    other.write_text(f"[127.0.0.1]:{host.port} {(host.folder / 'key.pub').read_text()}")
    ways = " ".join([*WAYS, f"-o UserKnownHostsFile={other} -o ControlPath=none"])
    said = run(tmp_path, variables(host, ansible_ssh_common_args=ways), PREFLIGHT)
    assert f"cam-1: it cannot be reached: Offending ED25519 key in {other}:1. Remedy: see that ansible_host" in said


@pytest.mark.parametrize(
    ("more", "why", "remedy"),
    [
        ({"ansible_ssh_common_args": " ".join([*WAYS, "-o UserKnownHostsFile=/dev/null -o ControlPath=none"])},
         "No ED25519 host key is known for [127.0.0.1]:", "is let in by its key (docs/operating.md"),
        ({"ansible_ssh_private_key_file": "/dev/null"}, "Permission denied (publickey)", "ansible_user is its account"),
        ({"ansible_port": 1}, "Connection refused", "see that it has power and network"),
    ],
)  # fmt: skip
def test_why_it_cannot_be_reached_is_said_with_what_to_do(
    host: sshd.Host, tmp_path: Path, more: dict[str, Any], why: str, remedy: str
) -> None:
    given = variables(host, **more)
    said = run(tmp_path, given, PREFLIGHT)
    [fatal] = said.split("fatal: ")[1:]
    assert fatal.startswith("[cam-1]: FAILED!")
    assert "cam-1: it cannot be reached: " in fatal
    assert why in fatal
    assert remedy in fatal
    assert fatal.count("Remedy: ") == 1
    assert f"`ssh {given['ansible_ssh_common_args']} -p {given['ansible_port']}" in fatal
    assert "run again with --limit cam-1" in fatal


def test_a_host_that_goes_away_in_the_middle_is_named_at_the_end(host: sshd.Host, tmp_path: Path) -> None:
    tasks = [
        {"name": "Something is done", "ansible.builtin.command": "true"},
        {"name": "Something more is done", "ansible.builtin.raw": "exit 255"},
    ]
    said = run(tmp_path, variables(host), *tasks)
    assert "cam-1: it was lost at: Something more is done." in said
    assert said.endswith("Remedy: see that it has power and network; run again with --limit cam-1 once it answers.")
