from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from node.api.events import BATCH, published
from node.domain.errors import DatabaseBusy
from node.domain.events import REGISTRY, ClockStepped, GapRecorded
from node.hub import Ending
from node.store.log import EventRow
from node.wire.stream import StreamEvent
from tests.apis import Served, eventually, token_of


@dataclass
class Heard:
    """One open stream; blocks are dictionaries of their fields."""

    response: httpx.Response
    lines: Iterator[str]

    def block(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        for line in self.lines:
            if not line and fields:
                return fields
            name, _, value = line.partition(":")
            if line:
                fields[name or "comment"] = value.strip()
        return fields

    def events(self, count: int) -> list[tuple[int, str]]:
        return [(int(block["id"]), block["event"]) for block in (self.block() for _ in range(count))]


@contextmanager
def listening(api: Served, query: str = "", last: int | str | None = None) -> Iterator[Heard]:
    headers = {**token_of("viewer"), **({} if last is None else {"Last-Event-ID": str(last)})}
    with api.http.stream("GET", f"/v1/events{query}", headers=headers, timeout=5) as response:
        heard = Heard(response, response.iter_lines())
        if response.status_code == 200:
            assert heard.block() == {"retry": "3000"}
        yield heard


def step(api: Served, count: int = 1) -> None:
    for number in range(count):
        api.store.journal.note([ClockStepped(float(number))])


def at_work(api: Served) -> bool:
    return eventually(lambda: api.hub.count() > 0)


def test_events_come_as_they_happen(api: Served) -> None:
    step(api, 2)
    with listening(api) as heard:
        assert heard.response.headers["content-type"].startswith("text/event-stream")
        assert at_work(api)
        step(api, 2)
        assert heard.events(2) == [(3, "clock_stepped"), (4, "clock_stepped")]


def test_a_reader_that_comes_back_misses_nothing(api: Served) -> None:
    step(api, 5)
    with listening(api, last=2) as heard:
        assert [number for number, _ in heard.events(3)] == [3, 4, 5]
        assert at_work(api)
        step(api)
        assert heard.events(1) == [(6, "clock_stepped")]
    with listening(api, last=0) as heard:
        assert [number for number, _ in heard.events(6)] == [1, 2, 3, 4, 5, 6]


def test_a_backlog_longer_than_a_batch_comes_whole_and_in_order(api: Served) -> None:
    api.store.journal.note([ClockStepped(0.0)] * (2 * BATCH + 7))
    with listening(api, last=0) as heard:
        assert [number for number, _ in heard.events(2 * BATCH + 7)] == list(range(1, 2 * BATCH + 8))


def test_nothing_is_lost_or_doubled_between_backlog_and_live(api: Served) -> None:
    writer = threading.Thread(target=step, args=(api, 150))
    writer.start()
    with listening(api, last=0) as heard:
        assert [number for number, _ in heard.events(150)] == list(range(1, 151))
    writer.join()


def test_only_the_kinds_asked_for_come(api: Served) -> None:
    gap = GapRecorded("main", "auto", 1_795_000_000_000_000, "timeout", "CAM-005")
    api.store.journal.note([gap, ClockStepped(1.0), gap])
    with listening(api, "?kind=gap,frame", last=0) as heard:
        assert heard.events(2) == [(1, "gap"), (3, "gap")]
        assert at_work(api)
        api.store.journal.note([ClockStepped(1.0), gap])
        assert heard.events(1) == [(5, "gap")]


def test_an_id_that_has_expired_gets_a_reset_and_then_what_is_left(api: Served) -> None:
    step(api, 10)
    api.store.journal.trim_events(0, 4)
    with listening(api, last=2) as heard:
        block = heard.block()
        assert (block["event"], block["id"], json.loads(block["data"])) == ("reset", "6", {"oldest": 7, "newest": 10})
        assert [number for number, _ in heard.events(4)] == [7, 8, 9, 10]
    with listening(api, last=6) as heard:
        assert [number for number, _ in heard.events(4)] == [7, 8, 9, 10]


def test_an_id_from_another_life_of_the_log_gets_a_reset(api: Served) -> None:
    with listening(api, last=99) as heard:
        block = heard.block()
        assert (block["event"], block["id"], json.loads(block["data"])) == ("reset", "0", {"oldest": 0, "newest": 0})


def test_a_quiet_stream_has_a_heartbeat(api: Served) -> None:
    api.server._app._app.state.streams.heartbeat_s = 0.05  # type: ignore[attr-defined]
    with listening(api) as heard:
        assert heard.block() == {"comment": "beat"}
        assert heard.block() == {"comment": "beat"}


def test_streams_beyond_the_limit_are_refused_and_places_come_back(api: Served) -> None:
    api.allow(streams_max=2)
    with listening(api), listening(api), listening(api) as third:
        third.response.read()
        assert (third.response.status_code, third.response.json()["code"]) == (503, "API-007")
        assert int(third.response.headers["retry-after"]) > 0
    streams = api.server._app._app.state.streams  # type: ignore[attr-defined]
    assert eventually(lambda: streams.open == 0)
    assert eventually(lambda: api.hub.count() == 0)
    with listening(api) as again:
        assert again.response.status_code == 200


def test_many_readers_that_leave_leave_nothing_behind(api: Served) -> None:
    api.allow(burst=10_000)
    for _ in range(100):
        with listening(api, last=0):
            pass
    streams = api.server._app._app.state.streams  # type: ignore[attr-defined]
    assert eventually(lambda: streams.open == 0 and api.hub.count() == 0)


@pytest.mark.parametrize(
    ("query", "last", "path"),
    [("?kind=nix,frame", None, "query.kind"), ("", "x", "header.Last-Event-ID"), ("", "-1", "header.Last-Event-ID"),
     ("", str(2**63), "header.Last-Event-ID"), ("?after=3", None, "query.after")],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused(api: Served, query: str, last: str | None, path: str) -> None:
    with listening(api, query, last) as heard:
        heard.response.read()
        assert heard.response.status_code == 422
        assert [error["path"] for error in heard.response.json()["errors"]] == [path]


def test_a_database_that_fails_ends_the_stream_with_a_word(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[EventRow]:
        raise DatabaseBusy("locked")

    monkeypatch.setattr("node.store.log.EventReader.after", fails)
    with listening(api, last=0) as heard:
        assert heard.block() == {"event": "goodbye", "data": '{"reason":"unavailable"}'}


def test_a_reader_that_does_not_keep_up_is_told_so(api: Served) -> None:
    with listening(api) as heard:
        assert at_work(api)
        for listener in list(api.hub._listeners):
            listener.end(Ending.SLOW)
        assert heard.block() == {"event": "goodbye", "data": '{"reason":"slow"}'}


def test_instants_of_an_event_are_published_as_texts() -> None:
    row = EventRow(
        5, 1_795_000_000_123_000, "gap", "warning", {"due_us": 1_795_000_000_000_000, "late_us": None}, None, None
    )
    assert published(row) == StreamEvent(
        id=5,
        at="2026-11-18T11:06:40.123Z",
        kind="gap",
        level="warning",
        body={"due": "2026-11-18T11:06:40.000Z", "late": None},
    )


def test_every_kind_of_event_can_be_asked_for(api: Served) -> None:
    with listening(api, f"?kind={','.join(sorted(REGISTRY))}") as heard:
        assert heard.response.status_code == 200


def test_no_published_field_loses_its_name_to_another() -> None:
    for kind, event in REGISTRY.items():
        names = [name.removesuffix("_us") for name in event.__dataclass_fields__]
        assert len(set(names)) == len(names), kind
