"""`heliograph pki` from outside: its folder, two at once, kills, permissions, clocks, a second authority."""

from __future__ import annotations

import fcntl
import json
import os
import re
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from console import cli
from console.fleet import authority, issuing, office, standing
from console.fleet.authority import DAY_S
from console.fleet.clock import Clock
from console.fleet.office import Office
from node.wire.errors import AuthorityUnusable, ClockDoubted, NameTaken, RequestUnfit

PYTHON = (sys.executable, "-m", "console.cli", "pki")
P256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
KILLING = """
import os, shutil, signal, sys
from console import cli
from console.fleet import issuing, standing

base, n, words = sys.argv[1], 0, sys.argv[2:]
CALLS = ("open", "fsync", "write", "replace", "rename", "unlink", "mkdir", "fchmod")

def attempt(folder, at):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [at]
    def deadly(call):
        def counted(*given, **named):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **named)
        return counted
    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))
    os.dup2(os.open(base + "/stdin", os.O_RDONLY), 0)
    os._exit(cli.main(["pki", *words, "--dir", folder + "/pki"]))

first = -9
while first == -9:
    n += 1
    folder = f"{base}/at-{n}"
    shutil.copytree(f"{base}/before", folder)
    first = attempt(folder, n)
    between = attempt(folder, 0)
    print(n, first, between, file=sys.stderr)
"""


def request(folder: Path, name: str = "kyoto") -> bytes:
    """Of a fresh key, as the role makes it."""
    names = f"subjectAltName=DNS:{name},URI:urn:heliograph:node:{name}"
    command = ["openssl", "req", "-new", *P256, "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={name}"]
    return subprocess.run([*command, "-addext", names], cwd=folder, capture_output=True, check=True).stdout


def host_key(folder: Path, name: str = "host") -> bytes:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    return (folder / f"{name}.pub").read_bytes()


class At:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = Clock().utc_us() // 1_000_000

    def clock(self) -> Clock:
        return Clock(utc_us=lambda: self.now_s * 1_000_000)


@pytest.fixture
def at() -> At:
    return At()


@pytest.fixture
def bureau(tmp_path: Path, at: At) -> Office:
    made = Office(tmp_path / "pki", at.clock(), lambda _: None)
    assert made.init()
    return made


def run(folder: Path, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*PYTHON, *words, "--dir", str(folder)], input=data, capture_output=True, check=False)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def entries(bureau: Office) -> list[dict[str, Any]]:
    return bureau.log()


# --- the whole way ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_from_nothing_to_a_connection_that_both_ends_trust(tmp_path: Path) -> None:
    folder = tmp_path / "inventory" / ".pki"
    inventory = tmp_path / "inventory" / "hosts.yml"
    inventory.parent.mkdir()
    inventory.write_text("all: {hosts: {kyoto: {}}}\n")
    for said in ("made", "nothing was missing"):
        done = subprocess.run([*PYTHON, "init", "-i", str(inventory)], capture_output=True, text=True, check=True)
        assert done.stdout == f"{folder}: {said}\n"
    signed = run(folder, "sign", "--node", "kyoto", data=request(tmp_path))
    assert (signed.returncode, signed.stderr, signed.stdout.count("BEGIN CERTIFICATE")) == (0, "", 2)
    (tmp_path / "kyoto.pem").write_text(signed.stdout)
    console = run(folder, "console", "anna", "--role", "operator")
    files = dict(re.findall(r"(heliograph_client_\w+): (\S+)", console.stdout))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(tmp_path / "kyoto.pem", tmp_path / "kyoto.key")
    client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_cert_chain(files["heliograph_client_cert_file"], files["heliograph_client_key_file"])
    assert shaken(server, client, "kyoto")["subjectAltName"] == (("URI", "urn:heliograph:role:operator"),)
    with pytest.raises(ssl.SSLCertVerificationError, match="ostname"):
        shaken(server, client, "cusco")
    shown = run(folder, "show")
    assert shown.returncode == 0
    assert [line.split()[:3] for line in shown.stdout.splitlines()[1:3]] == [
        ["ok", "console", "anna"], ["ok", "node", "kyoto"],
    ]  # fmt: skip
    assert open_to_others(folder) == []


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> dict[str, Any]:
    """The client's certificate as the server sees it."""
    ends = [ssl.MemoryBIO() for _ in range(4)]
    sides = [
        server.wrap_bio(ends[0], ends[1], server_side=True),
        client.wrap_bio(ends[2], ends[3], server_hostname=name),
    ]
    for turn in range(8):
        with suppress(ssl.SSLWantReadError):
            sides[(turn + 1) % 2].do_handshake()
        ends[0].write(ends[3].read())
        ends[2].write(ends[1].read())
    return dict(sides[0].getpeercert() or {})


