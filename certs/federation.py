"""Two levels: instances of cities and of their province that exchange catalogues, statuses and questions. Plain values, no I/O.

An instance is known by its *card*: who runs it, for which divisions it speaks, where it listens, which authority certifies its TLS keys
and which keys sign its messages. The cards are exchanged outside of the network; two people compare :meth:`Card.digest` by telephone
(docs/federation.md). ``certs.federation_peers`` is the one place that moves a peer.
"""

import base64
import binascii
import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import orjson

from identity.numbers import CodeType, check
from keys.base.errors import Conflict, Forbidden, FujieError, InvalidInput, NotFound
from keys.custody.verifying import ECDSA_WITH_SHA256, SM2_WITH_SM3
from keys.custody.verifying_keys import ED25519, weakness
from keys.trust.certificates import Certificate, read_certificate
from keys.trust.errors import TrustBundleMalformed
from seal.divisions import covers, is_division

JSON = dict[str, Any]
FORMAT = "fujie-peer/1"
MAX_CARD = 64 << 10
MOST_KEYS = 8
MOST_AUTHORITIES = 4
MOST_DIVISIONS = 64
LONGEST_NAME = 100
_KID = re.compile(r"[A-Za-z0-9_-]{43}")
_DIVISION = slice(2, 8)
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, binascii.Error, TrustBundleMalformed)


class CardMalformed(InvalidInput):
    """The file is no card of an instance."""

    code = "FEDERATION_CARD_MALFORMED"
    public = ("该文件不是实例名片，或内容不完整。", "This is not the card of an instance, or it is not complete.")


class PeerUnknown(NotFound):
    code = "FEDERATION_PEER_UNKNOWN"
    public = ("没有这个互联实例。", "There is no such instance.")


class PeerDuplicate(Conflict):
    """One living entry of an instance."""

    code = "FEDERATION_PEER_DUPLICATE"
    public = ("该实例已登记。", "This instance is registered already.")


class PeerIsOurselves(InvalidInput):
    code = "FEDERATION_PEER_IS_OURSELVES"
    public = ("这是本实例自己的名片。", "This is our own card.")


class PeerMoveNotAllowed(Conflict):
    code = "FEDERATION_MOVE_NOT_ALLOWED"
    public = ("该互联实例的当前状态不允许此操作。", "The present status of this instance does not allow this.")


class PeerSamePerson(Forbidden):
    """What widens the exchange takes two people."""

    code = "FEDERATION_SAME_PERSON"
    public = ("须由另一位安全管理员办理。", "Another security administrator has to do this.")


class PeerActorRefused(Forbidden):
    code = "FEDERATION_ACTOR_REFUSED"
    public = ("只有经过双因素登录的安全管理员可以办理。", "Only a security administrator logged in with a second factor may do this.")


class FederationNotEstablished(Conflict):
    """The instance has no card of its own yet."""

    code = "FEDERATION_NOT_ESTABLISHED"
    public = (
        "本实例尚未设立互联：请先运行 fujie federation establish。",
        "This instance has no card yet: run fujie federation establish first.",
    )


class PeerUnreachable(FujieError):
    """The other instance did not answer, or not as it must."""

    code = "FEDERATION_PEER_UNREACHABLE"
    status = 503
    public = ("对方实例暂时无法连接，请稍后再试。", "The other instance cannot be reached at present. Please try again later.")


class PeerAnsweredWrong(PeerUnreachable):
    """Its answer is not signed by it, does not answer what was asked, or cannot be read."""

    code = "FEDERATION_ANSWER_REFUSED"
    status = 502
    public = ("对方实例的应答未通过校验，未予采信。", "The answer of the other instance did not verify and was not used.")


class MessageRefused(Forbidden):
    """A message that does not come from a peer of ours, or came before. Why is in the audit log, not in the answer."""

    code = "FEDERATION_MESSAGE_REFUSED"
    public = ("报文未通过校验，已拒绝。", "The message did not verify and was refused.")


class Level(StrEnum):
    """How a peer stands to us."""

    UPPER = "upper"
    LOWER = "lower"
    EQUAL = "equal"


LEVEL_NAMES: Mapping[Level, tuple[str, str]] = {
    Level.UPPER: ("上级", "above us"),
    Level.LOWER: ("下级", "below us"),
    Level.EQUAL: ("同级", "beside us"),
}


class PeerStatus(StrEnum):
    PROPOSED = "proposed"
    REJECTED = "rejected"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


