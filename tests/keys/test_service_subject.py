"""After a ceremony of another organisation no certificate names the demonstration."""

from asn1crypto import x509
from sqlalchemy import text

from keys.base.clock import Clock
from keys.base.db import Database
from keys.ceremony.holding import Hall, hold
from keys.ceremony.plan import read_plan
from keys.custody.software import SoftwareKeyStore
from keys.pki.certificate import Subject
from keys.pki.ocsp_responders import renew_responders
from keys.pki.reads import get_authorities, service_subject
from keys.time.signer import ensure_signer
from keys.trust.certificates import DEMONSTRATION_WORDS
from keys.trust.publishing import current_list
from seal.maker import ensure_maker
from tests.keys.test_ceremony import PEOPLE, PLAN, SignOffs

MORE = """
[[authorities]]
name = "documents"
parent = "root"
profile = "document-ca"
algorithm = "EC_P256"
common_name = "某市文书CA"

[[authorities]]
name = "tsa"
parent = "root"
profile = "tsa-ca"
algorithm = "EC_P256"
common_name = "某市时间戳CA"
"""
OF_THE_CITY = {"locality_name": "990100", "organization_name": "某市数据局", "organization_identifier": "NTRCN-11990100MB0000000X"}


async def test_the_service_is_named_after_its_authority(database: Database, keystore: SoftwareKeyStore, clock: Clock) -> None:
    plan = PLAN + MORE.encode()
    plan = plan.replace(b"legal_effect = false", b"legal_effect = true")
    await hold(Hall(database, keystore, clock, "https://id.example", "software"), read_plan(plan), plan, PEOPLE, SignOffs())
    now = clock.now()
    stamper = await ensure_signer(database, keystore, now)
    await renew_responders(database, keystore, now)
    await current_list(database, keystore, clock, "https://id.example")
    async with database.begin() as session:
        maker = await ensure_maker(session, keystore, now)
        authorities = await get_authorities(session)
        rows = await session.execute(text("SELECT certificate FROM keys.certificates WHERE profile NOT LIKE '%-ca' AND profile <> 'root'"))
        issued = [x509.Certificate.load(row.certificate) for row in rows]
    assert {stamper.certificates[0], maker.certificate} <= {one.dump() for one in issued}
    assert len(issued) == len(authorities) + 3, "a responder of each, and those of time stamps, seals and lists"
    for one in issued:
        assert not any(word in one.subject.human_friendly for word in DEMONSTRATION_WORDS)
        assert {name: one.subject.native[name] for name in OF_THE_CITY} == OF_THE_CITY
    assert service_subject(authorities["seal"], "x") == Subject("x", "某市数据局", "11990100MB0000000X", "990100")
