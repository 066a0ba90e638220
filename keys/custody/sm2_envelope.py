"""SM2 encryption pairs: made for somebody, handed over once under the signing key they already hold (GB/T 35276 §7.4).

SM2EnvelopedKey ::= SEQUENCE { symAlgID AlgorithmIdentifier, symEncryptedKey SM2Cipher, Sm2PublicKey BIT STRING,
                               Sm2EncryptedPrivateKey BIT STRING }

A fresh SM4 key encrypts the 32 octets of the private key (SM4-ECB, two whole blocks), SM2 encrypts the SM4 key for the owner.
The private key exists in memory between :func:`make_encryption_pair` and :meth:`EncryptionHandover.seal`; no copy is kept.
"""

import secrets

from asn1crypto import keys as asn1_keys
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from keys.base import der
from keys.custody import libcrypto, sm2
from keys.custody.errors import KeyAlgorithmMismatch

SM4_ECB = "1.2.156.10197.1.104.1"
_SM4_OCTETS, _PRIVATE_OCTETS = 16, 32


class EncryptionHandover:
    """An SM2 pair on its way to its owner. ``public`` is SPKI DER."""

    def __init__(self, key: libcrypto.Key) -> None:
        self._key: libcrypto.Key | None = key
        self.public = libcrypto.public_der(key)

    def seal(self, owner: bytes) -> bytes:
        """The SM2EnvelopedKey, DER, for the SM2 public key of its owner (SPKI DER).

        Raises ``PublicKeyInvalid``; ``KeyAlgorithmMismatch`` where it was sealed before.
        """
        recipient = libcrypto.load_public(sm2.public_spki(owner))
        key, self._key = self._key, None
        if key is None:
            raise KeyAlgorithmMismatch("the pair was handed over before")
        secret = asn1_keys.ECPrivateKey.load(libcrypto.private_der(key))["private_key"].native
        wrapping = secrets.token_bytes(_SM4_OCTETS)
        cipher = Cipher(algorithms.SM4(wrapping), modes.ECB()).encryptor()  # noqa: S305  the standard says ECB: two blocks of a random number
        encrypted = cipher.update(secret.to_bytes(_PRIVATE_OCTETS, "big")) + cipher.finalize()
        return der.sequence(
            der.sequence(der.object_identifier(SM4_ECB)),
            libcrypto.encrypt(recipient, wrapping),
            der.bit_string(sm2.public_point(self.public)),
            der.bit_string(encrypted),
        )


def make_encryption_pair() -> EncryptionHandover:
    """A new pair. ``Sm2Unavailable`` on a machine without SM2."""
    return EncryptionHandover(libcrypto.generate())
