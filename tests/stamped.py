"""A small world of its own for stamping and forging: two roots, a seal, a certificate page; no database.

Everything is made by the product's own builders and key store, so a test can bend one thing and keep the rest genuine.
"""

import base64
import datetime as dt
import hashlib
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import typst
from asn1crypto import crl as crl_structures
from asn1crypto import x509
from cryptography.hazmat.primitives import hashes

from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose, StoredKey
from keys.pki.certificate import (
    CertificateFacts,
    Issuer,
    Subject,
    assemble,
    key_identifier,
    signature_algorithm,
    subject_name,
    to_be_signed,
    x509_time,
)
from keys.pki.material import ValidationMaterial
from keys.pki.profiles import PROFILES
from keys.time.imprints import imprint_of
from keys.time.request import Request
from keys.time.token import Promise, Template, write_info
from seal import levels
from seal.asn1 import SealContent, assemble_seal, assemble_ses_signature, build_seal_info, build_tbs_sign
from seal.cms import Signed
from seal.material import SealMaterial
from seal.permits import Permit
from seal.placement import Placement
from seal.revision import Appearance, Stampee, append_revision
from seal.stamping import stamp
from seal.stamping_press import TimeRoom
from seal.trust import Trust

NOW = dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC)
PLACE = Placement(0, 150, 240)
IMPRESSION = b"0.8 0.1 0.1 RG 3 w 59.5 59.5 m 116 59.5 l S 59.5 10 100 100 re S"

_PAGE = """
#set document(title: "排污许可证", date: datetime(year: 2026, month: 11, day: 21))
#set page(width: 210mm, height: 297mm)
#pdf.attach("metadata.json", bytes(sys.inputs.metadata), relationship: "data", mime-type: "application/json", description: "metadata")
= Certificate
This is to certify that the holder may do as the certificate says.
"""


@cache
def certificate_page(metadata: str = '{"ZZMC": "排污许可证", "ZZBS": "1.2.156.3005.2.x"}') -> bytes:
    """An unsealed PDF/A-3b with ``metadata.json`` attached."""
    return bytes(typst.compile(_PAGE.encode(), format="pdf", pdf_standards="a-3b", sys_inputs={"metadata": metadata}))


def pem(kind: str, der: bytes) -> bytes:
    """RFC 7468 text; ``kind`` is CERTIFICATE or X509 CRL."""
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(der).decode()}-----END {kind}-----\n".encode()


@dataclass
class Party:
    """A key with its certificate; ``above`` are its issuers, the root last."""

    name: str
    key: StoredKey
    certificate: bytes
    subject: bytes
    above: tuple["Party", ...] = ()
    serial: int = 0

    @property
    def chain(self) -> tuple[bytes, ...]:
        return tuple(party.certificate for party in self.above)


