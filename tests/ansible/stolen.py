"""What somebody could show who has the fleet's authority in his hands."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.offices import Authority


class Stolen(Authority):
    """The fleet's own authority, made to sign what it never would."""

    def __init__(self, folder: Path, pki: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        pem, key = ((pki / name).read_text() for name in ("ca.pem", "ca.key"))
        self._name = x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN") :].encode()).subject
        loaded = serialization.load_pem_private_key(key[key.index("-----BEGIN") :].encode(), None)
        self._key = loaded  # type: ignore[assignment] # of the curve that the fleet uses
