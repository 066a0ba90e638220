"""Project Wycheproof's vectors through the product's own functions: nothing false is accepted, whatever the spelling."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from identity.clients import ID_TOKEN_ALGORITHMS
from identity.id_tokens import signed_payload
from keys.custody.algorithms import CIPHERS, MACS
from keys.custody.store import Algorithm
from keys.custody.verifying import (
    ECDSA_WITH_SHA256,
    ECDSA_WITH_SHA384,
    ED25519,
    RSA_PSS,
    RSA_WITH_SHA256,
    algorithm_identifier,
    verify_signature,
)

NULL = b"\x05\x00"
PSS_SHA256 = bytes.fromhex("3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120")


def vectors(suites: Path, name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every test with its group."""
    groups = json.loads((suites / "wycheproof" / f"{name}_test.json").read_bytes())["testGroups"]
    return [(group, test) for group in groups for test in group["tests"]]


# Valid by the vectors, refused by ours, each for a reason that stands in docs/path-validation.md.
SMALL_EXPONENT = "an RSA key with exponent 3"
FALSELY_REFUSED = {
    "rsa_signature_2048_sha256": {258: SMALL_EXPONENT, 259: SMALL_EXPONENT},
    "rsa_signature_3072_sha256": {259: SMALL_EXPONENT},
}

SIGNATURES = {
    "ecdsa_secp256r1_sha256": algorithm_identifier(ECDSA_WITH_SHA256),
    "ecdsa_secp384r1_sha384": algorithm_identifier(ECDSA_WITH_SHA384),
    "ed25519": algorithm_identifier(ED25519),
    "rsa_signature_2048_sha256": algorithm_identifier(RSA_WITH_SHA256, NULL),
    "rsa_signature_3072_sha256": algorithm_identifier(RSA_WITH_SHA256, NULL),
    "rsa_signature_4096_sha256": algorithm_identifier(RSA_WITH_SHA256, NULL),
    "rsa_pss_2048_sha256_mgf1_32": algorithm_identifier(RSA_PSS, PSS_SHA256),
    "rsa_pss_3072_sha256_mgf1_32": algorithm_identifier(RSA_PSS, PSS_SHA256),
}


def octets(*texts: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in texts)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(suites: Path, name: str) -> None:
    accepted, refused = set(), set()
    for group, test in vectors(suites, name):
        public, message, signature = octets(group["publicKeyDer"], test["msg"], test["sig"])
        (accepted if verify_signature(public, SIGNATURES[name], message, signature) else refused).add((test["tcId"], test["result"]))
    assert accepted
    assert [number for number, result in accepted if result == "invalid"] == []
    assert {number for number, result in refused if result == "valid"} == set(FALSELY_REFUSED.get(name, ()))


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_holds_under_its_own_algorithm_only(suites: Path, name: str) -> None:
    group, test = next(pair for pair in vectors(suites, name) if pair[1]["result"] == "valid" and pair[1]["msg"])
    public, message, signature = octets(group["publicKeyDer"], test["msg"], test["sig"])
    others = [other for other in SIGNATURES.values() if other != SIGNATURES[name]]
    assert verify_signature(public, SIGNATURES[name], message, signature)
    assert not any(verify_signature(public, other, message, signature) for other in others)


@pytest.mark.parametrize("name", ["json_web_signature", "json_web_crypto", "json_web_key"])
def test_json_web_signatures(suites: Path, name: str) -> None:
    """Only ES256 and RS256 are ours; what else a vector calls valid is refused, and nothing it calls invalid is accepted."""
    accepted, refused = [], []
    for group, test in vectors(suites, name):
        known = key_set(group)
        token = test.get("jws")  # a vector for encryption has none
        if isinstance(token, str):
            (accepted if signed_payload(known, None, token) is not None else refused).append(test)
    assert [test["comment"] for test in accepted if test["result"] == "invalid"] == []
    ours = [test for test in (*accepted, *refused) if test["result"] == "valid" and algorithm_of(test["jws"]) in ID_TOKEN_ALGORITHMS]
    assert {test["comment"] for test in ours if test in refused} <= {"emptyPayload"}, "what we sign is never empty"
    assert accepted


def key_set(group: dict[str, Any]) -> dict[str, Any]:
    """What we would publish for the key of a group: each key with its id and the algorithm of its kind."""
    stated = group.get("public") or group["private"]
    keys = stated.get("keys", [stated])
    return {"keys": [{**key, "kid": key.get("kid"), "alg": key.get("alg")} for key in keys]}


def algorithm_of(token: str) -> str:
    header = token.partition(".")[0]
    found: str = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["alg"]
    return found


@pytest.mark.parametrize(("name", "algorithm"), [("aes_gcm", Algorithm.AES256), ("sm4_gcm", Algorithm.SM4)])
def test_authenticated_encryption(suites: Path, name: str, algorithm: Algorithm) -> None:
    """The product's nonces have 96 bits; vectors with others, and AES keys of other lengths, are not for it."""
    kind, outcomes = CIPHERS[algorithm], set()
    for group, test in vectors(suites, name):
        if group["ivSize"] != 96 or group["keySize"] != 8 * kind.octets:
            continue
        key, nonce, associated, message, ciphertext, tag = octets(*(test[one] for one in ("key", "iv", "aad", "msg", "ct", "tag")))
        cipher = kind.load(key)
        try:
            opened = cipher.decrypt(nonce, ciphertext + tag, associated)
        except InvalidTag:
            opened = None
        assert opened == (message if test["result"] == "valid" else None), test["comment"]
        assert test["result"] == "invalid" or cipher.encrypt(nonce, message, associated) == ciphertext + tag
        outcomes.add(test["result"])
    assert outcomes == {"valid", "invalid"}


@pytest.mark.parametrize(("name", "algorithm"), [("hmac_sha256", Algorithm.HMAC), ("hmac_sm3", Algorithm.HMAC_SM3)])
def test_message_authentication(suites: Path, name: str, algorithm: Algorithm) -> None:
    """Only whole tags are compared anywhere; a shortened one is the beginning of ours."""
    outcomes = set()
    for group, test in vectors(suites, name):
        key, message, tag = octets(test["key"], test["msg"], test["tag"])
        made = MACS[algorithm].load(key)(message)
        assert (made[: group["tagSize"] // 8] == tag) is (test["result"] == "valid"), test["comment"]
        outcomes.add(test["result"])
    assert outcomes == {"valid", "invalid"}


def test_what_no_part_of_the_product_accepts(suites: Path) -> None:
    """ML-DSA (no OID of it is known here) and encrypted JOSE objects (five parts; nothing here reads them)."""
    for group, test in vectors(suites, "mldsa_65_verify"):
        public = bytes.fromhex(group["publicKeyDer"]) if group.get("publicKeyDer") else b""
        assert not verify_signature(public, algorithm_identifier("2.16.840.1.101.3.4.3.18"), *octets(test["msg"], test["sig"]))
    for group, test in vectors(suites, "json_web_encryption"):
        assert signed_payload(key_set(group), None, str(test["jwe"])) is None