@dataclass
class World:
    """Two hierarchies like those of the demonstration, and one seal."""

    folder: Path
    start: dt.datetime = NOW - dt.timedelta(days=30)
    end: dt.datetime = NOW + dt.timedelta(days=365)
    prefix: str = "Test"
    parties: dict[str, Party] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keystore = SoftwareKeyStore.create(self.folder / f"kek-{secrets.token_hex(4)}")
        self.authority("root", Algorithm.P256)
        self.authority("seal", Algorithm.P256, "root")
        self.authority("root-sm", Algorithm.SM2)
        self.authority("seal-sm", Algorithm.SM2, "root-sm")
        self.authority("seal-maker", Algorithm.SM2, "root-sm")
        self.leaf("signer", "document-signer", "seal")
        self.leaf("signer-sm", "seal-signer-sm", "seal-sm")
        self.leaf("maker", "seal-maker", "seal-maker")
        self.authority("tsa", Algorithm.P256, "root", profile="tsa-ca")
        self.leaf("stamper", "tsa-signer", "tsa", purpose=Purpose.TIME)

    def __getitem__(self, name: str) -> Party:
        return self.parties[name]

    def authority(
        self, name: str, algorithm: Algorithm, parent: str | None = None, profile: str = "seal-ca", **bounds: dt.datetime
    ) -> Party:
        return self._certify(name, profile if parent else "root", algorithm, Purpose.AUTHORITY, parent, **bounds)

    def leaf(
        self, name: str, profile: str, parent: str, *, key: StoredKey | None = None, purpose: Purpose = Purpose.SEALS, **bounds: dt.datetime
    ) -> Party:
        return self._certify(name, profile, PROFILES[profile].algorithm, purpose, parent, key=key, **bounds)

    def _certify(
        self,
        name: str,
        profile: str,
        algorithm: Algorithm,
        purpose: Purpose,
        parent: str | None,
        *,
        key: StoredKey | None = None,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
    ) -> Party:
        key = key or self.keystore.generate(algorithm, purpose)
        subject = subject_name(Subject(f"{self.prefix} {name}", "测试机关", "", "990100"))
        serial = secrets.randbits(120)
        issuer = self.parties[parent] if parent else Party(name, key, b"", subject)
        facts = CertificateFacts(PROFILES[profile], serial, subject, key.public, not_before or self.start, not_after or self.end)
        body = to_be_signed(facts, self._issuer(issuer))
        certificate = assemble(body, issuer.key.algorithm, self.keystore.sign(issuer.key, body, Purpose.AUTHORITY))
        above = (issuer, *issuer.above) if parent else ()
        self.parties[name] = Party(name, key, certificate, subject, above, serial)
        return self.parties[name]

    def _issuer(self, party: Party) -> Issuer:
        return Issuer(party.name, party.key.algorithm, party.subject, key_identifier(party.key.public), "http://127.0.0.1:8000")

    def crl(self, name: str, revoked: dict[int, dt.datetime] | None = None, *, this: dt.datetime = NOW, days: int = 90) -> bytes:
        party = self.parties[name]
        body = crl_structures.TbsCertList(
            {
                "version": "v2",
                "signature": signature_algorithm(party.key.algorithm),
                "issuer": x509.Name.load(party.subject),
                "this_update": x509_time(this),
                "next_update": x509_time(this + dt.timedelta(days=days)),
                "revoked_certificates": [
                    {"user_certificate": serial, "revocation_date": x509_time(since)} for serial, since in (revoked or {}).items()
                ],
                "crl_extensions": [
                    {"extn_id": "crl_number", "extn_value": int(this.timestamp())},
                    {
                        "extn_id": "authority_key_identifier",
                        "extn_value": x509.AuthorityKeyIdentifier({"key_identifier": key_identifier(party.key.public)}),
                    },
                ],
            }
        ).dump()
        return assemble(body, party.key.algorithm, self.keystore.sign(party.key, body, Purpose.AUTHORITY))

    def crls(self, **changed: bytes) -> tuple[bytes, ...]:
        names = ("root", "seal", "root-sm", "seal-sm", "seal-maker")
        return tuple(changed.get(name.replace("-", "_"), b"") or self.crl(name) for name in names)

    def seal(self, *, certificates: tuple[bytes, ...] | None = None, maker: str = "maker", version: int = 5, **content: object) -> bytes:
        facts = SealContent(
            es_id="99010000000001",
            name="测试市行政审批专用章",
            certificates=certificates or (self["signer-sm"].certificate,),
            created=NOW - dt.timedelta(days=1),
            valid_from=NOW - dt.timedelta(days=1),
            valid_to=NOW + dt.timedelta(days=300),
            picture=b"\x89PNG" + bytes(12000),
            width_mm=42,
            height_mm=42,
        )
        info = build_seal_info(replace(facts, **content), version)
        signature = self.keystore.sign(self[maker].key, info, Purpose.SEALS)
        return assemble_seal(info, self[maker].certificate, signature)

    def material(self, **changed: object) -> SealMaterial:
        signer, stamper, maker = self["signer"], self["signer-sm"], self["maker"]
        certificates = dict.fromkeys(c for party in (signer, stamper, maker) for c in (party.certificate, *party.chain))
        material = SealMaterial(
            code="99010000000001",
            name="测试市行政审批专用章",
            organisation_name="测试市行政审批局",
            seal_der=self.seal(),
            signer_key=signer.key,
            signer_certificate=signer.certificate,
            signer_chain=signer.chain,
            sm_key=stamper.key,
            sm_certificate=stamper.certificate,
            sm_chain=stamper.chain,
            pdf_content=IMPRESSION,
            width_mm=42.0,
            height_mm=42.0,
            validation=ValidationMaterial(tuple(certificates), self.crls()),
        )
        return replace(material, **changed)

    def permit(self, document: bytes, **changed: object) -> Permit:
        permit = Permit(
            id=uuid.UUID(int=1),
            seal_code="99010000000001",
            actor_id="tester",
            document_hash=hashlib.sha256(document).digest(),
            expires=NOW + dt.timedelta(minutes=5),
            matter_code="matter",
        )
        return replace(permit, **changed)

    def stamped(self, document: bytes | None = None, material: SealMaterial | None = None, at: dt.datetime = NOW) -> bytes:
        document = document or certificate_page()
        return stamp(self.permit(document), document, material or self.material(), PLACE, self.keystore, at).pdf

    # --- levels above B-B (seal.levels) ------------------------------------------------------------------------------------

    def token(self, digest: bytes, at: dt.datetime = NOW, stamper: str = "stamper", algorithm: str = "sha256") -> bytes:
        """A TimeStampToken (RFC 3161) over ``digest``, by this world's own authority."""
        party = self[stamper]
        info = write_info(Promise(), Request(imprint_of(digest, algorithm).encode(), certificates=True), secrets.randbits(64), at)
        template = Template((party.certificate, *party.chain[:-1]))
        attributes = template.attributes(info)
        signature = self.keystore.sign(party.key, template.signed(attributes), Purpose.TIME)
        return template.token(info, attributes, signature, certificates=True)

    def time_validation(self, at: dt.datetime = NOW) -> ValidationMaterial:
        """The chain and the lists of this world's time-stamping authority."""
        stamper = self["stamper"]
        return ValidationMaterial((stamper.certificate, *stamper.chain), (self.crl("tsa", this=at), self.crl("root", this=at)))

    def stamped_at_level(self, level: str, document: bytes | None = None, at: dt.datetime = NOW, permission: int = 1) -> bytes:
        """A sealed file of ``level`` B-B, B-T, B-LT or B-LTA, its time stamps one and two seconds after ``at``."""
        document = document or certificate_page()
        room = None if level == "B-B" else TimeRoom(levels.TOKEN_ROOM)
        if room is not None and level != "B-T":
            room = replace(room, validation=self.time_validation(at))
        permit = self.permit(document, expires=at + dt.timedelta(minutes=5))
        material = self.material()
        pdf = stamp(permit, document, material, PLACE, self.keystore, at, permission=permission, time_room=room).pdf
        if room is not None:
            pdf = self.time_stamped(pdf, at + dt.timedelta(seconds=1))
        return self.archived(pdf, at + dt.timedelta(seconds=2)) if level == "B-LTA" else pdf

    def time_stamped(self, pdf: bytes, at: dt.datetime = NOW) -> bytes:
        """The file with a time stamp of its last signature."""
        signature = levels.unstamped(pdf)
        return levels.with_signature_timestamp(pdf, signature, self.token(signature.imprint, at))

    def archived(self, pdf: bytes, at: dt.datetime = NOW, stamper: str = "stamper", store: levels.Store | None = None) -> bytes:
        """Any file of ours with one more document time stamp (B-LTA, and each renewal of it)."""
        validation = self.time_validation(at)
        names = ("root", "seal", "root-sm", "seal-sm", "seal-maker")
        lists = tuple(self.crl(name, this=at) for name in names)
        store = store or levels.Store(validation.certificates, (*lists, *validation.crls))
        hollow = levels.append_timestamp(pdf, store)
        return levels.stamped(hollow, self.token(hollow.digest(), at, stamper))

    @property
    def trust(self) -> Trust:
        return Trust((self["root"].certificate, self["root-sm"].certificate))


