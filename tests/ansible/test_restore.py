"""A dead node on a new host: its frames, its ledger, its document and its name come back; its old keys do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import HELIOGRAPH, Site
from tests.ansible.hosts_books import hashes, rows, said_kept, seen
from tests.lab.host import Host, until
from tests.simulate.ledger import files

pytestmark = pytest.mark.lab

NODE, SPARE = "bravo", "delta"
LEDGER = "SELECT camera, due_us, profile, frame_id, reason FROM slots WHERE due_us <= {until_us} ORDER BY 2, 1, 3"
SETTLED = "SELECT settled_to_us FROM ledger"
RECEIPTS = "SELECT item FROM receipts"
KEYS = """
openssl x509 -in /etc/heliograph/tls/node.pem -noout -pubkey | sha256sum
cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub
ssh-keygen -yf /etc/heliograph/keys/shelf | cut -d' ' -f2
"""


@dataclass(frozen=True, slots=True)
class Dead:
    """What was known of the node when it died."""

    reported: dict[str, str]
    """Hash by id of every frame that its API told of."""
    archived: set[str]
    """Hashes of what lies in the archive."""
    late: set[str]
    """Ids of frames that only the archive has, for they are newer than the backup."""
    until_us: int
    """The backup knows all slots up to here."""
    slots: list[Any]
    digest: str
    keys: list[str]


@pytest.fixture(scope="module")
def dead(site: Site) -> Dead:
    """Bravo, some frames after its backup."""
    host = site.lab.host(NODE)
    [[until_us]] = rows(host, SETTLED)[0]
    before = said_kept(host, site.lab)
    slots = rows(host, LEDGER.format(until_us=until_us))[0]
    assert site.lab.play("backup", "--limit", NODE).rc == 0
    sent = len(rows(host, RECEIPTS)[0])
    until(lambda: len(rows(host, RECEIPTS)[0]) >= sent + 2, 240)
    told = said_kept(host, site.lab)
    node = seen(site, NODE)
    keys = host.inside(KEYS).stdout.splitlines()
    host.power_cut()
    archived = {sha256 for _, sha256 in files(site.lab.shelf.store / NODE)}
    late = {frame for frame, sha256 in told.items() if frame not in before and sha256 in archived}
    return Dead(told, archived, late, until_us, slots, node["status"]["config"]["digest"], keys)


@pytest.fixture(scope="module")
def inventory(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the operator writes it: the old name, at the address of another machine."""
    way = f"-F {site.lab.place.ssh_config} -o HostKeyAlias={SPARE}"
    new = {"ansible_host": site.lab.host(SPARE).address, "ansible_ssh_common_args": way}
    path = tmp_path_factory.mktemp("moved") / "moved.yml"
    path.write_text(json.dumps({"fleet": {"hosts": {NODE: new}}}))
    return path


@pytest.fixture(scope="module")
def again(site: Site, dead: Dead, inventory: Path) -> Iterator[Host]:
    """The spare host as bravo; afterwards the old bravo is the node again."""
    assert dead.reported
    spare = site.lab.spare()
    moved = ("--limit", NODE, "-i", str(inventory), "-e", f"restore_confirm={NODE}")
    try:
        for playbook in ("site", "restore"):
            played = site.lab.play(playbook, *moved)
            assert played.rc == 0, played.stdout
        yield spare
    finally:
        spare.power_off()
        site.lab.host(NODE).start()
        (site.lab.shelf.folder / "nodes" / f"{NODE}-shelf.pub").unlink()  # the old host's is collected again
        back = site.lab.play("site", "--limit", NODE)
        assert back.rc == 0, back.stdout


def test_every_frame_that_was_archived_is_there_by_its_hash(dead: Dead, again: Host) -> None:
    wanted = set(dead.reported.values()) & dead.archived
    assert wanted
    assert wanted - hashes(again) == set()


def test_frames_newer_than_the_backup_came_from_the_archive_and_are_told_of(
    site: Site, dead: Dead, again: Host
) -> None:
    told = said_kept(again, site.lab, NODE)
    assert dead.late
    archived = {frame: sha256 for frame, sha256 in dead.reported.items() if sha256 in dead.archived}
    assert archived.items() <= told.items()


def test_its_ledger_is_the_old_one(dead: Dead, again: Host) -> None:
    assert dead.slots
    assert rows(again, LEDGER.format(until_us=dead.until_us))[0] == dead.slots


def test_it_is_the_same_node_to_the_console(site: Site, dead: Dead, again: Host, tmp_path: Path) -> None:
    keys = site.lab.place.pki
    fleet = tmp_path / "fleet.yml"
    papers = {
        "heliograph_ca_file": str(keys / "ca.pem"),
        "heliograph_client_cert_file": str(keys / "consoles/watcher.pem"),
        "heliograph_client_key_file": str(keys / "consoles/watcher.key"),
    }
    fleet.write_text(json.dumps({"fleet": {"hosts": {NODE: papers | {"ansible_host": again.address}}}}))
    done = site.lab.control([HELIOGRAPH, "status", NODE, "-i", str(fleet), "--json"], check=False)
    [node] = json.loads(done.stdout)["nodes"]
    assert (node["error"], node["status"]["node"]) == (None, NODE)
    assert node["status"]["config"]["digest"] == dead.digest
    assert again.inside("hostname").stdout.strip() == NODE


def test_its_keys_are_new_and_the_archive_lets_the_old_one_in_no_more(site: Site, dead: Dead, again: Host) -> None:
    now = again.inside(KEYS).stdout.splitlines()
    assert (len(now), set(now) & set(dead.keys)) == (3, set())
    [admitted] = (site.lab.shelf.folder / "nodes").glob(f"{NODE}-*.pub")
    assert now[-1] in admitted.read_text()
    assert dead.keys[-1] not in admitted.read_text()
