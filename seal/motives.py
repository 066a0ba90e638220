"""Why a seal is moved: a reason from a table, words, and the documents it rests on. Pure.

The table says for each reason which moves it suits, what the national feed calls an end for it (``invalidType``) and what the
certificates state when they end for it (CRLReason, RFC 5280 §5.3.1).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from keys.base.errors import InvalidInput
from keys.pki.status_lifecycle import RevocationReason
from seal.lifecycle import Move

LONGEST_TEXT = 500
LONGEST_NAME = 200
MOST_DOCUMENTS = 20
OTHER = "other"
_SHA256 = re.compile("[0-9a-f]{64}")
_NUMBER = re.compile(r"[1-9][0-9]{5}(?:18|19|20)[0-9]{9}[0-9Xx]|(?<![0-9])[1-9][0-9]{16}[0-9Xx](?![0-9])")


class InvalidType(IntEnum):
    """How the national feed tells the ends of a seal apart."""

    WITHDRAWN = 0
    REVOKED = 1
    LOST = 2


INVALID_TYPE_NAMES: Mapping[InvalidType, tuple[str, str]] = {
    InvalidType.WITHDRAWN: ("吊销", "withdrawn"),
    InvalidType.REVOKED: ("撤销", "revoked"),
    InvalidType.LOST: ("挂失", "reported lost"),
}


class DocumentKind(StrEnum):
    """What a document of an application or a move is."""

    APPLICATION = "application"
    MANDATE = "mandate"
    ESTABLISHMENT = "establishment"
    NAME_CHANGE = "name_change"
    IMPRESSION = "impression"
    REVIEW = "review"
    FILING = "filing"
    LOSS_STATEMENT = "loss_statement"
    CANCELLATION = "cancellation"
    OTHER = "other"


DOCUMENT_KIND_NAMES: Mapping[DocumentKind, tuple[str, str]] = {
    DocumentKind.APPLICATION: ("制章申请表", "application form"),
    DocumentKind.MANDATE: ("授权委托书", "power of attorney"),
    DocumentKind.ESTABLISHMENT: ("设立批文或登记证照", "instrument of establishment or registration"),
    DocumentKind.NAME_CHANGE: ("更名批文", "instrument of the change of name"),
    DocumentKind.IMPRESSION: ("印模", "impression"),
    DocumentKind.REVIEW: ("审核意见", "opinion of the review"),
    DocumentKind.FILING: ("备案材料", "filing"),
    DocumentKind.LOSS_STATEMENT: ("挂失声明", "statement of loss"),
    DocumentKind.CANCELLATION: ("注销材料", "papers of the cancellation"),
    DocumentKind.OTHER: ("其他材料", "other"),
}


@dataclass(frozen=True, slots=True)
class ReasonInfo:
    """Its words, the moves it suits, and what its end is called elsewhere."""

    zh: str
    en: str
    moves: frozenset[Move]
    invalid_type: InvalidType | None = None
    certificate: RevocationReason | None = None


def _for(*moves: Move) -> frozenset[Move]:
    return frozenset(moves)


_WITHDRAWN = (InvalidType.WITHDRAWN, RevocationReason.PRIVILEGE_WITHDRAWN)
_ENDED = (InvalidType.REVOKED, RevocationReason.CESSATION_OF_OPERATION)
_LOST = (InvalidType.LOST, RevocationReason.KEY_COMPROMISE)

REASON_TABLE: Mapping[str, ReasonInfo] = {
    "first_seal": ReasonInfo("新制印章", "a first seal of its kind", _for(Move.APPLY)),
    "name_changed": ReasonInfo("单位名称变更", "the organisation's name changed", _for(Move.APPLY)),
    "text_changed": ReasonInfo("印文变更", "the words on the seal change", _for(Move.APPLY)),
    "validity_changed": ReasonInfo("有效期变更", "its period changes", _for(Move.APPLY)),
    "damaged": ReasonInfo("印章损坏", "the seal is damaged", _for(Move.APPLY)),
    "was_lost": ReasonInfo("印章已挂失", "the seal was reported lost", _for(Move.APPLY)),
    "certificate_reissued": ReasonInfo("签章证书已重新签发", "the signer's certificate was re-issued", _for(Move.APPLY)),
    "period_over": ReasonInfo("原印章到期", "the seal's period is over or ending", _for(Move.APPLY)),
    "complies": ReasonInfo("材料齐全，符合规定", "the papers are complete and in order", _for(Move.EXAMINE, Move.REVIEW)),
    "papers_incomplete": ReasonInfo("材料不齐全", "papers are missing", _for(Move.REJECT)),
    "not_entitled": ReasonInfo("无权制作该印章", "the organisation may not have this seal", _for(Move.REJECT)),
    "duplicate": ReasonInfo("重复申请", "such a seal is there already or has been applied for", _for(Move.REJECT)),
    "text_wrong": ReasonInfo("印文不符合规定", "the words on the seal are not as they must be", _for(Move.REJECT)),
    "as_reviewed": ReasonInfo("按审核结果办理", "as reviewed", _for(Move.MAKE, Move.FILE, Move.ACTIVATE)),
    "keeper_absent": ReasonInfo("保管人离岗", "its keeper is away", _for(Move.SUSPEND)),
    "under_inquiry": ReasonInfo("正在核查", "it is under inquiry", _for(Move.SUSPEND)),
    "ordered_from_above": ReasonInfo("上级机关要求", "ordered by a superior authority", _for(Move.SUSPEND, Move.CANCEL), *_WITHDRAWN),
    "cause_ended": ReasonInfo("停用原因消除", "the cause of the suspension ended", _for(Move.RESUME)),
    "control_lost": ReasonInfo("印章失控", "control over the seal was lost", _for(Move.REPORT_LOST), *_LOST),
    "credential_lost": ReasonInfo("用印凭证丢失", "the means to use it were lost", _for(Move.REPORT_LOST), *_LOST),
    "stolen": ReasonInfo("印章被盗用", "the seal was used by somebody who may not", _for(Move.REPORT_LOST), *_LOST),
    "period_ended": ReasonInfo("有效期届满", "its period is over", _for(Move.EXPIRE)),
    "changed": ReasonInfo("已变更为新印章", "a changed seal took its place", _for(Move.REPLACE), InvalidType.REVOKED),
    "remade": ReasonInfo("已重制为新印章", "a re-made seal took its place", _for(Move.REPLACE), InvalidType.REVOKED),
    "no_longer_needed": ReasonInfo("不再使用", "no longer needed", _for(Move.CANCEL), *_ENDED),
    "organisation_dissolved": ReasonInfo("单位撤销", "the organisation was dissolved", _for(Move.CANCEL), *_ENDED),
    "licence_withdrawn": ReasonInfo("单位被吊销", "the organisation's licence was withdrawn", _for(Move.CANCEL), *_WITHDRAWN),
    "unlawfully_made": ReasonInfo("违规制作", "it was not lawfully made", _for(Move.CANCEL), *_WITHDRAWN),
    "filed": ReasonInfo("已备案", "filed", _for(Move.FILE_CANCELLATION)),
    OTHER: ReasonInfo("其他", "other", frozenset(Move)),
}  # fmt: skip

USUAL: Mapping[Move, str] = {
    Move.APPLY: "first_seal",
    Move.REJECT: OTHER,
    Move.EXAMINE: "complies",
    Move.REVIEW: "complies",
    Move.MAKE: "as_reviewed",
    Move.FILE: "as_reviewed",
    Move.ACTIVATE: "as_reviewed",
    Move.SUSPEND: OTHER,
    Move.RESUME: "cause_ended",
    Move.REPORT_LOST: "control_lost",
    Move.EXPIRE: "period_ended",
    Move.REPLACE: "changed",
    Move.CANCEL: "no_longer_needed",
    Move.FILE_CANCELLATION: "filed",
}
"""The reason a move has where only words are given."""

_INVALID_BY_DEFAULT = {Move.REPORT_LOST: InvalidType.LOST, Move.CANCEL: InvalidType.REVOKED, Move.REPLACE: InvalidType.REVOKED}
_CERTIFICATE_BY_DEFAULT = {Move.REPORT_LOST: RevocationReason.KEY_COMPROMISE, Move.CANCEL: RevocationReason.CESSATION_OF_OPERATION}


class SealReasonUnsuitable(InvalidInput):
    """No reason of the table, none for this move, or words are missing; ``errors`` says which."""

    code = "SEAL_REASON_UNSUITABLE"
    public = ("操作原因不适用或不完整。", "The reason does not suit this step, or is incomplete.")


class SealDocumentsMalformed(InvalidInput):
    """A document is named by its kind, its SHA-256 (64 hexadecimal digits) and a name; at most twenty of them."""

    code = "SEAL_DOCUMENTS_MALFORMED"
    public = ("所附材料的描述不正确。", "The documents are not described as they must be.")


@dataclass(frozen=True, slots=True)
class Paper:
    """A document a move rests on. It stays where it is; here is what recognises it: ``sha256``, 32 octets."""

    kind: DocumentKind
    sha256: bytes
    name: str

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "sha256": self.sha256.hex(), "name": self.name}


@dataclass(frozen=True, slots=True)
class Why:
    """``code``: a key of :data:`REASON_TABLE`, ``""`` for the move's usual one; ``text``: words, needed with ``other``."""

    code: str = ""
    text: str = ""
    papers: tuple[Paper, ...] = ()


