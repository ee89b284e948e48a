"""Brings a database to this release's schema, after a copy of what was there."""

from __future__ import annotations

from pathlib import Path

from playhouse.migrations import Runner

from node.domain.errors import DatabaseDamaged, SchemaNewer
from node.store import migrations
from node.store.session import Session

SCHEMA = 1
"""The newest schema that this release can use.  A migration with which older releases cannot live writes its own
number into user_version; one that only adds leaves the number, so that the release before still starts."""

APPLICATION_ID = 0x48454C49
BACKUPS = "backup"
_STEPS = Path(migrations.__path__[0])


def migrate(session: Session, path: Path) -> tuple[str, ...]:
    """The names of the steps just done.  Raises SchemaNewer; DatabaseDamaged where it is another program's file."""
    owner, version = int(session.pragma("application_id")), int(session.pragma("user_version"))
    if owner not in (0, APPLICATION_ID):
        raise DatabaseDamaged(f"{path.name} belongs to another program (application id {owner:#x})")
    if version > SCHEMA:
        raise SchemaNewer(f"{path.name} has schema {version}; this release knows up to {SCHEMA}")
    runner = Runner(session.db, str(_STEPS))
    if all(step.applied for step in runner.status() if step.path):
        return ()
    if version:
        _copy(session, path.parent / BACKUPS / f"{path.stem}-schema-{version}.db")
    applied: list[str] = runner.up()
    session.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return tuple(applied)


def _copy(session: Session, target: Path) -> None:
    """A whole, compact copy under its final name only when it is complete; an older copy of that schema gives way."""
    target.parent.mkdir(exist_ok=True)
    unfinished = target.with_suffix(".tmp")
    unfinished.unlink(missing_ok=True)
    session.execute("VACUUM INTO ?", (str(unfinished),))
    unfinished.replace(target)
