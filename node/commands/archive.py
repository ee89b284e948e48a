"""`archive`, `verify-archive`, `restore-frames`: the targets to which frames are sent, and what they hold."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.archive.base import Target
from node.commands.base import Command, json_option, own_document, plain_name, print_json, settings_of, token_option
from node.commands.desk import Order
from node.commands.door import desk
from node.commands.following import ordered, wait_option
from node.commands.spans import span_options, span_texts, span_us
from node.domain.errors import OK, UnknownTarget
from node.settings import Settings


def _archive(given: argparse.Namespace) -> int:
    return {"init": _init, "check": _check, "status": _status, "test": _test, "send": _send}[given.what](given)


def _init(given: argparse.Namespace) -> int:
    """At the target itself, beside a service that may be running."""
    with _target(given) as target:
        target.init()
        target.check()
    return _say(given, {"target": given.target, "ok": True}, f"{given.target}: marked as a target")


def _check(given: argparse.Namespace) -> int:
    with _target(given) as target:
        target.check()
        space = target.space()
    room = {"total_bytes": space.total_bytes, "free_bytes": space.free_bytes} if space else {}
    free = f", {space.free_bytes:,} bytes free" if space else ""
    return _say(given, {"target": given.target, "ok": True, **room}, f"{given.target}: reached, marked{free}")


def _status(given: argparse.Namespace) -> int:
    with desk(given) as found:
        target = found.target(given.target)
    error = f", {target.error_code} {target.error}" if target.error_code else ""
    counts = f"{target.unsent} unsent ({target.unsent_bytes:,} bytes), {target.sent} sent ({target.sent_bytes:,} bytes)"
    said = f"{target.name} ({target.kind}): breaker {target.breaker}, {counts}{error}"
    return _say(given, target.model_dump(exclude_none=True), said)


def _test(given: argparse.Namespace) -> int:
    return _asked(given, "test-target", "test")


def _send(given: argparse.Namespace) -> int:
    return _asked(given, "transfer", "send")


def _asked(given: argparse.Namespace, kind: str, action: str) -> int:
    """A job about the whole target."""
    with desk(given) as found:
        order = Order(kind, {"target": given.target}, f"/v1/targets/{given.target}/{action}")
        return ordered(found, order, given)


def _verify(given: argparse.Namespace) -> int:
    return _ordered(given, "verify-archive", "verify")


def _restore(given: argparse.Namespace) -> int:
    return _ordered(given, "restore", "restore")


def _ordered(given: argparse.Namespace, kind: str, action: str) -> int:
    camera = {} if given.camera is None else {"camera": given.camera}
    payload, body = {"target": given.target} | camera | span_us(given), camera | span_texts(given)
    with desk(given) as found:
        return ordered(found, Order(kind, payload, f"/v1/targets/{given.target}/{action}", body), given)


@contextmanager
def _target(given: argparse.Namespace) -> Iterator[Target]:
    """Raises UnknownTarget."""
    from node.archive.base import Where
    from node.archive.targets import open_target
    from node.clock import SystemClock
    from node.domain.config import load_own

    settings: Settings = settings_of(given)
    node = settings.node_file
    if given.target not in node.archive:
        raise UnknownTarget(f"{given.target!r}; there are {', '.join(node.archive) or 'none'}")
    policy = load_own(own_document(settings))[0].archive.policy(given.target)
    with tempfile.TemporaryDirectory() as scratch:
        where = Where(node.node.id, Path(node.paths.data), Path(scratch), SystemClock())
        target = open_target(given.target, node.archive[given.target], policy, where)
        try:
            yield target
        finally:
            target.close()


def _say(given: argparse.Namespace, value: object, words: str) -> int:
    if given.json:
        print_json(value)
    else:
        print(words)
    return OK


def _archive_options(parser: argparse.ArgumentParser) -> None:
    said = (
        "init: mark it once as a target; check: is it there, as this command sees it; status: what it holds and lacks;"
        " test: is it there, as the ship process sees it; send: a batch of what waits for it, now"
    )
    parser.add_argument("what", choices=("init", "check", "status", "test", "send"), help=said)
    parser.add_argument("target", type=plain_name, metavar="TARGET", help="a target of node.yml")
    wait_option(parser)
    token_option(parser)
    json_option(parser)


def _span_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", type=plain_name, metavar="TARGET", help="a target of node.yml")
    span_options(parser, "only frames of that camera")
    wait_option(parser)
    token_option(parser)
    json_option(parser)


COMMANDS: dict[str, Command] = {
    "archive": Command("an archive target: mark it, look at it, send to it now", _archive_options, _archive),
    "verify-archive": Command("read again at a target what it holds, and compare", _span_options, _verify),
    "restore-frames": Command("bring reclaimed frames back from a target", _span_options, _restore),
}
