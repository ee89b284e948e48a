"""The fleet in figures, kept in step or counted anew: both say the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from console.fleet.inventory import Host
from console.fleet.summary import Tally, counts, oldest_s
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable

HOSTS = [Host(f"cam-{number}", "127.0.0.1", 1000 + number) for number in range(30)]


def test_a_tally_says_what_counting_says(hand: Any, make_status: Callable[..., Any]) -> None:
    model = FleetModel(HOSTS, patience=Patience(), clock=hand.as_clock())
    tally, dice = Tally(model), random.Random(5)
    acts: list[Callable[[str], object]] = [
        lambda name: model.heard(name, make_status(name, state=dice.choice(("ok", "warn", "crit")))),
        lambda name: model.failed(name, NodeUnreachable("no route")),
        lambda name: model.restore(name, make_status(name), 0),
        lambda _: model.set_hosts(dice.sample(HOSTS, 20)),
        lambda _: model.set_hosts(HOSTS),
        lambda _: setattr(hand, "now_s", hand.now_s + dice.choice((0.1, 7, 30.1, 46))),
    ]
    seen = set()
    for _ in range(600):
        dice.choice(acts)(dice.choice(HOSTS).name)
        assert tally.counts() == counts(model)
        seen |= tally.counts().keys()
    assert len(seen) >= 6


def test_the_oldest_answer_is_known_once_all_have_answered(hand: Any, make_status: Callable[..., Any]) -> None:
    model = FleetModel(HOSTS[:2], patience=Patience(), clock=hand.as_clock())
    assert oldest_s(FleetModel((), patience=Patience(), clock=hand.as_clock())) is None
    model.heard("cam-0", make_status("cam-0"))
    assert oldest_s(model) is None
    hand.now_s += 3
    model.heard("cam-1", make_status("cam-1"))
    assert oldest_s(model) == 3
