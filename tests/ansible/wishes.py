"""What a role wants of an imagined machine: the parts that it adds to a node's bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ansible.parts import render

ZERO_2, PI_5, NO_PI = "Raspberry Pi Zero 2 W Rev 1.0", "Raspberry Pi 5 Model B Rev 1.0", ""


@dataclass(frozen=True, slots=True)
class Parts:
    """By name, with what is looked up most."""

    named: dict[str, dict[str, Any]]
    said: Any = None

    def file(self, path: str) -> dict[str, Any]:
        """Raises KeyError where no part has it."""
        return {file["path"]: file for part in self.named.values() for file in part.get("files", ())}[path]

    def text(self, path: str) -> str:
        return str(self.file(path)["content"])

    def units(self) -> dict[str, dict[str, Any]]:
        return {unit["name"]: unit for part in self.named.values() for unit in part.get("units", ())}


class Refused(Exception):
    """What Ansible said."""


def made(
    folder: Path, role: str, model: str = NO_PI, debian: str = "13", says: str = "none", **variables: object
) -> Parts:
    """As for a machine of that model.  Raises Refused where the role takes the variables for wrong."""
    facts = {
        "distribution_major_version": debian,
        "env": {"SUDO_USER": "pi"},
        "user_id": "root",
        "virtualization_role": variables.pop("virtualization_role", "host"),
        "virtualization_type": "systemd-nspawn",
        "ansible_local": {"heliograph": {"model": model or None}},
    }
    done = render(folder, role, variables, facts, says=says)
    if done.status:
        raise Refused(done.output)
    return Parts(done.parts, done.said)
