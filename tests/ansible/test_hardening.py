from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.ansible.conftest import need_rights
from tests.ansible.parts import ROOT
from tests.ansible.wishes import NO_PI, PI_5, ZERO_2, Parts, Refused, made
from tests.lab import names as lab
from tests.lab import roots

ROLE = ROOT / "roles/hardening"
DROP_IN = "/etc/ssh/sshd_config.d/00-heliograph.conf"
RULES = "/etc/heliograph-host/firewall.nft"
SYSCTL = "/etc/sysctl.d/99-zz-heliograph.conf"
NEVER_OUT = {
    "usb-storage",
    "usb_storage",
    "uas",
    "uvcvideo",
    "videodev",
    "videobuf2_common",
    "media",
    "squashfs",
    "overlay",
}


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROLE / f"files/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pi(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return made(tmp_path_factory.mktemp("pi"), "hardening", ZERO_2, says="hardening_checks", hardening_usb_enabled=True)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Debian 12 on another machine, with settings of its own."""
    return made(
        tmp_path_factory.mktemp("other"),
        "hardening",
        NO_PI,
        "12",
        says="hardening_checks",
        hardening_management_nets=["192.0.2.0/24", "2001:db8::/32"],
        hardening_console_nets=["192.0.2.7"],
        hardening_ports=[{"name": "dns", "port": 53, "protocol": "udp"}],
        hardening_kernel_enabled="false",
        hardening_root_enabled=False,
        pki_ssh_host_certificate="/etc/ssh/ssh_host_ed25519_key-cert.pub",
        ansible_host="alpha.local",
    )


# --- what is made of the variables ------------------------------------------------------------------------------------


def test_each_item_is_a_part_that_its_switch_takes_away(pi: Parts, other: Parts) -> None:
    switches = set(yaml.safe_load((ROLE / "vars/main/items.yml").read_text())["hardening_switches"])
    assert {name.removeprefix("hardening:") for name in pi.named} == switches
    assert {f"hardening:{name}" for name in switches} - set(other.named) == {
        "hardening:kernel", "hardening:root", "hardening:wifi", "hardening:bluetooth", "hardening:usb",
    }  # fmt: skip


