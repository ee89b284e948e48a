"""`render`: a shoot, or a span of time, asked for by the service or made here; `videos`: those that there are."""

from __future__ import annotations

import pytest

from node.domain.errors import NoFrames, NotAllowed, NotFound, PayloadInvalid, UnknownCamera, UsageWrong
from tests.apis import TOKENS, fill, jpeg, keep_file, keep_video
from tests.desks import Place

SPAN = ["--camera", "main", "--from", "2026-11-01T00:00:00Z", "--to", "2036-11-01T00:00:00Z"]


def test_a_video_of_a_shoot_is_asked_for(place: Place) -> None:
    shoot = fill(place.store, 1)[0].shoots[0]
    job = place.says("render", "--shoot", shoot, "--tier", "preview", "--no-wait")
    assert (job["kind"], job["key"], job["new"]) == ("render", shoot, True)
    payload = place.says("jobs", "show", job["id"])["payload"]
    assert (payload["camera"], payload["profile"], payload["tier"]) == ("main", "auto", "preview")
    assert place.says("render", "--shoot", shoot, "--no-wait")["new"] is False


def test_a_video_of_a_span_is_asked_for(place: Place) -> None:
    job = place.says("render", *SPAN, "--title", "ten years", "--fps", "30", "--no-wait")
    payload = place.says("jobs", "show", job["id"])["payload"]
    assert (payload["camera"], payload["title"], payload["fps"]) == ("main", "ten years", 30)
    assert payload["from_us"] < payload["to_us"]


@pytest.mark.parametrize(
    "line",
    [
        [], ["--camera", "main"], ["--shoot", "x"], [*SPAN, "--shoot", "main/default/2026-11-18/auto"], [*SPAN[:4]],
        [*SPAN, "--fps", "fast"], [*SPAN, "--codec", "h266"], [*SPAN, "--tier", "best"], ["--from", "now", *SPAN],
    ],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_refused(place: Place, line: list[str]) -> None:
    place.fails(UsageWrong, "render", *line)
    assert place.store.rows("SELECT id FROM jobs") == []


def test_what_the_queue_does_not_take_is_refused_with_its_fields(place: Place) -> None:
    backwards = ["--camera", "main", "--from", SPAN[5], "--to", SPAN[3]]
    assert "from_us is not before to_us" in place.fails(PayloadInvalid, "render", *backwards)
    place.fails(UnknownCamera, "render", "--camera", "gone", *SPAN[2:])
    place.fails(NotFound, "render", "--shoot", "main/default/1999-01-01/auto")


def test_videos_are_listed_newest_first_a_line_each(place: Place) -> None:
    old, new = keep_video(place.store), keep_video(place.store, camera="side", title="harvest")
    status, out, _ = place.ends("videos", "list")
    assert (status, [line.split()[0] for line in out.splitlines()]) == (0, [new.id, old.id])
    assert "'harvest'" in out.splitlines()[0]
    assert [video["id"] for video in place.says("videos", "list", "--camera", "main")] == [old.id]
    assert [video["id"] for video in place.says("videos", "list", "--limit", 1)] == [new.id]
    assert place.says("videos", "list", "--shoot", "main/day/2026-11-20/auto") == []


def test_a_video_is_shown_renamed_pinned_and_released(place: Place) -> None:
    video = keep_video(place.store)
    assert place.says("videos", "show", video.id)["left_out"] == [
        {"frame": "01M7Q5EJ30BZPEPSQZS1QKHPAJ", "why": "flagged"}
    ]
    assert "left out: 01M7Q5EJ30BZPEPSQZS1QKHPAJ flagged" in place.ends("videos", "show", video.id)[1]
    assert place.says("videos", "rename", video.id, "--title", "the harbour")["title"] == "the harbour"
    pinned = place.says("videos", "pin", video.id)
    assert (pinned["pinned"], pinned["title"]) == (True, "the harbour")
    assert "pinned" in place.ends("videos", "list")[1]
    assert place.says("videos", "unpin", video.id)["pinned"] is False


def test_a_video_is_deleted_with_its_files_by_an_admin_alone(place: Place) -> None:
    video = keep_video(place.store)
    if place.by_service:
        place.fails(NotAllowed, "videos", "delete", video.id)
        (place.folder / "token").write_text(TOKENS["admin"])
    gone = place.says("videos", "delete", video.id)
    assert (gone["deleted_rule"], (place.store.folder / video.path).exists()) == ("by_hand", False)
    assert place.says("videos", "list") == []
    assert [each["id"] for each in place.says("videos", "list", "--removed")] == [video.id]
    place.fails(NotFound, "videos", "delete", video.id)
    place.fails(NotFound, "videos", "show", "0" * 26)


@pytest.mark.parametrize(
    "line",
    [
        [], ["burn"], ["show"], ["list", "0" * 26], ["rename", "0" * 26], ["pin", "0" * 26, "--title", "x"],
        ["list", "--limit", "0"], ["show", "../../jobs"],
    ],
)  # fmt: skip
def test_a_line_about_videos_that_makes_no_sense_is_refused(place: Place, line: list[str]) -> None:
    place.fails(UsageWrong, "videos", *line)


@pytest.mark.slow
def test_a_video_is_made_and_the_command_waits_for_it(place: Place) -> None:
    for shade in range(12):
        place.store.clock.advance(1)
        keep_file(place.store, None, jpeg(64, 48, 10 * shade), width=64, height=48)
    with place.helped("work"):
        job = place.says("render", *SPAN)
    assert (job["state"], job["result"]["frames"]) == ("done", 12)
    ((path,),) = place.store.rows("SELECT path FROM videos")
    assert (place.store.folder / str(path)).stat().st_size > 0


@pytest.mark.slow
def test_frames_of_which_none_is_what_its_row_says_make_no_video(place: Place) -> None:
    for shade in range(12):
        place.store.clock.advance(1)
        keep_file(place.store, None, jpeg(64, 48, 10 * shade))
    with place.helped("work"):
        place.fails(NoFrames, "render", *SPAN)


@pytest.mark.slow
def test_too_few_frames_end_the_command_with_that_error(place: Place) -> None:
    with place.helped("work"):
        place.fails(NoFrames, "render", *SPAN)
