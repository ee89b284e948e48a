"""The operator's commands from outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console import cli
from console.commands import demo
from console.demo.show import Options
from node.wire.errors import FileNotWritten, NothingSelected
from node.wire.version import __version__


@pytest.mark.parametrize(("state", "status"), [("ok", 0), ("warn", 1), ("crit", 2)])
def test_the_exit_status_is_the_worst_nodes(
    start_node: Callable[..., Any], inventory: Callable[..., str], state: str, status: int
) -> None:
    path = inventory(start_node("kyoto"), start_node("cusco", state=state))
    assert cli.main(["status", "-i", path]) == status


def test_status_as_json_is_for_programs(
    start_node: Callable[..., Any], inventory: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", "--json", "--inventory", inventory(start_node("kyoto"))]) == 0
    (node,) = json.loads(capsys.readouterr().out)["nodes"]
    assert (node["node"], node["state"], node["status"]["cameras"][0]["due"]) == ("kyoto", "ok", 120)


def test_status_of_the_nodes_that_are_named_or_pass_a_filter(
    start_node: Callable[..., Any], inventory: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = inventory(start_node("kyoto", state="crit"), start_node("cusco"))
    assert cli.main(["status", "cusco", "-i", path]) == 0
    assert cli.main(["status", "state:crit", "-i", path]) == 2
    well, ill = capsys.readouterr().out.split("STATE")[1:]
    assert ("cusco" in well, "kyoto" in well) == (True, False)
    assert ("cusco" in ill, "kyoto" in ill) == (False, True)
    assert cli.main(["status", "nairobi", "-i", path]) == NothingSelected.exit


def test_status_in_plain_text_is_for_people(
    start_node: Callable[..., Any], inventory: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = start_node("kyoto")
    gone.code = 401
    assert cli.main(["status", "--plain", "-i", inventory(gone, start_node("cusco"))]) == 2
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.startswith("⊘ refused  kyoto")
    assert second.startswith("● ok       cusco")


def test_a_terminal_of_few_letters_gets_a_table_too(
    start_node: Callable[..., Any], inventory: Callable[..., str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", "status", "-i", inventory(start_node("kyoto", site="Höfn"))],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"+ ok   kyoto  H?fn" in done.stdout


@pytest.mark.parametrize("words", [("status",), ("watch", "--for", "1")])
def test_an_answer_that_finds_no_room_is_told_and_is_no_state(
    start_node: Callable[..., Any], inventory: Callable[..., str], words: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "console.cli", *words, "-i", inventory(start_node("kyoto"))],
            stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == FileNotWritten.exit
    assert done.stderr.startswith(b"FLT-017 file cannot be written here: standard output: No space left")
    assert b"Traceback" not in done.stderr


def test_the_locale_c_is_served_in_ascii(start_node: Callable[..., Any], inventory: Callable[..., str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", "status", "-i", inventory(start_node("kyoto"))],
        env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"+ ok   kyoto" in done.stdout


def test_a_wrong_inventory_is_named_with_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "inventory.json"
    path.write_text('{"all": {"hosts": {"Kyoto": {}, "cusco": {"heliograph_port": 0}}}}')
    assert cli.main(["status", "-i", str(path)]) == 78
    said = capsys.readouterr().err
    assert said.startswith("FLT-007 inventory names a node wrongly")
    assert "  Kyoto: " in said
    assert "  cusco.heliograph_port: " in said
    assert "hint: " in said


@pytest.mark.parametrize(
    "words",
    [
        [], ["fly"], ["status", "--json", "--plain"], ["status", "--extra"], ["demo", "--nodes", "0"],
        ["demo", "--nodes", "many"], ["demo", "--nodes", "33"], ["demo", "--for", "0"], ["demo", "--for", "-5"],
        ["demo", "--for", "5 days"], ["demo", "--sun", "0.5"], ["demo", "--sun", "nan"],
        ["demo", "--frames", ".", "--faults"],
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_64_with_code_and_hint(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 64
    said = capsys.readouterr().err
    assert "CLI-001 command line is wrong" in said
    assert "hint: " in said


@pytest.mark.parametrize(
    ("name", "words"), [("nowhere", "No such file"), ("a.jpg", "Not a directory"), ("empty", "no files in it")]
)
def test_frames_that_are_no_folder_of_photographs_are_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "empty" / "folder").mkdir(parents=True)
    (tmp_path / "empty" / ".hidden").touch()
    assert cli.main(["demo", "--frames", str(tmp_path / name)]) == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert f"FLT-008 folder of photographs cannot be used: --frames {tmp_path / name}: {words}" in err
    assert "node.yml" not in err


def test_an_unusable_token_is_no_refusal_of_the_node(
    start_node: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake, token = start_node("kyoto"), tmp_path / "token"
    token.write_bytes(b"\xff\xfe")
    variables = {"ansible_host": "127.0.0.1", "heliograph_port": fake.port, "heliograph_scheme": "http"}
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps({"all": {"hosts": {"kyoto": {**variables, "heliograph_token_file": str(token)}}}}))
    assert cli.main(["status", "-i", str(path)]) == 2
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("⊖ unasked  kyoto")
    assert f"FLT-009 token file {token} holds something else" in line


def test_the_version_is_the_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"heliograph {__version__}\n"


@pytest.mark.parametrize(("text", "seconds"), [("60", 60), ("60s", 60), ("5m", 300), ("1.5h", 5400), ("0.5", 0.5)])
def test_lengths_of_time_are_understood(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    asked: list[Options] = []

    async def play(options: Options, say: object) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr(demo, "play", play)
    assert cli.main(["demo", "--for", text, "--nodes", "3", "--sun", "60"]) == 0
    assert (asked[0].for_s, asked[0].screen, asked[0].wish.nodes, asked[0].wish.sun_factor) == (seconds, False, 3, 60)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (BrokenPipeError, 0)])
def test_a_reader_or_operator_that_leaves_gets_no_traceback(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException], status: int
) -> None:
    async def play(options: Options, say: object) -> int:
        raise error

    monkeypatch.setattr(demo, "play", play)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert cli.main(["demo"]) == status


WITHOUT_A_SCREEN = {
    "demo": "--frames /nowhere",
    "status": "--json -i {}",
    "watch": "--for 0.1 -i {}",
    "events": "-i {}",
    "alerts": "-i {}",
    "ack": "kyoto/disk_low/data --reason seen -i {}",
    "unack": "kyoto/disk_low/data",
    "jobs": "-i {}",
    "retry": "kyoto/01ARZ3NDEKTSV4RRFFQ69G0001 --dry-run -i {}",
    "cancel": "kyoto/01ARZ3NDEKTSV4RRFFQ69G0001 --dry-run -i {}",
    "discard": "kyoto/01ARZ3NDEKTSV4RRFFQ69G0001 --dry-run -i {}",
    "camera restart": "kyoto --dry-run -i {}",
    "capture": "kyoto --dry-run -i {}",
    "hold": "kyoto --dry-run --reason rain -i {}",
    "resume": "kyoto --dry-run -i {}",
    "frames get": "kyoto/main -i {}",
    "push": "kyoto --dry-run -i {}",
    "rollout": "verify kyoto --dry-run -i {}",
    **{f"pki {word}": "-i {}" for word in ("init", "show", "promote", "known-hosts")},
    "pki sign": "--node kyoto -i {}",
    "pki console": "anna --role viewer -i {}",
    "pki revoke": "anna -i {}",
    "pki ssh-host": "kyoto -i {}",
    "settings": "",
    "completion": "bash",
}
"""A command line for each; whether it leads anywhere does not matter."""
LOADED_BY = """
import sys
from console import cli
status = cli.main(sys.argv[1:])
print("status", status, *sorted({"textual", "PIL", "console.app", "node.domain.schedule"} & sys.modules.keys()))
"""


def test_every_command_but_the_console_is_one_without_a_screen() -> None:
    assert {*WITHOUT_A_SCREEN} == {*cli.COMMANDS} - {"console"}


def test_what_all_commands_import_has_no_screens() -> None:
    code = "import sys, console.cli; sys.exit('textual' in sys.modules or 'node.domain.schedule' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_A_SCREEN)
def test_commands_without_a_screen_import_nothing_of_the_screens(
    start_node: Callable[..., Any], inventory: Callable[..., str], tmp_path: Path, name: str
) -> None:
    words = [*name.split(), *WITHOUT_A_SCREEN[name].format(inventory(start_node("kyoto"))).split()]
    done = subprocess.run(
        [sys.executable, "-c", LOADED_BY, *words],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    found = re.fullmatch(r"status (\d+)", done.stdout.splitlines()[-1])
    assert found is not None, done.stdout
    assert "CLI-001" not in done.stderr, done.stderr


def test_help_names_the_commands_and_the_exit_codes() -> None:
    done = subprocess.run([sys.executable, "-m", "console.cli", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout
    assert "status" in done.stdout
    assert "78" in done.stdout
    assert re.search(r"130\s+ended\s+with\s+Ctrl-C", done.stdout)


@pytest.mark.slow
def test_a_demo_of_real_nodes_captures_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", "demo", "--nodes", "2", "--for", "12s"],
        env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("first frame") == 3
    sums = [line for line in done.stdout.splitlines() if " due = " in line]
    assert [line.split(":")[0] for line in sums] == ["reykjavik", "nairobi"]
    assert list(tmp_path.iterdir()) == []
