"""What a run of Ansible does, as lines of JSON for programs; secrets are taken out before anything is printed."""

from __future__ import annotations

import difflib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from ansible.errors import AnsibleError
from ansible.executor.stats import AggregateStats
from ansible.executor.task_result import CallbackTaskResult
from ansible.parsing.vault import EncryptedString
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: heliograph_lines
type: stdout
short_description: one line of JSON for each thing that happens
description:
  - Each line is an object with t, event, host, task, play, rc, changed, msg, and diff where there is one.
  - Chosen by ANSIBLE_STDOUT_CALLBACK=heliograph_lines; what is no_log, and what looks secret, is not in it.
  - Where HELIOGRAPH_LIFELINE names a descriptor, the run ends once that comes to its end, and whoever holds its other
    side is gone.
"""

HIDDEN = "***"
NO_LOG = "(hidden: no_log)"
MSG_CHARS, DIFF_CHARS, LABEL_CHARS = 4_000, 20_000, 200
DIFFED_CHARS = 500_000
"""Of each side of a file; what is longer is not compared."""
WARNINGS, DIFFS = 10, 50
SHORTEST_SECRET, SHORTEST_LINE = 6, 12
"""Fewer characters stand in other words too."""
DEEPEST = 6
US = 1_000_000
SECRET = re.compile(
    r"(?:^|_)(?:pass|password|passwd|passphrase|secret|token|credential|vault)s?(?:$|_)|(?<!public)_key$|^key$",
    re.IGNORECASE,
)
NAMES_A_PLACE = re.compile(r"_(?:file|files|path|dir|folder|name|id|url|role|days|s)$", re.IGNORECASE)
"""Of a variable that tells where a secret is, or something about it."""
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
SAID = re.compile(
    r"""(?P<name>\b[\w-]*(?:password|passwd|passphrase|secret|token)["']?\s*[=:]\s*["']?|\bBearer\s+)"""
    r"""(?P<value>[^\s"',}]{6,})""",
    re.IGNORECASE,
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
SPOKEN = ("msg", "stderr", "module_stderr", "stdout", "module_stdout", "reason")
"""Where a result tells what happened, the best first."""
LIFELINE = "HELIOGRAPH_LIFELINE"
HANDED_OVER = "HELIOGRAPH_SECRET_"
"""Begins the names of secret variables that are given by the environment."""
ENDINGS = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 0.0))
"""How a run ends that nobody watches any more, and the seconds that each may take."""
COUNTED = ("ok", "changed", "unreachable", "failures", "skipped", "rescued", "ignored")


