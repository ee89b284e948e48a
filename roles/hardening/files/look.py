"""Look at this host: what each check asks, and what is otherwise than it wants.  JSON in, JSON out, by item."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

TIMEOUT_S = 30


def wrong(check: dict[str, Any]) -> list[str]:
    """What this check finds, in words, with what to do."""
    said = _said(check["argv"])
    missing = [f"nothing like {want}" for want in check.get("wants", []) if not _found(want, said)]
    strange = [f"there is {_found(pattern, said)}" for pattern in check.get("refuses", []) if _found(pattern, said)]
    return [f"{what} in `{' '.join(check['argv'][:3])}`: {check['remedy']}" for what in (*missing, *strange)]


def _found(pattern: str, text: str) -> str:
    """The first line that it fits."""
    return next((line for line in text.splitlines() if re.search(pattern, line)), "")


def _said(argv: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the words are the playbooks', and no shell reads them
            argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{error}"
    return done.stdout + done.stderr


def main() -> None:
    """By item; an item without a word is as wanted."""
    found: dict[str, list[str]] = {}
    for check in json.load(sys.stdin):
        found.setdefault(check["item"], []).extend(wrong(check))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
