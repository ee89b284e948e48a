"""A look by hand at a target: done, whatever it found."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.job import JobState
from node.store.jobs import Job
from tests.docks import Shipyard, shipyard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Shipyard]:
    with shipyard(tmp_path) as made:
        yield made


def looked(yard: Shipyard) -> Job:
    return yard.asked("test-target", "nas", target="nas")


def test_a_target_that_is_there_says_its_room(yard: Shipyard) -> None:
    job = looked(yard)
    assert (job.state, job.result["ok"]) == (JobState.DONE, True)
    assert job.result["total_bytes"] == shutil.disk_usage(yard.nas).total


def test_a_target_that_is_away_makes_no_dead_letter_but_says_why(yard: Shipyard) -> None:
    away = yard.nas.rename(yard.nas.with_name(yard.nas.name + "-away"))
    job = looked(yard)
    assert (job.state, job.result["ok"], job.result["error_code"]) == (JobState.DONE, False, "ARC-001")
    assert job.result["hint"]
    assert yard.reader.target("nas").failures == 1
    away.rename(yard.nas)
    assert looked(yard).result["ok"] is True
    assert yard.reader.target("nas").last_error_code == ""


def test_a_folder_without_its_marker_is_no_target(yard: Shipyard) -> None:
    for path in yard.nas.iterdir():
        path.unlink()
    assert looked(yard).result["error_code"] == "ARC-002"
