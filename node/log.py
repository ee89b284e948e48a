"""Structured lines on stderr: one JSON object each, with the ids of what it is about.  Rotation is journald's.

Every part logs through `logging.getLogger(__name__)`.  Ids and values go in `extra={...}` or, for all lines of a piece
of work, in `with about(frame=..., camera=...)`.  Nothing that a stranger sent can break a line or colour a terminal,
and no secret is written, whoever hands it in.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TextIO

from node.domain.errors import HeliographError
from node.domain.events import Event
from node.domain.times import US, to_text

_LONGEST_VALUE, _LONGEST_LIST, _LAST_CALLS = 2000, 50, 12
_PLAIN = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn says each line again, for terminals
}
_CHATTY = ("uvicorn", "asyncio")  # libraries whose daily business nobody wants to read
_NOTHING: Mapping[str, object] = MappingProxyType({})
_ABOUT: ContextVar[Mapping[str, object]] = ContextVar("about", default=_NOTHING)

_SECRET_NAME = re.compile(r"token|secret|password|passwd|authorization|cookie|api_?key|private_?key", re.IGNORECASE)
_SECRETS_IN_TEXT = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;]+"), r"\1 ***"),
    (re.compile(r"(?i)\b(\w+://)[^\s/@:]*:[^\s/@]+@"), r"\1***@"),
    (re.compile(r"(?i)\b((?:access_)?token|password|passwd|secret|api_?key)(\s*[=:]\s*)[^\s&\"',;]+"), r"\1\2***"),
)
# control characters, line and paragraph separators, and the marks that turn the direction of text
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def start(level: str, *, node: str = "", stream: TextIO | None = None) -> None:
    """Send every line of this process, its libraries' and its warnings too, to `stream` (default stderr)."""
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(_Formatter(node))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for library in _CHATTY:
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Inside, each line of this thread or task carries these ids."""
    token = _ABOUT.set({**_ABOUT.get(), **ids})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def write_event(event: Event, event_id: int | None = None) -> None:
    """One line for one event, at the event's own level."""
    level = logging.getLevelNamesMapping()[event.level.upper()]
    logging.getLogger("event").log(level, event.kind, extra={"event": event_id, **event.body()})


def sanitise(text: str) -> str:
    """One bounded line: control characters and direction marks escaped, secrets starred."""
    for pattern, instead in _SECRETS_IN_TEXT:
        text = pattern.sub(instead, text)
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}... ({len(text)} characters)"
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


class _Lines(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """A log that cannot be written must not take the work with it."""


class _Formatter(logging.Formatter):
    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = {"node": node} if node else {}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": to_text(int(record.created * US)),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("node."),
            "msg": sanitise(record.getMessage()),
            **self._node,
        }
        given = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        for name, value in {**_ABOUT.get(), **given}.items():
            if value is not None:
                line.setdefault(name, _value(name, value))
        if record.exc_info and record.exc_info[1] is not None:
            line.update(_failure(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False)


def _value(name: str, value: object) -> object:
    if _SECRET_NAME.search(name):
        return "***"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {sanitise(str(key)): _value(str(key), each) for key, each in _first(value.items())}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value("", each) for each in _first(value)]
    return sanitise(str(value))


def _first(values: Any) -> list[Any]:  # noqa: ANN401 - any collection of anything
    return list(values)[:_LONGEST_LIST]


def _failure(error: BaseException) -> dict[str, object]:
    """What was raised: its code where it has one, its words, and the innermost calls."""
    calls = traceback.extract_tb(error.__traceback__)[-_LAST_CALLS:]
    named = {"code": error.code} if isinstance(error, HeliographError) else {}
    return named | {
        "error": sanitise(f"{type(error).__name__}: {error}"),
        "calls": [f"{'/'.join(call.filename.split('/')[-3:])}:{call.lineno} {call.name}" for call in calls],
    }
