"""A node's frames and gaps, newest first, as far back as somebody looks; and the pair that shows when it went bad."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from console.fleet.acts import JOB as FRAME_ID
from console.fleet.client import NodeClient
from console.fleet.filter import Field, Fields
from console.fleet.listing import Kind
from console.fleet.text import clean
from console.fleet.times import parsed, to_us
from node.wire.errors import HeliographError, NodeAnswerWrong
from node.wire.records import FrameRecord, Page, SlotRecord
from node.wire.times import to_text

FRAMES_PATH, GAPS_PATH = "/v1/frames", "/v1/gaps"
FIELDS = (
    "camera,profile,due,captured,size_bytes,width,height,verdict,score,reasons,flagged,quarantined,requested,actual"
)
MOST = 5000
"""Rows of a node; further back than that look the commands."""
MOST_PAGES = 40
VERDICTS = ("bad", "gap", "unjudged", "good")
"""Worst first.  A gap is no verdict, but it stands in the same column."""
SPANS = tuple(timedelta(minutes=minutes) for minutes in (10, 120, 1440, 20160))
MILLISECOND = timedelta(milliseconds=1)

Item = TypeVar("Item", FrameRecord, SlotRecord)


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A frame, or a slot that has none; one of the two."""

    node: str
    at: str
    at_us: int
    frame: FrameRecord | None = None
    gap: SlotRecord | None = None

    @property
    def key(self) -> str:
        if self.frame is not None:
            return self.frame.id
        assert self.gap is not None
        return f"gap/{self.gap.camera}/{self.gap.profile}/{self.gap.due}"

    @property
    def camera(self) -> str:
        return clean((self.frame.camera if self.frame is not None else self.gap.camera if self.gap else "") or "")

    @property
    def verdict(self) -> str:
        return "gap" if self.frame is None else self.frame.verdict or "unjudged"

    @property
    def score(self) -> int | None:
        return None if self.frame is None else self.frame.score

    @property
    def why(self) -> str:
        """Why it was judged so, or why there is none."""
        if self.gap is not None:
            return clean(" ".join(filter(None, (self.gap.reason, self.gap.error_code, self.gap.sentence))))
        assert self.frame is not None
        mark = "quarantined" if self.frame.quarantined else "flagged" if self.frame.flagged else ""
        return clean(", ".join(filter(None, (*(self.frame.reasons or ()), mark))))


def frame_row(node: str, frame: FrameRecord) -> FrameRow:
    at = frame.captured or frame.due or ""
    return FrameRow(node, at, to_us(at) or 0, frame=frame)


def gap_row(node: str, gap: SlotRecord) -> FrameRow:
    return FrameRow(node, gap.due, to_us(gap.due) or 0, gap=gap)


# --- the list ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Strand(Generic[Item]):
    """One of the node's lists as far as it was read: rows by their keys, and where it goes on."""

    path: str
    page: type[Page[Item]]
    row: Callable[[Item], FrameRow]
    query: Mapping[str, str] = field(default_factory=dict)
    rows: dict[str, FrameRow] = field(default_factory=dict)
    cursor: str | None = None
    begun: bool = False

    @property
    def horizon_us(self) -> float:
        """Back to there it is known; what is before may be missing."""
        if self.begun and self.cursor is None:
            return -math.inf
        return min((row.at_us for row in self.rows.values()), default=math.inf)

    async def newest(self, client: NodeClient) -> None:
        """Reads its first page again; where that no longer touches what is known, or all is too much, the rest goes."""
        page = await client.fetch(self.path, self.page, self.query)
        fresh = self._fresh(page)
        if not self.begun or not fresh.keys() & self.rows.keys() or len(self.rows) > MOST:
            self.rows, self.cursor, self.begun = {}, page.next, True
        self.rows |= fresh

    async def older(self, client: NodeClient) -> None:
        if self.cursor is None:
            return
        page = await client.fetch(self.path, self.page, {**self.query, "cursor": self.cursor})
        fresh = self._fresh(page)
        # a cursor that leads nowhere new would be followed for ever
        self.cursor = page.next if fresh.keys() - self.rows.keys() else None
        self.rows |= fresh

    def _fresh(self, page: Page[Item]) -> dict[str, FrameRow]:
        return {row.key: row for row in map(self.row, page.items[:MOST])}


