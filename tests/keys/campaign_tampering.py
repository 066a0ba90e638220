"""``make tamper-campaign``: every tampering of ``test_tampering`` as a file of its own, through ``fujie audit verify --export``."""

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from keys.evidence.tiles import Arithmetic
from tests.keys.forging import Holder, body, chunks_of, octets, write_export
from tests.keys.tampering import TAMPERINGS, Case, thousand

SECONDS = 120


def verified(file: Path, vkey: str, kept: Path) -> int:
    """The command's exit code: 0 whole, 1 not; anything else is a failure of the command itself."""
    command = [sys.executable, "-m", "api", "audit", "verify", "--export", str(file), "--vkey", vkey, "--checkpoint", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        raise SystemExit(done.stderr)
    return done.returncode


def main() -> None:
    """Exit 1 if a tampering went undetected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    chance, holder, arithmetic = random.Random(options.seed), Holder(), Arithmetic.remembering()
    chunks, sizes = chunks_of(options.entries, body), list(range(options.entries // 40, options.entries + 1, options.entries // 40))
    made, notes = write_export(chunks, sizes, holder, arithmetic)
    case = Case(made, chunks, sizes, notes, holder, arithmetic)
    undetected = []
    with tempfile.TemporaryDirectory(prefix="fujie-tamper-") as folder:
        file, kept = Path(folder) / "log.tar", Path(folder) / "kept"
        kept.write_text(notes[-1])
        file.write_bytes(octets(made))
        if verified(file, str(holder.key), kept):
            raise SystemExit("the honest export does not verify")
        for number, name in enumerate(thousand(chance, options.count), 1):
            file.write_bytes(octets(TAMPERINGS[name](case, chance)))
            if not verified(file, str(holder.key), kept):
                undetected.append((number, name))
            print(f"\r{number} of {options.count}, undetected {len(undetected)}", end="", flush=True)
    print(f"\nseed {options.seed}: {undetected or 'every tampering was detected'}")
    raise SystemExit(bool(undetected))


if __name__ == "__main__":
    main()
