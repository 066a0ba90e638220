"""Change single octets of a stamped certificate and judge each result: none may pass, none may raise.

Usage: python tests/attacks/campaign_bytes.py [COUNT | all]   (default 1,000; "all" changes every octet of the file once)
"""

import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from seal.trust import Trust
from seal.verdict import Indication
from seal.verification import verify
from tests.stamped import NOW, World

Change = tuple[int, int]


def hot_spots(pdf: bytes) -> list[int]:
    """Offsets where readers and verifiers look: the signature dictionary, the CMS's first and last octets, tables, the end."""
    start, end = (int(number) for number in re.findall(rb"/ByteRange\[0 (\d+) (\d+)", pdf)[-1])
    used = len(pdf[start + 1 : end - 1].rstrip(b"0"))
    spots = [*range(start - 260, start + 140), *range(start + used - 700, start + used + 6), *range(end - 6, len(pdf)), *range(24)]
    for word in (b"/Root", b"/Prev", b"/AcroForm", b"/Perms", b"/DSS", b"/Annots", b"/AP", b"startxref", b"%%EOF", b"xref"):
        spots += [found.start() + step for found in re.finditer(re.escape(word), pdf) for step in range(len(word) + 4)]
    return sorted({spot for spot in spots if 0 <= spot < len(pdf)})


def changes(pdf: bytes, count: int | None, seed: int = 20261121) -> Iterator[Change]:
    """(offset, new value): random ones and hot spots, half each; or every offset once."""
    chance = random.Random(seed)
    if count is None:
        offsets = list(range(len(pdf)))
    else:
        spots = hot_spots(pdf)
        offsets = [chance.randrange(len(pdf)) for _ in range(count - count // 2)] + chance.choices(spots, k=count // 2)
    for offset in offsets:
        yield offset, _other(pdf[offset], chance)


def _other(octet: int, chance: random.Random) -> int:
    """Another octet; where it is a letter, often the same one in the other case, which hexadecimal readers take for equal."""
    if chr(octet).isalpha() and octet < 0x80 and chance.random() < 0.5:
        return octet ^ 0x20
    return octet ^ chance.choice([1 << bit for bit in range(8)] + [chance.randrange(1, 256)])


def campaign(pdf: bytes, trust: Trust, count: int | None) -> tuple[Counter[str], list[Change]]:
    """How the changed files were judged, and the changes that passed."""
    answers: Counter[str] = Counter()
    passed: list[Change] = []
    for offset, value in changes(pdf, count):
        changed = bytearray(pdf)
        changed[offset] = value
        verdict = verify(bytes(changed), trust, NOW)
        answers[f"{verdict.indication} {verdict.sub_indication}"] += 1
        if verdict.indication is Indication.TOTAL_PASSED:
            passed.append((offset, value))
    return answers, passed


def main() -> int:
    asked = sys.argv[1] if len(sys.argv) > 1 else "1000"
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        pdf = world.stamped()
        started = time.monotonic()
        answers, passed = campaign(pdf, world.trust, None if asked == "all" else int(asked))
    print(f"{sum(answers.values())} changes of {len(pdf)} octets in {time.monotonic() - started:.0f} s")
    for answer, count in answers.most_common():
        print(f"{count:8} {answer}")
    print(f"passed: {passed or 'none'}")
    return 1 if passed else 0


if __name__ == "__main__":
    raise SystemExit(main())
