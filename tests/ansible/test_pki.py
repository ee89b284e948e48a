"""Certificates on real hosts, two at once and one after the other: no gap, no harm by a power cut, a node retired."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import Site
from tests.lab import papers
from tests.lab.host import Host
from tests.lab.lab import Lab, Played

pytestmark = pytest.mark.lab

NODES = ("alpha", "charlie")
"""One of each suite."""
CUT, GONE = "charlie", "alpha"
ASKER = """
import hashlib, json, os, socket, ssl, sys, time
address, ca, console, name, stop = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(console + ".pem", console + ".key")
asked, faults, seen, worst = 0, [], [], 0.0
while not os.path.exists(stop):
    began = time.monotonic()
    try:
        plain = socket.create_connection((address, 8460), 20)
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


@dataclass(frozen=True, slots=True)
class Heard:
    """By somebody who asks a node all the time, each time on a new connection."""

    asked: int
    faults: list[str]
    seen: list[str]
    worst: float


def pki(lab: Lab, *words: str, given: str | None = None) -> str:
    """`heliograph pki` on the control host."""
    return lab.control(["python", "-m", "console.cli", "pki", *words, "--dir", str(lab.place.pki)], given=given).stdout


def played(lab: Lab, *nodes: str) -> Played:
    """The part of site.yml that is the authority's, on those nodes or all."""
    return lab.play("site", *(("--limit", ",".join(nodes)) if nodes else ()), "--tags", "pki")


def changed(done: Played) -> set[str]:
    assert done.rc == 0, done.stdout
    return {name for name, count in done.changed.items() if count}


def consoles(lab: Lab) -> None:
    for name, role in papers.CONSOLES.items():
        pki(lab, "console", name, "--role", role)


@contextmanager
def asked(lab: Lab, folder: Path) -> Iterator[dict[str, Heard]]:
    """Both nodes are asked all the time meanwhile; then, what was heard."""
    stop, heard = folder / "stop", dict[str, Heard]()
    with ThreadPoolExecutor() as pool:
        asking = {name: pool.submit(ask, lab, lab.host(name), stop) for name in NODES}
        try:
            yield heard
        finally:
            stop.touch()
            heard |= {name: each.result(120) for name, each in asking.items()}


def ask(lab: Lab, host: Host, stop: Path) -> Heard:
    words = [host.address, str(lab.place.pki / "ca.pem"), str(lab.place.pki / "consoles" / "lab"), host.name, str(stop)]
    said: dict[str, Any] = json.loads(lab.control(["python", "-c", ASKER, *words]).stdout)
    return Heard(**said)


def in_force(lab: Lab) -> dict[str, str]:
    return {name: in_force_on(lab.host(name)) for name in NODES}


def in_force_on(host: Host) -> str:
    """Its fingerprint, where key and certificate are a pair."""
    said = host.inside(
        "cd /etc/heliograph/tls && openssl x509 -in node.pem -noout -pubkey > /run/one"
        " && openssl pkey -in node.key -pubout | cmp - /run/one && rm /run/one"
        " && openssl x509 -in node.pem -noout -fingerprint -sha256"
    ).stdout
    return str(said).strip().rpartition("=")[2].replace(":", "").lower()


def test_rotation_is_no_outage(site: Site, tmp_path: Path) -> None:
    lab = site.lab
    service = "systemctl show -p MainPID heliograph-node"
    before, started = in_force(lab), [lab.host(name).inside(service).stdout for name in NODES]
    with asked(lab, tmp_path) as heard:
        done = lab.play("rotate_certs", "--limit", ",".join(NODES))
    assert changed(done) == set(NODES)
    after = in_force(lab)
    for name in NODES:
        assert (heard[name].faults, heard[name].seen) == ([], [before[name], after[name]])
        assert heard[name].asked > 20
        assert len(lab.host(name).inside("ls -d /etc/heliograph/tls/pair-*").stdout.split()) == 1
    assert [lab.host(name).inside(service).stdout for name in NODES] == started


