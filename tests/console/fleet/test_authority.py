"""What is certified, for whom, and what is refused: by requests of openssl and verifiers other than ours."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from console.fleet import authority
from console.fleet.authority import DAY_S, Bearer
from node.wire.errors import AuthorityUnusable, RequestUnfit

NOW_S = 1_800_000_000
CA_KEY = authority.new_key()
CA = authority.new_authority(CA_KEY, NOW_S)
SIGNER = authority.signer(CA_KEY, CA)
P256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
OWN_NAMES = "subjectAltName=DNS:kyoto,URI:urn:heliograph:node:kyoto"


def request(folder: Path, *words: str, subject: str = "/CN=kyoto", key: tuple[str, ...] = P256) -> bytes:
    command = ["openssl", "req", "-new", *key, "-nodes", "-keyout", str(folder / "key"), "-subj", subject, *words]
    return subprocess.run(command, capture_output=True, check=True).stdout


def verified(folder: Path, pem: str, *words: str, trusted: str = CA) -> bool:
    (folder / "ca").write_text(trusted)
    (folder / "one").write_text(pem)
    at = ("-attime", str(NOW_S + DAY_S), "-x509_strict")
    command = ["openssl", "verify", *at, *words, "-CAfile", str(folder / "ca"), str(folder / "one")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_node_gets_what_it_asks_for_itself(tmp_path: Path) -> None:
    public = authority.requested(request(tmp_path, "-addext", OWN_NAMES), "kyoto")
    paper = authority.certify(SIGNER, Bearer("node", "kyoto"), public, NOW_S)
    assert paper.bearer == Bearer("node", "kyoto")
    assert paper.until_s == NOW_S + 365 * DAY_S
    assert verified(tmp_path, paper.pem, "-purpose", "sslserver", "-verify_hostname", "kyoto")
    assert not verified(tmp_path, paper.pem, "-verify_hostname", "cusco")
    assert not verified(tmp_path, paper.pem, "-purpose", "sslclient")


def test_a_clockless_boot_of_2020_believes_it(tmp_path: Path) -> None:
    paper = authority.certify(SIGNER, Bearer("node", "kyoto"), authority.public_of(authority.new_key()), NOW_S)
    boots = ("-attime", str(int(authority.BACK_DATED.timestamp()) + 1))
    assert verified(tmp_path, paper.pem, *boots)


def test_a_console_gets_its_role_and_serves_nothing(tmp_path: Path) -> None:
    bearer = Bearer("console", "anna", "operator")
    paper = authority.certify(SIGNER, bearer, authority.public_of(authority.new_key()), NOW_S)
    assert authority.papers(paper.pem) == [paper]
    assert paper.bearer == bearer
    assert verified(tmp_path, paper.pem, "-purpose", "sslclient")
    assert not verified(tmp_path, paper.pem, "-purpose", "sslserver")


def test_nothing_outlives_its_authority() -> None:
    late_s = SIGNER.until_s - 200 * DAY_S
    paper = authority.certify(SIGNER, Bearer("node", "kyoto"), authority.public_of(authority.new_key()), late_s)
    assert paper.until_s == SIGNER.until_s


def openssl_signs(folder: Path, data: bytes, signer: str, extensions: str) -> str:
    """Past us, with an authority's own key."""
    (folder / "csr").write_bytes(data)
    (folder / "ext").write_text(extensions)
    ours = ["-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-extfile", "ext", "-days", "1"]
    command = ["openssl", "x509", "-req", "-in", "csr", *ours]
    return subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True).stdout


