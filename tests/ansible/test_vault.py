"""What is said of an encrypted file that cannot be read: whose, which, and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ansible.parts import UNMEASURED

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SECRET = "correct horse"


def _run(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **UNMEASURED, "LC_ALL": "C.UTF-8"}
    environment.pop("ANSIBLE_VAULT_PASSWORD_FILE", None)
    return subprocess.run(
        [str(BIN / program), *map(str, words)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def passwords(tmp_path: Path) -> tuple[Path, Path]:
    """The right one, a wrong one."""
    files = tmp_path / "right", tmp_path / "wrong"
    for file in files:
        file.write_text(file.name)
    return files


@pytest.fixture(params=["group_vars/fleet/vault.yml", "group_vars/site_quarry.yml", "host_vars/quarry-1.yml"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path, passwords: tuple[Path, Path]) -> tuple[Path, Path]:
    """An inventory with an encrypted file, and that file."""
    shutil.copytree(ROOT / "inventory" / "example", tmp_path / "fleet")
    file = tmp_path / "fleet" / request.param
    file.write_text(f"vault_become_password: {SECRET}\n")
    assert _run("ansible-vault", "encrypt", "--vault-password-file", passwords[0], file).returncode == 0
    return tmp_path / "fleet", file


def test_without_a_password_the_host_the_file_and_the_remedy_are_named(fleet: tuple[Path, Path]) -> None:
    inventory, file = fleet
    done = _run("ansible-playbook", "-i", inventory, "playbooks/site.yml")
    assert done.returncode != 0
    [said] = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
    assert "quarry-1: " in said
    assert f"{file} is encrypted, and no vault password was given. Remedy: add --ask-vault-pass" in said


def test_with_another_password_that_is_said(fleet: tuple[Path, Path], passwords: tuple[Path, Path]) -> None:
    inventory, file = fleet
    done = _run("ansible-inventory", "-i", inventory, "--list", "--vault-password-file", passwords[1])
    assert done.returncode != 0
    assert f"{file} is encrypted, and the vault password given is another one" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_with_the_password_nothing_is_said(fleet: tuple[Path, Path], passwords: tuple[Path, Path]) -> None:
    done = _run("ansible-inventory", "-i", fleet[0], "--host", "quarry-1", "--vault-password-file", passwords[0])
    assert done.returncode == 0
    assert SECRET in done.stdout


def test_templates_in_an_encrypted_file_are_templates(fleet: tuple[Path, Path], passwords: tuple[Path, Path]) -> None:
    inventory, file = fleet
    file.write_text("said: '{{ inventory_hostname }} here'\n")
    assert _run("ansible-vault", "encrypt", "--vault-password-file", passwords[0], file).returncode == 0
    words = ("quarry-1", "-i", inventory, "--vault-password-file", passwords[0])
    done = _run("ansible", *words, "-m", "ansible.builtin.debug", "-a", "var=said")
    assert "quarry-1 here" in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["group_vars/fleet/main.yml", "group_vars/site_quarry.yml", "host_vars/quarry-1.yml"])
@pytest.mark.parametrize("text", ["a: 1\nb: [\n", "a: 1\na: 2\n", "a: 1\n- b\n"])
def test_a_file_that_is_no_yaml_is_named_with_its_line(tmp_path: Path, name: str, text: str) -> None:
    shutil.copytree(ROOT / "inventory" / "example", tmp_path / "fleet")
    file = tmp_path / "fleet" / name
    file.write_text(text)
    done = _run("ansible-inventory", "-i", tmp_path / "fleet", "--list")
    assert done.returncode != 0
    assert f"quarry-1: {file}, line " in done.stderr
    assert "Remedy: correct it" in done.stderr


def test_a_node_that_is_named_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("fleet:\n  hosts:\n    one: {ansible_host: 192.0.2.1}\n    one: {}\n")
    done = _run("ansible-playbook", "-i", tmp_path / "hosts.yml", "playbooks/site.yml")
    assert done.returncode != 0
    assert "one" in done.stderr


def test_every_playbook_can_be_read() -> None:
    playbooks = sorted((ROOT / "playbooks").glob("*.yml"))
    done = _run("ansible-playbook", "-i", "inventory/example", "--syntax-check", *playbooks)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in playbooks if f"playbook: {path}" not in done.stdout] == []
    assert "WARNING" not in done.stderr
