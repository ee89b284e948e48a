"""What may be deleted, in which order, by which rule.  Never a frame whose receipts do not say what its row says.

The one exception has a name of its own: `without_target`, chosen in the document of a node that has no target at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from node.domain.config import DAY_S, Retention
from node.domain.times import US

What = Literal["leftover", "thumbnail", "quarantined", "video", "frame"]
Key = tuple[float | str, ...]

LEFTOVER_AFTER_S = 3600.0
"""An unfinished file that nobody has touched for so long is nobody's."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that might go, with those `beside` it.  `item` is the id of its row, or its path where it has none.

    `at_us` is when it was made, UTC microseconds; it counts only where it is `dated`: made by a clock that was set.
    `receipts` are those that repeat size and hash of the row.  `wanted` frames are of a shoot whose video is to be made
    yet.  The `ends` of a shoot, where frames are thinned, stay as long as anything else may go.  The `newest` thumbnail
    of a camera and a `pinned` video stay.
    """

    what: What
    item: str
    path: str
    size_bytes: int
    at_us: int
    dated: bool = True
    receipts: int = 0
    score: int | None = None
    wanted: bool = False
    ends: bool = False
    newest: bool = False
    pinned: bool = False
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """The document's retention, the node's targets, used or not, and whether the wall clock may be believed."""

    retention: Retention
    targets: tuple[str, ...] = ()
    clock_synced: bool = True

    def verified(self, candidate: Candidate) -> bool:
        """Whether enough targets hold it."""
        return candidate.receipts >= self.retention.receipts_needed

    def old(self, candidate: Candidate, days: float | None, now_us: int) -> bool:
        """Whether it is older than that; None = never."""
        if days is None or not self.clock_synced or not candidate.dated:
            return False
        return now_us - candidate.at_us > days * DAY_S * US

    @property
    def overwrites(self) -> bool:
        """Whether frames may go that nobody else holds."""
        return not self.targets and self.retention.without_target == "overwrite_oldest"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the order.  `for_room` = applies only while there is too little room, and only until there is enough.

    `unsaved` = what goes by it may be held nowhere else, and is audited.
    """

    name: str
    what: What
    fits: Callable[[Candidate, Policy, int], bool]
    key: Callable[[Candidate, Policy], Key]
    for_room: bool = True
    unsaved: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One file that goes, and why."""

    candidate: Candidate
    rule: Rule


def _oldest(candidate: Candidate, _policy: Policy) -> Key:
    return candidate.at_us, candidate.item


def _wanted_least(candidate: Candidate, policy: Policy) -> Key:
    """The oldest, or the lowest score: one without a score says nothing against itself and goes after those."""
    if policy.retention.order == "oldest":
        return _oldest(candidate, policy)
    return candidate.score is None, candidate.score or 0, *_oldest(candidate, policy)


def _spare(candidate: Candidate, policy: Policy) -> bool:
    """A frame that others hold and nobody waits for."""
    return policy.verified(candidate) and not candidate.wanted and not candidate.ends


RULES: tuple[Rule, ...] = (
    Rule(
        "unfinished",
        "leftover",
        lambda each, _, now: now - each.at_us > LEFTOVER_AFTER_S * US,
        _oldest,
        for_room=False,
    ),
    Rule(
        "thumbnails_days",
        "thumbnail",
        lambda each, policy, now: not each.newest and policy.old(each, policy.retention.thumbnails_days, now),
        _oldest,
        for_room=False,
    ),
    Rule(
        "quarantined_days",
        "quarantined",
        lambda each, policy, now: policy.old(each, policy.retention.quarantined_days, now),
        _oldest,
        for_room=False,
        unsaved=True,
    ),
    Rule(
        "videos_days",
        "video",
        lambda each, policy, now: not each.pinned and policy.old(each, policy.retention.videos_days, now),
        _oldest,
        for_room=False,
    ),
    Rule(
        "frames_days",
        "frame",
        lambda each, policy, now: (
            policy.verified(each) and not each.wanted and policy.old(each, policy.retention.frames_days, now)
        ),
        _oldest,
        for_room=False,
    ),
    Rule("room_thumbnails", "thumbnail", lambda each, *_: not each.newest, _oldest),
    Rule("room_frames", "frame", lambda each, policy, _: _spare(each, policy), _wanted_least),
    Rule("room_frames_wanted", "frame", lambda each, policy, _: policy.verified(each) and not each.ends, _wanted_least),
    Rule("room_videos_archived", "video", lambda each, policy, _: not each.pinned and policy.verified(each), _oldest),
    Rule("room_videos", "video", lambda each, *_: not each.pinned, _oldest),
    Rule("room_ends", "frame", lambda each, policy, _: policy.verified(each), _oldest),
    Rule("without_target", "frame", lambda _each, policy, _: policy.overwrites, _oldest, unsaved=True),
)
"""The order.  A file goes by the first rule that fits it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many files of a class go by a rule, or went, and their bytes."""

    what: What
    rule: str
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What would go; with `more`, counting ended in its time, and that is the least that would."""

    tallies: tuple[Tally, ...] = ()
    more: bool = False


def choose(
    candidates: Iterable[Candidate], need_bytes: int, policy: Policy, now_us: int, rules: Sequence[Rule] = RULES
) -> tuple[Choice, ...]:
    """What goes: all that is too old, and then, in the order of the rules, until `need_bytes` are free."""
    candidates = tuple(candidates)
    chosen: dict[str, Choice] = {}
    freed = 0
    for rule in rules:
        if rule.for_room and freed >= need_bytes:
            continue
        for candidate in sorted(_fitting(candidates, rule, policy, now_us), key=lambda each: rule.key(each, policy)):
            if candidate.item in chosen:
                continue
            if rule.for_room and freed >= need_bytes:
                break
            chosen[candidate.item] = Choice(candidate, rule)
            freed += candidate.size_bytes
    return tuple(chosen.values())


def _fitting(candidates: Iterable[Candidate], rule: Rule, policy: Policy, now_us: int) -> Iterable[Candidate]:
    return (each for each in candidates if each.what == rule.what and rule.fits(each, policy, now_us))
