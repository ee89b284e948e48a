from __future__ import annotations

import os
from pathlib import Path

from node.store.video_files import Traces, files_of, strays

JOB = "01KHQY5ZJ8ABCDEFGHJKMNPQRS"
WRITTEN_S = 1_795_000_000


def test_a_jobs_files_have_the_same_names_whenever_it_runs(tmp_path: Path) -> None:
    files = files_of(tmp_path, "main", ("2026-11-18", "day", "auto"), JOB)
    assert files == files_of(tmp_path, "main", ("2026-11-18", "day", "auto"), JOB)
    assert files.video == "videos/main/2026-11-18_day_auto_JKMNPQRS.mp4"
    assert files.poster == "videos/main/2026-11-18_day_auto_JKMNPQRS.jpg"
    assert files.tmp_video == tmp_path / "videos" / "main" / ".2026-11-18_day_auto_JKMNPQRS.mp4.tmp"


def test_whole_files_take_the_place_of_older_ones(tmp_path: Path) -> None:
    files = files_of(tmp_path, "main", ("2026-11-18", "day", "auto"), JOB)
    files.tmp_video.parent.mkdir(parents=True)
    for content in (b"older", b"newer"):
        files.tmp_video.write_bytes(content)
        files.tmp_poster.write_bytes(content)
        files.put_in_place()
    assert sorted(path.name for path in (tmp_path / "videos" / "main").iterdir()) == [
        "2026-11-18_day_auto_JKMNPQRS.jpg", "2026-11-18_day_auto_JKMNPQRS.mp4",
    ]  # fmt: skip
    assert (tmp_path / files.video).read_bytes() == b"newer"


def test_only_what_is_unfinished_or_given_up_is_left_over(tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "main"
    folder.mkdir(parents=True)
    names = {
        "2026-11-18_day_auto_AAAAAAAA.mp4": "kept",
        "2026-11-18_day_auto_AAAAAAAA.jpg": "kept",
        "2026-11-18_day_auto_BBBBBBBB.mp4": "of a job that nobody knows",
        "2026-11-18_day_auto_CCCCCCCC.mp4": "left over",
        "2026-11-18_day_auto_CCCCCCCC.jpg": "left over",
        "2026-11-18_day_auto_EEEEEEEE.mp4": "written by a later life of its job",
        "2026-11-18_day_auto_FFFFFFFF.mp4": "written before the last attempt",
        ".2026-11-18_day_auto_BBBBBBBB.mp4.tmp": "left over",
        "2026-11-18_day_auto_GGGGGGGG.jpg": "left over",
        "holiday.mp4": "somebody's",
        "2026-11-18_notes.txt": "somebody's",
    }
    for name in names:
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (WRITTEN_S, WRITTEN_S))
    (folder / "2026-11-18_day_auto_DDDDDDDD.mp4").mkdir()
    kept = {f"videos/main/{name}" for name, what in names.items() if what == "kept"}
    spans = {"A": (-9, 9), "C": (-9, 9), "D": (-9, 9), "E": (-9, -1), "F": (1, 9)}
    ended = {8 * name: (_us(began), _us(over)) for name, (began, over) in spans.items()}
    found = strays(tmp_path, Traces(kept, {"videos/main/2026-11-18_day_auto_GGGGGGGG.jpg"}, ended))
    assert {path.name for path in found} == {name for name, what in names.items() if what == "left over"}


def _us(later_s: int) -> int:
    return (WRITTEN_S + later_s) * 1_000_000


def test_where_no_video_was_made_nothing_is_left_over(tmp_path: Path) -> None:
    assert list(strays(tmp_path, Traces((), (), {}))) == []
