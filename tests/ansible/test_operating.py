"""What an operator does with nodes that work: reboots between slots, bundles, runs told in lines for programs."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.ansible.conftest import Site
from tests.ansible.hosts_books import seen

pytestmark = pytest.mark.lab

NODE = "alpha"
ALONE = ("--limit", NODE)
SECRET = ("/etc/heliograph/tls/node.key", "/run/heliograph/own/local.token", "/etc/ssh/ssh_host_*_key")


def test_a_host_is_rebooted_between_slots_only_and_captures_again(site: Site) -> None:
    lab, host = site.lab, site.lab.host(NODE)
    before = host.boot_id()
    plain = lab.play("reboot", *ALONE)
    assert (plain.rc, plain.changed[NODE]) == (0, 0), plain.stdout
    later = lab.play("reboot", *ALONE, "-e", "reboot_all=true")
    assert (later.rc, later.changed[NODE]) == (0, 0), later.stdout
    assert "not rebooted, a slot is due in" in " ".join(later.stdout.split())
    assert host.boot_id() == before
    now = lab.play("reboot", *ALONE, "-e", "reboot_all=true", "-e", "reboot_now=true")
    assert (now.rc, now.changed[NODE]) == (0, 1), now.stdout
    assert host.boot_id() != before
    assert seen(site, NODE)["status"]["cameras"][0]["last_good"]


def test_a_bundle_tells_of_the_node_and_holds_nothing_secret(site: Site, tmp_path: Path) -> None:
    host = site.lab.host(NODE)
    secret = host.inside(f"cat {' '.join(SECRET)}").stdout
    words = [line for line in secret.splitlines() if len(line) > 8 and not line.startswith("-----")]
    played = site.lab.play("collect_bundle", *ALONE, "-e", f"collect_to={tmp_path}")
    assert (played.rc, played.changed[NODE]) == (0, 0), played.stdout
    [file] = tmp_path.glob(f"{NODE}-*.tar.gz")
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(fileobj=io.BytesIO(file.read_bytes()), mode="r:gz") as tar:
        parts = {one.name.partition("/")[2]: tar.extractfile(one) for one in tar.getmembers()}
        told = {name: part.read().decode() for name, part in parts.items() if part is not None}
    assert len(words) > 5
    assert [word for word in words if word in "".join(told.values())] == []
    assert json.loads(told["status.json"])["node"] == NODE
    assert "probes" in json.loads(told["health-deep.json"])
    assert "heliograph" in told["journal/heliograph-node.txt"]
    assert "certificate" in told["files/etc/heliograph/node.yml"]
    assert "heliograph-bundle-" not in host.run("ls /var/tmp").stdout


def test_a_run_in_lines_for_programs_tells_all_of_it(site: Site) -> None:
    played = site.lab.play("site", *ALONE, "--check", "--diff", ANSIBLE_STDOUT_CALLBACK="heliograph_lines")
    lines = [json.loads(line) for line in played.stdout.splitlines()]
    assert played.rc == 0, played.stdout
    assert (lines[0]["event"], lines[-1]["event"], lines[-1]["host"]) == ("play", "recap", NODE)
    assert [line for line in lines if line["changed"]] == []
    assert "PRIVATE KEY" not in played.stdout
