"""Two hundred forged PDFs and more: none is accepted, none raises. Fifty honest ones and more: all pass, or "refuse everything" would win.

``python -m tests.attacks.test_forged_pdfs`` runs the whole cross product of attacks and bases; here each attack meets the bases in turn.
"""

import datetime as dt
import io
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from asn1crypto import x509
from cryptography import x509 as certificates
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign import signers

from seal import levels
from seal.increment import Increment, extended
from seal.revision import Hollow
from seal.sandbox import verify_guarded
from seal.verdict import Indication
from seal.verification import verify
from tests.attacks.forged_bases import ANNOTATE, FILL, NO_CHANGES, SECOND, OwnStamper, Studio, honest, rich
from tests.attacks.forged_cases import UPDATES, Writer, altered, appended, fill_text, hole, overlay, unlock, updated
from tests.attacks.forged_trailing import AWAITED, SMUGGLED, ber_tricks, spoilt_ends, trailing
from tests.stamped import NOW, World, certificate_page

SOON = NOW + dt.timedelta(minutes=1)
ACCEPTED = Indication.TOTAL_PASSED
BASES = (
    "ours B-B", "ours B-LTA", "pyhanko rich approval", "pyhanko rich P1", "pyhanko rich P3", "pyhanko rich B-LTA", "pyhanko rich two",
    "pyhanko streams approval", "pdfbox rich P0", "pdfbox rich P2", "openssl rich pades", "ours B-T", "ours P2",
    "pyhanko rich B-LTA default", "pyhanko streams B-LT default",
)  # fmt: skip
Case = tuple[str, bytes]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    logging.disable(logging.CRITICAL)  # what pyHanko says of each forgery
    return Studio(World(tmp_path_factory.mktemp("world")), tmp_path_factory.mktemp("studio"))


@pytest.fixture(scope="module")
def genuine(studio: Studio) -> dict[str, bytes]:
    return honest(studio)


def test_honest_files_of_every_producer_pass(studio: Studio, genuine: dict[str, bytes]) -> None:
    assert len(genuine) >= 50
    refused = {
        name: verdict.to_json() for name, pdf in genuine.items() if (verdict := verify(pdf, studio.trust, SOON)).indication != ACCEPTED
    }
    assert refused == {}


def accepted(cases: Iterator[Case], studio: Studio) -> tuple[list[str], Counter[str]]:
    """The names of those that passed, and how many were answered in which way."""
    wrong, answers = [], Counter[str]()
    for name, pdf in cases:
        verdict = verify(pdf, studio.trust, SOON)
        answers[verdict.indication] += 1
        if verdict.indication == ACCEPTED:
            wrong.append(name)
    return wrong, answers


def all_forged(genuine: dict[str, bytes], share: int) -> Iterator[Case]:
    """``share`` 1: everything; else each attack on every ``share``-th base."""
    for turn, base in enumerate(BASES):
        pdf = genuine[base]
        yield from appended(base, pdf, lambda number, turn=turn: (number + turn) % (share * 2) == 0)
        for name, forgery in altered(base, pdf, lambda number, turn=turn: (number + turn) % share == 0):
            # In one case throughout, upper or lower, a foreign signature is spelled as it may be; ours has one case only.
            if forgery != pdf and (base.startswith("ours") or not name.endswith("other case") or "some" in name):
                yield name, forgery


@pytest.mark.timeout(300)
def test_no_forged_file_is_accepted(studio: Studio, genuine: dict[str, bytes]) -> None:
    cases = [*all_forged(genuine, 40), *others(studio, genuine)]
    assert len(cases) >= 200
    assert len({name for name, _ in cases}) == len(cases)
    wrong, answers = accepted(iter(cases), studio)
    assert wrong == []
    assert sum(answers.values()) == len(cases)


def others(studio: Studio, genuine: dict[str, bytes]) -> Iterator[Case]:
    """What is not made of an attack and a base."""
    for of in (carriers, transplants, sneaky, smuggled):
        yield from of(studio, genuine)


def smuggled(studio: Studio, genuine: dict[str, bytes]) -> Iterator[Case]:
    """Beside, behind and within validation data that nothing covers; and messages in BER."""
    certificate = studio.world["root"].certificate
    for name in ("pdfbox rich P0", "pyhanko rich approval"):
        for body in SMUGGLED:
            base = studio.pyhanko(awaiting(rich())) if body.__name__ == "awaited" else genuine[name]
            yield f"smuggled {name}: {body.__name__}", trailing(base, certificate, body)
    for end, pdf in spoilt_ends(trailing(genuine["openssl rich pades"], certificate)):
        yield f"trailing: {end}", pdf
    for change in UPDATES:
        yield f"trailing, with {change.__name__} before it", trailing(updated(genuine["pyhanko rich approval"], change), certificate)
    for trick, pdf in ber_tricks(genuine["pdfbox rich P0"]):
        yield f"ber: {trick}", pdf


def awaiting(document: bytes) -> bytes:
    """With a page whose content is partly still to come."""
    inc = Increment(document)
    page = inc.reader.root["/Pages"]["/Kids"].raw_get(0)
    found = page.get_object()
    contents = b"/Contents[%d 0 R %d 0 R]" % (found.raw_get("/Contents").idnum, AWAITED)
    inc.write(page.idnum, extended(found, contents, {"/Contents"}))
    return bytes(inc.finish())


