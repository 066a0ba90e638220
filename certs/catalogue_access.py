"""Who writes in the catalogue, who reviews, who reads. Pure.

Writing: system administrators, and the approvers of an organisation that defines the type or may issue it. Reviewing, and retiring:
security administrators and, for their organisation's types, approvers; never somebody who wrote in the version. All of them are people
who logged in with two factors. The system itself (a command on the machine) writes, and never reviews.
"""

from collections.abc import Collection

from certs.catalogue import CertificateType
from certs.type_lifecycle import TYPE_MOVES, TypeMove
from keys.base.actor import Actor, ActorKind, Role
from keys.base.errors import Forbidden

READERS = frozenset(
    {Role.WINDOW_CLERK, Role.APPROVER, Role.SEAL_KEEPER, Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDITOR}
)  # fmt: skip
_TWO_FACTORS = 2


class CatalogueForbidden(Forbidden):
    """The role or the organisation does not allow it."""

    code = "CATALOGUE_FORBIDDEN"
    public = ("您没有权限对该证照类型执行此操作。", "You may not do this in the catalogue of certificate types.")


class CatalogueSecondFactorNeeded(Forbidden):
    """The catalogue is kept by people who logged in with two factors."""

    code = "CATALOGUE_SECOND_FACTOR_NEEDED"
    public = ("维护证照目录须使用双因素登录。", "Keeping the catalogue takes a log-in with two factors.")


class SamePerson(Forbidden):
    """Whoever wrote in a version does not review it."""

    code = "CATALOGUE_SAME_PERSON"
    public = ("起草或修改过该版本的人不能审核它。", "Whoever wrote in this version may not review it.")


def check_reader(actor: Actor) -> None:
    """Staff and the system; clients are asked for their scope before. Raises :class:`CatalogueForbidden`."""
    if actor.kind is ActorKind.PERSON and not actor.roles & READERS:
        raise CatalogueForbidden("no staff")


def check_move(actor: Actor, move: TypeMove, kind: CertificateType, writers: Collection[str] = ()) -> None:
    """Raises :class:`CatalogueForbidden`, :class:`CatalogueSecondFactorNeeded`, :class:`SamePerson`."""
    reviews = TYPE_MOVES[move].reviews
    if actor.kind is ActorKind.SYSTEM:
        if reviews:
            raise CatalogueForbidden("a review takes a person")
        return
    if actor.kind is not ActorKind.PERSON or not (holds_office(actor, reviews=reviews) or of_the_type(actor, kind)):
        raise CatalogueForbidden(f"{move} in {kind.code}")
    if actor.authenticator < _TWO_FACTORS:
        raise CatalogueSecondFactorNeeded
    if reviews and move is not TypeMove.RETIRE and actor.id in writers:
        raise SamePerson(kind.code)


def holds_office(actor: Actor, *, reviews: bool) -> bool:
    """Whether the role allows it for every type of the city."""
    return (Role.SECURITY_ADMIN if reviews else Role.SYSTEM_ADMIN) in actor.roles


def of_the_type(actor: Actor, kind: CertificateType) -> bool:
    """Whether an approver's organisation defines the type or may issue it."""
    return Role.APPROVER in actor.roles and actor.organisation is not None and actor.organisation in (kind.authority, *kind.issuers)


def may(actor: Actor, move: TypeMove, kind: CertificateType, writers: Collection[str] = ()) -> bool:
    """Whether :func:`check_move` passes: what a page offers."""
    try:
        check_move(actor, move, kind, writers)
    except Forbidden:
        return False
    return True
