"""Revocation: nothing passes without a list or an answer that may be believed, and what is revoked is refused, however it is said."""

import datetime as dt
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from keys.base import der
from keys.pki.validation import Found, Material, Reason, validate
from tests.chains import DAY, NOW, Maker, issuing_point, point, root

URL = "http://127.0.0.1:1/7.crl"
ANSWERING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
REVOKED, UNKNOWN = Reason.REVOKED, Reason.REVOCATION_UNKNOWN


@pytest.fixture(scope="module")
def top() -> Maker:
    return root()


@pytest.fixture(scope="module")
def leaf(top: Maker) -> Maker:
    """A certificate that names no distribution point."""
    return top.certify(Maker("leaf"))


def asked(
    leaf: Maker, top: Maker, *lists: bytes, answers: tuple[bytes, ...] = (), others: tuple[bytes, ...] = (), at: dt.datetime = NOW
) -> Found:
    return validate(leaf.der, Material.read([top.der], others, lists, answers), at)


def reason(found: Found) -> Reason | None:
    return found.fault.reason if found.fault else None


def serial(maker: Maker) -> int:
    assert maker.certificate is not None
    return maker.certificate.serial_number


def test_a_revoked_certificate_is_refused_though_it_names_no_list(top: Maker, leaf: Maker) -> None:
    assert reason(asked(leaf, top, top.list())) is None
    found = asked(leaf, top, top.list({serial(leaf): None}))
    assert reason(found) is REVOKED
    assert found.fault is not None
    assert found.fault.sub_indication == "REVOKED_NO_POE"


def test_without_usable_data_nothing_passes(top: Maker, leaf: Maker) -> None:
    assert reason(asked(leaf, top)) is UNKNOWN
    assert reason(asked(leaf, top, top.list(), at=NOW + 8 * DAY)) is UNKNOWN
    assert reason(asked(leaf, top, top.list(), at=NOW - DAY / 24)) is UNKNOWN
    assert reason(asked(leaf, top, b"\x30\x00", b"garbage")) is UNKNOWN


def test_a_list_by_another_key_of_the_same_name_says_nothing(top: Maker, leaf: Maker) -> None:
    impostor = root()
    assert reason(asked(leaf, top, impostor.list())) is UNKNOWN
    assert reason(asked(leaf, top, impostor.list({serial(leaf): None}))) is UNKNOWN
    assert reason(asked(leaf, top, impostor.list(), others=(impostor.der,))) is UNKNOWN
    assert reason(asked(leaf, top, impostor.list({serial(leaf): None}), top.list())) is None


def test_a_revoked_authority_is_said_to_be_one(top: Maker) -> None:
    middle = top.certify(Maker("middle"), authority=True)
    leaf = middle.certify(Maker("leaf"))
    found = asked(leaf, top, top.list({serial(middle): None}), middle.list(), others=(middle.der,))
    assert found.fault is not None
    assert (found.fault.reason, found.fault.depth, found.fault.sub_indication) == (REVOKED, 1, "REVOKED_CA_NO_POE")
    assert reason(asked(leaf, top, middle.list(), others=(middle.der,))) is UNKNOWN
    assert reason(asked(leaf, top, top.list(), others=(middle.der,))) is UNKNOWN
    assert reason(asked(leaf, top, top.list(), middle.list(), others=(middle.der,))) is None


def test_a_partition_speaks_for_its_own_certificates_only(top: Maker) -> None:
    within, outside = top.certify(Maker("within"), point(URL)), top.certify(Maker("outside"), point("http://127.0.0.1:1/8.crl"))
    partition = top.list({}, issuing_point(URL))
    assert reason(asked(within, top, partition)) is None
    assert reason(asked(outside, top, partition)) is UNKNOWN
    assert reason(asked(top.certify(Maker("nowhere")), top, partition)) is UNKNOWN
    assert reason(asked(within, top, top.list({serial(within): None}, issuing_point(URL)))) is REVOKED
    assert reason(asked(within, top, top.list())) is None, "the full list speaks for every partition"
    assert reason(asked(within, top, partition, top.list({serial(within): None}))) is REVOKED


