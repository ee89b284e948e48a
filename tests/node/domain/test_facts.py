from __future__ import annotations

from node.domain.facts import CameraFacts, ClockFacts, Learnt, LoopFacts, NodeFacts, camera_key, gather, loop_key


def test_facts_are_sorted_by_kind_and_name_and_others_are_passed_over() -> None:
    clock, side, main = (
        Learnt(ClockFacts(synced=True), 1),
        Learnt(CameraFacts("side"), 2),
        Learnt(CameraFacts("main"), 3),
    )
    loop = Learnt(LoopFacts("facts", 1.0), 4)
    facts = gather([side, clock, Learnt("a word", 5), main, loop])
    assert facts == NodeFacts(clock=clock, cameras=(main, side), loops=(loop,))


def test_names_on_the_board_say_whose_they_are() -> None:
    assert (camera_key("main"), loop_key("facts")) == ("camera/main", "loop/facts")
