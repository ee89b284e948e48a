"""`status`: the node of this machine in words, and by exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from node.cli import main
from node.commands.status import EXITS, lines, waited
from node.domain.errors import NotReady, ServiceUnreachable
from node.settings import load_node_file
from node.wire.status import NodeStatus
from tests.clocks import JumpClock
from tests.desks import Place
from tests.nodes import Home, begun, heliograph_node, started, wait_for

EXAMPLE = NodeStatus.model_validate_json((Path(__file__).parents[2] / "contract" / "status.json").read_bytes())


def status(home: Home, *options: str) -> subprocess.CompletedProcess[str]:
    return heliograph_node("status", "--config", home.config, *options)


def test_the_words_name_the_node_its_cameras_and_its_alerts() -> None:
    said = list(lines(EXAMPLE))
    assert said[0].startswith(f"{EXAMPLE.node} crit, ")
    assert sum(line.startswith("camera ") for line in said) == len(EXAMPLE.cameras)
    assert sum(line.startswith("crit ") for line in said) == len(EXAMPLE.alerts)
    assert EXITS[EXAMPLE.state] == 2


def test_a_node_that_is_well_says_so(place: Place) -> None:
    if place.by_service:
        code, out, _ = place.ends("status")
        assert (code, out.splitlines()[0].split(", ")[0]) == (0, "north ok")
        assert place.says("status")["node"] == "north"
        assert place.says("status", "--wait", 5)["ready"] is True


def test_no_service_is_said(tmp_path: Path) -> None:
    done = status(Home(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.split()[0]) == (69, "", ServiceUnreachable.code)


def test_waiting_ends_with_what_was_missing(tmp_path: Path) -> None:
    settings = load_node_file(Home(tmp_path).config, {}).node_file
    with pytest.raises(NotReady, match=r"not within 7 s: API-016") as raised:
        waited(settings, None, 7, JumpClock())
    assert raised.value.exit == 69


@pytest.mark.parametrize("text", ["0", "-1", "soon", "1.5"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    assert status(Home(tmp_path), "--wait", text).returncode == 64


@pytest.mark.slow
def test_waiting_outlasts_the_start_and_ends_when_it_is_ready(tmp_path: Path) -> None:
    home = Home(tmp_path)
    answers: list[subprocess.CompletedProcess[str]] = []
    waiting = threading.Thread(target=lambda: answers.append(status(home, "--wait", "25", "--json")))
    waiting.start()
    with begun(home) as node:
        waiting.join(30)
        assert json.loads(answers[0].stdout)["ready"] is True
        assert answers[0].returncode == EXITS[json.loads(answers[0].stdout)["state"]]
        node.ready()


@pytest.mark.slow
def test_what_a_killed_service_left_is_no_service(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with started(home) as node:
        wait_for(lambda: status(home).returncode in (0, 1), "an answer")
        assert (home.run / "own" / "local.token").stat().st_mode & 0o777 == 0o600
        secret = (home.run / "own" / "local.token").read_text()
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        assert (home.run / "own" / "local.token").exists()
        assert status(home).returncode == 69
        assert heliograph_node("jobs", "list", "--config", home.config).returncode == 0
    with started(home) as node:
        assert (home.run / "own" / "local.token").read_text() != secret
        assert heliograph_node("jobs", "list", "--config", home.config).returncode == 0
        assert heliograph_node("capture", "--config", home.config).returncode == 0
        node.stop()
        assert not (home.run / "own" / "local.token").exists()


@pytest.mark.slow
@pytest.mark.parametrize("line", [["jobs", "list"], ["capture"], ["config", "apply", "document.yml"]])
def test_a_token_that_is_not_for_this_user_leaves_the_directory_held(
    tmp_path: Path, line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "local.token")
    with started(home):
        code = main([*line, "--config", str(home.config)])
        assert (code, capsys.readouterr().err.split()[0]) == (75, "DSK-003")
