from __future__ import annotations

from node.domain.trigger import Cursor
from node.store import cursors
from node.store.session import Session
from tests.stores import Store


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
