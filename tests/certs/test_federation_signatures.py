"""Signed messages: an outsider's library agrees with what we sign, and every change of a message is seen."""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.federation import (
    MOVES,
    CardMalformed,
    MessageKey,
    PeerMove,
    PeerMoveNotAllowed,
    PeerStatus,
    is_address,
    markdown,
    read_card,
    target,
)
from certs.federation_signatures import (
    PATIENCE,
    SignatureRefused,
    claimed_answer,
    claimed_request,
    sign_answer,
    sign_request,
    verify_answer,
    verify_request,
)
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose, StoredKey

TARGET = "https://exchange.example:8443/federation/v1/statuses"
BODY = b'{"after":0}'
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
KINDS = {Algorithm.P256: algorithms.ECDSA_P256_SHA256, Algorithm.ED25519: algorithms.ED25519}


@dataclass
class Message:
    """What the outsider reads."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answered:
    status_code: int
    headers: dict[str, str]
    body: bytes
    request: Message
    url: str = TARGET


class Resolver(HTTPSignatureKeyResolver):  # type: ignore[misc]
    def __init__(self, key: MessageKey) -> None:
        self.key = key

    def resolve_public_key(self, key_id: str) -> Any:
        assert key_id == self.key.kid
        return load_der_public_key(self.key.public)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SoftwareKeyStore:
    return SoftwareKeyStore.create(tmp_path_factory.mktemp("keys") / "kek")


def made(store: SoftwareKeyStore, algorithm: Algorithm = Algorithm.P256) -> tuple[MessageKey, StoredKey]:
    key = store.generate(algorithm, Purpose.FEDERATION)
    return MessageKey.of(key.public), key


def request_of(store: SoftwareKeyStore, public: MessageKey, key: StoredKey) -> dict[str, str]:
    return sign_request(TARGET, BODY, NOW, public, lambda octets: store.sign(key, octets, Purpose.FEDERATION))


@pytest.mark.parametrize("algorithm", KINDS)
def test_an_outsider_verifies_request_and_answer(store: SoftwareKeyStore, algorithm: Algorithm) -> None:
    public, key = made(store, algorithm)
    headers = request_of(store, public, key)
    verifier = HTTPMessageVerifier(signature_algorithm=KINDS[algorithm], key_resolver=Resolver(public))
    message = Message("POST", TARGET, headers, BODY)
    (result,) = verifier.verify(message, expect_tag="fujie-federation", body=BODY)
    assert set(result.covered_components) - {'"@signature-params"'} == {'"@method"', '"@target-uri"', '"content-type"', '"content-digest"'}
    answer = b'{"entries":[]}'
    signed = sign_answer(200, answer, headers, NOW, public, lambda octets: store.sign(key, octets, Purpose.FEDERATION))
    (result,) = verifier.verify(Answered(200, signed, answer, message), expect_tag="fujie-federation", body=answer)
    assert '"signature";req;key="sig"' in set(result.covered_components)


@pytest.mark.parametrize("algorithm", [Algorithm.P256, Algorithm.ED25519, Algorithm.SM2])
def test_every_change_is_seen(store: SoftwareKeyStore, algorithm: Algorithm) -> None:
    public, key = made(store, algorithm)
    headers = request_of(store, public, key)
    claimed = claimed_request(headers)
    verify_request(claimed, TARGET, headers, BODY, public, NOW)
    another, _ = made(store, algorithm)
    wrong: list[tuple[str, dict[str, str], bytes, MessageKey, dt.datetime]] = [
        (TARGET + "/", headers, BODY, public, NOW),
        (TARGET, headers, BODY + b" ", public, NOW),
        (TARGET, headers | {"content-type": "text/plain"}, BODY, public, NOW),
        (TARGET, headers, BODY, another, NOW),
        (TARGET, headers, BODY, public, NOW + PATIENCE + dt.timedelta(seconds=1)),
        (TARGET, headers, BODY, public, NOW - PATIENCE - dt.timedelta(seconds=1)),
    ]
    for target_uri, its, body, by, now in wrong:
        with pytest.raises(SignatureRefused):
            verify_request(claimed, target_uri, its, body, by, now)
    flipped = bytes([claimed.signature[0] ^ 1]) + claimed.signature[1:]
    with pytest.raises(SignatureRefused):
        verify_request(replace(claimed, signature=flipped), TARGET, headers, BODY, public, NOW)


def test_an_answer_answers_its_request_only(store: SoftwareKeyStore) -> None:
    public, key = made(store)
    first, second = request_of(store, public, key), request_of(store, public, key)
    signed = sign_answer(200, BODY, first, NOW, public, lambda octets: store.sign(key, octets, Purpose.FEDERATION))
    claimed = claimed_answer(signed)
    verify_answer(claimed, 200, signed, BODY, first, public, NOW)
    for status, request in ((200, second), (201, first)):
        with pytest.raises(SignatureRefused):
            verify_answer(claimed, status, signed, BODY, request, public, NOW)
    with pytest.raises(SignatureRefused):
        claimed_request(signed)


@given(st.text(max_size=300), st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_whatever_the_headers_are(parameters: str, signature: str) -> None:
    with pytest.raises(SignatureRefused):
        claimed_request({"signature-input": parameters, "signature": signature})


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_whatever_a_card_is(octets: bytes) -> None:
    with pytest.raises(CardMalformed):
        read_card(octets)


def test_addresses() -> None:
    good = ("https://a.example", "https://a.example:8443", "https://10.1.2.3:8443", "https://[::1]:8443")
    wrong = ("http://a", "https://", "https://a/", "https://u@a", "https://a?x", "https://a:99999", "https://A", "https://a#b", "a:8443")
    assert [is_address(one) for one in good] == [True] * len(good)
    assert [is_address(one) for one in wrong] == [False] * len(wrong)


def test_the_table_of_moves_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "federation.md").read_text(encoding="utf-8")
    assert markdown() in page
    for step, rule in MOVES.items():
        for status in (None, *PeerStatus):
            if (status in rule.sources) if status else not rule.sources:
                assert target(status, step) is rule.target
            else:
                with pytest.raises(PeerMoveNotAllowed):
                    target(status, step)
    assert MOVES[PeerMove.APPROVE].other_than is PeerMove.PROPOSE
