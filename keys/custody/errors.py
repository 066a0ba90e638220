"""What custody refuses. No message holds key material, and none tells apart a wrong key from a changed ciphertext."""

from keys.base.errors import FujieError, InvalidInput, NotFound

_SYSTEM = ("密钥服务暂时无法完成此操作，请联系管理员。", "The key service cannot do this at present. Please tell the administrator.")


class KeyFileUnusable(FujieError):
    """The file of the key-encryption key is missing, unreadable, not a plain file or not 32 octets long."""

    code = "KEY_FILE_UNUSABLE"
    public = _SYSTEM


class KeyFileTooOpen(FujieError):
    """The file of the key-encryption key may be read or written by others, or belongs to another user."""

    code = "KEY_FILE_TOO_OPEN"
    public = _SYSTEM


class KeyFileExists(FujieError):
    """A key-encryption key is already there; replacing it would lose every key wrapped under it."""

    code = "KEY_FILE_EXISTS"
    public = _SYSTEM


class KeyUnreadable(FujieError):
    """The wrapped key does not open: changed, made under another key-encryption key, or given another purpose or algorithm."""

    code = "KEY_UNREADABLE"
    public = _SYSTEM


class KeyPurposeMismatch(FujieError):
    """A key was to be used for something it was not made for."""

    code = "KEY_PURPOSE_MISMATCH"
    public = _SYSTEM


class KeyAlgorithmMismatch(FujieError):
    """The operation does not exist for this kind of key."""

    code = "KEY_ALGORITHM_MISMATCH"
    public = _SYSTEM


class CiphertextInvalid(FujieError):
    """The ciphertext does not open: changed, cut, or sealed for another context or under another key."""

    code = "CIPHERTEXT_INVALID"
    public = ("数据完整性校验未通过，已停止处理。", "The data failed its integrity check; processing has stopped.")


class PublicKeyInvalid(InvalidInput):
    """The octets are not a public key of the expected kind, or its point is not on the curve."""

    code = "PUBLIC_KEY_INVALID"
    public = ("公钥无效。", "The public key is not valid.")


class Sm2Unavailable(FujieError):
    """No libcrypto with SM2 was found, so nothing can be signed with SM2 (verification still works)."""

    code = "SM2_UNAVAILABLE"
    public = ("本机缺少国密 SM2 支持，请联系管理员。", "This machine lacks SM2 support. Please tell the administrator.")


class PassphraseWeak(InvalidInput):
    """The passphrase that is to protect a handed-out key is shorter than 12 characters, longer than 128, or of too few different ones."""

    code = "PASSPHRASE_WEAK"
    public = ("口令须为 12 至 128 个字符，且不能过于简单。", "The passphrase needs 12 to 128 characters, and not always the same ones.")


class KeyNotFound(NotFound):
    """No stored key has this identifier."""

    code = "KEY_NOT_FOUND"
    public = ("没有找到所需的密钥。", "The key was not found.")


class KeyStoreUnavailable(FujieError):
    """The device that keeps the keys does not answer: gone, locked or restarting. It may come back; nothing was done."""

    code = "KEY_STORE_UNAVAILABLE"
    status = 503
    public = ("密钥设备暂时不可用，请稍后再试。", "The key device is not available at present. Please try again shortly.")

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "2"}


class KeyStoreMisconfigured(FujieError):
    """The settings name no usable key device: no such module, two tokens of one label, no PIN, no token initialised."""

    code = "KEY_STORE_MISCONFIGURED"
    public = _SYSTEM


class KeyStoreLoginRefused(FujieError):
    """The key device refused the PIN. It is not given again before a restart, because devices lock after a few wrong ones."""

    code = "KEY_STORE_LOGIN_REFUSED"
    status = 503
    public = _SYSTEM


class KeyStoreRefused(FujieError):
    """The key device answers, and refuses this operation: it is read-only, or does not know the mechanism or the key size."""

    code = "KEY_STORE_REFUSED"
    public = _SYSTEM


class KeyOfAnotherStore(KeyUnreadable):
    """The key was made by another kind of key store. Keys do not move between stores: make new ones (docs/custody.md)."""

    code = "KEY_OF_ANOTHER_STORE"
