"""Where commands ask for work: the running service, or a data directory that nobody holds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from node.commands.base import settings_of
from node.commands.desk import Desk
from node.domain.errors import DirectoryHeld
from node.domain.nodefile import NodeFile


@contextmanager
def desk(given: argparse.Namespace) -> Iterator[Desk]:
    """With a token the service; without one the data directory, or the service that holds it, by its own token.

    Raises DirectoryHeld where that one is not for this user, DatabaseMissing where no service ever ran.
    """
    with ExitStack() as stack:
        yield _desk(settings_of(given).node_file, given.token_file, stack)


def _desk(settings: NodeFile, token_file: Path | None, stack: ExitStack) -> Desk:
    from node.commands.counter import Counter

    if token_file is not None:
        return Counter(settings, token_file)
    from node.commands.backroom import backroom

    try:
        return stack.enter_context(backroom(settings))
    except DirectoryHeld as held:
        return Counter(settings, token_beside(settings, held))


def token_beside(settings: NodeFile, held: DirectoryHeld) -> Path:
    """The running service's own token.  Raises what was held where there is none for this user."""
    from node.api.local import own_token_file

    found = own_token_file(settings)
    if found is None:
        raise held
    return found
