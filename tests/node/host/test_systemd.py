"""Words to the service manager, through real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.host import systemd


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address)
        channel.settimeout(2)
        yield channel, address


def test_words_arrive_one_a_line(manager: tuple[socket.socket, str]) -> None:
    channel, address = manager
    given = systemd.notify(systemd.READY, systemd.status("two\n lines"), environment={"NOTIFY_SOCKET": address})
    assert given is True
    assert channel.recv(1000) == b"READY=1\nSTATUS=two lines"


def test_an_abstract_socket_is_reached() -> None:
    name = f"heliograph-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("\0" + name)
        channel.settimeout(2)
        assert systemd.notify(systemd.ALIVE, environment={"NOTIFY_SOCKET": "@" + name}) is True
        assert channel.recv(1000) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_nothing_is_said_where_nobody_listens(address: str) -> None:
    assert systemd.notify(systemd.STOPPING, environment={"NOTIFY_SOCKET": address}) is False
    assert systemd.notify(systemd.STOPPING, environment={}) is False


def test_a_manager_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    assert systemd.notify(systemd.ALIVE, environment={"NOTIFY_SOCKET": str(tmp_path / "gone")}) is False


def test_a_manager_that_does_not_read_is_not_waited_for(manager: tuple[socket.socket, str]) -> None:
    _, address = manager
    environment = {"NOTIFY_SOCKET": address}
    answers = [systemd.notify("X" * 1000, environment=environment) for _ in range(2000)]
    assert answers[0] is True
    assert answers[-1] is False


def test_more_time_is_said_in_microseconds() -> None:
    assert systemd.more_time(20) == "EXTEND_TIMEOUT_USEC=20000000"
