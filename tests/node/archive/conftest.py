from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.nodefile import DirectoryTarget
from tests import sshd
from tests.archives import Ground, Yard, other_disk


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Host]:
    with sshd.running(tmp_path_factory.mktemp("host") / "sshd") as host:
        yield host


@pytest.fixture
def store() -> Iterator[Path]:
    with other_disk() as folder:
        yield folder


@pytest.fixture(params=["directory", pytest.param("rsync", marks=pytest.mark.slow)])
def ground(request: pytest.FixtureRequest, yard: Yard, store: Path) -> Iterator[Ground]:
    if request.param == "directory":
        ground = Ground(yard, store, DirectoryTarget(kind="directory", path=str(store)))
    else:
        ground = Ground(yard, store, request.getfixturevalue("host").endpoint(path=str(store)))
    yield ground
    for target in ground.opened:
        target.close()


@pytest.fixture
def remote(yard: Yard, store: Path, host: sshd.Host) -> Iterator[Ground]:
    """An rsync target."""
    ground = Ground(yard, store, host.endpoint(path=str(store)))
    yield ground
    host.honest()
    for target in ground.opened:
        target.close()