def open_to_others(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & 0o077]


# --- the same again ---------------------------------------------------------------------------------------------------


def test_the_same_key_gets_the_same_certificate_while_it_is_young(tmp_path: Path, bureau: Office, at: At) -> None:
    asked = request(tmp_path)
    first = issuing.sign(bureau, "kyoto", asked)
    at.now_s += 200 * DAY_S
    assert issuing.sign(bureau, "kyoto", asked) == first
    at.now_s += 46 * DAY_S
    assert issuing.sign(bureau, "kyoto", asked) != first
    assert len([each for each in entries(bureau) if each["kind"] == "node"]) == 2


def test_another_key_gets_another_and_both_are_revoked_by_name(tmp_path: Path, bureau: Office) -> None:
    for _ in range(2):
        issuing.sign(bureau, "kyoto", request(tmp_path))
    gone = issuing.revoke(bureau, "kyoto")
    assert len(gone) == 2
    assert set(gone) == bureau.revoked()
    assert not (bureau.folder / "nodes" / "kyoto.pem").exists()
    assert issuing.revoke(bureau, "kyoto") == gone
    assert len(bureau.revoked()) == 2


def test_a_console_keeps_its_key_until_it_is_revoked(bureau: Office, at: At) -> None:
    key = bureau.folder / "consoles" / "anna.key"
    first = issuing.console(bureau, "anna", "admin")
    before = key.read_bytes()
    assert issuing.console(bureau, "anna", "admin") == first
    at.now_s += 61 * DAY_S
    assert issuing.console(bureau, "anna", "admin").until_s == at.now_s + 90 * DAY_S
    assert key.read_bytes() == before
    issuing.revoke(bureau, "anna")
    assert issuing.console(bureau, "anna", "viewer").bearer.role == "viewer"
    assert key.read_bytes() != before


def test_a_host_key_is_certified_anew_for_new_names_and_when_it_is_old(tmp_path: Path, bureau: Office, at: At) -> None:
    key = host_key(tmp_path)
    first = issuing.ssh_host(bureau, "kyoto", ["10.0.0.5"], key)
    assert issuing.ssh_host(bureau, "kyoto", ["10.0.0.5", "kyoto"], key) == first
    moved = issuing.ssh_host(bureau, "kyoto", ["10.0.0.6"], key)
    assert "names=kyoto,10.0.0.6 " in moved
    at.now_s += 5 * 365 * DAY_S
    assert issuing.ssh_host(bureau, "kyoto", ["10.0.0.6"], key) != moved


# --- who may have what ------------------------------------------------------------------------------------------------


def test_one_name_is_one_thing_and_one_key_is_ones_own(tmp_path: Path, bureau: Office) -> None:
    issuing.sign(bureau, "kyoto", request(tmp_path))
    issuing.console(bureau, "anna", "admin")
    with pytest.raises(NameTaken, match="kyoto is a node"):
        issuing.console(bureau, "kyoto", "viewer")
    assert not (bureau.folder / "consoles" / "kyoto.key").exists()
    with pytest.raises(NameTaken, match="anna is a console"):
        issuing.sign(bureau, "anna", request(tmp_path, "anna"))
    with pytest.raises(NameTaken, match="has the role admin: `heliograph pki revoke anna` first"):
        issuing.console(bureau, "anna", "viewer")
    words = ["openssl", "req", "-new", "-key", "kyoto.key", "-subj", "/CN=cusco"]
    stolen = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True).stdout
    with pytest.raises(RequestUnfit, match="this key is already kyoto's"):
        issuing.sign(bureau, "cusco", stolen)


def test_a_revoked_key_is_never_certified_again(tmp_path: Path, bureau: Office) -> None:
    asked = request(tmp_path)
    issuing.sign(bureau, "kyoto", asked)
    issuing.revoke(bureau, "kyoto")
    with pytest.raises(RequestUnfit, match="was revoked: make a new key"):
        issuing.sign(bureau, "kyoto", asked)
    assert issuing.sign(bureau, "kyoto", request(tmp_path))


