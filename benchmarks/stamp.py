"""Stamping by its parts: PAdES alone beside its peers and its floor, with the SM2 stamp, documents of others, each level.

Documents differ from one operation to the next, as they do in a city; the seal is one and the same. A seal's first stamp of a minute
is judged whole, and has a row of its own. Levels are without the work of the time-stamping authority, which has a row of its own; no token
is the one before, since the last ones read are kept.
"""

import asyncio
import datetime as dt
import hashlib
import io
import itertools
from collections.abc import Callable, Iterator

from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer

from benchmarks.bench import Bench
from benchmarks.measure import Contender, Cost
from benchmarks.parts import PDFBOX, against, pdfbox, plain_signing
from benchmarks.peers import pyhanko
from benchmarks.rows import Row
from certs.rendering import render
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.custody.sm2 import sm3
from keys.custody.store import Purpose
from keys.time.reading import read_token
from keys.time.source import LocalTimestampSource
from seal import levels
from seal.levels import Store
from seal.permits import Permit
from seal.revision import Hollow
from seal.stamping import Stamped, stamp, stamp_plainly
from seal.stamping_press import TimeRoom, press_for

DOCUMENTS, TOKENS = 12, 150
COUNT = 50
DEFAULT, TUNED = "pyHanko's default, seal drawn", "pyHanko, room told, nothing drawn"
BOTH = "SM3 and SHA-256 of the file, raw SM2, P-256"
FLOOR = "SHA-256 of the file, one P-256 signature, writing"
Work = Callable[[int], object]


def figure(bench: Bench) -> list[Row]:
    ours = _Ours(bench)
    costs, missing = against(
        {
            "alone": Contender(ours.alone, count=COUNT),
            "floor": Contender(ours.floor(), count=COUNT),
            "whole": Contender(ours.whole, count=COUNT),
            "judged": Contender(ours.judged),
            "raw": Contender(ours.raw, count=COUNT),
            "both": Contender(ours.both(), count=COUNT),
            "foreign": Contender(ours.foreign()),
            "B-T": Contender(ours.b_t, count=COUNT),
            "B-LTA": Contender(ours.b_lta, count=COUNT),
            "sm3": Contender(ours.sm3(), count=COUNT),
            "token": Contender(ours.authority),
            DEFAULT: Contender(default_signing(bench), count=5),
            TUNED: Contender(plain_signing(bench), count=5),
        },
        {PDFBOX: pdfbox},
        bench,
    )
    return [*_alone(costs, missing), *_others(costs)]


def _alone(costs: dict[str, Cost], missing: dict[str, str]) -> list[Row]:
    name, alone = "stamp, PAdES B-B alone", costs["alone"].total
    aims = {DEFAULT: "aim: 50 times faster", PDFBOX: "aim: 10 times faster; signs plainly, draws nothing"}
    rows = [Row(name, alone, peer, costs[peer].total, note=aims.get(peer, "")) for peer in (DEFAULT, TUNED, PDFBOX) if peer in costs]
    rows += [Row(name, alone, peer, None, note=why) for peer, why in missing.items()]
    return [*rows, Row(name, alone, FLOOR, costs["floor"].total, note="aim: 0.6 ms")]


def _others(costs: dict[str, Cost]) -> list[Row]:
    whole = costs["whole"].total
    return [
        Row(
            "stamp, with the SM2 stamp",
            costs["whole"].total,
            "one raw SM2 signature",
            costs["raw"].total,
            note="aim: 1.5 ms, twice the raw",
        ),
        Row("stamp, with the SM2 stamp", whole, BOTH, costs["both"].total, note="what no implementation can do without"),
        Row(
            "the floor of that stamp",
            costs["both"].total,
            "one raw SM2 signature",
            costs["raw"].total,
            note=f"SM3 of what is signed takes {costs['sm3'].total:.2f} of it at OpenSSL's rate; above 2 none reaches half the raw rate",
        ),
        Row("stamp, first of a minute", costs["judged"].total, "", None, note="judged whole, as any verifier will"),
        Row("stamp, document of others", costs["foreign"].total, TUNED, costs[TUNED].total, note="cross-reference streams; aim: 22 ms"),
        Row("stamp, B-T", costs["B-T"].total, BOTH, costs["both"].total, note="aim: 2 ms; without the authority's own work"),
        Row("stamp, B-LTA", costs["B-LTA"].total, BOTH, costs["both"].total, note="aim: 6 ms; B-T, then DSS and document time stamp"),
        Row("one time stamp, the authority's own work", costs["token"].total, "", None, note="in this process; not in the rows above"),
    ]


