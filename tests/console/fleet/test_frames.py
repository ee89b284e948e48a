from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from console.fleet.frames import (
    FRAMES_PATH,
    GAPS_PATH,
    MOST,
    MOST_PAGES,
    FrameRow,
    Roll,
    Turn,
    _after,
    _untils,
    exposure_s,
    frame_row,
    gap_row,
    last_turn,
)
from node.wire.errors import HeliographError, NodeAnswerWrong, NodeUnreachable, OrderRefused
from node.wire.records import FrameRecord, SlotRecord
from node.wire.times import to_text

BEGIN_US = 1_800_000_000_000_000
PAGE = 3


def at(minute: float) -> str:
    return to_text(BEGIN_US + round(minute * 60_000_000))


def frame(minute: float, verdict: str = "good", camera: str = "main", **more: Any) -> dict[str, Any]:
    name = f"01ARZ3NDEKTSV4RRFF{round(minute * 10):08d}"
    return {"id": name, "camera": camera, "captured": at(minute), "due": at(minute), "verdict": verdict, **more}


def gap(minute: float, *, fault: bool = True, camera: str = "main") -> dict[str, Any]:
    why = {"reason": "camera_fault" if fault else "held", "sentence": "It gave no picture.", "fault": fault}
    return {"camera": camera, "profile": "auto", "due": at(minute), **why}


class Ledger:
    """A node's lists as the API gives them: newest first, page by page."""

    def __init__(self, frames: list[dict[str, Any]] = [], gaps: list[dict[str, Any]] = []) -> None:  # noqa: B006
        self.lists = {FRAMES_PATH: list(frames), GAPS_PATH: list(gaps)}
        self.page = PAGE
        self.fails: dict[str, HeliographError] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def fetch(self, path: str, kind: Any, query: Mapping[str, str] | None = None) -> Any:
        wanted = dict(query or {})
        self.asked.append((path, wanted))
        if path in self.fails:
            raise self.fails[path]
        rows = [row for row in self.lists[path] if self._passes(row, wanted)]
        rows.sort(key=lambda row: str(row.get("captured") or row["due"]), reverse=True)
        begin, limit = int(wanted.get("cursor", 0)), int(wanted.get("limit", self.page))
        end = begin + limit
        return kind.model_validate({"items": rows[begin:end], "next": str(end) if end < len(rows) else None})

    @staticmethod
    def _passes(row: dict[str, Any], wanted: Mapping[str, str]) -> bool:
        moment = str(row.get("captured") or row["due"])
        same = all(row.get(name) == wanted[name] for name in ("camera", "verdict") if name in wanted)
        return same and wanted.get("from", "") <= moment < wanted.get("to", "9")


def read(roll: Roll, ledger: Ledger, pages: int = 0) -> list[str]:
    async def whole() -> None:
        await roll.newest(ledger)  # type: ignore[arg-type]
        for _ in range(pages):
            await roll.older(ledger)  # type: ignore[arg-type]

    asyncio.run(whole())
    return [row.at[11:16] for row in roll.rows.values()]


def turn(ledger: Ledger, before: str | None = None) -> Turn:
    return asyncio.run(last_turn(ledger, "reykjavik", "main", before))  # type: ignore[arg-type]


def minutes(row: FrameRow | None) -> float | None:
    return None if row is None else (row.at_us - BEGIN_US) / 60_000_000


def test_frames_and_gaps_stand_in_one_list_newest_first() -> None:
    roll = Roll("reykjavik")
    assert read(roll, Ledger([frame(0), frame(2)], [gap(1)])) == ["08:02", "08:01", "08:00"]
    assert [row.verdict for row in roll.rows.values()] == ["good", "gap", "good"]
    assert not roll.more


def test_nothing_is_shown_from_before_what_both_lists_are_known_to() -> None:
    frames, gaps = [frame(minute) for minute in range(0, 20, 2)], [gap(minute) for minute in range(1, 20, 2)]
    roll = Roll("reykjavik")
    assert len(read(roll, Ledger(frames, gaps))) == 2 * PAGE - 1
    assert roll.more
    assert read(Roll("reykjavik"), Ledger(frames, gaps), pages=9) == [at(minute)[11:16] for minute in range(19, -1, -1)]


