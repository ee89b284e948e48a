"""What the screens may do to nodes: who is meant, which deed it is, and when nothing may be done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from console.fleet.acked import Acked, logged_ack
from console.fleet.acts import DEAD, Aim, Deed, Options, Plan, plan
from console.fleet.desk import LONGEST_UNLOCK_S, Desk, Undo
from console.fleet.state import TakenBack
from console.fleet.text import several
from console.screens.base import Handler, View
from console.screens.chooser import Choice, Chooser
from console.screens.planned import PlanScreen
from node.wire.status import CameraStatus

READ_ONLY = "read-only: :unlock first (; unl Enter)"
RECORDING = "a recording can only be looked at"
NOBODY = "there is nothing here to act on"
LENGTH = re.compile(r"([0-9]{1,6})([smh]?)")
SECONDS = {"": 60, "s": 1, "m": 60, "h": 3600}
"""A bare number is minutes: that is what one unlocks for."""
EVERY = "*"
WELL = "ok"


def acting_handlers(view: View) -> Mapping[str, Handler]:
    return {
        "unlock": lambda ask: _unlock(view, ask.words),
        "lock": lambda _: _lock(view),
        "undo": lambda _: _undo(view),
        "restart": lambda _: _with_cameras(view, partial(_propose, view, Deed.RESTART)),
        "capture": lambda _: _with_cameras(view, partial(_propose, view, Deed.CAPTURE)),
        "hold": lambda _: _with_cameras(view, partial(_hold_or_resume, view)),
        "redrive": lambda _: _with_jobs(view, partial(_propose, view, Deed.REDRIVE)),
        "cancel": lambda _: _with_jobs(view, partial(_cancel_or_discard, view)),
    }


# --- whether anything may be done -------------------------------------------------------------------------------------


def _unlock(view: View, words: str) -> None:
    match = LENGTH.fullmatch(words)
    seconds = view.desk.unlock_s if not words else float(match[1]) * SECONDS[match[2]] if match else 0.0
    if not view.desk.live:
        view.reply(RECORDING)
    elif not seconds:
        view.reply(f"{words[:20]!r} is no length of time: :unlock 10m, an hour at most")
    else:
        view.desk.armed.unlock(seconds)
        most = ", which is the most" if seconds > LONGEST_UNLOCK_S else ""
        view.reply(f"armed for {round(view.desk.armed.left_s / 60, 1):g} min{most}; :lock ends it")


def _lock(view: View) -> None:
    view.desk.armed.lock()
    view.reply("read-only")


def barred(desk: Desk) -> str:
    """Why nothing may be done; empty = it may."""
    if not desk.live:
        return RECORDING
    return "" if desk.armed.left_s else READ_ONLY


# --- who is meant -----------------------------------------------------------------------------------------------------


def _with_cameras(view: View, act: Callable[[list[Aim]], None]) -> None:
    """What is marked, or under the cursor; of one node with several cameras it is asked which."""
    subjects = _allowed(view)
    if len(subjects) == 1 and "/" not in subjects[0]:
        _which_camera(view, subjects[0], act)
    elif subjects:
        act([Aim(node, camera) for node, _, camera in _parts(subjects)])


def _with_jobs(view: View, act: Callable[[list[Aim]], None]) -> None:
    aims = [Aim(node, job=job) for node, _, job in _parts(_allowed(view))]
    if aims:
        act(aims)


def _allowed(view: View) -> list[str]:
    """What is meant; none where nothing may be done, and then that has been said."""
    subjects = list(view.subjects())
    why = barred(view.desk) or ("" if subjects else NOBODY)
    if why:
        view.reply(why)
    return [] if why else subjects


def _parts(subjects: Iterable[str]) -> list[tuple[str, str, str]]:
    return [subject.partition("/") for subject in subjects]


def _which_camera(view: View, node: str, act: Callable[[list[Aim]], None]) -> None:
    cameras = _cameras(view.desk, node)
    if len(cameras) < 2:  # noqa: PLR2004 - nothing to choose between
        act([Aim(node)])
        return
    sick = [camera for camera in cameras if camera.state != WELL]
    well = [camera for camera in cameras if camera.state == WELL]
    every = Choice(EVERY, f"all {len(cameras)} cameras")
    choices = [*map(_choice, sick), every, *map(_choice, well)]
    chooser = Chooser(f"which camera of {node}", choices)
    view.choose(chooser, lambda taken: act([Aim(node, "" if taken.id == EVERY else taken.id)]))


def _choice(camera: CameraStatus) -> Choice:
    return Choice(camera.name, camera.name, "held" if camera.held else camera.state)


def _cameras(desk: Desk, node: str) -> tuple[CameraStatus, ...]:
    known = desk.model.views.get(node)
    return () if known is None or known.status is None else tuple(known.status.cameras)


# --- which deed it is -------------------------------------------------------------------------------------------------


def _hold_or_resume(view: View, aims: list[Aim]) -> None:
    """Each of the cameras: held ones are resumed, the others held; where there are both, it is asked which."""
    held, free = list[Aim](), list[Aim]()
    for aim in aims:
        for camera in _cameras(view.desk, aim.node):
            if aim.camera in {"", camera.name}:
                (held if camera.held else free).append(Aim(aim.node, camera.name))
    resume, hold = partial(_propose, view, Deed.RESUME), partial(_propose, view, Deed.HOLD)
    if held and free:
        ways = {
            f"hold {several(len(free), 'camera')} not held yet": partial(hold, free),
            f"resume {several(len(held), 'camera')} held": partial(resume, held),
        }
        _ask_which(view, "hold or resume", ways)
    elif held:
        resume(aims)
    else:
        hold(aims)


def _cancel_or_discard(view: View, aims: list[Aim]) -> None:
    """Dead jobs are given up, all others cancelled; where there are both, it is asked which."""
    jobs = view.desk.jobs.jobs()
    dead = [aim for aim in aims if str(aim) in jobs and jobs[str(aim)].state in DEAD]
    live = [aim for aim in aims if aim not in dead]
    discard, cancel = partial(_propose, view, Deed.DISCARD), partial(_propose, view, Deed.CANCEL)
    if dead and live:
        ways = {
            f"cancel {several(len(live), 'job')} not dead yet": partial(cancel, live),
            f"give up {several(len(dead), 'dead job')}": partial(discard, dead),
        }
        _ask_which(view, "cancel or give up", ways)
    elif dead:
        discard(dead)
    else:
        cancel(live)


def _ask_which(view: View, title: str, ways: Mapping[str, Callable[[], None]]) -> None:
    view.choose(Chooser(title, [Choice(way, way) for way in ways]), lambda taken: ways[taken.id]())


def _propose(view: View, deed: Deed, aims: list[Aim]) -> None:
    """Opens the plan."""
    view.app.push_screen(PlanScreen(view.desk, deed, aims, partial(_planned, view.desk, deed)))


def _planned(desk: Desk, deed: Deed, aims: Sequence[Aim], options: Options) -> Plan:
    return plan(deed, aims, desk.model, options, desk.jobs.jobs())


# --- taking back ------------------------------------------------------------------------------------------------------


def _undo(view: View) -> None:
    """The last acknowledgement at once, where it still is this console's own; a hold by a plan of resuming it."""
    undo = view.desk.undo
    if not view.desk.live:
        view.reply(RECORDING)
    elif not undo:
        view.reply("nothing to take back")
    elif not undo[-1].held:
        _withdraw(view, undo.pop())
    elif why := barred(view.desk):
        view.reply(f"{undo[-1].says}: {why}")
    else:
        _propose(view, Deed.RESUME, list(undo[-1].held))


def _withdraw(view: View, what: Undo) -> None:
    """What is over by now, or what somebody else has acknowledged since, is left."""
    desk, book = view.desk, view.desk.book
    assert book is not None
    done = book.take_back(what.acks)
    desk.alerts.refresh()
    for keys, then in ((done.opened, "open again"), (done.restored, "as known before")):
        logged_ack(book, desk.clock.utc_us(), desk.operator, Acked(("unack",), keys, (), then), saved=done.saved)
    view.reply(_taken_back(what, done))


def _taken_back(what: Undo, done: TakenBack) -> str:
    count, of = len(done.opened) + len(done.restored), len(what.acks)
    if not count:
        return f"nothing taken back, over or somebody else's by now: {what.says}"
    some = "" if count == of else f" {count} of {of}, the others are over or somebody else's"
    again = f"; {len(done.restored)} as known before" if done.restored else ""
    return ("" if done.saved else "NOT SAVED: ") + f"taken back{some}: {what.says}{again}"
