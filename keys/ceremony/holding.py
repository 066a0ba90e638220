"""Holding a key ceremony.

:func:`hold`
  1. *roles*      two people, both logged in with two factors: a security administrator and an auditor
  2. *vacant*     none of the planned authorities exists
  3. *make*       each authority, parents first: its key in the key store, its certificate, its first revocation list
  4. *check*      every signature just made, from the octets alone
  5. *sign off*   both people confirm the digest of the transcript
  6. *record*     the authorities, the transcript and its digest in the audit log: one transaction

Until step 6 nothing counts. Whoever stops before leaves no authority; a key that was already made on a token stays there without
use, and the error names it, so that it can be destroyed.
"""

import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from asn1crypto import crl, x509
from sqlalchemy import func, select

from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, FujieError
from keys.base.ids import new_id
from keys.ceremony.models import CeremonyRow
from keys.ceremony.plan import CeremonyPlan
from keys.ceremony.transcript import Transcript
from keys.custody.store import KeyStore
from keys.custody.verifying import verify_signature
from keys.evidence.audit import Event, Outcome, record, record_alone
from keys.models import AuthorityRow
from keys.pki.authority import establish_one
from keys.pki.certificate import Subject
from keys.pki.crl import current_crl
from keys.pki.profiles import AuthorityPlan
from keys.pki.reads import Authority, get_authorities

_TWO_FACTORS = 2


class CeremonyRoleMissing(Forbidden):
    """The administrator is no security administrator, the witness no auditor, they are one person, or one lacks a second factor."""

    code = "CEREMONY_ROLE_MISSING"
    public = (
        "密钥仪式须由安全管理员操作、审计员见证，二人均以双因素登录。",
        "A key ceremony needs a security administrator and, as witness, an auditor, both logged in with two factors.",
    )


class AuthorityExists(Conflict):
    """An authority of the plan was made before; ``detail`` names it."""

    code = "AUTHORITY_EXISTS"
    public = ("该证书颁发机构已经存在。", "This certificate authority exists already.")


class CeremonyNotSignedOff(Conflict):
    """One of the two did not confirm the transcript: nothing was made. ``extra['keys']`` are the keys that were generated."""

    code = "CEREMONY_NOT_SIGNED_OFF"
    public = ("记录未获双方确认，本次密钥仪式无效。", "The transcript was not confirmed by both: the ceremony is void.")


class CeremonyCheckFailed(FujieError):
    """What was just signed does not verify; the key store is not to be trusted."""

    code = "CEREMONY_CHECK_FAILED"
    public = ("密钥仪式的自检未通过，未建立任何机构。", "A check of the ceremony failed; no authority was made.")


@dataclass(frozen=True, slots=True)
class Hall:
    """Where the ceremony is held. ``store`` says in words which key store keeps the keys (its transcript quotes it)."""

    database: Database
    keystore: KeyStore
    clock: Clock
    base_url: str
    store: str


@dataclass(frozen=True, slots=True)
class People:
    """The two, as they logged in."""

    administrator: Actor
    witness: Actor


SignOff = Callable[[Actor, Transcript], Awaitable[bool]]
"""Asks one of the two whether the transcript is what happened."""


async def hold(hall: Hall, plan: CeremonyPlan, configuration: bytes, people: People, sign_off: SignOff) -> Transcript:
    """See the module's steps. ``configuration`` is the file as read, for its digest.

    Raises :class:`CeremonyRoleMissing`, :class:`AuthorityExists`, :class:`CeremonyCheckFailed`, :class:`CeremonyNotSignedOff`
    and what the PKI refuses; each leaves an audit event.
    """
    try:
        _require_roles(people)
        return await _hold(hall, plan, configuration, people, sign_off)
    except FujieError as error:
        outcome = Outcome.FAILED if error.status >= 500 else Outcome.REFUSED
        refusal = Event(
            "keys.ceremony.hold", _object(configuration), outcome, people.administrator, {"witness": people.witness.id}, error.code
        )
        await record_alone(hall.database, hall.clock.now(), refusal)
        raise


def _object(configuration: bytes) -> str:
    return f"ceremony:{hashlib.sha256(configuration).hexdigest()}"


def _require_roles(people: People) -> None:
    administrator, witness = people.administrator, people.witness
    if administrator.id == witness.id:
        raise CeremonyRoleMissing("one person in both roles")
    for actor, role in ((administrator, Role.SECURITY_ADMIN), (witness, Role.AUDITOR)):
        if actor.kind is not ActorKind.PERSON or role not in actor.roles or actor.authenticator < _TWO_FACTORS:
            raise CeremonyRoleMissing(f"{actor.id} is not here as {role} with two factors")


