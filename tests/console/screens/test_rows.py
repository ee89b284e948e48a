"""What every list does: taking rows along, saved views, looking closer, a shell."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.fleet.state import CommandEntry, SavedView
from console.registry import SCREENS, known_on
from console.screens.chooser import Chooser
from console.screens.inspect import MOST_CHARS, Inspect
from console.screens.rows import RowsView
from console.widgets.grid import PATIENCE
from node.wire.errors import NodeUnreachable

Look = Callable[..., None]


async def command(seen: Any, words: str) -> None:
    seen.screen.run_command(words)
    await seen.settle()


async def until(seen: Any, holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await seen.settle()
    await seen.settle()


async def answered(seen: Any, words: str) -> None:
    await until(seen, lambda: words in seen.lines()[1])


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[], str]:
    return (tmp_path / "home" / "heliograph" / "copied.txt").read_text


# --- every action of every screen -------------------------------------------------------------------------------------


def test_every_action_that_a_screen_knows_is_done_there_and_none_more(look: Look) -> None:
    async def story(seen: Any) -> None:
        for name in sorted({screen.partition("/")[0] for screen in SCREENS}):
            seen.app.visit(name, node="kyoto")
            await seen.pilot.pause()
            view = seen.app.view(name)
            for digit in "12345" if name == "node" else " ":
                if name == "node":
                    await seen.pilot.press(digit)
                assert view.handlers().keys() == {action.id for action in known_on(view.scopes)}, (name, digit)

    look(story)


# --- copying ----------------------------------------------------------------------------------------------------------


def test_a_row_is_copied_as_it_is_shown(look: Look, copied: Callable[[], str]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("y", "y")
        await answered(seen, "copied 1 row: terminal (OSC 52), ")
        assert seen.app.clipboard + "\n" == copied()
        assert copied().startswith("✖ crit  nairobi  Harbour  ")
        assert copied().endswith("1/2 ok: south is lost\n")

    look(story, (200, 40))


def test_marked_rows_are_copied_in_the_order_of_the_list_whatever_the_filter(
    look: Look, copied: Callable[[], str]
) -> None:
    async def story(seen: Any) -> None:
        await seen.press("A")
        seen.screen.filtered("state:!ok", final=True)
        await seen.press("y", "j")
        await answered(seen, "copied 4 rows: ")
        assert [json.loads(line)["node"] for line in copied().splitlines()] == [
            "nairobi",
            "cusco",
            "kyoto",
            "reykjavik",
        ]
        first = json.loads(copied().splitlines()[0])
        assert (first["state"], first["status"]["reasons"]) == ("crit", ["south is lost"])

    look(story)


def test_the_command_that_shows_it_can_be_run(look: Look, copied: Callable[[], str], tmp_path: Path) -> None:
    async def story(seen: Any) -> None:
        await seen.press("space", "space", "y", "c")
        await answered(seen, "copied 2 rows")
        inventory = tmp_path / "inventory.yml"
        assert copied().splitlines() == [f"heliograph status {name} -i {inventory}" for name in ("nairobi", "cusco")]

    look(story)


def test_the_command_of_an_alert_names_its_nodes(look: Look, copied: Callable[[], str], tmp_path: Path) -> None:
    async def story(seen: Any) -> None:
        await seen.press("g", "a")
        seen.screen.listing.cursor = "cause:node.unreachable"
        await seen.press("y", "c")
        await answered(seen, "copied 1 row")
        assert copied() == f"heliograph alerts cusco -i {tmp_path / 'inventory.yml'}\n"
        for number in range(9):
            for _ in range(3):
                seen.model.failed(f"cam-{number:03d}", NodeUnreachable("no route"))
        await seen.settle()
        await seen.press("y", "c")
        await until(seen, lambda: "cusco" not in copied())
        assert copied() == f"heliograph alerts alert:node.unreachable -i {tmp_path / 'inventory.yml'}\n"

    look(story, more=9)


def test_copy_by_its_command_names_the_form(look: Look, copied: Callable[[], str]) -> None:
    async def story(seen: Any) -> None:
        await command(seen, "copy json")
        await answered(seen, "copied 1 row")
        assert json.loads(copied())["node"] == "nairobi"
        await command(seen, "copy picture")
        assert "picture is none of row, json, command" in seen.lines()[1]

    look(story)


def test_on_an_empty_list_there_is_nothing_to_take_along(look: Look, tmp_path: Path) -> None:
    async def story(seen: Any) -> None:
        seen.screen.filtered("nowhere", final=True)
        for keys in (("y", "y"), ("y", "j"), ("y", "c")):
            await seen.press(*keys)
            assert "nothing to take along" in seen.lines()[1]
        await command(seen, f"export {tmp_path}/none.jsonl")
        await answered(seen, "exported 0 rows to ")
        assert (tmp_path / "none.jsonl").read_text() == ""

    look(story)


def test_what_a_node_says_cannot_act_on_the_terminal_it_is_pasted_into(
    look: Look, copied: Callable[[], str], make_status: Callable[..., Any]
) -> None:
    async def story(seen: Any) -> None:
        seen.model.heard(
            "nairobi", make_status("nairobi", state="crit", reasons=["\x1b]52;c;eA==\x07\nrm -rf /\x9b1m"])
        )
        await seen.settle()
        for second in "yj":
            await seen.press("y", second)
            await answered(seen, "copied 1 row")
            assert len(copied().splitlines()) == 1
            assert not set(copied()) & {"\x1b", "\x07", "\x9b", "\r"}
        seen.app.push_screen(Inspect("raw", "\x1b[31mred\x9b1m"))
        await seen.settle()
        assert seen.app.screen._text == " [31mred 1m"

    look(story)


# --- exporting --------------------------------------------------------------------------------------------------------


def test_what_is_shown_is_written_with_the_columns_of_the_table(look: Look, tmp_path: Path) -> None:
    async def story(seen: Any) -> None:
        seen.screen.filtered("state:!ok", final=True)
        seen.screen.sort_by("-node")
        seen.screen.hide({"spark", "digest"})
        await command(seen, f"export {tmp_path}/bad.csv")
        await answered(seen, "exported 3 rows to ")  # a long path is cut there
        rows = list(csv.DictReader((tmp_path / "bad.csv").read_text().splitlines()))
        assert [row["node"] for row in rows] == ["nairobi", "kyoto", "cusco"]
        assert [row["state"] for row in rows] == ["crit", "warn", "unreachable"]
        assert "spark" not in rows[0]
        assert float(rows[0]["disk"]) == pytest.approx(55, abs=1)
        assert rows[2]["today"] == "120/120?"

    look(story)


def test_of_marked_rows_only_those_are_written_and_nothing_is_overwritten(look: Look, tmp_path: Path) -> None:
    async def story(seen: Any) -> None:
        path = tmp_path / "marked.jsonl"
        await seen.press("space")
        await command(seen, f"export {path}")
        await answered(seen, "exported 1 row to ")
        before = path.read_text()
        await seen.press("space")
        await command(seen, f"export {path}")
        await answered(seen, "is there already; :export! writes over it")
        assert path.read_text() == before
        await command(seen, f"export! {path}")
        await answered(seen, "exported 2 rows to ")
        assert [json.loads(line)["node"] for line in path.read_text().splitlines()] == ["nairobi", "cusco"]
        await command(seen, f"export {tmp_path}/x.pdf")
        await answered(seen, "a name ends with .csv, .json, .jsonl")

    look(story, (200, 40))


def test_without_a_name_the_form_is_chosen(look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(seen: Any) -> None:
        await seen.press("E")
        assert isinstance(seen.app.screen, Chooser)
        await seen.type("jsonl")
        await seen.press("enter")
        await answered(seen, "exported 4 rows to nodes-")

    look(story)
    (path,) = tmp_path.glob("nodes-*Z.jsonl")
    assert len(path.read_text().splitlines()) == 4


# --- saved views ------------------------------------------------------------------------------------------------------


def test_a_view_is_saved_under_a_digit_and_comes_back_with_it(look: Look) -> None:
    async def story(seen: Any) -> None:
        seen.screen.filtered("state:!ok", final=True)
        seen.screen.sort_by("node")
        seen.screen.hide({"inspector", "today"})
        await seen.press("W", "down", "down", "enter")
        assert seen.screen.query_one("#prompt").display
        await seen.type("triage")
        await seen.press("enter")
        assert "saved as view 3:triage" in seen.lines()[1]
        await seen.press("escape")
        seen.screen.hide(set())
        seen.screen.sort_by("state")
        await seen.settle()
        assert "view 3:triage" not in seen.lines()[1]
        await seen.press("3")
        assert "view 3:triage" in seen.lines()[1]
        assert seen.names() == ["cusco", "kyoto", "nairobi"]
        assert set(seen.screen.grid.hidden) == {"inspector", "today"}
        assert "TODAY" not in seen.lines()[2]

    look(story, (200, 40))


def test_a_digit_opens_the_list_that_its_view_is_of(look: Look) -> None:
    async def story(seen: Any) -> None:
        await command(seen, "save 7 all of it")
        seen.app.visit("jobs")
        await seen.settle()
        await seen.press("7")
        assert seen.app.screen.NAME == "nodes"
        assert "view 7:all of it" in seen.lines()[1]

    look(story, (160, 30))


@pytest.mark.parametrize("words", ["0 none", "10 ten", "x y", "3", "triage", "3 "])
def test_a_view_needs_a_digit_and_a_name(look: Look, words: str) -> None:
    async def story(seen: Any) -> None:
        await command(seen, f"save {words}")
        assert ":save 3 triage (1 to 9, and a name)" in seen.lines()[1]
        assert seen.screen.desk.book.views == {}

    look(story)


def test_a_digit_without_a_view_says_so(look: Look) -> None:
    async def story(seen: Any) -> None:
        await seen.press("5")
        assert "no view 5 yet; W saves this one" in seen.lines()[1]

    look(story)


@pytest.mark.parametrize(
    ("saved", "says"),
    [
        (SavedView("odd", "nodes", filter="colour:red /[/"), "no field colour"),
        (SavedView("odd", "nodes", sort="-taste node"), "no column -taste"),
        (SavedView("odd", "weather"), "view 1 is of weather, and there is no such list here"),
        (SavedView("odd", "nodes", columns=("-state", "-nowhere", "odd", "")), "sort state node"),
    ],
)
def test_a_view_of_another_release_does_what_it_can(look: Look, saved: SavedView, says: str) -> None:
    async def story(seen: Any) -> None:
        seen.screen.desk.book.save_view(1, saved)
        await seen.press("1")
        assert says in seen.lines()[1]
        assert len(seen.names()) == 4
        assert "STATE" in seen.lines()[2]

    look(story, (160, 30))


def test_a_file_of_views_that_is_broken_hides_none_of_the_screen(look: Look, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "views.json").write_text('{"format": 1, "views": {"1": 7, "2": {"name": []}}}')

    async def story(seen: Any) -> None:
        await seen.press("1")
        assert "no view 1 yet" in seen.lines()[1]

    look(story)


@pytest.mark.parametrize("width", [80, 120])
def test_the_log_cuts_no_line(look: Look, width: int) -> None:
    words = [f"word{number}" for number in range(40)]

    async def story(seen: Any) -> None:
        seen.screen.desk.book.log(CommandEntry(0, "mw", " ".join(words), "done"))
        await command(seen, "log")
        assert not set(words) - set(seen.text().replace("│", " ").split())

    look(story, (width, 30))


# --- looking closer ---------------------------------------------------------------------------------------------------


def test_v_shows_all_that_is_known_and_y_copies_it(look: Look, copied: Callable[[], str]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("v")
        assert isinstance(seen.app.screen, Inspect)
        top = seen.text()
        assert '"reasons"' in seen.app.screen._text
        await seen.press("y")
        await until(seen, lambda: "copied: terminal (OSC 52), " in seen.text())
        assert json.loads(copied())["node"] == "nairobi"
        await seen.press("G")
        assert seen.text() != top
        await seen.press("g", "j", "pagedown", "k", "pageup", "g")
        assert "0 above" in seen.text()
        await seen.press("escape")
        assert isinstance(seen.app.screen, RowsView)

    look(story, (80, 24))


@pytest.mark.parametrize("text", ["", "[red]not markup[/red] \\[x]", "x" * (MOST_CHARS + 5), "a\n" * 50_000])
def test_text_of_any_kind_can_be_looked_into(look: Look, text: str) -> None:
    async def story(seen: Any) -> None:
        seen.app.push_screen(Inspect("[b]title[/b]", text))
        await seen.settle()
        assert "[b]title[/b]" in seen.text()
        assert text[:20].splitlines() == [] or text.splitlines()[0][:20] in seen.text()
        if len(text) > MOST_CHARS:
            await seen.press("G")
            assert "5 more characters: y copies all" in seen.text()

    look(story)


def test_the_pane_beside_the_grid_follows_the_cursor(look: Look) -> None:
    async def story(seen: Any) -> None:
        beside = [line[84:].strip(" │") for line in seen.lines()[2:30]]
        assert beside[0].startswith("nairobi · Harbour")
        assert beside[1].startswith("✖ crit")
        assert any(line.startswith("south  offline") for line in beside)
        await seen.press("j")
        beside = [line[84:].strip(" │") for line in seen.lines()[2:30]]
        assert beside[0].startswith("cusco · Harbour")
        assert any("does not answer" in line for line in beside)

    look(story)


@pytest.mark.parametrize(("width", "there"), [(80, False), (119, False), (120, True), (200, True)])
def test_the_pane_is_there_where_there_is_room_and_can_be_hidden(look: Look, width: int, there: bool) -> None:
    async def story(seen: Any) -> None:
        pane = seen.screen.query_one("#inspector")
        assert pane.display is there
        await command(seen, "columns inspector")
        assert not pane.display
        await command(seen, "columns inspector")
        assert pane.display is there
        await seen.pilot.resize_terminal(20, 5)
        await seen.pilot.resize_terminal(width, 24)
        await seen.settle()
        assert pane.display is there

    look(story, (width, 24))


def test_no_column_of_that_name_is_said_to_be_none(look: Look) -> None:
    async def story(seen: Any) -> None:
        await command(seen, "columns weather")
        assert "no column weather; there is site" in seen.lines()[1]
        await command(seen, "sort weather")
        assert "no column weather; there is state" in seen.lines()[1]

    look(story)


@pytest.mark.parametrize("key", ["j", "question_mark", "semicolon", "v", "g", "E", "W"])
def test_where_there_is_only_ascii_nothing_else_is_drawn(look: Look, key: str) -> None:
    async def story(seen: Any) -> None:
        seen.screen.desk.ascii = True
        seen.app.set_class(True, "ascii")  # noqa: FBT003 - Textual's own
        seen.screen.grid.lay_out()
        await seen.press(key)
        await seen.settle()
        assert [line for line in seen.lines() if not line.isascii()] == []

    look(story, (120, 32))


# --- a shell ----------------------------------------------------------------------------------------------------------


def test_a_node_without_ssh_is_said_to_be_one(look: Look) -> None:
    async def story(seen: Any) -> None:
        await seen.press("!")
        assert "the inventory says nothing of ssh to nairobi" in seen.lines()[1]
        await command(seen, "ssh atlantis")
        assert "no node atlantis" in seen.lines()[1]
        seen.screen.filtered("nothing-at-all", final=True)
        await seen.press("!")
        assert "no node here" in seen.lines()[1]

    look(story)


def test_a_terminal_that_cannot_be_lent_is_said_to_be_one(look: Look) -> None:
    async def story(seen: Any) -> None:
        hosts = [replace(view.host, ssh=("host.example",)) for view in seen.model.views.values()]
        seen.model.set_hosts(hosts)
        await seen.press("!")
        await answered(seen, "this terminal cannot be lent to ssh")
        assert seen.app.is_running

    look(story)


def test_the_state_takes_no_more_room_than_its_longest_word(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("/")
        await seen.type("kyoto")
        await seen.press("enter")
        assert "▲ warn        kyoto" in seen.line_of("kyoto"), "columns do not jump back"
        for _ in range(PATIENCE):
            await seen.settle()
        assert "▲ warn kyoto" in seen.line_of("kyoto"), "but they do not stay wide for ever"

    look(story)


def test_a_longer_word_makes_its_column_wider_at_once(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        assert seen.lines()[2].startswith("  STATE^ NODE")
        for name in seen.names()[:1]:
            for _ in range(3):
                seen.model.failed(name, NodeUnreachable("no route"))
        await seen.settle()
        assert seen.lines()[2].startswith("  STATE^        NODE")
        assert "◌ unreachable" in seen.text()

    look(story, only="reykjavik kyoto")
