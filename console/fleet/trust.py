"""By which certificates console and node know each other, and in words why they do not."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from console.fleet.inventory import Host
from node.wire.certificates import fingerprints
from node.wire.errors import (
    ConsoleCertificateRefused,
    ConsoleFileUnusable,
    HeliographError,
    NodeCertificateEarly,
    NodeCertificateExpired,
    NodeCertificateForeign,
    NodeCertificateMisnamed,
    NodeCertificateRevoked,
    NodeUntrusted,
)

DOUBTS: dict[int, tuple[type[NodeUntrusted], str]] = {
    9: (NodeCertificateEarly, "its certificate is not valid yet, by this machine's clock"),
    10: (NodeCertificateExpired, "its certificate has expired, by this machine's clock"),
    18: (NodeCertificateForeign, "its certificate is signed by itself"),
    23: (NodeCertificateRevoked, "its certificate is revoked"),
    26: (NodeCertificateForeign, "its certificate is not one for a node"),
    62: (NodeCertificateMisnamed, "its certificate is not for {name}"),
    64: (NodeCertificateMisnamed, "its certificate is not for {name}"),
}
"""By the numbers of X509_verify_cert_error_string(3); every other one means that no trusted authority signed it."""
STRANGER = (NodeCertificateForeign, "its certificate is not signed by an authority in {authorities}")
REFUSALS = {
    "CERTIFICATE_EXPIRED": "this console's certificate has expired, by the node's clock",
    "BAD_CERTIFICATE": "this console's certificate is not valid yet by the node's clock, or damaged",
    "UNKNOWN_CA": "this console's certificate is signed by no authority that the node knows",
    "CERTIFICATE_REVOKED": "this console's certificate is revoked",
    "CERTIFICATE_REQUIRED": "the node wants a certificate, and heliograph_client_cert_file names none",
    "UNSUPPORTED_CERTIFICATE": "this console's certificate is not one for consoles",
    "CERTIFICATE_UNKNOWN": "this console's certificate is not taken",
    "DECRYPT_ERROR": "this console's certificate has a signature that does not fit",
    "ACCESS_DENIED": "this console's certificate is not let in",
}
"""By the alerts of TLS (RFC 8446, 6.2), as OpenSSL calls them after the word ALERT."""
OWN_DOUBTS = {
    9: "this console's certificate is not valid yet, by this machine's clock",
    10: "this console's certificate has expired, by this machine's clock",
    26: "this console's certificate is not one for consoles",
}
OWN_STRANGER = "this console's certificate is not signed by an authority in {authorities}"
TURNS = 3
"""In so many exchanges a handshake has been made or refused."""
REVOKED = 23
SYSTEM = "this machine's own list"
MISMATCH = "KEY_VALUES_MISMATCH"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a TLS context is made from; None = the machine's own authorities, and no certificate of this console."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    revoked: str | None = None
    """The authority's list of what counts no more; one that is not there is an empty one."""

    @classmethod
    def of(cls, host: Host) -> TlsFiles:
        return cls(host.ca_file, host.cert_file, host.key_file, host.revoked_file)


Stamps = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was made from files as they were."""

    stamps: Stamps
    context: ssl.SSLContext
    revoked: frozenset[str]


_KEPT: dict[TlsFiles, _Kept] = {}


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """The one TLS context of these files, for all nodes; another one once a file has changed.

    Raises ConsoleFileUnusable.
    """
    return _kept(files).context


def refuse_revoked(files: TlsFiles, side: ssl.SSLObject) -> None:
    """For a connection that was open when a certificate was revoked.  Raises NodeCertificateRevoked."""
    if _is_revoked(side, _kept(files).revoked):
        kind, words = DOUBTS[REVOKED]
        raise kind(words)


def _kept(files: TlsFiles) -> _Kept:
    stamps = tuple(_stamp(name) for name in (files.ca, files.cert, files.key, files.revoked) if name)
    kept = _KEPT.get(files)
    if kept is None or kept.stamps != stamps:
        revoked = _revoked(files.revoked)
        kept = _KEPT[files] = _Kept(stamps, _made(files, revoked), revoked)
    return kept


def _stamp(name: str) -> tuple[int, int, int]:
    try:
        found = Path(name).expanduser().stat()
    except (OSError, RuntimeError, ValueError):  # whoever reads it says so
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def _made(files: TlsFiles, revoked: frozenset[str]) -> ssl.SSLContext:
    for name in (files.ca, files.cert, files.key):
        if name:
            _must_open(name)
    context = _trusting(files.ca)
    if files.cert:
        _present(context, files.cert, files.key or files.cert)
    context.sslobject_class = _wary(revoked)
    return context


def _wary(revoked: frozenset[str]) -> type[ssl.SSLObject]:
    """Sides of connections that end the handshake, before anything is asked, with who shows a revoked certificate."""

    class Wary(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if _is_revoked(self, revoked):
                refused = ssl.SSLCertVerificationError(1, "certificate revoked")
                refused.verify_code = REVOKED  # as OpenSSL says it of lists of its own kind
                raise refused

    return Wary


def _is_revoked(side: ssl.SSLObject, revoked: frozenset[str]) -> bool:
    shown = side.getpeercert(binary_form=True)
    return shown is not None and hashlib.sha256(shown).hexdigest() in revoked


def _revoked(name: str | None) -> frozenset[str]:
    """Fingerprints of SHA-256, one a line; # begins what is for people.  Raises ConsoleFileUnusable."""
    try:
        text = Path(name).expanduser().read_text("ascii", "replace") if name else ""
    except (FileNotFoundError, NotADirectoryError):  # the authority is on another machine
        return frozenset()
    except OSError as error:
        raise ConsoleFileUnusable(f"list of revoked certificates {name}: {error.strerror}") from None
    except (RuntimeError, ValueError):
        raise ConsoleFileUnusable(f"list of revoked certificates {name}: no such path") from None
    try:
        return fingerprints(text)
    except ValueError as error:
        raise ConsoleFileUnusable(f"{name} is no list of revoked certificates: {error}") from None


