"""A restore that cannot be: found before the node rests, or the node works again; the backup stays in no case."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.ansible.conftest import Site
from tests.lab.host import Host

pytestmark = pytest.mark.lab

NODE = "charlie"
UNITS = ("heliograph-node", "heliograph-worker", "heliograph-ship")
UNREACHABLE = {
    "node_archive": {"shelf": {"kind": "rsync", "host": "10.77.0.1", "port": 9, "user": "root", "path": "/"}}
}


@pytest.fixture(scope="module")
def backup(site: Site) -> Path:
    """The newest of the node, for its owner alone."""
    assert site.lab.play("backup", "--limit", NODE).rc == 0
    made = max((site.lab.place.folder / "backups" / NODE).iterdir())
    assert (made.suffix, made.stat().st_mode & 0o777) == (".tar", 0o600)
    return made


def refused(site: Site, *options: str, confirmed: str = NODE) -> str:
    played = site.lab.play("restore", "--limit", NODE, "-e", f"restore_confirm={confirmed}", *options)
    assert played.rc == 2, played.stdout
    return " ".join(played.stdout.split())


def since(host: Host) -> str:
    """When its units were started."""
    return host.inside(["systemctl", "show", "--property=ActiveEnterTimestampMonotonic", *UNITS]).stdout


def sound(host: Host) -> bool:
    """Its units work, and nothing of the backup is on it."""
    left = host.inside("ls -d /opt/heliograph/restore /opt/heliograph/backup", check=False).stdout
    states = host.inside(["systemctl", "is-active", *UNITS], check=False).stdout.split()
    return (left, states) == ("", ["active"] * len(UNITS))


@pytest.mark.parametrize("name", ["", "alpha", "fleet"])
def test_a_node_that_works_is_not_made_from_an_old_backup_by_mistake(site: Site, backup: Path, name: str) -> None:
    host = site.lab.host(NODE)
    before = since(host)
    said = refused(site, "-e", f"node_restore_file={backup}", confirmed=name)
    assert f"{NODE}: nothing was done: " in said
    assert "-e restore_confirm=NAME" in said
    assert since(host) == before
    assert sound(host)


def test_an_archive_that_cannot_be_reached_is_found_before_the_node_rests(site: Site, backup: Path) -> None:
    host = site.lab.host(NODE)
    before = since(host)
    said = refused(site, "-e", f"node_restore_file={backup}", "-e", json.dumps(UNREACHABLE))
    assert f"{NODE}: target shelf: " in said
    assert since(host) == before
    assert sound(host)


def test_a_backup_that_is_cut_short_is_no_backup(site: Site, backup: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes(backup.read_bytes()[:3000])
    assert f"{cut} is no whole backup. Remedy: " in refused(site, "-e", f"node_restore_file={cut}")
    assert sound(site.lab.host(NODE))


def test_after_a_backup_that_is_damaged_the_node_works_again(site: Site, backup: Path, tmp_path: Path) -> None:
    bad, content = tmp_path / "bad.tar", bytearray(backup.read_bytes())
    with tarfile.open(backup) as tar:
        largest = max(tar, key=lambda entry: entry.size)
    content[largest.offset_data + largest.size // 2] ^= 0xFF
    bad.write_bytes(content)
    host = site.lab.host(NODE)
    before = since(host)
    assert "DB-005" in refused(site, "-e", f"node_restore_file={bad}")
    assert since(host) != before
    assert sound(host)
