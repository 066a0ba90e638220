"""Keys that a token cannot hold (SM2, SM4, HMAC-SM3), wrapped under an AES-256 key that never leaves it.

A wrapped key is ``3 ‖ wrapping key's CKA_ID(16) ‖ nonce(12) ‖ ciphertext ‖ tag(16)``; identifier, algorithm, purpose and public
half of the key are authenticated with it. The wrapping key is made on first use; should two processes make one at the same moment,
both stay, and what names either opens.
"""

import secrets
import uuid
from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, Mechanism, ObjectClass

from keys.custody.errors import KeyUnreadable
from keys.custody.pkcs11_device import Device, KeyGone, Lane
from keys.custody.pkcs11_keys import make_secret
from keys.custody.store import Algorithm
from keys.custody.wrapping import NONCE_OCTETS, TAG_OCTETS, UNDER_TOKEN

WRAPPING_LABEL = "fujie wrapping key"
_ID_OCTETS = 16
_OVERHEAD = 1 + _ID_OCTETS + NONCE_OCTETS + TAG_OCTETS


def gcm(nonce: bytes, context: bytes) -> dict[str, Any]:
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, context, TAG_OCTETS * 8)}


def _wrapping_keys(lane: Lane, key_id: bytes | None = None) -> list[Any]:
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: WRAPPING_LABEL}
    return list(lane.session.get_objects(wanted if key_id is None else wanted | {Attribute.ID: key_id}))


def wrap(device: Device, secret: bytes, context: bytes, seconds: float) -> bytes:
    """The secret, wrapped under a key of the token, which is made within ``seconds`` unless there is one."""
    nonce = secrets.token_bytes(NONCE_OCTETS)

    def encrypt(lane: Lane) -> bytes:
        if not (found := _wrapping_keys(lane)):
            make_secret(lane, Algorithm.AES256, WRAPPING_LABEL, uuid.uuid4())
            found = _wrapping_keys(lane)
        key_id = bytes(found[0][Attribute.ID])
        return bytes(UNDER_TOKEN + key_id + nonce + found[0].encrypt(secret, **gcm(nonce, context)))

    return device.call(encrypt, seconds)


def unwrap(device: Device, wrapped: bytes, context: bytes, name: str) -> bytes:
    """The secret; ``KeyUnreadable`` when anything differs or its wrapping key is not on the token. ``name`` is for the error."""
    if wrapped[:1] != UNDER_TOKEN or len(wrapped) < _OVERHEAD:
        raise KeyUnreadable(f"{name} is not wrapped under a key of the token")
    key_id, nonce, sealed = wrapped[1:17], wrapped[17:29], wrapped[29:]

    def decrypt(lane: Lane) -> bytes:
        found = _wrapping_keys(lane, key_id)
        if len(found) != 1:
            raise KeyGone(f"the wrapping key of {name} is not on the token")
        return open_sealed(found[0], nonce, sealed, context, lane)

    try:
        return device.call(decrypt)
    except SealBroken as error:
        raise KeyUnreadable(f"{name} does not open under the token's wrapping key") from error


class SealBroken(Exception):
    """The tag does not fit. Only said by a token that is there."""


def open_sealed(key: Any, nonce: bytes, sealed: bytes, context: bytes, lane: Lane) -> bytes:
    """AES-GCM decryption. Tokens name a wrong tag in many ways: one that answers, and finds the key, means just that."""
    try:
        return bytes(key.decrypt(sealed, **gcm(nonce, context)))
    except (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange, pkcs11.DataInvalid, pkcs11.DataLenRange) as error:
        raise SealBroken from error
    except (pkcs11.GeneralError, pkcs11.FunctionFailed, pkcs11.ArgumentsBad) as error:
        lane.token.slot.get_token()
        raise SealBroken from error
