"""A file of the inventory that cannot be read: which one, whose, where in it, and what to do about it.

Ansible itself says only that something could not be decrypted or parsed.  Named first in `vars_plugins_enabled`, this
reads before Ansible does, which then takes what was read; it adds no variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.vars import BaseVarsPlugin

DOCUMENTATION = """
name: heliograph_vault
author: The Heliograph authors
short_description: Says which file of the inventory cannot be read
description: Reads the files of C(group_vars) and C(host_vars) before Ansible does.
"""

MARK = b"$ANSIBLE_VAULT"
NAMED_HOSTS = 4
REMEDIES = {
    False: "no vault password was given. Remedy: add --ask-vault-pass, or set ANSIBLE_VAULT_PASSWORD_FILE",
    True: "the vault password given is another one. Remedy: give the one that the file was encrypted with",
}


class VarsModule(BaseVarsPlugin):  # type: ignore[misc]  # Ansible has no types
    """How Ansible finds it."""

    is_stateless = True  # one object for the whole run

    def get_vars(self, loader: Any, path: str, entities: Any) -> dict[str, Any]:  # noqa: ANN401 - as Ansible calls it
        """No variables.  Raises where a file of these hosts or groups cannot be read."""
        super().get_vars(loader, path, entities)
        for entity in entities if isinstance(entities, Sequence) else [entities]:
            folder = "host_vars" if hasattr(entity, "address") else "group_vars"
            for file in files(loader, path, folder, entity.name):
                _try(loader, file, entity)
        return {}


@cache
def files(loader: Any, path: str, folder: str, name: str) -> tuple[str, ...]:  # noqa: ANN401 - Ansible has no types
    """Those that Ansible will read for that host or group, by the names that it gives them."""
    place = Path(path).resolve() / folder
    return tuple(loader.find_vars_files(str(place), name)) if place.is_dir() else ()


@cache
def _fault(loader: Any, file: str) -> str:  # noqa: ANN401 - Ansible has no types
    """Why it cannot be read; empty where it can.  Asked for as Ansible asks, so that it finds it read."""
    try:
        loader.load_from_file(file, cache="all", unsafe=True, trusted_as_template=True)
    except AnsibleError as error:
        line = getattr(error.obj, "line_num", None)
        if line is None and _begins(file) == MARK:
            return f"{file} is encrypted, and {REMEDIES[bool(loader._vault.secrets)]}."  # noqa: SLF001 - there is no other way to ask
        where = f"{file}, line {line}" if line else file
        said = str(error.message).strip().rstrip(".")
        return f"{where}: {said}. Remedy: correct it; nothing was done."
    return ""


def _begins(file: str) -> bytes:
    with Path(file).open("rb") as opened:
        return opened.read(len(MARK))


def _try(loader: Any, file: str, entity: Any) -> None:  # noqa: ANN401 - Ansible has no types
    fault = _fault(loader, file)
    if fault:
        hosts = [host.name for host in entity.get_hosts()] if hasattr(entity, "get_hosts") else [entity.name]
        more = f" and {len(hosts) - NAMED_HOSTS} more" if len(hosts) > NAMED_HOSTS else ""
        message = f"{', '.join(hosts[:NAMED_HOSTS])}{more}: {fault}"
        raise AnsibleError(message)
