"""The tests that take no processes and no time, on the Python of Debian 13: in its root, with the locked packages."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.ansible.conftest import need_rights
from tests.lab import needs, roots, wheels
from tests.lab.locks import locked
from tests.lab.names import PYTHONS, ROOT, Place, Refused

SUITE = "trixie"
PYTHON = PYTHONS[SUITE]
MARKS = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "sys_platform": "linux"}
TOOLS = {"mypy", "ruff", "uv", "vulture"}
"""Look at the tree, whichever Python runs them."""
FOLDERS = ("tests/bench", "tests/console", "tests/contract", "tests/node", "tests/simulate")
"""What is left out tells of the tree's text, not of its Python."""
SCREENS = ROOT / "tests/console/screens"
OF_ALL_SCREENS = "test_app.py"
"""Stands for the tests of screens: they take as long as all others together, mostly in Textual."""
LENT = ("ffmpeg", "ffprobe")
"""Programs of this machine, which the root has none of, with this machine's libraries."""
GENTLY = ("nice", "-n", "10")
"""Hosts of the lab may be at work meanwhile, with watchdogs."""
LEAST = 3000
LIMIT_S = 1800
TAIL = 6000

INSIDE = r"""
set -eu
lower=$1 room=$2 tree=$3 venv=$4 wheels=$5; shift 5
mount -t tmpfs tmpfs "$room"
mkdir "$room/upper" "$room/work" "$room/root"
root=$room/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$room/upper,workdir=$room/work" "$root"
mkdir -p "$root/tree" "$root/opt/venv" "$root/srv/wheels" "$root/host"
mount --bind "$tree" "$root/tree"; mount -o remount,bind,ro "$root/tree"
mount --bind "$venv" "$root/opt/venv"; mount --bind "$wheels" "$root/srv/wheels"
mount --bind / "$root/host"; mount -o remount,bind,ro "$root/host"
mount --rbind /dev "$root/dev"; mount -t proc proc "$root/proc"; mount -t tmpfs tmpfs "$root/tmp"
for program in $LENT; do
    path=$(command -v "$program")
    loaded=$(ldd "$path" | grep -o '/[^ ]*')
    places=$(readlink -f $loaded | sed 's|/[^/]*$||; s|^|/host|' | sort -u | paste -sd:)
    loader=$(readlink -f $(printf '%s\n' $loaded | grep '/ld-'))
    printf '#!/bin/sh\nexec /host%s --library-path %s /host%s "$@"\n' "$loader" "$places" "$path" \
        >"$root/usr/local/bin/$program"
    chmod 755 "$root/usr/local/bin/$program"
done
cd "$root"
exec chroot . env -i PATH=/usr/local/bin:/usr/bin:/usr/sbin HOME=/root LANG=C.UTF-8 PYTHONPYCACHEPREFIX=/tmp/compiled \
    HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis sh -c 'cd /tree && exec "$@"' in "$@"
"""
"""All mounts are this process's own, and end with it; nothing of the root or the tree changes."""


def pins() -> list[str]:
    """What the lock of the tests installs there."""
    environment = {key: str(value) for key, value in default_environment().items()} | MARKS
    lines = (ROOT / "locks" / "dev.txt").read_text().splitlines()
    wanted = [Requirement(line) for line in lines if re.match(r"[A-Za-z0-9]", line)]
    there = [each for each in wanted if each.marker is None or each.marker.evaluate(environment)]
    return [f"{each.name}{each.specifier}" for each in there if each.name not in TOOLS]


