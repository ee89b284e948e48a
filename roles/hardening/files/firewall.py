#!/usr/bin/python3 -I
"""The firewall's rules: at boot those that were confirmed, new ones on trial until a new connection confirms them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
NFT, SYSTEMCTL, SYSTEMD_RUN = "/usr/sbin/nft", "/usr/bin/systemctl", "/usr/bin/systemd-run"
NONE_LEFT = "table inet heliograph; delete table inet heliograph"
UNDO = "heliograph-firewall-undo"
CONFIRMED, NOTHING_ON_TRIAL, SAME_CONNECTION = 0, 69, 75


@dataclass(frozen=True, slots=True)
class Rules:
    """Where they lie: what the playbook wants, what was confirmed, and who asked for the trial that is on."""

    wanted: Path
    kept: Path
    trial: Path

    @staticmethod
    def below(root: str) -> Rules:
        place = Path(root)
        return Rules(
            place / "etc/heliograph-host/firewall.nft",
            place / "var/lib/heliograph-host/firewall.nft",
            place / "run/heliograph-host/firewall-trial",
        )


def start(rules: Rules) -> int:
    """At boot.  A trial that a power cut ended counts as lost."""
    return CONFIRMED if rules.trial.exists() else undo(rules)


def stop(_: Rules) -> int:
    """No rules of ours."""
    return _nft(NONE_LEFT)


def attempt(rules: Rules, seconds: str) -> int:
    """Take the wanted rules; the way back is laid before the first step."""
    rules.trial.parent.mkdir(parents=True, exist_ok=True)
    rules.trial.write_text(connection())
    _end_timer()
    # a timer may be a minute late unless it is told
    when = (f"--on-active={seconds}", "--timer-property=AccuracySec=1s")
    _run(SYSTEMD_RUN, "--quiet", "--collect", f"--unit={UNDO}", *when, sys.argv[0], "undo", check=True)
    return _nft("-f", str(rules.wanted))


def confirm(rules: Rules) -> int:
    """Keep them: asked for through a connection that came in under them."""
    if not rules.trial.exists():
        return CONFIRMED if _is_kept(rules) else _told("the rules were taken back: nobody confirmed them in time")
    if rules.trial.read_text() and rules.trial.read_text() == connection():
        return _told("confirm the rules over a new connection", SAME_CONNECTION)
    _write(rules.kept, rules.wanted.read_bytes())
    rules.trial.unlink()
    _end_timer()
    return CONFIRMED


def undo(rules: Rules) -> int:
    """Back to what was confirmed.  Other rules go, so that the next run of the playbook sees that they are missing."""
    if not _is_kept(rules):
        rules.wanted.unlink(missing_ok=True)
    status = _nft("-f", str(rules.kept)) if rules.kept.exists() else _nft(NONE_LEFT)
    rules.trial.unlink(missing_ok=True)
    return status


def connection() -> str:
    """The ssh connection that this was started through, from the environment of the shells above; empty = none."""
    pid = os.getpid()
    while pid > 1:
        for pair in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
            if pair.startswith(b"SSH_CONNECTION="):
                return pair.decode(errors="replace")
        pid = int((PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[1])
    return ""


def _is_kept(rules: Rules) -> bool:
    both = (rules.kept, rules.wanted)
    return all(path.exists() for path in both) and len({path.read_bytes() for path in both}) == 1


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".new")
    with staged.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _end_timer() -> None:
    _run(SYSTEMCTL, "stop", f"{UNDO}.timer", said=subprocess.DEVNULL)


def _nft(*words: str) -> int:
    return _run(NFT, *words)


def _run(*words: str, check: bool = False, said: int | None = None) -> int:
    return subprocess.run(words, check=check, stderr=said).returncode  # noqa: S603 - our own words, and no shell


def _told(what: str, status: int = NOTHING_ON_TRIAL) -> int:
    sys.stderr.write(f"{what}\n")
    return status


COMMANDS: dict[str, Callable[..., int]] = {
    "start": start,
    "stop": stop,
    "try": attempt,
    "confirm": confirm,
    "undo": undo,
}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[1]](Rules.below(os.environ.get("HELIOGRAPH_ROOT", "/")), *sys.argv[2:]))
