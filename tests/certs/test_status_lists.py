"""From issuing to the lists and keys that verifiers take along, over HTTP, by the command line and by outsiders' libraries."""

import base64
import datetime as dt
import json
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import select

from api.app import create_app
from api.offline_trust import read_offline_trust
from api.wiring import House
from certs import code_keys
from certs.approvals import Outcome
from certs.code_models import StatusEntryRow
from certs.issuance import approve
from certs.offline_code import decode_offline
from certs.offline_verdict import believed_list, judge_offline
from certs.standing import change_standing
from certs.token_status import CWT_TYPE
from keys.base import cbor
from keys.pki.authority import trust_bundle
from keys.trust.documents import verify_list
from seal.verdict import Indication
from tests.certs.conftest import City
from tests.pages_house import open_test_house


@dataclass
class Issued:
    """A certificate issued by a house that answers over HTTP."""

    city: City
    house: House
    client: httpx2.AsyncClient
    outcome: Outcome
    text: str
    roots: bytes

    async def get(self, path: str, accept: str = "*/*", **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers={"Accept": accept, **headers})

    async def verdict(self) -> Any:
        """The verdict of somebody who fetched everything now."""
        signed, cwt = (await self.get("/pki/code-keys")).content, (await self.get("/status-lists/1", CWT_TYPE)).content
        now = self.house.clock.now()
        return judge_offline(self.text, read_offline_trust([self.roots], [signed], [cwt], now), now)


@pytest.fixture
async def issued(city: City, redis_url: str, workers: Any, keystore: Any, clock: Any, tmp_path: Path) -> AsyncIterator[Issued]:
    database = city.issuing.database
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as house:
        outcome = await approve(city.issuing, city.client, city.approval(), "key-1")
        async with database.session() as session:
            text = await session.scalar(select(StatusEntryRow.offline_text).where(StatusEntryRow.certificate_id == outcome.id))
            roots = (await trust_bundle(session)).encode()
        transport = httpx2.ASGITransport(create_app(house), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=house.base_url) as client:
            yield Issued(city, house, client, outcome, text or "", roots)


async def test_a_certificates_code_holds_until_it_is_suspended_and_after_it_is_resumed(issued: Issued, clock: Any) -> None:
    said = decode_offline(issued.text).code
    assert (said.identifier, said.verification_code) == (issued.outcome.identifier, issued.outcome.verification_code)
    assert (await issued.verdict()).indication is Indication.TOTAL_PASSED
    for move, expected in (("suspend", "SUSPENDED"), ("resume", None), ("revoke", "REVOKED")):
        await change_standing(issued.house.database, clock, issued.city.client, issued.outcome.id, move, "核查")
        clock.advance(seconds=11)
        assert (await issued.verdict()).sub_indication == expected, move


async def test_no_number_of_a_person_stands_in_any_code(city: City) -> None:
    for number in range(3):
        approval = city.approval(number)
        outcome = await approve(city.issuing, city.client, approval, f"key-{number}")
        async with city.issuing.database.session() as session:
            row = await session.get_one(StatusEntryRow, outcome.id)
        code = decode_offline(row.offline_text or "").code
        assert len(code.holders) == len(approval.holders)
        for said, holder in zip(code.holders, approval.holders, strict=True):
            if holder.code_type == "111":
                assert said.code[3:-4] == "*" * (len(holder.code) - 7)
                assert said.name == holder.name[:1] + "*" * (len(holder.name) - 1)
                assert holder.code not in repr(code)


