"""The running service of this machine, as a command beside it reaches it: through its own API."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from node.domain.errors import REGISTRY, ConfigFileMissing, FieldFault, HeliographError, ServiceUnreachable
from node.domain.nodefile import NodeFile
from node.wire.problem import Problem

ADDRESS_FILE = "api.json"
WAIT_S = 60.0
TOKEN = re.compile(r"[!-~]{1,1024}")


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


def _answer(settings: NodeFile, method: str, address: str, body: str | None, token_file: Path) -> dict[str, Any]:
    connection = _connection(settings)
    headers = {"Authorization": f"Bearer {_token(token_file)}", "Content-Type": "application/json"}
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
