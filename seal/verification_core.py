"""What kind of file it is, and the verdict on every kind that needs no foreign signature library.

``judge`` answers None for a PDF signed in another profile than ours: :mod:`seal.verification_foreign` judges those. The two
are separate modules because loading pyHanko's validation costs several times what a verdict on one of our certificates does.
"""

import datetime as dt
import io

from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader
from zxingcpp import BarcodeFormat, BarcodeFormats, read_barcodes

from keys.base import der
from seal.plain_values import NotPlain
from seal.signature_dictionary import recognise, recognise_timestamp
from seal.trust import Trust
from seal.verdict import (
    Kind,
    SignatureVerdict,
    Verdict,
    claimed,
    judged,
    summed_up,
    unreadable,
    unsigned,
)
from seal.verification_joint import judge_joint, judge_joint_plainly
from seal.verification_joint_mixed import is_mixed
from seal.verification_ofd import judge_ofd
from seal.verification_pdf import UNREADABLE, SecurityStore, SignatureField, evidence_from, open_pdf, signature_fields
from seal.verification_profile import claims_profile, judge_profile, out_of_form
from seal.verification_reading import ReadPdf, read_general, read_plain
from seal.verification_stamp import StampJudgement, judge_seal, judge_stamp

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
_PDF_WITHIN = 1024  # where readers look for the header
_END_WITHIN = 2048  # and the end of the file
_MAX_SEAL = 16 * 1024 * 1024
_MOST_CODES = 16


def judge(data: bytes, trust: Trust, at: dt.datetime) -> Verdict | None:
    """The verdict, or None for a PDF signed in another profile. May raise; :func:`seal.verification.verify` does not."""
    if b"%PDF-" in data[:_PDF_WITHIN]:
        return _judge_pdf(data, trust, at)
    if data.startswith(b"PK\x03\x04"):
        return judge_ofd(data, trust, at)
    if data.startswith(_PICTURES):
        return _judge_picture(data)
    if data.startswith(b"\x30"):
        return _judge_seal_file(data, trust, at)
    return unreadable(Kind.PDF, "neither PDF, OFD, seal file nor picture")


def _judge_pdf(data: bytes, trust: Trust, at: dt.datetime) -> Verdict | None:
    if b"startxref" not in data[-_END_WITHIN:]:
        return unreadable(Kind.PDF, "not a complete PDF: its end is missing")
    return _judge_plain(data, trust, at) or judge_joint_plainly(data, trust, at) or _judge_any(data, trust, at)


def _judge_plain(data: bytes, trust: Trust, at: dt.datetime) -> Verdict | None:
    """Our own profile, read by the plain reader; None for whatever else it may be."""
    try:
        pdf = read_plain(data)
    except NotPlain:
        return None
    spelled = [(field, recognise(data, field.offset)) for field in pdf.fields if field.offset is not None]
    ours = [(field, written) for field, written in spelled if written is not None and written.permission is not None]
    return judge_profile(data, pdf, *ours[0], trust, at) if len(ours) == 1 and _others_are_stamps(data, pdf) else None


def _others_are_stamps(data: bytes, pdf: ReadPdf) -> bool:
    """Whether every signature but one is a document time stamp of ours."""
    stamps = [field for field in pdf.fields if field.offset is not None and recognise_timestamp(data, field.offset)]
    return len(stamps) == len(pdf.fields) - 1


def _judge_any(data: bytes, trust: Trust, at: dt.datetime) -> Verdict | None:
    try:
        reader = open_pdf(data)
        fields = signature_fields(reader)
        if not fields:
            return unsigned(Kind.PDF)
        return _judge_signed(data, reader, fields, trust, at)
    except UNREADABLE as error:
        return unreadable(Kind.PDF, f"not a readable PDF: {type(error).__name__}")


def _judge_signed(data: bytes, reader: PdfFileReader, fields: list[SignatureField], trust: Trust, at: dt.datetime) -> Verdict | None:
    spelled = [(field, recognise(data, offset)) for field in fields if (offset := field.offset(reader)) is not None]
    ours = [(field, written) for field, written in spelled if written is not None]
    if len(ours) == 1 and len(fields) == 1 and ours[0][1].permission is not None:
        pdf = read_general(reader)
        return judge_profile(data, pdf, pdf.fields[0], ours[0][1], trust, at)
    if (joint := judge_joint(data, reader, fields, trust, at)) is not None:
        return joint
    if is_mixed(data, reader, fields):
        return None
    if ours or any(claims_profile(field) for field in fields):
        return out_of_form(fields[-1].name, "more than one signature" if ours else "the signature dictionary is spelled otherwise")
    return None


def _judge_picture(data: bytes) -> Verdict:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            codes = read_barcodes(picture.convert("L"), formats=BarcodeFormats(BarcodeFormat.QRCode))
    except (OSError, Image.DecompressionBombError, SyntaxError, *UNREADABLE):
        return unreadable(Kind.QR, "a picture that cannot be read")
    if not codes:
        return unreadable(Kind.QR, "a picture without a QR code")
    texts = tuple(one.text for one in codes[:_MOST_CODES])
    return claimed(texts[0], texts)


def _judge_seal_file(data: bytes, trust: Trust, at: dt.datetime) -> Verdict:
    """An SES_Signature by itself, else an SESeal; what was stamped is not at hand, so a stamp cannot pass entirely."""
    if len(data) > _MAX_SEAL:
        return unreadable(Kind.SEAL, "larger than any seal")
    try:
        der.read(data)
    except ValueError as error:
        return unreadable(Kind.SEAL, f"not one DER value: {error}")
    evidence = evidence_from(trust, SecurityStore((), ()), at)
    answers = [(judge_stamp(data, evidence, None), "SES_Signature"), (judge_seal(data, evidence), "SESeal")]
    answer, field = next(((answer, field) for answer, field in answers if answer.seal), answers[0])
    if answer.seal is None:
        return unreadable(Kind.SEAL, "neither an SES_Signature nor an SESeal")
    return summed_up(Kind.SEAL, (_single(field, answer),))


def _single(field: str, answer: StampJudgement) -> SignatureVerdict:
    return judged(field, answer.checks, signer=answer.signer, signing_time=answer.time, level="SES", seal=answer.seal)
