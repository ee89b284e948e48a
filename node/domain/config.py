"""The live configuration document: every field with unit, bounds, default and one sentence.

An empty document runs.  A PUT refuses unknown fields; a document that this node wrote under a newer release is
loaded with `load_own`, which keeps and reports what it does not know.  Sections: docs/config.example.yml.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from node.domain.errors import DocumentInvalid, FaultKind, FieldFault

NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
CLOCK_TIME = r"^([01]\d|2[0-3]):[0-5]\d$"
SHA256_HEX = r"^[0-9a-f]{64}$"
Name = Annotated[str, Field(pattern=NAME)]
Percent = Annotated[float, Field(ge=0, le=100)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Anchor = Literal[
    "sunrise", "sunset", "noon", "civil_dawn", "civil_dusk", "nautical_dawn", "nautical_dusk",
    "astronomical_dawn", "astronomical_dusk", "elevation_rising", "elevation_setting",
]  # fmt: skip
Tier = Literal["preview", "standard", "archive"]
Codec = Literal["h264", "hevc"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]
JobKind = Literal[
    "render", "thumbnail", "thumbnail-repair", "backup", "integrity-check", "upkeep", "reconcile", "transfer",
    "test-target", "verify-archive", "restore",
]  # fmt: skip
ANY_ELEVATION = ("elevation_rising", "elevation_setting")
HOUR_S, DAY_S = 3600, 86400
MAX_FAULTS, MAX_GIVEN_CHARS = 50, 80
NO_SUCH_FIELD = "there is no such field"
PLAINER = {"extra_forbidden": NO_SUCH_FIELD, "missing": "must be given"}
FAULT_KINDS: Mapping[str, FaultKind] = {"extra_forbidden": "unknown_field", "missing": "missing"}
LINE = r"^[^\x00-\x1f\x7f]+$"
KEY_FILE = r"^(credential:[A-Za-z0-9_][A-Za-z0-9._-]{0,99}|[^:]+|/.*)$"
PATTERNS: Mapping[str, str] = {
    NAME: "must be of a-z, 0-9 and -, at most 63 of them, the first not -",
    CLOCK_TIME: "must be a time of day as HH:MM, 00:00 to 23:59",
    SHA256_HEX: "must be 64 characters of 0-9 and a-f",
    KEY_FILE: "must be a path, or credential: and a name of letters, digits, . _ and -",
    LINE: "must be one line without control characters",
}
"""What a pattern asks for, in words."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Site(Section):
    """Where the cameras stand."""

    name: str = Field("", max_length=80, description="The site's name for people.")
    latitude: float | None = Field(None, ge=-90, le=90, description="Degrees north; needed for solar windows.")
    longitude: float | None = Field(None, ge=-180, le=180, description="Degrees east; needed for solar windows.")
    timezone: str = Field("UTC", description="IANA name; clock windows, dates and days of the week are in it.")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            message = f"{value!r} is not an IANA timezone, such as Europe/Berlin"
            raise ValueError(message) from error
        return value

    @model_validator(mode="after")
    def _both_or_neither(self) -> Site:
        if (self.latitude is None) != (self.longitude is None):
            message = "latitude and longitude go together"
            raise ValueError(message)
        return self


class CameraSettings(Section):
    """What a camera's pictures look like; the device itself is named in node.yml."""

    enabled: bool = Field(default=True, description="Off: no slots are due for this camera.")
    width: int | None = Field(None, ge=64, le=16384, description="Pixels; empty = the camera's own choice.")
    height: int | None = Field(None, ge=48, le=16384, description="Pixels; empty = the camera's own choice.")
    jpeg_quality: int = Field(90, ge=50, le=100, description="JPEG quality of the original, 50..100.")
    settle_frames: int = Field(2, ge=0, le=30, description="Frames dropped after opening, until the sensor settles.")
    shot_margin_s: float = Field(5.0, ge=0.5, le=60, description="Seconds a shot may take beyond its exposure.")
    recapture: bool = Field(default=True, description="Take one more shot at once when the first is bad.")

    @model_validator(mode="after")
    def _both_or_neither(self) -> CameraSettings:
        if (self.width is None) != (self.height is None):
            message = "width and height go together"
            raise ValueError(message)
        return self


