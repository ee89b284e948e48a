"""The service's own token, as it is written, found and believed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from node.api.guard import Shown, is_here, recognise
from node.api.local import ADDRESS_FILE, OWN_FOLDER, TOKEN_FILE, OwnToken, own_token_file
from node.domain.errors import DirectoryMissing, HeliographError, NotAuthenticated
from node.domain.nodefile import NodeFile
from tests.apis import served


def settings(run: Path) -> NodeFile:
    return NodeFile.model_validate({"paths": {"run": str(run)}})


def says(run: Path, text: str) -> None:
    (run / ADDRESS_FILE).write_text(text)


def own(run: Path) -> Path:
    folder = run / OWN_FOLDER
    folder.mkdir()
    return folder


def test_it_is_for_its_user_alone_and_new_each_time(tmp_path: Path) -> None:
    first, second = OwnToken(), OwnToken()
    assert first.write(tmp_path).stat().st_mode & 0o777 == 0o600
    assert second.write(tmp_path).read_text() == second.secret != first.secret
    assert [path.name for path in tmp_path.iterdir()] == [OWN_FOLDER]
    assert [path.name for path in (tmp_path / OWN_FOLDER).iterdir()] == [TOKEN_FILE]
    assert first.secret not in repr(first)
    assert first.token.sha256 != second.token.sha256


def test_what_a_kill_left_while_it_was_written_is_no_hindrance(tmp_path: Path) -> None:
    left = own(tmp_path) / f".{TOKEN_FILE}.tmp"
    left.write_text("half")
    left.chmod(0o666)
    assert OwnToken().write(tmp_path).stat().st_mode & 0o777 == 0o600
    assert not left.exists()


def test_a_link_that_somebody_laid_there_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = own(tmp_path)
    (folder / f".{TOKEN_FILE}.tmp").symlink_to(victim)
    (folder / TOKEN_FILE).symlink_to(victim)
    OwnToken().write(tmp_path)
    assert victim.read_text() == "mine"
    assert not (folder / TOKEN_FILE).is_symlink()


def test_its_folder_is_for_its_user_alone_also_where_it_was_open(tmp_path: Path) -> None:
    for _ in range(2):
        assert OwnToken().write(tmp_path).parent.stat().st_mode & 0o777 == 0o700
        (tmp_path / OWN_FOLDER).chmod(0o755)


def test_a_folder_elsewhere_that_a_link_names_is_not_used(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (tmp_path / OWN_FOLDER).symlink_to(elsewhere)
    with pytest.raises(HeliographError) as raised:
        OwnToken().write(tmp_path)
    assert str(tmp_path / OWN_FOLDER) in raised.value.detail
    assert list(elsewhere.iterdir()) == []
    assert elsewhere.stat().st_mode & 0o777 == 0o755


def test_without_its_folder_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(DirectoryMissing):
        OwnToken().write(tmp_path / "none")


def test_it_is_found_while_the_service_lives(tmp_path: Path) -> None:
    OwnToken().write(tmp_path)
    says(tmp_path, json.dumps({"pid": os.getpid()}))
    assert own_token_file(settings(tmp_path)) == tmp_path / OWN_FOLDER / TOKEN_FILE
    (tmp_path / OWN_FOLDER / TOKEN_FILE).unlink()
    assert own_token_file(settings(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": null}', '{"pid": "x"}', '{"pid": 4194304000}'])
def test_without_a_service_that_lives_there_is_none(tmp_path: Path, text: str) -> None:
    OwnToken().write(tmp_path)
    assert own_token_file(settings(tmp_path)) is None
    says(tmp_path, text)
    assert own_token_file(settings(tmp_path)) is None


@pytest.mark.parametrize(
    ("client", "server", "here"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("10.77.0.11", "10.77.0.11", True),
        ("10.77.0.1", "10.77.0.11", False),
        ("unknown", "", False),
    ],
)
def test_only_this_machine_is_here(client: str, server: str, *, here: bool) -> None:
    assert is_here(client, server) is here


def test_from_elsewhere_it_opens_nothing(tmp_path: Path) -> None:
    own = OwnToken()
    with served(tmp_path, own_token=own.token) as api:
        assert api.get("/v1/status", own.secret).status_code == 200
        shown = Shown(f"Bearer {own.secret}", None, "10.77.0.1", here=False)
        with pytest.raises(NotAuthenticated):
            recognise(shown, api.parts)
