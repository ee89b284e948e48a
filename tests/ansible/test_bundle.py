"""What a host lacks, decided from its fact on the control side."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ansible import plugins

Filters = dict[str, Callable[..., Any]]
Json = dict[str, Any]
PROGRAM = Path(__file__).parents[2] / "roles/bundle/files/place.py"
ALL = (["all"], [])
UNIT = {"there": True, "enabled": True, "active": True, "masked": False, "state": "enabled"}
OFF = {**UNIT, "enabled": False, "active": False, "state": "disabled"}


@pytest.fixture
def filters() -> Filters:
    return plugins.filters()


def part(role: str = "base", **more: Any) -> Json:
    return {"role": role, **more}


@pytest.fixture
def plan(filters: Filters) -> Callable[..., Json]:
    def of(*parts: Json, state: Json | None = None, run: Any = ("all",), skip: Any = (), whole: bool = True) -> Json:
        found: Json = filters["bundle_plan"](list(parts), state or {}, run, skip, whole)
        return found

    return of


def placed(tmp_path: Path, plan: Json) -> Json:
    argv = [sys.executable, str(PROGRAM), "apply", "--root", str(tmp_path)]
    done = subprocess.run(argv, input=plan["text"], capture_output=True, text=True, check=True, timeout=60)
    fact: Json = json.loads(done.stdout)["fact"]
    return fact


def test_a_host_that_has_everything_is_due_nothing(plan: Callable[..., Json], tmp_path: Path) -> None:
    """The digest here and there is of the same text."""
    parts = (part(links=[{"path": "/é", "to": 'x"\\'}]), part("two:x"))
    first = plan(*parts)
    assert first["due"]
    assert first["files"]
    second = plan(*parts, state=placed(tmp_path, first))
    assert not second["due"]


@pytest.mark.parametrize("state", [{"pending": True}, {"trouble": "damaged"}])
def test_what_was_begun_or_is_damaged_is_due(plan: Callable[..., Json], tmp_path: Path, state: Json) -> None:
    fact = placed(tmp_path, plan(part()))
    assert plan(part(), state={**fact, **state})["files"]


def test_what_has_drifted_is_due(plan: Callable[..., Json], tmp_path: Path) -> None:
    wanted = part(links=[{"path": "/l", "to": "x"}])
    fact = placed(tmp_path, plan(wanted))
    fact["parts"]["base"]["drifted"] = ["/l"]
    assert plan(wanted, state=fact)["files"]


def test_a_part_that_is_no_longer_there_is_due_in_a_whole_bundle_alone(
    plan: Callable[..., Json], tmp_path: Path
) -> None:
    fact = placed(tmp_path, plan(part(), part("two")))
    assert plan(part(), state=fact)["files"]
    assert not plan(part(), state=fact, whole=False)["due"]


@pytest.mark.parametrize(
    ("run", "skip", "chosen"),
    [
        (["all"], [], ["base", "hardening:ssh", "hardening:firewall"]),
        (["base"], [], ["base"]),
        (["hardening"], [], ["hardening:ssh", "hardening:firewall"]),
        (["ssh"], [], ["hardening:ssh"]),
        (["hardening_ssh"], [], ["hardening:ssh"]),
        (["all"], ["hardening_ssh"], ["base", "hardening:firewall"]),
        (["all"], ["hardening"], ["base"]),
        (["all"], ["firewall"], ["base", "hardening:ssh"]),
        (["other"], [], []),
    ],
)
def test_tags_choose_parts_and_then_the_bundle_is_not_whole(
    plan: Callable[..., Json], run: list[str], skip: list[str], chosen: list[str]
) -> None:
    parts = (part(), part("hardening:ssh"), part("hardening:firewall"))
    text = json.loads(plan(*parts, run=run, skip=skip)["text"])
    assert [each["role"] for each in text["parts"]] == chosen
    assert text["whole"] == (len(chosen) == 3)


def test_packages_groups_and_holds_that_are_missing_are_named(plan: Callable[..., Json]) -> None:
    state = {"packages": {"a": "1"}, "groups": ["x"], "held": ["old", "theirs"], "parts": {"base": {"held": ["old"]}}}
    state["parts"]["base"] |= {"digest": "", "drifted": []}
    said = plan(part(packages=["a", "b", "b"], groups=["x", "y"], held=["a"]), state=state)
    assert (said["packages"], said["groups"]) == (["b"], ["y"])
    assert said["selections"] == [{"name": "a", "selection": "hold"}, {"name": "old", "selection": "install"}]
    assert said["before"]


def account(**more: Any) -> Json:
    return {"shell": "/bin/sh", "home": "/home/pi", "groups": ["pi"], "locked": False, "max_days": None, **more}


@pytest.mark.parametrize(
    ("user", "fits"),
    [
        ({}, True),
        ({"shell": "/bin/sh", "home": "/home/pi", "groups": ["pi"], "locked": False, "max_days": -1}, True),
        ({"shell": "/bin/bash"}, False),
        ({"groups": ["pi", "video"]}, False),
        ({"locked": True}, False),
        ({"max_days": 90}, False),
    ],
)
def test_a_user_that_is_otherwise_than_wanted_is_made_so(plan: Callable[..., Json], user: Json, fits: bool) -> None:
    said = plan(part(users=[{"name": "pi", **user}]), state={"accounts": {"pi": account()}})
    assert bool(said["users"]) != fits


def test_what_two_parts_want_of_one_user_is_one_wish(plan: Callable[..., Json]) -> None:
    said = plan(
        part(users=[{"name": "pi", "groups": ["a"]}]), part("two", users=[{"name": "pi", "groups": ["b", "a"]}])
    )
    assert said["users"] == [{"name": "pi", "groups": ["a", "b"]}]


@pytest.mark.parametrize(
    ("wanted", "now", "asked"),
    [
        ({}, UNIT, None),
        ({}, OFF, (True, "started")),
        ({}, None, (True, "started")),
        ({"optional": True}, None, None),
        ({"optional": True, "enabled": False, "started": False}, UNIT, (False, "stopped")),
        ({"enabled": False, "started": False}, OFF, None),
        ({"started": None}, {**UNIT, "active": False}, None),
        ({"enabled": None, "started": None}, OFF, None),
        ({"enabled": False}, {**UNIT, "state": "static"}, None),
        ({"masked": True}, UNIT, (None, "stopped")),
        ({"masked": True}, {**OFF, "masked": True}, None),
        ({}, {**OFF, "masked": True}, (True, "started")),
    ],
)
def test_a_unit_is_asked_for_where_it_is_not_as_wanted(filters: Filters, wanted: Json, now: Any, asked: Any) -> None:
    state = {"units": {"x": now}} if now else {}
    found = filters["bundle_units"]([{"name": "x", **wanted}], state)
    assert [(unit["enabled"], unit["state"]) for unit in found] == ([asked] if asked else [])


def test_steps_of_roles_are_named_and_not_part_of_what_is_placed(plan: Callable[..., Json]) -> None:
    step = {"role": "node", "tasks": "release"}
    said = plan(part(steps=[step], after=[step]))
    assert (said["steps"], said["after"]) == ([step], [step])
    assert json.loads(said["text"])["parts"] == [part()]


@pytest.mark.parametrize("wrong", [[], "base", {"files": []}, None])
def test_a_part_that_is_none_is_named(plan: Callable[..., Json], wrong: Any) -> None:
    with pytest.raises(TypeError, match="no mapping with a role"):
        plan(wrong)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"stdout": '{"error": "x", "path": "/y", "remedy": "z"}'}, "x"),
        ({"stdout": "", "stderr": "Traceback\nSyntaxError: bad"}, "SyntaxError: bad"),
        ({"msg": "no python3"}, "no python3"),
        ({}, "nothing that can be read"),
        ({"stdout": "[1]"}, "nothing that can be read"),
    ],
)
def test_what_place_says_is_always_an_answer(filters: Filters, result: Json, said: str) -> None:
    answer = filters["bundle_said"](result)
    assert said in answer["error"]
    assert answer["remedy"]


@pytest.mark.parametrize(
    ("text", "changes"),
    [("", False), ('{"changed": ["/x"]}', True), ('{"ran": ["x"]}', True), ('{"changed": []}', False)],
)
def test_a_change_is_a_file_or_an_action(filters: Filters, text: str, changes: bool) -> None:
    assert filters["bundle_changes"](text) == changes


def test_one_action_has_one_spelling_so_that_it_runs_once() -> None:
    texts = [path.read_text() for path in PROGRAM.parents[2].glob("*/vars/**/*.yml")]
    assert sum(text.count("[systemctl, daemon-reload]") for text in texts) > 5
    assert not [text for text in texts if "[/usr/bin/systemctl" in text]
