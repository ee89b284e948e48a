"""Certificates at the door: who comes in by which, what is refused where, and new files under open connections."""

from __future__ import annotations

import datetime as dt
import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import takewhile
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization as form

from node.api.local import OwnToken
from node.api.protocol import Protocol
from node.api.server import Server
from node.api.tls import read_front
from node.clock import SystemClock
from node.domain.errors import (
    CertificateForeign,
    CertificateRevoked,
    CertificateUnfit,
    CredentialMissing,
    HandshakeWrong,
    HeliographError,
    TlsUnusable,
)
from node.domain.events import AccessRefused
from node.domain.nodefile import Tls
from node.domain.times import to_datetime
from node.wire.routes import ROUTES, Role
from tests.apis import TOKENS, Served, dead_job, eventually, fill, keep_video, served, token_of
from tests.papers import END, LOCALHOST, Authority, Paper, trust

HOUR = dt.timedelta(hours=1)
ROLES = {"viewer": Role.VIEWER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
HANDSHAKE = None
"""What a route answers to whom it does not even shake hands with."""


@dataclass
class House:
    """A fleet's authority, its node's files, and what consoles hold."""

    folder: Path
    fleet: Authority
    other: Authority
    papers: dict[str, Paper]
    tls: Tls

    def install(self, paper: Paper) -> None:
        Path(self.tls.certificate).write_bytes(paper.certificate.read_bytes())
        Path(self.tls.key).write_bytes(paper.key.read_bytes())

    def revoke(self, *lines: str) -> None:
        assert self.tls.revoked
        Path(self.tls.revoked).write_text("\n".join(lines))

    def shows(self, name: str | None) -> ssl.SSLContext:
        return trust(self.fleet.file) if name is None else self.papers[name].trust(self.fleet.file)

    @contextmanager
    def client(self, server: Server, name: str | None = None) -> Iterator[httpx.Client]:
        url = f"https://{LOCALHOST}:{server.port}"
        with httpx.Client(base_url=url, timeout=10, trust_env=False, verify=self.shows(name)) as http:
            yield http


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority, dict[str, Paper]]:
    folder, now = tmp_path_factory.mktemp("issued"), to_datetime(SystemClock().now_us())
    fleet, other = Authority(folder / "fleet"), Authority(folder / "other", "other")
    papers = {
        **{role: fleet.console(f"mw-{role}", role) for role in ROLES},
        "expired": fleet.console("mw", "admin", end=now - HOUR),
        "not yet": fleet.console("mw", "admin", begin=now + HOUR),
        "revoked": fleet.console("lost", "admin"),
        "another fleet's": other.console("mw", "admin"),
        "a node's": fleet.node("north"),
        "no role": fleet.console("mw"),
        "two roles": fleet.console("mw", "viewer", "admin"),
        "unknown role": fleet.console("mw", "root"),
        "open": fleet.console("mw", "open"),
        "no name": fleet.console("", "admin"),
    }
    return fleet, other, papers


@pytest.fixture
def house(tmp_path: Path, issued: tuple[Authority, Authority, dict[str, Paper]]) -> House:
    fleet, other, papers = issued
    names = ("certificate", "key", "client_ca", "revoked")
    files = {name: tmp_path / name for name in names}
    made = House(tmp_path, fleet, other, papers, Tls.model_validate({name: str(path) for name, path in files.items()}))
    made.install(fleet.node())
    files["client_ca"].write_bytes(fleet.file.read_bytes())
    made.revoke(papers["revoked"].fingerprint)
    return made


@pytest.fixture
def api(house: House) -> Iterator[Served]:
    with served(house.folder / "data", trust=house.shows(None), tls=house.tls.model_dump()) as running:
        running.allow(burst=100_000)
        yield running


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


# --- every route, every caller ----------------------------------------------------------------------------------------

