"""Makes videos of shoots that have ended, and of spans of time; one is verified before it counts."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from node.clock import Clock
from node.crashpoint import crash_point
from node.domain.config import Document
from node.domain.errors import MemoryShort, NoFrames
from node.domain.events import Event, ShootMoved, VideoMade, VideoRemoved
from node.domain.frame import short_id
from node.domain.job import RenderPayload
from node.domain.quality import Integrity
from node.domain.times import US, local_date
from node.entries import Entries
from node.host import memory
from node.host.files import make_folder
from node.render.plan import Chosen, LeftOut, Plan, Source, choose, file_size, fit, plan_of, settings_of
from node.render.process import Rendered, render
from node.store import archive, files, ledger, log, removing, videos
from node.store.ledger import LedgerReader, Shoot
from node.store.retention import RetentionReader
from node.store.session import Session
from node.store.video_files import Traces, VideoFiles, files_of, strays
from node.store.videos import LeftOut as NamedLeftOut
from node.store.videos import Material, Video, VideoReader
from node.work.task import Done, Postponed, Task

MB = 1024 * 1024
MOST_FRAMES = 50_000
"""Of more, every n-th is shown: half an hour of video."""
SPARE_BYTES = 32 * MB
"""Memory that is left to the others."""
WAIT_S, OPEN_WAIT_S = 60.0, 600.0
READ_AGAIN = 0.95
"""Progress when all frames are encoded; what is left is reading the file again."""
REPLACED = "replaced"
"""The rule by which a shoot's older video went."""
_GIVES_UP = ("width", "height", "preset", "threads", "lookahead", "decoders")
BYTES_PER_PIXEL, USUAL_CRF, CRF_PER_HALF = 0.15, 22, 6
"""A busy scene of x264's at its usual quality; six steps more halve it."""

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Studio:
    """What videos are made with.  `available` tells the bytes of memory that are free; None = nobody knows."""

    entries: Entries
    data: Path
    document: Callable[[], Document]
    available: Callable[[], int | None] = memory.available_bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """What a video shows.  `words` are date, schedule and profile, for its name."""

    camera: str
    profile: str
    shoot: Shoot | None
    from_us: int
    to_us: int
    words: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Take:
    """One attempt that came out well: of what, by which plan, which files, what the child said."""

    subject: Subject
    chosen: Chosen
    plan: Plan
    files: VideoFiles
    rendered: Rendered
    took_s: float

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Before and while it was made."""
        return self.chosen.left_out + self.rendered.left_out


class Rendering:
    """The handler of `render`.  Run again, it makes the same file once more, and one row."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._entries, self._clock = studio, studio.entries, studio.entries.clock
        self._videos = VideoReader(studio.entries.database)

    def __call__(self, task: Task) -> Done:
        """Raises NoFrames, CodecUnknown, EncoderFailed, VideoWrong, DiskFull, DiskReadOnly, NotFound; Postponed."""
        wanted = task.payload
        assert isinstance(wanted, RenderPayload)
        began_s = self._clock.monotonic()
        subject = self._subject(wanted)
        self._begin(subject)
        chosen, every = self._choose(wanted, task)
        plan, lighter = self._plan(wanted, chosen)
        made = files_of(self._studio.data, subject.camera, subject.words, task.job.id)
        rendered = self._render(plan, made, task)
        crash_point("render_verified")
        made.put_in_place()
        crash_point("render_named")
        take = Take(subject, chosen, plan, made, rendered, self._clock.monotonic() - began_s)
        return self._done(take, wanted, task.job.id, {"every": every if every > 1 else None, "lighter": lighter})

    # --- before -----------------------------------------------------------------------------------------------

    def _subject(self, wanted: RenderPayload) -> Subject:
        if wanted.shoot is None:
            from_us, to_us = wanted.from_us or 0, wanted.to_us or 0
            date = local_date(from_us, ZoneInfo(self._studio.document().site.timezone)).isoformat()
            words = date, "range", wanted.profile
            return Subject(wanted.camera, wanted.profile, None, from_us, to_us, words)
        shoot = LedgerReader(self._entries.database).shoot(wanted.shoot)
        if shoot.state == "open":
            left_s = (shoot.end_us - self._clock.now_us()) / US
            raise Postponed(min(OPEN_WAIT_S, max(WAIT_S, left_s)), "the shoot is still open")
        words = shoot.date, shoot.schedule, shoot.profile
        return Subject(shoot.camera, shoot.profile, shoot, shoot.start_us, shoot.end_us, words)

    def _begin(self, subject: Subject) -> None:
        """The shoot is being rendered; one that has a video stays as it is."""
        if subject.shoot is None:
            return
        name, now_us = subject.shoot.shoot, self._clock.now_us()

        def work(session: Session) -> None:
            if ledger.move_shoot(session, name, "rendering"):
                log.append(session, [ShootMoved(name, subject.camera, "rendering")], now_us)

        self._entries.write(work)

    def _choose(self, wanted: RenderPayload, task: Task) -> tuple[Chosen, int]:
        """The frames worth showing of every n-th one, and n."""
        task.beat(0.0, "choosing frames")
        every = max(1, -(-self._videos.count_material(wanted) // MOST_FRAMES))
        material = islice(self._videos.material(wanted), 0, None, every)
        chosen = choose([_source(self._studio.data, each) for each in material])
        least = self._studio.document().render.min_frames
        if len(chosen.frames) < least:
            said = _counts(chosen.left_out)
            raise NoFrames(f"{len(chosen.frames)} of at least {least}" + (f"; left out: {said}" if said else ""))
        return chosen, every

    def _plan(self, wanted: RenderPayload, chosen: Chosen) -> tuple[Plan, dict[str, Any]]:
        """A plan that fits into memory and onto the disk, and what was given up for it."""
        document = self._studio.document()
        settings = settings_of(document.render, tier=wanted.tier, fps=wanted.fps, codec=wanted.codec)
        asked = plan_of(chosen, settings, cores=len(os.sched_getaffinity(0)))
        plan = self._fitting(asked)
        size = min(foreseen_bytes(plan), sum(file_size(each.path) or 0 for each in chosen.frames))
        files.room_for(self._studio.data, size, document.alerts.disk_reserve_bytes)
        return plan, {name: getattr(plan, name) for name in _GIVES_UP if getattr(plan, name) != getattr(asked, name)}

    def _fitting(self, plan: Plan) -> Plan:
        available = self._studio.available()
        if available is None:
            return plan
        try:
            return fit(plan, available - SPARE_BYTES)
        except MemoryShort as error:
            raise Postponed(WAIT_S, f"waits for memory: {error.detail}") from error

    # --- the video --------------------------------------------------------------------------------------------

    def _render(self, plan: Plan, made: VideoFiles, task: Task) -> Rendered:
        make_folder(made.tmp_video.parent)
        total = len(plan.frames)

        def beat(done: int, speed: float) -> None:
            task.beat(READ_AGAIN * done / total, said(done, total, speed))

        return render(plan, made.tmp_video, made.tmp_poster, beat=beat, register=task.watch)

    # --- after ------------------------------------------------------------------------------------------------

    def _done(self, take: Take, wanted: RenderPayload, job_id: str, notes: Mapping[str, Any]) -> Done:
        before = self._before(take.subject)
        video = _video(take, wanted, job_id, self._clock, before)

        def after() -> None:
            crash_point("render_committed")
            if before is not None:
                removing.remove([self._studio.data / before.path, self._studio.data / before.poster])

        result = {**_told(take, video), **{name: note for name, note in notes.items() if note}}
        return Done(result, lambda session: _written(session, take, video), after)

    def _before(self, subject: Subject) -> Video | None:
        """The video that the new one replaces."""
        name = subject.shoot.shoot if subject.shoot else ""
        return self._entries.database.read(lambda session: videos.of_shoot(session, name))

    def sweep(self) -> int:
        """At the worker's start, before any job: files that an earlier life left and its rows gave up; how many."""
        ended = {short_id(job): (began_us, ended_us) for job, began_us, ended_us in self._videos.given_up()}
        removed = {path for pair in RetentionReader(self._entries.database).removed_videos() for path in pair}
        traces = Traces(self._videos.files(), removed, ended)
        left = list(strays(self._studio.data, traces))
        for path in left:
            LOG.warning(
                "leftover of a video is removed", extra={"path": path.relative_to(self._studio.data).as_posix()}
            )
        return removing.remove(left)


def said(done: int, total: int, speed: float) -> str:
    """Progress in words: frames done, their rate, and how long the rest will take."""
    if done >= total:
        return f"{total} frames, reading it again"
    left = f", {(total - done) / speed:.0f} s left" if speed > 0 else ""
    return f"{done} of {total} frames, {speed:.1f} a second{left}"


def foreseen_bytes(plan: Plan) -> int:
    """Size of the file, rather too high than too low."""
    quality = 2 ** ((USUAL_CRF - plan.crf) / CRF_PER_HALF)
    return round(len(plan.frames) * plan.width * plan.height * BYTES_PER_PIXEL * quality)


def _counts(left_out: Iterable[LeftOut]) -> str:
    return ", ".join(f"{count} {why}" for why, count in Counter(each.why.value for each in left_out).items())


def _source(data: Path, each: Material) -> Source:
    return Source(
        frame_id=each.frame_id,
        path=data / each.path,
        width=each.width,
        height=each.height,
        captured_us=each.captured_us,
        integrity=Integrity(each.integrity),
        flagged=each.flagged,
        quarantined=each.quarantined,
    )


def _video(take: Take, wanted: RenderPayload, job_id: str, clock: Clock, before: Video | None) -> Video:
    """The row of a video; what it replaces hands on its title and its pin."""
    subject, plan, rendered = take.subject, take.plan, take.rendered
    date, schedule, _ = subject.words
    title = before.title if before else f"{schedule} {date}"
    return Video(
        id=clock.new_id(),
        camera=subject.camera,
        profile=subject.profile,
        shoot=subject.shoot.shoot if subject.shoot else None,
        job_id=job_id,
        title=wanted.title or title,
        from_us=subject.from_us,
        to_us=subject.to_us,
        path=take.files.video,
        poster=take.files.poster,
        size_bytes=rendered.size_bytes,
        sha256=rendered.sha256,
        width=rendered.width,
        height=rendered.height,
        fps=rendered.fps,
        frames=rendered.frames,
        duration_s=rendered.duration_s,
        codec=plan.codec,
        encoder=rendered.encoder,
        tier=plan.tier,
        left_out=NamedLeftOut(len(take.left_out), tuple((each.frame_id, each.why.value) for each in take.left_out)),
        created_us=clock.now_us(),
        pinned=before is not None and before.pinned,
    )


def _told(take: Take, video: Video) -> dict[str, Any]:
    """The job's result."""
    return {
        "video": video.id,
        "frames": video.frames,
        "left_out": dict(Counter(each.why.value for each in take.left_out)),
        "duration_s": video.duration_s,
        "fps": video.fps,
        "width": video.width,
        "height": video.height,
        "size_bytes": video.size_bytes,
        "encoder": video.encoder,
        "peak_bytes": take.rendered.peak_bytes,
        "predicted_bytes": take.plan.predicted_bytes,
    }


def _written(session: Session, take: Take, video: Video) -> list[Event]:
    """The rows of a video, in the transaction that ends its job."""
    left_out, now_us = video.left_out.count, video.created_us
    made = VideoMade(
        video.id, video.camera, video.profile, video.shoot or "", video.frames, left_out, video.size_bytes,
        round(take.took_s, 3),
    )  # fmt: skip
    if take.subject.shoot is None:
        videos.insert(session, video)
        return [made]
    events: list[Event] = [*_replaced(session, take.subject.shoot, now_us), made]
    videos.insert(session, video)
    return [*events, *_shoot_done(session, take.subject.shoot, video)]


def _replaced(session: Session, shoot: Shoot, now_us: int) -> list[Event]:
    """The shoot's older video gives way."""
    old = videos.of_shoot(session, shoot.shoot)
    if old is None or archive.remove_video(session, old.id, REPLACED, now_us) is None:
        return []
    return [VideoRemoved(old.id, old.camera, REPLACED)]


def _shoot_done(session: Session, shoot: Shoot, video: Video) -> list[Event]:
    state = "degraded" if shoot.degraded else "done"
    moved = ledger.move_shoot(session, shoot.shoot, state)
    return [ShootMoved(shoot.shoot, shoot.camera, state, video.id)] if moved else []
