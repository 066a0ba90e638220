"""One certificate as its holder and its issuer's staff see it: the whole record in words, its history, who looked at it and why."""

from starlette.requests import Request
from starlette.responses import Response

from api.pages.approve import picture_response
from api.pages.cards import PAGE_DPI, card_picture
from api.pages.guard import house_of, identifier_of
from api.pages.i18n import CHINESE, day, locale_of, mark, moment, translate
from api.pages.rendering import protect
from api.pages.spoken import validity_of
from api.pages.words import ACTOR_KINDS, RECORDS, STATUS_TAGS
from api.session import Present
from certs.archiving import newest
from certs.library import Access, DocumentNotHeld, Library, access_history, file_of, ordered_fields, read, read_history
from certs.records import Certificate, HistoryEntry, Stage
from identity.organisations import get_organisation
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import NotFound

OPERATIONS = {
    "01": mark("Issued"),
    "02": mark("Renewed"),
    "03": mark("Suspended"),
    "04": mark("Ended"),
    "05": mark("Cancelled"),
    "06": mark("Resumed"),
    "07": mark("Changed by the issuer"),
    "08": mark("Transferred in"),
    "09": mark("Changed"),
    "10": mark("Transfer undone"),
}
ENDED_AS = {"03": mark("Revoked"), "06": mark("Transferred out"), "07": mark("Withdrawn as a penalty")}
"""What operation 07, other, was, by the status it led to."""
KINDS = {
    "file": mark("Fetched the file"),
    "search": mark("Searched by your number"),
    "view": mark("Read the record"),
    "copy": mark("Had or fetched an annotated copy"),
    "export": mark("Took it out in an export"),
    "answer": mark("Asked whether a valid one is held"),
    "available": mark("Asked which papers need not be brought"),
    "record": mark("Took over what stands in the record"),
    "show": mark("Checked the code you showed"),
}
OTHER_KIND = mark("Used the certificate")
UNTIL = mark("Valid until %(day)s")
NO_END = mark("Valid without an end")


def library_of(request: Request) -> Library:
    """What reading the library needs."""
    house = house_of(request)
    return Library(house.database, house.clock, house.blobs, house.personal)


async def one_certificate(request: Request, present: Present) -> tuple[dict[str, object], Certificate]:
    """The view of one certificate, and the certificate. Raises ``NotFound`` for whoever may not read it."""
    library, locale, wanted = library_of(request), locale_of(request), identifier_of(request)
    certificate, kind = await read(library, present.actor, wanted)
    if certificate.stage is not Stage.ISSUED:
        raise NotFound("certificate")
    history = await read_history(library, present.actor, wanted)
    accesses = await access_history(library, present.actor, wanted)
    today = civil_date(house_of(request).clock.now())
    answer = RECORDS[certificate.standing(today)].within(locale)
    english = kind.name_en if kind and locale != CHINESE else ""
    async with library.database.session() as session:
        names = await organisation_names(session, accesses)
    return card_of(certificate, locale, english, certificate.standing(today)) | {
        "answer": answer,
        "holders": [f"{one.name}（{one.code_masked}）" if one.code_masked else one.name for one in certificate.holders],
        "identifier": certificate.identifier,
        "code": certificate.verification_code or "",
        "seal": certificate.seal_name or "",
        "issued_on": day(certificate.issued_on, locale) if certificate.issued_on else "",
        "validity": validity_of(certificate.valid_from, certificate.valid_to, locale),
        "fields": ordered_fields(certificate, kind),
        "history": [_step(one, locale) for one in reversed(history)],
        "accesses": [access_words(one, names, locale) for one in accesses],
        "held": certificate.document_hash is not None,
    }, certificate


def card_of(certificate: Certificate, locale: str, english: str, standing: str) -> dict[str, object]:
    """What stands on a card: ``until`` says in words how long it holds."""
    tone, label = STATUS_TAGS[standing]
    return {
        "id": str(certificate.id),
        "title": english or certificate.type_name,
        "printed_title": certificate.type_name if english else "",
        "number": certificate.number,
        "issuer": certificate.issuer_name,
        "holder": "、".join(one.name for one in certificate.holders if one.name),
        "tone": tone,
        "standing": standing,
        "status": translate(locale, label),
        "until": until_of(certificate, locale),
        "has_picture": certificate.document_hash is not None,
    }


def until_of(certificate: Certificate, locale: str) -> str:
    """How long it holds, in words."""
    last = certificate.valid_to
    return translate(locale, UNTIL) % {"day": day(last, locale)} if last else translate(locale, NO_END)


async def organisation_names(session: AsyncSession, accesses: tuple[Access, ...]) -> dict[str, str]:
    """Names of the organisations that looked, by USCC."""
    found = {one.organisation: await get_organisation(session, one.organisation) for one in accesses if one.organisation}
    return {uscc: organisation.name for uscc, organisation in found.items() if organisation}


def access_words(access: Access, names: dict[str, str], locale: str) -> dict[str, str]:
    """Who looked, when and why. People are named by the organisation they acted for."""
    who = names.get(access.organisation or "", access.organisation or "") or translate(locale, ACTOR_KINDS.get(access.actor_kind, "Person"))
    return {
        "what": translate(locale, KINDS.get(access.kind, OTHER_KIND)), "who": who, "purpose": access.purpose,
        "at": moment(access.at, locale),
    }  # fmt: skip


def _operation(entry: HistoryEntry) -> str:
    other = ENDED_AS.get(entry.to_status, OPERATIONS["07"]) if entry.from_status is not None else OPERATIONS["07"]
    return OPERATIONS[entry.operation] if entry.operation in OPERATIONS and entry.operation != "07" else other


def _step(entry: HistoryEntry, locale: str) -> dict[str, str]:
    return {
        "what": translate(locale, _operation(entry)), "at": moment(entry.at, locale),
        "reason": entry.reason if entry.reason != "import" else "", "basis": entry.legal_basis or "",
    }  # fmt: skip


async def send_picture_of(request: Request, present: Present, dpi: int = PAGE_DPI) -> Response:
    """The first page of the newest version, from the cache or drawn now. Raises ``NotFound``, ``DocumentNotHeld`` …"""
    library = library_of(request)
    certificate, _ = await read(library, present.actor, identifier_of(request))
    if certificate.document_hash is None or certificate.stage is not Stage.ISSUED:
        raise DocumentNotHeld
    async with library.database.session() as session:
        digest = await newest(session, certificate.document_hash)
    return picture_response(await card_picture(house_of(request), digest, dpi))


async def send_file_of(request: Request, present: Present, purpose: str) -> Response:
    """The sealed PDF; the access is logged with its purpose."""
    identifier = identifier_of(request)
    pdf = await file_of(library_of(request), present.actor, identifier, purpose)
    headers = {"Content-Disposition": f'attachment; filename="{identifier}.pdf"'}
    return protect(Response(pdf, media_type="application/pdf", headers=headers))
