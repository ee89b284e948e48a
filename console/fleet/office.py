"""The authority's folder on the control side: its keys, whom it trusts, its log; one process at a time works in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.fleet import authority, private
from console.fleet.authority import Paper, Signer
from console.fleet.clock import Clock
from console.fleet.keep import Journal, NotKept
from node.wire.certificates import fingerprints
from node.wire.errors import AuthorityUnusable, ClockDoubted
from node.wire.times import US, from_text, to_text

CA, CA_KEY, NEXT_KEY, LOG = "ca.pem", "ca.key", "ca-next.key", "issued.jsonl"
SSH_CA, SSH_CA_PUBLIC, KNOWN_HOSTS = "ssh_ca", "ssh_ca.pub", "known_hosts"
REVOKED, REVOKED_HOSTS, IGNORED = "revoked", "revoked_hosts", ".gitignore"
FOLDERS = {"node": "nodes", "console": "consoles", "ssh-host": "ssh"}
ENDINGS = {"node": ".pem", "console": ".pem", "ssh-host": "-cert.pub"}
OWN_HEAD = "# written by `heliograph pki`: what is added by hand may be lost\n"
EARLIEST = "2026-01-01T00:00:00.000Z"
CLOCK_LEEWAY_US = 3600 * US


@dataclass(frozen=True, slots=True)
class Office:
    """`tell` says what is no part of an answer."""

    folder: Path
    clock: Clock
    tell: Callable[[str], None]

    @contextmanager
    def open(self) -> Iterator[Signer]:
        """Held, and in order: what a crash came between is brought to its end.

        Raises AuthorityUnusable, ClockDoubted.
        """
        if not self.folder.is_dir():
            raise AuthorityUnusable(f"{self.folder} is not there: `heliograph pki init` makes it")
        with private.held(self.folder, self.tell):
            self.doubt_clock()
            signer = authority.signer(self.needed(CA_KEY), private.text(self.folder / CA))
            self.put_trusted(self.trusted(signer))
            yield signer

    # --- the authority ------------------------------------------------------------------------------------------------

    def init(self) -> bool:
        """Makes what is not there; whether that was anything.  Raises AuthorityUnusable, ClockDoubted."""
        private.made(self.folder)
        with private.held(self.folder, self.tell):
            self.doubt_clock()
            made = [self._first(name, make) for name, make in self._parts().items()]
        return any(made)

    def _parts(self) -> dict[str, Callable[[], bytes | str]]:
        """Each is made from those before it."""
        for folder in FOLDERS.values():
            private.made(self.folder / folder)
        return {
            IGNORED: lambda: "*\n",
            REVOKED: lambda: OWN_HEAD,
            CA_KEY: authority.new_key,
            CA: lambda: listed([self.new_authority(self.needed(CA_KEY))]),
            SSH_CA: authority.new_ssh_key,
            SSH_CA_PUBLIC: lambda: f"{authority.ssh_public(self.needed(SSH_CA))} heliograph fleet\n",
        }

    def _first(self, name: str, make: Callable[[], bytes | str]) -> bool:
        lacking = not (self.folder / name).exists()
        if lacking:
            private.place(self.folder / name, make())
        return lacking

    def begin_next(self) -> Paper:
        """A second authority, trusted before it signs anything.  Raises AuthorityUnusable, ClockDoubted."""
        with self.open() as signer:
            self._first(NEXT_KEY, authority.new_key)
            key = self.needed(NEXT_KEY)
            trusted = self.trusted(signer)
            found = next((paper for paper in trusted if paper.key == authority.key_digest(key)), None)
            if found is None:
                found = self.new_authority(key)
                self.put_trusted([*trusted, found])
            return found

    def promote(self) -> Paper:
        """From now on the second signs; the first stays trusted.  Raises AuthorityUnusable where there is none."""
        with self.open():
            if not (self.folder / NEXT_KEY).exists():
                raise AuthorityUnusable("there is no next authority: `heliograph pki init --next` makes it")
            signer = authority.signer(self.needed(NEXT_KEY), private.text(self.folder / CA))
            private.moved(self.folder / NEXT_KEY, self.folder / CA_KEY)
            trusted = self.trusted(signer)
            self.put_trusted(trusted)
            return trusted[0]

    def new_authority(self, key: bytes) -> Paper:
        [made] = authority.papers(authority.new_authority(key, self.now_s()))
        self.note(kind="authority", name=made.bearer.name, sha256=made.sha256, key=made.key, until=said(made.until_s))
        return made

    def trusted(self, signer: Signer) -> list[Paper]:
        """The one that signs before the others."""
        return authority.in_order(signer, private.text(self.folder / CA))

    def put_trusted(self, trusted: Sequence[Paper]) -> None:
        if private.text(self.folder / CA) != listed(trusted):
            private.place(self.folder / CA, listed(trusted))

    # --- its files ----------------------------------------------------------------------------------------------------

    def needed(self, name: str) -> bytes:
        """Raises AuthorityUnusable."""
        data = private.secret(self.folder / name)
        if data is None:
            raise AuthorityUnusable(f"{self.folder / name} is not there: bring it back from your backup")
        return data

    def path(self, kind: str, name: str) -> Path:
        return self.folder / FOLDERS[kind] / f"{name}{ENDINGS[kind]}"

    def paths(self, kind: str) -> list[Path]:
        return sorted((self.folder / FOLDERS[kind]).glob(f"*{ENDINGS[kind]}"))

    def revoked(self) -> frozenset[str]:
        """Raises AuthorityUnusable."""
        try:
            return fingerprints(private.text(self.folder / REVOKED))
        except ValueError as error:
            raise AuthorityUnusable(f"{self.folder / REVOKED}, {error}") from None

    # --- its log and its time -----------------------------------------------------------------------------------------

    def log(self) -> list[dict[str, Any]]:
        """Raises AuthorityUnusable."""
        journal = Journal(self.folder / LOG)
        try:
            entries = journal.fresh()
            journal.check()
        except NotKept as error:
            raise AuthorityUnusable(str(error)) from None
        return entries

    def note(self, **entry: str) -> None:
        """On the disk before this returns.  Raises AuthorityUnusable."""
        try:
            Journal(self.folder / LOG).append([{"at": said(self.now_s()), **entry}], lasting=True)
        except NotKept as error:
            raise AuthorityUnusable(str(error)) from None
        private.settle(self.folder)

    def now_s(self) -> int:
        return self.clock.utc_us() // US

    def doubt_clock(self) -> None:
        """Raises ClockDoubted where this machine's time is before what was done here already."""
        now_us = self.clock.utc_us()
        latest = max([EARLIEST, *(str(entry.get("at", "")) for entry in self.log())])
        if now_us < from_text(latest) - CLOCK_LEEWAY_US:
            raise ClockDoubted(f"it says {to_text(now_us)}, but {latest} is past: {self.folder / LOG}")


def said(at_s: int) -> str:
    """That time as RFC 3339."""
    return to_text(at_s * US)


def listed(trusted: Sequence[Paper]) -> str:
    """Certificates, each with a head that needs no library to be read."""
    return "".join(headed(paper) for paper in trusted)


def headed(paper: Paper, issuer_sha256: str = "") -> str:
    """A certificate with a head that needs no library to be read."""
    issuer = f"issuer_sha256: {issuer_sha256}\n" if issuer_sha256 else ""
    head = f"name: {paper.bearer.name}\nsha256: {paper.sha256}\n{issuer}not_after: {said(paper.until_s)}\n"
    return head + paper.pem