Change = Callable[[bytes], bytes]


def same(der: bytes) -> bytes:
    return der


def sm3_of(parts: tuple[memoryview, memoryview]) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    for part in parts:
        digest.update(part)
    return digest.finalize()


def forged(
    world: World,
    material: SealMaterial | None = None,
    *,
    document: bytes | None = None,
    at: dt.datetime = NOW,
    ses: Change = same,
    attributes: Callable[[Signed], bytes] = Signed.attributes,
    message: Change = same,
    stamp_time: dt.datetime | None = None,
) -> bytes:
    """What a thief of both keys could make: stamped without any of the product's own checks, each part open to change.

    ``ses`` changes the finished SES_Signature before the P-256 signature is made, ``message`` the finished CMS after it.
    """
    material = material or world.material()
    certificates = (material.signer_certificate, *material.signer_chain[:-1])
    stampee = Stampee(
        appearance=Appearance(material.pdf_content, material.width_mm, material.height_mm),
        placement=PLACE,
        title=material.name,
        organisation=material.organisation_name,
        certificates=material.validation.certificates,
        crls=material.validation.crls,
        signing_time=at,
        reserved=len(material.seal_der) + 4000,
    )
    hollow = append_revision(document or certificate_page(), stampee)
    tbs = build_tbs_sign(material.seal_der, stamp_time or at, sm3_of(hollow.covered()), hollow.byte_range)
    stamp_der = assemble_ses_signature(tbs, material.sm_certificate, world.keystore.sign(material.sm_key, tbs, Purpose.SEALS))
    digest = hashlib.sha256(b"".join(hollow.covered())).digest()
    signed = Signed(certificates, digest, ses(stamp_der))
    signature = world.keystore.sign(material.signer_key, attributes(signed), Purpose.SEALS)
    return hollow.filled(message(signed.content_info(signature)))
