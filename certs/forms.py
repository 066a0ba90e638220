"""The forms beside the templates: one TOML file a template, read by this module and by the typst document.

A form with a type code is that type's own. One without serves any type that names it as its template.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from keys.base.errors import NotFound
from seal.placement import Placement

TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "／"
GENERAL = "general_portrait"
"""What a type is printed with that has no form of its own and names none."""


class TemplateMissing(NotFound):
    """The type names a template that is not installed."""

    code = "TEMPLATE_MISSING"
    status = 422
    public = ("该类证照指定的版式未安装，不能制证。", "The template that this type of certificate names is not installed.")


@dataclass(frozen=True, slots=True)
class Form:
    """What rendering needs of a form; the rest (inks, geometry) is between the TOML file and its typst document.

    ``type_code``       the type whose own form it is; empty: it serves any type
    ``holders_label``   the row that names the holders; added if the data lack it
    ``validity_label``  the row of the period of validity, or None
    ``rows``            a statutory form's fixed rows in order; those without data are struck out with a slash
    ``seal_place``      the centre of the seal
    ``copies``          which copies there are (正本, 副本); the first is printed unless another is asked for; empty: one
    ``photo``           the paper shows its holder
    ``short_dates``     a card's period is printed in figures only
    ``name_zh``, ``name_en``  what people call the template
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
    name_zh: str = ""
    name_en: str = ""

    @property
    def name(self) -> str:
        """By which a type names it as its template."""
        return self.document.removesuffix(".typ")

    def arrange(self, fields: dict[str, str]) -> tuple[tuple[str, str], ...]:
        """The fixed rows first, in the form's order; then whatever else there is."""
        fixed = {label: fields.get(label) or NOTHING for label in self.rows}
        return tuple((fixed | {label: value or NOTHING for label, value in fields.items()}).items())


@cache
def templates() -> dict[str, Form]:
    """Every installed form by its name."""
    return {path.stem: parse_form(path.read_text(encoding="utf-8")) for path in sorted(TEMPLATES.glob("*.toml"))}


@cache
def forms() -> dict[str, Form]:
    """The forms that types have of their own, by type code."""
    return {form.type_code: form for form in templates().values() if form.type_code}


def form_of(type_code: str, template: str = "") -> Form:
    """The form that the type names, else its own, else the general one. Raises TemplateMissing for a name that is not installed."""
    if not template:
        return forms().get(type_code) or templates()[GENERAL]
    form = templates().get(template)
    if form is None:
        raise TemplateMissing(template)
    return form


def parse_form(text: str) -> Form:
    """A form from its TOML; ``tomllib.TOMLDecodeError``, ``KeyError``, ``TypeError`` or ``ValueError`` where it is none."""
    form = tomllib.loads(text)
    label, seal = form["label"], form["seal"]
    return Form(
        type_code=form.get("type_code", ""),
        document=form["document"],
        holders_label=label["holders"],
        validity_label=label.get("validity"),
        rows=tuple(form.get("rows", ())),
        seal_place=Placement(seal["page"], float(seal["x_mm"]), float(seal["y_mm"])),
        seal_diameter_mm=float(seal["diameter_mm"]),
        copies=tuple(form.get("copies", ())),
        photo="photo" in form,
        short_dates=bool(form.get("short_dates", False)),
        name_zh=str(form.get("name_zh", "")),
        name_en=str(form.get("name_en", "")),
    )
