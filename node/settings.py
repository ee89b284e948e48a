"""Configuration files: node.yml with its precedence (flag > environment > file > default), and the document's YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from node.domain.config import faults_of
from node.domain.errors import ConfigFileMissing, FieldFault, NodeFileInvalid, NotYaml
from node.domain.nodefile import NodeFile

DEFAULT_FILE = "/etc/heliograph/node.yml"
ENVIRONMENT = "HELIOGRAPH_"
LARGEST_FILE_BYTES = 20_000_000
MOST_VALUES = 100_000
MOST_LEVELS = 32
"""Of fields inside fields; a document has six."""
TOO_DEEP = f"is nested more than {MOST_LEVELS} levels deep"
LONGEST_REASON = 200
ARCHIVE_KEYS = ("key", "known_hosts")
TLS_FILES = ("certificate", "key", "client_ca", "revoked")
MOVED_BY_ROOT = ("paths.data", "paths.run", *(f"api.tls.{name}" for name in TLS_FILES))
SECRET = "api.tokens"  # noqa: S105 - a field's path: what stands there is never repeated


@dataclass(frozen=True, slots=True)
class Settings:
    """node.yml as it is in force, and where each field's value came from.

    Origins by dotted path: `flag`, `env NAME`, `file PATH` or `default`.
    """

    node_file: NodeFile
    origins: dict[str, str]


def load_node_file(
    path: Path | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    root: Path | None = None,
) -> Settings:
    """node.yml with environment and flags laid over it.

    Without a path the default one is read where it exists.  Flags go by dotted path, None = not given.  `root` moves
    absolute paths, the default file's among them, below itself.  Raises ConfigFileMissing, NotYaml, NodeFileInvalid.
    """
    given, origins, faults = _laid_over(path, env, flags, root)
    node_file = _validated(given, origins, faults)
    return Settings(_moved(node_file, root), field_origins(node_file, origins))


def source_of(path: Path | None = None, root: Path | None = None) -> Path:
    """Where node.yml is read from, whether it is there or not."""
    return path or Path(_below(root, DEFAULT_FILE))


def sound_part(
    path: Path | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    root: Path | None = None,
) -> tuple[NodeFile, frozenset[str]]:
    """node.yml as `load_node_file` reads it without what is wrong in it, and the paths left out.

    A path has at most two parts: of a camera with a wrong field nothing is left.  For checks that name every fault at
    once.  Raises ConfigFileMissing, NotYaml.
    """
    given, _, faults = _laid_over(path, env, flags, root)
    try:
        return _moved(NodeFile.model_validate(given), root), frozenset(fault.path for fault in faults)
    except ValidationError as error:
        wrong = {tuple(map(str, fault["loc"][:2])) for fault in error.errors()}
    for section, *names in wrong:
        inside = given.get(section)
        if names and isinstance(inside, dict):
            inside.pop(names[0], None)
        if not names or not inside:
            given.pop(section, None)
    return _moved(NodeFile.model_validate(given), root), frozenset(map(".".join, wrong))


def _laid_over(
    path: Path | None, env: Mapping[str, str] | None, flags: Mapping[str, object] | None, root: Path | None
) -> tuple[dict[str, Any], dict[str, str], list[FieldFault]]:
    """The fields that somebody gave, where each came from, and the variables that name no field."""
    source = source_of(path, root)
    given = load_document_file(source) if path is not None or source.exists() else {}
    origins = given_origins(given, f"file {source}")
    settings, faults = _from_environment(env or {})
    settings |= {field: (value, "flag") for field, value in (flags or {}).items() if value is not None}
    for field, (value, origin) in settings.items():
        _put(given, field, value)
        origins[field] = origin
    return given, origins, faults


def load_document_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping.  Raises ConfigFileMissing or NotYaml."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigFileMissing(f"{path}: {error.strerror}") from error
    if len(data) > LARGEST_FILE_BYTES:
        raise NotYaml(f"{path} is larger than {LARGEST_FILE_BYTES} bytes")
    try:
        return parse_yaml(data) or {}
    except NotYaml as error:
        raise NotYaml(f"{path}: {error.detail}") from error


def parse_yaml(data: bytes | str) -> dict[str, Any] | None:
    """The mapping in a YAML text, made of JSON's types only; None where it holds nothing.

    Raises NotYaml, with the line where one is at fault.
    """
    try:
        tree = yaml.load(data, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise NotYaml(f"{line}{error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise NotYaml(str(error).partition("\n")[0][:LONGEST_REASON]) from error
    if tree is None:
        return None
    if not isinstance(tree, dict):
        raise NotYaml("the whole must be fields with values (name: value)")
    _check_values(tree)
    return tree


def given_origins(given: Mapping[str, Any], origin: str) -> dict[str, str]:
    """The fields that a mapping itself gives (dotted paths), all of one origin."""
    return dict.fromkeys(_leaves(given), origin)


def field_origins(model: BaseModel, origins: Mapping[str, str]) -> dict[str, str]:
    """For every field in force (dotted path) where it came from; `default` where nobody gave it."""
    return {field: origins.get(field, "default") for field in sorted(_leaves(model.model_dump()))}


class _Loader(yaml.SafeLoader):
    """YAML without the surprises of its version 1.1.

    18:30 and 2026-01-31 stay text, 010 is ten, yes and no are words that a true-or-false field understands, `<<` is no
    merge (it grows without bound), and a key written twice is an error.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way to drop the inherited ones
    levels = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:  # noqa: ANN401 - PyYAML's signature
        self.levels += 1
        self._check_levels(self.levels)
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node

    def fetch_flow_collection_start(self, token: Any) -> None:  # noqa: ANN401 - PyYAML's signature
        # the scanner runs ahead of the composer, at a cost that grows with the square of the brackets open
        self._check_levels(self.flow_level + 1)
        super().fetch_flow_collection_start(token)

    def _check_levels(self, levels: int) -> None:
        if levels > MOST_LEVELS:
            mark = self.get_mark()
            raise yaml.MarkedYAMLError(problem=TOO_DEEP, problem_mark=mark)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401 - PyYAML's signature
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is written twice", problem_mark=key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return node


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^({_pattern})$"), _first)


