from __future__ import annotations

import asyncio

from console.fleet.asking import AFTER_TROUBLE_S, Asked, Stage
from node.wire.errors import HeliographError, NodeAnswerWrong, NodeRefused, NodeUnreachable, OrderRefused


def ask(asked: Asked[str], answer: str | HeliographError, now_s: float) -> None:
    async def get() -> str:
        if isinstance(answer, HeliographError):
            raise answer
        return answer

    asyncio.run(asked.ask(get, lambda: now_s))


def test_it_is_due_at_once_and_then_at_its_pace() -> None:
    asked = Asked[str](10.0)
    assert asked.due(0.0)
    assert asked.stage(0.0) is Stage.ASKING
    ask(asked, "well", 0.0)
    assert not asked.due(9.9)
    assert asked.due(10.0)
    assert asked.stage(10.0) is Stage.HERE


def test_an_answer_grows_old() -> None:
    asked = Asked[str](10.0)
    ask(asked, "well", 0.0)
    assert asked.stage(30.0) is Stage.HERE
    assert asked.stage(30.1) is Stage.STALE
    assert asked.age_s(30.0) == 30.0


def test_trouble_leaves_the_last_answer_and_waits_longer() -> None:
    asked = Asked[str](5.0)
    ask(asked, "well", 0.0)
    ask(asked, NodeUnreachable("gone"), 5.0)
    assert (asked.value, asked.stage(5.0)) == ("well", Stage.STALE)
    assert not asked.due(5.0 + AFTER_TROUBLE_S - 0.1)
    asked.want()
    assert asked.due(5.0)
    ask(asked, "well again", 6.0)
    assert asked.error is None


def test_the_node_s_own_no_is_another_look_than_silence() -> None:
    looks = []
    for error in (NodeRefused(""), OrderRefused("API-003"), NodeUnreachable("")):
        asked = Asked[str](5.0)
        ask(asked, error, 0.0)
        looks.append(asked.stage(0.0))
    assert looks == [Stage.REFUSED, Stage.REFUSED, Stage.FAILED]


def test_while_it_is_asked_it_is_not_due_and_a_cancelled_one_is_again() -> None:
    asked = Asked[str](0.0)

    async def story() -> None:
        never = asyncio.Event()
        task = asyncio.create_task(asked.ask(never.wait, lambda: 0.0))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert not asked.due(100.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert asked.due(100.0)

    asyncio.run(story())


def test_what_nobody_foresaw_is_a_wrong_answer_and_ends_nothing() -> None:
    asked = Asked[str](5.0)

    async def get() -> str:
        raise KeyError

    asyncio.run(asked.ask(get, lambda: 0.0))
    assert isinstance(asked.error, NodeAnswerWrong)
    assert "unexpected KeyError" in str(asked.error)
    assert asked.due(AFTER_TROUBLE_S)
