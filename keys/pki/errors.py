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