class Room:
    """A root of that Debian, over which everything is forgotten."""

    def __init__(self, lower: Path, folder: Path) -> None:
        self.lower, self.folder = lower, folder

    def run(self, venv: Path, wheels: Path, *command: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory(prefix=".room-", dir=self.folder) as room:
            places = [str(each) for each in (self.lower, room, ROOT, venv, wheels)]
            start = ["unshare", "--mount", "--propagation=private", "--fork", "--kill-child", "sh", "-c", INSIDE, "in"]
            return subprocess.run(
                [*start, *places, *command], env={"PATH": needs.PATH, "LENT": " ".join(LENT)},
                capture_output=True, text=True, check=False, timeout=LIMIT_S,
            )  # fmt: skip


def made(room: Room, cache: Path) -> Path:
    """The environment, kept for as long as what goes into it stays the same."""
    asked = pins()
    words = "\n".join((room.lower.name, *asked, (ROOT / "pyproject.toml").read_text()))
    folder = cache / f"python{PYTHON}-{hashlib.sha256(words.encode()).hexdigest()[:10]}"
    with locked(cache / "venvs.lock"):
        if not folder.exists():
            for old in cache.glob(f"python{PYTHON}-*"):
                shutil.rmtree(old)
            _fill(folder, room, asked)
    return folder


def _fill(folder: Path, room: Room, asked: Sequence[str]) -> None:
    """Under its name only when it is whole."""
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as making:
        venv, gathered = Path(making) / "venv", Path(making) / "wheels"
        venv.mkdir()
        gathered.mkdir()
        _done(subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--only-binary=:all:", "--dest", str(gathered), *wheels.tags(SUITE), *asked],
            capture_output=True, text=True, check=False, timeout=LIMIT_S,
        ))  # fmt: skip
        pip = "/opt/venv/bin/pip --quiet install --no-index --no-deps"
        steps = (
            "python3 -m venv /opt/venv",
            f"{pip} /srv/wheels/*.whl",
            f"{pip} --no-build-isolation --editable /tree",
        )
        _done(room.run(venv, gathered, "sh", "-c", " && ".join(steps)))
        venv.rename(folder)


def _done(process: subprocess.CompletedProcess[str]) -> None:
    if process.returncode != 0:
        raise Refused(process.stderr.strip()[-TAIL:])


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    need_rights()
    return Room(roots.ready({SUITE}, Place.given().cache)[SUITE], tmp_path_factory.mktemp("rooms"))


@pytest.fixture(scope="module")
def venv(room: Room) -> Path:
    return made(room, Place.given().cache)


def left_out() -> list[str]:
    return [f"--ignore={path.relative_to(ROOT)}" for path in SCREENS.glob("test_*.py") if path.name != OF_ALL_SCREENS]


@pytest.mark.lab
def test_the_fast_tests_pass_there(room: Room, venv: Path, tmp_path: Path) -> None:
    words = ["-q", "-p", "no:cacheprovider", "-n", "2", "-m", "not slow and not lab", *left_out(), *FOLDERS]
    done = room.run(venv, tmp_path, *GENTLY, "/opt/venv/bin/python", "-m", "pytest", *words)
    assert done.returncode == 0, done.stdout[-TAIL:] + done.stderr[-TAIL:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > LEAST
    print(done.stdout.splitlines()[-1])


@pytest.mark.lab
def test_what_fails_there_is_told_by_that_python(room: Room, venv: Path, tmp_path: Path) -> None:
    (tmp_path / "test_version.py").write_text("import sys\n\ndef test():\n    assert sys.version_info[:2] == (0, 0)\n")
    words = ["-q", "-p", "no:cacheprovider", "--rootdir=/srv/wheels", "/srv/wheels/test_version.py"]
    done = room.run(venv, tmp_path, "/opt/venv/bin/python", "-m", "pytest", *words)
    assert done.returncode == 1, done.stderr
    assert f"assert ({PYTHON.replace('.', ', ')}) == (0, 0)" in done.stdout


@pytest.mark.lab
def test_nothing_of_the_tree_or_the_root_can_be_changed(room: Room, venv: Path, tmp_path: Path) -> None:
    done = room.run(venv, tmp_path, "sh", "-c", "touch /etc/changed && ! touch /tree/changed && ! touch /host/changed")
    assert done.returncode == 0, done.stderr
    assert not (room.lower / "etc/changed").exists()
    assert list(room.folder.iterdir()) == []
