"""What a node does behind its fences: captures, renders and sends, and comes back when it is stopped or killed."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import pytest

from tests.ansible.conftest import Site
from tests.lab.host import Host, until
from tests.lab.names import USUAL

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
MOST = MappingProxyType({"heliograph-node": 1.6, "heliograph-worker": 0.5, "heliograph-ship": 1.6})
NODE, WORKER, SHIP = MOST
BOTH = ("alpha", "charlie")
"""One host of each suite."""
TOKEN = "/run/heliograph/own/local.token"
SENT_S, MADE_S, BACK_S = 120.0, 240.0, 120.0
FRAMES, FILM = 3, 10
FENCES = MappingProxyType({"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0" * 16, "CapBnd": "0" * 16})
FAILING = "[Service]\nExecStartPre=/bin/false\nRestartSec=100ms\n"
SOON = "[Service]\nEnvironment=PAUSE_S=1\n"
Json = dict[str, Any]


class Asked:
    """A node's API, as its administrator."""

    def __init__(self, site: Site, host: Host) -> None:
        self._lab, self._host = site.lab, host

    def __call__(self, path: str, method: str = "GET", **body: Any) -> Json:
        said = self.raw(path, method, **body)
        assert said["status"] < 300, said
        found: Json = json.loads(said["text"])
        return found

    def raw(self, path: str, method: str = "GET", **body: Any) -> Json:
        pki = self._lab.place.pki
        ask = {"name": self._host.name, "address": self._host.address, "ca": str(pki / "ca.pem"), "path": path}
        shown = {"cert": str(pki / "consoles" / "lab.pem"), "key": str(pki / "consoles" / "lab.key")}
        given = json.dumps([ask | shown | {"method": method, "body": json.dumps(body) if body else None}])
        [said] = json.loads(self._lab.control([sys.executable, str(HERE / "asking.py")], given=given).stdout)
        answer: Json = said
        return answer


def shown(host: Host, unit: str, what: str) -> str:
    return host.inside(["systemctl", "show", f"--property={what}", "--value", unit]).stdout.strip()


def active(host: Host, unit: str) -> bool:
    return shown(host, unit, "ActiveState") == "active"


def is_new(host: Host, unit: str, before: str) -> bool:
    """It runs, as another process."""
    return active(host, unit) and shown(host, unit, "MainPID") not in {"0", before}


def newest(ask: Asked) -> object:
    return ask("/v1/status")["cameras"][0]["last_frame_id"]


@contextmanager
def altered(host: Host, unit: str, text: str) -> Iterator[None]:
    """It has a setting more until the block ends; no file that is managed is touched."""
    folder = f"/run/systemd/system/{unit}.d"
    host.inside(f"mkdir -p '{folder}' && cat > '{folder}/test.conf' && systemctl daemon-reload", given=text)
    try:
        yield
    finally:
        host.inside(f"rm -r '{folder}' && systemctl daemon-reload")


# --- the fences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", USUAL)
def test_units_are_no_more_exposed_than_they_may_be_to_the_systemd_that_runs_them(
    site: Site, name: str, told: Callable[[str], None]
) -> None:
    host = site.lab.host(name)
    said = {unit: host.inside(["systemd-analyze", "security", "--no-pager", unit]).stdout for unit in MOST}
    found = {unit: float(re.findall(r"level for \S+ ([0-9.]+)", text)[0]) for unit, text in said.items()}
    told(f"exposure on {name}: {found}")
    assert [unit for unit in MOST if found[unit] > MOST[unit]] == []


@pytest.mark.parametrize("name", BOTH)
def test_each_of_their_processes_is_behind_them(site: Site, name: str) -> None:
    host = site.lab.host(name)
    for unit in MOST:
        group = shown(host, unit, "ControlGroup")
        text = host.inside(
            f"for pid in $(cat /sys/fs/cgroup{group}/cgroup.procs); do cat /proc/$pid/status; done"
        ).stdout
        assert text
        for field, value in FENCES.items():
            assert set(re.findall(rf"^{field}:\s+(\S+)$", text, re.MULTILINE)) == {value}, (unit, field)
        assert "\nUid:\t0" not in text


def read_as(host: Host, unit: str, path: str) -> str:
    """What is said where a process of that unit, seeing what it sees, counts the bytes of a file."""
    pid = shown(host, unit, "MainPID")
    user, group = host.inside(["stat", "--format=%u %g", f"/proc/{pid}"]).stdout.split()
    seen = ["nsenter", f"--target={pid}", "--mount", "--user", f"--setuid={user}", f"--setgid={group}"]
    done = host.inside([*seen, "wc", "-c", path], check=False)
    return f"{done.stdout}{done.stderr}".strip()


@pytest.mark.parametrize("unit", [WORKER, SHIP])
def test_worker_and_ship_never_see_the_token_of_the_service_not_even_of_one_that_began_later(
    site: Site, unit: str
) -> None:
    host = site.lab.host("alpha")
    host.inside(["systemctl", "restart", NODE])
    assert read_as(host, NODE, TOKEN) == f"64 {TOKEN}"
    assert read_as(host, unit, "/run/heliograph/api.json").split()[0].isdigit()
    for path in (TOKEN, f"/proc/{shown(host, NODE, 'MainPID')}/root{TOKEN}"):
        assert read_as(host, unit, path).endswith("Permission denied"), path


