"""One home through many faults, by a seeded deck; then in peace, until all that was kept is where it belongs."""

from __future__ import annotations

import random
import signal
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from node.clock import US, SystemClock
from node.domain.errors import FrameAltered
from tests.faults.liars import mend_frames, take_back_what_came_late
from tests.faults.mischief import FAULTS, Fault, Hunt, Missed, Sign, ask_for_a_video, rfc3339, take_a_frame
from tests.faults.reckoning import KINDS, Reckoning, reckon
from tests.faults.station import TARGETS, Shape, Station, station

TICK_S = 0.1
ORDERS_S = 2.5
READY_S, URGE_S = 120.0, 15.0


@dataclass(frozen=True)
class Plan:
    """How many faults, of which, about how far apart in seconds; for how long frames are captured says the shape.

    A slow machine has `late_s` more for them.
    """

    shape: Shape
    faults: int
    apart_s: float
    names: Sequence[str] = tuple(FAULTS)
    seed: int = 1
    drain_s: float = 150.0
    late_s: float = 300.0


@dataclass
class Active:
    """A fault that goes on."""

    name: str
    fault: Fault
    block: AbstractContextManager[object]
    what: object
    until_s: float


@dataclass
class Tally:
    """What has happened."""

    times: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    waiting: list[tuple[str, Sign, float, int]] = field(default_factory=list)


