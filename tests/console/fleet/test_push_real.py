"""A push to real nodes: what is good stays, what is not is refused or taken back, and only canaries are risked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from node.clock import US, SystemClock
from node.wire.config import digest
from tests.nodes import EACH_SECOND, SMALL, Home, Node, begun, wait_for

pytestmark = pytest.mark.slow

NAMES = ("cam-1", "cam-2", "cam-3")
PROBATION = {"good_frames": 2, "min_s": 8}
GIVES_UP_S = 120
BASELINE = "baseline/main.baseline"


def early_longitude() -> float:
    """Where on the equator the sun is up since half an hour: so low that the shortest exposure is black by day."""
    noon = (43_200 - SystemClock().now_us() / US % 86_400) / 240
    return (noon - 82 + 180) % 360 - 180


HISTORY = 12
"""Good frames of that light: two more than the judge wants before it speaks."""
SITE: dict[str, Any] = {"timezone": "UTC"}
BASE: dict[str, Any] = {**EACH_SECOND, "site": {**SITE, "name": "before"}}
GOOD: dict[str, Any] = {**BASE, "site": {**SITE, "name": "after"}}
BLACK: dict[str, Any] = {
    **BASE,
    "profiles": {"dark": {"mode": "manual", "exposure_s": 0.000001, "gain": 1}},
    "schedules": {"each": {"interval_s": 1, "profiles": ["dark"]}},
}


@dataclass
class Fleet:
    """Three nodes, an inventory that wants something of them, and the console's program."""

    folder: Path
    nodes: dict[str, Node]
    place: Mapping[str, float]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def at(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """That document, for the place of these nodes."""
        return {**document, "site": {**self.place, **document["site"]}}

    def wants(self, document: Mapping[str, Any]) -> None:
        hosts = {
            name: {
                "ansible_host": "127.0.0.1", "heliograph_scheme": "http",
                "heliograph_port": int(node.url.rsplit(":")[-1]),
                "heliograph_token_file": str(node.home.folder / "admin.token"),
            }
            for name, node in self.nodes.items() if node.url
        }  # fmt: skip
        inventory = {"fleet": {"hosts": hosts, "vars": {"heliograph_config_10_fleet": self.at(document)}}}
        (self.folder / "hosts.yml").write_text(json.dumps(inventory))

    def begins(self, *words: str, state: str = "state") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "console.cli", "push", "-i", str(self.folder / "hosts.yml"), "--json", *words]
        own = {"XDG_STATE_HOME": str(self.folder / state), "XDG_CONFIG_HOME": str(self.folder / "none")}
        done = subprocess.Popen(
            command, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.started.append(done)
        return done

    def push(self, *words: str, state: str = "state") -> tuple[int, list[dict[str, Any]], str]:
        """Exit status, lines, errors."""
        out, err = self.begins(*words, "--yes", "--soak", "1s", state=state).communicate(timeout=GIVES_UP_S)
        return self.started[-1].returncode, [json.loads(line) for line in out.splitlines()], err

    def runs(self, name: str) -> tuple[str, str]:
        config = self.nodes[name].get("/v1/config")
        return config["digest"], config["state"]


def until(process: subprocess.Popen[str], holds: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The lines of a push up to the first of which that holds."""
    assert process.stdout is not None
    lines: list[dict[str, Any]] = []
    for line in process.stdout:
        lines.append(json.loads(line))
        if holds(lines[-1]):
            return lines
    raise AssertionError(lines)


def phases(lines: list[dict[str, Any]]) -> dict[str, str]:
    return {line["node"]: line["phase"] for line in lines if line.get("event") == "moved"}


def sent(line: dict[str, Any]) -> bool:
    return line.get("phase") == "sent"


def station(folder: Path, name: str, place: Mapping[str, float]) -> Home:
    camera = {**SMALL, **place, "seed": 1, "weather": "clear"}
    document = {**BASE, "site": {**place, **BASE["site"]}}
    return Home(folder / name, {"main": camera}, document, {"node": {"id": name}, "probation": PROBATION})


def morning() -> dict[str, float]:
    """Where it is now; asked anew for each test, for all of them take longer than that light lasts."""
    return {"latitude": 0.0, "longitude": early_longitude()}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What such a camera remembers of mornings, as its node leaves it when it stops."""
    with begun(station(tmp_path_factory.mktemp("usual"), "cam-0", morning())) as node:
        node.ready(120)
        wait_for(lambda: len(node.frames()) >= HISTORY, "a history of this light", 120)
        assert node.stop()[0] == 0
        return (node.home.data / BASELINE).read_bytes()


@pytest.fixture
def fleet(tmp_path: Path, usual: bytes) -> Iterator[Fleet]:
    place = morning()
    with ExitStack() as stack:
        nodes = {}
        for name in NAMES:
            home = station(tmp_path, name, place)
            (home.data / BASELINE).parent.mkdir(parents=True)
            (home.data / BASELINE).write_bytes(usual)
            nodes[name] = stack.enter_context(begun(home))
        for node in nodes.values():
            node.ready(120)
        made = Fleet(tmp_path, nodes, place)
        try:
            yield made
        finally:
            for process in made.started:
                process.kill()
                process.communicate()


def test_a_good_document_is_confirmed_everywhere_and_then_left_alone(fleet: Fleet) -> None:
    fleet.wants(GOOD)
    code, lines, err = fleet.push("/./")
    assert (code, err) == (0, "")
    assert phases(lines) == dict.fromkeys(NAMES, "confirmed")
    assert [line["batch"] for line in lines if line.get("event") == "batch"] == ["canary", "rest"]
    assert {fleet.runs(name) for name in NAMES} == {(digest(fleet.at(GOOD)), "active")}
    assert lines[-1]["how"] == "done"
    code, lines, _ = fleet.push("/./")
    assert code == 0
    assert {each["standing"] for each in lines[0]["plan"]["nodes"]} == {"unchanged"}
    assert len(lines) == 1
    assert all(node.get("/v1/lease")["owner"] is None for node in fleet.nodes.values())


def test_an_invalid_document_is_refused_before_anything_is_sent(fleet: Fleet) -> None:
    fleet.wants({**GOOD, "cameras": {"roof": {}}, "sight": {}, "site": {"latitude": 100}})
    code, _, err = fleet.push("/./")
    assert code == 78
    for name in NAMES:
        assert f"{name}.cameras.roof: no camera of that name" in err
        assert f"{name}.sight: there is no such field" in err
        assert f"{name}.site.latitude: " in err
        assert fleet.runs(name) == (digest(fleet.at(BASE)), "active")


def test_a_document_that_blackens_pictures_stops_at_the_canary_which_takes_itself_back(fleet: Fleet) -> None:
    fleet.wants(BLACK)
    code, lines, _ = fleet.push("/./")
    assert code == 1
    assert phases(lines) == {"cam-1": "rolled back"}
    rows = {row["node"]: row for row in lines[-1]["rows"]}
    assert rows["cam-1"]["running"] == digest(fleet.at(BASE))
    assert (rows["cam-2"]["phase"], rows["cam-3"]["phase"]) == ("change", "change")
    assert {fleet.runs(name) for name in NAMES} == {(digest(fleet.at(BASE)), "active")}
    assert all(node.get("/v1/config/history")["items"][0]["version"] == 1 for node in list(fleet.nodes.values())[1:])


def test_at_night_with_nothing_due_it_is_provisional_and_never_called_confirmed(fleet: Fleet) -> None:
    hour = int(SystemClock().now_us() / US % 86_400 // 3600)
    later = {"kind": "clock", "start": f"{(hour + 6) % 24:02}:00", "end": f"{(hour + 8) % 24:02}:00"}
    night = {**SITE, "longitude": (fleet.place["longitude"] - 90 + 180) % 360 - 180}
    quiet = {**BASE, "site": night, "schedules": {"each": {"interval_s": 1, "window": later}}}
    fleet.wants(quiet)
    code, lines, err = fleet.push("/./")
    assert code == 0, err
    assert phases(lines) == dict.fromkeys(NAMES, "provisional")
    assert {row["state"] for row in lines[-1]["rows"]} == {"provisional"}
    assert {fleet.runs(name) for name in NAMES} == {(digest(fleet.at(quiet)), "provisional")}
    assert "confirmed" not in json.dumps(lines[1:])


def test_a_node_that_is_killed_in_mid_probation_goes_on_with_it(fleet: Fleet) -> None:
    fleet.wants(GOOD)
    process = fleet.begins("cam-1", "--yes", "--soak", "0")
    until(process, sent)
    node = fleet.nodes["cam-1"]
    node.process.kill()
    node.process.wait()
    port = int(node.url.rsplit(":")[-1])
    again = Home(node.home.folder, node.home.cameras, fleet.at(BASE), {**node.home.node_file})
    text = again.config.read_text().replace("port: 0", f"port: {port}")
    again.config.write_text(text)
    with begun(again) as reborn:
        reborn.ready(60)
        out, err = process.communicate(timeout=GIVES_UP_S)
        assert process.returncode == 0, out + err
        assert '"phase": "confirmed"' in out
        assert reborn.get("/v1/config")["digest"] == digest(fleet.at(GOOD))


POINTS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "planned": lambda line: "plan" in line,
    "batch begun": lambda line: line.get("event") == "batch",
    "sent": sent,
    "confirmed": lambda line: line.get("phase") == "confirmed",
    "second batch begun": lambda line: line.get("batch") == "rest",
}


def confirmed(fleet: Fleet) -> bool:
    return {fleet.runs(name) for name in NAMES} == {(digest(fleet.at(GOOD)), "active")}


@pytest.mark.parametrize("point", POINTS)
def test_a_console_that_is_killed_at_any_point_is_gone_on_with(fleet: Fleet, point: str) -> None:
    fleet.wants(GOOD)
    process = fleet.begins("/./", "--yes", "--soak", "0")
    until(process, POINTS[point])
    process.kill()
    process.communicate(timeout=30)
    code, _, err = fleet.push("--resume")
    if "FLT-032" in err:  # nothing was begun
        assert point == "planned"
        code, _, err = fleet.push("/./")
    assert code == 0, err
    assert confirmed(fleet)
    assert all(len(node.get("/v1/config/history")["items"]) == 2 for node in fleet.nodes.values())
    assert all(node.get("/v1/lease")["owner"] is None for node in fleet.nodes.values())


def test_a_console_that_is_interrupted_lets_the_nodes_go_and_says_how_to_go_on(fleet: Fleet) -> None:
    fleet.wants(GOOD)
    process = fleet.begins("/./", "--yes", "--soak", "0")
    until(process, sent)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "heliograph push --resume" in err) == (130, True)
    assert all(node.get("/v1/lease")["owner"] is None for node in fleet.nodes.values())
    assert fleet.push("--resume")[0] == 0
    assert confirmed(fleet)
    code, _, err = fleet.push("--resume")
    assert (code, "FLT-032" in err) == (64, True)


def test_two_control_hosts_exclude_each_other(fleet: Fleet) -> None:
    fleet.wants(GOOD)
    first = fleet.begins("/./", "--yes", "--soak", "15s", state="one")
    until(first, sent)
    wait_for(lambda: all("lease" in node.get("/v1/status") for node in fleet.nodes.values()), "leases in the status")
    code, lines, err = fleet.push("/./", state="two")
    assert code == 75, err
    others = [each for each in lines[0]["plan"]["nodes"] if each["node"] != NAMES[0]]  # the canary may be through
    assert [each["standing"] for each in others] == ["busy", "busy"]
    assert all("pushes" in each["why"] for each in others)
    out, _ = first.communicate(timeout=GIVES_UP_S)
    assert first.returncode == 0, out
    assert {fleet.runs(name) for name in NAMES} == {(digest(fleet.at(GOOD)), "active")}
