"""Rows to a file: csv, json or jsonl, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

Value = str | float | int | None
Record = Mapping[str, Value]
FOR_A_FILE = 0o666
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula, and nodes write what they like."""
ESCAPE = "'"


class NotExported(Exception):
    """Nothing was written; the message is for the operator."""


def export(path: Path, columns: Sequence[str], records: Sequence[Record], *, over: bool = False) -> None:
    """In the form that the path's ending names.  What stands there stays, but for `over`.  Raises NotExported."""
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise NotExported(f"{path.name}: a name ends with {', '.join(FORMS)}")
    try:
        write_whole(path, form(columns, records).encode(errors="replace"), mode=FOR_A_FILE, over=over)
    except FileExistsError:
        raise NotExported(f"{path} is there already; :export! writes over it") from None
    except (OSError, ValueError) as error:  # a path with a NUL in it is a ValueError
        raise NotExported(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def write_whole(path: Path, data: bytes, *, mode: int, over: bool) -> None:
    """All of it, on the disk, or nothing.  Raises OSError; FileExistsError where something is there and stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if over or not _linked(draft, path):
            draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _linked(draft: Path, path: Path) -> bool:
    """Where something stands, it stays and FileExistsError is raised; False where the disk knows no links.

    Then whether something stands is looked at only a moment before it is written over.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        return False
    return True


def as_json(value: object, *, indent: int | None = None) -> str:
    """JSON that can be shown and pasted: what acts on a terminal, or hides there, stands as its number."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if text.isprintable() else "".join(map(_seen, text))


def _seen(char: str) -> str:
    return json.dumps(char)[1:-1] if char != "\n" and unicodedata.category(char).startswith("C") else char


def _csv(columns: Sequence[str], records: Sequence[Record]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)  # its lines end as RFC 4180 has them, so that a lone \r in a cell is quoted
    writer.writerow(columns)
    writer.writerows([_cell(record.get(column)) for column in columns] for record in records)
    return text.getvalue()


def _cell(value: Value) -> Value:
    return ESCAPE + value if isinstance(value, str) and value.startswith(FORMULA) else value


def _json(_: Sequence[str], records: Sequence[Record]) -> str:
    return as_json(list(records), indent=2) + "\n"


def _jsonl(_: Sequence[str], records: Sequence[Record]) -> str:
    return "".join(as_json(record) + "\n" for record in records)


FORMS: Mapping[str, Callable[[Sequence[str], Sequence[Record]], str]] = {".csv": _csv, ".json": _json, ".jsonl": _jsonl}
"""By the ending of the file's name."""
