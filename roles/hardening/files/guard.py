"""Refuse what would lock out whoever is changing this host: looked at before anything is placed."""

from __future__ import annotations

import grp
import ipaddress
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SSHD = Path("/etc/ssh/sshd_config")
SSHD_SCRATCH = Path("/run/sshd")
INCLUDES = re.compile(r"^\s*include\s.*/etc/ssh/sshd_config\.d/\*\.conf", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Session:
    """The ssh connection that this program was started through."""

    user: str
    address: str
    port: int

    @staticmethod
    def of(environment: dict[str, str]) -> Session | None:
        words = environment.get("SSH_CONNECTION", "").split()
        return Session(environment.get("USER", ""), words[0], int(words[3])) if len(words) == 4 else None  # noqa: PLR2004 - sshd's four


def session() -> Session | None:
    """The environment, which sudo clears: that of the shells above still has it.  None = not through ssh."""
    found = (Session.of(environment) for environment in _ancestors(os.getpid()))
    return next((one for one in found if one), None)


def _ancestors(pid: int) -> Iterator[dict[str, str]]:
    while pid > 1:
        pairs = (PROC / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
        yield dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        pid = int((PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[1])


def ssh(staged: str, group: str, users: str) -> Iterator[str]:
    """What speaks against this drop-in."""
    SSHD_SCRATCH.mkdir(mode=0o755, exist_ok=True)
    yield from _said("sshd", "-t", "-f", staged)
    if not INCLUDES.search(SSHD.read_text()):
        yield f"{SSHD} does not read its drop-ins: begin it with 'Include /etc/ssh/sshd_config.d/*.conf'"
    caller = session()
    if caller:
        yield from _shut_out(caller.user, group, users.split(","))


def _shut_out(user: str, group: str, users: list[str]) -> Iterator[str]:
    account = pwd.getpwnam(user)
    if account.pw_uid == 0:
        yield "you are logged in as root, whom sshd will refuse: run playbooks/bootstrap.yml, then come as its user"
    elif user not in users and group not in _groups(account):
        yield f"{user}, who is logged in, is not in the group {group}: name {user} in hardening_ssh_users"
    if not _has_keys(Path(account.pw_dir) / ".ssh/authorized_keys"):
        yield f"{user} has no key in ~/.ssh/authorized_keys, and passwords will be refused: put your public key there"


def _groups(account: pwd.struct_passwd) -> set[str]:
    return {grp.getgrgid(gid).gr_name for gid in os.getgrouplist(account.pw_name, account.pw_gid)}


def _has_keys(path: Path) -> bool:
    return path.is_file() and any(line.strip() and not line.startswith("#") for line in path.read_text().splitlines())


def firewall(staged: str, port: str, *nets: str) -> Iterator[str]:
    """What speaks against these rules."""
    yield from _said("nft", "-c", "-f", staged)
    caller = session()
    if caller and not _is_in(caller.address, nets):
        yield f"you come from {caller.address}, which is in none of hardening_management_nets: name its net there"
    if caller and caller.port != int(port):
        yield f"sshd listens on port {caller.port}, not {port}: say so in hardening_ssh_port"


def _is_in(address: str, nets: tuple[str, ...]) -> bool:
    """Whatever way the address is written: with its link, or version 4 within 6."""
    plain = ipaddress.ip_address(address.partition("%")[0])
    plain = getattr(plain, "ipv4_mapped", None) or plain
    return any(plain in ipaddress.ip_network(net, strict=False) for net in nets)


def _said(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words, and no shell
    return [done.stderr.strip() or f"{command[0]} ends with {done.returncode}"] if done.returncode else []


GUARDS: dict[str, Callable[..., Iterator[str]]] = {"ssh": ssh, "firewall": firewall}


def main(words: list[str]) -> int:
    """1 where something speaks against it."""
    refusals = list(GUARDS[words[0]](*words[1:]))
    sys.stderr.write("".join(f"{refusal}\n" for refusal in refusals))
    return 1 if refusals else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
