"""SIGHUP to the running service: TLS files and the document's file are read again; nothing secret is said meanwhile."""

from __future__ import annotations

import datetime as dt
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from node.workers import LOCKS
from tests.nodes import EACH_SECOND, Home, Node, beside, heliograph_node, started, wait_for
from tests.papers import END, LOCALHOST, Authority, Paper
from tests.simulate.ledger import events

pytestmark = pytest.mark.slow

TRUSTED = {"clock": {"trusted": True}}


@dataclass
class Secure:
    """A node that speaks TLS, and the fleet's authority."""

    home: Home
    fleet: Authority
    console: Paper

    def install(self, paper: Paper) -> None:
        (self.home.folder / "node.pem").write_bytes(paper.certificate.read_bytes())
        (self.home.folder / "node.key").write_bytes(paper.key.read_bytes())

    @contextmanager
    def client(self, node: Node) -> Iterator[httpx.Client]:
        url = f"https://{LOCALHOST}:{node.url.rpartition(':')[2]}"
        context: ssl.SSLContext = self.console.trust(self.fleet.file)
        with httpx.Client(base_url=url, timeout=10, trust_env=False, verify=context) as http:
            yield http


@pytest.fixture
def secure(tmp_path: Path) -> Secure:
    fleet = Authority(tmp_path / "fleet")
    names = {"certificate": "node.pem", "key": "node.key", "client_ca": "ca.pem", "revoked": "revoked"}
    tls = {name: str(tmp_path / file) for name, file in names.items()}
    made = Secure(
        Home(tmp_path, node_file={"api": {"port": 0, "tls": tls}, **TRUSTED}), fleet, fleet.console("mw", "admin")
    )
    made.install(fleet.node())
    (tmp_path / "ca.pem").write_bytes(fleet.file.read_bytes())
    (tmp_path / "revoked").touch()
    return made


def hup(node: Node, kind: str, count: int = 1) -> list[dict[str, Any]]:
    """SIGHUP, until so many of those events are told."""
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(events(node.data, kind)) >= count, kind)
    return list(events(node.data, kind))


def until(http: httpx.Client) -> str:
    said: str = http.get("/v1/status").json()["certificate_not_after"]
    return said


def test_a_new_pair_is_shown_and_a_broken_one_is_told_of_and_left(secure: Secure) -> None:
    with started(secure.home) as node, secure.client(node) as http:
        assert until(http).startswith(str(END.date()))
        secure.install(secure.fleet.node(end=dt.datetime(2077, 7, 7, tzinfo=dt.UTC)))
        hup(node, "tls_reloaded")
        wait_for(lambda: until(http).startswith("2077-07-07"), "the new one")
        (secure.home.folder / "node.key").write_text("certainly not")
        (told,) = hup(node, "tls_refused")
        assert told["error_code"] == "SEC-002"
        assert until(http).startswith("2077-07-07")
        assert heliograph_node("status", "--config", secure.home.config).returncode in (0, 1)
        assert node.stop()[0] == 0


def test_without_tls_and_without_a_file_there_is_nothing_to_read(tmp_path: Path) -> None:
    home = Home(tmp_path, document={})
    with started(home) as node:
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: node.get("/health/live"), "an answer")
        assert node.alive
        assert node.stop()[0] == 0
    assert not [*events(home.data, "tls_reloaded"), *events(home.data, "tls_refused")]


def test_a_document_whose_file_has_changed_is_put_and_one_that_has_not_undoes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path, node_file={"probation": {"good_frames": 1, "min_s": 10}, **TRUSTED})
    file = home.folder / "document.yml"
    other, wanted = ({**EACH_SECOND, "site": {"name": name}} for name in ("other", "wanted"))

    def settled() -> bool:
        return bool(node.get("/v1/config")["state"] == "active")

    with started(home) as node:
        wait_for(lambda: node.camera()["state"] == "ok", "a camera")
        assert node.put(other).status_code == 200
        wait_for(settled, "proof")
        node.process.send_signal(signal.SIGHUP)
        file.write_text("site: [")
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "CFG-004" in home.log, "word of it")
        assert node.get("/v1/config")["document"] == other
        file.write_text(yaml.safe_dump(wanted))
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: node.get("/v1/config")["document"] == wanted, "the file's")
        wait_for(settled, "proof")
        row = next(row for row in node.get("/v1/audit")["items"] if row["action"] == "config put")
        assert (row["who"], row["client"]) == ("sighup", "local")


def test_ship_does_not_begin_without_a_credential_that_it_needs(tmp_path: Path) -> None:
    vault = {
        "kind": "rsync",
        "host": "vault",
        "path": "/srv",
        "key": "credential:vault",
        "known_hosts": "credential:known",
    }
    home = Home(tmp_path, node_file={"archive": {"vault": vault}})
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "vault").touch()
    for environment in ({}, {"CREDENTIALS_DIRECTORY": str(credentials)}):
        with beside(home, "ship", **environment) as ship:
            assert ship.wait(20) == 78
    said = (home.folder / "ship.log").read_text()
    assert said.count("CFG-010") == 2
    assert "credential:known" in said
    (credentials / "known").touch()
    with beside(home, "ship", CREDENTIALS_DIRECTORY=str(credentials)) as ship:
        wait_for(lambda: (home.data / LOCKS["ship"]).exists() and ship.poll() is None, "it works")


# --- secrets ----------------------------------------------------------------------------------------------------------


def command_lines() -> str:
    """Of every process that may be looked at."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return "\n".join(found)


def test_no_secret_is_said_anywhere(secure: Secure) -> None:
    home, key = secure.home, secure.console.key.read_text().splitlines()[1]
    with started(home) as node, beside(home, "work", "--ship"), secure.client(node) as http:
        own = (home.run / "own" / "local.token").read_text()
        said = [
            http.get("/v1/status", headers={"Authorization": "Bearer wr0ng-s3cret"}).text,
            http.get("/v1/status", headers={"Cookie": "c00kie-s3cret"}).text,
            http.get("/v1/status?token=qu3ry-s3cret").text,
        ]
        lines = (["jobs", "list"], ["status"], ["config", "apply", "document.yml"], ["capture"], ["config", "show"])
        for name, *words in lines:
            done = heliograph_node(name, "--config", home.config, *words)
            said += [done.stdout, done.stderr]
        (home.folder / "node.key").write_text("-----BEGIN PRIVATE KEY-----\nk3y-s3cret\n-----END PRIVATE KEY-----\n")
        hup(node, "tls_refused")
        said += [http.get(path).text for path in ("/v1/status", "/v1/audit", "/v1/config", "/health/deep", "/metrics")]
        places = {"answers": "".join(said), "processes": command_lines()}
        node.stop()
    places["logs"] = home.log + (home.folder / "work.log").read_text()
    places["data"] = "".join(path.read_text("latin-1") for path in home.data.rglob("*") if path.is_file())
    for secret in (own, key, "wr0ng-s3cret", "c00kie-s3cret", "qu3ry-s3cret", "k3y-s3cret"):
        assert [where for where, text in places.items() if secret in text] == []
    assert list(home.run.glob("*token*")) == []
