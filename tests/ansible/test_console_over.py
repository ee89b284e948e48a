"""The console before real nodes: over TLS from the control host, through ssh from elsewhere, and for whom it is not."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import HELIOGRAPH, Site
from tests.ansible.jumping import free_port, jump
from tests.console.test_terminal import Terminal
from tests.lab.lab import Lab
from tests.lab.names import MACHINES, USUAL
from tests.offices import Authority

pytestmark = pytest.mark.lab

LOGIN = "import os, sys; os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"
"""As a login does, whatever the program."""
JUMP = "FLT-024"


def listed(lab: Lab, folder: Path, **of: Mapping[str, Any]) -> Path:
    """An inventory of those nodes, each with what is said of it; certificates are the lab's console's."""
    known = {
        "heliograph_ca_file": str(lab.place.pki / "ca.pem"),
        "heliograph_client_cert_file": str(lab.place.pki / "consoles" / "lab.pem"),
        "heliograph_client_key_file": str(lab.place.pki / "consoles" / "lab.key"),
    }
    hosts = {name: {"ansible_host": MACHINES[name].address, **known, **more} for name, more in of.items()}
    path = folder / "fleet.yml"
    path.write_text(json.dumps({"fleet": {"hosts": hosts}}))
    return path


def errors(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Of `status --json`: by node, the code of what keeps it from being asked; empty = it said how it is."""
    nodes = json.loads(done.stdout)["nodes"]
    return {node["node"]: node["error"]["code"] if node["error"] else "" for node in nodes}


def status(inventory: Path) -> dict[str, str]:
    """What this machine itself learns."""
    command = [HELIOGRAPH, "status", "-i", str(inventory), "--json"]
    return errors(subprocess.run(command, capture_output=True, text=True, timeout=120, check=False))


@contextmanager
def screen(inventory: Path, folder: Path, through: Sequence[str] = ()) -> Iterator[Terminal]:
    """The console on a terminal, started by a command that leads to where it is to run."""
    words = ["console", "-i", str(inventory), "--state", str(folder / "state")]
    terminal = Terminal(words, login=(LOGIN, *through, sys.executable))
    try:
        yield terminal
    finally:
        terminal.close()


def shows_the_fleet(terminal: Terminal) -> None:
    """All of it, one node of it, and it ends as it should."""
    terminal.shows(*USUAL, "3 ok", "3 nodes")
    terminal.type("/charlie\r")
    terminal.shows("/ charlie", "1/3")
    terminal.type("\r")
    terminal.shows("probes", "camera/main", "archive")
    terminal.type(":q\r")
    assert terminal.ends() == 0
    assert "Traceback" not in terminal.text()


# --- from the control host --------------------------------------------------------------------------------------------


def test_commands_tell_of_every_node(site: Site) -> None:
    plain = site.heliograph("status")
    rows = [line for line in plain.stdout.splitlines() if " ok " in line]
    assert [[name for name in USUAL if name in row] for row in rows] == [["alpha"], ["bravo"], ["charlie"]]
    assert errors(site.heliograph("status", "--json")) == dict.fromkeys(USUAL, "")
    assert json.loads(site.heliograph("alerts", "--json").stdout)["exit"] == 0
    assert errors(site.heliograph("status", "charlie", "--json")) == {"charlie": ""}


def test_what_happens_is_watched_as_it_happens(site: Site) -> None:
    with ThreadPoolExecutor() as pool:
        watching = pool.submit(site.heliograph, "watch", "--for", "12s")
        site.heliograph("hold", "bravo", "--for", "5m", "--reason", "the lens is wiped", "--yes")
        site.heliograph("resume", "bravo", "--yes")
    lines = watching.result().stdout.splitlines()
    assert {name for name in USUAL for line in lines if name in line} == set(USUAL)
    assert [line for line in lines if "bravo" in line and "the lens is wiped" in line]


def test_the_screen_shows_them(site: Site, tmp_path: Path) -> None:
    with screen(site.lab.place.inventory, tmp_path, site.lab.inside([])) as terminal:
        shows_the_fleet(terminal)


# --- through ssh ------------------------------------------------------------------------------------------------------


def test_the_screen_of_the_control_host_is_shown_through_ssh(site: Site, tmp_path: Path) -> None:
    place = site.lab.place
    ssh = ["ssh", "-F", str(place.ssh_config), "-tt", "control", "env", "LC_ALL=C.UTF-8"]
    with screen(place.inventory, tmp_path, ssh) as terminal:
        shows_the_fleet(terminal)


def test_a_node_is_entered_through_the_control_host(site: Site) -> None:
    ask = "sudo /opt/heliograph/current/bin/heliograph-node status --json"
    ssh = ["ssh", "-n", "-F", str(site.lab.place.ssh_config), "-J", "control", "charlie", ask]
    done = subprocess.run(ssh, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["node"] == "charlie"


def test_this_machine_sees_them_through_a_proxy_and_says_when_it_is_gone(site: Site, tmp_path: Path) -> None:
    port = free_port()
    proxied = {"heliograph_proxy": f"socks5://127.0.0.1:{port}"}
    inventory = listed(site.lab, tmp_path, **dict.fromkeys(USUAL, proxied))
    assert status(inventory) == dict.fromkeys(USUAL, JUMP)
    with jump(site.lab, port):
        assert status(inventory) == dict.fromkeys(USUAL, "")
        with screen(inventory, tmp_path) as terminal:
            shows_the_fleet(terminal)
    assert status(inventory) == dict.fromkeys(USUAL, JUMP)


# --- who is who -------------------------------------------------------------------------------------------------------


def test_each_doubt_stands_beside_its_node(site: Site, tmp_path: Path) -> None:
    foreign = Authority(tmp_path / "other", "other")
    eve = foreign.console("eve", "admin")
    doubts = {
        "alpha": {"heliograph_tls_name": "bravo"},
        "bravo": {"heliograph_ca_file": str(foreign.ca)},
        "charlie": {"heliograph_client_cert_file": str(eve.cert), "heliograph_client_key_file": str(eve.key)},
    }
    done = site.lab.control([HELIOGRAPH, "status", "-i", str(listed(site.lab, tmp_path, **doubts))], check=False)
    assert done.returncode == 2
    rows = {line.split()[2]: line for line in done.stdout.splitlines()}
    words = {"alpha": ("untrusted", "FLT-022"), "bravo": ("untrusted", "FLT-021"), "charlie": ("refused", "FLT-023")}
    assert {name: [word for word in words[name] if word in rows[name]] for name in USUAL} == {
        name: list(each) for name, each in words.items()
    }


@pytest.mark.parametrize(("who", "status"), [("watcher", 77), ("hand", 0)])
def test_an_order_is_for_who_may_give_it(site: Site, tmp_path: Path, who: str, status: int) -> None:
    keys = site.lab.place.pki / "consoles" / who
    shown = {"heliograph_client_cert_file": f"{keys}.pem", "heliograph_client_key_file": f"{keys}.key"}
    inventory = listed(site.lab, tmp_path, charlie=shown)
    assert errors(site.lab.control([HELIOGRAPH, "status", "-i", str(inventory), "--json"])) == {"charlie": ""}
    order = [HELIOGRAPH, "capture", "-i", str(inventory), "charlie/main", "--yes"]
    done = site.lab.control(order, check=False)
    assert (done.returncode, "API-002" in done.stdout) == (status, status != 0), shlex.join(order) + done.stdout
