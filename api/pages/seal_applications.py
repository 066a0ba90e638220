"""Applying for a seal: what it is called, how it looks, and a look at it in its real size before the application is sent.

The picture is drawn from its texts, or taken from an uploaded impression (``seal.picturing``). A browser sends a chosen file once; until
the application is sent the form carries it along, so that what was looked at is what is sent, and nothing is kept before.
"""

import base64
import binascii
import datetime as dt
from dataclasses import dataclass, replace

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Beside, Trouble, sent, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, translate
from api.pages.rendering import policy, render
from api.pages.seals import SealStaffOnly, begun, papers_of, require_staff
from identity.organisations import Organisation, get_organisation
from keys.base.actor import Actor, Role
from keys.base.clock import CHINA_STANDARD_TIME
from keys.base.errors import FujieError
from seal.asn1_build import DEFAULT_VERSION, WRITTEN_VERSIONS
from seal.designs import SIZES, SealShapeUnsuitable, Shape
from seal.engraving import SealPicture
from seal.impressions import MAX_OCTETS, MediaType, Upload
from seal.kinds import KINDS, SealKind
from seal.looks import SealLook, size_of
from seal.making import SealOrder, SealOrderInvalid, apply_for_seal
from seal.motives import Why, read_papers
from seal.picturing import Subject, preview

