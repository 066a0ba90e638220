"""``fujie keys status|suspend|resume|revoke|renew|rekey`` on the command line."""

import asyncio
import datetime as dt
from types import SimpleNamespace

import orjson
import pytest
from asn1crypto import core, pem
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner, Result

from api.commands import status, successors
from api.commands.keys import app
from keys.base.errors import FujieError
from keys.custody.store import Algorithm, Purpose
from keys.pki.authority import establish
from keys.pki.issuing import Subject, issue

SUBJECT = Subject("测试印章", "某某市水务局", "11990100MB0000001X", "990100")


@pytest.fixture
async def command(database, keystore, clock, monkeypatch):
    """Runs a command against the test's database: the journey in the test's loop, the command beside it."""
    await establish(database, keystore, clock, "http://testserver")
    house, loop = SimpleNamespace(database=database, keystore=keystore, clock=clock, guard=clock), asyncio.get_running_loop()
    for module in (status, successors):
        monkeypatch.setattr(module, "with_house", lambda journey: asyncio.run_coroutine_threadsafe(_run(journey(house)), loop).result(30))

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, words)

    return run


async def _run(awaitable):
    return await awaitable


@pytest.fixture
async def serial(command, database, keystore, clock) -> str:
    public = keystore.generate(Algorithm.P256, Purpose.SEALS).public
    async with database.begin() as session:
        issued = await issue(
            *(session, keystore, clock.now()), authority="seal", profile="document-signer", subject=SUBJECT, public_key=public
        )
    return f"{issued.serial:032X}"


def told(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


async def test_the_life_of_a_certificate(command, serial, clock):
    begin = clock.now()
    assert told(await command("status", serial))["status"] == "good"
    clock.advance(days=1)
    assert told(await command("suspend", serial))["reason"] == "certificate_hold"
    clock.advance(days=1)
    assert told(await command("resume", serial))["status"] == "good"
    clock.advance(days=1)
    gone = told(await command("revoke", serial, "--reason", "key_compromise", "--invalid-since", begin.isoformat()))
    assert (gone["status"], gone["reason"], gone["since"]) == ("revoked", "key_compromise", "2026-11-24T02:00:00+00:00")
    assert [(one["move"], one["to"], one["by"]) for one in gone["history"]] == [
        ("suspend", "on_hold", "fujie"),
        ("resume", "good", "fujie"),
        ("revoke", "revoked", "fujie"),
    ]
    for hours, word in ((0, "good"), (24, "on_hold"), (48, "good"), (72, "revoked")):
        at = (begin + dt.timedelta(hours=hours)).astimezone(dt.timezone(dt.timedelta(hours=8))).isoformat()
        assert told(await command("status", serial, "--at", at))["status"] == word


async def test_serial_numbers_as_openssl_prints_them(command, serial):
    colons = ":".join(serial[at : at + 2].lower() for at in range(0, 32, 2))
    for written in (colons, f"0x{serial}", serial.lower()):
        assert told(await command("status", written))["serial"] == serial.lower()
    assert told(await command("status", "1234"))["status"] == "unknown"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("status", "xyz"), "INVALID_INPUT"),
        (("status", "1" * 41), "INVALID_INPUT"),
        (("status", "12", "--at", "yesterday"), "INVALID_INPUT"),
        (("status", "12", "--at", "2026-11-22T10:00:00"), "INVALID_INPUT"),
        (("suspend", "12"), "CERTIFICATE_UNKNOWN"),
        (("resume", "12"), "CERTIFICATE_UNKNOWN"),
        (("revoke", "12", "--reason", "because"), "REVOCATION_REASON_UNKNOWN"),
        (("revoke", "12", "--reason", "superseded"), "CERTIFICATE_UNKNOWN"),
    ],
)
async def test_refusals(command, words, code):
    result = await command(*words)
    assert isinstance(result.exception, FujieError)
    assert result.exception.code == code


async def test_a_reason_is_required(command, serial):
    assert (await command("revoke", serial)).exit_code == 2
    assert told(await command("status", serial))["status"] == "good"


async def test_successors_name_the_same_subject(command, serial, clock, tmp_path):
    clock.advance(days=300)
    renewed = told(await command("renew", serial, "-o", str(tmp_path / "renewed.pem")))
    assert (tmp_path / "renewed.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 3
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    (tmp_path / "new.csr").write_bytes(request.public_bytes(Encoding.PEM))
    replaced = told(await command("rekey", renewed["serial"], "--request", str(tmp_path / "new.csr"), "-o", str(tmp_path / "new.pem")))
    first, second = (x509.load_pem_x509_certificates((tmp_path / name).read_bytes())[0] for name in ("renewed.pem", "new.pem"))
    assert first.subject == second.subject
    assert second.public_key() == key.public_key() != first.public_key()
    assert int(replaced["serial"], 16) == second.serial_number != first.serial_number
    assert told(await command("status", serial))["status"] == "good"


async def test_an_encryption_pair_stands_beside_an_sm2_signing_certificate(command, database, keystore, clock, tmp_path):
    public = keystore.generate(Algorithm.SM2, Purpose.SEALS).public
    async with database.begin() as session:
        signing = await issue(
            *(session, keystore, clock.now()), authority="seal-sm", profile="seal-signer-sm", subject=SUBJECT, public_key=public
        )
    files = ("-o", str(tmp_path / "pair.pem"), "--key", str(tmp_path / "pair.key"))
    made = told(await command("encryption-pair", f"{signing.serial:x}", *files))
    certificate = asn1_x509.Certificate.load(next(pem.unarmor((tmp_path / "pair.pem").read_bytes(), multiple=True))[2])
    assert int(made["serial"], 16) == certificate.serial_number
    assert certificate.key_usage_value.native == {"key_encipherment", "data_encipherment", "key_agreement"}
    enveloped = core.Sequence.load((tmp_path / "pair.key").read_bytes(), strict=True).native  # GB/T 35276 §7.4: four members
    assert len(enveloped) == 4
    again = await command("encryption-pair", f"{signing.serial:x}", *files)
    assert again.exception.code == "OUTPUT_EXISTS", "nothing is made whose file has no place"


async def test_a_revoked_certificate_has_no_successor(command, serial, tmp_path):
    told(await command("revoke", serial, "--reason", "key_compromise"))
    refused = await command("renew", serial, "-o", str(tmp_path / "none.pem"))
    assert isinstance(refused.exception, FujieError)
    assert refused.exception.code == "CERTIFICATE_RENEWAL_UNSUITABLE"
    assert not (tmp_path / "none.pem").exists()
