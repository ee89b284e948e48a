import re
import subprocess
from pathlib import Path
from types import MappingProxyType

import pytest

from node.api.local import OWN_FOLDER
from tests.ansible.parts import ROOT, Rendered, render

pytestmark = pytest.mark.slow

MOST = MappingProxyType({"heliograph-node": 1.6, "heliograph-worker": 0.5, "heliograph-ship": 1.6})
RSYNC = {"kind": "rsync", "host": "192.0.2.7", "path": "/srv/heliograph"}
NODES = {
    "plain": {},
    "pi": {"node_cameras": {"main": {"backend": "picamera2"}}},
    "targets": {"node_archive": {"vault": RSYNC, "nas": {"kind": "directory", "path": "/mnt/nas"}}},
    "networks": {"node_archive": {"vault": RSYNC}, "node_ship_networks": ["192.0.2.0/24", "localhost"]},
}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rendered]:
    folder = tmp_path_factory.mktemp("units")
    wheel = folder / "heliograph-1.2.3-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    given = {"node_wheel": str(wheel), "node_lock": str(ROOT / "locks/trixie.txt")}
    return {name: render(folder / name, "node", given | more) for name, more in NODES.items()}


def _unit(rendered: Rendered, name: str) -> str:
    return rendered.contents("node")[f"/etc/systemd/system/{name}.service"]


def _exposure(folder: Path, name: str, text: str) -> float:
    unit = folder / f"{name}.service"
    unit.write_text(text)
    words = ["systemd-analyze", "security", "--no-pager", "--offline=true", str(unit)]
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found, said
    return float(found[1])


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("name", MOST)
def test_a_unit_is_no_more_exposed_than_it_may_be(
    node: str, name: str, nodes: dict[str, Rendered], tmp_path: Path
) -> None:
    assert _exposure(tmp_path, name, _unit(nodes[node], name)) <= MOST[name]


def test_a_unit_that_lost_its_fences_is_found(nodes: dict[str, Rendered], tmp_path: Path) -> None:
    opened = _unit(nodes["plain"], "heliograph-worker").replace("PrivateNetwork=yes\n", "")
    assert _exposure(tmp_path, "heliograph-worker", opened) > MOST["heliograph-worker"]


@pytest.mark.parametrize("node", NODES)
def test_systemd_knows_every_word_in_the_units(node: str, nodes: dict[str, Rendered], tmp_path: Path) -> None:
    files = []
    for path, content in nodes[node].contents("node").items():
        if path.startswith("/etc/systemd/system/"):
            files.append(tmp_path / Path(path).name.replace("@.", "@heliograph-node."))
            files[-1].write_text(content)
    words = ["systemd-analyze", "verify", "--man=no", *map(str, files)]
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stderr
    ours = [line for line in said.splitlines() if "heliograph" in line and "is not executable" not in line]
    assert ours == []


@pytest.mark.parametrize("name", MOST)
def test_every_unit_comes_back_for_ever_but_not_with_a_wrong_configuration(
    name: str, nodes: dict[str, Rendered]
) -> None:
    lines = set(_unit(nodes["plain"], name).splitlines())
    assert lines >= {
        "KillMode=mixed",
        "Restart=always",
        "RestartPreventExitStatus=78",
        "StartLimitBurst=5",
        "StartLimitIntervalSec=60",
        "OnFailure=heliograph-retry@%p.service",
        "WatchdogSec=60",
        "Type=notify",
    }


@pytest.mark.parametrize("name", MOST)
def test_boot_id_and_memory_stay_readable(name: str, nodes: dict[str, Rendered]) -> None:
    unit = _unit(nodes["plain"], name)
    assert "ProcSubset=" not in unit
    assert "ProtectProc=" not in unit


def test_the_kernel_ends_the_worker_before_the_shipper_before_capture(nodes: dict[str, Rendered]) -> None:
    scores = {name: _setting(_unit(nodes["plain"], name), "OOMScoreAdjust") for name in MOST}
    assert int(scores["heliograph-node"]) < 0 < int(scores["heliograph-ship"]) < int(scores["heliograph-worker"])
    assert _setting(_unit(nodes["plain"], "heliograph-worker"), "MemoryMax") == "900M"


def test_only_the_shipper_holds_the_archives_keys(nodes: dict[str, Rendered]) -> None:
    units = {name: _unit(nodes["targets"], name) for name in MOST}
    assert "LoadCredential=vault:/etc/heliograph/keys/vault\n" in units["heliograph-ship"]
    assert "LoadCredential=vault-known-hosts:/etc/heliograph/keys/vault-known-hosts\n" in units["heliograph-ship"]
    assert "LoadCredential=" not in units["heliograph-node"] + units["heliograph-worker"]
    shut = {name: _setting(unit, "InaccessiblePaths") for name, unit in units.items()}
    assert "-/etc/heliograph/keys" in shut["heliograph-node"]
    assert shut["heliograph-worker"] == shut["heliograph-ship"] == "-/etc/heliograph/tls -/etc/heliograph/keys"


def test_the_services_token_is_in_a_folder_that_the_other_two_cannot_see(nodes: dict[str, Rendered]) -> None:
    hidden = f"InaccessiblePaths=/run/heliograph/{OWN_FOLDER}\n"
    seen_by = [name for name in MOST if hidden not in _unit(nodes["plain"], name)]
    assert seen_by == ["heliograph-node"]
    # what is not there when a unit starts is not hidden from it; in a namespace of its own it cannot go by /proc
    folders = nodes["plain"].contents("node")["/etc/tmpfiles.d/heliograph.conf"]
    assert f"d /run/heliograph/{OWN_FOLDER} 0700 heliograph heliograph -\n" in folders
    assert all("PrivateUsers=yes\n" in _unit(nodes["plain"], name) for name in MOST)


def test_the_shipper_reaches_what_it_is_allowed_to(nodes: dict[str, Rendered]) -> None:
    unit = _unit(nodes["networks"], "heliograph-ship")
    assert re.findall(r"^IPAddress\w+=.*$", unit, re.MULTILINE) == [
        "IPAddressDeny=any",
        "IPAddressAllow=192.0.2.0/24",
        "IPAddressAllow=localhost",
    ]


def test_a_worker_with_an_encoder_gets_that_device_alone(tmp_path: Path) -> None:
    wheel = tmp_path / "heliograph-1.2.3-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    given = {
        "node_wheel": str(wheel),
        "node_lock": str(ROOT / "locks/trixie.txt"),
        "node_worker_devices": ["/dev/video11"],
    }
    unit = _unit(render(tmp_path / "play", "node", given), "heliograph-worker")
    assert "DeviceAllow=/dev/video11 rw\n" in unit
    assert "PrivateDevices=yes" not in unit
    assert "DevicePolicy=closed\n" in unit


def test_a_shipper_without_targets_does_not_run(nodes: dict[str, Rendered]) -> None:
    def runs(node: str) -> bool:
        units = {unit["name"]: unit for unit in nodes[node].parts["node"]["units"]}
        return bool(units["heliograph-ship.service"]["started"])

    assert [runs(node) for node in NODES] == [False, False, True, True]


def _setting(unit: str, name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", unit, re.MULTILINE)
    assert found
    return found[1]
