"""What all screens have in common: header, crumb, prompt, footer, keys by the registry, one timer that paints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.screen import Screen
from textual.worker import Worker, WorkerState, WorkType

from console.columns.table import Manner
from console.fleet.desk import PAINT_S, SLOW_PAINT_S, Desk
from console.fleet.view import FleetModel
from console.registry import (
    BY_COMMAND,
    BY_ID,
    FORCE,
    NEAREST,
    SCREENS,
    WITH_WORDS,
    Action,
    Resolver,
    Scope,
    known_on,
    meant,
    nearest,
)
from console.screens.chooser import Choice, Chooser
from console.screens.headline import Crumb, breadcrumb, footline, headline, in_ascii
from console.screens.help import HelpScreen
from console.screens.palette import palette
from console.widgets.lines import Line, Lines
from console.widgets.prompt import COMMAND, FILTER, Prompt

R = TypeVar("R")
AGES_S = 1.0
ANSWER_S = 6.0
"""What a command answers stands for so long, or until the next key."""


@dataclass(frozen=True, slots=True)
class Ask:
    """How an action was asked for: by which key, or with which words after the colon; `forced`: with a `!`."""

    key: str = ""
    words: str = ""
    forced: bool = False


Handler = Callable[[Ask], object]


class Desktop(Protocol):
    """What screens ask of the application."""

    def visit(self, view: str, *, node: str = "", text: str | None = None) -> None:
        """Shows a view (a key of SCREENS, without its tab), filtered where a text is given."""

    def back(self) -> None:
        """Up: to where this view was opened from."""

    def previous_view(self) -> None:
        """To the view before this one."""

    def view(self, name: str) -> View | None:
        """That view of what is looked at now; None = there is no such view."""

    def replay(self, path: Path) -> None:
        """Opens a recording above all else.  Raises RecordingUnusable."""

    def leave(self) -> None:
        """Out of a recording; out of the console where there is none."""

    def more_handlers(self, view: View) -> Mapping[str, Handler]:
        """What every screen does alike: recordings, the log, what changes nodes."""


class View(Screen[None]):
    """One screen.  Subclasses say what lies between crumb and footer, and what their own actions do."""

    NAME: ClassVar[str]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._answer = ""
        self._answered_s = self._painted_s = float("-inf")
        self._seen = -1
        self._unsaid = self._taking = False
        self._resolver = Resolver(self.scopes, desk.keys)

    # --- for subclasses -------------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """The widgets between crumb and prompt."""
        raise NotImplementedError

    def own_handlers(self) -> Mapping[str, Handler]:
        """What this screen does with its actions, by their ids."""
        raise NotImplementedError

    def crumb(self) -> Crumb:
        """Where one is, and what is shown of how much."""
        raise NotImplementedError

    def update(self, changed: Iterable[str]) -> None:
        """These nodes have changed since the last call, or a second has passed."""
        raise NotImplementedError

    def filtered(self, text: str, *, final: bool) -> None:
        """The filter as it is typed; `final` when it was entered or given up."""

    def subjects(self) -> Sequence[str]:
        """What is acted on: nodes, `node/camera` or `node/JOB`; marked ones, or what the cursor is on."""
        return ()

    def aim(self, node: str) -> None:
        """Which node it is about, on a screen that is about one."""

    def node_here(self) -> str:
        """The node that the cursor is on, or that the screen is about; empty = none."""
        return next(iter(self.subjects()), "").partition("/")[0]

    def resumed(self) -> None:
        """It has come to the front."""

    @property
    def sub(self) -> str:
        """Its tab, where it has some."""
        return ""

    # --- what it has ----------------------------------------------------------------------------------------------

    @property
    def model(self) -> FleetModel:
        return self.desk.model

    @property
    def desktop(self) -> Desktop:
        return cast("Desktop", self.app)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return SCREENS[f"{self.NAME}/{self.sub}" if self.sub else self.NAME]

    def manner(self) -> Manner:
        return Manner(self.desk.ascii, self.desk.times, self.model.clock.utc_us())

    def compose(self) -> ComposeResult:
        yield Lines(id="head")
        yield Lines(id="crumb")
        yield from self.body()
        yield Prompt()
        yield Lines(id="foot")

    def handlers(self) -> dict[str, Handler]:
        """By the ids of the registry: what is known on this screen, and nothing else."""
        known = {action.id for action in known_on(self.scopes)}
        return {name: handler for name, handler in self._all_handlers().items() if name in known}

    def _all_handlers(self) -> dict[str, Handler]:
        visit = self.desktop.visit
        return {
            "back": lambda _: self.desktop.back(),
            "previous_view": lambda _: self.desktop.previous_view(),
            "nodes": lambda ask: visit("nodes", text=_filter_of(ask)),
            "jobs": lambda ask: visit("jobs", text=_filter_of(ask)),
            "alerts": lambda ask: visit("alerts", text=_filter_of(ask)),
            "events": lambda ask: visit("events", text=_filter_of(ask)),
            "node": lambda ask: self._visit_node(ask.words),
            "time": lambda _: self._next_times(),
            "command": lambda _: self.query_one(Prompt).ask(COMMAND),
            "palette": lambda _: self._palette(),
            "help": lambda _: self.app.push_screen(HelpScreen(self.scopes, self.desk.keys, ascii_only=self.desk.ascii)),
            "quit": lambda _: self.desktop.leave(),
            **self.desktop.more_handlers(self),
            **self.own_handlers(),
        }

    def notice(self) -> str:
        """What the operator should know of the console itself; troubles first."""
        book = self.desk.book
        recorder = self.desk.recorder
        troubles = (
            getattr(self.desk.source, "notice", ""),  # a recording has none
            book.trouble if book is not None else "",
            f"recording stopped: {recorder.stopped}" if recorder is not None and recorder.stopped else "",
        )
        return "; ".join(filter(None, troubles)) or self.desk.hint

    # --- painting -------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.set_interval(PAINT_S, self._tick)
        self.call_after_refresh(self.paint)

    def on_screen_resume(self) -> None:
        with self.going_on():
            self.resumed()
        self.call_after_refresh(self.paint)

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self.paint)

    def _tick(self) -> None:
        """Something was learnt, or ages have grown by a second."""
        if not self.is_current:
            return
        self.desk.pace.tick()
        waited_s = self.desk.clock.monotonic() - self._painted_s
        due = self._unsaid or self.model.revision != self._seen or waited_s >= AGES_S
        if due and not (self.desk.pace.slow and waited_s < SLOW_PAINT_S):
            self.paint()

    def paint(self) -> None:
        """What the model says now, in place."""
        if not self.is_mounted:
            return
        self._painted_s, self._unsaid = self.desk.clock.monotonic(), False
        with self.going_on():
            if self.desk.rings():
                self.app.bell()
            changed, self._seen = self.model.changed_since(self._seen), self.model.revision
            self.update(changed)
        if self._painted_s - self._answered_s >= ANSWER_S:
            self._answer = ""
        with self.going_on():
            self._paint_lines()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """What goes wrong within ends neither this view nor the others; it is tried again when it is next painted."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the boundary of a view; `broken` says it
            self.broken(error)

    def broken(self, error: BaseException) -> None:
        """Says so in the second line, whatever else stands there."""
        self.log.error(error)
        self._answer = f"internal error: {type(error).__name__}; this view goes on"
        self._answered_s = self.desk.clock.monotonic()
        if self.query("#crumb"):
            self._line("#crumb", breadcrumb(Crumb((self.NAME,)), self._answer, "", self.size.width))

    def run_worker(self, work: WorkType[R], *args: Any, **options: Any) -> Worker[R]:  # noqa: ANN401 - Textual's own
        """Textual's own, but what goes wrong in it does not end the application."""
        return super().run_worker(work, *args, **{**options, "exit_on_error": False})

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.broken(event.worker.error)

    def _paint_lines(self) -> None:
        width, manner = self.size.width, self.manner()
        self._line("#head", headline(self.desk, width, manner, behind=self.desk.pace.slow))
        self._line("#crumb", breadcrumb(self.crumb(), self._answer, self.notice(), width))
        known = known_on(self.scopes, self.desk.keys)
        self._line("#foot", footline(known, self._resolver, width, ascii_only=self.desk.ascii))

    def _line(self, where: str, line: Line) -> None:
        self.query_one(where, Lines).show([in_ascii(line) if self.desk.ascii else line])

    def reply(self, text: str) -> None:
        """Says it in the second line."""
        if text != self._answer:
            self._answer, self._answered_s = text, self.desk.clock.monotonic()
            self._say()

    def _say(self) -> None:
        """At once; while keys wait that came in one piece, at the next tick: what is pasted would freeze the screen."""
        if self._taking and self.app.message_queue_size:
            self._unsaid = True
        else:
            self.paint()

    # --- keys and commands ----------------------------------------------------------------------------------------

    def rescope(self) -> None:
        """The tab is another one: so are the keys."""
        self._resolver = Resolver(self.scopes, self.desk.keys)

    def takes(self, event: events.Key) -> bool:
        """Whether the key is an action's here; while the prompt is open, keys are the prompt's."""
        if not self.is_mounted or self.query_one(Prompt).display:
            return False
        self._taking = True
        try:
            return self._act_on(event)
        finally:
            self._taking = False

    def _act_on(self, event: events.Key) -> bool:
        self.reply("")
        if self.desk.notice:
            self.desk.notice = ""
            self._say()
        pending = self._resolver.pending
        found = self._resolver.feed(_printed(event) if _printed(event) not in ("", " ") else event.key)
        if found is not None:
            self.act(found[0], Ask(key=found[1]))
        elif pending != self._resolver.pending:
            self._paint_lines()
        return found is not None or bool(self._resolver.pending)

    def on_key(self, event: events.Key) -> None:
        """What the prompt's line did not get: fast typing comes in one piece, and a click takes the focus away."""
        prompt = self.query_one(Prompt)
        if prompt.display:
            prompt.overtaken(_printed(event))
            if _printed(event):
                event.stop()

    def act(self, action: Action, ask: Ask) -> None:
        with self.going_on():
            handler = self.handlers().get(action.id)
            if handler is not None:
                handler(ask)

    @on(Prompt.Typed)
    def _typing(self, message: Prompt.Typed) -> None:
        if message.sign == FILTER:
            with self.going_on():
                self.filtered(message.text, final=False)

    @on(Prompt.Closed)
    def _answered(self, message: Prompt.Closed) -> None:
        with self.going_on():
            self.refocus()
            if message.sign == FILTER:
                self.filtered(message.text, final=True)
            elif message.entered and message.text:
                self.run_command(message.text)

    def refocus(self) -> None:
        """The prompt has closed: who has the keys now."""

    def run_command(self, text: str) -> None:
        """What stands after the colon."""
        word, _, words = text.partition(" ")
        name = word.removesuffix(FORCE)
        handlers = self.handlers()
        known = [each for each, action in BY_COMMAND.items() if action.id in handlers]
        found = meant(name, known)
        if len(found) != 1:
            self.reply(_misunderstood(word, found, known))
            return
        action, words = BY_COMMAND[found[0]], words.strip()
        if words and action.id not in WITH_WORDS:
            self.reply(f":{action.command} stands alone: nothing follows it, not {words[:20]!r}")
            return
        self.act(action, Ask(words=words, forced=word.endswith(FORCE)))

    def choose(self, chooser: Chooser, then: Callable[[Choice], object]) -> None:
        """Opens it; `then` is told what was taken."""

        def taken(choice: Choice | None) -> None:
            if choice is not None:
                with self.going_on():
                    then(choice)

        self.app.push_screen(chooser, taken)

    def _palette(self) -> None:
        known = known_on(self.scopes, self.desk.keys)
        self.choose(palette(known, ascii_only=self.desk.ascii), self._from_palette)

    def _from_palette(self, choice: Choice) -> None:
        self.act(BY_ID[choice.id], Ask())

    def _visit_node(self, name: str) -> None:
        if not name:
            self.reply("which node? :node NAME")
            return
        if name not in self.model.views:
            near = [each for each in self.model.views if name in each]
            self.reply(f"no node {name[:40]}" + (f"; there is {', '.join(near[:5])}" if near else ""))
            return
        self.desktop.visit("node", node=name)

    def _next_times(self) -> None:
        self.desk.times = self.desk.times.next()
        self.reply(f"times: {self.desk.times}")
        self.paint()


def _misunderstood(word: str, found: Sequence[str], known: Sequence[str]) -> str:
    """In so few words that they fit."""
    if found:
        more = f" and {len(found) - NEAREST} more" if len(found) > NEAREST else ""
        return f":{word[:16]} may be :{', :'.join(found[:NEAREST])}{more}"
    return f":{word[:16]} is no command here; :{', :'.join(nearest(word, known))}?"


def _filter_of(ask: Ask) -> str | None:
    """By its key a list comes as it was left; by its command with the filter that was given, or with none."""
    return None if ask.key else ask.words


def _printed(event: events.Key) -> str:
    return event.character if event.is_printable and event.character else ""
