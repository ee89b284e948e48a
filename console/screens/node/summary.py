"""What is said of a node on its first page: blocks of lines, and the same in few lines for small terminals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from console.columns.frames import bytes_text
from console.columns.table import Cell, Manner
from console.fleet.asking import Asked
from console.fleet.lines import told as event_words
from console.fleet.text import ago, clean
from console.fleet.times import Times, shown, to_us
from console.fleet.view import LOOKS, OLD_WORDS, Happening, NodeView, Word, cause, disk_used_pct
from console.widgets.lines import Line
from console.widgets.paint import fitted, flowed
from console.widgets.pane import LABEL, Framing, after, faded, length, note, pairs, told
from node.wire.records import DeepHealth, ProbeRecord
from node.wire.status import Alert, CameraStatus, NodeStatus, TargetStatus
from node.wire.times import US
from node.wire.work_records import QueueRecord

CAMERA_WORDS: Mapping[str, Word] = {
    "ok": Word.OK, "idle": Word.IDLE, "disabled": Word.IDLE, "warming": Word.WAITING,
    "recovering": Word.WARN, "offline": Word.CRIT,
}  # fmt: skip
PROBE_WORDS: Mapping[str, Word] = {"ok": Word.OK, "warn": Word.WARN, "crit": Word.CRIT, "unknown": Word.STALE}
LEVELS = {"ok": "plain", "warn": "warn", "crit": "crit"}
EVENT_STYLES = {"error": "crit", "warning": "warn"}
WHEN = {Times.AGO: 4, Times.UTC: 12, Times.SITE: 12}
"""Cells of a time."""
BAR_CELLS = 8
DAY_S = 86400
DUE_S = 5.0
LEAST_CAUSE = 24
"""Cells of a cause that still says something."""
DIGEST_CHARS = 6
MOST_ROWS = 40
"""Of one kind, whatever a node sends."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a node now."""

    view: NodeView
    word: Word
    now_s: float
    now_us: int
    queue: Asked[QueueRecord]
    health: Asked[DeepHealth]
    nobody: str
    acked: frozenset[str]
    events: tuple[Happening, ...]

    @property
    def old(self) -> bool:
        return self.word in OLD_WORDS


@dataclass(frozen=True, slots=True)
class Block:
    """A title and what stands under it."""

    title: str
    lines: list[Line]


def sign(word: Word, manner: Manner) -> str:
    look = LOOKS[word]
    return look.ascii if manner.ascii else look.glyph


# --- the header -------------------------------------------------------------------------------------------------------


def identity(facts: Facts, manner: Manner, width: int) -> Line:
    """Site, version, configuration, uptime; at the right state, cause and age: as much of it as fits."""
    forms = list(_identities(facts, manner, width))
    fitting = (form for form in forms if length(form.left) + 2 + length(form.right) <= width)
    return next(fitting, forms[-1])


def _identities(facts: Facts, manner: Manner, width: int) -> Iterator[Line]:
    """A cause that is too long is cut before more of the rest goes: the alerts below say it whole."""
    dot = " | " if manner.ascii else " · "
    about = _about(facts)
    state = Cell(f"{sign(facts.word, manner)} {facts.word}", facts.word)
    why = clean(cause(facts.view, facts.word, facts.now_s))
    age = Cell("   never heard" if facts.view.heard_s is None else f"   age {ago(facts.view.silence_s(facts.now_s))}")
    for count in range(len(about), -1, -1):
        left = (Cell(" " + dot.join(about[:count])),)
        yield Line(left, (state, Cell(f"  {why}" if why else ""), age))
        room = width - length((*left, state, age)) - 4
        if room >= LEAST_CAUSE:
            yield Line(left, (state, Cell(f"  {fitted(why, room, cut=manner.cut)}"), age))
    yield Line((), (state, age))


def _about(facts: Facts) -> list[str]:
    status = facts.view.status
    if status is None:
        return [facts.view.host.url]
    config = status.config
    probation = {"probation": " on probation", "provisional": " provisional"}.get(config.state, "")
    digest = f"cfg {clean(config.digest[:DIGEST_CHARS])}{probation}"
    return [clean(status.site) or "no site", clean(status.version)[:20], digest, f"up {ago(status.uptime_s)}"]


# --- the blocks -------------------------------------------------------------------------------------------------------


