"""Who may read or change a certificate. Pure; whoever may not is told that it does not exist."""

from certs.records import Certificate
from identity.numbers import normalise
from keys.base.actor import Actor, ActorKind, Role

STAFF = frozenset({Role.WINDOW_CLERK, Role.APPROVER, Role.SEAL_KEEPER, Role.AUDITOR})
_MAY_CHANGE = frozenset({Role.APPROVER})
_MAY_SUBMIT = frozenset({Role.WINDOW_CLERK, Role.APPROVER})
_FOR_THE_ORGANISATION = frozenset({Role.LEGAL_REPRESENTATIVE, Role.AGENT})


def may_read(certificate: Certificate, actor: Actor, *, is_holder: bool) -> bool:
    """The client that had it issued, its organisation's clients and window clerks, the issuer's clients and staff, and the holders.

    ``is_holder``: the number bound to the actor's account is a holder's. An organisation that holds it is spoken for by its
    legal representative or agent.
    """
    if actor.kind is ActorKind.CLIENT:
        return actor.id == certificate.client_id or _of_issuer(certificate, actor) or _of_client(certificate, actor)
    if actor.kind is not ActorKind.PERSON:
        return actor.kind is ActorKind.SYSTEM
    if Role.WINDOW_CLERK in actor.roles and _of_client(certificate, actor):  # what their own window brought, to be handed over
        return True
    return is_holder or (bool(actor.roles & STAFF) and _of_issuer(certificate, actor)) or _speaks_for_holder(certificate, actor)


def may_change(certificate: Certificate, actor: Actor) -> bool:
    """The issuer's own clients and approvers; a client with the right to issue for it is looked up by the caller."""
    if actor.kind is ActorKind.SYSTEM:  # a command on the machine itself
        return True
    if actor.kind is ActorKind.CLIENT:
        return _of_issuer(certificate, actor)
    return actor.kind is ActorKind.PERSON and bool(actor.roles & _MAY_CHANGE) and _of_issuer(certificate, actor)


def may_submit(actor: Actor, issuer: str) -> bool:
    """Who brings an approval of their own organisation: its clients, and through a portal its window clerks and approvers.

    ``issuer``: its credit code. A client with the right to issue for another organisation is looked up by the caller.
    """
    if actor.organisation is None or normalise(actor.organisation) != issuer:
        return False
    if actor.kind is ActorKind.PERSON:
        return bool(actor.roles & _MAY_SUBMIT)
    return actor.kind in (ActorKind.CLIENT, ActorKind.SYSTEM)  # a command on the machine itself names whom it acts for


def _of_issuer(certificate: Certificate, actor: Actor) -> bool:
    return actor.organisation is not None and actor.organisation == certificate.issuer


def _of_client(certificate: Certificate, actor: Actor) -> bool:
    return actor.organisation is not None and actor.organisation == certificate.client_organisation


def _speaks_for_holder(certificate: Certificate, actor: Actor) -> bool:
    held = {one.code for one in certificate.holders if one.code}
    return speaks_for_organisation(actor) and actor.organisation in held


def speaks_for_organisation(actor: Actor) -> bool:
    """Its legal representative or agent: what it holds is theirs to see."""
    return actor.kind is ActorKind.PERSON and actor.organisation is not None and bool(actor.roles & _FOR_THE_ORGANISATION)
