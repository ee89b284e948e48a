"""heliograph-node: the commands of one node."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from node import __version__
from node.commands import archive, backups, care, checking, jobs, leases, room, status, videos, work
from node.commands.base import (
    Command,
    check_root,
    json_option,
    own_document,
    plain_name,
    positive,
    print_json,
    settings_of,
    token_option,
)
from node.commands.door import token_beside
from node.domain.config import Document, load_own, parse_document
from node.domain.errors import EXIT_CODES, OK, DirectoryHeld, DocumentInvalid, HeliographError, UsageWrong
from node.domain.nodefile import BIND_FIELDS, NodeFile, check_bind
from node.domain.schedule import Calendar
from node.domain.sidecar import to_sidecar
from node.settings import Settings, field_origins, given_origins, load_document_file, sound_part

INTERRUPTED = 130
MOST_DAYS = 3660


class _Parser(argparse.ArgumentParser):
    """Ends with the product's own code for a wrong command line."""

    def error(self, message: str) -> Any:  # noqa: ANN401 - argparse says NoReturn, which no caller needs
        raise UsageWrong(message)


class _CommandParser(_Parser):
    """Takes a command's options before, between and after its words; by itself Python does that from 3.12 on."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:  # noqa: ANN401 - as argparse has them
        if self._mixing:  # it asks itself, for options and then for words
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status."""
    try:
        given = _parser().parse_args(arguments)
        return int(given.act(given))
    except HeliographError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit
    except BrokenPipeError:  # the reader of a pipe left: no fault of ours, and nothing to tell it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED


# --- what commands share --------------------------------------------------------------------------------------------


def _chosen_document(given: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], Document]:
    if given.document is not None:
        document = load_document_file(given.document)
        return document, parse_document(document)
    document = own_document(settings)
    return document, load_own(document)[0]


def _calendar(given: argparse.Namespace, settings: Settings) -> Calendar:
    """Raises DocumentInvalid also for what only shows against this node: its cameras, a schedule that never fires."""
    from node.clock import SystemClock
    from node.work.live import Compiler

    node = settings.node_file
    _, document = _chosen_document(given, settings)
    compiler = Compiler(node.node.id, tuple(node.cameras), node.simulation.sun_factor, node.simulation.sun_from_us)
    _, calendar = compiler.calendar(document)
    faults = calendar.check(SystemClock().now_us())
    if faults:
        raise DocumentInvalid(fields=faults)
    return calendar


# --- commands -------------------------------------------------------------------------------------------------------


def _run(given: argparse.Namespace) -> int:
    from node.service import Start, run

    settings = settings_of(given).node_file
    document = None if given.document is None else load_document_file(given.document)
    return run(Start(settings, document, given.ready_file, given.document))


def _check_config(given: argparse.Namespace) -> int:
    """Every fault at once: each error with its lines; the status is the gravest one's."""
    check_root(given.root)
    node, wrong = sound_part(given.config, os.environ, None, given.root)
    found = tuple(_failing(_checks(given, node, wrong)))
    for error in found:
        print("\n".join(error.lines()), file=sys.stderr)
    if not found:
        print(f"node {node.node.id}: node.yml and document are valid")
    return max((error.exit for error in found), default=OK)


def _checks(given: argparse.Namespace, node: NodeFile, wrong: frozenset[str]) -> Iterator[Callable[[], object]]:
    """What of `node`, the part of node.yml without `wrong`, can be checked, and the document against it."""
    from node.camera.replay import check_folders

    yield lambda: settings_of(given)
    if not wrong & BIND_FIELDS:
        yield lambda: check_bind(node.api)
    yield lambda: check_folders(node.replay_folders())
    if not wrong & checking.DATA_FIELDS:
        yield lambda: checking.check_data(node)
        yield lambda: checking.check_devices(node)
    yield lambda: checking.check_keys(node)
    if not wrong:
        yield lambda: _calendar(given, settings_of(given))
    elif given.document is not None:
        yield lambda: parse_document(load_document_file(given.document))


def _failing(checks: Iterable[Callable[[], object]]) -> Iterator[HeliographError]:
    for check in checks:
        try:
            check()
        except HeliographError as error:
            yield error


def _config(given: argparse.Namespace) -> int:
    if given.what == "show":
        return _config_show(given)
    if given.file is None:
        raise UsageWrong("apply wants a file")
    from node.commands.applying import apply

    return apply(given)


