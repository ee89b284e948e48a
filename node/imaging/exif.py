"""EXIF in and out: the frame's sidecar as JSON in UserComment, the time of capture, without touching image data.

Written here rather than through an image library: a copy of the entries is all that is needed, it costs well under
a millisecond, and nothing has to be decoded.  TIFF 6.0 section 2, EXIF 2.32 section 4.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from node.domain.sidecar import SCHEMA
from node.domain.times import to_datetime

HEAD_BYTES = 192 * 1024  # a file's beginning that surely holds the sidecar, behind other headers

_SOI, _APP0, _APP1, _APPN = b"\xff\xd8", 0xE0, 0xE1, range(0xE0, 0xF0)
_EXIF = b"Exif\0\0"
_MAX_SEGMENT = 65535
_MAX_ENTRIES = 512
_MARK, _LENGTH_BYTES, _INLINE_BYTES = 0xFF, 2, 4
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_ASCII, _LONG, _UNDEFINED = 2, 4, 7

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_DATE_TIME, _ORIGINAL, _OFFSET, _SUBSECOND, _COMMENT = 0x0132, 0x9003, 0x9011, 0x9291, 0x9286
# entries that point elsewhere in the file, and would point wrongly after a copy
_NOT_COPIED = {_EXIF_IFD, _GPS_IFD, 0x014A, 0x0111, 0x0117, 0x0201, 0x0202, 0x927C, 0xA005}
# programs disagree on whose byte order UNICODE has
_CHARSETS = {b"ASCII\0\0\0": ("ascii",), b"UNICODE\0": ("utf-16-le", "utf-16-be"), bytes(8): ("utf-8",)}
_EXIF_TIME = "%Y:%m:%d %H:%M:%S"

Entries = dict[int, tuple[int, int, bytes]]  # tag -> type, count, value as it stands in the file


@dataclass(frozen=True, slots=True)
class Tags:
    """The three directories that are read and written, and their byte order ("<" or ">")."""

    order: str
    main: Entries
    exif: Entries
    gps: Entries


def with_sidecar(jpeg: bytes, sidecar: Mapping[str, Any]) -> bytes:
    """The same picture with `sidecar` in its EXIF; image data is not touched.

    `schema` comes first, and is added where it is missing.  DateTimeOriginal is set (in UTC) from `captured_us`.
    EXIF that is there stays (orientation, make, exposure, place); maker note and embedded thumbnail go, because they
    hold offsets.  Where it cannot be read, or would not fit, it is replaced.  Raises ValueError where `jpeg` is none,
    or the sidecar alone is over 64 KB.
    """
    segments, rest = _headers(jpeg)
    old = next((body for marker, body in segments if _is_exif(marker, body)), None)
    kept = [(marker, body) for marker, body in segments if not _is_exif(marker, body)]
    at = next((place for place, (marker, _) in enumerate(kept) if marker != _APP0), len(kept))
    kept.insert(at, (_APP1, _new_exif(old, sidecar)))
    return b"".join([_SOI, *(_segment(marker, body) for marker, body in kept), memoryview(jpeg)[rest:]])


def read_sidecar(head: bytes) -> dict[str, Any] | None:
    """The sidecar in a file's beginning (HEAD_BYTES suffice); None where there is none of ours."""
    tags = _tags_of(head)
    entry = tags.exif.get(_COMMENT) if tags else None
    if tags is None or entry is None:
        return None
    for charset in _CHARSETS.get(entry[2][:8], ("utf-8",)):
        found = _as_json(entry[2][8:], charset)
        if isinstance(found, dict) and "schema" in found:
            return found
    return None


def taken_at(head: bytes) -> datetime | None:
    """When the picture was taken, from a file's beginning: aware where EXIF gives the offset, else naive."""
    tags = _tags_of(head)
    if tags is None:
        return None
    text = _text(tags.exif.get(_ORIGINAL)) or _text(tags.main.get(_DATE_TIME))
    try:
        moment = datetime.strptime(text, _EXIF_TIME)  # noqa: DTZ007 EXIF times have no zone, it stands in another entry
    except ValueError:
        return None
    fraction = _text(tags.exif.get(_SUBSECOND)).strip()
    if fraction.isascii() and fraction.isdigit():
        moment = moment.replace(microsecond=int(fraction[:6].ljust(6, "0")))
    return moment.replace(tzinfo=_offset(_text(tags.exif.get(_OFFSET))))


def _as_json(text: bytes, charset: str) -> object:
    try:
        return json.loads(text.decode(charset).rstrip("\0 "))
    except (ValueError, RecursionError):
        return None


def _offset(text: str) -> timezone | None:
    try:
        moment = datetime.strptime(text.strip(), "%z")
    except ValueError:
        return None
    shift = moment.utcoffset() or timedelta(0)
    return timezone(shift) if shift else UTC


def _new_exif(old: bytes | None, sidecar: Mapping[str, Any]) -> bytes:
    tags = (old and _parse(old)) or Tags("<", {}, {}, {})
    added = _own_entries(sidecar)
    for kept in (tags, Tags(tags.order, {}, {}, {})):
        body = _EXIF + _build(Tags(kept.order, kept.main, {**kept.exif, **added}, kept.gps))
        if len(body) + _LENGTH_BYTES <= _MAX_SEGMENT:
            return body
    message = "the sidecar does not fit into one EXIF segment of 64 KB"
    raise ValueError(message)


