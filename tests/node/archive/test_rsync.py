from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from node.archive.base import MARKER, Outcome, Refused
from node.archive.ssh import Link
from node.clock import SystemClock
from node.crashpoint import VARIABLE
from node.domain.errors import (
    HeliographError,
    MarkerMissing,
    ReceiptRefused,
    TargetFull,
    TargetRefused,
    TargetUnavailable,
)
from node.domain.nodefile import RsyncTarget
from tests import sshd
from tests.archives import Ground, Yard, earned, mounted, quiet, stored, until, wanted

pytestmark = pytest.mark.slow
PATIENCE_S = 30.0
SENDING = """
import sys
from pathlib import Path
from node.archive.targets import open_target
from node.domain.config import TargetPolicy
from node.domain.nodefile import RsyncTarget
from tests.archives import Yard, quiet
yard = Yard(Path(sys.argv[1]))
items = yard.items(4, 3_000_000)
policy = TargetPolicy(limit_bytes_per_s=int(sys.argv[3]) or None)
open_target("far", RsyncTarget.model_validate_json(sys.argv[2]), policy, yard.where).put(items, quiet)
"""
FOUND = "find {store} -name '*.jpg' -type f"
# how many bytes came in stands in the file in the end
COUNTING = """
mkfifo {counted}.pipe; exec 3<&0
dd bs=64k <&3 >{counted}.pipe 2>{counted} &
"$REAL" "$@" <{counted}.pipe; status=$?
kill -USR1 $!; sleep 0.2; kill $!; exit $status
"""
LIES = {
    "drops": f"{FOUND} -delete",
    "truncates": f"{FOUND} -exec truncate -s 9999 {{{{}}}} +",
    "corrupts": f"{FOUND} -exec sh -c 'for f; do printf X | dd of=$f bs=1 seek=77 conv=notrunc; done' sh {{{{}}}} +",
}


def errors(outcomes: list[Outcome]) -> list[type[HeliographError]]:
    return [type(outcome.error) for outcome in outcomes if isinstance(outcome, Refused)]


def finished(store: Path) -> dict[str, str]:
    return {name: found for name, found in stored(store).items() if not name.startswith(".heliograph-tmp")}


@pytest.mark.parametrize("lie", LIES)
def test_a_host_that_loses_what_it_took_gives_no_receipt(remote: Ground, host: sshd.Host, lie: str) -> None:
    """Its rsync ended well; what happens then shows only in what can be read."""
    items, target = remote.yard.items(3), remote.ready()
    script = LIES[lie].format(store=remote.store)
    host.false("rsync", f'"$REAL" "$@"; status=$?; {script} >/dev/null 2>&1; exit $status')
    outcomes = target.put(items, quiet)
    assert errors(outcomes) == [ReceiptRefused] * 3
    host.honest()
    assert earned(target.put(items, quiet)) == [item.name for item in items]
    assert stored(remote.store) == wanted(items)


def test_a_host_that_tells_the_hash_of_something_older_gives_no_receipt(remote: Ground, host: sshd.Host) -> None:
    items, target = remote.yard.items(3), remote.ready()
    older = "0" * 64
    told = f"shift 2; for name; do printf '{older}  %s\\0' \"$name\"; done"
    host.false("sha256sum", told)
    host.false("openssl", "exit 1")
    outcomes = target.put(items, quiet)
    assert errors(outcomes) == [ReceiptRefused] * 3
    assert all(isinstance(outcome, Refused) and older in outcome.found for outcome in outcomes)


def test_a_host_that_cannot_hash_gives_no_receipt_and_is_not_called_a_liar_for_it(
    remote: Ground, host: sshd.Host
) -> None:
    target = remote.ready()
    host.false("xargs", "exit 1")
    assert errors(target.put(remote.yard.items(3), quiet)) == [TargetUnavailable] * 3


def refusing(host: sshd.Host, tmp_path: Path, case: str) -> RsyncTarget:
    other, nothing = tmp_path / "other", tmp_path / "nothing"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    nothing.write_text("")
    stranger = tmp_path / "stranger"
    stranger.write_text(f"[127.0.0.1]:{host.port} {other.with_suffix('.pub').read_text()}")
    changes = {
        "wrong key": {"key": str(other)},
        "no key": {"key": str(tmp_path / "no such file")},
        "not a key": {"key": str(nothing)},
        "unknown host": {"known_hosts": str(nothing)},
        "no known hosts": {"known_hosts": str(tmp_path / "no such file")},
        "changed host": {"known_hosts": str(stranger)},
        "unknown user": {"user": "nobody-of-that-name"},
    }
    return host.endpoint(**changes[case])


