"""Having a document sealed, for the staff of an organisation and the clerks of a window: upload it, say which seal and where.

Who approves sees it next (``api.pages.documents``). The file is rebuilt as it arrives; what is wrong with it is said beside its field.
"""

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.addresses import place_at
from api.pages.forms import Beside, Trouble, sent
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import locale_of, mark, translate
from api.pages.rendering import render
from api.pages.sealing_form import Asked, choices_of, empty_form, errors_of, options, placement_of, read_form
from api.sealing import sealing_of
from api.session import Present, require_login
from certs.privacy import hide_numbers
from keys.base.actor import Actor
from keys.base.errors import Forbidden, FujieError
from seal.access import require_two_factors
from seal.document_requests import request_sealing, upload
from seal.document_values import STAFF, Document, SealingOrder, SealLine

FILE_MISSING = mark("Choose a PDF file.")
NAME_LONGEST = 200


class SealingStaffOnly(Forbidden):
    """The account belongs to nobody who has documents sealed."""

    code = "SEALING_STAFF_ONLY"
    public = (
        "此处仅供机构的用印人员使用：审批人员、印章保管人、窗口人员。",
        "This room is for staff who have documents sealed: approvers, seal keepers, window clerks.",
    )


def require_staff(request: Request) -> Present:
    """Staff of an organisation, with two factors. Raises LoginRequired, SealingStaffOnly, SecondFactorNeeded."""
    present = require_login(request)
    if not present.account.roles & STAFF or present.account.organisation is None:
        raise SealingStaffOnly
    require_two_factors(present.actor)
    return present


@page
async def show_form(request: Request) -> Response:
    return await _form(request, require_staff(request).actor, empty_form())


@page
async def submit_form(request: Request) -> Response:
    """Upload, and ask for the seal; a refusal shows the form again, beside its field."""
    present, house = require_staff(request), house_of(request)
    form = await sent(request, 1)
    asked, sealing = read_form(form), sealing_of(house)
    files = files_of(form)
    if not files:
        return await _form(request, present.actor, asked, 422, {"file": missing_file(request)})
    try:
        document = await uploaded(request, present.actor, files[0])
        line = SealLine(asked.seal, asked.matter, (placement_of(asked),))
        order = SealingOrder(document.id, asked.title or document.name, None, (line,), level=asked.level)
        place = await place_at(request, present.actor)
        made = await request_sealing(sealing, present.actor, order, asked.key, place=place)
    except FujieError as error:
        if error.status >= 500:
            raise
        return await _form(request, present.actor, asked, error.status, errors_of(request, error))
    return redirect(f"/documents/{made.id}?done=asked")


def files_of(form: FormData) -> list[UploadFile]:
    """Files that were chosen; browsers send an empty one where none was."""
    return [one for one in form.getlist("file") if isinstance(one, UploadFile) and one.filename]


def missing_file(request: Request) -> Trouble:
    return Trouble("FILE_MISSING", translate(locale_of(request), FILE_MISSING))


async def uploaded(request: Request, actor: Actor, file: UploadFile) -> Document:
    """Raises what :func:`seal.document_requests.upload` raises."""
    sealing = sealing_of(house_of(request))
    octets = await file.read(sealing.rebuilder.limits.octets + 1)
    return await upload(sealing, actor, octets, hide_numbers((file.filename or "")[:NAME_LONGEST]))


async def _form(request: Request, actor: Actor, asked: Asked, status: int = 200, errors: dict[str, Trouble] | None = None) -> Response:
    return render(
        request, "document_request.html", status=status, asked=asked, errors=Beside(errors or {}), choices=await choices_of(request, actor),
        options=options(locale_of(request)), most=house_of(request).settings.document_megabytes,
    )  # fmt: skip


routes: list[BaseRoute] = [
    Route("/documents/new", show_form, methods=["GET"]),
    Route("/documents/new", submit_form, methods=["POST"]),
]
