"""A template of the role, rendered: as `ansible.builtin.template` does it, without a copy of all variables each time.

Beside the variables of all roles that copy is most of the time of a run in which nothing changes.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

DOCUMENTATION = """
name: rendered
author: The Heliograph authors
short_description: A template of the role, rendered
description: Reads a file of the role's folder C(templates) and renders it with the variables of the host.
options:
  _terms:
    description: Names of templates.
    required: true
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no types
    """How Ansible finds it.  Words after the names are variables of the template."""

    def run(self, terms: Sequence[str], variables: MutableMapping[str, Any] | None = None, **kwargs: Any) -> list[str]:  # noqa: ANN401 - as Ansible calls it
        """The text of each."""
        known = ChainMap(kwargs, variables or {})  # a copy of them would render each
        templar = self._templar.copy_with_new_env(available_variables=known)
        return [templar.template(trust_as_template(self._text(term, known))) for term in terms]

    def _text(self, term: str, variables: Mapping[str, Any]) -> str:
        found = self.find_file_in_search_path(variables, "templates", term)
        if not found:
            message = f"no template of the role is called {term}"
            raise AnsibleError(message)
        return Path(found).read_text(encoding="utf-8")
