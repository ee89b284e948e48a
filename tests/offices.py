"""A throw-away certificate authority, and what it signs, valid or not."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BEGIN, END = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2090, 1, 1, tzinfo=dt.UTC)
PAST, FUTURE = dt.datetime(2021, 1, 1, tzinfo=dt.UTC), dt.datetime(2080, 1, 1, tzinfo=dt.UTC)
ROLE = "urn:heliograph:role:"
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class Signed:
    """Files of PEM."""

    cert: Path
    key: Path


@dataclass
class Authority:
    folder: Path
    called: str = "fleet"
    ca: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca = self.folder / f"{self.called}.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"{self.called} authority")
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        made = self._builder(self._name, self._key, BEGIN, END).add_extension(constraints, critical=True)
        made = made.add_extension(_uses(signs=True), critical=True)
        self.ca.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def node(self, name: str, *, begin: dt.datetime = BEGIN, end: dt.datetime = END) -> Signed:
        return self._signed(name, [x509.DNSName(name)], SERVER, begin, end)

    def addressed(self, address: str) -> Signed:
        return self._signed(address, [x509.IPAddress(ipaddress.ip_address(address))], SERVER, BEGIN, END)

    def console(self, name: str, role: str, *, begin: dt.datetime = BEGIN, end: dt.datetime = END) -> Signed:
        return self._signed(name, [x509.UniformResourceIdentifier(ROLE + role)], CLIENT, begin, end)

    def _signed(
        self,
        name: str,
        others: list[x509.GeneralName],
        use: x509.ObjectIdentifier,
        begin: dt.datetime,
        end: dt.datetime,
    ) -> Signed:
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(_name(name), key, begin, end)
        made = made.add_extension(x509.SubjectAlternativeName(others), critical=False)
        made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        signed = Signed(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        signed.cert.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        signed.key.write_bytes(plain(key))
        return signed

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, begin: dt.datetime, end: dt.datetime
    ) -> x509.CertificateBuilder:
        mine = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(mine, critical=False)
        )


def plain(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    """That key as PEM, locked where there is a password."""
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def _name(called: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, called)])


def _uses(*, signs: bool) -> x509.KeyUsage:
    off = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs, **off)
