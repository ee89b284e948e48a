"""When a certificate counts: its two times, read from the PEM (RFC 5280, section 4.1)."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime

from node.domain.times import US

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _LONG = 0x30, 0xA0, 0x80
_BEFORE_VALIDITY = 3
"""Serial number, algorithm, issuer."""
_FORMATS = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}
"""UTCTime, whose years are 1950 to 2049, and GeneralizedTime."""
_CENTURY_ENDS = 2049


@dataclass(frozen=True, slots=True)
class Validity:
    """UTC microseconds."""

    from_us: int
    until_us: int


def validity(pem: str) -> Validity:
    """Of the first certificate in it.  Raises ValueError where there is none, or it is broken."""
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate")
    try:
        inside = _children(_children(b64decode(found[1]), _SEQUENCE)[0][1], None)
        fields = inside[1:] if inside[0][0] == _VERSION else inside
        first, last = _children(fields[_BEFORE_VALIDITY][1], None)
        return Validity(_time_us(*first), _time_us(*last))
    except (IndexError, KeyError) as error:
        raise ValueError("broken certificate") from error


def _children(data: bytes, unpack: int | None) -> list[tuple[int, bytes]]:
    """Tags and contents in a row; with `unpack`, of what the one element of that tag holds."""
    found, place = list[tuple[int, bytes]](), 0
    while place < len(data):
        tag, size, place = data[place], data[place + 1], place + 2
        if size & _LONG:
            count = size & ~_LONG
            size, place = int.from_bytes(data[place : place + count]), place + count
        if place + size > len(data):
            raise ValueError("cut certificate")
        found.append((tag, data[place : place + size]))
        place += size
    if unpack is None:
        return found
    if len(found) != 1 or found[0][0] != unpack:
        raise ValueError("broken certificate")
    return _children(found[0][1], None)


def _time_us(tag: int, text: bytes) -> int:
    moment = datetime.strptime(text.decode("ascii"), _FORMATS[tag]).replace(tzinfo=UTC)
    if tag == min(_FORMATS) and moment.year > _CENTURY_ENDS:  # strptime's century begins in 1969
        moment = moment.replace(year=moment.year - 100)
    return round(moment.timestamp()) * US
