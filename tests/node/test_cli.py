"""The commands: what they print, and how they end."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from node import __version__
from node.cli import COMMANDS, main
from node.domain.errors import EXIT_CODES
from tests.apis import jpeg
from tests.nodes import Home, heliograph_node, started
from tests.stores import keep_many, opened

Ends = Callable[..., tuple[int, str, str]]
DOCS = Path(__file__).parents[2] / "docs"
SITE = {"latitude": 52.5, "longitude": 13.4, "timezone": "Europe/Berlin"}


@pytest.fixture(autouse=True)
def no_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HELIOGRAPH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def ends(capsys: pytest.CaptureFixture[str]) -> Ends:
    """Runs a command in this process: exit status, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert COMMANDS[name].sentence.capitalize() in " ".join(capsys.readouterr().out.split())


def test_the_help_names_every_command_and_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert all(name in said for name in COMMANDS)
    assert all(f"{code} {meaning}" in said for code, meaning in EXIT_CODES.items())


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"heliograph-node {__version__}\n")


@pytest.mark.parametrize(
    "line", [[], ["fly"], ["plan", "--days", "0"], ["plan", "--days", "9999"], ["plan", "--days", "x"], ["inspect"],
             ["inspect", "a.jpg", "--series", "x"], ["run", "--port"]],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_and_a_hint(ends: Ends, line: list[str]) -> None:
    status, out, err = ends(*line)
    assert (status, out, len(err.splitlines())) == (64, "", 2)


@pytest.mark.parametrize(
    "words", [["--wait", "apply", "FILE"], ["apply", "--wait", "FILE"], ["apply", "FILE", "--wait"]]
)
def test_options_may_stand_between_the_words(ends: Ends, home: Home, words: list[str]) -> None:
    gone = home.folder / "gone.yml"
    line = [str(gone) if word == "FILE" else word for word in words]
    status, _, err = ends("config", *line, "--config", home.config)
    assert (status, codes(err)) == (78, ["CFG-003"])
    assert str(gone) in err


def test_a_reader_that_leaves_is_no_fault(home: Home) -> None:
    command = f"{shutil.which('heliograph-node', path=str(Path(os.sys.executable).parent))} config show --config"
    assert os.system(f"{command} {home.config} | true") == 0


# --- check-config, config show, plan ----------------------------------------------------------------------------------


def test_good_files_are_called_valid(ends: Ends, home: Home) -> None:
    status, out, err = ends("check-config", "--config", home.config, "--document", DOCS / "config.example.yml")
    assert (status, out, err) == (78, "", err)
    assert "cameras.harbour: " in err  # the document's cameras are not this node's
    status, out, err = ends("check-config", "--config", home.config)
    assert (status, out, err) == (0, "node test: node.yml and document are valid\n", "")


def test_every_wrong_field_of_node_yml_is_named_at_once(ends: Ends, tmp_path: Path) -> None:
    wrong = {"api": {"port": 99999, "hots": "x"}, "cameras": {"main": {"backend": "polaroid"}}, "log_level": "loud"}
    for command in ("check-config", "run", "plan", "config"):
        line = [command, *(["show"] if command == "config" else []), "--config", written(tmp_path / "n.yml", wrong)]
        status, out, err = ends(*line)
        assert (status, out) == (78, "")
        assert err.startswith("CFG-002 node.yml is invalid\n")
        assert all(field in err for field in ("api.port", "api.hots", "cameras.main", "log_level"))


def test_every_wrong_field_of_a_document_is_named_at_once(ends: Ends, home: Home) -> None:
    wrong = {
        "schedules": {"a": {"interval_s": 0}, "b": {"window": {"kind": "solar"}, "profiles": ["gone"]}},
        "colour": 1,
        "quality": {"limits": {"bad_below": 101}},
    }
    status, out, err = ends(
        "check-config", "--config", home.config, "--document", written(home.folder / "d.yml", wrong)
    )
    assert (status, out) == (78, "")
    assert err.startswith("CFG-001 ")
    assert all(field in err for field in ("schedules.a.interval_s", "colour", "quality.limits.bad_below"))


def test_a_schedule_that_never_fires_is_named(ends: Ends, home: Home) -> None:
    never = {"site": SITE, "schedules": {"night": {"window": {
        "kind": "solar", "start": {"anchor": "elevation_rising", "elevation_deg": 80}, "end": {"anchor": "noon"},
    }}}}  # fmt: skip
    status, _, err = ends("check-config", "--config", home.config, "--document", written(home.folder / "d.yml", never))
    assert status == 78
    assert "schedules.night" in err


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [(None, 78, "CFG-003"), ("a: [", 78, "CFG-004"), ("- a\n- b\n", 78, "CFG-004"), ("a: 1\na: 2\n", 78, "CFG-004")],
)
def test_files_that_cannot_be_used_are_named(
    ends: Ends, home: Home, content: str | None, status: int, code: str
) -> None:
    path = home.folder / "other.yml"
    if content is not None:
        path.write_text(content)
    for line in (("check-config", "--config", path), ("run", "--config", home.config, "--document", path)):
        found, out, err = ends(*line)
        assert (found, out) == (status, "")
        assert err.startswith(code)
        assert str(path) in err


