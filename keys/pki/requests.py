"""Certification requests (PKCS #10, RFC 2986), SM2's too (GB/T 20518): read, proved, and never copied.

A request says which key is to be certified and proves that its sender holds the private half. Whom the certificate names and
what it allows is decided by the profile and by who asks; what a request wishes for beyond that is compared, never taken over.
"""

import binascii
import re
from dataclasses import dataclass

from asn1crypto import core, csr, pem

from keys.base import der as strict
from keys.custody.verifying import verify_signature
from keys.pki.errors import RequestMalformed, RequestProofInvalid, RequestUsageUnsuitable
from keys.pki.profiles import Profile
from keys.pki.weak_keys import key_algorithm

REQUEST_OCTETS = 16_384
"""Largest request that is looked at, as it was sent: one with RSA-4096 takes 1,800."""

_LABELS = frozenset({"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"})  # RFC 7468 §7
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}\s*")
_UNUSED = frozenset({"key_identifier"})  # a hint about the key itself: ours is computed


@dataclass(frozen=True, slots=True)
class CertificationRequest:
    """A request whose proof of possession holds. ``key_usage`` and ``extended_key_usage`` are what it wishes for, if anything;
    ``names`` the kinds of subject alternative names, ``others`` other extensions.
    """

    public_key: bytes
    subject: bytes
    key_usage: frozenset[str] | None
    extended_key_usage: tuple[str, ...] | None
    wants_authority: bool
    others: tuple[str, ...]


def read_request(octets: bytes) -> CertificationRequest:
    """A PKCS #10 request in DER, PEM or bare base64 (RFC 7030 §4.2.1), its signature verified with its own key.

    Raises ``RequestMalformed``, ``RequestProofInvalid``, ``PublicKeyUnsuitable`` or ``PublicKeyWeak``.
    """
    if len(octets) > REQUEST_OCTETS:
        raise RequestMalformed(f"a request of {len(octets)} octets; {REQUEST_OCTETS} are read")
    der = _der(octets)
    try:
        strict.read(der)
        request = csr.CertificationRequest.load(der, strict=True)
        found = _request(request)
        proof = _proof(request)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise RequestMalformed("no CertificationRequest") from error
    key_algorithm(found.public_key)
    if not verify_signature(found.public_key, *proof):
        raise RequestProofInvalid("the signature of the request does not verify under its own key")
    return found


def _der(octets: bytes) -> bytes:
    text = octets.strip()
    try:
        if text.startswith(b"-----"):
            label, _, der = pem.unarmor(text)
            if label not in _LABELS:
                raise RequestMalformed(f"a PEM of another kind: {label[:40]!r}")
            return bytes(der)
        if not octets.startswith(b"\x30") or _BASE64.fullmatch(octets):
            return binascii.a2b_base64(text, strict_mode=False)
    except (ValueError, TypeError) as error:  # binascii.Error is a ValueError
        raise RequestMalformed("neither DER nor PEM nor base64") from error
    return octets


def _request(request: csr.CertificationRequest) -> CertificationRequest:
    info = request["certification_request_info"]
    if info["version"].native != "v1":
        raise RequestMalformed("the version of a request is 0")
    wishes = _wishes(info["attributes"])
    usage, extended, basic = (wishes.pop(name, None) for name in ("key_usage", "extended_key_usage", "basic_constraints"))
    return CertificationRequest(
        public_key=info["subject_pk_info"].dump(),
        subject=info["subject"].dump(),
        key_usage=None if usage is None else frozenset(usage.native),
        extended_key_usage=None if extended is None else tuple(purpose.dotted for purpose in extended),
        wants_authority=basic is not None and bool(basic["ca"].native),
        others=tuple(sorted(set(wishes) - _UNUSED)),
    )


def _wishes(attributes: csr.CRIAttributes) -> dict[str, core.Asn1Value]:
    """The requested extensions by name, each once. Other attributes (a challenge password, a template's name) are passed over."""
    lists = [value for attribute in attributes for value in attribute["values"] if attribute["type"].native == "extension_request"]
    wishes: dict[str, core.Asn1Value] = {}
    for extension in (extension for one in lists for extension in one):
        name = extension["extn_id"].native
        if name in wishes or len(lists) > 1:
            raise RequestMalformed("an extension is requested twice")
        wishes[name] = extension["extn_value"].parsed
    return wishes


def _proof(request: csr.CertificationRequest) -> tuple[bytes, bytes, bytes]:
    """The algorithm (DER), what was signed, and the signature."""
    signature = request["signature"].contents
    if signature[:1] != b"\0":
        raise RequestMalformed("a signature that is not of whole octets")
    return request["signature_algorithm"].dump(), request["certification_request_info"].dump(), signature[1:]


def check_wishes(request: CertificationRequest, profile: Profile, names: frozenset[str] = frozenset()) -> None:
    """Refuses a request that wishes for more than ``profile`` gives: ``RequestUsageUnsuitable``.

    Asking for less, or for nothing, is fine: the certificate says what the profile says. ``names``: further extensions that
    the caller knows how to judge.
    """
    if request.wants_authority:
        raise RequestUsageUnsuitable("the request asks for an authority")
    if request.key_usage is not None and not request.key_usage <= profile.key_usage:
        raise RequestUsageUnsuitable(f"key usage beyond {sorted(profile.key_usage)}")
    if request.extended_key_usage is not None and not set(request.extended_key_usage) <= set(profile.extended_key_usage):
        raise RequestUsageUnsuitable(f"extended key usage beyond {sorted(profile.extended_key_usage)}")
    if beyond := set(request.others) - names:
        raise RequestUsageUnsuitable(f"extensions that are not given here: {', '.join(sorted(beyond))[:100]}")
