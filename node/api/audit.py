"""/v1/audit: who changed what, from where."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as InQuery

from node.api.paging import ListQuery, cursor_key, paged
from node.api.parts import Parts
from node.api.problems import ERRORS
from node.domain.times import to_text
from node.store.log import AuditReader, AuditRow
from node.wire.records import AuditRecord, Page

router = APIRouter(prefix="/v1/audit")


@router.get("", responses=ERRORS)
def audit(parts: Parts, query: Annotated[ListQuery, InQuery()]) -> Page[AuditRecord]:
    """Changes, and attempts that failed, newest first."""
    limit, after = query.rows(parts), cursor_key(query.cursor, int)
    rows = AuditReader(parts.database).page(limit=limit + 1, after=after[0] if after else None)
    page, cursor = paged(rows, limit, lambda row: (row.id,))
    return Page(items=tuple(_record(row) for row in page), next=cursor)


def _record(row: AuditRow) -> AuditRecord:
    role, _, how = row.role.partition("/")
    return AuditRecord(
        id=row.id,
        at=to_text(row.at_us),
        who=row.who,
        role=role,
        how=how,
        client=row.client,
        request_id=row.request_id,
        action=row.action,
        target=row.target,
        before_digest=row.before_digest,
        after_digest=row.after_digest,
        outcome=row.outcome,
    )
