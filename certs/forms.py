"""The forms beside the templates: one TOML file a certificate type, read by this module and by the typst document."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from keys.base.errors import NotFound
from seal.placement import Placement

TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "／"


class TemplateMissing(NotFound):
    """No template is installed for this certificate type."""

    code = "TEMPLATE_MISSING"
    status = 422
    public = ("该类证照还没有版式，不能制证。", "There is no template for this type of certificate yet.")


@dataclass(frozen=True, slots=True)
class Form:
    """What rendering needs of a form; the rest (inks, geometry) is between the TOML file and its typst document.

    ``holders_label``   the row that names the holders; added if the data lack it
    ``validity_label``  the row of the period of validity, or None
    ``rows``            a statutory form's fixed rows in order; those without data are struck out with a slash
    ``seal_place``      the centre of the seal
    ``copies``          which copies there are (正本, 副本); the first is printed unless another is asked for; empty: one
    ``photo``           the paper shows its holder
    ``short_dates``     a card's period is printed in figures only
    """

    type_code: str
    document: str
    holders_label: str
    validity_label: str | None
    rows: tuple[str, ...]
    seal_place: Placement
    seal_diameter_mm: float
    copies: tuple[str, ...] = ()
    photo: bool = False
    short_dates: bool = False

    def arrange(self, fields: dict[str, str]) -> tuple[tuple[str, str], ...]:
        """The fixed rows first, in the form's order; then whatever else there is."""
        fixed = {label: fields.get(label) or NOTHING for label in self.rows}
        return tuple((fixed | {label: value or NOTHING for label, value in fields.items()}).items())


@cache
def forms() -> dict[str, Form]:
    """Every installed form by its type code."""
    found = (_read(path) for path in sorted(TEMPLATES.glob("*.toml")))
    return {form.type_code: form for form in found}


def form_of(type_code: str) -> Form:
    """Raises TemplateMissing."""
    try:
        return forms()[type_code]
    except KeyError:
        raise TemplateMissing(type_code) from None


def _read(path: Path) -> Form:
    return parse_form(path.read_text(encoding="utf-8"))


def parse_form(text: str) -> Form:
    """A form from its TOML; ``tomllib.TOMLDecodeError``, ``KeyError``, ``TypeError`` or ``ValueError`` where it is none."""
    form = tomllib.loads(text)
    label, seal = form["label"], form["seal"]
    return Form(
        type_code=form["type_code"],
        document=form["document"],
        holders_label=label["holders"],
        validity_label=label.get("validity"),
        rows=tuple(form.get("rows", ())),
        seal_place=Placement(seal["page"], float(seal["x_mm"]), float(seal["y_mm"])),
        seal_diameter_mm=float(seal["diameter_mm"]),
        copies=tuple(form.get("copies", ())),
        photo="photo" in form,
        short_dates=bool(form.get("short_dates", False)),
    )
