"""The time-stamping authority (RFC 3161): requests in, tokens out.

1. read      the request, strictly                                          → badDataFormat, badRequest, badAlg, unacceptedExtension
2. policy    ours or none                                                   → unacceptedPolicy
3. clock     trusted, and its drift within the accuracy that is promised    → timeNotAvailable
4. signer    the present one                                                → systemFailure
5. tick      an instant after every earlier one, from PostgreSQL: what ``ordering`` promises, whichever process answers
6. sign      TSTInfo with a random serial number, nonce and imprint as they came

Nothing of a request is kept: not its digest, not its nonce. What was stamped and refused is counted (``keys.time.ledger``).
"""

import asyncio
import datetime as dt
import secrets
import time
from typing import cast

import structlog
from sqlalchemy import DateTime, Table, bindparam, func, text, update

from keys.base import der
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.base.hot import Statement
from keys.custody.store import KeyStore, Purpose
from keys.time.errors import ClockUntrusted, TimestampUnavailable
from keys.time.imprints import imprint_of
from keys.time.ledger import Ledger
from keys.time.models import TimeMarkRow
from keys.time.request import Failure, Rejected, Request, read_request
from keys.time.signer import Signer, ensure_signer
from keys.time.token import Promise, Template, granted, rejected, write_info

log = structlog.get_logger("fujie.time.authority")

SIGNER_SECONDS = 30.0
"""How long a process goes on with a signer before it asks whether that is still the present one: a revocation is seen by then."""

_MILLISECOND = dt.timedelta(milliseconds=1)
_MOST_AHEAD = dt.timedelta(milliseconds=250)
_SERIAL_BITS = 127
_OUT_OF_ORDER = "the service cannot stamp at present"

_MARKS = cast(Table, TimeMarkRow.__table__)
# The mark need not survive a crash of PostgreSQL, which lasts longer than the instants that are lost with it.
_TICK = Statement(
    update(_MARKS)
    .where(_MARKS.c.name == "tsa")
    .values(
        instant=func.greatest(_MARKS.c.instant + text("interval '1 millisecond'"), bindparam("now", type_=DateTime(timezone=True))),
        count=_MARKS.c.count + 1,
    )
    .returning(_MARKS.c.instant, func.set_config("synchronous_commit", "off", True))
)


class TimestampAuthority:
    """Our own authority. ``clock`` raises ``ClockUntrusted`` where there is doubt: give it a guard, not the bare clock."""

    def __init__(self, database: Database, keystore: KeyStore, clock: Clock, promise: Promise | None = None) -> None:
        self._database, self._keystore, self._clock = database, keystore, clock
        self.promise = promise or Promise()
        self.ledger = Ledger()
        self._policy = der.object_identifier(self.promise.policy)
        self._signer: tuple[Signer, Template] | None = None
        self._ask_again = 0.0

    async def respond(self, octets: bytes) -> bytes:
        """TimeStampResp, DER, to whatever ``octets`` are. Never raises."""
        try:
            token = await self._stamp(self._accepted(octets))
        except Rejected as refusal:
            return self._refuse(refusal.failure, refusal.reason)
        except ClockUntrusted:
            return self._refuse(Failure.TIME_NOT_AVAILABLE, "the clock is not trusted at present")
        except FujieError as error:
            log.error("no time stamp", code=error.code, detail=error.detail)
            return self._refuse(Failure.SYSTEM_FAILURE, _OUT_OF_ORDER)
        except Exception as error:  # a database that is away, and whatever else: whoever asks in this protocol is answered in it
            log.error("no time stamp", error=repr(error)[:300])
            return self._refuse(Failure.SYSTEM_FAILURE, _OUT_OF_ORDER)
        return granted(token)

    async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        """The token itself, for our own house; see ``TimestampSource``."""
        try:
            return await self._stamp(Request(imprint_of(digest, algorithm).encode(), certificates=True))
        except Rejected as refusal:
            raise TimestampUnavailable(refusal.reason) from refusal

    def _accepted(self, octets: bytes) -> Request:
        request = read_request(octets)
        if request.policy not in (None, self._policy):
            raise Rejected(Failure.UNACCEPTED_POLICY, f"the policy here is {self.promise.policy}")
        return request

    def _refuse(self, failure: Failure, reason: str) -> bytes:
        self.ledger.refused(failure)
        return rejected(failure, reason)

    async def _stamp(self, request: Request) -> bytes:
        now = self._clock.now()
        signer, template = await self._present_signer(now)
        instant = await self._tick(now)
        info = write_info(self.promise, request, secrets.randbits(_SERIAL_BITS), instant)
        attributes = template.attributes(info)
        signature = self._keystore.sign(signer.key, template.signed(attributes), Purpose.TIME)
        self.ledger.granted(instant)
        return template.token(info, attributes, signature, certificates=request.certificates)

    async def _present_signer(self, now: dt.datetime) -> tuple[Signer, Template]:
        if self._signer is None or time.monotonic() > self._ask_again or not self._signer[0].serves(now):
            signer = await ensure_signer(self._database, self._keystore, now)
            if self._signer is None or self._signer[0] != signer:
                self._signer = signer, Template(signer.certificates[:-1])
            self._ask_again = time.monotonic() + SIGNER_SECONDS
        return self._signer

    async def _tick(self, now: dt.datetime) -> dt.datetime:
        """An instant later than any that was given out before, and not in the future when the token leaves."""
        row = await self._database.hot.row(_TICK, {"now": now - dt.timedelta(microseconds=now.microsecond % 1000)})
        if row is None:
            raise Rejected(Failure.SYSTEM_FAILURE, _OUT_OF_ORDER)
        instant: dt.datetime = row["instant"]
        ahead = instant - now
        if ahead > _MOST_AHEAD:
            raise Rejected(Failure.TIME_NOT_AVAILABLE, "later instants have been stamped already")
        if ahead > _MILLISECOND:
            await asyncio.sleep(ahead.total_seconds())
        return instant
