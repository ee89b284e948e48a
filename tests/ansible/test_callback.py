"""What real runs of Ansible print as lines for programs, and what never stands in one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "playbooks" / "callback_plugins"
PROGRAM = Path(sys.executable).parent / "ansible-playbook"
KEYS = {"t", "event", "host", "task", "play", "rc", "changed", "msg"}
VAULT_WORD = "the vault's own"
LOCAL = "here ansible_connection=local ansible_python_interpreter={{ansible_playbook_python}}\n"
SECRETS = {
    "heliograph_api_token": "token-Xk29-in-a-variable",
    "camera_password": "pass-Qm41 with words",
    "vault_nas": "vault-Lw77-by-its-name",
    "keys_of": "nested-Pz63-secret",
    "signing_key": "line-one-Ab12-of-a-key",
    "of_a_vault": "vaulted-Ht55-value",
    "told": "told-Rr90-by-a-module",
    "hidden": "hidden-Mn38-by-no-log",
    "argument": "argument-Vc02-undiffed",
}

PLAY = """
- name: Everything at once
  hosts: all
  gather_facts: false
  vars:
    camera_password: {camera_password!r}
    vault_nas: {vault_nas!r}
    nas: {{secrets: [{{password: {keys_of!r}}}]}}
    signing_key: "{signing_key}\\nline-two-Cd34-of-a-key\\n"
    heliograph_token_file: /etc/not/secret/itself
  tasks:
    - name: It was so
      ansible.builtin.command: echo as it was
      changed_when: false
    - name: It is otherwise
      ansible.builtin.command: printf 'token=%s' {told}
      changed_when: true
    - name: A file is written
      ansible.builtin.copy:
        content: "a\\nb {{{{ camera_password }}}}\\n{{{{ signing_key }}}}\\n{{{{ heliograph_token_file }}}}\\n"
        dest: "{{{{ folder }}}}/file"
        mode: "0600"
    - name: A file is written, and not shown
      ansible.builtin.copy:
        content: {argument!r}
        dest: "{{{{ folder }}}}/undiffed"
        mode: "0600"
      diff: false
    - name: Nothing is told
      ansible.builtin.command: echo {hidden}
      no_log: true
      changed_when: true
    - name: Nothing is told of any
      ansible.builtin.command: echo {hidden} {{{{ item }}}}
      loop: [{hidden}-1, {hidden}-2]
      no_log: true
      changed_when: true
    - name: For each of some
      ansible.builtin.command: test {{{{ item }}}} != b
      loop: [a, b, "{vault_nas}"]
      changed_when: item == "a"
      ignore_errors: true
    - name: It is not wanted
      ansible.builtin.debug: {{msg: never}}
      when: false
    - name: It tells all that is secret
      ansible.builtin.debug:
        msg:
          - "{{{{ camera_password }}}} {{{{ vault_nas }}}} {{{{ nas }}}}"
          - "{{{{ heliograph_api_token }}}} {{{{ of_a_vault }}}}"
    - name: It is noticed
      ansible.builtin.set_fact: {{late_token: "late-Bn71-fact"}}
    - name: It is told later
      ansible.builtin.debug: {{msg: "{{{{ late_token }}}} and {{'password': 'inline-Gg08'}} Bearer abc.def-ghi"}}
    - name: A key is told
      ansible.builtin.debug: {{msg: "-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEI\\n-----END EC PRIVATE KEY----- after"}}
    - name: It is tried again
      ansible.builtin.command: /bin/false
      retries: 1
      delay: 0
      until: false
      ignore_errors: true
    - name: It may fail
      block:
        - name: It fails
          ansible.builtin.fail: {{msg: on purpose}}
      rescue:
        - name: It is saved
          ansible.builtin.debug: {{msg: saved}}
    - name: It is huge
      ansible.builtin.command: "{{{{ python }}}} -c \\"print('x' * 3_000_000)\\""
      changed_when: false
    - name: It is of no alphabet
      ansible.builtin.command: "printf 'caf\\\\351 \\\\377'"
      ignore_errors: true
    - name: It is coloured
      ansible.builtin.command: "printf 'caf\\\\303\\\\251 \\\\033[31mred'"
      changed_when: false
    - name: A file of no alphabet is written
      ansible.builtin.copy: {{content: "caf", dest: "{{{{ folder }}}}/latin", mode: "0600"}}
    - name: It ends badly
      ansible.builtin.command: /bin/sh -c 'echo why >&2; exit 3'
