"""Playbooks run batch by batch by a real ansible-playbook, on hosts that are this machine and before fake nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.fleet.batches import BatchBegun, Soaking
from console.fleet.client import NodeClient
from console.fleet.rollout import Checked, Terms, Ways, Wishes, check, refuse_held, rollout
from console.fleet.rollout_events import (
    Event,
    How,
    Judged,
    Paused,
    Phase,
    Stopping,
    WentOn,
    Worked,
)
from console.fleet.rollout_plan import Intent, RolloutPlan, Standing, find_playbook, fleet_dir, make_plan
from node.wire.errors import NodesHeld, PlaybookUnusable
from tests.console.playing import Ground, wait_for

SECRET = "Xk29-never-shown"


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    yield made
    left = made.left()
    made.end_left()
    assert left == []


@pytest.fixture
def nodes(ground: Ground, start_node: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def started(*names: str, **changes: Any) -> dict[str, Any]:
        fakes = {name: start_node(name, **changes) for name in names}
        ground.ports |= {name: fake.port for name, fake in fakes.items()}
        return fakes

    return started


Acting = Callable[[Event, Wishes], None]


class Desk:
    """Plans and carries out over a ground; `events` is all that happened, `written` all that was recorded."""

    def __init__(self, ground: Ground, *names: str, canary: str = "", playbook: str = "mixed", **more: Any) -> None:
        self.ground = ground
        self.hosts = tuple(ground.has(*names, canary=canary))
        named = more.pop("named", names)
        self.intent = Intent(
            find_playbook(playbook, ground.folder), ground.inventory, self.hosts, named, owner="mine@here", **more
        )
        self.written: list[Event] = []
        self.events: list[Any] = []
        self.terms = Terms(health_s=0.2, trial_s=0.2, look_s=0.05)

    def _ways(self, clients: dict[str, NodeClient], wishes: Wishes, pause: Any) -> Ways:
        more = {} if pause is None else {"pause": pause}
        return Ways(clients.get, wishes, "mine@here", "test", self.written.append, terms=self.terms, **more)

    def run(
        self, acting: Acting = lambda _event, _wishes: None, *, do: Any = rollout, change: Any = None, pause: Any = None
    ) -> Any:
        return asyncio.run(self._run(acting, do, change, pause))

    async def _run(self, acting: Acting, do: Any, change: Any, pause: Any) -> Any:
        clients = {host.name: NodeClient(host, timeout_s=2.0) for host in self.hosts}
        try:
            plan = await make_plan(self.intent, clients.get)
            plan = change(plan) if change else plan
            wishes = Wishes()
            async for event in do(plan, self._ways(clients, wishes, pause)):
                self.events.append(event)
                acting(event, wishes)
        finally:
            await asyncio.gather(*(client.close() for client in clients.values()))
        return self.events[-1]

    def plan(self) -> RolloutPlan:
        async def made() -> RolloutPlan:
            clients = {host.name: NodeClient(host, timeout_s=2.0) for host in self.hosts}
            try:
                return await make_plan(self.intent, clients.get)
            finally:
                await asyncio.gather(*(client.close() for client in clients.values()))

        return asyncio.run(made())

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def phases(self) -> dict[str, str]:
        return {row.node: row.phase for row in self.events[-1].rows}


def test_canary_goes_first_and_each_batch_is_a_playbook_of_its_own(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo", "charlie")
    desk = Desk(ground, "alpha", "bravo", "charlie", canary="bravo", variables={"word": "said"})
    ended = desk.run()
    assert (ended.how, ended.why) == (How.DONE, "")
    assert [(each.batch, each.number, each.of, each.nodes) for each in desk.of(BatchBegun)] == [
        ("canary", 1, 2, ("bravo",)), ("rest", 2, 2, ("alpha", "charlie")),
    ]  # fmt: skip
    assert desk.phases() == dict.fromkeys(("alpha", "bravo", "charlie"), "done")
    assert ground.changed() == ["alpha", "bravo", "charlie"]
    changed = [event for event in desk.of(Worked) if event.what == "changed"]
    assert {event.node for event in changed} == {"alpha", "bravo", "charlie"}
    assert all("+nothing said" in event.diff for event in changed)
    assert (changed[0].counts.changed, changed[0].counts.ok) == (1, 1)
    assert desk.written == desk.events
    judged = desk.of(Judged)[0]
    assert judged.was.answers
    assert judged.now.quality == {"main": 91}


def test_the_first_failure_ends_it_and_the_others_are_as_they_were(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo")
    ground.does = {"alpha": "fail"}
    desk = Desk(ground, "alpha", "bravo")
    ended = desk.run()
    assert (ended.how, ended.why) == (How.STOPPED, "alpha failed")
    assert desk.phases() == {"alpha": "failed", "bravo": "not begun"}
    [judged] = desk.of(Judged)
    assert judged.said.startswith("It fails: on purpose; still runs 0.1.0 00000000, ready")
    assert ground.changed() == ["alpha"]
    assert all(row.runs == "0.1.0 00000000" for row in ended.rows)


def test_a_host_that_is_cut_off_in_its_batch_ends_it(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo", "charlie")
    ground.does = {"bravo": "away"}
    desk = Desk(ground, "alpha", "bravo", "charlie", canary="alpha")
    assert desk.run().how is How.STOPPED
    assert desk.phases() == {"alpha": "done", "bravo": "unreachable", "charlie": "done"}


def test_check_mode_changes_nothing_and_says_what_would_change_where(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo", "charlie")
    ground.does = {"charlie": "away"}
    desk = Desk(ground, "alpha", "bravo", "charlie")
    found = desk.run(do=check)
    assert isinstance(found, Checked)
    assert ground.changed() == []
    assert list(found.unreachable) == ["charlie"]
    assert found.failed == ()
    assert [change.task for change in found.would["alpha"].changes] == ["A file is there"]
    assert "+nothing none" in found.would["alpha"].changes[0].diff
    left = desk.plan().without(found.unreachable)
    assert left.to_do == ("alpha", "bravo")
    assert left.nodes["charlie"].standing is Standing.DEFERRED


SERIAL = """
- name: One after the other
  hosts: all
  gather_facts: false
  serial: 1
  max_fail_percentage: 0
  tasks:
    - name: A file is there
      ansible.builtin.copy: {content: x, dest: "{{ marks }}/{{ inventory_hostname }}", mode: "0600"}