def _own_entries(sidecar: Mapping[str, Any]) -> Entries:
    ordered = {"schema": SCHEMA, **sidecar}
    # plain ASCII: every reader of EXIF agrees on it, and JSON's escapes carry the rest exactly
    comment = b"ASCII\0\0\0" + json.dumps(ordered, separators=(",", ":"), allow_nan=False).encode("ascii")
    entries: Entries = {_COMMENT: (_UNDEFINED, len(comment), comment)}
    captured_us = sidecar.get("captured_us")
    if isinstance(captured_us, int):
        moment = to_datetime(captured_us)
        texts = {
            _ORIGINAL: moment.strftime(_EXIF_TIME),
            _OFFSET: "+00:00",
            _SUBSECOND: f"{moment.microsecond:06d}",
        }
        entries |= {tag: (_ASCII, len(text) + 1, text.encode() + b"\0") for tag, text in texts.items()}
    return entries


# --- JPEG segments ----------------------------------------------------------------------------------------------


def _headers(jpeg: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """The APPn segments that follow the start, and the offset of what comes behind them."""
    if not jpeg.startswith(_SOI):
        message = "not a JPEG"
        raise ValueError(message)
    found, position = [], 2
    while position + 4 <= len(jpeg) and jpeg[position] == _MARK and jpeg[position + 1] in _APPN:
        length = int.from_bytes(jpeg[position + 2 : position + 4])
        end = position + 2 + length
        if length < _LENGTH_BYTES or end > len(jpeg):
            break
        found.append((jpeg[position + 1], jpeg[position + 4 : end]))
        position = end
    return found, position


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((_MARK, marker)) + (len(body) + _LENGTH_BYTES).to_bytes(2) + body


def _is_exif(marker: int, body: bytes) -> bool:
    return marker == _APP1 and body.startswith(_EXIF)


def _tags_of(head: bytes) -> Tags | None:
    if not head.startswith(_SOI):
        return None
    segments, _ = _headers(head)
    return next((_parse(body) for marker, body in segments if _is_exif(marker, body)), None)


# --- TIFF directories -------------------------------------------------------------------------------------------


def _parse(body: bytes) -> Tags | None:
    """The directories of an EXIF segment; None where they are broken."""
    tiff = body[len(_EXIF) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    try:
        main = _directory(tiff, order, struct.unpack_from(order + "I", tiff, 4)[0])
        return Tags(order, main, *(_below(tiff, order, main, tag) for tag in (_EXIF_IFD, _GPS_IFD)))
    except struct.error:
        return None


def _below(tiff: bytes, order: str, main: Entries, tag: int) -> Entries:
    entry = main.get(tag)
    return _directory(tiff, order, struct.unpack_from(order + "I", entry[2])[0]) if entry else {}


def _directory(tiff: bytes, order: str, offset: int) -> Entries:
    """One directory, at most 512 entries; an entry whose value lies outside is left out.  Raises struct.error."""
    count = struct.unpack_from(order + "H", tiff, offset)[0]
    entries: Entries = {}
    for number in range(min(count, _MAX_ENTRIES)):
        at = offset + 2 + 12 * number
        tag, kind, items = struct.unpack_from(order + "HHI", tiff, at)
        size = _SIZES.get(kind, 0) * items
        start = at + 8 if size <= _INLINE_BYTES else struct.unpack_from(order + "I", tiff, at + 8)[0]
        if size and start + size <= len(tiff):
            entries[tag] = (kind, items, tiff[start : start + size])
    return entries


def _build(tags: Tags) -> bytes:
    """A TIFF of the three directories, one behind the other."""
    below = {tag: entries for tag, entries in ((_EXIF_IFD, tags.exif), (_GPS_IFD, tags.gps)) if entries}
    main = _copied(tags.main)
    pointers = {tag: (_LONG, 1, bytes(4)) for tag in below}
    offset = 8 + len(_directory_bytes(main | pointers, tags.order, 8))
    parts = []
    for tag, entries in below.items():
        pointers[tag] = (_LONG, 1, struct.pack(tags.order + "I", offset))
        parts.append(_directory_bytes(_copied(entries), tags.order, offset))
        offset += len(parts[-1])
    magic = b"II*\0" if tags.order == "<" else b"MM\0*"
    first = _directory_bytes(main | pointers, tags.order, 8)
    return magic + struct.pack(tags.order + "I", 8) + first + b"".join(parts)


def _copied(entries: Entries) -> Entries:
    return {tag: entry for tag, entry in entries.items() if tag not in _NOT_COPIED}


def _directory_bytes(entries: Entries, order: str, offset: int) -> bytes:
    """Entries in order of tags, the next directory's offset (none), then the values that do not fit into an entry."""
    rows, values = [], bytearray()
    behind = offset + 2 + 12 * len(entries) + 4
    for tag, (kind, items, value) in sorted(entries.items()):
        if len(value) <= _INLINE_BYTES:
            field = value.ljust(_INLINE_BYTES, b"\0")
        else:
            field = struct.pack(order + "I", behind + len(values))
            values += value + b"\0" * (len(value) % 2)
        rows.append(struct.pack(order + "HHI", tag, kind, items) + field)
    return struct.pack(order + "H", len(entries)) + b"".join(rows) + bytes(_INLINE_BYTES) + bytes(values)


def _text(entry: tuple[int, int, bytes] | None) -> str:
    return entry[2].split(b"\0")[0].decode("ascii", "replace") if entry and entry[0] == _ASCII else ""
