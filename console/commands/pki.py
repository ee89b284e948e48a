"""The fleet's own certificate authority, on the control side: `heliograph pki`."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from console.commands.command import Command, inventory_option, say
from console.commands.ground import inventory_of, warn
from console.fleet.clock import Clock
from console.fleet.inventory import NAME, PKI_FOLDER
from node.wire.errors import OK, ProgramMissing, UsageWrong
from node.wire.times import US, to_text

if TYPE_CHECKING:
    from console.fleet.office import Office
    from console.fleet.standing import Standing

FAULT = 1
ROLES = ("viewer", "operator", "admin")
LARGEST_BYTES = 64 * 1024
PRINCIPAL = re.compile(r"[A-Za-z0-9.:_-]{1,253}")
TITLES = ("STATE", "KIND", "NAME", "ROLE", "DAYS", "UNTIL", "SHA-256")
FINGERPRINT_SHOWN = 16


# --- options ----------------------------------------------------------------------------------------------------------


def _folder_option(parser: argparse.ArgumentParser) -> None:
    inventory_option(parser)
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help=f"the authority's folder; default: {PKI_FOLDER} beside the inventory"
    )


def _init_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    parser.add_argument("--next", action="store_true", help="make the next authority, which `promote` lets sign")


def _promote_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    parser.add_argument("--drop-old", action="store_true", help="later: end the trust in those that sign no more")


def _sign_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    parser.add_argument("--node", required=True, type=_name, metavar="NAME", help="the node that asks")


def _console_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    parser.add_argument("name", type=_name, metavar="NAME", help="who: it stands in the nodes' audit")
    parser.add_argument("--role", required=True, choices=ROLES, help="what it may do")


def _show_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _revoke_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    parser.add_argument("what", metavar="NAME|FINGERPRINT", help="all certificates of a name, or one by its SHA-256")
    parser.add_argument("--ssh", action="store_true", help="a host's SSH key too: nobody connects to it any more")


def _ssh_host_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    parser.add_argument("name", type=_name, metavar="NAME", help="the host")
    parser.add_argument(
        "--address", action="append", default=[], type=_principal, help="another name or address of it; may be repeated"
    )


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"1 to 63 of a-z, 0-9 and -, not {text!r}")
    return text


def _principal(text: str) -> str:
    if not PRINCIPAL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"a name or an address, not {text!r}")
    return text


# --- what they do -----------------------------------------------------------------------------------------------------


def _init(given: argparse.Namespace) -> int:
    office = _office(given)
    if given.next:
        say(f"next authority: {office.begin_next().sha256}")
    else:
        say(f"{office.folder}: {'made' if office.init() else 'nothing was missing'}")
    return OK


def _promote(given: argparse.Namespace) -> int:
    office = _office(given)
    if given.drop_old:
        from console.fleet.standing import drop_old

        say(f"no more trusted: {drop_old(office)}")
    else:
        say(f"now signs: {office.promote().sha256}")
    return OK


def _sign(given: argparse.Namespace) -> int:
    def make(office: Office, data: bytes) -> str:
        from console.fleet.issuing import sign

        return sign(office, given.node, data)

    return _issue(given, make)


def _ssh_host(given: argparse.Namespace) -> int:
    def make(office: Office, data: bytes) -> str:
        from console.fleet.issuing import ssh_host

        return ssh_host(office, given.name, given.address, data)

    return _issue(given, make)


def _issue(given: argparse.Namespace, make: Callable[[Office, bytes], str]) -> int:
    """What is asked for comes on standard input, what is certified goes to standard output."""
    office = _office(given)
    if sys.stdin.isatty():
        raise UsageWrong("what is to be certified is read from standard input")
    say(make(office, sys.stdin.buffer.read(LARGEST_BYTES + 1)).rstrip("\n"))
    return OK


def _console(given: argparse.Namespace) -> int:
    office = _office(given)
    from console.fleet.issuing import console

    paper = console(office, given.name, given.role)
    path = office.path("console", given.name)
    say(f"heliograph_client_cert_file: {path}\nheliograph_client_key_file: {path.with_suffix('.key')}")
    warn(f"{given.role} until {to_text(paper.until_s * US)}")
    return OK


def _show(given: argparse.Namespace) -> int:
    office = _office(given)
    from console.fleet.standing import show

    found = show(office)
    if given.json:
        say(json.dumps({"certificates": [_as_json(each) for each in found]}, indent=2))
    else:
        say("\n".join(_table([TITLES, *map(_row, found)])))
    return OK if all(each.state == "ok" for each in found) else FAULT


def _as_json(each: Standing) -> dict[str, object]:
    return {**asdict(each), "path": str(each.path), "until": to_text(each.until_s * US)}


def _row(each: Standing) -> tuple[str, ...]:
    until = to_text(each.until_s * US)[:10]
    return each.state, each.kind, each.name, each.role, str(each.days), until, each.sha256[:FINGERPRINT_SHOWN]


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _revoke(given: argparse.Namespace) -> int:
    office = _office(given)
    from console.fleet.issuing import revoke

    for sha256 in revoke(office, given.what, ssh=given.ssh):
        say(f"revoked: {sha256}")
    warn("nodes know it after the next run of playbooks/site.yml")
    return OK


def _known_hosts(given: argparse.Namespace) -> int:
    office = _office(given)
    from console.fleet.issuing import known_hosts

    say(str(known_hosts(office)))
    return OK


def _office(given: argparse.Namespace) -> Office:
    """Raises ProgramMissing where the library for it is not installed."""
    try:
        from console.fleet.office import Office
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        raise ProgramMissing("cryptography, of the extra ops: pip install 'heliograph[ops]'") from None
    return Office(_folder(given), Clock(), warn)


def _folder(given: argparse.Namespace) -> Path:
    if given.dir is not None:
        return Path(given.dir).absolute()
    path = inventory_of(given)
    if path is None:
        raise UsageWrong("which fleet's? name its inventory with -i, or the authority's folder with --dir")
    return (path if path.is_dir() else path.parent).absolute() / PKI_FOLDER


COMMANDS = {
    "pki init": Command("Make the fleet's certificate authority, or what is missing of it.", _init_options, _init),
    "pki sign": Command("Certify a node: its request on stdin, its certificates on stdout.", _sign_options, _sign),
    "pki console": Command("Certify a console, with a key made here.", _console_options, _console),
    "pki show": Command("All certificates in force: exit status 1 when one ends soon.", _show_options, _show),
    "pki revoke": Command("Let certificates count no more.", _revoke_options, _revoke),
    "pki promote": Command("Let the next authority sign; the one before stays trusted.", _promote_options, _promote),
    "pki ssh-host": Command(
        "Certify a host's SSH key: its public key on stdin, the certificate on stdout.", _ssh_host_options, _ssh_host
    ),
    "pki known-hosts": Command("Write the file of SSH hosts that the fleet vouches for.", _folder_option, _known_hosts),
}
