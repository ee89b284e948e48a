"""What the screens do the commands do too, and the other way round."""

from __future__ import annotations

from pathlib import Path

import pytest

from console import cli
from console.cli import COMMANDS
from console.fleet.acts import DEEDS, Deed
from console.registry import ACTIONS, BY_ID, Risk

DOCS = Path(__file__).parents[2] / "docs"
TWINS = {action.twin for action in ACTIONS if action.twin}
OF_DEEDS = {kind.twin for kind in DEEDS.values()}
BY_ITSELF = {
    "demo": "makes the fleet that the screens are opened over",
    "frames get": "writes a picture to a file, where a screen shows it",
    "settings": "prints what the console was started with",
    "completion": "is for the shell",
    "pki": "holds the authority's keys, which no screen touches",
    "push": "goes on for as long as probations take, and is resumed where it was interrupted",
    "rollout": "as a push, with playbooks",
}
"""Commands that do nothing that a key or a colon does, and why."""


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([*name.split(), "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_every_twin_of_an_action_is_a_command() -> None:
    assert set(COMMANDS) >= TWINS


def test_every_deed_is_done_by_a_command() -> None:
    assert set(DEEDS) == set(Deed)
    assert set(COMMANDS) >= OF_DEEDS


def test_every_command_does_what_a_screen_does_or_says_why_not() -> None:
    alone = set(COMMANDS) - TWINS - OF_DEEDS
    assert {name if name in BY_ITSELF else name.partition(" ")[0] for name in alone} == set(BY_ITSELF)


def test_what_changes_nodes_on_a_screen_is_a_deed() -> None:
    assert {action.twin for action in ACTIONS if action.risk is Risk.NODE} <= OF_DEEDS


@pytest.mark.parametrize("name", sorted(OF_DEEDS))
def test_a_command_that_changes_nodes_says_whom_and_lets_try_it_first(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = help_of(name, capsys)
    assert all(word in said for word in ("SELECTOR", "--dry-run", "--yes", "--json", "--inventory"))


@pytest.mark.parametrize("name", ["ack", "unack"])
def test_a_command_that_changes_what_operators_know_lets_try_it_first(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = help_of(name, capsys)
    assert all(word in said for word in ("KEY", "--dry-run", "--yes", "--state"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_sentence_and_a_word_for_each_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMANDS[name].sentence.endswith(".")
    assert " ".join(COMMANDS[name].sentence.split()) in " ".join(help_of(name, capsys).split())


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - OF_DEEDS))
def test_a_command_that_only_looks_has_no_question(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ("--yes" in help_of(name, capsys)) is (name in {"ack", "unack", "push", "rollout"})


def test_the_words_for_undo_are_of_actions_that_there_are() -> None:
    assert {action.undo for action in ACTIONS if action.undo} <= set(BY_ID)


def test_an_action_can_be_undone_where_its_deed_can() -> None:
    same = {deed: BY_ID[deed] for deed in Deed if deed in BY_ID}
    assert len(same) == 5
    for deed, action in same.items():
        back = DEEDS[deed].undo
        assert bool(action.undo) is (back is not None), deed
        assert back is None or action.undo in {back, "undo"}, deed


def test_the_exit_codes_stand_in_one_table_of_the_pages() -> None:
    pages = [page.name for page in DOCS.glob("*.md") if "<!-- table: exit-codes -->" in page.read_text()]
    assert pages == ["node.md"]
