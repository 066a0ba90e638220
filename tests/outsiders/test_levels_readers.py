"""What PDFBox with BouncyCastle, pdfsig, qpdf and mutool say of each level of PAdES that we write."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require_command
from tests.stamped import NOW, World

JARS = ("pdfbox2.jar", "fontbox2.jar", "commons-logging.jar", "bcpkix.jar", "bcprov.jar", "bcutil.jar")
SHARE = Path("/usr/share/java")
SECOND = dt.timedelta(seconds=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    today = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return World(
        tmp_path_factory.mktemp("world"), start=min(NOW, today) - dt.timedelta(days=30), end=max(NOW, today) + dt.timedelta(days=365)
    )


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    made = {level: world.stamped_at_level(level) for level in ("B-B", "B-T", "B-LT", "B-LTA")}
    made["renewed"] = world.archived(made["B-LTA"], NOW + 10 * SECOND)
    made["upgraded"] = world.archived(made["B-B"], NOW + 10 * SECOND)
    for name, pdf in made.items():
        (folder / f"{name}.pdf").write_bytes(pdf)
    (folder / "changed.pdf").write_bytes(made["renewed"].replace(b"/Marked true", b"/Marked TRUE", 1))
    return folder


def run(program: str, package: str, *arguments: str | Path) -> str:
    command = [require_command(program, package), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def told(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What PDFBox and BouncyCastle say of every file, in one run."""
    javac, java = require_command("javac", "default-jdk-headless"), require_command("java", "default-jre-headless")
    missing = [jar for jar in JARS if not (SHARE / jar).exists()]
    if missing:
        pytest.skip(f"needs {' '.join(missing)}: apt-get install libpdfbox2-java libbcpkix-java")
    classes, path = tmp_path_factory.mktemp("java"), ":".join(str(SHARE / jar) for jar in JARS)
    source = Path(__file__).with_name("java") / "LevelReader.java"
    subprocess.run([javac, "-d", str(classes), "-cp", path, str(source)], check=True, capture_output=True, timeout=120)
    command = [java, "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{path}", "LevelReader", *map(str, sorted(folder.glob("*.pdf")))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return {name: [line for file, line in lines if file == f"{name}.pdf"] for name in {file.removesuffix(".pdf") for file, _ in lines}}


def at(seconds: int) -> str:
    return f"{NOW + seconds * SECOND:%Y-%m-%dT%H:%M:%SZ}"


def test_pdfbox_and_bouncycastle(told: dict[str, list[str]]) -> None:
    assert told["B-B"] == ["Sig good whole"]
    assert told["B-T"] == told["B-LT"] == [f"Sig good whole stamped {at(1)}"]
    assert told["B-LTA"] == [f"Sig good part stamped {at(1)}", f"DocTimeStamp stamped {at(2)} whole"]
    assert told["renewed"] == [
        f"Sig good part stamped {at(1)}",
        f"DocTimeStamp stamped {at(2)} part",
        f"DocTimeStamp stamped {at(10)} whole",
    ]
    assert told["upgraded"] == ["Sig good part", f"DocTimeStamp stamped {at(10)} whole"]


def test_pdfbox_and_bouncycastle_see_a_change(told: dict[str, list[str]]) -> None:
    assert not any(line.startswith("Sig good") for line in told["changed"])
    assert [line.split()[1] for line in told["changed"][1:]] == ["mismatched", "mismatched"]


@pytest.mark.parametrize("name", ["B-T", "B-LT", "B-LTA", "renewed", "upgraded"])
def test_pdfsig(folder: Path, name: str) -> None:
    said = run("pdfsig", "poppler-utils", "-nocert", folder / f"{name}.pdf")
    assert "Signature is Valid" in said
    assert said.rindex("Total document signed") > said.rindex("Signature #")
    assert "Syntax Error" not in said


def test_pdfsig_sees_a_change(folder: Path) -> None:
    assert "Signature is Valid" not in run("pdfsig", "poppler-utils", "-nocert", folder / "changed.pdf")


@pytest.mark.parametrize("name", ["B-T", "B-LT", "B-LTA", "renewed", "upgraded"])
def test_qpdf_and_mutool(folder: Path, name: str) -> None:
    assert "No syntax or stream encoding errors found" in run("qpdf", "qpdf", "--check", folder / f"{name}.pdf")
    said = run("mutool", "mupdf-tools", "sign", "-v", folder / f"{name}.pdf")
    # mutool knows no document time stamp: to it the revision that brings one is an edit, and the signature is valid all the same.
    assert ("The document is unchanged since signing" if name in ("B-T", "B-LT") else "The signature is valid but there have been") in said
