"""/v1/slots, /v1/gaps, /v1/days, /v1/shoots: what was due and what came of it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi import Query as InQuery
from pydantic import Field

from node.api.paging import ListQuery, NameFilter, Query, Since, Until, cursor_key, micros, paged
from node.api.parts import ApiParts, Parts
from node.api.problems import ERRORS
from node.domain.frame import GAP_REASONS, GapReason, SlotKey
from node.domain.times import to_text
from node.store.ledger import DayCount, LedgerReader, Shoot, SlotFilter, SlotRow
from node.store.videos import VideoReader
from node.wire.records import DayRecord, Page, ShootRecord, SlotRecord

MOST_DAYS = 366
ShootState = Literal["open", "captured", "rendering", "done", "degraded", "failed"]

router = APIRouter(prefix="/v1")


class SlotQuery(ListQuery):
    """Which settled slots, newest first; `from` and `to` bound the due time."""

    camera: NameFilter = None
    profile: NameFilter = None
    since: Since = None
    until: Until = None

    def chosen(self, *, gaps: bool = False, reason: str | None = None) -> SlotFilter:
        return SlotFilter(self.camera, self.profile, micros(self.since), micros(self.until), gaps, reason)


class GapQuery(SlotQuery):
    reason: GapReason | None = None


class DayQuery(Query):
    """Site days, both ends included; without `from` the newest 31 there are."""

    camera: NameFilter = None
    since: dt.date | None = Field(None, alias="from")
    until: dt.date | None = Field(None, alias="to")


class ShootQuery(ListQuery):
    camera: NameFilter = None
    state: ShootState | None = None


@router.get("/slots", responses=ERRORS)
def slots(parts: Parts, query: Annotated[SlotQuery, InQuery()]) -> Page[SlotRecord]:
    """Settled slots, newest first: each is a frame or a gap."""
    return _slot_page(parts, query, query.chosen())


@router.get("/gaps", responses=ERRORS)
def gaps(parts: Parts, query: Annotated[GapQuery, InQuery()]) -> Page[SlotRecord]:
    """Slots that have no frame, newest first, each with its reason."""
    return _slot_page(parts, query, query.chosen(gaps=True, reason=query.reason))


@router.get("/days", responses=ERRORS)
def days(parts: Parts, query: Annotated[DayQuery, InQuery()]) -> Page[DayRecord]:
    """Expected against actual, by camera and site day, newest first."""
    until = query.until.isoformat() if query.until else None
    since = query.since.isoformat() if query.since else None
    found = LedgerReader(parts.database).days(camera=query.camera, since=since, until=until)
    newest = sorted(found, key=lambda row: (row.day, row.camera), reverse=True)
    return Page(items=tuple(_day(row) for row in newest[:MOST_DAYS]))


@router.get("/shoots", responses=ERRORS)
def shoots(parts: Parts, query: Annotated[ShootQuery, InQuery()]) -> Page[ShootRecord]:
    """Occurrences of windows, newest start first."""
    limit, after = query.rows(parts), cursor_key(query.cursor, int, str)
    rows = LedgerReader(parts.database).shoots(
        camera=query.camera, state=query.state, limit=limit + 1, after=_marker(*after) if after else None
    )
    page, cursor = paged(rows, limit, lambda row: (row.start_us, row.shoot))
    made = VideoReader(parts.database).of_shoots([row.shoot for row in page])
    return Page(items=tuple(_shoot(row, made.get(row.shoot)) for row in page), next=cursor)


def _slot_page(parts: ApiParts, query: SlotQuery, chosen: SlotFilter) -> Page[SlotRecord]:
    limit, after = query.rows(parts), cursor_key(query.cursor, int, str, str)
    key = SlotKey(camera=after[1], profile=after[2], due_us=after[0]) if after else None
    rows = LedgerReader(parts.database).slots(chosen, limit=limit + 1, after=key)
    page, cursor = paged(rows, limit, lambda row: (row.slot.due_us, row.slot.camera, row.slot.profile))
    return Page(items=tuple(_slot(row) for row in page), next=cursor)


def _slot(row: SlotRow) -> SlotRecord:
    meaning = GAP_REASONS[GapReason(row.reason)] if row.reason else None
    return SlotRecord(
        camera=row.slot.camera,
        profile=row.slot.profile,
        due=to_text(row.slot.due_us),
        frame=row.frame_id,
        reason=row.reason,
        sentence=meaning.sentence if meaning else "",
        fault=bool(meaning and meaning.fault),
        error_code=row.error_code,
        schedules=row.schedules,
        shoots=row.shoots,
        config_version=row.config_version,
    )


def _day(row: DayCount) -> DayRecord:
    score = round(row.score_sum / row.score_n, 1) if row.score_n else None
    return DayRecord(camera=row.camera, day=row.day, due=row.due, captured=row.captured, gaps=row.gaps, score=score)


def _shoot(row: Shoot, video: str | None) -> ShootRecord:
    return ShootRecord(
        shoot=row.shoot,
        camera=row.camera,
        schedule=row.schedule,
        profile=row.profile,
        date=row.date,
        state=row.state,
        start=to_text(row.start_us),
        end=to_text(row.end_us),
        due=row.due,
        captured=row.captured,
        failed=row.failed,
        degraded=row.degraded,
        video=video,
    )


def _marker(start_us: int, shoot: str) -> Shoot:
    """A place in the list: only its key is looked at."""
    return Shoot(shoot, "", "", "", "", "", start_us, start_us, 0, 0, 0, degraded=False)
