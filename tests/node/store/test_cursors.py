from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from node.domain.trigger import Cursor
from node.store import cursors, thumbs
from node.store.session import Session
from tests.stores import Store, keep_many


def test_a_cursor_is_kept_replaced_and_dropped(store: Store) -> None:
    def work(session: Session) -> None:
        cursors.put(session, "trigger/a/main", Cursor(1, 2, 3))
        cursors.put(session, "trigger/a/main", Cursor(4, 5, 6))
        cursors.put(session, "trigger/b/main", Cursor(7))
        cursors.put(session, "triggers", Cursor(8))
        cursors.put(session, "thumbs/main", Cursor(9))

    store.database.write(work)
    assert store.database.read(lambda session: cursors.get(session, "trigger/a/main")) == Cursor(4, 5, 6)
    assert store.database.read(lambda session: cursors.get(session, "other")) is None
    known = store.database.read(lambda session: cursors.of(session, "trigger/"))
    assert known == {"trigger/a/main": Cursor(4, 5, 6), "trigger/b/main": Cursor(7)}
    store.database.write(lambda session: cursors.drop(session, ["trigger/a/main", "unknown"]))
    assert set(store.database.read(lambda session: cursors.of(session, "t"))) == {
        "trigger/b/main", "triggers", "thumbs/main",
    }  # fmt: skip


@pytest.mark.parametrize(
    "look",
    [
        lambda session: cursors.count_between(session, "main", "auto", 5, 9),
        lambda session: cursors.newest_us(session, "main", "auto"),
        lambda session: cursors.count_clean(session, "main", "auto", (0, 10**15), 10),
        lambda session: cursors.begin(session, 10**15),
        lambda session: thumbs.wanting(session, "main", 5, 9),
        lambda session: thumbs.newest_wanting(session, "main"),
        lambda session: thumbs.any_beyond(session, "main", 5, 9),
    ],
)
def test_no_look_goes_through_the_whole_table(store: Store, look: Callable[[Session], object]) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []

    class Listening(Session):
        def one(self, sql: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
            asked.append((sql, tuple(values)))
            return super().one(sql, values)

        def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
            asked.append((sql, tuple(values)))
            return super().rows(sql, values)

    store.database.read(lambda session: look(Listening(session.db)))
    assert asked
    for sql, values in asked:
        steps = [str(row[-1]) for row in store.rows(f"EXPLAIN QUERY PLAN {sql}", *values)]
        assert not [step for step in steps if step.startswith("SCAN frames") or "TEMP B-TREE" in step], sql


def test_what_has_come_since_is_counted_by_camera_and_profile(store: Store) -> None:
    first = keep_many(store, 4)
    keep_many(store, 2, camera="side")
    keep_many(store, 3, profile="night")
    keep_many(store, 1, quarantined=True)
    last = keep_many(store, 2, flagged=True, verdict="bad")

    def of_main(look: Callable[..., object], *values: object) -> object:
        return store.database.read(lambda session: look(session, "main", "auto", *values))

    assert store.database.read(cursors.newest_seq) == 12
    assert [of_main(cursors.count_between, *span) for span in ((0, 12), (2, 12), (2, 4), (12, 12))] == [6, 4, 2, 0]
    assert of_main(cursors.newest_us) == last[-1].captured_us
    assert of_main(cursors.count_clean, (0, 10**16), 100) == 4
    assert of_main(cursors.count_clean, (0, 10**16), 3) == 3
    assert of_main(cursors.count_clean, (first[1].captured_us, first[3].captured_us), 100) == 2
    assert store.database.read(lambda session: cursors.newest_us(session, "other", "auto")) is None
    since = store.database.read(lambda session: cursors.begin(session, first[2].captured_us))
    assert since == Cursor(2, first[2].captured_us)
