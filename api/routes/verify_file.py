"""``POST /api/v1/verify``: a file as the body, or as multipart field ``file``, judged in the sandbox. Open to anyone.

The body goes to an unlinked temporary file as it arrives, never into memory, and is refused past 200 MB.
"""

import contextlib
import datetime as dt
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from typing import IO

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.masking import masked_metadata
from api.wiring import House
from certs.privacy import hide_numbers
from keys.base.errors import InvalidInput
from keys.pki.crl import current_crls
from keys.pki.reads import get_authorities
from keys.trust.reads import external_answers, external_crls, trusted_authorities
from seal.foreign_http import HttpStatus
from seal.foreign_rules_list import rules_in_force
from seal.sandbox import MAX_FILE, FileTooLarge, Gate
from seal.trust import Trust
from seal.verdict import Verdict
from seal.verdict_memory import VerdictMemory, digest_of
from seal.verification_registry import ask_registries

GATE = Gate()
REMEMBERED = VerdictMemory()
_FORM_ROOM = 64 * 1024  # what multipart adds around the file
_MAX_NAME = 200


class UploadMissing(InvalidInput):
    code = "UPLOAD_MISSING"
    public = ("没有收到文件。", "No file was received.")


class UploadBroken(InvalidInput):
    code = "UPLOAD_BROKEN"
    public = ("上传的表单不完整。", "The uploaded form is incomplete or malformed.")


async def verify_file(request: Request) -> Response:
    """The JSON of CONTRACT.md for one file; the people in its certificate are masked."""
    name, verdict = await judge_upload(request)
    return JSONResponse(verdict.to_json(name) | {"certificate": masked_metadata(verdict.certificate)})


async def judge_upload(request: Request) -> tuple[str, Verdict]:
    """The name and the verdict of the uploaded file; the verdict's certificate is not masked yet.

    Raises FileTooLarge, UploadMissing, UploadBroken, VerificationBusy.
    """
    house: House = request.app.state.house
    async with _upload(request) as (name, file):
        descriptor = file.fileno()
        file.flush()  # after fileno: that is what moves a small form file out of memory
        verdict = await _judged(descriptor, await _trust(house), house.clock.now())
    return name, await ask_registries(house.database, house.clock, HttpStatus(), verdict)


async def _judged(file: int, trust: Trust, now: dt.datetime) -> Verdict:
    """A file that was judged in this minute, by the same trust, is not judged again. Raises VerificationBusy."""
    digest = digest_of(file)
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
