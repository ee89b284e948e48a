"""The nodes of the inventory: what is taken, what is refused, and with which words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console.fleet import inventory
from console.fleet.inventory import PKI_FOLDER, Host, Proxy, fingerprint, hosts_of, is_loopback, read
from console.fleet.wanted import Wanted, wanted
from node.wire.errors import InventoryUnreadable, InventoryWrong, ProgramMissing

GOOD = """
all:
  children:
    fleet:
      children:
        harbour:
          hosts:
            cam-2: {ansible_host: 192.0.2.7, heliograph_ca_file: /etc/ca.pem, heliograph_token_file: ~/token}
            cam-1: {ansible_host: 127.0.0.1, heliograph_port: 8461, heliograph_scheme: http}
    archive:
      hosts:
        store: {ansible_host: 192.0.2.9}
"""


def listed(**hosts: dict[str, Any]) -> dict[str, Any]:
    return {"_meta": {"hostvars": hosts}, "all": {"hosts": list(hosts)}}


def test_the_group_fleet_of_a_real_inventory_becomes_hosts_by_name(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text(GOOD)
    assert read(path) == (
        Host("cam-1", "127.0.0.1", 8461, "http", groups=("fleet", "harbour"), ssh=("--", "127.0.0.1")),
        Host(
            "cam-2",
            "192.0.2.7",
            8460,
            "https",
            "/etc/ca.pem",
            "~/token",
            ("fleet", "harbour"),
            ("--", "192.0.2.7"),
            tls_name="cam-2",
            revoked_file=f"{tmp_path}/.pki/revoked",
        ),
    )


def test_all_variables_of_the_nodes_come_with_them_and_make_their_documents() -> None:
    example = Path(__file__).parents[3] / "inventory" / "example"
    hosts, variables = inventory.read_whole(example)
    assert list(variables) == [host.name for host in hosts]
    documents = {name: wanted(name, each, example) for name, each in variables.items()}
    assert all(isinstance(each, Wanted) and not each.faults() for each in documents.values()), documents


def test_a_file_that_is_no_inventory_is_named_with_ansibles_own_words(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text("- x: [")
    with pytest.raises(InventoryUnreadable, match=r"inventory\.yml is no inventory: YAML parsing failed") as caught:
        read(path)
    assert caught.value.exit == 78
    assert "-i FILE" in caught.value.hint


@pytest.mark.parametrize(("text", "line"), [("a: 1\nb: [\n", 3), ("a: 1\n- b\n", 2), ("a: \x01\n", None)])
def test_a_file_of_variables_that_is_no_yaml_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: int | None
) -> None:
    """Also where our own ansible.cfg is not read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/group_vars").mkdir(parents=True)
    (tmp_path / "mine/hosts.yml").write_text(GOOD)
    broken = tmp_path / "mine/group_vars/harbour.yml"
    broken.write_text(text)
    for named in (tmp_path / "mine", tmp_path / "mine/hosts.yml"):
        with pytest.raises(InventoryUnreadable) as caught:
            read(named)
        assert f"{broken}, " in str(caught.value)
        assert line is None or f"{broken}, line {line}: " in str(caught.value)


def test_a_folder_of_other_things_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(InventoryUnreadable, match="is a folder, and nothing in it is an inventory"):
        read(tmp_path)
    (tmp_path / "blob").write_bytes(b"\x00\xff\xfe{[")
    with pytest.raises(InventoryUnreadable, match=r"is a folder, and \S+/blob in it is no inventory$"):
        read(tmp_path)


def test_a_list_of_hosts_is_taken_as_ansible_takes_it() -> None:
    assert [host.name for host in read(Path("cam-2,cam-1"))] == ["cam-1", "cam-2"]


def test_the_default_inventory_is_called_so_where_it_names_no_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "hosts.yml"
    empty.write_text("all: {hosts: {}}\n")
    monkeypatch.setenv("ANSIBLE_INVENTORY", str(empty))
    with pytest.raises(InventoryUnreadable, match="Ansible's default inventory names no hosts"):
        read(None)


@pytest.mark.parametrize("locale", ["C", "POSIX", "no_NO.such"])
def test_whatever_the_locale_of_the_terminal_ansible_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    path = tmp_path / "hosts.yml"
    path.write_text("all: {hosts: {cam-1: {}}}\n")
    assert [host.name for host in read(path)] == ["cam-1"]


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InventoryUnreadable, match=r"nowhere\.yml"):
        read(tmp_path / "nowhere.yml")


