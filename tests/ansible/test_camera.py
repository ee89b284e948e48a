from __future__ import annotations

import getpass
import grp
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.ansible.parts import ROOT
from tests.ansible.wishes import NO_PI, PI_5, ZERO_2, Parts, Refused, made

WANTED = "/etc/heliograph-host/boot.txt"
AS_SHIPPED = "dtparam=audio=on\ncamera_auto_detect=1\n\n[cm4]\notg_mode=1\n"


@pytest.fixture(scope="module")
def zero(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    given = {
        "camera_overlay": "imx477",
        "camera_overlay_options": "vcm=off",
        "camera_boot_lines": ["dtparam=i2c_arm=on"],
    }
    return made(tmp_path_factory.mktemp("zero"), "camera", ZERO_2, **given)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    given = {"camera_tryboot_enabled": False, "camera_hold_enabled": False, "hardening_bluetooth_enabled": False}
    return made(tmp_path_factory.mktemp("five"), "camera", PI_5, **given)


def test_on_another_machine_nothing_of_a_pi_is_touched(tmp_path: Path) -> None:
    parts = made(tmp_path, "camera", NO_PI)
    assert set(parts.named) == {"camera:rules"}


def test_config_txt_has_the_sensor_the_memory_and_no_bluetooth(zero: Parts) -> None:
    lines = zero.text(WANTED).splitlines()
    assert lines[1] == lines[-1] == "[all]"  # whatever section stood before, and after us
    assert lines[2:-1] == [
        "dtparam=watchdog=on", "camera_auto_detect=0", "dtoverlay=imx477,vcm=off", "gpu_mem=64", "dtoverlay=disable-bt",
        "dtparam=i2c_arm=on",
    ]  # fmt: skip
    assert "flag:reboot-needed" in zero.file(WANTED)["then"]


def test_without_tryboot_the_lines_are_a_block_of_config_txt(five: Parts) -> None:
    assert "camera:tryboot" not in five.named
    (block,) = five.named["camera:boot"]["blocks"]
    assert block["path"] == "/boot/firmware/config.txt"
    assert "camera_auto_detect=1\n" in block["content"]
    assert "gpu_mem" not in block["content"]  # a Pi 5 ignores it
    assert "disable-bt" not in block["content"]


def test_the_memory_cgroup_is_asked_for_on_every_pi(zero: Parts, five: Parts) -> None:
    for parts in (zero, five):
        (words,) = parts.named["camera:kernel"]["words"]
        assert words["words"] == ["cgroup_enable=memory"]
        assert words["then"] == ["flag:reboot-needed"]


def test_the_camera_comes_from_apt_and_is_held_but_on_canaries(zero: Parts, five: Parts) -> None:
    assert zero.named["camera:packages"]["packages"] == ["python3-picamera2", "rpicam-apps-lite"]
    assert zero.named["camera:packages"]["held"] == ["python3-picamera2", "rpicam-apps-lite"]
    assert five.named["camera:packages"]["held"] == []


def test_the_group_video_may_use_every_device_that_the_unit_is_allowed(zero: Parts) -> None:
    text = zero.text("/etc/udev/rules.d/70-heliograph-camera.rules")
    for device in ("video4linux", "media", "dma_heap", "vcio"):
        assert f'"{device}", GROUP="video", MODE="0660"' in text


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="camera_cma_mb"):
        made(tmp_path, "camera", ZERO_2, camera_cma_mb="plenty")


# --- lines on trial ---------------------------------------------------------------------------------------------------


