"""Request bodies: bounded while they are read, then JSON or YAML, strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request

from node.api.guard import Known
from node.domain.errors import BodyTooLarge, FieldFault, MediaTypeWrong, NotYaml, RequestInvalid
from node.settings import MOST_LEVELS, TOO_DEEP, parse_yaml

JSON, YAML = "json", "yaml"
_KINDS: Mapping[type, str] = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
_STEPS: Mapping[bytes, int] = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
YAML_BYTES = 128 * 1024
"""Reading YAML takes about 10 s a megabyte."""
MEDIA_TYPES = {
    "application/json": JSON,
    "application/yaml": YAML,
    "application/x-yaml": YAML,
    "text/yaml": YAML,
}


@dataclass(frozen=True, slots=True)
class RawBody:
    """Bytes and their media type in lower case, without parameters; empty where none was sent."""

    media_type: str
    data: bytes


async def _raw_body(request: Request, _caller: Known) -> RawBody:
    """Reads no further than the limit, however the length was (or was not) announced.  Raises BodyTooLarge."""
    limit = request.app.state.parts.document().api.body_limit_bytes
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLarge(f"{announced} bytes announced, {limit} allowed")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise BodyTooLarge(f"more than {limit} bytes")
    return RawBody(request.headers.get("content-type", "").partition(";")[0].strip().lower(), bytes(data))


Body = Annotated[RawBody, Depends(_raw_body)]


def parse_object(body: RawBody) -> dict[str, Any]:
    """The object that a body holds; an absent body is an empty object.  Call it from a worker thread.

    Raises MediaTypeWrong, RequestInvalid.
    """
    return _plain_object(_parsed(body)) if body.data.strip() else {}


def parse_document(body: RawBody) -> dict[str, Any]:
    """The document that a body holds.  Empty has to be said as `{}`: it resets every field, an absent body does not.

    Raises MediaTypeWrong, RequestInvalid.  Call it from a worker thread.
    """
    value = _parsed(body) if body.data.strip() else None
    if value is None:
        _refuse("(document)", "a document is wanted; {} resets everything")
    return _plain_object(value)


def _parsed(body: RawBody) -> object:
    kind = MEDIA_TYPES.get(body.media_type)
    if kind is None:
        raise MediaTypeWrong(body.media_type or "no Content-Type")
    return _PARSERS[kind](body.data)


def _plain_object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse("(body)", f"an object is wanted, not {_KINDS.get(type(value), 'null')}")
    _check_plain(value)
    return value


def _refuse(path: str, message: str) -> NoReturn:
    raise RequestInvalid(fields=(FieldFault(path, message),))


def _from_json(data: bytes) -> object:
    _check_levels(data)
    try:
        return json.loads(data, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return _refuse("(body)", f"is not JSON: {error}")


def _check_levels(data: bytes) -> None:
    """Refuses what is nested too deep before the parser, which recurses, sees it."""
    if data.count(b"[") + data.count(b"{") <= MOST_LEVELS:
        return
    levels = 0
    for found in _STRING_OR_BRACKET.finditer(data):
        levels += _STEPS.get(found[0], 0)
        if levels > MOST_LEVELS:
            _refuse("(body)", TOO_DEEP)


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        message = f"key {next(name for name in names if names.count(name) > 1)!r} is given twice"
        raise ValueError(message)
    return found


def _from_yaml(data: bytes) -> object:
    """As files are read, so that a document means the same whichever way it comes."""
    if len(data) > YAML_BYTES:
        raise BodyTooLarge(f"YAML of more than {YAML_BYTES} bytes; JSON may be longer")
    try:
        return parse_yaml(data)
    except NotYaml as error:
        return _refuse("(body)", f"is not YAML: {error.detail}")


_PARSERS: Mapping[str, Callable[[bytes], object]] = {JSON: _from_json, YAML: _from_yaml}


def _check_plain(value: dict[Any, Any]) -> None:
    """Only text that UTF-8 can write, only numbers that JSON has."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        _refuse("(body)", f"holds what JSON cannot say: {error}")
