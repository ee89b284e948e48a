"""The console's settings: every field has a sentence, every fault is named at once, what is printed can be read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from console.settings import ConsoleSettings, as_toml, load, settings_path
from node.wire.errors import ConsoleSettingsWrong


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "console.toml"


def test_without_a_file_the_defaults_hold(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "mw")
    settings = load(path)
    assert settings == ConsoleSettings()
    assert (settings.operator, settings.poll_s, settings.inventory, settings.keys) == ("mw", 10, None, {})


def test_a_user_without_a_name_has_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    assert ConsoleSettings().operator.startswith("uid-")


def test_what_is_set_is_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mw")
    path.write_text('inventory = "~/hosts.yml"\nbell = false\npoll_s = 5\n[keys]\nack = ["a", "f2"]\nundo = "u"\n')
    settings = load(path)
    assert (settings.inventory, settings.bell, settings.poll_s) == (Path("/home/mw/hosts.yml"), False, 5)
    assert settings.keys == {"ack": ("a", "f2"), "undo": "u"}


def test_every_wrong_field_is_named_at_once(path: Path) -> None:
    path.write_text(
        'inventory = "hosts.yml"\nstate_dir = "~nobody-here/x"\noperator = "a\\nb"\ntheme = "pink"\nbell = 3\n'
        'poll_s = nan\nunlock_default_s = 1\ncolour = "red"\n[keys]\nack = 1\nundo = ""\n'
    )
    with pytest.raises(ConsoleSettingsWrong) as caught:
        load(path)
    assert [fault.path for fault in caught.value.fields] == [
        "inventory", "state_dir", "operator", "theme", "poll_s", "unlock_default_s", "bell", "keys.ack", "keys.undo",
        "colour",
    ]  # fmt: skip
    assert caught.value.exit == 78


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"theme = ", "is no TOML"), (b"\xff\xfe", "is no TOML"), (b"a = " + b"[" * 50_000, "is no TOML"),
        (b"#" * 2_000_000, "is larger than"),
    ],
)  # fmt: skip
def test_what_is_no_toml_is_refused(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConsoleSettingsWrong, match=why):
        load(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConsoleSettingsWrong, match="Is a directory"):
        load(tmp_path)


def test_what_is_printed_is_a_file_that_says_the_same(path: Path) -> None:
    odd = ConsoleSettings(
        inventory=Path('/a "b"\\c\x7f'), operator="Ø", bell=False, poll_s=1.5, keys={"a b": ("x", '"'), "c": "\\"}
    )
    for settings in (ConsoleSettings(), odd):
        path.write_text(as_toml(settings))
        assert load(path) == settings
    assert "# state_dir" in path.read_text()
    assert tomllib.loads(path.read_text())["poll_s"] == 1.5


def test_every_field_has_one_sentence() -> None:
    for name, field in ConsoleSettings.model_fields.items():
        assert (field.description or "").endswith("."), name
        assert (field.description or "")[:-1].count(". ") == 0, name


def test_the_file_stands_where_xdg_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mw")
    for given in ("", "relative"):
        monkeypatch.setenv("XDG_CONFIG_HOME", given)
        assert settings_path() == Path("/home/mw/.config/heliograph/console.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/xdg")
    assert settings_path() == Path("/etc/xdg/heliograph/console.toml")
