"""A frame's sidecar: all that its row holds but what only the finished file can tell (path, size, hash)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from node.domain.errors import SidecarUnknown
from node.domain.frame import Exposure, Frame, StageTimes

SCHEMA = 1
OF_THE_FILE = ("path", "size_bytes", "sha256")
_FIELDS = tuple(field.name for field in fields(Frame) if field.name not in OF_THE_FILE)
_STAGES = frozenset(field.name for field in fields(StageTimes))
_EXPOSURE = frozenset(field.name for field in fields(Exposure))


def to_sidecar(frame: Frame) -> dict[str, Any]:
    """JSON-ready, schema number first.  Size and hash are of the file that holds it, so they are not in it."""
    body = asdict(frame)
    return {"schema": SCHEMA} | {name: _plain(body[name]) for name in _FIELDS}


def from_sidecar(sidecar: Mapping[str, Any], path: str, size_bytes: int, sha256: str) -> Frame:
    """The frame again.  Fields that this release does not know are passed over.

    Raises SidecarUnknown for a schema that it does not know and for a sidecar that lacks a field.
    """
    schema = sidecar.get("schema")
    read = _SCHEMAS.get(schema) if isinstance(schema, int) else None
    if read is None:
        raise SidecarUnknown(f"{path}: schema {schema!r}; this release reads {', '.join(map(str, _SCHEMAS))}")
    try:
        values = read(sidecar)
    except (KeyError, TypeError, AttributeError) as error:
        raise SidecarUnknown(f"{path}: schema {schema}, field {error}") from None
    return Frame(path=path, size_bytes=size_bytes, sha256=sha256, **values)


def _read_1(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: sidecar[name] for name in _FIELDS}
    return values | {
        "schedules": tuple(values["schedules"]),
        "shoots": tuple(values["shoots"]),
        "reasons": tuple(values["reasons"]),
        "requested": Exposure(**_known(values["requested"], _EXPOSURE)),
        "actual": Exposure(**_known(values["actual"], _EXPOSURE)),
        "stages": StageTimes(**_known(values["stages"], _STAGES)),
    }


_SCHEMAS: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _read_1}


def _known(values: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
