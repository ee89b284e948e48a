from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.domain.config import Quality, QualityLimits
from node.domain.errors import PictureUnreadable
from node.imaging.exif import with_sidecar
from node.work import inspect
from node.work.inspect import in_order, inspect_batch, inspect_files, inspect_series
from node.work.judge import Judge
from tests import scenes

SCENE = scenes.scene(31)
FIELDS = {"path", "integrity", "score", "verdict", "reasons", "cpu_ms", "baseline_frames", "cold"}


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def frame(seed: int, picture: scenes.Scene = SCENE) -> bytes:
    return scenes.jpeg(scenes.noisy(picture, np.random.default_rng(seed)))


def batch(folder: Path, *lines: object) -> list[dict[str, Any]]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return list(inspect_batch(written(folder / "list.jsonl", text.encode())))


@pytest.fixture
def history(tmp_path: Path) -> list[str]:
    return [str(written(tmp_path / "history" / f"{number}.jpg", frame(number))) for number in range(12)]


def test_single_files_are_judged_without_history(tmp_path: Path) -> None:
    good = written(tmp_path / "good.jpg", frame(1))
    torn = written(tmp_path / "torn.jpg", frame(1)[:9000])
    white = written(tmp_path / "white.jpg", scenes.jpeg(SCENE * 0 + 255))
    found = list(inspect_files([good, torn, white]))
    assert [entry["verdict"] for entry in found] == ["good", "bad", "bad"]
    assert [entry["integrity"] for entry in found] == ["intact", "truncated", "intact"]
    assert [[reason["code"] for reason in entry["reasons"]] for entry in found] == [[], ["truncated"], ["blown"]]
    for entry in found:
        assert set(entry) == FIELDS
        assert entry["cpu_ms"] > 0
        assert (entry["baseline_frames"], entry["cold"]) == (0, True)
        assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    assert set(found[2]["reasons"][0]) == {"code", "measure", "limit"}


def test_what_cannot_be_read_is_an_error_entry_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = written(tmp_path / "good.jpg", frame(1))
    os.mkfifo(tmp_path / "pipe.jpg")
    huge = tmp_path / "huge.jpg"
    huge.touch()
    os.truncate(huge, inspect.LARGEST_PICTURE + 1)
    found = list(inspect_files([tmp_path / "none.jpg", tmp_path, tmp_path / "pipe.jpg", huge, Path("nul\0"), good]))
    assert [entry.get("error", "")[:7] for entry in found] == ["QUA-001"] * 5 + [""]
    assert "no such file" in found[0]["error"]
    assert "not a file" in found[1]["error"]
    assert found[5]["verdict"] == "good"


def test_limits_can_be_tried(tmp_path: Path) -> None:
    path = written(tmp_path / "bright.jpg", scenes.jpeg(SCENE * 2))
    lenient, strict = (Quality(limits=QualityLimits(blown_share=share)) for share in (0.9, 0.1))
    assert [next(inspect_files([path], quality))["verdict"] for quality in (lenient, strict)] == ["good", "bad"]


def test_a_list_brings_each_picture_its_history(tmp_path: Path, history: list[str]) -> None:
    soft = str(written(tmp_path / "soft.jpg", frame(90, scenes.blurred(SCENE, 4))))
    fog = str(written(tmp_path / "fog.jpg", frame(91, scenes.fogged(SCENE, 2))))
    found = batch(
        tmp_path,
        {"path": soft, "history": history, "captured_at": "2026-06-01T12:00:00Z", "sun_elevation": 40.5},
        {"path": soft},
        "",
        {"path": fog, "history": history, "sun_elevation": None},
        {"path": history[0], "history": [history[0]] * 3},
    )
    assert [(entry["verdict"], entry["baseline_frames"]) for entry in found] == [
        ("bad", 12), ("good", 0), ("good", 12), ("bad", 3),
    ]  # fmt: skip
    assert [reason["code"] for reason in found[0]["reasons"]] == ["blurred"]
    assert [reason["code"] for reason in found[3]["reasons"]] == ["stuck"]


def test_the_suns_place_in_a_list_makes_day_and_night(tmp_path: Path) -> None:
    black = str(written(tmp_path / "black.jpg", scenes.jpeg(SCENE * 0)))
    found = batch(tmp_path, *({"path": black, "sun_elevation": sun} for sun in (30, -30, None)))
    assert [(entry["verdict"], entry["score"] == 100) for entry in found] == [
        ("bad", False), ("good", True), ("good", False),
    ]  # fmt: skip


def test_history_beyond_what_a_baseline_remembers_is_not_read(tmp_path: Path, history: list[str]) -> None:
    (entry,) = batch(tmp_path, {"path": history[0], "history": [str(tmp_path / "gone.jpg"), *history * 5]})
    assert entry["baseline_frames"] == 50
    assert "error" not in entry


def test_history_that_cannot_be_used_is_named_beside_the_verdict(tmp_path: Path, history: list[str]) -> None:
    torn = str(written(tmp_path / "torn.jpg", frame(1)[:9000]))
    gone = str(tmp_path / "gone.jpg")
    (entry,) = batch(tmp_path, {"path": history[0], "history": [*history[1:], torn, gone]})
    assert (entry["verdict"], entry["baseline_frames"]) == ("good", 11)
    assert torn in entry["error"]
    assert gone in entry["error"]


