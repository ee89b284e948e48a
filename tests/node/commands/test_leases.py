"""`lease`: beside a service and where none runs it is the same file, and `config apply` goes by it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from node.domain.config import digest
from node.domain.errors import DirectoryMissing, LeaseGone, LeaseHeld, UsageWrong
from tests.desks import Place
from tests.nodes import Home, heliograph_node, started, wait_for

OURS, THEIRS = "rollout-1@ops1", "push-2@ops2"
TAKE = ("lease", "take", "--owner", OURS, "--message", "Ann rolls 0.5.0 out")
NOBODY = {"owner": None, "message": None, "by": None, "taken": None, "until": None, "ttl_s": None}


@pytest.fixture
def here(place: Place) -> Place:
    """The command takes no token: it goes to the file."""
    return replace(place, way=[])


def shown(place: Place) -> object:
    return place.says("lease", "show")["owner"]


def test_it_is_taken_renewed_and_released_and_the_api_sees_the_same(here: Place) -> None:
    assert here.says("lease", "show") == NOBODY
    taken = here.says(*TAKE, "--ttl", "60")
    assert (taken["owner"], taken["message"], taken["by"], taken["ttl_s"]) == (
        OURS,
        "Ann rolls 0.5.0 out",
        "command",
        60,
    )
    assert here.says("lease", "renew", "--owner", OURS, "--ttl", "120")["ttl_s"] == 120
    assert here.api.get("/v1/lease").json()["owner"] == OURS
    assert here.says("lease", "release", "--owner", OURS) == NOBODY
    assert here.api.get("/v1/lease").json() == NOBODY


def test_anothers_is_refused_and_ended_only_by_force(here: Place) -> None:
    here.says(*TAKE)
    theirs = ("--owner", THEIRS, "--message", "Bob too")
    for line in (("take", *theirs), ("renew", "--owner", THEIRS), ("release", "--owner", THEIRS)):
        here.fails(LeaseHeld, "lease", *line)
    assert here.says("lease", "release", "--force") == NOBODY
    here.fails(LeaseGone, "lease", "renew", "--owner", OURS)


def test_who_took_it_and_who_ended_it_stands_in_the_audit(here: Place) -> None:
    here.says(*TAKE)
    here.says("lease", "renew", "--owner", OURS)
    here.says("lease", "release", "--force")
    rows = [(row["who"], row["action"], row["target"]) for row in here.api.get("/v1/audit").json()["items"]]
    assert rows[:2] == [
        ("command", "lease release by force", f"lease/{OURS}"),
        ("command", "lease take", f"lease/{OURS}"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        ["take"], ["take", "--owner", OURS], ["take", "--owner", "a b", "--message", "x"], ["release"],
        ["renew"], ["burn"], ["take", "--owner", OURS, "--message", "x", "--ttl", "5"],
        ["take", "--owner", OURS, "--message", "a\nb"],
        ["take", "--owner", OURS, "--message", "x" * 201], ["take", "--owner", OURS, "--message", "x", "--ttl", "-1"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_refused(here: Place, line: list[str]) -> None:
    here.fails(UsageWrong, "lease", *line)
    assert shown(here) is None


def test_without_a_database_the_lease_is_taken_all_the_same(tmp_path: Path) -> None:
    home = Home(tmp_path)
    done = heliograph_node(*TAKE, "--config", home.config)
    assert (done.returncode, "no audit row was written: DB-" in done.stderr) == (0, True)
    assert done.stdout.startswith(f"{OURS} holds the lease until ")


def test_without_a_data_directory_that_is_said(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.data.rmdir()
    done = heliograph_node(*TAKE, "--config", home.config)
    assert (done.returncode, done.stderr.split()[0]) == (DirectoryMissing.exit, DirectoryMissing.code)


def test_a_document_is_applied_only_in_its_owners_name_where_no_service_runs(tmp_path: Path) -> None:
    home = Home(tmp_path)
    wanted = tmp_path / "wanted.yml"
    wanted.write_text("site: {name: North}")
    heliograph_node(*TAKE, "--config", home.config)
    apply = ("config", "apply", wanted, "--config", home.config)
    for more in ((), ("--lease", THEIRS)):
        done = heliograph_node(*apply, *more)
        assert (done.returncode, done.stderr.split()[0]) == (LeaseHeld.exit, LeaseHeld.code)
    assert heliograph_node(*apply, "--lease", OURS).returncode == 0


@pytest.fixture
def strangers() -> Iterator[Home]:
    """Of another user: as root makes it for the service."""
    if os.geteuid() != 0:
        pytest.skip("wants root")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        home = Home(Path(folder))
        os.chown(home.data, 65534, 65534)
        yield home


@pytest.mark.slow
def test_what_root_takes_is_the_services_own_file(strangers: Home) -> None:
    done = heliograph_node(*TAKE, "--config", strangers.config)
    assert done.returncode == 0, done.stderr
    assert (strangers.data / "lease.json").exists()
    assert {path.stat().st_uid for path in strangers.data.iterdir()} == {65534}


@pytest.mark.slow
def test_a_running_service_says_whose_it_is_and_refuses_documents_meanwhile(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with started(home) as node:
        heliograph_node(*TAKE, "--config", home.config)
        wait_for(lambda: node.get("/v1/status").get("lease", {}).get("owner") == OURS, "the lease in the status")
        wanted = tmp_path / "wanted.yml"
        wanted.write_text(yaml.safe_dump({**home.document, "site": {"name": "North"}}))
        apply = ("config", "apply", wanted, "--config", home.config)
        done = heliograph_node(*apply)
        assert (done.returncode, done.stderr.split()[0]) == (LeaseHeld.exit, LeaseHeld.code)
        assert heliograph_node(*apply, "--lease", OURS).returncode == 0
        assert node.get("/v1/config")["digest"] == digest(yaml.safe_load(wanted.read_text()))
        heliograph_node("lease", "release", "--owner", OURS, "--config", home.config)
        wait_for(lambda: "lease" not in node.get("/v1/status"), "nothing of a lease in the status")
        rows = [(row["action"], row["outcome"]) for row in node.get("/v1/audit")["items"]]
        assert [row for row in rows if row[0] != "config confirmed"] == [
            ("lease release", "done"), ("config put", "done"), ("config put", LeaseHeld.code), ("lease take", "done"),
        ]  # fmt: skip
