"""What is wrong with an inventory or a host is said once, with its remedy, before anything on any host is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.ansible.conftest import Site
from tests.lab.host import Host
from tests.lab.lab import Played
from tests.lab.names import USUAL

pytestmark = pytest.mark.lab

HOST = "bravo"
LOOK = """
{ find /etc /opt/heliograph -xdev ! -type d ! -path '*/__pycache__/*' -printf '%p %l %m %u %g\\n' | LC_ALL=C sort
  find /etc -xdev -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  sha256sum /var/lib/heliograph-host/manifest.json /var/lib/dpkg/status
  systemctl show heliograph-node heliograph-worker heliograph-ship -p MainPID
} | sha256sum
"""
FACT = "/etc/ansible/facts.d/heliograph.fact"
WRONG_CLOCK = f"""#!/usr/bin/python3
import json, subprocess
fact = json.loads(subprocess.run(["{FACT}-own"], capture_output=True, check=True).stdout)
print(json.dumps(fact | {{"clock_s": fact["clock_s"] + 5000}}))
"""


def looks(site: Site, *names: str) -> dict[str, str]:
    """A hash of all that a run could change on each host, and the processes that serve."""
    return {name: site.lab.host(name).inside(LOOK).stdout for name in names or USUAL}


def said(played: Played) -> str:
    """The only message of a run, without its line breaks; it names a remedy once."""
    fatal = re.findall(r"^fatal: .*?(?=^\S|\Z)", played.stdout, re.MULTILINE | re.DOTALL)
    fatal = [each for each in fatal if "UNREACHABLE" not in each]  # of which the next task tells
    assert len(fatal) == 1, played.stdout
    text = " ".join(fatal[0].split()).replace("''", "'")
    assert text.count("Remedy: ") == 1, text
    return text


@contextmanager
def interrupted(host: Host) -> Iterator[None]:
    """As dpkg leaves it when the power goes while it installs."""
    host.inside("touch /var/lib/dpkg/updates/0000")
    try:
        yield
    finally:
        host.inside("rm /var/lib/dpkg/updates/0000")


@contextmanager
def half_installed(host: Host) -> Iterator[None]:
    host.inside("cp -p /var/lib/dpkg/status /root && sed -i '/^Package: cron$/,/^$/s/ok installed/ok half-configured/'"
                " /var/lib/dpkg/status")  # fmt: skip
    try:
        yield
    finally:
        host.inside("mv /root/status /var/lib/dpkg/status")


@contextmanager
def wrong_clock(host: Host) -> Iterator[None]:
    """No host of the lab has a clock of its own: its fact tells of another one."""
    host.inside(f"mv {FACT} {FACT}-own && cat >{FACT} && chmod 755 {FACT}", given=WRONG_CLOCK)
    try:
        yield
    finally:
        host.inside(f"mv {FACT}-own {FACT}")


@contextmanager
def cut_off(host: Host) -> Iterator[None]:
    host.link(up=False)
    try:
        yield
    finally:
        host.link(up=True)
        host.ready()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (interrupted, "bravo: packages are half installed. Remedy: on the host `sudo dpkg --configure -a"),
        (half_installed, "bravo: packages are half installed: cron. Remedy: on the host `sudo dpkg --configure -a"),
        (wrong_clock, "s ahead of this machine's. Remedy: see which of the two is wrong"),
        (cut_off, "bravo: it cannot be reached: "),
    ],
)
def test_a_host_that_is_not_fit_is_left_alone(site: Site, state: Callable[[Host], Any], words: str) -> None:
    with state(site.lab.host(HOST)):
        before = looks(site, HOST)
        # a node setting that would be changed, were it not for the fault
        played = site.lab.play("site", "--limit", HOST, "-e", "node_log_level=debug")
        assert words in said(played)
        assert (played.rc, played.failed[HOST], played.changed[HOST]) == (2, 1, 0)
        assert looks(site, HOST) == before


@dataclass(frozen=True, slots=True)
class Wish:
    """Variables of bravo that cannot be, and what is said of them."""

    variables: Mapping[str, Any]
    words: str


WISHES = {
    "unknown name": Wish({"hardening_ssh_enable": True}, "bravo: no variable is called hardening_ssh_enable; did"),
    "not a backend": Wish({"node_cameras": {"main": {"backend": "glass"}}}, "bravo: "),
    "not a document": Wish({"heliograph_config_90_host": {"schedules": {"overview": {"interval_s": -1}}}}, "bravo: "),
    "another's address": Wish({"ansible_host": "10.77.0.11"}, "bravo: address 10.77.0.11 port 22 is alpha's already"),
    "another's name": Wish({"heliograph_tls_name": "alpha"}, "bravo: heliograph_tls_name alpha is alpha's already"),
    "no wheel": Wish({"node_wheel": "/nowhere/heliograph-1.0-py3-none-any.whl"}, "bravo: there is no wheel /nowhere/"),
    "unknown archive host": Wish({"archive_known_hosts": {}}, "bravo: nothing says which host key shelf has"),
}  # fmt: skip


TWICE = "two of one name"


def inventories() -> dict[str, str]:
    """What is said of bravo in a file beside the lab's own, by what is wrong with it."""
    wishes = {name: json.dumps({"fleet": {"hosts": {HOST: dict(wish.variables)}}}) for name, wish in WISHES.items()}
    return wishes | {TWICE: "fleet:\n  hosts:\n    bravo: {ansible_port: 22}\n    bravo: {ansible_port: 2222}\n"}


@dataclass(frozen=True, slots=True)
class Tried:
    """Runs that could not be."""

    runs: Mapping[str, Played]
    before: Mapping[str, str]
    after: Mapping[str, str]


@pytest.fixture(scope="module")
def tried(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    before, folder, runs = looks(site), tmp_path_factory.mktemp("wishes"), {}
    for name, text in inventories().items():
        file = folder / f"{name}.yml"
        file.write_text(text)
        runs[name] = site.lab.play("site", "--limit", HOST, "-i", str(file))
    return Tried(runs, before, looks(site))


@pytest.mark.parametrize("name", WISHES)
def test_what_cannot_be_is_refused(tried: Tried, name: str) -> None:
    played = tried.runs[name]
    assert WISHES[name].words in said(played)
    assert (played.rc, sum(played.changed.values())) == (2, 0)


def test_two_nodes_of_one_name_in_a_file_are_no_inventory(tried: Tried) -> None:
    played = tried.runs[TWICE]
    assert played.rc != 0
    assert played.changed == {}
    text = played.stdout + played.stderr
    assert "bravo" in text
    assert f"{TWICE}.yml" in text


def test_all_that_was_refused_has_changed_nothing_on_any_host(tried: Tried) -> None:
    assert tried.after == tried.before
