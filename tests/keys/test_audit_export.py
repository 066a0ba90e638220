"""Exports: written from the database, examined with nothing but the file; anchors that ``openssl ts -verify`` accepts; the commands."""

import dataclasses
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import text

from api.commands.audit import verify_export
from keys.base.actor import SYSTEM
from keys.custody.store import KeyStore, Purpose, StoredKey
from keys.evidence.anchors import anchor, anchor_check, anchor_is_late, anchors, find_anchor
from keys.evidence.container import END, ExportMalformed, members
from keys.evidence.examine import examine
from keys.evidence.log import establish_log, latest_checkpoint, log_key, sequence_all
from keys.evidence.notes import VerifierKey, signature_line
from keys.evidence.search import Query, search
from keys.evidence.stored import bodies
from keys.evidence.tiles import TILE
from keys.evidence.verify import verify_log
from keys.pki.authority import trust_bundle
from keys.time.authority import TimestampAuthority
from keys.time.errors import TimestampUnavailable
from tests.conftest import require_command
from tests.keys.forging import Holder, body, chunks_of, octets, write_export
from tests.keys.trail import fill, place, write

ENTRIES = 600


@pytest.fixture
async def log(pki, keystore, clock):  # type: ignore[no-untyped-def]
    return await establish_log(pki, keystore, clock, "fujie.test/log")


@pytest.fixture
async def exported(pki, keystore, clock, log, tmp_path) -> Path:  # type: ignore[no-untyped-def]
    await fill(pki, clock, ENTRIES)
    await place(pki, keystore, clock, 97)
    return await write(pki, keystore, clock, tmp_path / "log.tar")


def _examine(file: Path, **options):  # type: ignore[no-untyped-def]
    with file.open("rb") as handle:
        return examine(members(handle), **options)


async def test_an_export_verifies_and_says_whose_keys_it_believed(exported, log) -> None:
    report = _examine(exported, log=log)
    assert (report.problems, report.notices) == ([], [])
    assert report.entries == report.bodies >= ENTRIES
    assert any(str(log) in notice for notice in _examine(exported).notices)
    other = dataclasses.replace(log, public=bytes(range(32)))
    assert not _examine(exported, log=other).whole


async def test_any_tar_opens_it_and_sha256_leads_to_the_tiles(exported, tmp_path) -> None:
    with tarfile.open(exported) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    lines = (tmp_path / "out/bodies/000.jsonl").read_bytes().splitlines()
    hashes = (tmp_path / "out/tile/0/000").read_bytes()
    openssl = [require_command("openssl", "openssl"), "dgst", "-sha256", "-binary"]
    for i in (0, 7, 255):
        entry = subprocess.run(openssl, input=lines[i], capture_output=True, check=True).stdout
        assert subprocess.run(openssl, input=b"\0" + entry, capture_output=True, check=True).stdout == hashes[32 * i : 32 * i + 32]


async def test_a_range_leaves_out_bodies_and_nothing_else(exported, pki, keystore, clock, log, tmp_path) -> None:
    part = await write(pki, keystore, clock, tmp_path / "part.tar", first=300, end=400, reason="case 17")
    report = _examine(part, log=log)
    assert report.problems == []
    assert (report.bodies, report.entries) == (256, _examine(exported, log=log).entries)
    assert part.stat().st_size < exported.stat().st_size
    await sequence_all(pki, keystore, clock)
    page = await search(pki, clock, SYSTEM, Query(action="keys.evidence.export"), "a test")
    assert [one.body["details"]["reason"] for one in page.events] == ["case 17", ""]


async def test_a_kept_checkpoint_is_found_again_or_missed(exported, pki, keystore, clock, log) -> None:
    async with pki.session() as session:
        kept = (await latest_checkpoint(session)).note
    assert _examine(exported, log=log, kept=[kept]).whole
    await sequence_all(pki, keystore, clock)  # the export's own event: a checkpoint the file does not reach
    async with pki.session() as session:
        later = (await latest_checkpoint(session)).note
    report = _examine(exported, log=log, kept=[later])
    assert any("the log is shorter" in problem for problem in report.problems)


def test_the_forgers_in_the_tests_write_what_the_product_reads(tmp_path: Path) -> None:
    made, notes = write_export(chunks_of(ENTRIES, body), [100, 256, 300, ENTRIES], Holder())
    file = tmp_path / "made.tar"
    file.write_bytes(octets(made))
    assert _examine(file, log=Holder().key, kept=notes).problems == []
    with file.open("rb") as handle:
        assert list(members(handle)) == made


class StoreHolder(Holder):
    """Signs with the key store's key: Ed25519 signs the same text twice alike."""

    def __init__(self, keystore: KeyStore, key: StoredKey, verifier: VerifierKey) -> None:
        self.key, self._keystore, self._stored = verifier, keystore, key

    def sign(self, text: str) -> str:
        return f"{text}\n{signature_line(self.key, self._keystore.sign(self._stored, text.encode(), Purpose.LOG))}"


