from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest

from node.crashpoint import VARIABLE
from node.domain.errors import BackupUnusable, DatabaseMissing, DirectoryHeld, DirectoryMissing, DiskFull
from node.domain.nodefile import NodeFile
from node.domain.sidecar import to_sidecar
from node.imaging.exif import with_sidecar
from node.store.database import NAME, Database
from node.store.files import hold, write_atomic
from node.store.replace import UNPACKED, open_sound
from node.work import bundle
from node.work.bundle import CONTENTS, key_files, node_file_of, pack, restore
from tests.clocks import JumpClock
from tests.stores import Store, day, frame_of, kept_event, opened, slot_of

PICTURE = bytes.fromhex("ffd8ffe000104a46494600010100000100010000") + bytes(500) + bytes.fromhex("ffd9")
RESTORES = """
import sys
from pathlib import Path
from node.work.bundle import restore
from tests.clocks import JumpClock
restore(Path(sys.argv[1]), Path(sys.argv[2]), {}, JumpClock())
"""


def kept(store: Store) -> str:
    """The hash of one more frame that is told of as kept."""
    store.clock.advance(600)
    frame = frame_of(store.clock, store.clock.now_us())
    data = with_sidecar(PICTURE, to_sidecar(frame))
    frame = changed(frame, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    write_atomic(store.folder / frame.path, data)
    store.journal.keep(frame, slot_of(frame), [kept_event(frame)], day=day(frame.captured_us))
    return frame.sha256


class Site:
    """A node's files below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, JumpClock()
        self.data, self.config = folder / "data", folder / "etc" / "node.yml"
        for path in (self.data / "baseline", self.config.parent, folder / "out"):
            path.mkdir(parents=True)
        self.config.write_text("node: {id: north}\n")
        tls = {"certificate": str(folder / "etc/tls.pem"), "key": str(folder / "etc/tls.key")}
        target = {"kind": "rsync", "host": "h", "path": "/a", "key": str(folder / "etc/ssh"), "known_hosts": str(folder / "etc/hosts")}  # fmt: skip  # noqa: E501
        self.settings = NodeFile.model_validate(
            {
                "node": {"id": "north"},
                "paths": {"data": str(self.data)},
                "api": {"tls": tls},
                "archive": {"nas": target},
            }
        )
        for path in key_files(self.settings).values():
            path.write_text(f"secret {path.name}")
        (self.data / "baseline" / "main.baseline").write_bytes(b"learnt")

    def keep(self, count: int) -> list[str]:
        with opened(self.data, self.clock) as store:
            return [kept(store) for _ in range(count)]

    def pack(self, target: Path | None = None) -> bundle.Packed:
        return pack(self.settings, self.config, target or self.folder / "out", "1.0", self.clock)

    def restore(self, file: Path) -> bundle.Unpacked:
        places = {
            "node.yml": self.config,
            **{f"keys/{field}": path for field, path in key_files(self.settings).items()},
        }
        return restore(self.data, file, places, self.clock)

    def hashes(self) -> set[str]:
        """Of all rows whose file is what the row says."""
        with opened(self.data, self.clock) as store:
            found = store.rows("SELECT path, sha256 FROM frames")
        return {
            str(digest)
            for path, digest in found
            if hashlib.sha256((self.data / str(path)).read_bytes()).hexdigest() == digest
        }

    def picture(self) -> dict[str, str]:
        """Every file but the database's, its locks and what SQLite keeps beside it, by hash."""
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.rglob("*")
            if path.is_file() and not path.name.startswith("lock") and path.parent.name != "out"
        }


def contents_of(file: Path) -> Any:
    """Its list of contents."""
    with tarfile.open(file) as tar:
        return json.loads(tar.extractfile(CONTENTS).read())  # type: ignore[union-attr]  # a file


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_one_file_holds_database_settings_keys_and_baselines(site: Site) -> None:
    site.keep(5)
    made = site.pack()
    assert (made.path.parent, made.frames, made.left_out) == (site.folder / "out", 5, ())
    assert made.path.name.startswith("heliograph-north-20261118T")
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]
    with tarfile.open(made.path) as tar:
        names = tar.getnames()
    assert names == [
        CONTENTS, "node.yml", "keys/api.tls.certificate", "keys/api.tls.key", "keys/archive.nas.key",
        "keys/archive.nas.known_hosts", "baseline/main.baseline", NAME,
    ]  # fmt: skip
    assert node_file_of(made.path) == b"node: {id: north}\n"
    assert contents_of(made.path)["node"] == "north"