def capture_blocks(facts: Facts, status: NodeStatus, framing: Framing) -> list[Block]:
    """One for each camera."""
    several = len(status.cameras) > 1
    blocks = [
        Block(f"capture {clean(camera.name)}" if several else "capture", _aged(facts, _capture(camera, facts, framing)))
        for camera in status.cameras[:MOST_ROWS]
    ]
    return blocks or [Block("capture", [Line((Cell("it has no camera", "warn"),))])]


def _capture(camera: CameraStatus, facts: Facts, framing: Framing) -> list[Line]:
    manner = framing.manner
    quality = f"{score(camera.quality, manner)}  {manner.spark(camera.quality_24h)}"
    return [
        *pairs("state", _camera_state(camera, manner), framing, CAMERA_WORDS[camera.state]),
        *(pairs("held", _held(camera, facts), framing, "warn") if camera.held is not None else ()),
        *pairs("next", _next(camera, facts), framing),
        *(pairs("interval", ago(camera.interval_s), framing) if camera.interval_s else ()),
        *pairs("today", today(camera), framing, "warn" if camera.gaps else "plain"),
        *pairs("last good", _last_good(camera, facts), framing),
        *pairs("quality", quality, framing, "spark"),
    ]


def _camera_state(camera: CameraStatus, manner: Manner) -> str:
    rung = f", {clean(camera.recovery_rung)}, attempt {camera.recovery_attempt}" if camera.recovery_rung else ""
    fault = f", {clean(camera.error_code)}" if camera.error_code else ""
    return f"{sign(CAMERA_WORDS[camera.state], manner)} {camera.state}{rung}{fault}"


def _next(camera: CameraStatus, facts: Facts) -> str:
    if camera.next_slot is None:
        return "nothing is due"
    return f"{_utc(camera.next_slot, facts)} {_until(camera.next_slot, facts)}"


def _until(at: str, facts: Facts) -> str:
    at_us = to_us(at)
    left_s = 0.0 if at_us is None else (at_us - facts.now_us) / US
    return f"in {ago(left_s)}" if left_s >= 0 else f"due {ago(-left_s)} ago" if left_s < -DUE_S else "due now"


def _utc(at: str | None, facts: Facts) -> str:
    return shown(at, Times.UTC, facts.now_us)


def today(camera: CameraStatus) -> str:
    """Captured of those due, and what is missing."""
    gaps = f", {camera.gaps} gap{'s' if camera.gaps != 1 else ''}" if camera.gaps else ""
    reason = f" ({clean(camera.last_gap_reason)})" if camera.gaps and camera.last_gap_reason else ""
    return f"{camera.captured} of {camera.due}{gaps}{reason}"


def _last_good(camera: CameraStatus, facts: Facts) -> str:
    if camera.last_good is None or camera.last_good_age_s is None:
        return "none yet"
    return f"{_utc(camera.last_good, facts)} {ago(camera.last_good_age_s + facts.view.silence_s(facts.now_s))} ago"


def _held(camera: CameraStatus, facts: Facts) -> str:
    until = f"until {_utc(camera.held_until, facts)}" if camera.held_until else "until it is resumed"
    return f"since {_utc(camera.held, facts)}, {until}"


def score(value: int | None, manner: Manner) -> str:
    return manner.unknown if value is None else str(value)


def queue_block(facts: Facts, status: NodeStatus, framing: Framing) -> Block:
    queue = status.queue
    if queue is None:
        return Block("queue", [Line((Cell("not told yet, or an older release", "dim"),))])
    oldest = f"   oldest {ago(queue.oldest_s)}" if queue.oldest_s is not None else ""
    stuck, shown_at = f"   {queue.stuck} stuck" if queue.stuck else "", "   key 2 shows them" if queue.dead else ""
    lines = [
        *pairs("due", f"{queue.due}{oldest}", framing),
        *pairs("running", f"{queue.running}{stuck}", framing, "warn" if queue.stuck else "plain"),
        *pairs("dead", f"{queue.dead}{shown_at}", framing, "crit" if queue.dead else "plain"),
    ]
    return Block("queue", [*_aged(facts, lines), *_asked_queue(facts, framing)])


def _asked_queue(facts: Facts, framing: Framing) -> list[Line]:
    if facts.nobody:
        return []
    return told(facts.queue, lambda queue: _queue_lines(queue, framing), "nothing was done in the last hour", framing)


