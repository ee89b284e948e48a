"""A look by hand at an archive target: what it says is the job's result, not its failure."""

from __future__ import annotations

from node.domain.errors import ArchiveError
from node.work.dock import Dock
from node.work.task import Done, Task


def test_target(dock: Dock, task: Task) -> Done:
    """Whether it can be reached, carries its marker and lies elsewhere, and its room; counts as a use of it."""
    name = str(task.job.payload["target"])
    limits = dock.document().archive.policy(name).breaker
    task.beat(0.0, "looks at the target")
    try:
        with dock.opened(name) as target:
            target.check()
            space = target.space()
    except ArchiveError as error:
        dock.holdings.used(name, error, limits)
        return Done({"ok": False, "error_code": error.code, "error": str(error), "hint": error.hint})
    dock.holdings.used(name, None, limits)
    room = {"total_bytes": space.total_bytes, "free_bytes": space.free_bytes} if space else {}
    return Done({"ok": True, **room})
