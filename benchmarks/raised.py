"""The sample's certificate at every level, and spelled for receivers abroad: what there is to verify.

Each file is over a document of its own, made by the running instance's keys, its time-stamping authority and its OCSP responder.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from benchmarks.instance import Instance
from benchmarks.sample import Sample
from certs.rendering import render
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.pki.ocsp import OcspService
from keys.time.source import LocalTimestampSource
from seal.levels_obtaining import Obtaining, add_document_timestamp, add_signature_timestamp, time_room
from seal.stamping import stamp, stamp_plainly

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Raised:
    """Files by level; ``plain``: PAdES alone, which the path for PDFs of others judges; ``token``: a time stamp of our authority."""

    b_b: tuple[bytes, ...]
    b_t: tuple[bytes, ...]
    b_lta: tuple[bytes, ...]
    plain: tuple[bytes, ...]
    tokens: tuple[bytes, ...]


class _Here:
    """Workers that work in this process."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)


async def raise_levels(instance: Instance, sample: Sample, count: int) -> Raised:
    """``count`` files of each."""
    database, clock = Database(instance.addresses()["database_url"]), SystemClock()
    source = LocalTimestampSource(database, sample.keystore, clock)
    obtaining = Obtaining(database, sample.keystore, clock, _Here(), source, OcspService(database, sample.keystore, clock))
    jobs = sample.jobs()
    b_b, b_t, b_lta, plain, tokens = [], [], [], [], []
    try:
        room = await time_room(obtaining)
        for number in range(count):
            document, now = render(next(jobs)).pdf, clock.now()
            given = sample.permit(document, now + dt.timedelta(hours=1)), document, sample.material, sample.place, sample.keystore, now
            made = stamp(*given, time_room=room)
            b_b.append(stamp(*given).pdf)
            b_t.append(await add_signature_timestamp(obtaining, made.pdf, made.unstamped))
            b_lta.append((await add_document_timestamp(obtaining, b_t[-1])).pdf)
            plain.append(stamp_plainly(*given).pdf)
            tokens.append(await source.stamp(number.to_bytes(32)))
    finally:
        await database.close()
    return Raised(tuple(b_b), tuple(b_t), tuple(b_lta), tuple(plain), tuple(tokens))