- name: Whoever is left
  hosts: all
  gather_facts: false
  tasks:
    - name: Nobody is
      ansible.builtin.debug: {{msg: never}}
"""


@dataclass(frozen=True)
class Ran:
    rc: int
    stdout: str
    stderr: str
    lines: list[dict[str, Any]]

    def of(self, task: str, host: str = "here") -> list[dict[str, Any]]:
        return [line for line in self.lines if line["task"] == task and line["host"] == host]

    def events(self, task: str, host: str = "here") -> list[str]:
        return [line["event"] for line in self.of(task, host)]


def play(folder: Path, text: str, *options: str, inventory: str = LOCAL) -> Ran:
    (folder / "play.yml").write_text(text)
    (folder / "hosts").write_text(inventory)
    (folder / "ansible.cfg").write_text(f"[defaults]\ncallback_plugins = {PLUGINS}\n")
    environment = {
        **os.environ,
        "ANSIBLE_STDOUT_CALLBACK": "heliograph_lines",
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    given = ["-i", str(folder / "hosts"), "-e", f"folder={folder} python={sys.executable}", *options]
    command = [str(PROGRAM), str(folder / "play.yml"), *given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    return Ran(done.returncode, done.stdout, done.stderr, [json.loads(line) for line in done.stdout.splitlines()])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("callback")
    (folder / "word").write_text(VAULT_WORD)
    vault = [str(PROGRAM.parent / "ansible-vault"), "encrypt_string", "--vault-password-file", str(folder / "word")]
    made = subprocess.run([*vault, "--name", "of_a_vault", SECRETS["of_a_vault"]], capture_output=True, check=True)
    (folder / "host_vars").mkdir()
    kept = f"---\nheliograph_api_token: {SECRETS['heliograph_api_token']}\n".encode()
    (folder / "host_vars" / "here.yml").write_bytes(kept + made.stdout)
    (folder / "latin").write_bytes(b"caf\xe9 \xff")
    text = PLAY.format(**SECRETS)
    word = ("--vault-password-file", str(folder / "word"))
    away = "away ansible_host=192.0.2.1 ansible_ssh_common_args='-o ProxyCommand=/bin/false'\n"
    return play(folder, text, *word, "--diff", inventory=LOCAL + away)


def test_every_line_is_an_object_of_the_same_keys(ran: Ran) -> None:
    assert ran.rc in {2, 4}, ran.stderr
    assert ran.stdout.isascii()
    for line in ran.lines:
        assert KEYS <= line.keys() <= KEYS | {"diff", "counts"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["t"])
        assert isinstance(line["changed"], bool)
        assert isinstance(line["msg"], str)


@pytest.mark.parametrize(
    ("task", "events"),
    [
        ("It was so", ["ok"]),
        ("It is otherwise", ["changed"]),
        ("A file is written", ["changed"]),
        ("For each of some", ["item", "item_failed", "ignored"]),
        ("It is not wanted", ["skipped"]),
        ("It fails", ["failed"]),
        ("It is saved", ["ok"]),
        ("It is tried again", ["retry", "ignored"]),
        ("It ends badly", ["failed"]),
        ("Nobody is", []),
    ],
)
def test_each_task_is_told_as_it_ended(ran: Ran, task: str, events: list[str]) -> None:
    assert ran.events(task) == events


def test_the_plays_and_tasks_are_told_as_they_begin(ran: Ran) -> None:
    plays = [line["play"] for line in ran.lines if line["event"] == "play"]
    assert plays == ["Everything at once"]  # nobody is left for the other
    assert [line["task"] for line in ran.lines if line["event"] == "task"][:2] == ["It was so", "It is otherwise"]
    assert {line["play"] for line in ran.of("It was so")} == {"Everything at once"}


def test_codes_words_and_diffs_are_in_the_line(ran: Ran) -> None:
    [so], [bad], [written] = ran.of("It was so"), ran.of("It ends badly"), ran.of("A file is written")
    assert (so["rc"], so["changed"], so["msg"]) == (0, False, "as it was")
    assert (bad["rc"], bad["msg"]) == (3, "non-zero return code")
    assert "+a\n+b ***\n" in written["diff"]
    assert "/etc/not/secret/itself" in written["diff"]
    assert [line["msg"] for line in ran.of("For each of some")][:1] == ["a"]


def test_who_is_not_reached_is_told_once_and_does_no_more(ran: Ran) -> None:
    told = [line for line in ran.lines if line["host"] == "away"]
    assert [line["event"] for line in told] == ["unreachable", "recap"]
    assert told[0]["msg"]
    assert (told[1]["rc"], told[1]["counts"]["unreachable"]) == (1, 1)


def test_the_recap_counts_a_rescue(ran: Ran) -> None:
    [recap] = [line for line in ran.lines if line["event"] == "recap" and line["host"] == "here"]
    assert (recap["rc"], recap["counts"]["rescued"], recap["counts"]["failures"]) == (1, 1, 1)
    assert "rescued=1" in recap["msg"]
    assert ran.lines[-1] == recap


def test_no_secret_stands_in_any_line(ran: Ran) -> None:
    written = ran.stdout + ran.stderr
    more = ["late-Bn71-fact", "inline-Gg08", "abc.def-ghi", "MHcCAQEEI", "line-two-Cd34-of-a-key", VAULT_WORD]
    assert [secret for secret in [*SECRETS.values(), *more] if secret in written] == []
    assert ran.of("A key is told")[0]["msg"] == "*** after"
    assert "token=***" in ran.of("It is otherwise")[0]["msg"]


def test_what_is_not_to_be_told_is_told_as_that(ran: Ran) -> None:
    assert [line["msg"] for line in ran.of("Nothing is told")] == ["(hidden: no_log)"]
    assert {line["msg"] for line in ran.of("Nothing is told of any")} == {"(hidden: no_log)"}
    assert "diff" not in ran.of("A file is written, and not shown")[0]


def test_what_is_huge_is_cut(ran: Ran) -> None:
    [huge] = ran.of("It is huge")
    assert len(huge["msg"]) < 5_000
    assert huge["msg"].endswith("… (of 3,000,000 characters)")


def test_what_is_of_no_alphabet_or_coloured_is_plain_text(ran: Ran) -> None:
    tasks = ("It is of no alphabet", "It is coloured", "A file of no alphabet is written")
    [output], [red], [file] = map(ran.of, tasks)
    assert red["msg"] == "café red"
    assert output["event"] == "ignored"  # Ansible itself takes no such output
    assert "+caf" in file["diff"]
    json.dumps([output, file], ensure_ascii=False).encode()


def test_a_rescued_run_that_changed_nothing_ends_well_in_check_mode(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old\n")
    text = """
