"""Cleaning what draws a page: one content stream in, one out, with nothing in it that is not seen.

1. operators outside the table of ISO 32000-1 Annex A are left out, and with them marked content, comments and compatibility
   sections
2. what belongs to a hidden layer is not painted: paths, text, images, shadings and forms go, the graphics state stays
3. text that is drawn invisibly (rendering mode 3) goes; so does what certainly lies outside the page
4. ``q`` and ``Q`` are balanced, so that nothing of the page leaks into what is drawn after it

The caller compares pictures before and after: where leaving something out moved something else, the document is refused.
"""
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pikepdf
from pikepdf import ContentStreamInstruction, Name, Operator

from seal.sanitising_errors import Malformed
from seal.sanitising_geometry import IDENTITY, Box, Matrix, bounds_of

_PATH = frozenset({"m", "l", "c", "v", "y", "h", "re"})
_PAINT = frozenset({"S", "s", "f", "F", "f*", "B", "B*", "b", "b*", "n"})
_SHOW = frozenset({"Tj", "TJ", "'", '"'})
_STATE_OPERATORS = "w J j M d ri i gs CS cs SC SCN sc scn G g RG rg K k Tc Tw Tz TL Tf Ts d0 d1"
_STATE = frozenset(_STATE_OPERATORS.split())
_INVISIBLE = 3
_MOST_NESTING = 512
_FAR_EM = 4.0
"""How far a glyph may reach from its origin, in multiples of its size: more than any font in use does."""


@dataclass
class Used:
    """The names of resources that the cleaned content still uses, by category."""

    names: dict[str, set[str]] = field(default_factory=dict)

    def add(self, category: str, name: object) -> None:
        self.names.setdefault(category, set()).add(str(name))

    def include(self, other: "Used") -> None:
        for category, names in other.names.items():
            self.names.setdefault(category, set()).update(names)


