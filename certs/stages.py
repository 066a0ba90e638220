"""The stages of issuing, each a type: Reserved → Rendered → Permitted → Stamped → Issued. Skipping one is a type error."""

import datetime as dt
import uuid
from dataclasses import dataclass, field

from certs.archiving import Archived
from certs.catalogue import CertificateType
from certs.fonts import REQUIRED_FONTS, FontSet
from certs.own_paper_values import OwnPaper
from certs.records import Certificate
from identity.personal_data import PersonalData
from keys.base.actor import Actor
from keys.base.blobs import BlobStore
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.work import Workers
from keys.custody.store import KeyStore
from seal.material import SealMaterial
from seal.permits import Permit
from seal.placement import Placement


@dataclass(frozen=True, slots=True)
class Issuing:
    """What the journey needs. ``base_url`` is the issuer of this house, without a slash at its end.

    ``gate`` tells the instant of what is issued, and raises while nothing may be: the clock is in doubt or time stamps are
    overdue (``keys.time.backlog``). ``clock`` tells every other: leases, refusals, what is only written down. ``archived``: whose files
    are upgraded to B-LTA and renewed.
    """

    database: Database
    keystore: KeyStore
    clock: Clock
    workers: Workers
    blobs: BlobStore
    personal: PersonalData
    base_url: str
    gate: Clock
    fonts: FontSet = field(default=REQUIRED_FONTS)
    archived: Archived = field(default=Archived())


@dataclass(frozen=True, slots=True)
class Reserved:
    """Number and record exist, nothing is printed. ``lease`` is this process's right to go on.

    ``actor`` asked; ``unattended``: the seal may be used without a person. ``verify_url`` is what the QR code will hold.
    ``move`` with ``reason``, ``reason_code`` and ``legal_basis`` end its predecessor, if it has one. ``window``, ``address``: where it was
    asked for, as the approving system says and as the connection shows. ``offline_text``: what the second QR code says, where the type
    has one. ``merges``: it takes up others (``certs.merging``). ``paper``: the issuer's own. ``photo``: a photograph is kept for its print
    (``certs.photograph_keeping``). ``copy``: which of the form's copies is printed; empty: the first.
    """

    certificate: Certificate
    kind: CertificateType
    actor: Actor
    verify_url: str
    unattended: bool
    lease: uuid.UUID
    move: str | None = None
    reason: str = ""
    window: str | None = None
    address: str | None = None
    offline_text: str | None = None
    reason_code: str | None = None
    legal_basis: str | None = None
    merges: bool = False
    paper: OwnPaper | None = None
    photo: bool = False
    copy: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The unsealed PDF. ``document_hash`` is its SHA-256, 32 octets: what a permit is given for."""

    reserved: Reserved
    pdf: bytes
    document_hash: bytes
    seal_place: Placement


@dataclass(frozen=True, slots=True)
class Permitted:
    """The seal may be used once, on this document. ``actor`` uses it: the client, or the approver who stamps."""

    rendered: Rendered
    permit: Permit
    material: SealMaterial
    actor: Actor


@dataclass(frozen=True, slots=True)
class Stamped:
    """The sealed PDF, stored durably; nobody is told of it yet."""

    permitted: Permitted
    document_hash: bytes
    signing_time: dt.datetime
