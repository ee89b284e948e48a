"""The nodes of the fleet: what `ansible-inventory --list` says, checked."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from node.wire.errors import FieldFault, InventoryUnreadable, InventoryWrong, ProgramMissing

PROGRAM = "ansible-inventory"
FLEET_GROUP = "fleet"
NAME = re.compile(r"[a-z0-9-]{1,63}")
DEFAULT_PORT = 8460
ITS_OWN = {
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
    "ANSIBLE_NOCOLOR": "true",
    "LC_ALL": "C.UTF-8",
}
"""Its environment beside ours: Ansible runs in a UTF-8 locale only, whatever the operator's terminal has."""
TIMEOUT_S = 60.0
SAID_CHARS = 300
LOCALHOST = "localhost"
EVERYBODYS = frozenset({"_meta", "all", "ungrouped"})
OVER_SSH = (None, "ssh", "smart", "ansible.builtin.ssh", "paramiko", "paramiko_ssh")
SSH_WORDS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
SSH_OPTIONS = {"ansible_port": "-p", "ansible_user": "-l", "ansible_ssh_private_key_file": "-i"}
TEMPLATE = "{{"
VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
OURS = "heliograph_"
PKI_FOLDER = ".pki"
"""Ansible reads all of an inventory that is a folder, but for names that begin with a dot."""
PKI_DIR = f"{{{{ inventory_dir }}}}/{PKI_FOLDER}"
PROXY = re.compile(r"socks5h?://(?P<address>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,253}):(?P<port>[0-9]{1,5})/?")
LOOKED_AT = 10_000
"""Files of an inventory whose times are compared."""
BESIDE = ("group_vars", "host_vars")
DEFAULT = "Ansible's default inventory"
NOT_PARSED = re.compile(r"failed to parse inventory source (?P<source>.+)$", re.MULTILINE)
NO_YAML = "YAML parsing failed"
YAML_ENDINGS = frozenset({".yml", ".yaml"})
YAML_SAID = re.compile(r"Failed to parse inventory with 'yaml' plugin: (?P<why>.+?)(?:, got: <.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A SOCKS proxy on the way to a node, which also looks up the node's name."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Host:
    """Where a node is and how it is spoken to.  Files are paths on this machine."""

    name: str
    address: str
    port: int = DEFAULT_PORT
    scheme: str = "https"
    ca_file: str | None = None
    token_file: str | None = None
    groups: tuple[str, ...] = ()
    """By name; without `all` and `ungrouped`, in which everybody is."""
    ssh: tuple[str, ...] = ()
    """What `ssh` is to be called with; empty = not over ssh, or the inventory leaves it to a template."""
    cert_file: str | None = None
    key_file: str | None = None
    """Of this console, towards the node; without a key file the key stands beside the certificate."""
    tls_name: str = ""
    """The name for which the node's certificate has to be; empty = its address."""
    proxy: Proxy | None = None
    revoked_file: str | None = None
    """Of the authority: nodes whose certificate stands there are not believed."""

    @property
    def url(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{address}:{self.port}"


class HostVariables(BaseModel):
    """The host variables that the console reads; all others are somebody else's."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    ansible_host: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,253}$")
    heliograph_port: int = Field(DEFAULT_PORT, ge=1, le=65535)
    heliograph_scheme: Literal["https", "http"] = "https"
    heliograph_ca_file: str | None = None
    heliograph_token_file: str | None = None
    heliograph_client_cert_file: str | None = None
    heliograph_client_key_file: str | None = None
    heliograph_tls_name: str = Field("", pattern=r"^[A-Za-z0-9_.:-]{0,253}$")
    heliograph_proxy: str | None = None
    ansible_connection: Any = None
    ansible_port: Any = None
    ansible_user: Any = None
    ansible_ssh_private_key_file: Any = None
    ansible_ssh_common_args: Any = None
    ansible_ssh_extra_args: Any = None
    # Ansible's own are not judged here: `--list` leaves templates in them as they stand

    @model_validator(mode="after")
    def _plain_only_on_loopback(self) -> HostVariables:
        if self.heliograph_scheme == "http" and not is_loopback(self.ansible_host):
            message = f"heliograph_scheme http is for loopback only, and {self.ansible_host} is not"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _a_key_is_some_certificates(self) -> HostVariables:
        if self.heliograph_client_key_file and not self.heliograph_client_cert_file:
            message = "heliograph_client_key_file without heliograph_client_cert_file"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _proxied_only_over_tls(self) -> HostVariables:
        if self.heliograph_proxy and self.heliograph_scheme == "http":
            message = "heliograph_proxy carries TLS only, and heliograph_scheme is http"
            raise ValueError(message)
        return self

    @field_validator("heliograph_proxy")
    @classmethod
    def _of_socks(cls, given: str | None) -> str | None:
        if given:
            parse_proxy(given)
        return given


def parse_proxy(url: str) -> Proxy:
    """Raises ValueError, in words."""
    found = PROXY.fullmatch(url)
    if found is None or not 0 < int(found["port"]) < 2**16:
        message = "a proxy is written socks5://ADDRESS:PORT"
        raise ValueError(message)
    return Proxy(found["address"].strip("[]"), int(found["port"]))


def is_loopback(address: str) -> bool:
    """Whether that address stays on this machine."""
    if address == LOCALHOST:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def read(inventory: Path | None) -> tuple[Host, ...]:
    """The nodes of that inventory, or of Ansible's own default one.

    Raises InventoryUnreadable, InventoryWrong or ProgramMissing.
    """
    return hosts_of(_listed(inventory), str(inventory or DEFAULT), folder_of(inventory))


def read_whole(inventory: Path | None) -> tuple[tuple[Host, ...], Mapping[str, Mapping[str, Any]]]:
    """The nodes, and all variables of each by its name, templates in them as they stand.  Raises as `read` does."""
    listed = _listed(inventory)
    variables = _mapping(_mapping(listed.get("_meta")).get("hostvars"))
    hosts = hosts_of(listed, str(inventory or DEFAULT), folder_of(inventory))
    return hosts, {host.name: _mapping(variables.get(host.name)) for host in hosts}


def folder_of(inventory: Path | None) -> Path | None:
    """What Ansible calls inventory_dir; None = a list of hosts, or Ansible's own choice."""
    if inventory is None or "," in str(inventory):
        return None
    whole = inventory.absolute()
    return whole if whole.is_dir() else whole.parent


def hosts_of(listed: Mapping[str, Any], called: str = "it", folder: Path | None = None) -> tuple[Host, ...]:
    """The nodes in what `--list` printed: the group `fleet` where there is one, else every host; by name.

    Files that are named by a relative path are below that folder.
    """
    group = FLEET_GROUP if FLEET_GROUP in listed else "all"
    names = sorted(set(_members(listed, group, set())))
    if not names:
        raise InventoryUnreadable(f"{called} names no hosts")
    variables = _mapping(_mapping(listed.get("_meta")).get("hostvars"))
    faults: list[FieldFault] = []
    groups = _groups(listed)
    hosts = []
    for name in names:
        said = _Said(name, _mapping(variables.get(name)), folder)
        hosts.append(_host(said, groups.get(name, ()), faults))
    known = [host for host in hosts if host is not None]
    faults += _shared_addresses(known)
    if faults:
        raise InventoryWrong(f"{len(faults)} found", fields=faults)
    return tuple(known)


def _groups(listed: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The groups of each host, also those that it is in by a child."""
    found: dict[str, list[str]] = {}
    for group in sorted(set(listed) - EVERYBODYS):
        for name in set(_members(listed, group, set())):
            found.setdefault(name, []).append(group)
    return {name: tuple(groups) for name, groups in found.items()}


def _members(listed: Mapping[str, Any], group: str, seen: set[str]) -> Iterator[str]:
    if group in seen:
        return
    seen.add(group)
    entry = _mapping(listed.get(group))
    yield from (str(name) for name in entry.get("hosts", ()))
    for child in entry.get("children", ()):
        yield from _members(listed, str(child), seen)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class _Said:
    """The variables of a host as the inventory has them; `--list` leaves templates in them as they stand."""

    name: str
    variables: Mapping[str, Any]
    folder: Path | None
    """inventory_dir; None = not known."""

    def text(self, value: str) -> str:
        """That value, its templates filled in where they say nothing but a name known here; others stay."""
        for _ in range(2):  # the folder of the keys is told by that of the inventory
            value = VARIABLE.sub(self._filled, value)
        return value

    def ours(self) -> dict[str, str]:
        """What this program's own variables say."""
        mine = ((name, value) for name, value in self.variables.items() if name.startswith(OURS))
        return {name: self.text(value) for name, value in mine if isinstance(value, str)}

    def _filled(self, found: re.Match[str]) -> str:
        known = {"inventory_hostname": self.name, "heliograph_pki_dir": self._pki_dir()}
        if self.folder is not None:
            known["inventory_dir"] = str(self.folder)
        return known.get(found[1], found[0])

    def _pki_dir(self) -> str:
        given = self.variables.get("heliograph_pki_dir")
        return given if isinstance(given, str) else PKI_DIR

    def revoked(self) -> str | None:
        """The authority's list of certificates that count no more; None = which authority is not said."""
        if self.folder is None and "heliograph_pki_dir" not in self.variables:
            return None
        return f"{self.text(self._pki_dir())}/revoked"

    def file(self, value: str) -> str:
        """That path, whole; one below ~ is left to whoever opens it.  Raises ValueError, in words."""
        if TEMPLATE in value:
            message = f"{value!r} is left to Ansible: of templates inventory_dir, inventory_hostname and"
            message += " heliograph_pki_dir are understood here, the first where -i names the inventory"
            raise ValueError(message)
        if value.startswith(("~", "/")):
            return value
        if self.folder is None:
            message = f"{value!r} is below the inventory's folder, and which that is only -i says"
            raise ValueError(message)
        return str(self.folder / value)


def _host(said: _Said, groups: tuple[str, ...], faults: list[FieldFault]) -> Host | None:
    name = said.name
    if not NAME.fullmatch(name):
        faults.append(FieldFault(name, "a node's name is 1 to 63 of a-z, 0-9 and -"))
        return None
    try:
        given = HostVariables.model_validate({"ansible_host": name, **said.variables, **said.ours()})
    except ValidationError as error:
        faults += _faults(name, error)
        return None

    def file(variable: str, value: str | None) -> str | None:
        try:
            return said.file(value) if value else None
        except ValueError as error:
            faults.append(FieldFault(f"{name}.{variable}", str(error)))
            return None

    return Host(
        name=name,
        address=given.ansible_host,
        port=given.heliograph_port,
        scheme=given.heliograph_scheme,
        ca_file=file("heliograph_ca_file", given.heliograph_ca_file),
        token_file=file("heliograph_token_file", given.heliograph_token_file),
        groups=groups,
        ssh=_ssh(said, given),
        cert_file=file("heliograph_client_cert_file", given.heliograph_client_cert_file),
        key_file=file("heliograph_client_key_file", given.heliograph_client_key_file),
        tls_name=given.heliograph_tls_name or (name if given.heliograph_ca_file else ""),
        proxy=parse_proxy(given.heliograph_proxy) if given.heliograph_proxy else None,
        revoked_file=file("heliograph_pki_dir", said.revoked() if given.heliograph_scheme == "https" else None),
    )


def _ssh(said: _Said, given: HostVariables) -> tuple[str, ...]:
    """As Ansible itself would call it, without what is only for its own connections."""
    if given.ansible_connection not in OVER_SSH:
        return ()
    values = {name: getattr(given, name) for name in (*SSH_WORDS, *SSH_OPTIONS)}
    texts = {name: said.text(str(value)) for name, value in values.items() if value is not None}
    if any(TEMPLATE in text for text in texts.values()):
        return ()
    try:
        words = [word for name in SSH_WORDS if name in texts for word in shlex.split(texts[name])]
    except ValueError:  # a quotation without an end
        return ()
    options = [word for name, option in SSH_OPTIONS.items() if name in texts for word in (option, texts[name])]
    return (*words, *options, "--", given.ansible_host)


def _faults(name: str, error: ValidationError) -> Iterator[FieldFault]:
    for fault in error.errors(include_url=False, include_context=False):
        path = ".".join([name, *(str(part) for part in fault["loc"])])
        yield FieldFault(path, fault["msg"].removeprefix("Value error, "))


def _shared_addresses(hosts: list[Host]) -> Iterator[FieldFault]:
    first: dict[tuple[str, int, Proxy | None], str] = {}
    for host in hosts:
        owner = first.setdefault((host.address, host.port, host.proxy), host.name)
        if owner != host.name:
            yield FieldFault(f"{host.name}.ansible_host", f"{host.address} port {host.port} is {owner}'s already")


def fingerprint(inventory: Path | None) -> tuple[tuple[str, int, int], ...]:
    """Differs once a file of that inventory has changed; empty = nothing to compare, or nothing there."""
    if inventory is None or "," in str(inventory):
        return ()
    return tuple(_stamp(path) for path in sorted(islice(_files(inventory), LOOKED_AT)))


def _files(inventory: Path) -> Iterator[Path]:
    if inventory.exists():
        yield inventory
    within = [inventory] if inventory.is_dir() else [inventory.parent / name for name in BESIDE]
    for folder in within:
        yield from (Path(root) / name for root, _, names in os.walk(folder) for name in names)


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:  # gone meanwhile, or not to be looked at: that is a state too
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size


def _program() -> str:
    beside = Path(sys.executable).parent / PROGRAM
    found = str(beside) if beside.exists() else shutil.which(PROGRAM)
    if found is None:
        raise ProgramMissing(f"{PROGRAM}: install heliograph[ops]")
    return found


def _named(inventory: Path | None) -> list[str]:
    """As options.  Ansible takes a comma for a list of hosts; whatever else is named has to be there."""
    if inventory is None:
        return []
    if "," not in str(inventory):
        try:
            inventory.stat()
        except OSError as error:
            raise InventoryUnreadable(f"{inventory}: {error.strerror}") from None
    return ["-i", str(inventory)]


def _listed(inventory: Path | None) -> Mapping[str, Any]:
    named = _named(inventory)
    environment = {**os.environ, **ITS_OWN}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program and a path that is no option
            [_program(), *named, "--list"],
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InventoryUnreadable(f"{PROGRAM} took more than {TIMEOUT_S:.0f} s") from None
    except OSError as error:  # too many open files, no memory for another process
        raise InventoryUnreadable(f"{PROGRAM} could not be started: {error.strerror or error}") from None
    if done.returncode:
        said = _not_parsed(done.stderr, inventory) or _located(_last_words(done.stderr), inventory)
        raise InventoryUnreadable(said or f"{PROGRAM} ended with {done.returncode}")
    try:
        return _mapping(json.loads(done.stdout))
    except ValueError:
        raise InventoryUnreadable(f"{PROGRAM} printed no JSON") from None


def _not_parsed(stderr: str, inventory: Path | None) -> str:
    """In plain words, what Ansible could not read and why; empty where it says nothing of the kind."""
    found = NOT_PARSED.search(stderr)
    if found is None:
        return ""
    source, why = found["source"].strip(), YAML_SAID.search(stderr)
    if inventory is not None and inventory.is_dir():
        inside = f"{source} in it is no inventory" if source != str(inventory) else "nothing in it is an inventory"
        return f"{inventory} is a folder, and {inside}"
    return f"{source} is no inventory" + (f": {why['why']}"[:SAID_CHARS] if why else "")


def _located(said: str, inventory: Path | None) -> str:
    """Ansible says of a file of variables that it is no YAML, and not of which."""
    if inventory is None or not said.startswith(NO_YAML):
        return said
    files = (path for path in sorted(islice(_files(inventory), LOOKED_AT)) if path.suffix in YAML_ENDINGS)
    return next((f"{path}, {fault}" for path in files if (fault := _yaml_fault(path))), said)


def _yaml_fault(path: Path) -> str:
    """Where it is no YAML, and why; empty = it is, or cannot be looked at."""
    try:
        with path.open("rb") as opened:
            deque(yaml.parse(opened, yaml.SafeLoader), maxlen=0)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return f"line {line}: {error.problem}"[:SAID_CHARS]
    except yaml.YAMLError as error:  # bytes that no text has
        return str(error).splitlines()[0][:SAID_CHARS]
    except OSError:
        return ""
    return ""


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1].removeprefix("[ERROR]: ")[:SAID_CHARS] if lines else ""
