"""An encrypted file of the inventory that cannot be read: which one, whose, and what to do about it.

Ansible itself says only that something could not be decrypted.  Named first in `vars_plugins_enabled`, this looks
before Ansible does; it adds no variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.vars import BaseVarsPlugin

DOCUMENTATION = """
name: heliograph_vault
author: The Heliograph authors
short_description: Says which encrypted file cannot be read
description: Looks at the files of C(group_vars) and C(host_vars) before Ansible reads them.
"""

MARK = b"$ANSIBLE_VAULT"
READ = frozenset({".yml", ".yaml", ".json", ""})
REMEDIES = {
    False: "no vault password was given. Remedy: add --ask-vault-pass, or set ANSIBLE_VAULT_PASSWORD_FILE",
    True: "the vault password given is another one. Remedy: give the one that the file was encrypted with",
}


class VarsModule(BaseVarsPlugin):  # type: ignore[misc]  # Ansible has no types
    """How Ansible finds it."""

    is_stateless = True  # one object for the whole run

    def get_vars(self, loader: Any, path: str, entities: Any) -> dict[str, Any]:  # noqa: ANN401 - as Ansible calls it
        """No variables.  Raises where an encrypted file of these hosts or groups cannot be read."""
        super().get_vars(loader, path, entities)
        for entity in entities if isinstance(entities, Sequence) else [entities]:
            folder = "host_vars" if hasattr(entity, "address") else "group_vars"
            for file in encrypted(path, folder, entity.name):
                _try(loader, file, entity)
        return {}


@cache
def encrypted(path: str, folder: str, name: str) -> tuple[Path, ...]:
    """Files that Ansible will read for that host or group, and that are encrypted as a whole."""
    base = Path(path) / folder / name
    return tuple(sorted(file for file in _files(base) if _begins(file) == MARK))


def _files(base: Path) -> Iterator[Path]:
    yield from (base.with_name(base.name + ending) for ending in READ)
    yield from (file for file in base.rglob("*") if file.suffix in READ)


def _begins(file: Path) -> bytes:
    if not file.is_file():
        return b""
    with file.open("rb") as opened:
        return opened.read(len(MARK))


@cache
def _readable(loader: Any, file: Path) -> bool:  # noqa: ANN401 - Ansible has no types
    try:
        loader.load_from_file(str(file))
    except AnsibleError:
        return False
    return True


def _try(loader: Any, file: Path, entity: Any) -> None:  # noqa: ANN401 - Ansible has no types
    if not _readable(loader, file):
        hosts = ", ".join(host.name for host in entity.get_hosts()) if hasattr(entity, "get_hosts") else entity.name
        why = REMEDIES[bool(loader._vault.secrets)]  # noqa: SLF001 - there is no other way to ask
        message = f"{hosts}: {file} is encrypted, and {why}."
        raise AnsibleError(message)
