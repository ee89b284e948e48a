"""What both ends read of certificates: the names in them, and the list of those that count no more."""

from __future__ import annotations

import re

NODE_URI, ROLE_URI = "urn:heliograph:node:", "urn:heliograph:role:"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fingerprint(word: str) -> str | None:
    """A SHA-256 in hex, however it is written, with colons or without; None = it is none."""
    plain = word.replace(":", "").lower()
    return plain if _SHA256.fullmatch(plain) else None


def fingerprints(text: str) -> frozenset[str]:
    """Of a list of revoked certificates: one a line; what comes after it, or after #, is for people.

    Raises ValueError naming the first line that holds none.
    """
    lines = ((number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), 1))
    return frozenset(_needed(words[0], number) for number, words in lines if words)


def _needed(word: str, number: int) -> str:
    found = fingerprint(word)
    if found is None:
        raise ValueError(f"line {number}: no SHA-256 fingerprint")
    return found
