"""Where commands ask for work: the running service where a token is given, else a data directory that nobody holds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from node.commands.base import settings_of
from node.commands.desk import Desk


@contextmanager
def desk(given: argparse.Namespace) -> Iterator[Desk]:
    """Raises DirectoryHeld where a service runs and no token is given, DatabaseMissing where none ever did."""
    settings = settings_of(given).node_file
    if given.token_file is not None:
        from node.commands.counter import Counter

        yield Counter(settings, given.token_file)
        return
    from node.commands.backroom import backroom

    with backroom(settings) as found:
        yield found
