"""A card for a node: what stands on it, that its key is certified, and that the key stays nowhere else."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.ansible.parts import UNMEASURED

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG2 kim@desk"
INVENTORY = """
fleet:
  vars:
    ansible_user: deploy
    base_timezone: Europe/Berlin
  hosts:
    alpha: {ansible_host: 192.0.2.7}
    bravo: {ansible_host: 192.0.2.8}
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    (folder / "hosts.yml").write_text(INVENTORY)
    (folder / "tmp").mkdir()
    subprocess.run([BIN / "heliograph", "pki", "init", "-i", folder / "hosts.yml"], check=True, cwd=ROOT)
    return folder


def made(fleet: Path, *options: str, **given: Any) -> tuple[subprocess.CompletedProcess[str], Path]:
    card = fleet / f"bootfs-{uuid4()}"
    card.mkdir()
    given = {"bootstrap_card": str(card), "base_deploy_keys": [KEY]} | given
    command = [str(BIN / "ansible-playbook"), "-i", str(fleet / "hosts.yml"), "playbooks/bootstrap/card.yml", *options]
    environment = {
        **os.environ,
        **UNMEASURED,
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(fleet / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
    }
    told = ["-e", yaml.safe_dump(given, default_flow_style=True, width=10_000)]
    done = subprocess.run(
        [*command, *told], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done, card


@pytest.fixture(scope="module")
def of_alpha(fleet: Path) -> tuple[str, Path]:
    """What was said, as much as can be, and the card."""
    done, card = made(fleet, "--limit", "alpha", "--diff", "-vvv")
    assert done.returncode == 0, done.stdout
    return done.stdout + done.stderr, card


def test_the_first_boot_knows_who_it_is_and_who_may_come_in(fleet: Path, of_alpha: tuple[str, Path]) -> None:
    _, card = of_alpha
    text = (card / "user-data").read_text()
    said = yaml.safe_load(text)
    assert text.startswith("#cloud-config\n")
    assert (said["hostname"], said["timezone"], said["ssh_pwauth"]) == ("alpha", "Europe/Berlin", False)
    [user] = said["users"]
    assert (user["name"], user["ssh_authorized_keys"], user["lock_passwd"]) == ("deploy", [KEY], True)
    keys = said["ssh_keys"]
    assert keys["ed25519_private"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    (fleet / "certificate").write_text(keys["ed25519_certificate"])
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", fleet / "certificate"], capture_output=True, text=True, check=True
    ).stdout
    assert "host certificate" in shown
    assert {"alpha", "192.0.2.7"} <= set(shown.split())
    (fleet / "key").write_text(keys["ed25519_private"])
    (fleet / "key").chmod(0o600)
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", fleet / "key"], capture_output=True, text=True, check=True
    ).stdout
    assert public.split()[:2] == keys["ed25519_public"].split()[:2]
    assert yaml.safe_load((card / "network-config").read_text())["ethernets"]["eth0"]["dhcp4"] is True
    assert yaml.safe_load((card / "meta-data").read_text())["local-hostname"] == "alpha"


def test_the_key_is_on_the_card_only(fleet: Path, of_alpha: tuple[str, Path]) -> None:
    said, card = of_alpha
    key = yaml.safe_load((card / "user-data").read_text())["ssh_keys"]["ed25519_private"].splitlines()[1:-1]
    assert not [line for line in key if line in said]
    assert list((fleet / "tmp").glob("heliograph-card-*")) == []
    assert stat.S_IMODE((card / "user-data").stat().st_mode) == 0o600


def test_after_the_first_boot_the_key_is_in_no_copy_of_these_files(of_alpha: tuple[str, Path], tmp_path: Path) -> None:
    _, card = of_alpha
    text = (card / "user-data").read_text()
    instance, run = tmp_path / "var/lib/cloud/instances/i-1", tmp_path / "run/cloud-init"
    copies = [instance / name for name in ("user-data.txt", "user-data.txt.i", "cloud-config.txt", "obj.pkl")]
    copies += [run / name for name in ("combined-cloud-config.json", "instance-data-sensitive.json")]
    copies += [tmp_path / "boot/firmware" / name for name in ("user-data", "network-config")]
    for copy in (*copies, run / "status.json"):
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
    for command in yaml.safe_load(text)["runcmd"]:
        if command[0] == "sh":
            here = [re.sub(r"/(?=(var|run|boot)/)", f"{tmp_path}/", word) for word in command]
            subprocess.run([*here[:-1], here[-1].removesuffix("; sync")], check=True)
    assert [copy for copy in copies if copy.exists() and text[:200] in copy.read_text()] == []
    assert (run / "status.json").exists()


def test_another_network_may_be_wanted(fleet: Path) -> None:
    network = {"version": 2, "wifis": {"wlan0": {"dhcp4": True, "access-points": {"hill": {"password": "wifi-words"}}}}}
    done, card = made(fleet, "--limit", "bravo", "--diff", bootstrap_network=network)
    assert done.returncode == 0, done.stdout
    assert yaml.safe_load((card / "network-config").read_text()) == network
    assert "wifi-words" not in done.stdout


@pytest.mark.parametrize(
    ("options", "given", "words"),
    [
        ((), {}, "one card is for one node. Remedy: --limit NODE"),
        (("--limit", "alpha"), {"bootstrap_card": "/no/such"}, "bootstrap_card names no folder"),
        (("--limit", "alpha"), {"base_deploy_keys": []}, "nobody could log in. Remedy: base_deploy_keys"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_written(
    fleet: Path, tmp_path: Path, options: tuple[str, ...], given: dict[str, Any], words: str
) -> None:
    done, _ = made(fleet, *options, **({"bootstrap_card": str(tmp_path)} | given))
    assert done.returncode == 2
    assert words in " ".join(done.stdout.split()) + done.stderr
    assert list(tmp_path.iterdir()) == []
