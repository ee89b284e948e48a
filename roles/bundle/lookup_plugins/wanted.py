"""What roles want of a host: their parts, each rendered as a task of its role would render it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.lookup import LookupBase
from ansible.template import Templar, trust_as_template

DOCUMENTATION = """
name: wanted
author: The Heliograph authors
short_description: What roles want of a host
description:
  - Of each role its variable C(ROLE_parts), or C(ROLE_part); where one has something in C(ROLE_faults), or where a
    variable does not fit its argument_specs, the faults of all instead.
options:
  _terms:
    description: Folders of roles.
    required: true
"""
Json = dict[str, Any]


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no types
    """How Ansible finds it."""

    def run(self, terms: Sequence[str], variables: Mapping[str, Any] | None = None, **_: object) -> list[Json]:
        """One mapping: faults and parts, of which one is empty."""
        roles = [Role(Path(term), variables or {}, self._templar) for term in terms]
        faults = [fault for role in roles for fault in role.faults()]
        return [{"faults": faults, "parts": [] if faults else [part for role in roles for part in role.parts()]}]


class Role:
    """A role's variables.  Each is rendered once, however often it is mentioned."""

    def __init__(self, folder: Path, variables: Mapping[str, Any], templar: Templar) -> None:
        self._name, self._folder = folder.name, folder
        own = {"role_name": folder.name, "role_path": str(folder), "ansible_search_path": [str(folder)]}
        self._templar = templar.copy_with_new_env(available_variables={**variables, **own})
        # a mapping that remembers what it has rendered; within a lookup Ansible gives one, and templates take it so
        self._variables = self._templar._engine.template(self._templar.available_variables)  # noqa: SLF001 - as Ansible's lookup `vars` does
        self._templar.available_variables = self._variables

    def parts(self) -> list[Json]:
        found = self._first(f"{self._name}_parts", f"{self._name}_part")
        return found if isinstance(found, list) else [found]

    def faults(self) -> Iterator[str]:
        yield from self._misfits()
        yield from self._first(f"{self._name}_faults")

    def _misfits(self) -> Iterator[str]:
        given = self._templar.template(
            {name: self._variables[name] for name in self._options if name in self._variables}
        )
        for said in (
            ArgumentSpecValidator(self._options).validate(given, validate_role_argument_spec=True).error_messages
        ):
            yield f"{said}. Remedy: correct it in the inventory"

    @cached_property
    def _options(self) -> Json:
        spec = yaml.safe_load((self._folder / "meta/argument_specs.yml").read_text(encoding="utf-8"))
        options: Json = spec["argument_specs"].get("main", {}).get("options", {})
        return options

    def _first(self, *names: str) -> Any:  # noqa: ANN401 - a list, or one part
        known = next((name for name in names if name in self._variables), None)
        return [] if known is None else self._templar.template(trust_as_template(f"{{{{ {known} }}}}"))
