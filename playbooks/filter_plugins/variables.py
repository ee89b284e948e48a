"""What an inventory says in a way that no host could do, found before any is asked: by the roles' argument_specs."""

from __future__ import annotations

import difflib
import ipaddress
import re
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from jinja2 import Undefined

Json = Mapping[str, Any]
SPECS = "*/meta/argument_specs.yml"
TEMPLATE = "{{"
SHOWN_CHARS = 60
NAMED_HOSTS = 4
CORRECT = "correct it in the inventory"
WHOLE = re.compile(r"\s*-?\d+\s*")
BOOLEANS = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0", "y", "n", "t", "f"})
WORD = re.compile(r"[^\s;]+")
FREE_LINES = frozenset({"base_deploy_keys", "camera_boot_check.argv", "camera_boot_lines", "hardening_usb_rules"})
"""Lists whose items are lines, not words."""
NETS = frozenset({"hardening_console_nets", "hardening_management_nets", "hardening_ports.nets", "node_ship_networks"})
NET_NAMES = {"node_ship_networks": frozenset({"any", "localhost", "link-local", "multicast"})}
PORTS = (1, 65_535)
OWN_PORTS = (1_024, 65_535)
"""The service may not take a lower one: it is not root."""
BOUNDS = {
    "base_journal_burst": (1, 1_000_000),
    "base_upgrades_from": (0, 23),
    "base_upgrades_hours": (1, 24),
    "camera_cma_mb": (0, 1_024),
    "hardening_api_port": OWN_PORTS,
    "hardening_firewall_confirm_s": (30, 3_600),
    "hardening_ports.port": PORTS,
    "hardening_ssh_per_minute": (1, 1_000_000),
    "hardening_ssh_port": PORTS,
    "hardening_watchdog_reboot_s": (5, 15),
    "hardening_watchdog_s": (5, 15),
    "heliograph_port": OWN_PORTS,
    "node_api_port": OWN_PORTS,
    "node_backup_keep": (1, 10_000),
    "node_keep_releases": (2, 100),
    "node_restore_days": (0, 36_500),
    "node_verify_certificate_days": (0, 365),
    "node_verify_frames": (0, 1_000),
    "pki_renew_days": (1, 364),
    "storage_root_commit_s": (1, 3_600),
    "storage_tmp_mb": (8, 65_536),
    "storage_zram_percent": (1, 400),
    "time_save_s": (1, 86_400),
}
ZONE = re.compile(r"[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+)*")
SSHD, API = ("hardening_ssh_port", 22), ("heliograph_port", 8460)
FOLDERS = ("archive_keys_dir", "heliograph_pki_dir", "node_backup_dir")
"""On this machine, with files that are no inventory."""
OURS = "heliograph_"
"""What no role owns; null there is what is not said."""
FITS: dict[str, Callable[[object], bool]] = {
    "bool": lambda value: isinstance(value, bool | int) or str(value).lower() in BOOLEANS,
    "dict": lambda value: isinstance(value, Mapping),
    "int": lambda value: not isinstance(value, bool) and WHOLE.fullmatch(str(value)) is not None,
    "list": lambda value: isinstance(value, list | tuple),
    "path": lambda value: isinstance(value, str),
    "raw": lambda _: True,
    "str": lambda value: isinstance(value, str | int | float) and not isinstance(value, bool),
}
WANTED = {
    "bool": "true or false",
    "dict": "names with values",
    "int": "a whole number",
    "list": "a list",
    "path": "a path",
    "str": "a text",
}


class Unknown(Exception):
    """A value that is not known before the roles have spoken."""


