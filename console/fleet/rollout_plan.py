"""What a rollout would do: its playbook, its nodes as they are now, its batches.  Nothing is changed."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from console.fleet.batches import CANARY, Batch, batches
from console.fleet.client import NodeClient
from console.fleet.gate import Gate
from console.fleet.inventory import Host
from console.fleet.rollout_events import Health
from console.fleet.text import clean
from console.fleet.wanted import SECRET
from node.wire.errors import HeliographError, PlaybookUnusable
from node.wire.status import NodeStatus

CONFIG, PLAYBOOKS, ENDINGS = "ansible.cfg", "playbooks", (".yml", ".yaml")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
PROMPTS = re.compile(r"^\s*(?:-\s+)?[\"']?vars_prompt[\"']?\s*:", re.MULTILINE)
IMPORTS = re.compile(r"^\s*(?:-\s+)?(?:ansible\.builtin\.)?import_playbook\s*:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
LARGEST_BYTES = 1_000_000
HIDDEN = "***"
ClientOf = Callable[[str], NodeClient | None]


class Standing(StrEnum):
    """How a node stands to a rollout before it begins (closed)."""

    GOES = "goes along"
    DEFERRED = "deferred"
    HELD = "held"


SAYS: Mapping[Standing, str] = {
    Standing.GOES: "the playbook runs on it, in its batch",
    Standing.DEFERRED: "it cannot be reached now: left for another rollout",
    Standing.HELD: "another run changes it now: left for another rollout",
}


@dataclass(frozen=True, slots=True)
class Playbook:
    """`path` is the file, `fleet` the folder with ansible.cfg; both whole."""

    name: str
    path: Path
    fleet: Path


@dataclass(frozen=True, slots=True)
class NodePlan:
    node: str
    standing: Standing
    health: Health
    why: str = ""


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """Nodes in their order, and the batches of those that go along.  `variables` may be secret."""

    playbook: Playbook
    inventory: Path | None
    nodes: Mapping[str, NodePlan]
    batches: tuple[Batch, ...]
    canaries: frozenset[str] = frozenset()
    soak_s: float = 0.0
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def to_do(self) -> tuple[str, ...]:
        """The nodes on which it would run, batch by batch."""
        return tuple(name for batch in self.batches for name in batch.nodes)

    def standing(self, standing: Standing) -> tuple[NodePlan, ...]:
        return tuple(node for node in self.nodes.values() if node.standing is standing)

    def shown(self) -> dict[str, str]:
        """The variables, fit to be shown and kept."""
        return {name: HIDDEN if is_secret(name) else value for name, value in self.variables.items()}

    def open_and_secret(self) -> tuple[dict[str, str], dict[str, str]]:
        """Its variables, and those that nothing may repeat."""
        hidden = {name: value for name, value in self.variables.items() if is_secret(name)}
        return {name: value for name, value in self.variables.items() if name not in hidden}, hidden

    def without(self, gone: Mapping[str, str]) -> RolloutPlan:
        """Those nodes are put off, each with why; the others are cut into batches anew."""
        nodes = {
            name: replace(node, standing=Standing.DEFERRED, why=gone[name]) if name in gone else node
            for name, node in self.nodes.items()
        }
        left = [name for name, node in nodes.items() if node.standing is Standing.GOES]
        return replace(self, nodes=nodes, batches=batches(left, self.canaries, self.soak_s))


def is_secret(variable: str) -> bool:
    return SECRET.search(variable) is not None


def parse_variable(text: str) -> tuple[str, str]:
    """VAR=VALUE.  Raises ValueError, in words, which never repeat the value."""
    name, equals, value = text.partition("=")
    if not equals or VARIABLE.fullmatch(name) is None:
        message = "a variable is given as VAR=VALUE, and its name has letters, digits and _ only"
        raise ValueError(message)
    return name, value


def fleet_dir(given: Path | None, start: Path | None = None) -> Path:
    """The folder with ansible.cfg: that one, or the nearest from `start` (here) upwards.  Raises PlaybookUnusable."""
    here = (start or Path.cwd()).absolute()
    if given is not None:
        if not (given / CONFIG).is_file():
            raise PlaybookUnusable(f"{given} has no {CONFIG}")
        return given.absolute()
    found = next((folder for folder in (here, *here.parents) if (folder / CONFIG).is_file()), None)
    if found is None:
        raise PlaybookUnusable(f"no folder with {CONFIG} from {here} upwards: name it with --fleet or fleet_dir")
    return found


def find_playbook(name: str, fleet: Path) -> Playbook:
    """Raises PlaybookUnusable where there is none of that name, or it would ask questions."""
    paths = {path.stem: path for path in _playbooks(fleet)}
    if NAME.fullmatch(name) is None or name not in paths:
        known = ", ".join(sorted(paths)) or "none"
        raise PlaybookUnusable(clean(f"no playbook {name!r} in {fleet / PLAYBOOKS}, which has: {known}"))
    _refuse_prompts(paths[name], set())
    return Playbook(name, paths[name], fleet)


def _playbooks(fleet: Path) -> Iterator[Path]:
    found = (path for ending in ENDINGS for path in sorted((fleet / PLAYBOOKS).glob(f"*{ending}")))
    return (path for path in found if path.is_file())


def _refuse_prompts(path: Path, seen: set[Path]) -> None:
    """Nobody could answer them: a rollout goes on without its terminal."""
    if path in seen:
        return
    seen.add(path)
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES).decode(errors="replace")
    except OSError as error:
        raise PlaybookUnusable(f"{path}: {error.strerror}") from None
    if PROMPTS.search(text):
        raise PlaybookUnusable(f"{path} has vars_prompt: give the variables with -e instead, and take it out")
    for imported in IMPORTS.findall(text):
        if "{{" not in imported:
            _refuse_prompts(Path(os.path.normpath(path.parent / imported)), seen)


# --- nodes ------------------------------------------------------------------------------------------------------------


async def look(client: NodeClient | None) -> Health:
    """What the node says of itself now; never raises."""
    if client is None:
        return Health(why="there is nobody to ask")
    try:
        return health_of(await client.status())
    except HeliographError as error:
        return Health(why=clean(error.detail or error.title))


def health_of(status: NodeStatus) -> Health:
    quality = {clean(camera.name): camera.quality for camera in status.cameras if camera.quality is not None}
    release, lease = status.release, status.lease
    return Health(
        answers=True,
        ready=status.ready,
        version=clean(status.version),
        digest=clean(status.config.digest),
        dead=status.queue.dead if status.queue else 0,
        quality=quality,
        release=release.state if release else "",
        since=clean(release.since) if release else "",
        reason=clean(release.reason) if release else "; ".join(clean(reason) for reason in status.reasons),
        config=str(status.config.state),
        held_by=clean(lease.owner) if lease else "",
    )


async def look_at(nodes: Iterable[str], client_of: ClientOf) -> dict[str, Health]:
    """All of them at the same time."""
    names, gate = tuple(nodes), Gate()

    async def one(name: str) -> Health:
        async with gate:
            return await look(client_of(name))

    return dict(zip(names, await asyncio.gather(*(one(name) for name in names)), strict=True))


@dataclass(frozen=True, slots=True)
class Intent:
    """What is asked for: `named` are nodes that the operator called by name, `owner` in whose name it goes."""

    playbook: Playbook
    inventory: Path | None
    hosts: tuple[Host, ...]
    named: Collection[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    soak_s: float = 0.0
    owner: str = ""


async def make_plan(intent: Intent, client_of: ClientOf) -> RolloutPlan:
    """Asks each node how it is.  One that does not answer is put off, unless it was called by its name."""
    found = await look_at((host.name for host in intent.hosts), client_of)
    nodes = {name: _node(name, health, intent) for name, health in found.items()}
    canaries = frozenset(host.name for host in intent.hosts if CANARY in host.groups)
    left = [name for name, node in nodes.items() if node.standing is Standing.GOES]
    return RolloutPlan(
        intent.playbook,
        intent.inventory,
        nodes,
        batches(left, canaries, intent.soak_s),
        canaries,
        intent.soak_s,
        intent.variables,
    )


def _node(name: str, health: Health, intent: Intent) -> NodePlan:
    if not health.answers and name not in intent.named:
        return NodePlan(name, Standing.DEFERRED, health, health.in_words())
    if held_by_other(health, intent.owner):
        return NodePlan(name, Standing.HELD, health, f"held by {health.held_by}")
    return NodePlan(name, Standing.GOES, health, "" if health.answers else health.in_words())


def held_by_other(health: Health, owner: str) -> bool:
    return bool(health.held_by) and health.held_by != owner
