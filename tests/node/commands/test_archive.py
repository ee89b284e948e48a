"""`archive`, `verify-archive`, `restore-frames`: at the target itself, and as jobs."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from node.archive.base import MARKER
from node.domain.errors import (
    FAULT,
    MarkerMissing,
    NotArchived,
    SameDevice,
    TargetUnavailable,
    UnknownCamera,
    UnknownTarget,
    UsageWrong,
)
from node.domain.frame import Frame
from node.store.log import Actor
from tests.apis import eventually, fill, reclaim
from tests.desks import Place


def test_a_target_is_marked_once_and_then_found(place: Place) -> None:
    place.fails(MarkerMissing, "archive", "check", "nas")
    assert place.says("archive", "init", "nas") == {"target": "nas", "ok": True}
    assert (place.nas / MARKER).is_file()
    assert place.ends("archive", "init", "nas")[0] == 0
    found = place.says("archive", "check", "nas")
    assert found["ok"] is True
    assert found["free_bytes"] == pytest.approx(shutil.disk_usage(place.nas).free, rel=0.2)
    status, out, _ = place.ends("archive", "check", "nas")
    assert (status, out.startswith("nas: reached, marked")) == (0, True)


def test_a_target_that_is_not_there_or_no_other_disk_is_refused(place: Place) -> None:
    place.fails(SameDevice, "archive", "init", "usb")
    place.fails(UnknownTarget, "archive", "init", "gone")
    shutil.rmtree(place.nas)
    place.fails(TargetUnavailable, "archive", "check", "nas")
    place.nas.mkdir()


def test_the_status_of_a_target_says_what_it_lacks(place: Place) -> None:
    frames = fill(place.store, 2)
    shown = place.says("archive", "status", "nas")
    assert (shown["name"], shown["breaker"], shown["unsent"], shown["sent"]) == ("nas", "closed", len(frames), 0)
    status, out, _ = place.ends("archive", "status", "nas")
    assert (status, "4 unsent" in out) == (0, True)
    place.fails(UnknownTarget, "archive", "status", "gone")


@pytest.mark.parametrize(
    "line",
    [
        ["archive"], ["archive", "init"], ["archive", "burn", "nas"], ["archive", "status", "nas/test"],
        ["verify-archive"], ["restore-frames"],
        ["verify-archive", "nas", "--from", "yesterday"], ["restore-frames", "nas", "--to", "2026-11-18T00:00:00"],
    ],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_refused(place: Place, line: list[str]) -> None:
    place.fails(UsageWrong, *line)


@pytest.mark.parametrize(("command", "kind"), [("verify-archive", "verify-archive"), ("restore-frames", "restore")])
def test_without_waiting_the_job_is_in_the_queue(place: Place, command: str, kind: str) -> None:
    span = ["--camera", "side", "--from", "2026-11-18T00:00:00+01:00", "--to", "2026-11-19T00:00:00Z"]
    job = place.says(command, "nas", *span, "--no-wait")
    assert (job["kind"], job["state"], job["new"]) == (kind, "queued", True)
    payload = place.says("jobs", "show", job["id"])["payload"]
    assert (payload["target"], payload["camera"]) == ("nas", "side")
    assert payload["to_us"] - payload["from_us"] == 25 * 3600 * 1_000_000
    place.fails(UnknownTarget, command, "gone", "--no-wait")
    place.fails(UnknownCamera, command, "nas", "--camera", "gone", "--no-wait")


@pytest.mark.parametrize(("action", "kind"), [("test", "test-target"), ("send", "transfer")])
def test_a_target_is_tested_and_sent_to_by_a_job(place: Place, action: str, kind: str) -> None:
    job = place.says("archive", action, "nas", "--no-wait")
    assert (job["kind"], job["key"], job["state"], job["new"]) == (kind, "nas", "queued", True)
    assert place.says("archive", action, "nas", "--no-wait")["id"] == job["id"]
    place.fails(UnknownTarget, "archive", action, "gone")


def test_sending_by_hand_does_not_wait_for_a_breakers_pause(place: Place) -> None:
    sql = "INSERT INTO targets (name, breaker, failures, opened_us) VALUES ('nas', 'open', 5, ?)"
    place.store.database.write(lambda session: session.execute(sql, (place.api.clock.now_us(),)))
    place.says("archive", "send", "nas", "--no-wait")
    assert place.says("archive", "status", "nas")["breaker"] == "half_open"


@pytest.mark.slow
def test_a_test_of_a_target_without_its_marker_ends_with_that_error(place: Place) -> None:
    with place.helped("ship"):
        assert place.ends("archive", "test", "nas")[0] == MarkerMissing.exit
        place.says("archive", "init", "nas")
        assert place.says("archive", "test", "nas")["result"]["ok"] is True


@pytest.mark.slow
def test_what_waits_is_sent_now(place: Place) -> None:
    frames = fill(place.store, 2)
    place.says("archive", "init", "nas")
    with place.helped("ship"):
        for _ in range(2):  # the first may find that nothing was taken up yet
            place.says("archive", "send", "nas")
        held = "SELECT COUNT(*) FROM receipts WHERE target = 'nas'"
        assert eventually(lambda: place.store.rows(held) == [(len(frames),)], within_s=15)


def sent(place: Place, count: int) -> list[Frame]:
    """Frames that the target holds, sent by the ship process."""
    frames = fill(place.store, count)
    place.says("archive", "init", "nas")
    unsent, held = "SELECT unsent FROM targets WHERE name = 'nas'", "SELECT COUNT(*) FROM receipts"
    with place.crew("ship"):
        assert eventually(lambda: place.store.rows(unsent) == [(len(frames),)])
        place.api.doer.orders.send_now("nas", Actor("test"))
        assert eventually(lambda: place.store.rows(held) == [(len(frames),)], within_s=15)
    place.catch_up()
    return frames


@pytest.mark.slow
def test_what_a_target_holds_is_read_again_and_a_loss_is_a_fault(place: Place) -> None:
    frames = sent(place, 2)
    with place.helped("ship"):
        job = place.says("verify-archive", "nas")
        assert (job["state"], job["result"]["checked"], job["result"]["withdrawn"]) == ("done", len(frames), 0)
        place.catch_up()
        (place.nas / "north" / frames[0].path).write_bytes(b"rot")
        status, out, _ = place.ends("verify-archive", "nas")
    assert (status, "withdrawn: 1" in out) == (FAULT, True)
    assert frames[0].id in out


@pytest.mark.slow
def test_what_failed_before_it_was_asked_for_again_is_no_answer(place: Place) -> None:
    frames, marker = sent(place, 1), place.nas / MARKER
    with place.helped("ship"):
        away = marker.rename(place.nas / "away")
        status, _, err = place.ends("verify-archive", "nas")
        assert (status, "ARC-002" in err) == (MarkerMissing.exit, True)
        assert place.store.rows("SELECT state, attempt FROM jobs WHERE kind = 'verify-archive'") == [("retry", 1)]
        away.rename(marker)
        place.catch_up()
        job = place.says("verify-archive", "nas")
    assert (job["state"], job["attempt"], job["result"]["checked"]) == ("done", 2, len(frames))


@pytest.mark.slow
def test_reclaimed_frames_are_brought_back_byte_for_byte(place: Place) -> None:
    frames = sent(place, 2)
    for frame in frames:
        reclaim(place.store, frame)
    with place.helped("ship"):
        job = place.says("restore-frames", "nas", "--camera", "main")
        assert job["result"]["restored"] == len(frames) // 2
        assert place.says("restore-frames", "nas")["result"]["restored"] == len(frames) // 2
    for frame in frames:
        assert hashlib.sha256((place.store.folder / frame.path).read_bytes()).hexdigest() == frame.sha256


@pytest.mark.slow
def test_a_job_that_fails_ends_the_command_with_its_error(place: Place) -> None:
    place.says("archive", "init", "nas")
    reclaim(place.store, fill(place.store, 1)[0])
    with place.helped("ship"):
        said = place.fails(NotArchived, "restore-frames", "nas")
    assert "job 01" in said
