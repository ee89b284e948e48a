"""What happens on all nodes, as an operator sees it come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from console.fleet import event_rows
from console.fleet.view import EVENTS_KEPT
from console.screens.inspect import Inspect
from node.wire.stream import StreamEvent

Look = Callable[..., None]


def tell(seen: Any, number: int, node: str = "kyoto", kind: str = "gap", level: str = "warning") -> None:
    at = f"2027-01-15T{7 - (number < 0):02d}:{abs(number) // 60 % 60:02d}:{abs(number) % 60:02d}.000Z"
    body = {"camera": "main", "reason": f"reason_{number}"}
    seen.model.happened(node, StreamEvent(id=number, at=at, kind=kind, level=level, body=body))


def told(seen: Any) -> list[str]:
    lines = seen.screen.feed.lines
    return [str(lines[key].event.body["reason"]).removeprefix("reason_") for key in seen.screen.listing.keys]


def test_the_newest_comes_first_and_the_cursor_follows_it_at_the_top(look: Look) -> None:
    async def story(seen: Any) -> None:
        for number in range(3):
            tell(seen, number)
        await seen.press(*"ge")
        assert told(seen) == ["2", "1", "0"]
        row = next(line for line in seen.lines() if "reason_2" in line)
        assert "▲ warning kyoto" in row
        tell(seen, 3)
        await seen.settle()
        assert told(seen)[0] == "3"
        assert seen.screen.listing.row == 0
        assert next(line for line in seen.lines() if line.startswith("›")).count("reason_3") == 1

    look(story)


def test_away_from_the_top_what_is_read_stays_in_its_place(look: Look, hand: Any) -> None:
    async def story(seen: Any) -> None:
        for number in range(100):
            tell(seen, number)
        await seen.press("g", "e", "pagedown", "j")
        line = next(index for index, line in enumerate(seen.lines()) if line.startswith("›"))
        before = seen.lines()[line]
        hand.now_s += 5
        for number in range(100, 110):
            tell(seen, number)
        await seen.settle()
        await seen.settle()
        after = seen.lines()[line]
        assert after.split()[-1] == before.split()[-1]
        assert after.startswith("›")
        await seen.press(*"gg")
        assert told(seen)[seen.screen.listing.row] == "109"

    look(story, (80, 24))


def test_p_holds_the_feed_and_says_how_many_wait(look: Look) -> None:
    async def story(seen: Any) -> None:
        tell(seen, 0)
        await seen.press(*"gep")
        tell(seen, 1)
        tell(seen, 2)
        await seen.settle()
        assert told(seen) == ["0"]
        assert "paused, 2 waiting" in seen.lines()[1]
        await seen.press("p")
        assert told(seen) == ["2", "1", "0"]
        assert "paused" not in seen.lines()[1]

    look(story, (80, 24))


def test_they_are_filtered_by_their_fields(look: Look) -> None:
    async def story(seen: Any) -> None:
        tell(seen, 0, "kyoto")
        tell(seen, 1, "cusco", "job_dead", "error")
        await seen.type(":events level:error")
        await seen.press("enter")
        assert told(seen) == ["1"]
        await seen.press("/", "end", *" node:kyoto")
        assert told(seen) == []
        assert "nothing passes this filter" in seen.text()
        await seen.press("escape")
        assert told(seen) == ["1"]

    look(story)


def test_enter_opens_the_node_and_v_shows_the_event_as_it_came(look: Look) -> None:
    async def story(seen: Any) -> None:
        tell(seen, 0)
        await seen.press(*"gev")
        assert isinstance(seen.app.screen, Inspect)
        assert json.loads(seen.app.screen._text)["body"]["reason"] == "reason_0"
        await seen.press("escape", "enter")
        assert "kyoto" in seen.lines()[1]
        await seen.press("escape")
        assert "events" in seen.lines()[1]

    look(story)


def test_where_nothing_has_happened_it_says_so(look: Look) -> None:
    async def story(seen: Any) -> None:
        await seen.press("g", "e", "enter", "v", "p", "p")
        assert "nothing has happened since this console began to listen" in seen.text()

    look(story, (80, 24))


def test_it_listens_to_all_nodes_the_worst_first_while_it_is_looked_at(look: Look) -> None:
    async def story(seen: Any) -> None:
        await seen.press(*"ge")
        assert seen.app.desk.source._attended == ("nairobi", "cusco", "kyoto", "reykjavik")

    look(story)


def test_it_is_bounded_and_each_event_is_looked_at_once(look: Look, monkeypatch: Any) -> None:
    async def story(seen: Any) -> None:
        words: list[int] = []
        real = event_rows.told
        monkeypatch.setattr(event_rows, "told", lambda event: words.append(event.id) or real(event))
        await seen.press(*"ge")
        for number in range(EVENTS_KEPT + 200):
            tell(seen, number)
        await seen.settle()
        assert (len(told(seen)), len(words)) == (EVENTS_KEPT, EVENTS_KEPT)
        for _ in range(5):
            await seen.settle()
        tell(seen, EVENTS_KEPT + 200)
        await seen.settle()
        assert (len(told(seen)), len(words)) == (EVENTS_KEPT, EVENTS_KEPT + 1)

    look(story)