def test_a_list_for_some_reasons_or_some_certificates_is_not_enough(top: Maker, leaf: Maker) -> None:
    def bounded(**flags: object) -> bytes:
        stated = {"only_contains_user_certs": False, "only_contains_ca_certs": False, "only_some_reasons": None} | flags
        extension = x509.IssuingDistributionPoint(None, None, indirect_crl=False, only_contains_attribute_certs=False, **stated)  # type: ignore[arg-type]
        return top.list({}, (extension, True))

    compromise = frozenset({x509.ReasonFlags.key_compromise})
    others = frozenset(x509.ReasonFlags) - compromise - {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl}
    assert reason(asked(leaf, top, bounded(only_contains_user_certs=True))) is None
    assert reason(asked(leaf, top, bounded(only_contains_ca_certs=True))) is UNKNOWN
    assert reason(asked(leaf, top, bounded(only_some_reasons=compromise))) is UNKNOWN
    assert reason(asked(leaf, top, bounded(only_some_reasons=compromise), bounded(only_some_reasons=others))) is None


def test_a_critical_extension_that_is_not_understood_makes_a_list_useless(top: Maker, leaf: Maker) -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert reason(asked(leaf, top, top.list({}, (strange, True)))) is UNKNOWN
    assert reason(asked(leaf, top, top.list({}, (strange, False)))) is None


def test_a_delta_adds_to_its_base(top: Maker, leaf: Maker) -> None:
    base = top.list({}, this=NOW - DAY)
    number = int((NOW - DAY).timestamp())

    def delta(revoked: dict[int, x509.ReasonFlags | None], base_number: int = number) -> bytes:
        return top.list(revoked, (x509.DeltaCRLIndicator(base_number), True))

    others = (top.der,)
    assert reason(asked(leaf, top, base, delta({}), others=others)) is None
    assert reason(asked(leaf, top, base, delta({serial(leaf): None}), others=others)) is REVOKED
    assert reason(asked(leaf, top, delta({}), others=others)) is UNKNOWN, "a delta alone is no list"
    held = top.list({serial(leaf): x509.ReasonFlags.certificate_hold}, this=NOW - DAY)
    assert reason(asked(leaf, top, held, delta({serial(leaf): x509.ReasonFlags.remove_from_crl}), others=others)) is None


def test_a_hold_that_a_later_list_has_lifted_is_over_and_nothing_else_is(top: Maker, leaf: Maker) -> None:
    held = top.list({serial(leaf): x509.ReasonFlags.certificate_hold}, this=NOW - DAY)
    revoked = top.list({serial(leaf): x509.ReasonFlags.key_compromise}, this=NOW - DAY)
    assert reason(asked(leaf, top, held)) is REVOKED
    assert reason(asked(leaf, top, held, top.list())) is None
    assert reason(asked(leaf, top, revoked, top.list())) is REVOKED
    assert reason(asked(leaf, top, held, top.list({serial(leaf): x509.ReasonFlags.certificate_hold}))) is REVOKED


def test_a_list_signed_by_a_certificate_of_its_own(top: Maker) -> None:
    """RFC 5280 §6.3.3 (f): another key of the same authority, certified by it, may sign its lists."""
    lister = top.certify(Maker("root"), authority=True)
    leaf = top.certify(Maker("leaf"))
    assert reason(asked(leaf, top, lister.list(), top.list(), others=(lister.der,))) is None
    assert reason(asked(leaf, top, lister.list({serial(leaf): None}), top.list(), others=(lister.der,))) is REVOKED


def crowded(top: Maker, serials: list[int]) -> bytes:
    """A list of the authority with one entry for each number."""
    body, algorithm, _ = der.members(der.read(top.list({1: None})))
    parts = [one.encoded for one in der.members(body)]
    since = der.generalized_time(NOW - DAY)
    parts[5] = der.sequence(*(der.sequence(der.integer(number), since) for number in serials))
    signed = der.sequence(*parts)
    assert isinstance(top.key, ec.EllipticCurvePrivateKey)
    return der.sequence(signed, algorithm.encoded, der.bit_string(top.key.sign(signed, ec.ECDSA(hashes.SHA256()))))


