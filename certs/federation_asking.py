"""A department of ours asks other instances about a holder.

1. purpose   why, at most 200 characters; logged here and there
2. matter    it is the asker's, and asks for this type, no more of it than it needs: the rules of sharing that speak of the asker
3. peers     those with whom the type is in force, or the one that was named
4. log       the access, with the holder as our own blind index, and the audit entry: committed before anybody is asked
5. ask       all at once; each gets the holder as an index under the key of that pair
6. answer    of each: what it said, that it refused and why, or that it did not answer. One that is away delays nobody and hides nothing
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from certs.access_rates import count
from certs.catalogue import Sharing
from certs.consents import index_of
from certs.federation import JSON, PeerStatus, PeerUnknown, PeerUnreachable
from certs.federation_catalogue import PeerTypeUnknown, issuing_peers, types_of_peers
from certs.federation_holders import PairKeyStale, key_with
from certs.federation_messages import Exchange, PeerRefused, ask, octets
from certs.federation_peers import Peer, list_peers
from certs.federation_questions import WANTS, Question, StatedMatter
from certs.library import access_row, check_purpose
from certs.library_models import HolderSearchRow
from certs.sharing import (
    Answer,
    Ask,
    MatterFacts,
    TypeFacts,
    Want,
    answering_papers,
    matter_asks_for_it,
    matter_is_of_the_organisation,
    no_more_than_needed,
    purpose_is_stated,
    requester_asks_for_the_organisation,
    requester_is_known,
)
from certs.sharing_facts import matter_facts, organisation_asked_for
from certs.sharing_reasons import SharingRefused
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import FujieError, InvalidInput
from keys.evidence import audit
from keys.evidence.audit import Event
from seal.matters import get_matter

SECONDS = 20.0
MOST_PEERS = 64
_OF_THE_ASKER = (
    requester_is_known, requester_asks_for_the_organisation, purpose_is_stated, matter_is_of_the_organisation, matter_asks_for_it,
    no_more_than_needed,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """The holder's number and the code shown have no ``repr``. ``peer_id`` None: every peer with whom the type is in force."""

    matter_code: str
    type_code: str
    purpose: str
    want: Want = Want.DATA
    holder_code: str = field(default="", repr=False)
    code_type: str = ""
    peer_id: uuid.UUID | None = None
    show_code: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """What one instance said. ``outcome``: answered, refused, away; ``code`` is its reason where it is no answer."""

    peer: Peer
    outcome: str
    code: str = ""
    title: tuple[str, str] = ("", "")
    holds: bool | None = None
    records: tuple[JSON, ...] = ()
    file: bytes | None = None

    def to_json(self) -> JSON:
        told: JSON = {"peer": {"id": str(self.peer.id), "name": self.peer.name}, "outcome": self.outcome}
        if self.code:
            told |= {"code": self.code, "title_zh": self.title[0], "title_en": self.title[1]}
        if self.holds is not None:
            told["holds"] = self.holds
        return told | ({"records": list(self.records)} if self.records else {})


async def ask_peers(exchange: Exchange, actor: Actor, wanted: Wanted) -> tuple[PeerAnswer, ...]:
    """See the module. Raises ``PurposeRequired``, ``InvalidInput``, ``SharingRefused``, ``PeerUnknown``,
    ``PeerTypeUnknown``, ``QuotaExhausted``."""
    library, now = exchange.library, exchange.library.clock.now()
    try:
        purpose = check_purpose(wanted.purpose)
        if wanted.want not in WANTS or (wanted.want is Want.FILE and wanted.peer_id is None):
            raise InvalidInput("want", errors=[{"field": "want", "message": "data or record; a file of one named instance"}])
        holder = index_of(library, wanted.code_type, wanted.holder_code)
        async with library.database.begin() as session:
            matter, stated = await _matter(session, actor, wanted, purpose, now)
            asked_for = replace(actor, organisation=matter.organisation)
            peers = await _peers(session, wanted)
            await count(session, now, asked_for, WANTS[wanted.want], wanted.type_code)
            await _log(session, exchange, asked_for, wanted, matter, purpose, holder, peers, now)
            questions = [await _question(session, exchange, one, asked_for, wanted, stated, purpose) for one in peers]
    except FujieError as error:
        details: dict[str, audit.JSON] = {"reason": error.reason if isinstance(error, SharingRefused) else error.code}
        event = Event("certs.federation.ask", f"matter:{wanted.matter_code[:64]}", audit.Outcome.REFUSED, actor, details, error.code)
        await audit.record_alone(library.database, now, event)
        raise
    answers = await asyncio.gather(*(_answer(exchange, peer, question) for peer, question in zip(peers, questions, strict=True)))
    await _log_answers(exchange, asked_for, wanted, answers)
    return tuple(answers)