def _must_open(name: str) -> None:
    try:
        with Path(name).expanduser().open("rb"):
            return
    except OSError as error:
        raise ConsoleFileUnusable(f"certificate file {name}: {error.strerror}") from None
    except (RuntimeError, ValueError):  # a home that nobody has, a name with a NUL in it
        raise ConsoleFileUnusable(f"certificate file {name}: no such path") from None


def _trusting(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else Path(ca).expanduser())
    except ssl.SSLError:
        raise ConsoleFileUnusable(f"{ca} holds no certificates") from None


def _present(context: ssl.SSLContext, cert: str, key: str) -> None:
    def locked() -> NoReturn:  # else OpenSSL asks on the terminal
        raise ConsoleFileUnusable(f"key file {key} is locked by a password")

    try:
        context.load_cert_chain(Path(cert).expanduser(), Path(key).expanduser(), locked)
    except ssl.SSLError as error:
        if error.reason == MISMATCH:
            raise ConsoleFileUnusable(f"key file {key} is not the key of certificate {cert}") from None
        both = cert if key == cert else f"{cert} with {key}"
        raise ConsoleFileUnusable(f"{both}: no certificate with its key") from None


def mistrust(error: BaseException, host: Host) -> HeliographError | None:
    """Why one side does not take the other for what it should be; None = it is something else."""
    for met in causes(error):
        if isinstance(met, ssl.SSLCertVerificationError):
            kind, words = DOUBTS.get(met.verify_code, STRANGER)
            return kind(words.format(name=host.tls_name or host.address, authorities=host.ca_file or SYSTEM))
        if isinstance(met, ssl.SSLError):
            said = REFUSALS.get((getattr(met, "reason", None) or "").rpartition("ALERT_")[2])
            return ConsoleCertificateRefused(said) if said else None
    return None


def own_fault(host: Host) -> str:
    """What is wrong with this console's certificate for that node, as this machine sees it; empty = nothing.

    A node on asyncio ends the connection without an alert of TLS where it does not take a certificate; so its side of
    the handshake is played here.  Raises ConsoleFileUnusable.
    """
    files = TlsFiles.of(host)
    if files.ca is None or files.cert is None:
        return ""
    node, console = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    node.verify_mode, console.check_hostname, console.verify_mode = ssl.CERT_REQUIRED, False, ssl.CERT_NONE
    for context in (node, console):
        _present(context, files.cert, files.key or files.cert)
    node.load_verify_locations(Path(files.ca).expanduser())
    try:
        _shake_hands(node, console)
    except ssl.SSLCertVerificationError as error:
        return OWN_DOUBTS.get(error.verify_code, OWN_STRANGER).format(authorities=files.ca)
    return ""


def _shake_hands(node: ssl.SSLContext, console: ssl.SSLContext) -> None:
    """Both sides in memory.  Raises ssl.SSLError."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = console.wrap_bio(back, there), node.wrap_bio(there, back, server_side=True)
    for _ in range(TURNS):
        for side in sides:
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()


def causes(error: BaseException) -> Iterator[BaseException]:
    """That error, and those that it comes from."""
    inner: BaseException | None = error
    while inner is not None:
        yield inner
        inner = inner.__cause__ or inner.__context__