STATUS_NAMES: Mapping[PeerStatus, tuple[str, str]] = {
    PeerStatus.PROPOSED: ("待批准", "proposed"),
    PeerStatus.REJECTED: ("未获批准", "rejected"),
    PeerStatus.ACTIVE: ("互联中", "active"),
    PeerStatus.SUSPENDED: ("已暂停", "suspended"),
    PeerStatus.WITHDRAWN: ("已终止", "ended"),
}


class PeerMove(StrEnum):
    PROPOSE = "propose"
    APPROVE = "approve"
    REJECT = "reject"
    SUSPEND = "suspend"
    RESUME = "resume"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Rule:
    """One move. ``other_than``: the move whose author may not make this one."""

    sources: frozenset[PeerStatus]
    target: PeerStatus
    zh: str
    en: str
    other_than: PeerMove | None = None


MOVES: Mapping[PeerMove, Rule] = {
    PeerMove.PROPOSE: Rule(frozenset(), PeerStatus.PROPOSED, "登记对方名片", "a card is registered"),
    PeerMove.APPROVE: Rule(
        frozenset({PeerStatus.PROPOSED}), PeerStatus.ACTIVE, "由登记人以外的人批准", "another person agrees", PeerMove.PROPOSE
    ),
    PeerMove.REJECT: Rule(frozenset({PeerStatus.PROPOSED}), PeerStatus.REJECTED, "不予批准", "the proposal is refused"),
    PeerMove.SUSPEND: Rule(frozenset({PeerStatus.ACTIVE}), PeerStatus.SUSPENDED, "立即暂停互联", "nothing is exchanged for now"),
    PeerMove.RESUME: Rule(
        frozenset({PeerStatus.SUSPENDED}), PeerStatus.ACTIVE, "由暂停人以外的人恢复", "another person resumes it", PeerMove.SUSPEND
    ),
    PeerMove.WITHDRAW: Rule(
        frozenset({PeerStatus.ACTIVE, PeerStatus.SUSPENDED}), PeerStatus.WITHDRAWN, "终止互联，不再恢复", "the exchange ends for good"
    ),
}
LIVING = frozenset({PeerStatus.PROPOSED, PeerStatus.ACTIVE, PeerStatus.SUSPENDED})


def target(status: PeerStatus | None, move: PeerMove) -> PeerStatus:
    """Where ``move`` leads from ``status`` (None: no entry yet). Raises :class:`PeerMoveNotAllowed`."""
    rule = MOVES[move]
    if (status is None) != (not rule.sources) or (status is not None and status not in rule.sources):
        raise PeerMoveNotAllowed(f"{move} from {status}", status=str(status), move=str(move))
    return rule.target


def markdown() -> str:
    """The table of moves for the documentation."""
    lines = ["| 操作 Move | 从 From | 到 To | 不得是同一人 Not who made | 含义 Meaning |", "|---|---|---|---|---|"]
    for move, rule in MOVES.items():
        sources = "<br>".join(_label(one) for one in PeerStatus if one in rule.sources) or "—"
        other = f"`{rule.other_than}`" if rule.other_than else "—"
        lines.append(f"| `{move}` | {sources} | {_label(rule.target)} | {other} | {rule.zh}。{rule.en.capitalize()}. |")
    return "\n".join(lines) + "\n"


def _label(status: PeerStatus) -> str:
    zh, en = STATUS_NAMES[status]
    return f"`{status}` {zh} {en}"


