"""The fleet screen as an operator sees it, key by key."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.geometry import Region
from textual.widgets import Input

from console.registry import SCREENS, known_on, shown_keys
from console.screens.fleet import FleetScreen
from console.screens.help import HelpScreen, help_text
from console.widgets.grid import RowGrid

NARROW = [  # what goes first: name and nodes, age, time, then words from the least grave state on
    (90, "✖ 1 crit ◌ 1 unreachable ▲ 1 warn ● 1 ok oldest 0s READ-ONLY 1 unacked 08:00:00"),
    (80, "✖ 1 crit ◌ 1 unreachable ▲ 1 warn ● 1 ok READ-ONLY 1 unacked 08:00:00"),
    (70, "✖ 1 crit ◌ 1 unreachable ▲ 1 warn ● 1 ok READ-ONLY 08:00:00"),
    (60, "✖ 1 crit ◌ 1 unreachable ▲ 1 warn ● 1 ok RO"),
    (50, "✖ 1 crit ◌ 1 unreachable ▲ 1 warn ● 1 ok RO"),
    (44, "✖ 1 crit ◌ 1 unreachable ▲ 1 warn ●1 RO"),
    (40, "✖ 1 crit ◌ 1 unreachable ▲1 ●1 RO"),
    (30, "✖ 1 crit ◌1 ▲1 ●1 RO"),
    (21, "✖1 ◌1 ▲1 ●1 RO"),
    (14, "✖1 ◌1 ▲1 ●1"),
]
SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.mark.parametrize("size", SIZES)
def test_the_worst_node_comes_first_with_glyph_word_and_cause(look: Callable[..., None], size: tuple[int, int]) -> None:
    async def story(seen: Any) -> None:
        rows = [line[1:15].strip() for line in seen.lines()[3:7]]
        assert rows == ["✖ crit", "◌ unreachable", "▲ warn", "● ok"]
        assert re.search(r"31 .*1/2 ok: south is", seen.line_of("nairobi"))
        assert "120/120?" in seen.line_of("cusco")
        assert "no route" in seen.line_of("cusco")

    look(story, size)


@pytest.mark.parametrize("size", SIZES)
def test_no_line_is_wider_than_the_terminal(look: Callable[..., None], size: tuple[int, int]) -> None:
    async def story(seen: Any) -> None:
        assert {len(line) for line in seen.lines()} == {size[0]}
        assert len(seen.lines()) == size[1]

    look(story, size)


def test_the_header_counts_states_and_says_how_old_the_data_are(look: Callable[..., None], hand: Any) -> None:
    async def story(seen: Any) -> None:
        hand.now_s += 3
        await seen.settle()
        head = seen.lines()[0]
        assert "✖ 1 crit  ◌ 1 unreachable  ▲ 1 warn  ● 1 ok" in head
        assert "4 nodes   oldest 3s" in head
        assert "READ-ONLY" in head
        assert "1 unacked" in head
        assert head.endswith("08:00:03Z")
        assert "heliograph status -i x.yml" in seen.lines()[1]

    look(story)


def test_a_narrow_header_keeps_the_counts(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        seen.app.desk.alerts.refresh()
        for width, words in NARROW:
            await seen.pilot.resize_terminal(width, 20)
            await seen.settle()
            assert seen.lines()[0].split("Z")[0].split() == words.split(), width

    look(story, (80, 20))


def test_a_notice_that_needs_the_room_has_it_to_be_copied_whole(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        assert re.fullmatch(r"fleet › nodes   heliograph status -i x\.yml 4/4", seen.lines()[1])

    look(story, (46, 20))


def test_a_silent_fleet_turns_stale_on_the_screen(look: Callable[..., None], hand: Any) -> None:
    async def story(seen: Any) -> None:
        hand.now_s += 7
        await seen.settle()
        assert seen.line_of("reykjavik")[2:9] == "◔ stale"
        assert "14s?" in seen.line_of("reykjavik")
        hand.now_s += 60
        await seen.settle()
        assert "unreachable" in seen.line_of("reykjavik")

    look(story)


def test_the_cursor_moves_by_every_key_of_the_table(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        grid, listing = seen.screen.grid, seen.screen.listing
        at = [listing.cursor]
        for key in ("j", "down", "k", "up", "k", "G", "j", "g", "g", "end", "home", "pagedown", "pagedown", "pageup"):
            await seen.press(key)
            at.append(listing.cursor)
        rows = [seen.names().index(name) for name in at]
        page = grid.page
        assert rows == [0, 1, 2, 1, 0, 0, 23, 23, 23, 0, 23, 0, page, 23, 23 - page]
        assert seen.line_of(listing.cursor).startswith("›")

    look(story, (80, 20), more=20)


def test_the_row_of_the_cursor_is_always_on_the_screen(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        for _ in range(23):
            await seen.press("j")
            assert any(line.startswith("›") for line in seen.lines())
        await seen.press("g", "g")
        assert seen.lines()[3].startswith("›")

    look(story, (80, 12), more=20)


def test_the_cursor_stays_with_its_node_when_the_order_changes(
    look: Callable[..., None], hand: Any, make_status: Callable[..., Any]
) -> None:
    async def story(seen: Any) -> None:
        await seen.press("j", "j")
        assert seen.screen.listing.cursor == "kyoto"
        hand.now_s += 3
        seen.model.heard("nairobi", make_status("nairobi"))
        seen.model.heard("reykjavik", make_status("reykjavik"))
        await seen.settle()
        assert seen.names() == ["cusco", "kyoto", "nairobi", "reykjavik"]
        assert seen.screen.listing.cursor == "kyoto"

    look(story)


def test_while_the_operator_moves_the_order_is_held_and_says_so(
    look: Callable[..., None], hand: Any, make_status: Callable[..., Any]
) -> None:
    async def story(seen: Any) -> None:
        before = seen.names()
        await seen.press("j")
        seen.model.heard("nairobi", make_status("nairobi"))
        await seen.settle()
        assert seen.names() == before
        assert "held" in seen.lines()[1]
        hand.now_s += 2.5
        await seen.settle()
        assert seen.names() != before
        assert "sort state node" in seen.lines()[1]

    look(story)


def test_a_click_moves_the_cursor(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.pilot.click(RowGrid, offset=(5, 3))
        assert seen.screen.listing.cursor == "kyoto"
        await seen.pilot.click(RowGrid, offset=(5, 12))
        await seen.pilot.click(RowGrid, offset=(5, 0))
        assert seen.screen.listing.cursor == "kyoto"

    look(story)


def test_a_filter_acts_while_it_is_typed_and_enter_keeps_it(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/state:!ok")
        assert seen.names() == ["nairobi", "cusco", "kyoto"]
        await seen.type(" q<60")
        await seen.press("enter")
        assert seen.names() == ["nairobi"]
        assert "/ state:!ok q<60" in seen.lines()[1]
        assert "1/4" in seen.lines()[1]

    look(story)


def test_keys_that_come_in_one_piece_are_all_taken(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        for character in "/state:!ok":
            seen.app.post_message(events.Key(character, character))
        await seen.settle()
        await seen.press("enter")
        assert seen.names() == ["nairobi", "cusco", "kyoto"]

    look(story)


def test_keys_that_come_in_one_piece_reach_what_the_first_of_them_opens(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        for key in ";unl":
            seen.app.post_message(events.Key(key, key))
        seen.app.post_message(events.Key("enter", "\r"))
        for _ in range(3):
            await seen.settle()
        assert "ARMED" in seen.lines()[0]
        for key in "gjgn":
            seen.app.post_message(events.Key(key, key))
        for _ in range(3):
            await seen.settle()
        assert isinstance(seen.app.screen, FleetScreen)

    look(story)


def test_a_wrong_filter_says_so_in_place_and_the_last_result_stays(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/kyoto")
        assert seen.names() == ["kyoto"]
        await seen.type(" /[/")
        assert seen.names() == ["kyoto"]
        assert "unterminated character set" in seen.lines()[1]

    look(story)


def test_escape_gives_the_filter_back_that_was_there(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/cusco")
        await seen.press("enter")
        await seen.type("/ /[/")
        await seen.press("escape")
        assert seen.names() == ["cusco"]
        assert "no field" not in seen.text()
        assert seen.app.focused is seen.screen.grid

    look(story)


def test_a_wrong_filter_leaves_nothing_of_its_beginning_in_force(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/kyoto")
        await seen.press("enter")
        await seen.type("/age>10x")
        assert seen.screen.listing.passing == "age>10"
        await seen.press("enter")
        assert seen.names() == ["kyoto"]
        assert "/ kyoto   age> needs a number" in seen.lines()[1]
        await seen.press("j")
        assert "needs a number" not in seen.lines()[1]
        assert seen.names() == ["kyoto"]
        await seen.type("/age>10")
        await seen.press("escape")
        assert seen.names() == ["kyoto"]

    look(story)


def test_the_prompt_opens_with_the_old_filter_to_be_replaced_or_edited(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/kyo")
        await seen.press("enter")
        await seen.type("/cusco")
        await seen.press("enter")
        assert seen.names() == ["cusco"]
        await seen.press("/", "left", "right", "right", "right", "backspace", "enter")
        assert seen.screen.listing.text in {"csco", "cuco", "cusc"}
        for key in "/kyoto":
            seen.app.post_message(events.Key(key, key))
        await seen.settle()
        await seen.press("enter")
        assert seen.names() == ["kyoto"]
        await seen.type("/x:y")
        await seen.press("enter", "/")
        assert seen.screen.query_one(Input).value == "kyoto"

    look(story)


def test_an_answer_stands_over_what_is_wrong_with_a_filter(look: Callable[..., None], hand: Any) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/x:y")
        await seen.press("enter")
        seen.screen.run_command("speed 2")
        await seen.settle()
        assert "no field" not in seen.lines()[1]
        hand.now_s += 7
        await seen.settle()
        assert "no field x" in seen.lines()[1]

    look(story)


def test_nodes_without_words_shows_all(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/kyoto")
        await seen.press("enter", "g", "n")
        assert seen.names() == ["kyoto"]
        await seen.type(":nodes")
        await seen.press("enter")
        assert len(seen.names()) == 4
        await seen.press("space")
        seen.screen.run_command("marked")
        await seen.settle()
        assert len(seen.names()) == 1
        seen.screen.run_command("nodes")
        await seen.settle()
        assert len(seen.names()) == 4

    look(story)


def test_a_filter_that_is_refused_keeps_nothing_back(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        for view in ("jobs", "alerts", "events"):
            seen.screen.run_command(view)
            await seen.pilot.pause()
            seen.screen.filtered("/[/", final=False)
            assert "nothing passes" not in str(seen.screen.empty())
            seen.screen.filtered("x-nothing", final=True)
            assert "nothing passes" in str(seen.screen.empty())

    look(story)


def test_a_filter_that_nothing_passes_leaves_an_empty_grid_that_still_lives(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/nowhere")
        assert "nothing passes this filter; / and Enter on an empty line clears it" in seen.text()
        await seen.press("enter", "j", "G", "pageup")
        assert (seen.names(), seen.screen.listing.cursor) == ([], None)
        assert "nothing passes" in seen.text()
        await seen.press("/", *["backspace"] * 7, "enter")
        assert len(seen.names()) == 4
        assert "nothing passes" not in seen.text()

    look(story)


@pytest.mark.parametrize("away", [["tab"], ["shift+tab"], ["tab", "tab"], []])
def test_the_prompt_keeps_the_keys_until_escape_closes_it(look: Callable[..., None], away: list[str]) -> None:
    async def story(seen: Any) -> None:
        cursor = seen.screen.listing.cursor
        await seen.type(":")
        await seen.press(*away)
        await seen.type("j")
        assert seen.screen.listing.cursor == cursor
        await seen.press("escape")
        assert not seen.screen.query_one("#prompt").display
        assert seen.app.focused is seen.screen.grid
        await seen.press("j")
        assert seen.screen.listing.cursor != cursor

    look(story)


def test_a_click_beside_an_open_prompt_takes_no_keys_away_from_it(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/")
        await seen.pilot.click(RowGrid, offset=(5, 3))
        await seen.type("cusco")
        assert seen.names() == ["cusco"]
        await seen.pilot.click(RowGrid, offset=(5, 1))
        await seen.press("escape")
        assert not seen.screen.query_one("#prompt").display
        assert len(seen.names()) == 4

    look(story)


def test_keys_typed_into_the_prompt_are_not_taken_for_commands(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/jk?G")
        assert isinstance(seen.app.screen, FleetScreen)
        assert "/ jk?G" in seen.lines()[1]

    look(story)


def test_a_colon_and_q_end_the_screen(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type(":q")
        assert seen.app.is_running
        await seen.pilot.press("enter")
        await seen.pilot.pause()
        assert seen.app._exit

    look(story)


def test_no_single_letter_ends_the_screen(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        for letter in "qQxXdDeErRwWzZ":
            await seen.press(letter, "escape", "escape")
            assert not seen.app._exit, letter
            assert isinstance(seen.app.screen, FleetScreen), letter

    look(story)


def test_control_c_ends_the_screen(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.pilot.press("ctrl+c")
        await seen.pilot.pause()
        assert seen.app._exit

    look(story)


def test_an_unknown_command_is_said_to_be_none(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type(":fly")
        await seen.press("enter")
        assert ":fly is no command here; :" in seen.lines()[1]
        await seen.press("escape")
        assert ":fly" not in seen.lines()[1]
        assert "sort state node" in seen.lines()[1]
        await seen.type(":")
        await seen.press("enter")
        assert not seen.app._exit

    look(story)


@pytest.mark.parametrize("how", ["time", "key"])
def test_the_notice_is_said_at_the_beginning_only(look: Callable[..., None], hand: Any, how: str) -> None:
    async def story(seen: Any) -> None:
        assert "heliograph status" in seen.lines()[1]
        if how == "key":
            await seen.press("j")
        hand.now_s += 31 if how == "time" else 0
        await seen.settle()
        assert "heliograph status" not in seen.lines()[1]
        assert seen.lines()[1].rstrip().endswith("sort state node   4/4")

    look(story, (80, 24), notice="heliograph status -i /tmp/heliograph-demo-zgrxqvwx/inventory.yml")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("unl", "armed for 10 min"),
        ("UNL", "is no command here"),
        ("un", ":un may be :undo, :unlock"),
        ("re", ":re may be :reconnect, :record, :replay and 1 more"),
        ("unlok", ":unlok is no command here; :unlock"),
        ("x" * 300, "is no command here; :"),
        ("q now", ":q stands alone: nothing follows it, not 'now'"),
        ("qui now", ":q stands alone"),
        ("time mars", ":time stands alone: nothing follows it, not 'mars'"),
        ("node", "which node? :node NAME"),
        ("marked", "nothing is marked"),
    ],
)
def test_a_command_is_understood_by_its_beginning_or_it_is_said_why_not(
    look: Callable[..., None], typed: str, says: str
) -> None:
    async def story(seen: Any) -> None:
        seen.screen.run_command(typed)
        await seen.settle()
        assert says in seen.lines()[1]
        assert "…" not in seen.lines()[1]
        assert not seen.app._exit
        assert seen.app.desk.times == "ago"

    look(story, (80, 24))


def test_keys_that_come_in_one_piece_are_not_painted_one_by_one(
    look: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[None] = []
    real = FleetScreen.paint
    monkeypatch.setattr(FleetScreen, "paint", lambda view: (painted.append(None), real(view))[1])

    async def story(seen: Any) -> None:
        await seen.press("j")
        painted.clear()
        for key in "5m" * 1000:
            seen.app.post_message(events.Key(key, key))
        await seen.pilot.pause()
        while seen.app.message_queue_size:
            await seen.pilot.pause()
        assert len(painted) < 50
        seen.screen._tick()
        seen.app.post_message(events.Key("5", "5"))
        await seen.settle()
        assert "no view 5 yet" in seen.lines()[1]

    look(story)


@pytest.mark.parametrize("how", ["time", "key"])
def test_what_a_command_answered_gives_way_to_the_notice(look: Callable[..., None], hand: Any, how: str) -> None:
    async def story(seen: Any) -> None:
        await seen.type(":bogus")
        await seen.press("enter")
        hand.now_s += 5
        await seen.settle()
        assert ":bogus is no command" in seen.lines()[1]
        if how == "key":
            await seen.press("j")
        hand.now_s += 2 if how == "time" else 0
        await seen.settle()
        assert ":bogus" not in seen.lines()[1]
        assert "sort state node" in seen.lines()[1]

    look(story)


def test_escape_takes_a_wrong_filter_back_that_was_entered(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.type("/kyoto")
        await seen.press("enter")
        await seen.type("/ /[/")
        await seen.press("enter")
        assert "unterminated" in seen.lines()[1]
        await seen.press("escape")
        assert seen.names() == ["kyoto"]
        assert seen.lines()[1].startswith("fleet › nodes   / kyoto  ")
        assert "unterminated" not in seen.lines()[1]

    look(story)


def test_help_names_every_key_and_command_and_closes(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        for close in ("escape", "question_mark", "q"):
            await seen.press("question_mark")
            assert isinstance(seen.app.screen, HelpScreen)
            text = seen.text()
            for action in known_on(SCREENS["nodes"]):
                assert f"  {shown_keys(action)}" in text
                assert action.says in text
                assert f"  :{action.command}" in text or not action.command
            await seen.press(close)
            assert isinstance(seen.app.screen, FleetScreen)

    look(story, (140, 120))


@pytest.mark.parametrize("size", [(140, 100), (200, 100)])
def test_help_is_whole_on_a_screen_of_usual_size(look: Callable[..., None], size: tuple[int, int]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("question_mark")
        says = [text.plain for text in help_text(SCREENS["nodes"])]
        shown = "\n".join(re.sub(r" +", " ", line) for line in seen.lines())
        for line in filter(None, "\n".join(says).splitlines()):
            assert re.sub(r" +", " ", line).strip() in shown
        assert "Esc closes" in shown
        assert "below" not in shown

    look(story, size)


@pytest.mark.parametrize("width", [100, 120])
def test_help_has_two_columns_of_whole_sentences_from_100_cells(look: Callable[..., None], width: int) -> None:
    async def story(seen: Any) -> None:
        await seen.press("question_mark")
        await seen.settle()
        lines = seen.lines()
        assert any("Keys" in line and "Commands" in line for line in lines)
        words = re.sub(r"[│\s]+", " ", " ".join(lines)).split()
        for text in help_text(SCREENS["nodes"]):
            for line in text.plain.splitlines():
                assert set(line.split()) <= set(words), line
        assert "Esc closes" in seen.text()

    look(story, (width, 120))


def test_help_that_does_not_fit_says_how_much_is_out_of_sight(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("question_mark")
        await seen.settle()
        below = re.search(r"(\d+) lines below, 0 above: j k scroll, Esc closes", seen.lines()[-1])
        assert below
        assert int(below[1]) > 20
        await seen.press("j", "j")
        assert f"{int(below[1]) - 2} lines below, 2 above" in seen.lines()[-1]
        for _ in range(3):  # in one piece, as a held key comes
            seen.app.post_message(events.Key("j", "j"))
        await seen.settle()
        await seen.settle()
        assert f"{int(below[1]) - 5} lines below, 5 above" in seen.lines()[-1]

    look(story, (80, 24))


def test_help_can_be_scrolled_on_a_small_screen(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("question_mark")
        first = seen.text()
        await seen.press("j", "j", "j")
        assert seen.text() != first
        await seen.press("k", "k", "k")
        assert seen.text() == first

    look(story, (80, 24))


def test_the_footer_comes_from_the_table_of_keys(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        foot = seen.lines()[-1]
        worded = [(shown_keys(action).split()[0], action.foot) for action in known_on(SCREENS["nodes"]) if action.foot]
        assert all(f"{key} {word}" in foot for key, word in worded)
        assert ":q quit" in foot

    look(story, (160, 24))


def test_what_happens_is_told_below_the_grid_where_there_is_room(
    look: Callable[..., None], make_status: Callable[..., Any]
) -> None:
    async def story(seen: Any) -> None:
        seen.model.heard("reykjavik", make_status("reykjavik", state="warn", reasons=["rain"]))
        await seen.settle()
        assert "08:00:00Z  reykjavik  warn: was ok" in seen.text()
        await seen.pilot.resize_terminal(120, 20)
        await seen.settle()
        assert "08:00:00Z  reykjavik" not in seen.text()

    look(story)


def test_a_terminal_made_tiny_and_large_again_shows_the_same(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("j")
        before = seen.lines()
        for size in ((20, 5), (3, 2), (1, 1), (120, 40)):
            await seen.pilot.resize_terminal(*size)
            await seen.settle()
            assert len(seen.lines()) == size[1]
        assert seen.lines() == before

    look(story)


def test_a_tiny_terminal_still_shows_the_cursors_row(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("G")
        await seen.pilot.resize_terminal(20, 5)
        await seen.settle()
        assert seen.lines()[3].startswith("› ● ok    reykjavik ")

    look(story, more=30)


def test_only_cells_that_differ_are_painted_again(
    look: Callable[..., None], hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(seen: Any) -> None:
        painted: list[Region] = []
        grid = seen.screen.grid
        await seen.settle()
        monkeypatch.setattr(grid, "refresh", lambda *regions, **_: painted.extend(regions))
        seen.screen.paint()
        assert painted == []
        hand.now_s += 1
        seen.screen.paint()
        titles = seen.lines()[2]
        columns = {titles.rfind(" ", 0, region.right) for region in painted}
        assert 0 < len(painted) <= 8
        assert all(region.height == 1 and region.width <= 6 for region in painted)
        assert len(columns) == 2

    look(story, (200, 40))


def test_the_timer_paints_when_something_was_learnt_or_a_second_has_passed(
    look: Callable[..., None], hand: Any, make_status: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(seen: Any) -> None:
        painted: list[float] = []
        paint = seen.screen.paint
        monkeypatch.setattr(seen.screen, "paint", lambda: painted.append(hand.now_s) or paint())
        seen.screen._tick()
        painted.clear()
        seen.screen._tick()
        assert painted == []
        seen.model.heard("kyoto", make_status("kyoto"))
        seen.screen._tick()
        assert len(painted) == 1
        hand.now_s += 1
        seen.screen._tick()
        assert len(painted) == 2

    look(story)


def test_the_real_cursor_is_parked_on_the_row(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("j", "j")
        assert seen.app.cursor_position.y == seen.lines().index(seen.line_of("kyoto"))

    look(story)


def test_without_colour_the_screen_says_the_same(look: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    with_colour: list[str] = []

    async def remember(seen: Any) -> None:
        with_colour.extend(seen.lines())

    async def compare(seen: Any) -> None:
        assert seen.app.no_color
        assert seen.lines() == with_colour

    look(remember)
    monkeypatch.setenv("NO_COLOR", "1")
    look(compare)


def test_names_of_wide_characters_keep_the_columns_in_line(
    look: Callable[..., None], make_status: Callable[..., Any]
) -> None:
    async def story(seen: Any) -> None:
        seen.model.heard("reykjavik", make_status("reykjavik", site="港港港港港港港港", reasons=["🌧️" * 60]))
        await seen.settle()
        line = next(line for line in seen.lines() if " reykjavik " in line)
        assert "7s  120/120" in line.replace("    ", "  ").replace("   ", "  ")

    look(story)