def test_one_is_revoked_by_its_fingerprint_however_written(tmp_path: Path, bureau: Office) -> None:
    issuing.sign(bureau, "kyoto", request(tmp_path))
    [sha256] = [each["sha256"] for each in entries(bureau) if each["kind"] == "node"]
    written = ":".join(sha256[i : i + 2].upper() for i in range(0, 64, 2))
    assert issuing.revoke(bureau, written) == [sha256]
    assert not (bureau.folder / "nodes" / "kyoto.pem").exists()
    foreign = "ab" * 32
    assert issuing.revoke(bureau, foreign) == [foreign]
    assert bureau.revoked() == {sha256, foreign}


def test_a_line_that_somebody_wrote_by_hand_counts_as_it_does_on_nodes(tmp_path: Path, bureau: Office) -> None:
    asked = request(tmp_path)
    issuing.sign(bureau, "kyoto", asked)
    [sha256] = [each["sha256"] for each in entries(bureau) if each["kind"] == "node"]
    with (bureau.folder / office.REVOKED).open("a") as file:
        file.write(f"{':'.join(sha256[i : i + 2].upper() for i in range(0, 64, 2))} stolen in June\n")
    with pytest.raises(RequestUnfit, match="was revoked: make a new key"):
        issuing.sign(bureau, "kyoto", asked)
    (bureau.folder / office.REVOKED).write_text("kyoto\n")
    with pytest.raises(AuthorityUnusable, match="line 1: no SHA-256 fingerprint"):
        issuing.sign(bureau, "kyoto", asked)


def test_a_revoked_host_is_connected_to_by_nobody(tmp_path: Path, bureau: Office) -> None:
    key = host_key(tmp_path)
    issuing.ssh_host(bureau, "kyoto", ["10.0.0.5"], key)
    word = key.decode().split()[1]
    assert f"kyoto,10.0.0.5 ssh-ed25519 {word}\n" in (bureau.folder / "known_hosts").read_text()
    issuing.revoke(bureau, "kyoto", ssh=True)
    assert f"@revoked * ssh-ed25519 {word}\n" in (bureau.folder / "known_hosts").read_text()
    with pytest.raises(RequestUnfit, match="host key was revoked"):
        issuing.ssh_host(bureau, "kyoto", [], key)


