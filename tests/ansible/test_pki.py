"""Certificates on real hosts: no gap, no harm by a power cut, nothing secret seen, a node retired."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from tests.lab.host import Host
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

NODE = "alpha"
NODE_VARIABLES = {"node_cameras": {"main": {"backend": "synthetic"}}, "node_wheelhouse": "/srv/wheels"}
SITE = ("--limit", NODE, "-e", json.dumps(NODE_VARIABLES))
PKI = (*SITE, "--tags", "pki")
"""What this role wants, whatever else is in work."""
ASKER = """
import hashlib, json, os, socket, ssl, sys, time
address, ca, console, name, stop = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(console + ".pem", console + ".key")
asked, faults, seen, worst = 0, [], [], 0.0
while not os.path.exists(stop):
    began = time.monotonic()
    try:
        plain = socket.create_connection((address, 8460), 5)
        with context.wrap_socket(plain, server_hostname=name) as s:
            sha256 = hashlib.sha256(s.getpeercert(True)).hexdigest()
            seen += [] if sha256 in seen else [sha256]
            s.sendall(b"GET /v1/status HTTP/1.1\\r\\nHost: node\\r\\nConnection: close\\r\\n\\r\\n")
            said = s.recv(100)
            faults += [] if said.startswith(b"HTTP/1.1 200") else [repr(said)]
    except OSError as fault:
        faults.append(repr(fault))
    asked, worst = asked + 1, max(worst, time.monotonic() - began)
    time.sleep(0.05)
print(json.dumps({"asked": asked, "faults": faults, "seen": seen, "worst": worst}))
"""


def pki(lab: Lab, *words: str) -> str:
    """`heliograph pki` on the control host."""
    return lab.control(["python", "-m", "console.cli", "pki", *words, "--dir", str(folder(lab))]).stdout


def folder(lab: Lab) -> Path:
    return lab.place.folder / "pki"


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    """A node that serves."""
    pki(lab, "init")
    pki(lab, "console", "lab", "--role", "admin")
    played = lab.play("site", *SITE)
    assert played.rc == 0, played.stdout
    return lab.host(NODE)


@contextmanager
def asked(lab: Lab, host: Host, tmp_path: Path) -> Iterator[dict[str, object]]:
    """Somebody asks all the time meanwhile, each time on a new connection; then, what was heard."""
    stop, heard = tmp_path / "stop", dict[str, object]()
    words = [host.address, str(folder(lab) / "ca.pem"), str(folder(lab) / "consoles" / "lab"), NODE, str(stop)]
    asker = threading.Thread(
        target=lambda: heard.update(json.loads(lab.control(["python", "-c", ASKER, *words]).stdout))
    )
    asker.start()
    try:
        yield heard
    finally:
        stop.touch()
        asker.join(60)


def in_force(host: Host) -> str:
    """Its fingerprint, where key and certificate are a pair."""
    said = host.inside(
        "cd /etc/heliograph/tls && openssl x509 -in node.pem -noout -pubkey > /tmp/one"
        " && openssl pkey -in node.key -pubout | cmp - /tmp/one"
        " && openssl x509 -in node.pem -noout -fingerprint -sha256"
    ).stdout
    return str(said).strip().rpartition("=")[2].replace(":", "").lower()


def test_a_second_run_changes_nothing(lab: Lab, host: Host) -> None:
    for more in ((), ("--check", "--diff")):
        played = lab.play("site", *PKI, *more)
        assert (played.rc, played.changed[NODE]) == (0, 0), played.stdout


def test_rotation_is_no_outage(lab: Lab, host: Host, tmp_path: Path) -> None:
    before, started = in_force(host), host.run("systemctl show -p MainPID heliograph-node").stdout
    with asked(lab, host, tmp_path) as heard:
        played = lab.play("rotate_certs", "--limit", NODE)
    assert played.rc == 0, played.stdout
    after = in_force(host)
    assert (heard["faults"], heard["seen"]) == ([], [before, after])
    assert int(str(heard["asked"])) > 20
    assert host.run("systemctl show -p MainPID heliograph-node").stdout == started
    assert len(host.inside("ls -d /etc/heliograph/tls/pair-*").stdout.split()) == 1


def test_another_authority_takes_over_without_an_outage(lab: Lab, host: Host, tmp_path: Path) -> None:
    pki(lab, "init", "--next")
    assert lab.play("site", *PKI).rc == 0
    pki(lab, "promote")
    pki(lab, "console", "lab", "--role", "admin")
    before = in_force(host)
    with asked(lab, host, tmp_path) as heard:
        assert lab.play("site", *PKI).rc == 0
    assert pki(lab, "promote", "--drop-old") == "no more trusted: 1\n"
    assert (heard["faults"], heard["seen"]) == ([], [before, in_force(host)])
    assert lab.play("site", *PKI).rc == 0
    assert host.inside("grep -c BEGIN /etc/heliograph/tls/ca.pem").stdout.strip() == "1"


def test_a_rotation_that_ends_between_key_and_certificate_is_made_good(lab: Lab, host: Host) -> None:
    before = in_force(host)
    script = (Path(__file__).parents[2] / "roles" / "pki" / "files" / "request.sh").read_text()
    request = host.inside(["sh", "-c", script, "sh", NODE]).stdout
    signed = lab.control(
        ["python", "-m", "console.cli", "pki", "sign", "--node", NODE, "--dir", str(folder(lab))], given=request
    )
    assert "BEGIN CERTIFICATE" in signed.stdout
    host.power_cut()
    host.start()
    assert in_force(host) == before
    assert lab.play("site", *PKI).rc == 0
    assert in_force(host) != before
    played = lab.play("site", *PKI)
    assert (played.rc, played.changed[NODE]) == (0, 0), played.stdout


def test_ssh_believes_a_host_by_its_certificate_alone(lab: Lab, host: Host, tmp_path: Path) -> None:
    lines = (folder(lab) / "known_hosts").read_text().splitlines()
    known = {True: [line for line in lines if line.startswith("@cert-authority")], False: []}
    for believed, content in known.items():
        (tmp_path / "known_hosts").write_text("\n".join(content) + "\n")
        words = ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={tmp_path / 'known_hosts'}"]
        words += ["-o", "GlobalKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
        command = ["ssh", "-n", "-F", "none", "-i", str(lab.place.folder / "key"), *words, f"pi@{host.address}", "true"]
        done = lab.control(command, check=False)
        assert (done.returncode == 0) == believed, done.stderr


# --- secrets ----------------------------------------------------------------------------------------------------------


class Watching:
    """The command lines of all processes of this machine, the hosts' too, as long as it lasts."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.seen.add(path.read_bytes())
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)


