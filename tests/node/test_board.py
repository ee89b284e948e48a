"""The board: latest facts, from any thread."""

from __future__ import annotations

import threading

from node.board import Board
from node.domain.facts import ClockFacts, Learnt


def test_a_fact_is_read_back_with_the_time_it_was_learnt() -> None:
    board = Board()
    board.post("clock", ClockFacts(synced=True), 42)
    assert board.read("clock") == Learnt(ClockFacts(synced=True), 42)


def test_a_fact_may_say_what_it_cost_to_learn_it() -> None:
    board = Board()
    board.post("clock", ClockFacts(synced=True), 42, took_ms=0.5)
    assert board.read("clock") == Learnt(ClockFacts(synced=True), 42, 0.5)


def test_what_nobody_posted_is_not_known() -> None:
    assert Board().read("disk") is None


def test_the_last_post_wins_even_after_the_clock_was_set_back() -> None:
    board = Board()
    board.post("clock", ClockFacts(synced=True), 100)
    board.post("clock", ClockFacts(synced=False), 50)
    assert board.read("clock") == Learnt(ClockFacts(synced=False), 50)


def test_a_forgotten_fact_is_not_known_and_forgetting_twice_is_harmless() -> None:
    board = Board()
    board.post("camera/a", ClockFacts(synced=True), 1)
    board.forget("camera/a")
    board.forget("camera/a")
    assert board.all() == {}


def test_all_is_a_copy_that_later_posts_do_not_change() -> None:
    board = Board()
    board.post("a", ClockFacts(synced=True), 1)
    before = board.all()
    board.post("b", ClockFacts(synced=True), 2)
    assert set(before) == {"a"}


def test_many_threads_post_while_others_read() -> None:
    board = Board()

    def post(name: str) -> None:
        for number in range(500):
            board.post(name, number, number)
            board.all()

    threads = [threading.Thread(target=post, args=(f"loop/{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: fact.value for name, fact in board.all().items()} == {f"loop/{n}": 499 for n in range(4)}
