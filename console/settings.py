"""The console's own settings: one TOML file below XDG_CONFIG_HOME, every field of it optional."""

from __future__ import annotations

import getpass
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from node.wire.errors import ConsoleSettingsWrong, FieldFault

LARGEST_BYTES = 1_000_000
KEYS_CHARS = 40


def _below_home(path: Path) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError:
        message = "there is no such home"
        raise ValueError(message) from None
    if not path.is_absolute() or "\0" in str(path):
        message = "a path begins with / or ~"
        raise ValueError(message)
    return path


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name: a container's
        return f"uid-{os.getuid()}"


Place = Annotated[Path, AfterValidator(_below_home)]
Keys = Annotated[str, Field(min_length=1, max_length=KEYS_CHARS)]


class ConsoleSettings(BaseModel):
    """What an operator may choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    inventory: Place | None = Field(None, description="The inventory where -i names none; without it Ansible's own.")
    fleet_dir: Place | None = Field(
        None, description="The folder with ansible.cfg and the playbooks; without it the nearest one with ansible.cfg."
    )
    state_dir: Place | None = Field(
        None,
        description="Where acknowledgements, views and recordings are kept; operators may share one, each inventory"
        " needs its own; without it a folder of the inventory below XDG_STATE_HOME.",
    )
    operator: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        default_factory=_login, description="The name under which alerts are acknowledged; the login name by default."
    )
    theme: Literal["dark", "light"] = Field("dark", description="The colours: dark or light.")
    ascii: Literal["auto", "always"] = Field(
        "auto", description="auto: signs beyond ASCII where the terminal has them; always: ASCII only."
    )
    pictures: Literal["halfblocks", "none"] = Field(
        "halfblocks", description="How pictures are drawn: halfblocks, or none over a slow link."
    )
    poll_s: Annotated[float, Field(ge=1, le=600)] = Field(10.0, description="Seconds between two looks at a node.")
    unlock_default_s: Annotated[float, Field(ge=10, le=3600)] = Field(
        600.0, description="Seconds for which :unlock arms the console where it names no time."
    )
    bell: bool = Field(default=True, description="Whether the terminal's bell rings at a new critical alert.")
    keys: dict[str, Keys | tuple[Keys, ...]] = Field(
        default_factory=dict, description="Other keys for actions, by the action's name as the key page has it."
    )


def settings_path() -> Path:
    """Where the settings are read from, whether there are any or not."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(given) if Path(given).is_absolute() else _home() / ".config") / "heliograph" / "console.toml"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without one: then there are no settings
        return Path("/")


def load(path: Path | None = None) -> ConsoleSettings:
    """The settings in that file; the defaults where there is none.  Raises ConsoleSettingsWrong with every fault."""
    path = path or settings_path()
    given = _given(path)
    try:
        return ConsoleSettings.model_validate(given)
    except ValidationError as error:
        raise ConsoleSettingsWrong(str(path), fields=tuple(_faults(error))) from None


def _given(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConsoleSettingsWrong(f"{path}: {error.strerror}") from None
    if len(data) > LARGEST_BYTES:
        raise ConsoleSettingsWrong(f"{path} is larger than {LARGEST_BYTES:,} bytes")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML
        raise ConsoleSettingsWrong(f"{path} is no TOML: {error}") from None


def _faults(error: ValidationError) -> Iterator[FieldFault]:
    told = set()
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(str(part) for part in fault["loc"][:2])
        if field not in told:
            told.add(field)
            yield FieldFault(field, fault["msg"].removeprefix("Value error, "))


def as_toml(settings: ConsoleSettings) -> str:
    """Every field with its sentence and value, fit to be the file; what is not set is commented out."""
    fields = ConsoleSettings.model_fields
    parts = (_entry(name, field.description or "", getattr(settings, name)) for name, field in fields.items())
    return "\n".join(parts)


def _entry(name: str, sentence: str, value: object) -> str:
    if isinstance(value, dict):
        lines = [f"{json.dumps(action)} = {_toml(keys)}" for action, keys in value.items()]
        return "\n".join([f"# {sentence}", f"[{name}]", *lines, ""])
    line = f'# {name} = ""' if value is None else f"{name} = {_toml(value)}"
    return f"# {sentence}\n{line}\n"


def _toml(value: object) -> str:
    """JSON's texts, numbers, truths and lists of them are TOML's, but for one character."""
    return json.dumps(value, default=str).replace("\x7f", "\\u007f")
