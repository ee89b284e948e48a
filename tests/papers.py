"""Certificates as a fleet's authority makes them, and as others do: for both ends of a connection."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BEGIN, END = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2089, 1, 1, tzinfo=dt.UTC)
ROLE = "urn:heliograph:role:"
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
LOCALHOST = "localhost"


@dataclass(frozen=True)
class Paper:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        made = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return made.fingerprint(hashes.SHA256()).hex()

    def trust(self, authority: Path) -> ssl.SSLContext:
        """A client's context that shows it."""
        context = trust(authority)
        context.load_cert_chain(self.certificate, self.key)
        return context


def trust(authority: Path) -> ssl.SSLContext:
    """A client's context that shows nothing."""
    return ssl.create_default_context(cafile=str(authority))


class Authority:
    """Signs what it is asked to."""

    def __init__(self, folder: Path, name: str = "fleet") -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._name = folder, _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        made = self._builder(self._name, self._key, BEGIN, END)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        made = made.add_extension(_usage(signs_certificates=True), critical=True)
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def node(self, name: str = LOCALHOST, begin: dt.datetime = BEGIN, end: dt.datetime = END) -> Paper:
        said = [x509.DNSName(name), x509.UniformResourceIdentifier(f"urn:heliograph:node:{name}")]
        return self.sign(name, said, SERVER, begin, end)

    def console(self, name: str, *roles: str, begin: dt.datetime = BEGIN, end: dt.datetime = END) -> Paper:
        said = [x509.UniformResourceIdentifier(f"{ROLE}{role}") for role in roles]
        return self.sign(name, said, CLIENT, begin, end)

    def sign(
        self,
        name: str,
        said: Sequence[x509.GeneralName],
        use: x509.ObjectIdentifier,
        begin: dt.datetime = BEGIN,
        end: dt.datetime = END,
    ) -> Paper:
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(_named(name), key, begin, end)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        made = made.add_extension(_usage(signs_certificates=False), critical=True)
        if said:
            made = made.add_extension(x509.SubjectAlternativeName(said), critical=False)
        signed = made.sign(self._key, hashes.SHA256())
        paper = Paper(*(self._folder / f"{signed.serial_number:x}.{ending}" for ending in ("pem", "key")))
        paper.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        coded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        paper.key.write_bytes(coded)
        return paper

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begin: dt.datetime, end: dt.datetime
    ) -> x509.CertificateBuilder:
        ours, theirs = self._key.public_key(), key.public_key()
        return (
            x509.CertificateBuilder(self._name, subject, theirs, x509.random_serial_number(), begin, end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(theirs), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ours), critical=False)
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