def test_sshd_takes_the_drop_in(pi: Parts, other: Parts, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for name, parts in (("debian-13", pi), ("debian-12", other)):
        lines = [f"HostKey {key}\n", parts.text(DROP_IN)]
        if name == "debian-13":  # this machine's sshd may be older than that host's
            lines[1] = lines[1].replace("mlkem768x25519-sha256,", "")
        config = tmp_path / name
        config.write_text("".join(lines))
        done = subprocess.run(_as_sshd("-T", "-f", str(config)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert {
            "passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin no", "maxauthtries 3",
            "logingracetime 30", "allowgroups heliograph-ssh", "x11forwarding no", "authenticationmethods publickey",
        } <= set(done.stdout.splitlines())  # fmt: skip
    assert "mlkem768x25519-sha256" in pi.text(DROP_IN)
    assert "mlkem768x25519-sha256" not in other.text(DROP_IN)


def _as_sshd(*words: str) -> list[str]:
    """Started by root it wants a folder that only the distribution's service makes."""
    return [
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs t /run && mkdir /run/sshd && exec "$@"',
        "sh",
        "/usr/sbin/sshd",
        *words,
    ]


def test_the_host_certificate_is_shown_where_there_is_one(pi: Parts, other: Parts) -> None:
    assert "HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub\n" in other.text(DROP_IN)
    assert "HostCertificate" not in pi.text(DROP_IN)


def test_a_play_without_the_role_pki_leaves_its_certificate_where_it_is(tmp_path: Path) -> None:
    """As harden.yml after site.yml, which does not know that role's defaults."""
    fact = {"model": None, "parts": {"pki": {"digest": "", "drifted": False}}}
    parts = made(tmp_path, "hardening", PI_5, ansible_local={"heliograph": fact})
    default = yaml.safe_load((ROOT / "roles/pki/defaults/main.yml").read_text())["pki_ssh_host_certificate"]
    assert f"HostCertificate {default}\n" in parts.text(DROP_IN)


def test_whom_ansible_logs_in_as_may_go_on_doing_so(pi: Parts) -> None:
    part = pi.named["hardening:ssh"]
    assert part["groups"] == ["heliograph-ssh"]
    assert part["users"] == [{"name": "pi", "groups": ["heliograph-ssh"]}]


def _nft(rules: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "--net", "nft", *words, "-f", str(rules)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="rules are read by root alone")
def test_nft_takes_the_rules_twice_and_refuses_broken_ones(pi: Parts, other: Parts, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    for parts in (pi, other):
        rules.write_text(parts.text(RULES))
        assert _nft(rules, "-c").returncode == 0
        rules.write_text(parts.text(RULES) * 2)
        assert _nft(rules).returncode == 0, _nft(rules).stderr
    rules.write_text(pi.text(RULES).replace("policy drop", "policy open"))
    assert _nft(rules, "-c").returncode != 0


def test_only_declared_ports_and_nets_are_let_in(other: Parts) -> None:
    text = other.text(RULES)
    ways = [" ".join(line.split()) for line in text.splitlines() if "dport" in line and "saddr" in line]
    assert ways == [
        "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
        "ip saddr { 192.0.2.0/24 } tcp dport 22 jump ssh",
        "ip6 saddr { 2001:db8::/32 } tcp dport 22 jump ssh",
        "ip saddr { 192.0.2.7 } tcp dport 8460 accept",
        "ip saddr { 192.0.2.0/24 } udp dport 53 accept",
        "ip6 saddr { 2001:db8::/32 } udp dport 53 accept",
        "ip saddr { 192.0.2.0/24 } udp dport 5353 accept",  # its name ends with .local
        "ip6 saddr { 2001:db8::/32 } udp dport 5353 accept",
    ]
    assert text.count("policy drop") == 2  # what comes in, and what would go through


def test_a_host_by_a_local_name_keeps_what_answers_it(pi: Parts, other: Parts) -> None:
    assert pi.units()["avahi-daemon.service"] == {
        "name": "avahi-daemon.service", "enabled": False, "started": False, "optional": True,
    }  # fmt: skip
    assert "avahi-daemon.service" not in other.units()


def test_every_kernel_key_is_one_and_may_be_missing(pi: Parts) -> None:
    lines = [line for line in pi.text(SYSCTL).splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"-[a-z][a-z0-9_.]+ = -?\d+", line) for line in lines)
    keys = {line[1:].split(" ")[0] for line in lines}
    assert len(keys) == len(lines)
    there = [key for key in keys if Path("/proc/sys", *key.split(".")).exists()]
    assert len(there) >= len(keys) - 3  # yama is no part of every kernel


def test_what_a_pi_refuses_or_needs_is_left_alone(pi: Parts) -> None:
    text = pi.text(SYSCTL)
    for word in ("mmap_rnd_bits", "accept_ra", "tcp_timestamps", "userns", "user_namespaces"):
        assert word not in text


def test_no_module_is_kept_out_that_a_camera_or_a_disk_needs(pi: Parts) -> None:
    text = pi.text("/etc/modprobe.d/heliograph.conf") + pi.text("/etc/modprobe.d/heliograph-bluetooth.conf")
    out = set(re.findall(r"^install (\S+) /bin/false$", text, re.MULTILINE))
    assert {"hfsplus", "sctp", "btusb"} <= out
    assert not out & NEVER_OUT
    assert not [name for name in out if name.startswith(("v4l2", "bcm2835", "snd", "brcm", "videobuf"))]


def test_the_watchdog_stays_below_what_a_pi_takes(pi: Parts, tmp_path: Path) -> None:
    text = pi.text("/etc/systemd/system.conf.d/50-heliograph-watchdog.conf")
    assert "RuntimeWatchdogSec=15\nRebootWatchdogSec=15\n" in text
    with pytest.raises(Refused, match="5 to 15 s"):
        made(tmp_path, "hardening", ZERO_2, hardening_watchdog_s=20)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"hardening_management_nets": []}, "hardening_management_nets"),
        ({"hardening_ssh_users": []}, "hardening_ssh_users"),
        ({"hardening_ssh_forwarding": "maybe"}, "hardening_ssh_forwarding"),
        ({"hardening_ports": [{"name": "dns"}]}, "port"),
        ({"hardening_firewall_confirm_s": 1}, "hardening_firewall_confirm_s"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, given: dict[str, object], named: str) -> None:
    with pytest.raises(Refused, match=named):
        made(tmp_path, "hardening", PI_5, **given)


@pytest.mark.lab
def test_sudo_takes_its_defaults_and_refuses_broken_ones(pi: Parts) -> None:
    text = pi.text("/etc/sudoers.d/00-heliograph")
    assert pi.file("/etc/sudoers.d/00-heliograph")["mode"] == "0440"
    assert pi.file("/etc/sudoers.d/00-heliograph")["check"] == ["visudo", "-c", "-f", "{}"]
    for suite, root in _roots().items():
        right, broken = _visudo(root, text), _visudo(root, text.replace("use_pty", "use_pty ="))
        assert (right.returncode, right.stdout, right.stderr) == (0, "stdin: parsed OK\n", ""), suite
        assert broken.returncode != 0, suite


def _roots() -> dict[str, Path]:
    """Of the lab's Debians: sudo as they have it."""
    need_rights()
    return roots.ready(set(lab.PYTHONS), lab.Place.given().cache)


def _visudo(root: Path, text: str) -> subprocess.CompletedProcess[str]:
    words = ["chroot", str(root), "/usr/sbin/visudo", "-c", "-f", "-"]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=False, timeout=60)


