"""What place.py said of the host becomes the host's fact, as if facts had been gathered again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

DOCUMENTATION = """
module: bundle_fact
author: The Heliograph authors
short_description: The host's fact, fresh
description: Runs on the control side alone. Facts that are gathered later take its place.
options:
  told:
    description: What place.py said of the host.
    type: dict
    required: true
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """How Ansible finds it."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"told"})

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A result with the fact in it."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        others = (task_vars or {}).get("ansible_local", {})
        told = self._task.args["told"]
        return {**result, "changed": False, "ansible_facts": {"ansible_local": {**others, "heliograph": told}}}
