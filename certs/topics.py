"""What happens to certificates that others are told of: one table of topics, read by whoever writes, delivers, documents or shows an event.

An event leaves the house thin: ids, codes and links, no personal data. ``members`` are those of its payload that may leave; whatever
else a writer keeps in the payload is fetched by the link, by those who may read it.
"""

from dataclasses import dataclass
from types import MappingProxyType

from keys.base.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Topic:
    """``code`` as subscribers name it; ``members`` of the payload that stand in a webhook's body; ``zh``, ``en``: what happened, in words.

    ``to_holder``: a notice on the holder's page, too. Its subject is then the certificate's id. ``to_departments``: every organisation may
    subscribe to it where the certificate's type is shared unconditionally; else only those whom it concerns.
    """

    code: str
    members: frozenset[str]
    zh: str
    en: str
    to_holder: bool = False
    to_departments: bool = False


class UnknownTopic(InvalidInput):
    """No event has this topic."""

    code = "UNKNOWN_TOPIC"
    public = ("没有这个事件主题。", "There is no such topic of events.")


def _topic(code: str, members: str, zh: str, en: str, *, to_holder: bool = False, to_departments: bool = False) -> Topic:
    return Topic(code, frozenset(members.split()), zh, en, to_holder, to_departments)


_ALL = (
    _topic(
        "certificate.issued", "id identifier type issuer status", "证照已签发", "A certificate was issued",
        to_holder=True, to_departments=True,
    ),
    _topic(
        "certificate.status", "id identifier status move", "证照状态已变更", "A certificate's status changed",
        to_holder=True, to_departments=True,
    ),
    _topic("certificate.transfer", "id identifier type from to move", "证照迁移", "A certificate passes on", to_holder=True),
    _topic("certificate.annual_check", "id identifier year result", "证照年度检查", "A certificate's annual check", to_holder=True),
    _topic("certificate.declined", "id identifier code", "签发申请被退回", "An approval was sent back"),
    _topic("certificate.awaiting_glyph", "id identifier", "证照等待生僻字字形", "A certificate waits for the glyph of a rare character"),
    _topic("certificate.copied", "id identifier copy", "已制作加注件", "An annotated copy was made", to_holder=True),
    _topic("access.submitted", "id organisation type due_at", "收到证照使用申请", "An application for access was received"),
    _topic("access.overdue", "id organisation type due_at", "证照使用申请逾期未审核", "An application for access is overdue"),
    _topic("access.decided", "id organisation type status", "证照使用申请已办结", "An application for access was decided"),
    _topic("merged_item.open", "id identifier item type department due_on", "合并事项待认领", "A merged item is to be claimed"),
    _topic("merged_item.claimed", "id identifier item type department due_on", "合并事项已认领", "A merged item was claimed"),
    _topic("merged_item.overdue", "id identifier item type department due_on", "合并事项逾期未认领", "A merged item is overdue"),
    _topic("import.done", "id type rows flagged dry_run", "存量导入已完成", "An import of stock is done"),
    _topic("import.failed", "id type rows dry_run code", "存量导入失败", "An import of stock has failed"),
)  # fmt: skip
TOPICS: MappingProxyType[str, Topic] = MappingProxyType({one.code: one for one in _ALL})
"""Every topic, by its code."""


def topic_of(code: str) -> Topic:
    """The topic with this code. Raises :class:`UnknownTopic`."""
    try:
        return TOPICS[code]
    except KeyError:
        raise UnknownTopic from None