"""


def test_check_mode_comes_to_those_behind_one_that_is_not_reached(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo", "charlie")
    ground.does = {"alpha": "away"}
    ground.playbook("serial", SERIAL)
    found = Desk(ground, "alpha", "bravo", "charlie", playbook="serial").run(do=check)
    assert list(found.unreachable) == ["alpha"]
    assert [name for name, would in found.would.items() if would.changes] == ["bravo", "charlie"]


def test_what_check_mode_foresees_is_told(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo")
    ground.does = {"bravo": "foreseen"}
    found = Desk(ground, "alpha", "bravo").run(do=check)
    assert [(each.node, each.failed) for each in found.failed] == [("bravo", "It would fail: it is foreseen")]


def test_an_abort_says_what_may_go_on_and_asks_each_node(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo")
    ground.does = {"alpha": "hang"}

    def acting(event: Event, wishes: Wishes) -> None:
        if getattr(event, "task", "") == "It hangs":
            wishes.abort("aborted by anna")

    desk = Desk(ground, "alpha", "bravo")
    ended = desk.run(acting)
    assert (ended.how, ended.why) == (How.ABORTED, "aborted by anna")
    [stopping] = desk.of(Stopping)
    assert stopping.nodes == ("alpha",)
    [judged] = desk.of(Judged)
    assert judged.phase is Phase.UNKNOWN
    assert "may go on there; still runs 0.1.0" in judged.said
    assert desk.phases() == {"alpha": "unknown", "bravo": "not begun"}
    assert ground.left() == []


def test_a_playbook_that_says_nothing_any_more_is_ended_in_time(ground: Ground, nodes: Any) -> None:
    nodes("alpha")
    ground.does = {"alpha": "hang"}
    desk = Desk(ground, "alpha")
    desk.terms = Terms(quiet_s=6.0)
    ended = desk.run()
    assert ended.how is How.STOPPED
    assert desk.of(Stopping)[0].why == "nothing was heard of it for 6 s"
    assert desk.phases() == {"alpha": "unknown"}


def test_a_pause_holds_the_next_batch_until_somebody_lets_it_go_on(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo")
    at_pause: list[list[str]] = []

    def acting(event: Event, wishes: Wishes) -> None:
        if isinstance(event, BatchBegun) and event.number == 1:
            wishes.hold("anna")
        if isinstance(event, Paused):
            at_pause.append(ground.changed())
            asyncio.get_running_loop().call_later(0.1, wishes.go_on, "bob")

    desk = Desk(ground, "alpha", "bravo")
    assert desk.run(acting).how is How.DONE
    assert [event.by for event in (*desk.of(Paused), *desk.of(WentOn))] == ["anna", "bob"]
    assert at_pause == [["alpha"]]


def test_a_paused_one_can_be_aborted(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo")

    def acting(event: Event, wishes: Wishes) -> None:
        wishes.hold("anna")
        if isinstance(event, Paused):
            wishes.abort("enough")

    desk = Desk(ground, "alpha", "bravo")
    assert desk.run(acting).how is How.ABORTED
    assert desk.phases() == {"alpha": "done", "bravo": "not begun"}


@pytest.mark.parametrize(
    ("changes", "phase", "said"),
    [
        ({"ready": False, "reasons": ["camera is gone"]}, "failed", "it is not ready: camera is gone"),
        ({"queue": {"dead": 2}}, "failed", "dead jobs rose from 0 to 2"),
        ({"release": {"state": "rolled_back", "version": "0.5.0", "since": "now", "reason": "no frame"}}, "failed",
         "it went back to the release of before: no frame"),
        ({"release": {"state": "provisional", "version": "0.5.0", "since": "now"}}, "provisional", "nothing was due"),
        ({"release": {"state": "trial", "version": "0.5.0", "since": "now"}}, "unknown", "its release is on trial"),
    ],
)  # fmt: skip
def test_a_node_that_is_not_well_after_it_ends_it_whatever_ansible_says(
    ground: Ground, nodes: Any, changes: dict[str, Any], phase: str, said: str
) -> None:
    fakes = nodes("alpha", "bravo")

    def acting(event: Event, _wishes: Wishes) -> None:
        if isinstance(event, BatchBegun):
            fakes["alpha"].says(**changes)

    desk = Desk(ground, "alpha", "bravo")
    ended = desk.run(acting)
    assert ended.how is (How.DONE if phase == "provisional" else How.STOPPED)
    assert desk.phases()["alpha"] == phase
    assert said in desk.of(Judged)[0].said


def test_a_node_that_falls_ill_while_it_is_watched_ends_it(ground: Ground, nodes: Any) -> None:
    fakes = nodes("alpha", "bravo")

    async def pause(seconds: float) -> None:
        if seconds == 60:
            fakes["alpha"].says(queue={"dead": 1})
        await asyncio.sleep(0.01)

    desk = Desk(ground, "alpha", "bravo", soak_s=60.0)
    ended = desk.run(pause=pause)
    assert desk.of(Soaking)[0].seconds == 60
    assert ended.how is How.STOPPED
    assert desk.of(Judged)[-1].said == "while it was watched: dead jobs rose from 0 to 1"
    assert ground.changed() == ["alpha"]


LEASE = {"owner": "push-1@elsewhere", "message": "anna pushes", "until": "2027-01-15T09:00:00.000Z"}


def test_a_node_that_another_run_holds_is_left_alone(ground: Ground, nodes: Any) -> None:
    nodes("alpha", "bravo")["alpha"].says(lease=LEASE)
    plan = Desk(ground, "alpha", "bravo").plan()
    assert plan.nodes["alpha"].standing is Standing.HELD
    assert plan.to_do == ("bravo",)
    with pytest.raises(NodesHeld, match="alpha: held by push-1@elsewhere"):
        refuse_held(Desk(ground, "alpha").plan())


def test_a_node_that_is_taken_before_its_turn_ends_it_before_anything_is_changed(ground: Ground, nodes: Any) -> None:
    fakes = nodes("alpha", "bravo", "charlie")

    def taken(plan: RolloutPlan) -> RolloutPlan:
        fakes["alpha"].says(lease=LEASE)
        return plan

    desk = Desk(ground, "alpha", "bravo", "charlie", canary="alpha")
    assert desk.run(change=taken).how is How.STOPPED
    assert desk.of(Judged)[0].said == "held by push-1@elsewhere; nothing was changed"
    assert ground.changed() == []


def test_one_s_own_lease_is_no_hindrance(ground: Ground, nodes: Any) -> None:
    nodes("alpha")["alpha"].says(lease=LEASE | {"owner": "mine@here"})
    assert Desk(ground, "alpha").plan().to_do == ("alpha",)


def test_a_silent_node_is_put_off_unless_it_was_named(ground: Ground, nodes: Any) -> None:
    nodes("alpha")
    desk = Desk(ground, "alpha", "bravo", named=())
    assert desk.plan().to_do == ("alpha",)
    named = Desk(ground, "alpha", "bravo")
    assert named.plan().to_do == ("alpha", "bravo")
    assert named.run().how is How.DONE
    assert "nor did it before" in named.of(Judged)[1].said


def test_where_no_canary_answers_any_more_nobody_follows(ground: Ground, nodes: Any) -> None:
    fakes = nodes("alpha", "bravo")

    def gone(plan: RolloutPlan) -> RolloutPlan:
        fakes["alpha"].code = 500
        return plan

    desk = Desk(ground, "alpha", "bravo", canary="alpha")
    assert desk.run(change=gone).how is How.STOPPED
    assert ground.changed() == []


def test_a_playbook_that_ansible_cannot_read_says_why(ground: Ground, nodes: Any) -> None:
    nodes("alpha")
    ground.playbook("torn", "- hosts: all\n  tasks: [{name: x\n")
    desk = Desk(ground, "alpha", playbook="torn")
    found = desk.run(do=check)
    assert "YAML" in found.failed[0].failed
    assert desk.run().how is How.STOPPED


def test_a_playbook_for_nobody_of_them_is_told_as_that(ground: Ground, nodes: Any) -> None:
    nodes("alpha")
    ground.playbook("other", "- {name: Others, hosts: nobody, gather_facts: false, tasks: []}\n")
    desk = Desk(ground, "alpha", playbook="other")
    assert desk.run().how is How.DONE
    assert desk.of(Judged)[0].said.startswith("the playbook has nothing for it")


def test_no_secret_is_in_any_event_plan_or_process_list(ground: Ground, nodes: Any) -> None:
    nodes("alpha")
    ground.does = {"alpha": "hang"}
    shown: list[bytes] = []

    def acting(event: Event, wishes: Wishes) -> None:
        if getattr(event, "task", "") == "It hangs":
            shown.extend(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in ground.left())
            wishes.abort("enough")

    desk = Desk(ground, "alpha", variables={"my_token": SECRET, "word": "open"})
    desk.run(acting)
    assert (ground.folder / "marks" / "alpha").read_text() == f"{SECRET} open\n"
    assert shown
    assert SECRET.encode() not in b"".join(shown)
    assert SECRET not in repr(desk.events) + repr(desk.plan()) + json.dumps(desk.plan().shown())
    assert "*** open" in repr(desk.events)


@pytest.mark.parametrize("name", ["gone", "../hosts", "/etc/passwd", "", "a/b", "-x"])
def test_only_a_name_of_the_fleet_s_playbooks_is_one(ground: Ground, name: str) -> None:
    with pytest.raises(PlaybookUnusable, match="which has: mixed"):
        find_playbook(name, ground.folder)


def test_a_playbook_that_asks_questions_is_refused_also_where_another_brings_it(ground: Ground) -> None:
    ground.playbook("asks", "- hosts: all\n  vars_prompt:\n    - name: word\n  tasks: []\n")
    ground.playbook("brings", "- name: All of it\n  ansible.builtin.import_playbook: asks.yml\n")
    ground.playbook("round", "- import_playbook: round.yml\n")
    for name in ("asks", "brings"):
        with pytest.raises(PlaybookUnusable, match=r"asks\.yml has vars_prompt"):
            find_playbook(name, ground.folder)
    assert find_playbook("round", ground.folder).name == "round"


def test_the_fleet_s_folder_is_the_nearest_with_a_configuration(ground: Ground, tmp_path_factory: Any) -> None:
    assert fleet_dir(None, ground.folder / "playbooks") == ground.folder
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(PlaybookUnusable, match=r"has no ansible\.cfg"):
        fleet_dir(empty)
    with pytest.raises(PlaybookUnusable, match="upwards: name it with --fleet"):
        fleet_dir(None, Path("/proc"))


def test_an_engine_that_is_put_away_early_leaves_no_playbook(ground: Ground, nodes: Any) -> None:
    nodes("alpha")
    ground.does = {"alpha": "hang"}
    desk = Desk(ground, "alpha")

    async def leave(plan: RolloutPlan, ways: Ways) -> Any:
        events = rollout(plan, ways)
        async for event in events:
            if getattr(event, "task", "") == "It hangs":
                break
        await events.aclose()
        yield None

    desk.run(do=leave)
    wait_for(lambda: not ground.left(), "its processes end")
