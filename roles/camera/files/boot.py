#!/usr/bin/python3 -I
"""New lines of config.txt are tried in one start (tryboot); only a start that sees its camera keeps them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BEGIN, END = "# BEGIN heliograph camera:boot\n", "# END heliograph camera:boot\n"
"""As the bundle marks them where it writes them itself, without a trial."""
BLOCK = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
WAIT_S = 60
DONE, REFUSED = 0, 1


@dataclass(frozen=True, slots=True)
class Boot:
    """Where it lies: what the playbook wants, the firmware's files, and what this start has to say."""

    wanted: Path
    check: Path
    config: Path
    trial: Path
    staged: Path
    on_trial: Path
    next_start: Path

    @staticmethod
    def below(root: str) -> Boot:
        place = Path(root)
        return Boot(
            wanted=place / "etc/heliograph-host/boot.txt",
            check=place / "etc/heliograph-host/boot-check.json",
            config=place / "boot/firmware/config.txt",
            trial=place / "boot/firmware/tryboot.txt",
            staged=place / "run/heliograph-host/boot-staged",
            on_trial=place / "proc/device-tree/chosen/bootloader/tryboot",
            next_start=place / "run/systemd/reboot-param",
        )


def stage(boot: Boot) -> int:
    """Lay the new lines beside the old ones, for the next start.  Where none are wanted any more, nothing is tried."""
    if not boot.wanted.exists():
        return _strip(boot)
    old = boot.config.read_text()
    new = _with(old, boot.wanted.read_text())
    if new == old:
        boot.trial.unlink(missing_ok=True)
        return DONE
    boot.staged.parent.mkdir(parents=True, exist_ok=True)
    boot.staged.touch()
    _write(boot.trial, new)
    return DONE


def arm(boot: Boot) -> int:
    """At the end of a run of the machine: the next start tries what is staged."""
    if boot.trial.exists():
        boot.next_start.parent.mkdir(parents=True, exist_ok=True)
        boot.next_start.write_text("0 tryboot\n")
    return DONE


def judge(boot: Boot) -> int:
    """At a start: keep what was tried and works; what failed goes, so that the next run of the playbook sees it."""
    if boot.staged.exists() or not boot.trial.exists():
        return DONE
    if _is_trial(boot) and _works(boot):
        _write(boot.config, boot.trial.read_text())
        boot.trial.unlink()
        return DONE
    boot.trial.unlink()
    boot.wanted.unlink(missing_ok=True)
    sys.stderr.write("the new lines of config.txt were tried and failed: the next start has the old ones\n")
    return REFUSED if _is_trial(boot) else DONE


def _strip(boot: Boot) -> int:
    boot.trial.unlink(missing_ok=True)
    if boot.config.exists() and BLOCK.search(boot.config.read_text()):
        _write(boot.config, BLOCK.sub("", boot.config.read_text()))
    return DONE


def _with(config: str, block: str) -> str:
    """The file with our block at its end."""
    return f"{BLOCK.sub('', config).rstrip()}\n{BEGIN}{block.rstrip()}\n{END}"


def _is_trial(boot: Boot) -> bool:
    return boot.on_trial.exists() and boot.on_trial.read_bytes().endswith(b"\1")


def _works(boot: Boot) -> bool:
    asked = json.loads(boot.check.read_text())
    try:
        done = subprocess.run(  # noqa: S603 - the words are the playbooks', and no shell reads them
            asked["argv"], capture_output=True, text=True, check=False, timeout=WAIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(re.search(asked["wants"], done.stdout + done.stderr, re.MULTILINE))


def _write(path: Path, content: str) -> None:
    staged = path.with_suffix(".new")
    with staged.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


COMMANDS: dict[str, Callable[[Boot], int]] = {"stage": stage, "arm": arm, "judge": judge}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[1]](Boot.below(os.environ.get("HELIOGRAPH_ROOT", "/"))))