@pytest.mark.parametrize(
    "case",
    ["wrong key", "no key", "not a key", "unknown host", "no known hosts", "changed host", "unknown user"],
)
def test_who_is_not_let_in_is_told_so(remote: Ground, host: sshd.Host, tmp_path: Path, case: str) -> None:
    remote.endpoint = refusing(host, tmp_path, case)
    with pytest.raises(TargetRefused):
        remote.target().put(remote.yard.items(1), quiet)


def test_a_port_where_nobody_listens_is_not_reached(remote: Ground) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        remote.endpoint = remote.endpoint.model_copy(update={"port": door.getsockname()[1]})
        with pytest.raises(TargetUnavailable, match="refused"):
            remote.target().check()


def test_a_host_without_a_name_is_not_reached(remote: Ground) -> None:
    remote.endpoint = remote.endpoint.model_copy(update={"host": "no-such-host.invalid"})
    with pytest.raises(TargetUnavailable):
        remote.target().check()


@contextmanager
def silent(says: bytes) -> Iterator[int]:
    """A port that accepts, says so much, and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        held = []

        def serve() -> None:
            peer, _ = door.accept()
            peer.sendall(says)
            held.append(peer)

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        for peer in held:
            peer.close()


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_a_host_that_accepts_and_says_nothing_is_given_up(remote: Ground, says: bytes) -> None:
    with silent(says) as port:
        remote.endpoint = remote.endpoint.model_copy(update={"port": port})
        with pytest.raises(TargetUnavailable):
            remote.target(timeout_s=1.0).check()


@pytest.mark.parametrize("program", ["rsync", "sha256sum"])
def test_a_program_that_hangs_there_is_given_up_and_the_next_time_finishes(
    remote: Ground, host: sshd.Host, program: str
) -> None:
    items, target = remote.yard.items(3), remote.ready(timeout_s=1.0)
    host.false(program, "exec sleep 60")
    host.false("openssl", "exit 1")
    assert errors(target.put(items, quiet)) == [TargetUnavailable] * 3
    host.honest()
    assert earned(target.put(items, quiet)) == [item.name for item in items]
    assert stored(remote.store) == wanted(items)


@contextmanager
def small_host(tmp_path: Path, options: str) -> Iterator[sshd.Host]:
    with mounted(tmp_path / "small", options) as small, sshd.running(tmp_path / "sshd", small) as host:
        yield host


def test_a_full_host_keeps_what_it_took_and_goes_on_when_there_is_room(yard: Yard, tmp_path: Path) -> None:
    with small_host(tmp_path, "size=4m") as host:
        ground = Ground(yard, host.store, host.endpoint())
        target, ballast = ground.ready(), host.store / "ballast"
        ballast.write_bytes(bytes(1_500_000))
        items = yard.items(6, 900_000)
        outcomes = target.put(items, quiet)
        assert earned(outcomes) == [item.name for item in items[:2]]
        assert errors(outcomes) == [TargetFull] * 4
        assert {name for name in finished(host.store) if name != "ballast"} == set(wanted(items[:2]))
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=9m", str(host.store)], check=True)
        assert earned(target.put(items, quiet)) == [item.name for item in items]
        assert stored(host.store) == wanted(items)
        target.close()


def test_a_read_only_host_refuses(yard: Yard, tmp_path: Path) -> None:
    with mounted(tmp_path / "small") as small:
        (small / MARKER).write_text('{"schema": 1}\n')
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        with sshd.running(tmp_path / "sshd", small) as host:
            ground = Ground(yard, small, host.endpoint())
            with pytest.raises(TargetRefused, match="Read-only"):
                ground.target().put(yard.items(1), quiet)
            ground.opened[0].close()


def test_all_commands_share_one_connection(remote: Ground, host: sshd.Host) -> None:
    before = host.accepted()
    items, target = remote.yard.items(20, 2_000_000), remote.ready()
    target.put(items, quiet)
    target.verify(items, quiet)
    target.fetch(items[0], remote.yard.data / "back", quiet)
    assert host.accepted() - before == 1


@pytest.mark.parametrize("address", ["127.0.0.1", *([sshd.LOOPBACK_6] if sshd.speaks_6() else [])])
def test_a_host_may_be_named_by_its_address(remote: Ground, address: str) -> None:
    remote.endpoint = remote.endpoint.model_copy(update={"host": address})
    items, target = remote.yard.items(3), remote.ready()
    assert earned(target.put(items, quiet)) == [item.name for item in items]
    assert stored(remote.store) == wanted(items)


def test_an_address_with_colons_is_bracketed_for_rsync(tmp_path: Path) -> None:
    endpoint = RsyncTarget(kind="rsync", host="fe80::1", path="/x", user="u", key="k", known_hosts="h")
    link = Link(endpoint, tmp_path, SystemClock(), 1.0)
    assert (link.destination, link.rsync_destination) == ("u@fe80::1", "u@[fe80::1]")


def test_a_mount_that_goes_away_there_between_looking_and_writing_gives_no_receipt(
    remote: Ground, host: sshd.Host
) -> None:
    """rsync then writes below what the mount has uncovered, and it is all there."""
    items, target = remote.yard.items(3), remote.ready()
    marker = (remote.store / MARKER).read_text()
    host.false("rsync", f'rm -f {remote.store}/{MARKER}; exec "$REAL" "$@"')
    assert errors(target.put(items, quiet)) == [MarkerMissing] * 3
    host.honest()
    (remote.store / MARKER).write_text(marker)
    assert earned(target.put(items, quiet)) == [item.name for item in items]


def test_rsync_missing_here_is_seen_at_the_first_look(
    remote: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (programs := tmp_path / "programs").mkdir()
    for name in ("ssh", "setpriv", "sh"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(TargetUnavailable, match="rsync is not installed on this node"):
        remote.target().check()


def test_no_connection_to_another_host_or_folder_is_ever_used(remote: Ground, tmp_path: Path, store: Path) -> None:
    """Two targets of one name over one folder for sockets, as when node.yml was changed: both open, used by turns."""
    there = remote.yard.items(4)
    here = there[:2]
    with sshd.running(tmp_path / "other") as other:
        first = remote.ready()
        remote.endpoint = other.endpoint()
        second = remote.ready()
        (folder := other.store / "folder").mkdir()
        remote.endpoint = other.endpoint(path=str(folder))
        third = remote.ready()
        for target in (first, second, third):
            assert len(earned(target.put(here, quiet))) == 2
        other.false("rsync", "exit 1")
        other.false("xargs", "exit 1")
        assert len(earned(first.put(here, quiet))) == 2, (
            "not through the other host, whose folders are of the same disk"
        )
        second.close()
        assert len(earned(first.put(there, quiet))) == 4
        assert stored(store) == wanted(there)
        assert stored(folder) == wanted(here)
        assert {name for name in stored(other.store) if not name.startswith("folder/")} == set(wanted(here))
        third.close()


def test_paths_here_may_have_spaces_quotes_and_percent_signs(tmp_path: Path, store: Path, host: sshd.Host) -> None:
    odd = tmp_path / "it's 100%h odd"
    yard = Yard(odd)
    for name in ("key", "known_hosts"):
        (odd / name).write_bytes((host.folder / name).read_bytes())
        (odd / name).chmod(0o600)
    endpoint = host.endpoint(path=str(store), key=str(odd / "key"), known_hosts=str(odd / "known_hosts"))
    ground = Ground(yard, store, endpoint)
    items = yard.items(3)
    assert earned(ground.ready().put(items, quiet)) == [item.name for item in items]
    ground.opened[0].close()


def test_a_long_scratch_path_does_not_matter(tmp_path: Path, store: Path, host: sshd.Host) -> None:
    """Sockets have short names in the kernel."""
    yard = Yard(tmp_path / ("long" * 40))
    ground = Ground(yard, store, host.endpoint(path=str(store)))
    before = host.accepted()
    assert len(earned(ground.ready().put(yard.items(3), quiet))) == 3
    assert host.accepted() - before == 1
    ground.opened[0].close()


def test_a_connection_that_broke_is_made_again(remote: Ground, host: sshd.Host) -> None:
    items, target = remote.yard.items(2), remote.ready()
    for pid in processes(str(host.folder / "known_hosts")):
        os.kill(pid, signal.SIGKILL)
    assert len(earned(target.put(items, quiet))) == 2


def test_closing_leaves_no_process_and_no_file(remote: Ground, host: sshd.Host) -> None:
    target = remote.ready()
    target.put(remote.yard.items(2), quiet)
    target.close()
    assert processes(str(host.folder / "known_hosts")) == []
    assert list(remote.yard.where.scratch.iterdir()) == []


def test_rsync_killed_here_costs_only_what_was_on_the_way(remote: Ground, host: sshd.Host) -> None:
    items, target = remote.yard.items(4, 3_000_000), remote.ready(limit_bytes_per_s=3_000_000)
    outcomes = target.put(items, KillOnce(lambda: sending(remote.store), "rsync", str(host.folder)))
    assert set(errors(outcomes)) == {TargetUnavailable}
    assert set(earned(outcomes)) <= set(finished(remote.store))
    assert finished(remote.store).items() <= wanted(items).items()
    assert len(earned(target.put(items, quiet))) == 4
    assert stored(remote.store) == wanted(items)


def test_rsync_killed_there_leaves_nothing_under_a_final_name_and_nothing_else_in_the_end(
    remote: Ground, host: sshd.Host
) -> None:
    items, target = remote.yard.items(4, 3_000_000), remote.ready(limit_bytes_per_s=3_000_000)
    outcomes = target.put(items, KillOnce(lambda: sending(remote.store), "--server", str(remote.store)))
    assert set(errors(outcomes)) == {TargetUnavailable}
    assert finished(remote.store).items() <= wanted(items).items()
    assert len(earned(remote.target().put(items, quiet))) == 4
    assert stored(remote.store) == wanted(items)


@pytest.mark.parametrize("point", ["while sending", "target_sent"])
def test_a_sender_that_is_killed_takes_its_children_along_and_the_next_one_finishes(
    remote: Ground, host: sshd.Host, tmp_path: Path, point: str
) -> None:
    remote.ready()
    limit = "3000000" if point == "while sending" else "0"
    words = [sys.executable, "-c", SENDING, str(tmp_path / "twin"), remote.endpoint.model_dump_json(), limit]
    sender = subprocess.Popen(words, env={**os.environ, VARIABLE: point})
    if point == "while sending":
        until(lambda: sending(remote.store))
        sender.kill()
    assert sender.wait(PATIENCE_S) == -9
    until(lambda: not processes(str(tmp_path / "twin")) and not processes("--server", str(remote.store)))
    items = Yard(tmp_path / "third").items(4, 3_000_000)
    assert finished(remote.store).items() <= wanted(items).items()
    yard = remote.yard.items(4, 3_000_000)
    assert len(earned(remote.target().put(yard, quiet))) == 4
    assert stored(remote.store) == wanted(yard)


def test_what_was_half_sent_is_gone_on_with(remote: Ground, host: sshd.Host, tmp_path: Path) -> None:
    item, counted = remote.yard.item("large.mp4", 12_000_000), tmp_path / "counted"
    target = remote.ready(limit_bytes_per_s=6_000_000)
    target.put([item], KillOnce(lambda: sending(remote.store) > 8_000_000, "rsync", str(host.folder)))
    until(lambda: not processes("--server", str(remote.store)))
    half = sending(remote.store)
    assert half > 8_000_000
    host.false("rsync", COUNTING.format(counted=counted))
    assert earned(target.put([item], quiet)) == [item.name]
    (received,) = map(int, re.findall(r"(\d+) bytes", counted.read_text()))
    assert received < item.size_bytes - half + 1_000_000
    assert stored(remote.store) == wanted([item])


class KillOnce:
    """A beat that kills the processes whose command lines hold these words, as soon as the condition is met."""

    def __init__(self, when: Callable[[], object], *words: str) -> None:
        self._when, self._words, self._done = when, words, False

    def __call__(self, _progress: float | None, _said: str) -> None:
        if not self._done and self._when():
            self._done = True
            for pid in processes(*self._words):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def processes(*words: str) -> list[int]:
    """That run now, and whose command lines hold all these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if all(word in line for word in words):
                found.append(int(folder.name))
    return found


def sending(store: Path) -> int:
    """Bytes of files that rsync has not finished there."""
    sizes = []
    for path in (store / ".heliograph-tmp").rglob("*"):
        with suppress(OSError):
            sizes.append(path.stat().st_size if path.is_file() else 0)
    return sum(sizes)