@pytest.mark.parametrize("command", ["run", "check-config", "plan"])
def test_a_root_that_is_not_there_is_said(ends: Ends, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "gone", tmp_path / "file"):
        status, out, err = ends(command, "--root", root)
        assert (status, out) == (78, "")
        assert err.startswith(f"CFG-003 configuration file cannot be read: the root folder {root} is not there\n")


def codes(errors: str) -> list[str]:
    """The codes of the errors that a command printed."""
    return re.findall(r"^[A-Z]+-\d{3}", errors, re.MULTILINE)


def test_faults_of_both_files_bind_and_folders_are_named_together(
    ends: Ends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {
        "api": {"port": 99999, "host": "0.0.0.0", "insecure_loopback": True},
        "cameras": {"one": {"backend": "replay", "folder": str(tmp_path / "gone")}, "two": {"backend": "polaroid"}},
        "log_level": "loud",
        "paths": {"data": str(tmp_path)},
    }
    line = ("check-config", "--config", written(tmp_path / "n.yml", wrong))
    status, out, err = ends(*line, "--document", written(tmp_path / "d.yml", {"colour": 1}))
    assert (status, out, codes(err)) == (78, "", ["CFG-002", "SEC-001", "DSK-004", "CFG-001"])
    for field in ("api.port", "cameras.two", "log_level", "cameras.one.folder", "colour"):
        assert f"\n  {field}" in err
    monkeypatch.setenv("HELIOGRAPH_API_PROT", "1")
    right = written(tmp_path / "right.yml", {"api": {"insecure_loopback": True}, "paths": {"data": str(tmp_path)}})
    assert codes(ends("check-config", "--config", right)[2]) == ["CFG-002"]


def test_where_the_fields_of_the_bind_are_wrong_themselves_nothing_is_said_of_it(ends: Ends, tmp_path: Path) -> None:
    for api in ({"tls": {"key": "k.pem"}}, {"insecure_loopback": "perhaps"}, "none", {"host": ""}):
        config = written(tmp_path / "n.yml", {"api": api, "paths": {"data": str(tmp_path)}})
        assert codes(ends("check-config", "--config", config)[2]) == ["CFG-002"]


def test_the_status_of_a_check_is_the_gravest(ends: Ends, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    home = Home(tmp_path, {"main": {"backend": "replay", "folder": str(tmp_path / "empty")}})
    assert ends("check-config", "--config", home.config)[0] == 69
    document = written(tmp_path / "d.yml", {"colour": 1})
    status, _, err = ends("check-config", "--config", home.config, "--document", document)
    assert (status, codes(err)) == (78, ["CAM-010", "CFG-001"])


def test_a_data_folder_that_is_not_there_is_named_also_below_a_root(ends: Ends, home: Home) -> None:
    shutil.rmtree(home.data)
    for _ in range(2):
        status, out, err = ends("check-config", "--config", home.config)
        assert (status, out, codes(err)) == (78, "", ["DSK-004"])
        assert f"\n  paths.data: {home.data}: no such folder\n" in err
        home.data.touch()
    root = home.folder / "root"
    (root / home.data.relative_to("/")).mkdir(parents=True)
    assert ends("check-config", "--config", home.config, "--root", root)[0] == 0


def test_an_archive_folder_on_the_frames_own_file_system_is_named(ends: Ends, tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()
    targets = {
        "usb": {"kind": "directory", "path": str(tmp_path / "usb")},
        "gone": {"kind": "directory", "path": str(tmp_path / "gone")},
        "shm": {"kind": "directory", "path": "/dev/shm"},
    }
    home = Home(tmp_path, node_file={"archive": targets})
    status, out, err = ends("check-config", "--config", home.config)
    assert (status, out, codes(err)) == (78, "", ["ARC-006"])
    assert re.findall(r"^  archive\.(\w+)", err, re.MULTILINE) == ["usb"]


def test_keys_of_a_target_that_are_not_there_are_named(ends: Ends, tmp_path: Path) -> None:
    key, hosts = tmp_path / "key", tmp_path / "hosts"
    nas = {"kind": "rsync", "host": "nas", "path": "/frames", "key": str(key), "known_hosts": str(hosts)}
    home = Home(tmp_path, node_file={"archive": {"nas": nas}})
    hosts.mkdir()
    status, out, err = ends("check-config", "--config", home.config)
    assert (status, out, codes(err)) == (78, "", ["CFG-003"])
    assert all(f"\n  archive.nas.{field}: {path}: no such file" in err
               for field, path in (("key", key), ("known_hosts", hosts)))  # fmt: skip
    hosts.rmdir()
    for path in (key, hosts):
        path.touch()
    assert ends("check-config", "--config", home.config)[0] == 0


def test_of_folders_whose_fields_are_wrong_themselves_nothing_is_said(ends: Ends, tmp_path: Path) -> None:
    wrong = {"api": {"insecure_loopback": True}, "paths": {"data": ""}, "archive": {"nas": {"kind": "rsync"}}}
    assert codes(ends("check-config", "--config", written(tmp_path / "n.yml", wrong))[2]) == ["CFG-002"]


def test_plain_http_off_loopback_is_refused(ends: Ends, home: Home) -> None:
    written(home.config, {"api": {"host": "0.0.0.0", "insecure_loopback": True}, "paths": {"data": str(home.data)}})
    status, _, err = ends("check-config", "--config", home.config)
    assert (status, err.splitlines()[0][:7]) == (78, "SEC-001")


@pytest.mark.parametrize(("made", "status", "code"), [(False, 78, "DSK-004"), (True, 69, "CAM-010")])
def test_a_replay_folder_without_frames_is_refused_at_start(
    ends: Ends, tmp_path: Path, made: bool, status: int, code: str
) -> None:
    folder = tmp_path / "photographs"
    if made:
        folder.mkdir()
    home = Home(tmp_path, {"main": {"backend": "replay", "folder": str(folder)}})
    for command in ("check-config", "capture"):
        found, out, err = ends(command, "--config", home.config)
        assert (found, out) == (status, "")
        assert err.startswith(code)
        assert "cameras.main.folder" in err


def test_config_show_says_where_each_value_came_from(ends: Ends, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_LOG_LEVEL", "debug")
    document = home.folder / "document.yml"
    status, out, _ = ends("config", "show", "--origin", "--config", home.config, "--document", document)
    lines = out.splitlines()
    assert status == 0
    assert 'log_level = "debug"    # env HELIOGRAPH_LOG_LEVEL' in lines
    assert f"api.port = 0    # file {home.config}" in lines
    assert 'api.host = "127.0.0.1"    # default' in lines
    assert f"schedules.each.interval_s = 1    # file {document}" in lines
    assert not [line for line in lines if re.search(r"[0-9a-f]{64}", line)]  # hashes of tokens stay where they are
    without = ends("config", "show", "--config", home.config)[1]
    assert "    # " not in without
    shown = json.loads(ends("config", "show", "--json", "--config", home.config)[1])
    assert shown["node.yml"]["node.id"] == {"value": "test", "origin": f"file {home.config}"}
    assert shown["document"]["retention.events_days"] == {"value": 30, "origin": "default"}


def test_plan_looks_ahead_without_a_camera(ends: Ends, home: Home) -> None:
    hourly = written(home.folder / "d.yml", {"schedules": {"hourly": {"interval_s": 3600}}})
    line = ["plan", "--config", home.config, "--document", hourly, "--days", 7, "--frame-bytes", 1000]
    status, out, _ = ends(*line, "--json")
    planned = json.loads(out)
    assert status == 0
    assert len(planned["days"]) == 7
    assert 6 * 24 < planned["frames"] <= 7 * 24
    assert planned["size_bytes"] == 1000 * planned["frames"] == sum(day["size_bytes"] for day in planned["days"])
    status, out, _ = ends(*line)
    assert (status, planned["days"][0]["date"] in out) == (0, True)
    shutil.rmtree(home.data)
    assert ends(*line, "--json")[0] == 0


def test_plan_says_by_which_size_of_a_frame_it_reckons(ends: Ends, home: Home) -> None:
    line = ["plan", "--config", home.config, "--days", 2]
    assert "at 2.0 MB a frame, assumed; disk lasts" in ends(*line)[1]
    assert "at 1 kB a frame, given; disk lasts" in ends(*line, "--frame-bytes", 1000)[1]
    with opened(home.data) as store:
        store.journal.begin_book()
        for size in (46_000, 48_000):
            keep_many(store, 1, size_bytes=size)
    assert "at 47 kB a frame, measured; disk lasts" in ends(*line)[1]
    planned = json.loads(ends(*line, "--json")[1])
    assert (planned["frame_bytes"], planned["frame_bytes_are"]) == (47_000, "measured")
    assert planned["size_bytes"] == 47_000 * planned["frames"]


# --- inspect ----------------------------------------------------------------------------------------------------------


def test_inspect_judges_files_and_ends_with_1_where_one_cannot_be_read(ends: Ends, tmp_path: Path) -> None:
    good = tmp_path / "good.jpg"
    good.write_bytes(jpeg(320, 240))
    status, out, _ = ends("inspect", good)
    assert (status, len(out.splitlines())) == (0, 1)
    assert out.startswith(f"{good}: intact ")
    status, out, _ = ends("inspect", "--json", good, tmp_path / "gone.jpg")
    results = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert [("error" in result) for result in results] == [False, True]
    assert ends("inspect", good, tmp_path / "gone.jpg")[0] == 1


def test_what_speaks_against_a_good_picture_is_shown_as_a_doubt(ends: Ends, tmp_path: Path) -> None:
    black = tmp_path / "black.jpg"
    Image.new("RGB", (320, 240)).save(black)
    assert ends("inspect", black)[1] == f"{black}: intact good 50 (black?)\n"
    [reason] = json.loads(ends("inspect", "--json", black)[1])["reasons"]
    assert reason["code"] == "black"
    batch = written(tmp_path / "list.jsonl", json.dumps({"path": str(black), "sun_elevation": 40}))
    assert re.fullmatch(r".*: intact bad \d+ black(, \w+)*\n", ends("inspect", "--batch", batch)[1])
    clear = tmp_path / "clear.jpg"
    clear.write_bytes(jpeg(320, 240))
    assert ends("inspect", clear)[1].endswith(" -\n")


def test_inspect_takes_a_series_and_a_batch(ends: Ends, tmp_path: Path) -> None:
    series = tmp_path / "series"
    series.mkdir()
    for number in range(3):
        (series / f"{number}.jpg").write_bytes(jpeg(320, 240, 100 + number))
    status, out, _ = ends("inspect", "--series", series, "--json")
    assert (status, len(out.splitlines())) == (0, 3)
    batch = tmp_path / "list.jsonl"
    batch.write_text(json.dumps({"path": str(series / "0.jpg")}) + "\n")
    status, out, _ = ends("inspect", "--batch", batch, "--json")
    assert (status, len(out.splitlines())) == (0, 1)
    assert ends("inspect", "--series", tmp_path / "none")[0] != 0


# --- capture, rebuild -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_capture_alone_keeps_one_frame_outside_the_schedule(ends: Ends, home: Home) -> None:
    status, out, _ = ends("capture", "--config", home.config, "--json")
    frame = json.loads(out)
    assert status == 0
    assert (frame["camera"], frame["due_us"], frame["verdict"]) == ("main", None, "good")
    assert (home.data / frame["path"]).is_file()
    status, out, _ = ends("capture", "--config", home.config)
    assert (status, out.split()[1]) == (0, "good")
    assert ends("capture", "--config", home.config, "--camera", "gone")[0] == 64
    assert ends("capture", "--config", home.config, "--profile", "gone")[0] == 64
    status, out, _ = ends("rebuild", "--config", home.config)
    assert (status, out) == (0, "2 files, 0 rows made, 0 unfinished files removed\n")


@pytest.mark.slow
def test_commands_beside_a_running_service(home: Home) -> None:
    with started(home) as node:
        for command in ("rebuild", "run"):
            done = heliograph_node(command, "--config", home.config)
            assert (done.returncode, done.stdout) == (75, "")
            assert done.stderr.splitlines()[-2].startswith("DSK-003 data directory is in use: held by pid ")
            assert f"pid {node.pid}: " in done.stderr
            assert "run --config" in done.stderr
        for token in ((), ("--token-file", home.folder / "operator.token")):
            through = heliograph_node("capture", "--config", home.config, *token)
            assert (through.returncode, through.stderr) == (0, "")
            assert through.stdout.split()[0] in {frame["id"] for frame in node.frames()}
        wrong = {"viewer.token": (77, "API-002"), "unknown": (77, "API-001"), "node.yml": (78, "CFG-003")}
        (home.folder / "unknown").write_text("unknown\n")
        for file, said in wrong.items():
            done = heliograph_node("capture", "--config", home.config, "--token-file", home.folder / file)
            assert (done.returncode, done.stderr[:7], len(done.stderr.splitlines())) == (*said, 2)
        operator = ("--config", home.config, "--token-file", home.folder / "operator.token")
        done = heliograph_node("capture", *operator, "--camera", "gone")
        assert (done.returncode, done.stderr[:7]) == (64, "CAM-009")
        assert heliograph_node("config", "show", "--config", home.config).returncode == 0
    done = heliograph_node("capture", "--config", home.config, "--token-file", home.folder / "operator.token")
    assert (done.returncode, done.stderr[:7]) == (69, "API-016")


@pytest.mark.slow
def test_rebuild_makes_the_rows_again_from_the_files(home: Home) -> None:
    frame = json.loads(heliograph_node("capture", "--config", home.config, "--json").stdout)
    for path in home.data.glob("heliograph.db*"):
        path.unlink()
    (home.data / frame["path"]).with_name("stranger.jpg").write_bytes(jpeg())
    done = heliograph_node("rebuild", "--config", home.config, "--json")
    report: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, report["adopted"]) == (0, [frame["id"]])
    assert [Path(each["path"]).name for each in report["foreign"]] == ["stranger.jpg"]
    (home.data / frame["path"]).unlink()
    assert "the row's file is missing" in heliograph_node("rebuild", "--config", home.config).stdout
