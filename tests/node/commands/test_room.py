"""`reclaim`: what may go, and what would."""

from __future__ import annotations

import pytest

from node.domain.frame import Frame
from tests.apis import fill, keep_receipt
from tests.desks import Place

DAY_S = 86_400


def held(place: Place) -> list[Frame]:
    """Frames that a target holds, older than they have to be kept."""
    frames = fill(place.store, 2)
    for frame in frames:
        keep_receipt(place.store, frame)
    return frames


def test_a_dry_run_says_what_would_go_and_deletes_nothing(place: Place) -> None:
    place.api.clock.step(-40 * DAY_S)
    frames = held(place)
    place.api.clock.step(40 * DAY_S)
    found = place.says("reclaim", "--dry-run")
    size_bytes = sum(frame.size_bytes for frame in frames)
    assert found == {
        "reclaim": [{"what": "frame", "rule": "frames_days", "count": 4, "size_bytes": size_bytes}],
        "count": 4,
        "size_bytes": size_bytes,
        "more": False,
    }
    status, out, _ = place.ends("reclaim", "--dry-run")
    assert (status, out.splitlines()[-1]) == (0, f"4 files, {size_bytes:,} bytes would go")
    assert all((place.store.folder / frame.path).exists() for frame in frames)
    assert place.store.rows("SELECT id FROM jobs") == []


def test_a_dry_run_that_had_to_end_says_at_least(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.work.reclaim.PREVIEW_S", -1.0)
    assert place.says("reclaim", "--dry-run")["more"] is True
    assert place.ends("reclaim", "--dry-run")[:2] == (0, "at least 0 files, 0 bytes would go\n")


def test_without_waiting_the_job_is_in_the_queue(place: Place) -> None:
    job = place.says("reclaim", "--no-wait")
    assert (job["kind"], job["key"], job["priority"]) == ("upkeep", "node", 30)


@pytest.mark.slow
def test_reclaim_keeps_what_no_target_holds(place: Place) -> None:
    frames = fill(place.store, 1)
    with place.helped("work"):
        job = place.says("reclaim")
    assert (job["state"], job["result"]["reclaimed"]) == ("done", [])
    assert all((place.store.folder / frame.path).exists() for frame in frames)
