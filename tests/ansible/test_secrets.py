"""Nothing secret is in an output, a journal, a bundle, an event, a process list or a file for everybody.

Planted words that are in each of these show that the search would find it.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import tarfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.ansible.conftest import HELIOGRAPH, Site
from tests.lab.host import Host
from tests.lab.lab import Lab, Played

pytestmark = pytest.mark.lab

MANNERS = {"alpha": "default", "charlie": "heliograph_lines"}
"""One host of each suite is told of in Ansible's way, one in lines for programs; both at the same time."""
PLAYBOOKS = ("site", "rotate_certs", "harden", "backup", "collect_bundle")
SHORTEST = 20
"""Of a line of a private key: shorter ones are padding and ends."""
PRIVATE = "/etc/heliograph/tls/in-force/node.key /etc/ssh/ssh_host_*_key /etc/heliograph/keys/shelf"
PUBLIC = "/etc/ssh/ssh_host_*_key.pub"
LOCAL_TOKEN = "/run/heliograph/own/local.token"
BOOT_FILE = "/boot/firmware/config.txt"
"""For everybody to read, and in a bundle."""
READABLE = r"""
umask 077
cat > /root/words
runuser -u nobody -- find / /run /tmp /var/tmp /dev/shm -xdev \
  \( -path /usr -o -path /srv -o -name site-packages \) -prune \
  -o -type f -readable -print0 2> /dev/null | xargs -0 -r grep -sFl -f /root/words --
rm /root/words
"""
"""What nobody in particular can read, and holds one of the words given."""
SWEEP_S, SWEEPS = 0.03, 40


class Watching:
    """The command lines of all processes of this machine, the hosts' too, as long as it lasts."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._looked: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._over.wait(SWEEP_S):
            for process in Path("/proc").glob("[0-9]*"):
                self._looked[process.name] += 1
                if self._looked[process.name] <= SWEEPS:  # a process that is older has become what it is
                    with suppress(OSError):
                        self.seen.add((process / "cmdline").read_bytes())

    @property
    def text(self) -> str:
        return b"\n".join(self.seen).replace(b"\0", b" ").decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Vault:
    """Values that an operator keeps encrypted beside the inventory, and where their password is."""

    folder: Path
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    become: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def words(self) -> set[str]:
        return {self.password, self.become, self.token}

    @property
    def options(self) -> list[str]:
        return ["-i", str(self.folder / "more"), "--vault-password-file", str(self.folder / "password")]

    def write(self) -> None:
        group = self.folder / "more" / "group_vars" / "fleet"
        group.mkdir(parents=True)
        (self.folder / "password").write_text(self.password)
        (self.folder / "more" / "hosts.yml").write_text(
            json.dumps({"fleet": {"hosts": {name: {} for name in MANNERS}}})
        )
        whole = json.dumps({"vault_become_password": self.become, "vault_robot_token": self.token})
        lib = VaultLib([("default", VaultSecret(self.password.encode()))])
        (group / "vault.yml").write_bytes(lib.encrypt(whole))
        robot = {"name": "robot", "role": "viewer", "sha256": "{{ vault_robot_token | hash('sha256') }}"}
        plain = {"ansible_become_password": "{{ vault_become_password }}", "node_tokens": [robot]}
        (group / "main.yml").write_text(json.dumps(plain))


@dataclass(frozen=True, slots=True)
class Searched:
    """What was heard and seen while everything was run, by place; and what must not be in it."""

    vault: Vault
    words: set[str]
    planted: str
    texts: Mapping[str, str]
    readable: Mapping[str, list[str]]
    """By host, the files for everybody that hold such a word or the planted one."""

    def places(self, words: Iterable[str]) -> set[str]:
        wanted = list(words)
        return {place for place, text in self.texts.items() if any(word in text for word in wanted)}


def key_lines(text: str) -> set[str]:
    return {line for line in text.splitlines() if len(line) > SHORTEST and "-----" not in line}


def of_control(lab: Lab) -> set[str]:
    """Private keys of the authority, of the consoles and of who enters the hosts."""
    files = [lab.place.key, *(path for path in lab.place.pki.rglob("*") if path.is_file())]
    return {line for path in files if "PRIVATE KEY" in (text := path.read_text()) for line in key_lines(text)}


def of_host(host: Host) -> set[str]:
    """Its private keys, without what stands in the public halves too; and the token of the service itself."""
    public = host.inside(f"cat {PUBLIC}").stdout
    private = {line for line in key_lines(host.inside(f"cat {PRIVATE}").stdout) if line not in public}
    return private | {host.inside(["cat", LOCAL_TOKEN]).stdout.strip()}


def everything(lab: Lab, name: str, vault: Vault, folder: Path) -> dict[str, str]:
    """All playbooks on that host, as talkative as they can be."""
    texts = {}
    for playbook in PLAYBOOKS:
        words = ["--limit", name, *vault.options, "-vvv", "--diff", "-e", f"collect_to={folder}"]
        done: Played = lab.play(playbook, *words, ANSIBLE_STDOUT_CALLBACK=MANNERS[name])
        assert done.rc == 0, done.stdout
        texts[f"output of {playbook} on {name}"] = done.stdout + done.stderr
    return texts


def journal(host: Host) -> str:
    return host.inside("journalctl -a -q --no-pager; find /var/log -name '*.log' -exec cat {} +", check=False).stdout


def bundles(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.glob("*.tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes()), mode="r:gz") as tar:
            parts = [tar.extractfile(one) for one in tar.getmembers() if one.isfile()]
            text = "\n".join(part.read().decode(errors="replace") for part in parts if part is not None)
        yield f"bundle of {path.name.partition('-')[0]}", text


@contextmanager
def planted_in(site: Site, word: str) -> Iterator[None]:
    """A process, journals, events and files of the hosts hold it."""
    hosts = [site.lab.host(name) for name in MANNERS]
    site.heliograph("hold", *MANNERS, "--for", "10m", "--reason", word, "--yes")
    for host in hosts:
        host.inside(
            f"cp -p {BOOT_FILE} /root/boot; echo '# {word}' >> {BOOT_FILE}; logger {word}; sh -c 'sleep 1 #{word}'"
        )
    try:
        yield
    finally:
        for host in hosts:
            host.inside(f"cp -p /root/boot {BOOT_FILE}; rm /root/boot")
        site.heliograph("resume", *MANNERS, "--yes")


@pytest.fixture(scope="module")
def searched(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    """Who comes after it finds the fleet without the vault's values."""
    lab, folder, planted = site.lab, tmp_path_factory.mktemp("secrets"), f"planted-{secrets.token_hex(8)}"
    vault = Vault(folder)
    vault.write()
    hosts = {name: lab.host(name) for name in MANNERS}
    words = vault.words.union(of_control(lab), *map(of_host, hosts.values()))
    with Watching() as watching, planted_in(site, planted), ThreadPoolExecutor() as pool:
        said = lab.ansible(["ansible", ",".join(MANNERS), "-m", "debug", "-a", f"msg={planted}"])
        runs = [pool.submit(everything, lab, name, vault, folder) for name in MANNERS]
        texts = {place: text for run in runs for place, text in run.result().items()}
        words |= set().union(*map(of_host, hosts.values()))
        told = site.heliograph("events", "--since", "1h", "--json").stdout
        given = "".join(f"{word}\n" for word in (*words, planted))
        readable = {name: host.inside(READABLE, given=given).stdout.splitlines() for name, host in hosts.items()}
    texts |= {"an output": said.stdout, "command lines": watching.text, "events": told, **dict(bundles(folder))}
    texts |= {f"journal of {name}": journal(host) for name, host in hosts.items()}
    yield Searched(vault, words, planted, texts, readable)
    assert lab.play("site", "--limit", ",".join(MANNERS)).rc == 0