class Censor:
    """Knows values that must not be shown, and what a secret looks like."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, variables: Mapping[str, Any]) -> None:
        """The values of those variables that are secret by their name, or because a vault holds them."""
        found = {value for name, one in variables.items() for value in _secrets(str(name), one, DEEPEST)}
        if found <= self._values:
            return
        self._values |= found
        longest_first = sorted(self._values, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def clean(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        text = PRIVATE_KEY.sub(HIDDEN, text)
        return SAID.sub(lambda found: found["name"] + HIDDEN, text)


def _secrets(name: str, value: object, depth: int) -> Iterator[str]:
    """All texts in that variable that are secret, and their longer lines: a diff shows one at a time."""
    if isinstance(value, EncryptedString):
        yield from _lines_of(_decrypted(value))
    elif isinstance(value, str):
        if SECRET.search(name) and not NAMES_A_PLACE.search(name) and not value.startswith(("/", "~/")):
            yield from _lines_of(value)
    elif depth and isinstance(value, Mapping):
        for key, one in value.items():
            yield from _secrets(str(key), one, depth - 1)
    elif depth and isinstance(value, list | tuple):
        for one in value:
            yield from _secrets(name, one, depth - 1)


def _lines_of(text: str) -> Iterator[str]:
    if "{{" in text:
        return
    if len(text.strip()) >= SHORTEST_SECRET:
        yield text.strip()
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= SHORTEST_LINE and not line.startswith("-----"))


def _decrypted(value: EncryptedString) -> str:
    try:
        return str(value)
    except AnsibleError:  # without its password nobody can show it
        return ""


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types
    """Prints the lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "heliograph_lines"

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._censor = Censor()
        self._play = ""
        self._task = ""
        self._known_hosts: set[str] = set()
        self._censor.learn({name: value for name, value in os.environ.items() if name.startswith(HANDED_OVER)})
        lifeline = os.environ.get(LIFELINE, "")
        if lifeline.isdecimal():
            threading.Thread(target=_hang_on, args=(int(lifeline),), name="lifeline", daemon=True).start()

    # --- the run ----------------------------------------------------------------------------------------------------

    def v2_playbook_on_play_start(self, play: Play) -> None:
        self._learn(play)
        self._play, self._task = self._text(play.get_name(), LABEL_CHARS), ""
        self._tell("play")

    def _learn(self, play: Play) -> None:
        manager = play.get_variable_manager()
        if manager is None:
            return
        self._censor.learn(manager.get_vars(play=play, include_hostvars=False))
        hosts = manager._inventory.get_hosts(play.hosts)  # noqa: SLF001 - it is told to nobody else
        for host in [host for host in hosts if host.name not in self._known_hosts]:
            self._known_hosts.add(host.name)
            self._censor.learn(manager.get_vars(play=play, host=host, include_hostvars=False))

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:  # noqa: ARG002 - Ansible's
        self._task = self._text(task.get_name(), LABEL_CHARS)
        self._tell("task")

    def v2_playbook_on_handler_task_start(self, task: Task) -> None:
        self.v2_playbook_on_task_start(task, is_conditional=False)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._tell("no_hosts", msg="no host matches")

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        self._tell("no_hosts", msg="no host is left")

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        self._play = self._task = ""
        for host in sorted(stats.processed):
            of = stats.summarize(host)
            counts = {name: of[name] for name in COUNTED}
            good = not (of["unreachable"] or of["failures"])
            said = " ".join(f"{name}={count}" for name, count in counts.items())
            self._tell("recap", host, rc=0 if good else 1, changed=of["changed"] > 0, msg=said, counts=counts)

    # --- hosts ------------------------------------------------------------------------------------------------------

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        self._censor.learn(_mapping(result.result.get("ansible_facts")))
        self._told("changed" if result.is_changed() else "ok", result)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:  # noqa: FBT002 - Ansible's
        self._told("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        self._told("unreachable", result)

    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        self._told("skipped", result)

    def v2_runner_retry(self, result: CallbackTaskResult) -> None:
        self._told("retry", result)

    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        """An item that nothing happened to is told with all others, by the task."""
        if result.is_changed():
            self._told("item", result)

    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        self._told("item_failed", result)

    # --- lines ------------------------------------------------------------------------------------------------------

    def _told(self, event: str, result: CallbackTaskResult) -> None:
        host, of = result.host.get_name(), result.result
        more = {}
        if not _looped(of):
            diff = self._diff(result)
            more = {"diff": diff} if diff else {}
        rc = of.get("rc")
        msg = self._said(event, of)
        self._tell(event, host, rc=rc if isinstance(rc, int) else None, changed=result.is_changed(), msg=msg, **more)
        for warning in islice(of.get("warnings") or (), WARNINGS):
            self._tell("warning", host, msg=self._text(warning, MSG_CHARS))

    def _said(self, event: str, of: Mapping[str, Any]) -> str:
        if "censored" in of:
            return NO_LOG
        words = [self._text(of["_ansible_item_label"], LABEL_CHARS)] if "_ansible_item_label" in of else []
        if event == "retry":
            words.append(f"try {of.get('attempts')} of {of.get('retries')}")
        words.append(next((text for name in SPOKEN if (text := self._text(of.get(name), MSG_CHARS))), ""))
        return ": ".join(filter(None, words))

    def _diff(self, result: CallbackTaskResult) -> str:
        of, given = result.result, result.result.get("diff")
        if "censored" in of or not given or result.task_fields.get("diff") is False:
            return ""
        entries = given if isinstance(given, list) else [given]
        text = "".join(_compared(one) for one in islice(entries, DIFFS) if isinstance(one, Mapping))
        return self._text(text, DIFF_CHARS)

    def _text(self, value: object, most: int) -> str:
        """That as text without secrets, colours and half characters, and no longer than that."""
        if value is None:
            return ""
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        text = COLOURS.sub("", self._censor.clean(text)).encode("utf-8", "replace").decode().strip()
        return text if len(text) <= most else f"{text[:most]}… (of {len(text):,} characters)"

    def _tell(self, event: str, host: str | None = None, **said: object) -> None:
        named = {"host": host, "task": self._task, "play": self._play}
        line = {"t": _now(), "event": event, **named, "rc": None, "changed": False, "msg": "", **said}
        self._display.display(json.dumps(line))
        with suppress(BrokenPipeError):  # whoever read has left: the lifeline ends this
            sys.stdout.flush()  # Ansible itself does so at its end only


def _hang_on(lifeline: int) -> None:
    """Until nobody holds the other side: then this run ends, as by Ctrl-C."""
    try:
        while os.read(lifeline, 1):
            pass
    except OSError:  # it was never ours
        return
    for number, seconds in ENDINGS:
        os.kill(os.getpid(), number)
        time.sleep(seconds)


def _now() -> str:
    now = datetime.fromtimestamp(time.time_ns() // 1000 / US, UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _looped(of: Mapping[str, Any]) -> bool:
    """Its items have told the rest."""
    return isinstance(of.get("results"), list)


def _compared(diff: Mapping[str, Any]) -> str:
    if isinstance(diff.get("prepared"), str):
        return f"{diff['prepared'][:DIFFED_CHARS]}\n"
    before, after = _side(diff, "before"), _side(diff, "after")
    if max(len(before), len(after)) > DIFFED_CHARS:
        return f"--- {_header(diff, 'before')}\n+++ {_header(diff, 'after')}\n(too large to compare)\n"
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), _header(diff, "before"), _header(diff, "after"), n=2, lineterm=""
    )
    return _joined(lines)


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _side(diff: Mapping[str, Any], name: str) -> str:
    value = diff.get(name)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str, indent=1, sort_keys=True)


def _header(diff: Mapping[str, Any], name: str) -> str:
    return str(diff.get(f"{name}_header") or name)
