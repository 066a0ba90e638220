"""What the trust list refuses."""

from keys.base.errors import Conflict, Forbidden, InvalidInput, NotFound


class TrustEntryUnknown(NotFound):
    """The trust list has no such entry."""

    code = "TRUST_ENTRY_UNKNOWN"
    public = ("信任列表中没有该条目。", "The trust list has no such entry.")


class TrustActorRefused(Forbidden):
    """Only a security administrator who logged in with a second factor changes whom we trust."""

    code = "TRUST_ACTOR_REFUSED"
    public = (
        "只有使用双因素登录的安全管理员可以变更信任列表。",
        "Only a security administrator logged in with a second factor may change the trust list.",
    )


class TrustSamePerson(Forbidden):
    """Whoever proposed (or suspended) may not approve (or resume)."""

    code = "TRUST_SAME_PERSON"
    public = ("该操作须由另一位安全管理员执行。", "This takes another security administrator than the one before.")


class TrustChangedMeanwhile(Conflict):
    """Somebody else moved the entry first."""

    code = "TRUST_CHANGED_MEANWHILE"
    public = ("该条目刚刚被他人更改，请刷新后再试。", "Somebody else has just changed this entry. Reload and try again.")


class TrustRequestReused(Conflict):
    """The key of this request was used for another one before."""

    code = "TRUST_REQUEST_REUSED"
    public = ("该幂等键已用于另一项请求。", "This idempotency key was used for another request.")


class TrustDuplicate(Conflict):
    """The certificate already has an entry that is proposed, trusted or suspended."""

    code = "TRUST_DUPLICATE"
    public = ("该机构证书已在信任列表中。", "This authority's certificate is already on the trust list.")


class TrustBundleMalformed(InvalidInput):
    """Neither PEM, nor a DER certificate, nor PKCS #7 with certificates; or too large."""

    code = "TRUST_BUNDLE_MALFORMED"
    public = ("文件中没有可读取的证书。", "No certificate could be read from the file.")


class TrustNotAuthority(InvalidInput):
    """The certificate is not one of an authority: no basicConstraints CA, or its key may not sign certificates."""

    code = "TRUST_NOT_AUTHORITY"
    public = ("该证书不是证书颁发机构的证书。", "This is not the certificate of an authority.")


class TrustCertificateExpired(InvalidInput):
    """The authority's certificate is out of its validity."""

    code = "TRUST_CERTIFICATE_EXPIRED"
    public = ("该机构证书不在有效期内。", "The authority's certificate is out of its validity.")


class TrustKeyWeak(InvalidInput):
    """The key is too short, of an unknown kind or known to be weak, or the certificate is signed with a broken digest."""

    code = "TRUST_KEY_WEAK"
    public = ("该机构的密钥或签名算法强度不足。", "The authority's key or signature algorithm is too weak.")


class TrustSelfSignatureBroken(InvalidInput):
    """A self-issued certificate whose own key did not sign it, or a subordinate that the authority did not certify."""

    code = "TRUST_SIGNATURE_BROKEN"
    public = ("证书上的签名不成立。", "The signature on the certificate does not hold.")


class TrustProposalInvalid(InvalidInput):
    """A use, scope, span or address of the proposal is not well-formed."""

    code = "TRUST_PROPOSAL_INVALID"
    public = ("信任提议的内容不正确。", "The proposal is not well-formed.")


class TrustDemonstration(InvalidInput):
    """A demonstration authority cannot be given legal effect."""

    code = "TRUST_DEMONSTRATION_HAS_NO_LEGAL_EFFECT"
    public = ("演示机构不得被赋予法律效力。", "A demonstration authority cannot be given legal effect.")


class TrustListMalformed(InvalidInput):
    """The file is not a trust list of format fujie-trust-list/1."""

    code = "TRUST_LIST_MALFORMED"
    public = ("该文件不是有效的信任列表。", "This is not a valid trust list.")


class TrustListSignatureBroken(InvalidInput):
    """The list's signature does not hold, or its signer's chain does not lead to the expected root."""

    code = "TRUST_LIST_SIGNATURE_BROKEN"
    public = ("信任列表的签名不成立。", "The signature of the trust list does not hold.")


class TrustListOutdated(InvalidInput):
    """The list is past its nextUpdate, not issued yet, or older than one seen before from the same signer."""

    code = "TRUST_LIST_OUTDATED"
    public = ("信任列表已过期，或比已导入的版本旧。", "The trust list is out of date, or older than one imported before.")