@pytest.mark.parametrize(
    "line",
    ["no json", "[]", "{}", '{"path": 1}', '{"path": "a", "history": "b"}', '{"path": "a", "history": [1]}',
     '{"path": "a", "sun_elevation": "high"}', '{"path": "a", "sun_elevation": true}', '{"path": "/none.jpg"}', "\0"],
)  # fmt: skip
def test_a_wrong_line_is_an_error_entry_and_the_rest_goes_on(tmp_path: Path, history: list[str], line: str) -> None:
    wrong, good = batch(tmp_path, line, {"path": history[0]})
    assert wrong["error"].startswith("QUA-001")
    assert good["verdict"] == "good"


def test_a_list_or_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PictureUnreadable, match="No such file"):
        list(inspect_batch(tmp_path / "none.jsonl"))
    with pytest.raises(PictureUnreadable, match="not a folder"):
        list(inspect_series(tmp_path / "none"))
    assert list(inspect_series(tmp_path)) == []


# --- series -----------------------------------------------------------------------------------------------------


def test_a_series_gives_what_the_judge_gave_live(tmp_path: Path) -> None:
    live, expected = Judge(None, "main"), []
    quality = Quality()
    pictures = [frame(number) for number in range(14)]
    pictures[11] = pictures[12] = pictures[10]
    pictures += [frame(20, scenes.blurred(SCENE, 4)), frame(21, scenes.fogged(SCENE, 2)), frame(22, SCENE * 0)]
    for number, jpeg in enumerate(pictures):
        sun = 45.0 - number
        assessed = live.assess(jpeg, "auto", sun, quality)
        live.learn(assessed)
        expected.append(assessed.judgement)
        sidecar = {"schema": 1, "camera": "main", "profile": "auto", "captured_us": number * 60_000_000,
                   "sun_elevation_deg": sun}  # fmt: skip
        written(tmp_path / f"{(number * 7) % 17:02d}.jpg", with_sidecar(jpeg, sidecar))
    found = list(inspect_series(tmp_path))
    assert [entry["score"] for entry in found] == [judgement.score for judgement in expected]
    assert [entry["verdict"] for entry in found] == [judgement.verdict.value for judgement in expected]
    assert [entry["baseline_frames"] for entry in found] == [judgement.baseline_frames for judgement in expected]
    for entry, judgement in zip(found, expected, strict=True):
        assert [reason["code"] for reason in entry["reasons"]] == [reason.code for reason in judgement.reasons]
        assert [reason["measure"] for reason in entry["reasons"]] == [reason.measure for reason in judgement.reasons]
    assert {entry["verdict"] for entry in found} == {"good", "bad"}


def test_cameras_in_one_folder_have_a_judge_each(tmp_path: Path) -> None:
    for number in range(4):
        for camera in ("main", "yard"):
            sidecar = {"schema": 1, "camera": camera, "captured_us": number}
            written(tmp_path / camera / f"{number}.jpg", with_sidecar(frame(number), sidecar))
    assert [entry["baseline_frames"] for entry in inspect_series(tmp_path)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_order_is_time_where_it_is_known_and_name_where_not(tmp_path: Path) -> None:
    def taken(seconds: int) -> bytes:
        return with_sidecar(frame(1), {"schema": 1, "captured_us": seconds * 1_000_000})

    exif = scenes.Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "1970:01:01 00:00:25"
    written(tmp_path / "a.jpg", taken(30))
    written(tmp_path / "b.JPG", taken(10))
    written(tmp_path / "b2.jpeg", b"torn, follows b")
    written(tmp_path / "c.jpg", scenes.jpeg(SCENE, exif=exif.tobytes()))
    written(tmp_path / "below" / "d.jpg", taken(20))
    written(tmp_path / "notes.txt", b"no picture")
    assert [path.name for path in in_order(tmp_path)] == ["b.JPG", "b2.jpeg", "d.jpg", "c.jpg", "a.jpg"]


def test_numbers_in_names_count_by_their_value(tmp_path: Path) -> None:
    for name in ("shot10.jpg", "shot9.jpg", "shot100.jpg", "shot1b.jpg", "shot1.jpg"):
        written(tmp_path / name, frame(1))
    names = [path.name for path in in_order(tmp_path)]
    assert names == ["shot1.jpg", "shot1b.jpg", "shot9.jpg", "shot10.jpg", "shot100.jpg"]


def test_a_file_that_vanishes_on_the_way_is_an_error_entry(tmp_path: Path) -> None:
    for number in range(3):
        written(tmp_path / f"{number}.jpg", frame(number))
    series = inspect_series(tmp_path)
    first = next(series)
    (tmp_path / "1.jpg").unlink()
    second, third = series
    assert (first["verdict"], third["verdict"], third["baseline_frames"]) == ("good", "good", 1)
    assert second["error"].startswith("QUA-001")


def test_memory_stays_flat_over_many_files(tmp_path: Path) -> None:
    small = scenes.scene(31, 128, 96)
    for number in range(240):
        written(tmp_path / f"{number}.jpg", frame(number, small))
    series = inspect_series(tmp_path)
    for _ in range(80):
        next(series)
    tracemalloc.start()
    try:
        for _ in range(20):
            next(series)
        early = tracemalloc.get_traced_memory()[0]
        for _ in range(120):
            next(series)
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert late - early < 100_000
