"""A city and its province over real mutual TLS, with two databases: what they tell each other, and what they refuse."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api import federation_channel
from api.embedded import Addresses
from certs import federation_asking
from certs.catalogue import SharingClass, definition_digest
from certs.federation import Level, PeerMove, PeerSamePerson, PeerUnreachable
from certs.federation_asking import PeerAnswer, Wanted, ask_peers
from certs.federation_catalogue import PeerTypeUnknown, adopt, types_of_peers
from certs.federation_feed import changes, sequence, told_of
from certs.federation_holders import key_with, renew_half
from certs.federation_keys import rotate
from certs.federation_messages import Incoming, ask, receive
from certs.federation_peers import Proposed, move, propose
from certs.federation_sync import HANDLERS, forget
from certs.lifecycle import Standing
from certs.matter_papers import Enough, Paper, put_papers
from certs.reads import put_types
from certs.sharing import Want
from certs.sharing_reasons import SharingRefused
from certs.standing import change_standing
from keys.base.actor import SYSTEM
from keys.base.clock import civil_date
from keys.base.errors import FujieError
from keys.custody.software import SoftwareKeyStore
from tests.certs.catalogue_people import HAWKER, HOUSING, MARKET, WRITER
from tests.certs.instances import ANNE, BERT, Instance, Two, prepared
from tests.certs.sharing_people import CLIENT, COMPANY, FOOD, LICENCE, OTHER, OWNERSHIP, SAFETY
from tests.conftest import TestClock

PROVINCIAL = "template_province"
NUMBER = "990100197003131003"
PURPOSE = "审查食品经营许可申请"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is slow, not away; who does not listen refuses at once."""
    monkeypatch.setattr(federation_asking, "SECONDS", 100.0)
    monkeypatch.setattr(federation_channel, "SECONDS", 100.0)