LONGEST_REASON, LONGEST_YEARS, LONGEST_TEXT, LONGEST_NUMBER = 400, 10, 100, 7
PREVIEW, DRAWN, IMPRESSION = "preview", "drawn", "impression"
PART = 8 << 20
"""Octets of the largest field: an impression of 5 MB, base64."""
SHAPES = {"": mark("As usual for the kind"), Shape.ROUND: mark("Round"), Shape.OVAL: mark("Oval"), Shape.SQUARE: mark("Square")}
VERSIONS = {
    5: mark("5 (GM/T 0031-2025)"),
    4: mark("4 (GB/T 38540-2020), for readers that know no newer one"),
}
PICTURES = {DRAWN: mark("Drawn from its texts"), IMPRESSION: mark("An uploaded impression")}
NAME_NEEDED = mark("Say the seal's full name, without special characters.")
KIND_NEEDED = mark("Choose a kind.")
DAY_NEEDED = mark("Choose a day within the next ten years.")
FILE_NEEDED = mark("Choose the picture of the impression: PNG, JPEG or SVG, at most 5 MB.")
SIZE_NEEDED = mark("Say width and height in millimetres.")
_FIELDS = {
    "SEAL_SHAPE_UNSUITABLE": "size",
    "IMPRESSION_SIZE": "size",
    "IMPRESSION_PROPORTIONS": "size",
    "SEAL_TEXT_UNSUITABLE": "upper",
    "GLYPH_MISSING": "upper",
    "SEAL_EMBLEM_NEEDS_IMPRESSION": "file",
    "SEAL_REASON_UNSUITABLE": "reason",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed, as it is shown again. ``held``: the chosen impression, base64."""

    name: str = ""
    kind: str = SealKind.STATUTORY.value
    until: str = ""
    reason: str = ""
    picture: str = DRAWN
    shape: str = ""
    width: str = ""
    height: str = ""
    upper: str = ""
    middle: str = ""
    lower: str = ""
    version: str = str(DEFAULT_VERSION)
    held: str = ""


class Wrong(Exception):
    """A field that cannot be read, and what to say beside it."""

    def __init__(self, field: str, trouble: Trouble) -> None:
        super().__init__(field)
        self.field, self.trouble = field, trouble


@dataclass(frozen=True, slots=True)
class Shown:
    """The picture as it will be cut: an address of its own octets, and its real size in mm."""

    address: str
    width_mm: str
    height_mm: str

    @classmethod
    def of(cls, picture: SealPicture) -> "Shown":
        octets = base64.b64encode(picture.svg).decode()
        return cls(f"data:image/svg+xml;base64,{octets}", f"{picture.width_mm:g}", f"{picture.height_mm:g}")


@page
async def show_application(request: Request) -> Response:
    """The form of an application, for keepers."""
    return await _form(request, _keeper(request), Asked())


@page
async def submit_application(request: Request) -> Response:
    """Look at it, or apply for it: a seal of the keeper's own organisation. What is wrong is said beside its field."""
    actor, form = _keeper(request), await sent(request, 1, 24, PART)
    asked = await _read(form)
    try:
        if typed(form, "step") == PREVIEW:
            return await _looked_at(request, actor, asked)
        await _apply(request, actor, asked, Why("", asked.reason, read_papers(papers_of(form))))
    except Wrong as wrong:
        return await _form(request, actor, asked, 422, {wrong.field: wrong.trouble})
    except FujieError as error:
        if error.status >= 500:
            raise
        return await _form(request, actor, asked, error.status, _errors(request, error))
    return redirect("/seals?done=applied")


def _keeper(request: Request) -> Actor:
    actor = require_staff(request).actor
    if Role.SEAL_KEEPER not in actor.roles or actor.organisation is None:
        raise SealStaffOnly
    return actor


async def _read(form: FormData) -> Asked:
    chosen = form.get("file")
    held = form.get("held")
    octets = await chosen.read(MAX_OCTETS + 1) if isinstance(chosen, UploadFile) and chosen.filename else b""
    texts = {name: shown_again(typed(form, name, LONGEST_TEXT)) for name in ("name", "upper", "middle", "lower")}
    return Asked(
        **texts,
        kind=typed(form, "kind"),
        until=typed(form, "until"),
        reason=shown_again(typed(form, "reason", LONGEST_REASON)),
        picture=typed(form, "picture") or DRAWN,
        shape=typed(form, "shape"),
        width=typed(form, "width", LONGEST_NUMBER),
        height=typed(form, "height", LONGEST_NUMBER),
        version=typed(form, "version") or str(DEFAULT_VERSION),
        held=base64.b64encode(octets).decode() if octets else held if isinstance(held, str) else "",
    )


async def _organisation(request: Request, actor: Actor) -> Organisation | None:
    async with house_of(request).database.session() as session:
        return await get_organisation(session, actor.organisation or "")


async def _looked_at(request: Request, actor: Actor, asked: Asked) -> Response:
    """The form again, with the picture in its real size; zeros stand for the code."""
    order = await _order(request, actor, asked)
    lower = KINDS[SealKind(order.kind)].lower_text if order.lower_text is None else order.lower_text
    subject = Subject(order.kind, order.organisation, order.organisation_name, lower)
    picture = await house_of(request).workers.run(preview, subject, order.look, order.impression)
    return await _form(request, actor, asked, shown=Shown.of(picture))


async def _apply(request: Request, actor: Actor, asked: Asked, why: Why) -> None:
    house = house_of(request)
    await apply_for_seal(house.database, house.guard, actor, await _order(request, actor, asked), why)


async def _order(request: Request, actor: Actor, asked: Asked) -> SealOrder:
    """Raises :class:`Wrong` for a field that cannot be read."""
    known, now = await _organisation(request, actor), house_of(request).clock.now()
    if not asked.name.strip():
        raise _wrong(request, "name", NAME_NEEDED)
    if asked.kind not in set(SealKind):
        raise _wrong(request, "kind", KIND_NEEDED)
    end = _end_of(asked.until, now)
    if end is None:
        raise _wrong(request, "until", DAY_NEEDED)
    look = _look(request, asked)
    return SealOrder(
        name=asked.name.strip(),
        kind=SealKind(asked.kind),
        organisation=actor.organisation or "",
        organisation_name=known.name if known else "",
        division=(known.division if known else actor.division) or "",
        lower_text=asked.lower.strip() or None,
        valid_from=now,
        valid_to=end,
        ses_version=int(asked.version) if asked.version in map(str, WRITTEN_VERSIONS) else 0,
        look=look,
        impression=_impression(request, asked, look) if asked.picture == IMPRESSION else None,
    )


def _look(request: Request, asked: Asked) -> SealLook:
    """Of a drawn seal: what was left empty stays as the kind has it."""
    if asked.shape and asked.shape not in set(Shape):
        raise SealShapeUnsuitable("shape")
    return SealLook(
        upper=asked.upper.strip() or None,
        middle=asked.middle.strip() or None,
        shape=Shape(asked.shape) if asked.shape else None,
        width_mm=_millimetres(request, asked.width),
        height_mm=_millimetres(request, asked.height),
    )


def _millimetres(request: Request, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError as error:
        raise _wrong(request, "size", SIZE_NEEDED) from error


def _impression(request: Request, asked: Asked, look: SealLook) -> Upload:
    try:
        octets = base64.b64decode(asked.held, validate=True)
    except binascii.Error as error:
        raise _wrong(request, "file", FILE_NEEDED) from error
    if not octets:
        raise _wrong(request, "file", FILE_NEEDED)
    info = KINDS[SealKind(asked.kind)]
    width, height = size_of(look, info)
    return Upload(octets, _media_type(octets), width, height, look.shape or info.shape)


def _media_type(octets: bytes) -> MediaType:
    """By its first octets; what it is not is refused when it is read."""
    if octets.startswith(b"\x89PNG"):
        return MediaType.PNG
    return MediaType.JPEG if octets.startswith(b"\xff\xd8") else MediaType.SVG


def _end_of(text: str, now: dt.datetime) -> dt.datetime | None:
    """The end of that day in China; None where it is no day, over, or too far away."""
    try:
        day = dt.date.fromisoformat(text)
        end = dt.datetime.combine(day, dt.time(23, 59, 59), CHINA_STANDARD_TIME).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return end if now < end < now + dt.timedelta(days=366 * LONGEST_YEARS) else None


def _wrong(request: Request, field: str, message: str) -> Wrong:
    return Wrong(field, Trouble(SealOrderInvalid.code, translate(locale_of(request), message)))


def _errors(request: Request, error: FujieError) -> dict[str, Trouble]:
    """The refusal beside its field; under ``form`` what belongs to none."""
    of_the_picture = "file" if error.code.startswith("IMPRESSION_") else "form"
    if error.code == SealOrderInvalid.code and "name" in error.detail:
        of_the_picture = "name"
    return {_FIELDS.get(error.code, of_the_picture): trouble_of(request, error)}


async def _form(
    request: Request, actor: Actor, asked: Asked, status: int = 200, errors: dict[str, Trouble] | None = None, shown: Shown | None = None
) -> Response:
    locale, known = locale_of(request), await _organisation(request, actor)
    options = {
        "kinds": [(kind.value, begun(info.zh if locale == CHINESE else info.en)) for kind, info in KINDS.items()],
        "shapes": [(str(value), translate(locale, words)) for value, words in SHAPES.items()],
        "pictures": [(value, translate(locale, words)) for value, words in PICTURES.items()],
        "versions": [(str(value), translate(locale, words)) for value, words in VERSIONS.items()],
    }
    sizes = [(translate(locale, SHAPES[shape]), *(f"{number:g}" for pair in SIZES[shape] for number in pair)) for shape in Shape]
    if asked.picture != IMPRESSION:
        asked = replace(asked, held="")
    response = render(
        request, "seal_application.html", status=status, asked=asked, errors=Beside(errors or {}), options=options, shown=shown,
        sizes=sizes,
        organisation=known.name if known else actor.organisation,
    )  # fmt: skip
    if shown is not None:
        response.headers["Content-Security-Policy"] = policy(pictures_within=True)
    return response


routes: list[BaseRoute] = [
    Route("/seals/apply", show_application, methods=["GET"]),
    Route("/seals/apply", submit_application, methods=["POST"]),
]
