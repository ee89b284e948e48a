"""What the lab says where it cannot be, and the parts of it that need no host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import calls, needs, roots, wheels
from tests.lab.host import Host
from tests.lab.lab import RECAP, Lab
from tests.lab.locks import session
from tests.lab.names import INVENTORY, LINK, LONGEST, MACHINES, ROOT, USUAL, Place, Refused
from tests.lab.ways import ssh_config

NOBODY = 65534
RECAPPED = """
PLAY RECAP *********************************************************************
alpha                      : ok=31   changed=12   unreachable=0    failed=0    skipped=3    rescued=0    ignored=0
charlie                    : ok=2    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "lab", tmp_path / "cache")


def _said(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HELIOGRAPH_LAB": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "tests.lab", *command.split()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_who_is_not_root_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs.os, "geteuid", lambda: NOBODY)
    with pytest.raises(Refused, match=r"^the lab makes machines: run it as root$"):
        needs.check()


def test_a_program_that_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs.os, "geteuid", lambda: 0)
    monkeypatch.setattr(needs, "PATH", "/nowhere")
    with pytest.raises(Refused, match=r"^missing: systemd-nspawn, mmdebstrap, .*: run 'make deps' as root on Debian$"):
        needs.check()


def test_a_kernel_without_overlays_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "FILE_SYSTEMS", ("tmpfs", "overlayfoo"))
    with pytest.raises(Refused, match="this kernel has no overlayfoo"):
        needs._kernel()


def test_missing_rights_are_told_with_the_kernels_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "TRY", ["sh", "-c", "echo 'unshare failed: Operation not permitted' >&2; exit 1"])
    with pytest.raises(Refused, match=r"may not make namespaces here: unshare failed: Operation not permitted"):
        needs._rights()


def test_a_refusal_is_one_line_and_code_69(tmp_path: Path) -> None:
    for command in ("status", "run -- true"):
        done = _said(command, tmp_path / "none")
        assert (done.returncode, done.stdout) == (69, "")
        assert re.fullmatch(r"lab: .*\n", done.stderr)


def test_a_folder_that_no_socket_fits_into_is_refused(tmp_path: Path) -> None:
    for folder in (Path("/x" * LONGEST), Path("/var/tmp/with space"), Path("/var/tmp/a,b")):
        with pytest.raises(Refused, match="at most 60 plain characters"):
            Lab(Place(folder, tmp_path))


def test_down_where_nothing_is_says_nothing_and_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Lab, "_end", lambda lab: pytest.fail("there is nothing to end"))
    place = Place(Path("/var/tmp/heliograph-lab-never"), tmp_path)
    Lab(place).down()
    assert not place.folder.exists()


def test_nobody_listens_where_no_lab_is(place: Place) -> None:
    assert calls.keeper(place) is None
    with pytest.raises(Refused, match=r"no lab is up in .*: python -m tests.lab up"):
        Host(MACHINES["alpha"], place).power_cut()


def test_one_run_of_tests_at_a_time_has_a_lab(place: Place) -> None:
    with session(place), pytest.raises(Refused, match="set HELIOGRAPH_LAB"), session(place):
        pytest.fail("two at once")
    with session(place):
        pass


def test_labs_of_two_folders_have_groups_of_their_own(tmp_path: Path) -> None:
    names = {Place(tmp_path / name / "lab", tmp_path).cgroup for name in ("a", "b")}
    assert len(names) == 2
    assert all(name.startswith("heliograph-lab-lab-") for name in names)


def test_a_root_is_built_anew_each_week_and_when_its_recipe_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monday, sunday, next_monday = (time.strptime(f"2026-11-{day}", "%Y-%m-%d") for day in (16, 22, 23))
    name = roots.name_of("trixie", monday)
    assert name.startswith("trixie-2026w47-")
    assert roots.name_of("trixie", sunday) == name
    assert roots.name_of("trixie", next_monday) != name
    assert roots.name_of("bookworm", monday) != name
    monkeypatch.setattr(roots, "PREPARED", roots.PREPARED + "true\n")
    assert roots.name_of("trixie", monday) != name


def test_a_root_that_fails_to_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        roots, "_command", lambda suite, made: ["sh", "-c", f"mkdir {made}; echo E: no mirror >&2; exit 1"]
    )
    with pytest.raises(Refused, match="mmdebstrap trixie failed: E: no mirror"):
        roots.ready({"trixie"}, tmp_path)
    assert list((tmp_path / "roots").iterdir()) == []


def test_old_roots_go_two_weeks_after(tmp_path: Path) -> None:
    for week in range(1, 6):
        path = tmp_path / f"trixie-2026w{week:02}"
        path.mkdir()
        os.utime(path, (week, week))
    (tmp_path / "bookworm-2026w01").mkdir()
    roots._forget("trixie", tmp_path / "trixie-2026w05")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["bookworm-2026w01", "trixie-2026w03", "trixie-2026w04", "trixie-2026w05"]


@pytest.mark.parametrize(("suite", "python", "newest"), [("bookworm", "3.11", 36), ("trixie", "3.13", 41)])
def test_wheels_are_for_the_python_and_the_c_library_of_the_suite(suite: str, python: str, newest: int) -> None:
    tags = wheels.tags(suite)
    assert tags[:2] == ["--python-version", python]
    assert f"manylinux_2_{newest}_x86_64" in tags
    assert f"manylinux_2_{newest + 1}_x86_64" not in tags
    assert "manylinux_2_17_x86_64" in tags


def test_wheels_that_cannot_be_had_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "PIP", ["sh", "-c", "echo ERROR: no such wheel >&2; exit 1", "sh"])
    with pytest.raises(Refused, match="pip download failed: ERROR: no such wheel"):
        wheels.ready("trixie", Place(tmp_path / "lab", tmp_path / "cache"))
    assert [path.name for path in (tmp_path / "cache" / "wheels").iterdir()] == []


def test_wheels_that_are_out_of_date_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lock", "own"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.whl").write_text(name)
    monkeypatch.setattr(wheels, "_locked", lambda suite, cache: tmp_path / "lock")
    monkeypatch.setattr(wheels, "_own", lambda cache: tmp_path / "own")
    place = Place(tmp_path / "lab", tmp_path / "cache")
    folder = wheels.ready("trixie", place)
    (folder / "old.whl").write_text("of yesterday")
    (tmp_path / "own" / "own.whl").write_text("newer")
    wheels.ready("trixie", place)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"lock.whl": "lock", "own.whl": "newer"}


def test_a_recap_is_read_host_by_host() -> None:
    assert RECAP.findall(RECAPPED) == [("alpha", "31", "12", "0", "0"), ("charlie", "2", "0", "1", "0")]


def test_ssh_knows_every_host_by_name_and_by_address(place: Place) -> None:
    text = ssh_config(place)
    assert text.count("StrictHostKeyChecking yes") == 1
    for machine in MACHINES.values():
        assert f"Host {machine.name} {machine.address}\n" in text


def test_the_inventory_names_the_hosts_of_the_lab(place: Place) -> None:
    done = subprocess.run(
        ["ansible-inventory", "-i", str(INVENTORY / "hosts.yml"), "--list"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    for machine in MACHINES.values():
        assert f'"ansible_host": "{machine.address}"' in done.stdout
    assert f"/{LINK}/ssh_config" in done.stdout
    assert set(USUAL) < set(MACHINES)
