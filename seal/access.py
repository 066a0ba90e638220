"""Who sees which seals, and from where one may manage them."""

from keys.base.actor import Actor, ActorKind, Role
from keys.base.errors import Forbidden
from seal.divisions import covers
from seal.reads import Seal, SealNotFound

_WIDE = frozenset({Role.SECURITY_ADMIN, Role.SYSTEM_ADMIN, Role.AUDITOR})
_STAFF = frozenset({Role.SEAL_KEEPER, Role.APPROVER, Role.WINDOW_CLERK})


class SecondFactorNeeded(Forbidden):
    """Seals are managed by people who logged in with two factors."""

    code = "SEAL_SECOND_FACTOR_NEEDED"
    public = ("管理印章须使用双因素登录。", "Managing seals takes a log-in with two factors.")


def require_two_factors(actor: Actor) -> None:
    """Raises :class:`SecondFactorNeeded` for a person with fewer."""
    if actor.kind is ActorKind.PERSON and actor.authenticator < 2:
        raise SecondFactorNeeded


def may_see(actor: Actor, seal: Seal) -> bool:
    """Administrators and auditors see their division's seals, staff and clients those of their organisation."""
    if actor.kind is ActorKind.SYSTEM:
        return True
    if actor.roles & _WIDE and covers(actor.division, seal.division):
        return True
    own = actor.organisation is not None and actor.organisation == seal.organisation
    return own and (actor.kind is ActorKind.CLIENT or bool(actor.roles & _STAFF))


def seen(actor: Actor, seal: Seal) -> Seal:
    """The seal; to whoever may not see it, it is not there. Raises ``SealNotFound``."""
    if not may_see(actor, seal):
        raise SealNotFound(seal.code or str(seal.id))
    return seal