@dataclass(frozen=True, slots=True)
class Said:
    """A value of the inventory, or one inside it."""

    called: str
    """As somebody would look for it: hardening_ports[0].port."""
    kind: str
    """Without numbers, for the tables above."""
    value: Any
    option: Json

    def part(self, key: str | int, value: object, option: Json) -> Said:
        if isinstance(key, int):
            return Said(f"{self.called}[{key}]", self.kind, value, option)
        return Said(f"{self.called}.{key}", f"{self.kind}.{key}", value, option)

    def wrong(self, why: str, remedy: str = CORRECT) -> str:
        return f"{self.called} is {_shown(self)}{why}. Remedy: {remedy}"


def variable_faults(
    hostvars: Mapping[str, Json], names: Sequence[str], roles: str, sources: Sequence[str] = ()
) -> list[str]:
    """What is wrong with values, each said once with the hosts that have it.

    `sources`: files and folders that are the inventory.
    """
    options = {name: option for path in Path(roles).glob(SPECS) for name, option in _options(path)}
    looked_at = {*FOLDERS, *(name for name, option in options.items() if not _is_the_consoles(name, option))}
    folders = [Path(source) for source in sources if Path(source).is_dir()]
    found: dict[str, list[str]] = {}
    for name in names:
        variables = _rendered(hostvars[name], looked_at)
        for said in _faults_of(variables, options, folders):
            found.setdefault(said, []).append(name)
    return [f"{_named(hosts)}: {said}" for said, hosts in found.items()]


def _options(path: Path) -> Iterator[tuple[str, Json]]:
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")).get("argument_specs", {}).values():
        yield from entry.get("options", {}).items()


def _is_the_consoles(name: str, option: Json) -> bool:
    """Files and names that the console judges: to render them for each node takes longer than all else here."""
    return name.startswith(OURS) and option.get("type") == "str" and "choices" not in option


def _rendered(variables: Json, names: set[str]) -> dict[str, Any]:
    """Those that the inventory has.  What only a role can render, the role judges."""
    found = {}
    for name in names & variables.keys():
        with suppress(AnsibleError, Unknown):
            found[name] = _plain(variables[name])
    return {name: found[name] for name in sorted(found)}


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever the inventory says
    """Without templates that wait to be rendered.  Raises Unknown where one cannot be."""
    if isinstance(value, Undefined) or (isinstance(value, str) and TEMPLATE in value):
        raise Unknown
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _named(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - NAMED_HOSTS} more" if len(hosts) > NAMED_HOSTS else ""
    return ", ".join(hosts[:NAMED_HOSTS]) + more


def _faults_of(variables: Json, options: Mapping[str, Json], folders: Sequence[Path]) -> list[str]:
    given = [Said(name, name, value, options[name]) for name, value in variables.items() if name in options]
    wrong = [fault for said in given for fault in _judged(said)]
    # the rest reads values as what they should be
    return wrong or [*_shared_ports(variables), *_within(variables, folders)]


def _judged(said: Said) -> Iterator[str]:
    wanted = said.option.get("type", "str")
    if said.value is None and (said.called.startswith(OURS) or wanted == "raw"):
        return
    if said.value is None or not FITS[wanted](said.value):
        yield _misfit(said, wanted)
        return
    yield from RULES.get(wanted, _no_rules)(said)


def _misfit(said: Said, wanted: str) -> str:
    if wanted == "list" and said.option.get("elements", "str") == "str" and isinstance(said.value, str):
        items = [said.value] if said.kind in FREE_LINES else re.split(r"[\s,;]+", said.value.strip())
        return said.wrong(", and wanted is a list", f"{said.called}: [{', '.join(items)}]")
    if isinstance(said.value, bool) and wanted == "str":
        return said.wrong(", and wanted is a text", "put it in quotes")
    return said.wrong(f", and wanted is {WANTED[wanted]}")


def _no_rules(_: Said) -> Iterator[str]:
    yield from ()


def _texts(said: Said) -> Iterator[str]:
    choices = said.option.get("choices")
    if choices and said.value not in choices:
        yield said.wrong(f", and wanted is one of {', '.join(choices)}")
    if said.kind == "base_timezone":
        yield from _zone(said)


