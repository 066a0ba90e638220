"""Checks and verdicts in words, Chinese and English, for people at a terminal or in a browser.

What a check found out in detail is one English sentence for those who look closer; what it means is said here.
"""

from collections.abc import Iterable

from seal.comparison import Comparison
from seal.verdict import Check, Indication, Outcome, Verdict

INDICATIONS: dict[Indication, tuple[str, str]] = {
    Indication.TOTAL_PASSED: ("验证通过", "Genuine: every check passed"),
    Indication.TOTAL_FAILED: ("验证不通过", "Not genuine"),
    Indication.INDETERMINATE: ("无法确定", "Cannot be decided"),
    Indication.UNREADABLE: ("无法读取", "Cannot be read"),
    Indication.NO_SIGNATURE: ("没有签名", "Not signed"),
}

OUTCOMES: dict[Outcome, tuple[str, str]] = {
    Outcome.PASSED: ("通过", "passed"),
    Outcome.FAILED: ("不通过", "failed"),
    Outcome.INDETERMINATE: ("无法确定", "undecided"),
    Outcome.NOTICE: ("提示", "notice"),
}

CHECKS: dict[str, tuple[str, str]] = {
    "FORMAT": ("文件格式", "File format"),
    "COVERAGE": ("签名覆盖整个文件", "The signature covers the entire file"),
    "DOCMDP": ("禁止签后修改", "No change permitted after signing"),
    "CMS_FORM": ("签名数据形式规范", "The signature data has its canonical form"),
    "DATA_HASH": ("内容未被改动", "The content is unchanged"),
    "SIGNATURE": ("数字签名有效", "The digital signature holds"),
    "CHAIN": ("签名证书可信", "The signer's certificate is trusted"),
    "REVOCATION": ("签名证书未被吊销", "The signer's certificate is not revoked"),
    "TIMESTAMP": ("可信时间", "Trusted time"),
    "STATUS_NOW": ("签名当时与现在", "Then and now"),
    "RECORD": ("签发机关的记录", "The issuer's record"),
    "SEAL_FORMAT": ("电子印章格式", "Form of the electronic seal"),
    "SEAL_SIGNATURE": ("制章签名有效", "The seal maker's signature holds"),
    "SEAL_MADE_TIME": ("制章时间有效", "The seal was made in time"),
    "MAKER_CHAIN": ("制章者证书可信", "The seal maker's certificate is trusted"),
    "MAKER_KEY_USAGE": ("制章者证书用途", "The maker's certificate is for signatures"),
    "MAKER_EXPIRED": ("制章者证书在有效期内", "The maker's certificate was valid"),
    "MAKER_REVOKED": ("制章者证书未被吊销", "The maker's certificate is not revoked"),
    "SEAL_NOT_YET_VALID": ("印章已经生效", "The seal was already valid"),
    "SEAL_EXPIRED": ("印章在有效期内", "The seal had not expired"),
    "SEAL_TIMESTAMP": ("印章时间戳", "The seal's time stamp"),
    "SEAL_TIME_ORDER": ("制章与用印时间次序", "The seal was made before it was used"),
    "STAMP_FORMAT": ("电子签章格式", "Form of the electronic stamp"),
    "STAMP_SIGNATURE": ("电子签章有效", "The stamp's signature holds"),
    "SIGNATURE_ENCODING": ("签名值编码", "Encoding of the signature"),
    "STAMP_EXTENSION": ("签章的关键扩展", "Critical extensions of the stamp"),
    "SEAL_EXTENSION": ("印章的关键扩展", "Critical extensions of the seal"),
    "SIGNING_TIME": ("所称的签名时间", "The time of signing stated"),
    "SIGNER_NOT_AUTHORISED": ("签章者获印章授权", "The seal authorises the signer"),
    "SIGNER_CHAIN": ("签章者证书可信", "The stamp signer's certificate is trusted"),
    "SIGNER_KEY_USAGE": ("签章者证书用途", "The stamp signer's certificate is for signatures"),
    "STAMP_TIME_INVALID": ("签章时间有效", "The time of stamping is within validity"),
    "SIGNER_REVOKED": ("签章者证书未被吊销", "The stamp signer's certificate is not revoked"),
    "SEAL_SUSPENDED": ("用印时印章未停用", "The seal was not suspended when it stamped"),
    "SEAL_CANCELLED": ("用印时印章未注销", "The seal was not cancelled when it stamped"),
    "STAMP_TIMESTAMP": ("签章时间戳", "The stamp's time stamp"),
    "TOLERATED": ("按互认规则容许的差异", "A departure that was agreed to be put up with"),
    "OUT_OF_SCOPE": ("在互认范围内", "Within the scope of recognition"),
    "CODE_KEY": ("离线码公钥", "The key of the offline code"),
    "CODE_SIGNATURE": ("离线码签名有效", "The offline code's signature holds"),
    "CODE_MATCH": ("离线码属于这张证照", "The offline code belongs to this paper"),
    "CODE_DATES": ("证照在有效期内", "The certificate is within its validity"),
    "CODE_STATUS": ("证照未被暂停、撤销或注销", "The certificate is neither suspended nor revoked"),
    "LEGAL_EFFECT": ("演示用途，无法律效力", "A demonstration, without legal effect"),
}


