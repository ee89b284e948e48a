"""Jobs without a screen: listed, let wait again, cancelled, given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from console.fleet.inventory import Host

GONE = Host("oslo", "127.0.0.1", 1, "http")
ONE, TWO = "01ARZ3NDEKTSV4RRFFQ69G0001", "01ARZ3NDEKTSV4RRFFQ69G0002"


@pytest.fixture
def queue(start: Any, fleet: Any, make_job: Callable[..., Any]) -> Callable[..., Any]:
    """A node with two jobs: one whose kind is render, and one transfer; it lists them whatever state is asked for."""

    def made(*states: str, others: tuple[Any, ...] = (), name: str = "kyoto") -> Any:
        fake = start(name, queue={"dead": 2})
        jobs = [make_job(1, state=states[0]), make_job(2, state=states[-1], kind="transfer")]
        fake.answers("GET /v1/jobs", {"items": jobs, "next": None})
        for job in jobs:
            fake.answers(f"GET /v1/jobs/{job['id']}", job)
            for move, state in (("redrive", "queued"), ("cancel", "leased"), ("discard", "cancelled")):
                fake.answers(f"POST /v1/jobs/{job['id']}/{move}", {**job, "state": state})
        fleet(fake, *others)
        return fake

    return made


def orders(fake: Any) -> list[str]:
    return [path for path, _, _ in fake.orders]


def test_jobs_are_listed_with_their_last_error(queue: Any, run: Any) -> None:
    queue("dead")
    ran = run("jobs", "--state", "dead")
    assert ran.code == 0
    head, first, second = ran.out.splitlines()
    assert head.split() == ["NODE", "JOB", "KIND", "STATE", "TRY", "DUE", "ABOUT", "LAST", "ERROR"]
    assert first.startswith(f"kyoto  {ONE[-8:]}")
    assert first.endswith("REN-004 the encoder ended with 1")
    assert "transfer" in second


def test_jobs_as_json_are_for_programs(queue: Any, run: Any) -> None:
    queue("dead", others=(GONE,))
    ran = run("jobs", "--state", "dead", "--kind", "render", "--json")
    assert [(job["node"], job["id"], job["state"]) for job in ran.json["jobs"]] == [("kyoto", ONE, "dead")]
    assert ran.json["missing"][0]["node"] == "oslo"
    assert ran.code == 1


def test_only_the_states_asked_for_are_fetched(queue: Any, run: Any) -> None:
    fake = queue("dead")
    run("jobs", "kyoto", "--state", "dead", "--state", "retry")
    assert [path for path, _ in fake.asked if "jobs" in path] == [
        "/v1/jobs?state=dead&limit=100", "/v1/jobs?state=retry&limit=100",
    ]  # fmt: skip


def test_one_job_shows_its_attempts(queue: Any, run: Any, make_job: Any) -> None:
    fake = queue("dead")
    attempt = {
        "attempt": 1, "started": "2027-01-15T07:00:00.000Z", "ended": "2027-01-15T07:01:00.000Z", "outcome": "failed",
        "error_code": "REN-004", "error": "first",
    }  # fmt: skip
    fake.answers(f"GET /v1/jobs/{ONE}", make_job(1, attempts=[attempt]))
    out = run("jobs", f"kyoto/{ONE}").out
    assert "attempt 1, 2027-01-15T07:00:00Z to 2027-01-15T07:01:00Z: failed REN-004 first" in out


def test_no_jobs_are_said_to_be_none(start: Any, fleet: Any, run: Any) -> None:
    fake = start()
    fake.answers("GET /v1/jobs", {"items": [], "next": None})
    fleet(fake)
    ran = run("jobs")
    assert (ran.code, ran.out) == (0, "no jobs\n")


def test_a_list_that_was_cut_says_so(start: Any, fleet: Any, run: Any, make_job: Any) -> None:
    fake = start()
    fake.answers("GET /v1/jobs", {"items": [make_job(1)], "next": "again"})
    fleet(fake)
    assert "kyoto: there are more" in run("jobs", "--state", "dead").err


def test_a_fleet_that_cannot_be_reached_is_unavailable(fleet: Any, run: Any) -> None:
    fleet(GONE)
    ran = run("jobs")
    assert ran.code == 69
    assert "oslo: unreachable" in ran.err


@pytest.mark.parametrize("body", [b"<html>", {"items": [{"id": 3}]}, b" " * 2_000_000])
def test_a_hostile_list_is_told_as_what_it_is(start: Any, fleet: Any, run: Any, answer: Any, body: Any) -> None:
    fake = start()
    fake.answers("GET /v1/jobs", answer(body))
    fleet(fake)
    ran = run("jobs")
    assert ran.code == 1
    assert "kyoto: FLT-003" in ran.err


def test_a_nodes_dead_jobs_wait_again(queue: Any, run: Any) -> None:
    fake = queue("dead")
    ran = run("retry", "kyoto", "--yes")
    assert (ran.code, orders(fake)) == (0, [f"/v1/jobs/{ONE}/redrive", f"/v1/jobs/{TWO}/redrive"])
    assert "let wait again render" in ran.out
    assert f"same as: heliograph retry kyoto/{ONE} kyoto/{TWO}" in ran.out


def test_only_jobs_of_one_kind(queue: Any, run: Any) -> None:
    fake = queue("dead")
    assert run("discard", "kyoto", "--kind", "transfer", "--yes").code == 0
    assert orders(fake) == [f"/v1/jobs/{TWO}/discard"]


@pytest.mark.parametrize("part", [ONE, "69G0001", "g0001"])
def test_one_job_is_named_whole_or_by_its_last_letters(queue: Any, run: Any, part: str) -> None:
    fake = queue("dead")
    assert run("retry", f"kyoto/{part}", "--yes").code == 0
    assert orders(fake) == [f"/v1/jobs/{ONE}/redrive"]


@pytest.mark.parametrize("part", ["69G000", "xyz", "config", "0" * 9000])
def test_letters_that_no_job_ends_with_are_refused(queue: Any, run: Any, part: str) -> None:
    fake = queue("dead")
    ran = run("retry", f"kyoto/{part}", "--yes")
    assert (ran.code, ran.out, orders(fake)) == (64, "", [])
    assert "no jobs of it end" in ran.err
    assert "`jobs` jobs" in ran.err


def test_letters_that_several_jobs_end_with_are_refused(queue: Any, run: Any, make_job: Any) -> None:
    fake = queue("dead")
    fake.answers("GET /v1/jobs", {"items": [make_job(11), make_job(21)], "next": None})
    assert "2 jobs of it end with '1'" in run("retry", "kyoto/1", "--yes").out
    assert orders(fake) == []


def test_a_job_that_is_not_dead_is_not_redriven(queue: Any, run: Any) -> None:
    fake = queue("leased")
    ran = run("retry", f"kyoto/{ONE}", "--yes")
    assert (ran.code, orders(fake)) == (77, [])
    assert "it is leased: only dead jobs can be redriven" in ran.out


def test_a_running_job_that_is_cancelled_may_run_on_and_that_is_said(queue: Any, run: Any) -> None:
    queue("leased")
    ran = run("cancel", f"kyoto/{ONE}", "--yes")
    assert ran.code == 0
    assert "cancel asked; it may run on until its next step" in ran.out


def test_a_job_that_there_is_not_is_told_in_the_nodes_words(queue: Any, run: Any) -> None:
    fake = queue("dead")
    other = "01ARZ3NDEKTSV4RRFFQ69G9999"
    fake.refuses(f"GET /v1/jobs/{other}", 404, "JOB-003", "no such job")
    ran = run("retry", f"kyoto/{other}", f"kyoto/{ONE}", "--yes")
    assert (ran.code, orders(fake)) == (1, [f"/v1/jobs/{ONE}/redrive"])
    assert "JOB-003 no such job" in ran.out


def test_a_node_that_tells_of_another_job_is_not_believed(queue: Any, run: Any, make_job: Any) -> None:
    fake = queue("dead")
    fake.answers(f"GET /v1/jobs/{ONE}", make_job(2))
    assert run("discard", f"kyoto/{ONE}", "--yes").code != 0
    assert orders(fake) == []


def test_nothing_to_act_on_is_an_error_with_a_hint(start: Any, fleet: Any, run: Any) -> None:
    fake = start()
    fake.answers("GET /v1/jobs", {"items": [], "next": None})
    fleet(fake)
    ran = run("retry", "kyoto", "--yes")
    assert ran.code == 64
    assert "no jobs there are dead" in ran.err


def test_nodes_that_are_not_heard_stand_in_the_plan(queue: Any, run: Any) -> None:
    queue("dead", others=(GONE,))
    ran = run("retry", "kyoto", "oslo", "atlantis/1", "--yes")
    assert ran.code == 1
    assert "oslo: cannot: unreachable" in ran.out
    assert "atlantis/1: cannot: no such node in the inventory" in ran.out
    assert run("retry", "oslo", "--yes").code == 69


def test_a_plan_that_can_do_nothing_keeps_what_was_named(queue: Any, run: Any) -> None:
    queue("dead", others=(GONE,))
    assert "same as: heliograph retry oslo\n" in run("retry", "oslo", "--dry-run").out
    assert f"same as: heliograph cancel kyoto/{ONE}\n" in run("cancel", f"kyoto/{ONE}", "--dry-run").out


# --- terms about jobs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "asked"), [
    (["state:running"], ["leased"]), (["state:dead,retry", "kind:transfer"], ["dead", "retry"]),
    (["state:done"], ["done"]), (["STATE:!dead"], ["retry", "leased", "queued"]), (["--state", "running"], ["leased"]),
    (["state:leased"], ["leased"]), (["kind:x"], ["dead", "retry", "leased", "queued"]),
])  # fmt: skip
def test_states_of_jobs_are_asked_for_by_their_words(queue: Any, run: Any, words: list[str], asked: list[str]) -> None:
    fake = queue("dead")
    assert run("jobs", *words).code == 0
    assert [path for path, _ in fake.asked if "jobs" in path] == [
        f"/v1/jobs?state={state}&limit=100" for state in asked
    ]


@pytest.mark.parametrize(("words", "found"), [
    (["kind:transfer"], [TWO]), (["kind:render", "error:encoder"], [ONE]), (["job:0002"], [TWO]), (["error:tea"], []),
    (["kyoto", "Kind:render"], [ONE]), (["state:!crit", "kind:transfer"], [TWO]),
    ([f"kyoto/{ONE}", "kind:transfer"], []),
])  # fmt: skip
def test_terms_about_jobs_choose_among_them(queue: Any, run: Any, words: list[str], found: list[str]) -> None:
    queue("dead")
    assert [job["id"] for job in run("jobs", *words, "--json").json["jobs"]] == found


def test_what_acts_takes_them_too(queue: Any, run: Any) -> None:
    fake = queue("dead")
    assert run("retry", "state:dead", "kind:transfer", "--yes").code == 0
    assert orders(fake) == [f"/v1/jobs/{TWO}/redrive"]


@pytest.mark.parametrize(("words", "said"), [
    (["retry", "state:running"], "only jobs that are dead can be meant here"),
    (["jobs", "state:dead,crit"], "states are dead, retry, running, queued, cancelled, done of jobs, or "),
    (["jobs", "state:tea"], "of jobs, or"), (["jobs", "try:x"], "needs a number"),
    (["jobs", "tea:x"], "no field tea"),
])  # fmt: skip
def test_words_that_cannot_be_are_told_with_those_that_can(queue: Any, run: Any, words: list[str], said: str) -> None:
    fake = queue("dead")
    ran = run(*words)
    assert (ran.code, orders(fake)) == (64, [])
    assert said in ran.err
