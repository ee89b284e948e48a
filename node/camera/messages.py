"""What goes through the pipes of a camera worker: length-prefixed frames of a JSON header and binary parts."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from node.camera.base import CameraConfig, CameraHealth, CameraInfo, Capabilities, ExposurePlan, Shot, ShotSpec
from node.domain.errors import REGISTRY, CameraFault, HeliographError
from node.domain.frame import Exposure

PREFIX = struct.Struct("!II")
HEADER_LIMIT = 1_000_000
PARTS_LIMIT = 400_000_000
_BINARY = ("jpeg", "luma")


@dataclass(frozen=True, slots=True)
class Message:
    """One request or answer: a JSON-ready header and the binary parts that its `parts` gives the sizes of."""

    header: Mapping[str, Any]
    parts: tuple[bytes | memoryview, ...] = ()


class Garbled(Exception):
    """The other end did not speak this protocol."""


def pack(message: Message) -> list[bytes | memoryview]:
    """The buffers to write, in order."""
    sizes = [len(part) for part in message.parts]
    header = json.dumps({**message.header, "parts": sizes}, separators=(",", ":")).encode()
    return [PREFIX.pack(len(header), sum(sizes)) + header, *message.parts]


def lengths(prefix: bytes) -> tuple[int, int]:
    """Sizes in bytes of header and parts.  Raises Garbled where they cannot be."""
    header, parts = PREFIX.unpack(prefix)
    if not 0 < header <= HEADER_LIMIT or parts > PARTS_LIMIT:
        raise Garbled(f"a header of {header} and parts of {parts} bytes")
    return header, parts


def unpack(header: bytes, body: memoryview) -> Message:
    """The message of a header's and its parts' bytes.  Raises Garbled."""
    try:
        fields_of = json.loads(header)
        sizes = fields_of.pop("parts")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Garbled(f"header {header[:80]!r}") from error
    if sum(sizes) != len(body):
        raise Garbled(f"parts of {sizes} in {len(body)} bytes")
    return Message(fields_of, tuple(_cut(body, sizes)))


def _cut(body: memoryview, sizes: Sequence[int]) -> list[memoryview]:
    cuts, start = [], 0
    for size in sizes:
        cuts.append(body[start : start + size])
        start += size
    return cuts


def from_error(error: HeliographError) -> Message:
    """An answer that says what went wrong."""
    return Message({"error": error.code, "detail": error.detail})


def to_error(header: Mapping[str, Any]) -> HeliographError | None:
    """The error that an answer carries."""
    code = header.get("error")
    if code is None:
        return None
    return REGISTRY.get(code, CameraFault)(str(header.get("detail", "")))


def from_shot(shot: Shot) -> Message:
    """A shot as an answer; picture and luma are its parts."""
    header = {field.name: getattr(shot, field.name) for field in fields(shot) if field.name not in _BINARY}
    header |= {"requested": asdict(shot.requested), "actual": asdict(shot.actual)}
    return Message(header, (shot.jpeg, shot.luma))


def to_shot(message: Message) -> Shot:
    """Raises Garbled where the answer is none."""
    values = dict(message.header)
    try:
        jpeg, luma = (bytes(part) for part in message.parts)
        values |= {"requested": Exposure(**values["requested"]), "actual": Exposure(**values["actual"])}
        return Shot(jpeg=jpeg, luma=luma, **values)
    except (ValueError, TypeError, KeyError) as error:
        raise Garbled(f"not a shot: {error}") from error


def from_spec(spec: ShotSpec) -> dict[str, Any]:
    return asdict(spec)


def to_spec(values: Mapping[str, Any]) -> ShotSpec:
    return ShotSpec(at_us=values["at_us"], plan=ExposurePlan(**values["plan"]))


def from_config(config: CameraConfig) -> dict[str, Any]:
    return asdict(config)


def to_config(values: Mapping[str, Any]) -> CameraConfig:
    return CameraConfig(**values)


def to_capabilities(values: Mapping[str, Any]) -> Capabilities:
    return Capabilities(**values)


def to_health(values: Mapping[str, Any]) -> CameraHealth:
    return CameraHealth(**values)


def to_infos(values: Sequence[Mapping[str, Any]]) -> list[CameraInfo]:
    return [CameraInfo(**value) for value in values]
