"""Work that the API may ask for: what the service builds over queue, archive and disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from node.domain.config import Retention
from node.domain.retention import Preview
from node.store.jobs import Job
from node.store.log import Actor
from node.store.videos import Video


class Orders(Protocol):
    """Work that is asked for by hand.  Every method but the preview leaves its row in the audit, done or refused."""

    def ask(self, kind: str, payload: Mapping[str, Any], actor: Actor) -> Job:
        """The new job, or the one of that kind and key that waits already (`new` is False).

        Raises UnknownKind, PayloadInvalid, UnknownCamera, UnknownTarget, NotFound where there is no such shoot,
        JobDiffers where one with other wishes runs; one that waits takes on the new ones.
        """

    def cancel(self, job: str, actor: Actor) -> Job:
        """A waiting job at once, a running one at its next step.  Raises UnknownJob, MoveIllegal."""

    def redrive(self, job: str, actor: Actor) -> Job:
        """A dead job waits again, its attempts counted anew.  Raises UnknownJob, MoveIllegal."""

    def discard(self, job: str, actor: Actor) -> Job:
        """A dead job is given up.  Raises UnknownJob, MoveIllegal."""

    def redrive_all(self, kind: str | None, actor: Actor) -> int:
        """Every dead job of that kind, or every one; how many.  Raises UnknownKind."""

    def discard_all(self, kind: str | None, actor: Actor) -> int:
        """Every dead job of that kind, or every one; how many.  Raises UnknownKind."""

    def send_now(self, target: str, actor: Actor) -> Job:
        """What waits for that target is due now, whatever its breaker says.  Raises UnknownTarget."""

    def preview_reclaim(self, section: Retention | None = None) -> Preview:
        """What would go now under the document's retention section, or under another one; nothing does."""

    def change_video(self, video: str, title: str | None, pinned: bool | None, actor: Actor) -> Video:
        """None = as it was.  Raises NotFound, also where its file is gone."""

    def remove_video(self, video: str, actor: Actor) -> Video:
        """Its file and poster are deleted here.  Raises NotFound, also where they were before."""
