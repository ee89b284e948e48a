"""Frames: which there are, and their pictures into files."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from console.commands.acting import DONE, FAILED, NONE_REACHED, few, heard, with_nodes
from console.commands.command import Command, between, inventory_option, parted, say, selected, selector
from console.commands.ground import warn
from console.fleet.acts import JOB as FRAME
from console.fleet.acts import NAME, SHORT, Aim, unheard
from console.fleet.client import NodeClient
from console.fleet.poller import Fleet
from console.fleet.text import clean
from console.fleet.times import parsed
from node.wire.errors import FileNotWritten, HeliographError, NodeAnswerWrong, NothingSelected, PictureWrong
from node.wire.records import FrameRecord, Page

PATH = "/v1/frames"
PARTS = "node/camera for one camera of a node, node/FRAME for one frame by its id"
MOST = 1000


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of each node: the last frame, the last good one, or a list; small or as kept; where to."""

    good: bool
    small: bool
    count: int | None
    folder: Path


@dataclass(frozen=True, slots=True)
class Got:
    """A frame of a node and the file that it is in now, or why there is none."""

    aim: Aim
    frame: FrameRecord | None = None
    path: Path | None = None
    why: str = ""


def _options(parser: argparse.ArgumentParser) -> None:
    selector(parser, PARTS)
    inventory_option(parser)
    count = between(1, MOST, int)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--good", action="store_true", help="the last good frame instead of the last one")
    which.add_argument("--list", dest="count", type=count, metavar="N", help="list the last N frames, fetch nothing")
    parser.add_argument("--small", action="store_true", help="a small picture instead of the original")
    parser.add_argument(
        "--to", type=Path, default=Path(), metavar="FOLDER", help="made where it is missing; default: the current one"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _get(given: argparse.Namespace) -> int:
    if not given.words:
        raise NothingSelected("no node was named")
    wish, is_there = Wish(given.good, given.small, given.count, given.to), given.to.exists()
    model, found = with_nodes(given, lambda fleet: _all(fleet, given.words, wish))
    got = [each for some in found for each in some]
    if given.to.exists() and not is_there:
        warn(f"made the folder {given.to}")
    if given.json:
        say(json.dumps({"frames": [_as_json(each) for each in got]}, ensure_ascii=False, indent=2))
    else:
        for each in got:
            print(_told(each), file=sys.stderr if each.why else sys.stdout)
    failed = [each for each in got if each.why]
    if failed and len(failed) == len(got) and not any(heard(model, each.aim.node) for each in failed):
        return NONE_REACHED
    return FAILED if failed else DONE


async def _all(fleet: Fleet, words: list[str], wish: Wish) -> list[list[Got]]:
    parts, others = parted(words)
    aims = [Aim(name) for name in (selected(fleet.model, others) if others else [])]
    aims += [Aim(node, job=part) if FRAME.fullmatch(part) else Aim(node, part) for node, part in parts]
    return await few([_of_node(fleet, aim, wish) for aim in aims])


async def _of_node(fleet: Fleet, aim: Aim, wish: Wish) -> list[Got]:
    client = fleet.client(aim.node)
    if client is None:
        return [Got(aim, why="no such node in the inventory")]
    if not heard(fleet.model, aim.node):
        return [Got(aim, why=unheard(fleet.model, aim.node))]
    try:
        frames = await _frames(client, aim, wish)
    except HeliographError as error:
        return [Got(aim, why=clean(str(error)))]
    if not frames:
        return [Got(aim, why="it has no such frame")]
    if wish.count is not None:
        return [Got(aim, frame) for frame in frames]
    return [await _fetched(client, aim, frame, wish) for frame in frames]


async def _frames(client: NodeClient, aim: Aim, wish: Wish) -> list[FrameRecord]:
    """Raises as `fetch` does."""
    if aim.job:
        return [_checked(await client.fetch(f"{PATH}/{aim.job}", FrameRecord), aim)]
    camera = {"camera": aim.camera} if aim.camera else {}
    if wish.count is not None:
        page = await client.fetch(PATH, Page[FrameRecord], {**camera, "limit": str(wish.count)})
        return [_checked(frame, aim) for frame in page.items[: wish.count]]
    query = {**camera, "fields": "all", **({"good": "true"} if wish.good else {})}
    page = await client.fetch(f"{PATH}/latest", Page[FrameRecord], query)
    return [_checked(frame, aim) for frame in page.items[:MOST]]


def _checked(frame: FrameRecord, aim: Aim) -> FrameRecord:
    """Its id and its camera become part of a path.  Raises NodeAnswerWrong."""
    if not FRAME.fullmatch(frame.id) or frame.id != (aim.job or frame.id):
        raise NodeAnswerWrong("it tells of another frame")
    if frame.camera is not None and not NAME.fullmatch(frame.camera):
        raise NodeAnswerWrong("a camera's name is none")
    return frame


# --- into files -------------------------------------------------------------------------------------------------------


async def _fetched(client: NodeClient, aim: Aim, frame: FrameRecord, wish: Wish) -> Got:
    path = wish.folder / _name(aim.node, frame, small=wish.small)
    try:
        wish.folder.mkdir(parents=True, exist_ok=True)
        await (_small if wish.small else _original)(client, frame, path)
    except HeliographError as error:
        return Got(aim, frame, why=clean(str(error)))
    except OSError as error:
        return Got(aim, frame, why=str(FileNotWritten(f"{path}: {error.strerror}")))
    return Got(aim, frame, path)


def _name(node: str, frame: FrameRecord, *, small: bool) -> str:
    """Made of nothing that the node could choose freely."""
    captured = parsed(frame.captured)
    at = captured.strftime("%Y%m%dT%H%M%S") if captured is not None else ""
    parts = (node, frame.camera or "", at, frame.id[-SHORT:], "small" if small else "")
    return "-".join(part for part in parts if part) + ".jpg"


async def _small(client: NodeClient, frame: FrameRecord, path: Path) -> None:
    """Raises as `fetch` does, OSError."""
    data = await client.picture(frame.id)
    with Into(path) as into:
        into.take(data)
        into.keep()


async def _original(client: NodeClient, frame: FrameRecord, path: Path) -> None:
    """Raises as `fetch` does, PictureWrong, OSError."""
    if not frame.sha256 or frame.size_bytes is None:
        raise PictureWrong("the node tells neither its hash nor its length")
    with Into(path) as into:
        async for piece in client.original(frame.id):
            into.take(piece)
            if into.size > frame.size_bytes:
                break
        if (into.size, into.sha256) != (frame.size_bytes, frame.sha256.lower()):
            raise PictureWrong(f"{into.size} bytes of {frame.size_bytes}, or another hash: {frame.id}")
        into.keep()


class Into:
    """A file that has another name until it is whole, and is gone again where that does not come."""

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(f".{path.name}.part")
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        self._file = self._part.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def take(self, piece: bytes) -> None:
        self._file.write(piece)
        self._hash.update(piece)
        self.size += len(piece)

    def keep(self) -> None:
        """It is whole: on the disk, then under its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.replace(self._path)


# --- telling ----------------------------------------------------------------------------------------------------------


def _told(got: Got) -> str:
    if got.frame is None or got.why:
        return f"{got.aim}: {got.why}"
    frame = got.frame
    judged = frame.verdict or "unjudged"
    score = "" if frame.score is None else f" {frame.score}"
    what = f"{got.aim.node}: {frame.camera or ''} {frame.id} {frame.captured or ''} {judged}{score}"
    return clean(what) + (f" {got.path}" if got.path else "")


def _as_json(got: Got) -> dict[str, object]:
    frame = got.frame.model_dump(exclude_none=True) if got.frame else {}
    return {**frame, "node": got.aim.node, "file": str(got.path) if got.path else None, "why": got.why}


COMMANDS = {
    "frames get": Command("Fetch the last frame of nodes, or one by its id, into a file.", _options, _get),
}