def test_a_rotation_that_ends_between_key_and_certificate_is_made_good(site: Site) -> None:
    lab = site.lab
    host = lab.host(CUT)
    before = in_force_on(host)
    script = (Path(__file__).parents[2] / "roles" / "pki" / "files" / "request.sh").read_text()
    request = host.inside(["sh", "-c", script, "sh", CUT]).stdout
    assert "BEGIN CERTIFICATE" in pki(lab, "sign", "--node", CUT, given=request)
    host.power_cut()
    host.start()
    assert in_force_on(host) == before
    assert changed(played(lab, *NODES)) == {CUT}
    assert in_force_on(host) != before


def test_another_authority_takes_over_without_an_outage(site: Site, tmp_path: Path) -> None:
    lab = site.lab
    pki(lab, "init", "--next")
    assert changed(played(lab)) >= set(NODES)
    pki(lab, "promote")
    consoles(lab)
    before = in_force(lab)
    with asked(lab, tmp_path) as heard:
        assert changed(played(lab)) >= set(NODES)
    after = in_force(lab)
    for name in NODES:
        assert (heard[name].faults, heard[name].seen) == ([], [before[name], after[name]])
    assert pki(lab, "promote", "--drop-old") == "no more trusted: 1\n"
    assert changed(played(lab)) >= set(NODES)
    for name in NODES:
        assert lab.host(name).inside("grep -c BEGIN /etc/heliograph/tls/ca.pem").stdout.strip() == "1"


def test_ssh_believes_a_host_by_its_certificate_alone(site: Site, tmp_path: Path) -> None:
    lab = site.lab
    lines = (lab.place.pki / "known_hosts").read_text().splitlines()
    known = {True: [line for line in lines if line.startswith("@cert-authority")], False: []}
    for believed, content in known.items():
        (tmp_path / "known_hosts").write_text("\n".join(content) + "\n")
        for name in NODES:
            done = lab.control(
                [*by_certificate(lab, tmp_path / "known_hosts"), lab.host(name).address, "true"], check=False
            )
            assert (done.returncode == 0) == believed, done.stderr


def by_certificate(lab: Lab, known_hosts: Path) -> list[str]:
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-n", "-F", "none", "-i", str(lab.place.key), "-l", "pi", *words]


def test_an_authority_that_is_not_there_stops_a_run_before_it_begins(site: Site) -> None:
    lab = site.lab
    before = in_force(lab)
    done = lab.play("site", "--limit", ",".join(NODES), "--tags", "pki", "-e", "heliograph_pki_dir=/nowhere")
    assert done.rc != 0
    assert not any(done.changed.values())
    said = " ".join(done.stdout.split())
    for name in NODES:
        assert f"{name}: /nowhere holds no certificate authority. Remedy: `heliograph pki init" in said
    assert in_force(lab) == before


def test_a_retired_node_is_nobody_until_it_is_made_anew(site: Site) -> None:
    lab = site.lab
    host, backups = lab.host(GONE), lab.place.folder / "backups" / GONE
    sha256 = in_force_on(host)
    before = set(backups.glob("*"))
    retired = lab.play("retire", "--limit", GONE, "-e", f"retire_confirm={GONE}", "-e", "retire_backup=true")
    assert changed(retired) == {GONE}
    assert [file.stat().st_size > 1000 for file in set(backups.glob("*")) - before] == [True]
    assert f"Take {GONE} out of the inventory" in retired.stdout
    assert sha256 in (lab.place.pki / "revoked").read_text()
    gone = "ls /etc/heliograph /var/lib/heliograph-host; systemctl is-active heliograph-node heliograph-worker"
    assert host.inside(gone, check=False).stdout.split() == ["inactive", "inactive"]
    assert played(lab, GONE).rc != 0
    host.inside("rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh")  # as a card that is written anew
    lab.up(GONE)
    assert changed(lab.play("site", "--limit", GONE)) == {GONE}
    assert in_force_on(host) != sha256
    units = "heliograph-node heliograph-worker heliograph-ship"
    assert host.inside(f"systemctl is-active {units}").stdout.split() == ["active"] * 3
