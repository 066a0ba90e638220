"""The time-stamping authority: what it promises in each token, and its answer to whatever is not a request."""

import asyncio
import contextlib
import datetime as dt
import hashlib

import pytest
from asn1crypto import core, tsp, x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import authority_certificate, establish
from keys.pki.status import revoke
from keys.time.authority import TimestampAuthority
from keys.time.errors import ClockUntrusted, TimestampInvalid
from keys.time.imprints import imprint_of
from keys.time.ledger import tell
from keys.time.reading import read_answer
from keys.time.request import Failure, Rejected, read_request, write_request
from keys.time.token import DEFAULT_POLICY, Promise
from keys.time.verification import Timestamp, verify_token
from tests.conftest import TestClock

DIGEST = hashlib.sha256(b"a document").digest()


class Stopped:
    """A guard that found the clock wrong."""

    def now(self) -> dt.datetime:
        raise ClockUntrusted("backwards", reason="backwards")


@pytest.fixture
async def authority(database: Database, keystore: SoftwareKeyStore, clock: TestClock) -> TimestampAuthority:
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    return TimestampAuthority(database, keystore, clock)


@pytest.fixture
async def root(authority: TimestampAuthority, database: Database) -> bytes:
    async with database.session() as session:
        return await authority_certificate(session, "root")


def asked(**changes: object) -> bytes:
    """A TimeStampReq by another hand."""
    request = {
        "version": 1,
        "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": DIGEST},
        "nonce": 7**20,
        "cert_req": True,
        **changes,
    }
    octets: bytes = tsp.TimeStampReq(request).dump()
    return octets


def failure(answer: bytes) -> str | None:
    """PKIFailureInfo as another hand reads it, or None where a token came."""
    parts = core.Sequence.load(answer, strict=True)  # asn1crypto's TimeStampResp wants a token in every answer
    info = tsp.PKIStatusInfo.load(parts[0].dump(), strict=True)
    if info["status"].native == "granted":
        return None
    assert len(parts) == 1
    assert info["status"].native == "rejection"
    assert info["status_string"].native
    (only,) = info["fail_info"].native
    return str(only)


async def test_a_token_says_what_was_asked_and_what_is_promised(authority: TimestampAuthority, clock: TestClock) -> None:
    clock.advance(milliseconds=120)
    response = tsp.TimeStampResp.load(await authority.respond(asked()), strict=True)
    signed = response["time_stamp_token"]["content"]
    info = signed["encap_content_info"]["content"].parsed
    assert info["policy"].native == DEFAULT_POLICY
    assert info["message_imprint"]["hashed_message"].native == DIGEST
    assert info["nonce"].native == 7**20
    assert info["gen_time"].native == clock.now()
    assert info["gen_time"].contents == b"20261121020000.12Z"
    assert info["accuracy"].native == {"seconds": 1, "millis": None, "micros": None}
    assert info["ordering"].native is True
    assert info["serial_number"].native.bit_length() > 64
    assert signed["version"].native == "v3"
    assert len(signed["certificates"]) == 2, "the signer's and its authority's; the root is known or worth nothing"


async def test_certificates_come_only_when_they_are_asked_for(authority: TimestampAuthority, root: bytes) -> None:
    response = tsp.TimeStampResp.load(await authority.respond(asked(cert_req=False)))
    token = response["time_stamp_token"]
    assert token["content"]["certificates"].native is None
    with pytest.raises(TimestampInvalid, match="not there"):
        verify_token(token.dump(), imprint_of(DIGEST, "sha256"), [root])


async def test_no_two_tokens_share_a_number_or_an_instant_whoever_makes_them(
    authority: TimestampAuthority, database: Database, keystore: SoftwareKeyStore, clock: TestClock, root: bytes
) -> None:
    other = TimestampAuthority(database, keystore, clock)
    tokens = await asyncio.gather(*(one.stamp(DIGEST) for _ in range(20) for one in (authority, other)))
    facts = [verify_token(token, imprint_of(DIGEST, "sha256"), [root]) for token in tokens]
    assert len({one.serial for one in facts}) == len({one.instant for one in facts}) == 40
    assert all(one.instant - clock.now() < dt.timedelta(milliseconds=250) for one in facts)


