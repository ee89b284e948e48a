"""The filter language: `field op value` terms, bare words and /regex/, all of which must hold."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from console.fleet.view import (
    FleetModel,
    NodeView,
    Word,
    cause,
    counts_today,
    dead_jobs,
    disk_used_pct,
    last_good_age_s,
    lowest_quality,
    open_jobs,
    unsent,
)

TERM = re.compile(r"(?P<field>[a-z0-9]+)(?P<op>>=|<=|[:=<>])(?P<value>.*)")
NUMBER = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[smhd%]?)")
UNIT = {"": 1.0, "%": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "=": operator.eq, ":": operator.eq,
}  # fmt: skip


class FilterWrong(ValueError):
    """The filter cannot be understood; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a filter looks at: a node, its state now, and the time."""

    view: NodeView
    word: Word
    now_s: float


Test = Callable[[Subject], bool]


@dataclass(frozen=True, slots=True)
class Field:
    """Something that can be asked for: `text` by its value, `number` by comparison; one of the two."""

    says: str
    text: Callable[[Subject], str] | None = None
    number: Callable[[Subject], float | None] | None = None


def _today(index: int) -> Callable[[Subject], float | None]:
    return lambda one: None if one.view.status is None else counts_today(one.view.status)[index]


def _status(value: Callable[..., float | None]) -> Callable[[Subject], float | None]:
    return lambda one: None if one.view.status is None else value(one.view.status)


def _said(name: str) -> Callable[[Subject], str]:
    return lambda one: "" if one.view.status is None else str(getattr(one.view.status, name))


FIELDS: dict[str, Field] = {
    "state": Field("state in a word: state:crit,warn", text=lambda one: one.word),
    "node": Field("name of the node", text=lambda one: one.view.host.name),
    "site": Field("name of its site", text=_said("site")),
    "ver": Field("its version: ver:!1.4.2", text=_said("version")),
    "cause": Field("why it is as it is", text=lambda one: cause(one.view, one.word, one.now_s)),
    "age": Field("of the last good frame: age>10m", number=lambda one: last_good_age_s(one.view, one.now_s)),
    "due": Field("slots due today", number=_today(0)),
    "captured": Field("frames captured today", number=_today(1)),
    "gaps": Field("gaps today: gaps>0", number=_today(2)),
    "q": Field("quality, 100 = perfect: q<60", number=_status(lowest_quality)),
    "jobs": Field("jobs due or running", number=_status(open_jobs)),
    "dead": Field("jobs failed for good: dead>0", number=_status(dead_jobs)),
    "unsent": Field("items that the archive lacks", number=_status(unsent)),
    "disk": Field("percent of the disk in use: disk>80", number=_status(disk_used_pct)),
}
EXACT = frozenset({"state"})


def parse(text: str) -> Test:
    """The test that a filter stands for; an empty one lets all pass.  Raises FilterWrong."""
    tests = [_term(term) for term in _terms(text)]
    return lambda one: all(test(one) for test in tests)


def apply(model: FleetModel, names: list[str], test: Test) -> list[str]:
    """Those of the names that pass, in their order."""
    now_s = model.clock.monotonic()
    return [name for name in names if test(Subject(model.views[name], model.word(name), now_s))]


def _terms(text: str) -> list[str]:
    """Split at blanks, but not inside a /regex/ at the start of a term."""
    return [match.group() for match in re.finditer(r"!?/(?:\\.|[^/\\])*/?|\S+", text)]


def _term(term: str) -> Test:
    if term.startswith(("/", "!/")):
        return _regex(term)
    match = TERM.fullmatch(term)
    if match is None:
        return _anywhere(re.compile(re.escape(term), re.IGNORECASE))
    field = FIELDS.get(match["field"])
    if field is None:
        raise FilterWrong(f"no field {match['field']}: there is {', '.join(FIELDS)}")
    if field.number is not None:
        return _numeric(match["field"], field.number, match["op"], match["value"])
    assert field.text is not None
    return _textual(match["field"], field.text, match["op"], match["value"])


def _regex(term: str) -> Test:
    negated, pattern = term.startswith("!"), term.removeprefix("!").removeprefix("/")
    if not pattern.endswith("/"):
        raise FilterWrong(f"{term}: a pattern ends with /")
    try:
        found = _anywhere(re.compile(pattern.removesuffix("/"), re.IGNORECASE))
    except re.error as error:
        raise FilterWrong(f"{term}: {error}") from None
    return (lambda one: not found(one)) if negated else found


def _anywhere(pattern: re.Pattern[str]) -> Test:
    """In any of its text fields: name, site, state, version, cause."""

    def test(one: Subject) -> bool:
        site = one.view.status.site if one.view.status is not None else ""
        return any(
            pattern.search(text) for text in (one.view.host.name, site, one.word, cause(one.view, one.word, one.now_s))
        )

    return test


def _textual(name: str, read: Callable[[Subject], str], op: str, value: str) -> Test:
    if op not in (":", "="):
        raise FilterWrong(f"{name} is text: {name}:value or {name}:!value")
    wanted = [one for one in value.removeprefix("!").lower().split(",") if one]
    if not wanted:
        raise FilterWrong(f"{name}{op} needs a value")
    if name in EXACT and (unknown := [one for one in wanted if one not in {*Word}]):
        raise FilterWrong(f"no state {', '.join(unknown)}: there is {', '.join(Word)}")

    def holds(one: Subject) -> bool:
        text = read(one).lower()
        return any(part == text if name in EXACT or op == "=" else part in text for part in wanted)

    return (lambda one: not holds(one)) if value.startswith("!") else holds


def _numeric(name: str, read: Callable[[Subject], float | None], op: str, value: str) -> Test:
    match = NUMBER.fullmatch(value)
    if match is None:
        raise FilterWrong(f"{name}{op} needs a number, such as {name}>10" + ("m" if name == "age" else ""))
    limit, compare = float(match["number"]) * UNIT[match["unit"]], COMPARISONS[op]

    def test(one: Subject) -> bool:
        found = read(one)
        return found is not None and compare(found, limit)

    return test
