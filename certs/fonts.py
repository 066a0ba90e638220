"""The fonts certificates are set in, and which characters they can show.

Two OFL families come with the product's dependencies and are always there: Noto Serif SC and Noto Sans SC. An operator
may add a folder with LXGW WenKai (values) and Noto Serif SC Black (titles); the templates name them first and fall back
to the required fonts. It is off by default, so that a certificate looks the same wherever it is rendered. System fonts
are never used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fontTools.ttLib import TTCollection, TTFont
from pylopdf_fonts_zh_cn import sans_path, serif_path

FONT_SUFFIXES = frozenset({".otf", ".ttf", ".ttc"})


@dataclass(frozen=True, slots=True)
class FontSet:
    """The font files one rendering may use: the required ones, then those of ``optional`` (a folder), by name.

    ``rare``: a folder with the outlines an operator supplied for the characters of one document.
    """

    optional: Path | None = None
    rare: Path | None = None

    def required(self) -> tuple[Path, ...]:
        return (serif_path(), sans_path())

    def files(self) -> tuple[Path, ...]:
        return self.required() + tuple(_font_files(self.optional) if self.optional else ())

    def folders(self) -> tuple[Path, ...]:
        """The folders the typesetter searches."""
        own = dict.fromkeys(path.parent for path in self.required())
        return (*own, *(folder for folder in (self.optional, self.rare) if folder))


REQUIRED_FONTS = FontSet()


def _font_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in FONT_SUFFIXES)


def missing_characters(texts: Iterable[str], fonts: FontSet = REQUIRED_FONTS) -> tuple[str, ...]:
    """The characters of ``texts`` that no font has, each once, in order of appearance.

    Only the required fonts count: they stand at the end of every template's fall-back chain, so what is accepted does
    not depend on what an operator added.
    """
    covered = coverage(fonts.required())
    return tuple(dict.fromkeys(c for text in texts for c in text if ord(c) not in covered))


@cache
def coverage(files: tuple[Path, ...]) -> frozenset[int]:
    """The code points the files' character maps hold, together. Reading takes about 0.2 s; once per process."""
    return frozenset(code for path in files for face in _faces(path) for code in face.getBestCmap() or ())


def _faces(path: Path) -> list[TTFont]:
    if path.suffix.lower() == ".ttc":
        return list(TTCollection(path, lazy=True).fonts)
    return [TTFont(path, lazy=True)]
