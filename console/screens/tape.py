"""Recordings: made of a live fleet, opened above it, and gone through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from console.fleet.copying import homely
from console.fleet.record import Replay
from console.fleet.state import Book
from console.screens.base import Handler, View
from console.screens.chooser import Choice, Chooser
from console.screens.inspect import Inspect
from node.wire.errors import HeliographError, RecordingUnusable
from node.wire.times import US, to_text

STEP = re.compile(r"(?P<way>[+-])(?P<count>\d{1,6})(?P<unit>[smhd]?)")
UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
TIME_FORMS = ("%H:%M", "%H:%M:%S")
ONLY_THERE = "there is no recording open; :replay opens one"
EXAMPLE = ":at 03:58, :at 2026-11-20T03:58:00, :at +10m, :at -30s"


def tape_handlers(view: View) -> Mapping[str, Handler]:
    return {
        "record": lambda ask: _record(view, ask.words),
        "replay": lambda ask: _replay(view, ask.words),
        "at": lambda ask: _at(view, ask.words),
        "speed": lambda ask: _speed(view, ask.words),
    }


def turn(view: View, tape: Replay) -> None:
    """Holds it, or lets it go on."""
    (tape.resume if tape.paused else tape.pause)()
    view.reply("the recording is held; p lets it go on" if tape.paused else "the recording goes on")
    view.paint()


def _record(view: View, words: str) -> None:
    desk = view.desk
    if desk.book is None:
        view.reply("a recording is not recorded again")
        return
    if desk.recorder is not None:
        why = desk.recorder.stopped
        path = desk.end_recording()
        view.reply(f"recorded: {homely(path)}{f' ({why})' if why else ''}" if path is not None else "")
        return
    try:
        path = desk.begin_recording(Path(words).expanduser() if words else None)
    except (RecordingUnusable, RuntimeError, ValueError) as error:
        _refused(view, error)
    else:
        view.reply(f"recording to {homely(path)}; :record ends it")


def _replay(view: View, words: str) -> None:
    if words:
        _open(view, Path(words))
        return
    book = view.desk.book
    if book is None:
        view.reply("this is a recording; Esc closes it")
        return
    view.choose(
        Chooser("recordings", _choices(book), empty="no recordings yet; :record makes one"),
        lambda one: _open(view, Path(one.id)),
    )


def _choices(book: Book) -> list[Choice]:
    return [Choice(str(path), path.stem, _size(path)) for path in book.recordings()]


def _size(path: Path) -> str:
    with suppress(OSError):
        return f"{path.stat().st_size / 1e6:.1f} MB"
    return "gone"


def _open(view: View, path: Path) -> None:
    try:
        view.desktop.replay(path.expanduser())
    except (RecordingUnusable, RuntimeError, ValueError) as error:
        _refused(view, error)


def _refused(view: View, error: Exception) -> None:
    """With its code, what it is, and what helps."""
    if isinstance(error, HeliographError):
        view.app.push_screen(Inspect(error.code, "\n".join(error.lines())))
    else:  # ~nobody, or a NUL in a path
        view.reply(str(error))


def _at(view: View, words: str) -> None:
    tape = view.desk.source
    if not isinstance(tape, Replay):
        view.reply(ONLY_THERE)
        return
    at_us = instant(words, tape)
    if at_us is None:
        view.reply(f"{words[:40] or 'nothing'} is no time; {EXAMPLE}")
        return
    tape.seek(at_us)
    view.reply(f"at {to_text(min(max(at_us, tape.begin_us), tape.end_us))[:19]}Z")


def instant(words: str, tape: Replay) -> int | None:
    """The time that words mean: of day (UTC, on a day of the recording), whole, or so far from where it stands."""
    step = STEP.fullmatch(words)
    if step is not None:
        by_us = int(step["count"]) * UNIT_S[step["unit"]] * US
        return tape.now_us + (by_us if step["way"] == "+" else -by_us)
    of_day = _of_day(words.removesuffix("Z"), tape)
    if of_day is not None:
        return of_day
    with suppress(ValueError):
        found = datetime.fromisoformat(words)
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * US)
    return None


def _of_day(words: str, tape: Replay) -> int | None:
    """On the day where it stands; on the one before or after where only there the recording has it."""
    for form in TIME_FORMS:
        with suppress(ValueError):
            time = datetime.strptime(words, form).time()  # noqa: DTZ007 - a time of day; the day follows
            day = datetime.fromtimestamp(tape.now_us / US, UTC)
            days = [datetime.combine((day + timedelta(days=by)).date(), time, UTC) for by in (0, -1, 1)]
            found = [round(one.timestamp() * US) for one in days]
            return next((one for one in found if tape.begin_us <= one <= tape.end_us), found[0])
    return None


def _speed(view: View, words: str) -> None:
    tape = view.desk.source
    if not isinstance(tape, Replay):
        view.reply(ONLY_THERE)
        return
    try:
        tape.speed = _factor(words)
    except ValueError:
        view.reply(f"{words[:40] or 'nothing'} is no speed; :speed 10 plays ten seconds in one")
    else:
        view.reply(f"speed {tape.speed:g}x")


def _factor(words: str) -> float:
    """Raises ValueError."""
    factor = float(words.removesuffix("x"))
    if not factor > 0:  # NaN too
        raise ValueError
    return factor
