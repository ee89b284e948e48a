"""What the fleet's authority does: certify, remember, revoke.

A certificate is in the log before anybody has it: what is to be revoked can always be named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from console.fleet import authority, private
from console.fleet.authority import DAY_S, Bearer, HostPaper, Paper, PublicKey, Signer
from console.fleet.office import (
    KNOWN_HOSTS,
    OWN_HEAD,
    REVOKED,
    REVOKED_HOSTS,
    SSH_CA,
    SSH_CA_PUBLIC,
    Office,
    headed,
    said,
)
from node.wire.certificates import fingerprint
from node.wire.errors import AuthorityUnusable, CertificateUnknown, NameTaken, RequestUnfit

RENEWED_DAYS = {"node": 120, "console": 30, "ssh-host": 120}
"""Below that another is made; a site run asks for a node's in time."""
TWIN = {"node": "console", "console": "node"}


# --- certifying -------------------------------------------------------------------------------------------------------


def sign(office: Office, name: str, request: bytes) -> str:
    """A node's certificate and its authority's.  The same again for the same key, while it is young.

    Raises RequestUnfit, NameTaken, AuthorityUnusable, ClockDoubted.
    """
    with office.open() as signer:
        public = authority.requested(request, name)
        return _certified(office, signer, Bearer("node", name), public).pem + signer.pem


def console(office: Office, name: str, role: str) -> Paper:
    """A console's certificate; its key is made here.  Raises NameTaken, AuthorityUnusable, ClockDoubted."""
    with office.open() as signer:
        _refuse_other_role(office, name, role)
        path = office.path("console", name).with_suffix(".key")
        key = private.secret(path)
        if key is None or authority.key_digest(key) in _revoked_keys(office):
            _refuse_twin(office, Bearer("console", name))
            key = authority.new_key()
            private.place(path, key)
        return _certified(office, signer, Bearer("console", name, role), authority.public_of(key))


def _certified(office: Office, signer: Signer, bearer: Bearer, public: PublicKey) -> Paper:
    fresh = authority.certify(signer, bearer, public, office.now_s())
    _refuse_twin(office, bearer)
    _refuse_key(office, fresh)
    _refuse_short(office, signer, fresh)
    found = _in_force(office, signer, fresh)
    return found or _issued(office, signer, fresh)


def _issued(office: Office, signer: Signer, fresh: Paper) -> Paper:
    bearer = fresh.bearer
    known = {"sha256": fresh.sha256, "key": fresh.key, "issuer_sha256": signer.sha256, "until": said(fresh.until_s)}
    role = {"role": bearer.role} if bearer.role else {}
    office.note(kind=bearer.kind, name=bearer.name, **role, **known)
    private.place(office.path(bearer.kind, bearer.name), headed(fresh, signer.sha256))
    return fresh


def _in_force(office: Office, signer: Signer, fresh: Paper) -> Paper | None:
    """The one that says the same, where it is young and by the same authority."""
    text = private.text(office.path(fresh.bearer.kind, fresh.bearer.name))
    if f"issuer_sha256: {signer.sha256}\n" not in text:
        return None
    [found, *_] = authority.papers(text)
    same = (found.bearer, found.key) == (fresh.bearer, fresh.key)
    young = found.until_s - office.now_s() > RENEWED_DAYS[fresh.bearer.kind] * DAY_S
    return found if same and young and found.sha256 not in office.revoked() else None


def _refuse_key(office: Office, fresh: Paper) -> None:
    """A key is one's own, and never certified again once revoked."""
    if fresh.key in _revoked_keys(office):
        raise RequestUnfit(f"{fresh.bearer.name}: a certificate of this key was revoked: make a new key")
    names = {str(entry["name"]) for entry in office.log() if entry.get("key") == fresh.key}
    for name in names - {fresh.bearer.name}:
        raise RequestUnfit(f"{fresh.bearer.name}: this key is already {name}'s: make one of its own")


def _refuse_twin(office: Office, bearer: Bearer) -> None:
    """One name is one thing: it is revoked, and stands in audits, by its name."""
    twin = TWIN[bearer.kind]
    if office.path(twin, bearer.name).exists():
        raise NameTaken(f"{bearer.name} is a {twin} already")


def _refuse_other_role(office: Office, name: str, role: str) -> None:
    text = private.text(office.path("console", name))
    held = authority.papers(text)[0].bearer.role if text else role
    if held != role:
        raise NameTaken(f"console {name} has the role {held}: `heliograph pki revoke {name}` first")


def _refuse_short(office: Office, signer: Signer, fresh: Paper) -> None:
    """What would have to be renewed at once is not made."""
    if fresh.until_s - office.now_s() <= RENEWED_DAYS[fresh.bearer.kind] * DAY_S:
        raise AuthorityUnusable(
            f"the authority itself ends on {said(signer.until_s)[:10]}:"
            " make the next one (`heliograph pki init --next`, then `heliograph pki promote`)"
        )


def _revoked_keys(office: Office) -> frozenset[str]:
    revoked = office.revoked()
    return frozenset(str(entry["key"]) for entry in office.log() if entry.get("sha256") in revoked and "key" in entry)


