"""Every metric in one table, from three sources.

Counters and histograms are folded from events by the follower; gauges are read from the board's facts at scrape (their
table is in domain.gauges); timings that are no events come through `observe`.  Label values are from closed sets:
cameras and targets of node.yml, reasons, verdicts, rungs, kinds of jobs, codes, routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from node.domain.events import (
    AccessRefused,
    AlertRaised,
    CameraRecovered,
    ClockStepped,
    ConfigActivated,
    ConfigConfirmed,
    ConfigProvisional,
    ConfigRolledBack,
    Event,
    FrameKept,
    FrameQuarantined,
    FramesReclaimed,
    FramesRestored,
    GapRecorded,
    GapsRecorded,
    ItemsArchived,
    JobDied,
    JobMoved,
    LoopFailed,
    ReceiptDenied,
    RecoveryStep,
    ShootClosed,
    VideoMade,
    VideoRemoved,
)
from node.domain.facts import Learnt
from node.domain.frame import GapReason
from node.domain.gauges import GAUGES
from node.domain.job import KINDS, JobState
from node.domain.quality import Verdict

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "heliograph_"
Kind = TypeVar("Kind", Counter, Histogram)
_MS = 1000

CAPTURE_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
LATENESS_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
RENDER_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
TIMING_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

# a start time beside each row helps nobody; the switch is the library's own, for the whole process
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left out its return type


# --- folded from events ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Folded:
    """A counter, or with `buckets` a histogram: what its labels are called."""

    name: str
    sentence: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


FOLDED = (
    Folded("frames", "Frames kept, by the judge's verdict.", ("camera", "verdict")),
    Folded("frame_bytes", "Bytes of the frames kept.", ("camera",)),
    Folded("quarantined", "Damaged pictures put aside.", ("camera", "integrity")),
    Folded("gaps", "Due slots that have no frame, by reason.", ("camera", "reason")),
    Folded("capture_seconds", "From the request to the captured picture.", ("camera",), CAPTURE_BUCKETS),
    Folded("lateness_seconds", "From the due instant to the request.", ("camera",), LATENESS_BUCKETS),
    Folded("recovery_steps", "Steps of the recovery ladder taken.", ("camera", "rung")),
    Folded("recoveries", "Cameras that came back, by the rung that did it.", ("camera", "rung")),
    Folded("camera_down_seconds", "How long cameras were down before they came back.", ("camera",)),
    Folded("shoots", "Shoots closed: captured or degraded.", ("camera", "outcome")),
    Folded("errors", "Failures, by code.", ("code",)),
    Folded("config_changes", "Documents activated, made provisional, confirmed, rolled back.", ("change",)),
    Folded("alerts", "Alerts raised.", ("alert", "severity")),
    Folded("clock_steps", "Steps of the wall clock.", ()),
    Folded("loop_failures", "Unexpected failures inside a loop.", ("loop",)),
    Folded("reclaimed_files", "Files deleted, by class and rule.", ("what", "rule")),
    Folded("reclaimed_bytes", "Bytes of the files deleted.", ("what", "rule")),
    Folded("jobs", "Jobs that ended, by kind; routine ones say nothing of success.", ("kind", "state")),
    Folded("job_retries", "Attempts that failed and were not the last.", ("kind",)),
    Folded("videos", "Videos made.", ("camera",)),
    Folded("videos_removed", "Videos deleted, by a person or a rule.", ("camera", "rule")),
    Folded("render_seconds", "From a video's first frame to its row.", ("camera",), RENDER_BUCKETS),
    Folded("archived_items", "Frames and videos that a target gave receipts for.", ("target",)),
    Folded("archived_bytes", "Their bytes.", ("target",)),
    Folded("archived_seconds", "What sending them took.", ("target",)),
    Folded("receipts_denied", "Items that a target took and does not hold.", ("target",)),
    Folded("restored_bytes", "Bytes of the reclaimed frames that came back.", ("target",)),
    Folded("access_refused", "Attempts refused, in the handshake or after it, by code.", ("code",)),
    Folded("small_pictures", "Small pictures asked for, by where they came from.", ("source",)),
)

ENDS = (JobState.DONE.value, JobState.DEAD.value, JobState.CANCELLED.value)
# rows that exist from the start, so that a zero is a measured zero: label -> its whole closed set
_CLOSED: Mapping[str, tuple[str, ...]] = {
    "verdict": tuple(Verdict),
    "reason": tuple(GapReason),
    "change": ("activated", "provisional", "confirmed", "rolled_back"),
    "source": ("cache", "made"),
    "kind": tuple(KINDS),
    "state": ENDS,
}


@dataclass(frozen=True, slots=True)
class Move:
    """What one event does to one metric: its labels' values, and by how much it counts (or what was measured)."""

    metric: str
    labels: tuple[str, ...] = ()
    amount: float = 1.0


