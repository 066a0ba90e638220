"""Our side as a witness (C2SP tlog-witness): cosign another log's checkpoint once it is shown to extend the last one cosigned.

A witness never cosigns two histories: whoever holds its cosignature knows that everybody else who does sees the same log.
"""

import datetime as dt
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import ANONYMOUS, Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.evidence.audit import JSON, Event, Outcome, record, record_alone
from keys.evidence.log import verifier_of
from keys.evidence.merkle import EMPTY_ROOT, verify_consistency
from keys.evidence.models import WitnessedLog, WitnessIdentity
from keys.evidence.notes import Checkpoint, MalformedNote, Note, VerifierKey, cosignature, cosigned_message, decimal, decode64, encode64

WITNESS_LOCK = 0x46554A4945_02
MOST_PROOF_LINES = 63
MOST_OCTETS = 16_384
"""Of a request: 63 lines of a proof and a checkpoint with dozens of signatures."""


class WitnessRefusal(FujieError):
    """What a witness answers other than a cosignature; ``body`` and ``media_type`` are what tlog-witness prescribes."""

    media_type: ClassVar[str] = "text/plain"
    outcome_matters: ClassVar[bool] = False

    @property
    def body(self) -> str:
        return f"{self.public[1]}\n"


class WitnessRequestMalformed(WitnessRefusal):
    """The request is no ``add-checkpoint``, or its old size is larger than its checkpoint."""

    code = "WITNESS_REQUEST_MALFORMED"
    status = 400
    public = ("见证请求格式不正确。", "The witness request is malformed.")


class WitnessUnknownLog(WitnessRefusal):
    """No such origin is witnessed here."""

    code = "WITNESS_UNKNOWN_LOG"
    status = 404
    public = ("本机构不见证该日志。", "This log is not witnessed here.")


class WitnessUntrustedKey(WitnessRefusal):
    """No signature on the checkpoint is by a key trusted for its origin."""

    code = "WITNESS_UNTRUSTED_KEY"
    status = 403
    public = ("检查点未由受信任的日志密钥签名。", "The checkpoint is not signed by a key trusted for this log.")
    outcome_matters = True


class WitnessOtherSize(WitnessRefusal):
    """The old size is not that of the newest checkpoint cosigned; the body is that size."""

    code = "WITNESS_OTHER_SIZE"
    status = 409
    public = ("旧大小与已见证的检查点不符。", "The old size is not that of the newest checkpoint cosigned here.")
    media_type = "text/x.tlog.size"

    def __init__(self, size: int) -> None:
        super().__init__(f"cosigned size {size}", size=size)
        self.size = size

    @property
    def body(self) -> str:
        return f"{self.size}\n"


class WitnessForkedLog(WitnessOtherSize):
    """The same size was cosigned with another root: the log shows two histories."""

    code = "WITNESS_FORKED_LOG"
    public = ("同一大小的检查点根哈希不同：日志出现分叉。", "The same size was cosigned with another root: the log has forked.")
    outcome_matters = True


class WitnessProofWrong(WitnessRefusal):
    """The consistency proof does not lead from the newest checkpoint cosigned to this one."""

    code = "WITNESS_PROOF_WRONG"
    status = 422
    public = ("一致性证明不成立。", "The consistency proof does not verify.")
    outcome_matters = True


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The request of tlog-witness: an old size, a consistency proof from it, and a checkpoint that is not verified yet."""

    old: int
    proof: tuple[bytes, ...]
    note: Note

    def encode(self) -> str:
        return "".join([f"old {self.old}\n", *(f"{encode64(one)}\n" for one in self.proof), "\n", str(self.note)])

    @classmethod
    def parse(cls, body: bytes) -> "AddCheckpoint":
        """Raises WitnessRequestMalformed."""
        try:
            head, separator, note = body.decode().partition("\n\n")
            first, *lines = head.split("\n")
            if not separator or not first.startswith("old ") or len(lines) > MOST_PROOF_LINES or len(body) > MOST_OCTETS:
                raise MalformedNote("add-checkpoint")
            request = cls(decimal(first[4:]), tuple(decode64(line) for line in lines), Note.parse(note))
            if any(len(one) != 32 for one in request.proof) or request.old > Checkpoint.parse(request.note.text).size:
                raise MalformedNote("add-checkpoint")
        except (UnicodeDecodeError, MalformedNote) as error:
            raise WitnessRequestMalformed("add-checkpoint") from error
        return request


async def establish_witness(
    database: Database, keystore: KeyStore, clock: Clock, name: str, algorithm: Algorithm = Algorithm.ED25519
) -> VerifierKey:
    """Make our name and key as a witness if there is none; answer the verifier key. Never the log's own key (tlog-cosignature)."""
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(WITNESS_LOCK)))
        if (identity := await session.scalar(select(WitnessIdentity))) is None:
            key = keystore.generate(algorithm, Purpose.LOG)
            await store_key(session, key, clock.now())
            session.add(identity := WitnessIdentity(name=name, key_id=key.id, created_at=clock.now()))
        return verifier_of(identity.name, await load_key(session, identity.key_id), cosigner=True)


