from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from node.clock import SystemClock
from tests.apis import TOKENS, served
from tests.clocks import JumpClock
from tests.desks import Place
from tests.docks import OTHER_DISK

HOUR_US = 3_600_000_000


@pytest.fixture(params=["service", "directory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    data, run = tmp_path / "data", tmp_path / "run"
    for folder in (data, run):
        folder.mkdir()
    token = tmp_path / "token"
    token.write_text(TOKENS["operator"])
    clock = JumpClock(SystemClock().now_us() - HOUR_US)
    with served(data, clock) as api, tempfile.TemporaryDirectory(dir=OTHER_DISK) as nas:
        (run / "api.json").write_text(json.dumps({"url": api.server.url}))
        settings = api.parts.settings.model_dump(mode="json", exclude_unset=True) | {
            "clock": {"trusted": True},
            "paths": {"data": str(data), "run": str(run)},
            "archive": {"nas": {"kind": "directory", "path": nas}, "usb": {"kind": "directory", "path": str(data)}},
        }
        (tmp_path / "node.yml").write_text(yaml.safe_dump(settings))
        yield Place(
            api, tmp_path, Path(nas), ["--token-file", str(token)] if request.param == "service" else [], capsys
        )
