"""Building certificates (RFC 5280; SM2 after GB/T 20518): plain functions from facts to DER, no clock, no keys."""

import datetime as dt
import hashlib
import ipaddress
import re
import unicodedata
from dataclasses import dataclass

from asn1crypto import algos, core, x509
from asn1crypto import keys as asn1_keys

from keys.custody import sm2
from keys.custody.store import Algorithm
from keys.pki.errors import SubjectUnsuitable
from keys.pki.partitions import list_url, partition_of
from keys.pki.profiles import Profile

SIGNATURE_ALGORITHMS: dict[Algorithm, str] = {
    Algorithm.P256: "sha256_ecdsa",
    Algorithm.P384: "sha384_ecdsa",
    Algorithm.RSA2048: "sha256_rsa",
    Algorithm.RSA3072: "sha256_rsa",
    Algorithm.RSA4096: "sha256_rsa",
    Algorithm.ED25519: "ed25519",
    Algorithm.SM2: sm2.SM2_WITH_SM3,
}
_WITH_NULL = frozenset({Algorithm.RSA2048, Algorithm.RSA3072, Algorithm.RSA4096})  # RFC 4055 §5: the parameters are NULL, not absent

_NAME_LIMIT = 64  # ub-common-name and ub-organization-name, RFC 5280 appendix A.1
REGISTER_OF_LEGAL_PERSONS = "NTRCN-"  # ETSI EN 319 412-1 §5.1.4: national trade register, China, then the USCC
_DIVISION_DIGITS = 6
_IDENTIFIER = re.compile(r"[0-9a-z-]{8,64}")
_LIKE_AN_ID_NUMBER = re.compile(r"[0-9]{15}|[0-9]{17}[0-9x]")
_KEY_IDENTIFIER_OCTETS = 20
_LONGEST_HOST = 253
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, marks that turn the reading direction, surrogates, line breaks


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate names.

    ``common_name``        CN, at most 64 characters
    ``organisation``       O, at most 64 characters; may be empty where ``identifier`` is not: a citizen has none
    ``organisation_code``  USCC, written as organizationIdentifier ``NTRCN-…``; may be empty
    ``division``           GB/T 2260 code, six digits, written as L
    ``identifier``         serialNumber: an account's identifier, so that two people of one name are two subjects; never an ID number
    """

    common_name: str
    organisation: str
    organisation_code: str
    division: str
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class Issuer:
    """What a certificate or a revocation list says of the authority that signs it. ``subject`` is its Name, DER."""

    authority: str
    algorithm: Algorithm
    subject: bytes
    key_identifier: bytes
    base_url: str


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """Everything a certificate states. ``public_key`` is SPKI DER; instants are whole seconds, UTC; ``hosts``: names and addresses."""

    profile: Profile
    serial: int
    subject: bytes
    public_key: bytes
    not_before: dt.datetime
    not_after: dt.datetime
    hosts: tuple[str, ...] = ()


def subject_name(subject: Subject) -> bytes:
    """The subject's distinguished name, DER, texts as UTF8String. Raises ``SubjectUnsuitable``."""
    if len(subject.division) != _DIVISION_DIGITS or not (subject.division.isascii() and subject.division.isdigit()):
        raise SubjectUnsuitable("the division code is not six digits")
    parts = {"country_name": "CN", "locality_name": subject.division}
    if subject.organisation or not subject.identifier:
        parts["organization_name"] = _clean("organisation", subject.organisation)
    if subject.organisation_code:
        parts["organization_identifier"] = REGISTER_OF_LEGAL_PERSONS + _clean("organisation code", subject.organisation_code)
    parts["common_name"] = _clean("common name", subject.common_name)
    if subject.identifier:
        parts["serial_number"] = _identifier(subject.identifier)
    encoded: bytes = x509.Name.build(parts).dump()
    return encoded


def _identifier(text: str) -> str:
    if _IDENTIFIER.fullmatch(text) is None or _LIKE_AN_ID_NUMBER.search(text):
        raise SubjectUnsuitable("the identifier is no account's")
    return text


def certified_subject(certificate: bytes) -> Subject:
    """Whom a certificate of ours names; :func:`subject_name` makes the same octets of it. Raises ``SubjectUnsuitable``."""
    name = x509.Certificate.load(certificate).subject
    parts = {attribute["type"].native: attribute["value"].native for rdn in name.chosen for attribute in rdn}
    subject = Subject(
        parts.get("common_name", ""),
        parts.get("organization_name", ""),
        parts.get("organization_identifier", "").removeprefix(REGISTER_OF_LEGAL_PERSONS),
        parts.get("locality_name", ""),
        parts.get("serial_number", ""),
    )
    if subject_name(subject) != name.dump():
        raise SubjectUnsuitable("a name that is not written here")
    return subject


