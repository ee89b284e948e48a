"""An independent count of what is gone: plain SQL and files by hash, nothing of the code that deletes."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

UNSAVED = ("without_target", "quarantined_days")


def unaccounted(folder: Path, needed: int = 1) -> list[str]:
    """What is wrong; empty = every frame is here byte for byte, or gone by a rule, with receipts that say so.

    A file that is here though its row says that it is gone is one deletion that was cut in two: see `half_gone`.
    """
    said = []
    for frame, path, size, sha256, rule in _frames(folder):
        here = _hash(folder / path)
        if rule is None and here is None:
            said.append(f"frame {frame} is neither here nor gone by a rule")
        elif here not in (None, sha256):
            said.append(f"frame {frame} is not what was kept")
        if here is None and rule not in (None, *UNSAVED):
            held = _rows(
                folder,
                "SELECT COUNT(*) FROM receipts WHERE item = ? AND sha256 = ? AND size_bytes = ?",
                *(frame, sha256, size),
            )
            if held[0][0] < needed:
                said.append(f"frame {frame} went by {rule} with {held[0][0]} receipts that say what its row says")
    return said


def half_gone(folder: Path) -> list[str]:
    """Frames that are here though their rows say that they are gone."""
    return [frame for frame, path, _, _, rule in _frames(folder) if rule is not None and (folder / path).exists()]


def here(folder: Path) -> list[str]:
    """Ids of the frames whose files are here, in their order."""
    return sorted(frame for frame, path, *_ in _frames(folder) if (folder / path).exists())


def _frames(folder: Path) -> list[Any]:
    return _rows(
        folder,
        "SELECT id, path, size_bytes, sha256, rule FROM frames LEFT JOIN frames_gone ON frame_id = id ORDER BY id",
    )


def _hash(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _rows(folder: Path, sql: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(f"file:{folder}/heliograph.db?mode=ro", uri=True)) as database:
        return database.execute(sql, values).fetchall()
