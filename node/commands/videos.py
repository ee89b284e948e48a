"""`render` and `videos`: one is made; those that there are: list, show, pin, rename, delete."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, get_args

from node.commands.base import DEFAULT_LIMIT, Command, identity, json_option, positive, print_json, token_option
from node.commands.desk import Desk, Order
from node.commands.door import desk
from node.commands.following import ordered, wait_option
from node.commands.spans import span_options, span_texts, span_us
from node.domain.config import Codec, Tier
from node.domain.errors import OK, UsageWrong
from node.wire.work_records import VideoRecord


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


def _videos(given: argparse.Namespace) -> int:
    titled = given.title is not None
    _check(titled == (given.what == "rename"), "rename takes --title, and nothing else does")
    _check((given.id is None) == (given.what == "list"), "list takes no id, everything else takes one")
    with desk(given) as found:
        return {"list": _list}.get(given.what, _one)(found, given)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise UsageWrong(message)


def _list(found: Desk, given: argparse.Namespace) -> int:
    videos = found.videos(given.camera, given.shoot, removed=given.removed, limit=given.limit)
    if given.json:
        print_json([video.model_dump(exclude_none=True) for video in videos])
        return OK
    for video in videos:
        print(_line(video))
    return OK


def _one(found: Desk, given: argparse.Namespace) -> int:
    ways: dict[str, Callable[[str], VideoRecord]] = {
        "show": found.video,
        "pin": lambda video: found.change_video(video, None, pinned=True),
        "unpin": lambda video: found.change_video(video, None, pinned=False),
        "rename": lambda video: found.change_video(video, given.title, None),
        "delete": found.remove_video,
    }
    video = ways[given.what](given.id)
    if given.json:
        print_json(video.model_dump(exclude_none=True))
        return OK
    print(_line(video))
    for name in ("job", "sha256", "codec", "encoder", "tier", "created", "left_out_count"):
        print(f"  {name}: {getattr(video, name)}")
    for each in video.left_out or ():
        print(f"  left out: {each.frame} {each.why}")
    return OK


def _line(video: VideoRecord) -> str:
    """The video in a line."""
    about = video.shoot or f"{video.camera}/{video.profile} {video.start} to {video.end}"
    size = f"{video.frames} frames, {video.duration_s:.1f} s, {video.width}x{video.height}, {video.size_bytes:,} bytes"
    marks = ["pinned"] * video.pinned + [f"deleted {video.deleted}, rule {video.deleted_rule}"] * bool(video.deleted)
    return " ".join(part for part in (video.id, about, video.title and repr(video.title), size, *marks) if part)


def _videos_options(parser: argparse.ArgumentParser) -> None:
    said = "pinned ones are kept by every rule; delete: its file and poster here, what targets hold stays there"
    parser.add_argument("what", choices=("list", "show", "pin", "unpin", "rename", "delete"), help=said)
    parser.add_argument("id", nargs="?", type=identity, metavar="ID", help="a video; list takes none")
    parser.add_argument("--title", metavar="TEXT", help="rename: the new name")
    parser.add_argument("--camera", metavar="NAME", help="list: only that camera's")
    parser.add_argument("--shoot", metavar="SHOOT", help="list: only of camera/schedule/date/profile")
    parser.add_argument("--removed", action="store_true", help="list: with those whose files are gone")
    said = f"list: at most so many, newest first ({DEFAULT_LIMIT})"
    parser.add_argument("--limit", type=positive, default=DEFAULT_LIMIT, metavar="N", help=said)
    token_option(parser)
    json_option(parser)


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


COMMANDS: dict[str, Command] = {
    "render": Command("make a video of a shoot, or of a span of time", _options, _render),
    "videos": Command("videos that there are: list, show, pin, unpin, rename, delete", _videos_options, _videos),
}
