"""Certificates of the fleet: made, read and judged.  All of `cryptography` is here; no files, no clock."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificate,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_identity,
    load_ssh_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from node.wire.certificates import NODE_URI, ROLE_URI
from node.wire.errors import AuthorityUnusable, RequestUnfit

DAY_S = 86_400
PublicKey = ec.EllipticCurvePublicKey
BACK_DATED = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
"""Certificates begin here: a Pi without a clock boots with the date of its image."""
AUTHORITY_DAYS, HOST_KEY_DAYS = 3653, 1827
LARGEST_REQUEST_BYTES = 64 * 1024
CURVES = (ec.SECP256R1, ec.SECP384R1)
NO_ADDRESSES = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
"""Names are certified, never addresses; the authority's own certificate says so to who verifies."""
REQUEST = "CERTIFICATE REQUEST"
SSH_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384")
WRONG_SSH_KEY = f"no SSH public key of a kind that is signed ({', '.join(SSH_KINDS)})"


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of certificate: for how long, and what it may be used for."""

    days: int
    usage: x509.ObjectIdentifier


KINDS = {
    "node": Kind(365, ExtendedKeyUsageOID.SERVER_AUTH),
    "console": Kind(90, ExtendedKeyUsageOID.CLIENT_AUTH),
}


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a certificate names.  `role` is a console's."""

    kind: str
    name: str
    role: str = ""

    @property
    def alternatives(self) -> list[x509.GeneralName]:
        if self.kind == "console":
            return [x509.UniformResourceIdentifier(f"{ROLE_URI}{self.role}")]
        return [x509.DNSName(self.name), x509.UniformResourceIdentifier(f"{NODE_URI}{self.name}")]


@dataclass(frozen=True, slots=True)
class Paper:
    """What a certificate says; times in seconds since 1970, `key` the SHA-256 of the public key's DER."""

    pem: str
    bearer: Bearer
    sha256: str
    key: str
    until_s: int


