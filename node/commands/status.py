"""`status`: the node of this machine in words; its exit status says how it is."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from pathlib import Path

from node.clock import Clock, SystemClock
from node.commands.base import Command, json_option, positive, print_json, settings_of, token_option
from node.domain.errors import ConfigFileMissing, NotAuthenticated, NotReady, ServiceUnreachable
from node.domain.nodefile import NodeFile
from node.wire.status import CameraStatus, NodeStatus, State

LOOK_S = 0.5
EXITS: dict[State, int] = {"ok": 0, "warn": 1, "crit": 2}
STARTING = (ServiceUnreachable, ConfigFileMissing, NotAuthenticated, NotReady)
"""What may pass by itself: no service yet, its address, its new token, its cameras."""


def _status(given: argparse.Namespace) -> int:
    settings = settings_of(given).node_file
    if given.wait:
        found = waited(settings, given.token_file, given.wait, SystemClock())
    else:
        found = asked(settings, given.token_file)
    if given.json:
        print_json(found.model_dump(mode="json"))
    else:
        print("\n".join(lines(found)))
    return EXITS[found.state]


def waited(settings: NodeFile, token_file: Path | None, seconds: float, clock: Clock) -> NodeStatus:
    """Once it is ready.  Raises what it was not so for, at the end."""
    until_s, never = clock.monotonic() + seconds, threading.Event()
    while True:
        try:
            return _ready(asked(settings, token_file))
        except STARTING as error:
            if clock.monotonic() >= until_s:
                raise NotReady(f"not within {seconds:g} s: {error}") from error
        clock.wait(never, LOOK_S)


def _ready(status: NodeStatus) -> NodeStatus:
    if not status.ready:
        raise NotReady(" ".join(status.reasons))
    return status


def asked(settings: NodeFile, token_file: Path | None) -> NodeStatus:
    """Raises ServiceUnreachable, NotAuthenticated."""
    from node.api.local import get, own_token_file

    token = token_file or own_token_file(settings)
    if token is None:
        raise ServiceUnreachable(f"no service says below {settings.paths.run} that it runs and lets this user ask")
    return NodeStatus.model_validate(get(settings, "/v1/status", {}, token))


def lines(status: NodeStatus) -> Iterator[str]:
    """The node, its cameras, and what somebody should look at."""
    ready = "ready" if status.ready else "not ready"
    yield f"{status.node} {status.state}, {ready}, release {status.version}, up {status.uptime_s:.0f} s"
    yield f"document version {status.config.version}, {status.config.state}"
    yield from (_camera(camera) for camera in status.cameras)
    yield from (f"{alert.severity} {alert.code} {alert.subject}: {alert.sentence}" for alert in status.alerts)


def _camera(camera: CameraStatus) -> str:
    last = "no good frame yet" if camera.last_good_age_s is None else f"good frame {camera.last_good_age_s:.0f} s ago"
    return f"camera {camera.name} {camera.state}, {last}, next slot {camera.next_slot or 'none'}"


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", type=positive, metavar="SECONDS", help="until it is ready, at most so long")
    token_option(parser)
    json_option(parser)


COMMANDS: dict[str, Command] = {
    "status": Command("how this machine's node is, in words and exit status", _options, _status)
}
