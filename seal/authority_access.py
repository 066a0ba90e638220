"""Who gives authority over a seal, and who may look at it."""

from keys.base.actor import Actor, ActorKind, Role
from keys.base.errors import Forbidden
from seal.divisions import covers
from seal.reads import Seal


class GrantForbidden(Forbidden):
    code = "SEAL_GRANT_FORBIDDEN"
    public = ("您没有权限授予或收回此印章的使用权。", "You may not grant or withdraw the use of this seal.")


class AuthorityHidden(Forbidden):
    code = "SEAL_AUTHORITY_HIDDEN"
    public = ("您没有权限查看此印章的授权和使用记录。", "You may not see the grants and uses of this seal.")


class AuthorityForbidden(Forbidden):
    code = "SEAL_AUTHORITY_FORBIDDEN"
    public = ("您没有权限更改此印章的使用条件。", "You may not change what the use of this seal takes.")


SURE = 2
"""The authenticator level that changing authority takes: two factors, as stamping does."""


def keeps(actor: Actor, organisation: str) -> bool:
    """A keeper of the organisation, logged in with two factors."""
    return _sure(actor) and Role.SEAL_KEEPER in actor.roles and actor.organisation == organisation


def administers(actor: Actor, division: str) -> bool:
    """A security administrator of the division, logged in with two factors."""
    return _sure(actor) and Role.SECURITY_ADMIN in actor.roles and covers(actor.division, division)


def _sure(actor: Actor) -> bool:
    return actor.kind is ActorKind.PERSON and actor.authenticator >= SURE


def may_grant(actor: Actor, seal: Seal) -> bool:
    """The system as ordered on the machine, the seal's own keeper, or who administers its division."""
    return actor.kind is ActorKind.SYSTEM or keeps(actor, seal.organisation) or administers(actor, seal.division)


def check_grantor(actor: Actor, seal: Seal) -> None:
    """Raises :class:`GrantForbidden`."""
    if not may_grant(actor, seal):
        raise GrantForbidden(f"{actor.id} neither keeps nor administers seal {seal.code}")


def check_reader(actor: Actor, seal: Seal) -> None:
    """Keepers and auditors of the seal's own organisation; who administers or audits its division. Raises :class:`AuthorityHidden`."""
    own_auditor = Role.AUDITOR in actor.roles and actor.organisation == seal.organisation
    auditor = _sure(actor) and (own_auditor or (Role.AUDITOR in actor.roles and covers(actor.division, seal.division)))
    if not (auditor or may_grant(actor, seal)):
        raise AuthorityHidden(f"{actor.id} and seal {seal.code}")


def check_administrator(actor: Actor, seal: Seal) -> None:
    """Raises :class:`AuthorityForbidden`."""
    if actor.kind is not ActorKind.SYSTEM and not administers(actor, seal.division):
        raise AuthorityForbidden(f"{actor.id} does not administer seal {seal.code}")
