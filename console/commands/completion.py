"""Scripts by which shells complete the command, made from its parser: they cannot fall behind it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "heliograph"


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere on the command line: the words so far, what may follow, and what each option takes.

    `takes` are the values of an option; none = a file, or something that nobody can know.
    """

    path: tuple[str, ...]
    words: tuple[str, ...]
    options: tuple[str, ...]
    takes: dict[str, tuple[str, ...]]
    files: frozenset[str]

    @property
    def at(self) -> str:
        return " ".join(self.path)


def places(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Place]:
    """Every place, the outermost first."""
    actions = parser._actions  # noqa: SLF001 - argparse has no other list of its options
    below = {name: one for action in actions for name, one in _commands(action).items()}
    named = [action for action in actions if action.option_strings]
    words = [str(choice) for action in actions if not action.option_strings for choice in action.choices or ()]
    valued = {name: action for action in named if action.nargs != 0 for name in action.option_strings}
    yield Place(
        path,
        tuple(words),
        tuple(name for action in named for name in action.option_strings),
        {name: tuple(str(choice) for choice in action.choices or ()) for name, action in valued.items()},
        frozenset(name for name, action in valued.items() if action.type is Path),
    )
    for name, one in below.items():
        yield from places(one, (*path, name))


def _commands(action: argparse.Action) -> dict[str, argparse.ArgumentParser]:
    return dict(action.choices) if isinstance(action, argparse._SubParsersAction) else {}  # noqa: SLF001 - as above


def _walk(parser: argparse.ArgumentParser) -> str:
    """The alternatives by which a script finds its place: each is the place before and the word."""
    steps = (place.path for place in places(parser) if place.path)
    return "|".join(shlex.quote(" ".join(("", *path))) for path in steps)


def bash(parser: argparse.ArgumentParser) -> str:
    cases = "\n".join(_bash_cases(parser))
    return f"""\
# source <({PROGRAM} completion bash)
_{PROGRAM}() {{
    local word at="" words="" current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$at $word" in
            {_walk(parser)}) at="$at $word" ;;
        esac
    done
    case "${{at# }}|$before" in
{cases}
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}}
complete -F _{PROGRAM} {PROGRAM}
"""


def _bash_cases(parser: argparse.ArgumentParser) -> Iterator[str]:
    for place in places(parser):
        for option, values in place.takes.items():
            yield f"        {shlex.quote(f'{place.at}|{option}')}) {_bash_values(option, values, place)} ;;"
    for place in places(parser):
        words = " ".join((*place.words, *place.options))
        yield f"        {shlex.quote(f'{place.at}|')}*) words={shlex.quote(words)} ;;"


def _bash_values(option: str, values: tuple[str, ...], place: Place) -> str:
    if option in place.files:
        return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return'
    return f"words={shlex.quote(' '.join(values))}"


def zsh(parser: argparse.ArgumentParser) -> str:
    cases = "\n".join(_zsh_cases(parser))
    return f"""\
#compdef {PROGRAM}
# {PROGRAM} completion zsh > "${{fpath[1]}}/_{PROGRAM}"
_{PROGRAM}() {{
    local word at="" before="${{words[CURRENT-1]}}"
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$at $word" in
            ({_walk(parser)}) at="$at $word" ;;
        esac
    done
    case "${{at# }}|$before" in
{cases}
    esac
}}
if [[ "${{funcstack[1]}}" == _{PROGRAM} ]]; then  # taken from a folder of $fpath, at the first completion
    _{PROGRAM} "$@"
else
    compdef _{PROGRAM} {PROGRAM}
fi
"""


def _zsh_cases(parser: argparse.ArgumentParser) -> Iterator[str]:
    for place in places(parser):
        for option, values in place.takes.items():
            act = "_files" if option in place.files else f"compadd -- {shlex.join(values)}"
            yield f"        ({shlex.quote(f'{place.at}|{option}')}) {act} ;;"
    for place in places(parser):
        words = shlex.join((*place.words, *place.options))
        yield f"        ({shlex.quote(f'{place.at}|')}*) compadd -- {words} ;;"


def fish(parser: argparse.ArgumentParser) -> str:
    cases = " ".join(shlex.quote(" ".join(place.path)) for place in places(parser) if place.path)
    lines = "\n".join(line for place in places(parser) for line in _fish_lines(place))
    return f"""\
# {PROGRAM} completion fish > ~/.config/fish/completions/{PROGRAM}.fish
function __{PROGRAM}_at
    set -l at ""
    for word in (commandline -opc)[2..-1]
        set -l further (string trim -- "$at $word")
        contains -- "$further" {cases}; and set at "$further"
    end
    test "$at" = "$argv[1]"
end
complete -c {PROGRAM} -f
{lines}
"""


def _fish_lines(place: Place) -> Iterator[str]:
    here = f"complete -c {PROGRAM} -n {shlex.quote(f'__{PROGRAM}_at {shlex.quote(place.at)}')}"
    if place.words:
        yield f"{here} -a {shlex.quote(' '.join(place.words))}"
    for option in place.options:
        name = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
        yield f"{here} {name}{_fish_values(option, place)}"


def _fish_values(option: str, place: Place) -> str:
    if option not in place.takes:
        return ""
    if option in place.files:
        return " -r -F"
    return " -x" + (f" -a {shlex.quote(' '.join(place.takes[option]))}" if place.takes[option] else "")


SHELLS: dict[str, Callable[[argparse.ArgumentParser], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
