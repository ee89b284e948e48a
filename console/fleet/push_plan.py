"""What a push would do: each node asked what it runs and what it makes of the document that it should run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from console.fleet.acts import unheard
from console.fleet.batches import CANARY, SOAK_S, Batch, batches
from console.fleet.changes import Change, changes
from console.fleet.client import NodeClient
from console.fleet.gate import Gate
from console.fleet.text import clean
from console.fleet.view import FleetModel
from console.fleet.wanted import Unresolved, Wanted
from node.wire.errors import FieldFault, HeliographError, LeaseHeld, NodeAnswerWrong, OrderRefused
from node.wire.records import ConfigCheck, ConfigVersion, Page
from node.wire.status import Wire

CONFIG_PATH, VALIDATE_PATH = "/v1/config", "/v1/config/validate"
HISTORY_PATH, LATELY, WENT_BACK = "/v1/config/history", "10", "rolled_back"
INVALID = "CFG-001"
"""The node's code for a document that it would not run."""

ClientOf = Callable[[str], NodeClient | None]
Intended = Wanted | tuple[Unresolved, ...] | None
"""What the inventory makes of a node's document, as console.fleet.wanted gives it."""


class RunningConfig(Wire):
    """What of GET /v1/config counts here."""

    version: int
    digest: str
    state: Literal["active", "probation", "provisional"]
    probation_until: str | None = None
    document: dict[str, Any]


class Standing(StrEnum):
    """How a node stands to what is wanted of it (closed)."""

    CHANGE = "change"
    PROVING = "proving"
    SAME = "unchanged"
    UNMANAGED = "unmanaged"
    DEFERRED = "deferred"
    BUSY = "busy"
    TOO_OLD = "too old"
    FAILED = "failed"
    WRONG = "wrong"