def why(reason: "Why | str") -> Why:
    """Words alone are a reason of the move's usual code."""
    return reason if isinstance(reason, Why) else Why(text=reason)


def checked(reason: Why | str, move: Move) -> Why:
    """The reason with its code filled in. Raises :class:`SealReasonUnsuitable`, :class:`SealDocumentsMalformed`."""
    given = why(reason)
    code, words = given.code or USUAL[move], given.text.strip()
    faults = [
        (code not in REASON_TABLE, "code", "no such reason"),
        (code in REASON_TABLE and move not in REASON_TABLE[code].moves, "code", f"no reason to {move}"),
        (given.code == OTHER and not words, "text", "say which"),
        (len(words) > LONGEST_TEXT or "\0" in words, "text", f"at most {LONGEST_TEXT} characters"),
        (bool(_NUMBER.search(words)), "text", "no ID numbers of people"),
    ]
    if found := [{"field": field, "message": message} for wrong, field, message in faults if wrong]:
        raise SealReasonUnsuitable("the reason", errors=found)
    _check_papers(given.papers)
    return Why(code, words, given.papers)


def _check_papers(papers: tuple[Paper, ...]) -> None:
    wrong = len(papers) > MOST_DOCUMENTS or any(
        len(one.sha256) != 32 or not 1 <= len(one.name.strip()) <= LONGEST_NAME or "\0" in one.name or bool(_NUMBER.search(one.name))
        for one in papers
    )
    if wrong:
        raise SealDocumentsMalformed("a kind, a SHA-256 and a name each")