async def witness_key(session: AsyncSession) -> tuple[VerifierKey, StoredKey]:
    """Our verifier key as a witness and the reference of its signing key; it must be established."""
    identity = (await session.scalars(select(WitnessIdentity))).one()
    key = await load_key(session, identity.key_id)
    return verifier_of(identity.name, key, cosigner=True), key


async def trust_log(database: Database, now: dt.datetime, actor: Actor, vkey: VerifierKey) -> bool:
    """Witness this log from now on; whether that is new. A log's key is never replaced: remove it and add it, on purpose."""
    async with database.begin() as session:
        values = {"origin": vkey.name, "vkey": str(vkey), "size": 0, "root": b"", "note": "", "added_at": now}
        added = await session.scalar(insert(WitnessedLog).values(values).on_conflict_do_nothing().returning(WitnessedLog.origin))
        if added is not None:
            await record(session, now, Event("keys.evidence.witness.add", f"log:{vkey.name}", Outcome.DONE, actor, {"vkey": str(vkey)}))
        return added is not None


async def distrust_log(database: Database, now: dt.datetime, actor: Actor, origin: str) -> bool:
    """Witness this log no longer; what was cosigned is forgotten with it."""
    async with database.begin() as session:
        dropped = await session.scalar(delete(WitnessedLog).where(WitnessedLog.origin == origin).returning(WitnessedLog.size))
        if dropped is not None:
            await record(session, now, Event("keys.evidence.witness.remove", f"log:{origin}", Outcome.DONE, actor, {"size": dropped}))
        return dropped is not None


async def witnessed_logs(session: AsyncSession) -> list[tuple[str, int, dt.datetime | None]]:
    """Verifier key, newest size cosigned and when, of every log we witness."""
    rows = await session.execute(select(WitnessedLog.vkey, WitnessedLog.size, WitnessedLog.cosigned_at).order_by(WitnessedLog.origin))
    return [(row.vkey, row.size, row.cosigned_at) for row in rows]


async def add_checkpoint(database: Database, keystore: KeyStore, clock: Clock, body: bytes) -> str:
    """Answer ``add-checkpoint``: our cosignature line.

    1. read the request (400)             2. find the log by the checkpoint's origin, its row locked (404)
    3. its trusted key must have signed (403)        4. the old size must be that last cosigned (409 with that size)
    5. the same size must have the same root (409)   6. the proof must lead from the old root to the new one (422)
    7. keep the checkpoint, then cosign; both are committed before anybody is answered

    A refusal that speaks of the log's own conduct (wrong key, fork, wrong proof) is audited.
    """
    request = AddCheckpoint.parse(body)
    try:
        async with database.begin() as session:
            return await _cosign(session, keystore, clock.now(), request)
    except WitnessRefusal as refusal:
        if refusal.outcome_matters:
            await _record_refusal(database, clock.now(), request, refusal)
        raise


async def _cosign(session: AsyncSession, keystore: KeyStore, now: dt.datetime, request: AddCheckpoint) -> str:
    checkpoint = Checkpoint.parse(request.note.text)
    log = await session.scalar(select(WitnessedLog).where(WitnessedLog.origin == checkpoint.origin).with_for_update())
    if log is None:
        raise WitnessUnknownLog("origin")
    if not request.note.signed_by(VerifierKey.parse(log.vkey)):
        raise WitnessUntrustedKey(checkpoint.origin)
    check_progress(log.size, log.root, request.old, checkpoint, request.proof)
    log.size, log.root, log.note, log.cosigned_at = checkpoint.size, checkpoint.root, str(request.note), now
    verifier, key = await witness_key(session)
    seconds = int(now.timestamp())
    signature = keystore.sign(key, cosigned_message(request.note.text, seconds), Purpose.LOG)
    return str(cosignature(verifier, seconds, signature))


def check_progress(size: int, root: bytes, old: int, checkpoint: Checkpoint, proof: tuple[bytes, ...]) -> None:
    """Whether ``checkpoint`` may follow the one of ``size`` and ``root`` (size 0: none yet). Raises WitnessRefusal."""
    if old != size:
        raise WitnessOtherSize(size)
    if checkpoint.size == size:
        if root and root != checkpoint.root:
            raise WitnessForkedLog(size)
        if proof or (not size and checkpoint.root != EMPTY_ROOT):
            raise WitnessProofWrong("a proof of nothing")
        return
    good = not proof if size == 0 else verify_consistency(size, checkpoint.size, root, checkpoint.root, proof)
    if not good:
        raise WitnessProofWrong(f"from {size} to {checkpoint.size}")


async def _record_refusal(database: Database, now: dt.datetime, request: AddCheckpoint, refusal: WitnessRefusal) -> None:
    """With the refused note itself where the log signed it: two signed histories are proof of its misconduct."""
    checkpoint = Checkpoint.parse(request.note.text)
    details: dict[str, JSON] = {"old": request.old, "size": checkpoint.size, "root": checkpoint.root.hex()}
    if not isinstance(refusal, WitnessUntrustedKey):
        details["note"] = str(request.note)
    event = Event("keys.evidence.witness.cosign", f"log:{checkpoint.origin}", Outcome.REFUSED, ANONYMOUS, details, code=refusal.code)
    await record_alone(database, now, event)
