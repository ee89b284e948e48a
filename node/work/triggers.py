"""Rounds of the work process: what each trigger has crossed since last, and the videos that this asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from node.domain.config import Document, Trigger
from node.domain.job import Priority
from node.domain.times import US
from node.domain.trigger import WAITS_FOR_FRAMES, Crossing, Cursor, counted, crossed, pulled_in
from node.entries import Entries
from node.store import configs, cursors, jobs
from node.store.session import Session

PREFIX = "trigger/"
FAR = 5000
"""Rows after which a cursor is written though nothing fired: so many are counted again at a start."""
SETTLED_US = 30 * US
"""A time of day has come when frames captured before it have their rows."""
PRIORITIES: Mapping[str, Priority] = {
    "capture": Priority.PER_CAPTURE,
    "milestone": Priority.MILESTONE,
    "daily": Priority.SCHEDULED,
}


@dataclass(slots=True)
class Watch:
    """One trigger on one camera.  `kept` is its cursor in the database, `cursor` the one of the last look."""

    name: str
    camera: str
    trigger: Trigger
    kept: Cursor
    cursor: Cursor

    @property
    def key(self) -> str:
        """The cursor's name, and the job's key: while its last video is being made, the trigger waits."""
        return key_of(self.name, self.camera)


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What a video up to then would meet: whether there are frames enough, and whether its last one is still made."""

    to_us: int
    enough: bool
    busy: bool


def key_of(name: str, camera: str) -> str:
    return f"{PREFIX}{name}/{camera}"


class TriggerRounds:
    """Used by one thread.  `document` gives the one in force, the same object until it changes."""

    def __init__(self, entries: Entries, cameras: Sequence[str], document: Callable[[], Document]) -> None:
        self._entries, self._cameras, self._document = entries, tuple(cameras), document
        self._database, self._clock = entries.database, entries.clock
        self._watches: list[Watch] = []
        self._held: set[str] = set()
        self._known: Document | None = None
        self._moved = -1

    def turn(self) -> int:
        """One look; how many videos were asked for.  Raises DatabaseBusy, DatabaseDamaged, DiskFull, DiskReadOnly."""
        document = self._document()
        if document is not self._known:
            self._begin(document)
            self._known = document
        moved = self._database.data_version()
        if moved != self._moved:
            self._count()
            self._held.clear()
            self._moved = moved
        return sum(self._look(watch) for watch in self._watches if watch.key not in self._held)

    # --- cursors ----------------------------------------------------------------------------------------------

    def _begin(self, document: Document) -> None:
        """A new trigger begins with the document that brought it, whenever this process first sees it."""
        wanted = _wanted(document, self._cameras)
        known = self._database.read(lambda session: cursors.of(session, PREFIX))
        if known.keys() != wanted.keys():
            known = self._entries.write(lambda session: _begun(session, known, wanted.keys()))
        self._watches = [Watch(*wanted[key], known[key], known[key]) for key in wanted]
        self._held.clear()
        self._moved = -1

    def _count(self) -> None:
        """The frames that came since the last look, in each watch's cursor."""
        cursors_now = self._database.read(lambda session: [_counted(session, watch) for watch in self._watches])
        now_us, synced = self._clock.now_us(), self._clock.synced()
        for watch, cursor in zip(self._watches, cursors_now, strict=True):
            watch.cursor = pulled_in(cursor, now_us) if synced else cursor
            if watch.cursor.at_us != watch.kept.at_us or watch.cursor.seq - watch.kept.seq > FAR:
                self._keep(watch, watch.cursor)

    def _keep(self, watch: Watch, cursor: Cursor) -> None:
        self._entries.write(lambda session: cursors.put(session, watch.key, cursor))
        watch.kept = watch.cursor = cursor

    # --- firing -----------------------------------------------------------------------------------------------

    def _look(self, watch: Watch) -> int:
        crossing = self._crossing(watch)
        if crossing is None:
            return 0
        outlook = self._database.read(lambda session: self._outlook(session, watch, crossing))
        if outlook.busy or not (outlook.enough or watch.trigger.on not in WAITS_FOR_FRAMES):
            self._held.add(watch.key)  # until something moves
            return 0
        if not outlook.enough:
            self._keep(watch, crossing.cursor)
            return 0
        return self._fire(watch, crossing.cursor, outlook.to_us)

    def _crossing(self, watch: Watch) -> Crossing | None:
        assert self._known
        zone, now_us = ZoneInfo(self._known.site.timezone), self._clock.now_us()
        if watch.trigger.on != "daily":
            return crossed(watch.trigger, watch.cursor, now_us, zone)
        # a clock that nobody vouches for has no time of day
        return crossed(watch.trigger, watch.cursor, now_us - SETTLED_US, zone) if self._clock.synced() else None

    def _outlook(self, session: Session, watch: Watch, crossing: Crossing) -> _Outlook:
        assert self._known
        trigger, camera = watch.trigger, watch.camera
        to_us = crossing.to_us
        if to_us is None:
            to_us = (cursors.newest_us(session, camera, trigger.profile) or 0) + 1
        span = max(0, to_us - trigger.last_s * US), to_us
        least = self._known.render.min_frames
        enough = cursors.count_clean(session, camera, trigger.profile, span, least) >= least
        return _Outlook(to_us, enough, busy=jobs.live(session, "render", watch.key) is not None)

    def _fire(self, watch: Watch, cursor: Cursor, to_us: int) -> int:
        """The job and the cursor in one transaction: never missed, never twice."""
        payload = {
            "camera": watch.camera,
            "profile": watch.trigger.profile,
            "from_us": max(0, to_us - watch.trigger.last_s * US),
            "to_us": to_us,
            "title": watch.name,
        }

        asked = jobs.Asked("render", watch.key, payload, PRIORITIES[watch.trigger.on], who=f"trigger {watch.name}")
        job, now_us = self._clock.new_id(), self._clock.now_us()

        def work(session: Session) -> None:
            cursors.put(session, watch.key, cursor)
            jobs.enqueue(session, asked, job, now_us)

        self._entries.write(work)
        watch.kept = watch.cursor = cursor
        return 1


def _wanted(document: Document, cameras: Sequence[str]) -> dict[str, tuple[str, str, Trigger]]:
    """By key; none while no video is to be made by itself."""
    if not document.render.enabled:
        return {}
    return {
        key_of(name, camera): (name, camera, trigger)
        for name, trigger in document.triggers.items()
        for camera in trigger.cameras or cameras
        if trigger.enabled and camera in cameras
    }


def _begun(session: Session, known: Mapping[str, Cursor], wanted: Collection[str]) -> dict[str, Cursor]:
    """All cursors that are wanted: those that are new begin, those that nobody wants any more go."""
    since_us = configs.running(session).activation.from_us
    new = {key: cursors.begin(session, since_us) for key in wanted if key not in known}
    for key, cursor in new.items():
        cursors.put(session, key, cursor)
    cursors.drop(session, [key for key in known if key not in wanted])
    return {**known, **new}


def _counted(session: Session, watch: Watch) -> Cursor:
    newest = cursors.newest_seq(session)
    if watch.trigger.on == "daily":
        return watch.cursor
    new = cursors.count_between(session, watch.camera, watch.trigger.profile, watch.cursor.seq, newest)
    return counted(watch.cursor, newest, new)