def believed(folder: Path, pem: str, *words: str) -> bool:
    (folder / "one").write_text(pem)
    command = ["openssl", "verify", "-no_check_time", *words, "-CAfile", "ca.pem", "one"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def test_the_authority_itself_forbids_addresses_and_authorities_below_it(tmp_path: Path) -> None:
    """Whoever has its key gains no more than names."""
    (tmp_path / "ca.key").write_bytes(CA_KEY)
    (tmp_path / "ca.pem").write_text(CA)
    for extension, good in (("IP:10.0.0.5", False), ("IP:::1", False), ("DNS:kyoto", True)):
        made = openssl_signs(tmp_path, request(tmp_path), "ca", f"subjectAltName={extension}\n")
        assert believed(tmp_path, made) == good
    below = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n"
    (tmp_path / "below.pem").write_text(openssl_signs(tmp_path, request(tmp_path, subject="/CN=b"), "ca", below))
    (tmp_path / "key").rename(tmp_path / "below.key")
    leaf = openssl_signs(tmp_path, request(tmp_path), "below", "subjectAltName=DNS:kyoto\n")
    assert not believed(tmp_path, leaf, "-untrusted", "below.pem")


RSA, P224 = ("-newkey", "rsa:1024"), ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1")
REFUSED = {
    "another name": ({"subject": "/CN=cusco"}, (), "names CN=cusco"),
    "more than a name": ({"subject": "/O=Acme/CN=kyoto"}, (), "not CN=kyoto alone"),
    "two names": ({"subject": "/CN=kyoto/CN=cusco"}, (), "not CN=kyoto alone"),
    "nobody": ({"subject": "/"}, (), "names nobody"),
    "another name beside": ({}, ("-addext", "subjectAltName=DNS:kyoto,DNS:cusco"), "asks for cusco too"),
    "an address": ({}, ("-addext", "subjectAltName=IP:10.0.0.5"), "asks for 10.0.0.5 too"),
    "a role": ({}, ("-addext", "subjectAltName=URI:urn:heliograph:role:admin"), "asks for urn:heliograph:role:admin"),
    "every name": ({}, ("-addext", "subjectAltName=DNS:*"), r"asks for \* too"),
    "an authority": ({}, ("-addext", "basicConstraints=critical,CA:true"), "to be an authority"),
    "a short RSA key": ({"key": RSA}, (), "not on P-256"),
    "a weak curve": ({"key": P224}, (), "its key is"),
    "an Edwards key": ({"key": ("-newkey", "ed25519")}, (), "not on P-256"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_node_gets_nothing_beyond_itself(tmp_path: Path, case: str) -> None:
    given, words, said = REFUSED[case]
    with pytest.raises(RequestUnfit, match=said):
        authority.requested(request(tmp_path, *words, **given), "kyoto")  # type: ignore[arg-type]


def test_a_request_by_another_key_is_refused(tmp_path: Path) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(_as_certificate(request(tmp_path))))
    der[-1] ^= 1  # the last byte of the signature
    forged = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", authority.REQUEST)
    with pytest.raises(RequestUnfit, match="signature is not by its key"):
        authority.requested(forged.encode(), "kyoto")


def _as_certificate(pem: bytes) -> str:
    return pem.decode().replace(authority.REQUEST, "CERTIFICATE")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "one request"),
        (b"\x00\xff" * 1000, "one request"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "damaged"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\n", "damaged"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\n" * 2, "one request"),
        (b"x" * 65_537, "more than 65536 bytes"),
    ],
)
def test_what_is_no_request_is_refused_in_words(data: bytes, said: str) -> None:
    with pytest.raises(RequestUnfit, match=said):
        authority.requested(data, "kyoto")


@pytest.mark.parametrize("key", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_is_told(key: bytes) -> None:
    with pytest.raises(AuthorityUnusable, match="damaged"):
        authority.signer(key, CA)


def test_a_key_without_its_certificate_signs_nothing() -> None:
    with pytest.raises(AuthorityUnusable, match=r"no certificate of ca\.key"):
        authority.signer(authority.new_key(), CA)


def test_a_key_under_a_password_or_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(CA_KEY)
    for words, said in (("ec -aes128 -passout pass:x -in key", "password"), ("genrsa 2048", "no.*curve|not on")):
        pem = subprocess.run(["openssl", *words.split()], cwd=tmp_path, capture_output=True, check=True).stdout
        with pytest.raises(AuthorityUnusable, match=said):
            authority.signer(pem, CA)


def test_two_authorities_are_trusted_side_by_side(tmp_path: Path) -> None:
    other_key = authority.new_key()
    both = CA + authority.new_authority(other_key, NOW_S)
    for key in (CA_KEY, other_key):
        signer = authority.signer(key, both)
        paper = authority.certify(signer, Bearer("node", "kyoto"), authority.public_of(authority.new_key()), NOW_S)
        assert verified(tmp_path, paper.pem, trusted=both)
        assert authority.in_order(signer, both)[0].sha256 == signer.sha256
    assert not verified(tmp_path, paper.pem)


# --- SSH --------------------------------------------------------------------------------------------------------------


def host_key(folder: Path, kind: str = "ed25519") -> bytes:
    (folder / "host").unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / "host")], check=True)
    return (folder / "host.pub").read_bytes()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_host_key_is_certified_under_its_names(tmp_path: Path, kind: str) -> None:
    ca = authority.new_ssh_key()
    paper = authority.ssh_certify(ca, "kyoto", ["kyoto", "10.0.0.5"], host_key(tmp_path, kind), NOW_S)
    (tmp_path / "cert").write_text(f"{paper.line}\n")
    said = subprocess.run(["ssh-keygen", "-L", "-f", "cert"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "host certificate" in said.stdout
    assert said.stdout.split("Principals:")[1].split()[:2] == ["kyoto", "10.0.0.5"]
    assert authority.ssh_paper(f"{paper.line} a comment\n") == paper
    assert paper.key.split()[1] == (tmp_path / "host.pub").read_text().split()[1]


def test_only_public_host_keys_are_certified(tmp_path: Path) -> None:
    ca = authority.new_ssh_key()
    cert = authority.ssh_certify(ca, "kyoto", ["kyoto"], host_key(tmp_path), NOW_S).line.encode()
    private = (tmp_path / "host").read_bytes()
    rsa = host_key(tmp_path, "rsa")
    for data in (b"", b"\xff\xfe", b"ssh-ed25519", b"ssh-ed25519 AAAA", b"x" * 70_000, cert, private, rsa):
        with pytest.raises(RequestUnfit, match="no SSH public key"):
            authority.ssh_certify(ca, "kyoto", ["kyoto"], data, NOW_S)


def test_a_damaged_ssh_file_is_told() -> None:
    for line in ("", "ssh-ed25519 AAAA", authority.ssh_public(authority.new_ssh_key())):
        with pytest.raises(AuthorityUnusable, match="certificate is damaged"):
            authority.ssh_paper(line)
    for key in (b"", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"):
        with pytest.raises(AuthorityUnusable, match="ssh_ca is damaged"):
            authority.ssh_public(key)