def test_a_list_without_gaps_is_read_to_its_end() -> None:
    roll = Roll("reykjavik")
    assert len(read(roll, Ledger([frame(minute) for minute in range(10)]), pages=4)) == 10
    assert not roll.more


def test_new_frames_come_to_those_known_and_a_long_absence_begins_anew() -> None:
    ledger, roll = Ledger([frame(minute) for minute in range(4)]), Roll("reykjavik")
    assert len(read(roll, ledger, pages=1)) == 4
    ledger.lists[FRAMES_PATH].append(frame(4))
    assert read(roll, ledger) == ["08:04", "08:03", "08:02", "08:01", "08:00"]
    ledger.lists[FRAMES_PATH] += [frame(minute) for minute in range(10, 15)]
    assert read(roll, ledger) == ["08:14", "08:13", "08:12"]
    assert roll.more


def test_a_node_that_does_not_tell_its_gaps_shows_its_frames() -> None:
    ledger, roll = Ledger([frame(minute) for minute in range(5)]), Roll("reykjavik")
    ledger.fails[GAPS_PATH] = OrderRefused("API-003", "no such resource")
    assert len(read(roll, ledger, pages=1)) == 5
    assert isinstance(roll.gaps_trouble, OrderRefused)
    del ledger.fails[GAPS_PATH]
    read(roll, ledger)
    assert roll.gaps_trouble is None


def test_an_empty_node_has_no_rows_and_no_more() -> None:
    roll = Roll("reykjavik")
    assert read(roll, Ledger()) == []
    assert not roll.more


def test_an_id_that_could_lead_elsewhere_is_refused() -> None:
    ledger = Ledger([frame(0) | {"id": "../../v1/config"}])
    with pytest.raises(NodeAnswerWrong):
        read(Roll("reykjavik"), ledger)


def test_a_cursor_that_leads_nowhere_new_ends_the_list() -> None:
    class Turning(Ledger):
        async def fetch(self, path: str, kind: Any, query: Mapping[str, str] | None = None) -> Any:
            page = await super().fetch(path, kind, {name: each for name, each in (query or {}).items()
                                                    if name != "cursor"})  # fmt: skip
            return page.model_copy(update={"next": "again"})

    roll = Roll("reykjavik")
    assert len(read(roll, Turning([frame(0), frame(1)], [gap(2)]), pages=2)) == 3
    assert not roll.more


def test_the_list_of_a_node_is_bounded() -> None:
    ledger, roll = Ledger([frame(minute) for minute in range(MOST + 200)]), Roll("reykjavik")
    ledger.page = 10 * MOST
    assert len(read(roll, ledger)) == MOST
    assert not roll.more


# --- when it went bad -------------------------------------------------------------------------------------------------


def test_the_last_good_frame_and_the_first_bad_one_after_it() -> None:
    found = turn(Ledger([frame(0), frame(1), frame(2, "bad"), frame(3, "bad"), frame(3.5, camera="south")]))
    assert (minutes(found.good), minutes(found.bad), found.over) == (1, 2, False)


@pytest.mark.parametrize("first_bad", [5, 90, 1000, 19_000, 40_000])
def test_the_first_bad_frame_is_found_however_long_after(first_bad: int) -> None:
    bad = [frame(first_bad + minute, "bad") for minute in range(2 * PAGE)]
    found = turn(Ledger([frame(0), *bad]))
    assert (minutes(found.good), minutes(found.bad)) == (0, first_bad)


def test_of_a_camera_that_is_well_again_the_last_time_is_shown() -> None:
    found = turn(Ledger([frame(0), frame(1, "bad"), frame(2), frame(3, "bad"), frame(4, "bad"), frame(5)]))
    assert (minutes(found.good), minutes(found.bad), found.over) == (2, 3, True)


