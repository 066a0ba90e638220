"""Tables of the exchange between instances, in the schema ``certs``. Imported only inside this package."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Identity, Index, Sequence, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base

CHANGES = Sequence("federation_changes", schema="certs", metadata=Base.metadata)
"""What changed, in the order in which it is told: given by one transaction at a time."""


class FederationSelfRow(Base):
    """How this instance introduces itself: one row.

    ``authority`` certifies its TLS keys; ``cipher_id`` is the key in custody that seals what it agrees with peers; ``filled_to``: the
    certificate up to which the order of changes was filled when the first peer came, none once it is whole.
    """

    __tablename__ = "federation_self"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    instance: Mapped[uuid.UUID]
    name: Mapped[str]
    organisation: Mapped[str]
    divisions: Mapped[list[str]] = mapped_column(JSONB)
    address: Mapped[str]
    authority: Mapped[str]
    cipher_id: Mapped[uuid.UUID]
    filled_to: Mapped[uuid.UUID | None]
    created_at: Mapped[dt.datetime]


class FederationKeyRow(Base):
    """A key of ours that signs messages. ``revoked_at``: it proves nothing any more."""

    __tablename__ = "federation_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    created_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]


class PeerRow(Base):
    """Another instance.

    ``card``          as two people agreed to it; ``keys``: its message keys of now, which it announces itself
    ``knows``         the ``kid`` of ours that it said it knows
    ``own_part``, ``their_part``  the two halves of the key of holders' indexes, sealed; ``pair_key``: the name of that key
    ``told_part``     the name of our half that it was told last
    ``indexed_to``    the certificate up to which holders are indexed for it; ``cursor``: the change of its that we have taken in last
    ``catalogue``     the digest of its catalogue as we have it
    ``heard_at``      when we were last level with all that it tells; ``problem``: what is wrong since
    """

    __tablename__ = "federation_peers"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    instance: Mapped[uuid.UUID]
    name: Mapped[str]
    organisation: Mapped[str]
    address: Mapped[str]
    level: Mapped[str]
    divisions: Mapped[list[str]] = mapped_column(JSONB)
    card: Mapped[dict[str, Any]]
    digest: Mapped[bytes]
    keys: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    knows: Mapped[list[str]] = mapped_column(JSONB)
    status: Mapped[str]
    status_since: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime]
    own_part: Mapped[bytes | None]
    their_part: Mapped[bytes | None]
    pair_key: Mapped[str | None]
    told_part: Mapped[str | None]
    indexed_to: Mapped[uuid.UUID | None]
    cursor: Mapped[int]
    catalogue: Mapped[bytes | None]
    heard_at: Mapped[dt.datetime | None]
    problem: Mapped[str | None]

    __table_args__ = (
        Index(
            "uq_federation_peers_living", "instance", unique=True, postgresql_where=text("status IN ('proposed', 'active', 'suspended')")
        ),
    )


class PeerMoveRow(Base):
    """The history of a peer, one row a move; append-only."""

    __tablename__ = "federation_moves"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    peer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.federation_peers.id"))
    move: Mapped[str]
    old: Mapped[str | None]
    new: Mapped[str]
    at: Mapped[dt.datetime]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    reason: Mapped[str]

    __table_args__ = (Index("ix_federation_moves_peer", "peer_id", "id"),)


class NonceRow(Base):
    """A message that came; the same one does not come twice."""

    __tablename__ = "federation_nonces"

    peer_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    nonce: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[dt.datetime]

    __table_args__ = (Index("ix_federation_nonces_expires", "expires_at"),)


class ChangeQueueRow(Base):
    """Certificates whose state changed and has not been given its place in the order. Filled by a trigger, whoever writes."""

    __tablename__ = "federation_queue"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    certificate_id: Mapped[uuid.UUID]


class ChangeRow(Base):
    """The latest change of a certificate: its place in the order in which peers take changes in. One row a certificate."""

    __tablename__ = "federation_entries"

    certificate_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(unique=True)


class PeerTypeRow(Base):
    """A certificate type in force with a peer, as it told us."""

    __tablename__ = "federation_types"

    peer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.federation_peers.id"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    name_zh: Mapped[str]
    definition: Mapped[dict[str, Any]]
    digest: Mapped[bytes]
    received_at: Mapped[dt.datetime]

    __table_args__ = (Index("ix_federation_types_code", "code"),)


class PeerStatusRow(Base):
    """A certificate of a peer's library as it told us: no holder, no number, nothing personal."""

    __tablename__ = "federation_statuses"

    peer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.federation_peers.id"), primary_key=True)
    identifier: Mapped[str] = mapped_column(primary_key=True)
    type_code: Mapped[str]
    type_name: Mapped[str]
    issuer: Mapped[str]
    issuer_name: Mapped[str]
    status: Mapped[str]
    issued_on: Mapped[dt.date | None]
    valid_from: Mapped[dt.date | None]
    valid_to: Mapped[dt.date | None]
    successor: Mapped[str | None]
    document_hash: Mapped[bytes | None]
    seq: Mapped[int]
    received_at: Mapped[dt.datetime]

    __table_args__ = (
        Index("ix_federation_statuses_identifier", "identifier"),
        Index("ix_federation_statuses_document", "document_hash", postgresql_where=text("document_hash IS NOT NULL")),
    )


class PairIndexRow(Base):
    """A holder as one peer may ask for them: the index under the key of that pair → our own blind index."""

    __tablename__ = "federation_holders"

    peer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.federation_peers.id"), primary_key=True)
    pair_index: Mapped[bytes] = mapped_column(primary_key=True)
    code_index: Mapped[bytes]
