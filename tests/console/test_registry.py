"""One letter, one meaning: the table of actions against the table of letters, and against itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from console.registry import (
    ACTIONS,
    BY_COMMAND,
    LETTERS,
    SCREENS,
    Resolver,
    Risk,
    Scope,
    known_on,
    remapped,
    shown_keys,
)
from node.wire.errors import ConsoleSettingsWrong


def test_every_key_means_what_its_letter_means_everywhere() -> None:
    for action in ACTIONS:
        for key in action.keys:
            first = key if key in LETTERS else key[0]
            assert action.id in LETTERS[first], (action.id, key)


# the letters of the design; those of screens and deeds that do not exist yet are kept free for them
NAMED = {"down", "up", "home", "end", "pagedown", "pageup", "enter", "escape", "space"}
WHOLE = NAMED | set("jkGg-[]/nN:;?VAIUsScowt123456789W'yEblv=,.p!azmurxHCLPRBDT")
LATER = {
    "n": "matches of a pattern: in logs", "N": "as n", "w": "window of time: of the quality screen",
    "'": "labels to jump to",
    "b": "incident bundle", "l": "log tail", "z": "silence", "m": "maintenance", "L": "label of a frame",
    "P": "push of configuration", "R": "rollout", "B": "roll back", "D": "clean-up plan", "T": "send unsent first",
}  # fmt: skip


def test_no_letter_is_used_that_the_design_keeps_for_something_else() -> None:
    assert set(LETTERS) | set(LATER) == WHOLE
    assert set(LETTERS).isdisjoint(LATER)


def test_every_meaning_of_a_letter_is_an_action() -> None:
    ids = {action.id for action in ACTIONS}
    assert {one for meanings in LETTERS.values() for one in meanings} <= ids


@pytest.mark.parametrize("screen", SCREENS)
def test_on_no_screen_a_key_means_two_things(screen: str) -> None:
    keys = [key for action in known_on(SCREENS[screen]) for key in action.keys]
    assert [key for key, count in Counter(keys).items() if count > 1] == []
    alone = {key for key in keys if len(key) == 1}
    twos = {key for key in keys if len(key) == 2 and key not in NAMED}
    assert {two for two in twos if two[0] in alone} == set(), "the first of two keys is none by itself"


def test_no_command_and_no_id_is_there_twice() -> None:
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    assert len(BY_COMMAND) == sum(1 for action in ACTIONS if action.command)


def test_every_action_says_what_it_does_and_can_be_reached() -> None:
    for action in ACTIONS:
        assert action.says
        assert action.keys or action.command, action.id


def test_what_changes_a_node_has_a_dry_run_and_a_command_without_a_screen() -> None:
    for action in ACTIONS:
        if action.risk is Risk.NODE:
            assert action.dry_run, action.id
            assert action.twin, action.id
            assert action.command, action.id


def test_no_key_is_a_chord_with_control() -> None:
    assert not [key for action in ACTIONS for key in action.keys if key.startswith("ctrl")]


def test_digits_are_tabs_where_there_are_tabs() -> None:
    assert [one.id for one in known_on(SCREENS["node/jobs"]) if "1" in one.keys] == ["tab"]
    assert [one.id for one in known_on(SCREENS["jobs"]) if "1" in one.keys] == ["view"]


def fed(keys: str, screen: str = "nodes") -> list[str | None]:
    resolver = Resolver(SCREENS[screen])
    found = [resolver.feed(key) for key in keys]
    return [each[0].id if each else None for each in found]


def test_two_keys_are_one_and_what_does_not_follow_is_itself() -> None:
    assert fed("gj") == [None, "jobs"]
    assert fed("gg") == [None, "first"]
    assert fed("gG") == [None, "last"]
    assert fed("yy") == [None, "copy_row"]
    assert fed("gVj") == [None, "mark_range", "down"]
    assert fed("ggj") == [None, "first", "down"]


def test_after_the_first_of_two_keys_it_says_what_may_follow() -> None:
    resolver = Resolver(SCREENS["nodes"])
    assert resolver.after_pending() == []
    resolver.feed("g")
    assert {key: action.id for key, action in resolver.after_pending()} == {
        "g": "first", "n": "nodes", "j": "jobs", "a": "alerts", "e": "events",
    }  # fmt: skip


def test_keys_are_shown_in_ascii_where_there_is_nothing_else() -> None:
    for action in ACTIONS:
        assert shown_keys(action, ascii_only=True).isascii()


def test_every_scope_has_a_screen() -> None:
    assert {scope for scopes in SCREENS.values() for scope in scopes} == set(Scope)


# --- other keys ---------------------------------------------------------------------------------------------------


def faults(**keys: Any) -> dict[str, str]:
    with pytest.raises(ConsoleSettingsWrong) as raised:
        remapped(keys)
    return {fault.path: fault.message for fault in raised.value.fields}


def test_other_keys_take_the_place_of_the_usual_ones() -> None:
    keys = remapped({"open": ["enter", "l", "l"], "hold": "f2", "reconnect": "R", "unlock": ()})
    assert keys == {"open": ("enter", "l"), "hold": ("f2",), "reconnect": ("R",), "unlock": ()}
    resolver = Resolver(SCREENS["nodes"], keys)
    found = {key: resolver.feed(key) for key in ("l", "f2", "H", "R")}
    assert {key: each and each[0].id for key, each in found.items()} == {
        "l": "open", "f2": "hold", "H": None, "R": "reconnect",
    }  # fmt: skip
    assert remapped({}) == {}


def test_two_actions_may_change_places() -> None:
    assert remapped({"mark_all": "I", "mark_invert": "A"})


def test_every_fault_of_other_keys_is_named_at_once() -> None:
    told = faults(halt="h", tab="q", hold="ctrl+h", down=(), open="l l", mark="xyz", help="")
    assert told.keys() == {f"keys.{name}" for name in ("halt", "tab", "hold", "down", "open", "mark", "help")}
    assert "no such action" in told["keys.halt"]
    assert "digits" in told["keys.tab"]
    assert "'ctrl+h' is no key" in told["keys.hold"]
    assert "could not be reached" in told["keys.down"]


def test_a_key_that_another_action_has_is_refused() -> None:
    assert faults(hold="t") == {"keys.hold": "t is also time"}
    assert faults(open="f2", mark="f2") == {"keys.open": "f2 is also mark", "keys.mark": "f2 is also open"}


def test_the_first_of_two_keys_is_none_by_itself_also_where_it_was_chosen() -> None:
    assert faults(open="g")["keys.open"].startswith("g cannot stand beside gg of first")
    assert faults(hold="tt") == {"keys.hold": "tt cannot stand beside t of time"}


def test_keys_that_never_meet_may_be_the_same() -> None:
    assert remapped({"hold": "x"}), "x cancels jobs, and nothing is held there"
