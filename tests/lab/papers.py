"""The fleet's authority of a lab, and the papers of who asks its nodes."""

from __future__ import annotations

import subprocess
import sys
from types import MappingProxyType

from tests.lab.names import ROOT, Place, Refused

CONSOLES = MappingProxyType({"lab": "admin", "hand": "operator", "watcher": "viewer"})
"""By name; the inventory's console is the first."""


def make(place: Place) -> None:
    """What is there already stays."""
    _pki(place, "init")
    for name, role in CONSOLES.items():
        if not (place.pki / "consoles" / f"{name}.pem").exists():
            _pki(place, "console", name, "--role", role)


def _pki(place: Place, *words: str) -> None:
    command = [sys.executable, "-m", "console.cli", "pki", *words, "--dir", str(place.pki)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Refused(f"no papers for the lab: {done.stderr.strip()}")
