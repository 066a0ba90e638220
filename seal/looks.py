"""What an order says about a seal's picture, and the design that follows from it and the seal's kind. Pure."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from seal.designs import Colour, LowerStyle, Relief, SealDesign, SealShapeUnsuitable, Shape
from seal.kinds import KINDS, KindInfo, SealKind


@dataclass(frozen=True, slots=True)
class SealLook:
    """None: as the kind has it.

    ``upper``     cut instead of the organisation's name: a shorter name that is registered, or a person's name
    ``middle``    a line across the middle, in the star's place (an invoice seal's tax number: the organisation's own code without it)
    ``height_mm`` None: as the kind has it, or as wide where only ``width_mm`` is said
    ``code``      whether the seal's code is cut into it; None: round seals of organisations
    """

    upper: str | None = None
    middle: str | None = None
    shape: Shape | None = None
    width_mm: float | None = None
    height_mm: float | None = None
    star: bool | None = None
    code: bool | None = None
    colour: Colour = Colour.RED
    lower_style: LowerStyle = LowerStyle.LINE
    relief: Relief = Relief.RAISED

    def to_json(self) -> dict[str, Any]:
        """The members that say something."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> Self:
        """Raises ``SealShapeUnsuitable`` for a word that is none of ours, TypeError for a member nobody knows or of another type."""
        wrong = [name for name, value in members.items() if name not in _TYPES or not (value is None or _is_a(value, _TYPES[name]))]
        if wrong:
            raise TypeError(f"{len(wrong)} members of a look")
        try:
            read: dict[str, Any] = {
                name: _WORDS[name](value) if name in _WORDS else value for name, value in members.items() if value is not None
            }
        except ValueError as error:
            raise SealShapeUnsuitable("a shape, colour, style or relief that does not exist") from error
        return cls(**read)


_TYPES: dict[str, type] = {
    "upper": str, "middle": str, "shape": str, "width_mm": float, "height_mm": float, "star": bool, "code": bool, "colour": str,
    "lower_style": str, "relief": str,
}  # fmt: skip


def _is_a(value: object, wanted: type) -> bool:
    """A whole number is a length as well; a truth is no number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) if wanted is float else isinstance(value, wanted)


_WORDS = {"shape": Shape, "colour": Colour, "lower_style": LowerStyle, "relief": Relief}


AS_THE_KIND = SealLook()
"""Nothing said: every kind looks as it usually does."""


def design_of(kind: str, look: SealLook, *, name: str, organisation: str, lower_text: str, code: str) -> SealDesign:
    """The seal to be cut: what the order says, else what the kind has. ``name`` is the organisation's, ``organisation`` its code."""
    info = KINDS[SealKind(kind)]
    shape = look.shape or info.shape
    width, height = size_of(look, info)
    square = shape is Shape.SQUARE
    middle = _middle(look, kind, organisation)
    return SealDesign(
        upper=name if look.upper is None else look.upper,
        lower="" if square else lower_text,
        width_mm=width,
        star=_star(look, info, square=square, middle=middle),
        code=code if _coded(look, info, shape) else "",
        shape=shape,
        height_mm=height,
        middle=middle,
        lower_style=look.lower_style,
        colour=look.colour,
        relief=look.relief,
    )


def size_of(look: SealLook, info: KindInfo) -> tuple[float, float]:
    """Width and height in mm: of the order, else of the kind, else of the shape."""
    own = (info.width_mm, info.height_mm) if look.shape in (None, info.shape) else _USUAL[look.shape or info.shape]
    if look.width_mm is None:
        return own[0], own[1] if look.height_mm is None else look.height_mm
    return look.width_mm, look.width_mm * own[1] / own[0] if look.height_mm is None else look.height_mm


_USUAL: dict[Shape, tuple[float, float]] = {Shape.ROUND: (42, 42), Shape.OVAL: (45, 30), Shape.SQUARE: (22, 22)}


def _middle(look: SealLook, kind: str, organisation: str) -> str:
    return (organisation if kind == SealKind.INVOICE else "") if look.middle is None else look.middle


def _star(look: SealLook, info: KindInfo, *, square: bool, middle: str) -> bool:
    return info.star and not square and not middle if look.star is None else look.star


def _coded(look: SealLook, info: KindInfo, shape: Shape) -> bool:
    return (shape is Shape.ROUND and not info.personal) if look.code is None else look.code
