from __future__ import annotations

import json

from node.wire.stream import (
    GREETING,
    HEARTBEAT,
    Goodbye,
    Reset,
    StreamEvent,
    event_block,
    goodbye_block,
    reset_block,
)


def fields(block: bytes) -> dict[str, str]:
    assert block.endswith(b"\n\n")
    return dict(line.split(": ", 1) for line in block.decode().strip().splitlines())


def test_a_block_is_three_lines_whatever_its_data_holds() -> None:
    event = StreamEvent(id=7, at="2026-11-18T11:06:40.123Z", kind="gap", body={"text": "a\nb\r\u2028ü: data\n\nid: 9"})
    found = fields(event_block(event))
    assert (found["id"], found["event"]) == ("7", "gap")
    assert event_block(event).count(b"\n") == 4
    assert StreamEvent.model_validate_json(event_block(event).decode().split("data: ")[1]) == event


def test_whoever_comes_back_after_a_reset_misses_nothing_that_is_left() -> None:
    found = fields(reset_block(Reset(oldest=7, newest=20)))
    assert (found["id"], found["event"], json.loads(found["data"])) == ("6", "reset", {"oldest": 7, "newest": 20})
    assert fields(reset_block(Reset(oldest=0, newest=0)))["id"] == "0"


def test_a_goodbye_moves_no_id() -> None:
    assert fields(goodbye_block(Goodbye(reason="slow"))) == {"event": "goodbye", "data": '{"reason":"slow"}'}


def test_heartbeat_and_greeting_carry_no_event() -> None:
    assert HEARTBEAT.startswith(b":")
    assert fields(GREETING) == {"retry": "3000"}
