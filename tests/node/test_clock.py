"""The machine's clock, and the one that jumps."""

from __future__ import annotations

import ctypes
import threading
import time
from pathlib import Path

import pytest

from node import clock
from node.clock import US, SystemClock
from node.domain.frame import ID_LENGTH, id_time_ms
from tests.clocks import START_US, JumpClock


def test_the_machines_clock_tells_the_machines_microseconds_and_seconds() -> None:
    system = SystemClock()
    assert abs(system.now_us() - time.time_ns() // 1000) < 5 * US
    assert abs(system.monotonic() - time.monotonic()) < 5


def test_a_wait_ends_when_its_event_is_set() -> None:
    wake = threading.Event()
    threading.Timer(0.02, wake.set).start()
    assert SystemClock().wait(wake, 30.0) is True


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.01])
def test_a_wait_ends_when_its_time_is_over(seconds: float) -> None:
    assert SystemClock().wait(threading.Event(), seconds) is False


def test_the_boot_id_is_the_kernels_with_the_start_of_the_first_process_and_stays() -> None:
    told = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    kernels, _, started_ticks = clock.boot_id().rpartition("-")
    assert kernels == told
    assert started_ticks.isdigit()
    assert clock.boot_id() == f"{kernels}-{started_ticks}"


def test_new_ids_carry_their_time_and_differ() -> None:
    system = SystemClock()
    first, second = system.new_id(), system.new_id()
    assert len(first) == ID_LENGTH
    assert first != second
    assert abs(id_time_ms(first) - system.now_us() // 1000) < 5000


def test_the_time_services_marker_says_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "synchronized"
    monkeypatch.setattr(clock, "_SYNCED", marker)
    monkeypatch.setattr(clock, "kernel_synced", lambda: False)
    assert SystemClock().synced() is False
    marker.touch()
    assert SystemClock().synced() is True


def test_a_trusted_clock_needs_no_time_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_SYNCED", tmp_path / "absent")
    monkeypatch.setattr(clock, "kernel_synced", lambda: False)
    assert SystemClock(trusted=True).synced() is True


@pytest.mark.parametrize(("state", "synced"), [(0, True), (4, True), (5, False), (-1, False)])
def test_the_kernel_says_synced_for_chrony(monkeypatch: pytest.MonkeyPatch, state: int, *, synced: bool) -> None:
    class Libc:
        def __init__(self, name: object) -> None:
            pass

        def adjtimex(self, timex: object) -> int:
            return state

    monkeypatch.setattr(ctypes, "CDLL", Libc)
    assert clock.kernel_synced() is synced


def test_the_real_kernel_answers_too() -> None:
    assert clock.kernel_synced() in (True, False)


def test_a_jumping_wait_passes_at_once_and_ends_at_the_instant_asked_for() -> None:
    jumping = JumpClock()
    assert jumping.wait(threading.Event(), 86_400.25) is False
    assert jumping.now_us() == START_US + 86_400 * US + US // 4
    assert jumping.monotonic() == 86_400.25


def test_a_jumping_wait_never_ends_just_before_its_instant() -> None:
    jumping = JumpClock()
    due_us = jumping.now_us() + 100_001
    jumping.wait(threading.Event(), (due_us - jumping.now_us()) / US)
    assert jumping.now_us() >= due_us


def test_a_jumping_wait_on_a_set_event_takes_no_time() -> None:
    jumping, wake = JumpClock(), threading.Event()
    wake.set()
    assert jumping.wait(wake, 60) is True
    assert jumping.now_us() == START_US


def test_a_planned_act_runs_at_its_instant_and_may_end_the_wait() -> None:
    jumping, wake, seen = JumpClock(), threading.Event(), list[int]()
    jumping.at(START_US + 10 * US, lambda: seen.append(jumping.now_us()))
    jumping.at(START_US + 20 * US, wake.set)
    assert jumping.wait(wake, 60) is True
    assert seen == [START_US + 10 * US]
    assert jumping.now_us() == START_US + 20 * US


def test_a_step_moves_the_wall_clock_alone() -> None:
    jumping = JumpClock()
    jumping.step(-3600)
    assert jumping.now_us() == START_US - 3600 * US
    assert jumping.monotonic() == 0.0


def test_advancing_runs_what_was_planned_meanwhile() -> None:
    jumping, seen = JumpClock(), list[str]()
    jumping.at(START_US + 2 * US, lambda: seen.append("second"))
    jumping.at(START_US + 1 * US, lambda: seen.append("first"))
    jumping.advance(5)
    assert seen == ["first", "second"]
    assert jumping.monotonic() == 5.0


def test_jumping_ids_are_the_same_in_each_run_and_differ_within_one() -> None:
    first, again = JumpClock(), JumpClock()
    ids = [first.new_id() for _ in range(3)]
    assert ids == [again.new_id() for _ in range(3)]
    assert len(set(ids)) == 3


def test_another_thread_waits_really_and_moves_no_time() -> None:
    jumping, wake, answers = JumpClock(synced=False), threading.Event(), list[bool]()
    thread = threading.Thread(target=lambda: answers.append(jumping.wait(wake, 3600)))
    thread.start()
    wake.set()
    thread.join()
    assert answers == [True]
    assert jumping.now_us() == START_US
    assert (jumping.synced(), jumping.waits) == (False, 1)
