"""Everything that the demo makes goes away again."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.demo.grounds import PREFIX, Grounds, marking, service, sweep, worker
from console.demo.places import Plan
from console.fleet.inventory import Host, read

PLAN = Plan("kyoto", {"node": {"id": "kyoto"}}, {"site": {"name": "Japan"}})


def until(holds: Callable[[], object], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@pytest.fixture
def grounds(modes: dict[str, str]) -> Iterator[Grounds]:
    made = Grounds()
    yield made
    made.clear()


def started(grounds: Grounds, name: str = "kyoto") -> Any:
    grounds.start(Plan(name, {"node": {"id": name}}, {}))
    node = grounds.nodes[-1]
    until(lambda: node.read_ready(grounds.token_file("viewer")))
    return node


def test_a_node_is_started_with_its_files_and_says_where_it_listens(grounds: Grounds) -> None:
    grounds.start(PLAN)
    node = grounds.nodes[0]
    until(lambda: node.read_ready(grounds.token_file("viewer")))
    assert node.host is not None
    assert (node.host.name, node.host.scheme, node.host.port > 0) == ("kyoto", "http", True)
    assert (node.folder / "config.yml").read_text() == "site:\n  name: Japan\n"
    assert not node.ended()


def test_the_inventory_is_one_that_ansible_reads(grounds: Grounds) -> None:
    nodes = started(grounds, "cusco"), started(grounds)
    there = [(host.name, host.url, host.token_file) for host in read(grounds.write_inventory())]
    assert there == [(node.host.name, node.host.url, node.host.token_file) for node in nodes]


def test_tokens_are_long_random_and_for_this_user_only(grounds: Grounds) -> None:
    assert len({*grounds.tokens.values()}) == len(grounds.tokens) == 3
    for role, token in grounds.tokens.items():
        assert len(token) >= 40
        assert grounds.token_file(role).read_text() == token + "\n"
        assert stat.S_IMODE(grounds.token_file(role).stat().st_mode) == 0o600
    assert stat.S_IMODE(grounds.root.stat().st_mode) == 0o700


def test_clearing_ends_the_processes_and_removes_the_folder(grounds: Grounds, alive: Callable[[int], bool]) -> None:
    pids = [started(grounds, name).process.pid for name in ("kyoto", "cusco")]
    assert not grounds.ended()
    grounds.ask_to_end()
    until(grounds.ended, within_s=3)
    grounds.clear()
    assert not any(alive(pid) for pid in pids)
    assert not grounds.root.exists()
    grounds.clear()


def test_a_node_that_will_not_stop_is_made_to_with_all_of_its_children(
    grounds: Grounds, modes: dict[str, str], alive: Callable[[int], bool]
) -> None:
    modes["kyoto"] = "stubborn"
    node = started(grounds)
    worker = int((node.folder / "worker.pid").read_text())
    grounds.ask_to_end()
    until((node.folder / "asked").exists)
    assert not grounds.ended()
    grounds.clear()
    assert node.process.returncode == -signal.SIGKILL
    until(lambda: not alive(worker))


def test_a_node_that_was_killed_leaves_nothing_either(grounds: Grounds, alive: Callable[[int], bool]) -> None:
    node = started(grounds)
    os.kill(node.process.pid, signal.SIGKILL)
    until(node.ended)
    assert node.ended()
    grounds.clear()
    assert not grounds.root.exists()
    assert not alive(node.process.pid)


def test_the_last_words_are_the_end_of_the_log(grounds: Grounds, modes: dict[str, str]) -> None:
    modes["kyoto"] = "dies"
    grounds.start(PLAN)
    node = grounds.nodes[0]
    until(node.ended)
    assert node.last_words() == ["CFG-001 configuration document is invalid"]
    (node.folder / "log").unlink()
    assert node.last_words() == []


def test_the_operators_own_node_settings_do_not_reach_the_demo(
    grounds: Grounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_API_PORT", "8460")
    node = started(grounds)
    environment = Path(f"/proc/{node.process.pid}/environ").read_bytes()
    assert b"HELIOGRAPH_API_PORT" not in environment
    assert b"PATH=" in environment


def test_the_real_commands_are_the_nodes_own(tmp_path: Path) -> None:
    for words, name in ((service(tmp_path), "run"), (worker(tmp_path), "work"), (marking(tmp_path), "archive")):
        assert words[:4] == [sys.executable, "-m", "node.cli", name]
        assert words[words.index("--root") + 1] == str(tmp_path)


def test_a_worker_is_ended_with_its_node_in_order_or_not(grounds: Grounds, alive: Callable[[int], bool]) -> None:
    node = started(grounds)
    grounds.start_worker(node)
    assert node.beside is not None
    grounds.ask_to_end()
    until(grounds.ended, within_s=3)
    other = started(grounds, "cusco")
    grounds.start_worker(other)
    pids = [process.pid for process in (*node.processes, *other.processes)]
    grounds.clear()
    assert len(pids) == 4
    assert not any(alive(pid) for pid in pids)


def test_an_archive_lies_on_another_file_system_or_there_is_none(
    grounds: Grounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert grounds.shelf is None, "the shelves of a test lie beside its nodes"
    monkeypatch.setattr("console.demo.grounds.SHELVES", Path("/dev/shm"))
    other = Grounds()
    assert other.shelf is not None
    assert other.shelf.stat().st_dev != other.root.stat().st_dev
    assert stat.S_IMODE(other.shelf.stat().st_mode) == 0o700
    other.clear()
    assert not other.shelf.exists()


def test_the_shelf_of_a_demo_that_was_killed_is_removed(shelves: Path) -> None:
    left = shelves / f"{PREFIX}gone"
    left.mkdir()
    sweep()
    assert not left.exists()


def test_the_shelf_of_a_living_demo_elsewhere_is_left(
    grounds: Grounds, shelves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    shelf = shelves / grounds.root.name
    sweep()
    assert shelf.exists(), "it is locked"
    grounds.clear()
    assert list(shelves.iterdir()) == []


def test_a_shelf_that_is_somebody_elses_way_out_is_no_shelf(shelves: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (shelves / f"{PREFIX}link").symlink_to(tmp_path / "precious")
    sweep()
    assert (tmp_path / "precious").exists()


def test_nodes_die_with_a_demo_that_is_killed_and_the_next_one_removes_its_folder(
    temporary: Path, alive: Callable[[int], bool]
) -> None:
    program = (
        "import sys, tempfile, time\n"
        "tempfile.tempdir = sys.argv[1]\n"
        "from console.demo import grounds\n"
        "from console.demo.places import Plan\n"
        "grounds.service = lambda folder: ['sleep', '600']\n"
        "made = grounds.Grounds()\n"
        "made.start(Plan('kyoto', {}, {}))\n"
        "print(made.nodes[0].process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(temporary)], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        child = int(demo.stdout.readline())
        sweep()
        assert len(list(temporary.glob(f"{PREFIX}*"))) == 1, "a living demo's folder is not swept"
        demo.kill()
    until(lambda: not alive(child))
    sweep()
    assert list(temporary.glob(f"{PREFIX}*")) == []


def test_a_ready_file_that_is_not_whole_is_no_word_yet(grounds: Grounds, modes: dict[str, str]) -> None:
    modes["kyoto"] = "silent"
    grounds.start(PLAN)
    node = grounds.nodes[0]
    assert node.read_ready(grounds.token_file("viewer")) is None
    (node.folder / "ready.json").write_text('{"port"')
    assert node.read_ready(grounds.token_file("viewer")) is None
    (node.folder / "ready.json").write_text('{"port": 4711}')
    assert node.read_ready(Path("token")) == Host("kyoto", "127.0.0.1", 4711, "http", token_file="token")
