"""What may be done to nodes: a table of deeds, a plan made of them without asking anybody, and its sending."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from console.fleet.client import NodeClient, understood
from console.fleet.text import clean, lasting
from console.fleet.view import OLD_WORDS, FleetModel, NodeView, Word, cause
from node.wire.errors import (
    ConsoleFileUnusable,
    HeliographError,
    NodeAnswerWrong,
    NodeRefused,
    NodeUnreachable,
    NodeUntrusted,
    OrderRefused,
    kinds_of,
)
from node.wire.records import FrameRecord, HoldRecord, Restarted
from node.wire.work_records import JobRecord

NAME, JOB = re.compile(r"[a-z0-9-]{1,63}"), re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
SHORT = 8
"""So many last characters of an id are shown."""
AT_ONCE = 8
"""Nodes acted on at the same moment; each does one thing after the other."""
PATIENCE = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0)
"""Seconds between asking whether an order that goes on has ended."""


class Deed(StrEnum):
    """What can be done (closed)."""

    RESTART = "restart"
    CAPTURE = "capture"
    HOLD = "hold"
    RESUME = "resume"
    REDRIVE = "redrive"
    CANCEL = "cancel"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Kind:
    """A deed: what it does in a sentence, where it is sent, its command, how it is undone, what it costs.

    `states` are the states of a job that it can act on; `since` is the first release of nodes that knows it.
    """

    sentence: str
    path: str
    aims: Literal["camera", "job"]
    twin: str
    risk: str
    undo: Deed | None = None
    undo_said: str = ""
    states: frozenset[str] = frozenset()
    since: tuple[int, ...] = (0, 1, 0)


DEAD = frozenset({"dead"})
OPEN = frozenset({"queued", "retry", "leased"})
DEEDS: dict[Deed, Kind] = {
    Deed.RESTART: Kind(
        "restart camera", "/v1/cameras/{camera}/restart", "camera", "camera restart",
        "no frame while it reopens, some seconds; slots in between become gaps", undo_said="nothing to undo",
    ),
    Deed.CAPTURE: Kind(
        "take a frame now with", "/v1/cameras/{camera}/capture", "camera", "capture",
        "one frame outside the schedule", undo_said="the frame is kept as every other",
    ),
    Deed.HOLD: Kind(
        "hold capture of", "/v1/cameras/{camera}/hold", "camera", "hold",
        "slots become gaps until it is resumed", Deed.RESUME, since=(0, 3, 0),
    ),
    Deed.RESUME: Kind(
        "resume capture of", "/v1/cameras/{camera}/resume", "camera", "resume",
        "slots are captured again", Deed.HOLD, since=(0, 3, 0),
    ),
    Deed.REDRIVE: Kind(
        "let wait again", "/v1/jobs/{job}/redrive", "job", "retry",
        "it runs again, with new attempts", Deed.CANCEL, states=DEAD, since=(0, 2, 0),
    ),
    Deed.CANCEL: Kind(
        "cancel", "/v1/jobs/{job}/cancel", "job", "cancel",
        "what it has done so far is thrown away; a running one goes on until its next step",
        undo_said="a cancelled job stays so: ask for it again", states=OPEN, since=(0, 2, 0),
    ),
    Deed.DISCARD: Kind(
        "give up", "/v1/jobs/{job}/discard", "job", "discard",
        "it is never tried again", undo_said="a job given up stays so: ask for it again", states=DEAD, since=(0, 2, 0),
    ),
}  # fmt: skip


PAST = {Deed.REDRIVE: "redriven", Deed.CANCEL: "cancelled", Deed.DISCARD: "given up"}


@dataclass(frozen=True, slots=True)
class Aim:
    """What a deed is done to: a node, and of it a camera or a job.  For a camera's deed none = each of the node."""

    node: str
    camera: str = ""
    job: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.node, self.camera or self.job)))


