"""Lists: cursors, spans of time, and the fields that were asked for."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from node.api.parts import ApiParts
from node.domain.config import NAME
from node.domain.errors import FieldFault, RequestInvalid
from node.domain.times import to_us

Row = TypeVar("Row")
DEFAULT_PAGE, MOST_PAGE = 100, 10_000
TEXT_CHARS = 400

NameFilter = Annotated[str | None, Field(pattern=NAME)]
Since = Annotated[AwareDatetime | None, Field(alias="from", description="RFC 3339, included.")]
Until = Annotated[AwareDatetime | None, Field(alias="to", description="RFC 3339, not included.")]
FieldNames = Annotated[str | None, Field(max_length=TEXT_CHARS, description="Names joined by commas, or `all`.")]


class Query(BaseModel):
    """The query of one route: unknown names are refused together with wrong values."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListQuery(Query):
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MOST_PAGE, description="Rows; at most api.page_max of the document.")
    cursor: str | None = Field(None, max_length=TEXT_CHARS, description="`next` of the page before.")

    def rows(self, parts: ApiParts) -> int:
        """How many rows.  Raises RequestInvalid where more are asked for than the document allows."""
        most = parts.document().api.page_max
        if self.limit > most and "limit" in self.model_fields_set:
            fault = FieldFault("query.limit", f"is more than api.page_max, {most}", str(self.limit))
            raise RequestInvalid(fields=(fault,))
        return min(self.limit, most)


def micros(moment: AwareDatetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def cursor_text(key: Sequence[str | int]) -> str:
    """A key as text that may stand in an address."""
    return base64.urlsafe_b64encode(json.dumps(list(key), separators=(",", ":")).encode()).decode().rstrip("=")


def cursor_key(text: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The key inside; None where no cursor was given.  Raises RequestInvalid where it is none of this list."""
    if text is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        key = None
    if not isinstance(key, list) or [type(part) for part in key] != list(kinds) or not all(map(_fits, key)):
        raise RequestInvalid(fields=(FieldFault("query.cursor", "is no cursor of this list", text),))
    return tuple(key)


def _fits(part: str | int) -> bool:
    """Whether the database can take it: 64 bits, and text that has bytes."""
    return part.bit_length() < 64 if isinstance(part, int) else part.isprintable()  # noqa: PLR2004 - SQLite's integers


def paged(
    rows: Sequence[Row], limit: int, key: Callable[[Row], Sequence[str | int]]
) -> tuple[Sequence[Row], str | None]:
    """The page and the cursor of the next one; `rows` holds one more than `limit` where there is one."""
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, cursor_text(key(page[-1]))


def chosen_fields(text: str | None, known: Sequence[str], essentials: Sequence[str]) -> tuple[str, ...]:
    """The names asked for.  Raises RequestInvalid naming each that is not known."""
    if text is None:
        return tuple(essentials)
    if text == "all":
        return tuple(known)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    faults = [FieldFault("query.fields", "unknown field", name) for name in names if name not in known]
    if faults:
        raise RequestInvalid(fields=faults)
    return names
