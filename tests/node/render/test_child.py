"""How the child of an encode stands back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from node.render.child import NICENESS

STANDS_BACK = "import os; from node.render import child; child.stand_back(); print(os.getpriority(os.PRIO_PROCESS, 0))"
REFUSED = f"""
import os
def refuse(steps): raise PermissionError
os.nice = refuse
{STANDS_BACK.removeprefix("import os; ")}
"""


def niceness(code: str, *before: str) -> int:
    done = subprocess.run([*before, sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return int(done.stdout)


def test_by_itself_it_takes_the_last_share() -> None:
    assert niceness(STANDS_BACK) == NICENESS


def test_what_the_unit_has_said_stays_and_is_not_asked_for_again() -> None:
    assert niceness(REFUSED, "nice", "-n", "5") == 5


@pytest.mark.parametrize("before", [(), ("nice", "-n", "7")])
def test_a_filter_that_refuses_does_not_keep_it_from_working(before: tuple[str, ...]) -> None:
    assert niceness(REFUSED, *before) in (0, 7)
