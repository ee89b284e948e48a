import getpass
import grp
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.parts import NO_HOST, ROOT, render
from tests.ansible.programs import program

release, gate = program("node", "release"), program("node", "gate")

GOOD = {"node/__init__.py": '__version__ = "{version}"\n', "node/cli.py": "def main():\n    print(__file__)\n"}


def _wheel(folder: Path, version: str, **more: str) -> Path:
    """As `make wheel` would name it; `more` are modules of the product."""
    folder.mkdir(parents=True, exist_ok=True)
    path, about = folder / f"heliograph-{version}-py3-none-any.whl", f"heliograph-{version}.dist-info"
    files = {name: text.replace("{version}", version) for name, text in GOOD.items()}
    files |= {f"node/{name}.py": text for name, text in more.items()}
    files |= {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: heliograph\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": "[console_scripts]\nheliograph-node = node.cli:main\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


@pytest.fixture
def order(tmp_path: Path) -> Any:
    (tmp_path / "wheels").mkdir()
    return release.Order(
        version="1.0.0",
        digest="a",
        wheel=str(_wheel(tmp_path / "incoming", "1.0.0")),
        lock="# nothing\n",
        user=getpass.getuser(),
        root=str(tmp_path / "opt"),
        wheelhouse=str(tmp_path / "wheels"),
        imports=(),
        needed_bytes=1,
    )


def _place(root: Path, version: str, age: int = 0) -> Path:
    """A release that is whole, as far as its record says."""
    place = root / "releases" / version
    place.mkdir(parents=True)
    record = place / "release.json"
    made = {"digest": "a", "wheel": "", "lock": "", "system_site_packages": False, "python": ""}
    record.write_text(json.dumps({"version": version, **made}))
    os.utime(record, (1_000_000 - age, 1_000_000 - age))
    return place


# --- building ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_release_is_built_whole_and_runs_from_its_place(order: Any, tmp_path: Path) -> None:
    assert release.make(order) == {"changed": True, "version": "1.0.0", "removed": []}
    place = tmp_path / "opt/releases/1.0.0"
    assert release.record_in(place).digest == "a"
    ran = subprocess.run([place / "bin/heliograph-node"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(f"{place}/lib/")
    assert not Path(order.wheel).exists()
    assert [each.name for each in (tmp_path / "opt/releases").iterdir() if each.name != ".lock"] == ["1.0.0"]
    assert release.make(order) == {"changed": False, "version": "1.0.0", "removed": []}


@pytest.mark.slow
def test_another_build_of_a_version_takes_the_place_of_the_first(order: Any, tmp_path: Path) -> None:
    place = _place(tmp_path / "opt", "1.0.0")
    (place / "old").touch()
    assert release.make(replace(order, digest="b"))["changed"]
    assert release.record_in(place).digest == "b"
    assert not (place / "old").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("import no_such_library\n", "No module named 'no_such_library'"),
        ("import os; os.kill(os.getpid(), 11)\n", "ended by signal 11"),
        ("raise RuntimeError('torn')\n", "RuntimeError: torn"),
    ],
)
def test_a_release_that_does_not_start_is_not_used(module: str, words: str, order: Any, tmp_path: Path) -> None:
    before = _place(tmp_path / "opt", "0.9.0")
    (tmp_path / "opt/current").symlink_to("releases/0.9.0")
    wheel = _wheel(tmp_path / "incoming", "1.0.0", broken=module)
    with pytest.raises(release.Refused, match=r"release 1\.0\.0 does not start") as refused:
        release.make(replace(order, wheel=str(wheel)))
    assert words in str(refused.value)
    assert refused.value.remedy
    assert (tmp_path / "opt/current").resolve() == before
    assert sorted(each.name for each in before.parent.iterdir()) == [".lock", "0.9.0"]


@pytest.mark.slow
def test_a_missing_native_library_is_named(order: Any) -> None:
    with pytest.raises(release.Refused, match="No module named 'av_is_not_here'"):
        release.make(replace(order, imports=("av_is_not_here",)))


@pytest.mark.slow
def test_a_version_that_the_wheelhouse_does_not_hold_is_named(order: Any) -> None:
    with pytest.raises(release.Refused, match=r"no-such-package==7"):
        release.make(replace(order, lock="no-such-package==7\n"))


@pytest.mark.slow
def test_a_wheel_that_holds_another_version_is_refused(order: Any, tmp_path: Path) -> None:
    text = '__version__ = "2.0.0"\n'
    wheel = _wheel(tmp_path / "incoming", "1.0.0", __init__=text)
    with pytest.raises(release.Refused, match=r"named 1\.0\.0 holds 2\.0\.0"):
        release.make(replace(order, wheel=str(wheel)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user": "nobody-by-this-name"}, "there is no user"),
        ({"wheelhouse": "/no/such/folder"}, "is no folder on this host"),
        ({"needed_bytes": 1 << 60}, "MiB free below"),
        ({"wheel": "/no/such/file.whl"}, "No such file"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_made(
    changes: dict[str, Any], words: str, order: Any, tmp_path: Path
) -> None:
    with pytest.raises(release.Refused, match=words) as refused:
        release.make(replace(order, **changes))
    assert refused.value.remedy
    assert [each.name for each in (tmp_path / "opt/releases").iterdir()] == [".lock"]


def test_two_runs_do_not_build_at_once(order: Any, tmp_path: Path) -> None:
    (tmp_path / "opt/releases").mkdir(parents=True)
    with release._alone(tmp_path / "opt/releases"), pytest.raises(release.Refused, match="another run"):
        release.make(order)


def test_half_a_record_is_no_release(tmp_path: Path) -> None:
    place = _place(tmp_path, "1.0.0")
    assert release.record_in(place)
    (place / "release.json").write_text('{"version": "1.0')
    assert release.record_in(place) is None
    assert release.record_in(tmp_path) is None


def test_the_newest_stay_and_those_in_use_whatever_their_age(order: Any, tmp_path: Path) -> None:
    root = tmp_path / "opt"
    for age, version in enumerate(["1.0.0", "0.9", "0.8", "0.7", "0.6"]):
        _place(root, version, age * 100)
    (root / "current").symlink_to("releases/0.7")
    (root / "previous").symlink_to("releases/0.6")
    (root / "releases/.building-0.5").mkdir()
    assert release.prune(root, order) == ["0.9", "0.8"]
    assert sorted(each.name for each in (root / "releases").iterdir()) == ["0.6", "0.7", "1.0.0"]


def test_without_links_the_newest_stay(order: Any, tmp_path: Path) -> None:
    for age, version in enumerate(["1.0.0", "0.9", "0.8", "0.7"]):
        _place(tmp_path / "opt", version, age * 100)
    assert release.prune(tmp_path / "opt", order) == ["0.7"]


def test_the_answer_of_the_program_is_one_line_of_json(tmp_path: Path) -> None:
    given = {"version": "1", "digest": "a", "wheel": "/no/such.whl", "lock": "", "root": str(tmp_path)}
    words = [sys.executable, "-I", str(ROOT / "roles/node/files/release.py")]
    done = subprocess.run(words, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert set(json.loads(done.stdout)) == {"error", "remedy"}
    assert done.stderr == ""


# --- what comes in between --------------------------------------------------------------------------------------------

DYING = """
import importlib.util, json, os, signal, sys
program, at, given = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
spec = importlib.util.spec_from_file_location("release", program)
release = importlib.util.module_from_spec(spec)
sys.modules["release"] = release
spec.loader.exec_module(release)
steps = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "shutil.rmtree", "ctypes.dlsym"}
passed = 0
def watch(event, words):
    global passed
    if event in steps or (event == "open" and str(words[0]).startswith(given["root"])):
        passed += 1
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)
def fill(order, unfinished):
    (unfinished / "bin").mkdir(parents=True)
    (unfinished / "lib").mkdir()
    (unfinished / "bin/heliograph-node").write_text(f"#!{unfinished}/bin/python")
    (unfinished / "lib/whole").touch()
release._fill, release._smoke = fill, lambda order, unfinished: None
release.subprocess.run = lambda *words, **more: None
sys.addaudithook(watch)
print(json.dumps(release.make(release.Order(**given))))
"""


def _dying(order: Any, at: int) -> subprocess.CompletedProcess[str]:
    """The builder, killed at that one of its steps; what pip and the tried release would do is made up."""
    program = str(ROOT / "roles/node/files/release.py")
    words = [sys.executable, "-I", "-c", DYING, program, str(at), json.dumps(asdict(order))]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _whole(root: Path, version: str, age: int) -> None:
    place = _place(root, version, age)
    (place / "lib").mkdir()
    (place / "lib/whole").touch()


@pytest.mark.slow
def test_whatever_kills_it_releases_are_whole_and_the_next_run_ends_it(order: Any, tmp_path: Path) -> None:
    statuses: list[int] = []
    while not statuses or statuses[-1]:
        case = tmp_path / f"case-{len(statuses)}"
        root = case / "opt"
        for age, version in enumerate(("1.0.0", "0.9", "0.8", "0.7", "0.6")):
            _whole(root, version, age * 100)
        (root / "current").symlink_to("releases/0.9")
        wheel = str(_wheel(case / "incoming", "1.0.0"))
        wanted = replace(order, root=str(root), wheel=wheel, digest="b")
        done = _dying(wanted, len(statuses) + 1)
        statuses.append(done.returncode)
        assert done.returncode in {0, -9}, done.stderr
        found = [each for each in (root / "releases").iterdir() if (each / "release.json").exists()]
        whole = {each.name for each in found if (each / "lib/whole").exists()}
        assert {each.name for each in found if not each.name.startswith(".")} <= whole
        assert {"1.0.0", "0.9"} <= whole
        _wheel(case / "incoming", "1.0.0")
        again = _dying(wanted, 0)
        assert again.returncode == 0, again.stderr
        assert release.record_in(root / "releases/1.0.0").digest == "b"
        assert (root / "releases/1.0.0/bin/heliograph-node").read_text() == f"#!{root}/releases/1.0.0/bin/python"
        assert sorted(each.name for each in (root / "releases").iterdir()) == [".lock", "0.8", "0.9", "1.0.0"]
    assert len(statuses) > 25


def test_a_disk_that_fails_is_said_in_one_line_of_json(tmp_path: Path) -> None:
    (tmp_path / "releases").write_text("no folder")
    given = {"version": "1", "digest": "a", "wheel": "/no/such.whl", "lock": "", "root": str(tmp_path)}
    words = [sys.executable, "-I", str(ROOT / "roles/node/files/release.py")]
    done = subprocess.run(words, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    said = json.loads(done.stdout)
    assert said["error"] == f"{tmp_path}/releases: File exists"
    assert said["remedy"]


@pytest.mark.slow
def test_who_may_come_to_an_index_is_seen_nowhere(order: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    index = "http://kim:hush-words@127.0.0.1:9/simple"
    seen: list[tuple[str, ...]] = []
    run = subprocess.run

    def watched(words: Any, **more: Any) -> Any:
        seen.append(tuple(words))
        if "pip" in words:
            assert more["env"]["PIP_INDEX_URL"] == index
            more["env"] |= {"PIP_RETRIES": "0"}
        return run(words, **more)

    monkeypatch.setattr(release.subprocess, "run", watched)
    with pytest.raises(release.Refused) as refused:
        release.make(replace(order, wheelhouse="", index=index, lock="no-such-package==7\n"))
    assert "http://127.0.0.1:9/simple" in refused.value.remedy
    assert "hush-words" not in f"{refused.value} {refused.value.remedy} {seen}"


# --- the gate ---------------------------------------------------------------------------------------------------------

NOW = "2026-11-20T12:00:00.000Z"
CAMERA = {"name": "main", "state": "ok", "interval_s": 10, "next_slot": "2026-11-20T12:00:10.000Z", "error_code": None}
STATUS = {
    "ready": True,
    "reasons": [],
    "version": "1.0.0",
    "started": "2026-11-20T11:00:00.000Z",
    "clock": {"now": NOW},
    "config": {"version": 3, "digest": "d", "state": "active"},
    "cameras": [CAMERA],
}


def _frames(*verdicts: str, captured: str = "2026-11-20T11:30:00.000Z") -> dict[str, Any]:
    return {"items": [{"id": "F", "captured": captured, "verdict": verdict} for verdict in verdicts]}


class FakeHost:
    """Each answer stays until the time that is said with the next one."""

    def __init__(self, status: dict[float, Any], frames: dict[str, Any], units: str = "active") -> None:
        self._status, self._frames, self._units = status, frames, units
        self.now_s = 0.0
        self.failing: set[str] = set()

    def monotonic(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def unit(self, name: str) -> str:
        return self._units

    def get(self, path: str, **query: object) -> Any:
        if path == "/v1/frames":
            return self._frames
        return self._status[max(since for since in self._status if since <= self.now_s)]

    def openssl(self, *words: str) -> bool:
        return not self.failing & set(words)


WANTED = gate.Wanted(name="node-1", units=("heliograph-node",), version="1.0.0", digest="d", certificate="/c.pem")


def _judged(host: FakeHost, **changes: Any) -> tuple[list[str], float]:
    found = gate.Judge(replace(WANTED, **changes), host).judge()
    assert all(remedy for _, remedy in found["faults"])
    return [what for what, _ in found["faults"]], found["waited_s"]


def test_a_node_that_does_what_is_wanted_is_not_waited_for() -> None:
    assert _judged(FakeHost({0: STATUS}, _frames("good", "good", "good"))) == ([], 0)


def test_a_node_that_starts_is_waited_for() -> None:
    host = FakeHost({0: None, 10: STATUS | {"ready": False}, 20: STATUS}, _frames("good", "good", "good"))
    assert _judged(host) == ([], 20)


def test_a_service_that_does_not_answer_is_named() -> None:
    assert _judged(FakeHost({0: None}, {})) == (["the service does not answer"], 60)


def test_a_document_on_probation_is_waited_for() -> None:
    config = STATUS["config"] | {"state": "probation"}  # type: ignore[operator]
    host = FakeHost({0: STATUS | {"config": config}, 90: STATUS}, _frames("good", "good", "good"))
    assert _judged(host) == ([], 90)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ready": False, "reasons": ["database_fault"]}, "the node is not ready: database_fault"),
        ({"ready": False}, "the node is not ready: it starts"),
        (
            {"ready": False, "cameras": [CAMERA | {"state": "recovering", "error_code": "CAM-001"}]},
            "the node is not ready: camera main recovering (CAM-001)",
        ),
        ({"version": "0.9.0"}, "it runs release 0.9.0, not 1.0.0"),
        ({"config": {"version": 2, "digest": "e", "state": "active"}}, "it runs document version 2, which is"),
        ({"config": {"version": 4, "digest": "d", "state": "probation"}}, "its document is still on probation"),
    ],
)
def test_what_is_amiss_for_too_long_is_said(changes: dict[str, Any], words: str) -> None:
    faults, waited_s = _judged(FakeHost({0: STATUS | changes}, _frames("good", "good", "good")))
    assert len(faults) == 1
    assert faults[0].startswith(words)
    assert waited_s in {60, 180}


@pytest.mark.parametrize(
    "frames",
    [
        _frames(),
        _frames("good", "good", "bad"),
        _frames("good", "good", "unjudged"),
        _frames("good", "good", "good", captured="2026-11-20T10:59:59.000Z"),
    ],
)
def test_a_camera_owes_good_frames_since_the_start(frames: dict[str, Any]) -> None:
    faults, waited_s = _judged(FakeHost({0: STATUS}, frames))
    assert "good frames" in faults[0]
    assert waited_s == 180
    assert _judged(FakeHost({0: STATUS}, frames), frames=0) == ([], 0)


def test_a_camera_with_a_long_interval_has_four_of_them() -> None:
    camera = CAMERA | {"interval_s": 600}
    assert _judged(FakeHost({0: STATUS | {"cameras": [camera]}}, _frames()))[1] == 2400


@pytest.mark.parametrize(
    "camera",
    [
        CAMERA | {"state": "idle"},
        CAMERA | {"state": "disabled"},
        CAMERA | {"next_slot": None},
        CAMERA | {"next_slot": "2026-11-20T12:03:01.000Z"},
    ],
)
def test_a_camera_that_is_expected_idle_owes_none(camera: dict[str, Any]) -> None:
    assert _judged(FakeHost({0: STATUS | {"cameras": [camera]}}, _frames())) == ([], 0)


def test_a_unit_that_is_down_is_named() -> None:
    host = FakeHost({0: STATUS}, _frames("good", "good", "good"), units="failed")
    assert _judged(host) == (["unit heliograph-node is failed"], 60)


@pytest.mark.parametrize(
    ("failing", "words"), [("-checkend", "its certificate ends within 30 days"), ("-noout", "there is no certificate")]
)
def test_a_certificate_that_ends_soon_or_is_not_there_is_named(failing: str, words: str) -> None:
    host = FakeHost({0: STATUS}, _frames("good", "good", "good"))
    host.failing = {failing}
    assert _judged(host)[0][0].startswith(words)


def test_a_host_without_a_service_is_judged_all_the_same(tmp_path: Path) -> None:
    wanted = {"name": "node-1", "ready_s": 0, "run": str(tmp_path)}
    words = [sys.executable, "-I", str(ROOT / "roles/node/files/gate.py")]
    done = subprocess.run(words, input=json.dumps(wanted), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["faults"][0][0] == "the service does not answer"


# --- what the role wants ----------------------------------------------------------------------------------------------


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    return {"node_wheel": str(_wheel(tmp_path / "dist", "1.2.3")), "node_lock": str(ROOT / "locks/trixie.txt")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"node_wheel": "/no/such.whl"}, "there is no wheel /no/such.whl"),
        ({"node_wheel": str(ROOT / "README.md")}, "is not named heliograph-VERSION"),
        ({"node_lock": "/no/such.txt"}, "there is no lock /no/such.txt"),
        ({"node_log_level": "loud"}, "value of node_log_level must be one of"),
    ],
)
def test_wrong_variables_are_named_before_anything_is_rendered(
    changes: dict[str, Any], words: str, given: dict[str, Any], tmp_path: Path
) -> None:
    rendered = render(tmp_path / "play", "node", given | changes)
    assert rendered.status
    assert words in " ".join(rendered.output.split())
    assert rendered.parts == {}


@pytest.mark.slow
def test_of_two_wheels_none_is_taken_in_silence(given: dict[str, Any], tmp_path: Path) -> None:
    lock = {"node_lock": given["node_lock"]}
    assert render(tmp_path / "play", "node", lock).parts["node"]["links"][0]["to"] == "releases/1.2.3"
    _wheel(tmp_path / "dist", "1.10.0")
    rendered = render(tmp_path / "play", "node", lock)
    said = (
        "dist holds more than one wheel: heliograph-1.10.0-py3-none-any.whl, heliograph-1.2.3-py3-none-any.whl. Remedy:"
    )
    assert said in " ".join(rendered.output.split())
    assert render(tmp_path / "play", "node", given).status == 0


@pytest.mark.slow
def test_documents_are_laid_over_each_other_by_name(given: dict[str, Any], tmp_path: Path) -> None:
    document = {
        "heliograph_config_90_host": {"schedules": {"day": {"interval_s": 5}}},
        "heliograph_config_10_fleet": {"schedules": {"day": {"interval_s": 60, "priority": 1}}},
        "heliograph_config_50_hill": {"schedules": {"day": {"interval_s": 30}}, "site": {"name": "{}"}},
    }
    rendered = render(tmp_path / "play", "node", given | document)
    text = rendered.contents("node:document")["/etc/heliograph/config.yml"]
    assert "interval_s: 5\n" in text
    assert "priority: 1\n" in text
    file = next(file for file in rendered.parts["node"]["files"] if file["path"].endswith("node.yml"))
    assert file["check"][-4:] == ["--config", "{}", "--document", "{/etc/heliograph/config.yml}"]
    assert "interval_s" not in " ".join(
        word for each in rendered.parts["node"]["files"] for word in each.get("check", ())
    )


@pytest.mark.slow
def test_a_wrong_node_file_is_told_by_its_fields_and_by_no_secret(given: dict[str, Any], tmp_path: Path) -> None:
    rendered = render(tmp_path / "play", "node", given)
    wanted = next(file for file in rendered.parts["node"]["files"] if file["path"].endswith("node.yml"))
    real = Path(sys.executable).with_name("heliograph-node")
    check = [str(real) if word.endswith("/bin/heliograph-node") else word for word in wanted["check"]]
    tokens = "[{name: a, role: admin, sha256: hunter2}]"
    wrong = f"node: {{id: n1}}\napi: {{tokens: {tokens}}}\ncameras: {{main: {{backend: synthetic}}}}\n"
    mine = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getegid()).gr_name}
    bundle = {"parts": [{"role": "node", "files": [wanted | mine | {"check": check, "content": wrong, "then": []}]}]}
    (tmp_path / "host").mkdir()
    words = [sys.executable, str(ROOT / "roles/bundle/files/place.py"), "apply", "--root", str(tmp_path / "host")]
    done = subprocess.run(words, input=json.dumps(bundle), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 78
    assert json.loads(done.stdout)["error"].startswith("heliograph-node refuses it (78): ")
    assert "api.tokens.0.sha256: must be 64" in done.stdout
    assert "hunter2" not in done.stdout


@pytest.mark.slow
def test_a_release_that_is_there_is_not_built_again(given: dict[str, Any], tmp_path: Path) -> None:
    fresh = render(tmp_path / "fresh", "node", given).parts["node"]
    assert fresh["steps"] == [{"role": "node", "tasks": "release"}]
    assert [link["path"] for link in fresh["links"]] == ["/opt/heliograph/current"]
    assert render(tmp_path / "fresh", "node", given).parts["node:document"]["files"] == []
    there = {"current": "1.1.0", "previous": "1.0.0", "release_digests": {"1.2.3": "of another wheel"}}
    facts = {**NO_HOST, "ansible_local": {"heliograph": there}}
    other = render(tmp_path / "other", "node", given, facts).parts["node"]
    assert [step["tasks"] for step in other["steps"]] == ["lease", "release", "arm"]
    assert [step["tasks"] for step in other["after"]] == ["proven"]
    assert {link["path"]: link["to"] for link in other["links"]} == {
        "/opt/heliograph/current": "releases/1.2.3",
        "/opt/heliograph/previous": "releases/1.1.0",
    }


@pytest.mark.slow
def test_a_dry_run_neither_builds_nor_asks_a_release_that_is_not_there(given: dict[str, Any], tmp_path: Path) -> None:
    part = render(tmp_path / "play", "node", given, options=("--check",)).parts["node"]
    assert part["steps"] == []
    assert not any(file.get("check") for file in part["files"])
