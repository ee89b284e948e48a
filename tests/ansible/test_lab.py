"""The lab itself: what it makes boots, obeys, and leaves nothing; counted from the kernel's own lists."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible.conftest import need_rights, place
from tests.lab import calls
from tests.lab.guest import Options
from tests.lab.host import Host
from tests.lab.lab import Lab, running
from tests.lab.names import CONTROL, MACHINES, ROOT, USUAL, Place, Refused

NOBODY = 65534
DISK = "/srv/small"
SENT = 200
DATAGRAMS = f"""
import socket
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range({SENT}):
    line.sendto(b"?", ("{CONTROL}", 9))
"""
LAST_WORD = "systemd-run --quiet --unit=last --property=ExecStop='/bin/touch {path}' sleep 600"
RUN = """
import time
from tests.lab.lab import Lab, running
from tests.lab.names import Place
with running(Lab(Place.given()), "alpha"):
    print("up", flush=True)
    time.sleep(600)
"""


def _traces(place: Place) -> dict[str, list[str]]:
    """What of a lab this machine has: processes, mounts, control groups."""
    word = str(place.folder)
    return {
        "processes": [str(path) for path in Path("/proc").glob("[0-9]*/cmdline") if word in _text(path)],
        "members": [
            str(path) for path in Path("/proc").glob("[0-9]*/cgroup") if place.cgroup in _text(path) and _lives(path)
        ],
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if word in line],
        "groups": _groups(place),
    }


def _lives(path: Path) -> bool:
    """Not one that is over, and waits for its parent to hear of it."""
    return "\nState:\tZ" not in _text(path.with_name("status"))


def _groups(place: Place) -> list[str]:
    seen = ["unshare", "--mount", "sh", "-euc", "mount -t cgroup2 cgroup2 /mnt; find /mnt -type d"]
    found = subprocess.run(seen, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in found if place.cgroup in path]


def _networks() -> set[str]:
    """All that a process is in."""
    return {network for path in Path("/proc").glob("[0-9]*/ns/net") if (network := _link(path))}


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


NOTHING: dict[str, list[str]] = {"processes": [], "members": [], "mounts": [], "groups": []}


@pytest.fixture
def own() -> Iterator[Lab]:
    """A lab beside the one of the session, with nothing in it yet."""
    need_rights()
    made = Lab(place("own"))
    made.down()
    yield made
    made.down()


@pytest.fixture(scope="module")
def faulty() -> Iterator[Lab]:
    """Two hosts with disks that can be filled, and can fail."""
    need_rights()
    options = {"alpha": Options(card="1g"), "charlie": Options(disks={DISK: "4m"})}
    with running(Lab(place("faulty")), *options, options=options) as made:
        yield made


pytestmark = pytest.mark.lab


def test_hosts_answer_by_name_as_fresh_cards_do(lab: Lab) -> None:
    for name in USUAL:
        host = lab.host(name)
        said = host.run(
            "hostname; sudo -n id -u; id -un; systemctl is-system-running --wait; cat /etc/debian_version"
        ).stdout
        major = {"trixie": "13", "bookworm": "12"}[host.machine.suite]
        assert re.fullmatch(rf"{name}\n0\npi\nrunning\n{major}\.\d+\n", said)
    ids = {lab.host(name).run("cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub").stdout for name in USUAL}
    assert len(ids) == len(USUAL)


def test_their_addresses_are_in_a_network_of_their_own(lab: Lab) -> None:
    for name in USUAL:
        assert f"{MACHINES[name].address}/24" in lab.host(name).run("ip -brief address show host0").stdout
    here = subprocess.run(["ip", "-brief", "address"], capture_output=True, text=True, check=True).stdout
    assert "10.77.0." not in here
    assert "10.77.0.1/24" in lab.control(["ip", "-brief", "address"]).stdout


def test_ansible_reaches_them_without_a_question(lab: Lab) -> None:
    done = lab.ansible(["ansible", "-i", str(lab.place.inventory), "fleet", "-m", "ansible.builtin.ping"])
    assert done.rc == 0, done.stdout + done.stderr
    assert done.stdout.count("pong") == len(USUAL)


def test_the_way_in_from_this_machine_is_an_ssh_jump(lab: Lab) -> None:
    command = ["ssh", "-F", str(lab.place.ssh_config), "-J", "control", "bravo", "hostname"]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout == "bravo\n"


def test_a_stranger_in_the_place_of_a_host_is_refused(lab: Lab) -> None:
    bravo = lab.host("bravo")
    bravo.inside("mkdir /root/old && mv /etc/ssh/ssh_host_* /root/old && ssh-keygen -qA && systemctl restart ssh")
    try:
        refused = bravo.run("true", check=False)
        assert refused.returncode == 255
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr or "verification failed" in refused.stderr
    finally:
        bravo.inside("mv -f /root/old/* /etc/ssh/ && rmdir /root/old && systemctl restart ssh")
    bravo.ready()
    bravo.run("true")


def test_a_reboot_gives_a_new_boot_and_keeps_files(lab: Lab) -> None:
    host = lab.host("charlie")
    before = host.boot_id()
    host.run("echo kept >/home/pi/kept")
    host.reboot()
    assert host.boot_id() != before
    assert host.run("cat /home/pi/kept").stdout == "kept\n"


def test_a_power_cut_gives_nobody_a_last_word_and_keeps_files(lab: Lab) -> None:
    host = lab.host("alpha")
    before = host.boot_id()
    host.run("echo kept >/home/pi/kept")
    host.inside(LAST_WORD.format(path="/home/pi/said"))
    host.power_cut()
    assert not host.state()["running"]
    with pytest.raises(Refused, match="alpha is off"):
        host.inside("true")
    host.start()
    assert host.boot_id() != before
    assert host.run("cat /home/pi/kept; ls /home/pi").stdout == "kept\nkept\n"


def test_an_orderly_shutdown_lets_them_speak(lab: Lab) -> None:
    host = lab.host("alpha")
    host.inside(LAST_WORD.format(path="/home/pi/stopped"))
    host.power_off()
    host.start()
    assert "stopped" in host.run("ls /home/pi").stdout


def test_what_is_running_is_left_alone_by_another_up(lab: Lab) -> None:
    before = lab.host("alpha").boot_id()
    lab.up("alpha")
    assert lab.host("alpha").boot_id() == before


def test_a_cable_is_pulled_and_put_back(lab: Lab) -> None:
    host = lab.host("bravo")
    host.link(up=False)
    try:
        assert host.run("true", check=False).returncode == 255
        assert host.inside("hostname").stdout == "bravo\n"
        assert lab.host("alpha").run("hostname").stdout == "alpha\n"
    finally:
        host.link(up=True)
    host.ready()
    assert host.run("hostname").stdout == "bravo\n"


def test_a_port_becomes_a_black_hole(lab: Lab) -> None:
    host = lab.host("bravo")
    host.black_hole(22)
    try:
        assert host.run("true", check=False).returncode == 255
    finally:
        host.black_hole(None)
    assert host.run("hostname").stdout == "bravo\n"


def test_a_thin_line_is_thin(lab: Lab) -> None:
    host = lab.host("bravo")
    given = "x" * 400_000
    host.bandwidth("1mbit")
    began = time.monotonic()
    try:
        assert host.run("wc -c", given=given).stdout == "400000\n"
    finally:
        host.bandwidth(None)
    assert time.monotonic() - began > 400_000 * 8 / 1_000_000 / 2
    assert host.run("wc -c", given=given).stdout == "400000\n"


def test_packets_are_lost_and_counted(lab: Lab) -> None:
    host = lab.host("bravo")
    host.loss(30)
    try:
        assert 0.4 * SENT < came(lab, host) < SENT
        assert "table bridge loss_bravo" in lab.control(["nft", "list", "tables"]).stdout
    finally:
        host.loss(0)
    assert came(lab, host) >= SENT
    assert "loss_bravo" not in lab.control(["nft", "list", "tables"]).stdout


def came(lab: Lab, host: Host) -> int:
    """Of so many datagrams that it sends."""
    before = unheard(lab)
    host.inside(["python3", "-c", DATAGRAMS])
    return unheard(lab) - before


def unheard(lab: Lab) -> int:
    """Datagrams that have come to the control host, where nobody listens."""
    lines = lab.control(["cat", "/proc/net/snmp"]).stdout.splitlines()
    names, numbers = (line.split() for line in lines if line.startswith("Udp:"))
    return int(dict(zip(names, numbers, strict=True))["NoPorts"])


def test_debian_is_in_reach_and_the_rest_of_the_world_is_not(lab: Lab) -> None:
    host = lab.host("alpha")
    host.run("sudo apt-get update -qq && apt-get download -qq hello && ls hello_*.deb", within_s=300)
    assert host.run("curl -s --max-time 3 http://192.0.2.1/", check=False).returncode != 0


@pytest.mark.parametrize("name", ["alpha", "charlie"])
def test_all_that_a_node_needs_is_among_the_wheels_of_the_host(lab: Lab, name: str) -> None:
    host = lab.host(name)
    install = "/tmp/venv/bin/pip install --dry-run --no-index --find-links /srv/wheels 'heliograph[node]'"
    said = host.run(f"python3 -m venv /tmp/venv && {install}", within_s=300).stdout
    assert "Would install" in said
    assert "heliograph-" in said
    refused = host.run("sudo touch /srv/wheels/x", check=False)
    assert "Read-only" in refused.stderr


def test_the_archive_host_lets_in_whom_it_knows(lab: Lab) -> None:
    host, shelf = lab.host("alpha"), lab.shelf
    host.run("rm -f key key.pub && ssh-keygen -q -t ed25519 -N '' -f key && cat >known", given=shelf.known_hosts)
    way = f"ssh -p {shelf.port} -i key -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=known"
    send = f"echo light >frame && rsync -e '{way}' frame {shelf.user}@{shelf.address}:{shelf.store}/"
    assert host.run(send, check=False).returncode != 0
    shelf.let_in(host.run("cat key.pub").stdout)
    host.run(send)
    assert (shelf.store / "frame").read_text() == "light\n"


def test_a_spare_is_as_fresh_as_the_first_time(lab: Lab) -> None:
    spare = lab.spare()
    spare.run("echo old >/home/pi/old")
    key = spare.first_keys()
    again = lab.spare()
    assert again.run("ls /home/pi").stdout == ""
    assert again.first_keys() != key


def test_a_full_disk_is_full_and_outlives_a_power_cut(faulty: Lab) -> None:
    host = faulty.host("charlie")
    full = host.inside(f"dd if=/dev/zero of={DISK}/all bs=1M count=8", check=False)
    assert "No space left on device" in full.stderr
    host.power_cut()
    host.start()
    assert host.inside(f"stat -c %s {DISK}/all").stdout == "4194304\n"
    host.read_only(DISK)
    assert "Read-only file system" in host.inside(f"touch {DISK}/x", check=False).stderr
    host.read_only(DISK, on=False)
    host.inside(f"rm {DISK}/all; touch {DISK}/x")


def test_a_card_fails_under_a_running_host_and_is_whole_after_the_next_boot(faulty: Lab) -> None:
    host = faulty.host("alpha")
    host.run("echo kept >/home/pi/kept; sync")
    faulty.host("charlie").reboot()  # a host that begins meanwhile does not keep the card in use
    host.card_error()
    assert "Read-only file system" in host.run("touch /home/pi/x; sudo touch /etc/x", check=False).stderr
    assert host.run("cat /home/pi/kept").stdout == "kept\n"
    host.power_cut()
    host.start()
    assert host.run("touch /home/pi/x && cat /home/pi/kept").stdout == "kept\n"


def test_a_second_run_of_tests_does_not_end_the_first(faulty: Lab) -> None:
    with pytest.raises(Refused, match="another run of tests"), running(Lab(faulty.place), "alpha"):
        pytest.fail("two runs in one lab")
    assert faulty.host("alpha").run("hostname").stdout == "alpha\n"


def test_a_host_without_a_card_of_its_own_says_so(lab: Lab) -> None:
    with pytest.raises(Refused, match="alpha was started without a card"):
        lab.host("alpha").card_error()


def test_a_host_that_does_not_run_is_told_in_a_line(lab: Lab) -> None:
    host = lab.host("bravo")
    host.power_cut()
    try:
        with pytest.raises(Refused, match="bravo does not run"):
            host.ready(5)
        host.start(wait=False)
        host.power_cut()
        with pytest.raises(Refused, match="bravo does not run"):
            host.ready(5)
    finally:
        host.start()


def test_two_labs_have_the_same_addresses_and_do_not_meet_and_down_takes_no_more_than_its_own(
    lab: Lab, own: Lab
) -> None:
    other = lab.host("alpha")
    before = other.boot_id()
    own.up("alpha")
    assert own.host("alpha").run("cat /etc/machine-id").stdout != other.run("cat /etc/machine-id").stdout
    leaves_nothing(own)
    assert other.boot_id() == before
    assert other.run("hostname").stdout == "alpha\n"


def leaves_nothing(own: Lab) -> None:
    """Not even a process of the control host, once it is down."""
    network = str(Path(f"/proc/{calls.found(own.place)}/ns/net").readlink())
    background = subprocess.Popen(own.inside(["sleep", "600"]), cwd=ROOT)
    found = _traces(own.place)
    assert {name for name, traces in found.items() if traces} == {"processes", "members", "groups"}
    assert network in _networks()
    own.down()
    assert background.wait(30) == -signal.SIGKILL
    assert _traces(own.place) == NOTHING
    assert network not in _networks()
    own.down()


def test_a_killed_up_leaves_what_down_ends(own: Lab) -> None:
    environment = {**os.environ, "HELIOGRAPH_LAB": str(own.place.folder)}
    up = subprocess.Popen([sys.executable, "-m", "tests.lab", "up", "alpha"], cwd=ROOT, env=environment)
    _until(lambda: calls.keeper(own.place) is not None)
    up.kill()
    up.wait()
    own.down()
    assert _traces(own.place) == NOTHING


def test_a_keeper_that_is_killed_takes_all_with_it_and_up_begins_anew(own: Lab) -> None:
    own.up("alpha")
    os.kill(calls.found(own.place), signal.SIGKILL)
    _until(lambda: not _traces(own.place)["processes"])
    with pytest.raises(Refused, match="no lab is up"):
        own.state()
    own.up("alpha")
    assert own.host("alpha").run("hostname").stdout == "alpha\n"


def test_a_run_of_tests_that_is_killed_takes_its_hosts_with_it(own: Lab) -> None:
    run = [sys.executable, "-c", RUN]
    environment = {**os.environ, "HELIOGRAPH_LAB": str(own.place.folder)}
    with subprocess.Popen(run, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert _traces(own.place)["processes"]
        process.kill()
    _until(lambda: not _traces(own.place)["processes"])
    assert _traces(own.place)["mounts"] == []


def test_an_unknown_host_is_named_before_anything_is_made(own: Lab) -> None:
    with pytest.raises(Refused, match="no such host: zulu; there are alpha, bravo"):
        own.up("alpha", "zulu")
    assert calls.keeper(own.place) is None


def _until(holds: object) -> None:
    assert callable(holds)
    deadline, pause = time.monotonic() + 60, threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.05)
