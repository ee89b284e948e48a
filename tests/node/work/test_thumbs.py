from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from node.domain.job import JobState
from node.domain.times import US
from node.domain.trigger import Cursor
from node.host import disk
from node.imaging import thumbnail
from node.store import cursors
from node.store.jobs import JobReader
from node.store.log import Actor
from node.work import thumbs
from node.work.thumbs import ThumbRounds
from tests.workshop import Workshop, equipped, picture, shoot

PLANT = {"width": 1000, "height": 700}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    with equipped(tmp_path) as made:
        yield made


def made_of(shop: Workshop, camera: str = "main", **payload: object) -> dict[str, object]:
    kind = "thumbnail-repair" if "everything" in payload else "thumbnail"
    job = shop.ask(kind, camera, camera=camera, **payload)
    shop.work()
    assert shop.job(job).state is JobState.DONE, shop.job(job).error
    return shop.job(job).result


def names_of(frames: list[object], day: str = "2026-11-18", camera: str = "main") -> set[str]:
    return {f"thumbs/{camera}/{day}/{frame.id}_{width}.jpg" for frame in frames for width in (200, 800)}


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(io.BytesIO(path.read_bytes())) as found:
        found.load()
        return found.size


def cursor(shop: Workshop, camera: str = "main") -> Cursor | None:
    return shop.store.database.read(lambda session: cursors.get(session, f"thumbs/{camera}"))


