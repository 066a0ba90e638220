"""The parts of an issue by themselves, in this process: render, QR code, stamp, store."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.measure import Contender, take_turns
from benchmarks.peers import pyhanko
from benchmarks.peers.credentials import PASSPHRASE
from benchmarks.peers.installing import NODE, NotInstalled, java, node_folder, run
from benchmarks.rows import WALL_MS, Row
from benchmarks.sample import Sample
from certs.blobs import FolderBlobStore
from certs.qr import encode, to_svg
from certs.rendering import render
from keys.base.clock import SystemClock
from seal.stamping import stamp

PLAIN = "signs plainly: no SM2 stamp, no picture, no validation material, no check of its own; ours does all four"


def figure(bench: Bench) -> list[Row]:
    sample = bench.sample
    ours = {
        "render": Contender(rendering(sample), count=20),
        "qr": Contender(coding(sample), count=50),
        "stamp": Contender(stamping(sample), count=20),
        "store": Contender(storing(sample, bench.folder / "blobs"), count=20),
        "pyhanko": Contender(plain_signing(bench), count=8),
    }
    costs = take_turns(ours, bench.rounds)
    rows = [
        Row(
            "render",
            costs["render"].total,
            "",
            None,
            note=f"typst, PDF/A-3b, {len(sample.unsealed) // 1000} kB, metadata attached; QR inside",
        ),
        Row("QR code as SVG", costs["qr"].total, "", None, note="part of render"),
        Row("store", costs["store"].total, "", None, note="content-addressed folder, fsync of file and folder"),
        Row("store", costs["store"].wall, "", None, WALL_MS, "waits for the disk"),
    ]
    stamped = costs["stamp"].total
    rows += [Row("stamp", stamped, "pyHanko, P-256", costs["pyhanko"].total, note=PLAIN)]
    return rows + [_peer_row(stamped, name, ask, bench) for name, ask in PEERS.items()]


def rendering(sample: Sample) -> Callable[[int], object]:
    jobs = sample.jobs()
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


def ask_pdfbox(bench: Bench) -> float:
    arguments = ("sign", str(_unsealed(bench)), str(bench.credentials.p256), "150", str(bench.rounds), "30")
    return median_cpu(run([*java().command, *arguments], bench.folder, 90, "PdfBoxPeer failed"))


def ask_signpdf(bench: Bench) -> float:
    given = {"pdf": str(_unsealed(bench)), "p12": str(bench.credentials.rsa2048), "passphrase": PASSPHRASE}
    given |= {"warmUp": 5, "rounds": bench.rounds, "count": 5}
    folder = node_folder()
    return median_cpu(run([str(NODE), "signpdf.mjs", json.dumps(given)], folder, 90, "signpdf failed"))


PEERS = {"PDFBox 2 + BouncyCastle, P-256": ask_pdfbox, "npm @signpdf, RSA-2048": ask_signpdf}


def median_cpu(answer: str) -> float:
    """Milliseconds; ``answer`` is what a peer program prints."""
    return median(one["cpu"] for one in json.loads(answer)["rounds"])


def _peer_row(ours: float, name: str, ask: Callable[[Bench], float], bench: Bench) -> Row:
    try:
        return Row("stamp", ours, name, ask(bench), note="as above" if "PDFBox" in name else "as above; takes RSA keys only")
    except NotInstalled as missing:
        return Row("stamp", ours, name, None, note=str(missing))
