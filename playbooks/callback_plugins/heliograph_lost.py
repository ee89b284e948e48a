"""At the end of a run: hosts that went away in the middle of it, and what to do about them."""

from __future__ import annotations

from ansible.executor.stats import AggregateStats
from ansible.executor.task_result import CallbackTaskResult
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: heliograph_lost
type: aggregate
short_description: names hosts that were lost on the way
description:
  - Ansible runs nothing more on a host that it cannot reach, not even what would say so with its remedy.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types
    """Warns of them."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "heliograph_lost"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._lost: dict[str, str] = {}

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        self._lost[result.host.get_name()] = result.task.get_name()

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        for host in sorted(set(self._lost) & set(stats.dark)):
            self._display.warning(
                f"{host}: it was lost at: {self._lost[host]}. What was begun there may be half done. "
                f"Remedy: see that it has power and network; run again with --limit {host} once it answers."
            )
