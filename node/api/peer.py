"""The client certificate of a connection: whose it is, which role it gives, and whether it still counts."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.domain.errors import CertificateRevoked, CertificateUnfit, NotAuthenticated
from node.wire.certificates import ROLE_URI
from node.wire.routes import Role

GIVEN = {role.name.lower() for role in Role if role is not Role.OPEN}


@dataclass(frozen=True, slots=True)
class Peer:
    """What the authority has signed: common name, roles of the role URIs, SHA-256 of the whole, its end (UTC s)."""

    name: str
    roles: tuple[str, ...]
    fingerprint: str
    ends_s: float
    revoked: bool = False

    def role(self, now_s: float) -> str:
        """The one role that it gives now.  Raises CertificateRevoked, CertificateUnfit, NotAuthenticated."""
        if self.revoked:
            raise CertificateRevoked(self.name)
        if now_s >= self.ends_s:  # a connection may outlast it
            raise NotAuthenticated("the client certificate has expired")
        if not self.name or len(self.roles) != 1 or self.roles[0] not in GIVEN:
            raise CertificateUnfit(f"{self.name or 'nameless'}: {', '.join(self.roles) or 'no role'}")
        return self.roles[0]


def peer_of(connection: ssl.SSLObject | None) -> Peer | None:
    """Of a connection whose handshake is over; None without TLS, or without a certificate."""
    said = connection.getpeercert() if connection else None
    whole = connection.getpeercert(binary_form=True) if connection else None
    if not said or not whole:
        return None
    return Peer(_name(said), _roles(said), hashlib.sha256(whole).hexdigest(), _ends_s(said))


def _name(said: Mapping[str, Any]) -> str:
    names = [value for part in said.get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 else ""


def _roles(said: Mapping[str, Any]) -> tuple[str, ...]:
    uris = (value for kind, value in said.get("subjectAltName", ()) if kind == "URI")
    return tuple(uri.removeprefix(ROLE_URI) for uri in uris if uri.startswith(ROLE_URI))


def _ends_s(said: Mapping[str, Any]) -> float:
    return float(ssl.cert_time_to_seconds(said["notAfter"]))
