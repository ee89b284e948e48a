"""Frames into files: whole and proved, or not there at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.fleet.inventory import Host

FRAME = "01ARZ3NDEKTSV4RRFF1A2B3C4D"
PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 400
NAME = "kyoto-main-20270115T075953-1A2B3C4D"
GONE = Host("oslo", "127.0.0.1", 1, "http")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def record(**changes: Any) -> dict[str, Any]:
    return {
        "id": FRAME, "camera": "main", "captured": "2027-01-15T07:59:53.000Z", "verdict": "good", "score": 93,
        "size_bytes": len(PICTURE), "sha256": hashlib.sha256(PICTURE).hexdigest(), **changes,
    }  # fmt: skip


@pytest.fixture
def album(start: Any, fleet: Any, answer: Any) -> Callable[..., Any]:
    def made(*others: Any, **changes: Any) -> Any:
        fake = start()
        page = {"items": [record(**changes)], "next": None}
        fake.answers("GET /v1/frames/latest", page)
        fake.answers("GET /v1/frames", page)
        fake.answers(f"GET /v1/frames/{FRAME}", record(**changes))
        fake.answers(f"GET /v1/frames/{FRAME}/image", answer(PICTURE))
        fake.answers(f"GET /v1/frames/{FRAME}/small", answer(PICTURE[:100]))
        fleet(fake, *others)
        return fake

    return made


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_last_frame_arrives_byte_for_byte(album: Any, run: Any, folder: Path) -> None:
    album()
    ran = run("frames", "get", "kyoto")
    assert (ran.code, files(folder)) == (0, {f"{NAME}.jpg": PICTURE})
    assert ran.out == f"kyoto: main {FRAME} 2027-01-15T07:59:53.000Z good 93 {NAME}.jpg\n"


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["kyoto", "--good"], "/v1/frames/latest?fields=all&good=true"),
        (["kyoto/main"], "/v1/frames/latest?camera=main&fields=all"),
        ([f"kyoto/{FRAME}"], f"/v1/frames/{FRAME}"),
        (["kyoto/main", "--list", "5"], "/v1/frames?camera=main&limit=5"),
    ],
)
def test_which_frame_is_asked_for(album: Any, run: Any, words: list[str], path: str) -> None:
    fake = album()
    assert run("frames", "get", *words).code == 0
    assert path in [each for each, _ in fake.asked]


def test_a_small_picture_is_another_file(album: Any, run: Any, folder: Path) -> None:
    album()
    (folder / "pictures").mkdir()
    assert run("frames", "get", "kyoto", "--small", "--to", "pictures").code == 0
    assert files(folder / "pictures") == {f"{NAME}-small.jpg": PICTURE[:100]}


def test_a_list_fetches_nothing(album: Any, run: Any, folder: Path) -> None:
    album()
    ran = run("frames", "get", "kyoto", "--list", "3", "--json")
    (frame,) = ran.json["frames"]
    assert (frame["id"], frame["node"], frame["file"]) == (FRAME, "kyoto", None)
    assert files(folder) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "0" * 64}, {"sha256": "no hash"}, {"sha256": None}, {"size_bytes": None},
        {"size_bytes": 7}, {"size_bytes": len(PICTURE) + 1}, {"size_bytes": -1},
    ],
)  # fmt: skip
def test_what_is_not_the_frame_that_was_kept_leaves_no_file(
    album: Any, run: Any, folder: Path, changes: dict[str, Any]
) -> None:
    album(**changes)
    ran = run("frames", "get", "kyoto")
    assert (ran.code, files(folder)) == (1, {})
    assert "FLT-013" in ran.err


def test_a_picture_cut_short_leaves_the_older_file(album: Any, run: Any, folder: Path, answer: Any) -> None:
    (folder / f"{NAME}.jpg").write_bytes(b"older")
    album().answers(f"GET /v1/frames/{FRAME}/image", answer(b"", lost=True))
    ran = run("frames", "get", "kyoto")
    assert (ran.code, files(folder)) == (1, {f"{NAME}.jpg": b"older"})
    assert "FLT-002" in ran.err


@pytest.mark.parametrize(
    "changes",
    [{"id": "../../etc/passwd"}, {"id": "short"}, {"id": FRAME + "\n"}, {"camera": "../up"}, {"camera": "a/b"}],
)
def test_names_that_a_node_could_lead_astray_with_are_refused(
    album: Any, run: Any, folder: Path, changes: dict[str, Any]
) -> None:
    album(**changes)
    ran = run("frames", "get", "kyoto")
    assert (ran.code, files(folder)) == (1, {})
    assert "FLT-003" in ran.err


@pytest.mark.parametrize("captured", [None, "", "../../x", "yesterday", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_is_left_out_of_the_name(album: Any, run: Any, folder: Path, captured: str | None) -> None:
    album(captured=captured)
    assert run("frames", "get", "kyoto").code == 0
    (name,) = files(folder)
    assert name.startswith("kyoto-main-")
    assert name.endswith("1A2B3C4D.jpg")


def test_another_frame_than_the_one_asked_for_is_refused(album: Any, run: Any, folder: Path) -> None:
    fake = album()
    fake.answers(f"GET /v1/frames/{FRAME}", record(id="01ARZ3NDEKTSV4RRFF99999999"))
    ran = run("frames", "get", f"kyoto/{FRAME}")
    assert (ran.code, files(folder)) == (1, {})
    assert "another frame" in ran.err


def test_a_reclaimed_frame_is_told_in_the_nodes_words(album: Any, run: Any, folder: Path) -> None:
    album().refuses(f"GET /v1/frames/{FRAME}/image", 410, "DSK-007", "frame was reclaimed from this node")
    ran = run("frames", "get", "kyoto")
    assert (ran.code, files(folder)) == (1, {})
    assert "DSK-007 frame was reclaimed from this node" in ran.err


def test_a_node_without_frames_says_so(album: Any, run: Any) -> None:
    album().answers("GET /v1/frames/latest", {"items": [], "next": None})
    ran = run("frames", "get", "kyoto")
    assert ran.code == 1
    assert "kyoto: it has no such frame" in ran.err


def test_who_is_not_heard_is_told_and_the_others_come(album: Any, run: Any, folder: Path) -> None:
    album(GONE)
    ran = run("frames", "get", "kyoto", "oslo", "atlantis/main", "--json")
    assert ran.code == 1
    why = {each["node"]: each["why"] for each in ran.json["frames"]}
    assert why["oslo"].startswith("unreachable")
    assert why["atlantis"] == "no such node in the inventory"
    assert list(files(folder)) == [f"{NAME}.jpg"]


def test_to_reach_none_is_unavailable(fleet: Any, run: Any) -> None:
    fleet(GONE)
    assert run("frames", "get", "oslo").code == 69


def test_a_node_is_to_be_named(album: Any, run: Any) -> None:
    album()
    ran = run("frames", "get")
    assert ran.code == 64
    assert "FLT-011" in ran.err


def test_a_folder_that_is_missing_is_made_and_that_is_said(album: Any, run: Any, folder: Path) -> None:
    album()
    ran = run("frames", "get", "kyoto", "--to", "pictures/may")
    assert (ran.code, ran.err) == (0, "made the folder pictures/may\n")
    assert files(folder / "pictures" / "may") == {f"{NAME}.jpg": PICTURE}
    assert run("frames", "get", "kyoto", "--to", "pictures/may").err == ""


def test_a_folder_that_cannot_be_made_is_told(album: Any, run: Any, folder: Path) -> None:
    album()
    (folder / "taken").write_text("")
    ran = run("frames", "get", "kyoto", "--to", "taken/below")
    assert ran.code == 1
    assert "FLT-017" in ran.err
