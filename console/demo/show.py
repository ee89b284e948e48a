"""The demo from start to end: nodes up, fleet followed, everything gone."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from console.demo.grounds import DemoNode, Grounds
from console.demo.places import Wish, plans
from console.fleet.clock import Clock
from console.fleet.lines import Teller
from console.fleet.poller import Fleet
from console.fleet.view import NodeView, Patience, counts_today
from node.wire.errors import OK, NodeNeverReady

POLL_S = 2.0
TELL_S = 0.25
READY_LIMIT_S = 60.0
LOOK_S = 0.1
SETTLE_LOOKS, SETTLE_S = 20, 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BY_SIGNAL = 128
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for.  `screen`: open the fleet screen; `for_s` None = until stopped."""

    wish: Wish
    for_s: float | None = None
    screen: bool = False
    ready_limit_s: float = READY_LIMIT_S


@dataclass(slots=True)
class Ending:
    """The one thing that everything waits for: time over, or a signal."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    signal: int | None = None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)

    async def within(self, seconds: float) -> bool:
        """Whether it came within that time."""
        try:
            async with asyncio.timeout(seconds):
                return await self.event.wait()
        except TimeoutError:
            return False

    def _signalled(self, number: int) -> None:
        self.signal = self.signal or number
        self.event.set()

    @property
    def exit_status(self) -> int:
        return OK if self.signal is None else BY_SIGNAL + self.signal


async def play(options: Options, say: Say, clock: Clock | None = None) -> int:
    """The demo, whole; its exit status.  Raises NodeNeverReady.  Nothing that it made is left, however it ends."""
    clock, ending = clock or Clock(), Ending()
    ending.watch(asyncio.get_running_loop())
    grounds = Grounds()
    try:
        say(f"starting {options.wish.nodes} nodes in {grounds.root}")
        for plan in plans(options.wish, grounds.tokens, clock.utc_us()):
            grounds.start(plan)
        await _until_ready(grounds, ending, options.ready_limit_s, say, clock)
        if not ending.event.is_set():
            await _follow(grounds, options, ending, say)
    finally:
        grounds.clear()
    return ending.exit_status


async def _until_ready(grounds: Grounds, ending: Ending, limit_s: float, say: Say, clock: Clock) -> None:
    began_s, waiting = clock.monotonic(), list(grounds.nodes)
    while waiting and not ending.event.is_set():
        passed_s = clock.monotonic() - began_s
        for node in tuple(waiting):
            host = node.read_ready(grounds.token_file("viewer"))
            if host is not None:
                waiting.remove(node)
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
    await (_screen(fleet, hint, ending) if options.screen else _lines(fleet, ending, say))
    if ending.signal != signal.SIGHUP:  # then nobody is left to read it
        await _sum_up(fleet, say)


async def _screen(fleet: Fleet, hint: str, ending: Ending) -> None:
    from console.app import FleetApp  # noqa: PLC0415 - a demo without a terminal needs no Textual

    await FleetApp(fleet, title="demo", notice=hint, stop=ending.event).run_async()


async def _lines(fleet: Fleet, ending: Ending, say: Say) -> None:
    teller = Teller(fleet.model)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run())
        while not await ending.within(TELL_S):
            for line in teller.lines():
                say(line)
        running.cancel()


async def _sum_up(fleet: Fleet, say: Say) -> None:
    """One line a node, taken at a moment when none of its slots is under way."""
    views: dict[str, NodeView] = {}
    for _ in range(SETTLE_LOOKS):
        await fleet.ask_once()
        views |= {name: view for name, view in fleet.model.views.items() if not _settled(views.get(name))}
        if all(_settled(view) for view in views.values()):
            break
        await asyncio.sleep(SETTLE_S)
    for name, view in views.items():
        say(f"{name}: {_sum(view)}")


def _settled(view: NodeView | None) -> bool:
    if view is None or view.status is None or view.error is not None:
        return False
    due, captured, gaps = counts_today(view.status)
    return due == captured + gaps


def _sum(view: NodeView) -> str:
    if view.status is None:
        return f"never heard: {view.error}"
    due, captured, gaps = counts_today(view.status)
    sign = "=" if due == captured + gaps else "is not"
    last_known = f" (last known: {view.error})" if view.error is not None else ""
    return f"{due} due {sign} {_several(captured, 'frame')} + {_several(gaps, 'gap')}{last_known}"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
