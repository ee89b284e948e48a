"""What all roles want of a host, and what of it the host lacks, in one task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

DOCUMENTATION = """
module: bundle_wanted
author: The Heliograph authors
short_description: What the roles want of a host, and what of it the host lacks
description:
  - Runs on the control side alone. A task for each role would cost more than what it renders.
  - Sets C(bundle_plan): what is to be done, or C(refusal), all that speaks against what is wanted.
options:
  roles:
    description: The roles, in the order in which their parts are placed.
    type: list
    elements: str
    required: true
  folder:
    description: Where the roles lie.
    type: path
    required: true
  planned:
    description: Whether the plan is made; if not, the parts themselves are given, as C(bundle_parts).
    type: bool
    default: true
"""
WANTED = "lookup('wanted', *folders)"
TROUBLE = "bundle_state.trouble | default('', true)"
PLAN = "bundle_parts | bundle_plan(bundle_state, ansible_run_tags, ansible_skip_tags, bundle_whole)"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """How Ansible finds it."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"roles", "folder", "planned"})

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A result with the plan in it, or with what speaks against it."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        asked, host = self._task.args, (task_vars or {})["inventory_hostname"]
        wanted = self._said(WANTED, folders=[f"{asked['folder']}/{name}" for name in asked["roles"]])
        if wanted["faults"]:
            return {**result, **self._refusal(host, wanted["faults"])}
        self._warn(host, self._said(TROUBLE))
        # without what Ansible adds to texts: what is hashed and sent is what the host reads
        parts = {"bundle_parts": json.loads(json.dumps(wanted["parts"]))}
        told = {"bundle_plan": self._said(PLAN, **parts)} if self._is_planned() else parts
        return {**result, "changed": False, "ansible_facts": told}

    def _is_planned(self) -> bool:
        return bool(self._task.args.get("planned", True))

    def _refusal(self, host: str, faults: list[str]) -> dict[str, Any]:
        """Said by the next task: of this one nothing is ever shown, for what it holds is secret."""
        said = f"{host}: {' | '.join(faults)}."
        if self._is_planned():
            return {"changed": False, "ansible_facts": {"bundle_plan": {"due": True, "refusal": said}}}
        return {"failed": True, "msg": said}

    def _warn(self, host: str, trouble: str) -> None:
        """Of what this run puts right; what it cannot, the preflight has refused."""
        if trouble:
            self._display.warning(f"{host}: {trouble}. This run places its files anew; see why the card lost some.")

    def _said(self, expression: str, **more: object) -> Any:  # noqa: ANN401 - whatever it comes to
        return self._templar.evaluate_expression(trust_as_template(expression), local_variables=more)
