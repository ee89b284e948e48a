"""A host is made ready for a node: part by part, left alone when it is as wanted, refused in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

ALPHA = ("--limit", "alpha")
JOURNAL = "/etc/systemd/journald.conf.d/60-heliograph.conf"


def fact(lab: Lab) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.host("alpha").run("sudo /etc/ansible/facts.d/heliograph.fact").stdout)
    return found


def refused(lab: Lab, *options: str) -> str:
    """The one sentence that is said, and nothing has changed."""
    played = lab.play("provision", *ALPHA, *options)
    assert played.rc == 2, played.stdout
    assert not sum(played.changed.values()), played.stdout
    said = " ".join(played.stdout.split())
    assert "Remedy: " in said
    return said


@pytest.fixture(scope="module")
def made(lab: Lab) -> Lab:
    """Alpha is as wanted."""
    played = lab.play("provision", *ALPHA)
    assert (played.rc, played.failed["alpha"]) == (0, 0), played.stdout
    return lab


def test_a_second_run_changes_nothing(made: Lab) -> None:
    played = made.play("provision", *ALPHA)
    assert (played.rc, played.changed["alpha"]) == (0, 0), played.stdout
    assert "The bundle is in place" not in played.stdout  # nothing ran on the host but facts


def test_the_hardening_alone_or_a_tag_changes_its_own_part_alone(made: Lab) -> None:
    before = fact(made)["parts"]
    played = made.play("harden", *ALPHA, "-e", "hardening_umask_enabled=false")
    assert played.rc == 0, played.stdout
    hardened = fact(made)["parts"]
    assert set(before) - set(hardened) <= {"hardening:umask"}
    assert hardened["base"] == before["base"]
    wanted = ("-e", "base_journal_max=48M", "-e", "hardening_ssh_starts=9:30:60")
    assert made.play("provision", *ALPHA, *wanted, "--tags", "base").changed["alpha"] == 1
    after = fact(made)["parts"]
    assert {name for name in after if after[name] != hardened.get(name)} == {"base"}
    assert made.play("provision", *ALPHA).changed["alpha"] == 1
    assert fact(made)["parts"] == before


def test_a_file_that_its_checker_refuses_is_not_placed(made: Lab) -> None:
    before = fact(made)["digest"]
    said = refused(made, "-e", "base_journal_max=63M", "-e", '{"base_deploy_user": "no%%such)user"}')
    assert "alpha: " in said
    assert fact(made)["digest"] == before
    assert "63M" not in made.host("alpha").run(f"cat {JOURNAL}").stdout


def test_a_variable_of_a_wrong_kind_is_refused_before_anything_changes(made: Lab) -> None:
    played = made.play("provision", *ALPHA, "-e", '{"base_upgrades_hours": "many"}')
    assert played.rc == 2
    assert "base_upgrades_hours" in played.stdout
    assert "alpha" in played.stdout
    assert not sum(played.changed.values())


def test_a_host_with_half_installed_packages_is_refused(made: Lab) -> None:
    made.host("alpha").run("sudo touch /var/lib/dpkg/updates/0001")
    try:
        said = refused(made)
    finally:
        made.host("alpha").run("sudo rm /var/lib/dpkg/updates/0001")
    assert "alpha: packages are half installed" in said
    assert "dpkg --configure -a" in said


def test_the_journal_is_limited_and_upgrades_have_a_time_of_their_own(made: Lab) -> None:
    alpha = made.host("alpha")
    assert "SystemMaxUse=64M" in alpha.run(f"cat {JOURNAL}").stdout
    timers = alpha.run("systemctl show -p TimersCalendar apt-daily.timer apt-daily-upgrade.timer").stdout
    assert timers.count("OnCalendar=*-*-* ") == 2
    assert "UTC" in timers


def test_the_accounts_are_as_wanted(made: Lab) -> None:
    accounts = fact(made)["accounts"]
    assert accounts["heliograph"]["shell"] == "/usr/sbin/nologin"
    assert accounts["heliograph"]["locked"]
    assert accounts["pi"]["max_days"] in {None, -1}
    assert made.host("alpha").run("sudo -n id -u").stdout.strip() == "0"
