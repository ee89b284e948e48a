"""What place.py promises of a host's files, tried on a folder that stands for the host."""

from __future__ import annotations

import fcntl
import grp
import hashlib
import json
import os
import pwd
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "roles/bundle/files/place.py"
STATE = "var/lib/heliograph-host"
OWNER = {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}
CRASH_POINTS = (
    "before-manifest",
    "begun",
    "staged:1",
    "staged:2",
    "staged:3",
    "staged:4",
    "placed-one:1",
    "placed-one:2",
    "placed-one:3",
    "placed",
    "removed-one",
    "removed",
    "acting",
    "acted",
    "ended",
)
Json = dict[str, Any]


class Box:
    """A folder that stands for the host."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("etc", "boot", "var/lib", "run", "opt"):
            (root / folder).mkdir(parents=True)

    def call(self, text: str, *options: str, crash_at: str = "") -> subprocess.CompletedProcess[str]:
        """place.py as Ansible starts it: its text in an argument."""
        argv = [sys.executable, "-c", PROGRAM.read_text(), "apply", "--root", str(self.root), *options]
        environment = {**os.environ, "HELIOGRAPH_CRASH_AT": crash_at}
        return subprocess.run(
            argv, input=text, capture_output=True, text=True, env=environment, timeout=60, check=False
        )

    def apply(self, *parts: Json, whole: bool = True, options: tuple[str, ...] = ()) -> Json:
        done = self.call(json.dumps({"parts": parts, "whole": whole}), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def refused(self, *parts: Any, status: int = 78, **more: Any) -> Json:
        done = self.call(json.dumps({"parts": parts, **more}))
        assert done.returncode == status, done.stdout + done.stderr
        answer = json.loads(done.stdout)
        assert set(answer) == {"error", "path", "remedy"}
        assert all(answer.values())
        return answer

    def fact(self) -> Json:
        argv = [sys.executable, str(PROGRAM), "facts", "--root", str(self.root)]
        return json.loads(subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout)

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str:
        return self.path(path).read_text()

    def put(self, path: str, text: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def all(self) -> dict[str, str]:
        """Every file and link outside our own state, with what is in it."""
        found = sorted(path for path in self.root.rglob("*") if not path.is_relative_to(self.root / STATE))
        named = {str(path.relative_to(self.root)): path for path in found if path.is_symlink() or path.is_file()}
        return {
            name: f"-> {path.readlink()}" if path.is_symlink() else path.read_text() for name, path in named.items()
        }


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "host")


def file(path: str = "/etc/a.conf", content: str = "one\n", **more: Any) -> Json:
    return {"path": path, "content": content, **OWNER, **more}


def folder(path: str, **more: Any) -> Json:
    return {"path": path, **OWNER, **more}


def part(role: str = "base", **more: Any) -> Json:
    return {"role": role, **more}


def touch(path: Path) -> list[str]:
    """An action that leaves a line each time it runs."""
    return ["/bin/sh", "-c", f"echo ran >> {path}"]


# --- each kind -------------------------------------------------------------------------------------------------------


def test_a_folder_a_file_and_a_link_stand_as_wanted(box: Box) -> None:
    said = box.apply(
        part(
            folders=[folder("/etc/x", mode="0750")],
            files=[file("/etc/x/a.conf", "héllo\n", mode="0640")],
            links=[{"path": "/etc/l", "to": "x/a.conf"}],
        )
    )
    assert said["changed"] == ["/etc/l", "/etc/x", "/etc/x/a.conf"]
    assert box.text("/etc/x/a.conf") == "héllo\n"
    assert stat.S_IMODE(box.path("/etc/x").stat().st_mode) == 0o750
    assert stat.S_IMODE(box.path("/etc/x/a.conf").stat().st_mode) == 0o640
    assert box.path("/etc/l").readlink() == Path("x/a.conf")


def test_a_second_time_nothing_changes_and_nothing_runs(box: Box, tmp_path: Path) -> None:
    wanted = part(files=[file(then=["go"])], actions={"go": touch(tmp_path / "ran")})
    first, second = box.apply(wanted), box.apply(wanted)
    assert (first["changed"], first["ran"]) == (["/etc/a.conf"], ["go"])
    assert (second["changed"], second["ran"]) == ([], [])
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert first["digest"] == second["digest"] == box.fact()["digest"]


def test_the_way_to_a_file_is_made(box: Box) -> None:
    box.apply(part(files=[file("/etc/systemd/a.conf.d/b.conf")]))
    assert box.text("/etc/systemd/a.conf.d/b.conf") == "one\n"


def test_what_is_no_longer_wanted_goes_and_what_stood_before_comes_back(box: Box, tmp_path: Path) -> None:
    box.put("/etc/a.conf", "the distribution's\n")
    box.path("/etc/a.conf").chmod(0o600)
    box.path("/etc/l").symlink_to("theirs")
    box.put("/etc/gone", "was here\n")
    before = box.all()
    box.apply(
        part(
            folders=[folder("/etc/x")],
            files=[file(), file("/etc/x/new")],
            links=[{"path": "/etc/l", "to": "ours"}],
            absent=[{"path": "/etc/gone"}, {"path": "/etc/never"}],
        )
    )
    assert "etc/gone" not in box.all()
    said = box.apply()
    assert said["changed"] == ["/etc/a.conf", "/etc/gone", "/etc/l", "/etc/x", "/etc/x/new"]
    assert box.all() == before
    assert stat.S_IMODE(box.path("/etc/a.conf").stat().st_mode) == 0o600
    assert not box.path("/etc/x").exists()
    assert not list(box.path(f"{STATE}/before").iterdir())


def test_the_actions_of_what_goes_run_though_the_new_bundle_does_not_name_them(box: Box, tmp_path: Path) -> None:
    box.apply(part(files=[file(then=["go"])], actions={"go": touch(tmp_path / "ran")}))
    assert box.apply(part())["ran"] == ["go"]
    assert (tmp_path / "ran").read_text() == "ran\nran\n"


def test_a_folder_in_which_others_have_files_stays(box: Box) -> None:
    box.apply(part(folders=[folder("/etc/x")]))
    box.put("/etc/x/theirs", "kept\n")
    box.apply()
    assert box.text("/etc/x/theirs") == "kept\n"


def test_a_folder_that_was_there_stays(box: Box) -> None:
    box.path("/etc/x").mkdir()
    box.apply(part(folders=[folder("/etc/x")]))
    box.apply()
    assert box.path("/etc/x").is_dir()


def test_a_block_stands_in_a_file_of_others_and_goes_alone(box: Box) -> None:
    box.put("/etc/hosts", "127.0.0.1 localhost")
    box.path("/etc/hosts").chmod(0o664)
    box.apply(
        part(blocks=[{"path": "/etc/hosts", "content": "192.0.2.1 one"}]),
        part("camera", blocks=[{"path": "/etc/hosts", "content": "192.0.2.2 two\n"}]),
    )
    box.put("/etc/hosts", box.text("/etc/hosts") + "# by hand\n")
    box.apply(part(blocks=[{"path": "/etc/hosts", "content": "192.0.2.3 three"}]))
    assert box.text("/etc/hosts") == (
        "127.0.0.1 localhost\n# BEGIN heliograph base\n192.0.2.3 three\n# END heliograph base\n# by hand\n"
    )
    assert stat.S_IMODE(box.path("/etc/hosts").stat().st_mode) == 0o664
    box.apply()
    assert box.text("/etc/hosts") == "127.0.0.1 localhost\n# by hand\n"


def test_a_file_of_nothing_but_our_block_goes_with_it(box: Box) -> None:
    box.apply(part(blocks=[{"path": "/etc/new", "content": "x"}]))
    box.apply()
    assert not box.path("/etc/new").exists()


@pytest.mark.parametrize(
    "damage",
    [
        "# BEGIN heliograph base\nx\n",
        "# END heliograph base\n# BEGIN heliograph base\n",
        "# BEGIN heliograph base\n" * 2,
    ],
)
def test_a_block_with_damaged_marks_is_left_to_a_person(box: Box, damage: str) -> None:
    box.put("/etc/hosts", damage)
    answer = box.refused(part(blocks=[{"path": "/etc/hosts", "content": "y"}]))
    assert answer["path"] == "/etc/hosts"
    assert "by hand" in answer["remedy"]
    assert box.text("/etc/hosts") == damage


def test_kernel_words_are_added_once_and_only_ours_go(box: Box) -> None:
    box.put("/boot/cmdline.txt", "console=tty1 quiet  root=/dev/mmcblk0p2\n")
    box.apply(part(words=[{"path": "/boot/cmdline.txt", "words": ["quiet", "a=1", "b=2"]}]))
    assert box.text("/boot/cmdline.txt") == "console=tty1 quiet root=/dev/mmcblk0p2 a=1 b=2\n"
    assert box.apply(part(words=[{"path": "/boot/cmdline.txt", "words": ["quiet", "b=2"]}]))["changed"]
    assert box.text("/boot/cmdline.txt") == "console=tty1 quiet root=/dev/mmcblk0p2 b=2\n"
    assert not box.fact()["drifted"]
    box.apply()
    assert box.text("/boot/cmdline.txt") == "console=tty1 quiet root=/dev/mmcblk0p2\n"


def test_kernel_words_without_a_line_for_them_are_refused(box: Box) -> None:
    answer = box.refused(part(words=[{"path": "/boot/cmdline.txt", "words": ["a"]}]))
    assert "mounted" in answer["remedy"]


def test_flags_are_raised_and_told(box: Box) -> None:
    said = box.apply(part(files=[file(then=["flag:reboot-needed"])]))
    assert said["flags"] == ["reboot-needed"]
    assert box.fact()["flags"] == ["reboot-needed"]


def test_actions_run_in_their_order_each_once(box: Box, tmp_path: Path) -> None:
    log = tmp_path / "log"
    say = {name: ["/bin/sh", "-c", f"echo {name} >> {log}"] for name in ("reload", "first", "second")}
    box.apply(
        part(
            "one",
            files=[file("/etc/1", then=["first", "reload"])],
            actions={"reload": say["reload"], "first": say["first"]},
        ),
        part(
            "two",
            files=[file("/etc/2", then=["also", "second"])],
            actions={"second": say["second"], "also": say["reload"]},
        ),
    )
    assert log.read_text().split() == ["reload", "first", "second"]


def test_an_action_that_fails_is_told_and_tried_again(box: Box, tmp_path: Path) -> None:
    good = tmp_path / "good"
    fails = ["/bin/sh", "-c", f"test -e {good} || {{ echo no such luck; exit 3; }}"]
    wanted = part(files=[file(then=["fails", "works"])], actions={"fails": fails, "works": touch(tmp_path / "ran")})
    answer = box.refused(wanted, whole=True)
    assert "no such luck" in answer["error"]
    assert (tmp_path / "ran").exists()
    assert box.fact()["pending"]
    assert box.fact()["digest"] is None
    good.touch()
    assert box.apply(wanted)["ran"] == ["fails"]
    assert not box.fact()["pending"]


# --- checks, diffs, secrets -------------------------------------------------------------------------------------------


def test_nothing_is_placed_where_one_check_fails(box: Box) -> None:
    bad = file("/etc/b.conf", "wrong\n", check=["/bin/sh", "-c", "echo line 1 of $0 is wrong; exit 1", "{}"])
    good = file("/etc/a.conf", check=["/usr/bin/grep", "-q", "one", "{}"])
    answer = box.refused(part(files=[good, bad]))
    assert answer["path"] == "/etc/b.conf"
    assert "line 1 of /etc/b.conf is wrong" in answer["error"]
    assert box.all() == {}
    assert box.fact()["parts"] == {}


def test_a_check_sees_the_file_under_its_real_name_and_mode(box: Box, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    look = ["/bin/sh", "-c", f'stat -c "%a %n" "$0" > {seen}', "{}"]
    box.apply(part(files=[file("/etc/my.service", mode="0440", check=look)]))
    mode, name = seen.read_text().split()
    assert (mode, Path(name).name) == ("440", "my.service")
    assert not (box.root / STATE / "stage").exists()


def test_a_check_sees_the_other_file_as_it_will_be_or_as_it_stays(box: Box, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    look = ["/bin/sh", "-c", f'cat "$0" "$1" > {seen}', "{}", "{/etc/other.conf}"]
    other = file("/etc/other.conf", "two\n")
    box.apply(part(files=[file("/etc/a.conf", "one\n", check=look), other]))
    assert seen.read_text() == "one\ntwo\n"
    box.apply(part(files=[file("/etc/a.conf", "three\n", check=look), other]))
    assert seen.read_text() == "three\ntwo\n"
    assert not (box.root / STATE / "stage").exists()


def test_what_a_check_says_of_the_other_file_names_its_path(box: Box) -> None:
    look = ["/bin/sh", "-c", "echo $1 is wrong; exit 1", "{}", "{/etc/other.conf}"]
    answer = box.refused(part(files=[file("/etc/a.conf", check=look), file("/etc/other.conf", "two\n")]))
    assert ": /etc/other.conf is wrong" in answer["error"]


def test_a_checker_that_is_not_there_is_passed_over_in_check_mode_alone(box: Box) -> None:
    wanted = part(files=[file(check=["/no/such/checker", "{}"])])
    assert box.apply(wanted, options=("--check",))["changed"] == ["/etc/a.conf"]
    assert "/no/such/checker" in box.refused(wanted)["error"]


def test_check_mode_places_nothing_and_says_the_same(box: Box, tmp_path: Path) -> None:
    wanted = part(files=[file(then=["go"])], actions={"go": touch(tmp_path / "ran")})
    dry = box.apply(wanted, options=("--check", "--diff"))
    assert box.all() == {}
    assert not (box.root / STATE).exists()
    wet = box.apply(wanted, options=("--diff",))
    assert {**dry, "fact": 0} == {**wet, "fact": 0}
    assert "+one" in wet["diff"][0]["text"]


def test_a_secret_is_in_no_answer_no_fact_and_no_file_but_its_own(box: Box) -> None:
    secret = "correct horse battery staple"
    shown = ["/bin/sh", "-c", "cat $0; exit 1", "{}"]
    box.put("/etc/key", f"old {secret}\n")
    key = file("/etc/key", f"{secret}\n", mode="0600", secret=True)
    texts = [
        box.call(json.dumps({"parts": [part(files=[key])]}), "--check", "--diff"),
        box.call(json.dumps({"parts": [part(files=[{**key, "check": shown}])]}), "--diff"),
        box.call(json.dumps({"parts": [part(files=[key])]}), "--diff"),
        box.call(json.dumps({"parts": [part(files=[{**key, "content": f"{secret} 2"}])]}), "--diff"),
    ]
    assert [done.returncode for done in texts] == [0, 78, 0, 0]
    told = "".join(done.stdout + done.stderr for done in texts) + json.dumps(box.fact())
    assert secret not in told
    assert secret not in (box.root / STATE / "manifest.json").read_text()
    assert stat.S_IMODE((box.root / STATE).stat().st_mode) == 0o711
    assert stat.S_IMODE((box.root / STATE / "manifest.json").stat().st_mode) == 0o600


def test_a_check_of_a_secret_may_say_that_its_words_are_none(box: Box) -> None:
    words = ["/bin/sh", "-c", "echo cameras.main: no backend; exit 3", "heliograph-node", "{}"]
    secret = file("/etc/node.yml", secret=True, check=words)
    assert box.refused(part(files=[secret]))["error"] == "heliograph-node refuses it (3)"
    told = box.refused(part(files=[{**secret, "check_told": True}]))["error"]
    assert told == "heliograph-node refuses it (3): cameras.main: no backend"
    untold = box.refused(part(files=[{**secret, "secret": False, "check_told": False}]))["error"]
    assert untold == "heliograph-node refuses it (3)"


def test_a_long_diff_is_cut(box: Box) -> None:
    said = box.apply(part(files=[file(content="x\n" * 5000)]), options=("--diff",))
    assert "more lines" in said["diff"][0]["text"]
    assert len(said["diff"][0]["text"]) < 2000


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_bundle_that_is_not_whole_leaves_other_parts_alone(box: Box) -> None:
    box.apply(part("one", files=[file("/etc/1")]), part("two", files=[file("/etc/2")]))
    box.apply(part("one", files=[file("/etc/1b")]), whole=False)
    assert set(box.all()) == {"etc/1b", "etc/2"}
    assert set(box.fact()["parts"]) == {"one", "two"}


def test_a_file_may_move_from_one_part_to_another(box: Box, tmp_path: Path) -> None:
    box.put("/etc/a.conf", "theirs\n")
    box.apply(part("one", files=[file()]), part("two"))
    assert box.apply(part("two", files=[file()]), whole=False)["changed"] == []
    box.apply(part("one"), part("two", files=[file()]))
    assert box.text("/etc/a.conf") == "one\n"
    box.apply()
    assert box.text("/etc/a.conf") == "theirs\n"


def test_the_fact_names_what_has_drifted_by_content_mode_link_block_and_word(box: Box) -> None:
    box.put("/boot/cmdline.txt", "quiet\n")
    wanted = part(
        files=[file("/etc/1"), file("/etc/2"), file("/etc/3")],
        links=[{"path": "/etc/l", "to": "1"}],
        blocks=[{"path": "/etc/hosts", "content": "x"}],
        words=[{"path": "/boot/cmdline.txt", "words": ["a"]}],
        absent=[{"path": "/etc/not"}],
    )
    box.apply(wanted)
    assert box.fact()["drifted"] == []
    box.put("/etc/1", "two\n")
    box.path("/etc/2").chmod(0o666)
    box.path("/etc/l").unlink()
    box.put("/etc/hosts", box.text("/etc/hosts").replace("x", "y"))
    box.put("/boot/cmdline.txt", "quiet\n")
    box.put("/etc/not", "")
    drifted = ["/boot/cmdline.txt", "/etc/1", "/etc/2", "/etc/hosts", "/etc/l", "/etc/not"]
    assert box.fact()["drifted"] == drifted
    assert box.fact()["parts"]["base"]["drifted"] == drifted
    assert box.apply(wanted)["changed"] == drifted
    assert box.fact()["drifted"] == []


# --- a path that becomes another kind ---------------------------------------------------------------------------------

OF_OTHERS = "127.0.0.1 localhost\n"


def _wishes(log: Path) -> dict[str, Json]:
    """One path in all kinds that it may be."""
    then = {"then": ["go"]}
    kinds = {
        "file": {"files": [file("/etc/h", "ours\n", **then)]},
        "link": {"links": [{"path": "/etc/h", "to": "other", **then}]},
        "absent": {"absent": [{"path": "/etc/h", **then}]},
        "block": {"blocks": [{"path": "/etc/h", "content": "share", **then}]},
        "words": {"words": [{"path": "/etc/h", "words": ["quiet"], **then}]},
    }
    return {kind: part(**wish, actions={"go": touch(log)}) for kind, wish in kinds.items()}


AS = {
    "file": "ours\n",
    "link": "-> other",
    "absent": None,
    "block": f"{OF_OTHERS}# BEGIN heliograph base\nshare\n# END heliograph base\n",
    "words": "127.0.0.1 localhost quiet\n",
}
CHANGES = [(first, second) for first in AS for second in AS if first != second]


@pytest.mark.parametrize(("first", "second"), CHANGES)
def test_a_path_may_become_another_kind_and_what_stood_there_comes_back(
    box: Box, tmp_path: Path, first: str, second: str
) -> None:
    wishes = _wishes(tmp_path / "log")
    box.put("/etc/h", OF_OTHERS)
    box.path("/etc/h").chmod(0o640)
    for kind in (first, second, first):
        assert box.apply(wishes[kind])["changed"] == ["/etc/h"]
        assert box.all().get("etc/h") == AS[kind]
        assert box.fact()["drifted"] == []
        assert box.apply(wishes[kind])["changed"] == []
    box.apply()
    assert box.all() == {"etc/h": OF_OTHERS}
    assert stat.S_IMODE(box.path("/etc/h").stat().st_mode) == 0o640


@pytest.mark.parametrize(("first", "second"), [("file", "block"), ("block", "file"), ("link", "block")])
def test_a_path_of_nobody_else_may_become_another_kind(box: Box, tmp_path: Path, first: str, second: str) -> None:
    wishes = _wishes(tmp_path / "log")
    box.apply(wishes[first])
    box.apply(wishes[second])
    assert box.all() == {"etc/h": str(AS[second]).removeprefix(OF_OTHERS)}
    box.apply()
    assert box.all() == {}


@pytest.mark.parametrize("point", ["begun", "removed-one", "staged:2", "placed-one", "removed", "acting", "ended"])
@pytest.mark.parametrize(("first", "second"), [("file", "block"), ("block", "file"), ("words", "file")])
def test_a_power_cut_while_a_path_becomes_another_kind_is_mended(
    box: Box, tmp_path: Path, first: str, second: str, point: str
) -> None:
    for number, (last, stands) in enumerate(((second, AS[second]), (first, AS[first]), ("", OF_OTHERS))):
        host = Box(tmp_path / f"host-{number}")
        wishes = _wishes(tmp_path / "log") | {"": part()}
        host.put("/etc/h", OF_OTHERS)
        host.apply(wishes[first])
        done = host.call(json.dumps({"parts": [wishes[second]], "whole": True}), crash_at=point)
        assert done.returncode == -9
        host.apply(wishes[last])
        assert host.all() == {"etc/h": stands}
        host.apply()
        assert host.all() == {"etc/h": OF_OTHERS}


def test_a_part_that_is_not_named_leaves_a_path_that_becomes_another_kind(box: Box, tmp_path: Path) -> None:
    wishes = _wishes(tmp_path / "log")
    box.put("/etc/h", OF_OTHERS)
    box.apply({**wishes["file"], "role": "other"})
    box.apply(wishes["block"], whole=False)
    assert box.all() == {"etc/h": AS["block"]}
    box.apply()
    assert box.all() == {"etc/h": OF_OTHERS}


@pytest.mark.parametrize(("first", "second"), CHANGES)
def test_one_path_in_two_kinds_at_once_is_refused(box: Box, tmp_path: Path, first: str, second: str) -> None:
    wishes = _wishes(tmp_path / "log")
    answer = box.refused(wishes[first], {**wishes[second], "role": "other"})
    assert answer["error"] == f"wanted twice, as {first} by base and as {second} by other"
    assert answer["path"] == "/etc/h"


def test_a_share_of_a_link_that_comes_back_is_refused(box: Box, tmp_path: Path) -> None:
    wishes = _wishes(tmp_path / "log")
    box.path("/etc/h").symlink_to("theirs")
    box.apply(wishes["file"])
    assert "something else stands" in box.refused(wishes["block"])["error"]
    assert box.all() == {"etc/h": "ours\n"}


def test_a_line_of_kernel_words_that_goes_is_missed_before_anything_is_placed(box: Box, tmp_path: Path) -> None:
    wishes = _wishes(tmp_path / "log")
    box.apply(wishes["file"])
    assert "no such line" in box.refused(wishes["words"])["error"]
    assert box.all() == {"etc/h": "ours\n"}


def test_what_was_secret_is_in_no_diff_of_what_takes_its_place(box: Box) -> None:
    box.apply(part(files=[file(content="hunter2\n", secret=True)]))
    said = box.apply(part(files=[file(content="two\n")]), options=("--diff",))
    assert "hunter2" not in json.dumps(said)


# --- a power cut at each point ----------------------------------------------------------------------------------------


def _before_and_after(log: Path) -> tuple[Json, Json]:
    actions = {"go": touch(log)}
    before = part(
        files=[file("/etc/1", "old\n", then=["go"]), file("/etc/gone", "old\n", then=["go"])],
        blocks=[{"path": "/etc/hosts", "content": "old"}],
        actions=actions,
    )
    after = part(
        folders=[folder("/etc/x")],
        files=[file("/etc/1", "new\n", then=["go"]), file("/etc/x/new", "new\n")],
        blocks=[{"path": "/etc/hosts", "content": "new"}],
        actions=actions,
    )
    return before, after


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_after_a_power_cut_the_next_run_ends_what_was_begun(box: Box, tmp_path: Path, point: str) -> None:
    log = tmp_path / "log"
    before, after = _before_and_after(log)
    box.apply(before)
    log.unlink()
    done = box.call(json.dumps({"parts": [after], "whole": True}), crash_at=point)
    assert done.returncode == -9
    told = box.fact()
    assert told["pending"] == (point not in {"before-manifest", "staged:1", "ended"})
    for path in ("/etc/1", "/etc/hosts"):
        assert box.text(path) in {"old\n", "new\n"} or "# END heliograph base" in box.text(path)
    box.apply(after)
    assert box.all() == {
        "etc/1": "new\n",
        "etc/x/new": "new\n",
        "etc/hosts": "# BEGIN heliograph base\nnew\n# END heliograph base\n",
    }
    assert log.read_text()
    assert not box.fact()["pending"]
    assert box.apply(after)["ran"] == []


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_after_a_power_cut_another_bundle_leaves_nothing_behind(box: Box, tmp_path: Path, point: str) -> None:
    box.put("/etc/1", "the distribution's\n")
    before, after = _before_and_after(tmp_path / "log")
    box.apply(before)
    box.call(json.dumps({"parts": [after], "whole": True}), crash_at=point)
    box.apply()
    assert box.all() == {"etc/1": "the distribution's\n"}


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("[]", "no mapping"),
        ("{}", "parts is missing"),
        ('{"parts": {}}', "parts is not a list"),
        ('{"parts": [], "whole": 1}', "whole is not true or false"),
        ('{"parts": [], "format": 99}', "format 99"),
        ('{"parts": ["base"]}', "no mapping"),
        ('{"parts": [{}]}', "role is missing"),
        ('{"parts": [{"role": "../x"}]}', "no name of a part"),
        ('{"parts": [{"role": "a"}, {"role": "a"}]}', "twice"),
        ('{"parts": [{"role": "a", "file": []}]}', "no field is called file"),
        ('{"parts": [{"role": "a", "files": [{"path": "/etc/x"}]}]}', "content is missing"),
        ('{"parts": [{"role": "a", "files": [{"path": "/etc/x", "content": 5}]}]}', "content is not text"),
        ('{"parts": [{"role": "a", "files": [{"path": "/etc/x", "content": "", "mode": "rw"}]}]}', "no mode"),
        ('{"parts": [{"role": "a", "files": [{"path": "/etc/x", "content": "", "then": ["no"]}]}]}', "no action"),
        ('{"parts": [{"role": "a", "actions": {"go": "reboot"}}]}', "no list of words"),
        ('{"parts": [{"role": "a", "units": ["ssh"]}]}', "unit without a name"),
        ('{"parts": [{"role": "a", "links": [{"path": "/l", "to": "x"}, {"path": "/l", "to": "y"}]}]}', "wanted twice"),
    ],
)
def test_a_bundle_that_is_wrong_is_refused_in_words(box: Box, text: str, said: str) -> None:
    done = box.call(text)
    answer = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (78, "")
    assert said in answer["error"]
    assert answer["remedy"]
    assert box.all() == {}


def test_one_action_in_two_meanings_is_refused(box: Box) -> None:
    one, two = (part(name, actions={"go": ["/bin/true", name]}) for name in ("one", "two"))
    assert "means two things" in box.refused(one, two)["error"]


def test_two_parts_may_want_one_folder_alike_but_not_otherwise(box: Box) -> None:
    box.apply(part("one", folders=[folder("/etc/x")]), part("two", folders=[folder("/etc/x")]))
    assert (
        "one and two"
        in box.refused(part("one", folders=[folder("/etc/x")]), part("two", folders=[folder("/etc/x", mode="0700")]))[
            "error"
        ]
    )


@pytest.mark.parametrize(
    "path",
    [
        "etc/x",
        "",
        "/",
        "//etc/x",
        "/etc/../x",
        "/etc/./x",
        "/etc//x",
        "/etc/x/",
        "/etc/a\nb",
        "/etc/a\0b",
        "/proc/x",
        "/sys/x",
        "/dev/sda",
        "/var/lib/heliograph-host/manifest.json",
    ],
)
def test_hostile_paths_are_refused(box: Box, path: str) -> None:
    assert "part base" in box.refused(part(files=[file(path)]))["error"]
    assert box.all() == {}


def test_nothing_is_written_through_a_link_out_of_the_tree(box: Box, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    box.path("/etc/x").symlink_to(tmp_path / "outside")
    box.path("/etc/y").symlink_to("../../outside")
    for name in ("x", "y"):
        box.call(json.dumps({"parts": [part(files=[file(f"/etc/{name}/a")])]}))
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of others")
def test_a_link_that_is_not_roots_is_not_followed(box: Box) -> None:
    box.path("/etc/real").mkdir()
    box.path("/etc/x").symlink_to("real")
    box.apply(part(files=[file("/etc/x/a")]))
    assert box.path("/etc/real/a").exists()
    os.chown(box.path("/etc/x"), 65534, 65534, follow_symlinks=False)
    answer = box.refused(part(files=[file("/etc/x/b")]))
    assert answer["path"] == "/etc/x"


def test_a_link_in_the_files_place_is_replaced_not_followed(box: Box) -> None:
    box.put("/etc/precious", "precious\n")
    box.path("/etc/a.conf").symlink_to("precious")
    box.path("/etc/.a.conf.heliograph").symlink_to("precious")
    box.apply(part(files=[file()]))
    assert box.text("/etc/precious") == "precious\n"
    assert not box.path("/etc/a.conf").is_symlink()


def test_links_in_a_circle_end(box: Box) -> None:
    box.path("/etc/x").symlink_to("y")
    box.path("/etc/y").symlink_to("x")
    assert "symbolic links" in box.refused(part(files=[file("/etc/x/a")]), status=69)["error"]


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_file_is_not_replaced_by_one(box: Box, kind: str) -> None:
    make = {"folder": Path.mkdir, "fifo": os.mkfifo}[kind]
    make(box.path("/etc/a.conf"))
    for wanted in (part(files=[file()]), part(absent=[{"path": "/etc/a.conf"}])):
        assert "something else stands" in box.refused(wanted)["error"]


def test_an_owner_that_nobody_has_is_refused_before_anything_is_placed(box: Box) -> None:
    wanted = part(files=[file("/etc/a"), file("/etc/b", owner="no-such-user")])
    answer = box.refused(wanted)
    assert "no-such-user" in answer["error"]
    assert box.all() == {}
    assert box.apply(wanted, options=("--check",))["changed"] == ["/etc/a", "/etc/b"]


def test_a_huge_bundle_is_placed(box: Box) -> None:
    files = [file(f"/etc/many/{number}", "y" * 20_000) for number in range(1000)]
    said = box.apply(part(files=[*files, file("/etc/huge", "x" * 20_000_000)]))
    assert len(said["changed"]) == 1001
    assert box.path("/etc/huge").stat().st_size == 20_000_000
    assert box.fact()["drifted"] == []


def test_an_empty_bundle_and_an_empty_file_are_bundles_and_files(box: Box) -> None:
    assert box.apply()["changed"] == []
    box.apply(part(files=[file(content="")]))
    assert box.text("/etc/a.conf") == ""


def test_two_runs_at_once_are_one_too_many(box: Box) -> None:
    box.apply()
    state = os.open(box.root / STATE, os.O_RDONLY)
    fcntl.flock(state, fcntl.LOCK_EX)
    answer = box.refused(part(files=[file()]), status=75)
    os.close(state)
    assert "another run" in answer["error"]


# --- manifests of before ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        '{"format": 1}',
        '{"format": 1, "parts": 3, "before": {}, "pending": [], "begun": false}',
        '{"format": 1, "parts": {"base": {"entries": []}}, "before": {}, "pending": [], "begun": false}',
    ],
)
def test_after_a_damaged_manifest_everything_is_placed_anew(box: Box, damage: str) -> None:
    box.apply(part(files=[file()]))
    (box.root / STATE / "manifest.json").write_text(damage)
    told = box.fact()
    assert told["trouble"]
    assert told["digest"] is None
    assert box.apply(part(files=[file()]))["changed"] == []
    assert box.fact()["trouble"] is None
    box.apply()
    assert box.all() == {}


def _host_with_originals(box: Box) -> list[Json]:
    box.put("/etc/a.conf", "the distribution's\n")
    box.path("/etc/a.conf").chmod(0o600)
    box.path("/etc/l").symlink_to("theirs")
    box.put("/etc/gone", "was here\n")
    box.put("/etc/b.conf", "also theirs\n")
    return [
        part(files=[file()], links=[{"path": "/etc/l", "to": "ours"}], absent=[{"path": "/etc/gone"}]),
        part("two", files=[file("/etc/b.conf")]),
    ]


def test_a_damaged_manifest_is_kept_and_what_stood_before_comes_back_all_the_same(box: Box) -> None:
    wanted = _host_with_originals(box)
    before = box.path("/etc/a.conf").stat().st_mode
    box.apply(*wanted)
    (box.root / STATE / "manifest.json").write_text("{ torn")
    box.apply(wanted[0])  # of two nobody knows any more
    assert (box.root / STATE / "manifest.damaged").read_text() == "{ torn"
    assert box.fact()["trouble"] is None
    box.apply(*wanted)
    box.apply()
    assert box.all() == {
        "etc/a.conf": "the distribution's\n",
        "etc/b.conf": "also theirs\n",
        "etc/gone": "was here\n",
        "etc/l": "-> theirs",
    }
    assert box.path("/etc/a.conf").stat().st_mode == before


def test_after_a_damaged_manifest_new_paths_are_laid_by_as_ever(box: Box) -> None:
    wanted = _host_with_originals(box)
    box.apply()
    (box.root / STATE / "manifest.json").write_text("")
    box.apply(part())
    for text in ("the first\n", "the second\n"):
        box.put("/etc/b.conf", text)
        box.apply(*wanted)
        box.apply()
        assert box.text("/etc/b.conf") == text
    (box.root / STATE / "manifest.damaged").unlink()
    box.apply(*wanted)
    box.apply()
    assert not list((box.root / STATE / "before").iterdir())


def test_a_power_cut_beside_a_damaged_manifest_loses_no_original(box: Box) -> None:
    wanted = _host_with_originals(box)
    for point in ("staged:1", "staged:2", "before-manifest", "begun", "placed", "removed", "ended"):
        box.apply(*wanted)
        (box.root / STATE / "manifest.json").write_text("{ torn")
        box.put("/etc/a.conf", "drifted\n")
        box.call(json.dumps({"parts": wanted, "whole": True}), crash_at=point)
        box.apply(*wanted)
    box.apply()
    assert box.text("/etc/a.conf") == "the distribution's\n"
    assert box.path("/etc/l").readlink() == Path("theirs")


def test_a_manifest_of_a_newer_release_is_left_alone(box: Box) -> None:
    box.apply(part(files=[file()]))
    newer = (box.root / STATE / "manifest.json").read_text().replace('"format": 1', '"format": 2')
    (box.root / STATE / "manifest.json").write_text(newer)
    assert "newer release" in box.refused(part())["error"]
    assert "newer release" in box.fact()["trouble"]
    assert (box.root / STATE / "manifest.json").read_text() == newer


# --- the fact ---------------------------------------------------------------------------------------------------------

DPKG = """\
Package: base-files
Status: install ok installed
Version: 12.4

