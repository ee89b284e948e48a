"""Every program that the tree starts is Debian's base system, this Python's own, or in packages.txt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STARTERS = {
    "run", "Popen", "call", "check_call", "check_output", "getoutput", "create_subprocess_exec",
    "create_subprocess_shell", "system", "popen", "which", "execv", "execve", "execvp", "posix_spawn",
}  # fmt: skip
STARTING_MODULES = {"subprocess", "asyncio", "os", "shutil"}

# Of packages that Debian marks essential, or apt itself: there on every machine.
BASE = {
    "apt-get", "awk", "bash", "cat", "chmod", "cp", "env", "find", "grep", "id", "kill", "mkdir", "mount", "mv",
    "nice", "nsenter", "rm", "sed", "setpriv", "sh", "sleep", "sort", "stat", "touch", "true", "umount", "unshare",
}  # fmt: skip
BESIDE = {"e2fsck", "ffprobe", "ssh-keygen"}  # in the packages of programs that packages.txt proves
SHELL = {
    "case", "cd", "command", "done", "echo", "esac", "eval", "exit", "export", "fi", "for", "if", "local", "printf",
    "read", "set", "shift", "while",
}  # fmt: skip


def _proofs() -> set[str]:
    lines = (ROOT / "packages.txt").read_text().splitlines()
    return {line.split("|")[2].split()[0] for line in lines if "|" in line and not line.startswith("#")}


def _python_files() -> list[Path]:
    return sorted(path for folder in ("node", "console", "tests") for path in (ROOT / folder).rglob("*.py"))


def _started(path: Path) -> Iterator[str]:
    """First words of the commands that a module starts, where they are written out there."""
    tree = ast.parse(path.read_text())
    named = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _starts(node.func) and node.args:
            yield from _first_word(node.args[0], named)


def _starts(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute) or function.attr not in STARTERS:
        return False
    return isinstance(function.value, ast.Name) and function.value.id in STARTING_MODULES


def _first_word(given: ast.expr, named: dict[str, ast.expr]) -> Iterator[str]:
    if isinstance(given, ast.Name) and given.id in named:
        yield from _first_word(named.pop(given.id), named)
    elif isinstance(given, ast.List | ast.Tuple) and given.elts:
        yield from _first_word(given.elts[0], named)
    elif isinstance(given, ast.Constant) and isinstance(given.value, str):
        yield given.value.split()[0]


def _shell_words(text: str) -> Iterator[str]:
    """First words of commands, roughly: at the start of a line and after ; | && || ( then do else."""
    text = re.sub(r"\\\n", " ", text)
    text = re.sub(r"\$\([A-Z_]+\)(?:/[\w.]+)?", " OWN ", text)
    text = re.sub(r"'[^']*'|\"[^\"]*\"|(?m:(?:^|\s)#.*$)", " ", text)
    for command in re.split(r"[;|&(\n]+|\b(?:then|do|else)\b", text):
        words = [word for word in command.strip().lstrip("@-").split() if "=" not in word]
        if words and re.fullmatch(r"[a-z][\w.-]*", words[0]):
            yield words[0]


def test_programs_that_the_python_code_starts_are_provided() -> None:
    installed = {script.name for script in entry_points(group="console_scripts")}  # by the lock, into the environment
    known = BASE | BESIDE | _proofs() | installed
    strays = {(str(path.relative_to(ROOT)), word) for path in _python_files() for word in _started(path)}
    assert {stray for stray in strays if stray[1] not in known} == set()


def test_programs_of_the_makefile_are_provided() -> None:
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    recipes = "\n".join(line for line in lines if line.startswith("\t"))
    found = set(_shell_words(recipes))
    assert {"rm", "find", "awk"} <= found
    assert found - BASE - SHELL - _proofs() == set()


@pytest.mark.parametrize("name", ["run", "deps"])
def test_programs_of_the_scripts_are_provided(name: str) -> None:
    found = set(_shell_words((ROOT / ".ci" / name).read_text()))
    assert found - BASE - SHELL - _proofs() - {"missing"} == set()


def test_a_stray_program_is_found(tmp_path: Path) -> None:
    module = tmp_path / "stray.py"
    module.write_text("import subprocess\nWORDS = ['ffmpeg', '-i']\nsubprocess.run(WORDS)\nsubprocess.Popen(['git'])\n")
    assert list(_started(module)) == ["ffmpeg", "git"]
    assert list(_shell_words("\t@cd x && jq . <y | tee z\n")) == ["cd", "jq", "tee"]
