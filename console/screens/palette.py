"""Every action that is known here, to be found by its words."""

from __future__ import annotations

from collections.abc import Iterable

from console.registry import Action, shown_keys
from console.screens.chooser import Choice, Chooser

NOT_BY_WORDS = frozenset({"down", "up", "page_down", "page_up", "palette", "tab", "view", "node", "job"})
"""What is a key by nature, or wants words of its own."""


def palette(known: Iterable[Action], *, ascii_only: bool) -> Chooser:
    actions = [action for action in known if action.id not in NOT_BY_WORDS]
    choices = [
        Choice(action.id, f"{action.id.replace('_', ' ')}: {action.says}", _hint(action, ascii_only=ascii_only))
        for action in actions
    ]
    return Chooser("actions", choices)


def _hint(action: Action, *, ascii_only: bool) -> str:
    """Its keys and its command."""
    keys = shown_keys(action, ascii_only=ascii_only)
    return f"{keys}  :{action.command}" if action.command and action.keys else keys
