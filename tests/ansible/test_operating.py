"""A fleet as its operator meets it: over TLS and through a jump host, reboots, bundles, lines for programs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.ansible.jumping import free_port, jump
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.offices import FUTURE, PAST, Authority

pytestmark = pytest.mark.lab

NODE = "alpha"
NODE_VARIABLES = {"node_cameras": {"main": {"backend": "synthetic"}}, "node_wheelhouse": "/srv/wheels"}
GIVEN = ("--limit", NODE, "-e", json.dumps(NODE_VARIABLES))
HELIOGRAPH = str(Path(sys.executable).parent / "heliograph")


def pki(lab: Lab, *words: str) -> str:
    return lab.control([HELIOGRAPH, "pki", *words, "--dir", str(lab.place.folder / "pki")]).stdout


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    """A node that serves."""
    pki(lab, "init")
    pki(lab, "console", "lab", "--role", "admin")
    played = lab.play("site", *GIVEN)
    assert played.rc == 0, played.stdout
    return lab.host(NODE)


class Stolen(Authority):
    """The fleet's own authority, made to sign what it never would."""

    def __init__(self, folder: Path, pki_dir: Path) -> None:
        self.folder = folder
        pem, key = ((pki_dir / name).read_text() for name in ("ca.pem", "ca.key"))
        self._name = x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN") :].encode()).subject
        loaded = serialization.load_pem_private_key(key[key.index("-----BEGIN") :].encode(), None)
        self._key = loaded  # type: ignore[assignment] # of the curve that the fleet uses


def fleet(lab: Lab, folder: Path, host: Host, **more: Any) -> Path:
    """An inventory of that node alone; `more` are its variables."""
    keys = lab.place.folder / "pki"
    known = {
        "ansible_host": host.address,
        "heliograph_ca_file": str(keys / "ca.pem"),
        "heliograph_client_cert_file": str(keys / "consoles" / "lab.pem"),
        "heliograph_client_key_file": str(keys / "consoles" / "lab.key"),
    }
    path = folder / "fleet.yml"
    path.write_text(json.dumps({"fleet": {"hosts": {NODE: known | more}}}))
    return path


def seen(lab: Lab, inventory: Path, *, here: bool = False) -> dict[str, Any]:
    """What the console makes of the node, from the control host or from this machine."""
    command = [HELIOGRAPH, "status", "-i", str(inventory), "--json"]
    if here:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    else:
        done = lab.control(command, check=False)
    [node] = json.loads(done.stdout)["nodes"]
    return dict(node)


def test_the_console_knows_the_node_and_the_node_the_console(lab: Lab, host: Host, tmp_path: Path) -> None:
    node = seen(lab, fleet(lab, tmp_path, host))
    assert node["error"] is None
    assert node["status"]["node"] == NODE


@pytest.mark.parametrize(
    ("made", "more", "shown_as"),
    [
        ("foreign", {}, ("refused", "FLT-023", "is not signed by an authority in")),
        ("old", {}, ("refused", "FLT-023", "has expired, by this machine's clock")),
        ("early", {}, ("refused", "FLT-023", "is not valid yet")),
        ("none", {}, ("refused", "FLT-004", "HTTP 401")),
        ("right", {"heliograph_tls_name": "bravo"}, ("untrusted", "FLT-022", "its certificate is not for bravo")),
        ("right", {"heliograph_ca_file": "foreign"}, ("untrusted", "FLT-021", "is not signed by an authority in")),
    ],
)
def test_each_certificate_that_does_not_fit_is_shown_as_what_it_is(
    lab: Lab, host: Host, tmp_path: Path, made: str, more: dict[str, str], shown_as: tuple[str, str, str]
) -> None:
    stolen, foreign = Stolen(tmp_path, lab.place.folder / "pki"), Authority(tmp_path / "other", "other")
    keys = {
        "foreign": lambda: foreign.console("eve", "admin"),
        "old": lambda: stolen.console("old", "admin", end=PAST),
        "early": lambda: stolen.console("early", "admin", begin=FUTURE),
    }
    shown = {} if made == "right" else {"heliograph_client_cert_file": None, "heliograph_client_key_file": None}
    if made in keys:
        signed = keys[made]()
        shown = {"heliograph_client_cert_file": str(signed.cert), "heliograph_client_key_file": str(signed.key)}
    named = {name: str(foreign.ca) if value == "foreign" else value for name, value in more.items()}
    node = seen(lab, fleet(lab, tmp_path, host, **shown, **named))
    state, code, words = shown_as
    assert (node["state"], node["error"]["code"]) == (state, code)
    assert words in node["error"]["detail"]
    assert node["error"]["hint"]