def _queue_lines(queue: QueueRecord, framing: Framing) -> list[Line]:
    done = sum(queue.done_last_hour.values())
    kinds = ", ".join(f"{count} {clean(kind)[:20]}" for kind, count in list(queue.done_last_hour.items())[:4])
    lines = pairs("done/h", f"{done}" + (f"   {kinds}" if kinds else ""), framing)
    if queue.held:
        lines += pairs("waits for", clean(", ".join(queue.held[:8])), framing, "warn")
    if queue.silent:
        lines += pairs("silent", clean(", ".join(queue.silent[:8])), framing, "crit")
    return lines


def disk_block(facts: Facts, status: NodeStatus, framing: Framing) -> Block:
    lines = [*_disk(status, framing), *_runway(status, framing), *_archive(status, framing)]
    return Block("disk and archive", _aged(facts, lines))


def _disk(status: NodeStatus, framing: Framing) -> list[Line]:
    disk, used = status.disk, disk_used_pct(status)
    if disk is None or used is None:
        return pairs("disk", "not known yet", framing, "dim")
    level = "" if disk.level == "ok" else f"{sign(Word(disk.level), framing.manner)} "
    step = f"  step: {clean(disk.step)}" if disk.step not in {"", "ok"} else ""
    return pairs("disk", f"{level}{gauge(used, framing.manner)}{step}", framing, LEVELS[disk.level])


def gauge(used: float, manner: Manner) -> str:
    return f"{manner.bar(used, BAR_CELLS)} {max(0, min(100, int(used)))}%"


def _runway(status: NodeStatus, framing: Framing) -> list[Line]:
    disk = status.disk
    if disk is None:
        return []
    runway = "" if disk.full_in_days is None else f", full in {ago(disk.full_in_days * DAY_S)}"
    return pairs("free", f"{bytes_text(disk.free_bytes)}{runway}", framing)


def _archive(status: NodeStatus, framing: Framing) -> list[Line]:
    if not status.archive:
        return pairs("archive", "no target", framing, "dim")
    lines: list[Line] = []
    for target in status.archive[:MOST_ROWS]:
        word = Word.OK if target.breaker == "closed" else Word.WARN
        lines += pairs("" if lines else "archive", _target(target, sign(word, framing.manner)), framing, word)
    return lines


def _target(target: TargetStatus, glyph: str) -> str:
    backlog = f"{target.unsent} unsent, {bytes_text(target.unsent_bytes)}" if target.unsent else "all sent"
    oldest = f", oldest {ago(target.oldest_s)}" if target.oldest_s is not None and target.unsent else ""
    breaker = "" if target.breaker == "closed" else f", breaker {target.breaker.replace('_', '-')}"
    code = f", {clean(target.error_code)}" if target.error_code else ""
    return f"{glyph} {clean(target.name)[:20]}: {backlog}{oldest}{breaker}{code}"


def probes_block(facts: Facts, framing: Framing) -> Block:
    if facts.nobody:
        return Block("probes", [Line((Cell(facts.nobody, "dim"),))])
    lines = told(facts.health, lambda health: probe_lines(health, framing), "it has no probes", framing)
    return Block("probes", lines)