- name: What would be
  hosts: all
  gather_facts: false
  tasks:
    - name: A file would be
      ansible.builtin.copy: {content: "new\\n", dest: "{{ folder }}/there", mode: "0644"}
    - name: So would many
      ansible.builtin.copy: {content: "{{ item * 900000 }}", dest: "{{ folder }}/{{ item }}", mode: "0644"}
      loop: [a, b]
      loop_control: {label: "{{ item }}"}
"""
    ran = play(tmp_path, text, "--check", "--diff")
    assert ran.rc == 0, ran.stderr
    [line] = ran.of("A file would be")
    assert (line["event"], line["changed"]) == ("changed", True)
    assert "-old\n+new" in line["diff"]
    assert (tmp_path / "there").read_text() == "old\n"
    assert ran.events("So would many") == ["item", "item", "changed"]
    assert max(len(json.dumps(line)) for line in ran.lines) < 30_000


def test_nobody_to_do_it_on_is_told(tmp_path: Path) -> None:
    ran = play(tmp_path, "- {name: Nobody, hosts: nobody, tasks: []}\n")
    assert [line["event"] for line in ran.lines] == ["play", "no_hosts"]


def test_readable_lines_stay_the_default() -> None:
    assert "stdout_callback" not in (ROOT / "ansible.cfg").read_text()
    assert "callback_plugins = playbooks/callback_plugins" in (ROOT / "ansible.cfg").read_text()
