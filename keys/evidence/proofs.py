"""The proof that one event stands in the log, as a small file (C2SP tlog-proof) that anybody checks offline.

The file's ``extra`` is the event's body. tlog-proof calls it unauthenticated; here it is what is proved: the entry is the
SHA-256 of the body, the leaf is ``SHA-256(0x00 ‖ entry)`` and the path leads from it to the signed root.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select

from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, FujieError, NotFound
from keys.evidence.merkle import leaf_hash, verify_inclusion
from keys.evidence.models import AuditEvent, LogCheckpoint, LogCosignature
from keys.evidence.notes import Checkpoint, MalformedNote, Note, VerifierKey, cosigners, decimal, decode64, encode64
from keys.evidence.stored import inclusion_proof, latest_checkpoint
from keys.evidence.tiles import entry_of
from keys.evidence.witnesses import with_cosignatures

HEADER = "c2sp.org/tlog-proof@v1"


class EventWaits(Conflict):
    """The event is committed but has no place in the log yet: a second later it has."""

    code = "EVENT_WAITS"
    public = ("该事件尚未写入日志，请稍后再试。", "The event has no place in the log yet. Please try again in a moment.")


class ProofInvalid(FujieError):
    """The file proves nothing: ``detail`` says where it fails."""

    code = "PROOF_INVALID"
    status = 422
    public = ("存证证明不成立。", "The proof does not hold.")


@dataclass(frozen=True, slots=True)
class Proof:
    """An event's body, its index, the audit path and a checkpoint note that covers it."""

    body: bytes
    index: int
    path: tuple[bytes, ...]
    note: str

    def encode(self) -> str:
        lines = [HEADER, f"extra {encode64(self.body)}", f"index {self.index}", *map(encode64, self.path), ""]
        return "\n".join(lines) + "\n" + self.note

    @classmethod
    def parse(cls, text: str) -> "Proof":
        """Raises ProofInvalid."""
        head, separator, note = text.partition("\n\n")
        lines = head.split("\n")
        try:
            if not separator or len(lines) < 3 or lines[0] != HEADER or lines[1][:6] != "extra " or lines[2][:6] != "index ":
                raise MalformedNote("tlog-proof")
            return cls(decode64(lines[1][6:]), decimal(lines[2][6:]), tuple(map(decode64, lines[3:])), note)
        except MalformedNote as error:
            raise ProofInvalid("the file is not a tlog-proof with its event") from error

    def check(self, log: VerifierKey, witnesses: Iterable[VerifierKey] = ()) -> Checkpoint:
        """The checkpoint under which the event stands, if ``log`` signed it and every one of ``witnesses`` cosigned it.

        Raises ProofInvalid.
        """
        try:
            note = Note.parse(self.note)
            checkpoint = Checkpoint.parse(note.text)
        except MalformedNote as error:
            raise ProofInvalid("the checkpoint is malformed") from error
        if not note.signed_by(log) or checkpoint.origin != log.name:
            raise ProofInvalid("the checkpoint is not signed by the log's key")
        wanted = tuple(witnesses)
        if missing := set(wanted) - set(cosigners(note, wanted)):
            raise ProofInvalid(f"not cosigned by {', '.join(sorted(key.name for key in missing))}")
        if not verify_inclusion(leaf_hash(entry_of(self.body)), self.index, checkpoint.size, self.path, checkpoint.root):
            raise ProofInvalid("the path does not lead from the event to the signed root")
        return checkpoint


async def prove(database: Database, event: uuid.UUID) -> Proof:
    """The proof of an event under the newest cosigned checkpoint that covers it, else under the newest.

    Raises NotFound, EventWaits, and LogDamaged where the log cannot be read.
    """
    async with database.session() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        row = await session.get(AuditEvent, event)
        if row is None:
            raise NotFound("event")
        if row.position is None:
            raise EventWaits
        checkpoint = await _covering(session, row.position)
        path = await inclusion_proof(session, row.position, checkpoint.size)
        return Proof(row.body, row.position, tuple(path), await with_cosignatures(session, checkpoint))


async def _covering(session: AsyncSession, position: int) -> LogCheckpoint:
    size = await session.scalar(select(func.max(LogCosignature.size)).where(LogCosignature.size > position))
    cosigned = None if size is None else await session.get(LogCheckpoint, size)
    checkpoint = cosigned or await latest_checkpoint(session)
    if checkpoint is None or checkpoint.size <= position:
        raise EventWaits
    return checkpoint
