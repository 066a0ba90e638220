"""Sharing as journeys: found, asked and fetched by another department; agreed to on the phone, once; shown on the phone, once."""

import asyncio
import hashlib
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.embedded import Addresses
from certs import consents
from certs.access_rates import EVERY_TYPE, QuotaExhausted, Rate, Rule, Use, set_rate, standing_of
from certs.authorisations import AuthorisationUnknown
from certs.consents import (
    AlreadyAnswered,
    ConsentNotNeeded,
    State,
    TooManyRequests,
    Wish,
    answer_request,
    ask_holder,
    request_of,
    request_to_me,
    requests_to_me,
    take_back,
)
from certs.library import DocumentNotHeld, Library, PurposeRequired, access_history
from certs.library_reads import searches_for
from certs.lifecycle import Standing
from certs.reads import grant_issuing
from certs.shared_reading import NothingToShare, Query, find_for_matter, share
from certs.sharing import Want
from certs.sharing_reasons import SharingRefused
from certs.showing import (
    GRACE,
    LONGEST,
    STEP,
    NotShowable,
    ShowingOver,
    ShownForAnother,
    check,
    current,
    offered,
    showable,
    start,
    stop,
)
from identity.personal_data import PersonalData
from keys.base.actor import ANONYMOUS, Actor
from keys.base.blobs import BlobDamaged, FolderBlobStore
from keys.base.db import Database
from keys.base.errors import InvalidInput, NotFound
from tests.certs.sharing_people import (
    BOSS,
    CLERK,
    CLIENT,
    COMPANY,
    ELSEWHERE,
    FOOD,
    LICENCE,
    OTHER,
    OWNERSHIP,
    RIVAL,
    SAFETY,
    Stage,
    furnish_once,
)
from tests.conftest import TestClock

PDF = b"%PDF-1.7 the sealed original"
ASKED = Query(FOOD, "受理食品经营许可", Want.RECORD, OWNERSHIP, COMPANY, "001")
WISH = Wish(FOOD, OWNERSHIP, Want.FILE, "受理食品经营许可", COMPANY, "001")


@pytest.fixture(scope="module")
def furnished(servers: Addresses, key_file: Path, signing_template: str) -> str:
    return furnish_once(servers, key_file, signing_template)


@pytest.fixture
def template(furnished: str) -> str:
    return furnished


@pytest.fixture
def stage(database: Database, clock: TestClock, blobs: FolderBlobStore, personal: PersonalData) -> Stage:
    return Stage(Library(database, clock, blobs, personal))


async def refused(stage: Stage, query: Query, actor: Actor = CLIENT) -> str:
    with pytest.raises(SharingRefused) as refusal:
        await share(stage.library, actor, query)
    return refusal.value.reason


async def allowed(stage: Stage, certificate_id: uuid.UUID, want: Want = Want.FILE) -> uuid.UUID:
    """A request the holder allowed."""
    asked = await ask_holder(stage.library, CLIENT, replace(WISH, want=want))
    await answer_request(stage.library, BOSS, asked.id, certificate_id)
    return asked.id


async def test_found_for_a_matter_and_answered_yes_or_no(stage: Stage) -> None:
    for type_code in (LICENCE, OWNERSHIP, SAFETY):
        await stage.hold(type_code)
    asked = Query(FOOD, "受理", holder_code=COMPANY, code_type="001")
    found = {one.type_code: one for one in await find_for_matter(stage.library, CLIENT, asked)}
    assert {code: (one.holds, one.papers) for code, one in found.items()} == {
        LICENCE: (True, ("licence",)), OWNERSHIP: (True, ("premises",)), SAFETY: (None, ("training",)),
    }  # fmt: skip
    assert {code: one.decisions[Want.RECORD].code for code, one in found.items()} == {
        LICENCE: "DATA_IS_ENOUGH", OWNERSHIP: "HOLDER_MUST_AGREE", SAFETY: "TYPE_NOT_SHARED",
    }  # fmt: skip
    assert not any(one.certificates for one in found.values()), "which ones they are is more than yes or no"
    for actor, type_code in ((CLIENT, LICENCE), (CLERK, OWNERSHIP)):
        answer = await share(stage.library, actor, replace(ASKED, want=Want.DATA, type_code=type_code))
        assert (answer.holds, answer.certificate, answer.file) == (True, None, None)
    none = await share(stage.library, CLIENT, replace(ASKED, want=Want.DATA, holder_code=OTHER))
    assert none.holds is False
    assert await stage.accesses("answer") == 3
    async with stage.library.database.session() as session:
        looked = [one.kind for one in await searches_for(session, stage.library.personal.index("001", OTHER), 9)]
        assert looked == ["answer"], "who holds nothing sees who asked, too"
        mine = await searches_for(session, stage.library.personal.index("001", COMPANY), 9)
        assert [(one.kind, one.purpose) for one in mine] == [("search", "受理")]


