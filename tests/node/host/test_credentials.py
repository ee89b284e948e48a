from __future__ import annotations

from pathlib import Path

import pytest

from node.domain.errors import CredentialMissing, NodeFileInvalid
from node.host.credentials import FOLDER, file_of
from node.settings import load_node_file

VAULT = "archive: {vault: {kind: rsync, host: vault, path: /srv, key: '%s', known_hosts: /etc/known}}"


def test_a_path_is_itself_and_a_name_is_below_the_folder_of_the_unit(tmp_path: Path) -> None:
    (tmp_path / "vault").touch()
    assert file_of("/etc/keys/vault", {}) == "/etc/keys/vault"
    assert file_of("credential:vault", {FOLDER: str(tmp_path)}) == str(tmp_path / "vault")


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialMissing, match="gave this process no credentials"):
        file_of("credential:vault", {})
    with pytest.raises(CredentialMissing, match=f"{tmp_path}/vault is not there"):
        file_of("credential:vault", {FOLDER: str(tmp_path)})
    (tmp_path / "vault").mkdir()
    with pytest.raises(CredentialMissing):
        file_of("credential:vault", {FOLDER: str(tmp_path)})


@pytest.mark.parametrize("name", ["", "../vault", "a/b", ".hidden", "x" * 101, "a b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "node.yml").write_text(VAULT % f"credential:{name}")
    with pytest.raises(NodeFileInvalid) as raised:
        load_node_file(tmp_path / "node.yml", {})
    assert [fault.path for fault in raised.value.fields] == ["archive.vault.key"]


@pytest.mark.parametrize("key", ["/etc/keys/a:b", "keys/vault", "credential:vault", "credential:Vault.2026_1-x"])
def test_paths_and_names_are_taken_and_the_root_moves_paths_only(tmp_path: Path, key: str) -> None:
    (tmp_path / "node.yml").write_text(VAULT % key)
    target = load_node_file(tmp_path / "node.yml", {}, root=tmp_path).node_file.archive["vault"]
    assert target.kind == "rsync"
    assert target.key == (f"{tmp_path}{key}" if key.startswith("/") else key)