def test_a_list_of_a_hundred_thousand_is_read_in_moments(top: Maker, leaf: Maker) -> None:
    crowd = list(range(1 << 64, (1 << 64) + 100_000))
    without, listed = crowded(top, crowd), crowded(top, [*crowd, serial(leaf)])
    start = time.process_time()
    assert reason(asked(leaf, top, without)) is None
    assert time.process_time() - start < 0.5
    start = time.process_time()
    assert reason(asked(leaf, top, listed)) is REVOKED
    assert time.process_time() - start < 3


# --- OCSP ---------------------------------------------------------------------------------------------------------------------


def responder(top: Maker, *extensions: x509.ExtensionType) -> Maker:
    return top.certify(Maker("responder"), *extensions)


def test_an_answer_of_the_issuer_or_its_delegate_is_enough(top: Maker, leaf: Maker) -> None:
    delegate = responder(top, ANSWERING, x509.OCSPNoCheck())
    for by in (top, delegate):
        assert reason(asked(leaf, top, answers=(by.answer(leaf, top),))) is None
        assert reason(asked(leaf, top, answers=(by.answer(leaf, top, ocsp.OCSPCertStatus.REVOKED),))) is REVOKED
        assert reason(asked(leaf, top, answers=(by.answer(leaf, top, ocsp.OCSPCertStatus.UNKNOWN),))) is UNKNOWN


def test_who_may_not_answer_is_not_heard(top: Maker, leaf: Maker) -> None:
    other = root("other")
    unfit = (
        responder(top),
        responder(other, ANSWERING, x509.OCSPNoCheck()),
        responder(root(), ANSWERING, x509.OCSPNoCheck()),
        top.certify(Maker("old responder"), ANSWERING, x509.OCSPNoCheck(), days=(-30, -1)),
        other,
    )
    for by in unfit:
        assert reason(asked(leaf, top, answers=(by.answer(leaf, top),))) is UNKNOWN
        assert reason(asked(leaf, top, top.list(), answers=(by.answer(leaf, top, ocsp.OCSPCertStatus.REVOKED),))) is None


def test_a_delegate_without_nocheck_is_asked_about_itself(top: Maker, leaf: Maker) -> None:
    delegate = responder(top, ANSWERING)
    answer = delegate.answer(leaf, top)
    assert reason(asked(leaf, top, answers=(answer,))) is UNKNOWN
    assert reason(asked(leaf, top, top.list(), answers=(answer,))) is None
    revoked = asked(
        leaf, top, top.list({serial(delegate): None}, days=7), answers=(delegate.answer(leaf, top, ocsp.OCSPCertStatus.REVOKED),)
    )
    assert reason(revoked) is None, "the word of a revoked responder counts for nothing; the list says the leaf is good"


def test_an_answer_is_for_its_time_and_its_certificate(top: Maker, leaf: Maker) -> None:
    answer = top.answer(leaf, top)
    assert reason(asked(leaf, top, answers=(answer,), at=NOW + 2 * DAY)) is UNKNOWN
    assert reason(asked(leaf, top, answers=(answer,), at=NOW - DAY / 24)) is UNKNOWN
    assert reason(asked(leaf, top, answers=(top.answer(leaf, top, upcoming=None),))) is UNKNOWN
    assert reason(asked(top.certify(Maker("another")), top, answers=(answer,))) is UNKNOWN
    assert reason(asked(leaf, top, answers=(answer[:-1] + bytes([answer[-1] ^ 1]),))) is UNKNOWN


def test_revoked_by_either_source_is_revoked(top: Maker, leaf: Maker) -> None:
    good, bad = top.answer(leaf, top), top.answer(leaf, top, ocsp.OCSPCertStatus.REVOKED)
    assert reason(asked(leaf, top, top.list(), answers=(bad,))) is REVOKED
    assert reason(asked(leaf, top, top.list({serial(leaf): None}), answers=(good,))) is REVOKED
    assert reason(asked(leaf, top, answers=(good, bad))) is REVOKED
