from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from console.columns.table import Cell, Manner
from console.fleet.asking import Asked
from console.widgets.lines import Line
from console.widgets.pane import Framing, after, pairs, told, wrapped
from node.wire.errors import HeliographError, NodeAnswerWrong, NodeRefused, NodeUnreachable, OrderRefused

FRAMING = Framing(Manner(), 40, 100.0, "Enter asks again")


def asked(*answers: str | HeliographError, at_s: float = 100.0) -> Asked[str]:
    found = Asked[str](5.0)

    async def get(answer: str | HeliographError) -> str:
        if isinstance(answer, HeliographError):
            raise answer
        return answer

    for answer in answers:
        asyncio.run(found.ask(lambda answer=answer: get(answer), lambda: at_s))  # type: ignore[misc]
    return found


def text(of: Asked[str], framing: Framing = FRAMING) -> str:
    lines = told(
        of, lambda value: [Line((Cell(value),))] if value else [], "nothing here: nobody put it there", framing
    )
    return "\n".join("".join(cell.text for cell in line.left) for line in lines)


def styles(of: Asked[str]) -> set[str]:
    return {cell.style for line in told(of, lambda value: [Line((Cell(value),))], "", FRAMING) for cell in line.left}


def test_the_five_looks_are_five() -> None:
    looks = [
        text(asked()),
        text(asked("")),
        text(asked("well", NodeUnreachable("gone"))),
        text(asked(OrderRefused("DSK-001", "disk is full", "", "make room"))),
        text(asked(NodeUnreachable("gone"))),
    ]
    assert len(set(looks)) == 5
    assert looks[0] == "asking…"
    assert looks[1] == "◇ nothing here: nobody put it there"
    assert [look.split()[:2] for look in looks[2:]] == [["◔", "0s"], ["⊘", "refused:"], ["✖", "failed:"]]


@pytest.mark.parametrize("ascii_only", [False, True])
def test_each_look_differs_by_its_word_its_sign_and_its_style(ascii_only: bool) -> None:
    framing = replace(FRAMING, manner=Manner(ascii=ascii_only))
    errors = (NodeRefused("no"), OrderRefused("DSK-001", "no"), NodeUnreachable("no"), NodeAnswerWrong("no"))
    cases = (asked(), asked(""), asked("well", NodeUnreachable("no")), *map(asked, errors))

    def draw(value: str) -> list[Line]:
        return [Line()] if value else []

    heads = [told(of, draw, "nothing here", framing)[0].left[0] for of in cases]
    assert [head.style for head in heads] == ["dim", "idle", "stale", "warn", "warn", "crit", "crit"]
    assert [head.text.split()[1] for head in heads[3:]] == ["refused:", "refused:", "failed:", "failed:"]
    assert len({head.text.split()[0] for head in heads}) == 5
    assert not ascii_only or all(head.text.isascii() for head in heads)


def test_an_old_answer_stays_dim_with_its_age_and_why() -> None:
    old = asked("well", NodeUnreachable("gone"), at_s=58.0)
    assert text(old).splitlines()[0] == "◔ 42s old?"
    assert "FLT-002" in text(old)
    assert text(old).splitlines()[-1] == "well"
    assert styles(old) == {"stale", "warn", "dim"}


def test_trouble_has_code_words_hint_and_the_key_that_asks_again() -> None:
    said = text(asked(OrderRefused("DSK-001", "disk is full", "no room for 3 MB", "make room")))
    assert said == "⊘ refused: DSK-001 disk is full: no room\nfor 3 MB\nmake room\nEnter asks again"
    assert "FLT-004" in text(asked(NodeRefused("HTTP 401")))


def test_a_route_that_an_older_node_does_not_have_is_no_fault() -> None:
    assert text(asked(OrderRefused("API-003", "no such resource"))) == "this node's release does not tell it"


@pytest.mark.parametrize("words", ["", "word", "a b c d", "x" * 500, "many words in a row that are longer than it"])
def test_words_are_broken_and_never_cut(words: str) -> None:
    for width in (0, 8, 13, 40):
        lines = wrapped(words, width)
        assert "".join(lines).replace(" ", "") == words.replace(" ", "")
        assert all(len(line) <= max(8, width) for line in lines)


def test_a_long_value_hangs_beside_its_word() -> None:
    lines = pairs("archive", "one two three four five six seven eight nine", FRAMING)
    assert [len(line.left[0].text) for line in lines] == [10, 10]
    assert lines[1].left[0].text.isspace()
    assert len(after(Cell("12s  "), "", FRAMING)) == 1


def test_without_utf8_nothing_else_is_said() -> None:
    assert text(asked(), Framing(Manner(ascii=True), 40, 0.0)).isascii()


def test_a_pane_that_cannot_be_drawn_says_so_in_place() -> None:
    def draw(_: str) -> list[Line]:
        raise ZeroDivisionError

    said = " ".join(cell.text for line in told(asked("well"), draw, "", FRAMING) for cell in line.left)
    assert "unexpected ZeroDivisionError" in said
    assert "Enter asks again" in said
