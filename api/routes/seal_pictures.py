"""``POST /api/v1/seals/preview``: what a seal will look like, before anything is ordered. Nothing is stored.

The answer is an SVG, or a PNG at 300 dpi where ``Accept`` prefers one. Drawing and cleaning run in the worker processes.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from api.routes.seals import ImpressionBody, Line, Reader, look_of
from api.wiring import House
from keys.base.errors import InvalidInput
from seal.kinds import KINDS, SealKind
from seal.looks import AS_THE_KIND
from seal.picturing import Subject, preview

router = APIRouter(prefix="/api/v1/seals", tags=["seals"])
SVG, PNG = "image/svg+xml", "image/png"
_HEADERS = {"Cache-Control": "no-store", "Vary": "Accept", "Content-Security-Policy": "default-src 'none'"}
_CONTENT: dict[int | str, dict[str, Any]] = {200: {"content": {SVG: {}, PNG: {}}, "description": "The picture."}}


class PreviewBody(BaseModel):
    """``kind`` and whose seal; ``look`` and ``impression`` as in an order. ``organisation`` (USCC) is the number an invoice seal shows."""

    model_config = ConfigDict(extra="forbid")

    kind: Line
    organisation_name: Line
    organisation: Line = ""
    lower_text: Line | None = None
    look: dict[str, Any] | None = None
    impression: ImpressionBody | None = None

    def subject(self) -> Subject:
        if self.kind not in set(SealKind):
            raise InvalidInput("no such kind", errors=[{"field": "kind", "message": "unknown"}])
        lower = KINDS[SealKind(self.kind)].lower_text if self.lower_text is None else self.lower_text
        return Subject(self.kind, self.organisation, self.organisation_name, lower)


@router.post("/preview", response_class=Response, responses=_CONTENT)
async def post_preview(request: Request, actor: Reader, body: PreviewBody) -> Response:
    """Draw a seal, or redraw an uploaded impression, and store nothing. Zeros stand for its code."""
    house: House = request.app.state.house
    look = AS_THE_KIND if body.look is None else look_of(body.look)
    upload = body.impression.upload() if body.impression else None
    picture = await house.workers.run(preview, body.subject(), look, upload)
    wants_png = PNG in request.headers.get("accept", "") and SVG not in request.headers.get("accept", "")
    return Response(picture.png if wants_png else picture.svg, media_type=PNG if wants_png else SVG, headers=_HEADERS)
