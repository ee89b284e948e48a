"""What document each node should run: the inventory's layers, laid over each other as the role `node` does it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.fleet.inventory import PKI_DIR
from console.fleet.text import clean
from node.wire.config import digest, parse_document
from node.wire.errors import DocumentInvalid, FieldFault

LAYER = re.compile(r"heliograph_config_[0-9][0-9]_[a-z0-9_]+")
NAMED = re.compile(r"\{\{\s*(\w+)\s*\}\}")
TEMPLATE, STATEMENT = "{{", "{%"
SECRET = re.compile(
    r"(?:^|_)(?:pass|password|passwd|passphrase|secret|token|credential|vault)s?(?:$|_)|_key$|^key$", re.IGNORECASE
)
"""What the names of variables and fields say whose values are not for everybody."""
UNSAFE, VAULT = "__ansible_unsafe", "__ansible_vault"
DEEPEST = 16
"""Variables that name each other go no deeper."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A node's document as it is given, its digest, and the dotted paths in it whose values are not shown."""

    node: str
    document: Mapping[str, Any]
    digest: str
    secrets: frozenset[str] = frozenset()

    def hides(self, path: str) -> bool:
        """Whether what stands there is not to be shown: its name says so, or it came from a secret variable."""
        names = path.split(".")
        whole = {".".join(names[:end]) for end in range(len(names) + 1)}  # "": a whole layer came from a secret
        return not whole.isdisjoint(self.secrets) or any(SECRET.search(name) for name in names)

    def faults(self) -> tuple[FieldFault, ...]:
        """What this release of the schema finds wrong with it; their values are not repeated."""
        try:
            parse_document(self.document)
        except DocumentInvalid as error:
            return self.told(error.fields)
        return ()

    def told(self, faults: Iterable[FieldFault]) -> tuple[FieldFault, ...]:
        """Faults as they may be shown: words about a secret could repeat it."""
        return tuple(
            FieldFault(
                clean(fault.path), "is wrong" if self.hides(fault.path) else clean(fault.message), kind=fault.kind
            )
            for fault in faults
        )


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A variable that only Ansible could make something of."""

    variable: str
    why: str


class _Left(ValueError):
    """Why a value cannot be made here."""


def wanted(
    node: str, variables: Mapping[str, Any], folder: Path | None = None
) -> Wanted | tuple[Unresolved, ...] | None:
    """The document that these variables make, or what of them cannot be resolved; None where none of them is about it.

    `folder` is inventory_dir.
    """
    names = sorted(name for name in variables if LAYER.fullmatch(name))
    if not names:
        return None
    known = {"heliograph_pki_dir": PKI_DIR, **variables, "inventory_hostname": node}
    if folder is not None:
        known["inventory_dir"] = str(folder)
    reading = _Reading(known)
    document: dict[str, Any] = {}
    for name in names:
        document = _laid_over(document, reading.layer(name))
    if reading.left:
        return tuple(reading.left)
    return Wanted(node, document, digest(document), frozenset(reading.secrets))


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """As Ansible combines recursively: mappings field by field, all else as a whole."""
    both = {
        name: _laid_over(below[name], value) if isinstance(value, dict) and isinstance(below.get(name), dict) else value
        for name, value in above.items()
    }
    return {**below, **both}


@dataclass(slots=True)
class _Reading:
    """One node's variables; what cannot be resolved and where secrets stand is gathered."""

    known: Mapping[str, Any]
    left: list[Unresolved] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    def layer(self, name: str) -> Mapping[str, Any]:
        """The layer in that variable; of what cannot be made nothing stands in it."""
        before = len(self.left)
        whole = self._resolved(self.known[name], (name,), 0)
        if not isinstance(whole, dict) and len(self.left) == before:
            self.left.append(Unresolved(name, "is no mapping"))
        return whole if isinstance(whole, dict) else {}

    def _resolved(self, value: object, path: tuple[str, ...], depth: int) -> Any:  # noqa: ANN401 - any JSON
        """That value with all that is in it; None where it cannot be made.  `path` begins with the variable."""
        try:
            value = self._value(value, path, depth)
        except _Left as why:
            self.left.append(Unresolved(".".join(path), str(why)))
            return None
        if isinstance(value, dict):
            return {str(key): self._resolved(each, (*path, str(key)), depth) for key, each in value.items()}
        if isinstance(value, list):
            return [self._resolved(each, path, depth) for each in value]
        return value

    def _value(self, value: object, path: tuple[str, ...], depth: int) -> object:
        """What a text that is a template, marked unsafe or in a vault stands for.  Raises _Left."""
        if isinstance(value, dict) and UNSAFE in value:
            return value[UNSAFE]
        if isinstance(value, dict) and VAULT in value:
            raise _Left("is in a vault, which only Ansible opens: keep it in a file that is encrypted as a whole")
        if not isinstance(value, str) or not (TEMPLATE in value or STATEMENT in value):
            return value
        whole = NAMED.fullmatch(value.strip())
        if whole is not None:
            return self._named(whole[1], path, depth)
        return self._filled(value, path, depth)

    def _named(self, name: str, path: tuple[str, ...], depth: int) -> object:
        if name not in self.known:
            raise _Left(f"names {name}, which the inventory does not have")
        if depth >= DEEPEST:
            raise _Left(f"names {name}, which names others without an end")
        if SECRET.search(name):
            self.secrets.add(".".join(path[1:]))
        return self._resolved(self.known[name], path, depth + 1)

    def _filled(self, text: str, path: tuple[str, ...], depth: int) -> str:
        filled = NAMED.sub(lambda found: _text(self._named(found[1], path, depth)), text)
        if NAMED.sub("", text).count(TEMPLATE) or STATEMENT in text:
            raise _Left("has a template that only Ansible can fill in: plain names of variables are understood here")
        return filled


def _text(value: object) -> str:
    """Raises _Left where it makes no plain text."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise _Left("has a template in a text that stands for no text")