async def test_the_forgers_write_a_real_logs_export_octet_by_octet(exported, pki, keystore, clock) -> None:
    """So the campaign against a log made in memory tampers with the format of real ones."""
    async with pki.session() as session:
        verifier, key = await log_key(session)
        sizes = (await session.scalars(text("SELECT size FROM keys.log_checkpoints ORDER BY size"))).all()
        lines = [one + b"\n" for one in await bodies(session, 0, sizes[-1])]
    assert len(sizes) > 5
    assert len(lines) > 2 * TILE
    chunks = [b"".join(lines[i : i + TILE]) for i in range(0, len(lines), TILE)]
    forged, _ = write_export(chunks, sizes, StoreHolder(keystore, key, verifier), made_at=clock.now())
    with exported.open("rb") as handle:
        real = list(members(handle))
    assert [one.named() for one in forged] == [one.named() for one in real]
    assert forged == real
    assert octets(forged) == exported.read_bytes()


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\xff" * 2048]
)
def test_a_file_that_does_not_end_where_it_should_is_no_export(spoil) -> None:  # type: ignore[no-untyped-def]
    whole = octets(write_export(chunks_of(300, body), [300], Holder())[0])
    assert list(members(io.BytesIO(whole)))
    assert whole.endswith(END)
    with pytest.raises(ExportMalformed):
        list(members(io.BytesIO(spoil(whole))))
    assert not examine(members(io.BytesIO(spoil(whole)))).whole


async def test_an_anchor_stands_up_to_openssl(pki, keystore, clock, log, tmp_path) -> None:
    await fill(pki, clock, 5)
    await sequence_all(pki, keystore, clock)
    made = await anchor(pki, clock, TimestampAuthority(pki, keystore, clock))
    assert made is not None
    await sequence_all(pki, keystore, clock)
    assert await anchor(pki, clock, TimestampAuthority(pki, keystore, clock)) is None  # ten minutes have not passed
    async with pki.session() as session:
        assert [size for size, _ in await anchors(session)] == [made.size]
        assert await find_anchor(session, made.size) == made
        roots = tmp_path / "roots.pem"
        roots.write_text(await trust_bundle(session))
    (tmp_path / "checkpoint").write_text(made.note)
    (tmp_path / "token").write_bytes(made.token)
    openssl = [require_command("openssl", "openssl"), "ts", "-verify", "-token_in", "-in", tmp_path / "token", "-CAfile", roots]
    moment = ["-attime", str(int(clock.now().timestamp()))]
    good = subprocess.run([*openssl, *moment, "-data", tmp_path / "checkpoint"], capture_output=True, text=True, check=False)
    assert "Verification: OK" in good.stdout + good.stderr, good.stderr
    (tmp_path / "checkpoint").write_text(made.note.replace(f"\n{made.size}\n", f"\n{made.size + 1}\n"))
    assert subprocess.run([*openssl, *moment, "-data", tmp_path / "checkpoint"], capture_output=True, check=False).returncode
    # and to ourselves, in the database and in an export
    assert (await verify_log(pki)).problems == []
    file = await write(pki, keystore, clock, tmp_path / "log.tar")
    trusted = [one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(roots.read_bytes())]
    report = _examine(file, log=log, anchor_check=anchor_check(trusted))
    assert (report.problems, report.anchors) == ([], 1)
    assert verify_export(file, [str(log)], [made.note], [roots]).problems == []
    assert any("anchor" in problem for problem in _examine(file, log=log, anchor_check=anchor_check([])).problems)


async def test_an_authority_that_is_away_is_asked_again_and_missed_after_a_while(pki, keystore, clock, log) -> None:
    class Away:
        async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
            raise TimestampUnavailable("nobody answers")

    await fill(pki, clock, 5)
    await sequence_all(pki, keystore, clock)
    with pytest.raises(TimestampUnavailable):
        await anchor(pki, clock, Away())
    async with pki.session() as session:
        assert not await anchor_is_late(session, clock.now())
        clock.advance(minutes=31)
        assert await anchor_is_late(session, clock.now())
    assert await anchor(pki, clock, TimestampAuthority(pki, keystore, clock)) is not None
    async with pki.session() as session:
        assert not await anchor_is_late(session, clock.now())


async def test_the_command_needs_no_service_no_database_and_no_home(exported, log, tmp_path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "FUJIE_HOME": "/nonexistent",
        "FUJIE_DATABASE_URL": "postgresql://127.0.0.1:1/x",
    }
    command = [sys.executable, "-m", "api", "audit", "verify", "--export", str(exported), "--vkey", str(log)]
    whole = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (whole.returncode, "the log is whole" in whole.stdout) == (0, True), whole.stderr
    data = bytearray(exported.read_bytes())
    data[len(data) // 3] ^= 4
    exported.write_bytes(data)
    spoiled = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (spoiled.returncode, "tampered" in spoiled.stdout, "Traceback" in spoiled.stderr) == (1, True, False)
