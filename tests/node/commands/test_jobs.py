"""`jobs`: the same through the running service and on a data directory that nobody holds."""

from __future__ import annotations

import pytest

from node.domain.errors import DatabaseMissing, DirectoryHeld, MoveIllegal, NotAllowed, UnknownJob, UsageWrong
from node.store.files import hold
from tests.apis import TOKENS, dead_job
from tests.desks import Place


def waiting(place: Place, count: int) -> list[str]:
    return [place.jobs.enqueue("thumbnail", f"c{number}", {"camera": f"c{number}"}).id for number in range(count)]


def test_jobs_are_listed_newest_first_a_line_each(place: Place) -> None:
    made, dead = waiting(place, 2), dead_job(place.jobs)
    status, out, err = place.ends("jobs", "list")
    assert (status, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines()] == [
        [dead.id, "dead", "transfer"], [made[1], "queued", "thumbnail"], [made[0], "queued", "thumbnail"],
    ]  # fmt: skip
    assert "REN-002 h266" in out.splitlines()[0]


def test_jobs_are_chosen_and_bounded(place: Place) -> None:
    made, dead = waiting(place, 5), dead_job(place.jobs)
    assert [job["id"] for job in place.says("jobs", "list", "--state", "dead")] == [dead.id]
    assert [job["id"] for job in place.says("jobs", "list", "--key", "c3")] == [made[3]]
    assert [job["id"] for job in place.says("jobs", "list", "--kind", "thumbnail", "--limit", 2)] == made[:2:-1]
    assert place.ends("jobs", "list", "--state", "done") == (0, "", "")


def test_more_jobs_than_a_page_holds_are_listed_all(place: Place) -> None:
    place.api.allow(page_max=1000, burst=10_000)
    sql = (
        "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 1500) INSERT INTO jobs"
        " (id, kind, key, state, priority, payload, who, created_us, due_us)"
        " SELECT printf('%026d', v), 'backup', v, 'queued', 0, '{}', 'node', 1, 1 FROM n"
    )
    place.store.database.write(lambda session: session.execute(sql))
    found = place.says("jobs", "list", "--limit", 5000)
    assert [job["id"] for job in found] == [f"{number:026d}" for number in range(1500, 0, -1)]


def test_one_job_is_shown_with_payload_and_attempts(place: Place) -> None:
    dead = dead_job(place.jobs)
    shown = place.says("jobs", "show", dead.id)
    assert (shown["payload"], [each["error_code"] for each in shown["attempts"]]) == ({"target": "nas"}, ["REN-002"])
    status, out, _ = place.ends("jobs", "show", dead.id)
    assert status == 0
    assert "target: nas" in out
    assert "attempt 1: " in out


def test_of_what_is_left_to_the_defaults_nothing_is_said(place: Place) -> None:
    job = place.says("archive", "send", "nas", "--no-wait")["id"]
    assert "null" not in place.ends("jobs", "show", job)[1]
    assert place.ends("verify-archive", "nas", "--no-wait")[0] == 0
    (check,) = place.says("jobs", "list", "--kind", "verify-archive")
    assert "null" not in place.ends("jobs", "show", check["id"])[1]


def test_a_job_is_cancelled_redriven_and_discarded(place: Place) -> None:
    dead, other, (job,) = dead_job(place.jobs), dead_job(place.jobs, key="usb"), waiting(place, 1)
    assert place.says("jobs", "cancel", job)["state"] == "cancelled"
    assert place.says("jobs", "redrive", dead.id)["state"] == "queued"
    assert place.says("jobs", "discard", other.id)["state"] == "cancelled"
    actions = place.store.rows("SELECT action, outcome FROM audit ORDER BY id")
    assert actions == [("job cancel", "done"), ("job redrive", "done"), ("job discard", "done")]


def test_dead_jobs_are_moved_by_kind_or_all_at_once(place: Place) -> None:
    for key in ("nas", "usb"):
        dead_job(place.jobs, key=key)
    dead_job(place.jobs, "backup", "node")
    assert place.says("jobs", "redrive", "--kind", "transfer") == {"count": 2}
    assert place.ends("jobs", "discard", "--all")[:2] == (0, "1 dead jobs discarded\n")


def test_what_cannot_be_done_ends_with_the_error_of_its_code(place: Place) -> None:
    (job,) = waiting(place, 1)
    place.fails(MoveIllegal, "jobs", "redrive", job)
    place.fails(UnknownJob, "jobs", "show", "0" * 26)


@pytest.mark.parametrize(
    "line",
    [
        ["jobs"], ["jobs", "sing"], ["jobs", "show"], ["jobs", "cancel"], ["jobs", "redrive"],
        ["jobs", "list", "0" * 26], ["jobs", "cancel", "--all"], ["jobs", "redrive", "0" * 26, "--all"],
        ["jobs", "show", "01j"], ["jobs", "discard", "--all", "--kind", "render"],
        ["jobs", "list", "--limit", "0"], ["jobs", "list", "--state", "asleep"], ["jobs", "list", "--kind", "nap"],
    ],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_refused(place: Place, line: list[str]) -> None:
    place.fails(UsageWrong, *line)


def test_beside_a_service_a_command_without_a_token_says_who_holds_the_directory(place: Place) -> None:
    with hold(place.store.folder):
        if place.by_service:
            assert place.ends("jobs", "list")[0] == 0
        else:
            assert "pid" in place.fails(DirectoryHeld, "jobs", "list")


def test_a_directory_without_a_database_is_left_as_it_is(place: Place) -> None:
    if place.by_service:
        (place.folder / "token").write_text(TOKENS["viewer"])
        assert place.ends("jobs", "list")[0] == 0
        place.fails(NotAllowed, "jobs", "discard", "--all")
        return
    empty = place.folder / "empty"
    empty.mkdir()
    text = (place.folder / "node.yml").read_text().replace(str(place.store.folder), str(empty))
    (place.folder / "node.yml").write_text(text)
    place.fails(DatabaseMissing, "jobs", "list")
    assert not list(empty.glob("*.db"))
