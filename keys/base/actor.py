"""Who acts: the answer every journey is given and every audit entry names."""

from dataclasses import dataclass, field
from enum import StrEnum


class ActorKind(StrEnum):
    PERSON = "person"
    CLIENT = "client"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"


class Role(StrEnum):
    """Roles of an account (CONTRACT.md); a person holds staff roles within one organisation."""

    CITIZEN = "citizen"
    LEGAL_REPRESENTATIVE = "legal_representative"
    AGENT = "agent"
    WINDOW_CLERK = "window_clerk"
    APPROVER = "approver"
    SEAL_KEEPER = "seal_keeper"
    SYSTEM_ADMIN = "system_admin"
    SECURITY_ADMIN = "security_admin"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that asks.

    ``id``            the account's UUID, the client's ``client_id`` or a system component's name
    ``name``          for pages and the audit trail; never an ID number
    ``organisation``  USCC of the organisation acted for, if any
    ``division``      GB/T 2260 division code within which the actor may act
    ``scopes``        OAuth scopes of a client or of a portal acting for a person
    ``assurance``     identity assurance level 0–4 (STANDARDS.md §1)
    ``authenticator`` authenticator assurance level 0–3 of the present session
    """

    kind: ActorKind
    id: str
    name: str = ""
    organisation: str | None = None
    division: str | None = None
    roles: frozenset[Role] = frozenset()
    scopes: frozenset[str] = field(default=frozenset())
    assurance: int = 0
    authenticator: int = 0


SYSTEM = Actor(ActorKind.SYSTEM, "fujie", "Fujie")
ANONYMOUS = Actor(ActorKind.ANONYMOUS, "anonymous")
