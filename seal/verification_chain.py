"""The chains of foreign signatures: the product's own validation, with pyHanko told to trust what it found and no more.

pyHanko's context holds one anchor, the signer's own certificate, whatever it is worth: it then builds no path, so a crafted crowd of
certificates costs nothing there, and what the certificate is worth is for :mod:`keys.pki.validation` alone to say. Signatures in a
CMS are checked by :mod:`keys.custody.verifying`.
"""
# mypy: allow-untyped-calls

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from asn1crypto import algos, cms, x509
from asn1crypto import keys as key_structures
from cryptography.exceptions import InvalidSignature
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_certs_for_validation
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.sig_validate import DEFAULT_VALIDATION_CONTEXT, SignatureValidationContext, SignatureValidator

from keys.custody.verifying import algorithm_identifier, verify_signature
from keys.pki.validation import Fault, Found, Limits, Material, Reason, Rules, validate
from keys.trust.entries import Use
from seal.recognition import Recognised, Standpoint, bounds_checks, recognised_from, subordinates_of
from seal.trust import Trust
from seal.verdict import Check
from seal.verification_path import MAX_CANDIDATES, MAX_DEPTH, read_certificate, read_crl
from seal.verification_pdf import UNREADABLE, security_store

_TIME_STAMPING = "1.3.6.1.5.5.7.3.8"
_LIMITS = Limits(depth=MAX_DEPTH, candidates=MAX_CANDIDATES)
_USES = frozenset({"digital_signature", "non_repudiation"})
SIGNER = Rules(limits=_LIMITS, key_usage=_USES)
TIME_STAMPER = Rules(limits=_LIMITS, key_usage=_USES, extended_key_usage=_TIME_STAMPING, extended_required=True)

_MOST_LATER = 8
_NULL = b"\x05\x00"
# CMS names the key's algorithm alone and the digest beside it (RFC 3370 §3.2, RFC 5753 §2.1).
_WITH_DIGEST = {
    ("rsassa_pkcs1v15", "sha256"): algorithm_identifier("1.2.840.113549.1.1.11", _NULL),
    ("rsassa_pkcs1v15", "sha384"): algorithm_identifier("1.2.840.113549.1.1.12", _NULL),
    ("rsassa_pkcs1v15", "sha512"): algorithm_identifier("1.2.840.113549.1.1.13", _NULL),
    ("ecdsa", "sha256"): algorithm_identifier("1.2.840.10045.4.3.2"),
    ("ecdsa", "sha384"): algorithm_identifier("1.2.840.10045.4.3.3"),
    ("ecdsa", "sha512"): algorithm_identifier("1.2.840.10045.4.3.4"),
}


class OurSignatures(SignatureValidator):
    """Every signature of a CMS through the product's one function."""

    def validate_signature(
        self,
        signature: bytes,
        signed_data: bytes,
        public_key_info: key_structures.PublicKeyInfo,
        signature_algorithm: algos.SignedDigestAlgorithm,
        context: SignatureValidationContext = DEFAULT_VALIDATION_CONTEXT,
    ) -> None:
        if context.prehashed:
            raise InvalidSignature("a signature without signed attributes")
        algorithm = _algorithm(signature_algorithm, context.contextual_md_algorithm)
        if not verify_signature(public_key_info.dump(), algorithm, signed_data, signature):
            raise InvalidSignature


def _algorithm(stated: algos.SignedDigestAlgorithm, digest: str | None) -> bytes:
    """What is stated, in full; where the digest is in it, it is the one beside it."""
    try:
        kind, own = stated.signature_algo, stated["algorithm"].native
    except ValueError:
        return bytes(stated.dump())
    named = stated.hash_algo if own not in ("rsassa_pkcs1v15", "ecdsa") and kind != "ed25519" else digest
    if named != digest and kind != "ed25519":
        raise InvalidSignature("two different digests are named")
    return _WITH_DIGEST.get((kind, digest or ""), b"") or bytes(stated.dump())


