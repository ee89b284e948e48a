"""The running service: how it starts, stops, and what keeps it from starting."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from node import service
from node.api.commands import Caller
from node.api.local import OWN_FOLDER
from node.clock import SystemClock
from node.domain.errors import CameraTimeout, DatabaseBusy, VersionMoved
from node.domain.events import FramesReclaimed
from node.settings import load_node_file
from node.store import log
from node.store.database import NAME, Database
from node.store.frames import FrameReader
from tests.apis import jpeg
from tests.nodes import EACH_SECOND, SMALL, Home, Node, begun, ended, heliograph_node, started, wait_for
from tests.simulate.ledger import all_complaints, events, reasons

pytestmark = pytest.mark.slow

MB = 1_000_000
HANGING = {**SMALL, "faults": [{"kind": "stall", "after_shots": 1, "shots": 1000}]}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@contextmanager
def listening(node: Node, readers: int) -> Iterator[list[bytes]]:
    """So many open event streams; what each has heard when the node has ended."""
    heard: list[bytes] = []
    ready = threading.Barrier(readers + 1)

    def listen() -> None:
        with httpx.stream("GET", f"{node.url}/v1/events", headers={"Authorization": "Bearer viewer"}) as stream:
            chunks = stream.iter_raw()
            first = next(chunks)
            ready.wait(10)
            heard.append(first + b"".join(chunks))

    threads = [threading.Thread(target=listen) for _ in range(readers)]
    for thread in threads:
        thread.start()
    ready.wait(10)
    yield heard
    for thread in threads:
        thread.join(10)


def left_behind(home: Home) -> list[str]:
    """What only a running service has."""
    scratch = [path for path in home.run.rglob("*") if path != home.run / OWN_FOLDER]  # its folder, empty, may stay
    return [path.name for path in (*scratch, *home.data.glob("*-wal"), home.ready_file) if path.exists()]


def test_what_another_process_reclaims_is_counted_at_once(home: Home) -> None:
    with started(home) as node:
        wait_for(node.frames, "a frame")
        wait_for(lambda: node.get("/v1/disk")["counted"], "a count", 20)
        first = node.get("/v1/disk")["counted"]
        database = Database.join(home.data / NAME)
        told = [FramesReclaimed("frame", "frames_days", 1, 1000)]
        database.write(lambda session: log.append(session, told, SystemClock().now_us()))
        database.close()
        wait_for(lambda: node.get("/v1/disk")["counted"] != first, "another count", 20)


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_sigterm_with_open_streams_ends_all_of_it_within_five_seconds(home: Home) -> None:
    with started(home) as node:
        wait_for(node.frames, "a frame")
        workers = node.workers()
        with listening(node, 5) as heard:
            status, took_s = node.stop()
        assert (status, took_s < 5) == (0, True)
        assert len(heard) == 5
        assert all(b"event: goodbye" in each for each in heard)
        assert workers
        assert ended(workers)
        assert left_behind(home) == []
    with started(home) as node:
        assert node.stop()[0] == 0
    assert [each["clean"] for each in events(home.data, "service_started")] == [True, True]
    assert len(events(home.data, "service_stopped")) == 2
    assert all_complaints(home.data) == []


def test_sigterm_while_cameras_hang_ends_all_of_it_too(tmp_path: Path) -> None:
    home = Home(tmp_path, {"a": HANGING, "b": HANGING, "c": HANGING})
    with started(home) as node:
        wait_for(lambda: len(node.frames()) >= 3, "frames")
        time.sleep(1.2)  # into the next shots, which hang
        workers = node.workers()
        status, took_s = node.stop()
        assert (status, took_s < 5) == (0, True)
        assert len(workers) == 3
        assert ended(workers)
        assert left_behind(home) == []
    with started(home) as node:
        node.stop()
    assert all_complaints(home.data, ("a", "b", "c")) == []


def test_sigint_stops_it_as_well(home: Home) -> None:
    with started(home) as node:
        node.process.send_signal(signal.SIGINT)
        assert node.process.wait(5) == 0
        assert left_behind(home) == []


def test_a_stop_that_comes_as_it_is_thawed_is_a_stop(home: Home) -> None:
    with started(home) as node:
        for _ in range(3):
            node.process.send_signal(signal.SIGSTOP)
            time.sleep(0.2)
            node.process.send_signal(signal.SIGCONT)
        status, took_s = node.stop()
        assert (status, took_s < 5) == (0, True)


def test_a_stop_while_it_starts_is_a_stop(home: Home) -> None:
    node = home.start()
    try:
        wait_for((home.data / "heliograph.db").exists, "it has begun")
        assert node.stop()[0] == 0
    finally:
        node.kill()


# --- what keeps it from starting --------------------------------------------------------------------------------------


def refused(home: Home, status: int, code: str) -> str:
    """The line that says why it did not start: one, with a code, and a hint."""
    found, said = home.fails()
    plain = [line for line in said.splitlines() if not line.startswith("{")]
    assert (found, plain[0][: len(code)]) == (status, code), said
    assert plain[-1].startswith("  hint: ")
    assert "Traceback" not in said
    return "\n".join(plain)


def test_a_taken_port_is_said_with_its_holder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        home = Home(tmp_path, node_file={"api": {"port": port, "insecure_loopback": True}})
        assert f"127.0.0.1:{port} is held by pid {os.getpid()}: " in refused(home, 69, "API-014")
    assert left_behind(home) == []
    assert [each["reason"] for each in events(home.data, "service_stopped")] == ["did not start"]


def test_a_missing_data_folder_is_said(home: Home) -> None:
    home.data.rmdir()
    assert str(home.data) in refused(home, 78, "DSK-004")


def test_a_scratch_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = {"data": str(tmp_path / "data"), "run": str(tmp_path / "file" / "run")}
    assert str(tmp_path / "file" / "run") in refused(Home(tmp_path, node_file={"paths": paths}), 78, "DSK-004")


def test_a_read_only_data_folder_is_said(tmp_path: Path) -> None:
    refused(Home(tmp_path, tmpfs="ro"), 69, "DSK-002")


def test_a_full_data_folder_at_start_is_said_and_waited_for(tmp_path: Path) -> None:
    home = Home(tmp_path, tmpfs="size=4k")
    with begun(home) as node:
        wait_for(lambda: "waiting for room" in home.log and "DSK-001" in home.log, "word of it")
        assert node.alive
        inside = ("nsenter", "--target", str(node.pid), "--user", "--mount", "--preserve-credentials")
        subprocess.run([*inside, "mount", "-o", "remount,size=16m", str(home.data)], check=True)
        node.ready(40)
        wait_for(node.frames, "a frame")
        assert node.stop()[0] == 0


def test_a_service_that_waits_for_room_can_be_stopped(tmp_path: Path) -> None:
    home = Home(tmp_path, tmpfs="size=4k")
    with begun(home) as node:
        wait_for(lambda: "waiting for room" in home.log, "word of it")
        assert node.stop()[0] == 69


def test_a_wrong_document_is_said_and_the_mended_one_is_taken(home: Home) -> None:
    document = home.folder / "document.yml"
    document.write_text("schedules: {each: {cameras: [gone], interval_s: 1}}\n")
    assert "schedules.each.cameras.0: no camera of that name" in refused(home, 78, "CFG-001")
    document.write_text(yaml.safe_dump(EACH_SECOND))
    with started(home) as node:
        assert node.get("/v1/config")["document"] == EACH_SECOND


def test_a_database_that_is_none_is_put_aside_and_said(home: Home) -> None:
    (home.data / "heliograph.db").write_bytes(b"this is no database" * 1000)
    with started(home) as node:
        (told,) = events(home.data, "database_restored")
        node.stop()
    assert (home.data / told["aside"]).read_bytes() == b"this is no database" * 1000
    assert "database is restored" in home.log


def test_two_services_of_one_node_file_do_not_both_run(home: Home) -> None:
    with started(home) as first:
        done = heliograph_node("run", "--config", home.config)
        assert (done.returncode, f"held by pid {first.pid}: " in done.stderr) == (75, True)
        assert first.get("/health/ready")["ready"]


# --- what is asked of it ----------------------------------------------------------------------------------------------


class Waiting:
    """A camera's loop that is asked for something: `answer` is what it makes of it."""

    camera = "main"

    def __init__(self) -> None:
        self.answer: Future[str] = Future()

    def ask(self, _: object) -> Future[str]:
        return self.answer


