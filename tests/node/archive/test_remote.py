"""The scripts, run by the shell of this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from node.archive import remote
from node.archive.base import MARKER
from node.archive.child import Ended
from node.domain.errors import ArchiveError, MarkerMissing, TargetFull, TargetRefused, TargetUnavailable


def run(script: str, *arguments: object, given: bytes = b"", path: str | None = None, language: str = "C") -> Ended:
    shell = shutil.which("sh")
    assert shell
    ended = subprocess.run(
        [shell, "-c", script, "sh", *map(str, arguments)],
        check=False, input=given, capture_output=True, env={"PATH": path or os.environ["PATH"], "LC_ALL": language},
    )  # fmt: skip
    return Ended(ended.returncode, ended.stdout, ended.stderr.decode())


def test_a_folder_is_examined(tmp_path: Path) -> None:
    bare = remote.examined(remote.answer(run(remote.EXAMINE, tmp_path)))
    assert bare.marker is None
    (tmp_path / MARKER).write_text('{"schema": 1}\n')
    found = remote.examined(remote.answer(run(remote.EXAMINE, tmp_path)))
    assert found.marker == '{"schema": 1}'
    assert found.device == str(tmp_path.stat().st_dev)
    assert found.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert found.space.total_bytes == shutil.disk_usage(tmp_path).total


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailable, match="no such folder"):
        remote.answer(run(remote.EXAMINE, tmp_path / "nowhere"))


@pytest.mark.parametrize("missing", ["rsync", "sha256sum", "xargs"])
def test_a_program_that_is_missing_there_is_named(tmp_path: Path, missing: str) -> None:
    for name in {"rsync", "sha256sum", "xargs", "cat", "stat"} - {missing}:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    with pytest.raises(TargetUnavailable, match=f"{missing} is not installed there"):
        remote.answer(run(remote.EXAMINE, tmp_path, path=str(tmp_path)))


@pytest.mark.parametrize("said", [b"", b"hello\n", b"\n\nboot\n7\nno numbers\n"])
def test_an_answer_of_another_kind_is_no_target(said: bytes) -> None:
    with pytest.raises(TargetUnavailable, match="no proper answer"):
        remote.examined(said)


NO_OPENSSL = "#!/bin/sh\nexit 1\n"


def hashed(folder: Path, names: list[str], path: str | None = None) -> remote.Found:
    given = remote.names(f"./{name}" for name in names)
    return remote.hashes(remote.answer(run(remote.HASH, folder, remote.one_line(given), given=given, path=path)))


@pytest.mark.parametrize("odd", [[], ["e\nf", "g\\nh"]])
@pytest.mark.parametrize("openssl", [True, False])
def test_sizes_and_hashes_are_those_of_the_bytes(tmp_path: Path, odd: list[str], openssl: bool) -> None:
    names = ["a", "b c", "-d", "*e", "ü", "sub/g", "h\\i", "100 bytes", *odd]
    for folder in ("files/sub", "programs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "files" / MARKER).touch()
    for name in names:
        (tmp_path / "files" / name).write_bytes(name.encode() * 10)
    if not openssl:
        (tmp_path / "programs" / "openssl").write_text(NO_OPENSSL)
        (tmp_path / "programs" / "openssl").chmod(0o755)
    path = f"{tmp_path / 'programs'}:{os.environ['PATH']}"
    sizes, digests = hashed(tmp_path / "files", [*names, "not there"], path)
    assert sizes == {f"./{name}": len(name.encode()) * 10 for name in names}
    assert digests == {f"./{name}": hashlib.sha256(name.encode() * 10).hexdigest() for name in names}


def test_many_names_are_more_than_one_command_line(tmp_path: Path) -> None:
    names = [f"{number:0100}" for number in range(3000)]
    (tmp_path / MARKER).touch()
    for name in names:
        (tmp_path / name).touch()
    sizes, digests = hashed(tmp_path, names)
    assert list(sizes) == [f"./{name}" for name in names]
    assert set(digests.values()) == {hashlib.sha256().hexdigest()}


def test_nothing_is_hashed_in_a_folder_without_its_marker(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(MarkerMissing):
        hashed(tmp_path, ["a"])


SCRIPTS = {
    "EXAMINE": remote.EXAMINE,
    "MARK": remote.MARK,
    "PREPARE": remote.PREPARE,
    "HASH": remote.HASH,
    "FETCH": remote.FETCH,
    "FINISH": remote.FINISH,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_host_of_another_language_complains_in_english(tmp_path: Path, name: str) -> None:
    """Its programs speak as they are told to."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / MARKER).touch()
    for program in ("cat", "mkdir", "rm", "sync", "xargs", "stat"):
        path = programs / program
        path.write_text('#!/bin/sh\n[ "$LC_ALL" = C ] && echo "Permission denied" >&2 || echo "verboten" >&2; exit 1\n')
        path.chmod(0o755)
    path_there = f"{programs}:{os.environ['PATH']}"
    ended = run(SCRIPTS[name], tmp_path, tmp_path / "shop", path=path_there, language="de_DE.UTF-8")
    with pytest.raises(TargetRefused, match="Permission denied"):
        remote.answer(ended)


def test_leftovers_go_and_what_can_be_gone_on_with_stays(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    (shop / "partial").mkdir(parents=True)
    (shop / "partial" / "half").touch()
    (shop / ".a.jpg.Xy1234").touch()
    assert run(remote.PREPARE, tmp_path, shop).status == 0
    assert [path.name for path in shop.rglob("*")] == ["partial", "half"]
    run(remote.FINISH, tmp_path, shop)
    assert list(tmp_path.iterdir()) == []
    assert run(remote.PREPARE, tmp_path, shop).status == 0
    assert shop.is_dir()


def test_a_marker_is_written_whole(tmp_path: Path) -> None:
    run(remote.MARK, tmp_path, given=b"text\n")
    assert (tmp_path / MARKER).read_text() == "text\n"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("status", "complaints", "error"),
    [
        (255, "", TargetUnavailable),
        (255, "ssh: connect to host x port 22: Connection refused", TargetUnavailable),
        (255, "u@x: Permission denied (publickey).", TargetRefused),
        (255, "No ED25519 host key is known\nHost key verification failed.", TargetRefused),
        (1, "mkdir: cannot create directory 'x': Read-only file system", TargetRefused),
        (1, "cat: write error: No space left on device", TargetFull),
        (67, "", TargetRefused),
        (127, "sh: not found", TargetUnavailable),
        (-9, "", TargetUnavailable),
    ],
)
def test_an_end_has_a_meaning(status: int, complaints: str, error: type[ArchiveError]) -> None:
    with pytest.raises(ArchiveError) as caught:
        remote.answer(Ended(status, b"", complaints))
    assert type(caught.value) is error
