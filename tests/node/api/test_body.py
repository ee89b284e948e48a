from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from node.api.body import YAML_BYTES, RawBody, parse_document, parse_object
from node.domain.errors import BodyTooLarge, FieldFault, MediaTypeWrong, RequestInvalid
from tests.apis import Served

PUT = {"If-Match": '"1"', "Content-Type": "application/json"}


def body(text: str | bytes, kind: str = "application/json") -> RawBody:
    return RawBody(kind, text.encode() if isinstance(text, str) else text)


def test_json_and_yaml_say_the_same() -> None:
    document = {"site": {"name": "Süd", "latitude": 47.5}, "schedules": {}}
    assert parse_object(body('{"site": {"name": "Süd", "latitude": 47.5}, "schedules": {}}')) == document
    yaml = "site:\n  name: Süd\n  latitude: 47.5\nschedules: {}\n"
    assert parse_object(body(yaml, "application/yaml")) == document
    assert parse_object(body(yaml, "text/yaml")) == document


def test_no_body_is_an_empty_object() -> None:
    assert parse_object(body("", "")) == {}
    assert parse_object(body(" \n", "text/plain")) == {}


def test_other_media_types_are_not_taken() -> None:
    with pytest.raises(MediaTypeWrong):
        parse_object(body("a=1", "application/x-www-form-urlencoded"))
    with pytest.raises(MediaTypeWrong, match="no Content-Type"):
        parse_object(body("{}", ""))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not JSON"),
        ("[1]", "an object is wanted"),
        ("null", "an object is wanted, not null"),
        ("[" * 33, "more than 32 levels"),
        ('{"\\\\": ' * 33, "more than 32 levels"),
        ('{"a": 1, "b": [' * 20, "more than 32 levels"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1, "a": 2}', "given twice"),
        ("[" * 100_000, "more than 32 levels"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
        ('{"a": "\\ud800"}', "JSON cannot say"),
        (b'{"a": "\xff"}', "not JSON"),
    ],
)
def test_json_that_is_not_wanted_is_refused_in_words(text: str | bytes, part: str) -> None:
    with pytest.raises(RequestInvalid) as raised:
        parse_object(body(text))
    assert part in raised.value.fields[0].message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [1", "not YAML"),
        (
            "a: &x [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
            + "".join(
                f"{n}: &{n} [*{m}, *{m}, *{m}, *{m}, *{m}, *{m}, *{m}]\n"
                for m, n in zip("xbcdefg", "bcdefgh", strict=True)
            ),
            "more than",
        ),
        ("a: 1\na: 2", "written twice"),
        ("a: {b: {1: x}}", "the name 1 is no text"),
        ("a: [{2: x}]", "the name 2 is no text"),
        ("? [1]\n: 2", "not YAML"),
        ("a: !!python/object:os.system x", "not YAML"),
        ("[" * 3000, "more than 32 levels"),
        ("- " * 33 + "x", "more than 32 levels"),
        (b"a: \xff", "not YAML"),
        ("a: 1\n---\nb: 2", "not YAML"),
    ],
)
def test_yaml_that_is_not_wanted_is_refused_in_words(text: str | bytes, part: str) -> None:
    with pytest.raises(RequestInvalid) as raised:
        parse_object(body(text, "application/yaml"))
    assert part in raised.value.fields[0].message


def test_brackets_inside_text_and_beside_each_other_are_no_levels() -> None:
    found = parse_object(body('{"a": "' + "[" * 100 + '\\"{", "b": [' + "{}, " * 100 + "[]]}"))
    assert (found["a"], len(found["b"])) == ("[" * 100 + '"{', 101)


@pytest.mark.parametrize("kind", ["application/json", "application/yaml"])
@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, '{"a":' * 20_000, '"' + "\\" * 100_000])
def test_what_is_nested_without_end_is_refused_at_once(kind: str, text: str) -> None:
    began = time.process_time()
    with pytest.raises(RequestInvalid):
        parse_object(body(text, kind))
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    ("text", "kind"), [("", ""), (" \n", "application/json"), ("null", "application/json"), ("# later\n", "text/yaml")]
)
def test_a_document_has_to_be_said_even_where_it_is_empty(text: str, kind: str) -> None:
    with pytest.raises(RequestInvalid) as raised:
        parse_document(body(text, kind))
    assert raised.value.fields == (FieldFault("(document)", "a document is wanted; {} resets everything"),)
    assert parse_document(body("{}")) == parse_document(body("{}", "text/yaml")) == {}


def test_yaml_reads_as_a_file_does() -> None:
    text = "start: 18:30\nday: 2026-11-20\non: 1"
    assert parse_object(body(text, "application/yaml")) == {"start": "18:30", "day": "2026-11-20", "on": 1}


def test_a_body_over_the_limit_is_refused_by_its_announced_length(api: Served) -> None:
    api.allow(body_limit_bytes=2000)
    refused = api.ask("PUT", "/v1/config", content=b" " * 2001, headers=PUT)
    assert (refused.status_code, refused.json()["code"]) == (413, "API-005")
    assert api.ask("PUT", "/v1/config", content=b" " * 1998 + b"{}", headers=PUT).status_code == 200


def test_a_body_without_an_announced_length_is_refused_while_it_comes(api: Served) -> None:
    api.allow(body_limit_bytes=2000)
    seen = threading.Event()

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1000
        seen.set()

    refused = api.ask("PUT", "/v1/config", content=endless(), headers=PUT)
    assert (refused.status_code, refused.json()["code"]) == (413, "API-005")
    assert api.doer.asked == []


def test_a_body_of_a_stranger_is_not_even_read(api: Served) -> None:
    assert api.ask("PUT", "/v1/config", None, content=b"[" * 5_000_000, headers=PUT).status_code == 401


def test_yaml_that_would_take_long_to_read_is_refused() -> None:
    with pytest.raises(BodyTooLarge):
        parse_object(body("a: " + "x" * YAML_BYTES, "application/yaml"))