SHOWN: dict[str, tuple[str | None, str | None, Role | int | None]] = {
    # what is shown: certificate, token, and the role that it gives; 401, or no handshake
    "nothing": (None, None, 401),
    "a wrong token": (None, "not-a-token", 401),
    "an expired token": (None, "expired", 401),
    **{f"{name} by token": (None, name, role) for name, role in ROLES.items()},
    **{f"{name} by certificate": (name, None, role) for name, role in ROLES.items()},
    "a viewer's certificate with an admin's token": ("viewer", "admin", Role.ADMIN),
    "an admin's certificate with a viewer's token": ("admin", "viewer", Role.VIEWER),
    "an admin's certificate with a wrong token": ("admin", "not-a-token", 401),
    "revoked": ("revoked", None, 401),
    "revoked with an admin's token": ("revoked", "admin", 401),
    "no role": ("no role", None, 401),
    "two roles": ("two roles", None, 401),
    "unknown role": ("unknown role", None, 401),
    "the role of nobody": ("open", None, 401),
    "no name": ("no name", None, 401),
    "expired": ("expired", None, HANDSHAKE),
    "not yet": ("not yet", None, HANDSHAKE),
    "another fleet's": ("another fleet's", None, HANDSHAKE),
    "another fleet's with an admin's token": ("another fleet's", "admin", HANDSHAKE),
    "a node's": ("a node's", None, HANDSHAKE),
}


@pytest.mark.parametrize("caller", SHOWN)
def test_every_route_answers_as_declared_to_whatever_is_shown(api: Served, house: House, caller: str) -> None:
    certificate, token, granted = SHOWN[caller]
    frame, video, job = fill(api.store, 1)[0], keep_video(api.store), dead_job(api.doer.jobs)
    known = {"camera": "main", "frame": frame.id, "version": 1, "video": video.id, "job": job.id, "target": "nas"}
    with house.client(api.server, certificate) as http:
        for route in ROUTES:
            answer = status(http, route.method, route.path.format(**known), token)
            assert judged(answer, route.role, granted), f"{route.method} {route.path}: {answer}"


def status(http: httpx.Client, method: str, path: str, token: str | None) -> int | None:
    """None = no handshake."""
    try:
        with http.stream(method, path, headers=token_of(token)) as response:
            return response.status_code
    except httpx.TransportError:
        return HANDSHAKE


def judged(answer: int | None, needed: Role, granted: Role | int | None) -> bool:
    if granted is HANDSHAKE or answer is HANDSHAKE:
        return granted is answer is HANDSHAKE
    if needed is Role.OPEN or (isinstance(granted, Role) and granted >= needed):
        return answer not in (401, 403)
    return answer == (403 if isinstance(granted, Role) else 401)


@pytest.mark.parametrize(
    ("shown", "error"),
    [("revoked", CertificateRevoked), ("no role", CertificateUnfit), ("two roles", CertificateUnfit)],
)
def test_a_certificate_that_does_not_count_is_told_why(
    api: Served, house: House, shown: str, error: type[HeliographError]
) -> None:
    with house.client(api.server, shown) as http:
        problem = http.get("/v1/status").json()
    assert (problem["status"], problem["code"], problem["hint"]) == (401, error.code, error.hint)
    assert [event.code for event in api.doer.refused] == [error.code]


def test_the_audit_says_who_and_by_what(api: Served, house: House) -> None:
    order = {"url": "/v1/thumbnails/repair", "json": {"camera": "main"}}
    with house.client(api.server, "operator") as http:
        assert http.post(**order).status_code == 202
        assert http.post(**order, headers=token_of("admin")).status_code in (200, 202)
        http.post("/v1/jobs/discard", json={"all": True})
    rows = api.get("/v1/audit").json()["items"]
    assert {(row["who"], row["role"], row["how"]) for row in rows} >= {("mw-operator", "operator", "certificate")}
    assert all((row["how"] == "token") == (row["who"] == "admin") for row in rows)


def test_without_an_authority_nobody_is_asked_for_a_certificate(house: House) -> None:
    plain = house.tls.model_dump() | {"client_ca": None}
    with served(house.folder / "data", trust=house.shows("admin"), tls=plain) as api:
        assert api.get("/v1/status", None).status_code == 401
        assert api.get("/v1/status").status_code == 200


def test_a_certificate_that_ends_under_an_open_connection_counts_no_more(house: House) -> None:
    now = to_datetime(SystemClock().now_us())
    soon = house.fleet.console("mw", "admin", end=now + 24 * HOUR)
    with served(house.folder / "data", trust=soon.trust(house.fleet.file), tls=house.tls.model_dump()) as api:
        api.clock.step(now.timestamp() - api.clock.now_us() / 1e6)
        assert api.get("/v1/status", None).status_code == 200
        api.clock.step(25 * 3600)
        problem = api.get("/v1/status", None).json()
    assert (problem["code"], problem["detail"]) == ("API-001", "the client certificate has expired")


# --- the service's own token ------------------------------------------------------------------------------------------