@dataclass(frozen=True, slots=True)
class MessageKey:
    """A public key that signs messages. ``kid``: base64url of the SHA-256 of ``public`` (SPKI DER)."""

    kid: str
    public: bytes

    @classmethod
    def of(cls, public: bytes) -> "MessageKey":
        return cls(unpadded(hashlib.sha256(public).digest()), public)

    def to_json(self) -> JSON:
        return {"kid": self.kid, "public": base64.b64encode(self.public).decode()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "MessageKey":
        """Raises :class:`CardMalformed`."""
        try:
            key = cls.of(base64.b64decode(value["public"], validate=True))
        except MALFORMED as error:
            raise CardMalformed("a key") from error
        if set(value) != {"kid", "public"} or value["kid"] != key.kid or weakness(key.public) or key.algorithm is None:
            raise CardMalformed("a key that signs no messages")
        return key

    @property
    def algorithm(self) -> str | None:
        """The OID of its signatures; None: no key for messages."""
        return _algorithm(self.public)


def _algorithm(public: bytes) -> str | None:
    """P-256 with SHA-256, Ed25519, SM2 with SM3: told by the AlgorithmIdentifier of the key."""
    for prefix, oid in _ALGORITHMS.items():
        if public.startswith(prefix):
            return oid
    return None


_ALGORITHMS: Mapping[bytes, str] = {
    bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"): ECDSA_WITH_SHA256,
    bytes.fromhex("302a300506032b6570032100"): ED25519,
    bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200"): SM2_WITH_SM3,
}


@dataclass(frozen=True, slots=True)
class Card:
    """An instance as it introduces itself.

    ``instance``      its identifier, made once
    ``organisation``  USCC of who runs it; ``divisions`` (GB/T 2260) it speaks for
    ``address``       ``https://host:port`` where it listens, and nothing behind it
    ``authorities``   DER of the certificates under which its TLS certificates are issued, directly
    ``keys``          that sign its messages; it announces further ones itself
    """

    instance: uuid.UUID
    name: str
    organisation: str
    divisions: tuple[str, ...]
    address: str
    authorities: tuple[bytes, ...]
    keys: tuple[MessageKey, ...]

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""

    def to_json(self) -> JSON:
        return {
            "format": FORMAT, "instance": str(self.instance), "name": self.name, "organisation": self.organisation,
            "divisions": list(self.divisions), "address": self.address,
            "authorities": [base64.b64encode(one).decode() for one in self.authorities], "keys": [one.to_json() for one in self.keys],
        }  # fmt: skip

    def digest(self) -> bytes:
        """SHA-256 of the card in canonical JSON: what two people compare."""
        return hashlib.sha256(orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)).digest()

    def speaks_for(self, organisation: str) -> bool:
        """Whether an organisation (USCC) lies in a division the instance speaks for (GB 32100, characters 3 to 8)."""
        return within(self.divisions, organisation)


def within(divisions: tuple[str, ...], organisation: str) -> bool:
    """Whether the division in a credit code lies in one of these.

    >>> within(("990100",), "11990102MB000006XL"), within(("990100",), "11990200MB0000035A"), within((), "11990102MB000006XL")
    (True, False, False)
    """
    return any(covers(one, organisation[_DIVISION]) for one in divisions)


def read_card(document: bytes) -> Card:
    """The card in a file. Raises :class:`CardMalformed`."""
    if len(document) > MAX_CARD:
        raise CardMalformed("larger than 64 kB")
    try:
        value = orjson.loads(document)
        return card_from(value)
    except MALFORMED as error:
        raise CardMalformed(type(error).__name__) from error


def card_from(value: Mapping[str, Any]) -> Card:
    """A card from its JSON object. Raises :class:`CardMalformed`."""
    try:
        card = Card(
            uuid.UUID(value["instance"]), value["name"], value["organisation"], tuple(value["divisions"]), value["address"],
            tuple(base64.b64decode(one, validate=True) for one in value["authorities"]), tuple(map(MessageKey.from_json, value["keys"])),
        )  # fmt: skip
        same = card.to_json() == dict(value)
    except MALFORMED as error:
        raise CardMalformed(type(error).__name__) from error
    faults = [name for name, fault in (("spelling", not same), *_faults(card)) if fault]
    if faults:
        raise CardMalformed(", ".join(faults), errors=[{"field": one, "message": "not well-formed"} for one in faults])
    return card


def _faults(card: Card) -> tuple[tuple[str, bool], ...]:
    kids = [one.kid for one in card.keys]
    return (
        ("name", not 0 < len(card.name.strip()) <= LONGEST_NAME or not card.name.isprintable()),
        ("organisation", not check(CodeType.USCC, card.organisation).well_formed),
        ("divisions", not 0 < len(card.divisions) <= MOST_DIVISIONS or not all(map(is_division, card.divisions))),
        ("address", not is_address(card.address)),
        ("authorities", not 0 < len(card.authorities) <= MOST_AUTHORITIES or not all(map(_certifies, card.authorities))),
        ("keys", not 0 < len(kids) <= MOST_KEYS or len(set(kids)) != len(kids)),
    )


def is_address(address: str) -> bool:
    """``https://host[:port]`` in lower case, without user, path, question or fragment."""
    parts = urlsplit(address)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme != "https" or not host or parts.username is not None:
        return False
    shown = f"[{host}]" if ":" in host else host
    return address == (f"https://{shown}:{port}" if port else f"https://{shown}")


def _certifies(encoded: bytes) -> bool:
    authority: Certificate = read_certificate(encoded)
    return authority.is_authority and authority.may("key_cert_sign")


def is_kid(text: str) -> bool:
    return _KID.fullmatch(text) is not None


def unpadded(octets: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def instant_text(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).isoformat()