# --- revoking ---------------------------------------------------------------------------------------------------------


def revoke(office: Office, what: str, *, ssh: bool = False) -> list[str]:
    """The fingerprints that count no more: all of a name, or the one given; with `ssh` a host's SSH key too.

    Raises CertificateUnknown where nobody has such a name.
    """
    with office.open():
        found = _meant(office, what)
        known = ssh and office.path("ssh-host", what).exists()
        if not found and not known:
            raise CertificateUnknown(f"{what}: no certificate in force")
        _write_revoked(office, found)
        _withdraw(office, set(found.values()))
        if known:
            _revoke_host(office, what)
        return sorted(found)


def _meant(office: Office, what: str) -> dict[str, str]:
    """Names by fingerprint: of a name all that have not ended, also one that another has replaced."""
    plain, now = fingerprint(what), said(office.now_s())
    issued = {str(entry["sha256"]): entry for entry in office.log() if "key" in entry and "sha256" in entry}
    if plain is not None:
        return {plain: str(issued.get(plain, {}).get("name", ""))}
    return {
        sha256: what for sha256, entry in issued.items() if (entry["name"] == what and str(entry.get("until")) > now)
    }


def _write_revoked(office: Office, found: Mapping[str, str]) -> None:
    fresh = {sha256: name for sha256, name in found.items() if sha256 not in office.revoked()}
    for sha256, name in fresh.items():
        office.note(kind="revoked", name=name, sha256=sha256)
    lines = (f"# {name or 'not of this log'}\n{sha256}\n" for sha256, name in fresh.items())
    text = private.text(office.folder / REVOKED) + "".join(lines)
    if fresh:
        private.place(office.folder / REVOKED, text)


def _withdraw(office: Office, names: set[str]) -> None:
    """What stands under these names and is revoked is in force no more."""
    for path in (office.path(kind, name) for kind in TWIN for name in names - {""}):
        text = private.text(path)
        if text and authority.papers(text)[0].sha256 in office.revoked():
            private.gone(path)


def _revoke_host(office: Office, name: str) -> None:
    path = office.path("ssh-host", name)
    before, key = private.text(office.folder / REVOKED_HOSTS), authority.ssh_paper(private.text(path)).key
    if key not in before.splitlines():
        private.place(office.folder / REVOKED_HOSTS, f"{before}{key}\n")
    private.gone(path)
    _write_known_hosts(office)


# --- SSH --------------------------------------------------------------------------------------------------------------


def ssh_host(office: Office, name: str, addresses: Sequence[str], host_key: bytes) -> str:
    """A line for sshd: the host's key, certified.  The same again for the same key and names, while it is young.

    Raises RequestUnfit, AuthorityUnusable, ClockDoubted.
    """
    with office.open():
        principals = tuple(dict.fromkeys((name, *addresses)))
        fresh = authority.ssh_certify(office.needed(SSH_CA), name, principals, host_key, office.now_s())
        if fresh.key in private.text(office.folder / REVOKED_HOSTS).splitlines():
            raise RequestUnfit(f"{name}: this host key was revoked: make new ones on the host (ssh-keygen -A)")
        path = office.path("ssh-host", name)
        if not _lasts(office, fresh, private.text(path)):
            office.note(kind="ssh-host", name=name, host_key=fresh.key, until=said(fresh.until_s))
            private.place(path, _marked(fresh))
        _write_known_hosts(office)
        return private.text(path)


def _lasts(office: Office, fresh: HostPaper, text: str) -> bool:
    """Whether that says the same, and is young."""
    if not text:
        return False
    found = authority.ssh_paper(text)
    same = (found.key, found.principals) == (fresh.key, fresh.principals)
    return same and found.until_s - office.now_s() > RENEWED_DAYS["ssh-host"] * DAY_S


def _marked(paper: HostPaper) -> str:
    """With a comment that needs no library to be read."""
    return f"{paper.line} key={paper.mark} names={','.join(paper.principals)} until={said(paper.until_s)}\n"


def known_hosts(office: Office) -> Path:
    """Whom SSH may believe.  Raises AuthorityUnusable, ClockDoubted."""
    with office.open():
        _write_known_hosts(office)
        return office.folder / KNOWN_HOSTS


def _write_known_hosts(office: Office) -> None:
    """Hosts that the fleet certified; and their keys by name, so that a certificate that ended locks nobody out."""
    lines = [f"@cert-authority * {private.text(office.folder / SSH_CA_PUBLIC).strip()}"]
    lines += [f"@revoked * {key}" for key in private.text(office.folder / REVOKED_HOSTS).splitlines()]
    for path in office.paths("ssh-host"):
        found = authority.ssh_paper(private.text(path))
        lines.append(f"{','.join(found.principals)} {found.key}")
    text = OWN_HEAD + "".join(f"{line}\n" for line in lines)
    if private.text(office.folder / KNOWN_HOSTS) != text:
        private.place(office.folder / KNOWN_HOSTS, text)
