"""The status responder: what OCSP answers, and which answers are kept.

1. read the request; what is no request is malformedRequest
2. find the authority by the two hashes; nobody of ours is unauthorized (RFC 5019 §2.2.3)
3. ask the register: one statement, so the answer is as new as the last commit
4. without a nonce: the kept answer, if nothing changed since it was signed
5. else sign, if the caller may make us sign; keep what has no nonce

A kept answer is void in the instant its certificate changes: it is found only by the count of changes it was signed at.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from asn1crypto import x509
from sqlalchemy import and_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.hot import Record, Statement
from keys.custody.store import KeyStore
from keys.models import CertificateRow
from keys.pki.ocsp_format import (
    ALGORITHMS,
    USUAL_ALGORITHMS,
    CertId,
    OcspRequest,
    ResponseStatus,
    Single,
    Times,
    cert_id,
    failure,
    hashed,
    parse_request,
    response_data,
    successful,
)
from keys.pki.ocsp_responders import Responder, find_responder, key_octets, renew_responders
from keys.pki.partitions import PARTITIONS
from keys.pki.reads import get_authorities, serial_text
from keys.pki.status_lifecycle import COMPROMISED, RevocationReason
from keys.pki.status_models import OcspAnswerRow

VALIDITY = dt.timedelta(hours=1)
RENEW_BEFORE = dt.timedelta(minutes=30)
LEAST_LEFT = dt.timedelta(minutes=5)
_REGISTER_SECONDS = dt.timedelta(seconds=5)
_RESPONDER_FRESH = dt.timedelta(minutes=10)
_MOST_RENEWALS = 64
_BATCH = 1000
_SERIAL_OCTETS = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """An OCSPResponse, DER. ``times``: of a kept answer, which HTTP caches may keep too; None: for this caller only."""

    response: bytes
    times: tuple[dt.datetime, dt.datetime] | None = None


@dataclass(frozen=True, slots=True)
class _Register:
    """Our authorities by what CertIDs say of them: (hash, name hash, key hash) → name; and back."""

    read_at: dt.datetime
    names: Mapping[tuple[str, bytes, bytes], str]
    hashes: Mapping[tuple[str, str], tuple[bytes, bytes]]


_Issuer = aliased(CertificateRow)
_CHANGES = CertificateRow.status_changes + func.coalesce(_Issuer.status_changes, 0)
_ASKED = Statement(
    select(
        CertificateRow.revoked_at,
        CertificateRow.revocation_reason,
        _CHANGES.label("changes"),
        _Issuer.revoked_at.label("issuer_revoked_at"),
        _Issuer.revocation_reason.label("issuer_reason"),
        OcspAnswerRow.answer,
        OcspAnswerRow.produced_at,
        OcspAnswerRow.next_update,
    )
    .select_from(CertificateRow)
    .outerjoin(_Issuer, _Issuer.serial == bindparam("issuer_serial", type_=CertificateRow.serial.type))
    .outerjoin(
        OcspAnswerRow,
        and_(
            OcspAnswerRow.serial == CertificateRow.serial,
            OcspAnswerRow.algorithm == bindparam("algorithm", type_=OcspAnswerRow.algorithm.type),
            OcspAnswerRow.changes == _CHANGES,
        ),
    )
    .where(
        CertificateRow.serial == bindparam("serial", type_=CertificateRow.serial.type),
        CertificateRow.authority == bindparam("authority", type_=CertificateRow.authority.type),
    )
)
_COLUMNS = ("serial", "algorithm", "changes", "produced_at", "next_update", "answer")
_NEW = insert(OcspAnswerRow).values({name: bindparam(name, type_=OcspAnswerRow.__table__.c[name].type) for name in _COLUMNS})
_KEEP = Statement(
    _NEW.on_conflict_do_update(index_elements=["serial", "algorithm"], set_={name: _NEW.excluded[name] for name in _COLUMNS[2:]})
)


class OcspService:
    """One of a process. It remembers the authorities for five seconds and responders for ten minutes; never a status."""

    def __init__(self, database: Database, keystore: KeyStore, clock: Clock) -> None:
        self._database, self._keystore, self._clock = database, keystore, clock
        self._register: _Register | None = None
        self._responders: dict[str, tuple[dt.datetime, Responder]] = {}
        self._renewing: dict[tuple[str, bytes], asyncio.Task[bytes]] = {}

    async def answer(self, octets: bytes, may_sign: Callable[[int], bool]) -> Answer:
        """The answer to a request, DER. ``may_sign`` is told for how many questions we would sign.

        Raises ``RequestMalformed``, and what custody or the database raise when they are away.
        """
        request, now = parse_request(octets), self._clock.now()
        authority = await self._authority(request, now)
        if authority is None:
            return Answer(failure(ResponseStatus.UNAUTHORIZED))
        responder = await self._responder(authority, now)
        several = len(request.asked) > 1  # of these nothing is kept: the register is asked only for whoever may make us sign
        if several and not may_sign(len(request.asked)):
            return self._instead(None, now)
        rows = [await self._ask(responder, asked) for asked in request.asked]
        alone = None if several else rows[0]
        if alone and request.nonce is None and (kept := self._kept(alone, now)) is not None:
            self._renew_in_time(responder, request.asked[0], alone, now)
            return kept
        if not (several or may_sign(1)):
            return self._instead(alone, now)
        return await self._signed(responder, request, rows, now)

    def _instead(self, row: Record | None, now: dt.datetime) -> Answer:
        """Whoever made us sign too often gets the kept answer, which lacks the nonce, or is told to come back."""
        kept = self._kept(row, now) if row else None
        return kept or Answer(failure(ResponseStatus.TRY_LATER))

    async def _signed(self, responder: Responder, request: OcspRequest, rows: Sequence[Record | None], now: dt.datetime) -> Answer:
        keep = request.nonce is None and len(rows) == 1 and rows[0] is not None
        singles = [_single(asked.encoded, row) for asked, row in zip(request.asked, rows, strict=True)]
        times = _times(responder, now)
        response = self._sign(responder, singles, times, request.nonce)
        if not keep or rows[0] is None:
            return Answer(response)
        await self._keep(request.asked[0], rows[0]["changes"], times, response)
        return Answer(response, (times.this_update, times.next_update))

    def _sign(self, responder: Responder, singles: Sequence[Single], times: Times, nonce: bytes | None) -> bytes:
        data = response_data(responder.key_hash, singles, times, nonce)
        signature = self._keystore.sign(responder.key, data, responder.purpose)
        return successful(data, responder.signature, signature, responder.certificates)

    def _kept(self, row: Record, now: dt.datetime) -> Answer | None:
        if row["answer"] is None or not row["produced_at"] <= now <= row["next_update"] - LEAST_LEFT:
            return None
        return Answer(row["answer"], (row["produced_at"], row["next_update"]))

    async def _ask(self, responder: Responder, asked: CertId) -> Record | None:
        """The register's word on one certificate; None: no such certificate of this authority."""
        if asked.serial < 0 or asked.serial.bit_length() > _SERIAL_OCTETS * 8:
            return None
        values = {"serial": serial_text(asked.serial), "authority": responder.authority, "algorithm": asked.algorithm}
        return await self._database.hot.row(_ASKED, values | {"issuer_serial": responder.issuer_serial})

    async def _keep(self, asked: CertId, changes: int, times: Times, response: bytes) -> None:
        values = {"serial": serial_text(asked.serial), "algorithm": asked.algorithm, "changes": changes, "answer": response}
        await self._database.hot.row(_KEEP, values | {"produced_at": times.this_update, "next_update": times.next_update})

    def _renew_in_time(self, responder: Responder, asked: CertId, row: Record, now: dt.datetime) -> None:
        """What is asked for is renewed while it still stands: no client waits for a signature."""
        name = serial_text(asked.serial), asked.algorithm
        if now <= row["next_update"] - RENEW_BEFORE or name in self._renewing or len(self._renewing) >= _MOST_RENEWALS:
            return
        task = asyncio.create_task(self._renew(responder, asked, now))
        self._renewing[name] = task
        task.add_done_callback(lambda done: self._renewed(name, done))

    def _renewed(self, name: tuple[str, bytes], done: "asyncio.Task[bytes]") -> None:
        del self._renewing[name]
        if not done.cancelled():
            done.exception()  # the kept answer stands for a while longer; the next request tries again

    async def _renew(self, responder: Responder, asked: CertId, now: dt.datetime) -> bytes:
        row = await self._ask(responder, asked)
        if row is None:
            return b""
        times = _times(responder, now)
        response = self._sign(responder, [_single(asked.encoded, row)], times, None)
        await self._keep(asked, row["changes"], times, response)
        return response

    async def _authority(self, request: OcspRequest, now: dt.datetime) -> str | None:
        """The one authority that all questions are about. A delegated responder speaks for no other (RFC 6960 §4.2.2.2)."""
        register = await self._authorities(now)
        found = {register.names.get((ALGORITHMS.get(asked.algorithm, ""), asked.name_hash, asked.key_hash)) for asked in request.asked}
        return found.pop() if len(found) == 1 else None

    async def _authorities(self, now: dt.datetime) -> _Register:
        if self._register is None or not self._register.read_at <= now < self._register.read_at + _REGISTER_SECONDS:
            self._register = await _read_register(self._database, now)
        return self._register

    async def _responder(self, authority: str, now: dt.datetime) -> Responder:
        known = self._responders.get(authority)
        if known is not None and known[0] <= now < known[0] + _RESPONDER_FRESH:
            return known[1]
        responder = await find_responder(self._database, self._keystore, now, authority)
        self._responders[authority] = now, responder
        return responder

    async def presign(self) -> int:
        """Keep answers ready, and responders: how many were signed. For the background, every few minutes.

        For the certificates of authorities without partitions, which verifiers of documents ask for; people's are kept once
        they were asked for.
        """
        now = self._clock.now()
        await renew_responders(self._database, self._keystore, now)
        register, count = await self._authorities(now), 0
        for authority, serial, algorithm in await self._due(now):
            responder = await self._responder(authority, now)
            name_hash, key_hash = register.hashes[authority, ALGORITHMS[algorithm]]
            encoded = cert_id(algorithm, name_hash, key_hash, int(serial, 16))
            count += bool(await self._renew(responder, CertId(encoded, algorithm, name_hash, key_hash, int(serial, 16)), now))
        return count

    async def _due(self, now: dt.datetime) -> list[tuple[str, str, bytes]]:
        """(authority, serial, algorithm) of what lasts less than half an hour more, or was never kept; at most a batch."""
        due = []
        for algorithm in USUAL_ALGORITHMS:
            kept = select(OcspAnswerRow.serial).where(OcspAnswerRow.algorithm == algorithm, OcspAnswerRow.serial == CertificateRow.serial)
            kept = kept.where(OcspAnswerRow.next_update > now + RENEW_BEFORE, OcspAnswerRow.changes >= CertificateRow.status_changes)
            chosen = select(CertificateRow.authority, CertificateRow.serial).where(CertificateRow.not_after > now, ~kept.exists())
            chosen = chosen.where(CertificateRow.authority.not_in(list(PARTITIONS))).order_by(CertificateRow.serial).limit(_BATCH)
            async with self._database.session() as session:
                due += [(authority, serial, algorithm) for authority, serial in await session.execute(chosen)]
        return due


