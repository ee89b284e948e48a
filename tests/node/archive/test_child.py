from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.archive.child import Child, exited
from node.clock import SystemClock
from node.domain.errors import TargetUnavailable
from tests.archives import until

CLOCK = SystemClock()
PARENT = """
import sys
from pathlib import Path
from node.archive.child import Child
with Child(["sh", "-c", "echo $$ >pid.tmp; mv pid.tmp pid; exec sleep 60"], Path(sys.argv[1])) as child:
    sys.stdin.read()
"""


def silent(_words: str) -> None:
    """Nobody listens."""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_what_it_was_given_wrote_and_complained_of_is_told(tmp_path: Path) -> None:
    with Child(["sh", "-c", "cat; echo no >&2; exit 3"], tmp_path, b"given\0") as child:
        ended = child.wait(CLOCK, 5.0, silent)
    assert (ended.status, ended.out, ended.complaints) == (3, b"given\0", "no\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["setpriv", "ssh"])
def test_a_program_that_is_missing_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    (programs := tmp_path / "programs").mkdir()
    for name in {"setpriv", "ssh"} - {missing}:
        (programs / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(TargetUnavailable, match=f"{missing} is not installed on this node"):
        Child(["ssh", "host"], tmp_path)


def test_children_complain_in_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with Child(["sh", "-c", "echo $LC_ALL"], tmp_path) as child:
        assert child.wait(CLOCK, 5.0, silent).out == b"C\n"


def test_much_on_both_sides_blocks_nobody(tmp_path: Path) -> None:
    given = bytes(5_000_000)
    with Child(["sh", "-c", "cat; head -c 300000 /dev/zero >&2"], tmp_path, given) as child:
        ended = child.wait(CLOCK, 5.0, silent)
    assert ended.out == given
    assert len(ended.complaints) == 65536


def test_output_may_go_into_a_file_of_the_callers(tmp_path: Path) -> None:
    with (
        (tmp_path / "out").open("wb") as out,
        Child(["sh", "-c", "sleep 0.5; echo words"], tmp_path, into=out) as child,
    ):
        assert child.wait(CLOCK, 5.0, silent).out == b""
    assert (tmp_path / "out").read_bytes() == b"words\n"


def test_its_last_words_are_heard_while_it_runs(tmp_path: Path) -> None:
    heard: list[str] = []

    def listen(words: str) -> None:
        heard.append(words)
        if "ready" in words:
            (tmp_path / "go").touch()

    with Child(["sh", "-c", "echo ready; until [ -e go ]; do sleep 0.05; done; echo done"], tmp_path) as child:
        child.wait(CLOCK, 5.0, listen)
    assert heard[-1] == "ready\ndone\n"


def test_silence_ends_it(tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailable), Child(["sleep", "60"], tmp_path) as child:
        child.wait(CLOCK, 0.3, silent)


def test_whoever_does_not_want_it_any_more_ends_it_with_its_own_children(tmp_path: Path) -> None:
    def stop(_words: str) -> None:
        if (tmp_path / "pids").exists():
            raise KeyboardInterrupt

    script = "sleep 60 & echo $$ $! >pids.tmp; mv pids.tmp pids; wait"
    with pytest.raises(KeyboardInterrupt), Child(["sh", "-c", script], tmp_path) as child:
        child.wait(CLOCK, 30.0, stop)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    until(lambda: all(gone(pid) for pid in pids))


def test_a_signal_counts_as_the_end(tmp_path: Path) -> None:
    with Child(["sh", "-c", "kill -9 $$"], tmp_path) as child:
        assert child.wait(CLOCK, 5.0, silent).status == -signal.SIGKILL


@pytest.mark.slow
def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdin=subprocess.PIPE)
    while not (tmp_path / "pid").exists():
        assert not exited(parent, 0.05)
    parent.kill()
    parent.communicate()
    pid = int((tmp_path / "pid").read_text())
    until(lambda: gone(pid))
