"""What a host shows to who is outside: who gets in by ssh, which ports answer, whom the API answers what."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from node.wire.routes import ROUTES, Role, Route
from tests.ansible.conftest import Site
from tests.ansible.stolen import Stolen
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.names import CONTROL, USUAL
from tests.lab.papers import CONSOLES
from tests.offices import FUTURE, PAST, Authority

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
SSH, API = 22, 8460
ALL = (1, 65535)
PLANTED = 47123
STRANGER, NEIGHBOUR = "192.0.2.9", "192.0.2.1"
LISTEN = "import socket; s = socket.create_server(('', {port})); s.listen(); __import__('signal').pause()"
DATAGRAMS = """
import socket, sys, time
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.setblocking(False)
said = []
for port in range(1, 65536):
    try:
        line.sendto(b"?", (sys.argv[1], port))
    except BlockingIOError:
        time.sleep(0.01)
    if port % 128 == 0:
        time.sleep(0.004)
time.sleep(1)
try:
    said.append(line.recvfrom(64))
except BlockingIOError:
    pass
print(said)
"""
NOBODY = "nobody"
REFUSED = ("refused", 401)
"""Without an answer, or with one that says: not you."""
Json = dict[str, Any]


# --- ssh --------------------------------------------------------------------------------------------------------------


def knock(site: Site, tmp_path: Path, who: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`true` on the host, with the password at hand that the imager's card has."""
    password = tmp_path / "password"
    password.write_text("#!/bin/sh\necho raspberry\n")
    password.chmod(0o700)
    ways = [word for option in options for word in ("-o", option)]
    command = ["ssh", *ways, "-F", str(site.lab.place.ssh_config), "-o", "ControlPath=none", who, "true"]
    return site.lab.control(command, check=False, SSH_ASKPASS=str(password), SSH_ASKPASS_REQUIRE="force", DISPLAY=":0")


@pytest.mark.parametrize("name", USUAL)
def test_a_password_opens_nothing_and_is_not_even_asked_for(site: Site, name: str, tmp_path: Path) -> None:
    ways = ("BatchMode=no", "PubkeyAuthentication=no", "PreferredAuthentications=password,keyboard-interactive")
    done = knock(site, tmp_path, f"pi@{name}", *ways)
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


@pytest.mark.parametrize("name", USUAL)
def test_root_does_not_get_in_with_a_key_of_his_own(site: Site, name: str, tmp_path: Path) -> None:
    host = site.lab.host(name)
    host.inside("mkdir -p -m 0700 /root/.ssh && cp ~pi/.ssh/authorized_keys /root/.ssh/")
    try:
        done = knock(site, tmp_path, f"root@{name}")
        assert knock(site, tmp_path, f"pi@{name}").returncode == 0
    finally:
        host.inside(["rm", "-r", "/root/.ssh"])
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


# --- ports ------------------------------------------------------------------------------------------------------------


def ports(lab: Lab, host: Host, span: tuple[int, int] = ALL, own: str = CONTROL, other: str = "") -> set[int]:
    words = [sys.executable, str(HERE / "knocking.py"), own, other or host.address, *map(str, span)]
    return {int(line) for line in lab.control(words, within_s=300).stdout.split()}


@contextmanager
def listener(host: Host, port: int) -> Iterator[None]:
    unit = f"listen-{port}"
    host.inside(["systemd-run", "--quiet", f"--unit={unit}", "python3", "-c", LISTEN.format(port=port)])
    try:
        host.inside(f"timeout 60 sh -c 'until ss -lnt | grep -q :{port}; do sleep 0.1; done'")
        yield
    finally:
        host.inside(["systemctl", "stop", unit])


@contextmanager
def let_in(host: Host, port: int) -> Iterator[None]:
    """The firewall has a hole."""
    host.inside(f"nft insert rule inet heliograph input tcp dport {port} accept")
    try:
        yield
    finally:
        host.inside(["systemctl", "reload-or-restart", "heliograph-firewall"])


def test_of_all_ports_two_answer_whatever_listens_there(site: Site) -> None:
    hosts = [site.lab.host(name) for name in USUAL]
    with listener(hosts[0], PLANTED), ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda host: ports(site.lab, host), hosts))
    assert found == [{SSH, API}] * 3


def test_the_scan_would_see_one_port_more(site: Site) -> None:
    alpha = site.lab.host("alpha")
    near = (PLANTED - 1000, PLANTED + 1000)
    with listener(alpha, PLANTED):
        with let_in(alpha, PLANTED):
            assert ports(site.lab, alpha, near) == {PLANTED}
        assert ports(site.lab, alpha, near) == set()


def test_no_datagram_is_answered(site: Site) -> None:
    asks = [[sys.executable, "-c", DATAGRAMS, site.lab.host(name).address] for name in USUAL]
    with ThreadPoolExecutor() as pool:
        said = [done.stdout.strip() for done in pool.map(site.lab.control, asks)]
    assert said == ["[]"] * len(USUAL)


def test_who_is_in_no_management_network_finds_no_port(site: Site) -> None:
    alpha = site.lab.host("alpha")
    cable = ["ip", "address", "add", f"{STRANGER}/24", "dev", "lab"]
    alpha.inside(f"ip address add {NEIGHBOUR}/24 dev host0")
    site.lab.control(cable)
    try:
        with listener(alpha, PLANTED), let_in(alpha, PLANTED):
            found = ports(site.lab, alpha, ALL, STRANGER, NEIGHBOUR)
    finally:
        alpha.inside(f"ip address del {NEIGHBOUR}/24 dev host0")
        site.lab.control([*cable[:2], "del", *cable[3:]])
    assert found == {PLANTED}


