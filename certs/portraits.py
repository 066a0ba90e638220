"""The holder's photograph as it stands on the sealed certificate: taken from there, so that it is kept in no second place.

:mod:`certs.photographs` writes what is printed: a JPEG of its own proportions, which the typesetter puts into the file octet by octet.
Only certificates that were issued here are asked: what else lies in a file of others is nobody's portrait.
"""

import io
from collections.abc import Iterator
from itertools import islice

import pikepdf

from certs.archiving import newest
from certs.authorisations import find_authorisation
from certs.library import Library
from certs.photographs import HEIGHT, WIDTH
from certs.reads import get_certificate
from certs.records import Source
from keys.base.work import Workers

_DEEPEST = 4
_MOST_PAGES = 4


async def photograph_shown(library: Library, workers: Workers, code: str) -> bytes | None:
    """The photograph on the certificate behind a code that is shown, a JPEG; None where there is none.

    It is read before the code is used up: a store that is away costs the holder nothing. Raises ``AuthorisationUnknown``, ``BlobDamaged``.
    """
    async with library.database.session() as session:
        given = await find_authorisation(session, "", show_code=code)
        certificate = await get_certificate(session, given.certificate_id)
        if certificate is None or certificate.document_hash is None or certificate.source is not Source.ISSUED:
            return None
        digest = await newest(session, certificate.document_hash)
    return await workers.run(portrait_of, await library.blobs.get(digest))


def portrait_of(pdf: bytes) -> bytes | None:
    """The first picture in the proportions of the frame, as it was put in. Pure; CPU-bound."""
    try:
        with pikepdf.open(io.BytesIO(pdf)) as document:
            for page in islice(document.pages, _MOST_PAGES):
                for image in _images(page.get("/Resources"), _DEEPEST):
                    return image
    except pikepdf.PdfError:
        return None
    return None


def _images(resources: pikepdf.Object | None, left: int) -> Iterator[bytes]:
    if resources is None or not left or "/XObject" not in resources:
        return
    for _, found in resources.XObject.items():
        if found.get("/Subtype") == "/Form":
            yield from _images(found.get("/Resources"), left - 1)
        elif found.get("/Filter") == "/DCTDecode" and found.get("/Width") == WIDTH and found.get("/Height") == HEIGHT:
            yield found.read_raw_bytes()
