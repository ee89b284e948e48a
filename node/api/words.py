"""What the API's parameters must look like, and how that is said to people."""

from __future__ import annotations

from collections.abc import Mapping

from node.domain.config import PATTERNS
from node.domain.lease import OWNER, OWNER_WORDS

ID = r"^[0-9A-HJKMNP-TV-Z]{26}$"
SHOOT = r"^[a-z0-9-]{1,63}/[a-z0-9-]{1,63}/\d{4}-\d{2}-\d{2}/[a-z0-9-]{1,63}$"
LEASE_HEADER = "Heliograph-Lease"
KEY = r"^[!-~]+$"
WORDS: Mapping[str, str] = {
    **PATTERNS,
    ID: "must be the 26 characters of an id",
    SHOOT: "must be camera/schedule/date/profile, such as north/daylight/2026-11-20/auto",
    OWNER: OWNER_WORDS,
    KEY: "must be of printable ASCII characters without spaces",
}
"""For each pattern of a parameter."""
