"""A command that waits for its job, and how long it does where nobody works."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from node.commands.desk import Desk, Order
from node.commands.following import PULSE_EVERY_S, SILENT_S, lines_of, ordered
from node.domain.errors import TRY_AGAIN, TargetUnavailable, WorkerSilent
from node.wire.work_records import JobRecord
from tests.clocks import JumpClock

WAITS = argparse.Namespace(no_wait=False, json=True)
BACKUP = Order("backup", {}, "/v1/backups")


def record(state: str) -> JobRecord:
    values = {"id": "01J", "kind": "backup", "key": "node", "priority": 30, "who": "ops", "created": "", "due": ""}
    return JobRecord.model_validate({**values, "state": state, "result": {}})


@dataclass
class Service:
    """Takes jobs; `ends_s` is when one is done, `silent` the stretches (from, to) in which `work` gives no pulse."""

    clock: JumpClock
    ends_s: float = 1e9
    silent_s: tuple[tuple[float, float], ...] = ((0, 1e9),)
    who: str = "work"
    asked: int = field(default=0)

    def ask(self, order: Order) -> JobRecord:
        return self.job(order.kind)

    def job(self, _identity: str) -> JobRecord:
        return record("done" if self.clock.monotonic() >= self.ends_s else "queued")

    def silent(self) -> Collection[str]:
        self.asked += 1
        now_s = self.clock.monotonic()
        return {self.who} if any(begin <= now_s < end for begin, end in self.silent_s) else ()

    def at_work(self, _kind: str) -> Any:
        return nullcontext()


@pytest.fixture
def service() -> Service:
    return Service(JumpClock())


def follow(service: Service) -> int:
    return ordered(cast("Desk", service), BACKUP, WAITS, service.clock)


def test_where_nobody_does_such_jobs_the_command_says_so_and_ends(service: Service) -> None:
    with pytest.raises(WorkerSilent, match=r"`work` has given no pulse for 30 s; job 01J is queued") as found:
        follow(service)
    assert found.value.exit == TRY_AGAIN
    assert SILENT_S <= service.clock.monotonic() <= SILENT_S + PULSE_EVERY_S
    assert service.asked <= 1 + SILENT_S / PULSE_EVERY_S


def test_a_job_that_waits_has_no_share_done(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(replace(service, silent_s=(), ends_s=10)) == 0
    assert capsys.readouterr().err == "queued\n"


@dataclass
class Retried:
    """A job that was tried before it is asked for (`asked`); each look at it shows what comes next."""

    asked: JobRecord
    looks: list[JobRecord]

    def ask(self, _order: Order) -> JobRecord:
        return self.asked

    def job(self, _identity: str) -> JobRecord:
        return self.looks.pop(0)

    def silent(self) -> Collection[str]:
        return ()

    def at_work(self, _kind: str) -> Any:
        return nullcontext()


def tried(state: str, attempt: int) -> JobRecord:
    said = {"error_code": "ARC-001", "error": "not there"} if state == "retry" else {}
    return record(state).model_copy(update={"attempt": attempt, **said})


def ends(asked: JobRecord, *looks: JobRecord) -> int:
    return ordered(cast("Desk", Retried(asked, list(looks))), BACKUP, WAITS, JumpClock())


def test_how_an_attempt_before_the_asking_failed_does_not_count() -> None:
    again = tried("retry", 2)
    assert ends(again, again, again, tried("leased", 3), tried("done", 3)) == 0
    assert ends(again, tried("leased", 3), again, tried("leased", 3), tried("done", 3)) == 0  # it was given back
    assert ends(again, tried("done", 3)) == 0


def test_how_an_attempt_after_the_asking_failed_ends_the_command() -> None:
    for asked in (tried("retry", 2), tried("queued", 2), tried("leased", 3)):
        with pytest.raises(TargetUnavailable, match="it is tried again at"):
            ends(asked, tried("leased", 3), tried("retry", 3))


def items_of(count: int) -> list[dict[str, str]]:
    return [{"frame": f"f{number}", "why": "gone"} for number in range(count)]


@pytest.mark.parametrize(("count", "shown", "rest"), [(1, 1, []), (20, 20, []), (23, 20, ["    and 3 more"])])
def test_a_list_is_printed_an_item_a_line_and_not_without_end(count: int, shown: int, rest: list[str]) -> None:
    job = record("done").model_copy(update={"result": {"named": items_of(count), "checked": 5, "lost": []}})
    items = [f'    {{"frame": "f{number}", "why": "gone"}}' for number in range(shown)]
    assert list(lines_of(job))[1:] == ["  named:", *items, *rest, "  checked: 5", "  lost: []"]


def test_a_process_that_starts_in_time_is_waited_for(service: Service) -> None:
    late = replace(service, silent_s=((0, 25), (40, 65)), ends_s=600)
    assert follow(late) == 0
    assert late.clock.monotonic() >= 600


def test_the_silence_of_another_process_is_no_matter(service: Service) -> None:
    assert follow(replace(service, who="ship", ends_s=120)) == 0
