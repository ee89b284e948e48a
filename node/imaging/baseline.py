"""What is usual for one camera: per profile, light and picture size, the maps and measures of its last good frames."""

from __future__ import annotations

import hashlib
import io
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.domain.quality import Measures, Norm
from node.imaging.measure import MAP_COLUMNS, MAP_ROWS, Map, Picture

MAX_BANDS = 32  # the least recently learnt goes first; about 30 KB each on disk
MAX_REMEMBERED = 500  # the schema's most
RECENT = 5  # frames
LIGHTS = ((10.0, "high"), (-4.0, "low"), (-12.0, "dusk"), (-90.0, "night"))
UNKNOWN_LIGHT = "any"
EVERY_LIGHT = (*(name for _, name in LIGHTS), UNKNOWN_LIGHT)

STRONGEST = 0.25  # share of the picture, by contrast, in which sharpness is compared
VISIBLE_EDGES = 9.0  # energy below which those are noise and JPEG's steps, and sharpness cannot be told
LIKE_OWN = 0.85  # of the usual match: less, and a shift is looked for
SURE_SHIFT, SHIFT_GAIN = 0.45, 0.15  # match that a shifted framing must reach, and gain over the framing as it is
LEAST_OVERLAP = 0.3  # share of the picture
LOW_QUANTILE = 0.1

_FORMAT, _DIGEST_BYTES = 1, 32
_COLUMNS = ("mean", "contrast", "tint", "warmth", "filled", "match")
_MAPS = ("detail", "edges", "light")
_MATCH = _COLUMNS.index("match")


def light(sun_elevation_deg: float | None) -> str:
    """The band of light that a picture belongs to."""
    if sun_elevation_deg is None:
        return UNKNOWN_LIGHT
    return next((name for least, name in LIGHTS if sun_elevation_deg >= least), LIGHTS[-1][1])


def key_of(picture: Picture, profile: str, sun_elevation_deg: float | None) -> str:
    """Pictures under one key are compared with each other."""
    return f"{profile}/{light(sun_elevation_deg)}/{picture.width}x{picture.height}"


def light_of(key: str) -> str:
    """The band of light in a key."""
    return key.split("/")[-2]


@dataclass(slots=True)
class _Band:
    """Under one key: `rows` of measures, oldest first, and mean maps (3 x 48 x 64)."""

    rows: NDArray[np.float32]
    maps: NDArray[np.float32]

    def learn(self, picture: Picture, match: float, remembered: int) -> None:
        row = np.array([[*_row(picture.measures), match]], dtype=np.float32)
        self.rows = np.concatenate([self.rows, row])[-min(remembered, MAX_REMEMBERED) :]
        weight = np.float32(1 / len(self.rows))
        self.maps += (_stack(picture) - self.maps) * weight

    def column(self, name: str) -> NDArray[np.float32]:
        return self.rows[:, _COLUMNS.index(name)]


class Baseline:
    """One camera's.  Not thread-safe: the camera's loop owns it."""

    def __init__(self) -> None:
        self._bands: OrderedDict[str, _Band] = OrderedDict()

    def frames(self, key: str) -> int:
        band = self._bands.get(key)
        return 0 if band is None else len(band.rows)

    def sizes(self) -> dict[str, int]:
        """How many frames are remembered under each key."""
        return {key: len(band.rows) for key, band in self._bands.items()}

    def compare(self, picture: Picture, key: str) -> Norm | None:
        """How the picture stands against what is usual; None where nothing is known yet."""
        band = self._bands.get(key)
        if band is None:
            return None
        detail, edges, _ = band.maps
        now, usual = _pattern(picture.edges), _pattern(edges)
        match, shift = _match(now, usual), 0.0
        own_match = float(np.quantile(band.rows[:, _MATCH], LOW_QUANTILE))
        if match < LIKE_OWN * own_match:
            match, shift = _best_place(now, usual, match)
        return Norm(
            frames=len(band.rows),
            sharpness=_sharpness(picture, detail, edges),
            tint=_range(band.column("tint")),
            warmth=_range(band.column("warmth")),
            filled=float(band.column("filled").max()),
            contrast=float(np.median(band.column("contrast"))),
            recent_low=float(band.column("mean")[-RECENT:].min()),
            shift=shift,
            match=match,
            own_match=own_match,
        )

    def learn(self, picture: Picture, key: str, remembered: int) -> None:
        """Take a good picture in; the band remembers about the last `remembered`."""
        band = self._bands.get(key)
        if band is None:
            band = self._bands[key] = _Band(np.empty((0, len(_COLUMNS)), np.float32), _stack(picture))
            match = 0.0  # the first one shows nothing of how alike frames are here
        else:
            match = _match(_pattern(picture.edges), _pattern(band.maps[1]))
        band.learn(picture, match, remembered)
        self._bands.move_to_end(key)
        while len(self._bands) > MAX_BANDS:
            self._bands.popitem(last=False)

    def forget(self, key: str) -> None:
        """Begin again under this key."""
        self._bands.pop(key, None)

    def dump(self) -> bytes:
        """The whole baseline as bytes: their SHA-256, then a .npz archive."""
        head = json.dumps({"format": _FORMAT, "columns": _COLUMNS, "keys": list(self._bands)}).encode()
        arrays: dict[str, NDArray[Any]] = {"head": np.frombuffer(head, np.uint8)}
        for number, band in enumerate(self._bands.values()):
            arrays |= {f"rows{number}": band.rows, f"maps{number}": band.maps}
        out = io.BytesIO()
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type] # numpy's stub takes the names for its own flag
        archive = out.getvalue()
        return hashlib.sha256(archive).digest() + archive


