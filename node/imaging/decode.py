"""The certain answer about a JPEG: whether it is whole, how large it is, and its pixels at a small scale."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from node.domain.quality import Integrity

Pixels = NDArray[np.uint8]

MIN_SIDE = 48  # the configuration's smallest picture is 64 x 48
MAX_PIXELS = 16384 * 16384  # the configuration's largest
# a progressive picture is held whole as coefficients, up to 6 bytes a pixel, however small it is decoded
MAX_PROGRESSIVE_PIXELS = 64_000_000
MAX_SCANS = 100  # a progressive picture has about ten; each further one costs a pass over the whole picture
SMALL_PIXELS = 75_000  # a 640 x 480 picture at half its size, a 12 MP one at an eighth

_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", 0xDA
_MARK, _LENGTH_BYTES, _FRAME_BYTES = 0xFF, 2, 6
_TABLE_HEAD, _END_OF_BLOCK = 17, 0
_NEVER_IN_HEADER = {0x00, 0xD8, 0xD9}
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_FRAME_STARTS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_TABLES, _ONE_PASS_HUFFMAN = 0xC4, {0xC0, 0xC1}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_ZEROED = bytes(64)  # a lost disk block leaves more


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file is.  `pixels` is RGB, rows × columns × 3, about 75,000 to 300,000 of them; None unless intact.

    `scan_start` is the offset of the first scan's data, behind every header.
    """

    integrity: Integrity
    width: int = 0
    height: int = 0
    scan_start: int = 0
    pixels: Pixels | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class _Header:
    width: int
    height: int
    progressive: bool
    scan_start: int
    zeros_tell: bool  # whether a run of zeros inside the scan can only be damage


class _HeaderTorn(Exception):
    """The data ends inside the header."""


class _HeaderWrong(Exception):
    """The header is no JPEG header."""


def check(data: bytes, columns: int | None = None) -> Checked:
    """Integrity by one strict decode at a small scale.  Never raises on bad data.

    With `columns` the pixels are at least that many across, as far as the picture has them.
    """
    if not data:
        return Checked(Integrity.EMPTY)
    if not data.startswith(_SOI + b"\xff"):
        return Checked(Integrity.WRONG_TYPE)
    try:
        header = _read_header(data)
    except _HeaderTorn:
        return Checked(Integrity.TRUNCATED)
    except _HeaderWrong:
        return Checked(Integrity.UNDECODABLE)
    integrity, pixels = _judge_size(data, header), None
    if integrity is Integrity.INTACT:
        integrity, pixels = _decode(data, header, _eighths(header, columns))
    return Checked(integrity, header.width, header.height, header.scan_start, pixels)


