"""What the PKI refuses."""

from keys.base.errors import Conflict, FujieError, InvalidInput, NotFound


class AuthorityUnknown(NotFound):
    """No certificate authority has this name."""

    code = "AUTHORITY_UNKNOWN"
    public = ("没有这个证书颁发机构。", "There is no such certificate authority.")


class ProfileUnsuitable(FujieError):
    """No such certificate profile, or the authority does not issue it."""

    code = "CERTIFICATE_PROFILE_UNSUITABLE"
    public = ("该证书颁发机构不签发此类证书。", "This authority does not issue certificates of this kind.")


class PublicKeyUnsuitable(InvalidInput):
    """The public key is malformed or of another kind than the profile asks for."""

    code = "PUBLIC_KEY_UNSUITABLE"
    public = ("公钥不符合此类证书的要求。", "The public key does not suit this kind of certificate.")


class SubjectUnsuitable(InvalidInput):
    """A part of the subject's name is empty, too long or holds control characters."""

    code = "CERTIFICATE_SUBJECT_UNSUITABLE"
    public = ("证书主体名称不符合要求。", "The certificate's subject name is not acceptable.")


class ValidityUnsuitable(InvalidInput):
    """The end of validity is not after now, or is after the issuing authority's own."""

    code = "CERTIFICATE_VALIDITY_UNSUITABLE"
    public = ("证书有效期不符合要求。", "The certificate's period of validity is not acceptable.")


class CertificateUnknown(NotFound):
    """We issued no certificate with this serial number, or no authority of ours issued this certificate."""

    code = "CERTIFICATE_UNKNOWN"
    public = ("没有签发过该数字证书。", "No such public-key certificate was issued here.")


class AlreadyRevoked(Conflict):
    """The certificate was revoked before; its date and reason stand."""

    code = "CERTIFICATE_ALREADY_REVOKED"
    public = ("该数字证书已被吊销。", "This public-key certificate is already revoked.")


class ReasonUnknown(InvalidInput):
    """The reason is none of RFC 5280 §5.3.1 that we use."""

    code = "REVOCATION_REASON_UNKNOWN"
    public = ("吊销原因不正确。", "The reason for revocation is not a known one.")


class StatusMoveNotAllowed(Conflict):
    """The certificate's status has no such move (resume of one that is not on hold, hold of an expired one); ``extra`` names both."""

    code = "CERTIFICATE_MOVE_NOT_ALLOWED"
    public = ("该数字证书当前状态不允许此操作。", "The present status of this public-key certificate does not allow this.")


class InvalidityDateUnsuitable(InvalidInput):
    """The invalidity date of a revocation lies after the revocation itself."""

    code = "INVALIDITY_DATE_UNSUITABLE"
    public = ("失效日期应不晚于吊销时间。", "The invalidity date must not be after the revocation.")


class AuthorityExpired(FujieError):
    """The authority, or one above it, has ended: whatever it signed now would verify nowhere."""

    code = "AUTHORITY_EXPIRED"
    public = ("该证书颁发机构的证书已到期。", "The authority's own certificate has expired.")


class AuthorityRevoked(FujieError):
    """The authority, or one above it, was revoked."""

    code = "AUTHORITY_REVOKED"
    public = ("该证书颁发机构的证书已被吊销。", "The authority's own certificate has been revoked.")


class KeyCertifiedBefore(Conflict):
    """The public key was certified before, or is an authority's own. The same subject renews its certificate instead."""

    code = "PUBLIC_KEY_CERTIFIED_BEFORE"
    public = ("该公钥此前已签发过证书，请更换密钥，或办理续期。", "This key was certified before. Use a new key, or renew the certificate.")


class PublicKeyWeak(InvalidInput):
    """The public key can be broken: RSA below 2048 bits or with a bad exponent, ROCA, close primes, a small subgroup."""

    code = "PUBLIC_KEY_WEAK"
    public = ("公钥强度不足，请重新生成密钥。", "The public key is weak. Please make a new key.")


class RequestMalformed(InvalidInput):
    """The certification request is no PKCS #10 in DER, or too large."""

    code = "CERTIFICATE_REQUEST_MALFORMED"
    public = ("证书请求无法解析。", "The certification request cannot be read.")


class RequestProofInvalid(InvalidInput):
    """The request is not signed with the key that it asks to have certified: nothing proves who holds it."""

    code = "CERTIFICATE_REQUEST_PROOF_INVALID"
    public = ("证书请求的签名无效，无法证明持有私钥。", "The request's signature does not prove possession of the private key.")


class RequestUsageUnsuitable(InvalidInput):
    """The request asks for a use or a name that this kind of certificate does not give."""

    code = "CERTIFICATE_REQUEST_USAGE_UNSUITABLE"
    public = ("证书请求所要求的用途或名称不在可签发范围内。", "The request asks for a use or a name that is not given here.")


class CertificateMalformed(FujieError):
    """What was about to be signed breaks a rule of RFC 5280, GB/T 20518 or its own profile; nothing was signed."""

    code = "CERTIFICATE_LINT_FAILED"
    public = ("待签发证书未通过合规检查，未予签发。", "The certificate failed its check before signing and was not issued.")


class RenewalUnsuitable(Conflict):
    """The certificate to renew or replace is revoked, has ended, is an authority's, or another key or subject was asked for."""

    code = "CERTIFICATE_RENEWAL_UNSUITABLE"
    public = ("该证书不符合续期或换钥条件。", "This certificate cannot be renewed or re-keyed.")


class TooManyCertificates(Conflict):
    """The person holds as many certificates in force as one may."""

    code = "PERSON_CERTIFICATES_TOO_MANY"
    public = (
        "您名下有效的登录证书数量已达上限，请先吊销不再使用的证书。",
        "You hold as many sign-in certificates as one may. Revoke one first.",
    )