class Ordeal:
    """Used by the thread that made its station."""

    def __init__(self, station: Station, plan: Plan, over: threading.Event) -> None:
        """`over` ends it early."""
        self.over = over
        self.station, self.plan, self.dice = station, plan, random.Random(plan.seed)
        self.tally, self.active = Tally(), list[Active]()
        self._deck: list[str] = []
        self._ordered_s = 0.0
        self.in_vain: list[str] = []
        self.statuses: dict[str, int] = {}

    def run(self) -> Reckoning:
        """Until all faults have been; what came of it."""
        self.station.wait(lambda: self._captured_since(0), "a first frame", READY_S)
        next_s = time.monotonic()
        while not self._has_had_enough():
            drawn = self._drawn() if time.monotonic() >= next_s else None
            if drawn is not None:
                self._begin(drawn)
                next_s = time.monotonic() + self.dice.uniform(0.5, 1.5) * self.plan.apart_s
            self._tick()
        self.in_peace()
        return reckon(self.station)

    def _has_had_enough(self) -> bool:
        """All faults have been, or the machine is so slow that it never ends."""
        late = SystemClock().now_us() > self.station.days.until_us + self.plan.late_s * US
        return self.tally.times.total() >= self.plan.faults or late or self.over.is_set()

    # --- faults ---------------------------------------------------------------------------------------------------

    def _drawn(self) -> str | None:
        """The next card whose place is free."""
        if len(self._deck) < len(self.plan.names):
            more = [name for name in self.plan.names for _ in range(FAULTS[name].often)]
            self.dice.shuffle(more)
            self._deck += more
        taken = {each.fault.place for each in self.active} - {""}
        drawn = next((name for name in self._deck if FAULTS[name].place not in taken), None)
        if drawn is not None:
            self._deck.remove(drawn)
        return drawn

    def _begin(self, name: str) -> None:
        fault = FAULTS[name]
        block = fault.act(self.station, self.dice)
        try:
            what = block.__enter__()
        except Missed:
            self.tally.missed[name] += 1
            return
        self.tally.times[name] += 1
        self.active.append(Active(name, fault, block, what, time.monotonic() + self.dice.uniform(*fault.lasts_s)))

    def _end(self, active: Active) -> None:
        self.active.remove(active)
        try:
            active.block.__exit__(None, None, None)
        except Missed:
            self.tally.times[active.name] -= 1
            self.tally.missed[active.name] += 1
            return
        self.tally.waiting.append((active.name, active.fault.sign, time.monotonic(), SystemClock().now_us()))

    def _tick(self) -> None:
        now_s = time.monotonic()
        for active in list(self.active):
            if now_s >= active.until_s or (isinstance(active.what, Hunt) and active.what.caught):
                self._end(active)
        self.station.tend()
        take_back_what_came_late(self.station)
        if now_s - self._ordered_s > ORDERS_S:
            self._ordered_s = now_s
            self._order()
        self._look_for_recoveries()
        time.sleep(TICK_S)

    def _order(self) -> None:
        """As an operator would: mostly room is made, which also says that a stop was seen."""
        if any(each.name == "run stopped" for each in self.active):
            return
        if SystemClock().now_us() > self.station.days.until_us:
            take_a_frame(self.station)  # so that faults on a slow machine still have something to hit
        self.station.ask("POST", "/v1/disk/reclaim")
        target = self.dice.choice(TARGETS)
        match self.dice.randrange(8):
            case 0 if not self._liar_at_work():
                self.station.ask("POST", f"/v1/targets/{target}/verify")
            case 1:
                since = rfc3339(SystemClock().now_us() - 40 * US)
                self.station.ask("POST", f"/v1/targets/{target}/restore", json={"from": since})
            case 2:
                self.station.ask("POST", "/v1/backups")
            case 3:
                ask_for_a_video(self.station)
            case 4:
                self.station.ask("POST", "/v1/thumbnails/repair", json={"camera": "main"})

    def _liar_at_work(self) -> bool:
        """Reading again would withdraw a receipt whose lie is about to be taken back."""
        return bool(self.station.lies) or any(each.name == "arrivals spoilt" for each in self.active)

    # --- recovery -------------------------------------------------------------------------------------------------

    def _look_for_recoveries(self) -> None:
        for each in list(self.tally.waiting):
            name, sign, ended_s, ended_us = each
            if self._recovered(sign, ended_s, ended_us):
                self.tally.recovery_s[name].append(time.monotonic() - ended_s)
                self.tally.waiting.remove(each)

    def _recovered(self, sign: Sign, ended_s: float, ended_us: int) -> bool:
        """A new frame; a new pulse; something proved at the target, or nothing there to be sent."""
        if sign == "run":
            captures_over = SystemClock().now_us() > self.station.days.until_us
            return self._captured_since(ended_us) or (captures_over and self.station.up)
        if sign in ("work", "ship"):
            pulse = self.station.pulse(sign)
            return pulse is not None and pulse.at_s > ended_s
        targets = TARGETS if sign == "both" else (sign,)
        return all(self._proved_since(target, ended_us) for target in targets)

    def _captured_since(self, at_us: int) -> bool:
        return bool(self.station.rows("SELECT 1 FROM frames WHERE captured_us > ? LIMIT 1", at_us))

    def _proved_since(self, target: str, at_us: int) -> bool:
        proved = "SELECT 1 FROM receipts WHERE target = ? AND verified_us > ? LIMIT 1"
        row = self.station.rows("SELECT unsent, last_error_code FROM targets WHERE name = ?", target)
        return bool(self.station.rows(proved, target, at_us)) or row == [(0, "")]

    # --- in peace -------------------------------------------------------------------------------------------------

    def in_peace(self) -> None:
        """All causes go; captures end with the last window; what is left is done by the node alone."""
        while self.active:
            self._end(self.active[0])
        while SystemClock().now_us() < self.station.days.until_us and not self.over.is_set():
            self._tick()
        self._wait(self._drained, "the backlog has drained")
        mend_frames(self.station)
        self._wait(lambda: self._drained() and not self._unsent(), "what was mended is sent", self._send_all)
        self.station.ask("POST", "/v1/disk/reclaim")
        self._wait(self._drained, "the last frames are reclaimed")
        self.statuses = self.station.stop()

    def _send_all(self) -> None:
        for target in TARGETS:
            self.station.ask("POST", f"/v1/targets/{target}/send")

    def _wait(self, holds: Callable[[], bool], what: str, urge: Callable[[], None] = lambda: None) -> None:
        """A wait that ends in vain is a finding, with what stood in its way.

        An order may meet a service that is only just starting, and so is given again.
        """
        begun_s, urged_s = time.monotonic(), -URGE_S
        while not holds() and time.monotonic() - begun_s < self.plan.drain_s and not self.over.is_set():
            if time.monotonic() - urged_s > URGE_S:
                urged_s = time.monotonic()
                urge()
            self.station.tend()
            take_back_what_came_late(self.station)
            self._look_for_recoveries()
            time.sleep(TICK_S)
        if not holds():
            self.in_vain.append(f"{what}: {self._in_the_way()}")

    def _in_the_way(self) -> list[tuple[str, ...]]:
        jobs = "SELECT kind, state, error_code FROM jobs WHERE state IN ('queued', 'leased', 'retry')"
        shoots = "SELECT 'shoot', state FROM shoots WHERE state IN ('open', 'captured', 'rendering')"
        return [*self.station.rows(jobs), *self.station.rows(shoots), *self._unsent()]

    def _drained(self) -> bool:
        """Nothing waits but frames that are not what was kept, and every slot and shoot is settled."""
        shoots = "SELECT COUNT(*) FROM shoots WHERE state IN ('open', 'captured', 'rendering')"
        unsent, last_us = self._unsent(), (self.station.days.until_us - 1) // US * US
        idle = "state IN ('queued', 'leased', 'retry')" + (" AND kind <> 'transfer'" if unsent else "")
        return (
            all(item in self.station.flipped and code == FrameAltered.code for item, code in unsent)
            and self.station.rows("SELECT COUNT(*) FROM slots WHERE due_us >= ?", last_us) == [(1,)]
            and self.station.rows(f"SELECT COUNT(*) FROM jobs WHERE {idle}") == [(0,)]
            and self.station.rows(shoots) == [(0,)]
        )

    def _unsent(self) -> list[tuple[str, str]]:
        return self.station.rows("SELECT item, error_code FROM outbox")


