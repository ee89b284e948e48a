"""The hardening alone, on hosts that `site` has made: it changes what differs, and nothing that it did not bring."""

from __future__ import annotations

import json

import pytest

from tests.ansible.conftest import Site

pytestmark = pytest.mark.lab

HOST = "charlie"
SSHD = "/etc/ssh/sshd_config.d/00-heliograph.conf"
RULES = "/etc/heliograph-host/firewall.nft"
KEPT = "/var/lib/heliograph-host/firewall.nft"
OWN_WORDS = json.dumps({"ansible_ssh_extra_args": "-o TCPKeepAlive=yes"})
"""As the operator of a new host gives the file with its key."""


def test_after_site_it_has_nothing_to_do(site: Site) -> None:
    host = site.lab.host(HOST)
    before = host.inside(["cat", SSHD]).stdout
    assert "HostCertificate " in before
    played = site.lab.play("harden", "--limit", HOST)
    assert (played.rc, played.changed) == (0, {HOST: 0}), played.stdout
    assert host.inside(["cat", SSHD]).stdout == before


@pytest.mark.parametrize("tag", ["firewall", "hardening_firewall"])
def test_new_rules_are_confirmed_whatever_ssh_is_told(site: Site, tag: str) -> None:
    """Those of the command line outrank a task's own: the connection of before has to end."""
    host = site.lab.host(HOST)
    for more in (["-e", "hardening_ssh_per_minute=599"], []):
        played = site.lab.play("harden", "--limit", HOST, "--tags", tag, "-e", OWN_WORDS, *more)
        assert (played.rc, played.changed) == (0, {HOST: 1}), played.stdout
        rules = host.inside(["cat", RULES]).stdout
        assert (" 599/minute" in rules) == bool(more)
        assert host.inside(["cat", KEPT]).stdout == rules
        assert host.inside("ls /run/heliograph-host/firewall-trial", check=False).stdout == ""


def test_verify_takes_the_same_tags(site: Site) -> None:
    for tag in ("firewall", "hardening_firewall"):
        played = site.lab.play("verify", "--limit", HOST, "--tags", tag)
        assert played.rc == 0, played.stdout
        assert "Every item keeps its promise" in played.stdout
        assert "The node does what is wanted of it" not in played.stdout
