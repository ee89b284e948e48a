from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from node.clock import US
from node.crashpoint import VARIABLE
from node.domain.errors import DatabaseBusy
from node.domain.job import Priority
from node.domain.times import from_text
from node.domain.trigger import Cursor
from node.store import cursors
from node.store.jobs import Job, JobReader
from node.work import triggers
from node.work.triggers import TriggerRounds
from tests.clocks import START_US, JumpClock
from tests.stores import keep_many
from tests.workshop import Workshop, equipped

LAST_S = 7200


def given(**rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "render": {"min_frames": 5},
        "triggers": {name: {"last_s": LAST_S, **rule} for name, rule in rules.items()},
    }


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    with equipped(tmp_path) as made:
        yield made


def rounds_of(shop: Workshop, *cameras: str, **rules: dict[str, Any]) -> TriggerRounds:
    shop.configure(**given(**rules))
    return TriggerRounds(shop.store.journal, cameras or ("main",), lambda: shop.document)


def renders(shop: Workshop) -> list[Job]:
    return JobReader(shop.store.database).page(kind="render")[::-1]


def settle_all(shop: Workshop) -> None:
    """The videos asked for are made, so to speak."""
    done = "UPDATE jobs SET state = 'done', finished_us = 1 WHERE state = 'queued'"
    shop.store.database.write(lambda session: session.execute(done))


def test_a_milestone_asks_for_a_video_at_every_nth_frame(shop: Workshop) -> None:
    rounds, frames = rounds_of(shop, tenth={"on": "milestone", "every": 10}), []
    for _ in range(45):
        frames += keep_many(shop.store, 1, interval_s=60)
        rounds.turn()
        settle_all(shop)
    assert [job.payload["to_us"] - 1 for job in renders(shop)] == [frames[n].captured_us for n in (9, 19, 29, 39)]
    job = renders(shop)[-1]
    assert (job.key, job.priority, job.who) == ("trigger/tenth/main", Priority.MILESTONE, "trigger tenth")
    assert job.payload["from_us"] == job.payload["to_us"] - LAST_S * US
    assert (job.payload["camera"], job.payload["profile"], job.payload["title"]) == ("main", "auto", "tenth")


def test_frames_that_came_while_nobody_looked_count(shop: Workshop) -> None:
    keep_many(shop.store, 25, interval_s=60)
    rounds = rounds_of(shop, tenth={"on": "milestone", "every": 10})
    assert [rounds.turn() for _ in range(3)] == [1, 0, 0]
    settle_all(shop)
    keep_many(shop.store, 5, interval_s=60)
    assert rounds.turn() == 1


def test_frames_from_before_the_document_do_not(shop: Workshop) -> None:
    keep_many(shop.store, 25, interval_s=60)
    later = "UPDATE activations SET from_us = ?"
    shop.store.database.write(lambda session: session.execute(later, (shop.store.clock.now_us() + 1000,)))
    rounds = rounds_of(shop, tenth={"on": "milestone", "every": 10})
    keep_many(shop.store, 9, interval_s=60)
    assert rounds.turn() == 0
    keep_many(shop.store, 1, interval_s=60)
    assert rounds.turn() == 1


def test_other_cameras_other_profiles_and_damaged_frames_do_not_count(shop: Workshop) -> None:
    rounds = rounds_of(shop, "main", "side", tenth={"on": "milestone", "every": 10})
    keep_many(shop.store, 9, interval_s=60)
    keep_many(shop.store, 5, interval_s=60, profile="night")
    keep_many(shop.store, 5, interval_s=60, quarantined=True)
    keep_many(shop.store, 10, interval_s=60, camera="side")
    assert rounds.turn() == 1
    assert [job.key for job in renders(shop)] == ["trigger/tenth/side"]


def test_a_capture_trigger_keeps_its_distance(shop: Workshop) -> None:
    rounds = rounds_of(shop, fresh={"on": "capture", "throttle_s": 600})
    fired_us = []
    for _ in range(60):
        keep_many(shop.store, 1, interval_s=60)
        fired_us += [shop.store.clock.now_us()] if rounds.turn() else []
        settle_all(shop)
    assert {later - earlier for earlier, later in pairwise(fired_us)} == {600 * US}
    assert len(fired_us) == 6
    shop.store.clock.advance(6000)
    assert rounds.turn() == 0


def test_what_was_held_off_fires_when_its_time_has_come_without_a_new_frame(shop: Workshop) -> None:
    rounds = rounds_of(shop, fresh={"on": "capture", "throttle_s": 600})
    shop.store.clock.advance(600)
    keep_many(shop.store, 5, interval_s=10)
    assert rounds.turn() == 1
    settle_all(shop)
    keep_many(shop.store, 1, interval_s=10)
    assert rounds.turn() == 0
    shop.store.clock.advance(600)
    assert [rounds.turn(), rounds.turn()] == [1, 0]


