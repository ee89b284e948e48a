"""A target by its kind in node.yml."""

from __future__ import annotations

from node.archive.attended import Attended
from node.archive.base import Target, Where
from node.archive.directory import DirectoryArchive
from node.archive.rsync import RsyncArchive
from node.domain.config import TargetPolicy
from node.domain.nodefile import ArchiveTarget, DirectoryTarget


def open_target(name: str, endpoint: ArchiveTarget, policy: TargetPolicy, where: Where) -> Target:
    """Nothing is reached yet: that is `check`."""
    if isinstance(endpoint, DirectoryTarget):
        return Attended(DirectoryArchive(name, endpoint, policy, where), policy.timeout_s, where)
    return RsyncArchive(name, endpoint, policy, where)
