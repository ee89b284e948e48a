"""Releases on a host that boots: up, and back again where one crashes, is blind, or is cut off from everybody."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import Site
from tests.ansible.hosts_books import now_us, read, said_kept, seen
from tests.lab.host import Host, until
from tests.lab.lab import Played

pytestmark = pytest.mark.lab

NODE = "alpha"
GOOD, CRASHING, BLIND = "9.0.1", "9.0.2", "9.0.3"
SERVICE = "def _run(given: argparse.Namespace) -> int:\n"
SHOT = "        fault = script.fault_at(scene.faults, self._count)\n"
EDITS = {
    GOOD: ("node/cli.py", SERVICE, ""),
    CRASHING: ("node/cli.py", SERVICE, "    raise SystemExit(3)\n"),
    BLIND: ("node/camera/synthetic.py", SHOT, '        raise CameraFault("it sees nothing")\n'),
}
"""After which line of which file what is put in."""
QUICK = {"node_trial": {"ready_s": 40, "least_s": 60, "again_s": 4, "placed_s": 120, "wait_s": 300}}
ENOUGH = 12
"""Frames of before, to be compared with."""
STATE = "/var/lib/heliograph-host"
Json = dict[str, Any]


def variant(source: Path, folder: Path, version: str) -> Path:
    """The tree's wheel under another version, with one more line."""
    old, path = source.name.split("-")[1], folder / f"heliograph-{version}-py3-none-any.whl"
    name, line, more = EDITS[version]
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(path, "w") as made:
        texts = {
            each.replace(f"-{old}.dist-info", f"-{version}.dist-info"): given.read(each) for each in given.namelist()
        }
        assert line.encode() in texts[name]
        texts[name] = texts[name].replace(line.encode(), (line + more).encode())
        texts["node/__init__.py"] = texts["node/__init__.py"].replace(old.encode(), version.encode())
        about = f"heliograph-{version}.dist-info"
        texts[f"{about}/METADATA"] = texts[f"{about}/METADATA"].replace(
            f"Version: {old}".encode(), f"Version: {version}".encode()
        )
        texts[f"{about}/RECORD"] = "".join(f"{each},,\n" for each in texts).encode()
        for each, text in texts.items():
            made.writestr(each, text)
    return path


@dataclass(frozen=True, slots=True)
class Fleet:
    """One host, and the wheels that are tried on it."""

    site: Site
    host: Host
    wheels: Path
    quick: Path
    first: str

    def play(self, playbook: str, *options: str) -> Played:
        return self.site.lab.play(playbook, "--limit", NODE, "-e", f"@{self.quick}", *options)

    def release(self, version: str) -> Played:
        return self.play("release", "-e", f"node_wheel={self.wheels}/heliograph-{version}-py3-none-any.whl")

    def word(self) -> Json:
        """What the keeper says, whether or not there is a network."""
        word: Json = json.loads(self.host.inside(["cat", f"{STATE}/release.json"]).stdout)
        return word

    def runs(self) -> str:
        """The one release of which link, unit and service are; raises AssertionError where they are of two."""
        node = seen(self.site, NODE)["status"]["version"]
        unit = "/etc/systemd/system/heliograph-node.service"
        shown = f"readlink /opt/heliograph/current; sed -n 's/# Release \\([^ ]*\\) .*/\\1/p' {unit}"
        link, unit = self.host.inside(shown).stdout.split()
        assert (link.removeprefix("releases/"), unit) == (node, node)
        return str(node)

    def is_settled(self) -> bool:
        return self.host.inside(f"test -e {STATE}/trial.json", check=False).returncode == 1

    def unexplained(self, since_us: int) -> list[str]:
        """Slots that are neither a frame nor a gap with its reason."""
        return read(self.host, since_us).wrong