def _check_values(tree: dict[str, Any]) -> None:
    """Raises NotYaml where a value is no JSON type, a key no text, or references multiply or hold themselves."""
    waiting, seen = [tree], 0
    while waiting:
        value: Any = waiting.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise NotYaml(f"more than {MOST_VALUES} values; do references repeat each other?")
        if isinstance(value, dict):
            wrong = next((key for key in value if not isinstance(key, str)), "")
            if wrong != "":
                raise NotYaml(f"the name {wrong!r} is no text: put it in quotes")
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif not isinstance(value, str | int | float | None):
            raise NotYaml(f"{value!r:.40} is a {type(value).__name__}: write plain text or a number")


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _from_environment(env: Mapping[str, str]) -> tuple[dict[str, tuple[object, str]], list[FieldFault]]:
    """Values by field, with their origin; and the variables that look like ours and name no field."""
    names = {ENVIRONMENT + field.upper().replace(".", "_"): field for field in _scalar_fields(NodeFile)}
    sections = tuple(f"{ENVIRONMENT}{name.upper()}_" for name in NodeFile.model_fields)
    ours = {name: value for name, value in sorted(env.items()) if value and name.startswith(ENVIRONMENT)}
    values: dict[str, tuple[object, str]] = {
        names[name]: (value, f"env {name}") for name, value in ours.items() if name in names
    }
    unknown = (name for name in ours if name not in names and name.startswith(sections))
    return values, [FieldFault(name, "this environment variable names no field of node.yml") for name in unknown]


def _scalar_fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of the fields that one text can give: not those inside lists and named entries."""
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if section is not None and not {list, dict} & {getattr(kind, "__origin__", None) for kind in kinds}:
            yield from _scalar_fields(section, f"{prefix}{name}.")
        elif getattr(field.annotation, "__origin__", None) not in (list, dict):
            yield f"{prefix}{name}"


def _put(tree: dict[str, Any], field: str, value: object) -> None:
    """Set a field; where the file has something else than a section above it, leave that to the validation."""
    *sections, last = field.split(".")
    for section in sections:
        if tree.get(section) is None:
            tree[section] = {}
        if not isinstance(tree[section], dict):
            return
        tree = tree[section]
    tree[last] = value


def _validated(given: dict[str, Any], origins: Mapping[str, str], faults: list[FieldFault]) -> NodeFile:
    try:
        node_file = NodeFile.model_validate(given)
    except ValidationError as error:
        faults = [*faults, *(_explained(fault, origins) for fault in faults_of(error, given))]
    if faults:
        raise NodeFileInvalid(fields=faults)
    return node_file


def _explained(fault: FieldFault, origins: Mapping[str, str]) -> FieldFault:
    """With the flag or variable that gave the value; without the value itself where it may be a token."""
    origin = origins.get(fault.path, "")
    message = fault.message if not origin or origin.startswith("file") else f"{fault.message} (from {origin})"
    return FieldFault(fault.path, message, "" if fault.path.startswith(SECRET) else fault.given)


def _moved(node_file: NodeFile, root: Path | None) -> NodeFile:
    if root is None:
        return node_file
    tree = node_file.model_dump()
    for field in MOVED_BY_ROOT:
        *sections, last = field.split(".")
        section: Any = tree
        for name in sections:
            section = section[name] or {}
        if section and section[last] is not None:
            section[last] = _below(root, section[last])
    for target in tree["archive"].values():  # its keys lie here; its folder is another machine's, or a mount
        target.update({name: _below(root, target[name]) for name in ARCHIVE_KEYS if name in target})
    return NodeFile.model_validate(tree)


def _below(root: Path | None, path: str) -> str:
    """An absolute path moved below the root; others stay."""
    if root is None or not Path(path).is_absolute():
        return path
    return str(root.absolute() / path.lstrip("/"))