def read_papers(values: Iterable[Mapping[str, Any]]) -> tuple[Paper, ...]:
    """From ``{"kind", "sha256", "name"}``. Raises :class:`SealDocumentsMalformed`."""
    papers = tuple(_paper(one) for one in values)
    _check_papers(papers)
    return papers


def _paper(value: Mapping[str, Any]) -> Paper:
    kind, digest, name = value.get("kind"), value.get("sha256"), value.get("name")
    if kind not in set(DocumentKind) or not isinstance(digest, str) or not isinstance(name, str) or not _SHA256.fullmatch(digest):
        raise SealDocumentsMalformed("a kind, a SHA-256 and a name")
    return Paper(DocumentKind(kind), bytes.fromhex(digest), name)


def invalid_type(move: Move, code: str) -> InvalidType | None:
    """What the national feed calls this end; None for a move that ends nothing."""
    if move not in _INVALID_BY_DEFAULT:
        return None
    stated = REASON_TABLE[code].invalid_type if code in REASON_TABLE else None
    return _INVALID_BY_DEFAULT[move] if stated is None else stated


def certificate_reason(move: Move, code: str) -> RevocationReason | None:
    """What the certificates of the seal state when they are revoked with this move; None: they are not."""
    if move not in _CERTIFICATE_BY_DEFAULT:
        return None
    stated = REASON_TABLE[code].certificate if code in REASON_TABLE else None
    return stated or _CERTIFICATE_BY_DEFAULT[move]


def sentence(code: str) -> tuple[str, str]:
    """(Chinese, English) of a reason; of ``other`` for one that is no longer in the table."""
    found = REASON_TABLE.get(code, REASON_TABLE[OTHER])
    return found.zh, found.en
