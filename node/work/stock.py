"""What lies on the disk and might go: the rules walked in their order, page by page, by whoever acts or only counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.domain.config import DAY_S
from node.domain.retention import Candidate, Policy, Rule, Tally, What, choose
from node.domain.times import US, to_datetime
from node.store import removing
from node.store.retention import PAGE, RetentionReader, Search

CHUNK = 25
"""Files that go together, in one transaction."""
_RECENT_US = 3 * DAY_S * US

Source = Callable[[Search, Candidate | None, int], list[Candidate]]
Act = Callable[[Rule, Sequence[Candidate]], Sequence[Candidate]]
"""Does with these candidates what is to be done; those that went."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One walk: by which rules and policy, how candidates are looked for, and how much room there must be."""

    policy: Policy
    search: Search
    rules: tuple[Rule, ...]
    need_bytes: int
    now_us: int


class Stock:
    """Candidates in the order in which a rule wants them."""

    def __init__(self, data_dir: Path, reader: RetentionReader) -> None:
        self._data, self._reader = data_dir, reader
        self._sources: dict[What, Source] = {
            "leftover": lambda *_: [],
            "thumbnail": lambda _, after, limit: removing.thumbnails(data_dir, after, limit),
            "quarantined": reader.quarantined,
            "video": reader.videos,
            "frame": reader.held,
        }

    def pages(self, rule: Rule, plan: Plan) -> Iterator[list[Candidate]]:
        """Each page goes on after the last candidate of the one before."""
        if rule.what == "leftover":
            yield removing.leftovers(self._data, to_datetime(max(0, plan.now_us - _RECENT_US)).date().isoformat())
        source, after = self._source(rule, plan.policy), None
        while page := source(plan.search, after, PAGE):
            yield page
            after = page[-1]

    def _source(self, rule: Rule, policy: Policy) -> Source:
        if rule.name == "without_target":
            return self._reader.oldest if policy.overwrites else lambda *_: []
        if rule.what == "frame" and rule.for_room and policy.retention.order == "thin":
            return self._reader.thinnest
        return self._sources[rule.what]


@dataclass(slots=True)
class Walk:
    """Rule after rule; those for room only until there is enough.

    A class in `closed` is passed over from then on.  It ends early, and is `cut` then, where `over` says so, asked
    after each few files.
    """

    stock: Stock
    plan: Plan
    act: Act
    closed: set[What] = field(default_factory=set)
    over: Callable[[], bool] = lambda: False
    freed_bytes: int = 0
    cut: bool = False

    def tallies(self) -> Iterator[Tally]:
        """What went by each rule."""
        for number, rule in enumerate(self.plan.rules):
            sizes = [each.size_bytes for went in self._by(number, rule) for each in went]
            if sizes:
                yield Tally(rule.what, rule.name, len(sizes), sum(sizes))

    def _by(self, number: int, rule: Rule) -> Iterator[Sequence[Candidate]]:
        if not self._goes_on(rule):
            return
        for page in self.stock.pages(rule, self.plan):
            left = [each for each in page if not self._is_of_earlier(number, each)]
            need = max(0, self.plan.need_bytes - self.freed_bytes)
            chosen = [each.candidate for each in choose(left, need, self.plan.policy, self.plan.now_us, (rule,))]
            for start in range(0, len(chosen), CHUNK):
                went = self.act(rule, chosen[start : start + CHUNK])
                self.freed_bytes += sum(each.size_bytes for each in went)
                yield went
                if not self._goes_on(rule):
                    return
            if not chosen and not rule.for_room and any(each.dated for each in page):
                return  # the rest is younger
            if not chosen and not self._goes_on(rule):
                return

    def _goes_on(self, rule: Rule) -> bool:
        enough = rule.for_room and self.freed_bytes >= self.plan.need_bytes
        if enough or rule.what in self.closed:
            return False
        self.cut = self.cut or self.over()
        return not self.cut

    def _is_of_earlier(self, number: int, candidate: Candidate) -> bool:
        """It had its turn: what went is not there any more, or was only counted; what stayed has its reason."""
        return any(
            rule.what == candidate.what and rule.fits(candidate, self.plan.policy, self.plan.now_us)
            for rule in self.plan.rules[:number]
        )
