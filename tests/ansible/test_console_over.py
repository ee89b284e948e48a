"""The console before real nodes: over TLS from the control host, through ssh from elsewhere, and for whom it is not."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import HELIOGRAPH, Site
from tests.ansible.jumping import free_port, jump
from tests.ansible.stolen import Stolen
from tests.console.test_terminal import Terminal
from tests.lab.lab import Lab
from tests.lab.names import MACHINES, USUAL
from tests.offices import FUTURE, PAST, Authority, Signed

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
    with watched(site) as lines:
        heard(lines, *USUAL)
        site.heliograph("hold", "bravo", "--for", "5m", "--reason", "the lens is wiped", "--yes")
        site.heliograph("resume", "bravo", "--yes")
        assert "bravo" in heard(lines, "the lens is wiped")


@contextmanager
def watched(site: Site) -> Iterator[Iterator[str]]:
    """What `heliograph watch` says, line by line."""
    words = [HELIOGRAPH, "watch", "-i", str(site.lab.place.inventory), "--for", "120s"]
    command = site.lab.inside(words)
    with subprocess.Popen(command, env=site.lab.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.terminate()


def heard(lines: Iterator[str], *words: str) -> str:
    """The line with the last of them; all are waited for."""
    missing, line = set(words), ""
    while missing:
        line = next(lines)
        missing -= {word for word in missing if word in line}
    return line


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


def shown(signed: Signed) -> dict[str, str]:
    return {"heliograph_client_cert_file": str(signed.cert), "heliograph_client_key_file": str(signed.key)}


NONE = {"heliograph_client_cert_file": None, "heliograph_client_key_file": None}


def foreign(folder: Path, _pki: Path) -> dict[str, Mapping[str, Any]]:
    other = Authority(folder / "other", "other")
    return {
        "alpha": {"heliograph_tls_name": "bravo"},
        "bravo": {"heliograph_ca_file": str(other.ca)},
        "charlie": shown(other.console("eve", "admin")),
    }


def untimely(folder: Path, pki: Path) -> dict[str, Mapping[str, Any]]:
    stolen = Stolen(folder / "stolen", pki)
    return {
        "alpha": shown(stolen.console("old", "admin", end=PAST)),
        "bravo": shown(stolen.console("early", "admin", begin=FUTURE)),
        "charlie": NONE,
    }


Doubtful = Callable[[Path, Path], dict[str, Mapping[str, Any]]]
DOUBTS: dict[Doubtful, dict[str, tuple[str, str, str]]] = {
    foreign: {
        "alpha": ("untrusted", "FLT-022", "its certificate is not for bravo"),
        "bravo": ("untrusted", "FLT-021", "is not signed by an authority in"),
        "charlie": ("refused", "FLT-023", "is not signed by an authority in"),
    },
    untimely: {
        "alpha": ("refused", "FLT-023", "has expired, by this machine's clock"),
        "bravo": ("refused", "FLT-023", "is not valid yet"),
        "charlie": ("refused", "FLT-004", "HTTP 401"),
    },
}


@pytest.mark.parametrize("doubtful", DOUBTS)
def test_each_doubt_stands_beside_its_node(site: Site, tmp_path: Path, doubtful: Doubtful) -> None:
    inventory = listed(site.lab, tmp_path, **doubtful(tmp_path, site.lab.place.pki))
    command = [HELIOGRAPH, "status", "-i", str(inventory)]
    plain, told = (site.lab.control([*command, *more], check=False) for more in ((), ("--json",)))
    assert plain.returncode == 2
    rows = {line.split()[2]: line for line in plain.stdout.splitlines()}
    nodes = {node["node"]: node for node in json.loads(told.stdout)["nodes"]}
    for name, (state, code, words) in DOUBTS[doubtful].items():
        assert [word for word in (state, code) if word not in rows[name]] == []
        assert (nodes[name]["state"], nodes[name]["error"]["code"]) == (state, code)
        assert words in nodes[name]["error"]["detail"]
        assert nodes[name]["error"]["hint"]


@pytest.mark.parametrize(("who", "status"), [("watcher", 77), ("hand", 0)])
def test_an_order_is_for_who_may_give_it(site: Site, tmp_path: Path, who: str, status: int) -> None:
    keys = site.lab.place.pki / "consoles" / who
    shown = {"heliograph_client_cert_file": f"{keys}.pem", "heliograph_client_key_file": f"{keys}.key"}
    inventory = listed(site.lab, tmp_path, charlie=shown)
    assert errors(site.lab.control([HELIOGRAPH, "status", "-i", str(inventory), "--json"])) == {"charlie": ""}
    order = [HELIOGRAPH, "capture", "-i", str(inventory), "charlie/main", "--yes"]
    done = site.lab.control(order, check=False)
    assert (done.returncode, "API-002" in done.stdout) == (status, status != 0), shlex.join(order) + done.stdout