async def _hold(hall: Hall, plan: CeremonyPlan, configuration: bytes, people: People, sign_off: SignOff) -> Transcript:
    async with hall.database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("keys.pki.establish", 0))))
        await _require_vacant(session, plan.authorities)
        transcript = _opened(hall, plan, configuration, people)
        for authority in plan.authorities:
            transcript = await _make(session, hall, plan, authority, transcript)
        transcript = await _checked(session, hall, plan.authorities, transcript)
        await _require_signed_off(session, plan.authorities, people, transcript, sign_off)
        await _record(session, hall.clock.now(), configuration, people, transcript)
        return transcript


async def _require_vacant(session: AsyncSession, planned: Sequence[AuthorityPlan]) -> None:
    """None exists, not even one that waits for somebody else's certificate."""
    names = [authority.name for authority in planned]
    taken = await session.scalars(select(AuthorityRow.name).where(AuthorityRow.name.in_(names)).order_by(AuthorityRow.name))
    if found := taken.all():
        raise AuthorityExists(", ".join(found))


def _opened(hall: Hall, plan: CeremonyPlan, configuration: bytes, people: People) -> Transcript:
    now = hall.clock.now()
    transcript = Transcript(plan.title).then(
        now,
        "读入配置 Configuration read",
        sha256=hashlib.sha256(configuration).hexdigest(),
        organisation=plan.organisation,
        legal_effect="有 yes" if plan.legal_effect else "无 none",
        address=hall.base_url,
        key_store=hall.store,
    )
    return transcript.then(
        now,
        "核验身份（双因素） Identities checked, two factors each",
        administrator=f"{people.administrator.name} ({people.administrator.id})",
        witness=f"{people.witness.name} ({people.witness.id})",
    )


async def _make(session: AsyncSession, hall: Hall, plan: CeremonyPlan, planned: AuthorityPlan, transcript: Transcript) -> Transcript:
    now = hall.clock.now()
    subject = Subject(planned.common_name, plan.organisation, plan.organisation_code, plan.division)
    certificate = x509.Certificate.load(await establish_one(session, hall.keystore, now, planned, subject, hall.base_url))
    made = (await get_authorities(session))[planned.name]
    first = await current_crl(session, hall.keystore, now, planned.name)
    return transcript.then(
        now,
        f"建立机构 Authority made: {planned.name}",
        common_name=planned.common_name,
        parent=planned.parent,
        profile=planned.profile,
        algorithm=planned.algorithm.value,
        key=str(made.key.id),
        public_key_sha256=hashlib.sha256(made.key.public).hexdigest(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate["tbs_certificate"]["validity"]["not_before"].native.isoformat(),
        not_after=certificate["tbs_certificate"]["validity"]["not_after"].native.isoformat(),
        certificate_sha256=hashlib.sha256(made.certificate).hexdigest(),
        first_crl_sha256=hashlib.sha256(first).hexdigest(),
    )


async def _checked(session: AsyncSession, hall: Hall, planned: Sequence[AuthorityPlan], transcript: Transcript) -> Transcript:
    """Every certificate under its parent's key, every list under its authority's."""
    authorities = await get_authorities(session)
    for plan in planned:
        authority, parent = authorities[plan.name], authorities[plan.parent]
        listed = await current_crl(session, hall.keystore, hall.clock.now(), plan.name)
        certificate_holds = _holds(parent, x509.Certificate.load(authority.certificate), "tbs_certificate")
        if not certificate_holds or not _holds(authority, crl.CertificateList.load(listed), "tbs_cert_list"):
            raise CeremonyCheckFailed(plan.name)
    names = ", ".join(plan.name for plan in planned)
    return transcript.then(hall.clock.now(), "自检：全部签名有效 Checked: every signature verifies", authorities=names)


def _holds(authority: Authority, signed: "x509.Certificate | crl.CertificateList", body: str) -> bool:
    algorithm, signature = (
        signed["signature_algorithm"].dump(),
        signed["signature_value" if body == "tbs_certificate" else "signature"].native,
    )
    return verify_signature(authority.key.public, algorithm, signed[body].dump(), signature)


async def _require_signed_off(
    session: AsyncSession, planned: Sequence[AuthorityPlan], people: People, transcript: Transcript, sign_off: SignOff
) -> None:
    for actor in (people.administrator, people.witness):
        if not await sign_off(actor, transcript):
            authorities = await get_authorities(session)
            raise CeremonyNotSignedOff(actor.id, keys=[str(authorities[plan.name].key.id) for plan in planned])


async def _record(session: AsyncSession, now: dt.datetime, configuration: bytes, people: People, transcript: Transcript) -> None:
    digest = transcript.digest()
    row = CeremonyRow(
        id=new_id(),
        held_at=now,
        administrator=people.administrator.id,
        witness=people.witness.id,
        configuration=configuration,
        transcript=transcript.text(),
        sha256=digest,
    )
    session.add(row)
    await session.flush([row])
    details = {"transcript_sha256": digest, "witness": people.witness.id, "ceremony": str(row.id)}
    await record(session, now, Event("keys.ceremony.hold", _object(configuration), Outcome.DONE, people.administrator, details))
    await record(session, now, Event("keys.ceremony.witness", _object(configuration), Outcome.DONE, people.witness, details))
