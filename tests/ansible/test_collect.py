"""What a bundle of diagnostics holds, and that no secret of the host is in it."""

from __future__ import annotations

import importlib.util
import io
import json
import ssl
import tarfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.offices import Authority

PATH = Path(__file__).parents[2] / "playbooks" / "files" / "collect.py"
SPEC = importlib.util.spec_from_file_location("collect", PATH)
assert SPEC is not None
assert SPEC.loader is not None
collect = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(collect)

TOKEN = "local-Zx81-token-of-this-start"
NAS = "b64line-one-of-the-archives-key"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pki = Authority(tmp_path / "pki")
    for name, text in {
        "run/heliograph/own/local.token": TOKEN + "\n",
        "etc/heliograph/keys/nas": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{NAS}\n-----END OPENSSH PRIVATE KEY-----\n",
        "etc/heliograph/tls/in-force/node.key": pki.node("alpha").key.read_text(),
        "etc/heliograph/node.yml": "node: {id: alpha}\napi:\n  tokens:\n    - {name: kim, sha256: 0123456789abcdef}\n",
        "home/pi/.ssh/id_ed25519": "private-words-of-a-user\n",
        "home/pi/.ssh/id_ed25519.pub": "ssh-ed25519 AAAA-public\n",
        "proc/cmdline": "console=tty1 psk=wifi-secret-words root=/dev/mmcblk0p2\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def packed(root: Path, *parts: tuple[str, Callable[[], str]]) -> dict[str, str]:
    file = io.BytesIO()
    collect.pack(file, "alpha-now", root, iter(parts))
    with tarfile.open(fileobj=io.BytesIO(file.getvalue()), mode="r:gz") as tar:
        entries = {entry.name: entry for entry in tar.getmembers()}
        assert all(entry.mode == 0o600 and entry.isfile() for entry in entries.values())
        return {
            name.removeprefix("alpha-now/"): tar.extractfile(entry).read().decode() for name, entry in entries.items()
        }


def test_nothing_of_the_hosts_secret_files_is_in_it(root: Path) -> None:
    key = (root / "etc/heliograph/tls/in-force/node.key").read_text().splitlines()
    told = f"a {TOKEN} b\n{NAS}\n{key[1]}\nprivate-words-of-a-user\nssh-ed25519 AAAA-public\n"
    [text] = packed(root, ("log", lambda: told)).values()
    assert text == "a *** b\n***\n***\n***\nssh-ed25519 AAAA-public\n"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("password: hunter22 x", "password: *** x"),
        ('{"api_token": "abcdef", "n": 1}', '{"api_token": "***", "n": 1}'),
        ("- {name: kim, sha256: 0123456789abcdef}", "- {name: kim, sha256: ***}"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("//nas/frames user=kim,password=abcdef,vers=3", "//nas/frames user=kim,password=***,vers=3"),
        ("https://kim:pass@nas/", "https://kim:***@nas/"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\nafter", "***\nafter"),
        ("-----BEGIN EC PRIVATE KEY-----\ncut off", "***"),
        ("API-001 no valid token", "API-001 no valid token"),
        ("captured 3 frames, digest 0123456789abcdef", "captured 3 frames, digest 0123456789abcdef"),
    ],
)
def test_what_looks_secret_is_taken_out(tmp_path: Path, told: str, kept: str) -> None:
    assert list(packed(tmp_path, ("log", lambda: told)).values()) == [kept]


def test_what_is_huge_keeps_its_end(tmp_path: Path) -> None:
    [text] = packed(tmp_path, ("log", lambda: "x" * (collect.LARGEST + 5) + "end")).values()
    assert (len(text), text[-4:]) == (collect.LARGEST, "xend")


def test_a_program_that_is_not_there_or_fails_is_told_as_that() -> None:
    assert collect.said(["/no/such/program"]).startswith("(FileNotFoundError: ")
    assert collect.said(["/bin/sh", "-c", "printf 'caf\\351'; exit 9"]) == "caf\ufffd(ended with 9)\n"
    assert collect.said(["/bin/sh", "-c", "echo warn; exit 1"]) == "warn\n"


def test_a_program_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "WITHIN_S", 0.2)
    assert collect.said(["/bin/sleep", "30"]).startswith("(TimeoutExpired: ")


def test_a_host_that_is_no_node_yet_is_packed_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "COMMANDS", {"status.json": ("/no/node", "status")})
    monkeypatch.setattr(collect, "journal", lambda unit, days: ("/bin/echo", unit, str(days)))
    found = packed(root, *collect.parts(root, 0.5))
    assert found["journal/heliograph-node.txt"] == "heliograph-node 0.5\n"
    assert "FileNotFoundError" in found["status.json"]
    assert "sha256: ***" in found["files/etc/heliograph/node.yml"]
    assert found["files/proc/cmdline"] == "console=tty1 psk=*** root=/dev/mmcblk0p2\n"
    assert found["files/proc/mounts"] == "(No such file or directory)\n"
    assert found["health-deep.json"].startswith("(FileNotFoundError")


class Deep(BaseHTTPRequestHandler):
    """A service that says who asked for what."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        said = f"{self.path} {self.headers['Authorization']}".encode()
        self.send_response(503)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_service_is_asked_where_it_says_that_it_listens(root: Path, tmp_path: Path, scheme: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Deep) as server:
        if scheme == "https":
            office = Authority(tmp_path / "other").node("alpha")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(office.cert, office.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            (root / "etc/heliograph/tls/node.pem").write_text(office.cert.read_text())
        Thread(target=server.serve_forever, daemon=True).start()
        (root / "run/heliograph/api.json").write_text(json.dumps({"url": f"{scheme}://127.0.0.1:{server.server_port}"}))
        assert collect.health(root) == f"/health/deep Bearer {TOKEN}"
        server.shutdown()


@pytest.mark.parametrize("said", ["", "{}", "[]", '{"url": 7}', '{"url": "http://127.0.0.1:1"}'])
def test_a_service_that_cannot_be_asked_is_told_as_that(root: Path, said: str) -> None:
    (root / "run/heliograph/api.json").write_text(said)
    assert collect.health(root).startswith("(")


def test_the_journal_is_asked_for_the_days_wanted() -> None:
    assert collect.journal("u", 0.5)[-4:] == ("--since", "-43200s", "-u", "u")
