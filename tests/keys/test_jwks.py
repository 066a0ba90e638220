"""Token signatures, read by joserfc."""

import asyncio
import json

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import func, select

from keys.custody.store import Algorithm, Purpose
from keys.jwks import SigningKey, SigningKeyNotFound, read_plan, sign_jws, thumbprint
from keys.models import SigningKeyRow, StoredKeyRow
from keys.rotation import ensure_signing_keys


@pytest.fixture
async def plan(database, keystore, clock):
    await ensure_signing_keys(database, keystore, clock)
    async with database.session() as session:
        return await read_plan(session)


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
async def test_joserfc_verifies_with_the_published_set(plan, keystore, clock, alg):
    key, published = plan.signing(alg, clock.now()), plan.published(clock.now())
    keys = KeySet.import_key_set(json.loads(json.dumps(published)))
    token = sign_jws(keystore, key, {"typ": "JWT"}, b'{"sub":"somebody"}')
    seen = jws.deserialize_compact(token, keys, algorithms=[alg])
    assert seen.payload == b'{"sub":"somebody"}'
    assert seen.headers() == {"typ": "JWT", "alg": alg, "kid": key.kid}
    head, _, tail = token.split(".")
    forged = f"{head}.eyJzdWIiOiJzb21lYm9keSBlbHNlIn0.{tail}"
    with pytest.raises(Exception, match="bad_signature"):
        jws.deserialize_compact(forged, keys, algorithms=[alg])


async def test_the_set_is_public_and_complete(plan, clock):
    published = plan.published(clock.now())["keys"]
    assert sorted(key["alg"] for key in published) == ["ES256", "RS256"]
    for key in published:
        members = {"kty", "use", "alg", "kid"} | ({"crv", "x", "y"} if key["kty"] == "EC" else {"n", "e"})
        assert set(key) == members
        assert key["use"] == "sig"


async def test_kid_is_the_rfc_7638_thumbprint(plan, clock):
    for key in plan.published(clock.now())["keys"]:
        single = KeySet.import_key_set({"keys": [{name: value for name, value in key.items() if name != "kid"}]}).keys[0]
        assert single.thumbprint() == key["kid"]


async def test_es256_is_always_64_octets(plan, keystore, clock):
    """A DER signature's length varies; leading zeros of r and s must stay."""
    key, published = plan.signing("ES256", clock.now()), plan.published(clock.now())
    keys = KeySet.import_key_set(published)
    for turn in range(300):  # about one in 128 has a leading zero octet
        token = sign_jws(keystore, key, {}, str(turn).encode())
        assert len(token.rsplit(".", 1)[1]) == 86
        assert jws.deserialize_compact(token, keys, algorithms=["ES256"]).payload == str(turn).encode()
    assert keystore._signer.cache_info().misses == 1, "the key is loaded once"


async def test_the_header_cannot_name_another_algorithm(plan, keystore, clock):
    key = plan.signing("ES256", clock.now())
    token = sign_jws(keystore, key, {"alg": "none", "kid": "x"}, b"")
    assert jws.extract_compact(token.encode()).headers() == {"alg": "ES256", "kid": key.kid}


async def test_a_key_for_seals_signs_no_token(keystore, clock):
    seal = keystore.generate(Algorithm.P256, Purpose.SEALS)
    with pytest.raises(Exception, match="KEY_PURPOSE_MISMATCH"):
        sign_jws(keystore, SigningKey("k", "ES256", seal, clock.now(), clock.now()), {}, b"")


async def test_ensuring_twice_and_at_once_makes_one_pair(database, keystore, clock):
    await asyncio.gather(*(ensure_signing_keys(database, keystore, clock) for _ in range(3)))
    await ensure_signing_keys(database, keystore, clock)
    async with database.session() as session:
        assert await session.scalar(select(func.count()).select_from(SigningKeyRow)) == 2
        assert await session.scalar(select(func.count()).select_from(StoredKeyRow)) == 2


def test_thumbprint_agrees_with_joserfc():
    key = ECKey.generate_key("P-256", private=True)
    assert thumbprint(key.as_der(private=False)) == key.thumbprint()


@pytest.mark.parametrize("alg", ["HS256", "none", "", "ES384"])
async def test_other_algorithms_have_no_key(plan, clock, alg):
    with pytest.raises(SigningKeyNotFound) as refused:
        plan.signing(alg, clock.now())
    assert refused.value.code == "SIGNING_KEY_NOT_FOUND"