def test_a_viewer_sees_and_changes_nothing(lab: Lab, host: Host, tmp_path: Path) -> None:
    pki(lab, "console", "val", "--role", "viewer")
    keys = lab.place.folder / "pki" / "consoles"
    shown = {"heliograph_client_cert_file": str(keys / "val.pem"), "heliograph_client_key_file": str(keys / "val.key")}
    inventory = fleet(lab, tmp_path, host, **shown)
    assert seen(lab, inventory)["error"] is None
    hold = [HELIOGRAPH, "hold", "-i", str(inventory), NODE, "--for", "5m", "--reason", "trying", "--yes"]
    done = lab.control(hold, check=False)
    assert done.returncode == 77
    assert "API-002" in done.stdout


def test_the_node_is_reached_through_a_jump_host_and_a_dead_one_is_said_to_be(
    lab: Lab, host: Host, tmp_path: Path
) -> None:
    port = free_port()
    inventory = fleet(lab, tmp_path, host, heliograph_proxy=f"socks5://127.0.0.1:{port}")
    assert seen(lab, inventory, here=True)["error"]["code"] == "FLT-024"
    with jump(lab, port):
        assert seen(lab, inventory, here=True)["error"] is None
    assert seen(lab, inventory, here=True)["error"]["code"] == "FLT-024"


def test_a_host_is_rebooted_between_slots_only_and_captures_again(lab: Lab, host: Host, tmp_path: Path) -> None:
    before = host.run("cat /proc/sys/kernel/random/boot_id").stdout
    plain = lab.play("reboot", *GIVEN)
    assert (plain.rc, plain.changed[NODE]) == (0, 0)
    later = lab.play("reboot", *GIVEN, "-e", "reboot_all=true")
    assert (later.rc, later.changed[NODE]) == (0, 0)
    assert "not rebooted, a slot is due in" in " ".join(later.stdout.split())
    assert host.run("cat /proc/sys/kernel/random/boot_id").stdout == before
    now = lab.play("reboot", *GIVEN, "-e", "reboot_all=true", "-e", "reboot_now=true")
    assert (now.rc, now.changed[NODE]) == (0, 1), now.stdout
    assert host.run("cat /proc/sys/kernel/random/boot_id").stdout != before
    assert seen(lab, fleet(lab, tmp_path, host))["status"]["cameras"][0]["last_good"]


def test_a_bundle_tells_of_the_node_and_holds_nothing_secret(lab: Lab, host: Host, tmp_path: Path) -> None:
    kept = ("/etc/heliograph/tls/node.key", "/run/heliograph/own/local.token", "/etc/ssh/ssh_host_*_key")
    secret = host.inside(f"cat {' '.join(kept)}").stdout
    words = [line for line in secret.splitlines() if len(line) > 8 and not line.startswith("-----")]
    played = lab.play("collect_bundle", *GIVEN, "-e", f"collect_to={tmp_path}")
    assert (played.rc, played.changed[NODE]) == (0, 0), played.stdout
    [file] = tmp_path.glob(f"{NODE}-*.tar.gz")
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(fileobj=io.BytesIO(file.read_bytes()), mode="r:gz") as tar:
        told = {one.name.partition("/")[2]: tar.extractfile(one).read().decode() for one in tar.getmembers()}
    assert len(words) > 5
    assert [word for word in words if word in "".join(told.values())] == []
    assert json.loads(told["status.json"])["node"] == NODE
    assert "probes" in json.loads(told["health-deep.json"])
    assert "heliograph" in told["journal/heliograph-node.txt"]
    assert "certificate" in told["files/etc/heliograph/node.yml"]
    assert "heliograph-bundle-" not in host.run("ls /var/tmp").stdout


def test_a_run_in_lines_for_programs_tells_all_of_it(lab: Lab, host: Host) -> None:
    played = lab.play("site", *GIVEN, "--check", "--diff", ANSIBLE_STDOUT_CALLBACK="heliograph_lines")
    lines = [json.loads(line) for line in played.stdout.splitlines()]
    assert (lines[0]["event"], lines[-1]["event"], lines[-1]["host"]) == ("play", "recap", NODE)
    assert played.rc == 0
    assert [line for line in lines if line["changed"]] == []
    assert "PRIVATE KEY" not in played.stdout
