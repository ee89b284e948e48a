"""The benchmarks run; what they say is not judged here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import pipeline, render, transfer
from tests.bench.figure import Figure, percentile, table, write_json
from tests.bench.scene import picture


def test_both_ways_take_a_picture_to_a_row(tmp_path: Path) -> None:
    small = picture(width=640, height=480)
    ours, peer = pipeline.Ours(tmp_path / "ours"), pipeline.Peer(tmp_path / "peer")
    ours.frame(small)
    peer.frame(small)
    ours.close()
    peer.close()
    assert len(list((tmp_path / "ours" / "frames").rglob("*.jpg"))) == 1
    assert len(list((tmp_path / "peer").glob("*.jpg"))) == 2


@pytest.mark.slow
def test_every_way_takes_frames_to_a_host() -> None:
    figures = list(transfer.figures(rounds=1, frames=3))
    assert len(figures) == 4
    assert all(figure.ours > 0 for figure in figures)


@pytest.mark.parametrize(
    ("figure", "reached"),
    [
        (Figure("a", "ms", 10.0, limit=20.0), True),
        (Figure("a", "ms", 30.0, limit=20.0), False),
        (Figure("a", "ms", 10.0, 35.0, 3.0, of_ratio=True), True),
        (Figure("a", "ms", 10.0, 25.0, 3.0, of_ratio=True), False),
        (Figure("a", "ms", 10.0), None),
    ],
)
def test_a_figure_knows_whether_its_limit_is_reached(figure: Figure, reached: bool | None) -> None:
    assert figure.reached is reached


def test_the_table_and_the_file_say_the_same(tmp_path: Path) -> None:
    figures = [Figure("a", "ms", 10.0, 35.0, 3.0, of_ratio=True), Figure("b", "MB", 200.0, limit=150.0)]
    first, second = table(figures).splitlines()[1:]
    assert "3.50x  >= 3x" in first
    assert "MISSED" in second
    write_json(figures, tmp_path / "bench.json")
    assert [row["reached"] for row in json.loads((tmp_path / "bench.json").read_text())] == [True, False]


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([5.0, 1.0, 3.0], 0.5) == 3.0
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert percentile([1.0, 2.0], 0.99) == 2.0


@pytest.mark.slow
def test_both_ways_make_a_video_that_can_be_compared() -> None:
    figures = {figure.name: figure for figure in render.figures(4, 1, 1, ("generated",))}
    likeness = figures["render 12 MP to 1920, SSIM below the peers'"]
    assert -50 < likeness.ours < 50
    peak = figures["render 12 MP to 1920, peak memory"]
    assert peak.peer
    assert 50 < peak.ours < peak.peer < 2000
