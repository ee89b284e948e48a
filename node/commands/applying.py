"""`config apply`: a document for this node, through its service or, where none runs, straight into its version book."""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from node.api.local import get, put
from node.api.words import LEASE_HEADER
from node.clock import Clock, SystemClock
from node.commands.backroom import HAND
from node.commands.base import print_json, settings_of
from node.commands.door import token_beside
from node.domain.config import digest, parse_document
from node.domain.errors import (
    FAULT,
    OK,
    ConfigFileMissing,
    DirectoryHeld,
    DirectoryMissing,
    NotAuthenticated,
    ServiceUnreachable,
    VersionMoved,
)
from node.domain.nodefile import NodeFile
from node.journal import Journal
from node.settings import load_document_file
from node.store import files
from node.store.configs import ACTIVE, PROBATION, PROVISIONAL, Running, VersionBook
from node.store.database import Database
from node.store.leases import Leases
from node.store.replace import open_sound
from node.wire.records import ConfigActivation, ConfigRecord, ConfigVersion
from node.work.live import Compiler
from node.work.reload import Reload

CONFIG = "/v1/config"
SAID = {PROBATION: ", on probation", PROVISIONAL: ", provisionally: it is judged when its slots come by light"}
LOOK_S = 1.0
PATIENCE_S = 120.0
"""So long a service may not answer while a document proves itself: it is started anew, or the machine is."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What runs now.  `changed` is False where that document ran already."""

    version: int
    digest: str
    changed: bool
    state: str
    reason: str = ""
    """Why the node went back to the version before; empty = it did not."""

    def as_json(self) -> dict[str, Any]:
        return {"version": self.version, "digest": self.digest, "changed": self.changed, "state": self.state}

    def line(self) -> str:
        what = f"version {self.version} runs" if self.changed else f"unchanged: version {self.version} runs already"
        return what + SAID.get(self.state, "")


class Way(Protocol):
    """How the version book is reached."""

    def apply(self, document: Mapping[str, Any]) -> Applied:
        """Raises DocumentInvalid, VersionMoved, ProbationRunning, LeaseHeld."""

    def proved(self, applied: Applied) -> Applied:
        """When it has proved itself, runs provisionally, or failed."""


def apply(given: argparse.Namespace) -> int:
    """1 where the document failed its probation."""
    settings, document = settings_of(given).node_file, load_document_file(given.file)
    parse_document(document)
    with _way(settings, given.token_file, given.lease or "") as way:
        applied = way.apply(document)
        if given.wait and applied.state == PROBATION:
            applied = way.proved(applied)
    if given.json:
        print_json(applied.as_json() | ({"reason": applied.reason} if applied.reason else {}))
    else:
        print(f"version {applied.version} was rolled back: {applied.reason}" if applied.reason else applied.line())
    return FAULT if applied.reason else OK


@contextmanager
def _way(settings: NodeFile, token_file: Path | None, lease: str) -> Iterator[Way]:
    with ExitStack() as stack:
        yield ByService(settings, token_file, lease=lease) if token_file else _nearest(settings, lease, stack)


def _nearest(settings: NodeFile, lease: str, stack: ExitStack) -> Way:
    """The data directory, or the service that holds it.  Raises DirectoryHeld, DirectoryMissing."""
    data = Path(settings.paths.data)
    become_owner(data)
    try:
        held = stack.enter_context(files.hold(data))
    except DirectoryHeld as error:
        return ByService(settings, token_beside(settings, error), lease=lease)
    clock = SystemClock(trusted=settings.clock.trusted)
    stack.enter_context(Leases(held.data_dir, clock).respected(lease))
    database = open_sound(held.data_dir, clock.now_us())
    stack.callback(database.close)
    return ByBook(settings, database, clock)


def become_owner(folder: Path) -> None:
    """Root goes on as the folder's owner: what it makes there is the service's to change."""
    try:
        owner = folder.stat()
    except OSError as error:
        raise DirectoryMissing(f"{folder}: {error.strerror}") from error
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


class ByService:
    """Through the API of the service that runs."""

    def __init__(self, settings: NodeFile, token_file: Path, clock: Clock | None = None, *, lease: str = "") -> None:
        self._settings, self._token_file, self._clock = settings, token_file, clock or SystemClock()
        self._headers = {LEASE_HEADER: lease} if lease else {}

    def apply(self, document: Mapping[str, Any]) -> Applied:
        try:
            return self._put(document)
        except VersionMoved:  # somebody changed it between the two requests; this document is wanted all the same
            return self._put(document)

    def _put(self, document: Mapping[str, Any]) -> Applied:
        before = self._running()
        if before.digest == digest(document):
            return Applied(before.version, before.digest, changed=False, state=before.state)
        headers = {"If-Match": f'"{before.version}"', **self._headers}
        answer = put(self._settings, CONFIG, document, self._token_file, headers)
        made = ConfigActivation.model_validate(answer)
        return Applied(made.version, made.digest, made.changed, PROBATION if made.probation_until else ACTIVE)

    def proved(self, applied: Applied) -> Applied:
        """Raises ServiceUnreachable where the service stays away."""
        while (running := self._running_at_last()).version == applied.version and running.state == PROBATION:
            self._clock.wait(threading.Event(), LOOK_S)
        if running.version == applied.version:
            return replace(applied, state=running.state)
        gone = ConfigVersion.model_validate(self._get(f"{CONFIG}/history/{applied.version}"))
        return replace(applied, state=ACTIVE, reason=gone.reason or "superseded")

    def _running_at_last(self) -> ConfigRecord:
        until_s = self._clock.monotonic() + PATIENCE_S
        while True:
            try:
                return self._running()
            except (ServiceUnreachable, ConfigFileMissing, NotAuthenticated):  # a new start has a new token
                if self._clock.monotonic() > until_s:
                    raise
                self._clock.wait(threading.Event(), LOOK_S)

    def _running(self) -> ConfigRecord:
        return ConfigRecord.model_validate(self._get(CONFIG))

    def _get(self, path: str) -> dict[str, Any]:
        return get(self._settings, path, {}, self._token_file)


class ByBook:
    """Nobody runs: the service proves the document at its next start.  The first one of all owes no proof."""

    def __init__(self, settings: NodeFile, database: Database, clock: Clock) -> None:
        self._settings, self._database, self._clock = settings, database, clock
        self._journal, self._book = Journal(database, clock), VersionBook(database)

    def apply(self, document: Mapping[str, Any]) -> Applied:
        compiler = self._compiler()
        if not self._book.begun():
            compiler.check(document, self._clock.now_us())
            return _applied(self._journal.begin_book(document), changed=True)
        rules = self._settings.probation
        reload = Reload(self._book, self._journal, compiler, rules, self._clock)
        done = reload.put(document, self._book.current().version.version, HAND)
        return _applied(done.running, changed=done.changed)

    def proved(self, applied: Applied) -> Applied:
        """Not before the service runs."""
        return applied

    def _compiler(self) -> Compiler:
        node = self._settings
        return Compiler(node.node.id, tuple(node.cameras), node.simulation.sun_factor, node.simulation.sun_from_us)


def _applied(running: Running, *, changed: bool) -> Applied:
    version, word = running.version, running.activation.word
    return Applied(version.version, version.digest, changed, word if word in SAID else ACTIVE)
