"""A fault of the console's own: it is said where it is, and everything else goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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


def test_a_row_that_cannot_be_drawn_leaves_the_others(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(seen: Any) -> None:
        name = next(column for column in seen.screen.TABLE.columns if column.key == seen.screen.TABLE.name)
        real = name.cell

        def cell(row: Any, manner: Any) -> Any:
            return real(row, manner) if row.name != "kyoto" else fails()

        columns = tuple(replace(each, cell=cell) if each is name else each for each in seen.screen.TABLE.columns)
        seen.screen.grid.table = replace(seen.screen.TABLE, columns=columns)
        seen.screen.grid.lay_out()
        await seen.press("j")
        assert "internal error: ZeroDivisionError: kyoto" in seen.text()
        assert all(seen.line_of(other) for other in ("reykjavik", "nairobi", "cusco"))

    look(story)
