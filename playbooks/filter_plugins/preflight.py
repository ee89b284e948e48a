"""What would make a run fail half-way, found before it begins.  Each fault says what is wrong and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
FREE_NAMES = re.compile(r"heliograph_config_\d\d_[a-z0-9_]+")
"""Pieces of the config document; their names say only the order."""
OURS = "heliograph"
ASKED = ("preflight", "bootstrap", "collect", "patch", "reboot", "release", "restore", "retire", "rollback")
"""What variables of playbooks begin with; those are known that a playbook mentions."""
MENTIONED = re.compile(rf"\b(?:{'|'.join(ASKED)})_[a-z0-9_]+")
ANSIBLES = ("ansible_", "inventory_")
SPECS = "*/meta/argument_specs.yml"
SUITES = ("bookworm", "trixie")
OLDEST_PYTHON = (3, 11)
MIB = 1 << 20
NEAR = 0.9
"""How like a known name one of somebody's own may not be; a letter left out, added or wrong."""
NAMED_HOSTS = 4
MENDED = ("the manifest is damaged", "certificate: ")
"""What the next bundle puts right; it says so itself."""


def inventory_faults(hostvars: Mapping[str, Mapping[str, Any]], names: Sequence[str], roles: str) -> list[str]:
    """Nodes that share a name or an address, and variables that no role knows.  `roles`: the folder of the roles."""
    specs = {path.parent.parent.name: yaml.safe_load(path.read_text()) for path in Path(roles).glob(SPECS)}
    known = {name for spec in specs.values() for name in options(spec)}
    known |= set(mentioned(Path(roles).parent / "playbooks"))
    prefixes = tuple(f"{role}_" for role in (*specs, *ASKED, OURS))
    owners: dict[str, list[str]] = {}
    for name in sorted(names):
        for variable in hostvars[name]:
            owners.setdefault(variable, []).append(name)
    strange = [f"{named(owners[name])}: {said}" for name, said in unknown_variables(owners, known, prefixes)]
    addresses = {name: _address(name, hostvars[name]) for name in names}
    tls = {name: f"heliograph_tls_name {hostvars[name].get('heliograph_tls_name', name)}" for name in names}
    return [*_odd_names(names), *shared(addresses), *shared(tls), *strange]


def options(spec: Mapping[str, Any]) -> Iterator[str]:
    """The variables that a role's argument_specs name."""
    for entry in spec.get("argument_specs", {}).values():
        yield from entry.get("options", {})


def mentioned(playbooks: Path) -> Iterator[str]:
    """The variables of their own that the playbooks name."""
    for path in playbooks.rglob("*.yml"):
        yield from MENTIONED.findall(path.read_text())


def unknown_variables(
    names: Iterable[str], known: Iterable[str], prefixes: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Those that begin like a role's variables and are none, and those that are nearly one."""
    for name in sorted(set(names) - set(known)):
        ours = name.startswith(prefixes)
        if FREE_NAMES.fullmatch(name) or name.startswith(ANSIBLES):
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.8 if ours else NEAR)
        if ours or close:
            meant = f"; did you mean {close[0]}" if close else ""
            own = "" if ours else "; one of your own needs a name that is less like ours"
            yield name, f"no variable is called {name}{meant}. Remedy: correct it in the inventory, or take it out{own}"


def named(hosts: Sequence[str]) -> str:
    """Those hosts, where there are many only the first."""
    more = f" and {len(hosts) - NAMED_HOSTS} more" if len(hosts) > NAMED_HOSTS else ""
    return ", ".join(hosts[:NAMED_HOSTS]) + more


def _odd_names(names: Iterable[str]) -> Iterator[str]:
    for name in sorted(names):
        if not NAME.fullmatch(name):
            yield f"{name}: no name for a node. Remedy: take 1 to 63 of a-z, 0-9 and -, neither first nor last a -"


def _address(name: str, variables: Mapping[str, Any]) -> str:
    return f"address {variables.get('ansible_host', name)} port {variables.get('ansible_port', 22)}"