def _scaled(data: bytes, header: _Header, eighths: int, *, strict: bool = True) -> Pixels:
    """RGB at `eighths`/8 of the size.  Raises ValueError where the decoder refuses."""
    pixels: Pixels = simplejpeg.decode_jpeg(
        data,
        "RGB",
        fastdct=True,
        fastupsample=True,
        # only all three together make it decode at a scale
        min_height=max(1, header.height * eighths // 8),
        min_width=max(1, header.width * eighths // 8),
        min_factor=1,
        strict=strict,
    )
    return pixels


def _judge_size(data: bytes, header: _Header) -> Integrity:
    area = header.width * header.height
    if min(header.width, header.height) == 0 or area > MAX_PIXELS:
        return Integrity.UNDECODABLE
    if header.progressive and (area > MAX_PROGRESSIVE_PIXELS or data.count(b"\xff\xda") > MAX_SCANS):
        return Integrity.UNDECODABLE
    return Integrity.TOO_SMALL if min(header.width, header.height) < MIN_SIDE else Integrity.INTACT


def _eighths(header: _Header, columns: int | None) -> int:
    """The smallest scale n/8 that the decoder has and that leaves enough pixels."""
    if columns is not None:
        return min(8, max(1, -(-8 * columns // header.width)))
    return next((n for n in range(1, 8) if header.width * header.height * n * n >= 64 * SMALL_PIXELS), 8)


def _decode(data: bytes, header: _Header, eighths: int) -> tuple[Integrity, Pixels | None]:
    try:
        pixels = _scaled(data, header, eighths)
    except (ValueError, MemoryError) as error:
        return _name_damage(data, header, str(error)), None
    # one lost block in twenty decodes to just as many blocks of rubbish as it held, and the decoder finds no fault
    if header.zeros_tell and _has_zeros_in_scan(data, header.scan_start):
        return Integrity.DAMAGED, None
    return Integrity.INTACT, pixels


def _has_zeros_in_scan(data: bytes, scan_start: int) -> bool:
    """Behind the end marker there may be anything."""
    zeros = data.find(_ZEROED, scan_start)
    return zeros >= 0 and data.find(_EOI, scan_start, zeros) < 0


def _name_damage(data: bytes, header: _Header, said: str) -> Integrity:
    """Which damage the decoder met: nothing to decode at all, an early end, or spoilt data in between."""
    try:
        _scaled(data, header, 1, strict=False)
    except (ValueError, MemoryError):
        return Integrity.UNDECODABLE
    end = data.rfind(_EOI, header.scan_start)
    if end < 0:
        return Integrity.TRUNCATED
    if data.find(_ZEROED, header.scan_start, end) >= 0:
        return Integrity.DAMAGED
    return Integrity.TRUNCATED if "premature end" in said.lower() else Integrity.DAMAGED


def _read_header(data: bytes) -> _Header:
    """Walks the segments up to the first scan (ITU-T T.81, B.1 and B.2)."""
    position, frame, kind, zeros_tell = 2, b"", 0, False
    while True:
        marker, position = _next_marker(data, position)
        if marker in _STANDALONE:
            continue
        body, position = _segment(data, position)
        if marker == _SOS:
            break
        if marker == _HUFFMAN_TABLES:
            zeros_tell = zeros_tell or _zeros_are_detail(body)
        if marker in _FRAME_STARTS:
            frame, kind = body, marker
    if len(frame) < _FRAME_BYTES:  # precision, height, width, components
        raise _HeaderWrong
    height, width = struct.unpack(">HH", frame[1:5])
    return _Header(width, height, kind in _PROGRESSIVE, position, zeros_tell and kind in _ONE_PASS_HUFFMAN)


def _zeros_are_detail(tables: bytes) -> bool:
    """Whether zeros are the code of anything but "end of block" in one of these.

    A flat picture may be made of zeros only where they end blocks in every table, as in tables made for that picture;
    in the usual one for luminance they stand for detail.  A table is its class and number, 16 counts by length of
    code, and the symbols; the first of them has the code of zeros (ITU-T T.81, B.2.4.2 and C.2).
    """
    position = 0
    while position + _TABLE_HEAD < len(tables):
        is_ac, first_symbol = tables[position] >> 4, tables[position + _TABLE_HEAD]
        if is_ac and first_symbol != _END_OF_BLOCK:
            return True
        position += _TABLE_HEAD + sum(tables[position + 1 : position + _TABLE_HEAD])
    return False


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    if position + 1 >= len(data):
        raise _HeaderTorn
    if data[position] != _MARK:
        raise _HeaderWrong
    while position < len(data) and data[position] == _MARK:  # fill bytes are allowed
        position += 1
    if position >= len(data):
        raise _HeaderTorn
    if data[position] in _NEVER_IN_HEADER:
        raise _HeaderWrong
    return data[position], position + 1


def _segment(data: bytes, position: int) -> tuple[bytes, int]:
    if position + 2 > len(data):
        raise _HeaderTorn
    length = int.from_bytes(data[position : position + 2])
    if length < _LENGTH_BYTES:
        raise _HeaderWrong
    if position + length > len(data):
        raise _HeaderTorn
    return data[position + 2 : position + length], position + length
