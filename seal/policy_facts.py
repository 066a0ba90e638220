"""The facts the policy judges: frozen, gathered by ``seal.permits``, compared with nothing but each other."""

import datetime as dt
import ipaddress
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from keys.base.actor import Actor, ActorKind
from keys.base.clock import civil_date
from seal.lifecycle import Status

HASH_OCTETS = 32
REVIEW_EVERY = dt.timedelta(days=366)
"""A grant that nobody confirmed for longer has lapsed."""
APPROVAL_LIFETIME = dt.timedelta(days=30)
"""How long an approval of a document counts."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What using a seal takes: identity assurance, authenticator level, approvers of the document."""

    assurance: int = 2
    authenticator: int = 2
    approvals: int = 1


EVERY_SEAL = Requirements()
"""A person who stamps is known by name and number (STANDARDS.md §1), logged in with two factors (AAL 2), and one approver agreed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a use takes place: the window somebody says they are at, and the network address they come from."""

    window: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class SealFacts:
    """``certificates_stand``: neither of its certificates was revoked or put on hold by us."""

    code: str
    kind: str
    organisation: str
    division: str
    status: Status
    valid_from: dt.datetime
    valid_to: dt.datetime
    required: Requirements = EVERY_SEAL
    certificates_stand: bool = True


@dataclass(frozen=True, slots=True)
class MatterFacts:
    """``legal_basis``: why this approval matter may take a seal that is none for approvals."""

    code: str
    is_approval: bool
    organisation: str
    legal_basis: str | None = None


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """A window that keeps the seal (``keeps``) or where the actor works (``staffed``). ``networks``: CIDR; none: any."""

    id: str
    organisation: str
    division: str
    networks: tuple[str, ...] = ()
    keeps: bool = True
    staffed: bool = True
    closed: bool = False


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """A grant to the actor on the seal. ``certificate_type``, ``document_kind`` None cover every one and none.

    ``window_id``       the use must take place at this window; ``networks``: or come from one of these (CIDR; none: any)
    ``hours``           as ``seal.policy_hours`` reads them; none: at any time
    ``quota_day``       uses on one civil day, ``quota_total`` for ever; the grant's own, counted with what was handed on from it
    ``reviewed_at``     when it was given or last confirmed
    ``above``           what it was handed on from, the first first: each must cover the use as well
    """

    id: uuid.UUID
    matter_code: str
    certificate_type: str | None
    valid_from: dt.datetime
    valid_to: dt.datetime
    unattended: bool
    withdrawn: bool
    document_kind: str | None = None
    window_id: str | None = None
    networks: tuple[str, ...] = ()
    hours: tuple[str, ...] = ()
    quota_day: int | None = None
    quota_total: int | None = None
    used_today: int = 0
    used_total: int = 0
    reviewed_at: dt.datetime | None = None
    above: tuple["GrantFacts", ...] = ()

    @property
    def chain(self) -> tuple["GrantFacts", ...]:
        """What it was handed on from, and itself."""
        return (*self.above, self)


@dataclass(frozen=True, slots=True)
class Use:
    """One intended use. ``document_hash`` is SHA-256 of what is to be stamped; ``matter`` None: there is no such matter.

    ``requester``   who asked that the document be stamped, if not the actor's own idea
    ``approvers``   who agreed to this document, for whomever it was asked: (approver, requester)
    ``windows``     those that keep the seal, and those where the actor works
    """

    now: dt.datetime
    actor: Actor
    seal: SealFacts
    matter: MatterFacts | None
    certificate_type: str | None
    document_hash: bytes
    unattended: bool
    grants: tuple[GrantFacts, ...]
    document_kind: str | None = None
    requester: str | None = None
    place: Place | None = None
    approvers: frozenset[tuple[str, str]] = field(default=frozenset())
    windows: tuple[WindowFacts, ...] = ()
    person_active: bool = True

    @property
    def alone(self) -> bool:
        """A client is nobody's hand on the seal: whatever it says, its use is unattended."""
        return self.unattended or self.actor.kind is ActorKind.CLIENT

    @property
    def day(self) -> dt.date:
        """The civil day that daily quotas count."""
        return civil_date(self.now)

    @property
    def window(self) -> WindowFacts | None:
        """The window the use takes place at: where the actor works, and from whose network the request comes.

        Without a window named it is found by the address; a window without networks must be named.
        """
        place = self.place
        if place is None:
            return None
        staffed = (one for one in self.windows if one.staffed and (place.window == one.id if place.window else bool(one.networks)))
        return next((one for one in staffed if not one.networks or within(one.networks, place.address)), None)


def within(networks: Sequence[str], address: str | None) -> bool:
    """Whether the address lies in one of the networks; one that cannot be read lies in none.

    >>> within(("10.1.0.0/16", "2001:db8::/32"), "10.1.2.3")
    True
    """
    try:
        known = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    plain = known.ipv4_mapped if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped else known
    return any(plain in ipaddress.ip_network(one) for one in networks)