def test_where_no_process_can_be_started_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inventory.subprocess, "run", full)
    with pytest.raises(InventoryUnreadable, match="ansible-inventory could not be started: Too many open files"):
        read(tmp_path)


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing, match="ansible-inventory"):
        read(None)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "ended with 3"),
        ("echo '['", "printed no JSON"),
        ("sleep 5", "took more than"),
        ("echo '[]'", "no hosts"),
    ],
)
def test_a_program_that_misbehaves_makes_no_fleet(
    script: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / inventory.PROGRAM
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(inventory, "TIMEOUT_S", 0.5)
    with pytest.raises(InventoryUnreadable, match=words):
        read(None)


def test_without_a_group_fleet_every_host_is_a_node() -> None:
    assert [host.name for host in hosts_of(listed(b={}, a={}))] == ["a", "b"]


def test_groups_that_contain_each_other_end() -> None:
    assert [
        host.name for host in hosts_of({"fleet": {"children": ["x"]}, "x": {"hosts": ["a"], "children": ["fleet"]}})
    ] == ["a"]


def test_a_host_knows_all_its_groups_but_those_of_everybody() -> None:
    found = hosts_of({
        "all": {"children": ["fleet", "ungrouped"]},
        "fleet": {"children": ["dam", "roof"]},
        "dam": {"hosts": ["a", "b"]},
        "roof": {"hosts": ["b"]},
        "alps": {"children": ["dam"]},
        "ungrouped": {"hosts": ["c"]},
        "odd": "no group at all",
    })  # fmt: skip
    assert {host.name: host.groups for host in found} == {
        "a": ("alps", "dam", "fleet"), "b": ("alps", "dam", "fleet", "roof"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("--", "cam")),
        ({"ansible_port": 2222, "ansible_user": "pi"}, ("-p", "2222", "-l", "pi", "--", "cam")),
        ({"ansible_port": "2222"}, ("-p", "2222", "--", "cam")),
        (
            {"ansible_ssh_common_args": "-J 'jump host' -o X=y", "ansible_ssh_private_key_file": "~/k"},
            ("-J", "jump host", "-o", "X=y", "-i", "~/k", "--", "cam"),
        ),
        ({"ansible_connection": "local"}, ()),
        ({"ansible_connection": ["ssh"]}, ()),
        ({"ansible_user": "{{ lookup('env', 'USER') }}"}, ()),
        ({"ansible_ssh_extra_args": "-o 'never ends"}, ()),
        ({"ansible_host": "-oProxyCommand"}, ("--", "-oProxyCommand")),
    ],
)
def test_ssh_is_called_as_the_inventory_says(variables: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert hosts_of(listed(cam=variables))[0].ssh == expected


def test_the_fingerprint_follows_files_folders_and_variables_beside(tmp_path: Path) -> None:
    path = tmp_path / "inventory" / "hosts.yml"
    seen = {fingerprint(path)}
    path.parent.mkdir()
    path.write_text(GOOD)
    seen.add(fingerprint(path))
    assert fingerprint(path) == fingerprint(path)
    path.write_text(GOOD + "\n")
    seen.add(fingerprint(path))
    (path.parent / "group_vars").mkdir()
    (path.parent / "group_vars" / "fleet.yml").write_text("a: 1\n")
    seen |= {fingerprint(path), fingerprint(path.parent)}
    (path.parent / "group_vars" / "dangling").symlink_to(tmp_path / "nowhere")
    seen |= {fingerprint(path), fingerprint(path.parent)}
    assert len(seen) == 7
    assert fingerprint(None) == fingerprint(Path("a,b")) == ()


def test_the_name_is_the_address_where_none_is_given() -> None:
    assert hosts_of(listed(cam={}))[0].url == "https://cam:8460"


def test_an_ipv6_address_gets_its_brackets() -> None:
    assert hosts_of(listed(cam={"ansible_host": "2001:db8::7"}))[0].url == "https://[2001:db8::7]:8460"


@pytest.mark.parametrize(
    ("name", "variables", "path", "words"),
    [
        ("Cam_1", {}, "Cam_1", "a-z"),
        ("c" * 64, {}, "c" * 64, "63"),
        ("cam", {"heliograph_port": 0}, "cam.heliograph_port", "greater than"),
        ("cam", {"heliograph_port": "web"}, "cam.heliograph_port", "integer"),
        ("cam", {"heliograph_scheme": "gopher"}, "cam.heliograph_scheme", "https"),
        ("cam", {"heliograph_scheme": "http", "ansible_host": "192.0.2.1"}, "cam", "loopback only"),
        ("cam", {"heliograph_scheme": "http", "ansible_host": "example.org"}, "cam", "loopback only"),
        ("cam", {"ansible_host": "a b/c"}, "cam.ansible_host", "pattern"),
        ("cam", {"ansible_host": {"deep": []}}, "cam.ansible_host", "string"),
    ],
)
def test_a_wrong_host_variable_is_named_by_its_path(
    name: str, variables: dict[str, Any], path: str, words: str
) -> None:
    with pytest.raises(InventoryWrong) as caught:
        hosts_of(listed(**{name: variables}))
    assert [fault.path for fault in caught.value.fields] == [path]
    assert words in caught.value.fields[0].message


def test_every_wrong_host_is_named_at_once() -> None:
    with pytest.raises(InventoryWrong) as caught:
        hosts_of(listed(a={"heliograph_port": 0}, b={"heliograph_port": -1}, c={}))
    assert [fault.path for fault in caught.value.fields] == ["a.heliograph_port", "b.heliograph_port"]


def test_two_nodes_of_one_address_and_port_are_refused() -> None:
    same = {"ansible_host": "192.0.2.1"}
    with pytest.raises(InventoryWrong) as caught:
        hosts_of(listed(a=same, b=same, c={**same, "heliograph_port": 8461}))
    assert [(fault.path, fault.message) for fault in caught.value.fields] == [
        ("b.ansible_host", "192.0.2.1 port 8460 is a's already")
    ]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("localhost", True), ("127.8.8.8", True), ("::1", True), ("192.0.2.1", False), ("localhost.example", False)],
)
def test_loopback_is_told_from_elsewhere(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_reading_an_inventory_needs_no_screen() -> None:
    code = "import sys, console.fleet.inventory; sys.exit('textual' in sys.modules or 'httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode == 0


SECURED = """
fleet:
  vars:
    heliograph_ca_file: "{{ inventory_dir }}/.pki/ca.pem"
    heliograph_client_cert_file: .pki/consoles/kim.pem
    heliograph_client_key_file: "{{heliograph_pki_dir}}/consoles/kim.key"
    heliograph_token_file: "../tokens/{{ inventory_hostname }}"
    ansible_ssh_common_args: "-o UserKnownHostsFile={{ heliograph_pki_dir }}/known_hosts -J bastion"
  hosts:
    alpha: {ansible_host: 192.0.2.7}
    bravo: {ansible_host: 192.0.2.8, heliograph_tls_name: b.example, heliograph_proxy: "socks5://127.0.0.1:1080"}
"""


@pytest.mark.parametrize("named", ["fleet.yml", "."])
def test_files_are_below_the_folder_of_the_inventory(tmp_path: Path, named: str) -> None:
    (tmp_path / "fleet.yml").write_text(SECURED)
    alpha, bravo = read(tmp_path / named)
    assert alpha == Host(
        "alpha", "192.0.2.7",
        ca_file=f"{tmp_path}/.pki/ca.pem",
        token_file=f"{tmp_path}/../tokens/alpha",
        groups=("fleet",),
        ssh=("-o", f"UserKnownHostsFile={tmp_path}/.pki/known_hosts", "-J", "bastion", "--", "192.0.2.7"),
        cert_file=f"{tmp_path}/.pki/consoles/kim.pem",
        key_file=f"{tmp_path}/.pki/consoles/kim.key",
        tls_name="alpha",
        revoked_file=f"{tmp_path}/.pki/revoked",
    )  # fmt: skip
    assert (bravo.tls_name, bravo.proxy, str(bravo.proxy)) == ("b.example", Proxy("127.0.0.1", 1080), "127.0.0.1:1080")


def test_the_folder_of_the_keys_may_be_another() -> None:
    said = {"ansible_host": "192.0.2.7", "heliograph_pki_dir": "/srv/pki"}
    [host] = hosts_of(listed(cam=said | {"heliograph_ca_file": "{{ heliograph_pki_dir }}/ca.pem"}))
    assert (host.ca_file, host.revoked_file) == ("/srv/pki/ca.pem", "/srv/pki/revoked")


def test_without_a_word_the_folder_of_the_keys_is_where_the_role_and_the_command_have_it() -> None:
    role = (Path(__file__).parents[3] / "roles" / "pki" / "vars" / "main.yml").read_text()
    assert f"default(inventory_dir ~ '/{PKI_FOLDER}')" in role
    [host] = hosts_of(listed(cam={"ansible_host": "192.0.2.7"}), folder=Path("/srv/fleet"))
    assert host.revoked_file == f"/srv/fleet/{PKI_FOLDER}/revoked"
    [host] = hosts_of(listed(cam={"ansible_host": "192.0.2.7"}))
    assert host.revoked_file is None


def test_the_example_is_understood() -> None:
    example = Path(__file__).parents[3] / "inventory" / "example"
    hosts = {host.name: host for host in read(example)}
    near, far = hosts["harbour-1"], hosts["quarry-1"]
    assert (near.ca_file, near.tls_name, near.proxy) == (f"{example}/.pki/ca.pem", "harbour-1", None)
    assert far.proxy == Proxy("127.0.0.1", 1080)
    assert {f"UserKnownHostsFile={example}/.pki/known_hosts", "-J", "gate.example"} <= set(far.ssh)


@pytest.mark.parametrize(
    ("said", "path", "words"),
    [
        ({"heliograph_ca_file": "{{ lookup('file', 'x') }}/ca.pem"}, "heliograph_ca_file", "is left to Ansible"),
        ({"heliograph_ca_file": "{{ elsewhere }}/ca.pem"}, "heliograph_ca_file", "inventory_hostname and heliograph_"),
        ({"heliograph_token_file": "{{ inventory_dir }}/t"}, "heliograph_token_file", "the first where -i names"),
        ({"heliograph_token_file": "token"}, "heliograph_token_file", "which that is only -i says"),
        ({"heliograph_client_key_file": "/k"}, "", "heliograph_client_key_file without heliograph_client_cert_file"),
        ({"heliograph_tls_name": "no name"}, "heliograph_tls_name", "match pattern"),
        ({"heliograph_tls_name": 7}, "heliograph_tls_name", "string"),
        ({"heliograph_proxy": "127.0.0.1:1080"}, "heliograph_proxy", "a proxy is written socks5://ADDRESS:PORT"),
        ({"heliograph_proxy": "http://127.0.0.1:1080"}, "heliograph_proxy", "is written socks5://"),
        ({"heliograph_proxy": "socks5://kim:secret@127.0.0.1:1080"}, "heliograph_proxy", "is written socks5://"),
        ({"heliograph_proxy": "socks5://127.0.0.1:70000"}, "heliograph_proxy", "is written socks5://"),
        ({"heliograph_proxy": "socks5://127.0.0.1:" + "9" * 5000}, "heliograph_proxy", "is written socks5://"),
        ({"heliograph_proxy": "socks5://h:1", "heliograph_scheme": "http", "ansible_host": "::1"}, "", "TLS only"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_of_keys_and_proxies_is_said(said: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InventoryWrong) as caught:
        hosts_of(listed(cam={"ansible_host": "192.0.2.7"} | said))
    [fault] = caught.value.fields
    assert fault.path == ".".join(filter(None, ("cam", path)))
    assert words in fault.message
    assert "secret" not in fault.message


@pytest.mark.parametrize(
    ("url", "proxy"),
    [("socks5://[::1]:1080", Proxy("::1", 1080)), ("socks5h://jump.example:9/", Proxy("jump.example", 9))],
)
def test_a_proxy_may_be_written_so(url: str, proxy: Proxy) -> None:
    [host] = hosts_of(listed(cam={"ansible_host": "192.0.2.7", "heliograph_proxy": url}))
    assert host.proxy == proxy


def test_two_sites_may_use_one_address_behind_two_jump_hosts() -> None:
    near, far = {"heliograph_proxy": "socks5://127.0.0.1:1080"}, {"heliograph_proxy": "socks5://127.0.0.1:1081"}
    at = {"ansible_host": "192.168.1.10"}
    assert len(hosts_of(listed(a=at | near, b=at | far))) == 2
    with pytest.raises(InventoryWrong):
        hosts_of(listed(a=at | near, b=at | near))