async def test_an_outsiders_jwt_library_reads_the_list(issued: Issued, clock: Any) -> None:
    await change_standing(issued.house.database, clock, issued.city.client, issued.outcome.id, "suspend", "核查")
    answer = await issued.get("/status-lists/1")
    assert answer.headers["content-type"] == "application/statuslist+jwt"
    jwks = await _jwks(issued)
    token = jwt.decode(answer.text, jwks, algorithms=["ES256"])
    assert token.header["typ"] == "statuslist+jwt"
    assert token.claims["sub"] == f"{issued.house.base_url}/status-lists/1"
    assert token.claims["exp"] - token.claims["iat"] == 86_400
    assert token.claims["ttl"] == 300
    lst = token.claims["status_list"]["lst"]
    octets = zlib.decompress(base64.urlsafe_b64decode(lst + "=" * (-len(lst) % 4)))
    assert (token.claims["status_list"]["bits"], len(octets) * 4) == (2, 2_097_152)
    index = decode_offline(issued.text).code.status.index
    assert octets[index // 4] >> (index % 4) * 2 & 3 == 2
    assert sum(map(bool, octets)) == 1


async def _jwks(issued: Issued) -> KeySet:
    found = (await issued.get("/.well-known/openid-configuration")).json()["jwks_uri"]
    return KeySet.import_key_set((await issued.get(found.removeprefix(issued.house.base_url))).json())


async def test_both_forms_agree_are_cached_and_sent_small(issued: Issued) -> None:
    cwt = await issued.get("/status-lists/1", CWT_TYPE)
    assert cwt.headers["content-type"] == CWT_TYPE
    claims = cbor.decode(cbor.decode(cwt.content[1:])[2])
    assert claims[2] == f"{issued.house.base_url}/status-lists/1"
    assert (claims[4] - claims[6], claims[65534]) == (86_400, 300)
    again = await issued.get("/status-lists/1", CWT_TYPE, **{"If-None-Match": cwt.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "max-age=300" in cwt.headers["cache-control"]
    assert (await issued.get("/status-lists")).json() == {"status_lists": [f"{issued.house.base_url}/status-lists/1"]}
    for unknown in ("2", "0", "x", "99999999999999999999"):
        assert (await issued.get(f"/status-lists/{unknown}")).status_code == 404


async def test_places_are_random_and_never_given_twice(city: City) -> None:
    for number in range(4):
        await approve(city.issuing, city.client, city.approval(), f"key-{number}")
    async with city.issuing.database.session() as session:
        rows = list(await session.scalars(select(StatusEntryRow)))
    places = sorted(one.index for one in rows)
    assert len(set(places)) == 4
    assert {one.list for one in rows} == {1}
    assert places != list(range(places[0], places[0] + 4))


async def test_the_keys_are_published_three_times_and_say_the_same(issued: Issued) -> None:
    (key,) = cbor.decode((await issued.get("/.well-known/cose-keys")).content)
    kid = decode_offline(issued.text).kid
    assert (key[1], key[-1], key[2], key[3]) == (2, 1, kid, -7)
    listed = verify_list((await issued.get("/pki/trust-list")).content).list.code_keys
    assert [one["kid"] for one in listed] == [kid.hex()]
    now = issued.house.clock.now()
    trust_list = (await issued.get("/pki/trust-list")).content
    assert (
        read_offline_trust([trust_list], [], [], now).keys
        == read_offline_trust([], [(await issued.get("/pki/code-keys")).content], [], now).keys
    )


async def test_a_key_set_under_another_root_is_not_believed(issued: Issued, tmp_path: Path) -> None:
    signed, now = (await issued.get("/pki/code-keys")).content, issued.house.clock.now()
    other = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", tmp_path / "k", "-subj", "/CN=other"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert read_offline_trust([other], [signed], [], now).keys == ()
    assert read_offline_trust([issued.roots], [signed.replace(b"payload", b"Payload")], [], now).keys == ()
    assert read_offline_trust([issued.roots], [signed], [], now + dt.timedelta(days=31)).keys == ()
    assert len(read_offline_trust([issued.roots], [signed], [], now).keys) == 1


async def test_rotation_announces_and_compromise_takes_back(issued: Issued, clock: Any, keystore: Any) -> None:
    database = issued.house.database
    first, second = await code_keys.rotate(database, keystore, clock)
    assert (first.state(clock.now()), second.state(clock.now())) == ("active", "next")
    assert len(await code_keys.rotate(database, keystore, clock)) == 2
    clock.advance(days=3)
    assert (first.signs_until, second.state(clock.now())) == (second.signs_from, "active")
    assert (await issued.verdict()).indication is Indication.TOTAL_PASSED  # what the first key signed is believed still
    *taken, fresh = await code_keys.rotate(database, keystore, clock, at_once=True)
    assert {one.state(clock.now()) for one in taken} == {"compromised"}
    assert fresh.state(clock.now()) == "active"
    clock.advance(minutes=2)
    verdict = await issued.verdict()
    assert (verdict.indication, verdict.sub_indication) == (Indication.TOTAL_FAILED, "REVOKED_NO_POE")


async def test_the_next_key_is_announced_a_month_before_it_signs(issued: Issued, clock: Any, keystore: Any) -> None:
    clock.advance(days=340)
    async with issued.house.database.begin() as session:
        active = await code_keys.signing_key(session, keystore, clock.now())
        known = await code_keys.code_keys(session)
    assert [one.state(clock.now()) for one in known] == ["active", "next"]
    assert known[1].signs_from == active.signs_until


async def test_the_command_judges_a_code_without_a_socket(issued: Issued, tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    (home / "status-lists").mkdir(parents=True)
    (home / "trust.pem").write_bytes(issued.roots)
    (home / "code-keys.json").write_bytes((await issued.get("/pki/code-keys")).content)
    listed = (await issued.get("/status-lists/1", CWT_TYPE)).content
    (home / "status-lists" / "1.cwt").write_bytes(listed)
    at = (issued.house.clock.now() + dt.timedelta(hours=5)).isoformat()

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-c", "from api.cli import main; main()", "verify", "--json", "--offline", "--at", at, *arguments]
        done = subprocess.run(command, capture_output=True, env={"FUJIE_HOME": str(home), "PATH": "/usr/bin"}, timeout=120, check=False)
        return done.returncode, json.loads(done.stdout)

    code, answer = run("--qr", issued.text)
    assert (code, answer["kind"], answer["indication"]) == (0, "qr", "TOTAL_PASSED")
    assert answer["certificate"]["ZZBS"] == issued.outcome.identifier
    assert "5 h 0 min old" in json.dumps(answer)
    code, answer = run("--qr", issued.text, "--number", "another")
    assert (code, answer["indication"]) == (1, "TOTAL_FAILED")
    code, answer = run("--qr", f"{issued.house.base_url}/v/{issued.outcome.verification_code}")
    assert (code, answer["indication"]) == (2, "INDETERMINATE")
    assert (
        believed_list(
            listed, read_offline_trust([issued.roots], [(home / "code-keys.json").read_bytes()], [], issued.house.clock.now()).keys
        )[0]
        == 1
    )
