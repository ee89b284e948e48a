from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apis import Served, served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as running:
        yield running