class Roll:
    """Frames and gaps of one node together.  An older node may not tell its gaps: `gaps_trouble`."""

    def __init__(self, node: str) -> None:
        self.frames = Strand(FRAMES_PATH, Page[FrameRecord], lambda one: frame_row(node, checked(one)),
                             {"fields": FIELDS})  # fmt: skip
        self.gaps = Strand(GAPS_PATH, Page[SlotRecord], lambda one: gap_row(node, one))
        self.gaps_trouble: HeliographError | None = None
        self.rows: dict[str, FrameRow] = {}

    @property
    def more(self) -> bool:
        return len(self.rows) < MOST and (self.frames.cursor is not None or self.gaps.cursor is not None)

    async def newest(self, client: NodeClient) -> Roll:
        """Itself, with what is new.  Raises as `fetch` does, for the frames."""
        await self.frames.newest(client)
        await self._gaps(self.gaps.newest, client)
        return self._woven()

    async def older(self, client: NodeClient) -> Roll:
        """Itself, with a page more of what reaches back least far.  Raises as `fetch` does."""
        if self.gaps_trouble is None and self.gaps.horizon_us > self.frames.horizon_us:
            await self._gaps(self.gaps.older, client)
        else:
            await self.frames.older(client)
        return self._woven()

    async def _gaps(self, read: Callable[[NodeClient], object], client: NodeClient) -> None:
        try:
            await read(client)  # type: ignore[misc]
            self.gaps_trouble = None
        except HeliographError as error:
            self.gaps_trouble = error

    def _woven(self) -> Roll:
        """Only as far back as both are known: a stretch without gaps would else look well."""
        horizon = self.frames.horizon_us
        if self.gaps_trouble is None:
            horizon = max(horizon, self.gaps.horizon_us)
        rows = [row for strand in (self.frames, self.gaps) for row in strand.rows.values() if row.at_us >= horizon]
        rows.sort(key=lambda row: row.at_us, reverse=True)
        self.rows = {row.key: row for row in rows[:MOST]}
        return self


def checked(frame: FrameRecord) -> FrameRecord:
    """Its id becomes part of a path.  Raises NodeAnswerWrong."""
    if not FRAME_ID.fullmatch(frame.id):
        raise NodeAnswerWrong("a frame's id is none")
    return frame


