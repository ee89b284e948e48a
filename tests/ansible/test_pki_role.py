"""Role pki on this machine: when it asks for a certificate, what it places, and a swap that is killed at every step."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console.fleet import issuing, private
from console.fleet.authority import papers
from console.fleet.clock import Clock
from console.fleet.office import Office
from tests.ansible.parts import NO_HOST, UNMEASURED, Rendered, render

pytestmark = pytest.mark.slow

FILES = Path(__file__).parents[2] / "roles" / "pki" / "files"
NODE = "node-1"
ISSUED, HOST_CERTIFICATE = "/etc/heliograph/tls/issued.pem", "/etc/ssh/ssh_host_ed25519_key-cert.pub"
FAKES = ("chgrp", "systemctl")
"""What needs a node; they do nothing here."""
USED = ("openssl", "cmp", "mktemp", "cp", "chmod", "sync", "ln", "mv", "rm", "readlink")
DEADLY = """#!/bin/sh
# ends the shell that calls at the call that is due: half of them before it is done, half after
n=$(($(cat "$COUNT") + 1)); echo $n > "$COUNT"
[ $n -ne "$DUE" ] || kill -9 $PPID
exec {real} "$@"
"""


@pytest.fixture
def bureau(tmp_path: Path) -> Office:
    made = Office(tmp_path / "pki", Clock(), lambda _: None)
    made.init()
    return made


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the node's files are, on a machine that is none."""
    monkeypatch.setenv("PKI_TLS", str(tmp_path / "tls"))
    return tmp_path / "tls"


def played(bureau: Office, fact: dict[str, Any] | None = None, *options: str, **more: Any) -> Rendered:
    facts = {**NO_HOST, "ansible_local": {"heliograph": {"certificate": fact}}}
    return render(
        bureau.folder.parent / "play", "pki", {"heliograph_pki_dir": str(bureau.folder), **more}, facts, options
    )


def on_record(bureau: Office) -> dict[str, Any]:
    """As the host would tell of it."""
    return {"sha256": papers(private.text(bureau.path("node", NODE)))[0].sha256}


def issued(bureau: Office) -> int:
    return len([entry for entry in bureau.log() if entry["kind"] == "node"])


def test_without_an_authority_the_remedy_is_said_and_nothing_done(tmp_path: Path, tls: Path) -> None:
    bureau = Office(tmp_path / "none", Clock(), lambda _: None)
    done = played(bureau)
    assert done.status != 0
    assert f"node-1: {bureau.folder} holds no certificate authority" in done.output
    assert "heliograph pki init --dir" in done.output
    assert not tls.exists()


def test_a_node_without_one_gets_a_certificate_and_its_key_stays(bureau: Office, tls: Path) -> None:
    done = played(bureau, None, "-vvv", "--diff")
    assert done.status == 0, done.output
    content = done.contents("pki")[ISSUED]
    assert content.startswith("-----BEGIN CERTIFICATE-----")
    assert content.endswith("-----END CERTIFICATE-----\n")
    assert content.count("BEGIN") == 1
    assert papers(content)[0].sha256 == on_record(bureau)["sha256"]
    key = tls / "node.key.new"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for line in key.read_text().splitlines()[1:-1]:
        assert line not in done.output
        assert all(line not in path.read_text() for path in bureau.folder.rglob("*") if path.is_file())


def test_what_fits_is_left_alone(bureau: Office, tls: Path) -> None:
    first = played(bureau)
    again = played(bureau, on_record(bureau))
    assert (again.status, issued(bureau)) == (0, 1)
    assert again.parts["pki"] == first.parts["pki"]


@pytest.mark.parametrize("why", ["another", "old", "issuer", "revoked", "asked for"])
def test_what_does_not_fit_is_replaced(bureau: Office, tls: Path, why: str) -> None:
    played(bureau)
    fact, more = on_record(bureau), {}
    if why == "another":
        fact = {"sha256": "0" * 64}
    elif why == "old":
        more = {"pki_renew_days": 366}
    elif why == "issuer":
        bureau.begin_next()
        bureau.promote()
    elif why == "revoked":
        issuing.revoke(bureau, NODE)
    else:
        more = {"pki_rotate": True}
    done = played(bureau, fact, **more)
    assert (done.status, issued(bureau)) == (0, 2), done.output
    assert on_record(bureau) != fact