# What a check that failed means, for the reader of the document. True of every way in which that check can fail.
FAILURES: dict[str, tuple[str, str]] = {
    "FORMAT": ("文件的结构不合规范", "The file is not in the form it must have"),
    "COVERAGE": ("用印之后有人在文件中添加了内容", "Something was added to this document after it was sealed"),
    "DOCMDP": ("文件没有锁定，或用印后被改动", "The document was not locked, or was changed after it was sealed"),
    "CMS_FORM": ("签名数据的形式不合规范，可能被人动过", "The signature data are not in their proper form and may have been tampered with"),
    "DATA_HASH": ("文件在用印后被改动", "This document was changed after it was sealed"),
    "TIMESTAMP": ("时间戳不成立，或早于所称的用印时间", "The time stamp does not hold, or is older than the time of sealing stated"),
    "SIGNATURE": ("数字签名不成立，可能是伪造的", "The digital signature does not hold: it may be forged"),
    "CHAIN": ("签名证书不符合要求", "The signer's certificate is not fit for this"),
    "REVOCATION": ("签名证书已被吊销", "The signer's certificate was revoked"),
    "SEAL_FORMAT": ("电子印章的数据不合规范", "The electronic seal is not in its proper form"),
    "SEAL_SIGNATURE": ("制章签名不成立，印章可能是伪造的", "The seal maker's signature does not hold: the seal may be forged"),
    "SEAL_MADE_TIME": ("印章不是在制章者证书的有效期内制作的", "The seal was made outside the validity of its maker's certificate"),
    "MAKER_KEY_USAGE": ("制章者证书不得用于签名", "The seal maker's certificate is not one for signatures"),
    "MAKER_EXPIRED": ("制章者证书已过期", "The seal maker's certificate had expired"),
    "MAKER_REVOKED": ("制章者证书已被吊销", "The seal maker's certificate was revoked"),
    "SEAL_NOT_YET_VALID": ("用印时印章尚未生效", "The seal was not yet valid when it stamped"),
    "SEAL_EXPIRED": ("用印时印章已过有效期", "The seal had expired when it stamped"),
    "SEAL_TIMESTAMP": ("印章上的时间戳不成立", "The seal's time stamp does not hold"),
    "SEAL_TIME_ORDER": ("制章、加盖时间戳与用印的先后次序不对", "The seal was not made, time-stamped and used in that order"),
    "STAMP_FORMAT": ("电子签章的数据不合规范", "The electronic stamp is not in its proper form"),
    "STAMP_SIGNATURE": ("签章签名不成立，可能是伪造的", "The stamp's signature does not hold: it may be forged"),
    "SIGNATURE_ENCODING": ("签名值的编码不合规范", "The signature value is not encoded as it must be"),
    "SIGNER_NOT_AUTHORISED": ("印章没有授权给该签章者", "The seal does not authorise whoever stamped"),
    "SIGNER_KEY_USAGE": ("签章者证书不得用于签名", "The stamp signer's certificate is not one for signatures"),
    "STAMP_TIME_INVALID": ("签章时间不在有效期内", "The time of stamping is outside the validity"),
    "SIGNER_REVOKED": ("签章者证书已被吊销", "The stamp signer's certificate was revoked"),
    "STAMP_TIMESTAMP": (
        "签章上的时间戳不成立，或缺少应有的时间戳",
        "The stamp's time stamp does not hold, or one that must be there is not",
    ),
    "SEAL_SUSPENDED": ("用印时印章处于停用状态", "The seal was not in use when it stamped"),
    "SEAL_CANCELLED": ("用印时印章已经注销", "The seal had been cancelled when it stamped"),
    "SIGNING_TIME": ("所称的签名时间尚未到来", "The time of signing stated has not come"),
    "OUT_OF_SCOPE": ("签发该证书的机构受信任，但不用于此范围", "The authority behind it is trusted, but not for this"),
}

