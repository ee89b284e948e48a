"""What becomes of orders, in words, and what is kept of it."""

from __future__ import annotations

import shlex

import pytest

from console.fleet.acts import DEEDS, Aim, Deed, Options, Outcome, Step
from console.fleet.keep import LONGEST_LINE_BYTES
from console.fleet.orders import LOGGED_AT_ONCE, Fate, Order, counted, hold_time, logged, undoing
from console.fleet.text import several


def order(number: int = 0, node: str = "cam") -> Order:
    aim = Aim(f"{node}-{number:04d}", "main")
    return Order(Step(Deed.RESTART, aim, "/v1/cameras/main/restart", {}, f"{aim.node}: restart camera main (ok)"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", None), ("  ", None), ("90", 90), ("90s", 90), ("30m", 1800), (" 2h ", 7200), ("1d", 86400)],
)
def test_a_hold_lasts_as_long_as_was_typed(text: str, seconds: int | None) -> None:
    assert hold_time(text) == seconds


@pytest.mark.parametrize("text", ["0", "0m", "-1", "1.5h", "soon", "1w", "1234567", "٣m", "1h 30m", "9" * 9999])
def test_what_is_no_length_of_time_is_refused_in_few_words(text: str) -> None:
    with pytest.raises(ValueError, match="is no length of time: 30m, 2h, 1d") as refused:
        hold_time(text)
    assert len(str(refused.value)) < 80


def test_outcomes_are_counted_and_what_did_not_happen_is_not_named() -> None:
    orders = [order(number) for number in range(4)]
    assert counted([]) == "0 done"
    orders[0].settle(Outcome(orders[0].step.aim, ok=True, said="restarted"))
    orders[1].settle(Outcome(orders[1].step.aim, ok=False, said="no route", code="FLT-002"))
    orders[2].give_up(sent=True)
    orders[3].give_up(sent=False)
    assert counted(orders) == "1 done, 1 failed, 1 unknown, 1 not sent"
    assert [each.line() for each in orders] == [
        "cam-0000/main: restarted",
        "cam-0001/main: failed: FLT-002 no route",
        "cam-0002/main: may still be on its way",
        "cam-0003/main: not sent",
    ]


def test_an_order_without_an_answer_has_not_failed() -> None:
    lost = order()
    lost.settle(Outcome(lost.step.aim, ok=False, said="no answer; it may have been done", code="FLT-002", unknown=True))
    assert (lost.fate, counted([lost])) == (Fate.UNKNOWN, "0 done, 1 unknown")
    assert lost.line() == "cam-0000/main: FLT-002 no answer; it may have been done"


def test_signs_of_outcomes_differ_in_ascii_too() -> None:
    assert len({fate.value[0] for fate in Fate}) == len(Fate)
    assert len({fate.value[1] for fate in Fate}) == len(Fate)
    assert all(fate.value[1].isascii() for fate in Fate)


def test_every_deed_says_how_it_is_undone() -> None:
    assert all(undoing(kind) for kind in DEEDS.values())
    assert undoing(DEEDS[Deed.HOLD]) == "heliograph resume"


def test_one_is_one_and_more_are_several() -> None:
    assert [several(count, "node") for count in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]


def test_orders_to_thousands_of_nodes_are_logged_as_commands_that_can_be_run() -> None:
    orders = [order(number, "c" * 58) for number in range(1000)]
    entries = list(logged(Deed.HOLD, orders, Options(reason="x" * 200, inventory="/" + "i" * 200)))
    named = [word for line, _ in entries for word in shlex.split(line) if "/main" in word]
    assert named == [str(each.step.aim) for each in orders]
    assert len(entries) == -(-len(orders) // LOGGED_AT_ONCE)
    assert all(len(line) + len(outcome) + 400 < min(40_000, LONGEST_LINE_BYTES) for line, outcome in entries)
    assert all(outcome.startswith("0 done; ") for _, outcome in entries)
