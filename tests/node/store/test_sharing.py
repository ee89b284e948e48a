from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node.domain.errors import DatabaseBusy, DatabaseMissing
from node.store.database import NAME, Database
from node.store.sharing import alone

JOINS = """
import sys
from pathlib import Path
from node.store.database import Database
database = Database.join(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


def test_who_would_replace_the_file_waits_until_all_have_left(tmp_path: Path) -> None:
    Database(tmp_path / NAME).close()
    joined = Database.join(tmp_path / NAME)
    assert not joined.unwanted()
    had = threading.Event()

    def replace() -> None:
        with alone(tmp_path, 10):
            had.set()

    thread = threading.Thread(target=replace)
    thread.start()
    while not joined.unwanted():
        assert thread.is_alive()
    assert not had.is_set()
    with pytest.raises(DatabaseMissing, match="another file"):
        joined.write(lambda session: session.execute("INSERT INTO meta VALUES ('late', 'x')"))
    with pytest.raises(DatabaseMissing, match="another file"):
        Database.join(tmp_path / NAME)
    joined.close()
    thread.join(10)
    assert had.is_set()
    Database.join(tmp_path / NAME).close()


def test_who_does_not_leave_is_not_waited_for_without_end(tmp_path: Path) -> None:
    Database(tmp_path / NAME).close()
    joined = Database.join(tmp_path / NAME)
    with pytest.raises(DatabaseBusy, match="does not let go"), alone(tmp_path, 0.1):
        pytest.fail("somebody still has it")
    assert not joined.unwanted()
    joined.close()


@pytest.mark.slow
def test_a_process_that_dies_has_left(tmp_path: Path) -> None:
    Database(tmp_path / NAME).close()
    process = subprocess.Popen(
        [sys.executable, "-c", JOINS, str(tmp_path / NAME)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(DatabaseBusy), alone(tmp_path, 0.1):
        pytest.fail("the process still has it")
    process.kill()
    process.communicate()
    with alone(tmp_path, 5):
        pass
