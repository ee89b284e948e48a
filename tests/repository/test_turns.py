"""The order of the tests, and which of them are measured: on a small tree of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = """
import subprocess, sys
import pytest
from {module} import first, second, third

pytestmark = [{mark}]

@pytest.mark.parametrize("act", [first, second])
def test_case(act):
    act()
    subprocess.run([sys.executable, "-c", f"from {module}_beside import *; {{act.__name__}}()"], check=True)
    if act is second: {end}

def test_after():
    third()
"""
SLOW = "pytest.mark.slow"
FILES = [
    ("tests/node/work/test_a.py", SLOW, "pass", False),
    ("tests/node/work/test_b.py", SLOW, "pytest.skip('no')", False),
    ("tests/node/work/test_c.py", SLOW, "assert False", False),
    ("tests/node/work/test_d.py", "", "pass", True),
    ("tests/node/store/test_e.py", SLOW, "pass", True),
    ("tests/node/api/test_schema.py", SLOW, "pass", False),
    ("tests/console/screens/test_f.py", "", "pass", False),
    ("tests/console/fleet/test_g.py", SLOW, "pass", False),
    ("tests/node/domain/test_h.py", "", "pass", True),
]
"""Path, mark, how the second case ends, whether that one is measured."""


def run(tree: Path, *words: str) -> str:
    (tree / "pytest.ini").write_text("[pytest]\nmarkers = slow\naddopts = --import-mode=importlib\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", *words],
        cwd=tree, env={"PYTHONPATH": f"{tree}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    return done.stdout + done.stderr


def write(tree: Path, path: str, text: str) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)


@pytest.mark.slow
def test_a_costly_case_that_repeats_another_is_not_measured_and_all_others_are(tmp_path: Path) -> None:
    """Nor are its processes; what comes after it is measured again, however it ends."""
    product = "".join(f"def {name}():\n    return\n" for name in ("first", "second", "third"))
    write(tmp_path, "product/__init__.py", "")
    write(tmp_path, ".coveragerc", "[run]\nparallel = true\npatch = subprocess\n")
    for number, (path, mark, end, _) in enumerate(FILES):
        write(tmp_path, f"product/m{number}.py", product)
        write(tmp_path, f"product/m{number}_beside.py", product)
        write(tmp_path, path, CASES.format(module=f"product.m{number}", mark=mark, end=end))
    write(tmp_path, "product/months.py", product)
    write(tmp_path, "tests/simulate/test_months.py", "from product.months import first\n\ndef test(): first()\n")
    assert "1 failed, 26 passed, 1 skipped" in run(tmp_path, "--cov=product", "--cov-report=json:found.json")
    files = json.loads((tmp_path / "found.json").read_text())["files"]
    missing = {name: said["missing_lines"] for name, said in files.items()}
    assert missing["product/months.py"] == [2, 4, 6]
    for number, (*_, measured) in enumerate(FILES):
        assert missing[f"product/m{number}.py"] == ([] if measured else [4]), FILES[number]
        assert missing[f"product/m{number}_beside.py"] == ([6] if measured else [4, 6]), FILES[number]


def test_the_longest_begin_first_and_the_others_stay_in_order(tmp_path: Path) -> None:
    for path in ("bench/test_a.py", "faults/test_b.py", "node/test_c.py", "simulate/test_d.py", "faults/test_a.py"):
        write(tmp_path, f"tests/{path}", "def test(): pass\n")
    said = run(tmp_path, "-v", "-p", "no:cov")
    expected = ["faults/test_a.py", "faults/test_b.py", "simulate/test_d.py", "bench/test_a.py", "node/test_c.py"]
    assert re.findall(r"^tests/(\S+)::test PASSED", said, re.MULTILINE) == expected
