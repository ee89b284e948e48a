"""`config apply`: a document from a file, whoever holds the version book."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.cli import main
from node.commands.applying import Applied, ByService
from node.crashpoint import VARIABLE
from node.domain.config import digest
from node.domain.errors import (
    ConfigFileMissing,
    DirectoryMissing,
    DocumentInvalid,
    NotAllowed,
    NotYaml,
    ProbationRunning,
    UsageWrong,
    VersionMoved,
)
from node.store.configs import VersionBook, peek
from node.store.database import NAME, Database
from tests.desks import Place
from tests.nodes import EACH_SECOND, PROGRAM, Home, Node, clean_environment, heliograph_node, started, wait_for

NORTH, SOUTH = {"site": {"name": "North"}}, {"site": {"name": "South"}}
KILLED = -9


class Shelf:
    """A node that does not run, with files to apply."""

    def __init__(self, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self._capsys = home, capsys

    def file(self, document: object) -> Path:
        path = self.home.folder / "wanted.yml"
        path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
        return path

    def apply(self, document: object, *options: str) -> tuple[int, str, str]:
        status = main(["config", "apply", str(self.file(document)), "--config", str(self.home.config), *options])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def applied(self, document: object, *options: str) -> dict[str, Any]:
        status, out, err = self.apply(document, "--json", *options)
        assert status == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    def runs(self) -> Mapping[str, Any] | None:
        version = peek(self.home.data / NAME)
        return None if version is None else version.document

    def states(self) -> list[str]:
        database = Database.join(self.home.data / NAME)
        try:
            entries = VersionBook(database).history()
            return [entry.activation.state if entry.activation else "never" for entry in entries]
        finally:
            database.close()


@pytest.fixture
def shelf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shelf:
    return Shelf(Home(tmp_path), capsys)


# --- no service -------------------------------------------------------------------------------------------------------


def test_the_first_document_of_all_begins_the_book_and_owes_no_proof(shelf: Shelf) -> None:
    assert shelf.applied(NORTH) == {"version": 1, "digest": digest(NORTH), "changed": True, "state": "active"}
    assert (shelf.runs(), shelf.states()) == (NORTH, ["active"])


def test_the_same_document_again_changes_nothing(shelf: Shelf) -> None:
    shelf.apply(NORTH)
    assert shelf.applied(NORTH)["changed"] is False
    assert shelf.apply(NORTH)[1] == "unchanged: version 1 runs already\n"
    assert shelf.states() == ["active"]


def test_a_later_one_waits_on_probation_for_the_service(shelf: Shelf) -> None:
    shelf.apply(NORTH)
    assert shelf.apply(SOUTH, "--wait")[:2] == (0, "version 2 runs, on probation\n")
    assert shelf.applied(SOUTH)["state"] == "probation"
    status, out, err = shelf.apply(NORTH)
    assert (status, out, err.split()[0]) == (ProbationRunning.exit, "", ProbationRunning.code)
    assert shelf.states() == ["probation", "superseded"]


def test_an_empty_file_is_the_empty_document(shelf: Shelf) -> None:
    assert shelf.applied("")["digest"] == digest({})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("site: [", NotYaml),
        ("- a list", NotYaml),
        ("site: {name: 7, nix: 1}\nschedules: {a: {interval_s: 0}}", DocumentInvalid),
        ("cameras: {nowhere: {}}", DocumentInvalid),
    ],
)
def test_a_wrong_document_names_what_is_wrong_and_changes_nothing(
    shelf: Shelf, text: str, error: type[DocumentInvalid]
) -> None:
    shelf.apply(NORTH)
    status, out, err = shelf.apply(text)
    assert (status, out, err.split()[0]) == (error.exit, "", error.code)
    assert (shelf.runs(), shelf.states()) == (NORTH, ["active"])


def test_a_file_that_is_not_there_and_a_line_without_one_are_said(shelf: Shelf) -> None:
    assert main(["config", "apply", str(shelf.home.folder / "none"), "--config", str(shelf.home.config)]) == 78
    assert main(["config", "apply", "--config", str(shelf.home.config)]) == UsageWrong.exit
    assert ConfigFileMissing.exit == 78


def test_a_missing_data_directory_is_said(shelf: Shelf) -> None:
    shelf.home.data.rmdir()
    assert shelf.apply(NORTH)[0] == DirectoryMissing.exit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "states"), [("before_activation", ["active"]), ("activated", ["probation", "superseded"])]
)
def test_a_kill_leaves_one_document_or_the_other_and_the_next_time_ends_it(
    shelf: Shelf, point: str, states: list[str]
) -> None:
    shelf.apply(NORTH)
    words = [PROGRAM, "config", "apply", str(shelf.file(SOUTH)), "--config", str(shelf.home.config)]
    killed = subprocess.run(words, env=clean_environment({VARIABLE: point}), check=False, timeout=30)
    assert (killed.returncode, shelf.states()) == (KILLED, states)
    shelf.applied(SOUTH)
    assert (shelf.runs(), shelf.states()) == (SOUTH, ["probation", "superseded"])


@pytest.fixture
def strangers() -> Iterator[Home]:
    """Of another user: as root makes it for the service."""
    if os.geteuid() != 0:
        pytest.skip("wants root")
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    home = Home(folder)
    for each in (home.data, home.run):
        os.chown(each, 65534, 65534)
    yield home
    shutil.rmtree(folder)


@pytest.mark.slow
def test_what_root_makes_belongs_to_the_owner_of_the_data_directory(strangers: Home) -> None:
    done = heliograph_node("config", "apply", strangers.folder / "document.yml", "--config", strangers.config)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.stat().st_uid for path in strangers.data.iterdir()} == dict.fromkeys(
        (path.name for path in strangers.data.iterdir()), 65534
    )
    assert (strangers.data / NAME).exists()


# --- through the service ----------------------------------------------------------------------------------------------


def by_service(node: Node, document: object, *options: str) -> subprocess.CompletedProcess[str]:
    path = node.home.folder / "wanted.yml"
    path.write_text(yaml.safe_dump(document))
    return heliograph_node("config", "apply", path, "--config", node.home.config, *options, within_s=120)


@pytest.mark.slow
def test_a_running_service_takes_it_by_its_own_token_and_proves_it(tmp_path: Path) -> None:
    quick = {"probation": {"good_frames": 1, "min_s": 20}}
    wanted = {**EACH_SECOND, **NORTH}
    with started(Home(tmp_path, node_file=quick)) as node:
        wait_for(lambda: len(node.frames()) > 10, "a history", 40)
        done = by_service(node, wanted, "--wait", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == {
            "version": 2, "digest": digest(wanted), "changed": True, "state": "active",
        }  # fmt: skip
        assert by_service(node, wanted).stdout == "unchanged: version 2 runs already\n"
        audit = node.get("/v1/audit?limit=10")["items"]
        assert [(row["who"], row["role"], row["how"]) for row in audit if row["action"] == "config put"] == [
            ("local", "admin", "token")
        ]
        dark = {**wanted, "quality": {"enabled": True}, "cameras": {"main": {"width": 1_000_000}}}
        assert by_service(node, dark).returncode == 78


@pytest.mark.slow
def test_a_document_that_fails_its_probation_ends_the_waiting_with_a_fault(tmp_path: Path) -> None:
    camera = {
        "backend": "synthetic",
        "width": 160,
        "height": 120,
        "faults": [{"kind": "stall", "after_shots": 3, "shots": 9999}],
    }
    home = Home(tmp_path, {"main": camera}, node_file={"probation": {"good_frames": 20, "min_s": 4}})
    with started(home) as node:
        wait_for(lambda: len(node.frames()) >= 3, "frames")
        done = by_service(node, {**EACH_SECOND, **NORTH}, "--wait")
        assert (done.returncode, done.stdout.partition(":")[0]) == (1, "version 2 was rolled back")
        assert node.get("/v1/config")["version"] == 1


def test_the_role_that_it_takes_is_the_admins(place: Place) -> None:
    if place.by_service:
        path = place.folder / "wanted.yml"
        path.write_text(yaml.safe_dump(NORTH))
        place.fails(NotAllowed, "config", "apply", path)


def test_a_version_that_has_moved_meanwhile_is_met_once_more_and_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def put(self: ByService, document: Mapping[str, Any]) -> Applied:
        asked.append(document)
        raise VersionMoved

    monkeypatch.setattr(ByService, "_put", put)
    with pytest.raises(VersionMoved):
        ByService(None, Path("token")).apply(NORTH)  # type: ignore[arg-type]  # nothing is asked of it
    assert asked == [NORTH, NORTH]
