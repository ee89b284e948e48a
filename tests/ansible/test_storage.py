from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.ansible.parts import ROOT
from tests.ansible.wishes import NO_PI, PI_5, ZERO_2, Parts, Refused, made

UUID = "0a1b-2c3d"
MOUNT = "/etc/systemd/system/var-lib-heliograph.mount"
CHECK = ROOT / "roles/storage/files/data.sh"


@pytest.fixture(scope="module")
def zero(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return made(tmp_path_factory.mktemp("zero"), "storage", ZERO_2, storage_data_uuid=UUID)


def test_on_another_machine_its_root_is_left_alone(tmp_path: Path) -> None:
    assert set(made(tmp_path, "storage", NO_PI).named) == {"storage:zram", "storage:tmp", "storage:noswapfile"}


def test_in_a_container_nothing_is_mounted(tmp_path: Path) -> None:
    parts = made(tmp_path, "storage", ZERO_2, virtualization_role="guest")
    assert set(parts.named) == {"storage:root", "storage:noswapfile"}
    assert parts.units()["heliograph-root-options.service"]["started"] is False


def test_the_card_is_written_to_less_often(zero: Parts) -> None:
    text = zero.text("/etc/systemd/system/heliograph-root-options.service")
    assert "ExecStart=/usr/bin/mount -o remount,noatime /\n" in text
    assert "ExecStart=-/usr/bin/mount -o remount,commit=60 /\n" in text


def test_memory_is_shared_out_by_the_table_of_boards(zero: Parts, tmp_path: Path) -> None:
    five = made(tmp_path, "storage", PI_5, board_settings_here={"tmp_mb": 512})
    assert "zram-size = ram * 75 / 100\n" in zero.text("/etc/systemd/zram-generator.conf")
    assert "zram-size = ram * 25 / 100\n" in five.text("/etc/systemd/zram-generator.conf")
    assert "size=48M" in zero.text("/etc/systemd/system/tmp.mount")
    assert "size=512M" in five.text("/etc/systemd/system/tmp.mount")


def test_no_swap_file(zero: Parts) -> None:
    assert zero.units()["dphys-swapfile.service"]["enabled"] is False
    assert "Mechanism=none" in zero.text("/etc/rpi/swap.conf.d/90-heliograph.conf")


def test_the_disk_is_named_by_its_uuid_and_may_be_missing(zero: Parts) -> None:
    text = zero.text(MOUNT)
    assert f"What=/dev/disk/by-uuid/{UUID}\n" in text
    assert "Options=nofail,noatime,nodev,nosuid,noexec\n" in text
    (link,) = zero.named["storage:data"]["links"]
    assert link["path"] == (
        "/etc/systemd/system/dev-disk-by\\x2duuid-0a1b\\x2d2c3d.device.wants/var-lib-heliograph.mount"
    )


def test_systemd_understands_the_units(zero: Parts, tmp_path: Path) -> None:
    for name in ("var-lib-heliograph.mount", "tmp.mount", "heliograph-root-options.service"):
        (tmp_path / name).write_text(zero.text(f"/etc/systemd/system/{name}"))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / name)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert name not in done.stderr, done.stderr


def _checked(disk: Path, data: Path) -> subprocess.CompletedProcess[str]:
    words = ["sh", "-c", CHECK.read_text(), "sh", str(disk), str(data)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_disk_that_is_not_there_or_would_hide_frames_is_refused(tmp_path: Path) -> None:
    disk, data = tmp_path / "disk", tmp_path / "data"
    assert "storage_data_uuid" in _checked(disk, data).stderr
    disk.touch()
    assert _checked(disk, data).returncode == 0
    data.mkdir()
    assert _checked(disk, data).returncode == 0
    (data / "heliograph.db").touch()
    assert "move it onto the disk" in _checked(disk, data).stderr
    assert _checked(disk, Path("/proc")).returncode == 0  # mounted already


def test_a_wrong_type_of_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="storage_data_type"):
        made(tmp_path, "storage", ZERO_2, storage_data_uuid=UUID, storage_data_type="vfat")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (ZERO_2, "zero2w"),
        ("Raspberry Pi 3 Model A Plus Rev 1.0", "pi3"),
        ("Raspberry Pi 4 Model B Rev 1.4", "pi4"),
        ("Raspberry Pi Compute Module 4 Rev 1.0", "cm4"),
        (PI_5, "pi5"),
        ("Raspberry Pi Model B Plus Rev 1.2", "pi"),
        ("Radxa ROCK 5B", "other"),
        ("", "other"),
    ],
)
def test_the_first_row_that_fits_holds_and_the_last_fits_all(model: str, name: str) -> None:
    rows = yaml.safe_load((ROOT / "roles/board/vars/main.yml").read_text())["board_models"]
    assert next(row["name"] for row in rows if row["words"] in model) == name


def test_every_row_has_every_field_and_leaves_memory_for_the_system() -> None:
    rows = yaml.safe_load((ROOT / "roles/board/vars/main.yml").read_text())["board_models"]
    assert len({frozenset(row) for row in rows}) == 1
    assert all(0 < row["zram_percent"] <= 100 for row in rows)
    zero = rows[0]
    assert zero["node_memory_max_mb"] + zero["ship_memory_max_mb"] < 420  # of 512, gpu_mem taken off
    assert re.fullmatch("[a-z0-9]+", zero["name"])
