from __future__ import annotations

from dataclasses import replace

import pytest

from node.render.judge import Facts, faults
from node.render.plan import Plan

PLAN = Plan((), 4056, 3040, 1920, 1440, 25.0, "standard", "h264", "libx264", 21, "veryfast", 1, 10, 1, 10)
RIGHT = Facts(100, 25.0, 4.0, 1920, 1440, "h264", first_decodes=True, last_decodes=True, size_bytes=1, sha256="")


def test_a_video_that_is_what_was_planned_has_no_fault() -> None:
    assert faults(PLAN, 100, RIGHT) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frames": 99}, "99 frames, 100 went in"),
        ({"frames": 101}, "101 frames, 100 went in"),
        ({"frames": 0}, "0 frames, 100 went in"),
        ({"fps": 24.0}, "24 frames per second, 25 planned"),
        ({"fps": 0.0}, "0 frames per second, 25 planned"),
        ({"duration_s": 3.96}, "lasts 3.96 s, not 4 s"),
        ({"duration_s": 0.0}, "lasts 0 s, not 4 s"),
        ({"width": 1918}, "1918 × 1440 pixels"),
        ({"height": 1438}, "1920 × 1438 pixels"),
        ({"codec": "hevc"}, "codec hevc"),
        ({"first_decodes": False}, "first frame does not decode"),
        ({"last_decodes": False}, "last frame does not decode"),
    ],
)
def test_whatever_is_wrong_is_said(change: dict[str, object], said: str) -> None:
    assert faults(PLAN, 100, replace(RIGHT, **change)) == [said]


def test_all_faults_are_said_together() -> None:
    assert len(faults(PLAN, 100, replace(RIGHT, frames=1, width=2, last_decodes=False))) == 3


def test_a_file_rounds_times_by_a_thousandth_at_most() -> None:
    rounded = replace(RIGHT, fps=25.0 * 1.0005, duration_s=4.0 * 0.9995)
    assert faults(PLAN, 100, rounded) == []


def test_fewer_pictures_than_are_needed_are_a_fault_even_when_all_agree() -> None:
    few = replace(RIGHT, frames=9, duration_s=0.36)
    assert faults(PLAN, 9, few) == ["9 frames, 10 are needed"]