def answered(loop: Waiting) -> str:
    return service._answered(loop, lambda: "")  # type: ignore[arg-type]  # all that it needs of a loop


def test_what_a_busy_loop_has_not_begun_in_time_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FREE_S", 0.05)
    loop = Waiting()
    with pytest.raises(CameraTimeout, match="was not free"):
        answered(loop)
    assert loop.answer.cancelled()


def test_what_a_loop_has_begun_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FREE_S", 0.05)
    loop = Waiting()
    loop.answer.set_running_or_notify_cancel()
    threading.Timer(0.3, loop.answer.set_result, ("done",)).start()
    assert answered(loop) == "done"


def test_a_shot_whose_audit_cannot_be_written_is_a_kept_shot(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def busy(*_: object) -> None:
        raise DatabaseBusy("held")

    settings = load_node_file(home.config).node_file
    caller = Caller("anna", "operator", "127.0.0.1", "r-1")
    with service.running(service.Start(settings, EACH_SECOND), SystemClock()) as running:
        monkeypatch.setattr(running.journal, "audit", busy)
        frame = running._capture("main", "auto", caller)
        assert FrameReader(running.database).known(frame.id)
        with pytest.raises(VersionMoved):
            running._put_config({}, 7, caller)
    assert [record.outcome for record in caplog.records if record.message == "audit row was not written"] == [
        "done",
        "CFG-005",
    ]


def test_changes_that_were_refused_are_in_the_audit(home: Home) -> None:
    with started(home) as node:
        wait_for(node.frames, "a frame")

        def put(document: dict[str, Any], version: int) -> int:
            return node.ask("PUT", "/v1/config", json=document, headers={"If-Match": f'"{version}"'}).status_code

        assert put({}, 7) == 412
        assert put({"site": {"latitude": 95}}, 1) == 422
        assert put({**EACH_SECOND, "site": {"name": "Field"}}, 1) == 200
        assert put({**EACH_SECOND, "site": {"name": "Other"}}, 2) == 409
        assert node.ask("POST", "/v1/config/rollback", json={"version": 99}).status_code == 404
        rows = node.get("/v1/audit")["items"]
    assert [(row["action"], row["target"], row["outcome"]) for row in reversed(rows)] == [
        ("config put", "config", "CFG-005"),
        ("config put", "config", "CFG-001"),
        ("config put", "config/2", "done"),
        ("config put", "config", "CFG-008"),
        ("config rollback", "config/99", "CFG-007"),
    ]
    assert {row["who"] for row in rows} == {"admin"}


# --- what it lives through --------------------------------------------------------------------------------------------


def test_a_document_shows_what_it_would_delete_before_it_is_put(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    nas = {"nas": {"kind": "directory", "path": str(tmp_path / "nas")}}
    home = Home(tmp_path, node_file={"archive": nas, "clock": {"trusted": True}})
    with started(home) as node:
        frame = node.ask("POST", "/v1/cameras/main/capture").json()
        receipt = (frame["id"], "nas", "frame", "x", frame["size_bytes"], frame["sha256"], "read", 1)
        with sqlite3.connect(home.data / NAME, timeout=5) as other:
            other.execute("INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", receipt)
        other.close()

        def foretold(retention: dict[str, Any]) -> list[dict[str, Any]]:
            answer = node.ask("POST", "/v1/config/validate", json={**EACH_SECOND, "retention": retention})
            return list(answer.json()["reclaim"])

        goes = {"what": "frame", "rule": "frames_days", "count": 1, "size_bytes": frame["size_bytes"]}
        assert foretold({"frames_days": 0}) == [goes]
        assert foretold({"frames_days": 1}) == foretold({"frames_days": 0, "receipts_needed": 2}) == []
        assert (home.data / frame["path"]).exists()


def test_commands_ask_the_running_service_by_its_token_or_another_and_say_who_holds_the_directory(home: Home) -> None:
    with started(home) as node:
        asked = ("render", "--camera", "main", "--from", "2026-11-01T00:00:00Z", "--to", "2099-01-01T00:00:00Z")
        line = ("--config", home.config, "--no-wait", "--json")
        own = json.loads(heliograph_node(*asked, *line).stdout)["id"]
        assert node.get(f"/v1/jobs/{own}")["who"] == "local"
        heliograph_node("jobs", "cancel", own, "--config", home.config)
        (home.run / "own" / "local.token").unlink()
        refused = heliograph_node(*asked, *line)
        assert (refused.returncode, f"pid {node.pid}" in refused.stderr) == (75, True)
        token = ("--token-file", home.folder / "operator.token")
        job = json.loads(heliograph_node(*asked, *line, *token).stdout)
        assert node.get(f"/v1/jobs/{job['id']}")["state"] == "queued"
        cancelled = heliograph_node("jobs", "cancel", job["id"], "--config", home.config, *token)
        assert (cancelled.returncode, "cancelled" in cancelled.stdout) == (0, True)
        assert [row["action"] for row in node.get("/v1/audit")["items"][:2]] == ["job cancel", "render ask"]


def test_a_wrong_token_is_refused_and_the_right_one_is_served(home: Home) -> None:
    with started(home) as node:
        answer = node.ask("GET", "/v1/status", role="wrong")
        assert (answer.status_code, answer.json()["code"]) == (401, "API-001")
        assert node.ask("GET", "/v1/status", role="viewer").status_code == 200


def test_many_refused_attempts_are_an_alert_and_a_metric(home: Home) -> None:
    with started(home) as node:
        for number in range(2, 14):
            address = httpx.HTTPTransport(local_address=f"127.0.0.{number}")
            with httpx.Client(transport=address, base_url=node.url, headers={"Authorization": "Bearer no"}) as stranger:
                assert stranger.get("/v1/status").status_code == 401
        wait_for(lambda: alert(node, "access_refused"), "an alert", 20)
        (raised,) = [each for each in node.get("/v1/status")["alerts"] if each["code"] == "access_refused"]
        assert raised["sentence"] == "12 attempts were refused in 10 minutes, the last from 127.0.0.13 (API-001)."
        metrics = node.ask("GET", "/metrics").text
        wait_for(lambda: 'access_refused_total{code="API-001"} 12.0' in node.ask("GET", "/metrics").text, metrics)


def test_a_replay_folder_that_runs_dry_costs_slots_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(jpeg(160, 120))
    (folder / "b.jpg").write_bytes(b"no picture at all")
    home = Home(tmp_path, {"main": {"backend": "replay", "folder": str(folder)}})
    with started(home) as node:
        wait_for(lambda: len(node.frames()) >= 3, "frames")
        for path in folder.iterdir():
            path.unlink()
        wait_for(lambda: any(gap["error_code"] == "CAM-010" for gap in node.gaps()), "a gap that says so")
        count = len(node.frames())
        (folder / "c.jpg").write_bytes(jpeg(160, 120))
        wait_for(lambda: len(node.frames()) > count, "frames again")
        assert node.stop()[0] == 0
    assert all_complaints(home.data) == []
    assert "camera_fault" in reasons(home.data)


def fill(folder: Path) -> Path:
    """Every byte that is left."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (MB, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path


def test_a_full_disk_costs_slots_and_capture_resumes_by_itself(tmp_path: Path) -> None:
    home, copy = Home(tmp_path, tmpfs="size=16m"), tmp_path / "copy"
    with started(home) as node:
        wait_for(lambda: len(node.frames()) >= 2, "frames")
        before = {frame["id"]: frame["sha256"] for frame in node.frames()}
        filler = fill(node.data)
        wait_for(lambda: alert(node, "disk"), "an alert", 20)
        time.sleep(2)
        for frame, sha in before.items():
            picture = node.ask("GET", f"/v1/frames/{frame}/image")
            assert (picture.status_code, picture.headers["etag"]) == (200, f'"{sha}"')
        filler.unlink()
        wait_for(lambda: newer(node, before), "frames again", 20)
        wait_for(lambda: any(gap["reason"] == "disk_full" for gap in node.gaps()), "gaps that say so")
        node.process.send_signal(signal.SIGSTOP)
        keep(node, copy)
        node.process.send_signal(signal.SIGCONT)
        assert node.stop()[0] == 0
    assert all_complaints(copy) == []


def test_sigterm_on_a_full_disk_is_an_orderly_end(tmp_path: Path) -> None:
    with started(Home(tmp_path, tmpfs="size=16m")) as node:
        wait_for(node.frames, "a frame")
        fill(node.data)
        wait_for(lambda: alert(node, "disk"), "an alert", 20)
        assert node.stop()[0] == 0


def alert(node: Node, start: str) -> bool:
    status: dict[str, Any] = node.get("/v1/status")
    return any(start in json.dumps(each) for each in status["alerts"])


def newer(node: Node, before: dict[str, str]) -> bool:
    latest = max(before)
    return any(frame["id"] > latest for frame in node.frames() if not frame["quarantined"])


def keep(node: Node, copy: Path) -> None:
    """The data folder as it is, out of the name space that goes with the node; rows as its log's reader sees them."""
    shutil.copytree(node.data, copy, ignore=shutil.ignore_patterns("lock", "*-shm"))


def test_a_held_camera_is_held_after_a_kill_and_goes_on_when_it_is_resumed(home: Home) -> None:
    with started(home) as node:
        wait_for(node.frames, "a frame")
        held = node.ask("POST", "/v1/cameras/main/hold", "operator", json={"reason": "lens"}).json()
        count = len([frame for frame in node.frames() if frame["due"]])
        wait_for(lambda: [gap for gap in node.gaps() if gap["reason"] == "held"], "a gap")
        assert len([frame for frame in node.frames() if frame["due"]]) - count <= 1  # one was under way
        node.kill()
    with started(home) as node:
        wait_for(lambda: node.get("/v1/status")["cameras"][0].get("held") == held["held"], "the status")
        shown = node.get("/v1/status")["cameras"][0]
        assert (shown["state"], shown["next_slot"], "held_until" in shown) == ("idle", None, False)
        assert (node.camera()["held_reason"], node.camera()["held_by"]) == ("lens", "operator")
        assert node.ask("POST", "/v1/cameras/main/capture", "operator").status_code == 201
        assert node.ask("POST", "/v1/cameras/main/resume", "operator").json()["changed"]
        since = node.get("/v1/status")["clock"]["now"]
        wait_for(lambda: [frame for frame in node.frames() if (frame["due"] or "") > since], "a frame after it")
        wait_for(lambda: "held" not in node.get("/v1/status")["cameras"][0], "the status without it")
        done = [(row["who"], row["action"]) for row in node.get("/v1/audit")["items"]]
        assert done == [("operator", "camera resume"), ("operator", "capture"), ("operator", "camera hold")]
        assert node.stop()[0] == 0
    assert set(reasons(home.data)) <= {"held", "camera_offline", "process_down", "late"}
    assert reasons(home.data)["held"] >= 1
    assert all_complaints(home.data) == []
