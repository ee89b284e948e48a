"""`reconcile`, `integrity-check`, `thumbnails`: asked for by the service, or done here."""

from __future__ import annotations

import pytest

from node.domain.errors import FAULT, UnknownCamera, UsageWrong
from tests.apis import fill, jpeg, keep_file
from tests.desks import Place

LINES = {
    "reconcile": ["reconcile"],
    "integrity-check": ["integrity-check"],
    "thumbnail-repair": ["thumbnails", "repair", "main"],
}


@pytest.mark.parametrize("kind", LINES)
def test_without_waiting_the_job_is_in_the_queue(place: Place, kind: str) -> None:
    job = place.says(*LINES[kind], "--no-wait")
    assert (job["kind"], job["priority"], job["state"], job["new"]) == (kind, 30, "queued", True)
    assert place.says(*LINES[kind], "--no-wait")["id"] == job["id"]


def test_all_thumbnails_may_be_made_anew(place: Place) -> None:
    job = place.says("thumbnails", "repair", "side", "--everything", "--no-wait")
    assert place.says("jobs", "show", job["id"])["payload"] == {"camera": "side", "everything": True}
    place.fails(UnknownCamera, "thumbnails", "repair", "gone")


@pytest.mark.parametrize(
    "line", [["thumbnails"], ["thumbnails", "repair"], ["thumbnails", "burn", "main"], ["thumbnails", "repair", "MAIN"]]
)
def test_a_line_that_makes_no_sense_is_refused(place: Place, line: list[str]) -> None:
    place.fails(UsageWrong, *line)


@pytest.mark.slow
def test_a_sound_database_is_looked_through(place: Place) -> None:
    with place.helped("work"):
        job = place.says("integrity-check")
    assert (job["state"], job["result"]) == ("done", {"faults": 0})


@pytest.mark.slow
def test_a_frame_whose_file_is_lost_is_named_and_a_fault(place: Place) -> None:
    place.api.clock.step(-3 * 3600)
    frames = fill(place.store, 2)
    (place.store.folder / frames[0].path).unlink()
    with place.helped("work"):
        status, out, _ = place.ends("reconcile")
    assert status == FAULT
    assert frames[0].path in out
    assert frames[1].path not in out


@pytest.mark.slow
def test_missing_thumbnails_are_made_again(place: Place) -> None:
    frames = set()
    for shade in range(3):
        place.store.clock.advance(1)
        frames.add(keep_file(place.store, None, jpeg(64, 48, 10 * shade), width=64, height=48).id)
    with place.helped("work"):
        job = place.says("thumbnails", "repair", "main")
    assert job["state"] == "done"
    made = (place.store.folder / "thumbs").rglob("*.jpg")
    assert {path.name.partition("_")[0] for path in made} == frames
