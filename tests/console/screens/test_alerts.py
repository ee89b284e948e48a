"""The alerts of a fleet on one screen, key by key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from console.fleet import alert_rows
from console.fleet.inventory import Host
from console.screens.alerts import AlertsScreen
from console.screens.fleet import FleetScreen
from console.screens.inspect import Inspect

Look = Callable[..., None]


def alert(code: str = "camera_offline", severity: str = "crit", **changes: Any) -> dict[str, Any]:
    return {
        "code": code, "severity": severity, "subject": "main", "since": "2027-01-15T07:00:00.000Z",
        "sentence": f"{code}: so it is", **changes,
    }  # fmt: skip


@pytest.fixture
def fire(make_status: Callable[..., Any]) -> Callable[..., None]:
    """So many nodes have no picture, every second of them fills its disk too."""

    def fired(seen: Any, count: int = 12) -> None:
        for number in range(count):
            name, alerts = f"cam-{number:03d}", [alert(), alert("disk_filling", "warn")]
            status = make_status(name, site=f"dam-{number % 2}", state="crit", alerts=alerts[: 1 + number % 2])
            seen.model.heard(name, status)

    return fired


def rows(seen: Any) -> list[str]:
    return list(seen.screen.listing.keys)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_the_gravest_cause_comes_first_with_what_its_nodes_share(look: Look, fire: Any, size: tuple[int, int]) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press(*"ga")
        assert rows(seen) == ["cause:camera_offline", "cause:node.unreachable", "cause:disk_filling"]
        assert "firing 19  acked 0  by cause" in seen.lines()[1]
        row = next(line for line in seen.lines() if "✖ crit camera_offline" in line)
        assert " 12 " in row
        assert "dam-0 6/12" in row
        assert {len(line) for line in seen.lines()} == {size[0]}
        told = "camera_offline: 12 alerts of 12 nodes" in seen.text()
        assert told == (size[1] >= 30)
        assert ("and 8 more: v lists all" in seen.text()) == told

    look(story, size, more=12)


def test_they_are_grouped_by_cause_node_or_site(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press(*"gao")
        assert rows(seen)[0] == "node:cam-000"
        assert "STATE^ NODE" in seen.lines()[2]
        await seen.press("o")
        assert rows(seen) == ["site:dam-0", "site:dam-1", "site:Harbour"]
        await seen.type(":group cause")
        await seen.press("enter")
        assert rows(seen)[0] == "cause:camera_offline"
        await seen.type(":group weather")
        await seen.press("enter")
        assert "weather is none of cause, node, site" in seen.lines()[1]
        assert rows(seen)[0] == "cause:camera_offline"

    look(story, more=12)


def test_marks_go_with_the_rows_that_grouping_takes_away(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press(*"gaA")
        assert seen.screen.listing.marks
        await seen.press("o")
        assert not seen.screen.listing.marks
        assert "marked" not in seen.lines()[1]

    look(story, more=12)


def test_enter_shows_the_nodes_of_a_group_also_of_four_hundred(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen, 400)
        await seen.press("g", "a", "enter")
        assert isinstance(seen.app.screen, FleetScreen)
        assert len(rows(seen)) == 400
        assert "/ alert:camera_offline" in seen.lines()[1]
        await seen.press("escape", "escape", "G")

    look(story, more=400)


def test_enter_on_a_group_of_one_node_opens_that(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press("g", "a", "j", "enter")
        assert "cusco" in seen.lines()[1]
        assert "nodes" in seen.lines()[1]

    look(story, more=12)


def test_v_tells_all_of_a_group(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press(*"gav")
        screen = seen.app.screen
        assert isinstance(screen, Inspect)
        assert len(json.loads(screen._text)["alerts"]) == 12

    look(story, more=12)


def test_they_are_filtered_by_their_fields(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.type(":alerts severity:warn")
        await seen.press("enter")
        assert rows(seen) == ["cause:disk_filling"]
        await seen.type("/ age>x")
        assert "age> needs a number" in seen.lines()[1]
        await seen.press("escape")
        assert rows(seen) == ["cause:disk_filling"]

    look(story, more=12)


def test_where_nothing_fires_it_says_so_and_how_many_are_not_heard(look: Look, make_status: Any) -> None:
    async def story(seen: Any) -> None:
        seen.model.set_hosts([Host("kyoto", "h", 1, "http"), Host("oslo", "h", 2, "http")])
        seen.model.heard("kyoto", make_status("kyoto"))
        await seen.press(*"ga")
        assert "nothing fires; 1 node not heard yet" in seen.text()
        assert "╭" not in seen.text(), "no empty box"
        await seen.press("enter", "a")
        assert "no alert here to acknowledge" in seen.lines()[1]
        assert isinstance(seen.app.screen, AlertsScreen)

    look(story)


def test_what_goes_away_goes_from_the_screen_and_the_cursor_stays_on_its_group(
    look: Look, fire: Any, make_status: Any, hand: Any
) -> None:
    async def story(seen: Any) -> None:
        fire(seen)
        await seen.press(*"gajj")
        assert seen.screen.listing.cursor == "cause:disk_filling"
        for number in range(12):
            seen.model.heard(
                f"cam-{number:03d}", make_status(f"cam-{number:03d}", alerts=[alert("disk_filling", "warn")])
            )
        hand.now_s += 5
        await seen.settle()
        assert rows(seen) == ["cause:node.unreachable", "cause:disk_filling"]
        assert seen.screen.listing.cursor == "cause:disk_filling"

    look(story, more=12)


def test_words_of_nodes_are_no_markup_and_no_escapes(look: Look, make_status: Any) -> None:
    async def story(seen: Any) -> None:
        bad = alert("[red]x", sentence="\x1b[31m[bold]no[/bold]\n", site="\x07")
        seen.model.heard("kyoto", make_status("kyoto", alerts=[bad], site="[b]\x1b"))
        await seen.press(*"ga")
        assert "[red]x" in seen.text()
        assert "[bold]no[/bold]" in seen.text()
        assert "\x1b" not in seen.text()
        await seen.press("o", "o", "a", "escape", "v")
        assert "\x1b" not in seen.text()

    look(story)


def test_a_console_without_utf8_and_colour_still_tells_them_apart(look: Look, fire: Any) -> None:
    async def story(seen: Any) -> None:
        seen.app.desk.ascii = True
        fire(seen)
        await seen.press(*"ga")
        body = seen.lines()[2:26]
        assert any("X crit camera_offline" in line for line in body)
        assert any("! warn disk_filling" in line for line in body)
        assert all(line.isascii() for line in body)

    look(story, more=12)


def test_a_bell_rings_once_for_what_is_new_and_grave_where_it_is_wanted(
    look: Look, make_status: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(seen: Any) -> None:
        rung: list[bool] = []
        monkeypatch.setattr(seen.app, "bell", lambda: rung.append(True))
        desk = seen.app.desk

        async def fires(*alerts: dict[str, Any]) -> int:
            seen.model.heard("kyoto", make_status("kyoto", alerts=list(alerts)))
            desk.alerts.refresh()
            await seen.settle()
            await seen.settle()
            return len(rung)

        assert await fires(alert()) == 0
        desk.bell = True
        assert await fires(alert()) == 0
        assert await fires(alert(), alert("disk_full")) == 1
        assert await fires(alert(), alert("disk_full"), alert("clock", "warn")) == 1

    look(story)


def test_of_two_thousand_alerts_only_what_changes_is_looked_at(
    look: Look, make_status: Any, monkeypatch: pytest.MonkeyPatch, hand: Any
) -> None:
    async def story(seen: Any) -> None:
        for number in range(2000):
            status = make_status(f"cam-{number:03d}", alerts=[alert(f"code_{number % 40}")])
            seen.model.heard(f"cam-{number:03d}", status)
        await seen.press(*"ga")
        assert len(rows(seen)) == 41
        hand.now_s += 60  # what they share has been worked out
        await seen.settle()
        found: list[str] = []
        calls: list[int] = []
        board, real = seen.app.desk.alerts, alert_rows.grouped
        look_at = board._look
        monkeypatch.setattr(board, "_look", lambda name: found.append(name) or look_at(name))
        monkeypatch.setattr(alert_rows, "grouped", lambda *given: calls.append(len(given)) or real(*given))
        for _ in range(5):
            await seen.settle()
        assert (found, calls) == ([], [])
        seen.model.heard("cam-007", make_status("cam-007", alerts=[alert("code_8")]))
        await seen.settle()
        assert (set(found), calls) == ({"cam-007"}, [2])

    look(story, more=2000)
