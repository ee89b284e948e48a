"""The judge of one camera: every frame against what is usual for this camera, and the memory of that."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from node.domain.config import Quality
from node.domain.errors import BaselineDamaged, DiskError, HeliographError, JudgeFailed
from node.domain.facts import BandFacts
from node.domain.quality import Evidence, Integrity, Judgement, Verdict, condemn, is_day, judge, unjudged
from node.imaging.baseline import UNKNOWN_LIGHT, Baseline, key_of, light_of, restore
from node.imaging.decode import Checked, Pixels, check
from node.imaging.measure import Picture, measure
from node.store.files import replace_atomic

SAVE_EVERY = 20  # frames learnt; what a crash forgets at most
LARGEST_FILE = 64 * 1024 * 1024
MAY_STAY, MAY_STAY_BY_SUN = {"moved", "black", "blurred", "cast"}, {"moved"}
MOST_REPEATS = 101  # the schema's largest stuck_count, and one picture that may differ


@dataclass(frozen=True, slots=True)
class Assessed:
    """All that the judge says of one picture.

    `measures` are JSON-ready.  `errors` are the judge's own failures, to be logged, never the picture's fault.
    `pixels` are RGB at a small scale, for a thumbnail; None unless the picture is intact.
    """

    integrity: Integrity
    width: int
    height: int
    judgement: Judgement
    measures: Mapping[str, float]
    errors: tuple[HeliographError, ...] = ()
    pixels: Pixels | None = field(default=None, repr=False, compare=False)
    picture: Picture | None = field(default=None, repr=False, compare=False)
    key: str = ""
    remembered: int = 0


class Judge:
    """One camera's.  Called by the camera's loop alone."""

    def __init__(self, baseline_dir: Path | None, camera: str) -> None:
        """Warm where the file of the last run is there.  Without a folder nothing is kept."""
        self._path = None if baseline_dir is None else baseline_dir / f"{camera}.baseline"
        self._unsaid: list[HeliographError] = []
        self._baseline = self._load()
        self._seen: deque[bytes] = deque(maxlen=MOST_REPEATS)
        self._staying: dict[str, int] = {}
        self._unsaved = 0

    def assess(
        self,
        jpeg: bytes,
        profile: str,
        sun_elevation_deg: float | None,
        quality: Quality,
        luma: tuple[bytes, int, int] | None = None,
    ) -> Assessed:
        """Judge one picture.  Never raises for what the picture is: a check that fails makes it unjudged."""
        checked = check(jpeg)
        if checked.integrity is not Integrity.INTACT:
            return self._said(checked, condemn(checked.integrity))
        if not quality.enabled:
            return self._said(checked, unjudged())
        try:
            return self._judge(jpeg, checked, (profile, sun_elevation_deg), quality, luma[0] if luma else b"")
        except Exception as error:  # noqa: BLE001 the one boundary around the checks: a bug in one must not cost a frame
            self._unsaid.append(JudgeFailed(f"{type(error).__name__}: {error}"))
            return self._said(checked, unjudged())

    def learn(self, assessed: Assessed) -> None:
        """Remember a frame that was kept; any but a good one is passed over.  Never raises.

        Saves now and then; what goes wrong there is among the errors of the next picture.
        """
        if assessed.picture is None or assessed.judgement.verdict is not Verdict.GOOD:
            return
        self._baseline.learn(assessed.picture, assessed.key, assessed.remembered)
        self._unsaved += 1
        if self._unsaved >= SAVE_EVERY:
            self._try_to_save()

    def bands(self) -> tuple[BandFacts, ...]:
        """What is remembered of each kind of light, for the board."""
        return tuple(BandFacts(key, frames) for key, frames in sorted(self._baseline.sizes().items()))

    def teach(self, picture: Picture, profile: str, sun_elevation_deg: float | None, quality: Quality) -> None:
        """Remember a picture that is known to be good, without judging it."""
        self._count(picture.fingerprint, quality.limits.stuck_count)
        key = key_of(picture, profile, sun_elevation_deg)
        self._baseline.learn(picture, key, quality.limits.history_frames)

    def save(self) -> None:
        """Write what was learnt since the last time.  Raises DiskError."""
        if self._path is None or not self._unsaved:
            return
        # first: a full disk is tried again after the next twenty, not with every frame
        self._unsaved = 0
        replace_atomic(self._path, self._baseline.dump())

    def _judge(
        self, jpeg: bytes, checked: Checked, light: tuple[str, float | None], quality: Quality, luma: bytes
    ) -> Assessed:
        profile, sun_elevation_deg = light
        limits = quality.limits
        picture = measure(jpeg, checked, luma)
        key = key_of(picture, profile, sun_elevation_deg)
        evidence = Evidence(
            measures=picture.measures,
            norm=self._baseline.compare(picture, key),
            limits=limits,
            day=is_day(sun_elevation_deg, limits),
            repeats=self._count(picture.fingerprint, limits.stuck_count),
        )
        judgement = judge(evidence)
        self._settle_in(key, judgement, limits.history_frames)
        measures = _measures_of(evidence)
        return self._said(checked, judgement, measures, picture=picture, key=key, remembered=limits.history_frames)

    def _count(self, fingerprint: bytes, stuck_count: int) -> int:
        """How many of the last `stuck_count` + 1 pictures are this one; one in between may differ."""
        self._seen.append(fingerprint)
        return list(self._seen)[-stuck_count - 1 :].count(fingerprint)

    def _settle_in(self, key: str, judgement: Judgement, after: int) -> None:
        """Some changes that stay are no fault: after as many frames as a baseline remembers it begins again.

        A camera may have been turned for good; and where the sun's place is not known, day or night may have come at
        once.
        """
        codes = {reason.code for reason in judgement.reasons}
        may_stay = MAY_STAY if light_of(key) == UNKNOWN_LIGHT else MAY_STAY_BY_SUN
        staying = judgement.verdict is Verdict.BAD and codes <= may_stay
        self._staying[key] = self._staying.get(key, 0) + 1 if staying else 0
        if self._staying[key] >= after:
            self._baseline.forget(key)

    def _said(
        self,
        checked: Checked,
        judgement: Judgement,
        measures: Mapping[str, float] | None = None,
        **learnable: Any,  # noqa: ANN401 the fields of Assessed that only a judged picture has
    ) -> Assessed:
        errors, self._unsaid = tuple(self._unsaid), []
        return Assessed(
            checked.integrity,
            checked.width,
            checked.height,
            judgement,
            measures or {},
            errors,
            checked.pixels,
            **learnable,
        )

    def _load(self) -> Baseline:
        """The baseline of the last run; a cold one, and word of it, where the file is damaged."""
        if self._path is None or not self._path.exists():
            return Baseline()
        try:
            if self._path.stat().st_size > LARGEST_FILE:
                message = f"over {LARGEST_FILE} bytes"
                raise ValueError(message)  # noqa: TRY301 one place says what it means
            return restore(self._path.read_bytes())
        except (OSError, ValueError) as error:
            self._unsaid.append(BaselineDamaged(f"{self._path.name}: {error}"))
            return Baseline()

    def _try_to_save(self) -> None:
        try:
            self.save()
        except DiskError as error:
            self._unsaid.append(error)


def _measures_of(evidence: Evidence) -> dict[str, float]:
    """What was measured, flat and rounded, with the deviations from the usual where that is known."""
    values = asdict(evidence.measures) | {"repeats": evidence.repeats}
    norm = evidence.norm
    if norm is not None:
        values |= {"sharpness": norm.sharpness, "shift": norm.shift, "match": norm.match, "own_match": norm.own_match}
    return {name: round(value, 4) for name, value in values.items()}