def _zone(said: Said) -> Iterator[str]:
    """A machine without a list of zones leaves it to the host, which looks again."""
    known = _zones()
    if not ZONE.fullmatch(str(said.value)) or (known and said.value not in known):
        close = difflib.get_close_matches(str(said.value), known, n=1)
        yield said.wrong(
            ", and no time zone is called that",
            f"such as {close[0] if close else 'Etc/UTC'}; `timedatectl list-timezones`",
        )


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _numbers(said: Said) -> Iterator[str]:
    least, most = BOUNDS.get(said.kind, (None, None))
    if least is not None and most is not None and not least <= int(said.value) <= most:
        yield said.wrong(f", and wanted is {least} to {most}")


def _mappings(said: Said) -> Iterator[str]:
    options = said.option.get("options", {})
    for key, option in options.items():
        if key in said.value:
            yield from _judged(said.part(key, said.value[key], option))
        elif option.get("required"):
            yield f"{said.called} has no {key}: {option['description']} Remedy: {CORRECT}"
    for key in said.value:
        if options and key not in options:
            yield f"{said.called} has {key}, and may have {', '.join(options)}. Remedy: {CORRECT}"


def _lists(said: Said) -> Iterator[str]:
    option = {"type": said.option.get("elements", "raw"), "options": said.option.get("options", {})}
    for number, item in enumerate(said.value):
        one = said.part(number, item, option)
        yield from _judged(one)
        if option["type"] == "str" and isinstance(item, str):
            yield from _items(one)


def _items(said: Said) -> Iterator[str]:
    if said.kind in NETS:
        if said.value not in NET_NAMES.get(said.kind, ()) and not _is_net(said.value):
            yield said.wrong(", and that is no net", "write it as 192.0.2.0/24 or 2001:db8::/32")
    elif said.kind not in FREE_LINES and not WORD.fullmatch(said.value):
        yield said.wrong(", and wanted is one word", "an item for each, without blanks and ;")


def _is_net(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


RULES: dict[str, Callable[[Said], Iterator[str]]] = {
    "dict": _mappings,
    "int": _numbers,
    "list": _lists,
    "path": _texts,
    "str": _texts,
}


def _shared_ports(variables: Json) -> Iterator[str]:
    """Two that would answer at one port."""
    taken: dict[int, str] = {}
    for name, port in _tcp_ports(variables):
        owner = taken.setdefault(port, name)
        if owner != name:
            yield f"{name} is {port}, which is {owner}'s already. Remedy: take another"


def _tcp_ports(variables: Json) -> Iterator[tuple[str, int]]:
    for name, usual in (SSHD, API):
        yield name, int(variables.get(name, usual))
    for number, way in enumerate(variables.get("hardening_ports", ())):
        if way.get("protocol", "tcp") == "tcp":
            yield f"hardening_ports[{number}]", int(way["port"])


def _within(variables: Json, folders: Sequence[Path]) -> Iterator[str]:
    """Folders that the next run would read as parts of the inventory."""
    for name in FOLDERS:
        place = Path(variables.get(name) or "")
        for folder in folders:
            if place.is_relative_to(folder) and not any(
                piece.startswith(".") for piece in place.relative_to(folder).parts
            ):
                yield (
                    f"{name} is {place}, below the inventory, and Ansible reads all that lies there. "
                    "Remedy: another folder, or one whose name begins with a dot"
                )


def _shown(said: Said) -> str:
    """Of something that has many values, or may hold a secret, only what it is."""
    value, option = said.value, said.option
    if value is None:
        return "empty"
    for kind, words in ((Mapping, "a mapping"), (list | tuple, "a list")):
        if isinstance(value, kind):
            return words
    if option.get("type") == "dict" or option.get("elements") == "dict":
        return "a single value"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
    return f'"{text}"' if isinstance(value, str) else text


class FilterModule:
    """How Ansible finds them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """By the names that templates use."""
        return {variable_faults.__name__: variable_faults}
