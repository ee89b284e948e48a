"""The tables of the documentation, from the code that they describe: `python -m tests.docs.generate` writes them anew.

A table stands between `<!-- table: name -->` and `<!-- end -->`; docs/codes.md is a table altogether.  A test compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from console.cli import COMMANDS as CONSOLE_COMMANDS
from console.fleet.alert_rows import ALERTS
from console.fleet.alerts import OWN
from console.fleet.event_rows import EVENTS as EVENT_LINES
from console.fleet.filter import Fields
from console.fleet.job_rows import JOBS
from console.fleet.nodes import NODES
from console.fleet.push_plan import SAYS, Standing
from console.fleet.view import LOOKS, Word
from console.registry import ACTIONS, SHOWN, Action, Risk
from console.settings import ConsoleSettings
from node.cli import COMMANDS as NODE_COMMANDS
from node.domain.errors import EXIT_CODES, REGISTRY, HeliographError
from node.domain.events import REGISTRY as EVENTS
from node.domain.frame import GAP_REASONS
from node.domain.gauges import GAUGES
from node.domain.health import RULES
from node.domain.job import KINDS
from node.domain.pressure import DOES, FLOORS, Floor
from node.domain.quality import Integrity
from node.domain.recovery import COURSES, OPENING, RECOVERY, Course, Rung, Step
from node.domain.retention import RULES as RETENTION
from node.metrics import FOLDED, LIVE, PREFIX, TIMINGS, Folded
from node.wire.routes import ROUTES, Route

DOCS = Path(__file__).parents[2] / "docs"
CODES, NODE, CONSOLE = DOCS / "codes.md", DOCS / "node.md", DOCS / "console.md"
COMMAND = "python -m tests.docs.generate"
MARKED = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
CELL = re.compile(r"([|])")

AREAS = {
    "CAM": "Camera",
    "CFG": "Configuration",
    "DSK": "Disk",
    "DB": "Database",
    "JOB": "Jobs",
    "REN": "Videos",
    "ARC": "Archive",
    "API": "API",
    "QUA": "Quality",
    "TIM": "Time",
    "SEC": "Security",
    "FLT": "Fleet (console)",
    "CLI": "Command line",
}
ABOUT_CODES = """\
Every error of the product, by area. Commands print code, title and hint and end with the exit status. The API answers
with the HTTP status and a problem body (`application/problem+json`) that carries the same code. *Passing* means: the
same again may work later, and the program itself tries again where it can."""
HAPPENED = {
    "service_started": "The service is up; `clean` is false after a kill or a power cut.",
    "service_stopped": "The service was asked to end.",
    "frame": "A frame was kept.",
    "quarantine": "A picture was put aside.",
    "gap": "A due slot has no frame.",
    "gaps": "Many gaps of one cause at once.",
    "shoot_opened": "A schedule's window began for one camera and profile.",
    "shoot_closed": "It is over and all its slots are settled.",
    "recovery": "A step of the recovery ladder.",
    "camera_recovered": "The camera works again.",
    "camera_held": "Somebody holds the camera's capture, or gave the hold another reason or end.",
    "camera_resumed": "Its slots are taken again: somebody said so, or (by `node`) the hold's end came.",
    "config_activated": "Another document decides from now on.",
    "config_provisional": "Nothing speaks against it; it is judged when its slots come by light.",
    "config_confirmed": "It has proved itself.",
    "config_rolled_back": "It failed; the one before runs again.",
    "alert_raised": "A condition has lasted.",
    "alert_cleared": "It is gone.",
    "clock_stepped": "The wall clock jumped by two seconds or more.",
    "job": "A job ended, or was stopped; routine ones say nothing of success.",
    "job_dead": "The last attempt of a job failed; a dead letter is left.",
    "video": "A video was made and verified.",
    "video_removed": "A video was deleted, by a person or a rule.",
    "shoot_moved": "A shoot went on: rendering, done, degraded or failed.",
    "archived": "A target holds frames and videos, proved by receipts.",
    "receipt_denied": "A target does not hold what it took.",
    "target": "A target is left alone after failures, tried again, or well again.",
    "reclaimed": "Files were deleted by a rule.",
    "restored": "Reclaimed frames were brought back from a target.",
    "reclaim_stopped": "File, row and receipt did not agree: nothing more of that class is deleted.",
    "disk_step": "A step of the ladder as the disk fills, or back.",
    "backup": "A verified backup of the database was made.",
    "database_restored": "A damaged database was put aside and the newest good backup took its place.",
    "reconciled": "Files and rows were compared.",
    "loop_failed": "An unexpected error inside a loop, which goes on.",
    "tls_reloaded": "The files of TLS were read again; new connections get this certificate.",
    "tls_refused": "They were read again and cannot be used; those of before stay in force.",
    "access_refused": "Attempts of one client were refused, in the handshake or after it; told once a minute at most.",
}
STATES = {
    Word.CRIT: "The node says so itself: something is lost or about to be.",
    Word.UNREACHABLE: "No answer three times in a row, or for 45 s.",
    Word.UNTRUSTED: "Its certificate has expired, or is another's; nothing was asked of it.",
    Word.REFUSED: "The node does not take the console's certificate or token.",
    Word.GARBLED: "It answers, but not as a node does.",
    Word.UNASKED: "Token or certificate file cannot be used, so it was not asked.",
    Word.WARN: "The node says so itself: it goes on, and wants to be looked at.",
    Word.STALE: "Three polls without an answer, or known from the last time only.",
    Word.WAITING: "Not heard yet.",
    Word.OK: "All is well, and that was said just now.",
    Word.IDLE: "All is well, and nothing is due: out of its window, switched off, or held.",
}
RUNGS = {
    Rung.OPEN: "open the camera for the first time",
    Rung.REOPEN: "close and open in the same worker, prove by a test shot",
    Rung.RESPAWN: "kill the worker, start a new one, open, prove by a test shot",
    Rung.OFFLINE: "as respawn, again and again; the node serves on and every slot is a gap",
}
INTEGRITY = {
    Integrity.INTACT: "Decodes from start to end.",
    Integrity.EMPTY: "No bytes.",
    Integrity.WRONG_TYPE: "Does not begin as a JPEG does.",
    Integrity.UNDECODABLE: "Begins as a JPEG and cannot be decoded.",
    Integrity.TRUNCATED: "The end is missing.",
    Integrity.DAMAGED: "Bytes inside are damaged.",
    Integrity.TOO_SMALL: "Smaller than any picture that a camera may be asked for.",
}
DOES_JOB = {
    "render": "Make a video.",
    "thumbnail": "Make the small pictures of a camera's new frames.",
    "thumbnail-repair": "Make those again that are missing or broken.",
    "backup": "Copy the database, and prove the copy by opening it.",
    "integrity-check": "Check the whole database.",
    "upkeep": "Reclaim, forget what is over, give pages of the database back.",
    "reconcile": "Compare files and rows.",
    "transfer": "Send one batch to a target and read it back there.",
    "test-target": "Look whether a target is there and marked.",
    "verify-archive": "Read again at a target what the receipts say.",
    "restore": "Bring reclaimed frames back.",
}
GOES = {
    "unfinished": "left by a crash, untouched for an hour",
    "thumbnails_days": "older than `retention.thumbnails_days`; a camera's newest stays",
    "quarantined_days": "older than `retention.quarantined_days`",
    "videos_days": "older than `retention.videos_days`, not pinned",
    "frames_days": "verified, older than `retention.frames_days`, their shoot's video made",
    "room_thumbnails": "any but a camera's newest",
    "room_frames": "verified; the oldest first, with `order: thin` the lowest scores",
    "room_frames_wanted": "verified, though their shoot's video is to be made yet",
    "room_videos_archived": "not pinned, and held by enough targets",
    "room_videos": "not pinned",
    "room_ends": "verified, first and last of their shoot (`order: thin` kept them until here)",
    "without_target": "the oldest, **held nowhere else**: only with `without_target: overwrite_oldest`",
}
NO_BODY = {"HEAD": "The same without the body."}

Rows = Iterator[Sequence[str]]


def commands() -> Rows:
    yield "command", "what it does"
    for name, command in NODE_COMMANDS.items():
        yield f"`heliograph-node {name}`", _sentence(command.sentence)


def console_commands() -> Rows:
    yield "command", "what it does"
    for name, command in CONSOLE_COMMANDS.items():
        yield f"`heliograph {name}`", _sentence(command.sentence)


def exit_codes() -> Rows:
    yield "status", "meaning"
    for status, meaning in EXIT_CODES.items():
        yield str(status), meaning


def gaps() -> Rows:
    yield "reason", "meaning", "a fault"
    for reason, meaning in GAP_REASONS.items():
        yield f"`{reason}`", meaning.sentence, "yes" if meaning.fault else "no"


def routes() -> Rows:
    """What a route does is the first paragraph of its description in the OpenAPI document."""
    described = json.loads((DOCS / "openapi.json").read_text())["paths"]
    yield "route", "role", "what it gives or does"
    for route in ROUTES:
        yield f"`{route.method} {route.path}`", route.role.name.lower(), _does(route, described)


def alerts() -> Rows:
    yield "alert", "severity", "condition"
    for rule in RULES:
        yield f"`{rule.code}`", rule.severity, rule.meaning


def events() -> Rows:
    yield "kind", "level", "what happened", "fields"
    for kind, event in EVENTS.items():
        names = ", ".join(field.name.removesuffix("_us") for field in fields(event))
        yield f"`{kind}`", event.level, HAPPENED[kind], names


def metrics() -> Rows:
    yield "metric", "type", "labels", "meaning"
    for row in (*FOLDED, *TIMINGS):
        name, kind = _exported(row)
        yield f"`{name}`", kind, ", ".join(row.labels) or "-", row.sentence
    for gauge in GAUGES:
        yield f"`{PREFIX}{gauge.name}`", "gauge", gauge.label or "-", gauge.sentence
    for owned in LIVE:
        yield f"`{PREFIX}{owned.name}`", "gauge", "-", owned.sentence


def ladder() -> Rows:
    yield "ladder", "try", "waits before it", "what is done"
    for name, steps in (("at the start", OPENING), ("after a failure", RECOVERY)):
        numbered = [(f"`{step.rung}`", step) for step in steps]
        for rung, same in groupby(numbered, key=lambda pair: pair[0]):
            group = [step for _, step in same]
            yield name, rung, _waits(group, last=group[-1] is steps[-1]), RUNGS[group[0].rung]


def failures() -> Rows:
    yield "failure", "starts recovery"
    said = {Course.AT_ONCE: "at once", Course.COUNTED: "after ten in a row, later twice as many where that was no use"}
    for error, course in COURSES.items():
        yield f"{error.code} {error.title}", said[course]


def integrity() -> Rows:
    yield "integrity", "meaning"
    for word in Integrity:
        yield f"`{word}`", INTEGRITY[word]


def jobs() -> Rows:
    """What is done by which process, and how often it is tried."""
    yield "kind", "process", "what it does", "tried again after", "no word for", "longest"
    for name, kind in KINDS.items():
        yield f"`{name}`", kind.lane, DOES_JOB[name], _delays(kind.delays_s), _span(kind.stall_s), _span(kind.hard_s)


def disk_steps() -> Rows:
    yield "step", "begins below", "or below, times the reserve", "what is done"
    for step, floor in FLOORS.items():
        yield f"`{step}`", _share(floor), f"{floor.of_reserve:g}", DOES[step]


def retention() -> Rows:
    yield "rule", "what goes", "which", "when"
    for rule in RETENTION:
        when = "room is short" if rule.for_room else "always"
        yield f"`{rule.name}`", rule.what, GOES[rule.name], when


def states() -> Rows:
    """Worst first, as the rows of the fleet are."""
    yield "sign", "ASCII", "state", "meaning", "exit", "alert of the console"
    for word, look in LOOKS.items():
        alert = f"`{OWN[word].code}`" if word in OWN else "-"
        yield look.glyph, f"`{look.ascii}`", f"`{word}`", STATES[word], str(look.exit), alert


def keys() -> Rows:
    """A name by which settings may give an action other keys; `…` = it changes nodes."""
    yield "key", "command", "what it does", "where", "without a screen", "action"
    for action in ACTIONS:
        says = action.says + (" **…**" if action.risk is Risk.NODE else "")
        where = ", ".join(action.scopes)
        yield _pressed(action), _colon(action), says, where, _twin(action), f"`{action.id}`"


def settings() -> Rows:
    yield "setting", "default", "meaning"
    for name, field in ConsoleSettings.model_fields.items():
        yield f"`{name}`", _default(name), field.description or ""


def standings() -> Rows:
    yield "a node is", "what that means"
    for standing in Standing:
        yield f"`{standing}`", SAYS[standing]


def fields_of(fields: Fields[Any]) -> Rows:
    yield "field", "what it is", "takes"
    for name, field in fields.table.items():
        words = ", ".join(f"`{word}`" for word in field.words)
        kind = "time" if field.timed else "number" if field.number is not None else words or "text"
        yield f"`{name}`", field.says, kind


TABLES: dict[str, Callable[[], Rows]] = {
    "commands": commands,
    "console-commands": console_commands,
    "exit-codes": exit_codes,
    "gaps": gaps,
    "routes": routes,
    "alerts": alerts,
    "events": events,
    "metrics": metrics,
    "ladder": ladder,
    "failures": failures,
    "integrity": integrity,
    "jobs": jobs,
    "disk-steps": disk_steps,
    "retention": retention,
    "states": states,
    "keys": keys,
    "settings": settings,
    "standings": standings,
    "filter-nodes": lambda: fields_of(NODES.fields),
    "filter-jobs": lambda: fields_of(JOBS.fields),
    "filter-alerts": lambda: fields_of(ALERTS.fields),
    "filter-events": lambda: fields_of(EVENT_LINES.fields),
}


def filled(text: str) -> str:
    """The text with every marked table as the code has it now.  Raises KeyError for a table that nobody makes."""
    return MARKED.sub(lambda found: f"{found[1]}\n{table(TABLES[found['name']]())}\n\n{found[3]}", text)


def codes() -> str:
    """docs/codes.md."""
    parts = ["# Error codes", ABOUT_CODES]
    for area, errors in groupby(sorted(REGISTRY.values(), key=_place), key=_area):
        parts += [f"## {AREAS[area]}", table(_coded(errors))]
    parts.append(f"This page is made from the code: `{COMMAND}`.")
    return "\n\n".join(parts) + "\n"


def table(rows: Rows) -> str:
    """Markdown; the first row is the head."""
    head, *body = [[CELL.sub(r"\\\1", cell) for cell in row] for row in rows]
    return "\n".join([_line(head), _line(["---"] * len(head)), *map(_line, body)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _coded(errors: Iterator[type[HeliographError]]) -> Rows:
    yield "code", "title", "what to do", "passing", "exit", "HTTP"
    for error in errors:
        passing = "yes" if error.transient else "no"
        yield error.code, error.title, error.hint, passing, str(error.exit), _http(error)


def _http(error: type[HeliographError]) -> str:
    """No status where none was ever chosen: such an error reaches no client."""
    chosen = any("http" in each.__dict__ for each in error.__mro__ if each not in (HeliographError, Exception))
    return str(error.http) if chosen else "-"


def _area(error: type[HeliographError]) -> str:
    return error.code.partition("-")[0]


def _place(error: type[HeliographError]) -> tuple[int, str]:
    return list(AREAS).index(_area(error)), error.code


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


def _does(route: Route, described: dict[str, dict[str, dict[str, str]]]) -> str:
    if route.method in NO_BODY:
        return NO_BODY[route.method]
    return " ".join(described[route.path][route.method.lower()]["description"].partition("\n\n")[0].split())


def _exported(row: Folded) -> tuple[str, str]:
    """Name and type as Prometheus sees them."""
    return (f"{PREFIX}{row.name}", "histogram") if row.buckets else (f"{PREFIX}{row.name}_total", "counter")


def _pressed(action: Action) -> str:
    names = list(action.keys)
    if len(names) > 2 and all(name.isdigit() for name in names):
        return f"`{names[0]}`-`{names[-1]}`"
    return " ".join(f"`{SHOWN.get(name, name)}`" for name in names) or "-"


def _colon(action: Action) -> str:
    return f"`:{action.command}`" if action.command else "-"


def _twin(action: Action) -> str:
    return f"`heliograph {action.twin}`" if action.twin else "-"


def _default(name: str) -> str:
    """What the operator's name is depends on who reads this."""
    field = ConsoleSettings.model_fields[name]
    if field.default_factory is not None:
        return "-"
    return "-" if field.default is None else f"`{json.dumps(field.default)}`"


def _waits(steps: Sequence[Step], *, last: bool) -> str:
    waits = ", ".join(f"{step.wait_s:g}" for step in steps) + " s"
    return f"{waits}, then again and again" if last else waits


def _delays(delays_s: Sequence[float]) -> str:
    """Equal delays at the end are counted."""
    groups = [(delay, len(list(same))) for delay, same in groupby(delays_s)]
    return ", ".join(_span(delay) + (f" ({count} times)" if count > 1 else "") for delay, count in groups) or "never"


def _span(seconds: float) -> str:
    """In the largest unit that it is whole in."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _share(floor: Floor) -> str:
    if floor.of_warn:
        return "`alerts.disk_warn_free_pct`"
    share = "" if floor.of_crit == 1 else f"1/{1 / floor.of_crit:g} of "
    return f"{share}`alerts.disk_crit_free_pct`"


def main() -> None:
    CODES.write_text(codes())
    for page in (NODE, CONSOLE):
        page.write_text(filled(page.read_text()))


if __name__ == "__main__":
    main()