def test_check_mode_makes_nothing(bureau: Office, tls: Path) -> None:
    done = played(bureau, None, "--check")
    assert (done.status, issued(bureau)) == (0, 0), done.output
    assert not tls.exists()
    assert ISSUED not in done.contents("pki")


def test_what_the_authority_refuses_is_said_with_host_and_remedy(bureau: Office, tls: Path) -> None:
    (bureau.folder / "ca.key").chmod(0o644)
    done = played(bureau)
    assert done.status != 0
    said = " ".join(done.output.split())
    assert "node-1: FLT-025" in said
    assert "chmod 0600" in said
    assert issued(bureau) == 0


def test_a_host_key_is_certified_once_under_name_and_address(bureau: Office, tls: Path, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "host")], check=True)
    word = (tmp_path / "host.pub").read_text().split()[1]
    more = {"ansible_host": "10.0.0.5", "ansible_connection": "local", "ssh_key": word}
    facts = {**NO_HOST, "ssh_host_key_ed25519_public": word}
    given = {"heliograph_pki_dir": str(bureau.folder), **more}
    first = render(tmp_path / "play", "pki", given, {**facts, "ansible_ssh_host_key_ed25519_public": word})
    again = render(tmp_path / "play", "pki", given, {**facts, "ansible_ssh_host_key_ed25519_public": word})
    assert (first.status, again.status) == (0, 0), first.output
    assert first.contents("pki")[HOST_CERTIFICATE] == again.contents("pki")[HOST_CERTIFICATE]
    assert " names=node-1,10.0.0.5 " in first.contents("pki")[HOST_CERTIFICATE]
    assert len([entry for entry in bureau.log() if entry["kind"] == "ssh-host"]) == 1
    off = render(tmp_path / "play", "pki", {**given, "pki_ssh_host_certificate": ""}, facts)
    assert HOST_CERTIFICATE not in off.contents("pki")


# --- the swap ---------------------------------------------------------------------------------------------------------


