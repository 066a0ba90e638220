"""Templates over HTTP: the shipped ones to read, and a draft seen with sample words while it is written (``/api/v1/templates``).

Scope ``catalogue:manage``, in a token that speaks for a person. Nothing of a draft is kept.
"""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api.bearer import require_scope
from api.drafting import previewed
from certs.forms import forms, templates
from certs.previewing import MOST_TEXT, Draft, shipped_draft
from keys.base.actor import Actor
from keys.base.errors import NotFound

MANAGE = "catalogue:manage"
router = APIRouter(prefix="/api/v1/templates", tags=["catalogue"])
_NO_STORE = {"Cache-Control": "no-store"}
_Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]


async def designer(request: Request) -> Actor:
    """Whoever sent a token of scope ``catalogue:manage``."""
    return await require_scope(request, MANAGE)


Designer = Annotated[Actor, Depends(designer)]


class DraftBody(BaseModel):
    """``form``: TOML; ``source``: typst; ``words``: sample values by label, and ``title_zh``, ``title_en``."""

    model_config = ConfigDict(extra="forbid")
    form: _Text
    source: _Text
    words: dict[str, str] = {}


@router.get("")
async def list_templates(actor: Designer) -> dict[str, Any]:
    """The installed templates: what a type names them by, whose own form they are, the document, and which copies there are."""
    items = [
        {
            "name": name, "type": one.type_code or None, "name_zh": one.name_zh, "name_en": one.name_en, "document": one.document,
            "copies": list(one.copies), "photo": one.photo,
        }
        for name, one in templates().items()
    ]  # fmt: skip
    return {"items": items}


@router.get("/{name}")
async def read_template(name: str, actor: Designer) -> dict[str, str]:
    """A template's own text, to begin a draft from; by its name, or the code of the type whose form it is."""
    form = templates().get(name) or forms().get(name)
    if form is None:
        raise NotFound("template")
    draft = shipped_draft(form)
    return {"form": draft.form, "source": draft.source}


@router.post("/preview")
async def preview_template(body: DraftBody, actor: Designer) -> JSONResponse:
    """The draft's pages as PNG and PDF (base64), or ``faults`` with their file and line in Chinese and English."""
    return JSONResponse(asdict(await previewed(Draft(body.form, body.source, body.words))), headers=_NO_STORE)
