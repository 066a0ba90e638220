"""How certificates travel: a chain as certs-only CMS (RFC 5652 §5, RFC 8551 §3.8: no content, no signer)."""

from collections.abc import Sequence

from asn1crypto import cms, x509


def certs_only(certificates: Sequence[bytes]) -> bytes:
    """ContentInfo{SignedData} that holds these certificates (DER) and nothing else, DER."""
    signed = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [],
            "encap_content_info": {"content_type": "data"},
            "certificates": [cms.CertificateChoices("certificate", x509.Certificate.load(der)) for der in certificates],
            "signer_infos": [],
        }
    )
    encoded: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()
    return encoded