def test_the_checks_know_where_the_staged_file_is(pi: Parts) -> None:
    """place.py puts its path wherever {} stands: only once, and nowhere inside the guard."""
    for path in (DROP_IN, RULES):
        words = pi.file(path)["check"]
        assert [word for word in words if "{}" in word] == ["{}"]


# --- the report -------------------------------------------------------------------------------------------------------


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_report_names_every_item_switch_and_heading_once() -> None:
    report = (ROOT / "docs/hardening.md").read_text()
    items, headings = (_rows(part)[1:] for part in report.split("## By heading of the benchmark"))
    switches = yaml.safe_load((ROLE / "vars/main/items.yml").read_text())["hardening_switches"]
    assert [row[0] for row in items if row[0] in switches] == list(switches)
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    assert {f"hardening_{name}_enabled" for name in switches} <= set(defaults)
    tasks = yaml.safe_load((ROLE / "tasks/verify.yml").read_text())
    assert {tag for task in tasks for tag in task["tags"]} >= {f"hardening_{name}" for name in switches}
    assert list(yaml.safe_load((ROLE / "vars/main/items.yml").read_text())["hardening_promises"]) == list(switches)
    numbers = [row[0] for row in headings if row[0][0].isdigit()]
    assert len(numbers) == len(set(numbers)) == 27
    named = {number for row in items if row[0] in switches for number in re.findall(r"\d\.\d", row[2])}
    answered = {row[0]: row[2] for row in headings}
    assert all("`" in answered[number] for number in named), named
    for row in headings:
        for item in re.findall(r"`(\w+)`", row[2]):
            assert item in switches or (ROOT / "roles" / item).is_dir(), row


