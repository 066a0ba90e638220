"""GB/T 20518 encryption pairs: what the owner of the signing key opens, with openssl and with GmSSL, and nobody else."""

import gmssl_pyx
import pytest
from asn1crypto import core
from asn1crypto import keys as asn1_keys
from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from sqlalchemy import text

from keys.base.actor import SYSTEM
from keys.base.errors import FujieError
from keys.custody import libcrypto, sm2
from keys.custody.sm2_envelope import SM4_ECB, make_encryption_pair
from keys.custody.store import Algorithm, Purpose
from keys.pki.authority import issue
from keys.pki.certificate import Subject, certified_key
from keys.pki.encryption_pairs import issue_encryption_pair
from keys.pki.reads import certificate_ends
from keys.pki.status import revoke

SUBJECT = Subject("某某市水务局电子印章", "某某市水务局", "11990100MB0000001X", "990100")


class Enveloped(core.Sequence):
    _fields = [  # noqa: RUF012
        ("algorithm", core.Sequence),
        ("key", core.Any),
        ("public", core.OctetBitString),
        ("private", core.OctetBitString),
    ]


def secret_of(key: libcrypto.Key) -> bytes:
    return asn1_keys.ECPrivateKey.load(libcrypto.private_der(key))["private_key"].native.to_bytes(32, "big")


def opened(envelope: Enveloped, wrapping: bytes) -> bytes:
    cipher = Cipher(algorithms.SM4(wrapping), modes.ECB()).decryptor()
    return cipher.update(envelope["private"].native) + cipher.finalize()


@pytest.fixture
async def signing(pki, keystore, clock):
    """A signing certificate whose private key the test holds, as its owner would."""
    owner = libcrypto.generate()
    async with pki.begin() as session:
        issued = await issue(
            session,
            keystore,
            clock.now(),
            authority="seal-sm",
            profile="seal-signer-sm",
            subject=SUBJECT,
            public_key=libcrypto.public_der(owner),
        )
    return owner, issued


async def test_the_owner_opens_the_encryption_key_with_openssl_and_gmssl(pki, keystore, clock, openssl, signing, tmp_path):
    owner, signed = signing
    pair = await issue_encryption_pair(pki, keystore, clock, SYSTEM, signed.serial)
    envelope = Enveloped.load(pair.enveloped_key, strict=True)
    assert envelope["algorithm"][0].native == SM4_ECB
    wrapped = envelope["key"].dump()
    wrapping = gmssl_pyx.sm2_decrypt(secret_of(owner), wrapped)
    seen = openssl("pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", libcrypto.private_der(owner), "-in", wrapped, "-out", "sm4")
    assert seen.returncode == 0, seen.stderr
    assert (tmp_path / "sm4").read_bytes() == wrapping
    private = opened(envelope, wrapping)
    point = sm2.public_point(certified_key(pair.issued.certificate))
    assert envelope["public"].native == point
    message = b"a letter to the bureau"
    assert gmssl_pyx.sm2_decrypt(private, gmssl_pyx.sm2_encrypt(point[1:], message)) == message, "it is the certified key's other half"
    async with pki.session() as session:
        held = await session.scalar(
            text("SELECT count(*) FROM keys.stored_keys WHERE public = :public"), {"public": certified_key(pair.issued.certificate)}
        )
    assert held == 0, "no copy stays here"


async def test_the_encryption_certificate_stands_beside_the_signing_one(pki, keystore, clock, signing):
    _, signed = signing
    pair = await issue_encryption_pair(pki, keystore, clock, SYSTEM, signed.serial)
    first, second = (x509.load_der_x509_certificate(der) for der in (signed.certificate, pair.issued.certificate))
    assert (first.subject, first.issuer, first.not_valid_after_utc) == (second.subject, second.issuer, second.not_valid_after_utc)
    usage = second.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_encipherment, usage.value.data_encipherment, usage.value.key_agreement) == (True, True, True)
    assert (usage.value.digital_signature, usage.value.content_commitment, usage.value.key_cert_sign) == (False, False, False)
    assert (
        certificate_ends(pair.issued.certificate).authority_key_identifier == certificate_ends(signed.certificate).authority_key_identifier
    )


async def test_only_the_holder_of_an_sm2_signing_key_in_force_gets_one(pki, keystore, clock, signing):
    _, signed = signing
    pair = await issue_encryption_pair(pki, keystore, clock, SYSTEM, signed.serial)
    async with pki.begin() as session:
        public = keystore.generate(Algorithm.P256, Purpose.SEALS).public
        ordinary = await issue(
            session, keystore, clock.now(), authority="seal", profile="document-signer", subject=SUBJECT, public_key=public
        )
        await revoke(session, clock.now(), signed.serial, "superseded")
    for serial, code in (
        (pair.issued.serial, "CERTIFICATE_RENEWAL_UNSUITABLE"),
        (ordinary.serial, "CERTIFICATE_RENEWAL_UNSUITABLE"),
        (signed.serial, "CERTIFICATE_RENEWAL_UNSUITABLE"),
        (4711, "CERTIFICATE_UNKNOWN"),
    ):
        with pytest.raises(FujieError) as refused:
            await issue_encryption_pair(pki, keystore, clock, SYSTEM, serial)
        assert refused.value.code == code


def test_a_pair_is_handed_over_once_and_to_an_sm2_key():
    pair, owner = make_encryption_pair(), libcrypto.public_der(libcrypto.generate())
    with pytest.raises(FujieError) as refused:
        pair.seal(owner[:-1] + bytes([owner[-1] ^ 1]))
    assert refused.value.code == "PUBLIC_KEY_INVALID"
    assert pair.seal(owner)
    with pytest.raises(FujieError) as refused:
        pair.seal(owner)
    assert refused.value.code == "KEY_ALGORITHM_MISMATCH"
