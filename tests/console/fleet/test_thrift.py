"""A status kept is the status that came, only smaller."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from console.fleet import thrift
from console.fleet.thrift import thrifty
from node.wire.status import NodeStatus
from tests.bench.fleet.life import SimNode

BODY = SimNode("cam-1", 1).body()


def kept(count: int, keep: Callable[[NodeStatus], NodeStatus]) -> int:
    """Bytes."""
    tracemalloc.start()
    held = [keep(NodeStatus.model_validate_json(BODY)) for _ in range(count)]
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(held) == count
    return size


def test_it_says_what_it_said() -> None:
    plain, small = NodeStatus.model_validate_json(BODY), thrifty(NodeStatus.model_validate_json(BODY))
    assert small == plain
    assert small.model_dump_json(exclude_unset=True) == plain.model_dump_json(exclude_unset=True)


def test_it_is_less_than_half_the_size() -> None:
    assert kept(50, thrifty) * 2 < kept(50, lambda status: status)


def test_parts_share_what_they_have_in_common(make_status: Callable[..., Any]) -> None:
    first, second = thrifty(make_status()), thrifty(make_status("nairobi"))
    assert first.cameras[0].model_fields_set is second.cameras[0].model_fields_set


def test_odd_combinations_do_not_pile_up(make_status: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thrift, "_KNOWN", {})
    monkeypatch.setattr(thrift, "KNOWN_MOST", 1)
    odd = thrifty(make_status(alerts_total=3))
    assert (len(thrift._KNOWN), odd.alerts_total) == (1, 3)