def test_the_search_finds_what_is_planted_in_each_kind_of_place(searched: Searched) -> None:
    outputs = {f"output of {playbook} on {name}" for playbook in PLAYBOOKS for name in MANNERS}
    each = {f"{what} of {name}" for what in ("bundle", "journal") for name in MANNERS}
    others = {"an output", "command lines", "events"}
    assert set(searched.texts) == outputs | each | others
    assert searched.places([searched.planted]) >= each | others
    assert {name: BOOT_FILE in files for name, files in searched.readable.items()} == dict.fromkeys(MANNERS, True)


def test_nothing_secret_is_in_any_of_them(searched: Searched) -> None:
    assert len(searched.words) > 30
    assert min(map(len, searched.words)) > SHORTEST
    assert searched.places(searched.words) == set()
    assert searched.readable == {name: [BOOT_FILE] for name in MANNERS}


def test_all_of_it_was_at_work(searched: Searched) -> None:
    commands = searched.texts["command lines"]
    assert [word for word in ("ansible-playbook", "openssl req", "place.py", "sudo") if word not in commands] == []
    for name in MANNERS:
        assert "node.yml" in searched.texts[f"output of site on {name}"]
    for text in (text for place, text in searched.texts.items() if place.startswith(("output", "bundle"))):
        assert len(text) > 1000


def test_a_token_of_the_vault_opens_the_api(site: Site, searched: Searched, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(searched.vault.token)
    host = {
        "ansible_host": site.lab.host("alpha").address,
        "heliograph_ca_file": str(site.lab.place.pki / "ca.pem"),
        "heliograph_token_file": str(tmp_path / "token"),
    }
    (tmp_path / "fleet.yml").write_text(json.dumps({"fleet": {"hosts": {"alpha": host}}}))
    done = site.lab.control([HELIOGRAPH, "status", "-i", str(tmp_path / "fleet.yml"), "--json"], check=False)
    [node] = json.loads(done.stdout)["nodes"]
    assert node["error"] is None
    assert hashlib.sha256(searched.vault.token.encode()).hexdigest() not in done.stdout


def test_what_this_machine_keeps_is_for_its_owner(site: Site, searched: Searched) -> None:
    place = site.lab.place
    kept = [path for folder in (place.pki, place.folder / "backups") for path in folder.rglob("*") if path.is_file()]
    secret = {path for path in kept if any(word.encode() in path.read_bytes() for word in searched.words)}
    assert len(secret) > len(MANNERS)
    assert {path for path in secret if path.stat().st_mode & 0o077} == set()
