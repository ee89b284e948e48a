"""With which token the gate asks: the service's own, wherever that release keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.programs import program


def asked_with(run: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    gate = program("node", "gate")
    (run / "api.json").write_text(json.dumps({"url": "http://127.0.0.1:1"}))
    monkeypatch.setattr(gate.ThisHost, "_asked", lambda _self, _connection, token, *_: {"token": token})
    return gate.ThisHost(gate.Wanted(name="alpha", run=str(run))).get("/v1/status")


@pytest.mark.parametrize("place", ["own/local.token", "local.token"])
def test_a_service_is_asked_wherever_it_keeps_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("its own")
    assert asked_with(tmp_path, monkeypatch) == {"token": "its own"}


def test_the_folder_that_others_cannot_see_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/local.token").write_text("new")
    (tmp_path / "local.token").write_text("left")
    assert asked_with(tmp_path, monkeypatch) == {"token": "new"}


def test_without_a_token_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_with(tmp_path, monkeypatch) is None
