"""Text taken along: to the clipboard by tmux or by the terminal, and always to a file too."""

from __future__ import annotations

import asyncio
import base64
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping
from pathlib import Path

from console.fleet.exporting import write_whole
from console.fleet.state import state_home

MOST_OSC52_CHARS = 100_000
"""What a terminal takes by OSC 52, as base64: beyond that some take nothing, and some a part."""
TMUX_LIMIT_S = 3.0
OWNER_ONLY = 0o600
NAME = "copied.txt"


async def copy(
    text: str, osc52: Callable[[str], None], *, file: Path | None = None, environ: Mapping[str, str] = os.environ
) -> str:
    """Where it went, in words.  `osc52` hands it to the terminal."""
    by_tmux = bool(environ.get("TMUX")) and await _tmux(text, environ)
    clipboard = "tmux" if by_tmux else _terminal(text, osc52)
    return f"{clipboard}, {_file(text, file or state_home() / NAME)}"


async def _tmux(text: str, environ: Mapping[str, str]) -> bool:
    """Whether tmux took it; with -w it hands it on to the terminal that it is seen in."""
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux", "load-buffer", "-w", "-", stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, env=dict(environ)
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(TMUX_LIMIT_S):
            await process.communicate(text.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
    return process.returncode == 0


def _terminal(text: str, osc52: Callable[[str], None]) -> str:
    if len(base64.b64encode(text.encode())) > MOST_OSC52_CHARS:
        return "too long for the terminal's clipboard"
    osc52(text)
    return "terminal (OSC 52)"


def _file(text: str, path: Path) -> str:
    try:
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        write_whole(path, text.encode() + b"\n", mode=OWNER_ONLY, over=True)
    except OSError as error:
        return f"no file: {error.strerror}"
    return homely(path)


def homely(path: Path) -> str:
    """A path as a person writes it, with ~ for the home."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises for a user without one
    text = str(path)
    return f"~{text[len(home) :]}" if home != "/" and text.startswith(f"{home}/") else text