@pytest.fixture
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("boot", ROOT / "roles/camera/files/boot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["boot"] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def boot(program: ModuleType, tmp_path: Path) -> Any:
    made_up = program.Boot.below(str(tmp_path))
    for path in (made_up.wanted, made_up.config, made_up.on_trial):
        path.parent.mkdir(parents=True, exist_ok=True)
    made_up.config.write_text(AS_SHIPPED)
    made_up.wanted.write_text("[all]\ndtoverlay=imx477\n")
    _sees(made_up, camera=True)
    return made_up


def _sees(boot: Any, *, camera: bool) -> None:
    said = "Available cameras\n0 : imx477 [4056x3040]\n" if camera else "No cameras available!\n"
    boot.check.write_text(json.dumps({"argv": ["printf", "%s", said], "wants": r"^\s*0 : "}))


def _restart(boot: Any, *, trial: bool) -> None:
    boot.staged.unlink(missing_ok=True)
    boot.on_trial.write_bytes(b"\0\0\0\1" if trial else b"\0\0\0\0")


def test_new_lines_wait_for_the_next_ordered_restart(program: ModuleType, boot: Any) -> None:
    assert program.stage(boot) == 0
    assert boot.config.read_text() == AS_SHIPPED
    assert "dtoverlay=imx477" in boot.trial.read_text()
    program.judge(boot)  # the unit starts in the same run of the machine: nothing changes
    assert boot.trial.exists()
    program.arm(boot)
    assert boot.next_start.read_text() == "0 tryboot\n"


def test_a_start_that_finds_its_camera_keeps_them(program: ModuleType, boot: Any) -> None:
    program.stage(boot)
    _restart(boot, trial=True)
    assert program.judge(boot) == 0
    assert boot.config.read_text().startswith(AS_SHIPPED)
    assert "dtoverlay=imx477" in boot.config.read_text()
    assert not boot.trial.exists()
    program.stage(boot)
    assert not boot.trial.exists()  # nothing is left to be tried
    program.arm(boot)
    assert not boot.next_start.exists()


@pytest.mark.parametrize("trial", [True, False])
def test_a_start_without_camera_or_without_the_lines_has_the_old_ones(
    program: ModuleType, boot: Any, *, trial: bool
) -> None:
    """Not on trial: the new lines did not start at all, and the watchdog or a power cut brought the old ones back."""
    program.stage(boot)
    _restart(boot, trial=trial)
    _sees(boot, camera=not trial)  # the old lines see it
    assert program.judge(boot) == (1 if trial else 0)  # a failed trial starts again, with the old lines
    assert boot.config.read_text() == AS_SHIPPED
    assert not boot.trial.exists()
    assert not boot.wanted.exists()  # so the fact says drifted, and the next run tries again


def test_a_check_that_cannot_run_is_no_camera(program: ModuleType, boot: Any) -> None:
    program.stage(boot)
    _restart(boot, trial=True)
    boot.check.write_text(json.dumps({"argv": ["/no/such/program"], "wants": "0"}))
    assert program.judge(boot) == 1


def test_lines_that_are_changed_replace_their_own_and_gone_ones_go(program: ModuleType, boot: Any) -> None:
    program.stage(boot)
    _restart(boot, trial=True)
    program.judge(boot)
    boot.wanted.write_text("[all]\ndtoverlay=imx708\n")
    program.stage(boot)
    assert boot.trial.read_text().count("# BEGIN heliograph") == 1
    assert "imx477" not in boot.trial.read_text()
    boot.wanted.unlink()
    program.stage(boot)
    assert boot.config.read_text().strip() == AS_SHIPPED.strip()
    assert not boot.trial.exists()
    program.stage(boot)


def _placed(root: Path, named: list[dict[str, Any]]) -> None:
    """As a whole bundle, with its actions in that folder."""
    mine = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getegid()).gr_name}
    parts = json.loads(json.dumps(named))
    for part in parts:
        for entry in (*part.get("folders", ()), *part.get("files", ())):
            entry.update(mine)
        actions = part.get("actions", {})
        part["actions"] = {name: ["env", f"HELIOGRAPH_ROOT={root}", *argv] for name, argv in actions.items()}
        part["actions"] |= {name: ["true"] for name in actions if name == "camera-systemd"}
        if part["role"] == "camera:boot":  # no root's own path in a test
            part["actions"]["camera-boot"] = ["rm", "-f", f"{root}/boot/firmware/tryboot.txt"]
    words = [sys.executable, str(ROOT / "roles/bundle/files/place.py"), "apply", "--root", str(root)]
    bundle = json.dumps({"whole": True, "parts": parts})
    subprocess.run(words, input=bundle, capture_output=True, text=True, check=True, timeout=60)


@pytest.mark.parametrize("then", ["off", "untried"])
def test_tried_lines_go_or_are_taken_over_when_tryboot_is_switched_off(
    program: ModuleType, boot: Any, zero: Parts, five: Parts, then: str, tmp_path: Path
) -> None:
    boot.wanted.unlink()
    boot.check.unlink()
    _placed(tmp_path, [zero.named["camera:tryboot"]])
    _sees(boot, camera=True)
    _restart(boot, trial=True)
    assert program.judge(boot) == 0
    assert "imx477" in boot.config.read_text()
    if then == "untried":
        _placed(tmp_path, [five.named["camera:boot"]])
        assert boot.config.read_text().count("camera_auto_detect=1\n") == 2  # as shipped, and ours
        assert boot.config.read_text().count("BEGIN") == 1
        assert "imx477" not in boot.config.read_text()
    _placed(tmp_path, [])
    assert boot.config.read_text().strip() == AS_SHIPPED.strip()
    assert not boot.trial.exists()
