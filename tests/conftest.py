"""The longest tests begin first; what only repeats what another test does is not measured again."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

LONGEST = ("tests/faults/", "tests/simulate/")
"""Minutes each, mostly waiting for processes: at the end one of them would keep the other workers idle."""
COSTLY = ("tests/console/", "tests/node/api/", "tests/node/commands/")
COSTLY_IF_SLOW = ("tests/node/work/",)
"""Where cases differ in what is said, not in the lines that say it: measuring takes as long again as the test."""
UNMEASURED = (
    "tests/simulate/",
    "tests/node/domain/test_schedule.py::test_half_a_year_is_walked_slot_by_slot",
    "tests/node/test_almanac.py::test_windows_agree_with_a_scan_of_elevation_on_every_day",
)
"""Months of what other tests do in minutes or days: not a line more, and measuring doubles the time."""
VARIABLE = "COVERAGE_PROCESS_CONFIG"
"""By which processes that a test starts are measured, too."""
LEFT_OUT = pytest.StashKey[bool]()

# more than a thousand processes are started: the product is compiled for the first of them, not for each
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    seen = set[str]()
    for item in items:
        name = item.nodeid.partition("[")[0]
        item.stash[LEFT_OUT] = item.nodeid.startswith(UNMEASURED) or (name in seen and _costly(item))
        seen.add(name)


def _costly(item: pytest.Item) -> bool:
    slow = item.get_closest_marker("slow") is not None
    return item.nodeid.startswith(COSTLY) or (slow and item.nodeid.startswith(COSTLY_IF_SLOW))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not item.stash[LEFT_OUT]:
        return (yield)
    with unmeasured(item.config):
        return (yield)


@contextmanager
def unmeasured(config: pytest.Config) -> Iterator[None]:
    """Neither the test nor the processes that it starts."""
    controller = getattr(config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if controller is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        controller.pause()
        try:
            yield
        finally:
            controller.resume()