class Profile(Section):
    """How a shot is exposed."""

    mode: Literal["auto", "manual"] = Field("auto", description="auto: the camera meters; manual: the values below.")
    exposure_s: float | None = Field(None, ge=1e-6, le=600, description="Seconds; manual only.")
    gain: float | None = Field(None, ge=1, le=64, description="Linear gain; manual only.")
    ev_stops: float = Field(0.0, ge=-4, le=4, description="Exposure correction in stops; auto only.")

    @model_validator(mode="after")
    def _mode_fits(self) -> Profile:
        if self.mode == "manual" and (self.exposure_s is None or self.gain is None):
            message = "manual needs exposure_s and gain"
            raise ValueError(message)
        if self.mode == "manual" and self.ev_stops:
            message = "ev_stops acts only in mode auto"
            raise ValueError(message)
        if self.mode == "auto" and (self.exposure_s is not None or self.gain is not None):
            message = "exposure_s and gain act only in mode manual"
            raise ValueError(message)
        return self


class Edge(Section):
    """One end of a solar window."""

    anchor: Anchor = Field(description="The sun's event.")
    offset_s: int = Field(0, ge=-12 * HOUR_S, le=12 * HOUR_S, description="Seconds after (or, negative, before) it.")
    elevation_deg: float | None = Field(None, ge=-30, le=60, description="Degrees; only for elevation_*.")

    @model_validator(mode="after")
    def _elevation_fits(self) -> Edge:
        if (self.anchor in ANY_ELEVATION) != (self.elevation_deg is not None):
            message = "elevation_deg goes with elevation_rising and elevation_setting, and only with them"
            raise ValueError(message)
        return self


class AlwaysWindow(Section):
    kind: Literal["always"] = "always"


class ClockWindow(Section):
    """From start to end by the site's clock; an end at or before the start is on the next day."""

    kind: Literal["clock"]
    start: str = Field(pattern=CLOCK_TIME, description="HH:MM, site time, included.")
    end: str = Field(pattern=CLOCK_TIME, description="HH:MM, site time, not included.")


class SolarWindow(Section):
    """Between two events of the sun.

    The end is on the solar day of the start, or on the next where it comes earlier in a day than the start (dusk to
    dawn).  Where the sun stays above an edge all day, that edge is solar midnight, so that with midnight sun a window
    from sunrise to sunset is the whole solar day; offsets do not move such an edge.
    """

    kind: Literal["solar"]
    start: Edge
    end: Edge
    polar_night: Literal["none", "noon"] = Field(
        "none", description="When the sun stays below an edge all day: no window, or one around noon."
    )
    noon_half_width_s: int = Field(
        HOUR_S, ge=60, le=12 * HOUR_S, description="Seconds each side, for polar_night noon."
    )


Window = Annotated[AlwaysWindow | ClockWindow | SolarWindow, Field(discriminator="kind")]