# --- the work ---------------------------------------------------------------------------------------------------------


def receipts(ask: Asked, frame: Mapping[str, Any]) -> list[Json]:
    found: list[Json] = ask(f"/v1/frames/{frame['id']}/archive")["receipts"]
    return found


@pytest.mark.parametrize("name", USUAL)
def test_frames_are_captured_and_lie_on_the_shelf_as_their_receipts_say(site: Site, name: str) -> None:
    ask = Asked(site, site.lab.host(name))
    until(lambda: len(ask(f"/v1/frames?limit={FRAMES}")["items"]) == FRAMES, SENT_S)
    frames = ask(f"/v1/frames?limit={FRAMES}")["items"]
    ask("/v1/targets/shelf/send", "POST")
    until(lambda: all(receipts(ask, frame) for frame in frames), SENT_S)
    for frame in frames:
        told = ask(f"/v1/frames/{frame['id']}")
        data = (site.lab.shelf.store / name / told["path"]).read_bytes()
        [receipt] = receipts(ask, frame)
        sent = ask.raw(f"/v1/frames/{frame['id']}/image")["sha256"]
        digests = {hashlib.sha256(data).hexdigest(), told["sha256"], receipt["sha256"], sent}
        assert len(digests) == 1, (told, receipt)
        assert told["verdict"] == "good"


@pytest.mark.parametrize("name", BOTH)
def test_a_video_is_made_and_is_what_it_is_said_to_be(site: Site, name: str, tmp_path: Path) -> None:
    host = site.lab.host(name)
    ask = Asked(site, host)
    until(lambda: len(ask(f"/v1/frames?limit={FILM + 1}")["items"]) > FILM, MADE_S)
    after, *_, first = ask(f"/v1/frames?limit={FILM + 1}")["items"]
    job = ask("/v1/videos", "POST", camera="main", **{"from": first["due"], "to": after["due"]})["id"]
    until(lambda: ask(f"/v1/jobs/{job}")["state"] in {"done", "dead"}, MADE_S)
    ended = ask(f"/v1/jobs/{job}")
    assert ended["state"] == "done", ended
    [video] = [each for each in ask("/v1/videos")["items"] if each["job"] == job]
    assert ask.raw(f"/v1/videos/{video['id']}/file")["sha256"] == video["sha256"]
    lines = host.inside("find /var/lib/heliograph -name '*.mp4' -exec sha256sum {} +").stdout.splitlines()
    [path] = [line.split(maxsplit=1)[1] for line in lines if line.startswith(video["sha256"])]
    film = tmp_path / "video.mp4"
    film.write_bytes(bytes.fromhex(host.inside(["od", "-An", "-v", "-tx1", path]).stdout))
    with av.open(str(film)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == video["frames"] == FILM


# --- what keeps it going ----------------------------------------------------------------------------------------------


def test_a_service_that_hangs_is_ended_and_captures_again(site: Site) -> None:
    host = site.lab.host("charlie")
    ask = Asked(site, host)
    with altered(host, f"{NODE}.service", "[Service]\nWatchdogSec=8\n"):
        host.inside(["systemctl", "restart", NODE])
        before = shown(host, NODE, "MainPID")
        host.inside(["kill", "-STOP", before])
        until(lambda: is_new(host, NODE, before), BACK_S)
        assert shown(host, NODE, "NRestarts") == "1"
        assert "Watchdog timeout" in host.inside(["journalctl", "--no-pager", "-u", NODE, "-n", "40"]).stdout
        last = newest(ask)
        until(lambda: newest(ask) != last, BACK_S)
    host.inside(["systemctl", "restart", NODE])


def test_a_worker_that_is_killed_is_back_and_capture_has_not_felt_it(site: Site) -> None:
    host = site.lab.host("alpha")
    ask = Asked(site, host)
    capture = shown(host, NODE, "MainPID")
    gaps, last = ask("/v1/gaps")["items"], newest(ask)
    before = {unit: shown(host, unit, "MainPID") for unit in (WORKER, SHIP)}
    host.inside(["systemctl", "kill", "--signal=KILL", *before])
    until(lambda: all(is_new(host, unit, pid) for unit, pid in before.items()), BACK_S)
    until(lambda: newest(ask) != last, BACK_S)
    assert ask("/v1/gaps")["items"] == gaps
    assert shown(host, NODE, "MainPID") == capture


@pytest.mark.parametrize("name", BOTH)
def test_what_failed_five_times_is_tried_for_ever_but_slowly(site: Site, name: str) -> None:
    host = site.lab.host(name)
    retry = f"heliograph-retry@{WORKER}.service"
    with altered(host, "heliograph-retry@.service", SOON):
        with altered(host, f"{WORKER}.service", FAILING):
            host.inside(["systemctl", "restart", WORKER], check=False)
            until(lambda: shown(host, WORKER, "ActiveState") == "failed", BACK_S)
            until(lambda: active(host, retry), BACK_S)
        # its next try is not held to five a minute: five minutes have passed, if it has not been made to hurry
        host.inside(["systemctl", "reset-failed", WORKER])
        until(lambda: active(host, WORKER), BACK_S)
        until(lambda: not active(host, retry), BACK_S)
    assert active(host, NODE)