# --- the API ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(site, tmp_path_factory.mktemp("desk"))


class Desk:
    """Asks nodes, each time as somebody."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.lab, self._folder = site.lab, folder
        self.pki = site.lab.place.pki

    def ask(self, node: str, papers: Mapping[str, str], asks: Sequence[Json]) -> list[Json]:
        line = {"name": node, "address": self.lab.host(node).address, "ca": str(self.pki / "ca.pem"), **papers}
        given = json.dumps([{**line, **ask} for ask in asks])
        done = self.lab.control([sys.executable, str(HERE / "asking.py")], given=given)
        answers: list[Json] = json.loads(done.stdout)
        return answers

    def status(self, node: str, papers: Mapping[str, str], path: str = "/v1/status", **more: Any) -> object:
        [said] = self.ask(node, papers, [{"path": path, **more}])
        return said.get("status", "refused")

    def console(self, name: str) -> dict[str, str]:
        return {
            ending: str(self.pki / "consoles" / f"{name}.{end}") for ending, end in (("cert", "pem"), ("key", "key"))
        }

    def papers(self, kind: str) -> dict[str, str]:
        """Each is wrong in its own way."""
        stolen, other = Stolen(self._folder / f"s-{kind}", self.pki), Authority(self._folder / f"o-{kind}", "other")
        made = {
            "foreign": lambda: other.console("lab", "admin"),
            "expired": lambda: stolen.console("old", "admin", end=PAST),
            "early": lambda: stolen.console("early", "admin", begin=FUTURE),
            "a node's own": lambda: stolen.node("bravo"),
            "of no known role": lambda: stolen.console("lab", "emperor"),
        }
        if kind not in made:
            return {}
        signed = made[kind]()
        return {"cert": str(signed.cert), "key": str(signed.key)}


WRONG = ("none", "foreign", "expired", "early", "a node's own", "of no known role")


@pytest.mark.parametrize("kind", WRONG)
def test_who_has_no_papers_or_wrong_ones_is_told_nothing(desk: Desk, kind: str) -> None:
    papers = desk.papers(kind)
    for node in USUAL:
        assert desk.status(node, papers) in REFUSED
    assert desk.status("alpha", desk.console("lab")) == 200


@pytest.mark.parametrize("token", ["", "x" * 64, "0" * 64, "é"])
def test_a_token_that_nobody_was_given_opens_nothing(desk: Desk, token: str) -> None:
    header = {"Authorization": "Bearer " + token.encode().decode("latin-1")}
    assert desk.status("alpha", {}, headers=header) == 401


def test_nothing_is_spoken_without_tls(site: Site) -> None:
    url = f"http://{site.lab.host('alpha').address}:{API}/v1/status"
    done = site.lab.control(["curl", "--silent", "--show-error", "--max-time", "10", url], check=False)
    assert (done.returncode != 0, done.stdout) == (True, "")


@pytest.mark.parametrize("version", ["--tls-max 1.1", "--tls-max 1.0"])
def test_no_old_tls_is_spoken(site: Site, version: str) -> None:
    url = f"https://{site.lab.host('alpha').address}:{API}/health/live"
    words = ["curl", "--silent", "--insecure", "--ciphers", "DEFAULT@SECLEVEL=0", "--tlsv1.0", *version.split(), url]
    assert site.lab.control(words, check=False).returncode != 0


def test_what_is_revoked_counts_no_more_after_the_next_run_on_that_part(desk: Desk, site: Site, tmp_path: Path) -> None:
    gone = ["--dir", str(desk.pki)]
    site.lab.control([sys.executable, "-m", "console.cli", "pki", "console", "gone", "--role", "admin", *gone])
    papers = {name: shutil.copy(path, tmp_path) for name, path in desk.console("gone").items()}
    assert desk.status("alpha", papers) == 200
    site.lab.control([sys.executable, "-m", "console.cli", "pki", "revoke", "gone", *gone])
    played = site.lab.play("site", "--tags", "pki")
    assert (played.rc, set(played.changed.values())) == (0, {1}), played.stdout
    assert {desk.status(node, papers) for node in USUAL} <= set(REFUSED)
    assert [desk.status(node, desk.console("lab")) for node in USUAL] == [200] * 3


def ask_of(route: Route) -> Json:
    """Of things that are not there, and with what no route takes: even who may do it does no harm."""
    return {"method": route.method, "path": re.sub(r"\{\w+\}", NOBODY, route.path), "body": "[not JSON"}


@pytest.mark.parametrize("node", ["alpha", "charlie"])
@pytest.mark.parametrize("who", [*CONSOLES, ""])
def test_each_route_is_for_its_role_and_those_above(desk: Desk, node: str, who: str) -> None:
    role = Role[CONSOLES[who].upper()] if who else Role.OPEN
    answers = desk.ask(node, desk.console(who) if who else {}, [ask_of(route) for route in ROUTES])
    asked = dict(zip(ROUTES, (answer.get("status") for answer in answers), strict=True))
    shut = 403 if who else 401
    forbidden = {route for route in ROUTES if route.role > role}
    assert [route for route in forbidden if asked[route] != shut] == []
    assert [
        (route, asked[route]) for route in ROUTES if route not in forbidden and asked[route] in {401, 403, None}
    ] == []
