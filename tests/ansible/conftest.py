"""The lab for a whole run of tests, made where it may be; and the marker for what needs it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.lab import needs
from tests.lab.lab import Lab, running
from tests.lab.names import Place, Refused

FOLDER = "/var/tmp/heliograph-lab-tests"
"""Not the one of `make lab`: what somebody tries there is not disturbed."""
KEEP = "HELIOGRAPH_LAB_KEEP"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The usual three hosts, fresh; with HELIOGRAPH_LAB_KEEP=1 as they were left, and left as they are."""
    try:
        needs.check()
    except Refused as reason:
        pytest.skip(str(reason))
    with running(Lab(Place.given(FOLDER)), keep=os.environ.get(KEEP) == "1") as made:
        yield made
