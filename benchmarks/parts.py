"""The parts of an issue by themselves, in this process: render, QR code, stamp, store."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import Contender, Cost, Turns, take_turns
from benchmarks.peers import pyhanko
from benchmarks.peers.credentials import PASSPHRASE
from benchmarks.peers.installing import NODE, NotInstalled, java, node_folder
from benchmarks.peers.program import program
from benchmarks.rows import WALL_MS, Row
from benchmarks.sample import Sample
from certs.qr import encode, to_svg
from certs.rendering import render
from keys.base.blobs import FolderBlobStore
from keys.base.clock import SystemClock
from seal.stamping import stamp

PDFBOX, SIGNPDF = "PDFBox 2 + BouncyCastle, P-256", "npm @signpdf, RSA-2048"
NOTES = {
    "pyHanko, P-256": "signs plainly: no SM2 stamp, no picture, no validation material, no check of its own; ours does all four",
    SIGNPDF: "as above; takes RSA keys only",
}


def figure(bench: Bench) -> list[Row]:
    sample = bench.sample
    alone = take_turns(
        {
            "render": Contender(rendering(sample), count=20),
            "different": Contender(rendering_others(sample), count=20),
            "qr": Contender(coding(sample), count=50),
            "store": Contender(storing(sample, bench.folder / "blobs"), count=20),
        },
        bench.rounds,
    )
    size = f"{len(sample.unsealed) // 1000} kB"
    return [
        Row("render", alone["render"].total, "", None, note=f"typst, PDF/A-3b, {size}, metadata attached; QR code inside"),
        Row(
            "render, other words and two codes",
            alone["different"].total,
            "",
            None,
            note="as a city issues them: no word of the last one again",
        ),
        Row("QR code as SVG", alone["qr"].total, "", None, note="part of render"),
        *_stamp_rows(bench),
        Row("store", alone["store"].total, "", None, note="content-addressed folder, fsync of file and folder"),
        Row("store", alone["store"].wall, "", None, WALL_MS, "waits for the disk"),
    ]


def _stamp_rows(bench: Bench) -> list[Row]:
    ours = {"ours": Contender(stamping(bench.sample)), "pyHanko, P-256": Contender(plain_signing(bench), count=8)}
    costs, missing = against(ours, {PDFBOX: pdfbox, SIGNPDF: signpdf}, bench)
    stamped = costs.pop("ours").total
    rows = [Row("stamp", stamped, name, cost.total, note=NOTES.get(name, "as above")) for name, cost in costs.items()]
    return rows + [Row("stamp", stamped, name, None, note=why) for name, why in missing.items()]


def rendering(sample: Sample) -> Callable[[int], object]:
    jobs = sample.jobs()
    return lambda _: render(next(jobs))


def rendering_others(sample: Sample) -> Callable[[int], object]:
    jobs = sample.different_jobs()
    return lambda _: render(next(jobs))


def coding(sample: Sample) -> Callable[[int], object]:
    jobs = sample.jobs()
    return lambda _: to_svg(encode(next(jobs).verify_url))


def stamping(sample: Sample) -> Callable[[int], object]:
    clock = SystemClock()

    def once(_: int) -> bytes:
        now = clock.now()
        permit = sample.permit(sample.unsealed, now)
        return stamp(permit, sample.unsealed, sample.material, sample.place, sample.keystore, now).pdf

    return once


def storing(sample: Sample, folder: Path) -> Callable[[int], object]:
    blobs, loop = FolderBlobStore(folder), asyncio.new_event_loop()
    return lambda _: loop.run_until_complete(blobs.put(sample.stamped + os.urandom(8)))


def plain_signing(bench: Bench) -> Callable[[int], object]:
    sign = pyhanko.signing(bench.credentials.p256)
    return lambda _: sign(bench.sample.unsealed)


def _unsealed(bench: Bench) -> Path:
    path = bench.folder / "unsealed.pdf"
    path.write_bytes(bench.sample.unsealed)
    return path


def pdfbox(bench: Bench) -> AbstractContextManager[Turns]:
    arguments = ("sign", str(_unsealed(bench)), str(bench.credentials.p256), "200", "30")
    return program([*java().command, *arguments], bench.folder)


def signpdf(bench: Bench) -> AbstractContextManager[Turns]:
    given = {"pdf": str(_unsealed(bench)), "p12": str(bench.credentials.rsa2048), "passphrase": PASSPHRASE, "warmUp": 5, "count": 5}
    return program([str(NODE), "signpdf.mjs", json.dumps(given)], node_folder())


def against(
    ours: Mapping[str, Turns], peers: Mapping[str, Callable[[Bench], AbstractContextManager[Turns]]], bench: Bench
) -> tuple[dict[str, Cost], dict[str, str]]:
    """Ours and every peer that can be had, taking turns; and why the others cannot."""
    contenders, missing = dict(ours), {}
    with ExitStack() as stack:
        for name, start in peers.items():
            try:
                peer = stack.enter_context(start(bench))
                peer.warm_up(1)
            except NotInstalled as why:
                missing[name] = str(why)
            else:
                contenders[name] = peer
        return take_turns(contenders, bench.rounds), missing
