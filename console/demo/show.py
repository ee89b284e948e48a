"""The demo from start to end: nodes up, fleet followed, everything gone."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from console.columns.table import is_utf8
from console.demo.grounds import DemoNode, Grounds
from console.demo.places import Setting, Wish, plans
from console.fleet.clock import Clock
from console.fleet.desk import Desk
from console.fleet.ending import Ending, is_heard
from console.fleet.lines import Teller
from console.fleet.poller import Fleet
from console.fleet.state import Book
from console.fleet.text import several
from console.fleet.view import NodeView, Patience, counts_today
from console.registry import remapped
from console.settings import ConsoleSettings
from node.wire.errors import NodeNeverReady

POLL_S = 2.0
TELL_S = 0.25
READY_LIMIT_S = 60.0
LOOK_S = 0.1
SETTLE_S, SETTLE_LOOK_S = 1.5, 0.25
"""How long the last look at all nodes may take, and the pause before the next one."""
GRACE_S, GRACE_LOOK_S = 3.0, 0.05
"""How long nodes may take to end in order.  What they would still write is thrown away with their folders."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for.  `screen`: open the fleet screen; `for_s` None = until stopped."""

    wish: Wish
    for_s: float | None = None
    screen: bool = False
    ready_limit_s: float = READY_LIMIT_S
    settings: ConsoleSettings = field(default_factory=ConsoleSettings)
    """How the screens look, and their keys."""


async def play(options: Options, say: Say, clock: Clock | None = None) -> int:
    """The demo, whole; its exit status.  Raises NodeNeverReady.  Nothing that it made is left, however it ends."""
    clock, ending = clock or Clock(), Ending()
    ending.watch(asyncio.get_running_loop())
    grounds = Grounds()
    ending.at_last.append(grounds.clear)
    try:
        say(f"starting {options.wish.nodes} nodes in {grounds.root}")
        for plan in plans(options.wish, Setting(grounds.tokens, clock.utc_us(), grounds.shelf)):
            grounds.start(plan)
        if grounds.shelf is not None:
            grounds.mark_shelf(grounds.nodes[0])
        say(f"archive: {grounds.shelf or 'none, this machine has no second file system for it'}")
        await _until_ready(grounds, ending, options.ready_limit_s, say, clock)
        if not ending.event.is_set():
            await _follow(grounds, options, ending, say)
        ending.event.set()
        await _let_end(grounds, ending, clock)
    finally:
        grounds.clear()
    return ending.exit_status


async def _let_end(grounds: Grounds, ending: Ending, clock: Clock) -> None:
    """Lets the nodes end in order, as long as there is time."""
    grounds.ask_to_end()
    until_s = clock.monotonic() + GRACE_S
    while not grounds.ended() and clock.monotonic() < until_s:
        if await ending.hurried(GRACE_LOOK_S):
            return


async def _until_ready(grounds: Grounds, ending: Ending, limit_s: float, say: Say, clock: Clock) -> None:
    began_s, waiting = clock.monotonic(), list(grounds.nodes)
    while waiting and not ending.event.is_set():
        passed_s = clock.monotonic() - began_s
        for node in tuple(waiting):
            host = node.read_ready(grounds.token_file("operator"))
            if host is not None:
                waiting.remove(node)
                grounds.start_worker(node)
                say(f"{node.name} is ready after {passed_s:.1f} s at {host.url}")
            elif node.ended() or passed_s > limit_s:
                raise _never_ready(node, passed_s, say)
        await ending.within(LOOK_S)


def _never_ready(node: DemoNode, passed_s: float, say: Say) -> NodeNeverReady:
    for line in node.last_words():
        say(f"  {node.name}: {line}")
    why = "its process ended" if node.ended() else "no word of it"
    return NodeNeverReady(f"{node.name}, {why} after {passed_s:.1f} s")


