"""Key pairs that are made for somebody and handed out once: PKCS #12 (RFC 7292) under the person's passphrase.

The private key exists in memory between :func:`make_pair` and :meth:`Handover.seal`; it is never stored, and a handover seals
once. Encryption is PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA-256 (RFC 8018; NIST SP 800-132), the whole under an
HMAC-SHA-256 whose key takes as many rounds.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from asn1crypto import core, pkcs12
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import PBES, serialize_key_and_certificates
from cryptography.x509 import load_der_x509_certificate

from keys.custody.errors import KeyAlgorithmMismatch, PassphraseWeak
from keys.custody.store import Algorithm

ROUNDS = 600_000  # OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA-256
_BLOCK, _SALT_OCTETS = 64, 16  # of SHA-256; NIST SP 800-132 §5.1
_SHORTEST, _LONGEST, _DIFFERENT = 12, 128, 5


class Handover:
    """A key pair on its way to its owner. ``public`` is SPKI DER."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        self._key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = key
        self.public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def seal(self, certificate: bytes, chain: Sequence[bytes], name: str, passphrase: str) -> bytes:
        """The PKCS #12 file, DER: key, certificate and chain under ``passphrase``; ``name`` is the label that people see.

        Raises ``PassphraseWeak``; ``KeyAlgorithmMismatch`` where it was sealed before.
        """
        check_passphrase(passphrase)
        key, self._key = self._key, None
        if key is None:
            raise KeyAlgorithmMismatch("the pair was handed out before")
        encryption = (
            PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(ROUNDS)
            .key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
            .hmac_hash(hashes.SHA256())
            .build(passphrase.encode())
        )
        own, *above = (load_der_x509_certificate(der) for der in (certificate, *chain))
        return _slow_mac(serialize_key_and_certificates(name.encode(), key, own, above, encryption), passphrase)


def _slow_mac(file: bytes, passphrase: str) -> bytes:
    """The same file with a MAC as slow as its encryption: the library's takes 2,048 rounds, and a guesser would try it there."""
    pfx = pkcs12.Pfx.load(file)
    salt = secrets.token_bytes(_SALT_OCTETS)
    mac = hmac.digest(_mac_key(passphrase, salt, ROUNDS), pfx["auth_safe"]["content"].native, "sha256")
    digest = {"digest_algorithm": {"algorithm": "sha256", "parameters": core.Null()}, "digest": mac}
    pfx["mac_data"] = {"mac": digest, "mac_salt": salt, "iterations": ROUNDS}
    encoded: bytes = pfx.dump(force=True)
    return encoded


def _mac_key(passphrase: str, salt: bytes, rounds: int) -> bytes:
    """RFC 7292 appendix B.2 with SHA-256 and ID 3, for the 32 octets that one block gives."""
    password = passphrase.encode("utf-16-be") + b"\0\0"
    block = b"\x03" * _BLOCK + _filled(salt) + _filled(password)
    for _ in range(rounds):
        block = hashlib.sha256(block).digest()
    return block


def _filled(octets: bytes) -> bytes:
    """Repeated to the next whole number of blocks."""
    length = -(-len(octets) // _BLOCK) * _BLOCK
    return (octets * (length // len(octets) + 1))[:length]


def make_pair(algorithm: Algorithm) -> Handover:
    """A new pair to hand out: P-256, P-384 or RSA; what systems import from PKCS #12. ``KeyAlgorithmMismatch`` for others."""
    match algorithm:
        case Algorithm.P256:
            return Handover(ec.generate_private_key(ec.SECP256R1()))
        case Algorithm.P384:
            return Handover(ec.generate_private_key(ec.SECP384R1()))
        case Algorithm.RSA2048 | Algorithm.RSA3072 | Algorithm.RSA4096:
            return Handover(rsa.generate_private_key(65537, int(algorithm.value.removeprefix("RSA_"))))
        case _:
            raise KeyAlgorithmMismatch(f"{algorithm} is not handed out in PKCS #12")


def check_passphrase(passphrase: str) -> None:
    """12 to 128 characters, at least five different ones: ``PassphraseWeak``."""
    if not _SHORTEST <= len(passphrase) <= _LONGEST or len(set(passphrase)) < _DIFFERENT:
        raise PassphraseWeak("12 to 128 characters, five different ones at least")
