from __future__ import annotations

from pathlib import Path

import pytest

from tests.ansible.wishes import NO_PI, ZERO_2, Refused, made

TIMESYNCD = "/etc/systemd/timesyncd.conf.d/50-heliograph.conf"
CHRONY = "/etc/chrony/conf.d/heliograph.conf"


def test_the_clock_is_saved_but_not_each_minute(tmp_path: Path) -> None:
    parts = made(tmp_path, "time", ZERO_2)
    lines = parts.text(TIMESYNCD).splitlines()
    assert "SaveIntervalSec=600" in lines
    assert not [line for line in lines if line.startswith("NTP=")]  # Debian's own
    assert parts.units()["systemd-timesyncd.service"]["started"] is True


def test_own_servers_are_the_only_ones(tmp_path: Path) -> None:
    parts = made(tmp_path, "time", ZERO_2, time_servers=["ntp.example.org", "192.0.2.1"])
    assert "NTP=ntp.example.org 192.0.2.1\nFallbackNTP=\n" in parts.text(TIMESYNCD)


def test_in_a_container_the_service_is_on_but_does_not_run(tmp_path: Path) -> None:
    parts = made(tmp_path, "time", NO_PI, virtualization_role="guest")
    assert parts.units()["systemd-timesyncd.service"] == {
        "name": "systemd-timesyncd.service", "enabled": True, "started": False,
    }  # fmt: skip


def test_chrony_believes_certificates_before_the_clock_is_right(tmp_path: Path) -> None:
    given = {"time_service": "chrony", "time_nts": True, "time_servers": ["ptbtime1.ptb.de"]}
    parts = made(tmp_path, "time", ZERO_2, **given)
    lines = parts.text(CHRONY).splitlines()
    assert {"server ptbtime1.ptb.de iburst nts", "nocerttimecheck 1", "makestep 1 3"} <= set(lines)
    assert parts.file(CHRONY)["check"] == ["chronyd", "-p", "-f", "{}"]
    assert "-s" in parts.text("/etc/heliograph-host/chrony.env")
    assert parts.named["time"]["packages"] == ["chrony"]
    assert TIMESYNCD not in {file["path"] for file in parts.named["time"]["files"]}


def test_plain_chrony_checks_no_certificates(tmp_path: Path) -> None:
    parts = made(tmp_path, "time", ZERO_2, time_service="chrony")
    assert "nocerttimecheck" not in parts.text(CHRONY)


def test_another_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="time_service"):
        made(tmp_path, "time", ZERO_2, time_service="ntpd")
