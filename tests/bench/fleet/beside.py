"""A simulated fleet in a process of its own, so that what it costs is not the console's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from console.fleet.inventory import Host, hosts_of

END_S = 20


@contextmanager
def fleet(folder: Path, *options: str) -> Iterator[tuple[Host, ...]]:
    """Its nodes, as the inventory that it wrote names them; all are gone afterwards."""
    command = [sys.executable, "-m", "tests.bench.fleet.simulator", str(folder), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            yield hosts_listed(Path(ready["inventory"]))
        finally:
            process.stdin.close()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def hosts_listed(path: Path) -> tuple[Host, ...]:
    """What `ansible-inventory` would make of that file, without its many seconds."""
    hosts = json.loads(path.read_text())["fleet"]["hosts"]
    return hosts_of({"fleet": {"hosts": list(hosts)}, "_meta": {"hostvars": hosts}})
