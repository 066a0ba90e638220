"""The names of checks and verdicts in words, Chinese and English, for people at a terminal or in a browser."""

from seal.verdict import Indication, Outcome

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
    "SIGNER_NOT_AUTHORISED": ("签章者获印章授权", "The seal authorises the signer"),
    "SIGNER_CHAIN": ("签章者证书可信", "The stamp signer's certificate is trusted"),
    "SIGNER_KEY_USAGE": ("签章者证书用途", "The stamp signer's certificate is for signatures"),
    "STAMP_TIME_INVALID": ("签章时间有效", "The time of stamping is within validity"),
    "SIGNER_REVOKED": ("签章者证书未被吊销", "The stamp signer's certificate is not revoked"),
    "SEAL_SUSPENDED": ("用印时印章未停用", "The seal was not suspended when it stamped"),
    "SEAL_CANCELLED": ("用印时印章未注销", "The seal was not cancelled when it stamped"),
    "STAMP_TIMESTAMP": ("签章时间戳", "The stamp's time stamp"),
}


def words(pair: tuple[str, str], language: str) -> str:
    return pair[0] if language == "zh" else pair[1]


def check_words(name: str, language: str) -> str:
    return words(CHECKS.get(name, (name, name)), language)