SAYS: Mapping[Standing, str] = {
    Standing.CHANGE: "it gets another document",
    Standing.PROVING: "it runs its document already, on probation: that is waited for",
    Standing.SAME: "it runs its document already",
    Standing.UNMANAGED: "no variable heliograph_config_* is about it: left alone",
    Standing.DEFERRED: "it cannot be asked now: left for another push",
    Standing.BUSY: "another change is under way there: left for another push",
    Standing.TOO_OLD: "its release does not know a field yet: left out",
    Standing.FAILED: "it was being changed, and does not run the document: with one such node nothing is sent",
    Standing.WRONG: "it would not run the document: with one such node nothing is sent",
}
TO_DO = frozenset({Standing.CHANGE, Standing.PROVING})
PUT_OFF = frozenset({Standing.DEFERRED, Standing.BUSY, Standing.TOO_OLD})
"""Left out of this push; whatever the reason, another push takes them up."""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node: what it runs, what is wanted, and what that would change.  `why` says more than the standing.

    `version`, `digest` and `state` are of what it runs, 0 and empty where it could not be asked.
    """

    node: str
    standing: Standing
    why: str = ""
    wanted: str = ""
    version: int = 0
    digest: str = ""
    changes: tuple[Change, ...] = ()
    check: ConfigCheck | None = None
    faults: tuple[FieldFault, ...] = ()
    code: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class PushPlan:
    """All nodes meant, by name, and those to be changed in their batches.  The documents are not to be shown."""

    nodes: Mapping[str, NodePlan]
    batches: tuple[Batch, ...]
    documents: Mapping[str, Wanted] = field(repr=False)

    def standing(self, *standings: Standing) -> tuple[NodePlan, ...]:
        return tuple(plan for plan in self.nodes.values() if plan.standing in standings)

    @property
    def to_do(self) -> tuple[str, ...]:
        return tuple(plan.node for plan in self.nodes.values() if plan.standing in TO_DO)

    @property
    def faults(self) -> tuple[FieldFault, ...]:
        """All that is wrong with documents, by node: with any of them nothing is sent."""
        wrong = self.standing(Standing.WRONG)
        return tuple(FieldFault(f"{plan.node}.{each.path}", each.message) for plan in wrong for each in plan.faults)


async def make_plan(
    intended: Mapping[str, Intended],
    model: FleetModel,
    client_of: ClientOf,
    soak_s: float = SOAK_S,
    owner: str = "",
) -> PushPlan:
    """Asks all these nodes at once; changes nothing, and never raises for what a node says or does not say.

    A node that somebody else than that owner holds by its lease is put off.
    """
    gate = Gate()

    async def one(name: str, meant: Intended) -> NodePlan:
        async with gate:
            plan = await _stands(name, meant, model, client_of(name))
        return _unless_held(plan, model, owner)

    plans = await asyncio.gather(*(one(name, meant) for name, meant in intended.items()))
    nodes = {plan.node: plan for plan in plans}
    documents = {name: meant for name, meant in intended.items() if isinstance(meant, Wanted)}
    return PushPlan(nodes, cut(nodes.values(), model, soak_s), documents)


def _unless_held(plan: NodePlan, model: FleetModel, owner: str) -> NodePlan:
    view = model.views.get(plan.node)
    lease = view.status.lease if view is not None and view.status is not None else None
    if lease is None or lease.owner == owner or plan.standing not in TO_DO:
        return plan
    why = clean(f"{lease.owner} holds it until {lease.until}: {lease.message}")
    return replace(plan, standing=Standing.BUSY, why=why, code=LeaseHeld.code)


def cut(plans: Iterable[NodePlan], model: FleetModel, soak_s: float) -> tuple[Batch, ...]:
    """The batches of those nodes that have something to do."""
    canaries = {name for name, view in model.views.items() if CANARY in view.host.groups}
    return batches((plan.node for plan in plans if plan.standing in TO_DO), canaries, soak_s)


async def _stands(name: str, meant: Intended, model: FleetModel, client: NodeClient | None) -> NodePlan:
    if meant is None:
        return NodePlan(name, Standing.UNMANAGED)
    if not isinstance(meant, Wanted):
        return NodePlan(name, Standing.WRONG, faults=tuple(FieldFault(each.variable, each.why) for each in meant))
    faults = meant.faults()
    why = unheard(model, name) if client is not None else "there is nobody to ask"
    if why or client is None:
        standing, error = Standing.WRONG if faults else Standing.DEFERRED, model.views[name].error
        return NodePlan(name, standing, why, meant.digest, faults=faults, code=error.code if error else "")
    try:
        return await _asked(meant, faults, client)
    except HeliographError as error:
        return NodePlan(name, Standing.DEFERRED, clean(str(error)), meant.digest, code=error.code)


async def _asked(meant: Wanted, own: tuple[FieldFault, ...], client: NodeClient) -> NodePlan:
    """Raises HeliographError where the node cannot be asked."""
    running = await client.fetch(CONFIG_PATH, RunningConfig)
    known: dict[str, Any] = {"wanted": meant.digest, "version": running.version, "digest": running.digest}
    known["state"] = running.state
    if running.digest == meant.digest:
        return _same(meant.node, running, known)
    if running.state == "probation":
        why = f"another document is on probation until {clean(running.probation_until or 'it is judged')}"
        return NodePlan(meant.node, Standing.BUSY, why, **known)
    differs = changes(running.document, meant.document, meant.hides)
    try:
        check = await client.send("POST", VALIDATE_PATH, ConfigCheck, meant.document)
    except OrderRefused as error:
        if error.theirs != INVALID:
            raise
        return _refused(meant, own, error.fields, known)
    if check.digest != meant.digest:
        raise NodeAnswerWrong("it understands another document than was sent")
    return NodePlan(meant.node, Standing.CHANGE, changes=differs, check=check, **known)


def _same(node: str, running: RunningConfig, known: dict[str, Any]) -> NodePlan:
    if running.state == "probation":
        return NodePlan(node, Standing.PROVING, f"until {clean(running.probation_until or 'it is judged')}", **known)
    why = "provisionally, until slots come by a light that shows it" if running.state == "provisional" else ""
    return NodePlan(node, Standing.SAME, why, **known)


def _refused(
    meant: Wanted, own: tuple[FieldFault, ...], theirs: tuple[FieldFault, ...], known: dict[str, Any]
) -> NodePlan:
    """Too old, where this release finds nothing wrong and all that the node does is that it knows a field not."""
    old = not own and bool(theirs) and all(fault.kind == "unknown_field" for fault in theirs)
    why = ", ".join(fault.path for fault in theirs) if old else ""
    return NodePlan(meant.node, Standing.TOO_OLD if old else Standing.WRONG, why, faults=meant.told(theirs), **known)


async def rolled_back(client: NodeClient, wanted: str) -> str | None:
    """Why the node went back from the document of that digest, lately; None where it did not, or does not say."""
    try:
        page = await client.fetch(HISTORY_PATH, Page[ConfigVersion], {"limit": LATELY})
    except HeliographError:
        return None
    return next((clean(each.reason) for each in page.items if (each.digest, each.state) == (wanted, WENT_BACK)), None)


def effects(plan: NodePlan) -> Iterator[str]:
    """What the document would change on that node, a line each."""
    if plan.check is None:
        return
    for camera in plan.check.cameras:
        rate = f"{camera.frames_per_day_now:g} → {camera.frames_per_day:g} frames a day"
        slots = ", ".join(f"{slot[5:10]} {slot[11:19]}Z" for slot in camera.next_slots) or "nothing in the next 7 days"
        yield clean(f"{camera.name}: {rate}; next {slots}")
    for gone in plan.check.reclaim:
        yield clean(f"deletes {gone.count} {gone.what} ({gone.size_bytes / 1e6:.1f} MB, {gone.rule})")
    if plan.check.reclaim_more:
        yield "deletes more than that: the node stopped counting"