def test_a_daily_trigger_shows_the_time_before_its_time_of_day(shop: Workshop) -> None:
    rounds = rounds_of(shop, evening={"on": "daily", "at": "18:00"})
    asked = 0
    for _ in range(6 * 24 * 3):
        keep_many(shop.store, 1)
        asked += rounds.turn()
        settle_all(shop)
    assert asked == 3
    moments = [from_text(f"2026-11-{day}T18:00:00Z") for day in (18, 19, 20)]
    assert [job.payload["to_us"] for job in renders(shop)] == moments
    assert {job.payload["from_us"] - job.payload["to_us"] for job in renders(shop)} == {-LAST_S * US}


def test_a_time_of_day_comes_without_any_frame_and_waits_until_late_ones_are_in(shop: Workshop) -> None:
    rounds = rounds_of(shop, noon={"on": "daily", "at": "12:30"})
    keep_many(shop.store, 5, interval_s=60)
    moment_us = from_text("2026-11-18T12:30:00Z")
    shop.store.clock.advance((moment_us - shop.store.clock.now_us()) / US + 5)
    assert rounds.turn() == 0
    shop.store.clock.advance(30)
    assert [rounds.turn(), rounds.turn()] == [1, 0]


def test_a_clock_that_nobody_vouches_for_has_no_time_of_day(shop: Workshop) -> None:
    rounds = rounds_of(shop, noon={"on": "daily", "at": "12:30"})
    keep_many(shop.store, 12)
    shop.store.clock.is_synced = False
    assert rounds.turn() == 0
    shop.store.clock.is_synced = True
    assert rounds.turn() == 1


def test_a_daily_trigger_survives_a_clock_that_was_years_ahead(shop: Workshop) -> None:
    rounds = rounds_of(shop, noon={"on": "daily", "at": "12:30"})
    rounds.turn()
    ahead = Cursor(0, START_US + 10 * 365 * 86400 * US)
    shop.store.database.write(lambda session: cursors.put(session, "trigger/noon/main", ahead))
    rounds = rounds_of(shop, noon={"on": "daily", "at": "12:30"})
    assert rounds.turn() == 0
    keep_many(shop.store, 12)
    assert rounds.turn() == 1


def test_too_few_frames_hold_a_milestone_and_pass_a_day_over(shop: Workshop) -> None:
    rules = {"tenth": {"on": "milestone", "every": 10}, "noon": {"on": "daily", "at": "12:30"}}
    rounds = rounds_of(shop, **rules)
    keep_many(shop.store, 10, interval_s=1800)  # five hours: four of them in the last two
    assert [rounds.turn() for _ in range(3)] == [0, 0, 0]
    assert renders(shop) == []
    keep_many(shop.store, 1, interval_s=1)
    assert rounds.turn() == 1
    assert [job.key for job in renders(shop)] == ["trigger/tenth/main"]


def test_flagged_frames_make_no_video(shop: Workshop) -> None:
    rounds = rounds_of(shop, tenth={"on": "milestone", "every": 10})
    keep_many(shop.store, 10, interval_s=60, flagged=True, verdict="bad")
    assert rounds.turn() == 0


def test_while_its_last_video_is_made_a_trigger_waits_and_then_shows_the_newest(shop: Workshop) -> None:
    rounds = rounds_of(shop, tenth={"on": "milestone", "every": 10})
    keep_many(shop.store, 10, interval_s=60)
    assert rounds.turn() == 1
    frames = keep_many(shop.store, 25, interval_s=60)
    assert [rounds.turn(), rounds.turn()] == [0, 0]
    settle_all(shop)
    assert [rounds.turn(), rounds.turn()] == [1, 0]
    assert renders(shop)[-1].payload["to_us"] - 1 == frames[-1].captured_us


def test_a_trigger_that_was_off_begins_anew(shop: Workshop) -> None:
    rounds = rounds_of(shop, tenth={"on": "milestone", "every": 10})
    rounds.turn()
    shop.configure(**given(tenth={"on": "milestone", "every": 10, "enabled": False}))
    keep_many(shop.store, 15, interval_s=60)
    assert rounds.turn() == 0
    later = "UPDATE activations SET from_us = ?"
    shop.store.database.write(lambda session: session.execute(later, (shop.store.clock.now_us() + 1000,)))
    shop.configure(**given(tenth={"on": "milestone", "every": 10}))
    assert rounds.turn() == 0
    keep_many(shop.store, 10, interval_s=60)
    assert rounds.turn() == 1


