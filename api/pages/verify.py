"""Verifying for people: by the code on the paper (the record), by the file (every signature and the seal).

The two are never mixed up: the page of a record does not speak of signatures, and a file that passes is shown with what the
record says today.
"""

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.limits import throttle
from api.number_check import look_up
from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import locale_of, mark, moment, translate
from api.pages.paper_views import paper_view
from api.pages.previews import DPI, public_job, redrawn
from api.pages.rendering import policy, protect, render
from api.pages.views import file_view, record_view
from api.routes.verify_file import judge_upload, report, told_of
from api.wiring import House
from certs.known_files import known_file, stated
from certs.legibility import GlyphMissing
from certs.library import Library, file_of, read
from certs.number_lookup import MOST_TYPED
from certs.pictures import picture
from certs.present import record_by_identifier
from certs.records import Certificate
from certs.rendering import RenderJob
from certs.sealing import with_supplied
from certs.verification import CODE_LENGTH, RecordReport, record_by_code
from keys.base.errors import FujieError, NotFound
from keys.base.ids import normalise_code
from seal.reads import SealNotFound, SealPictures, pictures_of
from seal.verdict import Verdict

FILE_HINT = mark("PDF, OFD, a seal file or a photograph of the paper, at most 200 MB")
CODE_HINT = mark("A code has sixteen letters and digits. Please compare it with the paper.")
PURPOSE = "本人或颁发机构在页面查看"
MINUTE = 60
MOST_PICTURES = 60


@dataclass(frozen=True, slots=True)
class Errors:
    """What is wrong, beside each field."""

    code: Trouble | None = None
    file: Trouble | None = None
    number: Trouble | None = None


@page
async def show_verify(request: Request) -> Response:
    """The two ways to verify; a code that was typed here goes on to its record."""
    typed = request.query_params.get("code", "")[:64]
    if not typed:
        return _form(request)
    code = normalise_code(typed.strip())
    if len(code) == CODE_LENGTH and code.isalnum() and code.isascii():
        return redirect(f"/v/{code}")
    trouble = Trouble("CODE_MALFORMED", translate(locale_of(request), CODE_HINT))
    return _form(request, status=422, code=shown_again(typed), errors=Errors(code=trouble))


def _form(request: Request, *, status: int = 200, code: str = "", errors: Errors | None = None) -> Response:
    hint = translate(locale_of(request), FILE_HINT)
    return render(request, "verify.html", status=status, code=code, errors=errors or Errors(), file_hint=hint)


@page
async def submit_number(request: Request) -> Response:
    """By number and holder's detail. The record is shown without its code: whoever knows the detail alone shall not hand it on."""
    form = await posted(request)
    locale = locale_of(request)
    try:
        report = await look_up(request, typed(form, "number", MOST_TYPED), typed(form, "detail", MOST_TYPED))
    except FujieError as error:
        return _form(request, status=error.status, errors=Errors(number=trouble_of(request, error)))
    view = replace(record_view(report, locale), code="")
    return render(request, "record.html", view=view, file_hint=translate(locale, FILE_HINT))


@page
async def submit_file(request: Request) -> Response:
    """The full check. ``?code=`` names the record whose page the file was given to, ``?as=pdf`` asks for the report as a PDF."""
    try:
        if request.query_params.get("as") == "pdf":
            return protect(await report(request))
        judged = await judge_upload(request)
    except FujieError as error:
        return _form(request, status=error.status, errors=Errors(file=trouble_of(request, error)))
    house, locale, verdict = house_of(request), locale_of(request), judged.verdict
    now = house.clock.now()
    known = await known_file(house.database, now, bytes.fromhex(judged.sha256))
    record = known.report if known and known.report and known.report.copy else await _record_in(request, verdict)
    asked = normalise_code(request.query_params.get("code", "")[:64])
    view = file_view(judged.name, verdict, moment(now, locale), locale, record, asked=asked, told=await told_of(house, judged))
    response = render(request, "report.html", view=view, paper=paper_view(judged.paper, locale))
    if verdict.comparison is not None:
        response.headers["Content-Security-Policy"] = policy(pictures_within=True)
    return response


async def _record_in(request: Request, verdict: Verdict) -> RecordReport | None:
    """Today's record of the certificate that the file says it is."""
    identifier, house = stated(verdict.certificate, "ZZBS"), house_of(request)
    return await record_by_identifier(house.database, house.clock.now(), identifier) if identifier else None


@page
async def show_record(request: Request) -> Response:
    """What the QR code holds: is there such a certificate, and does it stand?"""
    report = await _report(request)
    address, whole = await _picture_of(request, report)
    status = 200 if report.certificate is not None else 404
    view = record_view(report, locale_of(request), address, whole)
    return render(request, "record.html", status=status, view=view, file_hint=translate(locale_of(request), FILE_HINT))


async def _report(request: Request) -> RecordReport:
    house = house_of(request)
    return await record_by_code(house.database, house.clock.now(), request.path_params["code"])


async def _picture_of(request: Request, report: RecordReport) -> tuple[str, bool]:
    """The address of the picture, if there is one, and whether this reader is shown the document itself."""
    certificate = report.certificate
    if certificate is None or certificate.document_hash is None or report.copy is not None:
        return "", False
    whole = await _may_see_whole(request, certificate)
    return (f"/v/{report.code}/picture.png", whole) if whole or not report.own_document else ("", False)


async def _may_see_whole(request: Request, certificate: Certificate) -> bool:
    """Its holders and its issuer's staff: whoever the library would let fetch the file."""
    present, house = request.state.present, house_of(request)
    if present is None:
        return False
    library = Library(house.database, house.clock, house.blobs, house.personal)
    try:
        await read(library, present.actor, certificate.id)
    except NotFound:
        return False
    return True


@page
async def send_picture(request: Request) -> Response:
    """The document itself for those who may fetch it (logged as a fetch); for others the masked record, typeset anew."""
    await throttle(request, "picture", limit=MOST_PICTURES, seconds=MINUTE)
    report, house = await _report(request), house_of(request)
    certificate, job = report.certificate, public_job(report, house.base_url)
    if certificate is None or certificate.document_hash is None or report.copy is not None:
        raise NotFound("picture")
    if await _may_see_whole(request, certificate):
        library = Library(house.database, house.clock, house.blobs, house.personal)
        pdf = await file_of(library, request.state.present.actor, certificate.id, PURPOSE)
        return _png(await house.workers.run(picture, pdf, 0, DPI))
    if job is None:
        raise NotFound("picture")
    try:
        async with house.database.session() as session:
            seal = await pictures_of(session, certificate.seal_code or "")
    except SealNotFound as error:
        raise NotFound("picture") from error
    return _png(await _redrawn(house, certificate, job, seal))


async def _redrawn(house: House, certificate: Certificate, job: RenderJob, seal: SealPictures) -> bytes:
    """As the certificate was printed, with the characters that were supplied for it."""
    try:
        return await house.workers.run(redrawn, job, seal, house.issuing.fonts)
    except GlyphMissing as missing:
        supplied = await with_supplied(house.database, certificate.id, job, missing)
    return await house.workers.run(redrawn, supplied, seal, house.issuing.fonts)


def _png(content: bytes) -> Response:
    return protect(Response(content, media_type="image/png"))


routes: list[BaseRoute] = [
    Route("/verify", show_verify, methods=["GET"]),
    Route("/verify", submit_file, methods=["POST"]),
    Route("/verify/number", submit_number, methods=["POST"]),
    Route("/v/{code}", show_record, methods=["GET"]),
    Route("/v/{code}/picture.png", send_picture, methods=["GET"]),
]