async def _read_register(database: Database, now: dt.datetime) -> _Register:
    async with database.session() as session:
        authorities = await get_authorities(session)
    hashes = {}
    for name, authority in authorities.items():
        public = x509.Certificate.load(authority.certificate)["tbs_certificate"]["subject_public_key_info"].dump()
        for algorithm in set(ALGORITHMS.values()):
            hashes[name, algorithm] = hashed(algorithm, authority.issuer.subject), hashed(algorithm, key_octets(public))
    return _Register(now, {(algorithm, *both): name for (name, algorithm), both in hashes.items()}, hashes)


def _times(responder: Responder, now: dt.datetime) -> Times:
    this_update = now.replace(microsecond=0)
    return Times(this_update, min(this_update + VALIDITY, max(responder.not_after, this_update)), responder.begin)


def _single(encoded_id: bytes, row: Record | None) -> Single:
    """The status by the register. Under a compromised authority every certificate is revoked (RFC 6960 §2.7)."""
    if row is None:
        return Single(encoded_id, known=False)
    since, reason = row["revoked_at"], row["revocation_reason"]
    if row["issuer_reason"] in COMPROMISED and (since is None or row["issuer_revoked_at"] < since):
        since, reason = row["issuer_revoked_at"], RevocationReason.CA_COMPROMISE
    return Single(encoded_id, known=True, revoked_at=since, reason=reason)
