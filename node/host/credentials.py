"""`credential:NAME` in node.yml: a file that the service manager hands to this unit alone (LoadCredential=)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from node.domain.errors import CredentialMissing
from node.domain.nodefile import CREDENTIAL

FOLDER = "CREDENTIALS_DIRECTORY"


def file_of(given: str, environment: Mapping[str, str] = os.environ) -> str:
    """The file that a field of node.yml means.  Raises CredentialMissing."""
    if not given.startswith(CREDENTIAL):
        return given
    name, folder = given.removeprefix(CREDENTIAL), environment.get(FOLDER, "")
    if not folder:
        raise CredentialMissing(f"{given}: the service manager gave this process no credentials")
    path = Path(folder) / name
    if not path.is_file():
        raise CredentialMissing(f"{given}: {path} is not there")
    return str(path)