@dataclass
class Removed:
    """What was left out: counts by kind, for the approver."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, number: int = 1) -> None:
        if number:
            self.counts[kind] = self.counts.get(kind, 0) + number


@dataclass(frozen=True, slots=True)
class _Graphics:
    matrix: Matrix = IDENTITY
    invisible: bool = False
    line_width: float = 1.0
    size: float = 0.0


Shown = Callable[[str], bool]
"""Whether the layer or XObject of that resource name is shown."""
Extent = Callable[[str], tuple[float, float, float, float] | None]
"""The bounding box of a named XObject in its own user space; None: not known."""


class Cleaning:
    """One pass over one stream. ``page`` None: the stream is used at places unknown, so nothing is outside."""

    def __init__(self, layer: Shown, xobject: Shown, extent: Extent, page: Box | None, removed: Removed) -> None:
        self._layer, self._xobject, self._extent = layer, xobject, extent
        self._page, self._removed = page, removed
        self.used = Used()
        self._out: list[Any] = []
        self._graphics = _Graphics()
        self._stack: list[_Graphics] = []
        self._marked: list[bool] = []
        self._hidden = 0
        self._path: list[Any] = []
        self._points: list[tuple[float, float]] = []
        self._clip: Any = None
        self._line: Matrix = IDENTITY
        self._leading = 0.0

    def run(self, instructions: Iterable[Any]) -> list[Any]:
        """The cleaned instructions. Raises :class:`Malformed`."""
        for one in instructions:
            if isinstance(one, pikepdf.ContentStreamInlineImage):
                self._inline_image(one)
                continue
            self._instruction(str(one.operator), one)
        for _ in self._stack:
            self._emit("Q")
        return self._out

    def _instruction(self, operator: str, one: Any) -> None:
        if operator in _PATH:
            self._path.append(one)
            self._points.extend(_points(operator, one.operands))
        elif operator in _PAINT:
            self._paint(operator, one)
        elif operator in _SHOW:
            self._show(operator, one)
        elif operator in _STATE:
            self._state(operator, one)
        else:
            handler = _HANDLERS.get(operator)
            if handler is not None:
                handler(self, one)

    def _emit(self, operator: str, *operands: Any) -> None:
        self._out.append(ContentStreamInstruction(list(operands), Operator(operator)))

    # Graphics state

    def _save(self, one: Any) -> None:
        if len(self._stack) >= _MOST_NESTING:
            raise Malformed("graphics state nested without end")
        self._stack.append(self._graphics)
        self._out.append(one)

    def _restore(self, one: Any) -> None:
        if self._stack:
            self._graphics = self._stack.pop()
            self._out.append(one)

    def _concat(self, one: Any) -> None:
        self._graphics = _replaced(self._graphics, matrix=Matrix.of(one.operands) @ self._graphics.matrix)
        self._out.append(one)

    def _state(self, operator: str, one: Any) -> None:
        operands = list(one.operands)
        if operator == "w":
            self._graphics = _replaced(self._graphics, line_width=float(operands[0]))
        elif operator == "TL":
            self._leading = float(operands[0])
        elif operator == "Tf":
            self._graphics = _replaced(self._graphics, size=float(operands[1]))
            self.used.add("/Font", operands[0])
        elif operator == "gs":
            self.used.add("/ExtGState", operands[0])
        elif operator in ("cs", "CS"):
            self.used.add("/ColorSpace", operands[0])
        elif operator in ("scn", "SCN") and operands and isinstance(operands[-1], Name):
            self.used.add("/Pattern", operands[-1])
        self._out.append(one)

    def _rendering_mode(self, one: Any) -> None:
        self._graphics = _replaced(self._graphics, invisible=int(one.operands[0]) == _INVISIBLE)
        self._out.append(one)

    # Marked content and layers

    def _begin_marked(self, one: Any) -> None:
        operands = list(one.operands)
        of_layer = len(operands) == 2 and str(operands[0]) == "/OC" and isinstance(operands[1], Name)
        hides = of_layer and not self._layer(str(operands[1]))
        self._marked.append(hides)
        self._hidden += hides

    def _end_marked(self, _: Any) -> None:
        if self._marked:
            self._hidden -= self._marked.pop()

    # Paths

    def _clipping(self, one: Any) -> None:
        self._clip = one

    def _paint(self, operator: str, one: Any) -> None:
        unseen = operator != "n" and self._unseen(self._points, self._graphics.line_width)
        if self._clip is not None:
            self._out += [*self._path, self._clip]
            self._emit("n") if unseen else self._out.append(one)
        elif not unseen and operator != "n":
            self._out += [*self._path, one]
        self._path, self._points, self._clip = [], [], None

    def _unseen(self, points: list[tuple[float, float]], margin: float = 0.0) -> bool:
        if self._hidden:
            self._removed.add("hidden_content")
            return True
        if self._page is None or not points:
            return False
        matrix = self._graphics.matrix
        outside = not self._page.touches(bounds_of(matrix.apply(*point) for point in points), abs(margin) * matrix.scale * 10)
        self._removed.add("outside_the_page", outside)
        return outside

    # Images, forms, shadings

    def _do(self, one: Any) -> None:
        name = str(one.operands[0])
        if not self._xobject(name):
            self._removed.add("hidden_content")
            return
        extent = self._extent(name)
        corners = [] if extent is None else _corners(*extent)
        if not self._unseen(corners):
            self.used.add("/XObject", name)
            self._out.append(one)

    def _inline_image(self, one: Any) -> None:
        if not self._unseen(_corners(0, 0, 1, 1)):
            space = one.iimage.obj.get("/ColorSpace") or one.iimage.obj.get("/CS")
            for name in space if isinstance(space, pikepdf.Array) else [space]:
                if isinstance(name, Name):
                    self.used.add("/ColorSpace", name)
            self._out.append(one)

    def _shade(self, one: Any) -> None:
        if not self._unseen([]):
            self.used.add("/Shading", one.operands[0])
            self._out.append(one)

    # Text

    def _begin_text(self, one: Any) -> None:
        self._line = IDENTITY
        self._out.append(one)

    def _move_text(self, one: Any) -> None:
        x, y = (float(value) for value in one.operands)
        if str(one.operator) == "TD":
            self._leading = -y
        self._line = Matrix(1, 0, 0, 1, x, y) @ self._line
        self._out.append(one)

    def _text_matrix(self, one: Any) -> None:
        self._line = Matrix.of(one.operands)
        self._out.append(one)

    def _next_line(self, one: Any) -> None:
        self._line = Matrix(1, 0, 0, 1, 0, -self._leading) @ self._line
        self._out.append(one)

    def _show(self, operator: str, one: Any) -> None:
        operands = list(one.operands)
        if operator in ("'", '"'):  # each is a move to the next line and a Tj: written so, because the text may go
            if operator == '"':
                self._emit("Tw", operands[0])
                self._emit("Tc", operands[1])
            self._next_line(ContentStreamInstruction([], Operator("T*")))
        if self._hidden or self._graphics.invisible:
            self._removed.add("hidden_text")
        elif self._text_outside():
            self._removed.add("outside_the_page")
        elif operator == "TJ":
            self._out.append(one)
        else:
            self._emit("Tj", operands[-1])

    def _text_outside(self) -> bool:
        """Whether every glyph of this line is above or below the page, wherever in the line it stands."""
        if self._page is None or not self._graphics.size:
            return False
        matrix = self._line @ self._graphics.matrix
        if abs(matrix.b) > 1e-6 or abs(matrix.c) > 1e-6:
            return False
        reach = abs(self._graphics.size * matrix.d) * _FAR_EM
        return matrix.f + reach < self._page.bottom or matrix.f - reach > self._page.top

    def _keep(self, one: Any) -> None:
        self._out.append(one)


_HANDLERS: dict[str, Callable[[Cleaning, Any], None]] = {
    "q": Cleaning._save, "Q": Cleaning._restore, "cm": Cleaning._concat, "Tr": Cleaning._rendering_mode,
    "BMC": Cleaning._begin_marked, "BDC": Cleaning._begin_marked, "EMC": Cleaning._end_marked,
    "W": Cleaning._clipping, "W*": Cleaning._clipping, "Do": Cleaning._do, "sh": Cleaning._shade,
    "BT": Cleaning._begin_text, "ET": Cleaning._keep, "Td": Cleaning._move_text, "TD": Cleaning._move_text,
    "Tm": Cleaning._text_matrix, "T*": Cleaning._next_line,
}  # fmt: skip


def _replaced(graphics: _Graphics, **changed: Any) -> _Graphics:
    values: dict[str, Any] = {
        "matrix": graphics.matrix,
        "invisible": graphics.invisible,
        "line_width": graphics.line_width,
        "size": graphics.size,
    }
    return _Graphics(**(values | changed))


def _points(operator: str, operands: Any) -> list[tuple[float, float]]:
    numbers = [float(value) for value in operands]
    if operator == "re":
        return _corners(numbers[0], numbers[1], numbers[0] + numbers[2], numbers[1] + numbers[3])
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def _corners(left: float, bottom: float, right: float, top: float) -> list[tuple[float, float]]:
    return [(left, bottom), (right, bottom), (left, top), (right, top)]
