from __future__ import annotations

from typing import Any

import pytest

from tests.ansible.plugins import filters

proved_on = filters()["proved_on"]
HELD = ["python3-picamera2", "rpicam-apps-lite"]
HERE = {"python3-picamera2": "1", "rpicam-apps-lite": "5", "zlib1g": "7"}


def _canary(*, proved: bool = True, picamera: str = "2") -> dict[str, Any]:
    packages = {"python3-picamera2": picamera, "rpicam-apps-lite": "5"}
    return {"patch_proved": proved, "ansible_local": {"heliograph": {"packages": packages}}}


def test_a_version_with_which_the_canaries_made_frames_is_taken() -> None:
    hosts = {"a": _canary(), "b": _canary()}
    assert proved_on(HELD, ["a", "b"], hosts, HERE) == ["python3-picamera2=2"]
    assert proved_on(HELD, ["a", "b"], hosts, HERE | {"python3-picamera2": "2"}) == []


@pytest.mark.parametrize(
    "hosts",
    [
        {"a": _canary(), "b": _canary(proved=False)},
        {"a": _canary(), "b": _canary(picamera="3")},
        {"a": _canary(), "b": {}},
        {"a": _canary(), "b": {"patch_proved": True}},
    ],
)
def test_what_not_every_canary_proved_stays_held(hosts: dict[str, Any]) -> None:
    assert proved_on(HELD, ["a", "b"], hosts, HERE) == []


def test_without_canaries_and_without_the_package_nothing_is_changed() -> None:
    assert proved_on(HELD, [], {}, HERE) == []
    assert proved_on(HELD, ["a"], {"a": _canary()}, {}) == []
    assert proved_on([], ["a"], {"a": _canary()}, HERE) == []