FAILURES |= {
    "CODE_KEY": ("离线码的签名密钥已过期、已作废或尚未启用", "The offline code's key has expired, was taken back, or does not sign yet"),
    "CODE_SIGNATURE": ("离线码不是签发机关签出的，可能是伪造的", "The issuer did not sign this offline code: it may be forged"),
    "CODE_MATCH": ("离线码是另一张证照的，与纸面不符", "The offline code is of another certificate than the paper"),
    "CODE_DATES": ("证照不在有效期内", "The certificate is out of its validity"),
    "CODE_STATUS": ("证照已被暂停、撤销或注销", "The certificate was suspended, revoked or cancelled"),
}

# What a question left open means.
OPEN_QUESTIONS: dict[str, tuple[str, str]] = {
    "FORMAT": ("这种签名不在本系统的检查范围内", "Signatures of this kind are not judged here"),
    "DATA_HASH": ("缺少被盖章的原文，无法比对", "What was stamped is not at hand, so it cannot be compared"),
    "CHAIN": ("无法确认签名者：其证书不能追溯到受信任的机构，或已超出有效期",
              "Who signed cannot be confirmed: the certificate leads to no authority trusted here, or is out of its validity"),
    "REVOCATION": ("无法确认签名证书是否已被吊销", "Whether the signer's certificate was revoked cannot be told"),
    "TIMESTAMP": ("没有可信时间证明签名的时刻", "No trusted time proves when it was signed"),
    "SEAL_EXTENSION": ("印章带有本系统不认识的关键扩展，其限制无法判断",
                       "The seal carries an extension marked critical that is not known here: what it restricts cannot be told"),
    "STAMP_EXTENSION": ("签章带有本系统不认识的关键扩展，其限制无法判断",
                        "The stamp carries an extension marked critical that is not known here: what it restricts cannot be told"),
    "RECORD": ("请向签发机关查询记录", "Ask the issuer for the record"),
    "MAKER_CHAIN": ("无法确认制章者", "Who made the seal cannot be confirmed"),
    "MAKER_REVOKED": ("无法确认制章者证书是否已被吊销", "Whether the seal maker's certificate was revoked cannot be told"),
    "SIGNER_CHAIN": ("无法确认签章者", "Who stamped cannot be confirmed"),
    "SIGNER_REVOKED": ("无法确认签章者证书是否已被吊销", "Whether the stamp signer's certificate was revoked cannot be told"),
    "STAMP_TIME_INVALID": ("签章者证书现已过期，不能证明签章在先",
                           "The stamp signer's certificate has expired since, and nothing proves that the stamp came first"),
    "SEAL_TIMESTAMP": ("印章上的时间戳不能确认", "The seal's time stamp cannot be confirmed"),
    "STAMP_TIMESTAMP": ("签章上的时间戳不能确认", "The stamp's time stamp cannot be confirmed"),
}  # fmt: skip

OPEN_QUESTIONS |= {
    "CODE_KEY": ("手头没有离线码的公钥，请先更新公钥", "The key of the offline code is not at hand: fetch the keys first"),
    "CODE_SIGNATURE": ("没有公钥，无法核对离线码的签名", "Without its key the code's signature cannot be checked"),
    "CODE_STATUS": ("手头没有足够新的状态列表，无法确认证照现在是否有效",
                    "No status list at hand is young enough to say whether the certificate stands today"),
}  # fmt: skip

