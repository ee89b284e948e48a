"""Every action of the console in one table: keys, footer, help, palette, `:` commands and the commands' twins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum

from node.wire.errors import ConsoleSettingsWrong, FieldFault


class Scope(StrEnum):
    """Where an action is known.  A screen has several at once: a tab of the node screen is NODE and its own."""

    EVERYWHERE = "everywhere"
    ROWS = "lists"
    FLEET = "nodes"
    NODE = "node"
    SUMMARY = "summary"
    JOBS = "jobs"
    FRAMES = "frames"
    EVENTS = "events"
    CONFIG = "config"
    ALERTS = "alerts"


class Risk(StrEnum):
    """What an action may change."""

    LOOK = "nothing"
    OWN = "this console's own notes"
    NODE = "a node: armed mode, plan first"


@dataclass(frozen=True, slots=True)
class Action:
    """`keys` as the terminal sends them (a character or two, or Textual's name).

    `foot` is its word in the footer, `command` what may follow a colon, `twin` the words after `heliograph` that do
    the same without a screen, `dry_run` and `undo` how they are done.
    """

    id: str
    keys: tuple[str, ...]
    says: str
    scopes: tuple[Scope, ...] = (Scope.EVERYWHERE,)
    foot: str = ""
    command: str = ""
    twin: str = ""
    risk: Risk = Risk.LOOK
    dry_run: str = ""
    undo: str = ""


_ALL, _ROWS = (Scope.EVERYWHERE,), (Scope.ROWS,)
_FLEET, _NODE, _JOBS, _ALERTS = (Scope.FLEET,), (Scope.NODE,), (Scope.JOBS,), (Scope.ALERTS,)
_FRAMES = (Scope.FRAMES,)
_CAMERAS = (Scope.FLEET, Scope.SUMMARY, Scope.FRAMES)
_PLAN = "the plan is the dry run: nothing is sent before it is confirmed"

ACTIONS: tuple[Action, ...] = (
    # --- moving ---------------------------------------------------------------------------------------------------
    Action("down", ("j", "down"), "next row"),
    Action("up", ("k", "up"), "row before"),
    Action("first", ("gg", "home"), "first row"),
    Action("last", ("G", "end"), "last row"),
    Action("page_down", ("pagedown",), "a page down"),
    Action("page_up", ("pageup",), "a page up"),
    Action("open", ("enter",), "open what the cursor is on", _ROWS, "open"),
    Action("back", ("escape",), "close a panel, clear a filter, go up"),
    Action("previous_view", ("-",), "the view before this one"),
    Action("previous_item", ("[",), "the node before", _NODE),
    Action("next_item", ("]",), "the next node", _NODE),
    # --- views ----------------------------------------------------------------------------------------------------
    Action("nodes", ("gn",), "all nodes; :nodes FILTER", _ALL, command="nodes", twin="status"),
    Action("jobs", ("gj",), "jobs of all nodes; :jobs FILTER", _ALL, command="jobs", twin="jobs"),
    Action("alerts", ("ga",), "alerts of all nodes; :alerts FILTER", _ALL, command="alerts", twin="alerts"),
    Action("events", ("ge",), "events of all nodes; :events FILTER", _ALL, command="events", twin="events"),
    Action("node", (), "one node: :node NAME", _ALL, command="node", twin="status"),
    Action("job", (), "one job: :job ID", _ALL, command="job", twin="jobs"),
    Action("tab", tuple("12345"), "its summary, jobs, frames, events, configuration", _NODE),
    # --- lists ----------------------------------------------------------------------------------------------------
    Action("filter", ("/",), "show only what passes a filter; empty = all", _ROWS, "filter"),
    Action("mark", ("space",), "mark the row, or no longer", _ROWS, "mark"),
    Action("mark_range", ("V",), "mark from the last marked row to this one", _ROWS),
    Action("mark_all", ("A",), "mark all that are shown", _ROWS),
    Action("mark_invert", ("I",), "mark what is not marked, of those shown", _ROWS),
    Action("mark_none", ("U",), "mark nothing", _ROWS),
    Action("marked", (), "show only what is marked", _ROWS, command="marked"),
    Action("sort", ("s",), "sort by a column; the one before stays second", _ROWS, command="sort"),
    Action("sort_reverse", ("S",), "the other way round", _ROWS),
    Action("columns", ("c",), "which columns are shown", _ROWS, command="columns"),
    Action("group", ("o",), "group by cause, node or site", _ALERTS, command="group"),
    Action("view", tuple("123456789"), "a saved view", (Scope.FLEET, Scope.JOBS, Scope.ALERTS, Scope.EVENTS)),
    Action("save_view", ("W",), "save filter, sort and columns as a view", _ROWS, command="save", risk=Risk.OWN),
    Action("time", ("t",), "times as ages, in UTC, or of the site", command="time"),
    # --- looking closer -------------------------------------------------------------------------------------------
    Action("inspect", ("v",), "all that is known of it, as it came", (Scope.ROWS, Scope.SUMMARY)),
    Action("older", (",",), "older frame", _FRAMES),
    Action("newer", (".",), "newer frame", _FRAMES),
    Action("compare", ("=",), "last good frame beside the first bad one after it", _FRAMES, "compare"),
    Action("pause", ("p",), "hold the feed or the recording, or let it go on", _ROWS, command="pause"),
    Action("ssh", ("!",), "a shell on the node, by ssh", (Scope.FLEET, Scope.NODE), command="ssh"),
    # --- taking along ---------------------------------------------------------------------------------------------
    Action("copy_row", ("yy",), "copy the row", _ROWS, "copy", command="copy"),
    Action("copy_json", ("yj",), "copy it as JSON", _ROWS),
    Action("copy_command", ("yc",), "copy the command that shows or did it", _ROWS),
    Action("export", ("E",), "write what is shown to a file: csv, json or jsonl", _ROWS, command="export"),
    # --- alerts ---------------------------------------------------------------------------------------------------
    Action("ack", ("a",), "acknowledge, with reason and expiry; ends on recovery", (Scope.ALERTS, Scope.FLEET), "ack",
           command="ack", twin="ack", risk=Risk.OWN, undo="undo"),
    # --- acting on nodes ------------------------------------------------------------------------------------------
    Action("reconnect", (), "ask the node again now", (Scope.FLEET, Scope.NODE), command="reconnect"),
    Action("restart", ("r",), "restart its camera", _CAMERAS, "restart…", "restart", "camera restart", Risk.NODE,
           _PLAN),
    Action("redrive", ("r",), "let dead jobs wait again", _JOBS, "redrive…", "redrive", "retry", Risk.NODE, _PLAN,
           "cancel"),
    Action("cancel", ("x",), "cancel a job, or discard a dead one", _JOBS, "cancel…", "cancel", "cancel", Risk.NODE,
           _PLAN),
    Action("capture", ("C",), "take a frame now, outside the schedule", _CAMERAS, "", "capture", "capture", Risk.NODE,
           _PLAN),
    Action("hold", ("H",), "hold capture, or resume it", _CAMERAS, "hold…", "hold", "hold", Risk.NODE, _PLAN, "undo"),
    Action("unlock", (), "arm: let actions change nodes, for 10m or so long", command="unlock", risk=Risk.OWN),
    Action("lock", (), "disarm", command="lock", risk=Risk.OWN),
    Action("undo", ("u",), "take the last acknowledgement or hold back", command="undo", twin="unack", risk=Risk.OWN),
    # --- recordings -----------------------------------------------------------------------------------------------
    Action("record", (), "record all that is learnt to a file, or end that", command="record", twin="watch"),
    Action("replay", (), "open a recording: :replay FILE, or choose", command="replay", twin="console"),
    Action("at", (), "in a recording, go to a time: :at 03:58", command="at"),
    Action("speed", (), "of a recording: :speed 10", command="speed"),
    # --- the console itself ---------------------------------------------------------------------------------------
    Action("command", (":",), "give a command", foot="command"),
    Action("palette", (";",), "find any action by its words", foot="all"),
    Action("help", ("?",), "this help", foot="help", command="help"),
    Action("log", (), "what this console has done", command="log"),
    Action("quit", (), "quit", command="q"),
)  # fmt: skip
BY_ID: Mapping[str, Action] = {action.id: action for action in ACTIONS}
BY_COMMAND: Mapping[str, Action] = {action.command: action for action in ACTIONS if action.command}
ALIASES: Mapping[str, str] = {"quit": "q"}
WITH_WORDS = frozenset({
    "nodes", "jobs", "alerts", "events", "node", "job", "sort", "columns", "group", "save_view", "export", "copy_row",
    "unlock", "record", "replay", "at", "speed", "ssh",
})  # fmt: skip
"""What may be given words after its command; the others mean one thing only."""
NEAREST = 3
FORCE = "!"
"""After a command's name: do it although something stands in the way."""
SHOWN = {
    "down": "↓", "up": "↑", "pagedown": "PgDn", "pageup": "PgUp", "enter": "⏎", "escape": "Esc", "space": "spc",
    "home": "Home", "end": "End", "tab": "Tab", "insert": "Ins", "delete": "Del", "backspace": "Bksp",
    **{f"f{number}": f"F{number}" for number in range(1, 13)},
}  # fmt: skip
SHOWN_ASCII = SHOWN | {"down": "Down", "up": "Up", "enter": "Enter"}

LETTERS: Mapping[str, tuple[str, ...]] = {
    "j": ("down",), "k": ("up",), "down": ("down",), "up": ("up",), "G": ("last",),
    "home": ("first",), "end": ("last",),
    "pagedown": ("page_down",), "pageup": ("page_up",),
    "g": ("first", "nodes", "jobs", "alerts", "events"),
    "enter": ("open",), "escape": ("back",), "-": ("previous_view",), "[": ("previous_item",), "]": ("next_item",),
    "/": ("filter",), ":": ("command",), ";": ("palette",), "?": ("help",),
    "space": ("mark",), "V": ("mark_range",), "A": ("mark_all",), "I": ("mark_invert",), "U": ("mark_none",),
    "s": ("sort",), "S": ("sort_reverse",), "c": ("columns",), "o": ("group",), "t": ("time",),
    **dict.fromkeys("12345", ("view", "tab")), **dict.fromkeys("6789", ("view",)), "W": ("save_view",),
    "y": ("copy_row", "copy_json", "copy_command"), "E": ("export",),
    "v": ("inspect",), "=": ("compare",), ",": ("older",), ".": ("newer",), "p": ("pause",), "!": ("ssh",),
    "a": ("ack",), "u": ("undo",), "r": ("restart", "redrive"), "x": ("cancel",), "H": ("hold",), "C": ("capture",),
}  # fmt: skip
"""One letter, one meaning, on every screen: what each may stand for."""

OF_WHOLE_LISTS = frozenset({"view", "save_view"})
"""Not known in a detail, where digits are tabs."""
SCREENS: Mapping[str, tuple[Scope, ...]] = {
    "nodes": (Scope.EVERYWHERE, Scope.ROWS, Scope.FLEET),
    "jobs": (Scope.EVERYWHERE, Scope.ROWS, Scope.JOBS),
    "alerts": (Scope.EVERYWHERE, Scope.ROWS, Scope.ALERTS),
    "events": (Scope.EVERYWHERE, Scope.ROWS, Scope.EVENTS),
    "node/summary": (Scope.EVERYWHERE, Scope.NODE, Scope.SUMMARY),
    "node/jobs": (Scope.EVERYWHERE, Scope.NODE, Scope.ROWS, Scope.JOBS),
    "node/frames": (Scope.EVERYWHERE, Scope.NODE, Scope.ROWS, Scope.FRAMES),
    "node/events": (Scope.EVERYWHERE, Scope.NODE, Scope.ROWS, Scope.EVENTS),
    "node/config": (Scope.EVERYWHERE, Scope.NODE, Scope.ROWS, Scope.CONFIG),
}
"""Which scopes each screen has.  In a detail the digits are its tabs, so a saved view is not offered there."""


def meant(word: str, known: Iterable[str]) -> list[str]:
    """The commands among those known that a word stands for: itself, or all that begin with it."""
    names = {ALIASES.get(name, name): None for name in (*known, *ALIASES) if name.startswith(word) and word}
    here = {name for name in names if name in set(known)}
    exact = ALIASES.get(word, word)
    return [exact] if exact in here else sorted(here)


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Of the commands known those most like it, the likest first."""
    known = list(known)
    likest = get_close_matches(word, known, NEAREST, 0.5)
    return [*likest, *(name for name in known if name not in likest)][:NEAREST]


Keys = Mapping[str, tuple[str, ...]]
"""Other keys than those of the table, by the action's id."""
NO_KEYS: Keys = {}
BY_DIGITS = frozenset({"tab", "view"})
"""Their digits say which."""


def known_on(scopes: Iterable[Scope], keys: Keys = NO_KEYS) -> Iterator[Action]:
    """The actions of a screen, in the order of the table; a digit is a tab where there are tabs."""
    here = frozenset(scopes)
    for action in ACTIONS:
        if here.intersection(action.scopes) and not (action.id in OF_WHOLE_LISTS and Scope.NODE in here):
            yield replace(action, keys=keys[action.id]) if action.id in keys else action


def remapped(wanted: Mapping[str, str | Iterable[str]]) -> Keys:
    """The keys that an operator wants.  Raises ConsoleSettingsWrong with everything that is wrong with them."""
    keys = {name: (each,) if isinstance(each, str) else tuple(dict.fromkeys(each)) for name, each in wanted.items()}
    faults = [FieldFault(f"keys.{name}", why) for name, each in keys.items() if (why := _refused(name, each))]
    faults = faults or list(_clashes(keys))
    if faults:
        raise ConsoleSettingsWrong("keys of actions", fields=tuple(faults))
    return keys


def _refused(name: str, keys: tuple[str, ...]) -> str:
    if name not in BY_ID:
        return "there is no such action: the key page names them all"
    if name in BY_DIGITS:
        return "its keys are digits: they say which one"
    if not keys and not BY_ID[name].command:
        return "without a key it could not be reached"
    wrong = [key for key in keys if not _is_key(key)]
    return f"{wrong[0]!r} is no key: one or two characters, or one of {', '.join(sorted(SHOWN))}" if wrong else ""


def _is_key(key: str) -> bool:
    return key in SHOWN or (1 <= len(key) <= 2 and key.isprintable() and " " not in key)  # noqa: PLR2004 - two characters at most


def _clashes(keys: Keys) -> Iterator[FieldFault]:
    """On any screen: one key for two actions, or for one and the first of two."""
    told: dict[str, dict[str, None]] = defaultdict(dict)
    for scopes in SCREENS.values():
        actions = list(known_on(scopes, keys))
        for action in actions:
            for other in (each for each in actions if action.id in keys and each is not action):
                told[action.id] |= dict.fromkeys(_between(action, other))
    yield from (FieldFault(f"keys.{name}", "; ".join(whys)) for name, whys in told.items() if whys)


def _between(action: Action, other: Action) -> Iterator[str]:
    for key in action.keys:
        for theirs in other.keys:
            if key == theirs:
                yield f"{key} is also {other.id}"
            elif _begins(key, theirs) or _begins(theirs, key):
                yield f"{key} cannot stand beside {theirs} of {other.id}"


def _begins(key: str, pair: str) -> bool:
    """Whether the key is the first of those two."""
    return len(pair) == 2 and pair not in SHOWN and pair[0] == key  # noqa: PLR2004 - two characters


def shown_keys(action: Action, *, ascii_only: bool = False) -> str:
    """Its keys as a person reads them; an action without one is shown by its command."""
    if not action.keys:
        return f":{action.command}"
    names = SHOWN_ASCII if ascii_only else SHOWN
    if len(action.keys) > 2 and all(key.isdigit() for key in action.keys):  # noqa: PLR2004 - a row of digits
        return f"{action.keys[0]}-{action.keys[-1]}"
    return " ".join(names.get(key, key) for key in action.keys)


class Resolver:
    """From keys to actions of some scopes; some are two characters."""

    def __init__(self, scopes: Iterable[Scope], keys: Keys = NO_KEYS) -> None:
        self._actions = {sequence: action for action in known_on(scopes, keys) for sequence in action.keys}
        self.pending = ""

    def feed(self, key: str) -> tuple[Action, str] | None:
        """The action that this key completes, and the whole key; None where it completes none."""
        typed, self.pending = self.pending + key, ""
        for sequence in (typed, key):
            if sequence in self._actions:
                return self._actions[sequence], sequence
            if any(_begins(sequence, other) for other in self._actions):
                self.pending = sequence
                return None
        return None

    def after_pending(self) -> list[tuple[str, Action]]:
        """What the pending key may be completed to: the second character and its action."""
        return [
            (sequence[1:], action)
            for sequence, action in self._actions.items()
            if self.pending and _begins(self.pending, sequence)
        ]
