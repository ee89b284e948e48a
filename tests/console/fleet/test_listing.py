"""A list: order, filter, marks, and a cursor that stays with its row."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.fleet.filter import Field, Fields
from console.fleet.listing import SLICES, Kind, Listing


@dataclass
class Thing:
    name: str
    size: float | None = None
    colour: str = ""


FIELDS: Fields[Thing] = Fields(
    {"name": Field("", text=lambda row: row.name), "size": Field("", number=lambda row: row.size)},
    lambda row: (row.name, row.colour),
)
THINGS: Kind[Thing] = Kind(
    "things",
    FIELDS,
    {"name": lambda row: row.name, "size": lambda row: row.size, "colour": lambda row: row.colour},
    ("size", "name"),
)


class Shelf:
    def __init__(self, *things: Thing) -> None:
        self.things = {thing.name: thing for thing in things}
        self.reads = 0
        self.listing = Listing[Thing](THINGS, self.read)
        self.refresh()

    def read(self, key: str) -> Thing | None:
        self.reads += 1
        return self.things.get(key)

    def refresh(self, *changed: str, hold: bool = False) -> tuple[str, ...]:
        self.listing.refresh(self.things, changed, hold=hold)
        return self.listing.keys


def shelf() -> Shelf:
    return Shelf(Thing("b", 2, "red"), Thing("a", 2, "blue"), Thing("c", 1, "red"), Thing("d", None, "red"))


def test_it_is_sorted_two_keys_deep_and_what_is_not_known_comes_last_either_way() -> None:
    one = shelf()
    assert one.listing.keys == ("c", "a", "b", "d")
    one.listing.reverse()
    assert one.refresh() == ("a", "b", "c", "d")
    one.listing.sort_by("colour")
    assert one.listing.order == ("colour", "-size")
    assert one.refresh() == ("a", "b", "c", "d")
    one.listing.sort_by("-name")
    assert one.refresh() == ("d", "c", "b", "a")
    with pytest.raises(KeyError):
        one.listing.sort_by("weight")


def test_a_filter_that_is_wrong_leaves_the_last_result_and_says_why() -> None:
    one = shelf()
    one.listing.filter_by("red")
    assert one.refresh() == ("c", "b", "d")
    one.listing.filter_by("weight>3")
    assert one.refresh() == ("c", "b", "d")
    assert "no field weight" in one.listing.error
    assert (one.listing.text, one.listing.passing) == ("weight>3", "red")
    one.listing.filter_by("")
    assert (len(one.refresh()), one.listing.error) == (4, "")


def test_the_cursor_stays_with_its_row_and_takes_the_line_of_one_that_goes() -> None:
    one = shelf()
    one.listing.move(1)
    assert one.listing.cursor == "a"
    one.things["a"].size = 0
    assert one.refresh("a") == ("a", "c", "b", "d")
    assert (one.listing.cursor, one.listing.row) == ("a", 0)
    one.listing.move(2)
    del one.things["b"]
    assert one.refresh() == ("a", "c", "d")
    assert one.listing.cursor == "d"
    one.listing.move(99)
    one.listing.move(-99)
    assert one.listing.cursor == "a"


def test_while_held_rows_stay_but_what_no_longer_exists_goes() -> None:
    one = shelf()
    one.things["d"].size = 0
    del one.things["a"]
    assert one.refresh("d", hold=True) == ("c", "b", "d")
    assert one.listing.held
    assert one.refresh() == ("d", "c", "b")
    assert not one.listing.held


def test_a_row_that_comes_while_held_waits() -> None:
    one = shelf()
    one.things["e"] = Thing("e", 0)
    assert one.refresh("e", hold=True) == ("c", "a", "b", "d")
    assert one.refresh() == ("e", "c", "a", "b", "d")


def test_marks_are_of_rows_and_an_action_gets_them_all() -> None:
    one = shelf()
    assert one.listing.chosen() == ["c"]
    one.listing.mark()
    one.listing.move(2)
    one.listing.mark_range()
    assert one.listing.chosen() == ["a", "b", "c"]
    one.listing.mark_invert()
    assert one.listing.chosen() == ["d"]
    one.listing.filter_by("name:a,b")
    one.refresh()
    assert one.listing.chosen() == ["d"], "what is marked and out of sight is still meant"
    one.listing.mark_all()
    one.listing.show_marked(only=True)
    assert one.refresh() == ("a", "b")
    del one.things["d"]
    one.refresh()
    assert one.listing.chosen() == ["a", "b"], "what is gone is marked no longer"
    one.listing.mark_none()
    assert (one.refresh(), one.listing.chosen()) == (("a", "b"), ["b"])


@pytest.mark.parametrize("forgets", ["filter", "sort", "reverse"])
def test_a_marked_row_that_goes_as_a_filter_is_typed_is_marked_no_longer(forgets: str) -> None:
    one = shelf()
    one.listing.mark_all()
    del one.things["d"]
    forget = {"filter": lambda: one.listing.filter_by("name:a"), "sort": lambda: one.listing.sort_by("name"),
              "reverse": one.listing.reverse}  # fmt: skip
    forget[forgets]()
    one.refresh()
    assert one.listing.chosen() == ["a", "b", "c"]


def test_an_empty_list_can_be_moved_and_marked_in() -> None:
    one = Shelf()
    one.listing.move(3)
    one.listing.mark()
    one.listing.mark_range()
    one.listing.mark_all()
    assert (one.listing.cursor, one.listing.chosen(), one.listing.current()) == (None, [], None)


def test_of_many_rows_only_the_changed_and_a_part_of_the_rest_are_looked_at() -> None:
    one = Shelf(*(Thing(f"{number:04d}", number) for number in range(800)))
    for _ in range(SLICES):
        one.reads = 0
        one.refresh("0007", "0009")
        assert one.reads <= 800 / SLICES + 2
    one.things["0400"].size = -1
    for _ in range(SLICES):
        one.refresh()
    assert one.listing.keys[0] == "0400", "what changes by time alone is seen within some refreshes"


@given(st.integers(0, 2**32), st.lists(st.sampled_from(["add", "go", "change", "filter", "sort", "move"]), max_size=40))
def test_it_always_shows_what_a_plain_sort_and_filter_would(seed: int, steps: list[str]) -> None:
    dice, one = random.Random(seed), shelf()
    for step in steps:
        name = dice.choice("abcdefgh")
        match step:
            case "add" | "change":
                one.things[name] = Thing(name, dice.choice([None, 1, 2, 3]), dice.choice(["red", "blue"]))
            case "go":
                one.things.pop(name, None)
            case "filter":
                one.listing.filter_by(dice.choice(["", "red", "size>1", "!/a/"]))
            case "sort":
                one.listing.sort_by(dice.choice(["name", "size", "-size", "-name"]))
            case "move":
                one.listing.move(dice.randint(-3, 3))
        cursor = one.listing.cursor
        found = one.refresh(*one.things)
        tests = {"": lambda _: True, "red": lambda t: "red" in t.colour, "!/a/": lambda t: "a" not in t.name,
                 "size>1": lambda t: t.size is not None and t.size > 1}  # fmt: skip
        things = [thing for thing in one.things.values() if tests[one.listing.passing](thing)]
        for key in reversed(one.listing.order):
            field = key.removeprefix("-")
            known = [thing for thing in things if getattr(thing, field) is not None]
            known.sort(key=lambda thing, field=field: getattr(thing, field), reverse=key.startswith("-"))  # type: ignore[misc]
            things = known + [thing for thing in things if getattr(thing, field) is None]
        assert sorted(found) == sorted(thing.name for thing in things)
        first = one.listing.order[0].removeprefix("-")
        assert [getattr(one.things[key], first) for key in found] == [getattr(thing, first) for thing in things]
        assert (cursor not in found) or one.listing.cursor == cursor
