"""The design's promises that can be computed: contrast, one statement of the values, two complete languages."""

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from api.pages.i18n import CATALOGUES, CHINESE, accepted
from api.pages.rendering import ASSETS, HERE

ROOT = Path(__file__).parents[2]
CSS = ASSETS["fujie.css"].decode()
HEX = re.compile(r"--([a-z-]+):\s*(#[0-9a-f]{6});")
LIGHT = dict(HEX.findall(CSS.split("@media")[0]))
DARK = LIGHT | dict(HEX.findall(CSS.split("@media")[1]))
TEXT = 4.5
EDGE = 3.0
PAIRS = [
    *[(text, ground, TEXT) for text in ("ink", "ink-soft", "indigo", "indigo-deep", "bad") for ground in ("paper", "surface")],
    ("on-indigo", "indigo", TEXT),
    ("on-indigo", "indigo-deep", TEXT),
    ("surface", "bad", TEXT),
    ("ink-soft", "sunken", TEXT),
    ("indigo", "sunken", TEXT),
    ("indigo", "indigo-wash", TEXT),
    ("indigo-deep", "indigo-wash", TEXT),
    *[(tone, f"{tone}-wash", TEXT) for tone in ("good", "wait", "bad", "mute")],
    *[("ink", f"{tone}-wash", TEXT) for tone in ("good", "wait", "bad", "mute")],
    *[("edge", ground, EDGE) for ground in ("surface", "paper", "sunken")],
    *[(tone, "surface", EDGE) for tone in ("good", "wait", "bad", "mute", "cinnabar")],
]


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "ground", "least"), PAIRS, ids=lambda value: str(value))
def test_colours_keep_their_distance(scheme: dict[str, str], front: str, ground: str, least: float) -> None:
    high, low = sorted((luminance(scheme[front]), luminance(scheme[ground])), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= least


def test_the_design_page_states_exactly_the_colours_of_the_stylesheet() -> None:
    page = (ROOT / "docs" / "design.md").read_text()
    stated = re.findall(r"^\| `--([a-z-]+)` \| `(#[0-9a-f]{6})` \| `(#[0-9a-f]{6})` \|", page, re.M)
    assert {name: (light, dark) for name, light, dark in stated} == {name: (LIGHT[name], DARK[name]) for name in LIGHT}


def test_colours_are_written_nowhere_but_among_the_tokens() -> None:
    body = CSS.split("/* ground */")[1].split("@media print")[0]
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", body)) <= {"#fff"}, "a certificate's paper is white in every scheme"


def test_no_template_carries_style_or_script_of_its_own() -> None:
    for template in sorted((HERE / "templates").glob("*.html")):
        text = template.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text), template.name
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), template.name


def messages() -> set[str]:
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None}
    found = extract_from_dir(HERE, methods, {"templates/**.html": {"trimmed": "true"}}, keywords)
    return {text for _, _, message, _, _ in found for text in (message if isinstance(message, tuple) else (message,))}


def test_every_message_is_in_both_languages() -> None:
    wanted = messages()
    assert len(wanted) > 150
    for locale in CATALOGUES:
        with (HERE / "locales" / locale / "messages.po").open("rb") as file:
            catalogue = read_po(file, locale=locale)
        assert {message.id for message in catalogue if message.id} == wanted, f"{locale}: run the extraction again"
        assert not [message.id for message in catalogue if message.fuzzy and message.id]
    assert [text for text in sorted(wanted) if CATALOGUES[CHINESE].gettext(text) == text] in ([], ["SHA-256"])


def test_translations_keep_the_placeholders() -> None:
    for text in messages():
        translated = CATALOGUES[CHINESE].gettext(text)
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", translated)), text


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("", "zh_Hans_CN"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh-TW", "zh_Hans_CN"),
        ("fr, en-GB;q=0.8, zh;q=0.5", "en"),
        ("en;q=0, zh;q=0.1", "zh_Hans_CN"),
        ("de", "zh_Hans_CN"),
        ("*;q=abc, \x00;;;q=", "zh_Hans_CN"),
    ],
)
def test_the_language_a_browser_asks_for(header: str, locale: str) -> None:
    assert accepted(header) == locale