def test_the_own_token_is_an_admins_and_named_in_the_audit(house: House) -> None:
    own = OwnToken()
    with served(house.folder / "data", own_token=own.token) as api:
        answer = api.post("/v1/thumbnails/repair", own.secret, json={"camera": "main"})
        assert answer.status_code == 202
        row = api.get("/v1/audit").json()["items"][0]
        assert (row["who"], row["role"], row["how"]) == ("local", "admin", "token")


# --- what the handshake takes -----------------------------------------------------------------------------------------


def shake(server: Server, context: ssl.SSLContext) -> tuple[str, str]:
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as plain,
        context.wrap_socket(plain, server_hostname=LOCALHOST) as made,
    ):
        cipher = made.cipher()
        assert cipher
        return made.version() or "", cipher[0]


def test_only_good_versions_and_ciphers_are_spoken(api: Served, house: House) -> None:
    assert shake(api.server, house.shows(None))[0] == "TLSv1.3"
    older = house.shows(None)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    version, cipher = shake(api.server, older)
    assert version == "TLSv1.2"
    assert re.fullmatch(r"ECDHE-ECDSA-(AES\d+-GCM|CHACHA20)-.+", cipher)
    older.set_ciphers("ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shake(api.server, older)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_versions_are_not_spoken(api: Served, house: House) -> None:
    oldest = house.shows(None)
    oldest.set_ciphers("ALL:@SECLEVEL=0")
    oldest.minimum_version = oldest.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake(api.server, oldest)


def test_plain_http_at_the_door_of_tls_harms_nobody(api: Served) -> None:
    with socket.create_connection(("127.0.0.1", api.server.port), 5) as plain:
        plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        plain.settimeout(5)
        assert b"HTTP/1.1 200" not in plain.recv(4096)
    assert api.get("/health/live", None).status_code == 200


# --- what is refused in it is counted ---------------------------------------------------------------------------------


def speak_plainly(api: Served, _: House) -> None:
    with socket.create_connection(("127.0.0.1", api.server.port), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        plain.recv(4096)


def speak_as_long_ago(api: Served, house: House) -> None:
    oldest = house.shows(None)
    oldest.set_ciphers("ALL:@SECLEVEL=0")
    oldest.minimum_version = oldest.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake(api.server, oldest)


def come_as(name: str) -> Callable[[Served, House], None]:
    def act(api: Served, house: House) -> None:
        with house.client(api.server, name) as http:
            assert status(http, "GET", "/v1/status", None) is HANDSHAKE

    return act


ATTEMPTS: dict[str, tuple[Callable[[Served, House], None], str]] = {
    **{who: (come_as(who), CertificateForeign.code) for who in ("expired", "not yet", "another fleet's", "a node's")},
    "plain HTTP": (speak_plainly, HandshakeWrong.code),
    "TLS 1.1": (speak_as_long_ago, HandshakeWrong.code),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_handshake_that_is_refused_is_told_of_with_the_address_it_came_from(
    api: Served, house: House, attempt: str
) -> None:
    act, code = ATTEMPTS[attempt]
    act(api, house)
    assert eventually(lambda: bool(api.doer.refused))
    assert api.doer.refused == [AccessRefused("127.0.0.1", code, 1)]


def test_who_does_not_trust_the_node_or_only_knocks_is_no_refused_attempt(api: Served, house: House) -> None:
    with pytest.raises(ssl.SSLError):
        shake(api.server, trust(house.other.file))
    socket.create_connection(("127.0.0.1", api.server.port), 5).close()
    come_as("expired")(api, house)
    assert eventually(lambda: bool(api.doer.refused))
    assert [event.code for event in api.doer.refused] == [CertificateForeign.code]


def test_a_scan_is_two_tellings_and_counted_whole(api: Served, house: House) -> None:
    for _ in range(30):
        speak_plainly(api, house)
    api.server.stop()
    assert [event.count for event in api.doer.refused] == [1, 29]


# --- files that do not fit --------------------------------------------------------------------------------------------


def spoil(field: str, text: str | None) -> Callable[[House], None]:
    def act(house: House) -> None:
        path = Path(getattr(house.tls, field))
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    return act


def lock_key(house: House) -> None:
    path = Path(house.tls.key)
    key = form.load_pem_private_key(path.read_bytes(), None)
    locked = form.BestAvailableEncryption(b"open sesame")
    path.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))


SPOILT: dict[str, Callable[[House], None]] = {
    **{f"no {field}": spoil(field, None) for field in ("certificate", "key", "client_ca", "revoked")},
    **{f"empty {field}": spoil(field, "") for field in ("certificate", "key", "client_ca")},
    **{f"{field} of words": spoil(field, "certainly not") for field in ("certificate", "key", "client_ca", "revoked")},
    "a fingerprint cut short": spoil("revoked", "ab" * 31),
    "a key that is another's": lambda house: (
        Path(house.tls.key).write_bytes(house.fleet.node().key.read_bytes()) and None
    ),
    "a key under a password": lock_key,
}


@pytest.mark.parametrize("fault", SPOILT)
def test_files_that_do_not_fit_are_refused_in_one_line_and_what_was_in_force_goes_on(
    api: Served, house: House, fault: str
) -> None:
    before = api.server.certificate
    SPOILT[fault](house)
    with pytest.raises(TlsUnusable) as raised:
        api.server.reload_tls()
    assert str(house.folder) in raised.value.detail
    assert "\n" not in raised.value.detail
    assert "sesame" not in raised.value.detail
    assert api.server.certificate == before
    with house.client(api.server, "admin") as http:
        assert http.get("/v1/status").status_code == 200


def test_the_list_of_the_revoked_may_hold_colons_capitals_comments_and_nothing(house: House) -> None:
    house.revoke("", "# lost in the harbour", f"{'AB:' * 31}AB  lena's  # 2026", "  ", "cd" * 32)
    assert read_front(house.tls).revoked == {"ab" * 32, "cd" * 32}
    house.revoke("")
    assert read_front(house.tls).revoked == frozenset()


def test_a_key_may_be_a_credential_of_the_unit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    named = house.tls.model_copy(update={"key": "credential:key"})
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(CredentialMissing, match="credential:key"):
        read_front(named)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(house.folder))
    assert read_front(named).context