def sh(script: str, tls: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = ["sh", "-c", (FILES / script).read_text(), "sh", *words]
    env = {**os.environ, "PKI_TLS": str(tls), **environment}
    return subprocess.run(given, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def fakes(tmp_path: Path) -> str:
    folder = tmp_path / "fakes"
    folder.mkdir()
    for name in FAKES:
        (folder / name).symlink_to("/bin/true")
    return f"{folder}:{os.environ['PATH']}"


def renewed(tls: Path, bureau: Office) -> None:
    """A new key on the node, and its certificate beside."""
    asked = sh("request.sh", tls, NODE)
    assert asked.returncode == 0, asked.stderr
    (tls / "issued.pem").write_text(issuing.sign(bureau, NODE, asked.stdout.encode()))


def paired(tls: Path) -> str:
    """The certificate in force, when its key is beside it."""
    folder = tls / "in-force"
    shown = [
        subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=True).stdout
        for words in (("x509", "-in", "node.pem", "-noout", "-pubkey"), ("pkey", "-in", "node.key", "-pubout"))
    ]
    assert shown[0] == shown[1]
    return (folder / "node.pem").read_text()


def test_a_pair_comes_into_force_whole_and_nothing_else_is_left(tls: Path, bureau: Office, fakes: str) -> None:
    for _ in range(2):
        renewed(tls, bureau)
        for _ in range(2):
            assert sh("pair.sh", tls, PATH=fakes).returncode == 0
            assert paired(tls) == (tls / "issued.pem").read_text()
            left = sorted(path.name for path in tls.iterdir())
            assert left == ["in-force", "issued.pem", str((tls / "in-force").readlink())]
        assert stat.S_IMODE((tls / "in-force" / "node.key").stat().st_mode) == 0o640


def test_a_certificate_of_a_key_that_is_not_here_is_refused_before_it_is_placed(
    tls: Path, bureau: Office, fakes: str, tmp_path: Path
) -> None:
    renewed(tls, bureau)
    sh("pair.sh", tls, PATH=fakes)
    other = tmp_path / "other"
    renewed(other, bureau)
    for words in (("check", str(other / "issued.pem")), ("check", "/dev/null")):
        assert sh("pair.sh", tls, *words, PATH=fakes).returncode != 0
    refused = sh("pair.sh", tls, "check", str(other / "issued.pem"), PATH=fakes)
    assert refused.stderr == "this host has no key of that certificate\n"
    assert sh("pair.sh", tls, "check", str(tls / "issued.pem"), PATH=fakes).returncode == 0


def test_killed_at_every_step_key_and_certificate_are_a_pair(tls: Path, bureau: Office, fakes: str) -> None:
    deadly = Path(fakes.split(":", 1)[0])
    for name in USED:
        (deadly / name).write_text(DEADLY.format(real=shutil.which(name)))
        (deadly / name).chmod(0o755)
    renewed(tls, bureau)
    assert sh("pair.sh", tls, PATH=fakes, COUNT=counter(deadly), DUE="0").returncode == 0
    statuses = [-9]
    while statuses[-1]:
        before = paired(tls)
        renewed(tls, bureau)
        done = sh("pair.sh", tls, PATH=fakes, COUNT=counter(deadly), DUE=str(len(statuses)))
        statuses.append(done.returncode)
        assert paired(tls) in {before, (tls / "issued.pem").read_text()}
        assert sh("pair.sh", tls, PATH=fakes, COUNT=counter(deadly), DUE="0").returncode == 0
        assert paired(tls) == (tls / "issued.pem").read_text()
        assert len(list(tls.iterdir())) == 3
    assert len([status for status in statuses if status == -9]) > 10


def counter(folder: Path) -> str:
    (folder / "count").write_text("0")
    return str(folder / "count")


def test_a_request_that_fails_leaves_no_key_to_be_taken_for_one(tls: Path, fakes: str) -> None:
    broken = Path(fakes.split(":", 1)[0]) / "openssl"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert sh("request.sh", tls, NODE, PATH=fakes).returncode != 0
    assert not (tls / "node.key.new").exists()


def test_the_wiping_takes_what_is_named_and_nothing_else(tmp_path: Path, fakes: str) -> None:
    keys, stays = tmp_path / "keys", tmp_path / "frames"
    for folder in (keys, stays):
        folder.mkdir()
        (folder / "one").write_text("content")
    for said in (f"wiped {keys}\n", ""):
        done = sh("wipe.sh", tmp_path, str(keys), str(tmp_path / "none"), PATH=fakes)
        assert (done.returncode, done.stdout) == (0, said), done.stderr
    assert (stays / "one").read_text() == "content"
    assert not keys.exists()


def test_a_wiping_that_was_cut_short_is_ended_by_the_next(tmp_path: Path, fakes: str) -> None:
    keys, begun = tmp_path / "keys", tmp_path / "keys.wiping"
    begun.mkdir()
    (begun / "half").write_text("content")
    done = sh("wipe.sh", tmp_path, str(keys), PATH=fakes)
    assert (done.returncode, done.stdout) == (0, f"wiped {keys}\n"), done.stderr
    assert not begun.exists()


def test_retiring_is_refused_unless_one_node_is_named_twice(tmp_path: Path) -> None:
    playbook = FILES.parents[2] / "playbooks" / "retire.yml"
    inventory = tmp_path / "hosts.json"
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(json.dumps({"fleet": {"hosts": {"kyoto": local, "cusco": local}}}))
    for words in (
        (), ("-e", "retire_confirm=kyoto"), ("--limit", "kyoto"), ("--limit", "kyoto", "-e", "retire_confirm=cusco"),
        ("--limit", "kyoto", "-e", "retire_confirm=kyoto", "-e", "retire_backup=/tmp/last.tar"),
    ):  # fmt: skip
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, playbook, *words]
        ours = {"ANSIBLE_ROLES_PATH": str(FILES.parents[1]), "HOME": str(tmp_path), "ANSIBLE_BECOME": "false"}
        done = subprocess.run(
            command, env=os.environ | ours | UNMEASURED, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode != 0
        assert "nothing was done" in done.stdout
        assert "changed=1" not in done.stdout
