"""The impression of a seal, as vectors: round, oval and square (国发〔1999〕25号; STANDARDS.md §3).

:func:`draw` takes a :class:`~seal.designs.SealDesign` and gives every form of its picture. The national emblem is never
drawn: such a seal takes an uploaded impression (:mod:`seal.impressions`).
"""

from seal import appearance_ring, appearance_square
from seal.designs import SealDesign, SealShapeUnsuitable, SealTextUnsuitable, Shape, check_design
from seal.drawing import Drawing
from seal.engraving import SealPicture, engrave
from seal.outlines import Face, require

__all__ = ["SealDesign", "SealShapeUnsuitable", "SealTextUnsuitable", "check", "draw", "drawing_of"]


def check(design: SealDesign) -> None:
    """Whether the design can be cut. Raises :class:`SealTextUnsuitable`, :class:`SealShapeUnsuitable` or ``GlyphMissing``."""
    check_design(design)
    plain = design.middle.isascii()
    require(Face.SONG, design.upper + design.lower + ("" if plain else design.middle))
    require(Face.HEI, design.middle if plain else "")


def drawing_of(design: SealDesign) -> Drawing:
    """The outlines. Takes a second of CPU the first time, for the font. Raises as :func:`check`."""
    check(design)
    return appearance_square.drawn(design) if design.shape is Shape.SQUARE else appearance_ring.drawn(design)


def draw(design: SealDesign) -> SealPicture:
    """Draw a seal: SVG, PDF operators and PNG. Raises as :func:`check`."""
    return engrave(drawing_of(design), design.colour)
