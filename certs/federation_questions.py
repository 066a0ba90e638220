"""Questions of other instances about holders here: whether one holds a valid certificate, its record, its file.

1. read     the question: whom for, why, in which matter, about whom: an index under the key of the pair, never a number
2. scope    the asking organisation lies in a division that the peer may speak for
3. whom     the index leads to our own blind index, or to nobody; nobody is answered like somebody without such a certificate
4. decide   :func:`certs.sharing.decide`: the type's class here, the matter and its papers as the peer states them under its signature, a
            right that was opened here, a code that the holder shows now
5. record   the quota, the authorisation used up, accesses that the holder sees, the audit entry: committed before the answer
6. answer   yes or no; records; or the file
"""

import base64
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from certs.access_rates import Use, count
from certs.access_rights import right_of
from certs.archiving import newest
from certs.authorisations import Given, find_authorisation, spend
from certs.federation import JSON
from certs.federation_holders import PairKeyStale, holder_of, key_with
from certs.federation_messages import Exchange, octets
from certs.federation_peers import Peer
from certs.library import DocumentNotHeld, access_row, check_purpose
from certs.library_models import HolderSearchRow
from certs.records import Certificate
from certs.sharing import Ask, Decision, MatterFacts, PaperFacts, Want, decide
from certs.sharing_facts import answers_yes, facts_of, held_of_type, type_facts
from certs.sharing_reasons import SharingRefused
from keys.base.actor import Actor, ActorKind
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import Forbidden, FujieError, NotFound
from keys.evidence import audit
from keys.evidence.audit import Event

WANTS = {Want.DATA: Use.FIND, Want.RECORD: Use.RECORD, Want.FILE: Use.FILE}
"""What may be wanted across instances, and as what it is counted. Annotated copies are made where the certificate was issued."""
_KINDS = {Want.DATA: "answer", Want.RECORD: "record", Want.FILE: "file"}
_INDEX = 32
_LONGEST = 200


class AskerOutOfScope(Forbidden):
    """The peer asks for an organisation it may not speak for."""

    code = "FEDERATION_ASKER_OUT_OF_SCOPE"
    public = ("对方实例无权代表该机构提出请求。", "That instance may not speak for this organisation.")


class NothingHeld(NotFound):
    """It might be had, but there is none."""

    code = "FEDERATION_NOTHING_HELD"
    public = ("持证人没有该类型的证照。", "The holder has no certificate of this type.")


@dataclass(frozen=True, slots=True)
class StatedMatter:
    """A matter of the asking organisation, and what of its papers the type answers: as its instance states it."""

    code: str
    name: str
    basis: str
    must_see: bool


