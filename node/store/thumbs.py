"""Where thumbnails lie: `thumbs/<camera>/<site date>/<frame id>_<width>.jpg`; and which frames want them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from node.domain.frame import Frame
from node.store.files import day_of
from node.store.query import select
from node.store.session import Session

THUMBS = "thumbs"
"""Their folder in the data directory."""


@dataclass(frozen=True, slots=True)
class Size:
    """A thumbnail fits within it, in pixels, keeping its shape; `quality` is that of its JPEG."""

    width: int
    height: int
    quality: int


SIZES = (Size(200, 150, 70), Size(800, 600, 80))


@dataclass(frozen=True, slots=True)
class Wanting:
    """A frame that may have thumbnails; `path` is that of its file, relative to the data directory."""

    seq: int
    frame_id: str
    camera: str
    path: str


def path_of(data: Path, frame: Frame | Wanting, size: Size) -> Path:
    """Whether it is there or not."""
    identity = frame.frame_id if isinstance(frame, Wanting) else frame.id
    return data / THUMBS / frame.camera / day_of(frame.path) / f"{identity}_{size.width}.jpg"


def thumb_path(data: Path, frame: Frame, width: int) -> Path | None:
    """The smallest thumbnail that is there of those made for pictures at least so wide; None = make one."""
    paths = (path_of(data, frame, size) for size in SIZES if size.width >= width)
    return next((path for path in paths if path.is_file()), None)


# --- which frames ---------------------------------------------------------------------------------------------------

# quarantined ones show nothing; of those reclaimed there is nothing left to make one from
_WANTING = (
    "frames NOT INDEXED LEFT JOIN frames_gone ON frame_id = id WHERE seq > ? AND camera = ? AND quarantined = 0"
    " AND frame_id IS NULL"
)


def wanting(session: Session, camera: str, after_seq: int, limit: int) -> list[Wanting]:
    """The camera's next frames in the order in which their rows were written."""
    sql = select("seq, id, camera, path", f"{_WANTING} ORDER BY seq LIMIT ?")
    return [Wanting(*row) for row in session.rows(sql, (after_seq, camera, limit))]


def newest_wanting(session: Session, camera: str) -> list[Wanting]:
    """The camera's newest frame, where it has one."""
    sql = "frames LEFT JOIN frames_gone ON frame_id = frames.id WHERE camera = ? AND quarantined = 0"
    text = select("seq, id, camera, path", f"{sql} AND frame_id IS NULL ORDER BY id DESC LIMIT 1")
    return [Wanting(*row) for row in session.rows(text, (camera,))]


def count_wanting(session: Session, camera: str) -> int:
    """How many of the camera's frames may have thumbnails."""
    row = session.one(select("COUNT(*)", _WANTING), (0, camera))
    return row[0] if row else 0


def any_beyond(session: Session, camera: str, after_seq: int, up_to_seq: int) -> bool:
    """Whether the camera has a frame among those rows."""
    sql = "SELECT 1 FROM frames NOT INDEXED WHERE seq > ? AND seq <= ? AND camera = ? AND quarantined = 0 LIMIT 1"
    return session.one(sql, (after_seq, up_to_seq, camera)) is not None
