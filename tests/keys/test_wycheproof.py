"""Project Wycheproof's vectors through the product's own functions: nothing false is accepted, whatever the spelling."""

import json
from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("ecdsa_secp256r1_sha256", algorithm_identifier(ECDSA_WITH_SHA256)),
        ("ecdsa_secp384r1_sha384", algorithm_identifier(ECDSA_WITH_SHA384)),
        ("ed25519", algorithm_identifier(ED25519)),
        ("rsa_signature_2048_sha256", algorithm_identifier(RSA_WITH_SHA256, NULL)),
        ("rsa_signature_3072_sha256", algorithm_identifier(RSA_WITH_SHA256, NULL)),
        ("rsa_signature_4096_sha256", algorithm_identifier(RSA_WITH_SHA256, NULL)),
        ("rsa_pss_2048_sha256_mgf1_32", algorithm_identifier(RSA_PSS, PSS_SHA256)),
        ("rsa_pss_3072_sha256_mgf1_32", algorithm_identifier(RSA_PSS, PSS_SHA256)),
    ],
)
def test_signatures(suites: Path, name: str, algorithm: bytes) -> None:
    falsely_accepted, falsely_refused, accepted = [], [], 0
    for group, test in vectors(suites, name):
        holds = verify_signature(bytes.fromhex(group["publicKeyDer"]), algorithm, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
        accepted += holds
        if holds and test["result"] == "invalid":
            falsely_accepted.append(test["tcId"])
        if not holds and test["result"] == "valid":
            falsely_refused.append((test["tcId"], test["comment"], group["publicKeyDer"][-20:]))
    assert falsely_accepted == []
    assert accepted
    assert falsely_refused == []