class _Ours:
    """Each operation on a document of its own turn, its permit at hand."""

    def __init__(self, bench: Bench) -> None:
        self.sample = bench.sample
        self.now = SystemClock().now().replace(microsecond=0)
        jobs = self.sample.jobs()
        self._documents = [render(next(jobs)).pdf for _ in range(DOCUMENTS)]
        self._given = itertools.cycle([(document, self.permit(document)) for document in self._documents])
        self._loop = asyncio.new_event_loop()
        database = Database(bench.instance.addresses()["database_url"])
        self._source = LocalTimestampSource(database, self.sample.keystore, SystemClock())
        self._tokens = itertools.cycle([self.authority(number) for number in range(TOKENS)])
        certificates = read_token(next(self._tokens)).certificates
        validation = self.sample.material.validation
        self._room = TimeRoom(levels.TOKEN_ROOM)
        self._store = Store((*validation.certificates, *certificates), validation.crls)

    def permit(self, document: bytes) -> Permit:
        return self.sample.permit(document, self.now + dt.timedelta(hours=1))

    def authority(self, _: int) -> bytes:
        """A token of our own authority; what it is over does not matter to what is measured."""
        return self._loop.run_until_complete(self._source.stamp(bytes(32)))

    def sm3(self) -> Work:
        covered = _covered(self.whole(0))
        return lambda _: sm3(covered)

    def _stamped(self, room: TimeRoom | None = None) -> Stamped:
        document, permit = next(self._given)
        sample = self.sample
        return stamp(permit, document, sample.material, sample.place, sample.keystore, self.now, time_room=room)

    def alone(self, _: int) -> bytes:
        document, permit = next(self._given)
        sample = self.sample
        return stamp_plainly(permit, document, sample.material, sample.place, sample.keystore, self.now).pdf

    def whole(self, _: int) -> bytes:
        return self._stamped().pdf

    def judged(self, _: int) -> bytes:
        press_for.cache_clear()
        return self._stamped().pdf

    def raw(self, _: int) -> bytes:
        return self.sample.keystore.sign(self.sample.material.sm_key, b"m" * 20, Purpose.SEALS)

    def floor(self) -> Work:
        """Nothing but what a signature over a file of that size cannot do without."""
        sealed = self.alone(0)
        middle = len(sealed) // 2
        hollow = Hollow(bytearray(sealed), middle, middle + 4096)
        key = self.sample.material.signer_key

        def once(_: int) -> bytes:
            digest = hashlib.sha256(sealed).digest()
            return hollow.filled(self.sample.keystore.sign(key, digest, Purpose.SEALS))

        return once

    def both(self) -> Work:
        """The floor of a stamp in two worlds."""
        covered, floor = _covered(self.whole(0)), self.floor()

        def once(number: int) -> object:
            return sm3(covered), self.raw(number), floor(number)

        return once

    def foreign(self) -> Work:
        """The same documents as another program writes them: objects and cross-references in streams."""
        sample, made = self.sample, []
        for document in self._documents:
            out = io.BytesIO()
            copy_into_new_writer(PdfFileReader(io.BytesIO(document)), {"stream_xrefs": True}).write(out)
            made.append((out.getvalue(), self.permit(out.getvalue())))
        turns: Iterator[tuple[bytes, Permit]] = itertools.cycle(made)

        def once(_: int) -> bytes:
            document, permit = next(turns)
            return stamp(permit, document, sample.material, sample.place, sample.keystore, self.now).pdf

        return once

    def b_t(self, _: int) -> bytes:
        made, token = self._stamped(self._room), next(self._tokens)
        read_token(token)
        return levels.with_signature_timestamp(made.pdf, made.unstamped or levels.unstamped(made.pdf), token)

    def b_lta(self, number: int) -> bytes:
        pdf = self.b_t(number)
        for token in levels.look(pdf).tokens:
            read_token(token)
        (hollow, _), token = levels.prepare(pdf, self._store), next(self._tokens)
        read_token(token)
        return levels.stamped(hollow, token)


def _covered(sealed: bytes) -> bytes:
    """What the signatures of a file are over."""
    place = levels.look(sealed).last
    return sealed[: place.start] + sealed[place.end :]


def default_signing(bench: Bench) -> Work:
    """As its documentation begins: a field with a picture, no room told, so that it signs twice."""
    sign = pyhanko.drawing(bench.credentials.p256, bench.sample.material.pdf_content)
    return lambda _: sign(bench.sample.unsealed)
