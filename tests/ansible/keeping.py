"""A host for the keeper that is a folder, with a clock that jumps; what it does lies there, as after a kill -9."""

from __future__ import annotations

import getpass
import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

FILES = Path(__file__).parents[2] / "roles/node/files"
OLD, NEW = "1.0.0", "2.0.0"
BEGAN = datetime(2026, 11, 20, 12, tzinfo=UTC)
INTERVAL_S = 10
Json = dict[str, Any]
WORLD: Json = {
    "boot": "first", "clock_s": 1000.0, "running": OLD, "started_s": 1000.0, "schema": 1, "knows": {OLD: 1, NEW: 1},
    "document": "d1", "applied": [], "did": [], "dead": {}, "crashes": [], "blind": [], "mute": [], "scores": {},
    "idle_until_s": 0.0, "throttled": "0x0", "frames_before": 40, "stops_at": None, "unknown": {},
}  # fmt: skip


def loaded() -> ModuleType:
    """The keeper, beside its gate, as on a host."""
    sys.path.insert(0, str(FILES))
    try:
        return importlib.import_module("keeper")
    finally:
        sys.path.remove(str(FILES))


class Reached(Exception):
    """The time at which a test wants to look."""


class World:
    """Written down at each change."""

    def __init__(self, root: Path) -> None:
        self.root, self._path = root, root / "world.json"
        self._told, self._seen = "", dict(WORLD)

    def __getitem__(self, name: str) -> Any:
        return self._now()[name]

    def _now(self) -> Json:
        """Read again where another one has changed it."""
        told = self._path.read_text() if self._path.exists() else ""
        if told != self._told:
            self._told, self._seen = told, json.loads(told)
        return self._seen

    def change(self, **what: Any) -> None:
        self._path.write_text(json.dumps(self._now() | what))

    def did(self, what: str) -> None:
        self.change(did=[*self["did"], what])


def made(root: Path, **what: Any) -> World:
    """A host on which release 1.0.0 runs and 2.0.0 is built."""
    world = World(root)
    for folder in ("etc/heliograph", "etc/systemd/system", "var/lib/heliograph", "opt/heliograph"):
        (root / folder).mkdir(parents=True)
    world.change(**what)
    for version in (OLD, NEW):
        place = root / "opt/heliograph/releases" / version
        (place / "bin").mkdir(parents=True)
        (place / "bin/heliograph-node").touch()
        (place / "release.json").write_text(json.dumps({"digest": f"of {version}"}))
    (root / "opt/heliograph/current").symlink_to(f"releases/{OLD}")
    (root / "etc/heliograph/node.yml").write_text(f"of {OLD}")
    (root / "etc/systemd/system/heliograph-node.service").write_text(f"of {OLD}")
    (root / "etc/systemd/system/heliograph-node.service.d").mkdir()
    (root / "etc/systemd/system/heliograph-node.service.d/hand.conf").write_text("by hand")
    (root / "var/lib/heliograph/heliograph.db").write_text("frames of before")
    return world


def place(root: Path, version: str = NEW) -> None:
    """As the bundle does: files, links; `previous` is the one that ran."""
    (root / "etc/heliograph/node.yml").write_text(f"of {version}")
    (root / "etc/heliograph/config.yml").write_text("d2")
    (root / "etc/systemd/system/heliograph-node.service").write_text(f"of {version}")
    home = root / "opt/heliograph"
    before = home.joinpath("current").readlink()
    for link, to in (("previous", before), ("current", Path("releases", version))):
        (home / link).unlink(missing_ok=True)
        (home / link).symlink_to(to)