# What a sub-indication means (ETSI EN 319 102-1 table 6), where no check says it more plainly.
REASONS: dict[str, tuple[str, str]] = {
    "FORMAT_FAILURE": ("文件或签名的形式不合规范", "The file or its signature is not in the form it must have"),
    "HASH_FAILURE": FAILURES["DATA_HASH"],
    "SIG_CRYPTO_FAILURE": ("签名不成立，可能是伪造的", "The signature does not hold: it may be forged"),
    "REVOKED": ("签名所用的证书在签名之前已被吊销", "A certificate behind the signature was revoked before it signed"),
    "REVOKED_NO_POE": ("签名所用的证书已被吊销，不能证明签名在先",
                       "A certificate behind the signature was revoked, and nothing proves that the signature came first"),
    "NO_CERTIFICATE_CHAIN_FOUND": OPEN_QUESTIONS["CHAIN"],
    "CHAIN_CONSTRAINTS_FAILURE": ("签名所用的证书不符合要求", "A certificate behind the signature is not fit for this"),
    "SIG_CONSTRAINTS_FAILURE": ("印章当时不得这样使用", "The seal could not be used in this way at that time"),
    "NOT_YET_VALID": ("签名时证书或印章尚未生效", "A certificate or the seal was not yet valid"),
    "OUT_OF_BOUNDS_NO_POE": ("签名所用的证书已过有效期", "A certificate behind the signature is out of its validity"),
    "TRY_LATER": ("暂时无法确认证书是否已被吊销", "Whether a certificate was revoked cannot be told at present"),
    "NO_POE": OPEN_QUESTIONS["TIMESTAMP"],
    "TIMESTAMP_ORDER_FAILURE": ("时间戳早于所称的用印时间", "The time stamp is older than the time of sealing stated"),
    "GENERIC": OPEN_QUESTIONS["FORMAT"],
    "SUSPENDED": ("证照已被暂停", "The certificate is suspended"),
    "SIGNED_DATA_NOT_FOUND": ("只有声明，没有可供核验的原文", "It is a claim only: what was signed is not at hand"),
}  # fmt: skip

_MOST_NAMED = 12
ADDED_UNSEEN = ("用印之后有人在文件中添加了内容，但各页看上去没有变化",
                "Something was added to this document after it was sealed, though its pages look the same")  # fmt: skip

_MEANINGS = {Outcome.FAILED: FAILURES, Outcome.INDETERMINATE: OPEN_QUESTIONS}


def words(pair: tuple[str, str], language: str) -> str:
    return pair[0] if language == "zh" else pair[1]


def check_words(name: str, language: str) -> str:
    return words(CHECKS.get(name, (name, name)), language)


def meaning(check: Check, language: str) -> str:
    """What a check that did not pass means, in a plain sentence without its full stop; empty where there is no more to say."""
    pair = _MEANINGS.get(check.outcome, {}).get(check.name)
    return words(pair, language) if pair else ""


def reason(verdict: Verdict, language: str) -> str:
    """The one plain sentence, without its full stop, on why a file did not pass; empty where it did or nothing was signed.

    The check that decided says it best; where it is not among those explained, the sub-indication does.
    """
    if verdict.sub_indication is None or verdict.indication in (Indication.TOTAL_PASSED, Indication.UNREADABLE):
        return ""
    if verdict.comparison is not None:
        return changed(verdict.comparison, language)
    listed = [check for signature in verdict.signatures for check in signature.checks if signature.indication == verdict.indication]
    for check in _likeliest([*verdict.checks, *listed], verdict.sub_indication):
        if said := meaning(check, language):
            return said
    pair = REASONS.get(verdict.sub_indication)
    return words(pair, language) if pair else ""


def changed(comparison: Comparison, language: str) -> str:
    """Which pages look different from the sealed revision."""
    if not comparison.pages:
        return words(ADDED_UNSEEN, language)
    shown = comparison.pages[:_MOST_NAMED]
    more = len(comparison.pages) > len(shown)
    if language == "zh":
        return f"文件在用印后被改动：第 {'、'.join(map(str, shown))} 页{'等' if more else ''}"
    kind = "page" if len(comparison.pages) == 1 else "pages"
    return f"This document was changed after it was sealed: {kind} {', '.join(map(str, shown))}{' and more' if more else ''}"


def _likeliest(checks: Iterable[Check], sub_indication: str) -> list[Check]:
    """Those checks that can have led to the sub-indication: those that failed first."""
    suspects = [check for check in checks if check.outcome in _MEANINGS and check.meaning() == sub_indication]
    return sorted(suspects, key=lambda check: check.outcome is not Outcome.FAILED)
