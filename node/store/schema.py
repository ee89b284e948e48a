"""Brings a database to this release's schema, after a copy of what was there."""

from __future__ import annotations

from pathlib import Path

from playhouse.migrations import Runner

from node.crashpoint import crash_point
from node.domain.errors import DatabaseDamaged, SchemaNewer
from node.store import migrations
from node.store.session import Session

SCHEMA = 1
"""The newest schema that this release can use.  A migration with which older releases cannot live writes its own
number into user_version; one that only adds leaves the number, so that the release before still starts."""

APPLICATION_ID = 0x48454C49
BACKUPS = "backup"
_STEPS = Path(migrations.__path__[0])


def check_ours(session: Session, path: Path) -> int:
    """The schema's number, 0 = empty.  Raises SchemaNewer; DatabaseDamaged where it is another program's file."""
    owner, version = int(session.pragma("application_id")), int(session.pragma("user_version"))
    if owner not in (0, APPLICATION_ID):
        raise DatabaseDamaged(f"{path.name} belongs to another program (application id {owner:#x})")
    if version > SCHEMA and _newer_step(session):
        raise SchemaNewer(f"{path.name} has schema {version}; this release knows up to {SCHEMA}")
    if version > SCHEMA:
        raise DatabaseDamaged(f"{path.name} says schema {version}, and no release has taken a step to it")
    return version


def _newer_step(session: Session) -> bool:
    """Whether a step was taken that this release does not have."""
    return any(step.path is None for step in Runner(session.db, str(_STEPS)).status())


def usable(session: Session) -> bool:
    """Whether it is ours, no newer than this release knows, and every step of this release has been taken."""
    if session.pragma("application_id") != APPLICATION_ID or int(session.pragma("user_version")) > SCHEMA:
        return False
    return _all_taken(Runner(session.db, str(_STEPS)))


def migrate(session: Session, path: Path) -> tuple[str, ...]:
    """The names of the steps just done, on a database that was checked to be ours."""
    runner = Runner(session.db, str(_STEPS))
    applied = () if _all_taken(runner) else _steps(runner, session, path)
    if session.pragma("application_id") != APPLICATION_ID:
        session.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return applied


def _steps(runner: Runner, session: Session, path: Path) -> tuple[str, ...]:
    if version := int(session.pragma("user_version")):
        _copy(session, path.parent / BACKUPS / f"{path.stem}-schema-{version}.db")
        crash_point("copy_made")
    applied = tuple(runner.up())
    crash_point("steps_taken")
    return applied


def _all_taken(runner: Runner) -> bool:
    return all(step.applied for step in runner.status() if step.path)


def _copy(session: Session, target: Path) -> None:
    """A whole, compact copy under its final name only when it is complete; an older copy of that schema gives way."""
    target.parent.mkdir(exist_ok=True)
    unfinished = target.with_suffix(".tmp")
    unfinished.unlink(missing_ok=True)
    session.execute("VACUUM INTO ?", (str(unfinished),))
    unfinished.replace(target)
