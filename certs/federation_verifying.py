"""What another instance told of the certificate that a judged file says it is: whose word it is, and how old (docs/decisions/0129).

1. *named*      the identifier that the file's metadata states; a file that states none is not looked for
2. *ours*       a certificate issued here is spoken of by our record alone
3. *told*       by peers that are active, of issuers in the divisions they may speak for, by issuer and by the identifier itself
4. *believed*   one of them: what ended a certificate before what did not, the young before the stale, the nearest to the issuer
5. *aged*       past :data:`FRESH_FOR` what may have changed since is not claimed

A peer's word never touches the verdict on the signatures, and is given for a file that passed only.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from certs.federation import JSON, PeerStatus
from certs.federation_feed import Told, may_tell, told_of
from certs.federation_peers import Peer, get_peer
from certs.known_files import stated
from certs.lifecycle import Standing
from certs.models import CertificateRow
from certs.records import Source
from certs.stories import Words
from keys.base.clock import CHINA_STANDARD_TIME, civil_date
from keys.base.db import AsyncSession, Database
from keys.trust.documents import instant_text
from seal.divisions import significant
from seal.verdict import Indication

FRESH_FOR = dt.timedelta(hours=24)
"""How long what a peer told is said of today; level instances hear from each other every few seconds."""
LASTING = frozenset({Standing.REVOKED, Standing.CANCELLED, Standing.EXPIRED, Standing.SUPERSEDED, Standing.DISPOSED})
"""What time does not undo: said however old the knowledge is."""
_SAID: Mapping[Standing, Words] = {
    Standing.IN_FORCE: ("有效", "it is in force"),
    Standing.NOT_YET_VALID: ("尚未生效", "it is not yet valid"),
    Standing.SUSPENDED: ("已暂停，目前无效", "it is suspended and not valid for now"),
    Standing.REVOKED: ("已撤销，无效", "it was revoked and is not valid"),
    Standing.CANCELLED: ("已注销，无效", "it was cancelled and is not valid"),
    Standing.EXPIRED: ("已过有效期，无效", "its validity has ended and it is not valid"),
    Standing.SUPERSEDED: ("已有新版本替代，无效", "it was replaced by a newer one and is not valid"),
    Standing.DISPOSED: ("已销毁，无效", "it was disposed of and is not valid"),
    Standing.UNKNOWN: ("状态不明", "its status is unclear"),
}


@dataclass(frozen=True, slots=True)
class ToldElsewhere:
    """``as_of``: when the peer last told this, or last told that nothing had changed. ``same_file``: the file is the very one it named."""

    told: Told
    organisation: str
    as_of: dt.datetime
    checked_at: dt.datetime
    same_file: bool

    @property
    def told_status(self) -> Standing:
        """What follows today from what was told."""
        return self.told.standing(civil_date(self.checked_at))

    @property
    def stale(self) -> bool:
        return self.checked_at - self.as_of > FRESH_FOR

    @property
    def status(self) -> Standing:
        """What may be said today."""
        return Standing.UNKNOWN if self.stale and self.told_status not in LASTING else self.told_status

    @property
    def words(self) -> Words:
        """One sentence in both languages, with its full stop."""
        entry, zh, en = self.told.entry, *_SAID[self.told_status]
        at = self.as_of.astimezone(CHINA_STANDARD_TIME).strftime("%Y-%m-%d %H:%M")
        said = (
            f"该证照由{entry.issuer_name}颁发；据互联实例“{self.told.peer_name}”于 {at}（北京时间）告知：{zh}。",
            f"Issued by {entry.issuer_name}. As told by the instance “{self.told.peer_name}” at {at} (China Standard Time): {en}.",
        )
        if self.status is self.told_status:
            return said
        return said[0] + "此后的情况不明，请向颁发机构核实。", said[1] + " What became of it since is not known: ask its issuer."

    def to_json(self) -> JSON:
        """``told`` of ``POST /api/v1/verify``."""
        entry = self.told.entry
        return {
            "peer": {"name": self.told.peer_name, "organisation": self.organisation},
            "identifier": entry.identifier,
            "type": entry.type_code,
            "type_name": entry.type_name,
            "issuer": {"code": entry.issuer, "name": entry.issuer_name},
            "status": self.status.value,
            "told_status": self.told_status.value,
            "as_of": instant_text(self.as_of),
            "stale": self.stale,
            "same_file": self.same_file,
            "words": {"zh": self.words[0], "en": self.words[1]},
        }


async def told_elsewhere(
    database: Database, now: dt.datetime, indication: Indication, metadata: Mapping[str, Any] | None, document_hash: bytes
) -> ToldElsewhere | None:
    """See the module. ``metadata``: that of the file, under the names of GB/T 36903; ``document_hash``: SHA-256 of the file."""
    identifier, issuer = stated(metadata, "ZZBS"), stated(metadata, "ZZBFJGDM")
    if not identifier or indication is not Indication.TOTAL_PASSED:
        return None
    async with database.session() as session:
        if await _issued_here(session, identifier):
            return None
        found = [await _weighed(session, now, one, document_hash) for one in await told_of(session, identifier)]
    speaking = [one for one in found if one is not None and issuer in ("", one[1].told.entry.issuer)]
    return max(speaking, key=lambda one: _weight(*one))[1] if speaking else None


async def _issued_here(session: AsyncSession, identifier: str) -> bool:
    query = select(CertificateRow.id).where(CertificateRow.identifier == identifier, CertificateRow.source == Source.ISSUED.value)
    return await session.scalar(query.limit(1)) is not None


async def _weighed(session: AsyncSession, now: dt.datetime, told: Told, document_hash: bytes) -> tuple[Peer, ToldElsewhere] | None:
    peer = await get_peer(session, told.peer_id)
    if peer.status is not PeerStatus.ACTIVE or not may_tell(peer, told.entry):
        return None
    as_of = min(now, max(told.received_at, peer.heard_at or told.received_at))
    return peer, ToldElsewhere(told, peer.organisation, as_of, now, told.entry.document_hash == document_hash)


def _weight(peer: Peer, one: ToldElsewhere) -> tuple[bool, bool, int, dt.datetime]:
    nearest = max(len(significant(division)) for division in peer.divisions)
    return one.told_status in LASTING, not one.stale, nearest, one.as_of