async def test_every_accepted_hash_is_stamped(authority: TimestampAuthority, root: bytes) -> None:
    for algorithm, size in {"sha256": 32, "sha384": 48, "sha512": 64, "sm3": 32}.items():
        found = verify_token(await authority.stamp(b"d" * size, algorithm), imprint_of(b"d" * size, algorithm), [root])
        assert found.accuracy == dt.timedelta(seconds=1)
        assert "time stamps" in found.signer


IMPRINT_OF_SHA1 = {"hash_algorithm": {"algorithm": "sha1"}, "hashed_message": b"s" * 20}
SHORT = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": DIGEST[:31]}
NULL, EMPTY = b"\x05\x00\x04\x20", b"\x04\x00\x04\x20"
EXTENSION = [{"extn_id": "1.2.3.4", "critical": False, "extn_value": b"\x05\x00"}]


REFUSED = [
    (asked(message_imprint=IMPRINT_OF_SHA1), "bad_alg"),
    (asked().replace(NULL, EMPTY), "bad_alg"),
    (asked(message_imprint=SHORT), "bad_data_format"),
    (asked(req_policy="1.2.3.4.5"), "unaccepted_policy"),
    (asked(extensions=EXTENSION), "unaccepted_extensions"),
    (asked(version=2), "bad_request"),
    (asked()[:-1], "bad_data_format"),
    (asked() + b"\0", "bad_data_format"),
    (asked(nonce=1 << 600), "bad_data_format"),
    (b"", "bad_data_format"),
    (b"\x30\x80\x02\x01\x01\x00\x00", "bad_data_format"),
    (b"\x30\x00", "bad_data_format"),
    (b"GET / HTTP/1.1", "bad_data_format"),
    (b"\0" * 5000, "bad_data_format"),
]


async def test_what_is_no_request_gets_the_protocols_own_refusal(authority: TimestampAuthority) -> None:
    for octets, expected in REFUSED:
        assert (failure(await authority.respond(octets)), octets) == (expected, octets)
    assert authority.ledger.tokens == 0


async def test_the_policy_may_be_asked_for_by_name(authority: TimestampAuthority) -> None:
    assert failure(await authority.respond(asked(req_policy=DEFAULT_POLICY))) is None


async def test_no_stamp_while_the_clock_is_in_doubt(authority: TimestampAuthority, database: Database, keystore: SoftwareKeyStore) -> None:
    stopped = TimestampAuthority(database, keystore, Stopped())
    assert failure(await stopped.respond(asked())) == "time_not_available"
    with pytest.raises(ClockUntrusted):
        await stopped.stamp(DIGEST)


async def test_an_earlier_instant_than_one_that_was_stamped_is_never_stamped(authority: TimestampAuthority, clock: TestClock) -> None:
    await authority.stamp(DIGEST)
    clock.advance(hours=-1)
    authority._signer = None  # another process, started with the wrong clock
    assert failure(await authority.respond(asked())) in {"time_not_available", "system_failure"}


async def test_without_an_authority_for_it_nothing_is_stamped(database: Database, keystore: SoftwareKeyStore, clock: TestClock) -> None:
    assert failure(await TimestampAuthority(database, keystore, clock).respond(asked())) == "system_failure"


async def test_a_database_that_is_away_is_answered_in_the_protocol(keystore: SoftwareKeyStore, clock: TestClock) -> None:
    away = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    assert failure(await TimestampAuthority(away, keystore, clock).respond(asked())) == "system_failure"
    await away.close()