def test_a_camera_that_gives_nothing_any_more_has_a_gap_there() -> None:
    found = turn(Ledger([frame(0), frame(1, "bad"), frame(2)], [gap(3, fault=False), gap(4), gap(5)]))
    assert (minutes(found.good), minutes(found.bad), found.over) == (2, 4, False)
    assert found.bad is not None
    assert found.bad.why == "camera_fault It gave no picture."


def test_earlier_turns_are_found_before_a_moment() -> None:
    ledger = Ledger([frame(0), frame(1, "bad"), frame(2), frame(3, "bad")])
    found = turn(ledger, before=at(2))
    assert (minutes(found.good), minutes(found.bad), found.over) == (0, 1, False)


def test_without_a_bad_frame_or_without_a_good_one_the_other_is_shown() -> None:
    assert (minutes(turn(Ledger([frame(7)])).good), turn(Ledger([frame(7)])).bad) == (7, None)
    alone = turn(Ledger([frame(7, "bad")]))
    assert (alone.good, minutes(alone.bad)) == (None, 7)
    assert turn(Ledger()) == Turn("main")


def test_of_too_many_bad_ones_to_be_read_the_oldest_read_is_not_called_the_first() -> None:
    bad = [frame(1 + index / 100, "bad") for index in range(MOST_PAGES * PAGE)]
    whole = turn(Ledger([frame(0), *bad]))
    assert (minutes(whole.bad), whole.cut) == (1, False)
    ledger = Ledger([frame(0), *(frame(1 + index / 100, "bad") for index in range(MOST_PAGES * PAGE + 1))])
    found = turn(ledger)
    assert (minutes(found.bad), found.cut) == (1.01, True)
    ledger.lists[FRAMES_PATH].append(frame(30))
    assert (turn(ledger).over, turn(ledger).cut) == (True, True)


def test_of_too_many_gaps_too() -> None:
    gaps = [gap(1 + index / 100) for index in range(MOST_PAGES * PAGE + 1)]
    found = turn(Ledger([frame(0)], gaps))
    assert (minutes(found.bad), found.cut) == (1.01, True)


def test_gaps_by_a_fault_are_found_behind_and_before_many_that_are_none() -> None:
    meant = [gap(minute, fault=False) for minute in range(1, 9)]
    found = turn(Ledger([frame(0)], [*meant, *(gap(minute) for minute in (9, 10, 11, 12, 13))]))
    assert (minutes(found.bad), found.cut) == (9, False)
    assert minutes(turn(Ledger([frame(0)], [*meant, gap(100)])).bad) == 100


def test_trouble_is_the_callers() -> None:
    ledger = Ledger([frame(0)])
    ledger.fails[FRAMES_PATH] = NodeUnreachable("gone")
    with pytest.raises(NodeUnreachable):
        turn(ledger)


def test_times_that_are_none_do_no_harm() -> None:
    row = frame_row("reykjavik", FrameRecord(id="x", captured="yesterday"))
    assert (row.at_us, row.verdict, row.why) == (0, "unjudged", "")
    assert gap_row("reykjavik", SlotRecord(camera="a\x1b[31m", profile="auto", due="")).camera == "a [31m"


@pytest.mark.parametrize("at", ["9998-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+12:00"])
def test_neither_do_times_at_the_end_of_the_calendar(at: str) -> None:
    assert list(_untils(at, None))[-1] is None
    assert _after(at)
    assert frame_row("reykjavik", FrameRecord(id="x", captured=at)).at == at


def test_exposure_is_what_the_camera_reports_else_what_was_asked_for() -> None:
    asked = FrameRecord.model_validate(frame(0, requested={"exposure_s": 0.5}, actual={"exposure_s": None}))
    told = FrameRecord.model_validate(frame(0, requested={"exposure_s": 0.5}, actual={"exposure_s": 0.1}))
    assert [exposure_s(frame_row("n", one)) for one in (asked, told)] == [0.5, 0.1]
    assert exposure_s(frame_row("n", FrameRecord.model_validate(frame(0, actual={"exposure_s": float("nan")})))) is None
