"""The filter language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from console.fleet.filter import Field, Fields, FilterWrong, parse, quoted
from console.fleet.inventory import Host
from console.fleet.nodes import FIELDS, select
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable

ALL = ["cam-1", "cam-2", "gate"]


@pytest.fixture
def model(hand: Any, make_status: Callable[..., Any], make_camera: Callable[..., Any]) -> FleetModel:
    model = FleetModel(
        [Host(name, "127.0.0.1", port, "http") for port, name in enumerate(ALL, 1)],
        patience=Patience(), clock=hand.as_clock(),
    )  # fmt: skip
    model.heard("cam-1", make_status("cam-1"))
    camera = make_camera(quality=40, gaps=3, captured=117, last_good_age_s=900.0)
    model.heard("cam-2", make_status("cam-2", state="warn", reasons=["lens is dim"], site="Dam 3", cameras=[camera]))
    for _ in range(3):
        model.failed("gate", NodeUnreachable("no route to host"))
    return model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ALL),
        ("   ", ALL),
        ("cam", ["cam-1", "cam-2"]),
        ("CAM-1", ["cam-1"]),
        ("no.route", []),
        ("route", ["gate"]),
        ("/no.route/", ["gate"]),
        ("/^cam-[2-9]$/", ["cam-2"]),
        ("!/cam/", ["gate"]),
        ("/no route/", ["gate"]),
        ("state:ok", ["cam-1"]),
        ("STATE:OK", ["cam-1"]),
        ("Disk>50", ["cam-1", "cam-2"]),
        ("state:!ok", ["cam-2", "gate"]),
        ("state:warn,unreachable", ["cam-2", "gate"]),
        ("state:!warn,unreachable", ["cam-1"]),
        ("site:dam", ["cam-2"]),
        ("site=dam", []),
        ("site=dam,harbour", ["cam-1"]),
        ("node=cam-1", ["cam-1"]),
        ('site="Dam 3"', ["cam-2"]),
        ('site:"am 3",harbour', ["cam-1", "cam-2"]),
        ('site=!"dam 3"', ["cam-1", "gate"]),
        ('site=""', ["gate"]),
        ('"no route"', ["gate"]),
        ('site="Dam', []),
        ("alert:node.unreachable", ["gate"]),
        ("alert:node", []),
        ("alert:!node.unreachable", ["cam-1", "cam-2"]),
        ("ver:!0.1", ["gate"]),
        ("cause:lens", ["cam-2"]),
        ("q<60", ["cam-2"]),
        ("q>=91", ["cam-1"]),
        ("q=40", ["cam-2"]),
        ("q:40", ["cam-2"]),
        ("disk>50%", ["cam-1", "cam-2"]),
        ("age>10m", ["cam-2"]),
        ("age<=7s", ["cam-1"]),
        ("age<1h", ["cam-1", "cam-2"]),
        ("gaps>0", ["cam-2"]),
        ("due>=120 captured<118", ["cam-2"]),
        ("state:!ok cam", ["cam-2"]),
    ],
)
def test_a_filter_lets_pass_what_it_says(model: FleetModel, text: str, expected: list[str]) -> None:
    assert select(model, text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour:red", "no field colour: there is state"),
        ("state:happy", "no state happy"),
        ("state>2", "state is text"),
        ("site:", "needs a value"),
        ("site:!", "needs a value"),
        ("age>soon", "age> needs a number and one of s m h d, such as age>90s"),
        ("age>1m30s", "and one of s m h d"),
        ("q<", "needs a number, such as q>10"),
        ("/[/", "unterminated"),
        ("/open", "ends with /"),
        ("/", "ends with /"),
        ("cam disk>>3", "needs a number"),
    ],
)
def test_a_filter_that_is_wrong_says_where(text: str, words: str) -> None:
    with pytest.raises(FilterWrong, match=words.replace("[", r"\[")):
        parse(text, FIELDS)


@pytest.mark.parametrize("value", ["", "dam", "Dam 3, north", '"', '""', 'the "Mill"', "!x", "a/b", "/", ' "a" , "b" '])
def test_whatever_a_value_is_it_can_be_asked_for(value: str) -> None:
    fields: Fields[str] = Fields({"it": Field("", text=lambda row: row)}, lambda row: (row,))
    for op in ("=", ":"):
        assert parse(f"it{op}{quoted(value)} it{op}{quoted(value)}", fields)(value)
    assert not parse(f"it={quoted(value)}", fields)(f"{value}x")


def test_many_quotes_take_no_time() -> None:
    fields: Fields[str] = Fields({}, lambda row: (row,))
    assert not parse('"' * 1001, fields)("x")


def test_every_field_reads_one_kind_of_value(model: FleetModel) -> None:
    assert all((field.text is None) != (field.number is None) for field in FIELDS.table.values())


@pytest.mark.parametrize("field", FIELDS.table)
def test_no_field_minds_a_node_that_was_never_heard(model: FleetModel, field: str) -> None:
    value = {"state": "ok", "alerts": "2"}.get(field, "1")  # that it does not answer is one
    assert "gate" not in select(model, f"{field}:{value}")