# --- when it went bad -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """The last good frame of a camera and what came after it: the first bad frame, else the first gap by a fault.

    `over`: good frames have come since.  `cut`: so much came after it that `bad` need not be the first.
    """

    camera: str
    good: FrameRow | None = None
    bad: FrameRow | None = None
    over: bool = False
    cut: bool = False


async def last_turn(client: NodeClient, node: str, camera: str, before: str | None = None) -> Turn:
    """The last time that this camera went bad, before that moment where one is given.  Raises as `fetch` does."""
    look = _Look(client, node, camera)
    good = await look.newest("good", before)
    if good is None:
        return Turn(camera, bad=await look.newest("bad", before))
    first = await look.first_bad(good, before) or await look.first_gap(good, before)
    if first is not None:
        return Turn(camera, good, first.row, cut=first.cut)
    bad = await look.newest("bad", before)
    if bad is None:
        return Turn(camera, good)
    earlier = await look.newest("good", bad.at)
    first = await look.first_bad(earlier, _after(bad.at)) if earlier is not None else None
    return Turn(camera, earlier, first.row if first else bad, over=True, cut=first is not None and first.cut)


@dataclass(frozen=True, slots=True)
class _First:
    """The oldest one found; `cut`: there are older ones that were not read."""

    row: FrameRow
    cut: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """Questions about the frames of one camera."""

    client: NodeClient
    node: str
    camera: str

    async def newest(self, verdict: str, before: str | None) -> FrameRow | None:
        query = {"camera": self.camera, "verdict": verdict, "fields": FIELDS, "limit": "1", **_until(before)}
        page = await self.client.fetch(FRAMES_PATH, Page[FrameRecord], query)
        return next((frame_row(self.node, checked(frame)) for frame in page.items[:1]), None)

    async def first_bad(self, good: FrameRow, before: str | None) -> _First | None:
        """Lists are newest first: the nearest span that holds one is read to its end."""
        query = {"camera": self.camera, "verdict": "bad", "fields": FIELDS}
        found, cut = await self._first(FRAMES_PATH, Page[FrameRecord], query, good.at, before)
        return _oldest((frame_row(self.node, checked(one)) for one in found), cut=cut)

    async def first_gap(self, good: FrameRow, before: str | None) -> _First | None:
        found, cut = await self._first(GAPS_PATH, Page[SlotRecord], {"camera": self.camera}, good.at, before, _is_fault)
        return _oldest((gap_row(self.node, slot) for slot in found), cut=cut)

    async def _first(
        self,
        path: str,
        kind: type[Page[Item]],
        query: Mapping[str, str],
        since: str,
        before: str | None,
        is_meant: Callable[[Item], bool] = lambda _: True,
    ) -> tuple[list[Item], bool]:
        for until in _untils(since, before):
            found, cut = await self._all(path, kind, {**query, "from": since, **_until(until)}, is_meant)
            if found:
                return found, cut
        return [], False

    async def _all(
        self, path: str, kind: type[Page[Item]], query: Mapping[str, str], is_meant: Callable[[Item], bool]
    ) -> tuple[list[Item], bool]:
        """Those meant of the last page that has some, which are the oldest; whether that was not read to its end."""
        last: list[Item] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self.client.fetch(path, kind, {**query, **({"cursor": cursor} if cursor else {})})
            last, cursor = list(filter(is_meant, page.items)) or last, page.next
            if cursor is None:
                return last, False
        return last, True


def _is_fault(slot: SlotRecord) -> bool:
    return slot.fault


def _oldest(rows: Iterable[FrameRow], *, cut: bool) -> _First | None:
    row = min(rows, key=lambda row: row.at_us, default=None)
    return None if row is None else _First(row, cut)


def _until(moment: str | None) -> dict[str, str]:
    return {"to": moment} if moment else {}


def _untils(since: str, before: str | None) -> Iterator[str | None]:
    """Ever later ends: most often the first bad frame is the next one."""
    begin, end = parsed(since), parsed(before)
    for span in SPANS if begin is not None else ():
        assert begin is not None
        if end is not None and begin + span >= end:
            break
        yield _text(begin + span)
    yield before


def _after(moment: str) -> str:
    """Just behind it: an end is not included."""
    at = parsed(moment)
    return moment if at is None else _text(at + MILLISECOND)


def _text(moment: datetime) -> str:
    return to_text(round(moment.timestamp() * 1_000_000))


# --- what can be asked of the list ------------------------------------------------------------------------------------


def exposure_s(row: FrameRow) -> float | None:
    """As the camera reports it, else as it was asked for."""
    return _exposed(row, "exposure_s")


def gain(row: FrameRow) -> float | None:
    return _exposed(row, "gain")


def _exposed(row: FrameRow, name: str) -> float | None:
    if row.frame is None:
        return None
    settings = (row.frame.actual, row.frame.requested)
    values = (getattr(one, name) for one in settings if one is not None)
    return next((value for value in values if value is not None and math.isfinite(value)), None)


def _texts(row: FrameRow) -> Iterable[str]:
    yield row.camera
    yield row.verdict
    yield row.why
    yield row.key


def _profile(row: FrameRow) -> str:
    return (row.frame.profile if row.frame is not None else row.gap.profile if row.gap else "") or ""


FRAMES: Kind[FrameRow] = Kind(
    name="frames",
    fields=Fields(
        {
            "camera": Field("name of the camera", text=lambda row: row.camera),
            "verdict": Field("good, bad, unjudged, or gap for none", text=lambda row: row.verdict, words=VERDICTS),
            "q": Field("score, 100 = perfect: q<60", number=lambda row: row.score),
            "why": Field("reasons, of bad frames and of gaps", text=lambda row: row.why),
            "profile": Field("which profile it was taken by", text=_profile),
            "size": Field("bytes: size>1000000", number=lambda row: row.frame.size_bytes if row.frame else None),
        },
        _texts,
    ),
    sorts={
        "time": lambda row: row.at_us,
        "camera": lambda row: row.camera,
        "verdict": lambda row: VERDICTS.index(row.verdict),
        "score": lambda row: row.score,
        "why": lambda row: row.why,
        "size": lambda row: row.frame.size_bytes if row.frame else None,
        "exposure": exposure_s,
        "gain": gain,
    },
    order=("-time", "camera"),
)