@pytest.mark.parametrize("begin", [END - 9000 * HOUR, END - HOUR])
def test_a_node_whose_clock_is_before_its_certificate_serves_all_the_same(house: House, begin: dt.datetime) -> None:
    house.install(house.fleet.node(begin=begin))
    unwary = house.shows("admin")
    unwary.check_hostname, unwary.verify_mode = False, ssl.CERT_NONE
    with served(house.folder / "data", trust=unwary, tls=house.tls.model_dump()) as api:
        assert api.get("/v1/status", None).status_code == 200


# --- new files under open connections ---------------------------------------------------------------------------------


def test_who_is_revoked_is_out_at_once_on_an_open_connection_too(api: Served, house: House) -> None:
    with house.client(api.server, "admin") as http:
        assert http.get("/v1/status").status_code == 200
        house.revoke(house.papers["admin"].fingerprint)
        api.server.reload_tls()
        assert http.get("/v1/status").json()["code"] == CertificateRevoked.code
        house.revoke()
        api.server.reload_tls()
        assert http.get("/v1/status").status_code == 200


def test_another_authority_holds_for_new_connections_and_old_ones_are_asked_to_come_again(
    api: Served, house: House
) -> None:
    with house.client(api.server, "admin") as old, house.client(api.server, "another fleet's") as new:
        assert "connection" not in old.get("/v1/status").headers
        assert status(new, "GET", "/v1/status", None) is HANDSHAKE
        Path(str(house.tls.client_ca)).write_bytes(house.other.file.read_bytes())
        api.server.reload_tls()
        assert status(new, "GET", "/v1/status", None) == 200
        parting = old.get("/v1/status")
        assert (parting.status_code, parting.headers["connection"]) == (200, "close")
        assert status(old, "GET", "/v1/status", None) is HANDSHAKE


@contextmanager
def streaming(house: House, api: Served, name: str | None, token: str | None = None) -> Iterator[Iterator[bytes]]:
    """The chunks of a stream of events that has begun."""
    with (
        house.client(api.server, name) as http,
        http.stream("GET", "/v1/events", headers=token_of(token), timeout=10) as response,
    ):
        chunks = response.iter_raw()
        assert b"retry" in next(chunks)
        assert eventually(lambda: api.hub.count() > 0)
        yield chunks


def rest(chunks: Iterator[bytes]) -> bytes:
    """What still came, until the stream was ended or cut off."""
    heard = bytearray()
    try:
        for number, chunk in enumerate(chunks):
            assert number < 30, "it goes on"
            heard += chunk
    except httpx.ReadTimeout:
        raise
    except httpx.TransportError:
        pass
    return bytes(heard)


def test_a_stream_of_one_who_is_revoked_ends_with_the_reload(api: Served, house: House) -> None:
    with streaming(house, api, "viewer") as gone, streaming(house, api, "operator") as stays:
        house.revoke(house.papers["viewer"].fingerprint)
        api.server.reload_tls()
        assert rest(gone) == b""
        fill(api.store, 1)
        assert b"event:" in next(stays)
    assert eventually(lambda: api.hub.count() == 0)