@dataclass(frozen=True, slots=True)
class HostPaper:
    """What an SSH host certificate says: `line` as sshd reads it, `key` the host's own as known_hosts has it."""

    line: str
    key: str
    principals: tuple[str, ...]
    until_s: int

    @property
    def mark(self) -> str:
        """By which a playbook knows whether a host's key is the one certified: the hash of the key's own word."""
        return hashlib.sha256(self.key.split()[1].encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs, and the certificate that says so."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return _pem(self.certificate)

    @property
    def sha256(self) -> str:
        return _sha256(self.certificate)

    @property
    def until_s(self) -> int:
        return _seconds(self.certificate)


# --- keys and the authority -------------------------------------------------------------------------------------------


def new_key() -> bytes:
    """A private key as PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_of(key: bytes) -> PublicKey:
    """Raises AuthorityUnusable."""
    return _private(key).public_key()


def key_digest(key: bytes) -> str:
    """The SHA-256 of a private key's public half."""
    return _digest(public_of(key))


def new_authority(key: bytes, now_s: int) -> str:
    """A certificate for that key by itself; it certifies names of nodes and consoles and no further authority."""
    private = _private(key)
    public = private.public_key()
    name = _name(f"heliograph fleet {_digest(public)[:8]}")
    made = (
        _draft(name, name, public, now_s + AUTHORITY_DAYS * DAY_S)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_uses(sign=True), critical=True)
        .add_extension(x509.NameConstraints(None, [*map(x509.IPAddress, NO_ADDRESSES)]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return _pem(made.sign(private, hashes.SHA256()))


def signer(key: bytes, trusted: str) -> Signer:
    """The key with its own among the certificates trusted.  Raises AuthorityUnusable."""
    private = _private(key)
    wanted = _digest(private.public_key())
    for found in _certificates(trusted):
        if _digest(found.public_key()) == wanted:
            return Signer(private, found)
    raise AuthorityUnusable("ca.pem holds no certificate of ca.key")


def in_order(first: Signer, trusted: str) -> list[Paper]:
    """All certificates trusted, the one that signs before the others."""
    return sorted(papers(trusted), key=lambda paper: paper.sha256 != first.sha256)


def certify(authority: Signer, bearer: Bearer, public: PublicKey, now_s: int) -> Paper:
    """A certificate for that key; it ends with its kind's days, or with the authority."""
    kind = KINDS[bearer.kind]
    until_s = min(now_s + kind.days * DAY_S, authority.until_s)
    made = (
        _draft(_name(bearer.name), authority.certificate.subject, public, until_s)
        .add_extension(x509.SubjectAlternativeName(bearer.alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_uses(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([kind.usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    return _paper(made.sign(authority.key, hashes.SHA256()))


def _draft(subject: x509.Name, issuer: x509.Name, public: PublicKey, until_s: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BACK_DATED)
        .not_valid_after(dt.datetime.fromtimestamp(until_s, dt.UTC))
    )


def _uses(*, sign: bool) -> x509.KeyUsage:
    never = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    return x509.KeyUsage(
        digital_signature=not sign, key_cert_sign=sign, crl_sign=sign, encipher_only=False, decipher_only=False, **never
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _private(key: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        found = load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AuthorityUnusable("a private key is damaged or under a password") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise AuthorityUnusable("a private key is not on an elliptic curve")
    return found


# --- reading ----------------------------------------------------------------------------------------------------------


def papers(pem: str) -> list[Paper]:
    """What the certificates in a file say.  Raises AuthorityUnusable."""
    return [_paper(found) for found in _certificates(pem)]


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise AuthorityUnusable("a file of certificates is damaged") from None


def _paper(found: x509.Certificate) -> Paper:
    return Paper(
        pem=_pem(found),
        bearer=_bearer(found),
        sha256=_sha256(found),
        key=_digest(found.public_key()),
        until_s=_seconds(found),
    )


def _bearer(found: x509.Certificate) -> Bearer:
    [name, *_] = [str(each.value) for each in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] or [""]
    role = next((uri.removeprefix(ROLE_URI) for uri in _uris(found) if uri.startswith(ROLE_URI)), "")
    if role:
        return Bearer("console", name, role)
    return Bearer("node" if _uris(found) else "authority", name)


def _uris(found: x509.Certificate) -> list[str]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _pem(found: x509.Certificate) -> str:
    return found.public_bytes(Encoding.PEM).decode()


def _sha256(found: x509.Certificate) -> str:
    return found.fingerprint(hashes.SHA256()).hex()


def _seconds(found: x509.Certificate) -> int:
    return int(found.not_valid_after_utc.timestamp())


def _digest(public: CertificatePublicKeyTypes) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


# --- requests ---------------------------------------------------------------------------------------------------------


def requested(data: bytes, node: str) -> PublicKey:
    """The key for which a node asks.  Raises RequestUnfit unless it asks for itself and nothing more."""
    request = _request(data)
    for check in CHECKS:
        fault = check(request, node)
        if fault:
            raise RequestUnfit(f"{node}: {fault}")
    public = request.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return public


def _request(data: bytes) -> x509.CertificateSigningRequest:
    if len(data) > LARGEST_REQUEST_BYTES:
        raise RequestUnfit(f"more than {LARGEST_REQUEST_BYTES} bytes were given")
    if data.count(f"BEGIN {REQUEST}".encode()) != 1:
        raise RequestUnfit("one request as PEM is wanted on standard input")
    try:
        return x509.load_pem_x509_csr(data)
    except (ValueError, UnsupportedAlgorithm):
        raise RequestUnfit("the request is damaged") from None


def _weak(request: x509.CertificateSigningRequest, _node: str) -> str:
    try:
        public = request.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "its key is of no known kind"
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, CURVES):
        return ""
    return "its key is not on P-256 or P-384"


def _forged(request: x509.CertificateSigningRequest, _node: str) -> str:
    try:
        sound = request.is_signature_valid
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        sound = False
    return "" if sound else "its signature is not by its key"


def _misnamed(request: x509.CertificateSigningRequest, node: str) -> str:
    if request.subject == _name(node):
        return ""
    return f"it names {request.subject.rfc4514_string() or 'nobody'}, not CN={node} alone"


def _overreaching(request: x509.CertificateSigningRequest, node: str) -> str:
    """Names beyond the node's own, or an authority.  Other wishes are not granted, but harm nobody."""
    try:
        wishes = [extension.value for extension in request.extensions]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return "its extensions are damaged"
    faults = (_wish(wish, node) for wish in wishes)
    return next(filter(None, faults), "")


def _wish(wish: x509.ExtensionType, node: str) -> str:
    if isinstance(wish, x509.BasicConstraints) and wish.ca:
        return "it asks to be an authority"
    if isinstance(wish, x509.SubjectAlternativeName):
        strange = [name for name in wish if name not in Bearer("node", node).alternatives]
        return f"it asks for {strange[0].value} too" if strange else ""
    return ""


CHECKS = (_weak, _forged, _misnamed, _overreaching)


# --- SSH --------------------------------------------------------------------------------------------------------------


def new_ssh_key() -> bytes:
    """A private key as OpenSSH keeps it."""
    return ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def ssh_public(key: bytes) -> str:
    """Its public half, as one line has it.  Raises AuthorityUnusable."""
    return _ssh_private(key).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def ssh_certify(authority: bytes, name: str, principals: Sequence[str], host_key: bytes, now_s: int) -> HostPaper:
    """A host certificate for that public key.  Raises RequestUnfit, AuthorityUnusable."""
    host = _ssh_host_key(host_key)
    until_s = now_s + HOST_KEY_DAYS * DAY_S
    made = (
        SSHCertificateBuilder()
        .public_key(host)
        .serial(int.from_bytes(hashlib.sha256(host_key).digest()[:8], "big"))
        .type(SSHCertificateType.HOST)
        .key_id(name.encode())
        .valid_principals([each.encode() for each in principals])
        .valid_after(int(BACK_DATED.timestamp()))
        .valid_before(until_s)
        .sign(_ssh_private(authority))
    )
    return ssh_paper(made.public_bytes().decode())


def ssh_paper(line: str) -> HostPaper:
    """What a host certificate says; a comment behind it is nothing to us.  Raises AuthorityUnusable."""
    try:
        found = load_ssh_public_identity(line.encode())
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, SSHCertificate):
        raise AuthorityUnusable("an SSH host certificate is damaged")
    return HostPaper(
        line=" ".join(line.split()[:2]),
        key=found.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        principals=tuple(each.decode() for each in found.valid_principals),
        until_s=found.valid_before,
    )


def _ssh_host_key(data: bytes) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    words = data.split(b"\n", 1)[0].split()
    if len(data) > LARGEST_REQUEST_BYTES or not words or words[0].decode("ascii", "replace") not in SSH_KINDS:
        raise RequestUnfit(WRONG_SSH_KEY)
    try:
        found = load_ssh_public_key(b" ".join(words[:2]))
    except (ValueError, UnsupportedAlgorithm):
        raise RequestUnfit(WRONG_SSH_KEY) from None
    assert isinstance(found, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey)
    return found


def _ssh_private(key: bytes) -> ed25519.Ed25519PrivateKey:
    try:
        found = load_ssh_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AuthorityUnusable("ssh_ca is damaged or under a password") from None
    if not isinstance(found, ed25519.Ed25519PrivateKey):
        raise AuthorityUnusable("ssh_ca is not an Ed25519 key")
    return found
