"""What the documentation says exists, exists: targets, files, pictures, headings, commands; its example is the portal's own code."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from api.cli import COMMANDS
from api.settings import Settings

ROOT = Path(__file__).parents[2]
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
GUIDES = tuple(ROOT / "docs" / f"{name}.md" for name in ("README", "tour", "integrators", "operators"))
PAGES = (*READMES, *GUIDES)
EVERY_PAGE = (*READMES, *sorted((ROOT / "docs").rglob("*.md")))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
LARGEST_PICTURE = 250_000

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
COMMAND = re.compile(r"\bfujie ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?(?=[\s`,]|$)")
MOVES = re.compile(r"`fujie (\w+) [^`]*`((?:, `[^`]*`)+)")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)\b")
VARIABLE = re.compile(r"\bFUJIE_[A-Z_]+\b")


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _prose(page: Path) -> str:
    return FENCE.sub("", _text(page))


def _code(page: Path, *languages: str) -> Iterator[str]:
    """What is typed: code blocks of these languages, and code within lines."""
    yield from (body for language, body in FENCE.findall(_text(page)) if language in languages)
    yield from re.findall(r"`([^`\n]+)`", _prose(page))


def _anchor(heading: str) -> str:
    """As repository hosts name a heading's anchor."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    return {_anchor(heading) for _, heading in HEADING.findall(_prose(page))}


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("readme", READMES, ids=_id)
def test_the_example_is_the_portal(readme: Path) -> None:
    blocks = [body for language, body in FENCE.findall(_text(readme)) if language == "python"]
    assert blocks == [_text(ROOT / "api" / "demo" / "portal.py")]


def test_both_readmes_have_one_structure() -> None:
    english, chinese = (_text(readme) for readme in READMES)
    outline = [[len(marks) for marks, _ in HEADING.findall(FENCE.sub("", text))] for text in (english, chinese)]
    assert outline[0] == outline[1]
    assert [language for language, _ in FENCE.findall(english)] == [language for language, _ in FENCE.findall(chinese)]
    assert [row.split("|")[1] for row in english.splitlines() if row.startswith("| `")] == [
        row.split("|")[1] for row in chinese.splitlines() if row.startswith("| `")
    ]


def test_the_readmes_lead_to_each_other() -> None:
    for one, other in (READMES, READMES[::-1]):
        assert other.name in LINK.findall(_text(one))


@pytest.mark.parametrize("page", EVERY_PAGE, ids=_id)
def test_every_link_and_picture_is_there(page: Path) -> None:
    missing = []
    for link in LINK.findall(_prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            missing.append(link)
    assert missing == []


def _reachable(page: Path, seen: set[Path]) -> set[Path]:
    """The pages that links lead to from here."""
    if page in seen or page.suffix != ".md" or not page.exists():
        return seen
    seen.add(page)
    for link in LINK.findall(_prose(page)):
        _reachable((page.parent / link.partition("#")[0]).resolve(), seen)
    return seen


def test_every_page_is_reachable() -> None:
    assert set(EVERY_PAGE) - _reachable(ROOT / "README.md", set()) == set()


def test_the_index_names_every_decision() -> None:
    links = set(LINK.findall(_text(ROOT / "docs" / "README.md")))
    assert {f"decisions/{page.name}" for page in DECISIONS} - links == set()


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [page.name[:4] for page in DECISIONS]
    assert len(set(numbers)) == len(numbers)
    titles = [_text(page).splitlines()[0] for page in DECISIONS]
    assert [title for title, number in zip(titles, numbers, strict=True) if not re.match(rf"# 0*{int(number)}\b", title)] == []


@pytest.mark.parametrize("page", EVERY_PAGE, ids=_id)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    named = set(re.findall(r"\btests/[a-z_/]+\.py\b", _text(page)))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_picture_is_shown() -> None:
    shown = {Path(link).name for page in EVERY_PAGE for link in LINK.findall(_text(page)) if link.endswith(".png")}
    assert {picture.name for picture in (ROOT / "docs" / "pictures").glob("*.png")} - shown == set()


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "pictures").glob("*.png")), ids=lambda picture: picture.name)
def test_pictures_are_light(picture: Path) -> None:
    assert picture.stat().st_size <= LARGEST_PICTURE


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_make_target_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", _text(ROOT / "Makefile"), re.MULTILINE))
    named = {target for code in _code(page, "sh") for target in TARGET.findall(code)}
    assert named <= targets


def _subcommands(name: str) -> set[str] | None:
    """The names below ``fujie NAME``; None where it has none of its own."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        return None
    commands = {one.name or str(getattr(one.callback, "__name__", "")).replace("_", "-") for one in found.registered_commands}
    return commands | {str(group.name) for group in found.registered_groups}


def _unknown(name: str, below: str) -> bool:
    if name not in COMMANDS:
        return True
    subcommands = _subcommands(name)
    return subcommands is not None and bool(below) and below not in subcommands


@pytest.mark.parametrize("page", EVERY_PAGE, ids=_id)
def test_every_command_is_there(page: Path) -> None:
    named = {pair for code in _code(page, "sh") for pair in COMMAND.findall(code)}
    for name, rest in MOVES.findall(_prose(page)):  # `fujie seal suspend`, `resume`, …
        named |= {(name, word.split()[0]) for word in re.findall(r"`([^`]+)`", rest) if not word.startswith("fujie")}
    assert {pair for pair in named if _unknown(*pair)} == set()


def test_the_operators_page_names_every_command() -> None:
    text = _text(ROOT / "docs" / "operators.md")
    assert [name for name in COMMANDS if f"fujie {name}" not in text] == []


@pytest.mark.parametrize("page", EVERY_PAGE, ids=_id)
def test_every_variable_is_a_setting(page: Path) -> None:
    settings = {f"FUJIE_{name.upper()}" for name in Settings.model_fields}
    assert set(VARIABLE.findall(_text(page))) <= settings
