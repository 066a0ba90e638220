"""What using one seal takes beyond what every seal takes: never less. A keeper may demand more; less again takes an administrator."""

from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import InvalidInput
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.approvals import requirements_of
from seal.authority_access import check_administrator, check_grantor
from seal.authority_models import RequirementRow
from seal.authority_version import narrowed
from seal.changes import refusals_audited
from seal.policy_facts import EVERY_SEAL, Requirements
from seal.reads import get_seal

HIGHEST = Requirements(assurance=4, authenticator=3, approvals=2)


class RequirementsInvalid(InvalidInput):
    code = "SEAL_REQUIREMENTS_INVALID"
    public = ("印章的使用要求只能高于通用要求。", "A seal may demand more than every seal does, never less.")


async def put_requirements(database: Database, clock: Clock, actor: Actor, seal_code: str, wanted: Requirements) -> None:
    """Set what the seal takes from now on; permits given before are worth nothing.

    Raises :class:`RequirementsInvalid`, ``SealNotFound``, ``GrantForbidden``, ``AuthorityForbidden``.
    """
    subject = f"seal-code:{seal_code[:14]}"
    async with refusals_audited(database, clock, "seal.requirements", subject, actor), database.begin() as session:
        _check(wanted)
        found = await get_seal(session, seal_code)
        check_grantor(actor, found)
        seal = await narrowed(session, found.id)
        if not at_least(wanted, await requirements_of(session, seal.id)):
            check_administrator(actor, seal)
        now = clock.now()
        values = {
            "assurance": wanted.assurance,
            "authenticator": wanted.authenticator,
            "approvals": wanted.approvals,
            "changed_at": now,
            "changed_by": actor.id,
        }
        statement = insert(RequirementRow).values(seal_id=seal.id, **values)
        await session.execute(statement.on_conflict_do_update(index_elements=[RequirementRow.seal_id], set_=values))
        details: dict[str, audit.JSON] = {name: getattr(wanted, name) for name in ("assurance", "authenticator", "approvals")}
        await audit.record(session, now, Event("seal.requirements", f"seal:{seal.id}", Outcome.DONE, actor, details))


def at_least(wanted: Requirements, present: Requirements) -> bool:
    """Whether nothing becomes easier."""
    pairs = ((wanted.assurance, present.assurance), (wanted.authenticator, present.authenticator), (wanted.approvals, present.approvals))
    return all(one >= other for one, other in pairs)


def _check(wanted: Requirements) -> None:
    if not (at_least(wanted, EVERY_SEAL) and at_least(HIGHEST, wanted)):
        raise RequirementsInvalid(str(wanted))