@pytest.fixture(scope="module")
def fleet(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A host that has frames enough of before; afterwards it is as the inventory wants it."""
    folder = tmp_path_factory.mktemp("releases")
    source = next(site.lab.place.wheels("trixie").glob("heliograph-*.whl"))
    for version in EDITS:
        variant(source, folder, version)
    (folder / "quick.json").write_text(json.dumps(QUICK))
    host = site.lab.host(NODE)
    made = Fleet(site, host, folder, folder / "quick.json", source.name.split("-")[1])
    until(lambda: len(said_kept(host, site.lab)) >= ENOUGH, 200)
    yield made
    host.inside(f"rm -f {STATE}/release.json")
    back = site.lab.play("site", "--limit", NODE)
    assert back.rc == 0, back.stdout


def in_the_background(work: Callable[[], Played]) -> Any:
    threads = ThreadPoolExecutor(1)
    try:
        return threads.submit(work)
    finally:
        threads.shutdown(wait=False)


def test_a_release_proves_itself_and_no_frame_is_lost(fleet: Fleet, told: Callable[[str], None]) -> None:
    kept, since_us = said_kept(fleet.host, fleet.site.lab), now_us()
    played = fleet.release(GOOD)
    assert played.rc == 0, played.stdout
    told(f"a release to a host, built and proved: {played.seconds:.0f} s")
    assert (fleet.word()["state"], fleet.runs()) == ("confirmed", GOOD)
    assert kept.items() <= said_kept(fleet.host, fleet.site.lab).items()
    until(lambda: not fleet.unexplained(since_us), 60)
    again = fleet.release(GOOD)
    assert (again.rc, again.changed) == (0, {NODE: 0}), again.stdout


def test_one_whose_service_crashes_is_gone_within_a_minute_and_fails_the_play(fleet: Fleet) -> None:
    since_us = now_us()
    played = fleet.release(CRASHING)
    assert played.rc != 0
    said = " ".join(played.stdout.split())
    assert f"release {CRASHING} was rolled back; {GOOD} runs: unit heliograph-node is failed" in said
    assert "When a release was rolled back" in said
    assert (fleet.word()["state"], fleet.runs()) == ("rolled_back", GOOD)
    assert seen(fleet.site, NODE)["status"]["release"]["state"] == "rolled_back"
    until(lambda: not fleet.unexplained(since_us), 30)


def test_a_blind_one_goes_back_without_network_and_over_a_power_cut(fleet: Fleet) -> None:
    kept, since_us, before = said_kept(fleet.host, fleet.site.lab), now_us(), fleet.runs()
    playing = in_the_background(lambda: fleet.release(BLIND))
    until(lambda: BLIND in fleet.host.inside("readlink /opt/heliograph/current").stdout, 180)
    fleet.host.link(up=False)
    played = playing.result(timeout=120)
    assert played.unreachable == {NODE: 1}, played.stdout
    fleet.host.link(up=True)
    fleet.host.power_cut()
    fleet.host.start()
    until(fleet.is_settled, 120)
    word = fleet.word()
    assert (word["state"], word["version"], word["previous"]) == ("rolled_back", BLIND, before)
    assert "camera main" in word["reason"]
    until(lambda: seen(fleet.site, NODE)["status"] is not None, 60)
    assert fleet.runs() == before
    assert kept.items() <= said_kept(fleet.host, fleet.site.lab).items()
    until(lambda: not fleet.unexplained(since_us), 60)


def test_an_operator_goes_back_while_the_power_goes(fleet: Fleet) -> None:
    kept = said_kept(fleet.host, fleet.site.lab)
    playing = in_the_background(lambda: fleet.play("rollback", "-e", f"rollback_to={fleet.first}"))
    until(lambda: fleet.first in fleet.host.inside("readlink /opt/heliograph/current").stdout, 60)
    fleet.host.power_cut()
    fleet.host.start()
    playing.result(timeout=120)
    until(fleet.is_settled, 120)
    assert (fleet.word()["state"], fleet.runs()) == ("confirmed", fleet.first)
    again = fleet.play("rollback", "-e", f"rollback_to={fleet.first}")
    assert (again.rc, again.changed) == (0, {NODE: 0}), again.stdout
    assert kept.items() <= said_kept(fleet.host, fleet.site.lab).items()