def shared(owned: Mapping[str, str]) -> Iterator[str]:
    """What more than one node has."""
    first: dict[str, str] = {}
    for name, thing in sorted(owned.items()):
        owner = first.setdefault(thing, name)
        if owner != name:
            yield f"{name}: {thing} is {owner}'s already. Remedy: give each node its own in the inventory"


def host_faults(fact: Mapping[str, Any], now_s: float, limits: Mapping[str, Any]) -> list[str]:
    """What a host is not fit for.  `limits`: clock_tolerance_s, free_mib (folder -> MiB)."""
    return [said for judge in JUDGES for said in judge(fact, now_s, limits)]


def _suite(fact: Mapping[str, Any], _now_s: float, _limits: Mapping[str, Any]) -> Iterator[str]:
    if fact["suite"] not in SUITES:
        yield (
            f"it runs {fact['suite'] or 'no Debian'}, not {' or '.join(SUITES)}. "
            "Remedy: write a card with Raspberry Pi OS Lite of one of them"
        )


def _python(fact: Mapping[str, Any], _now_s: float, _limits: Mapping[str, Any]) -> Iterator[str]:
    version = tuple(int(number) for number in fact["python"].split(".")[:2])
    if version < OLDEST_PYTHON:
        yield f"its Python is {fact['python']}, older than 3.11. Remedy: take an image of bookworm or trixie"


def _clock(fact: Mapping[str, Any], now_s: float, limits: Mapping[str, Any]) -> Iterator[str]:
    off_s = int(fact["clock_s"] - now_s)
    if abs(off_s) > limits["clock_tolerance_s"]:
        side = "ahead of" if off_s > 0 else "behind"
        yield (
            f"its clock is {abs(off_s)} s {side} this machine's. Remedy: see which of the two is wrong; "
            "on the host `timedatectl`, and `sudo systemctl restart systemd-timesyncd` or `sudo date -s`"
        )


def _packages(fact: Mapping[str, Any], _now_s: float, _limits: Mapping[str, Any]) -> Iterator[str]:
    broken = fact["dpkg"]["broken"]
    if broken or fact["dpkg"]["interrupted"]:
        named = f": {', '.join(broken[:5])}" if broken else ""
        yield (
            f"packages are half installed{named}. "
            "Remedy: on the host `sudo dpkg --configure -a && sudo apt-get -f install`, then run again"
        )


def _space(fact: Mapping[str, Any], _now_s: float, limits: Mapping[str, Any]) -> Iterator[str]:
    for folder, least_mib in limits["free_mib"].items():
        free = fact["free_bytes"].get(folder)
        if free is not None and free < least_mib * MIB:
            yield (
                f"{folder} has {free // MIB} MiB free and needs {least_mib}. "
                "Remedy: on the host `sudo apt-get clean` and `sudo journalctl --vacuum-size=32M`, or a larger card"
            )


def _manifest(fact: Mapping[str, Any], _now_s: float, _limits: Mapping[str, Any]) -> Iterator[str]:
    if "newer" in (fact.get("trouble") or ""):
        yield "a newer release has placed its files. Remedy: run the playbooks of that release, or of a newer one"


def _untold(fact: Mapping[str, Any], _now_s: float, _limits: Mapping[str, Any]) -> Iterator[str]:
    """What is decided without knowing it would be decided wrongly."""
    said = (fact.get("trouble") or "").split("; ")
    for piece in said:
        if piece and "newer" not in piece and not piece.startswith(MENDED):
            yield (
                f"it cannot tell all of itself: {piece}. Remedy: put that right on the host; "
                "`sudo /etc/ansible/facts.d/heliograph.fact` shows under trouble what is left"
            )


JUDGES: Sequence[Callable[[Mapping[str, Any], float, Mapping[str, Any]], Iterator[str]]] = (
    _suite,
    _python,
    _clock,
    _packages,
    _space,
    _manifest,
    _untold,
)


class FilterModule:
    """How Ansible finds them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """By the names that templates use."""
        return {each.__name__: each for each in (inventory_faults, host_faults)}
