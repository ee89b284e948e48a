"""The filter language: `field op value` terms, bare words and /regex/, all of which must hold."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")

TERM = re.compile(r"(?P<field>[A-Za-z0-9]+)(?P<op>>=|<=|[:=<>])(?P<value>.*)")
NUMBER = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[smhd%]?)")
UNIT = {"": 1.0, "%": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
QUOTED = r'"(?:[^"]|"")*"'
VALUE = re.compile(rf"(?P<quoted>{QUOTED})|(?P<plain>[^,]+)")
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "=": operator.eq, ":": operator.eq,
}  # fmt: skip


class FilterWrong(ValueError):
    """The filter cannot be understood; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class Field(Generic[Row]):
    """Something that can be asked for: `text` by its value, `number` by comparison; one of the two.

    `words` closes the set of its texts: only those may be asked for, and only whole ones match.  `lines`: its text is
    several texts, one in a line, of which only whole ones match.
    """

    says: str
    text: Callable[[Row], str] | None = None
    number: Callable[[Row], float | None] | None = None
    words: tuple[str, ...] = ()
    lines: bool = False
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Fields(Generic[Row]):
    """What the filter of one list knows; `anywhere` are the texts in which a bare word is looked for."""

    table: Mapping[str, Field[Row]]
    anywhere: Callable[[Row], Iterable[str]]


def parse(text: str, fields: Fields[Row]) -> Callable[[Row], bool]:
    """The test that a filter stands for; an empty one lets all pass.  Raises FilterWrong."""
    tests = [_term(term, fields) for term in _terms(text)]
    return lambda row: all(test(row) for test in tests)


def _terms(text: str) -> list[str]:
    """Split at blanks, but not inside "quotes", or a /regex/ at the start of a term."""
    return [match.group() for match in re.finditer(rf"!?/(?:\\.|[^/\\])*/?|(?:{QUOTED}|\S)+", text)]


def quoted(text: str) -> str:
    """As the value of a term, whatever is in it."""
    return '"' + text.replace('"', '""') + '"' if not text or re.search(r'[\s,!"]', text) else text


def _values(value: str) -> list[str]:
    found = VALUE.finditer(value.removeprefix("!").lower())
    return [_unquoted(match.group()) for match in found]


def _term(term: str, fields: Fields[Row]) -> Callable[[Row], bool]:
    if term.startswith(("/", "!/")):
        return _regex(term, fields)
    match = TERM.fullmatch(term)
    if match is None:
        return _anywhere(re.compile(re.escape(_unquoted(term)), re.IGNORECASE), fields)
    name = match["field"].lower()
    field = fields.table.get(name)
    if field is None:
        raise FilterWrong(f"no field {name}: there is {', '.join(fields.table)}")
    if field.number is not None:
        return _numeric(name, field, match["op"], match["value"])
    return _textual(name, field, match["op"], match["value"])


def _unquoted(term: str) -> str:
    return term[1:-1].replace('""', '"') if re.fullmatch(QUOTED, term) else term


def _regex(term: str, fields: Fields[Row]) -> Callable[[Row], bool]:
    negated, pattern = term.startswith("!"), term.removeprefix("!").removeprefix("/")
    if not pattern.endswith("/"):
        raise FilterWrong(f"{term}: a pattern ends with /")
    try:
        found = _anywhere(re.compile(pattern.removesuffix("/"), re.IGNORECASE), fields)
    except re.error as error:
        raise FilterWrong(f"{term}: {error}") from None
    return (lambda row: not found(row)) if negated else found


def _anywhere(pattern: re.Pattern[str], fields: Fields[Row]) -> Callable[[Row], bool]:
    return lambda row: any(pattern.search(text) for text in fields.anywhere(row))


def _textual(name: str, field: Field[Row], op: str, value: str) -> Callable[[Row], bool]:
    if op not in (":", "="):
        raise FilterWrong(f"{name} is text: {name}:value or {name}:!value")
    wanted = _values(value)
    if not wanted:
        raise FilterWrong(f"{name}{op} needs a value")
    if field.words and (unknown := [one for one in wanted if one not in field.words]):
        raise FilterWrong(f"no {name} {', '.join(unknown)}: there is {', '.join(field.words)}")
    read, whole = field.text, op == "=" or bool(field.words) or field.lines
    assert read is not None
    wholes = frozenset(wanted)

    def holds(row: Row) -> bool:
        text = read(row).lower()
        if whole:
            return not wholes.isdisjoint(text.split("\n") if field.lines else (text,))
        return any(part in text for part in wanted)

    return (lambda row: not holds(row)) if value.startswith("!") else holds


def _numeric(name: str, field: Field[Row], op: str, value: str) -> Callable[[Row], bool]:
    match = NUMBER.fullmatch(value)
    if match is None:
        form = f"a number and one of s m h d, such as {name}>90s" if field.timed else f"a number, such as {name}>10"
        raise FilterWrong(f"{name}{op} needs {form}")
    limit, compare, read = float(match["number"]) * UNIT[match["unit"]], COMPARISONS[op], field.number
    assert read is not None

    def test(row: Row) -> bool:
        found = read(row)
        return found is not None and compare(found, limit)

    return test
