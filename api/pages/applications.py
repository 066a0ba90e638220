"""Applications that lead to several certificates (一件事), for the staff of the organisation that brought them: how each one stands."""

import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.guard import house_of, page
from api.pages.i18n import locale_of, moment, translate
from api.pages.issue import STAGES, require_window
from api.pages.rendering import render
from certs.applications import Item, Standing, list_applications
from certs.records import Stage

PAGE = 20
TONES = {Stage.ISSUED: "good", Stage.VOID: "bad"}


@page
async def show_applications(request: Request) -> Response:
    present, locale = require_window(request), locale_of(request)
    found, more = await list_applications(house_of(request).database, present.actor, before=_before(request), limit=PAGE)
    return render(request, "applications.html", items=[_view(one, locale) for one in found], more=str(more) if more else "")


def _before(request: Request) -> uuid.UUID | None:
    try:
        return uuid.UUID(request.query_params.get("before", ""))
    except ValueError:
        return None


def _view(one: Standing, locale: str) -> dict[str, object]:
    return {
        "id": str(one.id), "title": one.title, "number": one.number, "received": moment(one.created_at, locale),
        "items": [_item(item, locale) for item in one.items],
    }  # fmt: skip


def _item(one: Item, locale: str) -> dict[str, str]:
    return {
        "id": str(one.certificate_id), "name": one.type_name, "number": one.number, "issuer": one.issuer,
        "stage": translate(locale, STAGES[one.stage][0]), "tone": TONES.get(one.stage, "wait"), "code": one.failure or "",
    }  # fmt: skip


routes: list[BaseRoute] = [Route("/applications", show_applications, methods=["GET"])]
