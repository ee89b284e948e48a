"""`render`: a video of a shoot, or of a camera from one time to another."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from node.commands.base import Command, json_option, token_option
from node.commands.desk import Order
from node.commands.door import desk
from node.commands.following import ordered, wait_option
from node.commands.spans import span_options, span_texts, span_us
from node.domain.config import Codec, Tier
from node.domain.errors import UsageWrong


def _render(given: argparse.Namespace) -> int:
    order = _order(given)
    with desk(given) as found:
        return ordered(found, order, given)


def _order(given: argparse.Namespace) -> Order:
    how = {name: getattr(given, name) for name in ("title", "tier", "fps", "codec") if getattr(given, name) is not None}
    if given.shoot is not None:
        if given.camera or given.since or given.until:
            raise UsageWrong("give --shoot, or --camera with --from and --to")
        return Order("render", _of_shoot(given.shoot) | how, "/v1/videos", {"shoot": given.shoot} | how)
    if None in (given.camera, given.since, given.until):
        raise UsageWrong("give --shoot, or --camera with --from and --to")
    what = {"camera": given.camera, "profile": given.profile} | how
    return Order("render", what | span_us(given), "/v1/videos", what | span_texts(given))


def _of_shoot(shoot: str) -> dict[str, Any]:
    parts = shoot.split("/")
    if len(parts) != len(("camera", "schedule", "date", "profile")):
        raise UsageWrong(f"{shoot!r} is not camera/schedule/date/profile")
    return {"camera": parts[0], "profile": parts[-1], "shoot": shoot}


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shoot", metavar="SHOOT", help="camera/schedule/date/profile")
    span_options(parser, "or all frames of a camera")
    parser.add_argument("--profile", default="auto", metavar="NAME", help="with --camera: of that profile (auto)")
    parser.add_argument("--title", metavar="TEXT", help="the video's name")
    parser.add_argument("--tier", choices=get_args(Tier), help="instead of the document's")
    parser.add_argument("--fps", type=float, metavar="N", help="frames per second, instead of the document's")
    parser.add_argument("--codec", choices=get_args(Codec), help="instead of the document's")
    wait_option(parser)
    token_option(parser)
    json_option(parser)


COMMANDS: dict[str, Command] = {"render": Command("make a video of a shoot, or of a span of time", _options, _render)}
