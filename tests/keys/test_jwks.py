"""Token signatures, read by joserfc."""

import asyncio
import json

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import func, select, update

from keys.custody.store import Algorithm, Purpose
from keys.jwks import SigningKey, SigningKeyNotFound, ensure_signing_keys, public_jwks, sign_jws, signing_key, thumbprint
from keys.models import SigningKeyRow, StoredKeyRow


@pytest.fixture
async def issuer(database, keystore, clock):
    await ensure_signing_keys(database, keystore, clock)
    return database


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
async def test_joserfc_verifies_with_the_published_set(issuer, keystore, alg):
    async with issuer.session() as session:
        key, published = await signing_key(session, alg), await public_jwks(session)
    keys = KeySet.import_key_set(json.loads(json.dumps(published)))
    token = sign_jws(keystore, key, {"typ": "JWT"}, b'{"sub":"somebody"}')
    seen = jws.deserialize_compact(token, keys, algorithms=[alg])
    assert seen.payload == b'{"sub":"somebody"}'
    assert seen.headers() == {"typ": "JWT", "alg": alg, "kid": key.kid}
    head, _, tail = token.split(".")
    forged = f"{head}.eyJzdWIiOiJzb21lYm9keSBlbHNlIn0.{tail}"
    with pytest.raises(Exception, match="bad_signature"):
        jws.deserialize_compact(forged, keys, algorithms=[alg])


async def test_the_set_is_public_and_complete(issuer):
    async with issuer.session() as session:
        published = (await public_jwks(session))["keys"]
    assert sorted(key["alg"] for key in published) == ["ES256", "RS256"]
    for key in published:
        members = {"kty", "use", "alg", "kid"} | ({"crv", "x", "y"} if key["kty"] == "EC" else {"n", "e"})
        assert set(key) == members
        assert key["use"] == "sig"


async def test_kid_is_the_rfc_7638_thumbprint(issuer):
    async with issuer.session() as session:
        for key in (await public_jwks(session))["keys"]:
            single = KeySet.import_key_set({"keys": [{name: value for name, value in key.items() if name != "kid"}]}).keys[0]
            assert single.thumbprint() == key["kid"]


async def test_es256_is_always_64_octets(issuer, keystore):
    """A DER signature's length varies; leading zeros of r and s must stay."""
    async with issuer.session() as session:
        key, published = await signing_key(session, "ES256"), await public_jwks(session)
    keys = KeySet.import_key_set(published)
    for turn in range(300):  # about one in 128 has a leading zero octet
        token = sign_jws(keystore, key, {}, str(turn).encode())
        assert len(token.rsplit(".", 1)[1]) == 86
        assert jws.deserialize_compact(token, keys, algorithms=["ES256"]).payload == str(turn).encode()
    assert keystore._signer.cache_info().misses == 1, "the key is loaded once"


async def test_the_header_cannot_name_another_algorithm(issuer, keystore):
    async with issuer.session() as session:
        key = await signing_key(session, "ES256")
    token = sign_jws(keystore, key, {"alg": "none", "kid": "x"}, b"")
    assert jws.extract_compact(token.encode()).headers() == {"alg": "ES256", "kid": key.kid}


async def test_a_key_for_seals_signs_no_token(keystore):
    seal = keystore.generate(Algorithm.P256, Purpose.SEALS)
    with pytest.raises(Exception, match="KEY_PURPOSE_MISMATCH"):
        sign_jws(keystore, SigningKey("k", "ES256", seal), {}, b"")


async def test_ensuring_twice_and_at_once_makes_one_pair(database, keystore, clock):
    await asyncio.gather(*(ensure_signing_keys(database, keystore, clock) for _ in range(3)))
    await ensure_signing_keys(database, keystore, clock)
    async with database.session() as session:
        assert await session.scalar(select(func.count()).select_from(SigningKeyRow)) == 2
        assert await session.scalar(select(func.count()).select_from(StoredKeyRow)) == 2


async def test_retired_keys_are_replaced_and_no_longer_published(issuer, keystore, clock):
    async with issuer.begin() as session:
        old = await signing_key(session, "ES256")
        await session.execute(update(SigningKeyRow).where(SigningKeyRow.kid == old.kid).values(retired_at=clock.now()))
    async with issuer.session() as session:
        with pytest.raises(SigningKeyNotFound) as refused:
            await signing_key(session, "ES256")
    assert refused.value.code == "SIGNING_KEY_NOT_FOUND"
    await ensure_signing_keys(issuer, keystore, clock)
    async with issuer.session() as session:
        new, published = await signing_key(session, "ES256"), await public_jwks(session)
    assert new.kid != old.kid
    assert old.kid not in {key["kid"] for key in published["keys"]}


def test_thumbprint_agrees_with_joserfc():
    key = ECKey.generate_key("P-256", private=True)
    assert thumbprint(key.as_der(private=False)) == key.thumbprint()


@pytest.mark.parametrize("alg", ["HS256", "none", "", "ES384"])
async def test_other_algorithms_have_no_key(issuer, alg):
    async with issuer.session() as session:
        with pytest.raises(SigningKeyNotFound):
            await signing_key(session, alg)