Package: gone
Status: deinstall ok config-files
Version: 1

Package: kept
Status: hold ok installed
Version: 2:3

Package: torn
Status: install reinstreq half-installed
Version: 4
"""


def test_the_fact_tells_packages_holds_and_what_is_half_installed(box: Box) -> None:
    box.put("/var/lib/dpkg/status", DPKG)
    box.put("/var/lib/dpkg/updates/0001", "")
    told = box.fact()
    assert told["packages"] == {"base-files": "12.4", "kept": "2:3"}
    assert told["held"] == ["kept"]
    assert told["dpkg"] == {"broken": ["torn"], "interrupted": True}


def test_the_fact_tells_accounts_without_their_hashes(box: Box) -> None:
    box.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/sh\nbroken\n")
    box.put("/etc/group", "root:x:0:\npi:x:1000:\nvideo:x:44:pi,other\n")
    box.put("/etc/shadow", "root:*:1:0:99999:7:::\npi:$y$secrethash:1:0::7:::\n")
    told = box.fact()
    assert told["users"] == ["pi", "root"]
    assert told["accounts"]["pi"] == {
        "home": "/home/pi",
        "shell": "/bin/sh",
        "groups": ["pi", "video"],
        "locked": False,
        "max_days": None,
    }
    assert told["accounts"]["root"]["locked"]
    assert told["accounts"]["root"]["max_days"] == 99999
    assert "secrethash" not in json.dumps(told)


def test_the_fact_says_what_it_could_not_read_and_tells_the_rest(box: Box) -> None:
    box.apply(part(files=[file()]))
    box.put("/etc/passwd", "root:x:zero:0:root:/root:/bin/bash\n")
    box.put("/etc/shadow", "root:*:1:0:--9:7:::\n")
    box.put("/etc/heliograph/tls/in-force/node.pem", "x" * (2 << 20))
    box.put("/opt/heliograph/releases/1.0/release.json", "[]")
    box.path("/var/lib/dpkg/status").mkdir(parents=True)
    box.path("/var/lib/dpkg/updates").symlink_to("updates")
    told = box.fact()
    assert "packages: " in told["trouble"]
    assert "certificate: " in told["trouble"]
    assert (told["certificate"], told["packages"], told["release_digests"]) == (None, {}, {"1.0": ""})
    assert told["accounts"]["root"]["max_days"] is None
    assert told["drifted"] == []
    assert box.apply(part(files=[file()]))["fact"]["trouble"] == told["trouble"]


def test_the_fact_tells_releases_and_which_is_current(box: Box) -> None:
    for name in ("1.0", "1.1", ".tmp"):
        box.path(f"/opt/heliograph/releases/{name}").mkdir(parents=True)
    box.path("/opt/heliograph/current").symlink_to("releases/1.1")
    box.path("/opt/heliograph/previous").symlink_to("/opt/heliograph/releases/1.0")
    told = box.fact()
    assert (told["releases"], told["current"], told["previous"]) == (["1.0", "1.1"], "1.1", "1.0")


def test_the_fact_of_an_empty_host_is_empty(box: Box) -> None:
    told = box.fact()
    assert (told["digest"], told["pending"], told["trouble"], told["certificate"]) == (None, False, None, None)
    assert (told["parts"], told["packages"], told["flags"], told["releases"]) == ({}, {}, [], [])


def test_the_fact_reads_a_certificate(box: Box, tmp_path: Path) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    names = ["-subj", "/CN=cam-1", "-addext", "subjectAltName=DNS:cam-1,URI:urn:heliograph:node:cam-1"]
    pem = box.path("/etc/heliograph/tls/in-force/node.pem")
    pem.parent.mkdir(parents=True)
    subprocess.run([*argv, *names, "-keyout", str(tmp_path / "key"), "-out", str(pem)], capture_output=True, check=True)
    der = subprocess.run(
        ["openssl", "x509", "-in", str(pem), "-outform", "DER"], capture_output=True, check=True
    ).stdout
    assert box.fact()["certificate"] == {"sha256": hashlib.sha256(der).hexdigest()}


@pytest.mark.parametrize("body", ["", "A", "AAA", "!!!"])
def test_a_damaged_certificate_is_none(box: Box, body: str) -> None:
    box.put(
        "/etc/heliograph/tls/in-force/node.pem", f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    )
    assert box.fact()["certificate"] is None


def test_the_fact_is_cheap(box: Box) -> None:
    """CPU time beside that of Python doing nothing: machines are shared."""
    box.put("/var/lib/dpkg/status", "\n".join(DPKG.replace("base-files", f"p{number}") for number in range(250)))
    box.apply(part(files=[file(f"/etc/{number}", "x" * 2000) for number in range(80)]))
    fact = [sys.executable, "-IS", str(PROGRAM), "facts", "--root", str(box.root)]
    nothing = [sys.executable, "-IS", "-c", "pass"]
    assert min(_cpu_s(fact) for _ in range(5)) < min(_cpu_s(nothing) for _ in range(5)) + 0.15


def _cpu_s(argv: list[str]) -> float:
    before = os.times()
    subprocess.run(argv, capture_output=True, check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_the_program_fits_into_an_argument_and_ends_quickly_where_it_has_nothing_to_do(box: Box) -> None:
    assert len(PROGRAM.read_bytes()) < 100_000  # one argument may have 128 KiB
    assert PROGRAM.stat().st_mode & 0o111
    began = time.monotonic()
    box.apply()
    assert time.monotonic() - began < 10


def test_once_there_is_a_bundle_the_fact_tells_of_packages_that_it_wants_alone(box: Box) -> None:
    box.put("/var/lib/dpkg/status", DPKG)
    box.apply(part(packages=["kept", "not-there"]))
    assert box.fact()["packages"] == {"kept": "2:3"}


def test_a_card_without_room_for_our_own_state_is_named(box: Box) -> None:
    """As where /var is full: each write fails, the first is of the manifest."""
    argv = ["prlimit", "--fsize=8", sys.executable, "-c", PROGRAM.read_text(), "apply", "--root", str(box.root)]
    text = json.dumps({"parts": [part(files=[file()])]})
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=False)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["error"]) == (69, "File too large")
    assert answer["path"].startswith(f"/{STATE}/")
    assert not box.path("/etc/a.conf").exists()
