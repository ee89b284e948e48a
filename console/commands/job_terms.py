"""Words of a command that are about jobs, apart from those about nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from console.commands.command import TERM
from console.fleet.filter import TERM as PARTS
from console.fleet.filter import FilterWrong, parse
from console.fleet.job_rows import JOB_LOOKS, JOBS, JobLine
from console.fleet.nodes import FIELDS
from console.fleet.view import Word
from node.wire.errors import UsageWrong
from node.wire.work_records import JobRecord

OF_JOBS = frozenset(JOBS.fields.table) - frozenset(FIELDS.table)
"""Fields that only jobs have; what both have is the node's, but for states."""
CALLED = {look.word: state for state, look in JOB_LOOKS.items()}
"""States of jobs by the words that they are shown with."""
ASKED_FOR = f"{', '.join(sorted(OF_JOBS))} and state: with {', '.join(CALLED)} are asked of jobs, all others of nodes"


def apart(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Terms about jobs, and all other words.  Raises UsageWrong."""
    about_jobs, others = list[str](), list[str]()
    for word in words:
        (about_jobs if _is_of_jobs(word) else others).append(word)
    return about_jobs, others


def _is_of_jobs(word: str) -> bool:
    match = PARTS.fullmatch(word) if TERM.fullmatch(word) else None
    if match is None:
        return False
    if match["field"].lower() != "state":
        return match["field"].lower() in OF_JOBS
    values = set(match["value"].removeprefix("!").lower().split(","))
    if values <= {*CALLED, "leased"}:
        return True
    if not values <= set(Word):
        raise UsageWrong(f"{word}: states are {', '.join(CALLED)} of jobs, or {', '.join(Word)} of nodes")
    return False


@dataclass(frozen=True, slots=True)
class Wish:
    """Which jobs are meant: of the nodes that `words` say, those in `states` that pass; single ones in any state."""

    words: list[str]
    states: tuple[str, ...]
    passes: Callable[[str, JobRecord], bool]


def wish(words: Iterable[str], usual: Sequence[str], *, only: bool) -> Wish:
    """`usual` are the states without a word about them, and `only`: no others.  Raises UsageWrong."""
    terms, others = apart(words)
    return Wish(others, _states(terms, usual, only=only), _passing(terms))


def _passing(terms: Sequence[str]) -> Callable[[str, JobRecord], bool]:
    try:
        test = parse(" ".join(map(_shown, terms)), JOBS.fields)
    except FilterWrong as error:
        raise UsageWrong(str(error)) from None
    return lambda node, job: test(JobLine(node, job, "", old=False, now_us=0))


def _shown(term: str) -> str:
    """With the word of the screen for a job that runs."""
    return term.lower().replace("leased", "running") if term.lower().startswith("state") else term


def _states(terms: Iterable[str], usual: Sequence[str], *, only: bool) -> tuple[str, ...]:
    matches = filter(None, map(PARTS.fullmatch, terms))
    wanted = [match["value"].lower() for match in matches if match["field"].lower() == "state"]
    among = usual if only or all(value.startswith("!") for value in wanted) else tuple(JOB_LOOKS)
    found = tuple(state for state in among if all(_fits(value, state) for value in wanted))
    if not found:
        raise UsageWrong(f"only jobs that are {' or '.join(_word(state) for state in usual)} can be meant here")
    return found


def _fits(value: str, state: str) -> bool:
    named = {CALLED.get(word, word) for word in value.removeprefix("!").split(",")}
    return (state in named) != value.startswith("!")


def _word(state: str) -> str:
    return JOB_LOOKS[state].word
