"""Mutated files before every reader: what passes must show what was sealed, in pdfium and in poppler; nothing may raise or hang.

Usage: python -m tests.attacks.campaign_readers [COUNT] [SEED]   (default 20,000)

Three kinds of mutations over our certificates (B-B, B-T, B-LTA), a joint document, a domestic PDF and an OFD:

1. octets: changed, cut out, put in, doubled, exchanged
2. tokens: names in other spellings, keys twice, other references and generations, tables, trailers, comments, second ends
3. revisions: what anybody may append who has a document time stamp made, object by object, with a genuine time stamp over it
"""

import hashlib
import io
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pypdfium2
from pyhanko.sign.validation.errors import SignatureValidationError

from seal.placing import AtPoint, Certification, StampPlan
from seal.sandbox import MAX_FILE
from seal.trust import Trust
from seal.verdict import Indication
from seal.verification_core import judge
from seal.verification_foreign import judge_foreign
from seal.verification_pdf import UNREADABLE
from tests import domestic_pdf
from tests.attacks.reader_mutations import Base, mutated
from tests.joint import Town, approval
from tests.ofd_by_hand import LIST, Signing, sealed, zipped
from tests.ses_by_hand import usual
from tests.stamped import NOW, World

SLOWEST = 20.0  # seconds; a hang, not a measure of speed
_AUTHORITIES = ("root", "root-sm", "seal", "seal-sm", "seal-maker", "tsa")


@dataclass
class Outcome:
    """``wrong``: what passed and shows something else; ``raised``: exceptions that nobody expects; both with what was done."""

    answers: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)
    slowest: float = 0.0


def bases(folder: Path) -> tuple[World, list[Base]]:
    world = World(folder)
    trust = Trust(tuple(world[name].certificate for name in _AUTHORITIES), tuple(world.crl(name) for name in _AUTHORITIES))
    town = Town(world)
    joint = town.stamp(approval(), StampPlan((AtPoint(2, 150, 250),), Certification.P2, (town.later(2, AtPoint(2, 60, 250)),)))
    later = world.stamped_at_level("B-LT")
    package = sealed(world, usual(world), sealed(world, usual(world)), Signing("2"), [Signing()])
    return world, [
        Base("B-B", world.stamped(), trust),
        Base("B-T", world.stamped_at_level("B-T"), trust),
        Base("B-LTA", world.archived(later, NOW), trust, len(later)),
        Base("joint", town.stamp(joint, StampPlan(), 2), trust),
        Base("GM", domestic_pdf.stamped(world, world_page()), trust),
        Base("OFD", zipped(package), trust),
    ]


def world_page() -> bytes:
    return approval(1)


# --- judging and looking --------------------------------------------------------------------------------------------------------


class Looks:
    """What readers show of a PDF, and what an OFD holds beside its signatures' own parts."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "shown.pdf"
        self._known: dict[bytes, list[bytes]] = {}

    def of(self, base: Base, data: bytes) -> list[bytes]:
        key = hashlib.sha256(data).digest()
        if key not in self._known:
            self._known[key] = self._package(data) if base.name == "OFD" else [*self._pdfium(data), *self._poppler(data)]
        return self._known[key]

    def _pdfium(self, data: bytes) -> Iterator[bytes]:
        document = pypdfium2.PdfDocument(data)
        document.init_forms()
        for page in document:
            yield hashlib.sha256(bytes(page.render(scale=0.7, may_draw_forms=True).buffer)).digest()

    def _poppler(self, data: bytes) -> Iterator[bytes]:
        self._file.write_bytes(data)
        done = subprocess.run(["pdftoppm", "-r", "40", str(self._file)], capture_output=True, check=True, timeout=60)
        yield hashlib.sha256(done.stdout).digest()

    @staticmethod
    def _package(data: bytes) -> list[bytes]:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            return [f"{one}\0".encode() + opened.read(one) for one in sorted(opened.namelist()) if one != LIST]


def campaign(folder: Path, count: int, seed: int) -> dict[str, Outcome]:
    """``count`` mutations, the bases in turn; each is reproducible from the seed but for the keys of the world."""
    chance, looks = random.Random(seed), Looks(folder)
    world, files = bases(folder)
    found = {base.name: Outcome() for base in files}
    for number in range(count):
        base = files[number % len(files)]
        done, data = mutated(world, base, chance)
        if data != base.data and len(data) <= MAX_FILE:
            judged(base, done, data, looks, found[base.name])
    return found


def judged(base: Base, done: str, data: bytes, looks: Looks, outcome: Outcome) -> None:
    started = time.monotonic()
    try:
        verdict = judge(data, base.trust, NOW) or judge_foreign(data, base.trust, NOW)
    except (*UNREADABLE, SignatureValidationError):
        outcome.answers["UNREADABLE by name"] += 1
        return
    except Exception as error:  # seal.verification.verify answers this too, but nobody foresaw it
        outcome.raised.append(f"{done}: {type(error).__name__}: {error}"[:200])
        return
    finally:
        outcome.slowest = max(outcome.slowest, time.monotonic() - started)
    outcome.answers[str(verdict.indication)] += 1
    if verdict.indication is Indication.TOTAL_PASSED:
        outcome.passed[done.partition(" at ")[0][:60]] += 1
        if shows_otherwise(base, data, looks):
            outcome.wrong.append(done)


def shows_otherwise(base: Base, data: bytes, looks: Looks) -> bool:
    try:
        return looks.of(base, data) != looks.of(base, base.data)
    except (pypdfium2.PdfiumError, subprocess.SubprocessError, zipfile.BadZipFile):
        return True  # passes, and a reader does not open it


def main() -> int:
    count, seed = (int(asked) for asked in (*sys.argv[1:3], *("20000", "20261121")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        found = campaign(Path(folder), count, seed)
        print(f"{count} mutations, seed {seed}, {time.monotonic() - started:.0f} s")
    for name, outcome in found.items():
        answers = ", ".join(f"{answer} {many}" for answer, many in outcome.answers.most_common())
        print(f"{name:6} {answers}; slowest {outcome.slowest:.2f} s, raised {len(outcome.raised)}, wrong {len(outcome.wrong)}")
        for line in [*outcome.raised[:20], *outcome.wrong[:20]]:
            print(f"       {line}")
        if outcome.passed:
            print(f"       passed and show what was sealed: {dict(outcome.passed.most_common(12))}")
    return 1 if any(outcome.wrong or outcome.raised or outcome.slowest > SLOWEST for outcome in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
