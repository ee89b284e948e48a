"""The alerts of a fleet: what fires, who knows of it, when an acknowledgement ends, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.fleet.alerts import AlertBoard, grouped
from console.fleet.inventory import Host
from console.fleet.state import Ack, Book
from console.fleet.stir import Stir
from console.fleet.view import FleetModel, Patience
from node.wire.errors import ConsoleFileUnusable, HeliographError, NodeAnswerWrong, NodeRefused, NodeUnreachable

NOW_US = 1_800_000_000_000_000
KEY = "cam/camera_offline/main"
CRIT = {
    "code": "camera_offline", "severity": "crit", "subject": "main", "since": "2027-01-15T07:00:00.000Z",
    "sentence": "main is offline",
}  # fmt: skip
WARN = {**CRIT, "code": "disk", "severity": "warn", "subject": "data", "sentence": "disk is filling"}


class Ground:
    """A model, a book and a board over them."""

    def __init__(
        self, folder: Path, hand: Any, make_status: Callable[..., Any], names: tuple[str, ...], who: str = "mw"
    ) -> None:
        hosts = [Host(name, "127.0.0.1", number, "http") for number, name in enumerate(names, 1)]
        self.hand, self._make_status = hand, make_status
        self.model = FleetModel(hosts, patience=Patience(), clock=hand.as_clock())
        self.book = Book.open(folder, None, hand.as_clock())
        self.board = AlertBoard(self.model, self.book, who)

    def hears(self, *alerts: dict[str, Any], name: str = "cam", **changes: Any) -> None:
        self.model.heard(name, self._make_status(name, alerts=list(alerts), **changes))
        self.board.refresh()

    def fails(self, error: HeliographError, name: str = "cam") -> None:
        for _ in range(3):
            self.model.failed(name, error)
        self.board.refresh()

    def acks(self, key: str = KEY, until_us: int | None = None) -> None:
        assert self.book.acknowledge(Ack(key, "mw", "known", NOW_US, until_us))
        self.board.refresh()

    def passes(self, seconds: float) -> None:
        self.hand.now_s += seconds
        self.board.refresh()

    @property
    def keys(self) -> list[str]:
        return [row.key for row in self.board.rows()]


@pytest.fixture
def ground(tmp_path: Path, hand: Any, make_status: Callable[..., Any]) -> Callable[..., Ground]:
    return lambda *names: Ground(tmp_path / "state", hand, make_status, names or ("cam", "harbour"))


def test_a_nodes_alerts_are_listed_worst_first_and_go_when_it_says_so(ground: Callable[..., Ground]) -> None:
    it = ground()
    it.hears(WARN, CRIT)
    first, second = it.board.rows()
    assert (first.key, second.key) == (KEY, "cam/disk/data")
    assert (first.severity, first.site, first.sentence, first.stale) == ("crit", "Harbour", "main is offline", False)
    assert first.since_us == NOW_US - 3_600_000_000
    it.hears(WARN)
    assert it.keys == ["cam/disk/data"]
    it.hears()
    assert (it.keys, it.board.unacked) == ([], 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NodeUnreachable("no route"), "node.unreachable"), (NodeRefused("HTTP 401"), "node.refused"),
        (NodeAnswerWrong("version"), "node.garbled"), (ConsoleFileUnusable("token"), "node.unasked"),
    ],
)  # fmt: skip
def test_what_only_the_console_knows_is_an_alert_and_the_nodes_own_are_old(
    ground: Callable[..., Ground], error: HeliographError, code: str
) -> None:
    it = ground()
    it.hears(CRIT)
    it.fails(error)
    rows = {row.code: row for row in it.board.rows()}
    assert rows.keys() == {code, "camera_offline"}
    assert (rows[code].severity, rows[code].stale, rows["camera_offline"].stale) == ("crit", False, True)
    assert error.detail in rows[code].sentence
    it.hears()
    assert it.keys == []


def test_silence_alone_makes_alerts_without_any_news(ground: Callable[..., Ground]) -> None:
    it = ground("cam")
    it.hears()
    it.passes(30)
    assert it.keys == []
    it.passes(0.1)
    assert it.keys == ["cam/node.stale/node"]
    it.passes(15)
    (row,) = it.board.rows()
    assert (row.code, row.since_us) == ("node.unreachable", NOW_US)
    revision = it.board.revision
    it.passes(3600)
    assert it.board.revision == revision


def test_a_snapshot_is_no_news(ground: Callable[..., Ground], make_status: Callable[..., Any]) -> None:
    it = ground("cam")
    it.model.restore("cam", make_status("cam", alerts=[CRIT]), NOW_US - 86_400_000_000)
    it.board.refresh()
    assert [(row.code, row.stale) for row in it.board.rows()] == [("camera_offline", True)]
    assert it.board.raised_crit == 0


def test_an_acknowledgement_ends_when_the_condition_is_gone_for_a_whole_poll(ground: Callable[..., Ground]) -> None:
    it = ground("cam")
    it.hears(CRIT)
    it.acks()
    assert (it.board.unacked, it.board.rows()[0].ack is not None) == (0, True)
    it.passes(10)
    it.hears()
    it.passes(1)
    it.hears()
    assert KEY in it.book.acks, "gone for a moment only"
    it.passes(1)
    it.hears(CRIT)
    assert it.board.rows()[0].ack is not None
    for _ in range(2):
        it.passes(10)
        it.hears()
    assert KEY not in it.book.acks
    it.hears(CRIT)
    assert it.board.unacked == 1


@pytest.mark.parametrize("error", [NodeUnreachable(), NodeAnswerWrong(), NodeRefused()])
def test_silence_is_no_recovery(ground: Callable[..., Ground], error: HeliographError) -> None:
    it = ground("cam")
    it.hears(CRIT)
    it.acks()
    it.fails(error)
    it.acks(next(key for key in it.keys if key != KEY))
    it.passes(86_400)
    it.fails(error)
    assert len(it.book.acks) == 2
    for _ in range(2):
        it.hears(CRIT)
        it.passes(10)
    it.hears(CRIT)
    assert set(it.book.acks) == {KEY}


def test_an_acknowledgement_expires_on_the_board(ground: Callable[..., Ground]) -> None:
    it = ground("cam")
    it.hears(CRIT)
    it.acks(until_us=NOW_US + 20_000_000)
    assert it.board.unacked == 0
    it.hand.now_s += 20
    it.book.refresh()
    it.board.refresh()
    assert it.board.unacked == 1


def test_a_node_that_left_takes_its_alerts_along(ground: Callable[..., Ground]) -> None:
    it = ground("cam")
    it.hears(CRIT)
    it.acks()
    it.model.set_hosts([])
    it.board.refresh()
    assert it.keys == []
    assert KEY in it.book.acks


def test_a_recording_has_no_book_and_ends_no_acknowledgement(ground: Callable[..., Ground]) -> None:
    it = ground("cam")
    it.acks()
    board = AlertBoard(it.model)
    it.model.heard("cam", it._make_status("cam", alerts=[CRIT]))
    board.refresh()
    assert board.unacked == 1
    assert KEY in it.book.acks


def test_new_critical_alerts_ring_once(ground: Callable[..., Ground]) -> None:
    it = ground("cam")
    it.hears(CRIT, WARN)
    it.hears(CRIT, WARN)
    assert it.board.raised_crit == 1
    it.hears({**WARN, "severity": "crit"}, CRIT)
    assert it.board.raised_crit == 2


def test_hostile_alerts_are_bounded_plain_and_each_once(ground: Callable[..., Ground]) -> None:
    it = ground("cam")
    hostile = {"code": "\x1b[2J" * 900, "severity": "crit", "subject": "a\nb/" * 900, "since": "x", "sentence": "\r"}
    it.hears(hostile, hostile, *({**WARN, "subject": str(number)} for number in range(10_000)))
    assert len(it.board.rows()) == 63
    assert all(row.key.isprintable() and len(row.key) <= 300 for row in it.board.rows())
    it.acks(it.keys[0])
    assert it.board.unacked == 62


@pytest.mark.parametrize(
    "since", ["9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+12:00", "9999-12-31T00:00:00Z"]
)
def test_a_time_that_no_calendar_has_is_none(ground: Callable[..., Ground], since: str) -> None:
    it = ground("cam")
    it.hears({**WARN, "since": since})
    assert it.board.rows()[0].since_us == NOW_US


def test_only_what_changed_is_looked_at(ground: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch) -> None:
    it = ground(*(f"cam-{number}" for number in range(5000)))
    looked: list[str] = []
    real = AlertBoard._look
    monkeypatch.setattr(AlertBoard, "_look", lambda board, name: (looked.append(name), real(board, name))[1])
    it.board.refresh()
    assert len(looked) == 5000
    looked.clear()
    for _ in range(100):
        it.passes(0.25)
    assert looked == []
    it.hears(CRIT, name="cam-7")
    it.acks("cam-7/camera_offline/main")
    assert looked == ["cam-7", "cam-7"]
    for _ in range(200):
        it.passes(0.25)
    assert len(looked) <= 5000 * 2 + 10, "each once as it grows stale and once as it is lost"
    assert len(it.board.rows()) == 5001


def test_the_times_to_look_again_do_not_pile_up(ground: Callable[..., Ground]) -> None:
    it = ground("cam")
    stir = Stir(it.model)
    for _ in range(1000):
        it.hears()
        stir.take()
        it.hand.now_s += 1
    assert len(stir._heap) <= 32


def test_groups_are_by_cause_node_or_site(ground: Callable[..., Ground]) -> None:
    it = ground("a", "b", "c")
    it.hears(CRIT, WARN, name="a", site="dam-3")
    it.hears(CRIT, name="b", site="dam-3")
    it.hears(WARN, name="c")
    rows = it.board.rows()
    assert [(one.key, one.severity, one.nodes) for one in grouped(rows)] == [
        ("cause:camera_offline", "crit", ("a", "b")), ("cause:disk", "warn", ("a", "c")),
    ]  # fmt: skip
    assert [one.value for one in grouped(rows, "node")] == ["a", "b", "c"]
    assert [(one.value, len(one.rows)) for one in grouped(rows, "site")] == [("dam-3", 3), ("Harbour", 1)]
    assert grouped([]) == []


def test_a_group_is_acknowledged_when_all_of_it_is(ground: Callable[..., Ground]) -> None:
    it = ground("a", "b")
    it.hears(CRIT, name="a")
    it.hears(CRIT, name="b")
    it.acks("a/camera_offline/main")
    (half,) = grouped(it.board.rows())
    assert half.acked is None
    it.acks("b/camera_offline/main", NOW_US + 1_000_000)
    (whole,) = grouped(it.board.rows())
    assert whole.acked is not None
    assert whole.acked.until_us == NOW_US + 1_000_000


def test_what_nodes_share_that_others_do_not_is_told(ground: Callable[..., Ground]) -> None:
    names = tuple(f"cam-{number}" for number in range(8))
    it = ground(*names)
    for number, name in enumerate(names):
        alerts = [CRIT] if number < 4 else []
        it.hears(
            *alerts, name=name, site="dam-3" if number < 3 else "tower", version="1.4.2" if number < 4 else "1.4.1"
        )
    assert grouped(it.board.rows(), "cause", it.model)[0].note == "1.4.2 4/4 · dam-3 3/4"
    for name in names:
        it.hears(CRIT, name=name)
    assert grouped(it.board.rows(), "cause", it.model)[0].note == "", "all of them differ from nobody"
    for name in names[1:]:
        it.hears(name=name)
    assert grouped(it.board.rows(), "cause", it.model)[0].note == "", "one shares nothing"


def test_that_a_stale_node_became_unreachable_is_no_recovery_from_being_stale(ground: Callable[..., Ground]) -> None:
    it = ground("cam")
    it.hears()
    it.passes(31)
    it.acks("cam/node.stale/node")
    it.passes(60)
    it.hears()
    assert it.book.acks, "well for a moment only"
    it.passes(10)
    it.hears()
    assert it.book.acks == {}


def consoles(it: Ground, *operators: str) -> list[Ground]:
    """More of them over the same folder, each with a view of its own of the nodes."""
    return [Ground(it.book.folder, it.hand, it._make_status, ("cam",), operator) for operator in operators]


def turn(*all_of_them: Ground) -> None:
    for each in all_of_them:
        each.book.refresh()
        each.board.refresh()


def test_what_only_my_console_finds_is_not_ended_by_one_that_reaches_the_node(ground: Callable[..., Ground]) -> None:
    mine, theirs = consoles(ground("cam"), "mw", "ab")
    key = "cam/node.unreachable/node"
    mine.fails(NodeUnreachable("no route"))
    mine.acks(key)
    for _ in range(5):
        mine.hand.now_s += 10
        theirs.hears()
        turn(mine, theirs)
    assert [row.ack is not None for row in mine.board.rows()] == [True]
    assert set(theirs.book.acks) == {key}
    theirs.fails(NodeUnreachable("no route"))
    assert [row.ack for row in theirs.board.rows()] == [None], "another time, of which nobody knows yet"
    mine.hears()
    mine.hand.now_s += 10
    mine.hears()
    turn(mine, theirs)
    assert (mine.book.acks, theirs.book.acks) == ({}, {})


def test_what_a_node_says_itself_is_over_for_every_console(ground: Callable[..., Ground]) -> None:
    mine, theirs = consoles(ground("cam"), "mw", "ab")
    mine.hears(CRIT)
    mine.acks()
    turn(theirs)
    for _ in range(3):
        mine.hand.now_s += 10
        theirs.hears()
    turn(mine)
    assert (mine.book.acks, theirs.book.acks) == ({}, {})