@dataclass(frozen=True, slots=True)
class Question:
    """One question as it travels. ``key`` names the key that ``holder`` is an index under; ``asker``: the requester's own id there."""

    key: str
    holder: bytes
    type_code: str
    want: Want
    purpose: str
    organisation: str
    asker: str
    matter: StatedMatter
    show_code: str = field(default="", repr=False)

    def to_json(self) -> JSON:
        return {
            "key": self.key, "holder": base64.b64encode(self.holder).decode(), "type": self.type_code, "want": self.want.value,
            "purpose": self.purpose, "requester": {"organisation": self.organisation, "id": self.asker},
            "matter": {
                "code": self.matter.code, "name": self.matter.name, "basis": self.matter.basis, "must_see": self.matter.must_see,
            },
            "show_code": self.show_code,
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Question":
        """Raises ValueError, KeyError."""
        matter, requester = value["matter"], value["requester"]
        if not isinstance(matter, dict) or not isinstance(requester, dict) or not isinstance(matter["must_see"], bool):
            raise ValueError("no question")
        stated = StatedMatter(_text(matter["code"]), _text(matter["name"]), _text(matter["basis"], empty=True), matter["must_see"])
        question = cls(
            _text(value["key"]), octets(value["holder"]), _text(value["type"]), Want(value["want"]), _text(value["purpose"], empty=True),
            _text(requester["organisation"]), _text(requester["id"]), stated, _text(value["show_code"], empty=True),
        )  # fmt: skip
        if len(question.holder) != _INDEX or question.want not in WANTS:
            raise ValueError("no question")
        return question

    def facts(self) -> MatterFacts:
        """The matter as the rules of sharing take it."""
        paper = PaperFacts("stated", frozenset({self.type_code}), self.matter.must_see, self.matter.basis)
        return MatterFacts(self.matter.code, self.organisation, (paper,))


def _text(value: object, *, empty: bool = False) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable() or not (empty or value.strip()):
        raise ValueError("no text")
    return value


@dataclass(frozen=True, slots=True)
class _Case:
    actor: Actor
    ask: Ask
    holder: bytes
    held: tuple[Certificate, ...]


async def answer(exchange: Exchange, peer: Peer, given: JSON) -> JSON:
    """See the module. Raises ``AskerOutOfScope``, ``PairKeyStale``, ``PurposeRequired``, ``SharingRefused``, ``QuotaExhausted``,
    ``AuthorisationUnknown``, :class:`NothingHeld`, ``DocumentNotHeld``, ``BlobDamaged``; ValueError for what is no question."""
    question, library = Question.from_json(given), exchange.library
    now = library.clock.now()
    try:
        if not peer.speaks_for(question.organisation):
            raise AskerOutOfScope(question.organisation)
        purpose = check_purpose(question.purpose)
        async with library.database.session() as session:
            case = await _case(session, exchange, peer, replace(question, purpose=purpose), now)
            permitted, decision = _permitted(case)
            file_hash = await _document(session, permitted) if question.want is Want.FILE else None
        file = await library.blobs.get(file_hash) if file_hash else None
        await _record(exchange, peer, question, case, permitted, decision, now)
    except FujieError as error:
        reason = error.reason if isinstance(error, SharingRefused) else error.code
        details: dict[str, audit.JSON] = {"reason": reason, "organisation": question.organisation}
        event = Event("certs.federation.answer", f"type:{question.type_code[:40]}", audit.Outcome.REFUSED, peer.actor, details, error.code)
        await audit.record_alone(library.database, now, event)
        raise
    return _told(question, permitted, file, now)


async def _case(session: AsyncSession, exchange: Exchange, peer: Peer, question: Question, now: dt.datetime) -> _Case:
    key, complete = await key_with(session, exchange.keystore, peer.id)
    if key.name != question.key:
        raise PairKeyStale("another key")
    holder = await holder_of(session, peer, question.holder)
    if holder is None and not complete:
        raise PairKeyStale("holders are still being indexed")
    actor = Actor(ActorKind.CLIENT, f"peer:{peer.id}:{question.asker}"[:200], peer.name, question.organisation)
    facts = question.facts()
    given = await _given(session, question, holder or b"")
    ask = Ask(
        actor, question.organisation, question.want, await type_facts(session, question.type_code), question.purpose, now, matter=facts,
        authorisation=given.authorisation if given else None,
        right=await right_of(session, now, question.organisation, question.type_code, question.want, facts.code),
    )  # fmt: skip
    held = await held_of_type(session, holder or b"", question.type_code)
    return _Case(actor, ask, holder or b"", tuple(one for one in held if given is None or one.id == given.certificate_id))


async def _given(session: AsyncSession, question: Question, holder: bytes) -> Given | None:
    if not question.show_code:
        return None
    return await find_authorisation(session, question.organisation, show_code=question.show_code, holder=holder)


def _permitted(case: _Case) -> tuple[tuple[Certificate, ...], Decision]:
    """What may be told of, the valid before the rest; what the type does not permit is refused whether or not there is one."""
    of_type = decide(case.ask)
    decided = [(one, decide(replace(case.ask, certificate=facts_of(one)))) for one in case.held]
    chosen = [(one, decision) for one, decision in decided if decision.permitted]
    if not chosen and not of_type.permitted:
        raise SharingRefused(of_type.code)
    ordered = sorted(chosen, key=lambda pair: not _valid(pair[0], case.ask.now))
    return tuple(one for one, _ in ordered), ordered[0][1] if ordered else of_type


def _valid(certificate: Certificate, now: dt.datetime) -> bool:
    return answers_yes(certificate, certificate.standing(civil_date(now)))


async def _document(session: AsyncSession, permitted: tuple[Certificate, ...]) -> bytes | None:
    if not permitted:
        return None
    if permitted[0].document_hash is None:
        raise DocumentNotHeld
    return await newest(session, permitted[0].document_hash)


async def _record(
    exchange: Exchange,
    peer: Peer,
    question: Question,
    case: _Case,
    permitted: tuple[Certificate, ...],
    decision: Decision,
    now: dt.datetime,
) -> None:
    library, told = exchange.library, permitted[:1] if question.want is not Want.RECORD else permitted
    async with library.database.begin() as session:
        await count(session, now, case.actor, WANTS[question.want], question.type_code)
        await spend(session, now, case.actor, decision.spends, peer.name)
        session.add_all(access_row(library, case.actor, _KINDS[question.want], case.ask.purpose, one.id) for one in told)
        if not told and case.holder:
            access = access_row(library, case.actor, _KINDS[question.want], case.ask.purpose, None)
            session.add(access)
            await session.flush()
            session.add(HolderSearchRow(access_id=access.id, holder_index=case.holder))
        details: dict[str, audit.JSON] = {
            "organisation": question.organisation, "matter": question.matter.code, "type": question.type_code,
            "want": question.want.value, "purpose": audit.digest(case.ask.purpose), "holder": case.holder.hex(),
            "reason": decision.code, "told": [str(one.id) for one in told],
        }  # fmt: skip
        await audit.record(session, now, Event("certs.federation.answer", f"peer:{peer.id}", audit.Outcome.DONE, case.actor, details))


def _told(question: Question, permitted: tuple[Certificate, ...], file: bytes | None, now: dt.datetime) -> JSON:
    if question.want is Want.DATA:
        return {"holds": any(_valid(one, now) for one in permitted)}
    if not permitted:
        raise NothingHeld
    if file is None:
        return {"records": [record_of(one, now) for one in permitted]}
    return {"records": [record_of(permitted[0], now)], "file": base64.b64encode(file).decode()}


def record_of(certificate: Certificate, now: dt.datetime) -> JSON:
    """A certificate as another instance is given it: numbers of people masked, as everywhere."""
    days = {name: getattr(certificate, name) for name in ("issued_on", "valid_from", "valid_to")}
    return {
        "id": str(certificate.id), "identifier": certificate.identifier, "type": certificate.type_code, "name": certificate.type_name,
        "number": certificate.number, "issuer": certificate.issuer, "issuer_name": certificate.issuer_name,
        "status": certificate.status.value, "standing": certificate.standing(civil_date(now)).value,
        **{name: day.isoformat() if day else None for name, day in days.items()}, "trust_grade": certificate.trust_grade,
        "verification_code": certificate.verification_code, "fields": dict(certificate.fields),
        "holders": [{"name": one.name, "code_type": one.code_type, "code": one.code or one.code_masked} for one in certificate.holders],
        "document": certificate.document_hash.hex() if certificate.document_hash else None,
    }  # fmt: skip