def probe_lines(health: DeepHealth, framing: Framing) -> list[Line]:
    """As many beside each other as there is room for; what is not well says why, below."""
    probes = health.probes[:MOST_ROWS]
    cells = [Cell(_probe(probe, framing.manner), PROBE_WORDS[probe.state]) for probe in probes]
    wide = max((len(cell.text) for cell in cells), default=0) + 2
    a_line = max(1, framing.width // wide)
    rows = [cells[at : at + a_line] for at in range(0, len(cells), a_line)]
    lines = [Line(tuple(Cell(cell.text.ljust(wide), cell.style) for cell in row)) for row in rows]
    return lines + [line for probe in probes if probe.state in {"warn", "crit"} for line in _complaint(probe, framing)]


def _probe(probe: ProbeRecord, manner: Manner) -> str:
    age = f" {ago(probe.age_s)}" if probe.age_s is not None else ""
    return f"{sign(PROBE_WORDS[probe.state], manner)} {clean(probe.name)[:24]}{age}"


def _complaint(probe: ProbeRecord, framing: Framing) -> list[Line]:
    word = PROBE_WORDS[probe.state]
    head = Cell(f"{sign(word, framing.manner)} {clean(probe.name)[:24]}: ", word)
    return after(head, clean(probe.sentence), framing, word)


def alerts_block(facts: Facts, status: NodeStatus, framing: Framing) -> Block:
    lines = [line for alert in status.alerts[:MOST_ROWS] for line in _alert(alert, facts, framing)]
    more = status.alerts_total - len(status.alerts)
    if more > 0:
        lines.append(Line((Cell(f"and {more} more", "warn"),)))
    return Block("alerts", _aged(facts, lines) or [Line((Cell("none", "dim"),))])


def _alert(alert: Alert, facts: Facts, framing: Framing) -> list[Line]:
    manner = framing.manner
    acked = " (acknowledged)" if alert_key(facts, alert) in facts.acked else ""
    words = f"{sign(Word(alert.severity), manner)} {clean(alert.code)} {clean(alert.subject)}: {clean(alert.sentence)}"
    return after(_when(alert.since, manner), words + acked, framing, "dim" if acked else alert.severity)


def _when(at: str, manner: Manner) -> Cell:
    return Cell(f"{manner.time(at) or manner.unknown:>{WHEN[manner.times]}}  ", "dim")


def alert_key(facts: Facts, alert: Alert) -> str:
    return f"{facts.view.host.name}/{alert.code}/{alert.subject}"


def events_block(facts: Facts, framing: Framing) -> Block:
    lines = [line for one in reversed(facts.events) for line in _event(one, framing)]
    return Block("events", lines or note("none since this console began to listen", framing))


def _event(one: Happening, framing: Framing) -> list[Line]:
    style = EVENT_STYLES.get(one.event.level, "plain")
    return after(_when(one.event.at, framing.manner), event_words(one.event), framing, style)


def _aged(facts: Facts, lines: Iterable[Line]) -> list[Line]:
    """What an old status said is dim, and says so by a question mark."""
    return [_doubted(line) for line in lines] if facts.old else list(lines)


def _doubted(line: Line) -> Line:
    *cells, last = faded(line).left
    return Line((*cells, Cell(f"{last.text}?", "dim")))


# --- the same in few lines --------------------------------------------------------------------------------------------


def dense(facts: Facts, status: NodeStatus, framing: Framing) -> list[Line]:
    """For 80 by 24: a line or two for each thing."""
    several = len(status.cameras) > 1
    said: list[Line] = []
    for camera in status.cameras[:MOST_ROWS]:
        said += _dense_camera(camera, facts, framing, clean(camera.name) if several else "capture")
    said += _dense_queue(facts, status, framing)
    said += [*_disk(status, framing), *_runway(status, framing), *_archive(status, framing)]
    lines = _aged(facts, said)
    lines += _titled("probes", probes_block(facts, _indented(framing)).lines)
    lines += _titled("alerts", alerts_block(facts, status, _indented(framing)).lines)
    return lines + _titled("events", events_block(facts, _indented(framing)).lines)


def _indented(framing: Framing) -> Framing:
    return replace(framing, width=framing.width - 2)


def _titled(title: str, lines: list[Line]) -> list[Line]:
    return [Line((Cell(title, "title"),)), *(Line((Cell("  "), *line.left)) for line in lines)]


def _dense_camera(camera: CameraStatus, facts: Facts, framing: Framing, name: str) -> list[Line]:
    manner = framing.manner
    following = f"   next {_next(camera, facts)}" if camera.next_slot else ""
    quality = f"   q {score(camera.quality, manner)} {manner.spark(camera.quality_24h)}"
    state, style = _camera_state(camera, manner), CAMERA_WORDS[camera.state]
    return [
        *pairs(name[:9], state + following, framing, style),
        *pairs("", f"today {today(camera)}", framing, "warn" if camera.gaps else "plain"),
        *pairs("", f"last good {_last_good(camera, facts)}{quality}", framing),
        *(pairs("", f"held {_held(camera, facts)}", framing, "warn") if camera.held is not None else ()),
    ]


def _dense_queue(facts: Facts, status: NodeStatus, framing: Framing) -> list[Line]:
    queue = status.queue
    if queue is None:
        return pairs("queue", "not told", framing, "dim")
    done = facts.queue.value
    hour = f"   done/h {sum(done.done_last_hour.values())}" if done is not None else ""
    oldest = f"   oldest {ago(queue.oldest_s)}" if queue.oldest_s is not None else ""
    dead = Cell(f"{queue.dead} dead", "crit" if queue.dead else "plain")
    said = (Cell(f"{queue.due} due   {queue.running} running   "), dead, Cell(oldest + hour))
    return _styled("queue", said, framing)


def _styled(label: str, cells: Iterable[Cell], framing: Framing) -> list[Line]:
    """A word and what it is, each part in its own style."""
    head = Cell(f"{label:<{LABEL}} ", "dim")
    return [Line(line) for line in flowed((head, *cells), framing.width, hang=LABEL + 1)]
