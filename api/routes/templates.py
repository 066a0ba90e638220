"""Templates over HTTP: the shipped ones to read, and a draft seen with sample words while it is written (``/api/v1/templates``).

Scope ``catalogue:manage``, in a token that speaks for a person. Nothing of a draft is kept.
"""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api.bearer import require_scope
from certs.forms import TEMPLATES, forms
from certs.previewing import MOST_TEXT, Draft, preview_draft
from keys.base.actor import Actor
from keys.base.errors import NotFound, Throttled

MANAGE = "catalogue:manage"
AT_ONCE = 2
router = APIRouter(prefix="/api/v1/templates", tags=["catalogue"])
_NO_STORE = {"Cache-Control": "no-store"}
_Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
_free = asyncio.Semaphore(AT_ONCE)


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
    """The installed templates: the type's code, the document, and which copies there are."""
    items = [{"type": one.type_code, "document": one.document, "copies": list(one.copies), "photo": one.photo} for one in forms().values()]
    return {"items": items}


@router.get("/{type_code}")
async def read_template(type_code: str, actor: Designer) -> dict[str, str]:
    """A template's own text, to begin a draft from."""
    form = forms().get(type_code)
    if form is None:
        raise NotFound("template")
    document = TEMPLATES / form.document
    return {"form": document.with_suffix(".toml").read_text(encoding="utf-8"), "source": document.read_text(encoding="utf-8")}


@router.post("/preview")
async def preview_template(body: DraftBody, actor: Designer) -> JSONResponse:
    """The draft's pages as PNG and PDF (base64), or ``faults`` with their file and line in Chinese and English."""
    if _free.locked():
        raise Throttled
    async with _free:
        seen = await asyncio.to_thread(preview_draft, Draft(body.form, body.source, body.words))
    return JSONResponse(asdict(seen), headers=_NO_STORE)
