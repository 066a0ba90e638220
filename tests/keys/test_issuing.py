"""Issuing: the number that outlives a crash, keys that come twice, authorities that have ended, and what the log keeps."""

import asyncio
import datetime as dt
import json
import signal
import sys

import pytest
from cryptography import x509
from sqlalchemy import func, select, update

from keys.base.actor import Actor, ActorKind
from keys.base.errors import FujieError
from keys.custody.store import Algorithm, Purpose
from keys.evidence.models import AuditEvent
from keys.models import AuthorityRow, CertificateRow, SerialRow, StoredKeyRow
from keys.pki.authority import issue
from keys.pki.certificate import Subject
from keys.pki.reads import certificate_ends, serial_text, status_at
from keys.pki.status import revoke
from tests.running import ROOT

SUBJECT = Subject("某某市水务局行政审批专用章", "某某市水务局", "11990100MB0000001X", "990100")
CLERK = Actor(ActorKind.PERSON, "0190c0de-0000-7000-8000-000000000001", "窗口人员")

KILLED = """
import asyncio, datetime as dt, os, signal, sys
from pathlib import Path
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose
from keys.pki.authority import issue
from keys.pki.certificate import Subject

class Killed(SoftwareKeyStore):
    def sign(self, key, message, purpose):
        super().sign(key, message, purpose)  # the signature exists, and its power goes
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    keystore = Killed(Path(sys.argv[2]))
    public = keystore.generate(Algorithm.P256, Purpose.SEALS).public
    async with Database(sys.argv[1]).begin() as session:
        now = dt.datetime.fromisoformat(sys.argv[3])
        subject = Subject("甲", "乙", "", "990100")
        await issue(session, keystore, now, authority="seal", profile="document-signer", subject=subject, public_key=public)

asyncio.run(main())
"""


def a_key(keystore, algorithm=Algorithm.P256) -> bytes:
    return keystore.generate(algorithm, Purpose.SEALS).public


async def certify(database, keystore, now, **changes):
    order = {"authority": "seal", "profile": "document-signer", "subject": SUBJECT, **changes}
    order.setdefault("public_key", a_key(keystore))
    async with database.begin() as session:
        return await issue(session, keystore, now, **order)


async def refusal(database, keystore, now, **changes) -> str:
    with pytest.raises(FujieError) as refused:
        await certify(database, keystore, now, **changes)
    assert all(refused.value.public)
    return refused.value.code


async def numbers(database) -> set[str]:
    """Serial numbers that were reserved and under which nothing was kept."""
    kept = select(CertificateRow.serial)
    async with database.session() as session:
        return set(await session.scalars(select(SerialRow.serial).where(SerialRow.serial.not_in(kept))))


async def events(database, action="keys.pki.issue") -> list[dict]:
    async with database.session() as session:
        found = await session.scalars(select(AuditEvent.body).where(AuditEvent.action == action).order_by(AuditEvent.id))
        return [json.loads(body) for body in found]


async def test_a_kill_between_number_and_certificate_leaves_the_number(pki, keystore, clock, database_url):
    assert await numbers(pki) == set()
    arguments = ("-c", KILLED, database_url, str(keystore.path), clock.now().isoformat())
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)
    assert await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
    (left,) = await numbers(pki)
    async with pki.session() as session:
        row = await session.get(SerialRow, left)
        assert (row.authority, row.profile, row.reserved_at) == ("seal", "document-signer", clock.now())
        assert await session.scalar(select(func.count()).where(CertificateRow.profile == "document-signer")) == 0
        assert (await status_at(session, int(left, 16), clock.now())).status == "unknown", "never issued: RFC 6960 §2.2"


async def test_a_rollback_leaves_the_number_and_frees_the_key(pki, keystore, clock):
    public = a_key(keystore)

    class ChangedItsMind(Exception):
        pass

    async def give_up() -> None:
        async with pki.begin() as session:
            order = {"authority": "seal", "profile": "document-signer", "subject": SUBJECT, "public_key": public}
            await issue(session, keystore, clock.now(), **order)
            raise ChangedItsMind

    with pytest.raises(ChangedItsMind):
        await give_up()
    (left,) = await numbers(pki)
    again = await certify(pki, keystore, clock.now(), public_key=public)
    assert serial_text(again.serial) != left


async def test_issuing_in_forty_open_transactions_at_once_waits_for_nobody(pki, keystore, clock):
    """More transactions than the pool has connections, each with a lock on the authority: the reservation needs neither."""
    publics = [a_key(keystore) for _ in range(40)]

    async def one(public: bytes) -> int:
        async with pki.begin() as session:
            await session.execute(select(AuthorityRow).where(AuthorityRow.name == "seal").with_for_update(key_share=True, read=True))
            issued = await issue(
                session, keystore, clock.now(), authority="seal", profile="document-signer", subject=SUBJECT, public_key=public
            )
            return issued.serial

    serials = await asyncio.wait_for(asyncio.gather(*map(one, publics)), 20)
    assert len(set(serials)) == 40


