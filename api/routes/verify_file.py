"""``POST /api/v1/verify``: a file as the body, or as multipart field ``file``, judged in the sandbox. Open to anyone.

The body goes to an unlinked temporary file as it arrives, never into memory, and is refused past 200 MB.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import IO

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.bearer import require_scope
from api.masking import masked_metadata
from api.paper_check import PaperFinding, check_paper
from api.requester_pace import metered
from api.verdict_report import ReportJob, report_pdf
from api.wiring import House
from certs.access_rates import Use
from certs.federation_verifying import ToldElsewhere, told_elsewhere
from certs.known_files import known_file, type_stated
from certs.privacy import hide_numbers
from keys.base.errors import InvalidInput
from keys.pki.crl import current_crls
from keys.pki.reads import get_authorities
from keys.trust.reads import external_answers, external_crls, trusted_authorities
from seal.foreign_http import HttpStatus
from seal.foreign_rules_list import rules_in_force
from seal.reads import is_made_seal, pictures_of
from seal.sandbox import MAX_FILE, FileTooLarge, Gate
from seal.trust import Trust
from seal.verdict import Kind, Verdict
from seal.verdict_memory import VerdictMemory, digest_of
from seal.verification_registry import ask_registries

GATE = Gate()
REMEMBERED = VerdictMemory()
_FORM_ROOM = 64 * 1024  # what multipart adds around the file
_MAX_NAME = 200
PDF = "application/pdf"


class UploadMissing(InvalidInput):
    code = "UPLOAD_MISSING"
    public = ("没有收到文件。", "No file was received.")


class UploadBroken(InvalidInput):
    code = "UPLOAD_BROKEN"
    public = ("上传的表单不完整。", "The uploaded form is incomplete or malformed.")


@dataclass(frozen=True, slots=True)
class Judged:
    """An uploaded file, judged. ``sha256``: lower-case hexadecimal. ``paper``: what its codes and its text say against the record."""

    name: str
    sha256: str
    verdict: Verdict
    paper: PaperFinding | None = None


async def verify_file(request: Request) -> Response:
    """The JSON of CONTRACT.md for one file, or a report where a PDF is accepted; the people in its certificate are masked.

    ``record`` is what is known here of a file with these very octets, or null; ``told`` what another instance told of a certificate that
    was not issued here. Open to anyone; a token of scope ``verify`` is counted
    against its client's rate, and the answer says what is left of the day.
    """
    limits = await _metered(request)
    if request.headers.get("accept", "").startswith(PDF):
        return await report(request)
    house: House = request.app.state.house
    judged = await _judge(request)
    known = await known_file(house.database, house.clock.now(), bytes.fromhex(judged.sha256))
    told, kind = await told_of(house, judged), await type_stated(house.database, judged.verdict.certificate)
    more: dict[str, object] = {
        "certificate": masked_metadata(judged.verdict.certificate, kind),
        "record": known.to_json() if known else None,
        "told": told.to_json() if told else None,
    }
    if judged.paper is not None:
        more["paper"] = judged.paper.to_json()
    return JSONResponse(judged.verdict.to_json(judged.name) | more, headers=limits)


async def told_of(house: House, judged: Judged) -> ToldElsewhere | None:
    """What another instance told of the certificate in the file; its verdict stays what it is."""
    verdict = judged.verdict
    return await told_elsewhere(house.database, house.clock.now(), verdict.indication, verdict.certificate, bytes.fromhex(judged.sha256))


async def _metered(request: Request) -> dict[str, str]:
    """Headers of draft-ietf-httpapi-ratelimit-headers for a client with a token; whoever sends none is not counted.

    Raises ``InvalidToken``, ``InsufficientScope``, ``Throttled``, ``QuotaExhausted``.
    """
    if "authorization" not in request.headers:
        return {}
    standing = await metered(request, await require_scope(request, "verify"), Use.VERIFY)
    seconds = max(0, int((standing.resets - request.app.state.house.clock.now()).total_seconds()))
    return {"RateLimit-Policy": f'"day";q={standing.limit};w=86400', "RateLimit": f'"day";r={standing.left};t={seconds}'}


async def judge_upload(request: Request) -> Judged:
    """The name and the verdict of the uploaded file; the verdict's certificate is not masked yet.

    Raises FileTooLarge, UploadMissing, UploadBroken, VerificationBusy, Throttled.
    """
    return await _judge(request)


async def report(request: Request) -> Response:
    """The verdict on the uploaded file as a PDF, with the pictures of seals of our own. Raises as :func:`judge_upload`."""
    house: House = request.app.state.house
    judged = await _judge(request)
    pictures = await _pictures(house, judged.verdict)
    kind = await type_stated(house.database, judged.verdict.certificate)
    job = ReportJob(judged.name, judged.sha256, house.clock.now(), judged.verdict, pictures, kind)
    content = await house.workers.run(report_pdf, job)
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="verification-report.pdf"'}
    return Response(content, media_type=PDF, headers=headers)


async def _pictures(house: House, verdict: Verdict) -> dict[str, str]:
    """SVG of the seals in the verdict that were made here."""
    found = {}
    async with house.database.session() as session:
        for code, sha256 in {(one.seal.code, one.seal.sha256) for one in verdict.signatures if one.seal}:
            if await is_made_seal(session, code, sha256):
                found[code] = (await pictures_of(session, code)).svg.decode()
    return found


def _sha256(file: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while part := os.pread(file, 1 << 20, offset):
        digest.update(part)
        offset += len(part)
    return digest.hexdigest()


async def _judge(request: Request) -> Judged:
    house: House = request.app.state.house
    async with _upload(request) as (name, file):
        descriptor = file.fileno()
        file.flush()  # after fileno: that is what moves a small form file out of memory
        digest = digest_of(descriptor)
        verdict = await _judged(descriptor, digest, await _trust(house), house.clock.now())
        sha256 = digest.hex() if digest else await asyncio.to_thread(_sha256, descriptor)
        paper = await check_paper(request, descriptor, verdict, house.clock.now())
    if paper is not None and paper.offline is not None and verdict.kind is Kind.QR:
        verdict = replace(paper.offline, codes=verdict.codes)
    port = HttpStatus(reachable=house.settings.reachable)
    return Judged(name, sha256, await ask_registries(house.database, house.clock, port, verdict), paper)


async def _judged(file: int, digest: bytes | None, trust: Trust, now: dt.datetime) -> Verdict:
    """A file that was judged in this minute, by the same trust, is not judged again. Raises VerificationBusy."""
    known = REMEMBERED.recall(digest, trust, now) if digest else None
    if known is not None:
        return known
    verdict = await GATE.verify_file(file, trust, now)
    if digest:
        REMEMBERED.keep(digest, trust, now, verdict)
    return verdict


async def _trust(house: House) -> Trust:
    """The roots, the authorities of the trust list, our own authorities' current lists, the lists and answers kept of others.

    A revocation counts here at once, whatever list the file carries.
    """
    file = house.settings.trust_file
    roots = Trust.from_pem(file.read_bytes()) if file.is_file() else Trust()
    async with house.database.begin() as session:
        names = await get_authorities(session)
        lists = await current_crls(session, house.keystore, house.clock.now(), names)
        authorities, others = await trusted_authorities(session), await external_crls(session)
        answers, rules = await external_answers(session), await rules_in_force(session)
    return Trust(roots.certificates, (*lists.values(), *others, *roots.crls), authorities, answers, rules)


@contextlib.asynccontextmanager
async def _upload(request: Request) -> AsyncIterator[tuple[str, IO[bytes]]]:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MAX_FILE + _FORM_ROOM:
        raise FileTooLarge
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with _form_file(request) as found:
            yield found
    else:
        with tempfile.TemporaryFile() as file:
            async for chunk in _limited(request, MAX_FILE):
                file.write(chunk)
            if file.tell() == 0:
                raise UploadMissing
            yield "", file


@contextlib.asynccontextmanager
async def _form_file(request: Request) -> AsyncIterator[tuple[str, IO[bytes]]]:
    parser = MultiPartParser(request.headers, _limited(request, MAX_FILE + _FORM_ROOM), max_files=1, max_fields=8)
    try:
        form = await parser.parse()
    except (MultiPartException, LookupError, ValueError) as error:
        raise UploadBroken(type(error).__name__) from error
    upload = form.get("file")
    try:
        if not isinstance(upload, UploadFile):
            raise UploadMissing
        # The sender names the encoding: what it makes of the name may be no text at all.
        name = (upload.filename or "").encode("utf-8", "replace").decode()
        yield hide_numbers(name[:_MAX_NAME]), upload.file
    finally:
        await form.close()


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit:
                raise FileTooLarge
            yield chunk
    except ClientDisconnect as error:
        raise UploadBroken("disconnected") from error


routes: list[BaseRoute] = [Route("/api/v1/verify", verify_file, methods=["POST"])]
