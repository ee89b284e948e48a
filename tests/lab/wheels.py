"""Wheels for an offline installation: those of a suite's lock, and the project's own as the tree stands."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab.locks import locked
from tests.lab.names import PYTHONS, ROOT, Place, Refused

PARTS = ("pyproject.toml", "LICENSE", "README.md", "node", "console")
GLIBC = {"bookworm": 36, "trixie": 41}
OWN = "heliograph-*.whl"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def ready(suite: str, place: Place) -> Path:
    """The folder with everything that a node of that suite installs; the hosts see it at /srv/wheels."""
    folder = place.wheels(suite)
    folder.mkdir(parents=True, exist_ok=True)
    (place.cache / "wheels").mkdir(parents=True, exist_ok=True)
    with locked(place.cache / "wheels.lock"):
        sources = [_locked(suite, place.cache / "wheels"), _own(place.cache / "wheels")]
    wanted = {wheel.name: wheel for source in sources for wheel in source.glob("*.whl")}
    for stray in {path.name for path in folder.iterdir()} - set(wanted):
        (folder / stray).unlink()
    for name, wheel in wanted.items():
        _place(wheel, folder / name)
    return folder


def tags(suite: str) -> list[str]:
    """What pip is to take a wheel for: this machine's processor, and a C library no newer than the suite's."""
    python = PYTHONS[suite]
    short = python.replace(".", "")
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC[suite], 16, -1)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
    options = [
        "--python-version",
        python,
        "--implementation",
        "cp",
        "--abi",
        f"cp{short}",
        "--abi",
        "abi3",
        "--abi",
        "none",
    ]
    return options + [word for platform in platforms for word in ("--platform", platform)]


def _locked(suite: str, cache: Path) -> Path:
    lock = ROOT / "locks" / f"{suite}.txt"
    folder = cache / f"{suite}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:10]}"
    if not folder.exists():
        command = ["download", "--no-deps", "--only-binary=:all:", *tags(suite), "-r", str(lock)]
        _made(folder, command)
    return folder


def _own(cache: Path) -> Path:
    folder = cache / f"own-{_digest()}"
    if not folder.exists():
        _made(folder, ["wheel", "--no-deps", "--no-build-isolation", str(ROOT)])
        for old in sorted(cache.glob("own-*"), key=lambda path: path.stat().st_mtime)[:-5]:
            shutil.rmtree(old)
    return folder


def _made(folder: Path, command: list[str]) -> None:
    """Under its name only when it is whole."""
    verb, *words = command
    where = "--dest" if verb == "download" else "--wheel-dir"
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as made:
        done = subprocess.run([*PIP, verb, where, made, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Refused(f"pip {verb} failed: {done.stderr.strip().splitlines()[-1]}")
        Path(made).chmod(0o755)
        shutil.copytree(made, folder)


def _digest() -> str:
    """Of all that goes into the project's wheel."""
    found = hashlib.sha256()
    for path in sorted(path for part in PARTS for path in _files(ROOT / part)):
        found.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return found.hexdigest()[:10]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [each for each in path.rglob("*") if each.is_file() and not re.search(r"__pycache__", str(each))]


def _place(wheel: Path, there: Path) -> None:
    if (
        there.exists()
        and there.stat().st_size == wheel.stat().st_size
        and there.stat().st_mtime == wheel.stat().st_mtime
    ):
        return
    there.unlink(missing_ok=True)
    try:
        os.link(wheel, there)
    except OSError:  # the cache is on another file system
        shutil.copy2(wheel, there)
