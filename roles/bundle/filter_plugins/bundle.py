"""What a host lacks of what is wanted, decided on the control side from its fact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
EVERYTHING = "all"
STEPS = ("steps", "after")
"""Tasks of a role's own: before the files are placed, and after they were."""
NO_UNIT: Json = {"there": False, "enabled": False, "active": False, "masked": False, "state": ""}
STATES = {True: "started", False: "stopped"}
UNHEARD = "the host's Python has said nothing that can be read"


def bundle_plan(
    parts: Sequence[Json], state: Mapping[str, Any], run_tags: Sequence[str], skip_tags: Sequence[str], whole: bool
) -> Json:
    """What is to be done on a host of that state, and whether it is anything at all.

    With tags only parts are looked at that they name; nothing is a whole bundle then.
    """
    _sound(parts)
    named = [part for part in parts if is_chosen(part["role"], run_tags, skip_tags)]
    chosen = [{name: value for name, value in part.items() if name not in STEPS} for part in named]
    all_of_it = bool(whole) and len(chosen) == len(parts) and EVERYTHING in run_tags
    known = state.get("parts", {})
    plan: Json = {
        "groups": _missing(_listed(chosen, "groups"), state.get("groups", ())),
        "users": [user for user in _as_one(_listed(chosen, "users")) if not user_fits(user, state)],
        "packages": _missing(_listed(chosen, "packages"), state.get("packages", {})),
        "selections": [*_selections(chosen, known, state)],
        **{name: _listed(named, name) for name in STEPS},
        "wanted_units": _listed(chosen, "units"),
        "files": bool(state.get("pending") or state.get("trouble")) or _differ(chosen, known, all_of_it=all_of_it),
        "text": json.dumps({"whole": all_of_it, "parts": chosen}),
    }
    plan["before"] = any(plan[name] for name in ("groups", "users", "packages", "selections"))
    later = plan["steps"] or plan["files"] or bundle_units(plan["wanted_units"], state)
    plan["due"] = plan["before"] or bool(later)
    return plan


def _sound(parts: Sequence[Json]) -> None:
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("role"), str):
            message = f"a part is no mapping with a role, but {json.dumps(part)[:80]}"
            raise TypeError(message)


def _as_one(users: Iterable[Json]) -> list[Json]:
    """What several parts want of one account."""
    found: dict[str, Json] = {}
    for user in users:
        first = found.setdefault(user["name"], {})
        groups = [*first.get("groups", ()), *user.get("groups", ())]
        first |= {**user, "groups": list(dict.fromkeys(groups))}
    return list(found.values())


def is_chosen(name: str, run_tags: Iterable[str], skip_tags: Iterable[str]) -> bool:
    """By its name or a piece of it: `hardening:ssh` is chosen by `hardening`, `ssh` and `hardening_ssh`."""
    pieces = {name, name.replace(":", "_"), *name.split(":")}
    tags = set(run_tags)
    return (EVERYTHING in tags or bool(pieces & tags)) and not pieces & set(skip_tags)


def digest(part: Json) -> str:
    """As place.py computes it of what it reads."""
    return hashlib.sha256(json.dumps(part).encode()).hexdigest()


def _listed(parts: Iterable[Json], name: str) -> list[Any]:
    return [wanted for part in parts for wanted in part.get(name, ())]


def _missing(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    found = set(there)
    return [name for name in dict.fromkeys(wanted) if name not in found]


def _differ(parts: Iterable[Json], known: Mapping[str, Json], *, all_of_it: bool) -> bool:
    named = {part["role"]: digest(part) for part in parts}
    if all_of_it and set(known) - set(named):
        return True
    return any(known.get(name, {}).get("digest") != wanted or known[name]["drifted"] for name, wanted in named.items())


def _selections(parts: Sequence[Json], known: Mapping[str, Json], state: Mapping[str, Any]) -> Iterator[Json]:
    """Held: what is wanted and is not.  No longer: what these parts held once."""
    wanted, held = _listed(parts, "held"), set(state.get("held", ()))
    for name in _missing(wanted, held):
        yield {"name": name, "selection": "hold"}
    once = [name for part in parts for name in known.get(part["role"], {}).get("held", ())]
    for name in _missing(once, wanted):
        if name in held:
            yield {"name": name, "selection": "install"}


USER_FITS: dict[str, Callable[[Any, Json], bool]] = {
    "shell": lambda wanted, account: account["shell"] == wanted,
    "home": lambda wanted, account: account["home"] == wanted,
    "groups": lambda wanted, account: set(wanted) <= set(account["groups"]),
    "locked": lambda wanted, account: account["locked"] or not wanted,
    "max_days": lambda wanted, account: (-1 if account["max_days"] is None else account["max_days"]) == wanted,
}


def user_fits(user: Json, state: Mapping[str, Any]) -> bool:
    """Whether that user is there as wanted."""
    account = state.get("accounts", {}).get(user["name"])
    return account is not None and all(fits(user[name], account) for name, fits in USER_FITS.items() if name in user)


def bundle_units(units: Iterable[Json], state: Mapping[str, Any]) -> list[Json]:
    """Those that are not as wanted, with what is to be asked for."""
    known = state.get("units", {})
    asked = (_asked(unit, known.get(unit["name"], NO_UNIT)) for unit in units)
    return [unit for unit in asked if unit is not None]


def _asked(unit: Json, now: Json) -> Json | None:
    """None = it is as wanted.  What is null is left as it is."""
    if unit.get("optional") and not now["there"]:
        return None
    masked = unit.get("masked", False)
    enabled, started = (None, False) if masked else (unit.get("enabled", True), unit.get("started", True))
    fits = (
        now["masked"] == masked,
        enabled is None or _enabled_fits(now, wanted=enabled),
        started is None or now["active"] == started,
    )
    if all(fits):
        return None
    return {"name": unit["name"], "masked": masked, "enabled": enabled, "state": STATES.get(started)}


def _enabled_fits(now: Json, *, wanted: bool) -> bool:
    """A unit that cannot be enabled (static, generated) is never wrong for being so."""
    switchable = now["state"] in {"enabled", "enabled-runtime", "disabled", ""}
    return not switchable or now["enabled"] == wanted


def bundle_changes(said: str) -> bool:
    """Whether place.py says that it has, or would have, changed something."""
    answer = _read(said)
    return bool(answer.get("changed") or answer.get("ran"))


def bundle_said(result: Mapping[str, Any]) -> Json:
    """The answer of place.py; where there is none, why."""
    answer = _read(str(result.get("stdout", "")))
    if "fact" in answer or "error" in answer:
        return answer
    words = str(result.get("stderr") or result.get("msg") or UNHEARD).strip().splitlines()
    return {"error": words[-1], "path": "place.py", "remedy": "see that /usr/bin/python3 of the host is 3.11 or newer"}


def _read(said: str) -> Json:
    try:
        answer = json.loads(said)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


class FilterModule:
    """How Ansible finds them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """By the names that templates use."""
        named = (bundle_plan, bundle_units, bundle_changes, bundle_said)
        return {each.__name__: each for each in named}
