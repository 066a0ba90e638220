"""Certificates, CRLs and OCSP answers of other people's making: an authority is a key, a name and a certificate."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

NOW = dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Maker:
    """Somebody with a key and a certificate. ``pss`` signs with RSASSA-PSS."""

    name: str
    key: Key = field(default_factory=new_key)
    certificate: x509.Certificate | None = None
    pss: bool = False

    @property
    def der(self) -> bytes:
        assert self.certificate is not None
        return self.certificate.public_bytes(Encoding.DER)

    def _sign(self, builder: Any) -> Any:
        digest = None if isinstance(self.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        options = {"rsa_padding": padding.PSS(padding.MGF1(hashes.SHA256()), 32)} if self.pss else {}
        return builder.sign(self.key, digest, **options)

    def certify(
        self,
        subject: "Maker",
        *extensions: x509.ExtensionType,
        authority: bool = False,
        path_length: int | None = None,
        days: tuple[int, int] = (-30, 365),
        critical: tuple[type[x509.ExtensionType], ...] = (),
    ) -> "Maker":
        """A certificate for the subject, which then has it; a second call makes another with the same key."""
        public = subject.key.public_key()
        builder = x509.CertificateBuilder().subject_name(named(subject.name)).issuer_name(named(self.name)).public_key(public)
        builder = (
            builder.serial_number(x509.random_serial_number()).not_valid_before(NOW + days[0] * DAY).not_valid_after(NOW + days[1] * DAY)
        )
        builder = builder.add_extension(x509.BasicConstraints(authority, path_length), critical=True)
        builder = builder.add_extension(_usage(authority), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, (x509.NameConstraints, *critical)))
        subject.certificate = self._sign(builder)
        return subject

    def list(
        self,
        revoked: dict[int, x509.ReasonFlags | None] | None = None,
        *extensions: tuple[x509.ExtensionType, bool],
        this: dt.datetime = NOW,
        days: int = 7,
        since: dt.datetime = NOW - DAY,
    ) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(named(self.name)).last_update(this).next_update(this + days * DAY)
        builder = builder.add_extension(x509.CRLNumber(int(this.timestamp())), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        for serial, reason in (revoked or {}).items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            entry = entry.add_extension(x509.CRLReason(reason), critical=False) if reason else entry
            builder = builder.add_revoked_certificate(entry.build())
        return bytes(self._sign(builder).public_bytes(Encoding.DER))

    def answer(
        self,
        about: "Maker",
        issuer: "Maker",
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        *,
        this: dt.datetime = NOW,
        upcoming: dt.datetime | None = NOW + DAY,
    ) -> bytes:
        """An OCSP response signed by this maker; its certificate goes along unless it is the issuer."""
        assert self.certificate is not None
        since = NOW - DAY if status is ocsp.OCSPCertStatus.REVOKED else None
        builder = ocsp.OCSPResponseBuilder().add_response(
            about.certificate,
            issuer.certificate,
            hashes.SHA256(),
            status,
            this,
            upcoming,
            since,
            None,  # type: ignore[arg-type]
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        if self is not issuer:
            builder = builder.certificates([self.certificate])
        return bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER))  # type: ignore[arg-type]


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not authority, not authority, False, False, False, authority, authority, False, False)


def root(name: str = "root", **options: Any) -> Maker:
    maker = Maker(name, **options)
    return maker.certify(maker, authority=True)


def point(url: str) -> x509.CRLDistributionPoints:
    return x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)])


def issuing_point(url: str) -> tuple[x509.IssuingDistributionPoint, bool]:
    names = [x509.UniformResourceIdentifier(url)]
    return x509.IssuingDistributionPoint(names, None, False, False, None, False, False), True


def information() -> x509.AuthorityInformationAccess:
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://127.0.0.1:1/ocsp"))]
    )
