"""Registering an approval document (批文) of one's own: the PDF, what it says, which seal and where (``certs.own_documents``).

For approvers and window clerks with two factors. Where nobody may seal unattended it waits for an approver on the page of what waits.
"""

from dataclasses import dataclass, field

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.addresses import address_of
from api.pages.forms import Trouble, sent, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import locale_of, mark, translate
from api.pages.rendering import render
from api.pages.requesting import files_of, missing_file
from api.pages.sealing_form import choices_of
from api.pages.words import CODE_TYPES
from api.sealing import sealing_of
from api.session import Present, require_login
from certs.approvals import HolderInput, OutcomeStatus
from certs.own_documents import TYPE, OwnDocument, register
from certs.own_paper_values import CodeWish, SealWish
from keys.base.actor import Actor, Role
from keys.base.errors import Forbidden, FujieError
from keys.base.ids import new_code
from seal.access import require_two_factors

_MAY = frozenset({Role.APPROVER, Role.WINDOW_CLERK})
WHERE = {"auto": mark("A blank corner of the first page, else a page of its own"), "page": mark("A page of its own behind the document")}
DEFAULT_KEYWORD = "（盖章）"


class RegisteringStaffOnly(Forbidden):
    """The account may not bring approvals of an organisation."""

    code = "DOCUMENT_STAFF_ONLY"
    public = ("登记批文由机构的审批人员或窗口人员办理。", "Registering documents is for an organisation's approvers and window clerks.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed. The holder's number is never shown again."""

    title: str = ""
    number: str = ""
    matter: str = ""
    seal: str = ""
    holder_name: str = ""
    code_type: str = "001"
    keyword: str = DEFAULT_KEYWORD
    where: str = "auto"
    key: str = field(default_factory=new_code)


def require_registrar(request: Request) -> Present:
    """Raises LoginRequired, RegisteringStaffOnly, SecondFactorNeeded."""
    present = require_login(request)
    if not present.account.roles & _MAY or present.account.organisation is None:
        raise RegisteringStaffOnly
    require_two_factors(present.actor)
    return present


@page
async def show_form(request: Request) -> Response:
    return await _form(request, require_registrar(request).actor, Asked())


@page
async def submit_form(request: Request) -> Response:
    """Register what was sent; a refusal shows the form again."""
    present, house = require_registrar(request), house_of(request)
    form = await sent(request, 1)
    asked, files, rebuilder = _asked(form), files_of(form), sealing_of(house).rebuilder
    if not files:
        return await _form(request, present.actor, asked, 422, missing_file(request))
    try:
        octets = await _octets(files[0], rebuilder.limits.octets)
        done = await register(house.issuing, rebuilder, present.actor, _order(form, asked), octets, asked.key, address=address_of(request))
    except FujieError as error:
        if error.status >= 500:
            raise
        return await _form(request, present.actor, asked, error.status, trouble_of(request, error))
    waits = done.outcome.status is not OutcomeStatus.ISSUED
    return redirect(f"/approve/{done.outcome.id}" if waits else f"/library/{done.outcome.id}")


async def _octets(file: UploadFile, most: int) -> bytes:
    """One octet more than may be: the rebuilder refuses it by name."""
    return await file.read(most + 1)


def _asked(form: FormData) -> Asked:
    key = typed(form, "key", 40)
    return Asked(
        shown_again(typed(form, "title", 200)), shown_again(typed(form, "number", 64)), typed(form, "matter", 64), typed(form, "seal", 64),
        shown_again(typed(form, "holder_name", 200)), typed(form, "code_type", 3), shown_again(typed(form, "keyword", 200)),
        typed(form, "where", 8), key if key.isalnum() and key.isascii() else new_code(),
    )  # fmt: skip


def _order(form: FormData, asked: Asked) -> OwnDocument:
    holder = HolderInput(typed(form, "holder_name", 200), typed(form, "holder_code", 64), asked.code_type)
    return OwnDocument(
        title=typed(form, "title", 200), number=typed(form, "number", 64), matter_code=asked.matter, seal=asked.seal, holders=(holder,),
        type_code=TYPE, seal_place=SealWish(keyword=typed(form, "keyword", 200)),
        code_place=CodeWish("page" if asked.where == "page" else "auto"),
    )  # fmt: skip


async def _form(request: Request, actor: Actor, asked: Asked, status: int = 200, trouble: Trouble | None = None) -> Response:
    locale = locale_of(request)
    choices = await choices_of(request, actor)
    return render(
        request, "document_register.html", status=status, asked=asked, trouble=trouble,
        matters=choices.matters, seals=choices.seals,
        code_types=[(code, translate(locale, label)) for code, label in CODE_TYPES.items()],
        places=[(code, translate(locale, label)) for code, label in WHERE.items()], most=house_of(request).settings.document_megabytes,
    )  # fmt: skip


routes: list[BaseRoute] = [
    Route("/library/document", show_form, methods=["GET"]),
    Route("/library/document", submit_form, methods=["POST"]),
]