async def test_the_signer_is_renewed_when_half_of_its_time_is_gone(
    authority: TimestampAuthority, database: Database, clock: TestClock, root: bytes
) -> None:
    first = await _stamped(authority, root)
    assert (await _stamped(authority, root)).path == first.path
    clock.advance(days=914)
    second = await _stamped(authority, root)
    assert second.path[0] != first.path[0]
    async with database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM keys.timestamp_signers")) == 2


async def test_two_processes_make_one_signer(authority: TimestampAuthority, database: Database, keystore: SoftwareKeyStore) -> None:
    others = [TimestampAuthority(database, keystore, authority._clock) for _ in range(5)]
    await asyncio.gather(*(one.stamp(DIGEST) for one in others))
    async with database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM keys.timestamp_signers")) == 1


async def test_a_revoked_signer_makes_room_for_another(
    authority: TimestampAuthority, database: Database, clock: TestClock, root: bytes
) -> None:
    first = await _stamped(authority, root)
    clock.advance(hours=1)
    async with database.begin() as session:
        await revoke(session, clock.now(), x509.Certificate.load(first.path[0]).serial_number, "key_compromise")
    authority._ask_again = 0.0
    assert (await _stamped(authority, root)).path[0] != first.path[0]


async def _stamped(authority: TimestampAuthority, root: bytes) -> Timestamp:
    return verify_token(await authority.stamp(DIGEST), imprint_of(DIGEST, "sha256"), [root])


async def test_what_was_done_is_told_in_numbers(authority: TimestampAuthority, database: Database, clock: TestClock) -> None:
    await authority.respond(asked())
    await authority.stamp(DIGEST)
    await authority.respond(asked(message_imprint=IMPRINT_OF_SHA1))
    await tell(database, clock.now(), authority.ledger)
    await tell(database, clock.now(), authority.ledger)
    async with database.session() as session:
        bodies = (
            await session.scalars(text("SELECT convert_from(body, 'UTF8') FROM keys.audit_events WHERE action='keys.time.stamped'"))
        ).all()
    assert len(bodies) == 1
    assert '"tokens":2' in bodies[0]
    assert '"bad_alg":1' in bodies[0]


async def test_the_promise_may_be_another(database: Database, keystore: SoftwareKeyStore, clock: TestClock) -> None:
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    promise = Promise("1.3.6.1.4.1.99999.1", dt.timedelta(milliseconds=1500), ordering=False)
    response = tsp.TimeStampResp.load(await TimestampAuthority(database, keystore, clock, promise).respond(asked()))
    info = response["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
    assert info["policy"].native == promise.policy
    assert info["accuracy"].native == {"seconds": 1, "millis": 500, "micros": None}
    assert info["ordering"].native is False


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_are_a_request_or_refused(octets: bytes) -> None:
    with pytest.raises(Rejected) as refusal:
        read_request(octets)
    assert refusal.value.failure in Failure


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_request_with_any_octet_changed_is_read_or_refused(place: int, value: int) -> None:
    octets = bytearray(asked())
    octets[place % len(octets)] = value
    with contextlib.suppress(Rejected):
        read = read_request(bytes(octets))
        assert tsp.MessageImprint.load(read.imprint, strict=True)["hashed_message"].native


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_octets_are_a_token_or_refused(octets: bytes) -> None:
    with pytest.raises(TimestampInvalid):
        verify_token(octets, imprint_of(DIGEST, "sha256"), [octets])
    with pytest.raises(ValueError, match=r"."):
        read_answer(octets)


@given(st.integers(0, 1 << 64), st.booleans())
def test_what_we_ask_is_read_the_same_by_another_hand(nonce: int, named: bool) -> None:
    octets = write_request(imprint_of(DIGEST, "sha256"), nonce, DEFAULT_POLICY if named else None)
    request = tsp.TimeStampReq.load(octets, strict=True).native
    assert request["nonce"] == nonce
    assert request["cert_req"] is True
    assert request["req_policy"] == (DEFAULT_POLICY if named else None)
    assert request["message_imprint"]["hashed_message"] == DIGEST
    assert read_request(octets).certificates
