"""A node's running configuration as the lines of a YAML document, each with where its value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from console.fleet.filter import Field, Fields
from console.fleet.listing import Kind
from console.fleet.text import clean
from node.wire.records import ConfigRecord

MOST = 5000
INDENT = "  "
SECTION, UNKNOWN = "", "unknown"
"""A line that only holds others comes from nowhere; a field of a newer release is kept, and means nothing here."""
WIDE = 10_000


@dataclass(frozen=True, slots=True)
class Setting:
    """One line.  `origin` is document, default or unknown; empty on a line that only holds others."""

    number: int
    path: str
    text: str
    origin: str

    @property
    def key(self) -> str:
        return f"{self.number}"


def settings(record: ConfigRecord) -> dict[str, Setting]:
    """In the order of the document's schema; what this release does not know comes last."""
    lines: list[Setting] = []
    open_path: tuple[str, ...] = ()
    for path, value, origin in _leaves(record):
        parts = tuple(clean(part) for part in path.split("."))
        for depth in range(_shared(open_path, parts[:-1]), len(parts) - 1):
            lines.append(_line(len(lines), parts[: depth + 1], "", SECTION))
        open_path = parts[:-1]
        lines.append(_line(len(lines), parts, _scalar(value), origin))
        if len(lines) >= MOST:
            break
    return {line.key: line for line in lines}


def _leaves(record: ConfigRecord) -> Iterator[tuple[str, Any, str]]:
    for path, value in record.effective.items():
        yield path, value.value, value.origin
    if not record.effective:
        yield from ((path, value, "document") for path, value in _flat(record.document))
    for path in record.unknown_fields:
        yield path, _found(record.document, path), UNKNOWN


def _flat(document: Mapping[str, Any], above: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        path = f"{above}.{name}" if above else str(name)
        if isinstance(value, dict) and value and depth < len(INDENT) * 10:
            yield from _flat(value, path, depth + 1)
        else:
            yield path, value


def _found(document: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - a document holds anything
    here: Any = document
    for part in path.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    return here


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many parts both begin with."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


def _line(number: int, parts: tuple[str, ...], value: str, origin: str) -> Setting:
    text = f"{INDENT * (len(parts) - 1)}{parts[-1]}:" + (f" {value}" if value else "")
    return Setting(number, ".".join(parts), text, origin)


def _scalar(value: object) -> str:
    """As YAML writes it, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=WIDE, allow_unicode=True, sort_keys=False)
    return clean(text.removesuffix("\n").removesuffix("\n..."))


def _texts(row: Setting) -> Iterator[str]:
    yield row.path
    yield row.text


SETTINGS: Kind[Setting] = Kind(
    name="config",
    fields=Fields(
        {
            "path": Field("dotted path: path:cameras.main", text=lambda row: row.path),
            "origin": Field("document, default, unknown", text=lambda row: row.origin),
            "value": Field("in the line", text=lambda row: row.text),
        },
        _texts,
    ),
    sorts={
        "line": lambda row: row.number,
        "path": lambda row: row.path,
        "origin": lambda row: row.origin,
    },
    order=("line",),
)