async def test_a_key_is_certified_once(pki, keystore, clock):
    public = a_key(keystore)
    await certify(pki, keystore, clock.now(), public_key=public)
    other = Subject("另一枚印章", "另一个单位", "", "990100")
    for subject in (SUBJECT, other):
        assert await refusal(pki, keystore, clock.now(), public_key=public, subject=subject) == "PUBLIC_KEY_CERTIFIED_BEFORE"
    assert await refusal(pki, keystore, clock.now(), public_key=public, authority="documents") == "PUBLIC_KEY_CERTIFIED_BEFORE"
    async with pki.session() as session:
        authorities = (await session.scalars(select(StoredKeyRow.public).where(StoredKeyRow.algorithm == "EC_P256"))).all()
    for own in authorities:
        assert await refusal(pki, keystore, clock.now(), public_key=own) == "PUBLIC_KEY_CERTIFIED_BEFORE"


async def test_of_two_orders_with_one_key_at_once_one_is_carried_out(pki, keystore, clock):
    public = a_key(keystore)
    tried = await asyncio.gather(*(certify(pki, keystore, clock.now(), public_key=public) for _ in range(4)), return_exceptions=True)
    codes = [one.code for one in tried if isinstance(one, FujieError)]
    assert (len(tried) - len(codes), set(codes)) == (1, {"PUBLIC_KEY_CERTIFIED_BEFORE"})


async def test_an_authority_that_has_ended_issues_nothing(pki, keystore, clock):
    async with pki.session() as session:
        ends = {
            name: certificate_ends(der).not_after
            for name, der in await session.execute(select(AuthorityRow.name, AuthorityRow.certificate))
        }
    assert (await certify(pki, keystore, ends["seal"] - dt.timedelta(seconds=5))).serial
    assert await refusal(pki, keystore, ends["seal"] + dt.timedelta(seconds=1)) == "AUTHORITY_EXPIRED"


async def test_an_authority_under_an_ended_root_issues_nothing(pki, keystore, clock):
    async with pki.begin() as session:  # as if the root were older than its children
        old = x509.load_der_x509_certificate((await session.get(AuthorityRow, "seal")).certificate)
        root = await session.get(AuthorityRow, "root")
        end = root.certificate.index(x509.load_der_x509_certificate(root.certificate).not_valid_after_utc.strftime("%Y").encode() + b"")
        root.certificate = root.certificate[:end] + b"2030" + root.certificate[end + 4 :]
    assert old.not_valid_after_utc.year > 2031
    assert await refusal(pki, keystore, clock.now() + dt.timedelta(days=365 * 6)) == "AUTHORITY_EXPIRED"


@pytest.mark.parametrize("revoked", ["seal", "root"])
async def test_a_revoked_authority_issues_nothing(pki, keystore, clock, revoked):
    async with pki.begin() as session:
        row = await session.get(AuthorityRow, revoked)
        await revoke(session, clock.now(), certificate_ends(row.certificate).serial, "ca_compromise")
    assert await refusal(pki, keystore, clock.now()) == "AUTHORITY_REVOKED"
    assert (
        await certify(pki, keystore, clock.now(), authority="seal-sm", profile="seal-signer-sm", public_key=a_key(keystore, Algorithm.SM2))
    ).serial


async def test_an_authority_without_its_certificate_issues_nothing(pki, keystore, clock):
    """One whose request is out with another authority."""
    async with pki.begin() as session:
        await session.execute(update(AuthorityRow).where(AuthorityRow.name == "seal").values(certificate=b""))
    assert await refusal(pki, keystore, clock.now()) == "AUTHORITY_UNKNOWN"


async def test_families_do_not_mix(pki, keystore, clock):
    """person-sign-in takes SM2 keys, from an SM2 authority; this one is not."""
    sm2_key = a_key(keystore, Algorithm.SM2)
    code = await refusal(pki, keystore, clock.now(), authority="persons", profile="person-sign-in", public_key=sm2_key)
    assert code == "CERTIFICATE_PROFILE_UNSUITABLE"


async def test_every_issuance_and_every_refusal_is_in_the_log(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now(), actor=CLERK)
    assert await refusal(pki, keystore, clock.now(), actor=CLERK, public_key=b"garbage") == "PUBLIC_KEY_UNSUITABLE"
    done, refused = await events(pki)
    assert (done["object"], done["outcome"], done["actor"]["id"]) == (f"pki-certificate:{serial_text(issued.serial)}", "done", CLERK.id)
    assert done["details"]["profile"] == "document-signer"
    assert (refused["object"], refused["outcome"], refused["code"]) == ("authority:seal", "refused", "PUBLIC_KEY_UNSUITABLE")
    assert refused["actor"]["id"] == CLERK.id
    assert SUBJECT.common_name not in json.dumps([done, refused], ensure_ascii=False), "a name may be a person's"
    async with pki.session() as session:
        assert await session.scalar(select(func.count()).where(CertificateRow.profile == "document-signer")) == 1
