"""pyHanko as a peer: a plain PAdES signature (P-256, no appearance, no validation material) and the judgement of one."""

import asyncio
import datetime as dt
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asn1crypto import crl, x509
from pyhanko.pdf_utils.content import RawContent
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import BoxConstraints
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.validation import EmbeddedPdfSignature, async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator import ValidationContext

from benchmarks.peers.credentials import PASSPHRASE

_SEAL = 119
_RESERVED = 8192
"""Hexadecimal digits, told beforehand: without it pyHanko signs twice to find out."""


def signing(p12: Path) -> Callable[[bytes], bytes]:
    signer = SimpleSigner.load_pkcs12(str(p12), passphrase=PASSPHRASE.encode())

    def sign(pdf: bytes) -> bytes:
        metadata = PdfSignatureMetadata(field_name="Signature", subfilter=SigSeedSubFilter.PADES, md_algorithm="sha256")
        out = PdfSigner(metadata, signer).sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), bytes_reserved=_RESERVED)
        return bytes(out.getbuffer())

    return sign


def drawing(p12: Path, content: bytes) -> Callable[[bytes], bytes]:
    """A visible signature whose appearance is ``content``, PDF operators; everything else as pyHanko has it by default."""
    signer = SimpleSigner.load_pkcs12(str(p12), passphrase=PASSPHRASE.encode())
    style = StaticStampStyle(background=RawContent(content, box=BoxConstraints(width=_SEAL, height=_SEAL)), border_width=0)

    def sign(pdf: bytes) -> bytes:
        metadata = PdfSignatureMetadata(field_name="Signature", subfilter=SigSeedSubFilter.PADES, certify=True)
        field = SigFieldSpec("Signature", on_page=0, box=(360, 100, 360 + _SEAL, 100 + _SEAL))
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        return bytes(PdfSigner(metadata, signer, stamp_style=style, new_field_spec=field).sign_pdf(writer).getbuffer())

    return sign


def judging(roots: list[bytes], crls: list[bytes], at: dt.datetime) -> Callable[[bytes], None]:
    """Every signature and time stamp: mathematics, coverage, path and revocation, with what the file brings along.

    Raises AssertionError unless all is well.
    """
    anchors = [x509.Certificate.load(one) for one in roots]

    def judge(pdf: bytes) -> None:
        reader = PdfFileReader(io.BytesIO(pdf))
        certificates, lists = _brought(reader)
        lists += [crl.CertificateList.load(one) for one in crls]
        for signature in reader.embedded_signatures:
            status = asyncio.run(_judged(signature, anchors, certificates, lists, at))
            assert status.intact
            assert status.valid
            assert status.trusted
        assert status.coverage.name == "ENTIRE_FILE"

    return judge


async def _judged(
    signature: EmbeddedPdfSignature,
    anchors: list[x509.Certificate],
    certificates: list[x509.Certificate],
    lists: list[crl.CertificateList],
    at: dt.datetime,
) -> Any:
    context = ValidationContext(
        trust_roots=anchors, other_certs=certificates, crls=lists, moment=at, allow_fetching=False, revocation_mode="require"
    )
    if signature.sig_object["/Type"] == "/DocTimeStamp":
        return await async_validate_pdf_timestamp(signature, context)
    return await async_validate_pdf_signature(signature, signer_validation_context=context)


def _brought(reader: PdfFileReader) -> tuple[list[x509.Certificate], list[crl.CertificateList]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            store = DocumentSecurityStore.read_dss(reader)
        except NoDSSFoundError:
            return [], []
        lists = [crl.CertificateList.load(one.get_object().data) for one in store.crls]
        return list(store.load_certs()), lists