@pytest.fixture(scope="session")
def two(servers: Addresses, key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Two:
    return prepared(servers, key_file, tmp_path_factory.mktemp("two"))


@dataclass(frozen=True)
class Pair:
    city: Instance
    province: Instance


@pytest.fixture
async def alone(two: Two, keystore: SoftwareKeyStore, clock: TestClock) -> AsyncIterator[Pair]:
    """They do not know each other."""
    async with two.open(keystore, clock, agreed=False) as (city, province):
        yield Pair(city, province)


@pytest.fixture
async def silent(two: Two, keystore: SoftwareKeyStore, clock: TestClock) -> AsyncIterator[Pair]:
    """They agreed, and nobody listens yet."""
    async with two.open(keystore, clock, agreed=True) as (city, province):
        yield Pair(city, province)


@pytest.fixture
async def pair(silent: Pair) -> AsyncIterator[Pair]:
    """They agreed, and the city listens."""
    async with silent.city.listen():
        yield silent


async def standing_there(instance: Instance, identifier: object) -> Standing | None:
    """What the instance knows of a certificate of the other."""
    async with instance.database.session() as session:
        told = await told_of(session, str(identifier))
    return told[0].standing(civil_date(instance.exchange.library.clock.now())) if told else None


async def level(city: Instance, province: Instance) -> None:
    await city.order()
    turn = await province.turn()
    assert turn.problem is None, turn.problem
    await city.order()


async def test_statuses_spread_and_an_outage_is_caught_up_with(alone: Pair) -> None:
    city, province = alone.city, alone.province
    before = await city.stage.hold(LICENCE, issuer=MARKET)
    await city.register(await province.card(), Level.UPPER)
    await province.register(await city.card(), Level.LOWER)
    async with city.listen():
        await level(city, province)
        assert await standing_there(province, before) is Standing.IN_FORCE, "what stood there before the first peer came"
    held = [await city.stage.hold(LICENCE, issuer=MARKET) for _ in range(3)]
    await change_standing(city.database, city.exchange.library.clock, SYSTEM, before, "revoke", "注销登记")
    await city.order()
    assert (await province.turn()).problem == "FEDERATION_PEER_UNREACHABLE"
    assert await province.stage.audited("certs.federation.turn", "failed") == 1
    assert (await province.turn()).problem == "FEDERATION_PEER_UNREACHABLE"
    assert await province.stage.audited("certs.federation.turn", "failed") == 1, "said once, while it lasts"
    assert await standing_there(province, before) is Standing.IN_FORCE
    async with city.listen():
        turn = await province.turn()
        assert (turn.problem, turn.statuses) == (None, 4)
        assert (await province.turn()).statuses == 0, "nothing twice"
    assert await standing_there(province, before) is Standing.REVOKED
    assert [await standing_there(province, one) for one in held] == [Standing.IN_FORCE] * 3


async def test_an_entry_says_nothing_of_its_holder(pair: Pair) -> None:
    city, province = pair.city, pair.province
    await city.stage.hold(LICENCE, issuer=MARKET, holder=NUMBER, kind="111")
    await city.stage.hold(LICENCE, issuer=MARKET, identifier=NUMBER, holder=NUMBER, kind="111")
    await level(city, province)
    assert await province.stage.count("SELECT count(*) FROM certs.federation_statuses") == 1, "an identifier that is a number is not told"
    (row,) = await _rows(province, "SELECT * FROM certs.federation_statuses")
    assert not {NUMBER, "示范餐饮有限公司", "示范路一号"} & {str(value) for value in row}


async def _rows(instance: Instance, query: str) -> list[Any]:
    async with instance.database.session() as session:
        return list(await session.execute(text(query)))


async def test_a_peer_speaks_for_its_own_divisions_only(pair: Pair) -> None:
    city, province = pair.city, pair.province
    foreign = await city.stage.hold(LICENCE, issuer="11990200MB0000012T")
    own = await city.stage.hold(LICENCE, issuer=MARKET)
    await city.order()
    turn = await province.turn()
    assert (turn.problem, turn.statuses, turn.refused) == (None, 1, 1)
    assert (await standing_there(province, foreign), await standing_there(province, own)) == (None, Standing.IN_FORCE)
    assert await province.stage.audited("certs.federation.statuses", "refused") == 1


async def test_a_change_that_commits_late_is_not_missed(pair: Pair) -> None:
    city, province = pair.city, pair.province
    async with city.database.begin() as late:
        early = await city.stage.hold(LICENCE, issuer=MARKET)
        await late.execute(text("UPDATE certs.certificates SET status = '02' WHERE id = :id"), {"id": early})
        second = await city.stage.hold(LICENCE, issuer=MARKET)
        await level(city, province)
        assert await standing_there(province, second) is Standing.IN_FORCE
        assert await standing_there(province, early) is Standing.IN_FORCE
    await level(city, province)
    assert await standing_there(province, early) is Standing.SUSPENDED


async def test_without_peers_nothing_is_queued(alone: Pair) -> None:
    city = alone.city
    await city.stage.hold(LICENCE, issuer=MARKET)
    assert await city.stage.count("SELECT count(*) FROM certs.federation_queue") == 0
    assert await sequence(city.exchange.library, city.exchange.keystore) == 0
    async with city.database.session() as session:
        assert await changes(session, 0) == ((), 0, False)


async def test_catalogues_are_exchanged_whole_and_by_difference(pair: Pair) -> None:
    city, province = pair.city, pair.province
    await level(city, province)
    async with city.database.begin() as session:
        await put_types(session, city.exchange.library.clock.now(), [HAWKER])
    assert (await province.turn()).types == 1
    assert (await province.turn()).types == 0
    async with province.database.session() as session:
        (told,) = await types_of_peers(session, "小餐饮")
        assert definition_digest(told.kind) == definition_digest(HAWKER)
        assert told.kind.sharing.sharing_class is SharingClass.UNCONDITIONAL
    peer = await province.peer()
    clock = province.exchange.library.clock
    kept = await adopt(province.database, clock, WRITER, peer.id, HAWKER.code)
    assert (kept.code, kept.version) == (HAWKER.code, 1)
    with pytest.raises(PeerTypeUnknown):
        await adopt(province.database, clock, WRITER, peer.id, "11990100MB0000035A999")
    async with city.database.begin() as session:
        await session.execute(text("UPDATE certs.type_versions SET status = 'retired' WHERE type_code = :code"), {"code": HAWKER.code})
    await level(city, province)
    async with province.database.session() as session:
        assert await types_of_peers(session, "小餐饮") == ()


async def asked(instance: Instance, want: Want = Want.DATA, type_code: str = LICENCE, **more: Any) -> PeerAnswer:
    given = {"holder_code": COMPANY, "code_type": "001"} | more
    (answer,) = await ask_peers(instance.exchange, CLIENT, Wanted(FOOD, type_code, PURPOSE, want, **given))
    return answer


async def test_a_department_of_the_province_asks_the_city(pair: Pair) -> None:
    city, province = pair.city, pair.province
    held = await city.stage.hold(LICENCE, issuer=MARKET)
    await city.stage.hold(OWNERSHIP)
    await city.stage.hold(SAFETY)
    await level(city, province)
    assert (await asked(province)).holds is True
    assert (await asked(province, holder_code=OTHER)).holds is False
    assert (await asked(province, type_code=OWNERSHIP)).holds is True, "its paper names the basis"
    unshared = await asked(province, type_code=SAFETY)
    assert (unshared.outcome, unshared.code, unshared.holds) == ("refused", "TYPE_NOT_SHARED", None)
    more = await asked(province, Want.RECORD, OWNERSHIP)
    assert (more.outcome, more.code) == ("refused", "HOLDER_MUST_AGREE")
    assert await city.stage.accesses("answer") == 2 + 0, "the holder sees both; of nobody there is nothing to see"
    assert await province.stage.accesses("search") == 5
    counted = {(row.use, row.used) for row in await _rows(province, "SELECT use, used FROM certs.requester_uses")}
    assert counted == {("find", 4), ("record", 1)}, "the asker's own day"
    assert await city.stage.audited("certs.federation.answer", "done") == 3
    assert await city.stage.audited("certs.federation.answer", "refused") == 2
    rows = await _rows(city, f"SELECT organisation, actor_id, purpose FROM certs.accesses WHERE certificate_id = '{held}'")
    assert [(row.organisation, row.purpose) for row in rows] == [(MARKET, PURPOSE)]
    assert rows[0].actor_id.startswith("peer:")


async def test_record_and_file_come_where_the_matter_must_see_them(pair: Pair) -> None:
    city, province = pair.city, pair.province
    await city.stage.hold(LICENCE, issuer=MARKET, document=b"%PDF-1.7 sealed")
    clock = province.exchange.library.clock
    licence = Paper("licence", "营业执照", "Business licence", types=(LICENCE,), enough=Enough.COPY)
    await put_papers(province.database, clock, WRITER, FOOD, [licence])
    await level(city, province)
    (record,) = (await asked(province, Want.RECORD)).records
    assert (record["standing"], record["holders"][0]["code"]) == ("in_force", COMPANY)
    peer = await province.peer()
    file = await asked(province, Want.FILE, peer_id=peer.id)
    assert file.file == b"%PDF-1.7 sealed"
    nothing = await asked(province, Want.RECORD, holder_code=OTHER)
    assert (nothing.outcome, nothing.code) == ("refused", "FEDERATION_NOTHING_HELD")


async def test_no_number_travels(pair: Pair) -> None:
    city, province = pair.city, pair.province
    await city.stage.hold(LICENCE, issuer=MARKET, holder=NUMBER, kind="111")
    watched, recording = province.watched()
    await level(city, watched)
    assert (await asked(watched, holder_code=NUMBER, code_type="111")).holds is True
    bodies = [body for _, _, body in recording.sent] + [one.body for one in recording.answers]
    assert len(bodies) > 10
    blind = [one.exchange.library.personal.index("111", NUMBER) for one in (city, province)]
    secret = [NUMBER.encode(), *(base64.b64encode(one) for one in blind), *(one.hex().encode() for one in blind)]
    assert not any(one in body for one in secret for body in bodies)
    (row,) = await _rows(city, "SELECT pair_index, code_index FROM certs.federation_holders")
    assert NUMBER.encode() not in row.pair_index + row.code_index


async def test_a_question_needs_a_purpose_and_a_matter_that_asks(pair: Pair) -> None:
    city, province = pair.city, pair.province
    await level(city, province)
    with pytest.raises(FujieError) as without:
        await ask_peers(province.exchange, CLIENT, Wanted(FOOD, LICENCE, " ", holder_code=COMPANY, code_type="001"))
    assert without.value.code == "PURPOSE_REQUIRED"
    with pytest.raises(SharingRefused) as other:
        await ask_peers(
            province.exchange, replace(CLIENT, organisation=HOUSING), Wanted(FOOD, LICENCE, "x", holder_code=COMPANY, code_type="001")
        )
    assert other.value.reason == "MATTER_OF_OTHER_ORGANISATION"
    with pytest.raises(SharingRefused) as unasked:
        await asked(province, type_code="11100000MB03271699022")
    assert unasked.value.reason == "MATTER_DOES_NOT_ASK"
    with pytest.raises(SharingRefused) as enough:
        await asked(province, Want.RECORD)
    assert enough.value.reason == "DATA_IS_ENOUGH"
    assert await province.stage.audited("certs.federation.ask", "refused") == 4
    assert await city.stage.audited("certs.federation.answer", "done") == 0


async def test_an_asker_outside_of_the_agreed_divisions(alone: Pair) -> None:
    city, province = alone.city, alone.province
    await city.register(await province.card(), Level.UPPER, divisions=("990200",))
    await province.register(await city.card(), Level.LOWER)
    async with city.listen():
        await level(city, province)
        answer = await asked(province)
    assert (answer.outcome, answer.code) == ("refused", "FEDERATION_ASKER_OUT_OF_SCOPE")


async def test_a_peer_that_is_away_is_said_to_be_away(silent: Pair) -> None:
    city, province = silent.city, silent.province
    async with city.listen():
        await level(city, province)
    answer = await asked(province)
    assert (answer.outcome, answer.code, answer.holds) == ("away", "FEDERATION_PEER_UNREACHABLE", None)


async def test_keys_change_and_are_learnt_even_late(pair: Pair) -> None:
    city, province = pair.city, pair.province
    library, keystore = city.exchange.library, city.exchange.keystore
    await level(city, province)
    for _ in range(3):
        library.clock.advance(hours=1)  # type: ignore[attr-defined]
        newest = await rotate(city.database, keystore, library.clock, SYSTEM)
    assert (await province.turn()).keys is True
    assert (await province.peer()).keys[-1] == newest
    watched, recording = province.watched()
    await watched.turn()
    assert newest.kid in recording.answers[-1].headers["signature-input"], "from now on it signs"
    library.clock.advance(hours=1)  # type: ignore[attr-defined]
    await rotate(city.database, keystore, library.clock, SYSTEM, revoke_others=True)
    assert (await province.turn()).problem == "FEDERATION_ANSWER_REFUSED", "what was revoked proves no successor"
    peer = await province.peer()
    await move(province.database, library.clock, ANNE, peer.id, PeerMove.WITHDRAW, "new card")
    await province.register(await city.card(), Level.LOWER)
    assert (await province.turn()).problem is None


async def test_a_new_pair_key_indexes_anew(pair: Pair) -> None:
    city, province = pair.city, pair.province
    await city.stage.hold(LICENCE, issuer=MARKET)
    await level(city, province)
    peer = await province.peer()
    async with province.database.begin() as session:
        before, _ = await key_with(session, province.exchange.keystore, peer.id)
        await renew_half(session, province.exchange.library.clock.now(), peer, ANNE)
    assert (await asked(province)).code == "FEDERATION_PAIR_KEY_STALE"
    await level(city, province)
    async with province.database.session() as session:
        after, whole = await key_with(session, province.exchange.keystore, peer.id)
    assert (before.name != after.name, whole) == (True, True)
    await city.order()
    assert (await asked(province)).holds is True
    held = await city.stage.count("SELECT count(*) FROM certs.federation_holders")
    async with city.database.begin() as session:
        await session.execute(text("DELETE FROM certs.holders"))
    await forget(city.exchange)
    assert (held, await city.stage.count("SELECT count(*) FROM certs.federation_holders")) == (1, 0)


async def test_two_people_register_a_peer(alone: Pair) -> None:
    city, province = alone.city, alone.province
    clock = city.exchange.library.clock
    proposed = await propose(city.database, clock, ANNE, Proposed(await province.card(), Level.UPPER, "agreement"))
    again = await propose(city.database, clock, ANNE, Proposed(await province.card(), Level.UPPER, "agreement"))
    assert again.id == proposed.id
    with pytest.raises(PeerSamePerson):
        await move(city.database, clock, ANNE, proposed.id, PeerMove.APPROVE, "myself")
    await move(city.database, clock, BERT, proposed.id, PeerMove.APPROVE, "compared")
    await move(city.database, clock, ANNE, proposed.id, PeerMove.SUSPEND, "an incident")
    with pytest.raises(PeerSamePerson):
        await move(city.database, clock, ANNE, proposed.id, PeerMove.RESUME, "nothing found")
    assert await city.stage.audited("certs.federation.approve", "refused") == 1
    refused = {
        "FEDERATION_ACTOR_REFUSED": (replace(ANNE, authenticator=1), await province.card(), ()),
        "FEDERATION_PEER_IS_OURSELVES": (ANNE, await city.card(), ()),
        "FEDERATION_PEER_DUPLICATE": (ANNE, await province.card(), ("990200",)),
        "FEDERATION_CARD_MALFORMED": (ANNE, b"{}", ()),
    }
    for code, (actor, card, divisions) in refused.items():
        with pytest.raises(FujieError) as error:
            await propose(city.database, clock, actor, Proposed(card, Level.UPPER, "agreement", divisions))
        assert error.value.code == code


async def test_messages_that_are_refused(pair: Pair) -> None:
    """A replay, an altered body, another path, another receiver, another certificate, too late, and a peer that is suspended."""
    city, province = pair.city, pair.province
    watched, recording = province.watched()
    await watched.turn()
    path, headers, body = recording.sent[0]
    good = await province.signed(city, "keys", {"knows": []})
    parameters = good.headers["signature-input"]
    wrong = {
        "replay": Incoming(path, headers, body, good.certificate),
        "body": replace(good, body=good.body + b" "),
        "path": replace(good, path="/federation/v1/statuses"),
        "certificate": replace(good, certificate=city.tls_certificate()),
        "no certificate": replace(good, certificate=b""),
        "unsigned": replace(good, headers={}),
        "nonce": replace(good, headers={**good.headers, "signature-input": parameters.replace('nonce="', 'nonce="A', 1)}),
        "twice": replace(good, headers={**good.headers, "signature": f"{good.headers['signature']}, {good.headers['signature']}"}),
        "another key": replace(good, headers={**good.headers, "signature-input": parameters.replace('keyid="', 'keyid="A')[:-1]}),
    }
    for name, message in wrong.items():
        with pytest.raises(FujieError) as error:
            await receive(city.exchange, HANDLERS, message)
        assert error.value.code == "FEDERATION_MESSAGE_REFUSED", name
    assert await city.stage.audited("certs.federation.receive", "refused") == len(wrong)
    with pytest.raises(FujieError):
        await receive(province.exchange, HANDLERS, good)
    assert (await receive(city.exchange, HANDLERS, good)).status == 200
    late, clock = await province.signed(city, "keys", {"knows": []}), city.exchange.library.clock
    clock.advance(minutes=6)  # type: ignore[attr-defined]
    with pytest.raises(FujieError):
        await receive(city.exchange, HANDLERS, late)
    await move(city.database, clock, ANNE, (await city.peer()).id, PeerMove.SUSPEND, "an incident")
    assert (await province.turn()).problem == "FEDERATION_ANSWER_REFUSED"


async def test_what_a_peer_may_say_that_is_no_message(pair: Pair) -> None:
    city, province = pair.city, pair.province
    await province.turn()
    for name, content, code in (
        ("keys", {"knows": [1]}, 422), ("statuses", {"after": -1}, 422), ("statuses", {"after": "x"}, 422), ("types", {"codes": {}}, 422),
        ("pairing", {"half": "AAAA"}, 422), ("questions", {"key": 1}, 422), ("elsewhere", {}, 404), ("catalogue", {}, 200),
    ):  # fmt: skip
        answer = await receive(city.exchange, HANDLERS, await province.signed(city, name, content))
        assert answer.status == code, name


async def test_tls_lets_in_nobody_else(pair: Pair) -> None:
    """Without a certificate there is no connection to speak over; nor to somebody who is not whom the card names."""
    city, province = pair.city, pair.province
    port = int(city.address.rpartition(":")[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"POST /federation/v1/keys HTTP/1.1\r\n\r\n")
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    another = replace(await province.peer(), address=city.address.replace("127.0.0.1", "localhost"))
    with pytest.raises(PeerUnreachable):
        await ask(province.exchange, another, "keys", {"knows": []})
    await ask(province.exchange, await province.peer(), "keys", {"knows": []})