async def test_a_refusal_tells_nobody_who_holds_what(stage: Stage) -> None:
    await stage.hold(OWNERSHIP)
    await stage.hold(SAFETY)
    for type_code, want, reason in (
        (OWNERSHIP, Want.RECORD, "HOLDER_MUST_AGREE"), (SAFETY, Want.DATA, "TYPE_NOT_SHARED"), (LICENCE, Want.RECORD, "DATA_IS_ENOUGH"),
        ("nowhere", Want.DATA, "TYPE_UNKNOWN"),
    ):  # fmt: skip
        for number in (COMPANY, OTHER):
            assert await refused(stage, replace(ASKED, type_code=type_code, want=want, holder_code=number)) == reason
    assert await refused(stage, ASKED, ELSEWHERE) == "MATTER_OF_OTHER_ORGANISATION"
    assert await refused(stage, replace(ASKED, matter_code="none")) == "MATTER_MISSING"
    assert await refused(stage, ASKED, BOSS) == "REQUESTER_NOT_STAFF"
    with pytest.raises(SharingRefused) as other:
        await find_for_matter(stage.library, ELSEWHERE, ASKED)
    assert other.value.reason == "MATTER_OF_OTHER_ORGANISATION"
    for broken in (replace(ASKED, purpose="  "), replace(ASKED, purpose="字" * 201), replace(ASKED, purpose="查 990100197003131003")):
        for journey in (share, find_for_matter):
            with pytest.raises(PurposeRequired):
                await journey(stage.library, CLIENT, broken)
    for malformed in ({"holder_code": "123"}, {"code_type": "xyz"}, {"holder_code": "", "code_type": ""}, {"want": Want.COPY}):
        with pytest.raises(InvalidInput):
            await share(stage.library, CLIENT, replace(ASKED, **malformed))
    assert await stage.accesses("record") == 0
    assert await stage.audited("certs.share.record", "refused") == 13
    assert await stage.audited("certs.share.find", "refused") == 4
    assert COMPANY not in repr(ASKED)


async def test_a_hall_that_serves_the_organisation_asks_in_its_name_and_an_issuer_has_its_own(stage: Stage) -> None:
    await stage.hold(LICENCE)
    async with stage.library.database.begin() as session:
        await grant_issuing(session, stage.library.clock.now(), ELSEWHERE.id, CLIENT.organisation or "", "test")
    answer = await share(stage.library, ELSEWHERE, replace(ASKED, type_code=LICENCE, want=Want.DATA))
    assert answer.holds
    by = f"SELECT count(*) FROM certs.accesses WHERE kind = 'answer' AND organisation = '{CLIENT.organisation}'"
    assert await stage.count(by) == 1, "the holder reads for whom it was asked"
    own = await stage.hold(SAFETY, issuer=ELSEWHERE.organisation)
    mine = await share(stage.library, ELSEWHERE, replace(ASKED, matter_code="", type_code=SAFETY))
    assert mine.certificate is not None
    assert (mine.certificate.id, mine.decision.code) == (own, "ISSUER_KNOWS_IT")