def _frame(event: FrameKept) -> Iterable[Move]:
    yield Move("frames", (event.camera, event.verdict))
    yield Move("frame_bytes", (event.camera,), event.size_bytes)
    yield Move("capture_seconds", (event.camera,), event.took_ms / _MS)
    if event.due_us is not None:
        yield Move("lateness_seconds", (event.camera,), event.late_ms / _MS)


def _gap(event: GapRecorded) -> Iterable[Move]:
    yield Move("gaps", (event.camera, event.reason))
    if event.error_code:
        yield Move("errors", (event.error_code,))


def _reclaimed(event: FramesReclaimed) -> Iterable[Move]:
    yield Move("reclaimed_files", (event.what, event.rule), event.count)
    yield Move("reclaimed_bytes", (event.what, event.rule), event.size_bytes)


def _recovery(event: RecoveryStep) -> Iterable[Move]:
    yield Move("recovery_steps", (event.camera, event.rung))
    if event.error_code:
        yield Move("errors", (event.error_code,))


def _recovered(event: CameraRecovered) -> Iterable[Move]:
    yield Move("recoveries", (event.camera, event.rung))
    yield Move("camera_down_seconds", (event.camera,), max(0.0, event.down_s))


def _shoot(event: ShootClosed) -> Iterable[Move]:
    yield Move("shoots", (event.camera, "degraded" if event.degraded else "captured"))


def _job(event: JobMoved) -> Iterable[Move]:
    if event.state in ENDS:
        yield Move("jobs", (event.job_kind, event.state))
    if event.state == JobState.RETRY:
        yield Move("job_retries", (event.job_kind,))
        yield Move("errors", (event.error_code,))


def _died(event: JobDied) -> Iterable[Move]:
    yield Move("jobs", (event.job_kind, JobState.DEAD.value))
    yield Move("errors", (event.error_code,))


def _video(event: VideoMade) -> Iterable[Move]:
    yield Move("videos", (event.camera,))
    yield Move("render_seconds", (event.camera,), event.took_s)


def _archived(event: ItemsArchived) -> Iterable[Move]:
    yield Move("archived_items", (event.target,), event.count)
    yield Move("archived_bytes", (event.target,), event.size_bytes)
    yield Move("archived_seconds", (event.target,), event.took_s)


MOVES: Mapping[type[Event], Callable[[Any], Iterable[Move]]] = {
    FrameKept: _frame,
    FrameQuarantined: lambda event: (Move("quarantined", (event.camera, event.integrity)),),
    GapRecorded: _gap,
    GapsRecorded: lambda event: (Move("gaps", (event.camera, event.reason), event.count),),
    RecoveryStep: _recovery,
    CameraRecovered: _recovered,
    ShootClosed: _shoot,
    ConfigActivated: lambda _: (Move("config_changes", ("activated",)),),
    ConfigProvisional: lambda _: (Move("config_changes", ("provisional",)),),
    ConfigConfirmed: lambda _: (Move("config_changes", ("confirmed",)),),
    ConfigRolledBack: lambda _: (Move("config_changes", ("rolled_back",)),),
    AlertRaised: lambda event: (Move("alerts", (event.alert, event.severity)),),
    ClockStepped: lambda _: (Move("clock_steps"),),
    LoopFailed: lambda event: (Move("loop_failures", (event.loop,)),),
    FramesReclaimed: _reclaimed,
    JobMoved: _job,
    JobDied: _died,
    VideoMade: _video,
    VideoRemoved: lambda event: (Move("videos_removed", (event.camera, event.rule)),),
    ItemsArchived: _archived,
    ReceiptDenied: lambda event: (Move("receipts_denied", (event.target,)),),
    FramesRestored: lambda event: (Move("restored_bytes", (event.target,), event.size_bytes),),
    AccessRefused: lambda event: (Move("access_refused", (event.code,), event.count),),
}


