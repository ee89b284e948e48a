from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from node.camera.base import CameraConfig, ExposurePlan, ShotSpec
from node.camera.replay import ReplayCamera, check_folders
from node.domain.errors import CameraFault, DirectoryMissing, ReplayEmpty
from node.domain.nodefile import NodeFile
from tests.clocks import JumpClock


def opened(folder: Path, **given: Any) -> ReplayCamera:
    camera = ReplayCamera(JumpClock())
    camera.open(CameraConfig("main", {"backend": "replay", "folder": str(folder)}, **given))
    return camera


def take(camera: ReplayCamera, count: int = 1) -> list[bytes]:
    return [camera.capture(5.0, ShotSpec(7)).jpeg for _ in range(count)]


def put(folder: Path, name: str, content: bytes, *, step: int = 1) -> None:
    """Written, with a folder time that surely differs (kernels stamp in steps of some ms)."""
    (folder / name).write_bytes(content)
    stamp = folder.stat().st_mtime_ns + step * 1_000_000_000
    os.utime(folder, ns=(stamp, stamp))


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_files_come_in_the_order_of_their_names_round_and_round(letters: Path) -> None:
    assert take(opened(letters), 5) == [b"a", b"b", b"c", b"a", b"b"]


def test_bytes_are_delivered_as_they_are_whatever_they_are(folder: Path) -> None:
    whole = (folder / "0.jpg").read_bytes()
    for name, content in {
        "3.jpg": b"",
        "4.png": b"\x89PNG",
        "5.txt": b"words",
        "6.jpg": whole[: len(whole) // 2],
    }.items():
        (folder / name).write_bytes(content)
    camera = opened(folder)
    shots = [camera.capture(5.0, ShotSpec(7)) for _ in range(7)]
    assert [shot.jpeg for shot in shots] == [path.read_bytes() for path in sorted(folder.iterdir())]
    assert [shot.width for shot in shots] == [160, 200, 320, 0, 0, 0, 160]


def test_the_moment_of_a_replayed_shot_is_its_slot(folder: Path) -> None:
    assert opened(folder).capture(5.0, ShotSpec(123_456)).captured_us == 123_456


def test_folders_and_hidden_files_are_no_pictures_links_to_files_are(letters: Path) -> None:
    (letters / "folder").mkdir()
    (letters / ".hidden").write_bytes(b"no")
    (letters / "d").symlink_to(letters / "a")
    (letters / "e").symlink_to(letters / "nothing")
    assert take(opened(letters), 5) == [b"a", b"b", b"c", b"a", b"a"]


def test_a_folder_that_changes_is_read_again_and_goes_on_behind_the_last_name(letters: Path) -> None:
    camera = opened(letters)
    assert take(camera, 2) == [b"a", b"b"]
    put(letters, "aa", b"aa")
    put(letters, "bb", b"bb", step=2)
    assert take(camera, 5) == [b"bb", b"c", b"a", b"aa", b"b"]


def test_a_file_that_went_away_is_passed_over(letters: Path) -> None:
    camera = opened(letters)
    take(camera)
    stamp = letters.stat().st_mtime_ns
    (letters / "b").unlink()
    os.utime(letters, ns=(stamp, stamp))
    assert take(camera, 2) == [b"c", b"a"]


def test_a_folder_that_was_emptied_is_said_and_filled_again_goes_on(letters: Path) -> None:
    camera = opened(letters)
    take(camera)
    for path in letters.iterdir():
        path.unlink()
    with pytest.raises(ReplayEmpty, match=str(letters)):
        take(camera)
    put(letters, "z", b"z")
    assert take(camera) == [b"z"]


def test_a_folder_without_files_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ReplayEmpty, match=str(tmp_path)):
        opened(tmp_path)


def test_a_folder_that_is_missing_or_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for wrong in ("nothing", "file"):
        with pytest.raises(DirectoryMissing, match=wrong):
            opened(tmp_path / wrong)


def test_a_folder_that_goes_away_is_named(letters: Path) -> None:
    camera = opened(letters)
    letters.rename(letters.with_name(f"{letters.name}-gone"))
    with pytest.raises(DirectoryMissing, match=str(letters)):
        take(camera)


def test_a_new_worker_goes_on_where_the_ended_one_was(letters: Path) -> None:
    assert take(opened(letters, shots_before=2), 2) == [b"c", b"a"]
    assert take(opened(letters, shots_before=3)) == [b"a"]


def test_reopening_keeps_the_place(letters: Path) -> None:
    camera = opened(letters)
    take(camera)
    camera.close()
    camera.open(CameraConfig("main", {"backend": "replay", "folder": str(letters)}, shots_before=1))
    assert take(camera) == [b"b"]


def test_the_size_is_that_of_the_first_picture_that_has_one(folder: Path) -> None:
    (folder / "-broken").write_bytes(b"no picture")
    assert opened(folder).capabilities().width == 160


def test_nothing_can_be_set(folder: Path) -> None:
    assert opened(folder).apply(ExposurePlan("manual", 1.0, 2.0)) == ("exposure_s", "gain")


def test_a_camera_that_was_not_opened_takes_no_shot() -> None:
    with pytest.raises(CameraFault):
        take(ReplayCamera(JumpClock()))


def test_at_start_every_folder_without_pictures_is_named_by_its_field(letters: Path) -> None:
    (letters / "empty").mkdir()
    folders = {"good": letters, "none": letters / "none", "empty": letters / "empty"}

    def checked(*names: str) -> None:
        cameras = {name: {"backend": "replay", "folder": str(folders[name])} for name in names}
        check_folders(
            NodeFile.model_validate({"cameras": {"sky": {"backend": "synthetic"}, **cameras}}).replay_folders()
        )

    checked("good")
    with pytest.raises(ReplayEmpty) as empty:
        checked("good", "empty")
    assert [fault.path for fault in empty.value.fields] == ["cameras.empty.folder"]
    with pytest.raises(DirectoryMissing) as missing:
        checked("good", "empty", "none")
    assert {fault.path for fault in missing.value.fields} == {"cameras.none.folder", "cameras.empty.folder"}
