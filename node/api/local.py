"""The running service of this machine, as a command beside it reaches it: through its own API."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import secrets
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from node.domain.errors import REGISTRY, ConfigFileMissing, FieldFault, HeliographError, ServiceUnreachable
from node.domain.nodefile import NodeFile, Token
from node.host.disk import failures_named
from node.host.files import drop, tmp_beside
from node.wire.problem import Problem

ADDRESS_FILE, OWN_FOLDER, TOKEN_FILE = "api.json", "own", "local.token"
WAIT_S = 60.0
TOKEN = re.compile(r"[!-~]{1,1024}")


@dataclass(frozen=True, slots=True)
class OwnToken:
    """What commands beside the service name themselves by: new at each start, on tmpfs, for the service's user alone.

    docs/decisions/0023 says why it may lie there in plain text.
    """

    secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    @property
    def token(self) -> Token:
        """As the guard compares it."""
        return Token(name="local", role="admin", sha256=hashlib.sha256(self.secret.encode()).hexdigest())

    def write(self, run_dir: Path) -> Path:
        """Into a folder that the other units, which have the same user, do not see.

        Raises DiskFull, DiskReadOnly, DirectoryMissing.
        """
        path = _token_of(run_dir)
        tmp = tmp_beside(path)
        with failures_named(path.parent):
            _make_own(path.parent)
        with failures_named(path):
            drop(tmp)
            with os.fdopen(os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                file.write(self.secret)
            tmp.replace(path)
        return path


def _token_of(run_dir: Path) -> Path:
    return run_dir / OWN_FOLDER / TOKEN_FILE


def _make_own(folder: Path) -> None:
    """For its user alone, whatever was there.  Raises OSError, also where it is a link to somewhere else."""
    folder.mkdir(0o700, exist_ok=True)
    found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(found, 0o700)
    finally:
        os.close(found)


def own_token_file(settings: NodeFile) -> Path | None:
    """The token of the service that runs here; None where none does, or it is not for this user."""
    path = _token_of(Path(settings.paths.run))
    return path if _runs(settings) and os.access(path, os.R_OK) else None


def _runs(settings: NodeFile) -> bool:
    """Whether the process lives that said where it listens; what a killed one left says nothing."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads((Path(settings.paths.run) / ADDRESS_FILE).read_text())
        return Path(f"/proc/{int(said['pid'])}").exists()
    return False


def get(settings: NodeFile, path: str, query: Mapping[str, object], token_file: Path) -> dict[str, Any]:
    """The service's answer; what of the query is None is not asked.  Raises as `post`."""
    given = urlencode({name: value for name, value in query.items() if value is not None})
    return _answer(settings, "GET", f"{path}?{given}" if given else path, None, token_file)


def post(settings: NodeFile, path: str, body: dict[str, Any], token_file: Path) -> dict[str, Any]:
    """The service's answer.  Raises what the service refused it with, ServiceUnreachable, ConfigFileMissing."""
    return _answer(settings, "POST", path, json.dumps(body), token_file)


def change(settings: NodeFile, method: str, path: str, body: dict[str, Any], token_file: Path) -> dict[str, Any]:
    """The service's answer to PATCH or DELETE.  Raises as `post`."""
    return _answer(settings, method, path, json.dumps(body), token_file)


def put(
    settings: NodeFile, path: str, body: Mapping[str, Any], token_file: Path, headers: Mapping[str, str]
) -> dict[str, Any]:
    """The service's answer.  Raises as `post`, VersionMoved and LeaseHeld among them."""
    return _answer(settings, "PUT", path, json.dumps(body), token_file, headers)


def _answer(
    settings: NodeFile,
    method: str,
    address: str,
    body: str | None,
    token_file: Path,
    more: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    connection = _connection(settings)
    headers = {"Authorization": f"Bearer {_token(token_file)}", "Content-Type": "application/json", **(more or {})}
    try:
        connection.request(method, address, body, headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        problem = Problem.model_validate(said) if answer.status >= http.client.BAD_REQUEST else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ServiceUnreachable(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if problem is not None:
        raise _refused(problem)
    return dict(said)


def _refused(problem: Problem) -> HeliographError:
    """The error that this problem is, so that a command ends as it would have by itself."""
    kind = REGISTRY.get(problem.code, ServiceUnreachable)
    return kind(problem.detail, fields=[FieldFault(each.path, each.message, each.given) for each in problem.errors])


def _connection(settings: NodeFile) -> http.client.HTTPConnection:
    path = Path(settings.paths.run) / ADDRESS_FILE
    try:
        url = urlsplit(json.loads(path.read_text())["url"])
    except (OSError, ValueError, KeyError) as error:
        raise ServiceUnreachable(f"{path} does not say where it listens") from error
    host, port = url.hostname or "", url.port or 0
    if settings.api.tls is None:
        return http.client.HTTPConnection(host, port, timeout=WAIT_S)
    return http.client.HTTPSConnection(host, port, timeout=WAIT_S, context=_pinned(settings.api.tls.certificate))


def _pinned(certificate: str) -> ssl.SSLContext:
    """Trusts this node's own certificate and no other; its name need not be the address's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(certificate)
    return context


def _token(path: Path) -> str:
    try:
        token = path.read_text(errors="replace").strip()
    except OSError as error:
        raise ConfigFileMissing(f"{path}: {error.strerror}") from error
    if not TOKEN.fullmatch(token):  # whatever it is, it is not repeated: it may be another secret
        raise ConfigFileMissing(f"{path} holds no token")
    return token