@dataclass
class Outcome:
    """Of one home."""

    reckoning: Reckoning
    tally: Tally
    in_vain: list[str]
    statuses: Mapping[str, int]
    exits: list[tuple[str, int]]
    reported: int

    @property
    def complaints(self) -> list[str]:
        """All that is wrong; empty = nothing was lost, deleted unproved, done twice or left undone."""
        said = [f"not in time: {each}" for each in self.in_vain]
        said += [f"{name} ended with {status} by itself" for name, status in self.exits if status != -signal.SIGKILL]
        # a process that has only just been started ends by the signal itself
        orderly = (0, -signal.SIGTERM)
        said += [f"{name} was stopped: {status}" for name, status in self.statuses.items() if status not in orderly]
        return [*self.reckoning.all, *said]


def endure(folder: Path, plan: Plan, over: threading.Event) -> Outcome:
    """In a thread of its own."""
    with station(folder, plan.shape) as made, over_on_error(over):
        ordeal = Ordeal(made, plan, over)
        found = ordeal.run()
        return Outcome(found, ordeal.tally, ordeal.in_vain, ordeal.statuses, made.exits, len(made.witness.reported()))


@contextmanager
def over_on_error(over: threading.Event) -> Iterator[None]:
    """The others need not go on."""
    try:
        yield
    except BaseException:
        over.set()
        raise


def endure_all(folder: Path, plans: Sequence[Plan]) -> list[Outcome]:
    """Each home beside the others."""
    over = threading.Event()
    with ThreadPoolExecutor(len(plans)) as pool:
        waiting = [pool.submit(endure, folder / f"home-{number}", plan, over) for number, plan in enumerate(plans)]
        try:
            return [each.result() for each in waiting]
        finally:
            over.set()


def table(outcomes: Sequence[Outcome]) -> str:
    """Faults, how often, and the seconds from the end of the cause until the node had overcome it."""
    times = sum((each.tally.times for each in outcomes), Counter[str]())
    missed = sum((each.tally.missed for each in outcomes), Counter[str]())
    lines = [f"{'fault':26}{'times':>6}{'missed':>8}{'recovery p50':>14}{'max':>9}"]
    for name in sorted(times):
        seconds = [value for each in outcomes for value in each.tally.recovery_s[name]]
        shown = f"{statistics.median(seconds):12.1f} s{max(seconds):7.1f} s" if seconds else f"{'-':>14}{'-':>9}"
        lines.append(f"{name:26}{times[name]:6}{missed[name]:8}{shown}")
    sums = [each.reckoning for each in outcomes]
    lines += [f"{'all':26}{times.total():6}{missed.total():8}"]
    lines.append(
        f"{sum(each.reported for each in outcomes)} frames reported, {sum(each.frames for each in sums)} kept,"
        f" {sum(each.gone for each in sums)} reclaimed, {sum(each.receipts for each in sums)} receipts,"
        f" {sum(each.denied for each in sums)} denied, {sum(each.videos for each in sums)} videos,"
        f" {sum(each.late for each in sums)} lies after a true receipt"
    )
    lines.append(", ".join(f"{kind}: {sum(len(each.said[kind]) for each in sums)}" for kind in KINDS))
    return "\n".join(lines)
