"""Every field of the document in force, by dotted path, with where its value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from node.domain.config import Document
from node.wire.records import EffectiveValue

DOCUMENT, DEFAULT = "document", "default"


def effective(document: Document, given: Mapping[str, Any], cameras: Sequence[str]) -> dict[str, EffectiveValue]:
    """Cameras of node.yml stand there whether or not the document names them, and so does the default schedule."""
    named = {name: document.camera(name) for name in (*cameras, *document.cameras)}
    profiles = {name: document.profile(name) for name in ("auto", *document.profiles)}
    whole = document.model_copy(
        update={"cameras": named, "profiles": profiles, "schedules": dict(document.effective_schedules())}
    )
    return dict(_walk(whole, given, ""))


def _walk(value: object, given: object, path: str) -> Iterator[tuple[str, EffectiveValue]]:
    children = _children(value)
    if not children:
        origin = DEFAULT if given is None else DOCUMENT
        yield path, EffectiveValue.model_validate({"value": _plain(value), "origin": origin})
    for name, child in children.items():
        below = given.get(name) if isinstance(given, Mapping) else None
        yield from _walk(child, below, f"{path}.{name}" if path else name)


def _children(value: object) -> Mapping[str, object]:
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    return value if isinstance(value, dict) else {}


def _plain(value: object) -> object:
    return {} if isinstance(value, dict) else value