@dataclass(frozen=True, slots=True)
class Options:
    """What may be said of a deed; `inventory` only goes into the command line."""

    reason: str = ""
    for_s: int | None = None
    profile: str = ""
    inventory: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One order to one node."""

    deed: Deed
    aim: Aim
    path: str
    body: Mapping[str, Any]
    sentence: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, what cannot be and why, and the command that does the same."""

    deed: Deed
    steps: tuple[Step, ...]
    refused: tuple[tuple[Aim, str], ...]
    command: str
    options: Options

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it acts on, in its order."""
        return tuple(dict.fromkeys(step.aim.node for step in self.steps))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended, in words; `code` is that of the error, the node's own where it gave one.

    `unknown`: it was sent, and nobody said what became of it; it may have been done.
    """

    aim: Aim
    ok: bool
    said: str
    code: str = ""
    unknown: bool = False

    @property
    def failed(self) -> bool:
        return not self.ok and not self.unknown


# --- the plan ---------------------------------------------------------------------------------------------------------


class _Refused(ValueError):
    """Why a deed cannot be done to an aim."""


def plan(
    deed: Deed,
    aims: Iterable[Aim],
    model: FleetModel,
    options: Options | None = None,
    jobs: Mapping[str, JobRecord] | None = None,
) -> Plan:
    """What the deed would be for those aims.  `jobs` by `node/id`: of those known, the state decides beforehand."""
    options, aims = options or Options(), tuple(dict.fromkeys(aims))
    steps: list[Step] = []
    refused: list[tuple[Aim, str]] = []
    planned: list[Aim] = []
    for aim in aims:
        try:
            steps += _steps(deed, aim, model, options, jobs or {})
            planned.append(aim)
        except _Refused as why:
            refused.append((aim, str(why)))
    once = {step.aim: step for step in steps}  # a camera that its node's aim names too
    return Plan(deed, tuple(once.values()), tuple(refused), command(deed, planned or aims, options), options)


def command(deed: Deed, aims: Iterable[Aim], options: Options) -> str:
    """The command that does the same, to be run as it is printed."""
    said = {
        "--for": lasting(options.for_s) if deed is Deed.HOLD and options.for_s else "",
        "--reason": options.reason if deed is Deed.HOLD else "",
        "--profile": options.profile if deed is Deed.CAPTURE else "",
        "--inventory": options.inventory,
    }
    words = [*(str(aim) for aim in aims), *(f"{name}={value}" for name, value in said.items() if value)]
    return f"heliograph {DEEDS[deed].twin} {shlex.join(words)}"


def _steps(deed: Deed, aim: Aim, model: FleetModel, options: Options, jobs: Mapping[str, JobRecord]) -> list[Step]:
    """Raises _Refused."""
    view = _ready(deed, aim, model)
    if DEEDS[deed].aims == "job":
        return [_job_step(deed, aim, jobs.get(str(aim)))]
    return [_camera_step(deed, each, view, options) for each in _cameras(aim, view)]


def _ready(deed: Deed, aim: Aim, model: FleetModel) -> NodeView:
    """The node's view, if it can be spoken to now and knows the deed.  Raises _Refused."""
    view = model.views.get(aim.node)
    if view is None:
        raise _Refused("no such node in the inventory")
    why = unheard(model, aim.node)
    if why or view.status is None:
        raise _Refused(why)
    release = _release(view.status.version)
    if release and release < DEEDS[deed].since:
        raise _Refused(f"its release {clean(view.status.version)} cannot do that yet")
    return view


def unheard(model: FleetModel, name: str) -> str:
    """Why that node of the model cannot be spoken to now; empty where it can."""
    word, view = model.word(name), model.views[name]
    if word not in OLD_WORDS and word is not Word.WAITING:
        return ""
    why = clean(cause(view, word, model.clock.monotonic()))
    return f"{word}: {why}" if why else str(word)