def test_each_new_frame_gets_both_sizes_from_one_decode(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = shoot(shop.store, 3, **PLANT)
    decodes: list[int] = []
    check = thumbnail.check
    monkeypatch.setattr(thumbnail, "check", lambda *given: decodes.append(1) or check(*given))
    assert made_of(shop) == {"made": 3}
    assert len(decodes) == 3
    assert shop.files("thumbs") == names_of(frames)
    for name in shop.files("thumbs"):
        assert size_of(shop.store.folder / name) == ((200, 140) if name.endswith("_200.jpg") else (800, 560))
    assert cursor(shop) == Cursor(3)


def test_pictures_keep_their_shape_and_are_not_enlarged(shop: Workshop) -> None:
    shoot(shop.store, 1, data=picture(1, 300, 900))
    shoot(shop.store, 1, data=picture(1, 160, 120))
    made_of(shop)
    sizes = sorted(size_of(shop.store.folder / name) for name in shop.files("thumbs"))
    assert sizes == [(50, 150), (160, 120), (160, 120), (200, 600)]


def test_damaged_and_missing_originals_are_passed_over_and_counted(shop: Workshop) -> None:
    good = shoot(shop.store, 2)
    shoot(shop.store, 1, data=picture(1)[:500])
    shoot(shop.store, 1, data=b"")
    (gone,) = shoot(shop.store, 1)
    (shop.store.folder / gone.path).unlink()
    assert made_of(shop) == {"made": 2, "damaged": 2, "missing": 1}
    assert shop.files("thumbs") == names_of(good)
    assert cursor(shop) == Cursor(5)


def test_originals_that_cannot_be_read_cost_their_own_thumbnails_and_no_others(shop: Workshop) -> None:
    sector, folder, good = shoot(shop.store, 3)
    path = shop.store.folder / sector.path
    path.unlink()
    path.symlink_to("/proc/self/mem")  # its first page answers EIO
    path = shop.store.folder / folder.path
    path.unlink()
    path.mkdir()
    assert made_of(shop) == {"unreadable": 2, "made": 1}
    assert shop.files("thumbs") == names_of([good])
    assert cursor(shop) == Cursor(3)


def test_a_thumbnail_that_cannot_be_read_is_made_anew(shop: Workshop) -> None:
    (frame,) = shoot(shop.store, 1)
    made_of(shop)
    path = shop.store.folder / min(names_of([frame]))
    path.unlink()
    path.symlink_to("/proc/self/mem")
    assert made_of(shop, everything=False) == {"made": 1}
    assert size_of(path) == (160, 120)


def test_a_second_run_makes_nothing_anew(shop: Workshop) -> None:
    shoot(shop.store, 3)
    made_of(shop)
    before = {name: (shop.store.folder / name).stat().st_mtime_ns for name in shop.files("thumbs")}
    shop.store.database.write(lambda session: cursors.drop(session, ["thumbs/main"]))
    assert made_of(shop) == {"there": 3}
    assert {name: (shop.store.folder / name).stat().st_mtime_ns for name in shop.files("thumbs")} == before


def test_many_frames_are_made_batch_by_batch(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbs, "BATCH", 4)
    frames = shoot(shop.store, 6) + shoot(shop.store, 4, camera="side") + shoot(shop.store, 3)
    rounds = ThumbRounds(shop.store.journal, ["main", "side"], lambda: shop.document)
    while rounds.turn() or shop.work():
        shop.store.clock.advance(thumbs.REST_S)
    main = [frame for frame in frames if frame.camera == "main"]
    side = [frame for frame in frames if frame.camera == "side"]
    assert shop.files("thumbs") == names_of(main) | names_of(side, camera="side")
    assert len(JobReader(shop.store.database).page(kind="thumbnail")) == 4


def test_only_the_newest_is_kept_where_the_document_says_so(shop: Workshop) -> None:
    shoot(shop.store, 3)
    made_of(shop)
    shop.configure(thumbnails={"keep": "latest"})
    newest = shoot(shop.store, 2)[-1]
    assert made_of(shop) == {"made": 1, "removed": 6}
    assert shop.files("thumbs") == names_of([newest])
    assert cursor(shop) == Cursor(5)


def test_the_last_good_one_stays_where_the_newest_is_damaged(shop: Workshop) -> None:
    shop.configure(thumbnails={"keep": "latest"})
    good = shoot(shop.store, 1)
    made_of(shop)
    shoot(shop.store, 1, data=b"\xff\xd8\xff")
    assert made_of(shop) == {"damaged": 1}
    assert shop.files("thumbs") == names_of(good)


def test_none_are_made_where_the_document_says_so_and_all_once_it_says_otherwise(shop: Workshop) -> None:
    shop.configure(thumbnails={"keep": "off"})
    frames = shoot(shop.store, 2)
    rounds = ThumbRounds(shop.store.journal, ["main"], lambda: shop.document)
    assert rounds.turn() == 0
    assert made_of(shop) == {"kept": "off"}
    assert made_of(shop, everything=True) == {"kept": "off"}
    shop.configure()
    assert rounds.turn() == 1
    shop.work()
    assert shop.files("thumbs") == names_of(frames)


def test_repair_makes_what_is_missing_or_broken_and_leaves_the_rest(shop: Workshop) -> None:
    frames = shoot(shop.store, 5)
    made_of(shop)
    paths = sorted(shop.store.folder / name for name in names_of(frames))
    paths[0].unlink()
    paths[3].write_bytes(paths[3].read_bytes()[:300])
    paths[4].write_bytes(b"")
    untouched = paths[8].stat().st_mtime_ns
    assert made_of(shop, everything=False) == {"made": 3, "sound": 2}
    assert [size_of(path) for path in paths] == [(160, 120)] * 10
    assert paths[8].stat().st_mtime_ns == untouched
    assert made_of(shop, everything=False) == {"sound": 5}


def test_repair_of_everything_makes_all_anew_in_batches(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbs, "BATCH", 2)
    frames = shoot(shop.store, 5)
    assert made_of(shop, everything=True) == {"made": 5}
    assert shop.files("thumbs") == names_of(frames)
    shop.configure(thumbnails={"keep": "latest"})
    assert made_of(shop, everything=True) == {"made": 1}


def test_a_full_disk_leaves_no_half_file_and_is_tried_again(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    shoot(shop.store, 2)
    job = shop.ask("thumbnail", "main", camera="main")
    monkeypatch.setattr(disk, "space", lambda _: disk.Space(10**9, 1000))
    shop.work()
    assert (shop.job(job).state, shop.job(job).error_code) == (JobState.RETRY, "DSK-001")
    assert (shop.files("thumbs"), cursor(shop)) == (set(), None)
    monkeypatch.undo()
    shop.store.clock.advance(60)
    shop.work()
    assert (shop.job(job).state, cursor(shop)) == (JobState.DONE, Cursor(2))


# --- rounds -----------------------------------------------------------------------------------------------------------


def test_a_job_is_asked_for_once_however_often_one_looks(shop: Workshop) -> None:
    rounds = ThumbRounds(shop.store.journal, ["main", "side"], lambda: shop.document)
    assert rounds.turn() == 0
    shoot(shop.store, 2)
    assert [rounds.turn() for _ in range(3)] == [1, 0, 0]
    (job,) = JobReader(shop.store.database).page(kind="thumbnail")
    assert (job.key, job.priority, job.payload) == ("main", 0, {"camera": "main"})


def test_a_fast_camera_rests_between_two_jobs(shop: Workshop) -> None:
    rounds = ThumbRounds(shop.store.journal, ["main"], lambda: shop.document)
    asked = 0
    for _ in range(30):
        shoot(shop.store, 1, interval_s=1)
        asked += rounds.turn()
        shop.work()
    assert asked == 2
    shop.store.clock.advance(thumbs.REST_S)
    assert rounds.turn() == 1
    shop.work()
    assert len(shop.files("thumbs")) == 60


def test_nothing_is_written_where_nothing_is_new(shop: Workshop) -> None:
    shoot(shop.store, 2)
    rounds = ThumbRounds(shop.store.journal, ["main"], lambda: shop.document)
    rounds.turn()
    shop.work()
    before = shop.store.database.data_version()
    for _ in range(5):
        shop.store.clock.advance(20)
        assert rounds.turn() == 0
    assert shop.store.database.data_version() == before


def dies(shop: Workshop, rounds: ThumbRounds) -> str:
    """The job that dies of a folder for thumbnails that cannot be made; what is in its way stays."""
    (shop.store.folder / "thumbs").write_bytes(b"in the way")
    assert rounds.turn() == 1
    for _ in range(4):
        assert shop.work() == 1
        shop.store.clock.advance(400)
    (job,) = JobReader(shop.store.database).page(kind="thumbnail", state=JobState.DEAD)
    return job.id


def test_a_dead_letter_holds_a_camera_for_an_hour_and_no_longer(shop: Workshop) -> None:
    frames = shoot(shop.store, 2)
    rounds = ThumbRounds(shop.store.journal, ["main"], lambda: shop.document)
    job = dies(shop, rounds)
    left_s = thumbs.DEAD_S - (shop.store.clock.now_us() - (shop.job(job).finished_us or 0)) / US
    shop.store.clock.advance(left_s - 1)
    assert rounds.turn() == 0
    (shop.store.folder / "thumbs").unlink()
    shop.store.clock.advance(2)
    assert rounds.turn() == 1, "though nothing else has happened since"
    shop.work()
    assert shop.files("thumbs") == names_of(frames)
    assert [(each.id, each.state) for each in JobReader(shop.store.database).page()] == [(job, JobState.DONE)]


def test_a_disk_that_stays_broken_makes_one_dead_letter_however_often_it_is_tried(shop: Workshop) -> None:
    shoot(shop.store, 1)
    rounds = ThumbRounds(shop.store.journal, ["main"], lambda: shop.document)
    job = dies(shop, rounds)
    for _ in range(3):
        shop.store.clock.advance(thumbs.DEAD_S)
        assert dies(shop, rounds) == job


def test_what_somebody_discards_is_asked_for_at_once(shop: Workshop) -> None:
    shoot(shop.store, 1)
    rounds = ThumbRounds(shop.store.journal, ["main"], lambda: shop.document)
    job = dies(shop, rounds)
    assert rounds.turn() == 0
    shop.jobs.discard(job, Actor("operator"))
    assert rounds.turn() == 1


def test_a_clock_that_went_back_does_not_make_a_dead_letter_hold_for_longer(shop: Workshop) -> None:
    shoot(shop.store, 1)
    rounds = ThumbRounds(shop.store.journal, ["main"], lambda: shop.document)
    dies(shop, rounds)
    shop.store.clock.step(-86_400)
    assert rounds.turn() == 1


def test_dead_letters_of_before_are_made_up_for(shop: Workshop) -> None:
    shoot(shop.store, 1)
    job = dies(shop, ThumbRounds(shop.store.journal, ["main"], lambda: shop.document))
    (shop.store.folder / "thumbs").unlink()
    assert made_of(shop) == {"made": 1}
    assert shop.job(job).state is JobState.CANCELLED


def test_a_camera_without_frames_does_not_have_those_of_others_read_each_time(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbs, "FAR", 3)
    shoot(shop.store, 5, camera="main")
    rounds = ThumbRounds(shop.store.journal, ["side"], lambda: shop.document)
    assert rounds.turn() == 0
    assert cursor(shop, "side") == Cursor(5)
    shoot(shop.store, 1, camera="side")
    assert rounds.turn() == 1


def test_what_was_made_is_told_to_nobody(shop: Workshop) -> None:
    shoot(shop.store, 1)
    before = shop.store.events.newest()
    made_of(shop)
    assert shop.store.events.newest() == before


def test_an_idle_worker_has_loaded_no_library_for_pictures() -> None:
    script = (
        "import sys; import node.work.thumbs, node.work.triggers, node.work.rendering, node.work.worker;"
        "print(sorted({'av', 'cv2', 'numpy', 'simplejpeg'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
