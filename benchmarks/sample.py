"""Real inputs, taken from a running instance: the certificate of its story, the job that printed it, the seal that is on it."""

import asyncio
import dataclasses
import datetime as dt
import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.instance import Instance
from certs.preview_sample import OFFLINE
from certs.reads import get_certificate, type_of
from certs.rendering import RenderJob, render
from certs.sealing import render_job
from certs.stages import Reserved
from keys.base.actor import SYSTEM
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.base.ids import new_code
from keys.custody.software import SoftwareKeyStore
from seal.material import SealMaterial, load_material
from seal.permits import Permit
from seal.placement import Placement
from seal.trust import Trust


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """``unsealed`` is ``stamped`` before it was stamped."""

    job: RenderJob
    unsealed: bytes
    place: Placement
    stamped: bytes
    material: SealMaterial
    keystore: SoftwareKeyStore
    trust: Trust
    matter_code: str

    def jobs(self) -> Iterator[RenderJob]:
        """The job again and again, each with a code of its own: no QR code is found ready."""
        base, _, _ = self.job.verify_url.rpartition("/")
        while True:
            code = new_code()
            yield dataclasses.replace(self.job, verification_code=code, verify_url=f"{base}/{code}")

    def different_jobs(self) -> Iterator[RenderJob]:
        """As :meth:`jobs`, with an offline code each and other words in every field: nothing of the last one is found ready."""
        for number, job in enumerate(self.jobs()):
            fields = tuple((label, _other(value, number)) for label, value in job.fields)
            offline = OFFLINE[: -len(job.verification_code)] + job.verification_code
            holders = tuple(_other(one, number) for one in job.holders)
            yield dataclasses.replace(job, fields=fields, holders=holders, offline_text=offline)

    def permit(self, document: bytes, now: dt.datetime) -> Permit:
        return Permit(
            id=uuid.uuid4(),
            seal_code=self.material.code,
            actor_id="benchmark",
            document_hash=hashlib.sha256(document).digest(),
            expires=now + dt.timedelta(minutes=5),
            matter_code=self.matter_code,
        )


def encodable(character: str) -> bool:
    """Whether GB 2312 has it: what names and addresses are made of."""
    return len(character.encode("gb2312", errors="ignore")) == len(b"..")


POOL = tuple(chr(code) for code in range(0x4E00, 0x9FA5) if encodable(chr(code)))
HAN = frozenset(POOL)


def _other(words: str, number: int) -> str:
    """Every second Han character another one, the same for the same words and number."""
    return "".join(
        POOL[(ord(one) * 31 + at * 7 + number * 101) % len(POOL)] if at % 2 and one in HAN else one for at, one in enumerate(words)
    )


def take_sample(instance: Instance) -> Sample:
    stamped, trust = Path(instance.demo["certificate"]["pdf"]), Path(instance.demo["trust"])
    return asyncio.run(_take(instance, stamped.read_bytes(), trust.read_bytes()))


async def _take(instance: Instance, stamped: bytes, trust: bytes) -> Sample:
    database, clock = Database(instance.addresses()["database_url"]), SystemClock()
    keystore = SoftwareKeyStore(instance.home / "secrets" / "key-encryption-key")
    told: dict[str, Any] = instance.demo["certificate"]
    async with database.begin() as session:
        certificate = await get_certificate(session, uuid.UUID(told["id"]))
        kind = await type_of(session, certificate)
        if certificate is None or kind is None:
            raise LookupError("the instance does not know the certificate of its own story")
        material = await load_material(session, keystore, clock.now(), certificate.seal_code or "")
    await database.close()
    job = render_job(Reserved(certificate, kind, SYSTEM, told["verify_url"], True, uuid.uuid4()))
    printed = render(job)
    return Sample(
        job=job,
        unsealed=printed.pdf,
        place=printed.seal_place,
        stamped=stamped,
        material=material,
        keystore=keystore,
        trust=Trust.from_pem(trust),
        matter_code=certificate.matter_code or "",
    )
