"""A job's row: how it is written, found and ordered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from console.columns.jobs import JOB_TABLE
from console.columns.table import Manner, plain
from console.fleet.filter import FilterWrong, parse
from console.fleet.inventory import Host
from console.fleet.job_rows import JOBS, JobLine, job_line
from console.fleet.jobs import JobBoard, JobRow
from console.fleet.listing import Listing
from console.fleet.times import Times, to_us
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable
from node.wire.work_records import JobRecord

NOW_US = to_us("2027-01-15T08:00:00.000Z") or 0


@pytest.fixture
def line(make_job: Callable[..., Any]) -> Callable[..., JobLine]:
    def made(number: int = 1, **changes: Any) -> JobLine:
        job = JobRecord.model_validate(make_job(number, **changes))
        return JobLine("kyoto", job, "Harbour", old=False, now_us=NOW_US)

    return made


def cells(row: JobLine, manner: Manner | None = None) -> dict[str, str]:
    manner = manner or Manner(now_us=NOW_US)
    return {column.key: column.cell(row, manner).text for column in JOB_TABLE.columns}


def test_a_dead_job_says_what_killed_it(line: Callable[..., JobLine]) -> None:
    said = cells(line())
    assert said["state"] == "✖ dead"
    assert (said["job"], said["node"], said["site"], said["kind"]) == ("Q69G0001", "kyoto", "Harbour", "render")
    assert (said["try"], said["age"], said["next"], said["progress"]) == ("3", "60m", "·", "·")
    assert said["said"] == "REN-004 the encoder ended with 1"


def test_one_that_runs_says_how_far_it_is_and_what_it_does(line: Callable[..., JobLine]) -> None:
    said = cells(line(state="leased", progress=0.75, said="frame 311/412"))
    assert (said["state"], said["progress"], said["said"]) == ("▶ running", "███░  75%", "frame 311/412")
    assert cells(line(state="leased", cancel_asked=True, said="x"))["said"] == "to be cancelled; x"


def test_one_that_waits_says_until_when(line: Callable[..., JobLine]) -> None:
    waits = line(state="retry", due="2027-01-15T08:00:44.000Z")
    assert cells(waits)["next"] == "in 44s"
    assert cells(waits, Manner(times=Times.UTC, now_us=NOW_US))["next"] == "08:00:44Z"
    assert cells(line(state="queued"))["next"] == "now"
    assert cells(line(state="queued", due="soon"))["next"] == "·"


def test_what_a_silent_node_said_last_is_marked_as_old(line: Callable[..., JobLine]) -> None:
    said = cells(replace(line(state="leased", progress=0.5), old=True))
    assert (said["state"], said["progress"]) == ("▶ running?", "██░░  50%?")


def test_without_utf8_every_sign_is_ascii(line: Callable[..., JobLine]) -> None:
    states = ("dead", "retry", "leased", "queued", "done", "cancelled")
    lines = plain(JOB_TABLE, [line(state=state) for state in states], Manner(ascii=True, now_us=NOW_US))
    assert all(one.isascii() for one in lines)
    assert len({one[0] for one in lines[1:]}) == len(states), "a sign of its own for each state"


@pytest.mark.parametrize(("width", "shown"), [
    (78, "state job node kind try next said"),
    (118, "state job node kind try age next progress key said"),
    (198, "state job node site kind try age next progress key said"),
])  # fmt: skip
def test_what_does_not_fit_goes_in_order_and_nothing_that_stays_is_cut(
    width: int, shown: str, line: Callable[..., JobLine]
) -> None:
    longest = {"node": 12, "state": 10, "next": 7, "kind": 6, "progress": 10}
    layout = JOB_TABLE.layout(width, longest)
    keys = [column.key for column, _ in layout]
    assert keys == shown.split()
    assert sum(cells for _, cells in layout) + len(layout) - 1 <= width
    said = cells(replace(line(state="leased", progress=1.0, due="2027-01-14T08:00:44.000Z"), old=True))
    whole = {column.key: cells for column, cells in layout if column.key not in {"said", "key"}}
    assert not {key for key, cells in whole.items() if len(said[key]) > cells}


def shown(listing: Listing[JobLine], text: str) -> list[str]:
    listing.filter_by(text)
    assert not listing.error
    listing.refresh(["dead", "new", "old", "run"])
    return list(listing.keys)


def test_dead_ones_come_first_then_the_latest(line: Callable[..., JobLine]) -> None:
    rows = {
        "old": line(1, state="queued", created="2027-01-14T07:00:00.000Z", kind="transfer"),
        "new": line(2, state="queued", created="2027-01-15T07:59:00.000Z", kind="transfer"),
        "dead": line(3, created="2027-01-01T07:59:00.000Z"),
        "run": line(4, state="leased", attempt=1, key="main/2027-01-15", error=""),
    }
    listing = Listing[JobLine](JOBS, rows.get)
    assert shown(listing, "") == ["dead", "run", "new", "old"]
    assert shown(listing, "state:dead,running") == ["dead", "run"]
    assert shown(listing, "age>1d") == ["dead", "old"]
    assert shown(listing, "kind:transfer try<9") == ["new", "old"]
    assert shown(listing, "key:2027-01-15 node:kyo site:harbour") == ["run"]
    assert shown(listing, "error:encoder state:dead") == ["dead"]
    assert shown(listing, "job:0003") == ["dead"]
    assert shown(listing, "REN-004 state:!queued") == ["dead", "run"]


@pytest.mark.parametrize("text", ["state:leased", "try>many", "bytes>1"])
def test_what_a_job_does_not_have_cannot_be_asked_for(text: str) -> None:
    with pytest.raises(FilterWrong):
        parse(text, JOBS.fields)


def test_every_row_can_be_ordered_by_every_name(line: Callable[..., JobLine]) -> None:
    rows = [line(state="leased"), line(due="soon", created="never")]
    listing = Listing[JobLine](JOBS, lambda key: rows[int(key)])
    for name in JOBS.sorts:
        listing.sort_by(name)
        listing.refresh(["0", "1"])
        assert set(listing.keys) == {"0", "1"}


def test_a_row_knows_its_site_and_whether_its_node_is_silent(
    make_job: Callable[..., Any], make_status: Callable[..., Any], hand: Any
) -> None:
    model = FleetModel([Host("kyoto", "h", 1, "http")], patience=Patience(), clock=hand.as_clock())
    row = JobRow("kyoto", JobRecord.model_validate(make_job(1)))
    board = JobBoard(Replayed(model))
    unheard = job_line(row, model, board)
    assert unheard is not None
    assert (unheard.site, unheard.old) == ("", False)
    model.heard("kyoto", make_status("kyoto", site="Har\x1bbour"))
    for _ in range(3):
        model.failed("kyoto", NodeUnreachable("no route"))
    silent = job_line(row, model, board)
    assert silent is not None
    assert (silent.site, silent.old) == ("Har bour", True)
    model.set_hosts(())
    assert job_line(row, model, board) is None


@dataclass
class Replayed:
    """A source with nobody to ask."""

    model: FleetModel

    def client(self, name: str) -> None: ...

    async def run(self) -> None: ...

    def attend(self, names: Iterable[str]) -> None: ...

    def ask_now(self, name: str) -> None: ...


@pytest.mark.parametrize("state", ["dead", "retry", "leased", "queued"])
def test_every_cell_of_an_old_row_is_dim_and_what_may_have_changed_has_a_mark(
    line: Callable[..., JobLine], state: str
) -> None:
    fresh = line(state=state, progress=0.5, said="frame 3/9")
    row, manner = replace(fresh, old=True, listed_s=180.0), Manner(now_us=NOW_US)
    told = {column.key: column.cell(row, manner) for column in JOB_TABLE.columns}
    assert {cell.style for cell in told.values()} == {"dim"}
    marked = {key for key, cell in told.items() if cell.text.endswith("?")}
    waits = {"next"} if state in {"retry", "queued"} else set()
    assert marked == {"state", "try", "said"} | waits | ({"progress"} if state == "leased" else set())
    assert told["said"].text == f"3m ago: {fresh.said}?"
    assert not [cell for cell in cells(fresh).values() if "?" in cell]
