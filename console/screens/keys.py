"""The keys of the fleet screen, as one table: bindings, footer and help all come from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """`keys` as the terminal sends them (a printable character, or Textual's name); `foot` = its word in the footer."""

    keys: tuple[str, ...]
    shown: str
    action: str
    says: str
    foot: str = ""


KEYS: tuple[Key, ...] = (
    Key(("j", "down"), "j ↓", "down", "next node"),
    Key(("k", "up"), "k ↑", "up", "node before"),
    Key(("gg", "home"), "gg", "first", "first node"),
    Key(("G", "end"), "G", "last", "last node"),
    Key(("pagedown",), "PgDn", "page_down", "a page down"),
    Key(("pageup",), "PgUp", "page_up", "a page up"),
    Key(("/",), "/", "filter", "show only what passes a filter; empty = all", "filter"),
    Key((":",), ":", "command", "give a command", "command"),
    Key(("?",), "?", "help", "this help", "help"),
    Key(("escape",), "Esc", "close", "close a panel, keep what was"),
)
COMMANDS: dict[str, tuple[str, str]] = {"q": ("quit", "quit"), "quit": ("quit", "the same")}
"""What may follow a colon: its action and one sentence."""
FOOT_COMMANDS = (":q",)


class Resolver:
    """From keys to actions; `gg` is two."""

    def __init__(self) -> None:
        self._actions = {sequence: key.action for key in KEYS for sequence in key.keys}
        self._pending = ""

    def feed(self, key: str) -> str | None:
        """The action that this key completes, or None."""
        typed, self._pending = self._pending + key, ""
        if typed in self._actions:
            return self._actions[typed]
        if any(sequence != typed and sequence == typed * 2 for sequence in self._actions):
            self._pending = typed
            return None
        return self._actions.get(key)
