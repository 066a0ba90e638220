"""Another instance's signed list becomes proposals of ours: nothing on it is trusted until another person has approved it.

1. the list verifies, is current, and is not older than one imported before from the same root
2. of each authority chosen, one that is trusted there now and has no living entry here is proposed, with what the list says
3. its scope may be narrowed, never widened; legal effect may be denied, never added
"""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import Database
from keys.evidence.audit import Event, Outcome, record
from keys.trust.certificates import fingerprint
from keys.trust.documents import SignedList, require_current, verify_list
from keys.trust.entries import EVERYWHERE, Scope, TrustedAuthority, Use
from keys.trust.errors import TrustDuplicate, TrustEntryUnknown, TrustListOutdated, TrustProposalInvalid
from keys.trust.lifecycle import Status
from keys.trust.models import TrustImportRow
from keys.trust.proposals import Proposal, check_actor, propose, refusals_audited
from keys.trust.reads import Entry


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """What is taken from a list.

    ``roots``   DER; the list must be signed under one of them. Whoever gives none compares :attr:`Imported.root` by telephone
    ``chosen``  SHA-256 of certificates, hexadecimal; none: all that are trusted there
    ``uses``    only these of each authority; none: all it has there
    ``scope``   instead of the list's, and within it
    """

    data: bytes
    roots: tuple[bytes, ...] = ()
    chosen: frozenset[str] = frozenset()
    uses: frozenset[Use] = frozenset()
    scope: Scope = EVERYWHERE
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """``root``: SHA-256 of the root under which the list was signed; ``skipped``: fingerprints that had a living entry."""

    issuer: str
    version: int
    root: bytes
    proposed: tuple[Entry, ...]
    skipped: tuple[str, ...]


async def import_list(database: Database, clock: Clock, actor: Actor, order: ImportOrder) -> Imported:
    """See the module's steps. Raises what :func:`keys.trust.documents.verify_list` and :func:`keys.trust.proposals.propose` raise."""
    async with refusals_audited(database, clock, "keys.trust.import", "trust-list", actor):
        check_actor(actor)
        signed = verify_list(order.data, order.roots)
        require_current(signed, clock.now())
        chosen = _chosen(signed.list.authorities, order.chosen)
        orders = [_proposal(one, signed, order) for one in chosen]
        await _remember(database, clock.now(), actor, signed)
    proposed, skipped = await _propose_each(database, clock, actor, orders)
    return Imported(signed.list.issuer, signed.list.version, fingerprint(signed.root), tuple(proposed), tuple(skipped))


async def _propose_each(database: Database, clock: Clock, actor: Actor, orders: Sequence[Proposal]) -> tuple[list[Entry], list[str]]:
    proposed, skipped = [], []
    for one in orders:
        try:
            proposed.append(await propose(database, clock, actor, one))
        except TrustDuplicate:
            skipped.append(fingerprint(one.certificate).hex())
    return proposed, skipped


def _chosen(authorities: Sequence[TrustedAuthority], wanted: Collection[str]) -> list[TrustedAuthority]:
    trusted = {fingerprint(one.certificate).hex(): one for one in authorities if one.history[-1].status is Status.ACTIVE}
    if missing := set(wanted) - set(trusted):
        raise TrustEntryUnknown(f"not trusted by this list: {sorted(missing)[0][:64]}")
    return [one for name, one in trusted.items() if not wanted or name in wanted]


def _proposal(authority: TrustedAuthority, signed: SignedList, order: ImportOrder) -> Proposal:
    uses = authority.uses & order.uses if order.uses else authority.uses
    if not uses:
        raise TrustProposalInvalid("the list does not vouch for this use", errors=[{"field": "uses", "message": "not on the list"}])
    return Proposal(
        certificate=authority.certificate,
        uses=uses,
        scope=narrowed(authority.scope, order.scope),
        subordinates=authority.subordinates,
        valid_from=authority.valid_from,
        valid_to=authority.valid_to,
        crl_urls=authority.crl_urls,
        ocsp_urls=authority.ocsp_urls,
        legal_effect=authority.legal_effect,
        source=f"{signed.list.issuer} v{signed.list.version}",
        reason=order.reason,
    )


def narrowed(stated: Scope, wanted: Scope) -> Scope:
    """The wanted scope within the stated one. Raises ``TrustProposalInvalid`` where it reaches beyond."""
    if stated.organisation and wanted.organisation not in ("", stated.organisation):
        raise _beyond("organisation")
    if stated.divisions and not all(any(_covers(one, other) for one in stated.divisions) for other in wanted.divisions):
        raise _beyond("divisions")
    if stated.seal_kinds and not set(wanted.seal_kinds) <= set(stated.seal_kinds):
        raise _beyond("seal_kinds")
    return Scope(wanted.organisation or stated.organisation, wanted.divisions or stated.divisions, wanted.seal_kinds or stated.seal_kinds)


def _beyond(part: str) -> TrustProposalInvalid:
    return TrustProposalInvalid(f"beyond the list's own {part}", errors=[{"field": f"scope.{part}", "message": "beyond the list's own"}])


def _covers(division: str, other: str) -> bool:
    """GB/T 2260: trailing pairs of zeros stand for everything below."""
    while division.endswith("00"):
        division = division[:-2]
    return other.startswith(division)


async def _remember(database: Database, now: dt.datetime, actor: Actor, signed: SignedList) -> None:
    """An older list of the same signer is refused, and so is another one under the same number."""
    values = {
        "root": fingerprint(signed.root),
        "issuer": signed.list.issuer,
        "version": signed.list.version,
        "digest": signed.digest,
        "imported_at": now,
    }
    new = insert(TrustImportRow).values(values)
    newer = TrustImportRow.version < new.excluded.version
    same = (TrustImportRow.version == new.excluded.version) & (TrustImportRow.digest == new.excluded.digest)
    kept = new.on_conflict_do_update(index_elements=[TrustImportRow.root], set_=values, where=newer | same)
    async with database.begin() as session:
        if await session.scalar(kept.returning(TrustImportRow.version)) is None:
            raise TrustListOutdated("a newer list of this signer was imported before")
        event = Event("keys.trust.import", f"trust-list:{signed.digest.hex()}", Outcome.DONE, actor, {"version": signed.list.version})
        await record(session, now, event)
