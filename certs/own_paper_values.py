"""Where a department's own document is sealed and carries its code: as wished for, and as found. Pure."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SealWish:
    """Where the seal should go: its centre on a page (from 1; −1 the last) in mm from the top left corner, or on the words of ``keyword``.

    ``dx_mm``, ``dy_mm`` move it from the words.
    """

    page: int = -1
    x_mm: float | None = None
    y_mm: float | None = None
    keyword: str | None = None
    occurrence: Literal["first", "last"] = "last"
    dx_mm: float = 0.0
    dy_mm: float = 0.0


@dataclass(frozen=True, slots=True)
class CodeWish:
    """Where the code should go. ``where``: ``auto``, ``page`` (of its own), or ``place``: its top left corner on a page."""

    where: Literal["auto", "page", "place"] = "auto"
    page: int = 1
    x_mm: float = 0.0
    y_mm: float = 0.0


@dataclass(frozen=True, slots=True)
class OwnPaper:
    """The paper of an approval that brings its own: ``document`` is the SHA-256 (hexadecimal) of the rebuilt PDF in the store.

    ``seal_…``: the seal's centre, ``code_…``: the strip's top left corner, in mm from the page's; pages count from 0; ``code_page`` None:
    a page of its own. ``title`` is the document's.
    """

    document: str
    seal_page: int
    seal_x_mm: float
    seal_y_mm: float
    code_page: int | None
    code_x_mm: float = 0.0
    code_y_mm: float = 0.0
    title: str = ""
