"""Completion scripts: made from the parser, and tried in a real bash."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import pytest

from console import cli
from console.commands.completion import SHELLS, places

BASH = shutil.which("bash")


def script(capsys: pytest.CaptureFixture[str], shell: str) -> str:
    assert cli.main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.fixture
def complete(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> object:
    """What bash offers after those words; the last one is being typed."""
    (tmp_path / "heliograph.bash").write_text(script(capsys, "bash"))
    (tmp_path / "fleet one.yml").touch()

    def offers(*words: str) -> list[str]:
        program = """
            source "$1/heliograph.bash"; shift
            COMP_WORDS=(heliograph "$@"); COMP_CWORD=$#
            compopt() { :; }  # known inside a real completion only
            _heliograph
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        assert BASH is not None
        done = subprocess.run(
            [BASH, "--norc", "-eu", "-c", program, "bash", str(tmp_path), *words],
            capture_output=True, text=True, timeout=20, check=True, cwd=tmp_path,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split("\n")[:-1]

    return offers


def test_bash_offers_the_commands(complete: object) -> None:
    assert callable(complete)
    assert {name.partition(" ")[0] for name in cli.COMMANDS} <= set(complete(""))
    assert complete("sta") == ["status"]
    assert complete("splendid") == [""]


def test_bash_offers_what_belongs_to_a_command(complete: object) -> None:
    assert callable(complete)
    assert complete("camera", "") == ["restart", "-h", "--help"]
    assert "--reason" in complete("hold", "kyoto", "--")
    assert "--reason" not in complete("capture", "kyoto", "--")
    assert "--yes" in complete("camera", "restart", "--y")
    assert "--list" in complete("frames", "get", "kyoto", "--")


def test_bash_offers_the_values_of_an_option(complete: object) -> None:
    assert callable(complete)
    assert complete("jobs", "--state", "de") == ["dead"]
    assert complete("completion", "") == ["bash", "zsh", "fish", "-h", "--help"]
    assert complete("hold", "--reason", "") == [""]
    assert complete("status", "-i", "fleet") == ["fleet one.yml"]


def test_bash_takes_the_script_as_it_is_meant_to_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert BASH is not None
    text = script(capsys, "bash") + "complete -p heliograph"
    done = subprocess.run([BASH, "--norc", "-eu", "-c", text], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "complete -F _heliograph heliograph\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_stands_in_each_script(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    text = script(capsys, shell)
    for place in places(cli._parser()):
        for word in (*place.path, *place.words):
            assert word in text
        for option in place.options:
            assert (option if shell != "fish" else option.lstrip("-")) in text


@pytest.mark.parametrize("shell", SHELLS)
def test_words_with_quotes_and_blanks_do_not_end_a_script_early(shell: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mood", choices=["it's", "$HOME", "a b"])
    text = SHELLS[shell](parser)
    assert "$HOME" not in text.replace("'$HOME'", "").replace("$HOME a b", "")


def test_no_shell_or_an_unknown_one_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion"]) == cli.main(["completion", "cmd"]) == 64