def test_the_report_says_what_stays_of_an_item_that_changes_more_than_files(pi: Parts) -> None:
    """Its own unit goes with its file."""
    report = (ROOT / "docs/hardening.md").read_text()
    told = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\* ((?:`\w+`(?:, )?)+):", report, re.MULTILINE)))
    lasting = {
        name.removeprefix("hardening:")
        for name, part in pi.named.items()
        if part.get("users") or part.get("groups") or not part.get("files")
        or any("heliograph" not in unit["name"] for unit in part.get("units", ()))
    }  # fmt: skip
    assert lasting == {"ssh", "root", "services", "usb"}
    assert lasting <= set(told)


# --- the guard --------------------------------------------------------------------------------------------------------


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = program("guard")
    config = tmp_path / "sshd_config"
    config.write_text("Include /etc/ssh/sshd_config.d/*.conf\n")
    monkeypatch.setattr(module, "SSHD", config)
    monkeypatch.setattr(module, "SSHD_SCRATCH", tmp_path)
    monkeypatch.setattr(module, "_said", lambda *_: [])
    return module


def _came(guard: ModuleType, monkeypatch: pytest.MonkeyPatch, connection: str, user: str = "root") -> None:
    monkeypatch.setattr(guard, "session", lambda: guard.Session.of({"SSH_CONNECTION": connection, "USER": user}))


@pytest.mark.parametrize(
    ("address", "nets", "refused"),
    [
        ("10.77.0.1", ["10.0.0.0/8"], False),
        ("10.77.0.1", ["192.168.0.0/16"], True),
        ("::ffff:10.77.0.1", ["10.0.0.0/8"], False),
        ("fe80::1%eth0", ["fe80::/10"], False),
        ("2001:db8::1", ["10.0.0.0/8"], True),
        ("10.77.0.1", ["10.77.0.1"], False),
    ],
)
def test_rules_that_shut_out_their_caller_are_refused(
    guard: ModuleType, monkeypatch: pytest.MonkeyPatch, address: str, nets: list[str], refused: bool
) -> None:
    _came(guard, monkeypatch, f"{address} 50000 10.77.0.11 22")
    said = list(guard.firewall("rules", "22", *nets))
    assert bool(said) == refused
    assert all("hardening_management_nets" in line for line in said)


