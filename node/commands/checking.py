"""What node.yml names on this machine: whether it is there, as `check-config` asks."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from node.domain.errors import ConfigFileMissing, DirectoryMissing, FieldFault, SameDevice
from node.domain.nodefile import CREDENTIAL, DirectoryTarget, NodeFile, RsyncTarget

DATA_FIELDS = frozenset({"paths", "paths.data"})
"""What stands for the data folder."""
KEY_FIELDS = ("key", "known_hosts")


def check_data(node: NodeFile) -> None:
    """Raises DirectoryMissing."""
    if not Path(node.paths.data).is_dir():
        raise DirectoryMissing(fields=[FieldFault("paths.data", f"{node.paths.data}: no such folder")])


def check_devices(node: NodeFile) -> None:
    """Raises SameDevice for archive folders on the data folder's file system; a disk that is not there is no fault."""
    frames = _device(node.paths.data)
    faults = [
        FieldFault(f"archive.{name}.path", f"{target.path} and {node.paths.data}; is it mounted?")
        for name, target in node.archive.items()
        if isinstance(target, DirectoryTarget) and frames is not None and _device(target.path) == frames
    ]
    if faults:
        raise SameDevice(fields=faults)


def check_keys(node: NodeFile) -> None:
    """Raises ConfigFileMissing for files that a connection to a target needs; credentials are the unit's to have."""
    faults = [FieldFault(field, f"{path}: no such file") for field, path in _key_files(node) if _missing(path)]
    if faults:
        raise ConfigFileMissing(fields=faults)


def _key_files(node: NodeFile) -> Iterator[tuple[str, str]]:
    for name, target in node.archive.items():
        if isinstance(target, RsyncTarget):
            files = ((f"archive.{name}.{field}", getattr(target, field)) for field in KEY_FIELDS)
            yield from ((field, path) for field, path in files if not path.startswith(CREDENTIAL))


def _missing(path: str) -> bool:
    try:
        return not stat.S_ISREG(Path(path).stat().st_mode)
    except PermissionError:  # the service's own, and this is another user
        return False
    except OSError:
        return True


def _device(path: str) -> int | None:
    try:
        return Path(path).stat().st_dev
    except OSError:
        return None