async def _follow(grounds: Grounds, options: Options, ending: Ending, say: Say) -> None:
    inventory = grounds.write_inventory()
    hosts = [node.host for node in grounds.nodes if node.host is not None]
    fleet = Fleet(hosts, patience=Patience(poll_s=POLL_S))
    hint = f"heliograph status -i {inventory}"
    say(f"in another terminal: {hint}")
    if options.for_s is not None:
        asyncio.get_running_loop().call_later(options.for_s, ending.event.set)
    if options.screen:
        book = Book.open(grounds.state, inventory, fleet.model.clock)
        desk = _desk(fleet, book, inventory, options.settings, hint)
        await _screen(desk, ending, options.settings.theme)
    else:
        await _lines(fleet, ending, say)
    ending.event.set()
    if ending.signal != signal.SIGHUP and _is_heard(options):  # else nobody is left to read it
        await _sum_up(fleet, ending, say)


def _is_heard(options: Options) -> bool:
    return not options.screen or sys.__stdout__ is None or is_heard(sys.__stdout__.fileno())


def _desk(fleet: Fleet, book: Book, inventory: Path, settings: ConsoleSettings, hint: str) -> Desk:
    """What is acknowledged, recorded and copied goes with the demo."""
    return Desk(
        fleet,
        book,
        title="demo",
        notice=hint,
        inventory=inventory,
        operator="demo",
        ascii=settings.ascii == "always" or not is_utf8(sys.stdout.encoding),
        keys=remapped(settings.keys),
        pictures=settings.pictures != "none",
    )


async def _screen(desk: Desk, ending: Ending, theme: str) -> None:
    from console.app import FleetApp  # noqa: PLC0415 - a demo without a terminal needs no Textual

    interrupted = await FleetApp(desk, stop=ending.event, theme=theme).run_async()
    if interrupted:  # Ctrl-C is a key there; it means what it means without a screen
        ending.signal = signal.SIGINT


async def _lines(fleet: Fleet, ending: Ending, say: Say) -> None:
    teller = Teller(fleet.model)
    fleet.attend(fleet.model.views)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run())
        while not await ending.within(TELL_S):
            for line in teller.lines():
                say(line)
        running.cancel()


async def _sum_up(fleet: Fleet, ending: Ending, say: Say) -> None:
    """One line a node, taken, where it can be, at a moment when none of its slots is under way."""
    since_s, settled = fleet.model.clock.monotonic(), dict[str, NodeView]()
    tasks = [asyncio.create_task(_settle(fleet, settled)), asyncio.create_task(ending.hurry.wait())]
    done, pending = await asyncio.wait(tasks, timeout=SETTLE_S, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
    for name, view in fleet.model.views.items():
        say(f"{name}: {_sum(settled.get(name, view), since_s)}")


async def _settle(fleet: Fleet, settled: dict[str, NodeView]) -> None:
    """Asks until every node that answers has been seen settled; that look of each goes into `settled`."""
    while True:
        await fleet.ask_once()
        views = fleet.model.views
        settled |= {name: view for name, view in views.items() if name not in settled and _is_settled(view)}
        if all(name in settled or view.error is not None for name, view in views.items()):
            return
        await asyncio.sleep(SETTLE_LOOK_S)


def _is_settled(view: NodeView) -> bool:
    if view.status is None or view.error is not None:
        return False
    due, captured, gaps = counts_today(view.status)
    return due == captured + gaps


def _sum(view: NodeView, since_s: float) -> str:
    """What is known of it; as last known where it was not heard since then."""
    why = view.error or "no answer in time"
    if view.status is None:
        return f"never heard: {why}"
    due, captured, gaps = counts_today(view.status)
    sign, still_open = ("=", due - captured - gaps) if due >= captured + gaps else ("is not", 0)
    parts = [several(captured, "frame"), several(gaps, "gap"), *([f"{still_open} still open"] if still_open else [])]
    heard = view.error is None and view.heard_s is not None and view.heard_s >= since_s
    return f"{due} due {sign} {' + '.join(parts)}{'' if heard else f' (last known: {why})'}"
