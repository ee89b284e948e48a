"""Pack what tells of a node into one tar.gz, with nothing secret in it.  Runs on the node, standard library only.

Called with a JSON object: `to` (the file to write, not there yet), `folder` (in it), `days` of the journal.
"""

from __future__ import annotations

import gzip
import http.client
import io
import json
import os
import re
import ssl
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

LARGEST = 8_000_000
"""Characters of one part; of what is longer the end is kept."""
WITHIN_S = 60
STATES = range(4)
"""Exit statuses by which programs tell a state: warn, critical, not running."""
SHORTEST_SECRET = 8
HIDDEN = "***"
NODE = "/opt/heliograph/current/bin/heliograph-node"
ADDRESS, TOKEN = "run/heliograph/api.json", "run/heliograph/own/local.token"
CERTIFICATE = "etc/heliograph/tls/node.pem"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
SECRET_FILES = (
    "etc/heliograph/keys/*", "etc/heliograph/tls/**/*.key", "run/heliograph/own/*", "run/credentials/*/*",
    "etc/ssh/ssh_host_*_key", "home/*/.ssh/id_*", "root/.ssh/id_*",
)  # fmt: skip
PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"(\bBearer\s+)\S+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^/\s:@]+:)[^@\s/]+(@)"), rf"\1{HIDDEN}\2"),
    (
        re.compile(
            r"""(\b[\w-]*(?:password|passwd|passphrase|secret|token|psk|sha256)["']?[ \t]*[=:][ \t]*["']?)"""
            r"""[^\s"',}]{4,}""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)
UNITS = ("heliograph-node", "heliograph-worker", "heliograph-ship")
PACKAGES = (
    "python3",
    "systemd",
    "openssh-server",
    "nftables",
    "openssl",
    "python3-picamera2",
    "libcamera-ipa",
    "linux-image*",
)
COMMANDS: Mapping[str, Sequence[str]] = {
    "status.json": (NODE, "status", "--json"),
    "config.txt": (NODE, "config", "show", "--origin"),
    "units.txt": ("systemctl", "--no-pager", "--full", "-n", "0", "status", *UNITS),
    "units-failed.txt": ("systemctl", "--no-pager", "--failed"),
    "units-shown.txt": ("systemctl", "--no-pager", "show", *UNITS),
    "boots.txt": ("journalctl", "--no-pager", "--list-boots"),
    "kernel.txt": ("journalctl", "--no-pager", "-k", "-n", "3000"),
    "disks.txt": ("df", "-hT"),
    "inodes.txt": ("df", "-i"),
    "mounts.txt": ("findmnt", "--noheadings", "--list"),
    "blocks.txt": ("lsblk", "-o", "NAME,SIZE,TYPE,FSTYPE,MOUNTPOINTS,MODEL"),
    "memory.txt": ("free", "-m"),
    "uptime.txt": ("uptime",),
    "kernel-version.txt": ("uname", "-a"),
    "packages.txt": ("dpkg-query", "-W", *PACKAGES),
    "libraries.txt": ("/opt/heliograph/current/bin/python", "-m", "pip", "list", "--format", "freeze"),
    "releases.txt": ("ls", "-l", "--time-style=full-iso", "/opt/heliograph", "/opt/heliograph/releases"),
    "addresses.txt": ("ip", "-brief", "address"),
    "listening.txt": ("ss", "-lntu"),
    "clock.txt": ("timedatectl",),
    "throttled.txt": ("vcgencmd", "get_throttled"),
    "temperature.txt": ("vcgencmd", "measure_temp"),
}
FILES = (
    "etc/os-release", "proc/device-tree/model", "proc/cmdline", "proc/meminfo", "proc/mounts", "proc/pressure/io",
    "proc/pressure/memory", "boot/firmware/config.txt", "boot/firmware/cmdline.txt", "etc/heliograph/node.yml",
    "etc/heliograph/config.yml",
)  # fmt: skip


class Censor:
    """Takes out what the secret files of this host hold, and what looks like a secret."""

    def __init__(self, root: Path) -> None:
        secrets = {line for path in secret_files(root) for line in _lines(path) if len(line) >= SHORTEST_SECRET}
        words = sorted((line for line in secrets if not line.startswith("-----")), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, words))) if words else None

    def clean(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, instead in PATTERNS:
            text = pattern.sub(instead, text)
        return text


def secret_files(root: Path) -> Iterator[Path]:
    for pattern in SECRET_FILES:
        yield from (path for path in root.glob(pattern) if path.is_file() and path.suffix != ".pub")


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return []


def said(command: Sequence[str]) -> str:
    """What that prints, both ways; or why it does not."""
    try:
        done = subprocess.run(  # noqa: S603 - commands of the table above
            command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"({type(error).__name__}: {error})\n"
    words = (done.stdout + done.stderr).decode(errors="replace")
    return words if done.returncode in STATES else f"{words}(ended with {done.returncode})\n"


def journal(unit: str, days: float) -> Sequence[str]:
    since = f"-{int(days * 86400)}s"
    return ("journalctl", "--no-pager", "-o", "short-iso-precise", "-n", "50000", "--since", since, "-u", unit)


def health(root: Path) -> str:
    """GET /health/deep where the service says that it listens; it is known by its own certificate."""
    try:
        url = urlsplit(str(json.loads((root / ADDRESS).read_text())["url"]))
        connection = _connection(url.scheme, url.hostname or "", url.port or 0, root / CERTIFICATE)
        return _asked(connection, (root / TOKEN).read_text().strip())
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        return f"({type(error).__name__}: {error})\n"


def _asked(connection: http.client.HTTPConnection, token: str) -> str:
    with closing(connection):
        connection.request("GET", "/health/deep", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().read(LARGEST).decode(errors="replace")


def _connection(scheme: str, host: str, port: int, certificate: Path) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=WITHIN_S)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return http.client.HTTPSConnection(host, port, timeout=WITHIN_S, context=context)


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        return f"({error.strerror})\n"


def parts(root: Path, days: float) -> Iterator[tuple[str, Callable[[], str]]]:
    yield from ((f"journal/{unit}.txt", lambda unit=unit: said(journal(unit, days))) for unit in UNITS)
    yield from ((name, lambda command=command: said(command)) for name, command in COMMANDS.items())
    yield from ((f"files/{name}", lambda name=name: read(root / name)) for name in FILES)
    yield "health-deep.json", lambda: health(root)


def pack(file: io.BufferedIOBase, folder: str, root: Path, found: Iterator[tuple[str, Callable[[], str]]]) -> None:
    censor, now_s = Censor(root), time.time_ns() // 1_000_000_000
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=now_s) as zipped, tarfile.open(fileobj=zipped, mode="w|") as tar:
        for name, tell in found:
            data = censor.clean(tell())[-LARGEST:].encode()
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), now_s, 0o600
            tar.addfile(entry, io.BytesIO(data))


def main() -> None:
    given = json.loads(sys.argv[1])
    descriptor = os.open(given["to"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        pack(file, given["folder"], Path("/"), parts(Path("/"), given["days"]))


if __name__ == "__main__":
    main()