@pytest.mark.parametrize(
    "words",
    [
        ["sign"], ["sign", "--node", "Kyoto"], ["sign", "--node", "../kyoto"], ["sign", "--node", "k" * 64],
        ["console", "anna"], ["console", "anna", "--role", "root"], ["console", "", "--role", "admin"],
        ["ssh-host", "kyoto", "--address", "10.0.0.5,evil"], ["ssh-host", "kyoto", "--address", "a b"], [], ["revoke"],
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_64(words: list[str]) -> None:
    assert cli.main(["pki", *words]) == 64


def test_who_is_not_there_cannot_be_revoked(bureau: Office, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["revoke", "nobody"], ["revoke", "nobody", "--ssh"], ["revoke", "../../etc/passwd"]):
        assert cli.main(["pki", *words, "--dir", str(bureau.folder)]) == 64
        assert "FLT-028" in capsys.readouterr().err


def test_which_fleet_is_asked_where_none_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert cli.main(["pki", "show"]) == 64
    assert "-i, or the authority's folder with --dir" in capsys.readouterr().err


# --- its folder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ca.key", "ssh_ca"])
def test_a_key_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, bureau: Office, name: str) -> None:
    path = bureau.folder / name
    path.chmod(0o644)
    with pytest.raises(AuthorityUnusable, match=f"open to others .mode 0644.: chmod 0600 {path}"):
        (issuing.ssh_host(bureau, "kyoto", [], host_key(tmp_path)) if name == "ssh_ca" else standing.show(bureau))


def test_a_folder_in_which_others_write_is_refused(bureau: Office) -> None:
    bureau.folder.chmod(0o777)
    with pytest.raises(AuthorityUnusable, match="chmod 0700"):
        standing.show(bureau)


@pytest.mark.parametrize("name", ["ca.key", "ca.pem", "ssh_ca"])
def test_what_is_missing_or_damaged_is_named(tmp_path: Path, bureau: Office, name: str) -> None:
    path = bureau.folder / name
    for data in (None, b"", b"\x00\xff"):
        path.unlink() if data is None else path.write_bytes(data)
        path.parent.chmod(0o700)
        if data is not None:
            path.chmod(0o600)
        with pytest.raises(AuthorityUnusable):
            issuing.ssh_host(bureau, "kyoto", [], host_key(tmp_path, f"h{data!r}"[:3]))
        (tmp_path / f"h{data!r}"[:3]).unlink()


def test_without_a_folder_the_remedy_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pki", "show", "--dir", str(tmp_path / "none")]) == 78
    assert "`heliograph pki init` makes it" in capsys.readouterr().err


def test_a_damaged_certificate_is_shown_as_one(bureau: Office, capsys: pytest.CaptureFixture[str]) -> None:
    (bureau.folder / "nodes" / "kyoto.pem").write_text("torn")
    assert cli.main(["pki", "show", "--json", "--dir", str(bureau.folder)]) == 1
    [first, *_] = json.loads(capsys.readouterr().out)["certificates"]
    assert (first["name"], first["state"]) == ("kyoto", "damaged")


def test_a_torn_log_and_one_of_a_newer_release(tmp_path: Path, bureau: Office) -> None:
    log = bureau.folder / office.LOG
    with log.open("ab") as file:
        file.write(b'{"format":1,"at":"2026-11')
    issuing.sign(bureau, "kyoto", request(tmp_path))
    assert entries(bureau)[-1]["name"] == "kyoto"
    with log.open("ab") as file:
        file.write(b'\n{"format":99,"at":"2026-11"}\n')
    with pytest.raises(AuthorityUnusable, match="newer release"):
        standing.show(bureau)


def test_the_library_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.startswith(("console.fleet.office", "console.fleet.authority"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("console.fleet.authority", raising=False)
    monkeypatch.delattr("console.fleet.office", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert cli.main(["pki", "show", "--dir", str(tmp_path)]) == 69
    assert "pip install 'heliograph[ops]'" in capsys.readouterr().err


def test_no_room_is_told_and_nothing_is_lost(bureau: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = (bureau.folder / "ca.pem").read_text()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AuthorityUnusable, match="No space left"):
        bureau.begin_next()
    assert (bureau.folder / "ca.pem").read_text() == before


# --- two at once, and kills -------------------------------------------------------------------------------------------


def test_another_waits_and_says_so(bureau: Office) -> None:
    handle = os.open(bureau.folder / "lock", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    told = threading.Event()
    done: list[int] = []
    waiting = Office(bureau.folder, bureau.clock, lambda _: told.set())
    thread = threading.Thread(target=lambda: done.append(len(standing.show(waiting))))
    thread.start()
    assert told.wait(10)
    assert done == []
    os.close(handle)
    thread.join(10)
    assert done == [1]


@pytest.mark.slow
def test_many_at_once_are_each_certified_and_all_are_in_the_log(tmp_path: Path, bureau: Office) -> None:
    names = [f"n{number}" for number in range(6)]
    asked = {name: request(tmp_path, name) for name in names}
    children = {}
    for name in names:
        words = [*PYTHON, "sign", "--node", name, "--dir", str(bureau.folder)]
        children[name] = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for name, child in children.items():
        out, _ = child.communicate(asked[name], 60)
        assert (child.returncode, out.count(b"BEGIN")) == (0, 2)
    assert sorted(each["name"] for each in entries(bureau) if each["kind"] == "node") == names


def _killed_everywhere(tmp_path: Path, words: list[str], data: bytes) -> Iterator[Path]:
    """The folder as it is after a kill at each call in turn, and the same command once more."""
    (tmp_path / "stdin").write_bytes(data)
    given = [sys.executable, "-c", KILLING, str(tmp_path), *words]
    done = subprocess.run(given, capture_output=True, text=True, check=True, timeout=120)
    tries = [line.split() for line in done.stderr.splitlines() if re.fullmatch(r"\d+ -?\d+ \d+", line)]
    assert len(tries) > 3, done.stderr
    again_after_all = {"78"} if words == ["promote"] else set()  # there is no next one any more, and that is said
    assert {"0"} <= {second for _, _, second in tries} <= {"0"} | again_after_all, done.stderr
    return (tmp_path / f"at-{number}" / "pki" for number, _, _ in tries)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["init", "sign", "console", "ssh-host", "revoke", "next", "promote"])
def test_killed_anywhere_and_run_again_all_is_whole(tmp_path: Path, verb: str) -> None:
    bureau = Office(tmp_path / "before" / "pki", Clock(), lambda _: None)
    bureau.folder.parent.mkdir()
    if verb != "init":
        bureau.init()
        issuing.sign(bureau, "cusco", request(tmp_path, "cusco"))
    if verb == "promote":
        bureau.begin_next()
    words, data = {
        "init": (["init"], b""),
        "sign": (["sign", "--node", "kyoto"], request(tmp_path)),
        "console": (["console", "anna", "--role", "admin"], b""),
        "ssh-host": (["ssh-host", "kyoto"], host_key(tmp_path)),
        "revoke": (["revoke", "cusco"], b""),
        "next": (["init", "--next"], b""),
        "promote": (["promote"], b""),
    }[verb]
    for folder in _killed_everywhere(tmp_path, words, data):
        _whole(Office(folder, Clock(), lambda _: None), verb)


MADE = {"sign": {("node", "kyoto")}, "console": {("console", "anna")}, "ssh-host": {("ssh-host", "kyoto")}}


def _whole(bureau: Office, verb: str) -> None:
    found = standing.show(bureau)
    assert {each.state for each in found} == {"ok"}
    assert open_to_others(bureau.folder) == []
    assert list(bureau.folder.rglob("*.tmp")) == []
    logged = {str(each.get("sha256")) for each in entries(bureau)}
    assert {each.sha256 for each in found if each.sha256} <= logged
    names = {(each.kind, each.name) for each in found}
    assert (("node", "cusco") in names) == (verb not in {"revoke", "init"})
    assert MADE.get(verb, set()) <= names
    assert len([kind for kind, _ in names if kind == "authority"]) == (2 if verb in {"next", "promote"} else 1)


# --- time -------------------------------------------------------------------------------------------------------------


def test_what_ends_soon_makes_show_end_with_1(tmp_path: Path, bureau: Office, at: At) -> None:
    issuing.sign(bureau, "kyoto", request(tmp_path))
    began_s = at.now_s
    for later, state in ((0, "ok"), (343, "ok"), (345, "soon"), (366, "expired")):
        at.now_s = began_s + later * DAY_S
        [node, _] = standing.show(bureau)
        assert node.state == state


def test_a_clock_before_what_was_done_already_is_refused(tmp_path: Path, bureau: Office, at: At) -> None:
    at.now_s -= 3000
    standing.show(bureau)
    at.now_s -= 3000
    with pytest.raises(ClockDoubted, match=r"is past: .*issued\.jsonl"):
        issuing.sign(bureau, "kyoto", request(tmp_path))


def test_a_clock_of_1970_makes_no_authority(tmp_path: Path) -> None:
    lost = Office(tmp_path / "pki", Clock(utc_us=lambda: 0), lambda _: None)
    with pytest.raises(ClockDoubted):
        lost.init()
    assert not (tmp_path / "pki" / "ca.key").exists()


def test_an_authority_about_to_end_says_what_to_do(tmp_path: Path, bureau: Office, at: At) -> None:
    at.now_s += (authority.AUTHORITY_DAYS - 119) * DAY_S
    with pytest.raises(AuthorityUnusable, match="`heliograph pki init --next`"):
        issuing.sign(bureau, "kyoto", request(tmp_path))
    [own] = standing.show(bureau)
    assert own.state == "soon"


def test_the_next_authority_takes_over_with_no_gap_in_trust(tmp_path: Path, bureau: Office) -> None:
    asked = request(tmp_path)
    old = issuing.sign(bureau, "kyoto", asked)
    coming = bureau.begin_next()
    assert bureau.begin_next() == coming
    assert [each.sha256 for each in authority.papers((bureau.folder / "ca.pem").read_text())][1] == coming.sha256
    assert issuing.sign(bureau, "kyoto", asked) == old
    assert bureau.promote() == coming
    with pytest.raises(AuthorityUnusable, match="no next authority"):
        bureau.promote()
    with pytest.raises(NameTaken, match="old authority are in force: kyoto"):
        standing.drop_old(bureau)
    new = issuing.sign(bureau, "kyoto", asked)
    assert new != old
    assert (bureau.folder / "ca.pem").read_text().count("BEGIN") == 2
    assert standing.drop_old(bureau) == 1
    assert (bureau.folder / "ca.pem").read_text().count("BEGIN") == 1
    assert standing.drop_old(bureau) == 0
