"""The Makefile, the package list and what installs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = 65534
GROUPS = {"run", "test", "shots", "lab"}


def _rows() -> list[list[str]]:
    lines = (ROOT / "packages.txt").read_text().splitlines()
    return [[cell.strip() for cell in line.split("|")] for line in lines if line and not line.startswith("#")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the installer and its own package list, readable for everybody."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "deps", tmp_path / ".ci" / "deps")
    return tmp_path


def _deps(checkout: Path, packages: str, *words: str) -> subprocess.CompletedProcess[str]:
    (checkout / "packages.txt").write_text(packages)
    user = NOBODY if os.getuid() == 0 else None
    command = [str(checkout / ".ci" / "deps"), *words]
    return subprocess.run(command, capture_output=True, text=True, user=user, check=False, timeout=30)


def test_every_package_has_a_group_a_proof_and_a_reason() -> None:
    for row in _rows():
        group, package, proof, reason = row
        assert group in GROUPS
        assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", package)
        assert proof
        assert len(reason.split()) > 2


def test_no_package_is_named_twice() -> None:
    names = [row[1] for row in _rows()]
    assert sorted(set(names)) == sorted(names)


def test_nothing_is_said_where_nothing_is_missing(checkout: Path) -> None:
    done = _deps(checkout, "# a comment\n\nrun | coreutils | true | always there\n", "ensure", "run", "test")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_installing_says_that_nothing_is_missing(checkout: Path) -> None:
    done = _deps(checkout, "run | coreutils | true | always there\n", "install", "run")
    assert (done.returncode, done.stdout) == (0, "deps: nothing is missing (run)\n")


def test_what_is_missing_is_named_in_one_line_to_who_may_not_install(checkout: Path) -> None:
    packages = "run | first | false | x\nrun | second | true | x\ntest | third | exit 3 | x\nlab | fourth | false | x\n"
    done = _deps(checkout, packages, "ensure", "run", "test")
    assert done.returncode == 69
    assert done.stderr.startswith("missing: first third - run 'make deps' as root")
    assert done.stderr.count("\n") == 1


def test_the_submission_check_is_deps_and_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-2:] == ["make deps", "make test"]


def test_make_lists_each_target_with_its_sentence() -> None:
    text = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert set(phony.split()) == targets
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in listed.splitlines()} == targets - {"needs"}
