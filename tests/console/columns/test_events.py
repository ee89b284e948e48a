"""An event's row: how it is written, found and ordered; and the feed that they come by."""

from __future__ import annotations

from typing import Any

import pytest

from console.columns.events import EVENT_TABLE
from console.columns.table import Manner, plain
from console.fleet.event_rows import EVENTS, EventLine, Feed, as_known
from console.fleet.inventory import Host
from console.fleet.listing import Listing
from console.fleet.times import Times, to_us
from console.fleet.view import EVENTS_KEPT, FleetModel, Patience
from node.wire.stream import StreamEvent

NOW_US = to_us("2027-01-15T08:00:00.000Z") or 0


def event(number: int = 1, kind: str = "gap", level: str = "warning", at: str = "07:59:50", **body: Any) -> StreamEvent:
    return StreamEvent(id=number, at=f"2027-01-15T{at}.000Z", kind=kind, level=level, body=body)


@pytest.fixture
def model(hand: Any, make_status: Any) -> FleetModel:
    hosts = [Host(name, "h", port, "http") for port, name in enumerate(("cusco", "kyoto"), 1)]
    model = FleetModel(hosts, patience=Patience(), clock=hand.as_clock())
    model.heard("kyoto", make_status("kyoto"))
    return model


def cells(row: EventLine, manner: Manner | None = None) -> list[str]:
    manner = manner or Manner(now_us=NOW_US)
    return [column.cell(row, manner).text for column in EVENT_TABLE.columns]


def only(feed: Feed) -> EventLine:
    feed.take()
    (line,) = feed.lines.values()
    return line


def test_an_event_is_said_in_words(model: FleetModel) -> None:
    model.happened("kyoto", event(camera="main", reason="no_frame"))
    line = only(Feed(model))
    assert cells(line) == ["10s", "▲ warning", "kyoto", "Harbour", "gap", "main: gap: no_frame"]
    assert cells(line, Manner(ascii=True, times=Times.UTC, now_us=NOW_US))[:2] == ["07:59:50Z", "! warning"]
    assert as_known(line)["body"] == {"camera": "main", "reason": "no_frame"}


def test_one_that_this_release_does_not_know_is_shown_as_it_came(model: FleetModel) -> None:
    model.happened("cusco", event(kind="tide", level="grave", at="later", height_m=3, note="\x1b[2J"))
    row = cells(only(Feed(model)))
    assert row[:5] == ["·", "? grave", "cusco", "", "tide"]
    assert "height_m=3" in row[5]
    assert "\x1b" not in row[5]


def test_hostile_words_are_bounded(model: FleetModel) -> None:
    model.happened("cusco", event(kind="k" * 9999, level="l" * 9999, text="x" * 9999))
    assert max(len(cell) for cell in cells(only(Feed(model)))) <= 400
    assert plain(EVENT_TABLE, [only(Feed(model))], Manner())


def test_newest_first_and_found_by_its_fields(model: FleetModel) -> None:
    feed = Feed(model)
    model.happened("kyoto", event(1, "job_dead", "error", "07:00:00", job_kind="render", key="main/1"))
    model.happened("cusco", event(7, "frame", "info", "07:10:00", camera="main", score=91))
    model.happened("kyoto", event(2, "gap", "warning", "06:00:00", reason="no_frame"))
    assert feed.take() == 3
    listing = Listing[EventLine](EVENTS, feed.lines.get)
    found = {}
    for text in ("", "node:kyoto", "kind:gap,frame", "level:error,warning", "site:harbour", "text:no_frame", "render"):
        listing.filter_by(text)
        listing.refresh(feed.lines)
        found[text] = "".join(listing.keys)
    assert found == {
        "": "102", "node:kyoto": "02", "kind:gap,frame": "12", "level:error,warning": "02", "site:harbour": "02",
        "text:no_frame": "2", "render": "0",
    }  # fmt: skip
    for name in EVENTS.sorts:
        listing.sort_by(name)
        listing.refresh(feed.lines)
        assert len(listing.keys) == 1


def test_a_feed_takes_each_event_once_and_keeps_the_latest(model: FleetModel) -> None:
    feed, of_one = Feed(model, most=10), Feed(model, node="kyoto")
    assert feed.take() == 0
    for number in range(25):
        model.happened("cusco" if number % 5 else "kyoto", event(number))
    assert (feed.take(), feed.take(), of_one.take()) == (25, 0, 5)
    assert list(feed.lines) == [str(number) for number in range(15, 25)]
    model.happened("kyoto", event(99))
    assert (feed.take(), list(feed.lines)[-1], len(feed.lines)) == (1, "25", 10)


def test_while_it_is_held_events_are_counted_and_come_when_it_goes_on(model: FleetModel) -> None:
    feed = Feed(model)
    model.happened("kyoto", event(1))
    feed.take()
    feed.paused = True
    model.happened("kyoto", event(2))
    model.happened("cusco", event(3))
    assert (feed.take(), feed.waiting, list(feed.lines)) == (0, 2, ["0"])
    feed.paused = False
    assert (feed.take(), feed.waiting, list(feed.lines)) == (2, 0, ["0", "1", "2"])


def test_where_a_recording_is_set_back_what_has_not_happened_yet_goes(model: FleetModel) -> None:
    feed = Feed(model)
    for number in range(5):
        model.happened("kyoto", event(number))
    feed.take()
    model.happenings.clear()
    model.happened("cusco", event(7))
    assert (feed.take(), [line.event.id for line in feed.lines.values()]) == (1, [7])
    model.happenings.clear()
    assert (feed.take(), feed.lines) == (0, {})


def test_of_more_than_is_kept_the_latest_come(model: FleetModel) -> None:
    feed = Feed(model)
    feed.paused = True
    for number in range(EVENTS_KEPT + 50):
        model.happened("kyoto", event(number))
    assert feed.waiting == EVENTS_KEPT
    feed.paused = False
    assert feed.take() == EVENTS_KEPT
    assert next(iter(feed.lines)) == "50"
    assert len(feed.lines) == EVENTS_KEPT