class Box:
    """The host as the keeper sees it."""

    def __init__(self, root: Path) -> None:
        self._root, self.world = root, World(root)

    def boot(self) -> str:
        return str(self.world["boot"])

    def monotonic(self) -> float:
        return float(self.world["clock_s"])

    def now_us(self) -> int:
        return round(self.monotonic() * 1_000_000)

    def wait(self, seconds: float) -> None:
        self.world.change(clock_s=self.monotonic() + seconds)
        stops_at = self.world["stops_at"]
        if stops_at is not None and self.monotonic() >= stops_at:
            raise Reached

    def openssl(self, *words: str) -> bool:
        return True

    def unit(self, name: str) -> str:
        return "failed" if self._down() else "active"

    def _down(self) -> bool:
        running = self.world["running"]
        return running in self.world["crashes"] or self.world["schema"] > self.world["knows"].get(running, 0)

    def run(self, words: Sequence[str], within_s: float) -> subprocess.CompletedProcess[str]:
        code, out, err = PROGRAMS[words[0]](self, list(words))
        return subprocess.CompletedProcess(words, code, out, err)

    def _runuser(self, words: list[str]) -> tuple[int, str, str]:
        name, act = Path(words[4]).name, words[5:]
        if name == "heliograph-node":
            return self._node(words[4].split("/")[-3], act)
        return 0, f"{self.world['schema']}\n", ""

    def _vcgencmd(self, words: list[str]) -> tuple[int, str, str]:
        return 0, f"throttled={self.world['throttled']}\n", ""

    def _systemctl(self, words: list[str]) -> tuple[int, str, str]:
        if words[1] == "restart":
            current = self._root.joinpath("opt/heliograph/current").readlink().name
            schema = max(self.world["schema"], self.world["knows"][current])
            self.world.change(running=current, started_s=self.monotonic(), schema=schema)
        return 0, "", ""

    def _node(self, version: str, act: list[str]) -> tuple[int, str, str]:
        if act[0] in self.world["unknown"].get(version, ()):
            return 64, "", "invalid choice"
        self.world.did(f"{version} {' '.join(act[:2])}")
        return NODE_COMMANDS[act[0]](self, act)

    def _backup(self, act: list[str]) -> tuple[int, str, str]:
        made_one = Path(act[-1], "it.tar")
        made_one.write_text(json.dumps({"schema": self.world["schema"], "database": self._database.read_text()}))
        return 0, json.dumps({"path": str(made_one)}), ""

    @property
    def _database(self) -> Path:
        return self._root / "var/lib/heliograph/heliograph.db"

    def _restore(self, act: list[str]) -> tuple[int, str, str]:
        told = json.loads(Path(act[-1]).read_text())
        self._database.write_text(told["database"])
        self.world.change(schema=told["schema"])
        return 0, "{}", ""

    def _config(self, act: list[str]) -> tuple[int, str, str]:
        if act[-1] == "--help":
            return 0, "--lease OWNER", ""
        assert act[2:4] == ["--lease", "site-1@desk"]
        text = Path(act[-1]).read_text()
        if text == "wrong":
            return 78, "", "CFG-001 the document is wrong"
        self.world.change(document=json.loads(text)["name"] if text.startswith("{") else text)
        return 0, "", ""

    def _nothing(self, act: list[str]) -> tuple[int, str, str]:
        return 0, "", ""

    def get(self, path: str, **query: object) -> Json | None:
        if self._down() or self.world["running"] in self.world["mute"]:
            return None
        return {"/v1/status": self._status, "/v1/config": self._document, "/v1/frames": self._frames}[path]()

    def _document(self) -> Json:
        return {"document": {"name": self.world["document"]}}

    def _status(self) -> Json:
        now_s, running = self.monotonic(), self.world["running"]
        slot_s = max(now_s + INTERVAL_S, self.world["idle_until_s"])
        camera = {
            "name": "main", "state": "idle" if self.world["idle_until_s"] > now_s + 180 else "ok",
            "interval_s": INTERVAL_S, "next_slot": at(slot_s), "error_code": None,
        }  # fmt: skip
        return {
            "ready": True, "reasons": [], "version": running, "started": at(self.world["started_s"]),
            "clock": {"now": at(now_s)}, "queue": {"dead": self.world["dead"].get(running, 3)}, "cameras": [camera],
            "config": {"version": 1, "digest": self.world["document"], "state": "active"},
        }  # fmt: skip

    def _frames(self) -> Json:
        since_s, running, now_s = self.world["started_s"], self.world["running"], self.monotonic()
        first_s = max(since_s, self.world["idle_until_s"])
        fresh = 0 if running in self.world["blind"] else max(0, int((now_s - first_s) // INTERVAL_S))
        score = self.world["scores"].get(running, 90)
        older = [frame(since_s - 1, 90) for _ in range(self.world["frames_before"])]
        return {"items": [*(frame(first_s + INTERVAL_S, score) for _ in range(fresh)), *older][:50]}


PROGRAMS = {"runuser": Box._runuser, "systemctl": Box._systemctl, "vcgencmd": Box._vcgencmd}
NODE_COMMANDS = {"backup": Box._backup, "restore": Box._restore, "config": Box._config, "reconcile": Box._nothing,
                 "lease": Box._nothing}  # fmt: skip


def frame(at_s: float, score: int) -> Json:
    return {"id": "F", "captured": at(at_s), "verdict": "good", "score": score}


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


def order(**more: Any) -> Any:
    given = {"version": NEW, "digest": f"of {NEW}", "name": "node-1", "owner": "site-1@desk", "document": "d2"}
    return loaded().Order(**{**given, "user": getpass.getuser(), **more})


def main() -> None:
    """arm | run | back, on the folder that is named; killed where HELIOGRAPH_CRASH_AT says."""
    keeper, root = loaded(), Path(sys.argv[2])
    places, box = keeper.Places(root), Box(root)
    if sys.argv[1] == "arm":
        keeper.arm(places, box, order())
        return
    if sys.argv[1] == "back":
        keeper.go_back(places, box, order(version="", document=""))
        return
    with keeper.alone(places, patiently=True):
        keeper.Keeper(places, box).run()


if __name__ == "__main__":
    main()
