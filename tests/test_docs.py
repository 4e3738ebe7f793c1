"""The documentation names every command, option and setting, and names none that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from config.settings import Settings
from node.cli.main import build
from node.logs import event_of
from node.store.states import DeliveryState, IllegalTransition, JobState, StudyState, moved

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "config" / "node.example.toml").read_text(encoding="utf-8")


def commands(group: TyperGroup, name: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every command, with the long options it takes."""
    for child_name, child in group.commands.items():
        full = f"{name} {child_name}".strip()
        if isinstance(child, TyperGroup):
            yield from commands(child, full)
        else:
            yield (
                full,
                [
                    option
                    for parameter in child.params
                    for option in (*parameter.opts, *parameter.secondary_opts)
                    if option.startswith("--") and option != "--help"
                ],
            )


def command_line() -> list[tuple[str, list[str]]]:
    group = typer.main.get_command(build())
    assert isinstance(group, TyperGroup)
    return list(commands(group))


@pytest.mark.parametrize(("command", "options"), command_line(), ids=lambda value: str(value))
def test_every_command_and_option_is_documented(command, options):
    section = _section(command)
    assert f"mammo-node {command}" in section
    missing = [option for option in options if option not in section]
    assert not missing, f"docs/commands.md, {command}: {missing}"


def _section(command: str) -> str:
    """The part of docs/commands.md under the command's heading, or its group's."""
    sections = {part.partition("\n")[0]: part for part in re.split(r"^## ", COMMANDS, flags=re.MULTILINE)}
    return sections.get(command) or sections[command.partition(" ")[0]]


def test_no_line_of_a_table_or_text_stands_twice_in_the_map_of_the_code() -> None:
    """A merge of two branches may keep both versions of a line."""
    beginnings = [line[:40] for line in ARCHITECTURE.splitlines() if len(line) >= 120]
    assert sorted({line for line in beginnings if beginnings.count(line) > 1}) == []


@pytest.mark.parametrize("page", [README, COMMANDS], ids=["README.md", "docs/commands.md"])
def test_no_page_names_a_command_or_option_that_is_not_there(page):
    known = dict(command_line())
    groups = {command.partition(" ")[0] for command in known}
    for line in re.findall(r"mammo-node ((?:[a-z]+ ?)+[^`\n]*)", "\n".join(_code(page))):
        words = line.split()
        command = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert command in known or command in groups, line
        for option in re.findall(r"--[a-z0-9-]+", line):
            assert option in (*known.get(command, ()), "--help"), f"{command} has no {option}"


def _code(page: str) -> list[str]:
    """Indented code lines and code spans that call the command."""
    indented = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    return [text for text in indented + re.findall(r"`([^`\n]+)`", page) if text.startswith("mammo-node ")]


def test_every_setting_the_readme_shows_exists():
    blocks = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        for key in re.findall(r"^\s*([a-z_]+) = ", block, flags=re.MULTILINE):
            assert re.search(rf"^(# )?{key} = ", EXAMPLE, flags=re.MULTILINE), key


def test_the_readme_states_the_defaults_of_the_code():
    closing = Settings.model_fields["closing"].default
    assert f"nothing has arrived for {closing.four_views_quiet_s:g} seconds" in README
    assert f"after {closing.quiet_s:g} seconds without a new image" in README


def test_links_between_pages_are_not_broken():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_for_users_says_research_use_only():
    assert "not a medical device" in README
    assert "Research use only" in README


def test_the_architecture_names_every_file_of_the_service():
    """But for one file per command, which the page says, and the migrations."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    folders = page.partition("## Folders and files")[2].partition("## Where to change")[0]
    files = [path for package in ("config", "node") for path in (ROOT / package).rglob("*.py")]
    left_out = {ROOT / "node/cli", ROOT / "node/store/migrations", ROOT / "node/store/migrations/versions"}
    named = [path for path in files if path.parent not in left_out and not path.stem.startswith("__")]
    assert [path.name for path in named if not re.search(rf"`{path.stem}(\.py)?`", folders)] == []


@pytest.mark.parametrize(("name", "states"), [("study", StudyState), ("job", JobState), ("delivery", DeliveryState)])
def test_the_arrows_between_states_are_those_of_the_program(name, states):
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    arrows = re.search(rf"^    {name}\b.*\n((?:      .*\n)+)", page, re.MULTILINE)
    assert arrows
    drawn = {
        (old, new)
        for olds, news in re.findall(r"^      ([a-z, -]+?) ──► ([a-z-]+(?:, [a-z-]+)*)", arrows[1], re.MULTILINE)
        for old in olds.split(", ")
        for new in news.split(", ")
    }
    assert drawn == {(str(old), str(new)) for old in states for new in states if _may_go(old, new)}


def _may_go(old, new):
    try:
        return moved(old, new) is new
    except IllegalTransition:
        return False


def test_every_test_that_the_threat_model_names_is_there() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) > 10
    assert [name for name in named if f"def {name}(" not in sources] == []
    files = re.findall(r"\btests/[\w/]+\.py", page)
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_list_of_events_has_every_event_that_is_logged_with_its_level_and_no_other():
    _, _, page = (ROOT / "docs/logs.md").read_text(encoding="utf-8").partition("## Events")
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| ([A-Z]+) \|", page, re.MULTILINE)
    there = set(_events())
    assert there - set(listed) == set(), "add these to docs/logs.md"
    assert set(listed) - there == set(), "these are in docs/logs.md, and not logged"
    assert len(listed) == len(set(listed))


def _events() -> Iterator[tuple[str, str]]:
    """Event and level of every message that the packages log."""
    levels = {"debug", "info", "warning", "error", "critical", "exception"}
    for path in (
        path for package in ("config", "dicom_io", "models", "node") for path in (ROOT / package).rglob("*.py")
    ):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match call:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "_log"), attr=level)) if level in levels:
                    template = call.args[0]
                    assert isinstance(template, ast.Constant), f"{path}:{call.lineno}: no name follows from it"
                    assert event_of(template.value), f"{path}:{call.lineno}: it has no words"
                    yield event_of(template.value), level.upper()


def test_each_section_of_the_procurement_form_is_answered() -> None:
    sections = (ROOT / "docs" / "mds2.md").read_text(encoding="utf-8").split("\n## ")[1:]
    named = [re.match(r"\w+", section)[0] for section in sections]
    assert named[:-1] == [  # of HN 1-2019
        "DOC", "MPII", "ALOF", "AUDT", "AUTH", "CONN", "CSUP", "DIDT", "DTBK", "EMRG", "IGAU", "MLDP",
        "NAUT", "PAUT", "PLOK", "RDMP", "SBOM", "SAHD", "SGUD", "STCF", "TXCF", "TXIG", "RMOT", "OTHR",
    ]  # fmt: skip
    for section in sections[:-2]:
        assert re.findall(r"^\| [\d., –]+ \| [^|]+ \| [^|]+ \|$", section, re.MULTILINE), section