def test_rules_for_another_port_of_sshd_are_refused(guard: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    _came(guard, monkeypatch, "10.0.0.1 50000 10.0.0.2 2222")
    assert "hardening_ssh_port" in next(guard.firewall("rules", "22", "10.0.0.0/8"))


def test_who_came_by_no_ssh_is_not_shut_out(guard: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    _came(guard, monkeypatch, "")
    assert list(guard.firewall("rules", "22", "192.0.2.0/24")) == []
    assert list(guard.ssh("drop-in", "heliograph-ssh", "pi")) == []


def test_root_and_who_has_no_key_are_told_before_they_are_shut_out(
    guard: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _came(guard, monkeypatch, "10.0.0.1 50000 10.0.0.2 22")
    monkeypatch.setattr(guard, "_has_keys", lambda _: False)
    said = list(guard.ssh("drop-in", "heliograph-ssh", "pi"))
    assert "bootstrap" in said[0]
    assert "authorized_keys" in said[1]


def test_who_will_be_in_the_group_is_not_shut_out(guard: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    _came(guard, monkeypatch, "10.0.0.1 50000 10.0.0.2 22", user="daemon")
    monkeypatch.setattr(guard, "_has_keys", lambda _: True)
    assert list(guard.ssh("drop-in", "heliograph-ssh", "daemon,pi")) == []
    assert "hardening_ssh_users" in next(guard.ssh("drop-in", "heliograph-ssh", "pi"))
    assert list(guard.ssh("drop-in", "daemon", "pi")) == []


def test_an_sshd_that_reads_no_drop_ins_is_told(guard: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    _came(guard, monkeypatch, "")
    guard.SSHD.write_text("# Include /etc/ssh/sshd_config.d/*.conf\nPasswordAuthentication yes\n")
    assert "Include" in next(guard.ssh("drop-in", "heliograph-ssh", "pi"))


def test_keys_are_lines_that_are_no_remarks(guard: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "authorized_keys"
    assert not guard._has_keys(path)
    path.write_text("# none\n\n")
    assert not guard._has_keys(path)
    path.write_text("ssh-ed25519 AAAA pi\n")
    assert guard._has_keys(path)


def test_the_session_is_found_behind_sudo(tmp_path: Path) -> None:
    """As on a host: sudo has cleared the environment of what it started."""
    code = f"import sys; sys.path.insert(0, {str(ROLE / 'files')!r}); import guard; print(guard.session().address)"
    inner = f"env -i {sys.executable} -c {code!r}; true"
    shell = os.environ | {"SSH_CONNECTION": "10.9.8.7 50000 10.0.0.2 22", "USER": "pi"}
    done = subprocess.run(["sh", "-c", inner], env=shell, capture_output=True, text=True, check=True)
    assert done.stdout == "10.9.8.7\n"


# --- rules on trial ---------------------------------------------------------------------------------------------------


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, list[tuple[str, ...]]]:
    module, ran = program("firewall"), []

    def run(*words: str, check: bool = False, said: int | None = None) -> int:
        ran.append((Path(words[0]).name, *words[1:]))
        return 0

    monkeypatch.setattr(module, "_run", run)
    monkeypatch.setattr(module, "connection", lambda: "SSH_CONNECTION=first")
    rules = module.Rules.below(str(tmp_path))
    rules.wanted.parent.mkdir(parents=True)
    rules.wanted.write_text("new rules")
    monkeypatch.setattr(module, "below", rules, raising=False)
    return module, ran


Trial = tuple[ModuleType, list[tuple[str, ...]]]


def test_the_way_back_is_laid_before_the_first_step(trial: Trial) -> None:
    module, ran = trial
    assert module.attempt(module.below, "120") == 0
    names = [words[0] for words in ran]
    assert names.index("systemd-run") < names.index("nft")
    (laid,) = (words for words in ran if words[0] == "systemd-run")
    assert {"--on-active=120", "--timer-property=AccuracySec=1s"} <= set(laid)  # else it may be a minute late
    assert not module.below.kept.exists()


def test_a_new_connection_confirms_and_the_old_one_does_not(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = trial
    module.attempt(module.below, "120")
    assert module.confirm(module.below) == module.SAME_CONNECTION
    assert not module.below.kept.exists()
    monkeypatch.setattr(module, "connection", lambda: "SSH_CONNECTION=second")
    assert module.confirm(module.below) == 0
    assert module.below.kept.read_text() == "new rules"
    assert module.confirm(module.below) == 0  # once more is no harm


def test_rules_that_nobody_confirmed_go_and_are_seen_to_be_missing(trial: Trial) -> None:
    module, ran = trial
    module.below.kept.parent.mkdir(parents=True)
    module.below.kept.write_text("old rules")
    module.attempt(module.below, "120")
    assert module.undo(module.below) == 0
    assert not module.below.wanted.exists()
    assert ran[-1] == ("nft", "-f", str(module.below.kept))
    assert module.confirm(module.below) == module.NOTHING_ON_TRIAL


def test_the_first_rules_of_all_leave_none_when_they_are_undone(trial: Trial) -> None:
    module, ran = trial
    module.attempt(module.below, "120")
    module.undo(module.below)
    assert ran[-1] == ("nft", module.NONE_LEFT)


def test_a_power_cut_during_a_trial_ends_it(trial: Trial) -> None:
    """/run is empty then; what was confirmed is loaded."""
    module, ran = trial
    module.attempt(module.below, "120")
    assert module.start(module.below) == 0  # the unit starts during the trial: nothing changes
    assert module.below.wanted.exists()
    module.below.trial.unlink()
    module.start(module.below)
    assert not module.below.wanted.exists()
    assert ran[-1] == ("nft", module.NONE_LEFT)


def test_confirmed_rules_are_loaded_at_the_next_start(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    module, ran = trial
    module.attempt(module.below, "120")
    monkeypatch.setattr(module, "connection", lambda: "")
    module.confirm(module.below)
    ran.clear()
    module.start(module.below)
    assert ran == [("nft", "-f", str(module.below.kept))]
    assert module.below.wanted.exists()
    module.stop(module.below)
    assert ran[-1] == ("nft", module.NONE_LEFT)


# --- looking at a host ------------------------------------------------------------------------------------------------


def _looked(checks: list[dict[str, object]]) -> dict[str, list[str]]:
    words = [sys.executable, str(ROLE / "files/look.py")]
    done = subprocess.run(words, input=json.dumps(checks), capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_what_is_otherwise_is_told_with_what_to_do() -> None:
    say = {"item": "ssh", "argv": ["printf", "a yes\nb no\n"], "remedy": "do it"}
    assert _looked([{**say, "wants": ["^a yes$"], "refuses": ["^b yes"]}]) == {"ssh": []}
    assert _looked([{**say, "wants": ["^a no$"]}])["ssh"][0].startswith("nothing like ^a no$")
    assert _looked([{**say, "refuses": ["^b"]}])["ssh"] == ["there is b no in `printf a yes\nb no\n`: do it"]
    assert _looked([{"item": "usb", "argv": ["/no/such"], "wants": ["^active$"], "remedy": "r"}])["usb"]


def _checks(parts: Parts, item: str, *argv: str) -> list[dict[str, object]]:
    """As the role renders them, asking something else."""
    return [{**check, "argv": argv} for check in parts.said if check["item"] == item]


def test_the_checks_of_the_kernel_see_a_wrong_key_and_pass_over_a_missing_one(pi: Parts) -> None:
    keys: dict[str, int] = yaml.safe_load((ROLE / "vars/main/kernel.yml").read_text())["hardening_kernel_keys"]
    right = "".join(f"{key} = {value}\n" for key, value in list(keys.items())[1:])
    assert _looked(_checks(pi, "kernel", "printf", right)) == {"kernel": []}
    for wrong in ("kernel.sysrq = 438", "kernel.sysrq = 00", "kernelxsysrq = 0"):
        assert wrong in _looked(_checks(pi, "kernel", "printf", f"{right}{wrong}\n"))["kernel"][0]


ADDED = (
    "tcp dport 80 accept",
    "tcp dport { 80, 8460 } accept",
    "ip saddr 192.0.2.7 tcp dport 80 accept",
    "ip saddr 192.0.2.7 accept",
    "tcp dport 8460 accept",
    "tcp dport vmap { 99 : accept }",
    "tcp dport 80 jump ssh",
    "tcp dport 80 goto ssh",
    "ct state new accept",
    "accept",
)


@pytest.mark.skipif(os.geteuid() != 0, reason="rules are read by root alone")
@pytest.mark.parametrize("added", ["", *ADDED])
def test_the_check_of_the_firewall_sees_what_others_let_in(pi: Parts, other: Parts, tmp_path: Path, added: str) -> None:
    for parts in (pi, other):
        said = _looked(_checks(parts, "firewall", "printf", "%s", _listed(parts, tmp_path / "rules", added)))
        assert len(said["firewall"]) == bool(added), said
        assert all(added.split(" ", maxsplit=1)[0] in line for line in said["firewall"])


def _listed(parts: Parts, rules: Path, added: str) -> str:
    """What nft says of the rules, with one that somebody has added."""
    rules.write_text(parts.text(RULES) + (f"add rule inet heliograph input {added}\n" if added else ""))
    script = 'nft -f "$1" && nft list chain inet heliograph input'
    words = ["unshare", "--net", "sh", "-c", script, "sh", str(rules)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