def test_nothing_more_is_told_to_one_who_is_revoked(api: Served, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protocol, "look_again", lambda _: None)  # as where the loop has not come to it yet
    with streaming(house, api, "viewer") as gone:
        house.revoke(house.papers["viewer"].fingerprint)
        api.server.reload_tls()
        fill(api.store, 1)
        assert rest(gone) == b""


@pytest.mark.parametrize(("name", "token"), [("brief", None), (None, "brief")])
def test_a_stream_ends_with_the_heartbeat_after_what_it_was_asked_by(
    house: House, name: str | None, token: str | None
) -> None:
    now = to_datetime(SystemClock().now_us())
    house.papers = {**house.papers, "brief": house.fleet.console("mw", "viewer", end=now + 24 * HOUR)}
    until_us = int((now + 24 * HOUR).timestamp()) * 1_000_000
    brief = {"name": "mw", "role": "viewer", "sha256": sha256(b"brief").hexdigest(), "expires_us": until_us}
    tls = house.tls.model_dump()
    with served(house.folder / "data", trust=house.shows(None), tls=tls, tokens=[brief]) as api:
        api.server._app._app.state.streams.heartbeat_s = 0.1  # type: ignore[attr-defined]
        api.clock.step(now.timestamp() - api.clock.now_us() / 1e6)
        with streaming(house, api, name, token) as chunks:
            assert b"beat" in next(chunks)
            api.clock.step(25 * 3600)
            assert b"goodbye" not in rest(chunks)


@dataclass
class Traffic:
    """What consoles do meanwhile."""

    house: House
    server: Server
    heard: bytearray = field(default_factory=bytearray)
    streaming: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        """Until a frame is told of, after the stop."""
        with self.house.client(self.server, "viewer") as http, http.stream("GET", "/v1/events", timeout=30) as response:
            for chunk in response.iter_raw():
                self.heard.extend(chunk)
                self.streaming.set()
                if b"goodbye" in self.heard or (self.stop.is_set() and b'"frame"' in self.heard):
                    return

    def load(self, most: int) -> tuple[int, int]:
        """Requests made, and those that failed; a new connection after so many."""
        answers = Counter[int | None]()
        while not self.stop.is_set():
            with self.house.client(self.server, "admin") as http:
                for _ in takewhile(lambda _: not self.stop.is_set(), range(most)):
                    answers[status(http, "GET", "/v1/status", None)] += 1
        return answers.total(), answers.total() - answers[200]


def test_a_stream_goes_on_and_no_request_fails_while_certificates_change(api: Served, house: House) -> None:
    traffic, seen = Traffic(house, api.server), []
    until = [END - dt.timedelta(days=number) for number in range(10)]
    with ThreadPoolExecutor(5) as crew:
        listening = crew.submit(traffic.listen)
        assert traffic.streaming.wait(10)
        loads = [crew.submit(traffic.load, most) for most in (10_000, 10_000, 1, 1)]
        for end in until:
            house.install(house.fleet.node(end=end))
            validity = api.server.reload_tls()
            seen.append(validity.until_us if validity else 0)
            threading.Event().wait(0.1)
        traffic.stop.set()
        counted = [each.result(20) for each in loads]
        fill(api.store, 1)
        listening.result(20)
    assert seen == [int(end.timestamp()) * 1_000_000 for end in until]
    assert [failed for _, failed in counted] == [0] * 4
    assert min(done for done, _ in counted) > 3
    assert b"goodbye" not in traffic.heard


def test_the_new_certificate_is_the_one_that_is_shown(api: Served, house: House) -> None:
    paper = house.fleet.node()
    house.install(paper)
    api.server.reload_tls()
    with (
        socket.create_connection(("127.0.0.1", api.server.port), 5) as plain,
        house.shows(None).wrap_socket(plain, server_hostname=LOCALHOST) as made,
    ):
        shown = made.getpeercert(binary_form=True)
    assert shown == ssl.PEM_cert_to_DER_cert(paper.certificate.read_text())


def test_no_secret_is_in_any_answer(api: Served, house: House) -> None:
    said = json.dumps([api.get(path).json() for path in ("/v1/status", "/v1/config", "/v1/audit")])
    for secret in (*TOKENS.values(), Path(house.tls.key).read_text().splitlines()[1]):
        assert secret not in said