def carriers(studio: Studio, genuine: dict[str, bytes]) -> Iterator[Case]:
    """A real document time stamp of the trusted authority over a forged revision: anybody can have one made."""
    for name in ("ours B-B", "ours B-LT", "ours B-LTA", "ours P2"):
        for change in (*UPDATES[:3], fill_text, UPDATES[26], UPDATES[27], UPDATES[36], UPDATES[40]):
            try:
                hollow, digest = levels.prepare(updated(genuine[name], change), levels.Store())
            except levels.NotUpgradable:
                hollow, digest = _forced(studio, genuine[name], change)
            yield f"carrier {name}: {change.__name__}", levels.stamped(hollow, studio.world.token(digest, NOW + 9 * SECOND))
    for name in ("pyhanko rich approval", "pyhanko rich P2", "pyhanko rich P3", "pdfbox rich P0", "openssl rich pades"):
        for change in (overlay, fill_text, UPDATES[36]):
            yield f"carrier {name}: {change.__name__}", _stamped_by_pyhanko(studio, updated(genuine[name], change))


def _forced(studio: Studio, pdf: bytes, change: object) -> tuple[Hollow, bytes]:
    """The change within the upgrade's own revision: everything behind the seal in one update."""

    real = levels._require_last
    levels._require_last = lambda pdf, found: None  # type: ignore[assignment]
    try:
        return levels.prepare(updated(pdf, change), levels.Store())  # type: ignore[arg-type]
    finally:
        levels._require_last = real


def _stamped_by_pyhanko(studio: Studio, pdf: bytes) -> bytes:
    tool = signers.PdfTimeStamper(OwnStamper(studio.world, NOW + 9 * SECOND))
    return bytes(tool.timestamp_pdf(Writer(io.BytesIO(pdf), strict=False), "sha256").getvalue())


def transplants(studio: Studio, genuine: dict[str, bytes]) -> Iterator[Case]:
    """The signature of one document in another of the same length of gap."""
    other = studio.pyhanko(rich(), "Signature1", reason="another")
    donors = {"ours B-B": studio.world.stamped(certificate_page('{"ZZMC": "x"}')), "pyhanko rich approval": other}
    for name, donor in donors.items():
        pdf, mine, theirs = genuine[name], hole(genuine[name]), hole(donor)
        text = donor[theirs.start + 1 : theirs.end - 1]
        size = mine.end - mine.start - 2
        yield f"transplant into {name}", pdf[: mine.start + 1] + text[:size].ljust(size, b"0") + pdf[mine.end - 1 :]
    yield (
        "transplant of a whole tail",
        genuine["ours B-B"][: hole(genuine["ours B-B"]).start] + donors["ours B-B"][hole(donors["ours B-B"]).start :],
    )


def sneaky(studio: Studio, genuine: dict[str, bytes]) -> Iterator[Case]:
    """Forged content under a second signature (SSA): of nobody, and of somebody who is trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    nobody = studio.signer_of(_self_signed(key), key)
    for name in ("pyhanko rich approval", "pyhanko rich P2", "pyhanko rich P3", "pdfbox rich P0", "openssl rich cms"):
        for change in (overlay, fill_text):
            forged = updated(genuine[name], change)
            yield f"sneaky {name}: {change.__name__}, nobody", studio.pyhanko(forged, "Sneaky", signer=nobody)
        yield f"sneaky {name}: overlay, somebody", studio.pyhanko(updated(genuine[name], overlay), "Sneaky")
    yield "sneaky ours, its lock forgotten", studio.pyhanko(updated(updated(genuine["ours B-B"], unlock), overlay), "Sneaky")
    yield "sneaky ours P2", studio.pyhanko(updated(genuine["ours P2"], overlay), "Sneaky")
    for permission in (NO_CHANGES, FILL, ANNOTATE):
        yield f"self-signed P{permission.value}", studio.pyhanko(rich(), signer=nobody, certify=True, docmdp_permissions=permission)


def _self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = certificates.Name([certificates.NameAttribute(certificates.NameOID.COMMON_NAME, "Test stranger")])
    made = certificates.CertificateBuilder(name, name, key.public_key(), 1, NOW - dt.timedelta(days=1), NOW + dt.timedelta(days=9))
    der: bytes = made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert x509.Certificate.load(der).self_signed
    return der


def test_the_sandbox_says_the_same_of_a_sample(studio: Studio, genuine: dict[str, bytes]) -> None:
    cases = [
        *list(all_forged(genuine, 40))[::20],
        *((name, genuine[name]) for name in ("ours B-LTA", "pyhanko linear B-T", "pdfbox rich P2")),
    ]
    assert len(cases) >= 6
    verify_guarded(genuine["pyhanko rich approval"], studio.trust, SOON)  # loading takes a good part of the time on a busy machine
    for name, pdf in cases:
        inside, outside = verify_guarded(pdf, studio.trust, SOON), verify(pdf, studio.trust, SOON)
        assert (inside.indication, inside.sub_indication) == (outside.indication, outside.sub_indication), name


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        everything = Studio(World(Path(one)), Path(two))
        files = honest(everything)
        refused = [name for name, pdf in files.items() if verify(pdf, everything.trust, SOON).indication != ACCEPTED]
        forgeries = (*all_forged(files, 1), *others(everything, files))
        wrong, answers = accepted(iter(forgeries), everything)
        print(f"{len(files)} honest files, refused: {refused or 'none'}")
        print(f"{len(forgeries)} forged files, accepted: {wrong or 'none'}; {dict(answers)}")
        sys.exit(bool(refused or wrong))
