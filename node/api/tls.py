"""TLS as the server speaks it: contexts from node.yml's files, and the one in force for each new connection."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.domain.certificate import Validity, validity
from node.domain.errors import CertificateForeign, HandshakeWrong, TlsUnusable
from node.domain.nodefile import Tls
from node.host.credentials import file_of
from node.wire.certificates import fingerprints

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all good."""
CLIENT: ContextVar[str] = ContextVar("client", default="unknown")
"""Whence the connection comes that is being made; the listener sets it."""
UNFINISHED = (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""Nobody has refused anything (yet)."""
Refused = Callable[[str, str], None]
"""Takes the client's address and the code."""


@dataclass(frozen=True, slots=True)
class Front:
    """What the files said when they were read: a context, when the certificate counts, and who is let in no more."""

    context: ssl.SSLContext
    validity: Validity
    revoked: frozenset[str]


class Handshake(ssl.SSLObject):
    """One connection's TLS.  OpenSSL ends a bad handshake before there is anything of HTTP; here it is told of."""

    client: str
    refused: Refused

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if code := refusal(error):
                self.refused(self.client, code)
            raise


def refusal(error: ssl.SSLError) -> str:
    """The code of what this end refuses a handshake for; empty where the other end gives up, or it still goes on."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateForeign.code
    given_up = isinstance(error, UNFINISHED) or "_ALERT_" in (error.reason or "")
    return "" if given_up else HandshakeWrong.code


class LiveContext(ssl.SSLContext):
    """Stands in the server for the front in force: new connections get that one's context, old ones keep their own."""

    front: Front
    refused: Refused

    def wrap_bio(self, *given: Any, **named: Any) -> ssl.SSLObject:  # noqa: ANN401 - the base's own parameters
        made = self.front.context.wrap_bio(*given, **named)
        if isinstance(made, Handshake):
            made.client, made.refused = CLIENT.get(), self.refused
        return made


def live_context(tls: Tls, refused: Refused) -> LiveContext:
    """Raises as `read_front`."""
    live = LiveContext(ssl.PROTOCOL_TLS_SERVER)
    live.front, live.refused = read_front(tls), refused
    return live


def read_front(tls: Tls) -> Front:
    """Raises TlsUnusable where a file cannot be read or does not fit, CredentialMissing."""
    context, key = _bare_context(), file_of(tls.key)
    try:
        context.load_cert_chain(tls.certificate, key, password=_no_password)
        ends = validity(Path(tls.certificate).read_text(encoding="ascii"))
    except (OSError, ssl.SSLError, ValueError) as error:
        raise TlsUnusable(f"{tls.certificate}, {tls.key}: {_said(error)}") from error
    if tls.client_ca is not None:
        _ask_for_certificates(context, tls.client_ca)
    return Front(context, ends, _revoked(tls.revoked))


def _bare_context() -> ssl.SSLContext:
    """No tickets: each connection shows its certificate, and it is checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = Handshake
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    return context


def _ask_for_certificates(context: ssl.SSLContext, authority: str) -> None:
    """None is fine here: routes say what they need.  One of another authority, or expired, ends the handshake."""
    context.verify_mode = ssl.CERT_OPTIONAL
    try:
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise TlsUnusable(f"{authority}: {_said(error)}") from error


def _revoked(path: str | None) -> frozenset[str]:
    if path is None:
        return frozenset()
    try:
        return fingerprints(Path(path).read_text(encoding="ascii", errors="replace"))
    except (OSError, ValueError) as error:
        raise TlsUnusable(f"{path}: {_said(error)}") from error


def _no_password() -> str:
    """A key under a password is refused: nobody is there to be asked."""
    return ""


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
