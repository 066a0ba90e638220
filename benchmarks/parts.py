"""The parts of an issue in this process: render, QR code, stamp, store, each by itself and all together."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from pylopdf_fonts_zh_cn import serif_path

from benchmarks.bench import Bench
from benchmarks.measure import Contender, Cost, Turns, take_turns
from benchmarks.peers import pyhanko
from benchmarks.peers.credentials import PASSPHRASE
from benchmarks.peers.installing import NODE, NotInstalled, java, node_folder, weasyprint_folder
from benchmarks.peers.program import program
from benchmarks.rows import WALL_MS, Row
from benchmarks.sample import Sample
from certs.preview_sample import OFFLINE
from certs.qr import encode, to_svg
from certs.rendering import render
from keys.base.blobs import FolderBlobStore
from keys.base.clock import SystemClock
from seal.stamping import stamp

HERE = Path(__file__).parent
ISSUE, WEASYPRINT = "render, two codes, seal, store", "WeasyPrint + qrcode + pyHanko, P-256"
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
        *_issue_rows(bench),
        *_stamp_rows(bench),
        Row("store", alone["store"].total, "", None, note="content-addressed folder, fsync of file and folder"),
        Row("store", alone["store"].wall, "", None, WALL_MS, "waits for the disk"),
    ]


def _issue_rows(bench: Bench) -> list[Row]:
    costs, missing = against({"ours": Contender(issuing(bench))}, {WEASYPRINT: weasyprint}, bench)
    ours = costs.pop("ours").total
    note = f"in one process, to the durable file: {1000 / ours:.1f} for a CPU second; the peer's page is plainer, its signature is plain"
    rows = [Row(ISSUE, ours, name, cost.total, note=note) for name, cost in costs.items()]
    return rows + [Row(ISSUE, ours, name, None, note=why) for name, why in missing.items()]


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


def issuing(bench: Bench) -> Callable[[int], object]:
    """Rendered with two codes, sealed and stored: all of an issue but its records."""
    sample, jobs, clock, loop = bench.sample, bench.sample.different_jobs(), SystemClock(), asyncio.new_event_loop()
    blobs = FolderBlobStore(bench.folder / "issued")

    def once(_: int) -> None:
        printed, now = render(next(jobs)), clock.now()
        sealed = stamp(sample.permit(printed.pdf, now), printed.pdf, sample.material, printed.seal_place, sample.keystore, now)
        loop.run_until_complete(blobs.put(sealed.pdf))

    return once


def weasyprint(bench: Bench) -> AbstractContextManager[Turns]:
    job, folder = bench.sample.job, bench.folder / "weasyprint"
    folder.mkdir(exist_ok=True)
    given = {
        "p12": str(bench.credentials.p256), "font": str(serif_path()), "folder": str(folder), "count": 5, "title": job.title_zh,
        "fields": job.fields, "issuer": job.issuer, "verify_url": job.verify_url, "offline": OFFLINE, "metadata": job.metadata.decode(),
    }  # fmt: skip
    python = ["env", f"PYTHONPATH={weasyprint_folder()}", sys.executable]
    return program([*python, "-m", "benchmarks.peers.weasyprint_issue", json.dumps(given)], HERE.parent)


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
