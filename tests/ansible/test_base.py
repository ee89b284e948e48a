"""What the role base wants of a host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.ansible.wishes import made


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What tries the zone on the host before anything is placed."""
    file = made(tmp_path_factory.mktemp("base"), "base").file("/etc/timezone")
    assert (file["content"], file["check_told"]) == ("Etc/UTC\n", True)
    return [str(word) for word in file["check"]]


@pytest.mark.skipif(not Path("/usr/share/zoneinfo/Etc/UTC").exists(), reason="no zones on this machine")
@pytest.mark.parametrize(
    ("zone", "status"), [("Etc/UTC", 0), ("Europe/Berlin", 0), ("Mars/Phobos", 1), ("Europe", 1), ("tzdata.zi", 1)]
)
def test_a_zone_that_the_host_does_not_have_is_refused_there(check: list[str], zone: str, status: int) -> None:
    done = subprocess.run([*check[:-1], zone], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stdout == (f"this host has no time zone {zone}\n" if status else "")