async def _matter(session: AsyncSession, actor: Actor, wanted: Wanted, purpose: str, now: dt.datetime) -> tuple[MatterFacts, StatedMatter]:
    """Step 2, and what we state of the matter. Raises ``SharingRefused``."""
    matter = await matter_facts(session, wanted.matter_code)
    organisation, serves = await organisation_asked_for(session, actor, matter)
    asked = Ask(actor, organisation, wanted.want, TypeFacts(wanted.type_code, Sharing()), purpose, now, serves=serves, matter=matter)
    for rule in _OF_THE_ASKER:
        said, code = rule(asked)
        if said is Answer.DENY:
            raise SharingRefused(code)
    named = await get_matter(session, wanted.matter_code)
    if matter is None or named is None:
        raise SharingRefused("MATTER_MISSING")
    papers = answering_papers(asked)
    basis = next((one.basis for one in papers if one.basis.strip()), "")
    return matter, StatedMatter(matter.code, named.name[:200], basis[:200], any(one.must_see for one in papers))


async def _peers(session: AsyncSession, wanted: Wanted) -> tuple[Peer, ...]:
    active = await list_peers(session, PeerStatus.ACTIVE)
    if wanted.peer_id is not None:
        named = tuple(one for one in active if one.id == wanted.peer_id)
        if not named:
            raise PeerUnknown(str(wanted.peer_id))
        return named
    issuing = frozenset(await issuing_peers(session, wanted.type_code))
    chosen = tuple(one for one in active if str(one.id) in issuing)[:MOST_PEERS]
    if not chosen:
        raise PeerTypeUnknown(wanted.type_code[:21])
    return chosen


async def _question(
    session: AsyncSession, exchange: Exchange, peer: Peer, actor: Actor, wanted: Wanted, stated: StatedMatter, purpose: str
) -> Question | PairKeyStale:
    try:
        key, _ = await key_with(session, exchange.keystore, peer.id)
    except PairKeyStale as error:
        return error
    return Question(
        key.name, key.index(wanted.code_type, wanted.holder_code), wanted.type_code, wanted.want, purpose, actor.organisation or "",
        actor.id[:120], stated, wanted.show_code,
    )  # fmt: skip


async def _log(
    session: AsyncSession, exchange: Exchange, actor: Actor, wanted: Wanted, matter: MatterFacts, purpose: str, holder: bytes,
    peers: Sequence[Peer], now: dt.datetime,
) -> None:  # fmt: skip
    access = access_row(exchange.library, actor, "search", purpose, None)
    session.add(access)
    await session.flush()
    session.add(HolderSearchRow(access_id=access.id, holder_index=holder))
    details: dict[str, audit.JSON] = {
        "purpose": audit.digest(purpose), "holder": holder.hex(), "type": wanted.type_code, "want": wanted.want.value,
        "peers": [str(one.id) for one in peers],
    }  # fmt: skip
    await audit.record(session, now, Event("certs.federation.ask", f"matter:{matter.code}", audit.Outcome.INTENT, actor, details))


async def _answer(exchange: Exchange, peer: Peer, question: Question | PairKeyStale) -> PeerAnswer:
    try:
        if isinstance(question, PairKeyStale):
            raise question
        async with asyncio.timeout(SECONDS):
            return _read(peer, question, await ask(exchange, peer, "questions", question.to_json()))
    except PeerRefused as refused:
        return PeerAnswer(peer, "refused", str(refused.extra.get("reason") or refused.peer_code), refused.public)
    except (PeerUnreachable, PairKeyStale) as away:
        return PeerAnswer(peer, "away", away.code, away.public)
    except (TimeoutError, ValueError, KeyError, TypeError):
        return PeerAnswer(peer, "away", PeerUnreachable.code, PeerUnreachable.public)


def _read(peer: Peer, question: Question, content: Mapping[str, object]) -> PeerAnswer:
    """Raises ValueError, KeyError for what is no answer to the question."""
    if question.want is Want.DATA:
        holds = content["holds"]
        if not isinstance(holds, bool):
            raise ValueError("no answer")
        return PeerAnswer(peer, "answered", holds=holds)
    records = content["records"]
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise ValueError("no records")
    file = octets(content["file"]) if question.want is Want.FILE else None
    return PeerAnswer(peer, "answered", records=tuple(records), file=file)


async def _log_answers(exchange: Exchange, actor: Actor, wanted: Wanted, answers: Sequence[PeerAnswer]) -> None:
    told: dict[str, audit.JSON] = {str(one.peer.id): one.code or one.outcome for one in answers}
    event = Event("certs.federation.ask", f"matter:{wanted.matter_code[:64]}", audit.Outcome.DONE, actor, {"answers": told})
    await audit.record_alone(exchange.library.database, exchange.library.clock.now(), event)


async def offered(session: AsyncSession, text: str) -> tuple[tuple[str, str], ...]:
    """Types that can be asked of peers, for a form: code and name, each once."""
    return tuple(dict.fromkeys((one.kind.code, one.kind.name_zh) for one in await types_of_peers(session, text)))