async def test_what_does_not_hold_is_no_yes(stage: Stage) -> None:
    asked = replace(ASKED, type_code=LICENCE, want=Want.DATA)
    for bad in ({"status": "03"}, {"trust_grade": "C"}, {"flags": ["identifier_check"]}, {"stage": "void"}, {"successor": "1"}):
        await stage.hold(LICENCE, **bad)
    assert not (await share(stage.library, CLIENT, asked)).holds
    await stage.hold(LICENCE)
    assert (await share(stage.library, CLIENT, asked)).holds


async def test_consent_on_the_phone_is_good_once(stage: Stage) -> None:
    key = await stage.hold(OWNERSHIP, document=PDF)
    asked = await ask_holder(stage.library, CLIENT, WISH)
    assert (await ask_holder(stage.library, CLIENT, WISH)).id == asked.id
    fetch = Query(FOOD, "受理食品经营许可", Want.FILE, consent=asked.id)
    with pytest.raises(AuthorisationUnknown):
        await share(stage.library, CLIENT, fetch)
    assert [one.id for one in await requests_to_me(stage.library, BOSS)] == [asked.id]
    assert await requests_to_me(stage.library, RIVAL) == ()
    seen, held = await request_to_me(stage.library, BOSS, asked.id)
    assert (seen.state, [one.id for one in held]) == (State.PENDING, [key])
    for actor, chosen in ((RIVAL, key), (CLERK, key), (BOSS, uuid.UUID(int=0))):
        with pytest.raises(NotFound):
            await answer_request(stage.library, actor, asked.id, chosen)
    assert (await answer_request(stage.library, BOSS, asked.id, key)).state is State.ALLOWED
    with pytest.raises(AlreadyAnswered):
        await answer_request(stage.library, BOSS, asked.id, None)
    assert (await request_of(stage.library, CLIENT, asked.id)).state is State.ALLOWED
    with pytest.raises(NotFound):
        await request_of(stage.library, ELSEWHERE, asked.id)
    with pytest.raises(AuthorisationUnknown):
        await share(stage.library, ELSEWHERE, fetch)
    shared = await share(stage.library, CLIENT, fetch)
    assert (shared.file, shared.certificate and shared.certificate.id) == (PDF, key)
    assert await refused(stage, fetch) == "AUTHORISATION_USED", "consent replayed"
    assert (await request_of(stage.library, CLIENT, asked.id)).state is State.USED
    with pytest.raises(AlreadyAnswered):
        await take_back(stage.library, BOSS, asked.id)
    (access,) = await access_history(stage.library, BOSS, key)
    assert (access.kind, access.purpose, access.organisation) == ("file", "受理食品经营许可", CLIENT.organisation)
    assert await stage.audited("certs.share.file", "refused") == 3


