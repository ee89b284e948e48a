"""SIGKILL of node and camera worker, at random and at every named point, under load: nothing reported is lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from node.crashpoint import VARIABLE
from tests.faults.witness import Witness
from tests.nodes import EACH_SECOND, SMALL, Home, Node, begun, wait_for
from tests.simulate.ledger import all_complaints, settled_to

CAMERAS = {
    # the first shot of each life is damaged: recapture, quarantine
    "main": {**SMALL, "faults": [{"kind": "truncated", "after_shots": 0, "shots": 1, "every": 5}]},
    # two in a row are: the slot is a gap
    "side": {**SMALL, "seed": 2, "faults": [{"kind": "truncated", "after_shots": 1, "shots": 2, "every": 6}]},
}
WARM = EACH_SECOND | {"quality": {"limits": {"cold_below": 1}}}  # each life begins without a history
EVERY_OTHER = WARM | {"schedules": {"each": {"interval_s": 2}}}
PROBATION = {"good_frames": 1, "min_s": 4}
HOMES = 3
KILLS, RANDOM_KILLS, WORKER_KILLS = 50, 6, 6  # in all; of each home
EARLY_SHARE = 0.3
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}  # a killed process leaves no figures, and starts faster without
PATIENCE_S = 120.0
SEED = 20261120


def leave(_node: Node) -> None:
    """Captures alone bring the process to the point."""


def propose(node: Node) -> int:
    """Another document, refused while one is on probation; the status of the answer."""
    return node.put(EVERY_OTHER if node.get("/v1/config")["document"] == WARM else WARM).status_code


def push(node: Node) -> None:
    """Another document, whatever is on probation."""
    while propose(node) == httpx.codes.CONFLICT:
        node.ask("POST", "/v1/config/rollback", json={})
        time.sleep(0.1)


def push_and_roll_back(node: Node) -> None:
    push(node)
    node.ask("POST", "/v1/config/rollback", json={})


POINTS: dict[str, Callable[[Node], object]] = {
    "before_shot": leave,
    "shot_taken": leave,
    "before_rename": leave,
    "after_rename": leave,
    "file_written": leave,
    "before_commit": leave,
    "after_commit": leave,
    "frame_committed": leave,
    "quarantine_written": leave,
    "before_activation": push,
    "activated": push,
    "confirmed": propose,
    "before_rollback": push_and_roll_back,
    "rolled_back": push_and_roll_back,
}
PASSAGES = {"before_commit": 12, "after_commit": 12, "before_rename": 5, "after_rename": 5, "frame_committed": 2}


class Ordeal:
    """One home, life after life."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.home = Home(folder, CAMERAS, WARM, {"probation": PROBATION})
        self.witness, self.random = Witness(), random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.missed: list[str] = []

    def run(self, points: list[str]) -> Ordeal:
        lives: list[Callable[[], None]] = [partial(self.die_at, point) for point in points]
        lives += [self.die_at_random] * RANDOM_KILLS
        self.random.shuffle(lives)
        for life in lives:
            life()
        self.lose_workers()
        self.end_well()
        return self

    def die_at(self, point: str) -> None:
        passage = self.random.randint(1, PASSAGES.get(point, 1))
        with self.living(**{VARIABLE: f"{point}:{passage}"}) as node:
            until = time.monotonic() + PATIENCE_S
            while not ended_within(node, 0.0) and time.monotonic() < until:
                with suppress(httpx.HTTPError):
                    POINTS[point](node)
                ended_within(node, PROBATION["min_s"] + 1.0)
            if node.process.returncode != -signal.SIGKILL:
                self.missed.append(f"{point}:{passage}")
        self.kills[point] += 1

    def die_at_random(self) -> None:
        """Some of them while the service starts."""
        if self.random.random() < EARLY_SHARE:
            node = self.home.start(**UNMEASURED)
            time.sleep(self.random.uniform(0.1, 1.5))
            node.kill()
        else:
            with self.living():
                time.sleep(self.random.uniform(0.0, 1.5))
        self.kills["node at random"] += 1

    def lose_workers(self) -> None:
        """Every fourth while it is being recovered: that costs a longer wait each time."""
        with self.living() as node:
            for number in range(WORKER_KILLS):
                time.sleep(self.random.uniform(0.2, 1.0))
                if number % 4 != 1:
                    wait_for(
                        lambda: all(node.camera(name)["state"] == "ok" for name in CAMERAS), "cameras work", PATIENCE_S
                    )
                wait_for(node.workers, "a worker lives", PATIENCE_S)
                with suppress(ProcessLookupError):
                    os.kill(self.random.choice(node.workers()), signal.SIGKILL)
                self.kills["worker at random"] += 1

    def end_well(self) -> None:
        """A last life, long enough to explain what was missed, and an ordinary stop."""
        began_us = time.time_ns() // 1000
        with begun(self.home) as node, self.witness.watching(node.ready(PATIENCE_S)):
            wait_for(
                lambda: all(at > began_us for at in settled_to(node.data).values()), "complete ledgers", PATIENCE_S
            )
            assert node.stop()[0] == 0

    @contextmanager
    def living(self, **environment: str) -> Iterator[Node]:
        """Ready or dead, whichever comes first; dead at the end."""
        node = self.home.start(**UNMEASURED, **environment)
        try:
            wait_for(lambda: self.home.ready_file.exists() or not node.alive, "ready or dead", PATIENCE_S)
            if node.alive:
                node.ready()
                with self.witness.watching(node):
                    yield node
            else:
                yield node
        finally:
            node.kill()

    def complaints(self) -> list[str]:
        return [*all_complaints(self.home.data, tuple(CAMERAS)), *self.witness.complaints(self.home.data)]


