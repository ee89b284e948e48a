"""Memory figures, from the real kernel and from planted folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from node.host import memory


def _process(proc: Path, pid: int, *, children: dict[int, str], pss_kb: int | None, name: str = "python") -> None:
    for thread, listed in children.items():
        task = proc / str(pid) / "task" / str(thread)
        task.mkdir(parents=True)
        (task / "children").write_text(listed)
    (proc / str(pid) / "comm").write_text(name + "\n")
    if pss_kb is not None:
        (proc / str(pid) / "smaps_rollup").write_text(f"00-ff ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss: {pss_kb} kB\n")


def test_available_memory_is_what_the_kernel_says() -> None:
    available = memory.available_bytes()
    assert available is not None
    assert 0 < available < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_kernel_without_the_figure_gives_none(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\n")
    assert memory.available_bytes(tmp_path) is None
    assert memory.available_bytes(tmp_path / "absent") is None


def test_a_tree_is_counted_over_all_threads_parents_first(tmp_path: Path) -> None:
    _process(tmp_path, 10, children={10: "11 ", 12: "20 "}, pss_kb=100, name="node")
    _process(tmp_path, 11, children={11: "30 "}, pss_kb=50)
    _process(tmp_path, 20, children={20: ""}, pss_kb=7)
    _process(tmp_path, 30, children={30: ""}, pss_kb=1)
    assert memory.shares(10, tmp_path) == (
        memory.ProcessShare(10, "node", 100 * 1024),
        memory.ProcessShare(11, "python", 50 * 1024),
        memory.ProcessShare(20, "python", 7 * 1024),
        memory.ProcessShare(30, "python", 1024),
    )


def test_a_child_that_is_gone_or_not_ours_is_left_out(tmp_path: Path) -> None:
    _process(tmp_path, 10, children={10: "11 99 "}, pss_kb=100)
    _process(tmp_path, 11, children={11: "10 "}, pss_kb=None)
    assert [share.pid for share in memory.shares(10, tmp_path)] == [10]


def test_this_process_and_its_child_are_found() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = {share.pid: share for share in memory.shares(os.getpid())}
        child.communicate(b"\n")
    assert found[os.getpid()].pss_bytes > 1_000_000
    assert child.pid in found
