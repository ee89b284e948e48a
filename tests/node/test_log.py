"""Structured lines: bounded, unbreakable, without secrets."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from node import log
from node.domain.errors import DiskFull
from node.domain.events import GapRecorded

PART = logging.getLogger("node.work.capture")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    log.start("info", node="pi-7", stream=written)
    yield written
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _fill() -> None:
    raise DiskFull("frames: No space left")


def test_a_line_says_when_how_grave_which_part_what_and_which_node(stream: io.StringIO) -> None:
    PART.info("kept %s", "one")
    [line] = _lines(stream)
    assert line.pop("ts").endswith("Z")
    assert line == {"level": "info", "part": "work.capture", "msg": "kept one", "node": "pi-7"}


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    PART.debug("not this")
    assert stream.getvalue() == ""


def test_libraries_are_heard_when_something_is_wrong_and_without_their_colours(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.error").warning("odd", extra={"color_message": "odd"})
    [line] = _lines(stream)
    assert (line["part"], line["msg"]) == ("uvicorn.error", "odd")
    assert "color_message" not in line


def test_ids_come_from_what_the_work_is_about_and_from_the_call(stream: io.StringIO) -> None:
    with log.about(frame="01F", camera="main"), log.about(request="r1"):
        PART.info("inside", extra={"camera": "side", "took_ms": 3, "nothing": None})
    PART.info("outside")
    inside, outside = _lines(stream)
    assert (inside["frame"], inside["camera"], inside["request"], inside["took_ms"]) == ("01F", "side", "r1", 3)
    assert "nothing" not in inside
    assert "frame" not in outside


def test_a_line_of_its_own_names_cannot_be_overwritten_by_a_value(stream: io.StringIO) -> None:
    with log.about(msg="forged", node="other"):
        PART.info("true")
    [line] = _lines(stream)
    assert (line["msg"], line["node"]) == ("true", "pi-7")


def test_a_strangers_text_breaks_no_line_and_colours_no_terminal(stream: io.StringIO) -> None:
    PART.info("name %s", 'a\n{"level": "error"}\x1b[31m\u2028\u202eb', extra={"given": "c\r\x00d\ud800"})
    [line] = _lines(stream)
    assert stream.getvalue().count("\n") == 1
    assert line["msg"] == 'name a\\n{"level": "error"}\\x1b[31m\\u2028\\u202eb'
    assert line["given"] == "c\\r\\x00d\\ud800"


def test_long_values_and_lists_are_cut(stream: io.StringIO) -> None:
    PART.info("x" * 5000, extra={"rows": list(range(500))})
    [line] = _lines(stream)
    assert line["msg"].endswith("... (5000 characters)")
    assert len(line["msg"]) < 2100
    assert len(line["rows"]) == 50


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("open rtsp://user:pass@10.0.0.1/live", "open rtsp://***@10.0.0.1/live"),
        ("GET /v1/events?token=abc&x=1", "GET /v1/events?token=***&x=1"),
        ("password = hunter2, next", "password = ***, next"),
        ("http://10.0.0.1:8080/x@y", "http://10.0.0.1:8080/x@y"),
    ],
)
def test_secrets_in_text_are_starred(text: str, written: str) -> None:
    assert log.sanitise(text) == written


def test_secrets_by_name_are_starred_at_any_depth(stream: io.StringIO) -> None:
    PART.info("put", extra={"headers": {"Authorization": "Bearer x", "Accept": "y"}, "api_token": "z"})
    [line] = _lines(stream)
    assert line["headers"] == {"Authorization": "***", "Accept": "y"}
    assert line["api_token"] == "***"


def test_values_keep_their_types(stream: io.StringIO) -> None:
    PART.info("x", extra={"a": 1, "b": 1.5, "c": True, "d": ("x", None), "e": {1}, "f": DiskFull})
    [line] = _lines(stream)
    assert (line["a"], line["b"], line["c"], line["d"], line["e"]) == (1, 1.5, True, ["x", None], [1])
    assert "DiskFull" in line["f"]


def test_an_exception_carries_its_code_its_words_and_where(stream: io.StringIO) -> None:
    try:
        _fill()
    except DiskFull:
        PART.exception("not kept")
    [line] = _lines(stream)
    assert line["code"] == "DSK-001"
    assert "frames: No space left" in line["error"]
    assert line["calls"][-1].startswith("tests/node/test_log.py:")


def test_an_unexpected_exception_has_no_code(stream: io.StringIO) -> None:
    try:
        int("x")
    except ValueError:
        PART.exception("odd")
    [line] = _lines(stream)
    assert "code" not in line
    assert line["error"].startswith("ValueError: ")


def test_an_event_is_a_line_at_its_own_level(stream: io.StringIO) -> None:
    log.write_event(GapRecorded("main", "auto", 60_000_000, "late"), 12)
    [line] = _lines(stream)
    assert (line["level"], line["part"], line["msg"]) == ("warning", "event", "gap")
    assert (line["event"], line["camera"], line["reason"], line["due_us"]) == (12, "main", "late", 60_000_000)


def test_warnings_of_libraries_become_lines(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    assert "old way" in _lines(stream)[0]["msg"]


def test_a_log_that_cannot_be_written_stops_nothing(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    stream.close()
    PART.error("lost")
    assert capsys.readouterr().err == ""
