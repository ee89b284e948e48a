from __future__ import annotations

from node.store.log import Actor, Change
from node.wire.records import AuditRecord, Page
from tests.apis import Served


def test_changes_are_listed_newest_first_with_who_and_from_where(api: Served) -> None:
    for number in range(5):
        actor = Actor("lena", "admin", "10.0.0.7", f"shift-{number}")
        api.store.journal.audit(actor, Change("camera restart", "main", "before", "after"))
    first = Page[AuditRecord].model_validate_json(api.get("/v1/audit?limit=3", "operator").content)
    second = Page[AuditRecord].model_validate_json(api.get(f"/v1/audit?cursor={first.next}").content)
    rows = (*first.items, *second.items)
    assert [row.request_id for row in rows] == [f"shift-{number}" for number in (4, 3, 2, 1, 0)]
    newest = rows[0]
    assert (newest.who, newest.role, newest.client, newest.action, newest.target, newest.outcome) == (
        "lena", "admin", "10.0.0.7", "camera restart", "main", "done",
    )  # fmt: skip
    assert (newest.before_digest, newest.after_digest) == ("before", "after")
