"""``make check``: the lock files are what ``pyproject.toml`` resolves to, and name no registry.

Usage: python tests/locks.py PATH_OF_UV
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = {"run.lock": ("install",), "dev.lock": ("install", "test", "check")}


def resolved(uv: str, lock: Path, extras: tuple[str, ...]) -> str:
    """The lock resolved anew with its own pins preferred: it differs exactly if a requirement is not met by it."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / lock.name
        output.write_text(lock.read_text())
        arguments = [part for extra in extras for part in ("--extra", extra)]
        command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]
        subprocess.run([*command, "--no-annotate", "pyproject.toml", *arguments, "-o", str(output)], check=True, cwd=ROOT)
        return output.read_text()


def main() -> int:
    wrong = []
    for name, extras in LOCKS.items():
        lock = ROOT / "requirements" / name
        if re.search(r"https?://", lock.read_text()):
            wrong.append(f"{name} names an address")
        if resolved(sys.argv[1], lock, extras) != lock.read_text():
            wrong.append(f"{name} is not what pyproject.toml asks for: run `make lock`")
    print("\n".join(wrong) or "lock files are up to date")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
