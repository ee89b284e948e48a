"""node.yml: flag > environment > file > default; every fault at once, with its origin; YAML without surprises."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.domain.config import ClockWindow, parse_document
from node.domain.errors import ConfigFileMissing, NodeFileInvalid, NotYaml
from node.domain.nodefile import NodeFile
from node.settings import (
    DEFAULT_FILE,
    MOST_VALUES,
    field_origins,
    given_origins,
    load_document_file,
    load_node_file,
    parse_yaml,
)

HASH = "ab" * 32


def written(folder: Path, text: str, name: str = "node.yml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def faults(
    path: Path | None, env: dict[str, str] | None = None, flags: dict[str, object] | None = None
) -> dict[str, str]:
    with pytest.raises(NodeFileInvalid) as caught:
        load_node_file(path, env, flags)
    return {fault.path: fault.message for fault in caught.value.fields}


def test_flag_goes_before_environment_before_file_before_default_and_each_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, "node: {id: from-file}\napi: {host: 127.0.0.1, port: 1000}\nlog_level: debug\n")
    env = {"HELIOGRAPH_NODE_ID": "from-env", "HELIOGRAPH_API_PORT": "2000", "OTHER": "x"}
    settings = load_node_file(path, env, {"api.port": 3000, "log_level": None})
    assert settings.node_file.node.id == "from-env"
    assert settings.node_file.api.port == 3000
    assert settings.node_file.log_level == "debug"
    chosen = ("api.port", "node.id", "api.host", "log_level", "paths.data")
    assert [settings.origins[field] for field in chosen] == [
        "flag", "env HELIOGRAPH_NODE_ID", f"file {path}", f"file {path}", "default",
    ]  # fmt: skip


def test_every_field_in_force_has_an_origin(tmp_path: Path) -> None:
    path = written(tmp_path, "cameras: {gate: {backend: opencv, source: /dev/video0}}\n")
    origins = load_node_file(path).origins
    assert origins["cameras.gate.source"] == f"file {path}"
    assert origins["cameras.gate.read_timeout_s"] == "default"
    assert origins["api.tokens"] == origins["api.tls"] == "default"


def test_the_environment_reaches_nested_fields_and_leaves_empty_variables_alone() -> None:
    env = {
        "HELIOGRAPH_API_TLS_CERTIFICATE": "a.pem",
        "HELIOGRAPH_API_TLS_KEY": "a.key",
        "HELIOGRAPH_API_INSECURE_LOOPBACK": "yes",
        "HELIOGRAPH_PROBATION_MIN_S": "4.5",
        "HELIOGRAPH_LOG_LEVEL": "",
        "HELIOGRAPH_FLEET_DIR": "the console's own",
    }
    node_file = load_node_file(None, env).node_file
    assert node_file.api.tls is not None
    assert (node_file.api.tls.key, node_file.api.insecure_loopback) == ("a.key", True)
    assert (node_file.probation.min_s, node_file.log_level) == (4.5, "info")


def test_a_variable_that_names_no_field_is_a_fault() -> None:
    assert set(faults(None, {"HELIOGRAPH_API_PROT": "1", "HELIOGRAPH_CAMERAS_MAIN": "x"})) == {
        "HELIOGRAPH_API_PROT", "HELIOGRAPH_CAMERAS_MAIN",
    }  # fmt: skip


def test_every_fault_is_named_at_once_by_its_writers_path_and_origin(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "node: {id: UPPER}\ncolour: red\ncameras:\n"
        "  sky: {backend: synthetic, faults: [{kind: gremlin}]}\n  film: {backend: replay}\n",
    )
    found = faults(path, {"HELIOGRAPH_API_PORT": "many"}, {"log_level": "loud"})
    assert set(found) == {
        "node.id", "colour", "cameras.sky.faults.0.kind", "cameras.film.folder", "api.port", "log_level",
    }  # fmt: skip
    assert found["api.port"].endswith("(from env HELIOGRAPH_API_PORT)")
    assert found["log_level"].endswith("(from flag)")
    assert found["cameras.film.folder"] == "must be given"


def test_what_stands_where_a_tokens_hash_belongs_is_not_repeated(tmp_path: Path) -> None:
    path = written(tmp_path, "api: {tokens: [{name: a, role: viewer, sha256: my-real-token}]}\n")
    with pytest.raises(NodeFileInvalid) as caught:
        load_node_file(path)
    assert "my-real-token" not in repr(caught.value.fields) + "\n".join(caught.value.lines())


@pytest.mark.parametrize("text", ["api: 5\n", "api: [1]\n"])
def test_a_section_that_is_none_is_named_even_when_a_flag_reaches_into_it(tmp_path: Path, text: str) -> None:
    assert set(faults(written(tmp_path, text), flags={"api.port": 1})) == {"api"}


def test_an_empty_section_takes_a_flag(tmp_path: Path) -> None:
    path = written(tmp_path, "node: {id: a}\napi:\n")
    assert load_node_file(path, flags={"api.port": 7}).node_file.api.port == 7


def test_without_any_file_everything_is_default(tmp_path: Path) -> None:
    settings = load_node_file(root=tmp_path)
    assert set(settings.origins.values()) == {"default"}
    assert settings.node_file.cameras == NodeFile().cameras


def test_a_root_moves_absolute_paths_and_the_default_file_below_itself(tmp_path: Path) -> None:
    written(
        tmp_path / "root",
        "paths: {data: /srv/data, run: run}\napi: {tls: {certificate: /etc/c.pem, key: k.pem}}\n",
        DEFAULT_FILE.lstrip("/"),
    )
    settings = load_node_file(root=tmp_path / "root")
    node_file = settings.node_file
    assert (node_file.paths.data, node_file.paths.run) == (str(tmp_path / "root/srv/data"), "run")
    assert node_file.api.tls is not None
    assert (node_file.api.tls.certificate, node_file.api.tls.key) == (str(tmp_path / "root/etc/c.pem"), "k.pem")
    assert settings.origins["paths.data"] == f"file {tmp_path / 'root'}{DEFAULT_FILE}"


def test_a_named_file_is_not_moved_by_the_root(tmp_path: Path) -> None:
    path = written(tmp_path, "node: {id: here}\n")
    node_file = load_node_file(path, root=tmp_path / "root").node_file
    assert node_file.node.id == "here"
    assert node_file.paths.data == f"{tmp_path}/root/var/lib/heliograph"
    assert node_file.api.tls is None


def test_a_file_that_cannot_be_read_is_said_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileMissing, match=r"absent.yml: No such file"):
        load_node_file(tmp_path / "absent.yml")
    with pytest.raises(ConfigFileMissing, match="Is a directory"):
        load_document_file(tmp_path)


def test_a_document_file_is_its_mapping_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    assert load_document_file(written(tmp_path, "site: {name: Pier}\n")) == {"site": {"name": "Pier"}}
    assert load_document_file(written(tmp_path, "# nothing yet\n")) == {}


def test_a_file_that_is_not_yaml_is_said_with_path_and_line(tmp_path: Path) -> None:
    with pytest.raises(NotYaml, match=r"CFG-004 .*node.yml: line 3: "):
        load_document_file(written(tmp_path, "a: 1\nb: 2\n  c: 3\n"))


def test_a_file_larger_than_any_configuration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.settings.LARGEST_FILE_BYTES", 10)
    with pytest.raises(NotYaml, match="larger than 10 bytes"):
        load_document_file(written(tmp_path, "site: {name: Pier}\n"))


def test_times_and_dates_stay_text_and_numbers_are_decimal() -> None:
    text = "start: 18:30\nday: 2026-01-31\nten: 010\nsmall: 1e-3\nyes: yes\nnothing: ~\non: true\nhalf: .5\n"
    assert parse_yaml(text) == {
        "start": "18:30", "day": "2026-01-31", "ten": "010", "small": 0.001, "yes": "yes", "nothing": None,
        "on": True, "half": 0.5,
    }  # fmt: skip


def test_a_clock_window_needs_no_quotes() -> None:
    document = parse_document(parse_yaml("schedules: {s: {window: {kind: clock, start: 18:30, end: 22:00}}}"))
    assert document.schedules["s"].window == ClockWindow(kind="clock", start="18:30", end="22:00")


def test_references_are_followed() -> None:
    assert parse_yaml("a: &one {x: 1}\nb: *one\n")["b"] == {"x": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a is written twice"),
        ("a: {b: 1, b: 2}", "line 1: b is written twice"),
        ("- 1\n", "the whole must be fields"),
        ("word", "the whole must be fields"),
        ("1: x", "the name 1 is no text"),
        ("~: x", "the name None is no text"),
        ("a: !!set {x}", "is a set"),
        ("a: !!binary aGk=", "is a bytes"),
        ("a: !!timestamp 2026-01-01", "is a date"),
        ("a: !!int many", "invalid literal"),
        ("a: !!python/object/apply:os.system [x]", "line 1: could not determine a constructor"),
        ("a: *b", "line 1: found undefined alias"),
        ("? [a]\n: b", "line 1: found unhashable key"),
        ("a: \x00", "special characters are not allowed"),
        (b"a: \xff\xfe", "invalid"),
        ("a: " + "[" * 5000, "more than 32 levels"),
        ("a: &a [*a]", "repeat each other"),
        ("---\na: 1\n---\nb: 2\n", "line 3"),
    ],
)
def test_what_is_no_plain_mapping_is_refused_with_the_reason(text: str | bytes, reason: str) -> None:
    with pytest.raises(NotYaml, match=reason):
        parse_yaml(text)


def test_references_that_multiply_are_stopped() -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{two}: &{two} [{', '.join([f'*{one}'] * 10)}]" for one, two in zip("abcdefg", "bcdefgh", strict=True)]
    with pytest.raises(NotYaml, match=str(MOST_VALUES)):
        parse_yaml("\n".join(lines))
    assert parse_yaml("a: &a {<<: 1}\nb: {<<: *a}")["b"] == {"<<": {"<<": 1}}, "no merging"


def test_a_documents_fields_have_origins_too() -> None:
    given = {"site": {"name": "Pier"}, "schedules": {"s": {"days": ["mon"]}}}
    origins = field_origins(parse_document(given), given_origins(given, "document"))
    assert origins["site.name"] == origins["schedules.s.days"] == "document"
    assert origins["site.timezone"] == origins["schedules.s.interval_s"] == "default"
