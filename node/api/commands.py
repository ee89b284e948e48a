"""What the API may ask of the loops: a frozen set of callables that the service builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from node.api.orders import Orders
from node.domain.events import AccessRefused
from node.domain.frame import Frame
from node.domain.lease import Lease
from node.domain.retention import Preview
from node.journal import Held


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as it stands in the audit: name, role, client address, request id, and what shows the name.

    `how` is `token` or `certificate`; `lease` the owner in whose name a change is asked for.
    """

    name: str
    role: str
    client: str
    request_id: str
    how: str = ""
    lease: str = ""

    def under(self, lease: str) -> Caller:
        """The same, in the name of that lease's owner."""
        return replace(self, lease=lease)

    @property
    def standing(self) -> str:
        """Role and what shows it, in the audit's one column: `admin/token`."""
        return f"{self.role}/{self.how}" if self.how else self.role


@dataclass(frozen=True, slots=True)
class Activated:
    """The running version after a change.  `changed` is False where the document was running already.

    `probation_until_us` is None when it owes no proof.
    """

    version: int
    digest: str
    previous: int
    changed: bool = True
    probation_until_us: int | None = None


@dataclass(frozen=True, slots=True)
class CameraPreview:
    """What a document would ask of one camera: its next slots (UTC microseconds) and its frames per day."""

    name: str
    next_due_us: tuple[int, ...]
    frames_per_day: float
    frames_per_day_now: float


@dataclass(frozen=True, slots=True)
class ConfigPreview:
    """What would change if a valid document were put: paths that differ from the running one, and each camera.

    `gone` is what retention would delete under it, where that section differs.
    """

    digest: str
    changed: tuple[str, ...] = ()
    cameras: tuple[CameraPreview, ...] = ()
    gone: Preview = field(default_factory=Preview)


@dataclass(frozen=True, slots=True)
class Commands:
    """Each blocks until it is done (the API calls from a worker thread) and raises a HeliographError where it fails.

    capture(camera, profile, caller): one shot outside the schedule, kept without a slot.
    restart_camera(camera, caller): reopens the camera; returns when a test shot has proved it.
    hold_camera(camera, reason, seconds or None until resumed, caller): no slot of it is taken from now on.
    resume_camera(camera, caller): its slots are taken again; not changed where it was not held.
    put_config(document as given, version it was made from, caller): VersionMoved where another one runs by now,
        DocumentInvalid with every wrong field, ProbationRunning, LeaseHeld.
    roll_back(version or None for the one before, caller): UnknownVersion where it is not kept, LeaseHeld.
    lease(): who holds the node's, if anybody does.
    take_lease(owner, message, seconds, caller): LeaseHeld where it is another's.
    release_lease(owner, whether another's too, caller): what was let go of; LeaseHeld.
    preview_config(document as given): DocumentInvalid with every wrong field; changes nothing.
    orders: work that is asked for by hand; see there.
    refused(event): tells board and journal of refused attempts; called at most once a minute per client and code.
    """

    capture: Callable[[str, str, Caller], Frame]
    restart_camera: Callable[[str, Caller], None]
    hold_camera: Callable[[str, str, int | None, Caller], Held]
    resume_camera: Callable[[str, Caller], Held]
    put_config: Callable[[Mapping[str, Any], int, Caller], Activated]
    roll_back: Callable[[int | None, Caller], Activated]
    lease: Callable[[], Lease | None]
    take_lease: Callable[[str, str, int, Caller], Lease]
    release_lease: Callable[[str, bool, Caller], Lease | None]
    preview_config: Callable[[Mapping[str, Any]], ConfigPreview]
    orders: Orders
    refused: Callable[[AccessRefused], None]
