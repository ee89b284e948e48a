"""Alerts without a screen: what fires, and who knows of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.fleet.clock import Clock
from console.fleet.state import Book
from console.fleet.view import FleetModel, Patience

CRIT = {
    "code": "camera_offline", "severity": "crit", "subject": "main", "since": "2027-01-15T07:00:00.000Z",
    "sentence": "main is\x1b[2J offline",
}  # fmt: skip
WARN = {**CRIT, "code": "disk", "severity": "warn", "subject": "data", "sentence": "disk is filling"}
KEY = "kyoto/camera_offline/main"
Run = Callable[..., Any]


@pytest.fixture
def book() -> Callable[[], Book]:
    return lambda: Book.open(None, None, Clock())


@pytest.fixture
def sick(start: Run, fleet: Run) -> None:
    fleet(start("kyoto", alerts=[CRIT, WARN]), start("cusco", alerts=[WARN], site="dam-3"))


@pytest.mark.usefixtures("sick")
def test_alerts_are_listed_and_the_exit_status_is_the_worst_that_nobody_knows_of(run: Run) -> None:
    it = run("alerts")
    assert it.code == 2
    lines = it.out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["✖", "crit", KEY], ["▲", "warn", "cusco/disk/data"], ["▲", "warn", "kyoto/disk/data"],
    ]  # fmt: skip
    assert lines[0].isprintable()
    assert run("alerts", "cusco").code == 1
    assert run("alerts", "site:dam-3").out.count("\n") == 1
    run("ack", KEY, "--reason", "known")
    assert run("alerts").code == 1
    run("ack", "*", "--reason", "known", "--yes")
    assert run("alerts").code == 0


@pytest.mark.usefixtures("sick")
def test_alerts_as_json_are_for_programs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "mw")
    run("ack", KEY, "--reason", "lens visit", "--for", "8h")
    it = run("alerts", "--json").json
    assert it["exit"] == 1
    first = it["alerts"][0]
    assert (first["key"], first["since"], first["stale"]) == (KEY, "2027-01-15T07:00:00.000Z", False)
    assert (first["ack"]["by"], first["ack"]["reason"]) == ("mw", "lens visit")
    assert first["ack"]["until"] > first["ack"]["at"]
    assert it["alerts"][1]["ack"] is None


def test_a_node_that_does_not_answer_is_an_alert_and_its_last_words_are_kept(
    start: Run, fleet: Run, run: Run, book: Callable[[], Book], make_status: Run, hand: Any
) -> None:
    node = start("kyoto")
    node.code = 401
    model = FleetModel([node.host], patience=Patience(), clock=hand.as_clock())
    model.heard("kyoto", make_status("kyoto", alerts=[CRIT]))
    book().write_snapshot(model)
    fleet(node)
    it = run("alerts")
    assert it.code == 2
    assert "kyoto/node.refused/node" in it.out
    assert "(as last heard)" in next(line for line in it.out.splitlines() if KEY in line)


def test_no_alerts_are_said_to_be_none(start: Run, fleet: Run, run: Run) -> None:
    fleet(start("kyoto"))
    assert (run("alerts").out, run("alerts").code) == ("no alerts\n", 0)
    assert run("alerts", "nobody").code == 64
    assert run("alerts", "state:pink").code == 64


@pytest.mark.usefixtures("sick")
def test_an_acknowledgement_is_kept_with_who_why_and_until_when(
    run: Run, book: Callable[[], Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "mw")
    it = run("ack", KEY, "--reason", " lens\nvisit ", "--for", "90m")
    assert (it.code, it.out.splitlines()[-1]) == (0, "1 known")
    (ack,) = book().acks.values()
    assert (ack.key, ack.by, ack.reason) == (KEY, "mw", "lens visit")
    assert ack.until_us is not None
    assert ack.until_us - ack.at_us == 5_400_000_000
    (entry,) = book().commands(9)
    assert (entry.who, entry.command) == ("mw", f"heliograph ack {KEY} --reason 'lens visit' --for 90m")


@pytest.mark.usefixtures("sick")
def test_several_are_asked_about_first(run: Run, book: Callable[[], Book]) -> None:
    ack = ("ack", "*/disk/*", "--reason", "known")
    assert run(*ack).code == 77
    assert run(*ack, typed="3\n").code == 77
    assert run(*ack, typed="\n").code == 77
    assert run(*ack, "--dry-run").out.count("\n") == 2
    assert book().acks == {}
    assert run(*ack, typed="2\n").code == 0
    assert set(book().acks) == {"kyoto/disk/data", "cusco/disk/data"}


@pytest.mark.usefixtures("sick")
@pytest.mark.parametrize("key", ["kyoto/camera_offline/other", "nobody/disk/data", "*/tea/*", "kyoto", "", "[", "/"])
def test_what_does_not_fire_cannot_be_acknowledged(run: Run, book: Callable[[], Book], key: str) -> None:
    it = run("ack", KEY, key, "--reason", "known", "--yes")
    assert (it.code, "FLT-011" in it.err) == (64, True)
    assert book().acks == {}


def test_only_the_nodes_meant_are_asked(start: Run, fleet: Run, run: Run) -> None:
    kyoto, cusco = start("kyoto", alerts=[CRIT]), start("cusco")
    fleet(kyoto, cusco)
    assert run("ack", KEY, "--reason", "known").code == 0
    assert (len(kyoto.asked), len(cusco.asked)) == (1, 0)


@pytest.mark.usefixtures("sick")
@pytest.mark.parametrize(
    "words",
    [
        ["ack", KEY], ["ack", "--reason", "x"], ["ack", KEY, "--reason", " "], ["ack", KEY, "--reason", "x" * 201],
        ["ack", KEY, "--reason", "x", "--for", "0"], ["ack", KEY, "--reason", "x", "--for", "9999d"], ["unack"],
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_refused(run: Run, words: list[str]) -> None:
    assert run(*words).code == 64


@pytest.mark.usefixtures("sick")
def test_an_acknowledgement_is_taken_back(run: Run, book: Callable[[], Book]) -> None:
    assert run("unack", KEY).code == 64
    run("ack", "*", "--reason", "known", "--yes")
    it = run("unack", KEY)
    assert (it.code, it.out.splitlines()[-1]) == (0, "1 open again")
    assert KEY not in book().acks
    assert (book().commands(1)[0].command, book().commands(1)[0].outcome) == (f"heliograph unack {KEY}", "1 open again")
    assert run("unack", "*").code == 77
    assert run("unack", "*", "--yes").code == 0
    assert book().acks == {}


@pytest.mark.usefixtures("sick")
def test_what_cannot_be_saved_is_a_failure(run: Run, tmp_path: Path) -> None:
    (tmp_path / "acks.jsonl").write_text('{"format": 2}\n')
    it = run("ack", KEY, "--reason", "known", "--state", str(tmp_path))
    assert (it.code, "FLT-016" in it.err, "newer release" in it.err) == (69, True, True)
    assert (tmp_path / "acks.jsonl").read_text() == '{"format": 2}\n'
    assert "newer release" not in run("alerts").err


@pytest.mark.usefixtures("sick")
def test_the_settings_say_who_and_where(run: Run, tmp_path: Path) -> None:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "heliograph"
    folder.mkdir()
    (folder / "console.toml").write_text(
        f'operator = "night shift"\nstate_dir = {json.dumps(str(tmp_path))}\nascii = "always"\n'
    )
    run("ack", KEY, "--reason", "known")
    assert Book.open(tmp_path, None, Clock()).acks[KEY].by == "night shift"
    assert "✖" not in run("alerts").out
    (folder / "console.toml").write_text('theme = "pink"\nfoo = 1\n')
    it = run("alerts")
    assert (it.code, "  theme: " in it.err, "  foo: " in it.err) == (78, True, True)


def test_the_settings_are_printed_with_their_place(run: Run) -> None:
    it = run("settings")
    assert it.code == 0
    assert it.out.startswith(f"# {os.environ['XDG_CONFIG_HOME']}/heliograph/console.toml (not there")
    assert '\ntheme = "dark"\n' in it.out


@pytest.mark.usefixtures("sick")
def test_the_acknowledgements_of_a_demo_are_kept_beside_its_inventory(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".heliograph-demo").touch()
    assert run("ack", KEY, "--reason", "known", "-i", str(tmp_path / "inventory.yml")).code == 0
    assert list(Book.open(tmp_path / "state", None, Clock()).acks) == [KEY]