def _release(version: str) -> tuple[int, ...]:
    """Empty where it is none of ours."""
    match = re.match(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", version)
    return tuple(int(part) for part in match.groups()) if match else ()


def _cameras(aim: Aim, view: NodeView) -> list[Aim]:
    """Raises _Refused."""
    assert view.status is not None
    names = [camera.name for camera in view.status.cameras if NAME.fullmatch(camera.name)]
    if aim.camera and aim.camera not in names:
        raise _Refused(f"no camera {clean(aim.camera)!r} there: it has {', '.join(names) or 'none'}")
    if not names:
        raise _Refused("it has no camera")
    return [aim] if aim.camera else [Aim(aim.node, name) for name in names]


def _camera_step(deed: Deed, aim: Aim, view: NodeView, options: Options) -> Step:
    assert view.status is not None
    camera = next(camera for camera in view.status.cameras if camera.name == aim.camera)
    now = ", ".join(filter(None, (camera.state, camera.held and "held", camera.recovery_rung, camera.error_code)))
    more = f" for {lasting(options.for_s)}" if deed is Deed.HOLD and options.for_s else ""
    sentence = f"{aim.node}: {DEEDS[deed].sentence} {aim.camera} ({clean(now)}){more}"
    return Step(deed, aim, DEEDS[deed].path.format(camera=aim.camera), _camera_body(deed, options), sentence)


def _camera_body(deed: Deed, options: Options) -> dict[str, Any]:
    if deed is Deed.CAPTURE and options.profile:
        return {"profile": options.profile}
    if deed is not Deed.HOLD:
        return {}
    return {"reason": options.reason, **({} if options.for_s is None else {"for_s": options.for_s})}


def _job_step(deed: Deed, aim: Aim, job: JobRecord | None) -> Step:
    """Raises _Refused."""
    kind = DEEDS[deed]
    if not JOB.fullmatch(aim.job):
        raise _Refused(f"{clean(aim.job)!r} is no id of a job" if aim.job else "no job is named")
    if job is not None and job.state not in kind.states:
        raise _Refused(f"it is {job.state}: only {' or '.join(sorted(kind.states))} jobs can be {PAST[deed]}")
    what = "job" if job is None else job.kind
    now = "" if job is None else f" ({', '.join(filter(None, (job.state, job.error_code)))})"
    sentence = clean(f"{aim.node}: {kind.sentence} {what} {aim.job[-SHORT:]}{now}")
    return Step(deed, aim, kind.path.format(job=aim.job), {}, sentence)


# --- sending ----------------------------------------------------------------------------------------------------------

GOES_ON = frozenset({"API-006", "API-012", "API-018"})
"""The node's codes for: not now, or it goes on.  Under the same key it is asked again."""
AGAIN = frozenset({"API-011"})
"""Its code for a key in use: once the order has been sent, that is the order itself, still being done."""
UNDER_WAY = frozenset({"API-018"})
"""Its code for: it is being done, and takes longer than an answer may."""
MAYBE = "no answer; it may have been done"
NO_ROUTE = frozenset({"API-003", "API-008"})
UNKNOWN_ORDER = "its release cannot do that yet"
SHUT = frozenset(kinds_of(NodeRefused))
NOBODY = SHUT | frozenset(kinds_of(NodeUnreachable, NodeUntrusted, ConsoleFileUnusable))

ClientOf = Callable[[str], NodeClient | None]
Pause = Callable[[float], Awaitable[None]]


async def perform(
    plan: Plan, client_of: ClientOf, new_key: Callable[[], str], pause: Pause = asyncio.sleep
) -> AsyncGenerator[Outcome, None]:
    """Each step's outcome as it comes: begun in the plan's order, one after the other on a node, never raising.

    What is under way when the iterator is closed may still happen on its node.
    """
    told: asyncio.Queue[Outcome | None] = asyncio.Queue()
    nodes = iter(_by_node(plan.steps))

    async def work() -> None:
        try:
            for steps in nodes:
                async for outcome in _on_node(steps, client_of(steps[0].aim.node), new_key, pause):
                    told.put_nowait(outcome)
        finally:
            told.put_nowait(None)

    workers = [asyncio.create_task(work()) for _ in range(min(AT_ONCE, len(plan.nodes)))]
    try:
        for _ in workers:
            while (outcome := await told.get()) is not None:
                yield outcome
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _by_node(steps: Iterable[Step]) -> list[list[Step]]:
    nodes: dict[str, list[Step]] = {}
    for step in steps:
        nodes.setdefault(step.aim.node, []).append(step)
    return list(nodes.values())


async def _on_node(
    steps: Sequence[Step], client: NodeClient | None, new_key: Callable[[], str], pause: Pause
) -> AsyncIterator[Outcome]:
    """One after the other; a node that does not answer, or lets nobody in, is asked no more."""
    lost: Outcome | None = None
    for step in steps:
        if client is None:
            yield Outcome(step.aim, ok=False, said="there is nobody to ask")
            continue
        if lost is not None:
            why = "no answer to the one before" if lost.unknown else lost.said
            yield Outcome(step.aim, ok=False, said=f"not asked: {why}", code=lost.code)
            continue
        outcome = await _sent(step, client, new_key(), pause)
        lost = outcome if outcome.code in NOBODY else None
        yield outcome


async def _sent(step: Step, client: NodeClient, key: str, pause: Pause) -> Outcome:
    """A lost answer is asked for once more, an order that goes on until it has ended: all under one key."""
    waits, lost, again, sent = iter(PATIENCE), False, False, False
    while True:
        try:
            return _answered(step, await client.order(step.path, step.body, key))
        except NodeUnreachable as error:
            sent = sent or error.sent
            if lost:
                return _failed(step.aim, error, unknown=sent)
            lost = True
        except OrderRefused as error:
            ours = AGAIN if again else frozenset()
            wait_s = next(waits, None) if error.theirs in GOES_ON | ours else None
            if wait_s is None:
                return _refusal(step.aim, error, unknown=error.theirs in UNDER_WAY | ours)
            await pause(wait_s)
        except HeliographError as error:
            return _failed(step.aim, error, unknown=sent or isinstance(error, NodeAnswerWrong))
        again = True


def _failed(aim: Aim, error: HeliographError, *, unknown: bool) -> Outcome:
    why = error.detail or error.title
    return Outcome(aim, ok=False, said=clean(f"{MAYBE}: {why}" if unknown else why), code=error.code, unknown=unknown)


def _refusal(aim: Aim, error: OrderRefused, *, unknown: bool) -> Outcome:
    """In the node's own words, where it has some that say it."""
    said = UNKNOWN_ORDER if error.theirs in NO_ROUTE else ": ".join(filter(None, (error.about, error.said)))
    return Outcome(aim, ok=False, said=clean(said), code=clean(error.theirs), unknown=unknown)


def _answered(step: Step, answer: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome(step.aim, ok=True, said=clean(SAID[step.deed](answer)))
    except NodeAnswerWrong as error:
        said = f"the node took it, but what it answers cannot be understood: {error.detail}"
        return Outcome(step.aim, ok=False, said=clean(said), code=error.code, unknown=True)


def _restarted(answer: Mapping[str, Any]) -> str:
    understood(answer, Restarted.model_validate)
    return "restarted, a test shot proved it"


def _captured(answer: Mapping[str, Any]) -> str:
    frame = understood(answer, FrameRecord.model_validate)
    judged = f"quality {frame.score}" if frame.score is not None else frame.verdict or "unjudged"
    return f"frame {frame.id[-SHORT:]} kept, {judged}"


def _held(answer: Mapping[str, Any]) -> str:
    hold = understood(answer, HoldRecord.model_validate)
    return f"capture is held until {hold.held_until or 'it is resumed'}"


def _resumed(answer: Mapping[str, Any]) -> str:
    hold = understood(answer, HoldRecord.model_validate)
    return "capture goes on" if hold.changed else "it was not held"


def _cancelled(answer: Mapping[str, Any]) -> str:
    job = understood(answer, JobRecord.model_validate)
    if job.state == "leased":
        return "cancel asked; it may run on until its next step"
    return "cancelled" if job.state == "cancelled" else f"it is {job.state} by now"


def _redriven(answer: Mapping[str, Any]) -> str:
    understood(answer, JobRecord.model_validate)
    return "waits again, with new attempts"


def _discarded(answer: Mapping[str, Any]) -> str:
    understood(answer, JobRecord.model_validate)
    return "given up"


SAID: dict[Deed, Callable[[Mapping[str, Any]], str]] = {
    Deed.RESTART: _restarted,
    Deed.CAPTURE: _captured,
    Deed.HOLD: _held,
    Deed.RESUME: _resumed,
    Deed.REDRIVE: _redriven,
    Deed.CANCEL: _cancelled,
    Deed.DISCARD: _discarded,
}
"""What an answer means, in words.  Raises NodeAnswerWrong."""
