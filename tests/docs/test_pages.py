"""The pages of the documentation: in step with the code, and runnable as they stand."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console import cli as console_cli
from console.fleet.alert_rows import ALERTS
from console.fleet.event_rows import EVENTS
from console.fleet.filter import parse
from console.fleet.job_rows import JOBS
from console.fleet.listing import Kind
from console.fleet.nodes import NODES
from console.registry import ACTIONS, BY_COMMAND, FORCE
from node import __version__
from node import cli as node_cli
from node.domain.config import parse_document
from node.domain.errors import REGISTRY, ApiError
from node.domain.health import RULES
from node.settings import load_node_file, parse_yaml
from tests.docs import generate

ROOT = Path(__file__).parents[2]
README, CHANGELOG = ROOT / "README.md", ROOT / "CHANGELOG.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
TROUBLE, DECISIONS = ROOT / "docs" / "troubleshooting.md", ROOT / "docs" / "decisions"
PAGES = sorted([README, CHANGELOG, *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?P<target>[^)#\s]+)?(?:#(?P<part>[^)\s]+))?\)")
NOW = re.compile(r"\$\(date [^)]*\)")
FENCED = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^### ([A-Z]+-\d{3}) (.*?)(?=^###? |\Z)", re.MULTILINE | re.DOTALL)
TABLED = (generate.NODE, generate.CONSOLE)
KINDS: dict[str, Kind[Any]] = {"nodes": NODES, "jobs": JOBS, "alerts": ALERTS, "events": EVENTS}
NO_KEYS = {"y", "Z"}
"""Letters in the words of the console that are something else: the yes to a plan, the mark of UTC."""
STALE = f"is not what the code says: {generate.COMMAND}"
# what a program that speaks to the API has to mend; the operator sees the rest
PROGRAMS_OWN = {"API-003", "API-004", "API-005", "API-008", "API-009", "API-010", "API-011", "API-017"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *kinds: str) -> Iterator[str]:
    return (found["body"] for found in FENCED.finditer(page.read_text()) if found["kind"] in kinds)


def anchors(page: Path) -> set[str]:
    """The fragments under which the headings of a page are reached."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_readme_has_less_than_a_hundred_lines_and_names_the_two_commands() -> None:
    text = README.read_text()
    assert len(text.splitlines()) < 100
    assert {"make demo", "make test"} <= set(re.findall(r"make \w+", text))


def test_the_newest_entry_of_the_changelog_is_this_version_or_the_one_to_come() -> None:
    found = re.findall(r"^## (\S+) \((\d{4}-\d{2}-\d{2}|unreleased)\)$", CHANGELOG.read_text(), re.MULTILINE)
    to_come = [version for version, date in found[:2] if date == "unreleased"]
    assert __version__ in {found[0][0], *to_come}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.finditer(FENCED.sub("", page.read_text())):
        target = link["target"] or page.name
        if not target.startswith("https://"):
            found = page.parent / target
            assert found.exists(), target
            assert not link["part"] or link["part"] in anchors(found), link[0]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_line_of_prose_is_wider_than_a_screen(page: Path) -> None:
    wide = [line for line in page.read_text().splitlines() if len(line) > 120 and not line.startswith("|")]
    assert not wide


def test_the_page_of_codes_is_the_registry() -> None:
    assert generate.CODES.read_text() == generate.codes(), STALE


@pytest.mark.parametrize("page", TABLED, ids=name_of)
def test_every_table_of_the_reference_is_the_codes(page: Path) -> None:
    text = page.read_text()
    assert text == generate.filled(text), STALE


def test_every_picture_of_the_console_is_one_that_make_shots_draws() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(pictures/(\w+)\.png\)", generate.CONSOLE.read_text())
    assert sorted(shown) == sorted(path.stem for path in (ROOT / "docs" / "pictures").iterdir())
    source = (ROOT / "tests" / "shots" / "__main__.py").read_text()  # not imported: it wants cairo
    [drawn] = re.findall(r"^PICTURES = (\(.*\))$", source, re.MULTILINE)
    assert sorted(shown) == sorted(re.findall(r"\w+", drawn))


def test_every_table_stands_on_one_page() -> None:
    found = [each["name"] for page in TABLED for each in generate.MARKED.finditer(page.read_text())]
    assert sorted(found) == sorted(generate.TABLES)


def test_a_key_that_was_changed_in_the_code_only_is_found() -> None:
    text = generate.CONSOLE.read_text()
    assert "| `gj` |" in text
    assert generate.filled(text.replace("| `gj` |", "| `gk` |")) == text


def test_every_example_of_a_filter_is_one() -> None:
    typed = [line.partition("#")[0].strip() for body in blocks(generate.CONSOLE, "") for line in body.splitlines()]
    assert {line.partition(" ")[0] for line in typed} == {f":{name}" for name in KINDS}
    for line in typed:
        name, _, terms = line.removeprefix(":").partition(" ")
        parse(terms, KINDS[name].fields)


