"""A fault of the console's own: it is said where it is, and everything else goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.worker import WorkerFailed

from console.screens.base import View
from console.screens.fleet import FleetScreen

Look = Callable[..., None]


def fails(*_: object, **__: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("part", ["update", "crumb", "_next_times"])
def test_a_view_that_fails_says_so_and_lives(
    look: Look, monkeypatch: pytest.MonkeyPatch, broken: list[BaseException], part: str
) -> None:
    async def story(seen: Any) -> None:
        monkeypatch.setattr(FleetScreen, part, fails)
        await seen.press("t")
        assert "internal error: ZeroDivisionError; this view goes on" in seen.lines()[1]
        assert {type(error) for error in broken} == {ZeroDivisionError}
        monkeypatch.undo()
        await seen.press("g", "j")
        assert "jobs" in seen.lines()[1]
        await seen.press("g", "n")
        assert " reykjavik " in seen.text()
        broken.clear()

    look(story)


@pytest.mark.parametrize("typed", [":jobs", "/kyo"])
def test_a_command_and_a_filter_that_fail_leave_it_alive(
    look: Look, monkeypatch: pytest.MonkeyPatch, broken: list[BaseException], typed: str
) -> None:
    async def story(seen: Any) -> None:
        monkeypatch.setattr(FleetScreen, "run_command", fails)
        monkeypatch.setattr(FleetScreen, "filtered", fails)
        await seen.type(typed)
        await seen.press("enter")
        assert "internal error: ZeroDivisionError" in seen.lines()[1]
        assert " reykjavik " in seen.text()
        broken.clear()

    look(story)


def test_work_beside_a_view_that_fails_leaves_it_alive(look: Look, broken: list[BaseException]) -> None:
    async def work() -> None:
        raise ZeroDivisionError

    async def story(seen: Any) -> None:
        view: View = seen.screen
        with pytest.raises(WorkerFailed):
            await view.run_worker(work).wait()
        await seen.settle()
        assert "internal error: ZeroDivisionError" in seen.lines()[1]
        broken.clear()

    look(story)
