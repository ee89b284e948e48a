"""Candidates at scale: pages in their order, by keys, however many rows there are and however many are gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from node.domain.retention import Candidate
from node.store.counting import Counting
from node.store.frames import _COLUMNS, to_row
from node.store.retention import RetentionReader, Search
from node.store.session import Session
from tests.clocks import JumpClock
from tests.stores import Store, frame_of, opened

MANY, GONE_TO = 100_000, 60_000
LOOK = Search(("nas",))
Page = Callable[[Candidate | None], list[Candidate]]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Frames by the hundred thousand, one of five without a receipt, the older ones gone."""
    with opened(tmp_path_factory.mktemp("crowd"), JumpClock()) as store:
        row = list(to_row(frame_of(store.clock)))
        names = _COLUMNS.split(", ")
        given = ", ".join("?" for _ in row)
        place, score, captured = (names.index(name) for name in ("id", "score", "captured_us"))
        rows = []
        for number in range(MANY):
            row[place], row[score], row[captured] = f"{number:026}", number % 101, number
            rows.append(tuple(row))
        ids = [(identity,) for number in range(MANY) if number % 5 for identity in (f"{number:026}",)]
        gone = [each for each in ids if int(each[0]) < GONE_TO]

        def fill(session: Session) -> None:
            many = session.many
            many(f"INSERT INTO frames ({_COLUMNS}) VALUES ({given})", rows)
            many("INSERT INTO receipts SELECT id, 'nas', 'frame', '', size_bytes, sha256, '', 1 FROM frames"
                 " WHERE id = ?", ids)  # fmt: skip
            many("INSERT INTO frames_gone VALUES (?, 1, 'room_frames', '[]')", gone)

        store.database.write(fill, timeout_s=60)
        yield store


def walk(page: Page) -> list[str]:
    found: list[str] = []
    after: Candidate | None = None
    while candidates := page(after):
        found += [each.item for each in candidates]
        after = candidates[-1]
    return found


HELD = [f"{number:026}" for number in range(GONE_TO, MANY) if number % 5]


@pytest.mark.slow
def test_pages_of_held_frames_are_complete_and_in_order(crowd: Store) -> None:
    reader = RetentionReader(crowd.database)
    assert walk(lambda after: reader.held(LOOK, after, 5000)) == HELD
    from_the_middle = Search(("nas",), from_id=f"{90_000:026}")
    assert walk(lambda after: reader.held(from_the_middle, after, 5000)) == [
        each for each in HELD if int(each) >= 90_000
    ]


@pytest.mark.slow
def test_the_thinnest_are_found_by_score_then_age(crowd: Store) -> None:
    reader = RetentionReader(crowd.database)
    found = walk(lambda after: reader.thinnest(LOOK, after, 15_000))
    assert found == sorted(HELD, key=lambda each: (int(each) % 101, int(each)))
    score, before = reader.before_thinnest(LOOK)
    from_there = Search(("nas",), from_thin=(score, before))
    assert (score, before) < (int(found[0]) % 101, found[0])
    assert reader.thinnest(from_there, None) == reader.thinnest(LOOK, None)


@pytest.mark.slow
def test_all_that_are_here_are_found_whoever_holds_them(crowd: Store) -> None:
    reader = RetentionReader(crowd.database)
    everything = [f"{number:026}" for number in range(MANY) if number >= GONE_TO or not number % 5]
    assert walk(lambda after: reader.oldest(LOOK, after, 10_000)) == everything
    assert len(reader.here(0)) == 500


@pytest.mark.slow
def test_the_count_is_that_of_plain_sql(crowd: Store) -> None:
    counting = Counting(crowd.database, ("nas",))
    looks = 1
    while (count := counting.look(1)) is None:
        looks += 1
    assert looks == MANY // 5000 + 1
    assert count.frames == MANY - len([n for n in range(GONE_TO) if n % 5])
    assert count.verified == len(HELD)
    assert count.verified_bytes == 2_000_000 * len(HELD)


def test_every_page_is_found_by_a_key(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, asked = RetentionReader(store.database), []
    real = store.database.read

    def read(work: Callable[..., object], **how: float) -> object:
        def planned(session: Session) -> object:
            rows = session.rows

            class Asking:
                def rows(self, sql: str, values: tuple[object, ...]) -> list[object]:
                    asked.append(" ".join(row[3] for row in rows(f"EXPLAIN QUERY PLAN {sql}", values)))
                    return []

            return work(Asking())

        return real(planned, **how)

    monkeypatch.setattr(store.database, "read", read)
    reader.held(Search(("nas",), ends=True), None)
    reader.oldest(LOOK, None)
    reader.quarantined(LOOK, None)
    reader.here(0)
    ends = Search(("nas",), ends=True)
    reader.thinnest(ends, None)
    reader.thinnest(ends, Candidate("frame", "x" * 26, "p", 1, 1, score=50))
    reader.before_thinnest(ends)
    for plan in asked:
        assert not re.search(r"SCAN (f|r|frames|receipts|other|frame_shoots|shoots)\b", plan), plan
        assert "TEMP B-TREE" not in plan, plan