async def test_of_many_at_once_one_uses_a_consent(stage: Stage) -> None:
    consent = await allowed(stage, await stage.hold(OWNERSHIP, document=PDF))
    fetch = Query(FOOD, "受理", Want.FILE, consent=consent)
    results = await asyncio.gather(*(share(stage.library, CLIENT, fetch) for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["Shared", *["SharingRefused"] * 3]
    assert await stage.accesses("file") == 1


async def test_consent_ends_by_time_by_the_holder_and_at_its_own_bounds(stage: Stage, clock: TestClock) -> None:
    key = await stage.hold(OWNERSHIP, document=PDF)
    record = await allowed(stage, key, Want.RECORD)
    assert await refused(stage, Query(FOOD, "受理", Want.FILE, consent=record)) == "AUTHORISATION_FOR_LESS"
    other = Query(FOOD, "受理", Want.RECORD, OWNERSHIP, OTHER, "001", consent=record)
    assert await refused(stage, other) == "AUTHORISATION_OF_OTHER_HOLDER"
    await take_back(stage.library, BOSS, record)
    assert await refused(stage, Query(FOOD, "受理", Want.RECORD, consent=record)) == "AUTHORISATION_WITHDRAWN"
    late = await allowed(stage, key, Want.RECORD)
    clock.advance(minutes=10)
    assert await refused(stage, Query(FOOD, "受理", Want.RECORD, consent=late)) == "AUTHORISATION_EXPIRED"
    asked = await ask_holder(stage.library, CLIENT, WISH)
    clock.advance(minutes=15)
    assert (await request_of(stage.library, CLIENT, asked.id)).state is State.EXPIRED
    with pytest.raises(AlreadyAnswered):
        await answer_request(stage.library, BOSS, asked.id, key)
    refusing = await ask_holder(stage.library, CLIENT, WISH)
    assert (await answer_request(stage.library, BOSS, refusing.id, None)).state is State.REFUSED
    with pytest.raises(AuthorisationUnknown):
        await share(stage.library, CLIENT, Query(FOOD, "受理", Want.RECORD, consent=refusing.id))


async def test_a_damaged_file_costs_the_holder_no_second_consent(stage: Stage, blobs: FolderBlobStore) -> None:
    key = await stage.hold(OWNERSHIP, document=PDF)
    consent = await allowed(stage, key)
    path = blobs.path(hashlib.sha256(PDF).digest())
    path.write_bytes(b"broken")
    with pytest.raises(BlobDamaged):
        await share(stage.library, CLIENT, Query(FOOD, "受理", Want.FILE, consent=consent))
    path.write_bytes(PDF)
    assert (await share(stage.library, CLIENT, Query(FOOD, "受理", Want.FILE, consent=consent))).file == PDF


async def test_who_may_ask_the_holder_and_how_often(stage: Stage) -> None:
    for change, error in (
        ({"purpose": ""}, PurposeRequired), ({"holder_code": "1"}, InvalidInput), ({"want": Want.DATA}, ConsentNotNeeded),
        ({"type_code": SAFETY}, SharingRefused), ({"type_code": LICENCE}, SharingRefused), ({"matter_code": "none"}, SharingRefused),
    ):  # fmt: skip
        with pytest.raises(error):
            await ask_holder(stage.library, CLIENT, replace(WISH, **change))
    with pytest.raises(SharingRefused):
        await ask_holder(stage.library, ELSEWHERE, WISH)
    assert await stage.audited("certs.share.ask", "refused") == 5, "what is malformed never reached the rules"
    unknown = await ask_holder(stage.library, CLIENT, replace(WISH, holder_code=OTHER))
    assert unknown.state is State.PENDING, "whether there is such a holder, nobody learns"
    for want in (Want.RECORD, Want.COPY, Want.FILE):
        await ask_holder(stage.library, CLIENT, replace(WISH, want=want))
    assert COMPANY not in repr(WISH)


async def shown(stage: Stage, type_code: str = OWNERSHIP, purpose: str = "identity", matter: str = "", **more: Any) -> Any:
    key = await stage.hold(type_code, **more)
    return await start(stage.library, BOSS, key, purpose, matter)


async def test_a_code_is_checked_once_and_the_holder_sees_it(stage: Stage) -> None:
    showing = await shown(stage)
    assert len(showing.code) == 16
    for _ in range(2):
        assert (await offered(stage.library, showing.code)).words == ("核对身份", "Prove who I am"), "looking uses nothing up"
    typed = "-".join(showing.code[at : at + 4] for at in range(0, 16, 4)).lower()
    face = await check(stage.library, CLIENT, typed, "identity")
    assert (face.name, face.type_name, face.standing) == ("示范餐饮有限公司", "房屋所有权证", Standing.IN_FORCE)
    for again in (check, offered):
        with pytest.raises(ShowingOver):
            await again(stage.library, *((ANONYMOUS, showing.code) if again is check else (showing.code,)))
    now = await current(stage.library, BOSS, showing.id)
    assert (now.code, now.used_by, now.used_at) == ("", "示范区市场监督管理局", stage.library.clock.now())
    (access,) = await access_history(stage.library, BOSS, showing.certificate_id)
    assert (access.kind, access.purpose, access.organisation) == ("show", "核对身份", CLIENT.organisation)
    assert await stage.audited("certs.show.check", "refused") == 1
    stored = "SELECT count(*) FROM certs.show_codes WHERE digest = sha256(convert_to('{}', 'UTF8'))"
    assert await stage.count(stored.format(showing.code)) == 1, "a digest and nothing else"


async def test_every_way_to_ask_takes_one_from_the_same_day(stage: Stage) -> None:
    """Finding, yes or no, asking the holder and checking a code are one use; what fails and what changes nothing takes none."""
    held, now = await stage.hold(OWNERSHIP), stage.library.clock.now()
    async with stage.library.database.begin() as session:
        await set_rate(session, now, CLIENT, Rule(CLIENT.id, Use.FIND, EVERY_TYPE, Rate(100, 4)))

    async def used() -> int:
        async with stage.library.database.session() as session:
            return 4 - (await standing_of(session, now, CLIENT, Use.FIND)).left

    showing = await start(stage.library, BOSS, held, "identity")
    await find_for_matter(stage.library, CLIENT, ASKED)
    assert await used() == 1
    await share(stage.library, CLIENT, replace(ASKED, want=Want.DATA))
    assert await used() == 2
    for _ in range(2):
        await ask_holder(stage.library, CLIENT, WISH)
        assert await used() == 3, "the same question while one is open is the one that is open"
    with pytest.raises(ShownForAnother):
        await check(stage.library, CLIENT, showing.code, "another")
    assert await used() == 3
    await check(stage.library, CLIENT, showing.code, "identity")
    assert await used() == 4
    again = await start(stage.library, BOSS, held, "identity")
    for refused_now in (
        find_for_matter(stage.library, CLIENT, ASKED),
        share(stage.library, CLIENT, replace(ASKED, want=Want.DATA)),
        ask_holder(stage.library, CLIENT, replace(WISH, want=Want.COPY)),
        check(stage.library, CLIENT, again.code, "identity"),
    ):
        with pytest.raises(QuotaExhausted):
            await refused_now
    assert await stage.audited("certs.show.check", "refused") == 2
    assert (await check(stage.library, ANONYMOUS, again.code)).standing is Standing.IN_FORCE, "the code was not used up"


async def test_the_code_changes_every_minute(stage: Stage, clock: TestClock) -> None:
    showing = await shown(stage)
    assert (await current(stage.library, BOSS, showing.id)).code == showing.code, "loaded again it is the same"
    clock.advance(seconds=STEP.total_seconds())
    second = await current(stage.library, BOSS, showing.id)
    assert second.code != showing.code
    assert (await offered(stage.library, showing.code)).purpose == "identity", "whoever is just reading the one before gets in"
    clock.advance(seconds=GRACE.total_seconds())
    with pytest.raises(AuthorisationUnknown):
        await offered(stage.library, showing.code)
    with pytest.raises(AuthorisationUnknown):
        await check(stage.library, ANONYMOUS, showing.code)
    assert (await check(stage.library, ANONYMOUS, second.code)).name
    again = await start(stage.library, BOSS, showing.certificate_id, "entry")
    clock.advance(seconds=LONGEST.total_seconds())
    assert (await current(stage.library, BOSS, again.id)).code == "", "ten minutes and no longer"


async def test_of_many_checkers_one_sees_the_face(stage: Stage) -> None:
    showing = await shown(stage)
    results = await asyncio.gather(*(check(stage.library, ANONYMOUS, showing.code) for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["Face", *["ShowingOver"] * 3]


async def test_a_code_is_bound_to_what_it_is_shown_for(stage: Stage) -> None:
    showing = await shown(stage)
    with pytest.raises(ShownForAnother):
        await check(stage.library, CLIENT, showing.code, "contract")
    assert await refused(stage, Query(FOOD, "受理", Want.RECORD, show_code=showing.code)) == "AUTHORISATION_FOR_OTHER_ORGANISATION"
    assert (await check(stage.library, CLIENT, showing.code, "identity")).name, "a refusal uses nothing up"
    bound = await shown(stage, OWNERSHIP, "matter", FOOD, document=PDF)
    for actor in (ANONYMOUS, ELSEWHERE, RIVAL):
        with pytest.raises(ShownForAnother):
            await check(stage.library, actor, bound.code)
    shared = await share(stage.library, CLERK, Query(FOOD, "受理", Want.FILE, show_code=bound.code))
    assert shared.file == PDF
    assert await refused(stage, Query(FOOD, "受理", Want.FILE, show_code=bound.code), CLERK) == "AUTHORISATION_USED"
    with pytest.raises(ShowingOver):
        await check(stage.library, CLERK, bound.code)
    yes_or_no = await shown(stage, LICENCE, "matter", FOOD)
    assert await refused(stage, Query(FOOD, "受理", Want.RECORD, show_code=yes_or_no.code)) == "DATA_IS_ENOUGH"
    assert (await share(stage.library, CLIENT, Query(FOOD, "受理", Want.DATA, show_code=yes_or_no.code))).holds
    with pytest.raises(AuthorisationUnknown):
        await share(stage.library, CLIENT, Query(FOOD, "受理", Want.RECORD, show_code="0" * 16))


async def test_who_shows_what(stage: Stage) -> None:
    key = await stage.hold(SAFETY)
    assert (await showable(stage.library, BOSS, key)).matters == (), "what is not shared is shown for no matter, its face for anything"
    assert (await showable(stage.library, BOSS, await stage.hold(OWNERSHIP))).matters == ((FOOD, "食品经营许可"),)
    for actor in (RIVAL, CLIENT, CLERK, ANONYMOUS):
        with pytest.raises(NotFound):
            await start(stage.library, actor, key, "identity")
    for purpose, matter in (("", ""), ("anything", ""), ("matter", ""), ("matter", FOOD), ("identity", FOOD)):
        with pytest.raises(InvalidInput):
            await start(stage.library, BOSS, key, purpose, matter)
    with pytest.raises(NotShowable):
        await start(stage.library, BOSS, await stage.hold(OWNERSHIP, flags=["disposed"]), "identity")
    first = await start(stage.library, BOSS, key, "identity")
    second = await start(stage.library, BOSS, key, "entry")
    with pytest.raises(ShowingOver):
        await check(stage.library, ANONYMOUS, first.code)
    for journey in (current, stop):
        with pytest.raises(NotFound):
            await journey(stage.library, RIVAL, second.id)
    await stop(stage.library, BOSS, second.id)
    with pytest.raises(ShowingOver):
        await offered(stage.library, second.code)
    revoked = await shown(stage, status="03")
    assert (await check(stage.library, ANONYMOUS, revoked.code)).standing is Standing.REVOKED, "the checker sees the truth"


async def test_nothing_to_share_is_said_only_where_it_may_be_known(stage: Stage) -> None:
    key = await stage.hold(OWNERSHIP)
    consent = await allowed(stage, key, Want.RECORD)
    async with stage.library.database.begin() as session:
        await session.execute(text("UPDATE certs.certificates SET flags = '[\"disposed\"]'"))
    with pytest.raises(NothingToShare):
        await share(stage.library, CLIENT, Query(FOOD, "受理", Want.RECORD, consent=consent))
    assert (await request_of(stage.library, CLIENT, consent)).state is State.ALLOWED, "nothing was handed out, nothing is used up"
    async with stage.library.database.begin() as session:
        await session.execute(text("UPDATE certs.certificates SET flags = '[]'"))
    without = Query(FOOD, "受理", Want.FILE, consent=await allowed(stage, key))
    with pytest.raises(DocumentNotHeld):
        await share(stage.library, CLIENT, without)


async def test_a_holder_is_not_flooded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consents, "MOST_PENDING", 2)
    for want in (Want.RECORD, Want.COPY):
        await ask_holder(stage.library, CLIENT, replace(WISH, want=want))
    with pytest.raises(TooManyRequests):
        await ask_holder(stage.library, CLIENT, WISH)
    assert len(await requests_to_me(stage.library, BOSS)) == 2