def ended_within(node: Node, seconds: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        node.process.wait(seconds)
    return not node.alive


@pytest.mark.slow
def test_nothing_that_was_reported_is_lost_in_fifty_kills(tmp_path: Path) -> None:
    points = list(POINTS)
    with ThreadPoolExecutor(HOMES) as pool:
        ordeals = list(
            pool.map(
                lambda number: Ordeal(tmp_path / f"home-{number}", SEED + number).run(points[number::HOMES]),
                range(HOMES),
            )
        )
    kills = sum((each.kills for each in ordeals), Counter[str]())
    print(table(kills, ordeals))
    assert kills.total() >= KILLS
    assert [missed for each in ordeals for missed in each.missed] == []
    assert [said for each in ordeals for said in each.complaints()] == []
    assert all(each.witness.frames and each.witness.told for each in ordeals)


def table(kills: Counter[str], ordeals: list[Ordeal]) -> str:
    lines = [f"{fault:24}{count:4}" for fault, count in sorted(kills.items())]
    frames = sum(len(each.witness.frames) for each in ordeals)
    requests = sum(each.witness.requests for each in ordeals)
    return "\n".join([*lines, f"{kills.total()} kills, {frames} frames reported in {requests} answers"])


def delete_a_slot(data: Path) -> None:
    change(data, "DELETE FROM slots WHERE due_us = (SELECT MIN(due_us) FROM slots)")


def delete_a_row(data: Path) -> None:
    change(data, "UPDATE slots SET frame_id = NULL, reason = 'late' WHERE frame_id IS NOT NULL")
    change(data, "DELETE FROM frames WHERE quarantined = 0")


def delete_a_file(data: Path) -> None:
    picture(data).unlink()


def flip_a_byte(data: Path) -> None:
    path = picture(data)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def copy_a_file(data: Path) -> None:
    path = picture(data)
    shutil.copy(path, path.with_name("copy.jpg"))


PLANTS = {
    delete_a_slot: "has neither frame nor gap",
    delete_a_row: "has no row",
    delete_a_file: "is not on disk",
    flip_a_byte: "has changed",
    copy_a_file: "lies there 2 times",
}


def picture(data: Path) -> Path:
    return next((data / "frames").rglob("*.jpg"))


def change(data: Path, sql: str) -> None:
    with closing(sqlite3.connect(data / "heliograph.db")) as database, database:
        database.execute(sql)


@pytest.mark.slow
def test_what_is_planted_is_found(tmp_path: Path) -> None:
    ordeal = Ordeal(tmp_path / "home", SEED)
    with ordeal.living() as node:
        wait_for(lambda: len(ordeal.witness.told) > 4, "frames")
        assert node.stop()[0] == 0
    assert ordeal.complaints() == []
    clean = tmp_path / "clean"
    ordeal.home.data.rename(clean)
    for plant, said in PLANTS.items():
        shutil.copytree(clean, ordeal.home.data)
        plant(ordeal.home.data)
        assert any(said in each for each in ordeal.complaints()), plant.__name__
        shutil.rmtree(ordeal.home.data)
