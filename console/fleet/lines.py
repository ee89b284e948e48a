"""What happens in a fleet as lines of text: one line per change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from console.fleet.stir import Stir
from console.fleet.text import clean
from console.fleet.view import OLD_WORDS, FleetModel, Happening, Word, cause
from node.wire.stream import StreamEvent
from node.wire.times import to_text

SAYINGS = {
    "service_started": "service started, version {version}",
    "service_stopped": "service stopped: {reason}",
    "first_frame": "{camera}: first frame, quality {score}",
    "bad_frame": "{camera}: bad picture: {reasons}",
    "quarantine": "{camera}: picture quarantined, {integrity}: {source} {path}",
    "gap": "{camera}: gap: {reason} {error_code}",
    "gaps": "{camera}: {count} gaps: {reason}",
    "shoot_closed": "{shoot}: {captured} of {due} captured",
    "shoot_moved": "{shoot}: {state}",
    "video": "{camera}: video of {frames} frames, {left_out} left out",
    "job_dead": "{job_kind} {key} failed for good at attempt {attempt}: {error_code} {error}",
    "archived": "{target}: {count} items archived, each with a receipt",
    "receipt_denied": "{target} does not hold what it took: {item}",
    "target": "{target}: {state} {error_code}",
    "reclaimed": "{count} {what} reclaimed by rule: {rule}",
    "reclaim_stopped": "reclaim of {what} stopped at {item}: {why}",
    "disk_step": "disk: {step}, was {before}",
    "backup": "backup of {frames} frames: {path}",
    "database_restored": "database restored from {backup}, the damaged one is {aside}",
    "camera_held": "{camera}: capture held by {who}: {reason}",
    "camera_resumed": "{camera}: capture resumed by {who}",
    "recovery": "{camera}: recovery: {rung}, attempt {attempt}, after {error_code}",
    "camera_recovered": "{camera}: recovered by {rung} after {down_s} s",
    "config_activated": "configuration {version} active, by {who}",
    "config_provisional": "configuration {version} runs provisionally, judged when its slots come by light",
    "config_confirmed": "configuration {version} confirmed",
    "config_rolled_back": "configuration {version} rolled back to {to_version}: {reason}",
    "alert_raised": "alert, {severity}: {sentence}",
    "alert_cleared": "alert over: {alert} {subject}",
    "clock_stepped": "clock stepped by {by_s} s",
    "loop_failed": "{loop} failed: {error}",
    "access_refused": "{count} attempts of {client} refused: {code}",
    "tls_reloaded": "TLS files read again",
    "tls_refused": "TLS files refused, those of before go on: {error}",
}
"""Events that are a change, by kind.  A frame is one only when it is a camera's first or a bad one."""

ROUTINE = {
    "frame": "{camera}: frame, {verdict} {score} {reasons}",
    "job": "{job_kind} {key}: {state} {error_code}",
    "shoot_opened": "{shoot}: opened",
    "restored": "{count} items restored from {target}",
    "video_removed": "{camera}: video {video} removed by rule: {rule}",
    "reconciled": "files and books compared: {repaired} repaired, {orphan_files} files and {orphan_rows} rows alone",
}
"""Events that change nothing, where everything is listed."""


CAMERAS_KEPT, CAMERA_CHARS = 16, 64
"""Names of cameras that a node need not have said that it has."""


def saying(event: StreamEvent, kind: str = "") -> str | None:
    """An event in a few words; None for one that changes nothing or is not known to this release."""
    return _filled(SAYINGS.get(kind or event.kind, ""), event)


def _filled(template: str, event: StreamEvent) -> str | None:
    if not template:
        return None
    values = {
        name: ", ".join(map(str, one)) if isinstance(one, list) else str(one)
        for name, one in event.body.items()
        if one is not None
    }
    # a field that is empty or not there leaves no gap
    return clean(" ".join(template.format_map(defaultdict(str, values)).split()))


def told(event: StreamEvent) -> str:
    """An event in a few words, also one that changes nothing; of an unknown kind its fields as they came."""
    said = saying(event) or _filled(ROUTINE.get(event.kind, ""), event)
    if said is not None:
        return said
    return clean(" ".join([event.kind, *(f"{name}={value}" for name, value in event.body.items() if value != "")]))


class Teller:
    """Turns what the model has learnt into lines, each once; only of those nodes that are `wanted`.

    A node that passes no longer is told of once more: that it does not is news too.
    """

    def __init__(self, model: FleetModel, wanted: Callable[[str], bool] = lambda _: True) -> None:
        self._model = model
        self._wanted = wanted
        self._passed: set[str] = set()
        self._stir = Stir(model)
        self._words: dict[str, Word] = {}
        self._cameras: dict[str, set[str]] = {}
        """Of each node, those that have told of a frame."""
        self._told = 0
        self._longest = max((len(name) for name in model.views), default=0)

    def lines(self) -> list[str]:
        """What is new since the last call, oldest first: events, then states."""
        moved, fresh = self._stir.take(), self._fresh()
        shown = {name for name in moved | {one.node for one in fresh} if self._shows(name)}
        told = [self._event(one) for one in fresh if one.node in shown]
        return [line for line in told if line is not None] + self._states(moved, shown)

    def _shows(self, name: str) -> bool:
        passed, passes = name in self._passed, name in self._model.views and self._wanted(name)
        (self._passed.add if passes else self._passed.discard)(name)
        return passed or passes

    def _fresh(self) -> list[Happening]:
        fresh = self._model.fresh(self._told)
        self._told = self._model.told
        return fresh

    def _event(self, one: Happening) -> str | None:
        said = saying(one.event, self._frame_kind(one) if one.event.kind == "frame" else "")
        return None if said is None else self._line(one.event.at, one.node, said)

    def _frame_kind(self, one: Happening) -> str:
        if self._is_first(one.node, str(one.event.body.get("camera", ""))[:CAMERA_CHARS]):
            return "first_frame"
        return "bad_frame" if one.event.body.get("verdict") == "bad" else ""

    def _is_first(self, node: str, camera: str) -> bool:
        """Of the cameras that the node says it has, and of some more: names may be made up without end."""
        known = self._cameras.setdefault(node, set())
        if camera in known:
            return False
        view = self._model.views.get(node)
        named = {one.name for one in view.status.cameras} if view is not None and view.status is not None else set()
        if len(known) >= max(CAMERAS_KEPT, len(named)):
            known &= named
        if camera not in named and len(known) >= CAMERAS_KEPT:
            return False
        known.add(camera)
        return True

    def _states(self, moved: set[str], shown: set[str]) -> list[str]:
        changed = []
        for name in sorted(moved):
            view, before = self._model.views.get(name), self._words.get(name, Word.WAITING)
            if view is None:
                self._words.pop(name, None)
                self._cameras.pop(name, None)
                continue
            word = self._words[name] = self._model.word(name)
            if word is not before and name in shown:
                # what the node says of itself comes as its alerts; why it is silent only this console knows
                why = cause(view, word, self._model.clock.monotonic()) if word in OLD_WORDS else f"was {before}"
                changed.append(self._line(to_text(self._model.clock.utc_us()), name, f"{word}: {clean(why)}"))
        return changed

    def _line(self, at: str, name: str, said: str) -> str:
        """Time of day (UTC), node, what happened; below each other in columns."""
        return f"{clean(at[11:19]):8}Z  {name:<{self._longest}}  {said}"
