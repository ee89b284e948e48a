"""What a node may answer, and what the console makes of it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest

from console.fleet import client
from console.fleet.client import (
    BLOCKS_BREATH_S,
    BLOCKS_BURST,
    BODY_LIMIT_BYTES,
    KEPT_BYTES,
    OBJECT,
    NodeClient,
    parse_event,
    understood,
)
from console.fleet.inventory import Host
from node.wire.errors import (
    ConsoleFileUnusable,
    HeliographError,
    NodeAnswerWrong,
    NodeRefused,
    NodeUnreachable,
    OrderRefused,
)
from node.wire.records import FrameRecord, Page
from node.wire.status import NodeStatus


def ask(host: Host, timeout_s: float = 5.0) -> NodeStatus:
    async def once() -> NodeStatus:
        client = NodeClient(host, timeout_s=timeout_s)
        try:
            return await client.status()
        finally:
            await client.close()

    return asyncio.run(once())


def refusal(host: Host, timeout_s: float = 5.0) -> HeliographError:
    with pytest.raises(HeliographError) as caught:
        ask(host, timeout_s)
    return caught.value


def test_a_status_arrives_whole(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    assert ask(fake.host).cameras[0].captured == 120


def test_the_token_is_sent_and_no_compression_is_asked_for(start_node: Callable[..., Any], token_file: Path) -> None:
    fake = start_node()
    ask(dataclasses.replace(fake.host, token_file=str(token_file)))
    path, headers = fake.asked[0]
    assert (path, headers["Authorization"], headers["Accept-Encoding"]) == ("/v1/status", "Bearer s3cret", "identity")


def test_fields_of_a_newer_release_are_ignored(start_node: Callable[..., Any]) -> None:
    fake = start_node(moon={"phase": 0.3}, cameras=[{"name": "roof", "state": "ok", "lens": "fish"}])
    assert ask(fake.host).cameras[0].name == "roof"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"hello", b"{", b'{"node": 3}', b"\xff\xfe", b"[" * 100_000, b"<html></html>",
        json.dumps({"node": "reykjavik", "state": "splendid"}).encode(),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_status_is_said_to_be_none(start_node: Callable[..., Any], body: bytes) -> None:
    fake = start_node()
    fake.body = body
    assert isinstance(refusal(fake.host), NodeAnswerWrong)


def test_the_wrong_field_is_named(start_node: Callable[..., Any]) -> None:
    fake = start_node(cameras=[{"name": "main", "state": "ok", "due": "many"}])
    assert "cameras.0.due" in refusal(fake.host).detail


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**400])
@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("last_event_id", lambda number: {"last_event_id": number}),
        ("disk", lambda number: {"disk": {"total_bytes": 1, "free_bytes": number, "level": "ok"}}),
        ("cameras", lambda number: {"cameras": [{"name": "main", "state": "ok", "interval_s": str(number)}]}),
    ],
)
def test_a_number_that_no_machine_reckons_with_is_no_answer(
    start_node: Callable[..., Any], field: str, changes: Callable[[int], dict[str, Any]], number: int
) -> None:
    assert refusal(start_node(**changes(number)).host).detail == f"{field}: a number of more than 64 bits"


def test_the_largest_numbers_are_taken(start_node: Callable[..., Any]) -> None:
    assert ask(start_node(last_event_id=2**63 - 1, alerts_total=-(2**63)).host).last_event_id == 2**63 - 1


def test_neither_is_such_an_event_or_a_free_answer() -> None:
    assert parse_event({"data": json.dumps({"id": 1, "at": "", "kind": "gap", "body": {"n": [10**300]}})}) is None
    with pytest.raises(NodeAnswerWrong, match="deep: a number"):
        understood(b'{"deep": [{"n": 1%s}]}' % (b"0" * 300), OBJECT.validate_json)


def test_a_body_of_more_than_a_megabyte_is_not_read_to_its_end(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    fake.body = b" " * (BODY_LIMIT_BYTES + 1)
    assert "more than 1,000,000 bytes" in refusal(fake.host).detail


def test_a_compressed_answer_is_not_unpacked(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    fake.headers = {"Content-Encoding": "gzip"}
    fake.body = b"\x1f\x8b" + b"0" * 100
    assert isinstance(refusal(fake.host), NodeAnswerWrong)


def test_another_nodes_answer_is_not_taken_for_this_ones(start_node: Callable[..., Any]) -> None:
    fake = start_node("nairobi")
    assert "calls itself 'nairobi'" in refusal(dataclasses.replace(fake.host, name="cusco")).detail


@pytest.mark.parametrize(
    ("code", "kind"),
    [(401, NodeRefused), (403, NodeRefused), (404, NodeAnswerWrong), (302, NodeAnswerWrong), (503, NodeAnswerWrong)],
)
def test_an_http_error_is_told_apart_by_what_it_means(
    start_node: Callable[..., Any], code: int, kind: type[HeliographError]
) -> None:
    fake = start_node()
    fake.code, fake.headers = code, {"Location": "http://192.0.2.1/"}
    error = refusal(fake.host)
    assert type(error) is kind
    assert f"HTTP {code}" in error.detail


def test_a_problem_body_lends_its_words(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    fake.code = 401
    fake.body = json.dumps({"type": "x", "title": "no valid token", "status": 401, "code": "API-001"}).encode()
    assert refusal(fake.host).detail == "HTTP 401: API-001 no valid token"


def test_nobody_listening_is_unreachable(start_node: Callable[..., Any]) -> None:
    assert isinstance(refusal(Host("cam", "127.0.0.1", 1, "http")), NodeUnreachable)


def test_an_address_that_is_no_name_is_unreachable() -> None:
    assert isinstance(refusal(Host("cam", "no..such..host", 8460, "http")), NodeUnreachable)


def test_speaking_tls_to_a_plain_server_is_unreachable_and_says_why(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    error = refusal(dataclasses.replace(fake.host, scheme="https"))
    assert isinstance(error, NodeUnreachable)
    assert error.detail.startswith("TLS: ")


def test_a_node_that_never_answers_costs_no_more_than_its_time(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    fake.delay = threading.Event()
    assert refusal(fake.host, timeout_s=0.2).detail == "no answer within 0.2 s"
    fake.delay.set()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"), (b" \n", "is empty"), (b"two words", "something else"),
        (b"two\nlines", "something else"), (b"caf\xc3\xa9", "something else"), (b"\xff\xfe\x00", "something else"),
        (b"a\x00b", "something else"),
    ],
)  # fmt: skip
def test_an_unusable_token_file_is_named_in_plain_words_and_nothing_is_sent(
    start_node: Callable[..., Any], tmp_path: Path, content: bytes | None, words: str
) -> None:
    fake, path = start_node(), tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    error = refusal(dataclasses.replace(fake.host, token_file=str(path)))
    assert isinstance(error, ConsoleFileUnusable)
    assert error.detail.startswith(f"token file {path}")
    assert words in error.detail
    assert "Error" not in error.detail
    assert fake.asked == []


@pytest.mark.parametrize("path", ["~nobody-by-that-name/token", "a\x00b"])
def test_a_token_file_of_an_impossible_path_is_named_too(start_node: Callable[..., Any], path: str) -> None:
    fake = start_node()
    assert refusal(dataclasses.replace(fake.host, token_file=path)).code == "FLT-009"
    assert fake.asked == []


def test_an_unusable_certificate_file_is_named(start_node: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    for words in ("No such file", "holds no certificates"):
        error = refusal(Host("cam", "127.0.0.1", 1, "https", ca_file=str(path)))
        assert isinstance(error, ConsoleFileUnusable)
        assert str(path) in error.detail
        assert words in error.detail
        path.write_text("no certificate")


def listen(host: Host, after: int, count: int) -> list[tuple[int, str]]:
    async def some() -> list[tuple[int, str]]:
        client, heard = NodeClient(host), []
        try:
            async for event in client.events(after):
                heard.append((event.id, event.kind))
                if len(heard) == count:
                    break
        finally:
            await client.close()
        return heard

    return asyncio.run(some())


def test_events_come_in_order_and_resume_where_asked(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    fake.events.put(b"retry: 3000\n\n: beat\n\n")
    fake.tells(8, "gap", camera="main")
    fake.events.put(b'event: reset\ndata: {"oldest": 1, "newest": 2}\n\nid: 9\r\ndata: [1]\r\n\r\n')
    fake.tells(10, "frame", camera="main")
    assert listen(fake.host, 7, 3) == [(8, "gap"), (0, "reset"), (10, "frame")]
    assert fake.asked[0][1]["Last-Event-ID"] == "7"


def test_an_event_without_an_end_closes_the_stream(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    for _ in range(3):
        fake.events.put(b"data: " + b"x" * 40_000)
    with pytest.raises(NodeAnswerWrong):
        listen(fake.host, 0, 1)


def test_an_event_of_endless_lines_closes_the_stream(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    for _ in range(4):
        fake.events.put(b"data: xxxxxxxxxxxxxxxxxxxxxxx\n" * 1000)
    with pytest.raises(NodeAnswerWrong):
        listen(fake.host, 0, 1)


@pytest.mark.parametrize("data", ["", "[]", "{", '{"id": "x"}', "[" * 50_000])
def test_a_block_that_is_no_event_is_passed_over(data: str) -> None:
    assert parse_event({"id": "3", "data": data}) is None


# --- what else is asked -----------------------------------------------------------------------------------------------

FRAME = "01ARZ3NDEKTSV4RRFF1A2B3C4D"
SMALL, IMAGE, ORDER = f"/v1/frames/{FRAME}/small", f"/v1/frames/{FRAME}/image", "/v1/cameras/main/capture"
JPEG = b"\xff\xd8\xff\xe0picture"


def asked(host: Host, ask: Callable[[NodeClient], Awaitable[Any]], timeout_s: float = 5.0) -> Any:
    async def once() -> Any:
        client = NodeClient(host, timeout_s=timeout_s)
        try:
            return await ask(client)
        finally:
            await client.close()

    return asyncio.run(once())


def list_frames(client: NodeClient) -> Awaitable[Any]:
    return client.fetch("/v1/frames", Page[FrameRecord], {"limit": "1"})


def picture(client: NodeClient) -> Awaitable[Any]:
    return client.picture(FRAME)


def order(client: NodeClient) -> Awaitable[Any]:
    return client.order(ORDER, {"profile": "night"}, "key-1")


async def original(client: NodeClient) -> bytes:
    return b"".join([piece async for piece in client.original(FRAME)])


WAYS = (
    ("GET /v1/frames", list_frames), (f"GET {SMALL}", picture), (f"GET {IMAGE}", original), (f"POST {ORDER}", order),
)  # fmt: skip
JSON_WAYS = (WAYS[0], WAYS[3])
Way = Callable[[NodeClient], Awaitable[Any]]


def test_a_list_arrives_as_records_and_its_query_is_sent(start_node: Callable[..., Any]) -> None:
    fake = start_node()
    fake.answers("GET /v1/frames", {"items": [{"id": FRAME, "moon": 3}], "next": None})
    assert asked(fake.host, list_frames).items[0].id == FRAME
    assert fake.asked[0][0] == "/v1/frames?limit=1"


def test_pictures_arrive_as_bytes(start_node: Callable[..., Any], answer: Any) -> None:
    fake = start_node()
    fake.answers(f"GET {SMALL}", answer(JPEG))
    fake.answers(f"GET {IMAGE}", answer(JPEG * 100_000))
    assert (asked(fake.host, picture), asked(fake.host, original)) == (JPEG, JPEG * 100_000)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xd8", {"a": 1}])
def test_what_is_no_picture_is_said_to_be_none(start_node: Callable[..., Any], answer: Any, body: Any) -> None:
    fake = start_node()
    fake.answers(f"GET {SMALL}", answer(body))
    with pytest.raises(NodeAnswerWrong, match="no JPEG"):
        asked(fake.host, picture)


def test_an_order_carries_key_body_and_token(start_node: Callable[..., Any], token_file: Path) -> None:
    fake = start_node()
    fake.answers(f"POST {ORDER}", {"id": FRAME})
    assert asked(dataclasses.replace(fake.host, token_file=str(token_file)), order) == {"id": FRAME}
    assert fake.orders == [(ORDER, "key-1", {"profile": "night"})]
    assert fake.asked[0][1]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(("route", "way"), WAYS)
def test_the_nodes_own_problem_is_kept_and_made_fit_for_a_terminal(
    start_node: Callable[..., Any], route: str, way: Way
) -> None:
    fake = start_node()
    fake.refuses(route, 409, "JOB-004", "job is not in a state for that", "\x1b[2J" + "x" * 5000, "only a dead one")
    with pytest.raises(OrderRefused) as caught:
        asked(fake.host, way)
    error = caught.value
    assert (error.theirs, error.about, error.advice) == ("JOB-004", "job is not in a state for that", "only a dead one")
    assert error.lines()[1] == "  hint: only a dead one"
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400


def test_the_fields_that_a_node_finds_wrong_are_named(start_node: Callable[..., Any], make_problem: Any) -> None:
    fake = start_node()
    fault = {"path": "profile", "message": "no such profile in the document", "given": "moon"}
    wrong = make_problem(422, "API-004", "request is invalid")
    wrong.body["errors"] = [fault] * 1000
    fake.answers(f"POST {ORDER}", wrong)
    with pytest.raises(
        OrderRefused, match="request is invalid: profile: no such profile in the document; prof"
    ) as caught:
        asked(fake.host, order)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("route", "way"), WAYS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_told_apart_from_a_refused_order(
    start_node: Callable[..., Any], route: str, way: Way, status: int
) -> None:
    fake = start_node()
    fake.refuses(route, status, "API-001", "no valid token")
    with pytest.raises(NodeRefused, match=f"HTTP {status}: API-001 no valid token"):
        asked(fake.host, way)


@pytest.mark.parametrize(("route", "way"), WAYS)
@pytest.mark.parametrize("status", [302, 404, 500, 503])
def test_an_error_that_is_no_problem_of_a_node_is_no_answer_of_one(
    start_node: Callable[..., Any], answer: Any, route: str, way: Way, status: int
) -> None:
    fake = start_node()
    fake.answers(route, answer(b"<html>oops</html>", status, {"Location": "http://192.0.2.1/"}))
    with pytest.raises(NodeAnswerWrong, match=f"HTTP {status}$"):
        asked(fake.host, way)


@pytest.mark.parametrize(("route", "way"), JSON_WAYS)
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"items": 3}'[:-1]])
def test_what_is_no_object_is_no_answer(
    start_node: Callable[..., Any], answer: Any, route: str, way: Way, body: bytes
) -> None:
    fake = start_node()
    fake.answers(route, answer(body))
    with pytest.raises(NodeAnswerWrong):
        asked(fake.host, way)


@pytest.mark.parametrize(("route", "way"), [*JSON_WAYS, WAYS[1]])
def test_ten_megabytes_are_not_read_to_their_end(
    start_node: Callable[..., Any], answer: Any, route: str, way: Way
) -> None:
    fake = start_node()
    fake.answers(route, answer(JPEG + b" " * 10_000_000))
    with pytest.raises(NodeAnswerWrong, match="more than 1,000,000 bytes"):
        asked(fake.host, way)


def test_an_original_without_an_end_is_left(
    start_node: Callable[..., Any], answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ORIGINAL_LIMIT_BYTES", 1000)
    fake = start_node()
    fake.answers(f"GET {IMAGE}", answer(JPEG * 1000))
    with pytest.raises(NodeAnswerWrong, match="more than 1,000 bytes"):
        asked(fake.host, original)


@pytest.mark.parametrize(("route", "way"), [*JSON_WAYS, WAYS[1]])
def test_an_answer_that_drips_costs_no_more_than_its_time(
    start_node: Callable[..., Any], answer: Any, monkeypatch: pytest.MonkeyPatch, route: str, way: Way
) -> None:
    monkeypatch.setattr(client, "ORDER_TIMEOUT_S", 0.2)
    monkeypatch.setattr(client, "PICTURE_TIMEOUT_S", 0.2)
    fake = start_node()
    fake.answers(route, answer(JPEG * 1000, drip_s=0.05))
    with pytest.raises(NodeUnreachable, match=r"no answer within 0.2 s"):
        asked(fake.host, way, 0.2)


@pytest.mark.parametrize(("route", "way"), WAYS)
def test_a_connection_that_is_cut_is_unreachable(
    start_node: Callable[..., Any], answer: Any, route: str, way: Way
) -> None:
    fake = start_node()
    fake.answers(route, answer(b"", lost=True))
    with pytest.raises(NodeUnreachable):
        asked(fake.host, way)
    assert len(fake.asked) == 1  # an order is not sent again by itself


def test_an_original_cut_in_the_middle_is_unreachable(start_node: Callable[..., Any], answer: Any) -> None:
    fake = start_node()
    fake.answers(f"GET {IMAGE}", answer(JPEG, headers={"Content-Length": "1000", "Connection": "close"}))
    with pytest.raises(NodeUnreachable):
        asked(fake.host, original, 0.5)


def test_a_client_rests_only_when_nothing_is_under_way(start_node: Callable[..., Any]) -> None:
    fake = start_node()

    async def whole() -> None:
        client = NodeClient(fake.host)
        await client.rest()
        await client.status()
        fake.delay = threading.Event()
        asking = asyncio.create_task(client.status())
        async with asyncio.timeout(5):
            while len(fake.asked) < 2:  # noqa: ASYNC110 - what is waited for happens in another thread
                await asyncio.sleep(0.01)
        await client.rest()
        fake.delay.set()
        assert (await asking).node == "reykjavik"
        await client.rest()
        assert client._lines == []
        await client.close()

    asyncio.run(whole())


def test_a_heavy_event_is_kept_light_and_says_so() -> None:
    nested: dict[str, Any] = {"list": [[] for _ in range(15_000)], "camera": "north", "words": "x" * 9000, "count": 7}
    heavy = {
        "id": 3,
        "at": "z" * 99,
        "kind": "gap",
        "body": nested | {f"field-{number}" * 9: 1 for number in range(99)},
    }
    event = parse_event({"data": json.dumps(heavy)})
    assert event is not None
    assert (event.id, event.kind, event.body["camera"], event.body["count"]) == (3, "gap", "north", 7)
    assert event.body["cut"].startswith("from ")
    assert len(event.model_dump_json()) < KEPT_BYTES
    assert event.body["words"].endswith("…")


def test_a_long_event_that_is_not_too_long_is_kept_as_it_came() -> None:
    body = {"words": "x" * 8000}
    event = parse_event({"data": json.dumps({"id": 3, "at": "", "kind": "gap", "body": body})})
    assert event is not None
    assert event.body == body


@pytest.mark.parametrize("noise", [b": beat\n", b"data: {}\n\n", b"\n", b"nonsense\n\n"])
def test_what_is_no_event_is_read_no_faster_than_events_are(monkeypatch: pytest.MonkeyPatch, noise: bytes) -> None:
    breaths: list[float] = []
    event = b'data: {"id": 7, "at": "", "kind": "gap"}\n\n'

    async def breathe(seconds: float) -> None:
        breaths.append(seconds)

    class Response:
        extensions: Mapping[str, object] = MappingProxyType({})

        async def aiter_raw(self) -> AsyncIterator[bytes]:
            yield noise * (2 * BLOCKS_BURST)
            yield event

    @asynccontextmanager
    async def answers(*_: object, **__: object) -> AsyncIterator[Response]:
        yield Response()

    async def whole() -> list[int]:
        monkeypatch.setattr(client.asyncio, "sleep", breathe)
        talker = NodeClient(Host("cam", "127.0.0.1", 1))
        monkeypatch.setattr(talker, "_ask", answers)
        return [each.id async for each in talker.events(0)]

    assert asyncio.run(whole()) == [7]
    assert breaths[:2] == [BLOCKS_BREATH_S] * 2


def test_the_lines_of_an_event_are_one_text() -> None:
    class Response:
        async def aiter_raw(self) -> AsyncIterator[bytes]:
            yield b"id: 1\ndata: a\ndata: b\nevent: gap\n\ndata: c\n\n"

    async def whole() -> list[dict[str, str]]:
        return [block async for block in client._blocks(cast("Any", Response()))]

    assert asyncio.run(whole()) == [{"id": "1", "data": "a\nb", "event": "gap"}, {"data": "c"}]