def test_every_file_of_tls_is_a_key_and_a_credential_is_the_service_managers(site: Site) -> None:
    tls = {name: f"/etc/{name}" for name in ("certificate", "client_ca", "revoked")} | {"key": "credential:key"}
    target = {"kind": "rsync", "host": "h", "path": "/a", "key": "credential:a", "known_hosts": "/etc/hosts"}
    settings = NodeFile.model_validate({"api": {"tls": tls}, "archive": {"nas": target}})
    assert {field: str(path) for field, path in key_files(settings).items()} == {
        **{f"api.tls.{name}": f"/etc/{name}" for name in ("certificate", "client_ca", "revoked")},
        "archive.nas.known_hosts": "/etc/hosts",
    }


def test_beside_a_running_service_it_holds_what_was_committed(site: Site) -> None:
    site.keep(3)
    with hold(site.data), opened(site.data, site.clock) as store:
        kept(store)
        assert site.pack().frames == 4


def test_what_cannot_be_read_is_named_and_left_out(site: Site) -> None:
    site.keep(1)
    (site.folder / "etc/tls.key").unlink()
    made = site.pack()
    assert made.left_out == (f"{site.folder}/etc/tls.key: No such file or directory",)
    assert "keys/api.tls.key" not in contents_of(made.path)["items"]


def test_without_a_database_without_a_folder_or_over_another_file_nothing_is_made(site: Site) -> None:
    with pytest.raises(DatabaseMissing):
        site.pack()
    site.keep(1)
    with pytest.raises(DirectoryMissing):
        site.pack(site.folder / "nowhere" / "a.tar")
    (site.folder / "a.tar").write_text("mine")
    with pytest.raises(FileExistsError):
        site.pack(site.folder / "a.tar")
    assert (site.folder / "a.tar").read_text() == "mine"
    assert not list(site.folder.glob(".*"))


def test_a_disk_without_room_for_it_is_named_and_left_as_it_was(site: Site) -> None:
    site.keep(1)
    small = site.folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(DiskFull):
            site.pack(small)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_a_node_comes_back_with_every_frame_on_its_disk(site: Site) -> None:
    known = site.keep(5)
    made = site.pack()
    since = site.keep(4)
    before = (site.data / NAME).read_bytes()
    done = site.restore(made.path)
    assert (len(done.report.adopted), done.report.backup) == (4, made.path.name)
    assert (site.data / done.report.aside).read_bytes() == before
    assert site.hashes() == {*known, *since}
    assert done.put_back == ()
    with opened(site.data, site.clock) as store:
        (event,) = [each for each in store.events.after(0, 1000) if each.kind == "database_restored"]
    assert event.body == {"aside": done.report.aside, "backup": made.path.name, "adopted": 4}
    assert not (site.data / UNPACKED).exists()


def test_on_an_empty_machine_settings_keys_and_baselines_come_back_too(site: Site, tmp_path: Path) -> None:
    site.keep(5)
    made = site.pack()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data").mkdir()
    other = Site.__new__(Site)
    other.folder, other.clock, other.data = tmp_path / "other", site.clock, tmp_path / "other" / "data"
    other.config = other.folder / "etc" / "node.yml"
    places = {"node.yml": other.config, "keys/api.tls.key": other.folder / "etc" / "tls.key"}
    done = restore(other.data, made.path, places, other.clock)
    assert sorted(done.put_back) == ["baseline/main.baseline", "keys/api.tls.key", "node.yml"]
    assert other.config.read_bytes() == site.config.read_bytes()
    key = other.folder / "etc" / "tls.key"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("secret tls.key", 0o600)
    assert (other.data / "baseline/main.baseline").read_bytes() == b"learnt"
    assert done.report.aside == ""


