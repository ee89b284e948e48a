"""Acknowledging from a screen: few keys, nothing lost, and the same as the command."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from console import cli
from console.fleet.state import Book
from console.screens.acking import AckDialog, acknowledge, alerts_of
from console.screens.alerts import AlertsScreen

Look = Callable[..., None]
HOUR_US = 3_600_000_000
NOW_US = 1_800_000_000_000_000


def alert(code: str = "camera_offline", **changes: Any) -> dict[str, Any]:
    return {
        "code": code, "severity": "crit", "subject": "main", "since": "2027-01-15T07:00:00.000Z",
        "sentence": f"{code}: so it is", **changes,
    }  # fmt: skip


@pytest.fixture
def fire(make_status: Callable[..., Any]) -> Callable[..., None]:
    def fired(seen: Any, names: Sequence[str] = ("kyoto", "reykjavik"), *codes: str) -> None:
        for name in names:
            seen.model.heard(name, make_status(name, alerts=[alert(code) for code in codes or ("camera_offline",)]))

    return fired


def acks(seen: Any) -> dict[str, Any]:
    return dict(seen.app.desk.book.acks)


def test_a_reason_and_enter_acknowledge_a_whole_group_for_eight_hours(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press(*"gaa")
        assert "acknowledge 2 alerts of 2 nodes" in seen.text()
        assert "[8h]" in seen.text()
        await seen.press(*"dew", "enter")
        assert {key: (ack.by, ack.reason, ack.until_us) for key, ack in acks(seen).items()} == {
            f"{name}/camera_offline/main": ("mw", "dew", NOW_US + 8 * HOUR_US) for name in ("kyoto", "reykjavik")
        }
        assert "acknowledged 2 alerts until 01-15 16:00Z at most; u takes it back" in seen.lines()[1]
        assert "mw, 8h left" in seen.text()
        assert "1 unacked" in seen.lines()[0]  # cusco, that does not answer

    look(story)


@pytest.mark.parametrize(("presses", "until_us"), [
    (["tab"], NOW_US + 48 * HOUR_US), (["tab", "tab"], None), (["shift+tab"], NOW_US + HOUR_US // 2),
    (["up", "down"], NOW_US + 8 * HOUR_US), (["tab"] * 4, NOW_US + 8 * HOUR_US),
])  # fmt: skip
def test_the_expiry_goes_round_by_tab(look: Look, fire: Any, presses: list[str], until_us: int | None) -> None:
    async def story(seen: Any) -> None:
        fire(seen, ["kyoto"])
        await seen.press("g", "a", "a", "x", *presses, "enter")
        assert [ack.until_us for ack in acks(seen).values()] == [until_us]

    look(story)


@pytest.mark.parametrize("typed", ["", "   "])
def test_without_a_reason_nothing_is_acknowledged_and_it_says_why(look: Look, fire: Any, typed: str) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press("g", "a", "a", *(["space"] * len(typed)), "enter")
        assert isinstance(seen.app.screen, AckDialog)
        assert "a reason is needed" in seen.text()
        await seen.press("x", "enter")
        assert len(acks(seen)) == 2

    look(story)


def test_escape_loses_nothing_that_was_typed(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press("g", "a", "a", *"dew on it", "tab", "escape")
        assert acks(seen) == {}
        assert "not acknowledged; a goes on where you were" in seen.lines()[1]
        await seen.press("a")
        assert "dew on it" in seen.text()
        assert "[2d]" in seen.text()
        await seen.press("enter")
        assert {ack.reason for ack in acks(seen).values()} == {"dew on it"}
        fire(seen, ["nairobi"], "disk_full")
        await seen.settle()
        seen.screen.listing.cursor = "cause:disk_full"
        await seen.press("a")
        assert seen.app.screen.query_one("#reason").value == ""
        assert "[8h]" in seen.text()

    look(story)


def test_a_hostile_reason_is_kept_as_one_line_of_bounded_length(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen, ["kyoto"])
        await seen.press(*"gaa")
        seen.app.screen.query_one("#reason").value = "[red]\x1b]0;x\x07" + "y" * 500
        await seen.press("enter")
        (ack,) = acks(seen).values()
        assert len(ack.reason) <= 500 + 20
        assert "\x1b" not in ack.reason
        assert "[red]" in ack.reason

    look(story)


def test_what_somebody_knows_is_left_unless_all_is_known(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen, ["kyoto"])
        await seen.press("g", "a", "a", "1", "enter")
        fire(seen, ["kyoto", "reykjavik"])
        await seen.settle()
        await seen.press("g", "g", "a")
        assert "acknowledge 1 alert of reykjavik" in seen.text()
        await seen.press("2", "enter")
        assert sorted(ack.reason for ack in acks(seen).values()) == ["1", "2"]
        seen.screen.listing.cursor = "cause:camera_offline"
        await seen.press("a")
        assert "acknowledge 2 alerts of 2 nodes" in seen.text()
        await seen.press("3", "enter")
        assert [ack.reason for ack in acks(seen).values()] == ["3", "3"]

    look(story)


def test_marked_groups_are_acknowledged_together_and_u_takes_all_of_it_back(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen, ["kyoto", "reykjavik"], "camera_offline", "disk_full")
        await seen.press("g", "a", "A", "a", *"dew", "enter")
        assert len(acks(seen)) == 5
        await seen.press("u")
        assert acks(seen) == {}
        assert "taken back: acknowledgement of" in seen.lines()[1]
        assert "and 4 more" in seen.lines()[1]
        await seen.press("u")
        assert "nothing to take back" in seen.lines()[1]

    look(story)


def test_what_recovered_while_the_reason_was_typed_is_left_out(look: Look, fire: Any, make_status: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press(*"gaa", *"dew")
        seen.model.heard("kyoto", make_status("kyoto"))
        await seen.press("enter")
        assert list(acks(seen)) == ["reykjavik/camera_offline/main"]
        fire(seen, ["nairobi"], "disk_full")
        await seen.settle()
        seen.screen.listing.cursor = "cause:disk_full"
        await seen.press("a", "x")
        seen.model.heard("nairobi", make_status("nairobi"))
        await seen.press("enter")
        assert "they are over by now" in seen.lines()[1]
        assert len(acks(seen)) == 1

    look(story)


def test_on_a_narrow_screen_that_it_was_not_saved_comes_first_and_stays(look: Look, fire: Any, hand: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen, ["kyoto"])
        path = seen.app.desk.book.folder / "acks.jsonl"
        path.mkdir(parents=True)
        await seen.press("g", "a", "a", "x", "enter")
        said = seen.lines()[1].partition("   ")[2]
        assert said.startswith(f"NOT SAVED: {path}"[:40])
        hand.now_s += 7
        await seen.settle()
        assert str(path)[:30] in seen.lines()[1]

    look(story, (80, 24))


def test_what_cannot_be_saved_counts_and_says_why_it_is_in_memory_only(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen, ["kyoto"])
        (seen.app.desk.book.folder / "acks.jsonl").mkdir(parents=True)
        await seen.press("g", "a", "a", "x", "enter")
        assert "in memory only" in seen.lines()[1]
        assert "directory" in seen.lines()[1]
        assert len(acks(seen)) == 1
        assert "mw, 8h left" in seen.text()

    look(story, (200, 60))


def test_a_recording_is_only_looked_at(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        seen.app.desk.book = None
        await seen.press(*"gaa")
        assert "a recording can only be looked at" in seen.lines()[1]
        assert isinstance(seen.app.screen, AlertsScreen)

    look(story)


def test_of_nodes_all_that_fires_on_them_is_meant(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen, ["kyoto", "reykjavik"], "camera_offline", "disk_full")
        seen.app.desk.alerts.refresh()
        rows = alerts_of(seen.app.desk, ["kyoto", "nobody"])
        assert sorted(row.code for row in rows) == ["camera_offline", "disk_full"]
        acknowledge(seen.screen, rows)
        await seen.pilot.pause()
        await seen.press("x", "enter")
        assert len(acks(seen)) == 2

    look(story)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12)])
def test_the_dialog_is_whole_at_every_size(look: Look, fire: Any, size: tuple[int, int]) -> None:
    async def story(seen: Any) -> None:
        fire(seen, ["kyoto"])
        await seen.press(*"gaa")
        text = seen.text()
        for part in ("acknowledge 1 alert of kyoto", "reason", "[8h]", "Enter acknowledges"):
            assert part in text
        assert {len(line) for line in seen.lines()} == {size[0]}

    look(story, size)


def test_the_screen_and_the_command_leave_the_same_behind(
    look: Look, fire: Any, tmp_path: Path, start_node: Any, inventory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []

    async def story(seen: Any) -> None:
        fire(seen, ["kyoto"])
        await seen.press("g", "a", "a", *"dew", "enter")
        logged.extend(entry.command for entry in seen.app.desk.book.commands(9))

    look(story)
    by_screen = (tmp_path / "state" / "acks.jsonl").read_text()
    node = start_node("kyoto")
    node.says(alerts=[alert()])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    argv = ["ack", "kyoto/camera_offline/main", "--reason", "dew", "--for", "8h", "-i", inventory(node)]
    assert cli.main([*argv, "--state", str(tmp_path / "other")]) == 0
    by_command = (tmp_path / "other" / "acks.jsonl").read_text()
    assert shape(by_screen) == shape(by_command)
    assert logged[0].startswith("heliograph ack kyoto/camera_offline/main --reason dew --for 8h -i ")


def shape(text: str) -> list[Any]:
    """Its entries without times, and how long each holds."""
    entries = [json.loads(line) for line in text.splitlines() if line]
    for entry in entries:
        if "ack" in entry:
            ack = entry["ack"]
            ack["until_us"] -= ack.pop("at_us")
            ack["by"] = re.sub(r".+", "who", ack["by"])
    return entries


def test_another_console_sees_it(look: Look, fire: Any, tmp_path: Path, hand: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen, ["kyoto"])
        await seen.press("g", "a", "a", "x", "enter")
        other = Book.open(tmp_path / "state", None, hand.as_clock())
        assert list(other.acks) == ["kyoto/camera_offline/main"]

    look(story)


def test_two_thousand_are_acknowledged_at_once_and_logged_whole(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        names = [f"cam-{number:03d}" for number in range(2000)]
        fire(seen, names)
        await seen.press("g", "a", "a", "x", "enter")
        assert len(acks(seen)) == 2000
        logged = seen.app.desk.book.commands(100)
        assert sum(entry.command.count("/camera_offline/") for entry in logged) == 2000
        assert all(len(entry.command) < 40_000 for entry in logged)

    look(story, more=2000)
