"""Which held packages an upgrade may take: those with which the canaries have made frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Hosts = Mapping[str, Mapping[str, Any]]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"proved_on": proved_on}


def proved_on(held: Sequence[str], canaries: Sequence[str], hosts: Hosts, here: Mapping[str, str]) -> list[str]:
    """Each as `name=version`, where every canary has that version, has proved it, and this host has another one.

    `here`: version by name.  Where canaries differ, or one has not been looked at in this run, it stays as it is.
    """
    wanted = {name: _version(name, canaries, hosts) for name in held if name in here}
    return [f"{name}={version}" for name, version in wanted.items() if version and version != here[name]]


def _version(name: str, canaries: Sequence[str], hosts: Hosts) -> str:
    """Empty = they do not agree on one."""
    if not canaries or not all(hosts[each].get("patch_proved") for each in canaries):
        return ""
    found = {_packages(hosts[each]).get(name, "") for each in canaries}
    return found.pop() if len(found) == 1 else ""


def _packages(host: Mapping[str, Any]) -> Mapping[str, str]:
    local = host.get("ansible_local") or {}
    versions: Mapping[str, str] = local.get("heliograph", {}).get("packages", {})
    return versions
