"""A joint approval: 100 pages, 20 seals, one of them across the pages; sealing it once more, and judging all of it."""

import asyncio
import datetime as dt
import io
from collections.abc import Callable

import typst
from asn1crypto import crl, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from benchmarks.bench import Bench
from benchmarks.measure import Contender, take_turns
from benchmarks.parts import against
from benchmarks.rows import Row
from benchmarks.sample import Sample
from benchmarks.verify import PDFSIG, judging, pdfsig
from keys.base.clock import SystemClock
from seal.document_stamping import stamp_document
from seal.placing import AtPoint, Certification, CrossPage, LaterSeal, StampPlan
from seal.verification import verify

PAGES, SEALS = 100, 20
FIGURE = f"verify {PAGES} pages with {SEALS} seals"
NOTE = "every signature, path and CRLs, every revision compared; ours also judges the SM2 stamps; pyHanko once; aim: below 1000 ms"
_SOURCE = """
#set page(width: 210mm, height: 297mm)
#for number in range(1, %d) [ = Part #number
  #for _ in range(8) [ #lorem(30) #parbreak() ]
  #pagebreak() ]
= End
"""


def figure(bench: Bench) -> list[Row]:
    sample, now = bench.sample, SystemClock().now()
    document = bytes(typst.compile((_SOURCE % PAGES).encode(), format="pdf"))
    document = _sealed(sample, document, _plan(sample), now)
    for ordinal in range(2, SEALS):
        document = _sealed(sample, document, StampPlan(field=f"Seal{ordinal}"), now)
    last = StampPlan(field=f"Seal{SEALS}")
    complete = _sealed(sample, document, last, now)
    ours = take_turns(
        {
            "seal": Contender(lambda _: _sealed(sample, document, last, now), count=5),
            "verify": Contender(judging(verify, complete, sample.trust, now), count=5),
        },
        bench.rounds,
        warm_up=1,
    )
    theirs = take_turns({"pyHanko": Contender(_pyhanko(sample, complete, now), count=1)}, 1, warm_up=0)
    seen, missing = against({}, {PDFSIG: pdfsig("joint", complete)}, bench)
    process = seen[PDFSIG].total if PDFSIG in seen else None
    return [
        Row(FIGURE, ours["verify"].total, "pyHanko", theirs["pyHanko"].total, note=NOTE),
        Row(FIGURE, ours["verify"].total, PDFSIG, process, note=missing.get(PDFSIG, "a process; neither paths, revocation nor revisions")),
        Row(f"the last of {SEALS} seals on {PAGES} pages", ours["seal"].total, "", None, note="SM2 stamp and PAdES, into a prepared field"),
    ]


def _plan(sample: Sample) -> StampPlan:
    material = sample.material
    later = tuple(
        LaterSeal(material.name, (AtPoint(PAGES - 1, 30 + index % 4 * 48, 60 + index // 4 * 45),), material.width_mm, material.height_mm)
        for index in range(SEALS - 1)
    )
    return StampPlan((AtPoint(0, 150, 240), CrossPage()), Certification.P2, later)


def _sealed(sample: Sample, document: bytes, plan: StampPlan, now: dt.datetime) -> bytes:
    return stamp_document(sample.permit(document, now), document, sample.material, plan, sample.keystore, now).pdf


def _pyhanko(sample: Sample, pdf: bytes, now: dt.datetime) -> Callable[[int], None]:
    validation = sample.material.validation
    # asn1crypto takes no SM2 key, and none is needed for the PAdES signatures.
    chain = [x509.Certificate.load(one) for one in (sample.material.signer_certificate, *sample.material.signer_chain)]

    def once(_: int) -> None:
        for signature in PdfFileReader(io.BytesIO(pdf)).embedded_signatures:
            context = ValidationContext(
                trust_roots=chain[-1:],
                other_certs=chain[:-1],
                crls=[crl.CertificateList.load(one) for one in validation.crls],
                moment=now,
                allow_fetching=False,
                revocation_mode="require",
            )
            status = asyncio.run(async_validate_pdf_signature(signature, signer_validation_context=context))
            assert status.bottom_line

    return once
