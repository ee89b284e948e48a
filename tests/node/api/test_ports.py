from __future__ import annotations

import os
import socket
from pathlib import Path

from node.api.ports import holder


def test_the_holder_of_a_port_is_named_with_its_command() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        said = holder(listener.getsockname()[1])
    assert said.startswith(f"pid {os.getpid()}: ")
    assert "py" in said


def test_a_holder_of_an_ipv6_port_is_found_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        assert f"pid {os.getpid()}" in holder(listener.getsockname()[1])


def test_what_the_system_does_not_say_is_not_invented(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "7").mkdir()
    assert holder(80, tmp_path) == "a process that this user may not look at"
