"""The fleet as lines: one for each change, of the nodes meant, until it is told to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.commands import watch
from console.commands.watch import chosen
from console.fleet.inventory import Host
from console.fleet.lines import Teller
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable, NothingSelected, UsageWrong

Run = Callable[..., Any]
HOSTS = [Host("kyoto", "127.0.0.1", 1, "http"), Host("cusco", "127.0.0.1", 2, "http")]


@pytest.fixture
def model(hand: Any) -> FleetModel:
    return FleetModel(HOSTS, patience=Patience(), clock=hand.as_clock())


def test_changes_are_told_until_the_time_is_up(start: Run, fleet: Run, run: Run) -> None:
    fleet(start("kyoto", state="warn"), start("cusco"))
    it = run("watch", "--for", "0.6s")
    assert it.code == 0
    assert sorted(line[11:] for line in it.out.splitlines()) == ["cusco  ok: was waiting", "kyoto  warn: was waiting"]


def test_only_the_nodes_meant_are_told_of(start: Run, fleet: Run, run: Run) -> None:
    fleet(start("kyoto", state="warn"), start("cusco"))
    assert [line[11:] for line in run("watch", "state:warn", "--for", "0.6s").out.splitlines()] == [
        "kyoto  warn: was waiting"
    ]


@pytest.mark.parametrize(("words", "kind"), [(["nobody"], NothingSelected), (["state:pink"], UsageWrong)])
def test_a_wrong_choice_is_refused(model: FleetModel, words: list[str], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        chosen(model, words)


def test_a_node_that_no_longer_fits_is_told_of_once_more(model: FleetModel, make_status: Run) -> None:
    teller = Teller(model, chosen(model, ["kyoto", "cusco", "state:crit"]))
    told = []
    for state in ("ok", "crit", "crit", "ok", "warn"):
        model.heard("kyoto", make_status("kyoto", state=state))
        told += [line[11:] for line in teller.lines()]
    assert told == ["kyoto  crit: was ok", "kyoto  ok: was crit"]


def test_a_fleet_that_rests_costs_nothing(model: FleetModel, monkeypatch: pytest.MonkeyPatch, hand: Any) -> None:
    teller = Teller(model)
    teller.lines()
    asked: list[str] = []
    monkeypatch.setattr(FleetModel, "word", lambda _, name: asked.append(name))
    for _ in range(40):
        hand.now_s += 0.25
        assert teller.lines() == []
    assert asked == []


def test_silence_is_told_without_any_news(model: FleetModel, make_status: Run, hand: Any) -> None:
    teller = Teller(model)
    model.heard("kyoto", make_status("kyoto"))
    model.failed("cusco", NodeUnreachable("no route"))
    teller.lines()
    hand.now_s += 31
    assert [line[11:] for line in teller.lines()] == ["kyoto  stale: silent for 31s"]
    model.set_hosts([])
    assert teller.lines() == []


def test_what_is_watched_is_recorded(start: Run, fleet: Run, run: Run, tmp_path: Path) -> None:
    fleet(start("kyoto"))
    path = tmp_path / "it.jsonl"
    assert run("watch", "--for", "0.6s", "--record", str(path)).code == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert (lines[0]["format"], lines[1]["status"]["node"], lines[-1]["end"]) == (1, "kyoto", "closed")
    it = run("watch", "--for", "0.6s", "--record", str(path))
    assert (it.code, "FLT-015" in it.err) == (64, True)


def test_a_recording_that_stops_is_said_to_and_the_rest_goes_on(
    start: Run, fleet: Run, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = watch.Recorder
    monkeypatch.setattr(watch, "Recorder", lambda path, model: real(path, model, limit_bytes=300))
    fleet(start("kyoto"))
    it = run("watch", "--for", "0.6s", "--record", str(tmp_path / "it.jsonl"))
    assert (it.code, it.err) == (0, "the recording has reached its largest size\n")
    assert "ok: was waiting" in it.out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_order(start: Run, tmp_path: Path, number: int, status: int) -> None:
    node = start("kyoto")
    inventory = {"all": {"hosts": {"kyoto": {
        "ansible_host": "127.0.0.1", "heliograph_port": node.port, "heliograph_scheme": "http"}}}}  # fmt: skip
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    record = tmp_path / "it.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-m", "console.cli", "watch", "-i", str(tmp_path / "hosts.json"), "--record", str(record)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert "ok: was waiting" in child.stdout.readline()
    os.kill(child.pid, number)
    _, said = child.communicate(timeout=20)
    assert (child.returncode, said) == (status, "")
    assert json.loads(record.read_text().splitlines()[-1])["end"] == "closed"


def test_a_reader_that_leaves_ends_it_without_a_word(start: Run, tmp_path: Path) -> None:
    node = start("kyoto")
    inventory = {"all": {"hosts": {"kyoto": {
        "ansible_host": "127.0.0.1", "heliograph_port": node.port, "heliograph_scheme": "http"}}}}  # fmt: skip
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "console.cli", "watch", "-i", str(tmp_path / "hosts.json")]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=20, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
