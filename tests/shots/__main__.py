"""`make shots`: every screen of the console over a live demo, at three sizes, dark, light and without colour."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from textual.pilot import Pilot

from console.app import FleetApp
from console.fleet import inventory
from console.fleet.clock import Clock
from console.fleet.desk import Desk
from console.fleet.poller import Fleet
from console.fleet.state import Book
from console.fleet.view import Patience
from tests.papers import Authority
from tests.shots.png import png_of

SIZES = ((80, 24), (120, 40), (200, 60))
LOOKS = ("dark", "light", "nocolor")
NODE = "a node"
SHOTS: dict[str, tuple[str, ...]] = {
    "fleet": (),
    "node": (NODE, "1"),
    "node-jobs": (NODE, "2"),
    "node-frames": (NODE, "3"),
    "compare": (NODE, "3", "=", "comma"),
    "node-events": (NODE, "4"),
    "node-config": (NODE, "5"),
    "jobs": ("g", "j"),
    "alerts": ("g", "a"),
    "acknowledge": ("g", "a", "a"),
    "events": ("g", "e"),
    "plan": (*":unlock", "enter", "r"),
    "palette": (";",),
    "help": ("question_mark",),
}
"""Each screen and the keys that lead to it from the fleet; NODE stands for those that open the node wanted."""
PICTURES = ("fleet", "node", "compare", "alerts", "plan")
"""Those of docs/console.md."""
STRANGER = "quito"
"""Stands in the inventory beside the demo's nodes, and where it should be something else answers."""
WITH_STRANGER = {"fleet", "alerts"}
SETTLE_S, LOOK_S = 6.0, 1.2
TOLD = re.compile(r"heliograph status -i (\S+)")


@contextmanager
def demo(nodes: int, warm_s: float) -> Iterator[Path]:
    """A demo with faults that has run for so long; its inventory."""
    command = [sys.executable, "-m", "console.cli", "demo", "--faults", "--nodes", str(nodes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = next(match for line in process.stdout if (match := TOLD.search(line)))
            print(f"warming up for {warm_s:g} s", file=sys.stderr)
            time.sleep(warm_s)
            yield Path(found[1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.close()


@contextmanager
def with_stranger(listed: Path) -> Iterator[Path]:
    """An inventory with one node more, whose address shows a certificate of another fleet: the worst of all."""
    with tempfile.TemporaryDirectory() as name, another_fleets(Path(name)) as port:
        folder = Path(name)
        host = {
            "ansible_host": "127.0.0.1",
            "heliograph_port": port,
            "heliograph_ca_file": str(Authority(folder / "ours").file),
        }
        fleet = yaml.safe_load(listed.read_text())
        fleet["fleet"]["hosts"][STRANGER] = host
        (folder / "inventory.yml").write_text(yaml.safe_dump(fleet))
        yield folder / "inventory.yml"


@contextmanager
def another_fleets(folder: Path) -> Iterator[int]:
    """The port of a server whose certificate names our node, and is not of our authority."""
    paper = Authority(folder / "theirs").node(STRANGER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paper.certificate, paper.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


async def shoot(listed: Path, size: tuple[int, int], look: str, wanted: argparse.Namespace) -> dict[str, str]:
    """SVG by screen."""
    clock, found = Clock(), dict[str, str]()
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(inventory.read(listed), patience=Patience(poll_s=2.0))
        desk = Desk(fleet, Book.open(Path(folder), listed, clock), title="demo", operator="kim")
        app = FleetApp(desk, theme="light" if look == "light" else "dark")
        async with app.run_test(size=size) as pilot:
            await asyncio.sleep(SETTLE_S)
            depth = len(app.screen_stack)
            for name in wanted.only:
                await _home(app, pilot, depth)
                await pilot.press(*_keys(name, wanted.node))
                await _settled(app)
                found[name] = app.export_screenshot(title=f"heliograph {size[0]}x{size[1]}")
    return found


def _keys(name: str, node: str) -> Iterator[str]:
    for key in SHOTS[name]:
        yield from (key,) if key != NODE else (*f":node {node}", "enter") if node else ("enter",)


async def _home(app: FleetApp, pilot: Pilot[bool | None], depth: int) -> None:
    """To the fleet, read-only, whatever lies above it."""
    while len(app.screen_stack) > depth:
        app.pop_screen()
        await pilot.pause()
    app.desk.armed.lock()
    app.visit("nodes", text="")
    await pilot.pause()
    await pilot.press("g", "g")


async def _settled(app: FleetApp) -> None:
    """Until nothing but times moves any more."""
    before, until_s = "", time.monotonic() + SETTLE_S
    while time.monotonic() < until_s:
        await asyncio.sleep(LOOK_S)
        now = re.sub(r"\d", "", app.export_screenshot())
        if now == before:
            return
        before = now


def main() -> int:
    parser = argparse.ArgumentParser(prog="make shots")
    parser.add_argument("--to", type=Path, default=Path("shots"), help="folder of the PNGs")
    parser.add_argument("--only", nargs="*", choices=SHOTS, default=list(SHOTS), help="these screens")
    parser.add_argument("--sizes", nargs="*", default=["80x24", "120x40", "200x60"], help="WIDTHxHEIGHT")
    parser.add_argument("--looks", nargs="*", choices=LOOKS, default=LOOKS)
    parser.add_argument("--node", default="", help="whose screens; default: the worst one's")
    parser.add_argument("--nodes", type=int, default=6, help="of the demo")
    parser.add_argument("--inventory", type=Path, help="of a fleet that runs already, in place of a demo")
    parser.add_argument("--docs", action="store_true", help="only the pictures of docs/console.md, into docs/pictures")
    parser.add_argument("--warm", type=float, default=120.0, help="seconds before the first picture")
    given = parser.parse_args()
    if given.docs:
        given.to, given.only, given.sizes, given.looks = Path("docs/pictures"), PICTURES, ["120x40"], ["dark"]
    if given.inventory is not None:
        _all(given, given.inventory)
        return 0
    with demo(given.nodes, given.warm) as listed, with_stranger(listed) as more:
        for names, whose in ((set(SHOTS) - WITH_STRANGER, listed), (WITH_STRANGER, more)):
            _all(argparse.Namespace(**vars(given) | {"only": [name for name in given.only if name in names]}), whose)
    return 0


def _all(given: argparse.Namespace, listed: Path) -> None:
    if not given.only:
        return
    given.to.mkdir(parents=True, exist_ok=True)
    os.environ["COLORTERM"], os.environ["TERM"] = "truecolor", "xterm-256color"
    for look in given.looks:
        os.environ.pop("NO_COLOR", None)
        if look == "nocolor":
            os.environ["NO_COLOR"] = "1"
        for words in given.sizes:
            width, height = map(int, words.split("x"))
            for name, svg in asyncio.run(shoot(listed, (width, height), look, given)).items():
                called = name if given.docs else f"{name}-{words}-{look}"
                (given.to / f"{called}.png").write_bytes(png_of(svg))
            print(f"{words} {look}: {len(given.only)} pictures in {given.to}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
