from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from node.cli import main
from node.domain.errors import NotAllowed
from node.store.database import NAME, Database
from node.store.files import hold
from node.store.schema import BACKUPS
from tests.apis import TOKENS
from tests.desks import Place
from tests.stores import keep_many, opened

Ends = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ends(capsys: pytest.CaptureFixture[str]) -> Ends:
    """Runs a command in this process: exit status, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A node of two frames below a root of its own, with node.yml at its usual place."""
    root = tmp_path / "root"
    data = root / "var/lib/heliograph"
    data.mkdir(parents=True)
    (root / "etc/heliograph").mkdir(parents=True)
    tls = {"certificate": "/etc/heliograph/tls.pem", "key": "/etc/heliograph/tls.key"}
    (root / "etc/heliograph/node.yml").write_text(yaml.safe_dump({"node": {"id": "north"}, "api": {"tls": tls}}))
    for name in ("tls.pem", "tls.key"):
        (root / "etc/heliograph" / name).write_text(name)
    with opened(data) as store:
        keep_many(store, 2)
    return root


def frames(root: Path) -> int:
    other = sqlite3.connect(root / "var/lib/heliograph" / NAME)
    (count,) = other.execute("SELECT COUNT(*) FROM frames").fetchone()
    other.close()
    return int(count)


def test_a_node_goes_into_a_file_and_comes_out_on_an_empty_machine(ends: Ends, root: Path, tmp_path: Path) -> None:
    file = tmp_path / "north.tar"
    status, out, err = ends("backup", "--root", root, file)
    assert (status, err) == (0, "")
    assert out.startswith(f"{file}: ")
    assert "2 frames" in out
    fresh = tmp_path / "fresh"
    (fresh / "var/lib/heliograph").mkdir(parents=True)
    status, out, err = ends("restore", "--root", fresh, file)
    assert (status, err) == (0, "")
    assert frames(fresh) == 2
    for name in ("node.yml", "tls.pem", "tls.key"):
        assert (fresh / "etc/heliograph" / name).read_text() == (root / "etc/heliograph" / name).read_text()
    assert "keys/api.tls.key: put back" in out


def test_a_folder_gets_a_file_and_json_names_it(ends: Ends, root: Path, tmp_path: Path) -> None:
    status, out, _ = ends("backup", "--root", root, tmp_path, "--json")
    made = json.loads(out)
    assert (status, made["frames"], made["left_out"]) == (0, 2, [])
    assert Path(made["path"]).stat().st_size == made["size_bytes"]
    status, out, _ = ends("restore", "--root", root, made["path"], "--json")
    done = json.loads(out)
    assert (status, done["report"]["backup"]) == (0, Path(made["path"]).name)
    assert done["report"]["aside"].startswith(f"{NAME}.before-")
    assert set(done["kept"]) == {"node.yml", "keys/api.tls.certificate", "keys/api.tls.key"}


def test_a_key_that_cannot_be_read_is_a_fault_and_the_rest_is_safe(ends: Ends, root: Path, tmp_path: Path) -> None:
    (root / "etc/heliograph/tls.key").unlink()
    status, _, err = ends("backup", "--root", root, tmp_path / "a.tar")
    assert status == 1
    assert "tls.key: No such file" in err
    assert (tmp_path / "a.tar").exists()


@pytest.mark.parametrize("how", ["absolute", "upwards", "through a link"])
def test_on_an_empty_machine_no_key_goes_where_only_the_file_wants_it(
    ends: Ends, root: Path, tmp_path: Path, how: str
) -> None:
    fresh, config, elsewhere = tmp_path / "fresh", tmp_path / "given" / "node.yml", tmp_path / "elsewhere"
    for folder in (fresh / "var/lib/heliograph", config.parent, elsewhere):
        folder.mkdir(parents=True)
    (config.parent / "keys").symlink_to(elsewhere)
    wanted = {
        "absolute": f"{elsewhere}/evil",
        "upwards": f"{config.parent}/../elsewhere/evil",
        "through a link": f"{config.parent}/keys/evil",
    }[how]
    target = {"kind": "rsync", "host": "h", "path": "/a", "key": wanted, "known_hosts": f"{config.parent}/hosts"}
    (config.parent / "hosts").write_text("h")
    (elsewhere / "evil").write_text("evil")
    data = root / "var/lib/heliograph"
    config.write_text(
        yaml.safe_dump({"node": {"id": "north"}, "paths": {"data": str(data)}, "archive": {"vault": target}})
    )
    file = tmp_path / "a.tar"
    assert ends("backup", "--config", config, file)[0] == 0
    settings = config.read_text()
    for path in (config, config.parent / "hosts", elsewhere / "evil"):
        path.unlink()
    before = sorted(tmp_path.rglob("*"))
    status, _, err = ends("restore", "--config", config, file)
    assert (status, "DB-005" in err, f"archive.vault.key: {wanted}" in err) == (1, True, True)
    assert "known_hosts" not in err
    assert sorted(tmp_path.rglob("*")) == before
    config.write_text(settings)  # whose node.yml it is has been looked at by then
    assert ends("restore", "--config", config, file)[0] == 0
    assert (elsewhere / "evil").read_text() == "evil"


def test_each_refusal_has_its_code_and_status(ends: Ends, root: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    assert ends("backup", "--root", root, file)[0] == 0
    assert ends("backup", "--root", root, file)[0] == 64
    status, _, err = ends("backup", "--root", root, tmp_path / "nowhere" / "a.tar")
    assert (status, "nowhere" in err) == (78, True)
    with hold(root / "var/lib/heliograph"):
        status, _, err = ends("restore", "--root", root, file)
        assert (status, "DSK-003" in err) == (75, True)
    joined = Database.join(root / "var/lib/heliograph" / NAME)
    status, _, err = ends("restore", "--root", root, file)
    assert (status, "DSK-003" in err) == (75, True)
    joined.close()
    file.write_bytes(file.read_bytes()[:3000])
    for wrong in (file, tmp_path / "gone.tar", tmp_path):
        status, _, err = ends("restore", "--root", root, wrong)
        assert (status, "DB-005" in err) == (1, True)
    assert frames(root) == 2
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    status, _, err = ends("backup", "--root", fresh, tmp_path / "b.tar")
    assert (status, "DB-004" in err) == (75, True)


def test_copies_of_the_database_are_made_and_listed(place: Place) -> None:
    assert place.says("backups", "list") == []
    if place.by_service:
        place.fails(NotAllowed, "backups", "make")
        (place.folder / "token").write_text(TOKENS["admin"])
    assert place.says("backups", "make", "--no-wait")["kind"] == "backup"
    folder = place.store.folder / BACKUPS
    folder.mkdir()
    for hour in (10, 11):
        (folder / f"heliograph-20261119T{hour}0000Z.db").write_bytes(b"x" * hour)
    newest = {"name": "heliograph-20261119T110000Z.db", "created": "2026-11-19T11:00:00.000Z", "size_bytes": 11}
    assert place.says("backups", "list")[0] == newest
    lines = place.ends("backups", "list")[1].splitlines()
    assert [line.split()[0] for line in lines] == [newest["name"], "heliograph-20261119T100000Z.db"]


@pytest.mark.slow
def test_a_copy_made_by_hand_is_there_when_the_command_ends(place: Place) -> None:
    if place.by_service:
        (place.folder / "token").write_text(TOKENS["admin"])
    with place.helped("work"):
        assert place.says("backups", "make")["state"] == "done"
    assert len(place.says("backups", "list")) == 1