def test_keys_are_nobody_elses_to_read_from_their_first_byte_on(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.keep(1)
    file = site.pack().path
    data, key = tmp_path / "other" / "data", tmp_path / "other" / "tls.key"
    data.mkdir(parents=True)
    key.with_name(f".{key.name}.tmp").write_text("left by a crash, for all to read")
    monkeypatch.setattr(Path, "chmod", lambda *_: pytest.fail("it was open to others until now"))
    before = os.umask(0)
    try:
        restore(data, file, {"keys/api.tls.key": key}, site.clock)
    finally:
        os.umask(before)
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("secret tls.key", 0o600)


def test_what_a_killed_restore_unpacked_goes_at_the_next_start(site: Site) -> None:
    site.keep(1)
    left = site.data / UNPACKED / "keys"
    left.mkdir(parents=True)
    (left / "api.tls.key").write_text("secret")
    open_sound(site.data, site.clock.now_us()).close()
    assert not (site.data / UNPACKED).exists()


def test_what_is_here_already_stays_as_it_is(site: Site) -> None:
    site.keep(1)
    made = site.pack()
    site.config.write_text("node: {id: south}\n")
    (site.data / "baseline" / "main.baseline").write_bytes(b"learnt more")
    done = site.restore(made.path)
    assert set(done.kept) >= {"node.yml", "baseline/main.baseline"}
    assert site.config.read_text() == "node: {id: south}\n"
    assert (site.data / "baseline" / "main.baseline").read_bytes() == b"learnt more"


def test_beside_service_or_worker_it_is_refused(site: Site) -> None:
    site.keep(1)
    made = site.pack()
    joined = Database.join(site.data / NAME)
    before = site.picture()
    with hold(site.data), pytest.raises(DirectoryHeld):
        site.restore(made.path)
    with pytest.raises(DirectoryHeld, match="worker or the shipper"):
        site.restore(made.path)
    assert site.picture() == before
    joined.close()


# --- bad files --------------------------------------------------------------------------------------------------------


def rewritten(file: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """The same members, changed, under a list of contents that fits them unless the change makes one."""
    with tarfile.open(file) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]  # files all
    change(members)
    with tarfile.open(file, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def listed(members: dict[str, bytes], **extra: bytes) -> None:
    """Puts members in, and into the list of contents."""
    contents = json.loads(members[CONTENTS])
    for name, data in extra.items():
        members[name] = data
        contents["items"][name] = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    members[CONTENTS] = json.dumps(contents).encode()


def link_instead(file: Path, kind: bytes, target: str) -> None:
    with tarfile.open(file) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar.getmembers()]  # type: ignore[union-attr]  # as above
    with tarfile.open(file, "w") as tar:
        for member, data in members:
            if member.name == NAME:
                member.type, member.linkname, member.size = kind, target, 0
            tar.addfile(member, io.BytesIO(data) if member.size else None)


def half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) * 3 // 4] ^= 0x10
    file.write_bytes(data)


BAD: dict[str, Callable[[Path], Any]] = {
    "empty": lambda file: file.write_bytes(b""),
    "no archive": lambda file: file.write_bytes(b"x" * 20_000),
    "cut short": half,
    "one bit flipped": flip,
    "gone": lambda file: file.unlink(),
    "somebody else's archive": lambda file: rewritten(file, lambda members: members.pop(CONTENTS)),
    "a list that is none": lambda file: rewritten(file, lambda members: members.update({CONTENTS: b"[]"})),
    "of a later format": lambda file: rewritten(
        file, lambda members: members.update({CONTENTS: members[CONTENTS].replace(b'"format": 1', b'"format": 2')})
    ),
    "without a database": lambda file: rewritten(file, lambda members: members.pop(NAME)),
    "another's database": lambda file: rewritten(file, lambda members: listed(members, **{NAME: b"no database" * 900})),
    "a member too many": lambda file: rewritten(file, lambda members: members.update({"more": b"x"})),
    "a path upwards": lambda file: rewritten(file, lambda members: listed(members, **{"keys/../../../evil": b"x"})),
    "an absolute path": lambda file: rewritten(file, lambda members: listed(members, **{"/evil": b"x"})),
    "a hidden name": lambda file: rewritten(file, lambda members: listed(members, **{"keys/.evil": b"x"})),
    "a symbolic link": lambda file: link_instead(file, tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link": lambda file: link_instead(file, tarfile.LNKTYPE, "node.yml"),
    "a device": lambda file: link_instead(file, tarfile.CHRTYPE, ""),
}


@pytest.mark.parametrize("how", BAD)
def test_a_file_that_is_not_whole_or_not_ours_is_refused_and_nothing_is_changed(site: Site, how: str) -> None:
    site.keep(3)
    file = site.pack().path
    site.keep(1)
    BAD[how](file)
    before = site.picture()
    with pytest.raises(BackupUnusable):
        site.restore(file)
    assert site.picture() == before


def test_without_room_to_unpack_nothing_is_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.keep(1)
    file = site.pack().path
    before = site.picture()
    monkeypatch.setattr(bundle, "_MARGIN_BYTES", 1 << 60)
    with pytest.raises(DiskFull):
        site.restore(file)
    assert site.picture() == before


@pytest.mark.slow
@pytest.mark.parametrize("point", ["restore_made", "restore_aside", "restore_placed", "bundle_restored"])
def test_a_restore_that_is_killed_can_be_done_again_or_is_finished_by_the_next_start(site: Site, point: str) -> None:
    hashes = {*site.keep(4)}
    file = site.pack().path
    hashes |= {*site.keep(2)}
    command = [sys.executable, "-c", RESTORES, str(site.data), str(file)]
    killed = subprocess.run(command, env={VARIABLE: point}, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    site.restore(file)
    assert site.hashes() == hashes
