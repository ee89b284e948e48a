from __future__ import annotations

import pytest

from node.camera import script
from node.camera.script import Fault


@pytest.mark.parametrize(
    ("fault", "spoilt"),
    [
        (Fault("busy"), [0]),
        (Fault("busy", after_shots=3), [3]),
        (Fault("busy", after_shots=2, shots=3), [2, 3, 4]),
        (Fault("busy", after_shots=1, shots=1, every=4), [1, 5, 9]),
        (Fault("busy", after_shots=0, shots=2, every=5), [0, 1, 5, 6, 10, 11]),
    ],
)
def test_a_fault_spoils_the_shots_it_counts(fault: Fault, spoilt: list[int]) -> None:
    assert [count for count in range(12) if fault.spoils(count)] == spoilt


def test_the_first_fault_of_a_script_wins() -> None:
    faults = script.read([{"kind": "stale", "after_shots": 1}, {"kind": "black", "shots": 5}])
    assert [script.fault_at(faults, count) for count in range(3)] == ["black", "stale", "black"]


def test_openings_see_only_the_faults_of_openings() -> None:
    faults = script.read([{"kind": "stale"}, {"kind": "absent"}])
    assert script.fault_at(faults, 0, script.AT_OPENING) == "absent"
    assert script.fault_at(faults, 1, script.AT_OPENING) is None
