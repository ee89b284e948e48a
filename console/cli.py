"""heliograph: the operator's commands."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from console.commands import (
    alerts,
    cameras,
    console,
    demo,
    events,
    frames,
    jobs,
    pki,
    push,
    rollout,
    settings,
    status,
    watch,
)
from console.commands.command import Command
from console.commands.completion import SHELLS
from node.wire.errors import EXIT_CODES, OK, FileNotWritten, HeliographError, UsageWrong
from node.wire.version import __version__

INTERRUPTED = 130
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What writing fails with where there is no room, or a disk is broken."""
ENDED_FROM_OUTSIDE = {INTERRUPTED: "ended with Ctrl-C, on the screen too", 143: "ended by SIGTERM; by another, 128 + n"}


class _Parser(argparse.ArgumentParser):
    """Ends with the product's own code for a wrong command line."""

    def error(self, message: str) -> Any:  # noqa: ANN401 - argparse says NoReturn, which no caller needs
        self.print_usage(sys.stderr)
        raise UsageWrong(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a node's words may not fit the terminal's alphabet
    try:
        status = _acted(arguments)
        sys.stdout.flush()  # here, where what goes wrong with it can still be told
    except HeliographError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit
    except BrokenPipeError:  # the reader of a pipe left: no fault of ours, and nothing to tell it
        _let_go()
        return OK
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _let_go()
        unwritten = FileNotWritten(f"standard output: {error.strerror}")
        print("\n".join(unwritten.lines()), file=sys.stderr)
        return unwritten.exit
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _let_go() -> None:
    """Nothing more is written to standard output, at the interpreter's end either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _acted(arguments: Sequence[str] | None) -> int:
    """What one of several tasks raises is raised as if it had been the only one."""
    try:
        given = _parser().parse_args(arguments)
        return int(given.act(given))
    except ExceptionGroup as group:
        ours, bugs = group.split((OSError, HeliographError))
        if ours is None or bugs is not None:
            raise
        raise _first(ours) from None


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _parser() -> argparse.ArgumentParser:
    codes = "; ".join(f"{code} {meaning}" for code, meaning in (EXIT_CODES | ENDED_FROM_OUTSIDE).items())
    parser = _Parser(prog="heliograph", description="Fleets of timelapse cameras.", epilog=f"exit codes: {codes}")
    parser.add_argument("--version", action="version", version=f"heliograph {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    groups = {"": commands}
    for name, command in COMMANDS.items():
        group, _, word = name.rpartition(" ")
        if group not in groups:
            above = commands.add_parser(group, help=GROUPS[group], description=GROUPS[group])
            groups[group] = above.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
        one = groups[group].add_parser(word, help=command.sentence, description=command.sentence)
        command.options(one)
        one.set_defaults(act=command.act)
    return parser


def _completion_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=tuple(SHELLS), help="bash: source <(heliograph completion bash)")


def _completion(given: argparse.Namespace) -> int:
    print(SHELLS[given.shell](_parser()), end="")
    return OK


GROUPS = {"camera": "Cameras of nodes.", "frames": "Frames of nodes.", "pki": "The fleet's certificates."}
"""Commands of two words, by the first."""
COMMANDS: dict[str, Command] = {
    **console.COMMANDS,
    **demo.COMMANDS,
    **status.COMMANDS,
    **watch.COMMANDS,
    **events.COMMANDS,
    **alerts.COMMANDS,
    **jobs.COMMANDS,
    **cameras.COMMANDS,
    **frames.COMMANDS,
    **push.COMMANDS,
    **rollout.COMMANDS,
    **settings.COMMANDS,
    **pki.COMMANDS,
    "completion": Command("A script by which a shell completes this command.", _completion_options, _completion),
}


if __name__ == "__main__":
    sys.exit(main())