class Schedule(Section):
    """Which camera takes which profiles, when, how often."""

    enabled: bool = Field(default=True, description="Off: asks for no slots.")
    cameras: list[Name] = Field(default=[], max_length=16, description="Cameras by name; empty = every camera.")
    profiles: list[Name] = Field(default=["auto"], min_length=1, max_length=8, description="One shot each per instant.")
    interval_s: int = Field(60, ge=1, le=DAY_S, description="Seconds from start to start.")
    phase_s: int | Literal["auto"] = Field(0, description="Seconds past the grid; auto spreads nodes by their name.")
    window: Window = Field(default=AlwaysWindow(), description="When it asks at all.")
    days: list[Day] = Field(
        default=list(DAYS),
        min_length=1,
        description="Days of the week on which windows start (solar ones: of their solar day's noon).",
    )
    priority: int = Field(0, ge=-100, le=100, description="Higher goes first where profiles share an instant.")

    @field_validator("phase_s")
    @classmethod
    def _phase_is_short(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 0 <= value < DAY_S:
            message = "phase_s is 0..86399 or auto"
            raise ValueError(message)
        return value


class QualityLimits(Section):
    """When a picture counts as bad.  Every limit is on the judge's own scale, 0 = none, 1 = total."""

    bad_below: int = Field(50, ge=0, le=100, description="Scores below this are bad (0..100, 100 = perfect).")
    black_mean: float = Field(0.03, ge=0, le=1, description="Mean luminance at or below which a day frame is black.")
    blown_share: float = Field(0.85, ge=0, le=1, description="Share of clipped pixels from which a frame is blown.")
    blur_ratio: float = Field(
        0.5, ge=0, le=1, description="Sharpness against the camera's own, below which it is blurred."
    )
    stuck_count: int = Field(
        3, ge=2, le=100, description="Pictures without any change after which the camera is stuck."
    )
    filled_share: float = Field(
        0.1, ge=0.02, le=1, description="Share of rows of one flat colour at the end of a picture."
    )
    cast_distance: float = Field(0.18, ge=0, le=1, description="Distance of mean colour from the camera's own.")
    moved_share: float = Field(0.12, ge=0, le=1, description="Shift of the framing as a share of the picture's width.")
    day_elevation_deg: float = Field(0.0, ge=-18, le=30, description="Sun elevation from which it must not be black.")
    history_frames: int = Field(50, ge=10, le=500, description="Good frames a baseline band remembers.")
    cold_below: int = Field(
        10, ge=1, le=100, description="With fewer frames than this a baseline is cold: it leans to good."
    )

    @model_validator(mode="after")
    def _gets_warm(self) -> QualityLimits:
        if self.cold_below > self.history_frames:
            message = "cold_below is above history_frames: no baseline would ever be warm"
            raise ValueError(message)
        return self


class Quality(Section):
    enabled: bool = Field(default=True, description="Off: frames are unjudged, integrity is still checked.")
    limits: QualityLimits = Field(default=QualityLimits(), description="Limits of the judge.")


class AlertLimits(Section):
    """Where a condition becomes an alert."""

    disk_warn_free_pct: Percent = Field(10.0, description="Free space of the data disk below which it warns.")
    disk_crit_free_pct: Percent = Field(5.0, description="Free space below which no videos or thumbnails are made.")
    disk_reserve_bytes: int = Field(
        64 * 1024 * 1024, ge=0, description="Room kept for database and logs; with twice as much free it warns, too."
    )
    stale_min_s: int = Field(300, ge=10, le=DAY_S, description="A good frame may always be this old, in seconds.")
    stale_intervals: float = Field(2.5, ge=1, le=100, description="... or this many intervals, whichever is longer.")
    temperature_warn_c: float = Field(75.0, ge=30, le=110, description="Processor temperature that warns.")
    queue_depth_warn: int = Field(10, ge=1, le=100_000, description="Jobs due now from which it warns.")
    queue_depth_crit: int = Field(25, ge=1, le=100_000, description="Jobs due now from which it is critical.")
    job_stuck_s: float = Field(1800.0, ge=10, le=DAY_S, description="A job that runs longer is stuck.")
    unsent_warn_s: float = Field(6 * HOUR_S, ge=10, le=90 * DAY_S, description="Age of the oldest unsent frame.")
    video_limit_s: float = Field(
        6 * HOUR_S, ge=10, le=30 * DAY_S, description="Seconds after its end by which a shoot must have its video."
    )
    hold_down_s: float = Field(5.0, ge=0, le=600, description="Seconds a condition must last before it is an alert.")

    @model_validator(mode="after")
    def _warn_before_crit(self) -> AlertLimits:
        if self.disk_crit_free_pct > self.disk_warn_free_pct:
            message = "disk_crit_free_pct is above disk_warn_free_pct"
            raise ValueError(message)
        if self.queue_depth_crit < self.queue_depth_warn:
            message = "queue_depth_crit is below queue_depth_warn"
            raise ValueError(message)
        return self


class ApiLimits(Section):
    """Bounds of the HTTP API."""

    body_limit_bytes: int = Field(1_000_000, ge=1024, le=20_000_000, description="Largest request body.")
    page_max: int = Field(1000, ge=1, le=10_000, description="Most rows in one page.")
    streams_max: int = Field(32, ge=1, le=256, description="Event streams at once; then 503.")
    requests_per_s: float = Field(50.0, ge=0.1, le=10_000, description="Sustained requests per client and second.")
    burst: int = Field(200, ge=1, le=100_000, description="Requests a client may make at once.")


class Render(Section):
    """Videos of shoots, and what a video is like."""

    enabled: bool = Field(default=True, description="Off: no video is made by itself; on demand still.")
    min_frames: int = Field(10, ge=2, le=10_000, description="Fewer usable frames than this make no video.")
    tier: Tier = Field("standard", description="preview, standard or archive: CRF 28, 21, 18 unless crf says another.")
    max_width: int = Field(1920, ge=64, le=8192, description="Pixels; nothing is enlarged.")
    codec: Codec = Field("h264", description="h264 plays everywhere; hevc is smaller.")
    crf: int | None = Field(
        None, ge=0, le=51, description="Constant rate factor instead of the tier's; lower = better."
    )
    preset: Preset | None = Field(None, description="Encoder's preset instead of the tier's.")
    fps: float = Field(25.0, ge=1, le=120, description="Frames per second.")
    target_s: float | None = Field(
        None, ge=1, le=HOUR_S, description="Seconds a video should last: the rate follows, between fps_min and fps_max."
    )
    fps_min: float = Field(10.0, ge=1, le=120, description="Lowest rate with target_s.")
    fps_max: float = Field(60.0, ge=1, le=120, description="Highest rate with target_s.")
    threads: int = Field(0, ge=0, le=8, description="Encoder threads; 0 = as the machine's cores and memory allow.")

    @model_validator(mode="after")
    def _bounds_fit(self) -> Render:
        if self.fps_max < self.fps_min:
            message = "fps_max is below fps_min"
            raise ValueError(message)
        return self


class Thumbnails(Section):
    """Small pictures beside the frames."""

    keep: Literal["all", "latest", "off"] = Field("all", description="Of every frame, of the newest only, or none.")


class Trigger(Section):
    """Asks for a video when something has happened: never missed by a late look, never asked for twice."""

    enabled: bool = Field(default=True, description="Off: asks for nothing.")
    on: Literal["capture", "milestone", "daily"] = Field(
        description="capture: new frames, throttled; milestone: every n-th frame; daily: a time of day."
    )
    cameras: list[Name] = Field(default=[], max_length=16, description="Cameras by name; empty = every camera.")
    profile: Name = Field("auto", description="Frames of this profile.")
    every: int = Field(100, ge=10, le=1_000_000, description="Frames from one to the next; milestone only.")
    throttle_s: float = Field(3600.0, ge=10, le=30 * DAY_S, description="At least so long apart; capture only.")
    at: str = Field("00:00", pattern=CLOCK_TIME, description="HH:MM, site time; daily only.")
    last_s: int = Field(DAY_S, ge=60, le=366 * DAY_S, description="The video shows so many seconds up to then.")


class Jobs(Section):
    """The queue."""

    retry_s: dict[JobKind, list[Annotated[float, Field(ge=0.1, le=7 * DAY_S)]]] = Field(
        default={}, description="Seconds before each new attempt of a kind, instead of its own; then it is dead."
    )


class BreakerLimits(Section):
    """When a target is left alone for a while."""

    failures: int = Field(5, ge=1, le=100, description="Failures in a row that open it.")
    pause_s: float = Field(60.0, ge=0.1, le=DAY_S, description="Seconds it stays open before it is tried again.")
    successes: int = Field(2, ge=1, le=100, description="Successes in a row that close it again.")


class TargetPolicy(Section):
    """How one archive target of node.yml is used."""

    enabled: bool = Field(default=True, description="Off: nothing is sent there.")
    order: Literal["oldest", "newest"] = Field("oldest", description="Which unsent frames go first.")
    videos: bool = Field(default=True, description="Send videos too.")
    gather_s: float = Field(
        60.0, ge=0, le=DAY_S, description="Seconds that new frames are gathered before they are sent together."
    )
    batch_frames: int = Field(200, ge=1, le=5000, description="Most frames in one transfer.")
    batch_bytes: int = Field(256 * 1024 * 1024, ge=1024, le=1 << 40, description="Most bytes in one transfer.")
    timeout_s: float = Field(60.0, ge=1, le=HOUR_S, description="Seconds without progress after which it gives up.")
    limit_bytes_per_s: int | None = Field(None, ge=1024, description="Bandwidth cap; empty = none.")
    breaker: BreakerLimits = Field(default=BreakerLimits(), description="When the target is left alone.")


class Archive(Section):
    """Where frames are sent; the targets themselves, with their keys, stand in node.yml."""

    targets: dict[Name, TargetPolicy] = Field(default={}, description="By name of node.yml; defaults where silent.")

    def policy(self, target: str) -> TargetPolicy:
        """How that target is used; defaults where the document is silent."""
        return self.targets.get(target) or TargetPolicy()


class Retention(Section):
    """What the node forgets by itself.  A frame without enough receipts never, but for `without_target`."""

    receipts_needed: int = Field(1, ge=1, le=8, description="Targets that must hold a frame before it may go.")
    frames_days: float = Field(30.0, ge=0, le=3650, description="Days a verified frame is kept here all the same.")
    reclaim_to_free_pct: Percent = Field(
        15.0, description="When space is low, verified frames go until so much is free, whatever their age."
    )
    order: Literal["oldest", "thin"] = Field(
        "oldest", description="oldest: the oldest first; thin: the lowest scores first, ends of shoots last."
    )
    without_target: Literal["stop", "overwrite_oldest"] = Field(
        "stop", description="A full node without any target stops, or deletes its oldest frames unsaved."
    )
    thumbnails_days: float = Field(365.0, ge=0, le=3650, description="Days a thumbnail is kept.")
    videos_days: float | None = Field(None, ge=1, le=3650, description="Days a video is kept; empty = for ever.")
    quarantined_days: float | None = Field(
        None, ge=1, le=3650, description="Days a damaged picture is kept; empty = for ever."
    )
    backups: int = Field(7, ge=1, le=100, description="Nightly backups of the database that are kept.")
    jobs_days: float = Field(14.0, ge=1, le=3650, description="Days a finished job is remembered.")

    events_days: float = Field(30.0, ge=1, le=3650, description="Days the event log is kept.")
    events_rows: int = Field(200_000, ge=1000, le=10_000_000, description="Most rows of the event log.")
    config_versions: int = Field(100, ge=5, le=10_000, description="Versions of this document that are kept.")


class Document(Section):
    """The live configuration of a node."""

    site: Site = Field(default=Site(), description="Where the cameras stand.")
    cameras: dict[Name, CameraSettings] = Field(default={}, description="Settings by camera name of node.yml.")
    profiles: dict[Name, Profile] = Field(default={}, description="Named exposures; `auto` always exists.")
    schedules: dict[Name, Schedule] = Field(default={}, description="Empty = every camera each 60 s, day and night.")
    quality: Quality = Field(default=Quality(), description="The judge.")
    render: Render = Field(default=Render(), description="Videos.")
    thumbnails: Thumbnails = Field(default=Thumbnails(), description="Small pictures.")
    triggers: dict[Name, Trigger] = Field(default={}, description="What else asks for videos.")
    jobs: Jobs = Field(default=Jobs(), description="The queue.")
    archive: Archive = Field(default=Archive(), description="Use of the archive's targets.")
    alerts: AlertLimits = Field(default=AlertLimits(), description="Health limits.")
    retention: Retention = Field(default=Retention(), description="What is forgotten.")
    api: ApiLimits = Field(default=ApiLimits(), description="Bounds of the API.")

    def profile(self, name: str) -> Profile:
        """The profile of that name; `auto` exists without being written."""
        return self.profiles.get(name) or Profile()

    def camera(self, name: str) -> CameraSettings:
        """The settings of that camera, defaults where the document is silent."""
        return self.cameras.get(name) or CameraSettings()

    def profiles_of(self, camera: str) -> tuple[str, ...]:
        """The profiles that this camera's schedules ask for."""
        asking = (
            each
            for each in self.effective_schedules().values()
            if each.enabled and (not each.cameras or camera in each.cameras)
        )
        return tuple(dict.fromkeys(profile for each in asking for profile in each.profiles))

    def effective_schedules(self) -> Mapping[str, Schedule]:
        """The schedules, or the default one where none is written."""
        return self.schedules or {"default": Schedule()}


def parse_document(given: object) -> Document:
    """A validated document.  Raises DocumentInvalid with every wrong field's path."""
    document, faults = _validated(given)
    faults = (*faults, *_unknown_profiles(given))
    if document is None or faults:
        raise DocumentInvalid(fields=faults[:MAX_FAULTS])
    return document


def load_own(given: Mapping[str, Any]) -> tuple[Document, tuple[str, ...]]:
    """The document that this node itself activated, and the paths of fields that this release does not know.

    Raises DocumentInvalid where something else than an unknown field is wrong.
    """
    try:
        return Document.model_validate(given), ()
    except ValidationError as error:
        unknown = [_keys(fault["loc"], given) for fault in error.errors() if fault["type"] == "extra_forbidden"]
    known = json.loads(json.dumps(given))
    for keys in unknown:
        _remove(known, keys)
    return parse_document(known), tuple(".".join(map(str, keys)) for keys in unknown)


def digest(given: Mapping[str, Any]) -> str:
    """SHA-256 of the document as given: canonical JSON, defaults not filled in."""
    canonical = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def unknown_cameras(given: object, cameras: Sequence[str]) -> tuple[FieldFault, ...]:
    """Cameras named in a document, valid or not, that node.yml does not have."""
    sections = given if isinstance(given, Mapping) else {}
    settings, schedules = sections.get("cameras"), sections.get("schedules")
    named = [(f"cameras.{name}", name) for name in settings] if isinstance(settings, Mapping) else []
    for schedule, asked in schedules.items() if isinstance(schedules, Mapping) else ():
        wanted = asked.get("cameras") if isinstance(asked, Mapping) else None
        for index, name in enumerate(wanted if isinstance(wanted, list) else ()):
            named.append((f"schedules.{schedule}.cameras.{index}", name))
    message = f"no camera of that name in node.yml (it names {', '.join(cameras) or 'none'})"
    return tuple(FieldFault(path, message, str(name)[:MAX_GIVEN_CHARS]) for path, name in named if name not in cameras)


def differing(before: object, after: object, path: str = "") -> tuple[str, ...]:
    """The dotted paths at which two documents differ, each as deep as both are mappings."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return () if before == after else (path or "(document)",)
    names = sorted({*before, *after})
    parts = (differing(before.get(name), after.get(name), f"{path}.{name}" if path else str(name)) for name in names)
    return tuple(each for part in parts for each in part)


def faults_of(error: ValidationError, given: object = None, whole: str = "(document)") -> tuple[FieldFault, ...]:
    """Pydantic's findings as ours, at most 50; `given` is what was validated, so that paths are the writer's.

    `whole` is the path of what no single field is wrong about.
    """
    return tuple(
        FieldFault(
            ".".join(map(str, _keys(fault["loc"], given, missing=fault["type"] == "missing"))) or whole,
            words_of(fault),
            _shown(fault["input"]),
            FAULT_KINDS.get(fault["type"], "wrong_value"),
        )
        for fault in error.errors(include_url=False)[:MAX_FAULTS]
    )


def words_of(fault: Mapping[str, Any], patterns: Mapping[str, str] = PATTERNS) -> str:
    """One of pydantic's findings in plain words; `patterns` has them for the expressions that a text must match."""
    pattern = fault.get("ctx", {}).get("pattern", "")
    plain = PLAINER.get(fault["type"]) or patterns.get(pattern)
    return plain or str(fault["msg"]).removeprefix("Value error, ")


def _validated(given: object) -> tuple[Document | None, tuple[FieldFault, ...]]:
    try:
        return Document.model_validate(given), ()
    except ValidationError as error:
        return None, faults_of(error, given)


def _unknown_profiles(given: object) -> Iterator[FieldFault]:
    """Profiles that schedules name and nobody defines.

    Read from what was given, not from the model: a model with another wrong field does not exist, and every wrong
    field is named at once.
    """
    known = {"auto", *_entries(given, "profiles")}
    for name, schedule in _entries(given, "schedules").items():
        wanted = schedule.get("profiles") if isinstance(schedule, Mapping) else None
        for index, profile in enumerate(wanted if isinstance(wanted, list) else ()):
            if isinstance(profile, str) and profile not in known:
                yield FieldFault(f"schedules.{name}.profiles.{index}", "no profile of that name", _shown(profile))


def _entries(given: object, section: str) -> Mapping[Any, Any]:
    entries = given.get(section) if isinstance(given, Mapping) else None
    return entries if isinstance(entries, Mapping) else {}


def _keys(location: tuple[int | str, ...], given: object, *, missing: bool = True) -> tuple[int | str, ...]:
    """A location as the writer of the YAML knows it: the tags that pydantic adds for a union's kinds are no keys there.

    With `missing` the last part stays although it is not there.  Without `given` all parts stay.
    """
    if given is None:
        return location
    keys: list[int | str] = []
    for position, part in enumerate(location):
        inside = _inside(given, part)
        if inside is not _NOTHING:
            given = inside
        elif not (missing and position == len(location) - 1):
            continue
        keys.append(part)
    return tuple(keys)


_NOTHING = object()


def _inside(tree: object, part: int | str) -> object:
    if isinstance(tree, Mapping):
        return tree.get(part, _NOTHING)
    if isinstance(tree, list | tuple) and isinstance(part, int) and part < len(tree):
        return tree[part]
    return _NOTHING


def _remove(tree: Any, keys: tuple[int | str, ...]) -> None:  # noqa: ANN401 - any JSON
    for key in keys[:-1]:
        tree = tree[key]
    del tree[keys[-1]]


def _shown(value: object) -> str:
    """A value in a few characters, whatever its size."""
    scalar = value is None or isinstance(value, str | int | float)
    return (repr(value) if scalar else reprlib.repr(value))[:MAX_GIVEN_CHARS]
