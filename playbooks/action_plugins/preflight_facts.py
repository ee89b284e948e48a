"""Facts of a host; where it cannot be reached, one message that says why and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

DOCUMENTATION = """
module: preflight_facts
author: The Heliograph authors
short_description: Facts of a host that can be reached
description: As M(ansible.builtin.setup); a host that cannot be reached has failed, with the reason and the remedy.
options:
  gather_subset:
    description: As of M(ansible.builtin.setup).
    type: list
    elements: str
    default: [all]
"""
TELLING = re.compile(r"Offending [^\n]*|No \S+ host key is known[^\n]*|\S+: Permission denied[^\n]*")
"""Lines of ssh that say more than its last one."""
HOST_KEY = (
    "see that ansible_host is this node's address; a host that is new, or whose card was written anew, is let in "
    "by its key (docs/operating.md, From a card to a node), and an old line about it goes out of known_hosts"
)
LOGIN = "see that ansible_user is its account and has the public key of this machine's key"
AWAY = "see that it has power and network and that ansible_host is its address"
REMEDIES = (
    (re.compile(r"host key|REMOTE HOST IDENTIFICATION", re.IGNORECASE), HOST_KEY),
    (re.compile(r"Permission denied|Too many authentication failures"), LOGIN),
    (re.compile(""), AWAY),
)
WORDS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
OPTIONS = {"ansible_port": "-p", "ansible_user": "-l", "ansible_ssh_private_key_file": "-i"}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """How Ansible finds it."""

    _VALID_ARGS = frozenset({"gather_subset"})

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What setup says of the host."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            told = self._execute_module("ansible.builtin.setup", module_args=dict(self._task.args), task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            return {**result, "failed": True, "msg": self._unreached(str(error), task_vars or {})}
        return {**result, **told}

    def _unreached(self, said: str, variables: Mapping[str, Any]) -> str:
        name = variables["inventory_hostname"]
        remedy = next(remedy for pattern, remedy in REMEDIES if pattern.search(said))
        command = self._by_hand(variables)
        return (
            f"{name}: it cannot be reached: {reason(said)}. Remedy: {remedy} (by hand: `{command}`); "
            f"then run again with --limit {name}."
        )

    def _by_hand(self, variables: Mapping[str, Any]) -> str:
        """The same way, over jump hosts and all."""
        given = {name: self._templar.template(variables[name]) for name in (*WORDS, *OPTIONS) if name in variables}
        words = [str(given[name]).strip() for name in WORDS if name in given]
        words += [f"{option} {given[name]}" for name, option in OPTIONS.items() if name in given]
        address = self._templar.template(variables.get("ansible_host", variables["inventory_hostname"]))
        return " ".join(["ssh", *filter(None, words), str(address)])


def reason(said: str) -> str:
    """What ssh said, in one line."""
    telling = TELLING.search(said)
    return (telling[0] if telling else said.strip().splitlines()[-1]).strip().rstrip(".")