def _config_show(given: argparse.Namespace) -> int:
    """Effective values; with --origin, where each came from."""
    settings = settings_of(given)
    text, document = _chosen_document(given, settings)
    origin = f"file {given.document}" if given.document else "version book"
    shown = {
        "node.yml": _fields(settings.node_file.model_dump(), settings.origins),
        "document": _fields(document.model_dump(), field_origins(document, given_origins(text, origin))),
    }
    if given.json:
        print_json({part: {path: {"value": value, "origin": said} for path, value, said in rows}
                     for part, rows in shown.items()})  # fmt: skip
        return OK
    for part, rows in shown.items():
        print(f"# {part}")
        for path, value, said in rows:
            print(f"{path} = {json.dumps(value)}" + (f"    # {said}" if given.origin else ""))
    return OK


def _fields(tree: dict[str, Any], origins: dict[str, str]) -> list[tuple[str, Any, str]]:
    """Path, value and origin of each field; hashes of tokens are not shown."""
    found = []
    for path, origin in sorted(origins.items()):
        value: Any = tree
        for part in path.split("."):
            value = value[part]
        found.append((path, _without_hashes(value) if path == "api.tokens" else value, origin))
    return found


def _without_hashes(tokens: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [token | {"sha256": "***"} for token in tokens]


def _plan(given: argparse.Namespace) -> int:
    from node.clock import SystemClock
    from node.domain.forecast import forecast, room_of
    from node.host.disk import space
    from node.store.database import NAME
    from node.store.frames import peek_mean_bytes

    settings = settings_of(given)
    node, now_us = settings.node_file, SystemClock().now_us()
    calendar = _calendar(given, settings)
    data = Path(node.paths.data)
    free = space(data).free_bytes if data.exists() else None
    measured = peek_mean_bytes(data / NAME) if given.frame_bytes is None else None
    room = room_of(given.frame_bytes, measured, free)
    planned = forecast(calendar, tuple(node.cameras), now_us, given.days, room)
    if given.json:
        print_json(planned.as_json())
        return OK
    for line in planned.lines(calendar.zone):
        print(line)
    return OK


def _capture(given: argparse.Namespace) -> int:
    """Through the service where a token is given or one runs; else this command itself opens the camera."""
    settings = settings_of(given).node_file
    camera = given.camera or next(iter(settings.cameras))
    if given.token_file is not None:
        said = _asked_capture(settings, camera, given.profile, given.token_file)
    else:
        said = _own_capture(settings, camera, given.profile)
    if given.json:
        print_json(said)
    else:
        print(f"{said['id']} {said['verdict']} {said['score']} {said['path']}")
    return OK


def _asked_capture(settings: NodeFile, camera: str, profile: str, token_file: Path) -> dict[str, Any]:
    from node.api.local import post

    return post(settings, f"/v1/cameras/{camera}/capture", {"profile": profile}, token_file)


def _own_capture(settings: NodeFile, camera: str, profile: str) -> dict[str, Any]:
    from node.service import Start, capture_once

    try:
        frame = capture_once(Start(settings), camera, profile)
    except DirectoryHeld as held:
        return _asked_capture(settings, camera, profile, token_beside(settings, held))
    return dict(to_sidecar(frame), path=frame.path)


def _inspect(given: argparse.Namespace) -> int:
    from node.work.inspect import inspect_batch, inspect_files, inspect_series

    quality = Document() if given.document is None else parse_document(load_document_file(given.document))
    ways: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
        "files": inspect_files,
        "series": inspect_series,
        "batch": inspect_batch,
    }
    chosen = [name for name in ways if getattr(given, name)]
    if len(chosen) != 1:
        raise UsageWrong("name files, or give --series FOLDER, or --batch LIST")
    results = ways[chosen[0]](getattr(given, chosen[0]), quality.quality)
    status = OK
    for result in results:
        print(json.dumps(result, ensure_ascii=False) if given.json else _inspected(result))
        status = max(status, int("error" in result))
    return status


