"""PDFs signed as domestic systems do: a hollow signature that pyHanko lays out, filled with a stamp or a SignedData written by hand."""

import io
import re
from dataclasses import replace

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields
from pyhanko.sign.signers import cms_embedder
from pyhanko.sign.signers.pdf_byterange import PdfSignedData

from keys.base import der
from keys.custody.sm2 import sm3
from tests.ofd_by_hand import signed_data
from tests.ses_by_hand import StampSpec, stamp_by_hand, usual
from tests.stamped import World

GM = "/GM.sm2seal"
_RANGE = re.compile(rb"/ByteRange\s*\[\s*0\s+(\d+)\s+(\d+)\s+(\d+)")


def hollow(pdf: bytes, field: str = "Seal1", subfilter: str = GM, certify: int | None = None) -> bytes:
    """The PDF with one more revision that holds a signature of zeros."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    embedder = cms_embedder.PdfCMSEmbedder().write_cms(field_name=field, writer=writer)
    next(embedder)
    signature = PdfSignedData(obj_type=generic.NameObject("/Sig"), subfilter=fields.SigSeedSubFilter.PADES, bytes_reserved=16000)
    signature["/SubFilter"] = generic.NameObject(subfilter)
    mdp = cms_embedder.SigMDPSetup(md_algorithm="sha256", certify=True, docmdp_perms=fields.MDPPerm(certify)) if certify else None
    embedder.send(cms_embedder.SigObjSetup(sig_placeholder=signature, mdp_setup=mdp))
    _, out = embedder.send(cms_embedder.SigIOSetup(md_algorithm="sha256", in_place=False))
    return bytes(out.getbuffer())


def gap(pdf: bytes) -> tuple[int, int, int]:
    """Of the last signature: where its Contents begin and end, and how much follows."""
    start, end, rest = map(int, list(_RANGE.finditer(pdf))[-1].groups())
    return start, end, rest


def covered(pdf: bytes) -> bytes:
    start, end, rest = gap(pdf)
    return pdf[:start] + pdf[end : end + rest]


def filled(pdf: bytes, contents: bytes) -> bytes:
    start, end, _ = gap(pdf)
    return pdf[: start + 1] + contents.hex().encode().ljust(end - start - 2, b"0") + pdf[end - 1 :]


def stamped(world: World, pdf: bytes, spec: StampSpec | None = None, *, named: str = "", **layout: object) -> bytes:
    """Sealed with ``/GM.sm2seal``; ``named``: propertyInfo, where it is not the ByteRange as we spell it."""
    empty = hollow(pdf, **layout)  # type: ignore[arg-type]
    start, end, rest = gap(empty)
    spec = replace(spec or usual(world), digest=sm3(covered(empty)), named=named or f"[0 {start} {end} {rest}]")
    return filled(empty, stamp_by_hand(world, spec))


def sm2_signed(world: World, pdf: bytes, *, gm: bool, subfilter: str, field: str = "Seal1", **message: object) -> bytes:
    """Signed with an SM2 CMS; ``message``: as :func:`tests.ofd_by_hand.signed_data` knows it."""
    empty = hollow(pdf, field, subfilter)
    return filled(empty, signed_data(world, covered(empty), gm=gm, **message))  # type: ignore[arg-type]


def in_ber(message: bytes) -> bytes:
    """A SignedData without the lengths of its frame, as plain programs on BouncyCastle write it."""
    kind, content = der.members(der.read(message))
    version, digests, encapsulated, *rest = (one.encoded for one in der.members(der.read(content.value)))
    inner = b"\x30\x80" + der.read(encapsulated).value + b"\0\0"
    certificates = b"\xa0\x80" + der.read(rest[0]).value + b"\0\0"
    return b"\x30\x80" + kind.encoded + b"\xa0\x80\x30\x80" + version + digests + inner + certificates + b"".join(rest[1:]) + bytes(6)