def test_without_videos_no_trigger_asks_for_one(shop: Workshop) -> None:
    rounds = rounds_of(shop, tenth={"on": "milestone", "every": 10})
    shop.configure(**{**given(tenth={"on": "milestone", "every": 10}), "render": {"enabled": False}})
    keep_many(shop.store, 30, interval_s=60)
    assert rounds.turn() == 0
    assert shop.store.rows("SELECT COUNT(*) FROM cursors") == [(0,)]


def test_a_trigger_may_name_cameras_that_this_node_does_not_have(shop: Workshop) -> None:
    rounds = rounds_of(shop, "main", "side", tenth={"on": "milestone", "every": 10, "cameras": ["side", "other"]})
    keep_many(shop.store, 10, interval_s=60)
    keep_many(shop.store, 10, interval_s=60, camera="side")
    assert rounds.turn() == 1
    assert shop.store.rows("SELECT name FROM cursors") == [("trigger/tenth/side",)]


def test_nothing_is_written_where_nothing_fires(shop: Workshop) -> None:
    rounds = rounds_of(shop, tenth={"on": "milestone", "every": 10}, noon={"on": "daily"}, fresh={"on": "capture"})
    keep_many(shop.store, 9, interval_s=60)
    rounds.turn()
    before = shop.store.database.data_version()
    for _ in range(5):
        shop.store.clock.advance(60)
        assert rounds.turn() == 0
    assert shop.store.database.data_version() == before


def test_a_long_count_is_written_down_now_and_then(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "FAR", 7)
    rounds = rounds_of(shop, many={"on": "milestone", "every": 100})
    rounds.turn()
    keep_many(shop.store, 9, interval_s=60)
    rounds.turn()
    kept = shop.store.database.read(lambda session: cursors.get(session, "trigger/many/main"))
    assert kept is not None
    assert (kept.seq, kept.count) == (9, 9)


def test_a_busy_database_loses_no_crossing(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = rounds_of(shop, tenth={"on": "milestone", "every": 10})
    keep_many(shop.store, 10, interval_s=60)

    def busy(*_: object, **__: object) -> None:
        raise DatabaseBusy("held")

    with monkeypatch.context() as patched:
        patched.setattr(shop.store.journal, "write", busy)
        for _ in range(2):
            with pytest.raises(DatabaseBusy):
                rounds.turn()
    assert [rounds.turn(), rounds.turn()] == [1, 0]


# --- crashes ----------------------------------------------------------------------------------------------------------

LIVES = """
import sys
from pathlib import Path
from node.domain.config import Document
from node.work.triggers import TriggerRounds
from tests.clocks import JumpClock
from tests.stores import keep_many, opened

folder, start_us = Path(sys.argv[1]), int(sys.argv[2])
document = Document.model_validate({
    "render": {"min_frames": 2},
    "triggers": {"tenth": {"on": "milestone", "every": 10}, "noon": {"on": "daily", "at": "12:00", "last_s": 7200}},
})
with opened(folder, JumpClock(start_us)) as store:
    store.journal.begin_book()
    rounds = TriggerRounds(store.journal, ["main"], lambda: document)
    rounds.turn()
    for number in range(30):
        keep_many(store, 1, interval_s=600)
        rounds.turn()
        done = "UPDATE jobs SET state = 'done', finished_us = 1 WHERE state = 'queued'"
        store.database.write(lambda session: session.execute(done))
"""


# the tenth frame's row is the 21st transaction, what fires is the next
@pytest.mark.slow
@pytest.mark.parametrize("passage", [20, 21, 22, 23, 24])
@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
def test_whatever_the_crash_each_crossing_is_asked_for_once(tmp_path: Path, point: str, passage: int) -> None:
    """A life ends about where a milestone fires, another goes on; the frames' rows say what was due."""
    assert live(tmp_path, START_US, f"{point}:{passage}") == -signal.SIGKILL
    assert live(tmp_path, START_US + 4 * 3600 * US, "") == 0
    with equipped(tmp_path, JumpClock(START_US + 86400 * US)) as shop:
        times = [int(str(at_us)) for (at_us,) in shop.store.rows("SELECT captured_us FROM frames ORDER BY captured_us")]
        fired = {name: [job.payload["to_us"] for job in renders(shop) if name in job.key] for name in ("tenth", "noon")}
        assert len(fired["tenth"]) == len(set(fired["tenth"])) == len(times) // 10
        assert fired["noon"] == [from_text("2026-11-18T12:00:00Z")]


def live(folder: Path, start_us: int, planned: str) -> int:
    command = [sys.executable, "-c", LIVES, str(folder), str(start_us)]
    done = subprocess.run(command, env={VARIABLE: planned}, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode
