"""What the keeper promises of a release on trial, tried on a folder that stands for the host."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.ansible import keeping
from tests.ansible.keeping import NEW, OLD, Box, World, order, place

keeper = keeping.loaded()
BEFORE_ARMED = ("backup_made", "saved")
FORWARD = ("armed", "restarting", "starting", "applying", "proving", "confirmed", "laid_by", "said", "closed")
BACKWARD = (
    "failing", "files_restored", "previous_restored", "current_restored", "returning", "returned", "settling",
    "rolled_back", "said", "closed",
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "host"


def _host(root: Path, **what: Any) -> tuple[Any, Box]:
    keeping.made(root, **what)
    return keeper.Places(root), Box(root)


def _tried(root: Path, box: Box, **more: Any) -> dict[str, Any]:
    """Armed, placed, and all that the keeper does then; what it says at last."""
    places = keeper.Places(root)
    keeper.arm(places, box, order(**more))
    place(root)
    keeper.put(places.placed, b"")
    return _run(root, box)


def _run(root: Path, box: Box) -> dict[str, Any]:
    places = keeper.Places(root)
    with keeper.alone(places, patiently=True):
        keeper.Keeper(places, box).run()
    return dict(keeper.word_of(places) or {})


def _until(root: Path, box: Box, seconds: float) -> dict[str, Any]:
    """What is said so many seconds on; the trial is open."""
    box.world.change(stops_at=box.monotonic() + seconds)
    with pytest.raises(keeping.Reached):
        _run(root, box)
    box.world.change(stops_at=None)
    return dict(keeper.word_of(keeper.Places(root)) or {})


def _whole(root: Path) -> str:
    """The one release of which everything on the host is; raises AssertionError where it is of two."""
    [current] = {
        (root / "opt/heliograph/current").readlink().name,
        (root / "etc/heliograph/node.yml").read_text().removeprefix("of "),
        (root / "etc/systemd/system/heliograph-node.service").read_text().removeprefix("of "),
        str(World(root)["running"]),
    }
    assert (root / "etc/systemd/system/heliograph-node.service.d/hand.conf").read_text() == "by hand"
    assert (root / "etc/heliograph/config.yml").exists() == (current == NEW)
    assert World(root)["document"] == {OLD: "d1", NEW: "d2"}[current]
    return current


def _left(root: Path) -> set[str]:
    """What the keeper keeps when no trial is open."""
    return {
        str(path.relative_to(root / "var/lib/heliograph-host")) for path in root.glob("var/lib/heliograph-host/**/*")
    }


# --- how it ends ------------------------------------------------------------------------------------------------------


def test_a_release_that_brings_good_frames_is_confirmed(root: Path) -> None:
    _, box = _host(root)
    word = _tried(root, box)
    assert (word["state"], word["version"], word["previous"], word["reason"]) == ("confirmed", NEW, OLD, "")
    assert word["owner"] == "site-1@desk"
    assert _whole(root) == NEW
    assert _left(root) == {"release.json", "keeper.lock", "kept", f"kept/{OLD}.json"}


@pytest.mark.parametrize(
    ("what", "by"),
    [
        ({}, NEW),
        ({"blind": [NEW]}, NEW),
        ({"idle_until_s": 9000.0}, NEW),
        ({"unknown": {NEW: ["lease"]}}, OLD),
    ],
)
def test_the_nodes_lease_is_let_go_of_at_the_end(root: Path, what: dict[str, Any], by: str) -> None:
    _, box = _host(root, **what)
    _tried(root, box)
    assert f"{by} lease release" in box.world["did"]


def test_it_is_looked_at_twice_some_seconds_apart(root: Path) -> None:
    _, box = _host(root)
    began_s = box.monotonic()
    _tried(root, box, again_s=60.0)
    assert box.monotonic() - began_s >= 60 + 3 * keeping.INTERVAL_S


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"crashes": [NEW]}, "unit heliograph-node is failed"),
        ({"mute": [NEW]}, "the service does not answer"),
        ({"blind": [NEW]}, "camera main (ok) brought 0 of 3 good frames"),
        ({"scores": {NEW: 60}}, "camera main: quality 60, and was 85 and more before"),
        ({"dead": {NEW: 5}}, "2 jobs more have failed for good"),
    ],
)
def test_a_release_that_fails_goes_back_and_says_why(root: Path, what: dict[str, Any], words: str) -> None:
    _, box = _host(root, **what)
    word = _tried(root, box)
    assert (word["state"], word["version"], word["previous"]) == ("rolled_back", NEW, OLD)
    assert words in word["reason"]
    assert _whole(root) == OLD
    assert _left(root) == {"release.json", "keeper.lock"}


def test_a_service_that_systemd_gave_up_is_not_waited_for(root: Path) -> None:
    _, box = _host(root, crashes=[NEW])
    began_s = box.monotonic()
    _tried(root, box, ready_s=1000.0)
    assert box.monotonic() - began_s < 10


def test_a_document_that_the_release_refuses_brings_both_back(root: Path) -> None:
    _, box = _host(root)
    places = keeper.Places(root)
    keeper.arm(places, box, order())
    place(root)
    (root / "etc/heliograph/config.yml").write_text("wrong")
    keeper.put(places.placed, b"")
    word = _run(root, box)
    assert (word["state"], word["reason"]) == ("rolled_back", "its document was refused: CFG-001 the document is wrong")
    assert _whole(root) == OLD


def test_a_document_that_was_changed_with_it_comes_back_too(root: Path) -> None:
    _, box = _host(root, blind=[NEW])
    assert _tried(root, box)["state"] == "rolled_back"
    assert {f"{NEW} config apply", f"{OLD} config apply"} <= set(box.world["did"])


def test_where_the_release_before_is_no_better_that_is_said(root: Path) -> None:
    _, box = _host(root)
    keeper.arm(keeper.Places(root), box, order())
    box.world.change(crashes=[OLD, NEW])
    place(root)
    keeper.put(keeper.Places(root).placed, b"")
    word = _run(root, box)
    assert word["state"] == "rollback_failed"
    assert word["reason"].startswith("unit heliograph-node is failed")
    assert f"back at {OLD}: unit heliograph-node is failed" in word["reason"]


def test_what_was_never_placed_is_forgotten(root: Path) -> None:
    places, box = _host(root)
    keeper.put(places.word, b'{"state": "confirmed", "version": "1.0.0"}')
    keeper.arm(places, box, order(placed_s=5.0))
    assert _run(root, box) == {"state": "confirmed", "version": "1.0.0"}
    assert not places.journal.exists()
    assert "restart" not in str(box.world["did"])


def test_what_was_half_placed_is_taken_back(root: Path) -> None:
    places, box = _host(root)
    keeper.arm(places, box, order(placed_s=5.0))
    (root / "etc/heliograph/node.yml").write_text(f"of {NEW}")
    word = _run(root, box)
    assert (word["state"], word["reason"]) == ("rolled_back", "it was not placed within 5 s")
    assert _whole(root) == OLD


# --- nothing is due ---------------------------------------------------------------------------------------------------


def test_at_night_it_is_provisional_and_judged_at_the_first_due_window(root: Path) -> None:
    _, box = _host(root, idle_until_s=9000.0)
    keeper.arm(keeper.Places(root), box, order())
    place(root)
    keeper.put(keeper.Places(root).placed, b"")
    word = _until(root, box, 4000)
    assert (word["state"], word["until_us"]) == ("provisional", None)
    assert word["reason"] == "nothing is due from main now: judged at the first slots that are"
    assert _run(root, box)["state"] == "confirmed"
    assert box.monotonic() > 9000
    assert _whole(root) == NEW


def test_what_was_provisional_goes_back_when_its_window_brings_nothing(root: Path) -> None:
    _, box = _host(root, idle_until_s=9000.0, blind=[NEW])
    assert _tried(root, box)["state"] == "rolled_back"
    assert box.monotonic() > 9000
    assert _whole(root) == OLD


def test_what_is_provisional_survives_a_power_cut(root: Path) -> None:
    _, box = _host(root, idle_until_s=9000.0, blind=[NEW])
    keeper.arm(keeper.Places(root), box, order())
    place(root)
    keeper.put(keeper.Places(root).placed, b"")
    assert _until(root, box, 4000)["state"] == "provisional"
    box.world.change(boot="second", clock_s=7.0, started_s=5.0, idle_until_s=800.0)
    assert _until(root, box, 100)["state"] == "provisional"
    assert _run(root, box)["state"] == "rolled_back"


def test_a_service_that_dies_in_the_night_goes_back(root: Path) -> None:
    _, box = _host(root, idle_until_s=90_000.0)
    keeper.arm(keeper.Places(root), box, order())
    place(root)
    keeper.put(keeper.Places(root).placed, b"")
    assert _until(root, box, 4000)["state"] == "provisional"
    box.world.change(mute=[NEW])
    word = _run(root, box)
    assert (word["state"], word["reason"]) == ("rolled_back", "the service stopped answering")


def test_without_frames_of_before_it_is_provisional_until_there_are_some(root: Path) -> None:
    _, box = _host(root, frames_before=4)
    keeper.arm(keeper.Places(root), box, order())
    place(root)
    keeper.put(keeper.Places(root).placed, b"")
    word = _until(root, box, 60)
    assert word["state"] == "provisional"
    assert "too few frames of before to compare main with" in word["reason"]
    assert _run(root, box)["state"] == "confirmed"


# --- an operator ------------------------------------------------------------------------------------------------------


def test_an_operator_ends_a_trial(root: Path) -> None:
    places, box = _host(root, idle_until_s=90_000.0)
    keeper.arm(places, box, order())
    place(root)
    keeper.put(places.placed, b"")
    assert _until(root, box, 4000)["state"] == "provisional"
    assert keeper.go_back(places, box, order(version="", owner="kim")) == {"changed": True, "version": OLD}
    word = _run(root, box)
    assert (word["state"], word["reason"]) == ("rolled_back", "rolled back by kim")
    assert _whole(root) == OLD
    assert keeper.go_back(places, box, order(version="", owner="kim")) == {"changed": False, "version": OLD}


def test_an_operator_goes_back_to_the_release_before_with_its_own_files(root: Path) -> None:
    places, box = _host(root)
    assert _tried(root, box)["state"] == "confirmed"
    given = order(version="", document="", owner="kim")
    assert keeper.go_back(places, box, given) == {"changed": True, "version": OLD}
    word = _run(root, box)
    assert (word["state"], word["version"], word["previous"], word["back"]) == ("confirmed", OLD, NEW, True)
    assert word["reason"] == f"gone back from {NEW} by kim"
    assert (root / "opt/heliograph/previous").readlink().name == NEW
    assert (root / "etc/heliograph/node.yml").read_text() == f"of {OLD}"
    assert keeper.go_back(places, box, given) == {"changed": False, "version": OLD}
    with pytest.raises(keeper.Refused, match="went back from release"):
        keeper.arm(places, box, order())
    assert keeper.go_back(places, box, replace(given, version=NEW)) == {"changed": True, "version": NEW}
    assert _run(root, box)["state"] == "confirmed"
    assert (root / "etc/heliograph/node.yml").read_text() == f"of {NEW}"


def test_a_way_back_that_fails_leads_forward_again(root: Path) -> None:
    places, box = _host(root)
    assert _tried(root, box)["state"] == "confirmed"
    box.world.change(blind=[OLD])
    keeper.go_back(places, box, order(version="", document=""))
    word = _run(root, box)
    assert (word["state"], word["version"], word["previous"]) == ("rolled_back", OLD, NEW)
    assert _whole(root) == NEW


def test_there_is_no_way_back_from_the_first_release(root: Path) -> None:
    places, box = _host(root)
    with pytest.raises(keeper.Refused, match="no release ran here before"):
        keeper.go_back(places, box, order(version=""))


# --- the database -----------------------------------------------------------------------------------------------------


def test_a_database_that_the_release_before_cannot_read_is_put_back(root: Path) -> None:
    _, box = _host(root, knows={OLD: 1, NEW: 2}, blind=[NEW])
    assert _tried(root, box)["state"] == "rolled_back"
    did = box.world["did"]
    assert box.world["schema"] == 1
    assert did.index(f"{OLD} restore --json") < did.index(f"{OLD} reconcile --no-wait")
    assert _whole(root) == OLD


def test_a_database_that_it_can_read_stays_with_the_frames_of_meanwhile(root: Path) -> None:
    _, box = _host(root, blind=[NEW])
    assert _tried(root, box)["state"] == "rolled_back"
    assert not any("restore" in each for each in box.world["did"])


def test_the_way_back_of_an_operator_has_the_older_database_too(root: Path) -> None:
    places, box = _host(root, knows={OLD: 1, NEW: 2})
    assert _tried(root, box)["state"] == "confirmed"
    assert f"kept/{OLD}.tar" in _left(root)
    keeper.go_back(places, box, order(version="", document=""))
    assert _run(root, box)["state"] == "confirmed"
    assert box.world["schema"] == 1


# --- what is refused --------------------------------------------------------------------------------------------------


def test_what_failed_here_is_not_tried_again_unless_it_is_said(root: Path) -> None:
    places, box = _host(root, blind=[NEW])
    _tried(root, box)
    with pytest.raises(keeper.Refused, match=r"went back from release 2\.0\.0: camera main") as refused:
        keeper.arm(places, box, order())
    assert "node_release_again" in refused.value.remedy
    assert _whole(root) == OLD
    assert keeper.arm(places, box, order(again=True))["armed"]


def test_two_keepers_exclude_each_other(root: Path) -> None:
    places, box = _host(root)
    places.state.mkdir(parents=True)
    with places.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(keeper.Refused, match="another keeper is at work here") as refused:
            keeper.arm(places, box, order())
    assert refused.value.status == 75


def test_a_second_trial_is_refused_by_name_of_the_first(root: Path) -> None:
    places, box = _host(root)
    keeper.arm(places, box, order())
    with pytest.raises(keeper.Refused, match=r"release 2\.0\.0 is on trial here; site-1@desk") as refused:
        keeper.arm(places, box, order(version=NEW, owner="other"))
    assert refused.value.status == 75
    assert keeper.load(places).order.owner == "site-1@desk"


@pytest.mark.parametrize(
    ("what", "more", "words"),
    [
        ({"throttled": "0x1"}, {}, "too little voltage"),
        ({"throttled": "0x50005"}, {}, "too little voltage"),
        ({}, {"version": "3.0.0"}, "is not on this host"),
        ({}, {"version": NEW, "back": True}, "nothing of release 2.0.0 was laid by"),
    ],
)
def test_what_cannot_go_well_is_refused_before_anything_is_changed(
    root: Path, what: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    places, box = _host(root, **what)
    with pytest.raises(keeper.Refused, match=words) as refused:
        keeper.arm(places, box, order(**more))
    assert refused.value.remedy
    assert not places.journal.exists()
    assert box.world["did"] == []


def test_a_board_that_was_short_of_voltage_once_may_change(root: Path) -> None:
    places, box = _host(root, throttled="0x50000")
    assert keeper.arm(places, box, order())["armed"]


def test_without_room_for_a_backup_nothing_begins(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places, box = _host(root)
    monkeypatch.setattr(keeper, "MARGIN_BYTES", 1 << 60)
    with pytest.raises(keeper.Refused, match="MiB free below"):
        keeper.arm(places, box, order())


def test_the_release_that_runs_needs_no_trial(root: Path) -> None:
    places, box = _host(root)
    assert keeper.arm(places, box, order(version=OLD)) == {"armed": False, "version": OLD}


def test_a_damaged_journal_is_named(root: Path) -> None:
    places, box = _host(root)
    keeper.put(places.journal, b'{"format": 1')
    with pytest.raises(keeper.Refused, match=r"trial\.json, cannot be read") as refused:
        _run(root, box)
    assert refused.value.status == 78


def test_secrets_are_roots_alone_and_the_word_is_everybodys(root: Path) -> None:
    places, box = _host(root)
    keeper.arm(places, box, order())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in places.state.iterdir()}
    assert modes["release.json"] == 0o644
    assert {modes[name] for name in ("trial.json", "trial-saved.json", "trial-backup.tar")} == {0o600}
    assert stat.S_IMODE(places.state.stat().st_mode) == 0o711


# --- what comes in between --------------------------------------------------------------------------------------------

killed = pytest.mark.slow


def _killed(root: Path, command: str, crash_at: str) -> int:
    words = [sys.executable, "-m", "tests.ansible.keeping", command, str(root)]
    environment = {**os.environ, "HELIOGRAPH_CRASH_AT": crash_at}
    return subprocess.run(words, env=environment, capture_output=True, check=False, timeout=120).returncode


def _power(root: Path) -> None:
    """Off and on: the boot is another, its clock begins anew, and what the link names is started."""
    world = World(root)
    running = (root / "opt/heliograph/current").readlink().name
    schema = max(world["schema"], world["knows"][running])
    world.change(boot="second", clock_s=20.0, started_s=10.0, running=running, schema=schema)


@killed
@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("at", BEFORE_ARMED)
def test_whatever_kills_it_before_it_is_armed_nothing_has_begun(root: Path, at: str, power: bool) -> None:
    _, box = _host(root)
    assert _killed(root, "arm", at) == -9
    if power:
        _power(root)
    assert _run(root, box) == {}
    assert _whole(root) == OLD
    assert _tried(root, box)["state"] == "confirmed"


@killed
@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("at", FORWARD)
def test_whatever_kills_it_on_the_way_forward_one_whole_release_runs(root: Path, at: str, power: bool) -> None:
    places, box = _host(root, knows={OLD: 1, NEW: 2})
    _killed(root, "arm", at)
    place(root)
    if at != "armed":
        keeper.put(places.placed, b"")
        assert _killed(root, "run", at) == -9
    if power:
        _power(root)
    elif at == "armed":
        keeper.put(places.placed, b"")
    word = _run(root, box)
    wanted = ("rolled_back", OLD) if power and at == "armed" else ("confirmed", NEW)
    assert (word["state"], _whole(root)) == wanted
    assert bool(word["reason"]) == (word["state"] == "rolled_back")
    assert not places.journal.exists()
    assert not places.saved.exists() or at == "closed"


@killed
@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("at", BACKWARD)
@pytest.mark.parametrize("schema", [1, 2])
def test_whatever_kills_it_on_the_way_back_one_whole_release_runs(
    root: Path, at: str, power: bool, schema: int
) -> None:
    places, box = _host(root, knows={OLD: 1, NEW: schema}, blind=[NEW])
    keeper.arm(places, box, order())
    place(root)
    keeper.put(places.placed, b"")
    assert _killed(root, "run", at) == -9
    if power:
        _power(root)
    word = _run(root, box)
    assert (word["state"], _whole(root)) == ("rolled_back", OLD)
    assert "brought 0 of 3 good frames" in word["reason"]
    assert not places.journal.exists()


@killed
@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("at", ["database_restored", "files_restored", "previous_restored", "current_restored"])
def test_whatever_kills_an_operators_way_back_one_whole_release_runs(root: Path, at: str, power: bool) -> None:
    places, box = _host(root, knows={OLD: 1, NEW: 2})
    assert _tried(root, box)["state"] == "confirmed"
    keeper.go_back(places, box, order(version="", document=""))
    box.world.change(document="d1")
    assert _killed(root, "run", at) == -9
    if power:
        _power(root)
    word = _run(root, box)
    assert word["state"] == ("rolled_back" if power else "confirmed")
    running = NEW if power else OLD
    assert (root / "opt/heliograph/current").readlink().name == running
    assert (root / "etc/heliograph/node.yml").read_text() == f"of {running}"
    assert box.world["running"] == running


def test_time_that_was_left_is_left_after_a_power_cut(root: Path) -> None:
    places, box = _host(root, blind=[NEW])
    keeper.arm(places, box, order(least_s=600.0))
    place(root)
    keeper.put(places.placed, b"")
    assert _until(root, box, 300)["state"] == "trial"
    _power(root)
    began_s = box.monotonic()
    assert _run(root, box)["state"] == "rolled_back"
    assert 280 < box.monotonic() - began_s < 360


def test_a_step_of_the_wall_clock_neither_ends_nor_prolongs_a_trial(root: Path) -> None:
    _, box = _host(root, blind=[NEW])
    box.now_us = lambda: 4_000_000_000_000_000  # type: ignore[method-assign]
    began_s = box.monotonic()
    assert _tried(root, box)["state"] == "rolled_back"
    assert 180 <= box.monotonic() - began_s < 220


# --- as a program -----------------------------------------------------------------------------------------------------


def _program(root: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-s", str(keeping.FILES / "keeper.py"), *words]
    environment = {**os.environ, "HELIOGRAPH_ROOT": str(root)}
    return subprocess.run(
        command, input=given, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_bundle_restarts_nothing_while_it_is_placed(root: Path) -> None:
    places, box = _host(root)
    touch = ("outside", "/usr/bin/touch", str(root / "touched"))
    keeper.arm(places, box, order())
    assert _program(root, *touch).returncode == 0
    assert not (root / "touched").exists()
    assert _program(root, "placed").returncode == 0
    assert places.placed.exists()
    places.journal.unlink()
    places.placed.unlink()
    assert _program(root, *touch).returncode == 0
    assert (root / "touched").exists()
    assert _program(root, "placed").returncode == 0
    assert not places.placed.exists()


def test_its_word_is_waited_for(root: Path) -> None:
    places, box = _host(root)
    keeper.arm(places, box, order())
    late = _program(root, "wait", "0")
    assert late.returncode == 1
    assert set(json.loads(late.stdout)) == {"error", "remedy"}
    place(root)
    keeper.put(places.placed, b"")
    _run(root, box)
    word = json.loads(_program(root, "wait", "0").stdout)
    assert (word["state"], word["runs"]) == ("confirmed", NEW)


def test_what_it_refuses_is_one_line_of_json(root: Path) -> None:
    _host(root)
    given = {"version": "3.0.0", "digest": "x", "name": "node-1", "units": ["heliograph-node"]}
    done = _program(root, "arm", given=json.dumps(given))
    assert (done.returncode, done.stderr) == (78, "")
    assert json.loads(done.stdout)["error"] == "release 3.0.0 is not on this host"
