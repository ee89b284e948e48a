"""How the certificates of the fleet stand: what is in force, and for how long still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from console.fleet import authority, private
from console.fleet.authority import DAY_S, Signer
from console.fleet.office import CA, ENDINGS, FOLDERS, NEXT_KEY, Office
from node.wire.errors import AuthorityUnusable, NameTaken

WARNED_DAYS = {"authority": 365, "node": 21, "console": 21, "ssh-host": 21}
"""Below that `show` ends with 1; an authority in time for the certificates that it has to outlive."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A certificate in force, or a file that holds none."""

    kind: str
    name: str
    role: str
    until_s: int
    days: int
    state: str
    sha256: str
    path: Path


def show(office: Office) -> list[Standing]:
    """All that is in force, the soonest to end first.  Raises AuthorityUnusable, ClockDoubted."""
    with office.open() as signer:
        found = [*_authorities(office, signer), *_others(office)]
    return sorted(found, key=lambda each: (each.until_s, each.kind, each.name))


def drop_old(office: Office) -> int:
    """Only who signs, and who is next, is trusted; how many are no more.

    Raises NameTaken while a certificate of theirs is in force.
    """
    with office.open() as signer:
        trusted = office.trusted(signer)
        kept = [paper for paper in trusted if paper.key in _kept_keys(office, trusted[0].key)]
        _refuse_in_use(office, {paper.sha256 for paper in trusted} - {paper.sha256 for paper in kept})
        office.put_trusted(kept)
        return len(trusted) - len(kept)


def _kept_keys(office: Office, signing: str) -> set[str]:
    coming = private.secret(office.folder / NEXT_KEY)
    return {signing} if coming is None else {signing, authority.key_digest(coming)}


def _refuse_in_use(office: Office, dropped: set[str]) -> None:
    issuer = {entry.get("sha256"): entry.get("issuer_sha256") for entry in office.log() if "key" in entry}
    names = [each.name for each in _others(office) if each.days >= 0 and issuer.get(each.sha256) in dropped]
    if names:
        raise NameTaken(f"certificates of the old authority are in force: {', '.join(names)}")


def _authorities(office: Office, signer: Signer) -> Iterator[Standing]:
    for paper in authority.papers(private.text(office.folder / CA)):
        role = "signs" if paper.sha256 == signer.sha256 else "trusted"
        days = _days(office, paper.until_s)
        state = _state("authority", days)
        path = office.folder / CA
        yield Standing("authority", paper.bearer.name, role, paper.until_s, days, state, paper.sha256, path)


def _others(office: Office) -> Iterator[Standing]:
    for kind in FOLDERS:
        for path in office.paths(kind):
            yield _read(office, kind, path)


def _read(office: Office, kind: str, path: Path) -> Standing:
    name = path.name.removesuffix(ENDINGS[kind])
    try:
        role, until_s, sha256 = _facts(kind, private.text(path))
    except AuthorityUnusable:
        return Standing(kind, name, "", 0, 0, "damaged", "", path)
    days = _days(office, until_s)
    return Standing(kind, name, role, until_s, days, _state(kind, days), sha256, path)


def _facts(kind: str, text: str) -> tuple[str, int, str]:
    """Role, end, fingerprint."""
    if kind == "ssh-host":
        return "", authority.ssh_paper(text).until_s, ""
    paper = authority.papers(text)[0]
    return paper.bearer.role, paper.until_s, paper.sha256


def _days(office: Office, until_s: int) -> int:
    return (until_s - office.now_s()) // DAY_S


def _state(kind: str, days: int) -> str:
    if days < 0:
        return "expired"
    return "soon" if days < WARNED_DAYS[kind] else "ok"
