"""Three hosts become a fleet by one run; the next has nothing to do, and one in between finds what somebody did."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable

import pytest

from tests.ansible.conftest import Site
from tests.lab.host import Host
from tests.lab.lab import Played
from tests.lab.names import USUAL

pytestmark = pytest.mark.lab

JOURNAL = "/etc/systemd/journald.conf.d/60-heliograph.conf"
SUDO = "/etc/sudoers.d/020_heliograph-deploy"
KERNEL = "/etc/sysctl.d/99-zz-heliograph.conf"
WORKER = "heliograph-worker.service"
FACT = "/etc/ansible/facts.d/heliograph.fact"
MANIFEST = "/var/lib/heliograph-host/manifest.json"
STAMP = "/run/before"
OURS = ("/etc", "/opt", "/usr", "/boot", "/var/lib/heliograph-host")

PLACED = "The bundle is in place"
FACTS = ("ansible", "fleet", "--become", "-m", "ansible.builtin.setup", "-a", "gather_subset=!all,virtual")


def none(of: str = "") -> dict[str, int]:
    """Changes on every host: none but one on that one."""
    return {name: int(name == of) for name in USUAL}


def sound(played: Played) -> None:
    assert played.rc == 0, played.stdout
    assert played.failed == played.unreachable == none()


def touched(host: Host) -> set[str]:
    """Files of the system, changed since the stamp."""
    words = ["find", *OURS, "-xdev", "(", "-type", "f", "-o", "-type", "l", ")", "-cnewer", STAMP]
    return set(host.inside(words).stdout.splitlines())


def drifted(host: Host) -> set[str]:
    """As its own fact says."""
    return set(json.loads(host.inside([FACT]).stdout)["drifted"])


def pids(host: Host) -> list[str]:
    units = ["heliograph-node", "heliograph-ship", "ssh", "systemd-journald"]
    return host.inside(["systemctl", "show", "--property=MainPID", "--value", *units]).stdout.split()


def test_one_run_makes_a_fleet_of_three_fresh_hosts(site: Site, told: Callable[[str], None]) -> None:
    sound(site.first)
    told(f"first run of site.yml, {len(USUAL)} hosts: {site.first.seconds:.0f} s")
    for name in USUAL:
        units = ["heliograph-node", "heliograph-worker", "heliograph-ship"]
        assert site.lab.host(name).run(["systemctl", "is-active", *units]).stdout.split() == ["active"] * 3
        assert site.lab.host(name).inside("systemctl --failed --plain --no-legend").stdout == ""


def test_a_second_run_changes_nothing_and_runs_nothing_but_facts(site: Site, told: Callable[[str], None]) -> None:
    facts = site.lab.ansible([*FACTS, "-i", str(site.lab.place.inventory)])
    second = site.lab.play("site")
    sound(second)
    assert second.changed == none()
    assert PLACED not in second.stdout
    beyond = (second.seconds - facts.seconds) / len(USUAL)
    told(f"second run: {second.seconds:.1f} s; facts alone {facts.seconds:.1f} s; {beyond:.2f} s a host beyond")


def test_check_mode_finds_nothing_to_change(site: Site) -> None:
    checked = site.lab.play("site", "--check", "--diff")
    sound(checked)
    assert checked.changed == none()
    assert not [line for line in checked.stdout.splitlines() if line.startswith(("+", "-"))]


def test_what_somebody_did_on_one_host_is_seen_and_undone_and_nothing_else(site: Site) -> None:
    bravo = site.lab.host("bravo")
    hosts = [site.lab.host(name) for name in USUAL]
    ways = (f"echo Storage=none >> {JOURNAL}", f"chmod 0600 {KERNEL}", f"rm {SUDO}")
    before = bravo.inside(["cat", JOURNAL, SUDO]).stdout
    for way in ways:
        bravo.inside(way)
    there = bravo.inside(["cat", JOURNAL]).stdout
    assert drifted(bravo) == {JOURNAL, KERNEL, SUDO}
    for host in hosts:
        host.inside(["touch", STAMP])
    shown = site.lab.play("site", "--check", "--diff")
    sound(shown)
    assert shown.changed == none("bravo")
    assert "-Storage=none" in shown.stdout
    assert SUDO in shown.stdout
    assert bravo.inside(["cat", JOURNAL]).stdout == there
    assert drifted(bravo) == {JOURNAL, KERNEL, SUDO}
    assert [touched(host) for host in hosts] == [set(), set(), set()]
    running = [pids(host)[:3] for host in hosts]
    mended = site.lab.play("site")
    sound(mended)
    assert mended.changed == none("bravo")
    assert bravo.inside(["cat", JOURNAL, SUDO]).stdout == before
    assert drifted(bravo) == set()
    assert bravo.inside(f"stat -c %a {shlex.quote(KERNEL)}").stdout.strip() == "644"
    assert [touched(host) for host in hosts] == [set(), {JOURNAL, SUDO, KERNEL, MANIFEST}, set()]
    assert [pids(host)[:3] for host in hosts] == running


def test_a_unit_that_somebody_stopped_runs_again(site: Site) -> None:
    charlie = site.lab.host("charlie")
    charlie.inside(["systemctl", "disable", "--now", WORKER])
    mended = site.lab.play("site", "--limit", "charlie")
    assert (mended.rc, mended.changed) == (0, {"charlie": 1}), mended.stdout
    assert charlie.run(["systemctl", "is-active", WORKER]).stdout.strip() == "active"
    assert charlie.run(["systemctl", "is-enabled", WORKER]).stdout.strip() == "enabled"