def restore(data: bytes) -> Baseline:
    """A baseline from what `dump` gave.  Raises ValueError where it is damaged or of another form."""
    archive = data[_DIGEST_BYTES:]
    if hashlib.sha256(archive).digest() != data[:_DIGEST_BYTES]:
        message = "its checksum is wrong"
        raise ValueError(message)
    try:
        return _restore(archive)
    except (KeyError, TypeError, OSError) as error:
        message = f"not of this form: {error}"
        raise ValueError(message) from error


def _restore(data: bytes) -> Baseline:
    baseline = Baseline()
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        head = json.loads(archive["head"].tobytes())
        if head["format"] != _FORMAT or tuple(head["columns"]) != _COLUMNS:
            message = f"form {head['format']}, columns {head['columns']}"
            raise ValueError(message)
        for number, key in enumerate(head["keys"][:MAX_BANDS]):
            band = _Band(archive[f"rows{number}"], archive[f"maps{number}"])
            _require_sound(band)
            baseline._bands[str(key)] = band  # noqa: SLF001 the same module, the same class
    return baseline


def _require_sound(band: _Band) -> None:
    shapes = 0 < len(band.rows) <= MAX_REMEMBERED and band.rows.shape[1:] == (len(_COLUMNS),)
    maps = band.maps.shape == (len(_MAPS), MAP_ROWS, MAP_COLUMNS)
    kinds = band.rows.dtype == band.maps.dtype == np.float32
    if not (shapes and maps and kinds and np.isfinite(band.rows).all() and np.isfinite(band.maps).all()):
        message = "its numbers are not those of a baseline"
        raise ValueError(message)


def _row(measures: Measures) -> tuple[float, ...]:
    return tuple(getattr(measures, name) for name in _COLUMNS[:_MATCH])


def _stack(picture: Picture) -> NDArray[np.float32]:
    return np.stack([picture.detail, picture.edges, picture.light])


def _range(values: NDArray[np.float32]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _pattern(edges: Map) -> Map:
    """Contrast on a scale on which fog, dusk and exposure only shift it."""
    pattern: Map = np.log1p(np.sqrt(edges))
    pattern -= pattern.mean()
    return pattern


def _match(one: Map, other: Map) -> float:
    """Correlation of two patterns of mean 0, -1..1; 0 where one of them is flat."""
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / size if size > 0 else 0.0


def _sharpness(picture: Picture, detail: Map, edges: Map) -> float:
    """Fine against coarse contrast as a share of the usual, in the parts with most edges now and before."""
    shared = np.minimum(picture.edges / max(float(picture.edges.mean()), 1e-6), edges / max(float(edges.mean()), 1e-6))
    place = int((1 - STRONGEST) * shared.size)
    chosen = shared >= np.partition(shared, place, axis=None)[place]
    now_edges, usual_edges = float(picture.edges[chosen].mean()), float(edges[chosen].mean())
    usual_detail = float(detail[chosen].mean())
    if now_edges < VISIBLE_EDGES or usual_edges < VISIBLE_EDGES or usual_detail <= 0:
        return 1.0
    now_detail = float(picture.detail[chosen].mean())
    return float(np.sqrt(now_detail * usual_edges / (now_edges * usual_detail)))


def _best_place(now: Map, usual: Map, match: float) -> tuple[float, float]:
    """The best match of one pattern over the other at any displacement, and that as a share of the width.

    A displacement is 0 where it is not sure.  Normalised over the overlap (D. Padfield, Masked object registration in
    the Fourier domain, IEEE TIP 2012).
    """
    scores = _overlap_scores(now, usual)
    down, across = np.unravel_index(int(scores.argmax()), scores.shape)
    best = float(scores[down, across])
    if best < SURE_SHIFT or best < match + SHIFT_GAIN:
        return max(best, match), 0.0
    rows, columns = (_signed(int(at), size) for at, size in zip((down, across), scores.shape, strict=True))
    # a block is as high as it is wide only in a picture of 4:3; near enough for a share
    return best, float(np.hypot(rows, columns)) / MAP_COLUMNS


def _overlap_scores(now: Map, usual: Map) -> NDArray[np.float64]:
    size = (2 * MAP_ROWS, 2 * MAP_COLUMNS)
    whole = np.fft.rfft2(np.ones_like(now), size)
    one, other = np.fft.rfft2(now, size), np.fft.rfft2(usual, size)
    one_squared, other_squared = np.fft.rfft2(now * now, size), np.fft.rfft2(usual * usual, size)

    def correlate(left: NDArray[np.complexfloating], right: NDArray[np.complexfloating]) -> NDArray[np.float64]:
        return np.asarray(np.fft.irfft2(left * right.conj(), size), np.float64)

    overlap = np.maximum(correlate(whole, whole), 1.0)
    one_sum, other_sum = correlate(one, whole), correlate(whole, other)
    one_spread = correlate(one_squared, whole) - one_sum**2 / overlap
    other_spread = correlate(whole, other_squared) - other_sum**2 / overlap
    spread = np.sqrt(np.maximum(one_spread, 0) * np.maximum(other_spread, 0))
    scores = (correlate(one, other) - one_sum * other_sum / overlap) / np.maximum(spread, 1e-3 * now.size)
    return np.where(overlap >= LEAST_OVERLAP * now.size, scores, -1.0)


def _signed(at: int, size: int) -> int:
    return at if at <= size // 2 else at - size