def certified_key(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, DER."""
    encoded: bytes = x509.Certificate.load(certificate)["tbs_certificate"]["subject_public_key_info"].dump()
    return encoded


def _clean(part: str, text: str) -> str:
    if not text.strip() or len(text) > _NAME_LIMIT or any(unicodedata.category(character) in _INVISIBLE for character in text):
        raise SubjectUnsuitable(f"the {part} is empty, longer than {_NAME_LIMIT} characters or holds invisible characters")
    return text


def key_identifier(public_key: bytes) -> bytes:
    """The leftmost 160 bits of the SHA-256 of the public key's BIT STRING (RFC 7093 §2, method 1)."""
    octets = asn1_keys.PublicKeyInfo.load(public_key)["public_key"].contents[1:]
    return hashlib.sha256(octets).digest()[:_KEY_IDENTIFIER_OCTETS]


def signature_algorithm(algorithm: Algorithm) -> algos.SignedDigestAlgorithm:
    """AlgorithmIdentifier of the authority's signatures: NULL parameters for RSA, none for others (RFC 5758 §3.2, 8410 §3; GB/T 20518)."""
    fields: dict[str, object] = {"algorithm": SIGNATURE_ALGORITHMS[algorithm]}
    if algorithm in _WITH_NULL:
        fields["parameters"] = core.Null()
    return algos.SignedDigestAlgorithm(fields)


def to_be_signed(facts: CertificateFacts, issuer: Issuer) -> bytes:
    """TBSCertificate, DER."""
    tbs = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": facts.serial,
            "signature": signature_algorithm(issuer.algorithm),
            "issuer": x509.Name.load(issuer.subject),
            "validity": {"not_before": x509_time(facts.not_before), "not_after": x509_time(facts.not_after)},
            "subject": x509.Name.load(facts.subject),
            "subject_public_key_info": asn1_keys.PublicKeyInfo.load(facts.public_key),
            "extensions": _extensions(facts, issuer),
        }
    )
    encoded: bytes = tbs.dump()
    return encoded


def assemble(to_be_signed: bytes, algorithm: Algorithm, signature: bytes) -> bytes:
    """SEQUENCE{what was signed, algorithm, signature BIT STRING}: a certificate or a revocation list, DER."""
    body = to_be_signed + signature_algorithm(algorithm).dump() + core.OctetBitString(signature).dump()
    encoded: bytes = core.Sequence(contents=body).dump()
    return encoded


def x509_time(instant: dt.datetime) -> x509.Time:
    """UTCTime through 2049, GeneralizedTime after (RFC 5280 §4.1.2.5)."""
    form = "utc_time" if instant.year < 2050 else "general_time"
    return x509.Time({form: instant})


def certificate_url(issuer: Issuer) -> str:
    return f"{issuer.base_url}/pki/{issuer.authority}.crt"


def distribution_point(issuer: Issuer, serial: int) -> str:
    """Where the revocation list is that a certificate of this serial number would be on: its partition's, or the full one."""
    return list_url(issuer.base_url, issuer.authority, partition_of(issuer.authority, serial))


def ocsp_url(issuer: Issuer) -> str:
    return f"{issuer.base_url}/pki/ocsp"


def _extensions(facts: CertificateFacts, issuer: Issuer) -> list[dict[str, object]]:
    profile, own = facts.profile, key_identifier(facts.public_key)
    extensions = [
        _extension("basic_constraints", _basic_constraints(profile), critical=True),
        _extension("key_usage", set(profile.key_usage), critical=True),
        _extension("key_identifier", own),
        _extension("authority_key_identifier", {"key_identifier": issuer.key_identifier}),
        _extension(
            "crl_distribution_points",
            [{"distribution_point": x509.DistributionPointName("full_name", [_url(distribution_point(issuer, facts.serial))])}],
        ),
    ]
    if profile.extended_key_usage:
        extensions.append(_extension("extended_key_usage", list(profile.extended_key_usage), critical=profile.extended_critical))
    if own != issuer.key_identifier:  # a root has no issuer to fetch, and nobody above it to ask
        access = {"ca_issuers": certificate_url(issuer), "ocsp": ocsp_url(issuer)}
        descriptions = [{"access_method": method, "access_location": _url(url)} for method, url in access.items()]
        extensions.append(_extension("authority_information_access", descriptions))
    if facts.hosts:
        extensions.append(_extension("subject_alt_name", [host_name(host) for host in facts.hosts]))
    if profile.no_check:
        extensions.append(_extension("ocsp_no_check", core.Null()))
    return extensions


def _extension(name: str, value: object, *, critical: bool = False) -> dict[str, object]:
    return {"extn_id": name, "critical": critical, "extn_value": value}


def _basic_constraints(profile: Profile) -> dict[str, object]:
    """An end entity's is the empty SEQUENCE: DER leaves the default FALSE out."""
    return {"ca": True, "path_len_constraint": profile.path_length} if profile.is_authority else {"ca": False}


def host_name(host: str) -> x509.GeneralName:
    """A host as subjectAltName writes it: an address by its octets, a name as dNSName (RFC 5280 §4.2.1.6). Raises ``SubjectUnsuitable``."""
    try:
        return x509.GeneralName("ip_address", str(ipaddress.ip_address(host)))
    except ValueError:
        pass
    if _HOST.fullmatch(host) is None or len(host) > _LONGEST_HOST:
        raise SubjectUnsuitable("no host name")
    return x509.GeneralName("dns_name", host)


def _url(url: str) -> x509.GeneralName:
    return x509.GeneralName("uniform_resource_identifier", url)