def _inspected(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"{result['path']}: {result['error']}"
    score = "-" if result["score"] is None else result["score"]
    return f"{result['path']}: {result['integrity']} {result['verdict']} {score} {_reasons(result)}"


def _reasons(result: dict[str, Any]) -> str:
    """What makes a picture bad; of a good one it is a doubt and looks like one."""
    codes = [reason["code"] for reason in result["reasons"]]
    if result["verdict"] == "good" and codes:
        return f"({', '.join(f'{code}?' for code in codes)})"
    return ", ".join(codes) or "-"


def _rebuild(given: argparse.Namespace) -> int:
    from dataclasses import asdict

    from node.clock import SystemClock
    from node.work.rebuild import rebuild

    report = rebuild(Path(settings_of(given).node_file.paths.data), SystemClock())
    if given.json:
        print_json(asdict(report))
        return OK
    if report.aside:
        source = report.backup or "the frames alone"
        print(f"the damaged database was put aside as {report.aside}; this one was made from {source}")
    print(f"{report.files} files, {len(report.adopted)} rows made, {report.swept} unfinished files removed")
    for foreign in report.foreign:
        print(f"{foreign.path}: {foreign.why}")
    for path in (*report.missing, *report.changed):
        print(f"{path}: the row's file is missing or has changed")
    return OK


# --- the command line -----------------------------------------------------------------------------------------------


def _document_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--document", type=Path, metavar="FILE", help="a document instead of the node's own")


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--document", type=Path, metavar="FILE", help="the document of a first start")
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="written when ready: port, url and pid as JSON")
    parser.add_argument("--port", type=int, metavar="N", help="instead of api.port; 0 = any free one")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="instead of log_level")


def _config_options(parser: argparse.ArgumentParser) -> None:
    said = "show: every value in force; apply: run this document, unless it runs already"
    parser.add_argument("what", choices=("show", "apply"), help=said)
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="apply: the document")
    parser.add_argument("--wait", action="store_true", help="apply: until it has proved itself, or failed")
    leases.lease_option(parser)
    parser.add_argument("--origin", action="store_true", help="show: say where each value came from")
    _document_option(parser)
    token_option(parser)
    json_option(parser)


def _plan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=_days, default=365, metavar="N", help="site days to look ahead (365)")
    said = "mean size of a frame (that of the newest frames, else 2000000)"
    parser.add_argument("--frame-bytes", type=positive, metavar="N", help=said)
    _document_option(parser)
    json_option(parser)


def _capture_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--camera", type=plain_name, metavar="NAME", help="a camera of node.yml (the first)")
    parser.add_argument("--profile", default="auto", metavar="NAME", help="a profile of the document (auto)")
    token_option(parser)
    json_option(parser)


def _inspect_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="pictures, judged without history")
    parser.add_argument("--series", type=Path, metavar="FOLDER", help="in the order of time, learning as the node does")
    parser.add_argument("--batch", type=Path, metavar="LIST", help="JSON lines that name a picture and its history")
    _document_option(parser)
    json_option(parser)


def _days(text: str) -> int:
    number = positive(text)
    if number > MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text} is more than {MOST_DAYS}")
    return number


def _check_options(parser: argparse.ArgumentParser) -> None:
    _document_option(parser)


COMMANDS: dict[str, Command] = {
    "run": Command("the service: capture, judge, serve", _run_options, _run),
    **work.COMMANDS,
    **status.COMMANDS,
    "check-config": Command("validate node.yml and the document; every fault at once", _check_options, _check_config),
    "config": Command("show what is in force, and where it came from; apply a document", _config_options, _config),
    "plan": Command("dry run: windows, frames, bytes, days until the disk is full", _plan_options, _plan),
    "capture": Command("one shot now, outside the schedule", _capture_options, _capture),
    "inspect": Command("judge pictures as the node does", _inspect_options, _inspect),
    "rebuild": Command("compare files and rows; make the rows that are missing", json_option, _rebuild),
    **jobs.COMMANDS,
    **videos.COMMANDS,
    **archive.COMMANDS,
    **room.COMMANDS,
    **care.COMMANDS,
    **backups.COMMANDS,
    **leases.COMMANDS,
}


def _parser() -> argparse.ArgumentParser:
    statuses = "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    parser = _Parser(prog="heliograph-node", description="One node of timelapse cameras.", epilog=f"Exit: {statuses}.")
    parser.add_argument("--version", action="version", version=f"heliograph-node {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_CommandParser)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.sentence, description=command.sentence.capitalize() + ".")
        sub.add_argument("--config", type=Path, metavar="FILE", help="node.yml (/etc/heliograph/node.yml)")
        sub.add_argument("--root", type=Path, metavar="DIR", help="everything below this folder")
        command.options(sub)
        sub.set_defaults(act=command.act)
    return parser


if __name__ == "__main__":
    sys.exit(main())
