"""A role's part as ansible-playbook renders it, without a host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}
"""For what starts Ansible: measuring takes as long again as the run, nearly all of it in Ansible's own code."""
NO_HOST = {"distribution_release": "trixie", "virtualization_role": "host", "ansible_local": {}}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What came of it: the parts, or what was said instead."""

    status: int
    output: str
    parts: dict[str, dict[str, Any]]
    said: Any = None
    """What another expression came to, after the role."""

    def contents(self, role: str) -> dict[str, str]:
        return {file["path"]: file["content"] for file in self.parts[role]["files"]}


def render(
    folder: Path,
    role: str,
    variables: Mapping[str, Any],
    facts: Mapping[str, Any] = NO_HOST,
    options: tuple[str, ...] = (),
    says: str = "none",
) -> Rendered:
    """The parts after the role, for a host named node-1; what that expression says then."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "parts.json"
    made.unlink(missing_ok=True)
    wanted = f"{{{{ {{'parts': bundle_parts, 'said': {says}}} | kept({json.dumps(str(made))}) }}}}"
    tasks = [
        {"name": "Facts", "ansible.builtin.set_fact": {**facts, "cacheable": True}},
        {"name": "Role", "ansible.builtin.include_role": {"name": role, "public": True}},
        {"name": "Wanted", "bundle_wanted": {"roles": [role], "folder": str(ROOT / "roles"), "planned": False}},
        {"name": "Parts", "ansible.builtin.debug": {"msg": wanted}},
    ]
    play = {"name": "Render", "hosts": "all", "gather_facts": False, "connection": "local", "tasks": tasks}
    (folder / "play.yml").write_text(json.dumps([play]))
    (folder / "variables.json").write_text(json.dumps({"ansible_python_interpreter": sys.executable, **variables}))
    words = ["-i", "node-1,", "-e", f"@{folder / 'variables.json'}", *options, str(folder / "play.yml")]
    ours = {"ANSIBLE_ROLES_PATH": str(ROOT / "roles"), "ANSIBLE_LOCALHOST_WARNING": "0", "HOME": str(folder)}
    ours |= {
        f"ANSIBLE_{kind.upper()}_PLUGINS": str(ROOT / f"roles/bundle/{kind}_plugins") for kind in ("action", "lookup")
    }
    ours["ANSIBLE_FILTER_PLUGINS"] = str(ROOT / "tests/ansible/filter_plugins")
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), *words],
        env=os.environ | ours | UNMEASURED,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    told = json.loads(made.read_text()) if made.exists() else {"parts": [], "said": None}
    parts = {part["role"]: part for part in told["parts"]}
    return Rendered(done.returncode, done.stdout + done.stderr, parts, told["said"])
