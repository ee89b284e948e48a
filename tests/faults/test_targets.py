"""A target that cannot be used, for every reason: the node names it, loses nothing, and goes on when it has gone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from node.domain.errors import (
    HeliographError,
    MarkerMissing,
    TargetFull,
    TargetRefused,
    TargetUnavailable,
    WorkerHeld,
)
from tests.faults.mischief import Dice, full, gone, host_down, read_only, unmarked
from tests.faults.ordeal import in_the_end
from tests.faults.station import NAS, STORE, TARGETS, Shape, Station, in_a_thread, station
from tests.nodes import heliograph_node

pytestmark = pytest.mark.slow

SEEN_S, AGAIN_S = 30.0, 60.0


@contextmanager
def other_text(path: Path, text: str) -> Iterator[None]:
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


@contextmanager
def other_key(station: Station) -> Iterator[None]:
    """The host lets somebody else in."""
    made = station.folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made)], check=True)
    with other_text(station.host.folder / "authorized_keys", made.with_suffix(".pub").read_text()):
        yield
    for path in (made, made.with_suffix(".pub")):
        path.unlink()


def unknown_host(station: Station) -> AbstractContextManager[None]:
    return other_text(station.host.folder / "known_hosts", "")


def another_host(station: Station) -> AbstractContextManager[None]:
    """Its key is not the one that is known."""
    known = station.host.folder / "known_hosts"
    name = known.read_text().split(" ", 1)[0]
    return other_text(known, f"{name} {(station.host.folder / 'key.pub').read_text()}")


Cause = Callable[[Station], AbstractContextManager[Any]]
ONCE = Dice(3)
CAUSES: dict[str, tuple[str, Cause, type[HeliographError]]] = {
    "the host is down": (STORE, partial(host_down, _dice=ONCE), TargetUnavailable),
    "the host refuses the key": (STORE, other_key, TargetRefused),
    "nobody knows the host's key": (STORE, unknown_host, TargetRefused),
    "another host answers": (STORE, another_host, TargetRefused),
    "the host's disk is not mounted": (STORE, partial(gone, dice=ONCE, disk=STORE), MarkerMissing),
    "the host's disk is full": (STORE, partial(full, dice=ONCE, disk=STORE, leaves=[0]), TargetFull),
    "the directory is not mounted": (NAS, partial(gone, dice=ONCE, disk=NAS), MarkerMissing),
    "the directory lost its marker": (NAS, partial(unmarked, _dice=ONCE, disk=NAS), MarkerMissing),
    "the directory is full": (NAS, partial(full, dice=ONCE, disk=NAS, leaves=[0]), TargetFull),
    "the directory is read-only": (NAS, partial(read_only, _dice=ONCE, disk=NAS), TargetRefused),
}


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_ails_a_target_is_named_costs_nothing_and_is_over_when_its_cause_is(
    tmp_path: Path, target: str
) -> None:
    in_a_thread(partial(lose, tmp_path, [cause for cause, (its, *_) in CAUSES.items() if its == target]))


def lose(folder: Path, causes: Sequence[str]) -> None:
    shape = Shape(2, window_s=20, windows=4)
    with station(folder, shape) as made:
        made.wait(lambda: all(standing(made, name).get("sent") for name in TARGETS), "both targets are used", AGAIN_S)
        for cause in causes:
            lose_a_target(made, cause)
        assert in_the_end(made, shape) == []


def lose_a_target(made: Station, cause: str) -> None:
    """Long enough to see that it is noticed, and that the other one goes on."""
    target, act, error = CAUSES[cause]
    (other,) = {*TARGETS} - {target}
    with act(made):
        made.wait(lambda: standing(made, target).get("error_code") == error.code, f"{cause}: {error.code}", SEEN_S)
        made.wait(lambda: code_in_status(made, target) == error.code, f"{cause}, as the status says", SEEN_S)
        sent = standing(made, other)["sent"]
        made.wait(lambda: standing(made, other)["sent"] > sent, f"{cause}, and {other} goes on", SEEN_S)
        assert standing(made, target)["unsent"] > 0, cause
    made.wait(lambda: is_well(standing(made, target)), f"{cause} no more", AGAIN_S)


def standing(station: Station, target: str) -> dict[str, Any]:
    """As the API tells it; empty where it does not answer."""
    answer = station.ask("GET", f"/v1/targets/{target}")
    return answer.json() if answer else {}


def code_in_status(station: Station, target: str) -> str | None:
    answer = station.ask("GET", "/v1/status")
    targets = answer.json()["archive"] if answer else []
    return next((each.get("error_code") for each in targets if each["name"] == target), None)


def is_well(told: dict[str, Any]) -> bool:
    return bool(told) and told["error_code"] is None and told["breaker"] == "closed" and told["failing"] == 0


def test_a_second_worker_changes_nothing_for_the_first(tmp_path: Path) -> None:
    in_a_thread(partial(start_second_workers, tmp_path))


def start_second_workers(folder: Path) -> None:
    shape = Shape(1, window_s=8, windows=2)
    with station(folder, shape) as made:
        made.wait(lambda: standing(made, NAS).get("sent"), "the first ones work", AGAIN_S)
        for word in ("work", "ship"):
            second = heliograph_node(word, "--config", made.home.config)
            assert (second.returncode, WorkerHeld.code in second.stderr) == (WorkerHeld.exit, True), second.stderr
            assert f"pid {made.pid(word)}" in second.stderr
        assert in_the_end(made, shape) == []