# --- timings that are no events -------------------------------------------------------------------------------------


TIMINGS = (
    Folded("api_seconds", "An answer of the API.", ("route", "status"), TIMING_BUCKETS),
    Folded("database_write_seconds", "A transaction on the writer thread.", ("transaction",), TIMING_BUCKETS),
)

# --- asked of its owner at scrape -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Live:
    """A gauge that is asked of its owner at scrape."""

    name: str
    sentence: str


LIVE = (Live("streams_open", "Event streams that are open."),)


class Metrics:
    """The metrics of one process, in a registry of their own.  Safe from any thread."""

    def __init__(
        self,
        facts: Callable[[], Mapping[str, Learnt[Any]]],
        now_us: Callable[[], int],
        cameras: Sequence[str] = (),
        targets: Sequence[str] = (),
        *,
        live: Mapping[str, Callable[[], float]] | None = None,
    ) -> None:
        self._registry = CollectorRegistry()
        self._closed = {**_CLOSED, "camera": tuple(cameras), "target": tuple(targets)}
        self._counters = {row.name: self._counter(row) for row in FOLDED if not row.buckets}
        self._histograms = {row.name: self._histogram(row) for row in (*FOLDED, *TIMINGS) if row.buckets}
        self._registry.register(_Gauges(facts, now_us, live or {}))

    def fold(self, event: Event) -> None:
        """Count what one event says.  Call it once for each event."""
        moves = MOVES.get(type(event))
        for move in moves(event) if moves else ():
            if move.metric in self._counters:
                _child(self._counters[move.metric], move.labels).inc(move.amount)
            else:
                self.observe(move.metric, move.amount, *move.labels)

    def count(self, name: str, *labels: str) -> None:
        """One more of something that is no event.  Raises KeyError for a name that is not in FOLDED."""
        _child(self._counters[name], labels).inc()

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Note one duration under a name of TIMINGS.  Raises KeyError for any other name."""
        _child(self._histograms[name], labels).observe(seconds)

    def render(self) -> bytes:
        """All of it in Prometheus' text format (MEDIA_TYPE)."""
        return generate_latest(self._registry)

    def _counter(self, row: Folded) -> Counter:
        counter = Counter(PREFIX + row.name, row.sentence, row.labels, registry=self._registry)
        self._begin_at_zero(counter, row)
        return counter

    def _histogram(self, row: Folded) -> Histogram:
        name = PREFIX + row.name
        histogram = Histogram(name, row.sentence, row.labels, buckets=row.buckets, registry=self._registry)
        self._begin_at_zero(histogram, row)
        return histogram

    def _begin_at_zero(self, metric: Kind, row: Folded) -> None:
        if all(label in self._closed for label in row.labels):
            for values in product(*(self._closed[label] for label in row.labels)):
                _child(metric, values)


def _child(metric: Kind, values: Sequence[str]) -> Kind:
    """The one row of a metric that carries these label values."""
    return metric.labels(*values) if values else metric


class _Gauges(Collector):
    """Made anew at each scrape, so that what is no longer known disappears."""

    def __init__(
        self,
        facts: Callable[[], Mapping[str, Learnt[Any]]],
        now_us: Callable[[], int],
        live: Mapping[str, Callable[[], float]],
    ) -> None:
        self._facts = facts
        self._now_us = now_us
        self._live = live

    def collect(self) -> Iterator[Metric]:
        facts: list[Any] = [fact.value for fact in self._facts().values()]
        now_us = self._now_us()
        for row in GAUGES:
            family = GaugeMetricFamily(PREFIX + row.name, row.sentence, labels=[row.label] if row.label else [])
            for fact in facts:
                if isinstance(fact, row.fact) and (value := row.read(fact, now_us)) is not None:
                    family.add_metric([fact.name] if row.label else [], value)
            yield family
        for owned in LIVE:
            if owned.name in self._live:
                yield GaugeMetricFamily(PREFIX + owned.name, owned.sentence, value=self._live[owned.name]())