def test_every_key_and_command_in_the_words_of_the_console_is_one() -> None:
    prose = "\n".join(line for line in generate.CONSOLE.read_text().splitlines() if not line.startswith("|"))
    shown = {found.split()[0] for found in re.findall(r"`:([a-z]+[^`]*)`", prose)}
    assert {name.removesuffix(FORCE) for name in shown} <= set(BY_COMMAND)
    keys = {key for action in ACTIONS for key in action.keys}
    letters = {found for found in re.findall(r"`([a-zA-Z]{1,2})`", prose) if found not in NO_KEYS}
    assert letters <= keys


def test_every_error_that_an_operator_sees_has_its_symptom_cause_and_remedy() -> None:
    sections = dict(
        re.findall(r"^### ([A-Z]+-\d{3}) (.*?)(?=^###? |\Z)", TROUBLE.read_text(), re.MULTILINE | re.DOTALL)
    )
    assert sorted(sections) == sorted(REGISTRY.keys() - PROGRAMS_OWN)
    for code, body in sections.items():
        title, _, rest = body.partition("\n")
        assert title == REGISTRY[code].title
        assert re.findall(r"^\* \*(\w+):\*", rest, re.MULTILINE) == ["Symptom", "Cause", "Remedy"], code


def test_only_errors_of_the_api_are_left_to_programs() -> None:
    assert all(issubclass(REGISTRY[code], ApiError) for code in PROGRAMS_OWN)


def test_every_alert_has_its_cause_and_remedy() -> None:
    alerts = re.findall(r"^\| `(\w+)` \|", TROUBLE.read_text(), re.MULTILINE)
    assert alerts == [rule.code for rule in RULES]


def commands() -> Iterator[tuple[str, str]]:
    """Every command line of ours that a page shows in a block, with the page."""
    for page in PAGES:
        for body in blocks(page, "sh", "console"):
            for shown in body.replace("\\\n", " ").splitlines():
                line = shown.removeprefix("$ ").partition("#")[0].strip()
                if re.match(r"heliograph(-node)? ", line):
                    yield name_of(page), re.split(r" 2?>|\|| &", line)[0]


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_every_command_shown_is_one_that_there_is(page: str, line: str) -> None:
    program, *words = shlex.split(NOW.sub("2026-11-20", line))
    parsers = {"heliograph": console_cli._parser, "heliograph-node": node_cli._parser}
    assert isinstance(parsers[program]().parse_args(words), argparse.Namespace)


def test_the_first_node_of_the_readme_is_valid(tmp_path: Path) -> None:
    written = dict(re.findall(r"^cat > (\S+) <<END\n(.*?\n)END$", README.read_text(), re.MULTILINE | re.DOTALL))
    assert list(written) == ["first/etc/heliograph/node.yml", "first/config.yml"]
    hashed = re.sub(r"\$\(.*\)", "0" * 64, written["first/etc/heliograph/node.yml"])
    (tmp_path / "node.yml").write_text(hashed)
    assert load_node_file(tmp_path / "node.yml").node_file.api.tokens[0].role == "admin"
    document = parse_document(parse_yaml(written["first/config.yml"]))
    assert document.schedules["dense"].interval_s == 10
    assert document.site.latitude is not None, "without its place a node cannot tell black by day from night"


def layers(contract: dict[str, Any]) -> str:
    """The layers that there are: those in parentheses may be still to come."""
    [package] = contract["containers"]
    names = [re.sub(r"[()]", "", layer) for layer in contract["layers"]]
    return " > ".join(name for name in names if " | " in name or exists(f"{package}/{name}"))


def exists(path: str) -> bool:
    """Below the root, or as a module of the node or the console."""
    tops = (ROOT, ROOT / "node", ROOT / "console")
    return any((top / f"{path}{ending}").exists() for top in tops for ending in ("", ".py"))


def test_the_layers_of_the_architecture_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    checked = {each["id"]: layers(each) for each in contracts if each["type"] == "layers"}
    said = " ".join(next(body for body in blocks(ARCHITECTURE, "") if body.startswith("node ")).split())
    assert said == f"node {checked['node-layers']} console {checked['console-layers']}"


def test_the_architecture_is_short_and_names_only_what_exists() -> None:
    text = ARCHITECTURE.read_text()
    assert len(text.splitlines()) <= 150
    named = re.findall(r"`(\w+(?:/\w+)+(?:\.py|/)?)`", text)
    assert len(named) > 30
    assert [path for path in named if not exists(path)] == []


def test_decisions_are_numbered_without_holes_and_each_fits_a_page() -> None:
    pages = sorted(DECISIONS.glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        text = page.read_text()
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], page.name
        assert text.startswith(f"# {int(page.name[:4])}. ")
        assert len(text.splitlines()) <= 50
