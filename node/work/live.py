"""The document in force and those before it: which one decides about an instant."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from node.almanac import Sun
from node.domain.config import Document, load_own, parse_document, unknown_cameras
from node.domain.errors import DocumentInvalid
from node.domain.schedule import Calendar, Due


@dataclass(frozen=True, slots=True)
class Segment:
    """One version of the document, in force for the slots due after `from_us`."""

    from_us: int
    version: int
    document: Document
    calendar: Calendar
    sun: Sun | None
    unknown_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compiler:
    """Turns documents of this node into segments.  Cameras are those of node.yml."""

    node_id: str
    cameras: tuple[str, ...]
    sun_factor: float = 1.0
    sun_from_us: int = 0

    def compile(self, from_us: int, version: int, given: dict[str, Any]) -> Segment:
        """A segment of a document that this node once accepted.  Raises DocumentInvalid, SiteUnknown."""
        document, unknown = load_own(given)
        sun, calendar = self.calendar(document)
        return Segment(from_us, version, document, calendar, sun, unknown)

    def check(self, given: Mapping[str, Any], now_us: int) -> Document:
        """The document, valid for this node.  Raises DocumentInvalid with every wrong field."""
        try:
            document = parse_document(given)
        except DocumentInvalid as error:
            raise DocumentInvalid(fields=[*error.fields, *unknown_cameras(given, self.cameras)]) from None
        faults = self.calendar(document)[1].check(now_us)
        if faults:
            raise DocumentInvalid(fields=faults)
        return document

    def calendar(self, document: Document) -> tuple[Sun | None, Calendar]:
        """The sun over the site (None without coordinates) and the calendar of its slots."""
        sun = Sun(document.site, self.sun_factor, self.sun_from_us) if document.site.latitude is not None else None
        return sun, Calendar(document, self.cameras, self.node_id, sun)


class Live:
    """Segments in order of their start.  Replaced as a whole, so that readers on any thread need no lock."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = tuple(segments)
        self._lock = threading.RLock()

    def steady(self) -> AbstractContextManager[object]:
        """Held while a swap's instant is chosen and the swap is made, and while a loop asks what is due by now.

        So no loop can have asked the old document about instants that the new one decides.
        """
        return self._lock

    @property
    def current(self) -> Segment:
        return self._segments[-1]

    def swap(self, segment: Segment) -> None:
        """From now on `segment` decides about slots due after its start.

        Where the clock was set back, it takes over from those that were to begin later.
        """
        earlier = (each for each in self._segments if each.from_us < segment.from_us)
        self._segments = (*earlier, segment)

    def forget_before(self, at_us: int) -> None:
        """Drop segments whose slots are all settled."""
        self._segments = self._segments[self._index(at_us) :]

    def at(self, due_us: int) -> Segment:
        """The segment that decides about a slot due then."""
        return self._segments[self._index(due_us)]

    def due(self, camera: str, after_us: int, until_us: int) -> Iterator[tuple[Segment, Due]]:
        """Slots with after < due <= until, each with the segment that asked for it."""
        segments = self._segments
        ends = [*(segment.from_us for segment in segments[1:]), until_us]
        for number, (segment, end) in enumerate(zip(segments, ends, strict=True)):
            start = after_us if number == 0 else max(after_us, segment.from_us)
            for due in segment.calendar.due(camera, start, min(end, until_us)):
                yield segment, due

    def next_due(self, camera: str, after_us: int) -> Due | None:
        """The next slot of the document in force."""
        segment = self.current
        return segment.calendar.next_due(camera, max(after_us, segment.from_us))

    def _index(self, due_us: int) -> int:
        return max(0, bisect_left(self._segments, due_us, key=lambda segment: segment.from_us) - 1)