def secrets_of(lab: Lab, host: Host) -> set[str]:
    """Lines of every private key there is."""
    ours = [path.read_text() for path in (*folder(lab).glob("*ca*"), *folder(lab).rglob("*.key")) if path.is_file()]
    keys = [text for text in ours if "PRIVATE KEY" in text]
    keys += [host.inside("cat /etc/heliograph/tls/node.key").stdout, host.inside("cat /etc/ssh/ssh_host_*_key").stdout]
    lines = {line for key in keys for line in key.splitlines() if "-----" not in line and len(line) > 20}
    public = host.inside("cat /etc/ssh/ssh_host_*_key.pub").stdout  # stands in the files of private keys too
    public += (folder(lab) / "known_hosts").read_text()
    return {line for line in lines if line not in public}


@pytest.mark.parametrize("lines", [False, True])
def test_nothing_secret_is_seen_anywhere(lab: Lab, host: Host, *, lines: bool) -> None:
    more = {"ANSIBLE_STDOUT_CALLBACK": "heliograph_lines"} if lines else {}
    before = secrets_of(lab, host)
    with Watching() as watching:
        rotated = lab.play("rotate_certs", "--limit", NODE, "-vvv", "--diff", **more)
        site = lab.play("site", *PKI, "-vvv", "--diff", **more)
    assert (rotated.rc, site.rc) == (0, 0), rotated.stdout
    secrets = before | secrets_of(lab, host)
    assert len(secrets) > 6
    journal = host.inside("journalctl --no-pager -q; cat /var/log/*.log /var/log/*/*.log 2> /dev/null; true").stdout
    commands = "\n".join(command.decode(errors="replace") for command in watching.seen)
    assert "openssl" in commands
    for where in (rotated.stdout, site.stdout, journal, commands):
        assert [secret for secret in secrets if secret in where] == []


def test_an_authority_that_is_not_there_stops_a_run_before_it_begins(lab: Lab, host: Host) -> None:
    before = in_force(host)
    played = lab.play("site", *PKI, "-e", "heliograph_pki_dir=/nowhere")
    assert played.rc != 0
    assert played.changed.get(NODE, 0) == 0
    assert f"{NODE}: /nowhere holds no certificate authority" in played.stdout
    assert in_force(host) == before


def test_a_retired_node_is_nobody_until_it_is_made_anew(lab: Lab, host: Host, tmp_path: Path) -> None:
    backup = tmp_path / "last.tar"
    words = ("--limit", NODE, "-e", f"retire_confirm={NODE}", "-e", f"retire_backup={backup}")
    sha256 = in_force(host)
    played = lab.play("retire", *words)
    assert played.rc == 0, played.stdout
    assert backup.stat().st_size > 1000
    assert f"Take {NODE} out of the inventory" in played.stdout
    assert sha256 in (folder(lab) / "revoked").read_text()
    gone = "ls /etc/heliograph /var/lib/heliograph-host; systemctl is-active heliograph-node heliograph-worker"
    said = host.inside(gone, check=False).stdout.split()
    assert said == ["inactive", "inactive"]
    refused = lab.play("site", *PKI)
    assert refused.rc != 0
    host.inside("rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh")  # as a card that is written anew
    lab.up(NODE)
    made = lab.play("site", *SITE)
    assert made.rc == 0, made.stdout
    assert in_force(host) != sha256
