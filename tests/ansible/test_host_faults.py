"""Hosts cut off, full, broken or without power: they come back by themselves, and no kept frame is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from tests.ansible.conftest import Site
from tests.ansible.hosts_books import Books, at_a_slot, hashes, now_us, read, said_kept, seen
from tests.lab.host import Host, until
from tests.simulate.ledger import US

pytestmark = pytest.mark.lab

SEEN_WITHIN_S, BACK_WITHIN_S = 120.0, 180.0
FILL = "fallocate -l $(( $(stat -f -c %a / ) * $(stat -f -c %S /) )) /var/filled"
"""All that is free; the kernel keeps some for root."""

Node = dict[str, Any]


def alerts(node: Node) -> set[str]:
    return {alert["code"] for alert in (node["status"] or {"alerts": []})["alerts"] if alert["severity"] == "crit"}


def is_unreachable(node: Node) -> bool:
    return (node["state"], node["exit"]) == ("unreachable", 2) and bool(node["error"]["hint"])


def is_full(node: Node) -> bool:
    shown = (node["state"], node["exit"]) == ("crit", 2) and "disk_full" in alerts(node)
    return shown and node["status"]["disk"]["step"] == "stopped" and "capture stops" in node["cause"]


def is_read_only(node: Node) -> bool:
    shown = (node["state"], node["exit"]) == ("crit", 2)
    return shown and {"disk_unwritable", "database_fault"} <= alerts(node) and "DSK-002" in node["cause"]


def cut_power(host: Host) -> None:
    """While a frame is being taken."""
    at_a_slot()
    host.power_cut()


def power(host: Host) -> None:
    host.power_cut()
    host.start()


@dataclass(frozen=True, slots=True)
class Fault:
    host: str
    begin: Callable[[Host], object]
    end: Callable[[Host], object]
    shown: Callable[[Node], bool] | None
    """What the console says meanwhile; None = it need not see it."""
    reasons: frozenset[str]
    """Gaps that it may leave."""


FAULTS: dict[str, Fault] = {
    "power cut": Fault("alpha", cut_power, Host.start, is_unreachable, frozenset({"process_down"})),
    "network cut": Fault("bravo", lambda host: host.link(up=False), lambda host: host.link(up=True), is_unreachable,
                         frozenset()),
    "reboot": Fault("bravo", Host.reboot, lambda _: None, None, frozenset({"process_down"})),
    "full disk": Fault("charlie", lambda host: host.inside(FILL), lambda host: host.inside("rm /var/filled"), is_full,
                       frozenset({"disk_full"})),
    "read-only root": Fault("charlie", Host.card_error, power, is_read_only, frozenset({"process_down"})),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Endured:
    """One fault, from before it until the node was well again."""

    kept: dict[str, str]
    """Hash by id, as the API told before."""
    since_us: int
    until_us: int
    during: Node
    after: Node
    back_s: float
    """From the fault's end to the first new frame and a console that has no complaint."""


def endure(site: Site, fault: Fault) -> Endured:
    host = site.lab.host(fault.host)
    kept, since_us = said_kept(host, site.lab), now_us()
    fault.begin(host)
    during = awaited(site, host.name, fault.shown or (lambda _: True), SEEN_WITHIN_S)
    fault.end(host)
    ended_us = now_us()
    after = awaited(site, host.name, lambda node: is_well(node, ended_us), BACK_WITHIN_S)
    return Endured(kept, since_us, now_us(), during, after, (now_us() - ended_us) / US)


def awaited(site: Site, name: str, holds: Callable[[Node], bool], within_s: float) -> Node:
    """What the console shows when it is as wanted."""
    last: list[Node] = [{}]

    def look() -> bool:
        last[0] = seen(site, name)
        return holds(last[0])

    try:
        until(look, within_s)
    except TimeoutError:
        pytest.fail(f"after {within_s} s the console shows {name} as {last[0]}")
    return last[0]


def is_well(node: Node, since_us: int) -> bool:
    """No complaint, and a frame of a slot since."""
    if (node["state"], node["exit"]) != ("ok", 0):
        return False
    [camera] = node["status"]["cameras"]
    return camera["last_good"] is not None and datetime.fromisoformat(camera["last_good"]).timestamp() * US > since_us


def one_after_the_other(site: Site, names: list[str]) -> dict[str, Endured]:
    return {name: endure(site, FAULTS[name]) for name in names}


@pytest.fixture(scope="module")
def endured(site: Site) -> dict[str, Endured]:
    """All of them, on each host in turn, on the hosts at once."""
    for name in ("alpha", "bravo", "charlie"):
        awaited(site, name, lambda node: is_well(node, 0), BACK_WITHIN_S)
    by_host = [[name for name, fault in FAULTS.items() if fault.host == host] for host in ("alpha", "bravo", "charlie")]
    with ThreadPoolExecutor(len(by_host)) as threads:
        stories = list(threads.map(lambda names: one_after_the_other(site, names), by_host))
    return {name: each for story in stories for name, each in story.items()}


@pytest.fixture(scope="module")
def books(site: Site, endured: dict[str, Endured]) -> dict[str, Books]:
    """Of the time of each fault."""
    return {
        name: read(site.lab.host(FAULTS[name].host), each.since_us, each.until_us) for name, each in endured.items()
    }


each_fault = pytest.mark.parametrize("name", FAULTS)


@each_fault
def test_a_host_comes_back_by_itself(endured: dict[str, Endured], name: str, told: Callable[[str], None]) -> None:
    told(f"after {name}: well again within {endured[name].back_s:.0f} s")
    assert endured[name].back_s < BACK_WITHIN_S
    assert endured[name].after["status"]["ready"]
    assert endured[name].after["cause"] == ""


@each_fault
def test_no_frame_is_lost_that_was_said_to_be_kept(site: Site, endured: dict[str, Endured], name: str) -> None:
    host = site.lab.host(FAULTS[name].host)
    assert len(endured[name].kept) > 0
    assert set(endured[name].kept.values()) - hashes(host) == set()
    assert endured[name].kept.items() <= said_kept(host, site.lab).items()


@each_fault
def test_every_slot_of_that_time_is_a_frame_or_a_gap_with_its_reason(books: dict[str, Books], name: str) -> None:
    assert len(books[name].due) > 0
    assert books[name].wrong == []
    assert books[name].reasons.keys() <= FAULTS[name].reasons
    assert len(books[name].frames) > 0


@pytest.mark.parametrize("name", ["full disk", "read-only root"])
def test_a_disk_that_takes_nothing_leaves_gaps(books: dict[str, Books], name: str) -> None:
    assert len(books[name].gaps) > 0


def test_a_node_without_a_network_misses_no_slot(books: dict[str, Books]) -> None:
    assert books["network cut"].frames == books["network cut"].due