@dataclass(frozen=True, slots=True)
class Chain:
    """Whose signature it is and what its chain is worth; ``bounds``: what the trust list says of where it ends."""

    signer: x509.Certificate | None
    found: Found
    bounds: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Certificates and revocation data of the file and of the asker.

    ``at`` is the instant that is judged; where it lies in the past, ``known`` is until when it counts what has become known.
    """

    material: Material
    at: dt.datetime
    recognised: tuple[Recognised, ...] = ()
    known: dt.datetime | None = None

    @classmethod
    def of(cls, reader: PdfFileReader, trust: Trust, at: dt.datetime) -> "Evidence":
        given = [party for party in map(read_certificate, trust.certificates) if party]
        store = security_store(reader)
        offered = Material.read((), store.certificates, store.crls, (*trust.responses, *store.responses))
        asked = tuple(one for one in map(read_crl, trust.crls) if one)
        anchors = tuple(party for party in given if party.self_issued)
        helpers = tuple(party for party in given if not party.self_issued)
        candidates = (*offered.candidates, *helpers, *subordinates_of(trust.authorities))
        material = Material(anchors, candidates, (*asked, *offered.lists), offered.responses)
        return cls(material, at, recognised_from(trust.authorities))

    def as_of(self, proven: dt.datetime) -> "Evidence":
        """The same evidence for what is proven to have existed at an instant of the past."""
        return replace(self, at=min(proven, self.at), known=self.known or self.at)

    def of_now(self) -> "Evidence":
        return replace(self, at=self.known or self.at, known=None)

    def chain(self, signed_data: cms.SignedData, rules: Rules, signed_at: dt.datetime | None = None) -> Chain:
        """Of the signer of a SignedData, by certificates it carries, the file's and the asker's. Raises ``SignatureValidationError``."""
        certificates = extract_certs_for_validation(signed_data)
        carried = tuple(party for party in (read_certificate(one.dump()) for one in certificates.other_certs) if party)
        material = self.material
        use = Use.TIMESTAMP if rules is TIME_STAMPER else Use.DOCUMENT_SIGNER
        standpoint = Standpoint(material.anchors, self.recognised, (*carried, *material.candidates), self.known or self.at)
        whole = Material(standpoint.anchors(use, signed_at), (*carried, *material.candidates), material.lists, material.responses)
        found = self._validated(certificates.signer_cert.dump(), whole, rules)
        bounds = tuple(bounds_checks(standpoint, found.path, use, signed_at)) if found.path and found.fault is None else ()
        return Chain(certificates.signer_cert, found, bounds)

    def _validated(self, leaf: bytes, whole: Material, rules: Rules) -> Found:
        """At ``at``; lists and answers that were made later and say "not revoked" while it was valid count too."""
        found = validate(leaf, whole, self.at, rules)
        known = self.known or self.at
        if known <= self.at or found.fault is None or found.fault.reason is not Reason.REVOCATION_UNKNOWN:
            return found
        made = {crl.this_update for crl in whole.lists} | {one.this_update for each in whole.responses for one in each.answers}
        instants = sorted(instant for instant in made if self.at < instant <= known)[:_MOST_LATER]
        later = (validate(leaf, whole, instant, rules) for instant in instants)
        return next((one for one in later if one.fault is None), found)

    def stamper(self, signer_info: cms.SignerInfo) -> Chain:
        """Of whoever stamped the time of a signature."""
        for token in _time_stamps(signer_info):
            try:
                return self.chain(token, TIME_STAMPER)
            except (*UNREADABLE, SignatureValidationError):
                break
        return Chain(None, Found((), Fault(Reason.NO_CHAIN, "no time stamp")))

    def context(self, chain: Chain) -> ValidationContext:
        """What pyHanko is told to trust: the signer, whoever it is."""
        return ValidationContext(
            trust_roots=[chain.signer] if chain.signer is not None else [],
            moment=self.at,
            allow_fetching=False,
            revocation_mode="soft-fail",
            time_tolerance=dt.timedelta(0),
            signature_validator=OurSignatures(),
        )


def _time_stamps(signer_info: cms.SignerInfo) -> Iterator[Any]:
    attributes = signer_info["unsigned_attrs"]
    for attribute in attributes if attributes.native else ():
        if attribute["type"].native == "signature_time_stamp_token":
            for token in attribute["values"]:
                yield token["content"]
