"""Nodes that misbehave: each is shown for what it is, and nobody else has to suffer for it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from console.fleet.client import NodeClient
from console.fleet.inventory import Host
from console.fleet.poller import EVENTS_BREATH_S, EVENTS_BURST, Fleet
from console.fleet.summary import as_json
from console.fleet.view import EVENTS_KEPT, FleetModel, Patience, Word, cause
from node.wire.errors import NodeCertificateForeign
from tests.bench.fleet.beside import fleet
from tests.bench.fleet.certificate import LOOPBACK, make
from tests.bench.fleet.growth import POLL_S, TIMEOUT_S, met, until
from tests.bench.fleet.hostile import MANNERS, Hostile

SHOWN = {
    "hangs": (Word.UNREACHABLE, f"no answer within {TIMEOUT_S:g} s"),
    "hangs-before-the-body": (Word.UNREACHABLE, f"no answer within {TIMEOUT_S:g} s"),
    "drips": (Word.UNREACHABLE, f"no answer within {TIMEOUT_S:g} s"),
    "drips-headers": (Word.UNREACHABLE, f"no answer within {TIMEOUT_S:g} s"),
    "huge": (Word.GARBLED, "more than 1,000,000 bytes"),
    "endless": (Word.GARBLED, "more than 1,000,000 bytes"),
    "huge-problem": (Word.GARBLED, "HTTP 500"),
    "unknown-token": (Word.REFUSED, "HTTP 401"),
    "wrong-types": (Word.GARBLED, "uptime_s: "),
    "deep": (Word.GARBLED, "Invalid JSON: recursion limit"),
    "other-name": (Word.GARBLED, "it calls itself 'somebody-else'"),
    "future": (Word.WARN, ""),
    "oldest": (Word.CRIT, ""),
    "drops-streams": (Word.WARN, ""),
    "endless-line": (Word.WARN, ""),
    "endless-fields": (Word.WARN, ""),
    "floods": (Word.WARN, ""),
    "resets": (Word.WARN, ""),
    "babbles": (Word.UNREACHABLE, "illegal"),
    "page": (Word.GARBLED, "Invalid JSON"),
    "packed": (Word.GARBLED, "Invalid JSON"),
    "redirects": (Word.GARBLED, "HTTP 302"),
    "hangs-up": (Word.UNREACHABLE, ""),
    "most": (Word.WARN, ""),
    "beyond": (Word.GARBLED, "last_event_id: a number of more than 64 bits"),
    "curses": (Word.REFUSED, "HTTP 401:  [2J"),
}
STREAMED = {"future", "oldest", "drops-streams", "endless-line", "endless-fields", "floods", "resets", "most"}
GOOD = 3
GROWTH_KB = 60_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What a console made of such a fleet in a few seconds."""

    model: FleetModel
    words: dict[str, tuple[Word, str]]
    listened: set[str]
    took_s: float
    grown_kb: int


async def _look(hosts: tuple[Host, ...], grown_kb: int) -> Seen:
    console = Fleet(hosts, patience=Patience(POLL_S), connect=lambda host: NodeClient(host, timeout_s=TIMEOUT_S))
    running, began_s = asyncio.create_task(console.run()), time.monotonic()
    model = console.model
    await until(lambda: met(model) and {name[8:] for name, node in console._nodes.items() if node.listens} == STREAMED)
    now_s = model.clock.monotonic()
    words = {name: (model.word(name), cause(view, model.word(name), now_s)) for name, view in model.views.items()}
    listened = {name for name, node in console._nodes.items() if node.listens}
    running.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(running, return_exceptions=True)
    return Seen(model, words, listened, time.monotonic() - began_s, grown_kb)


def _grown_kb(inventory: Path) -> int:
    """In a process of its own: what this one has needed before must not hide it."""
    command = [sys.executable, "-m", "tests.bench.fleet.growth", str(inventory)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return int(json.loads(done.stdout)["grown_kb"])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("hostile")
    with fleet(folder, "--nodes", str(GOOD), "--faults", "0", "--hostile", str(len(MANNERS))) as hosts:
        (inventory,) = (path for path in folder.iterdir() if path.suffix in {".json", ".yml"})
        yield asyncio.run(_look(hosts, _grown_kb(inventory)))


def test_every_manner_is_expected_as_something() -> None:
    assert set(SHOWN) == set(MANNERS)


@pytest.mark.parametrize("manner", SHOWN)
def test_a_hostile_node_is_shown_for_what_it_is(seen: Seen, manner: str) -> None:
    expected, words = SHOWN[manner]
    word, why = next(said for name, said in seen.words.items() if name[8:] == manner)
    assert word is expected, why
    assert words in why


def test_the_others_do_not_suffer(seen: Seen) -> None:
    assert [seen.words[f"cam-{number:04}"][0] for number in range(GOOD)] == [Word.OK] * GOOD


def test_only_those_that_answer_are_listened_to(seen: Seen) -> None:
    assert {name[8:] for name in seen.listened} == STREAMED


def test_memory_stays_bounded(seen: Seen) -> None:
    assert 0 < seen.grown_kb < GROWTH_KB


def test_a_flood_of_events_is_kept_within_bounds(seen: Seen) -> None:
    flood = [one.event.id for one in seen.model.happenings if one.node.endswith("-floods")]
    assert 0 < len(flood) <= max(flood) <= EVENTS_BURST * (1 + seen.took_s / EVENTS_BREATH_S)
    assert len(seen.model.happenings) <= EVENTS_KEPT


def test_all_of_it_can_still_be_written_as_json(seen: Seen) -> None:
    assert len(json.loads(json.dumps(as_json(seen.model), allow_nan=False))["nodes"]) == GOOD + len(MANNERS)


def test_a_node_with_the_wrong_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    theirs, ours = make(tmp_path, "theirs"), make(tmp_path, "ours")

    async def whole() -> str:
        hostile = Hostile()
        port = await hostile.start("cam", "future", theirs)
        client = NodeClient(Host("cam", LOOPBACK, port, ca_file=str(ours.public)))
        with pytest.raises(NodeCertificateForeign) as caught:
            await client.status()
        await client.close()
        right = NodeClient(Host("cam", LOOPBACK, port, ca_file=str(theirs.public)))
        assert (await right.status()).version == "9.0.0"
        await right.close()
        hostile.close()
        assert hostile.visits == {"cam": 1}
        return caught.value.detail

    assert asyncio.run(whole()) == "its certificate is signed by itself"
