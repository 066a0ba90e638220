"""The key-encryption key in shares for several custodians (SLIP-39): enough of them bring it back, fewer tell nothing.

A share is a line of English words with a checksum; it is written down at the ceremony and kept by one person. Each share says
which set it belongs to and how many are needed, so shares of two sets, too few, or a slip of the pen are refused.
"""

from collections.abc import Sequence
from pathlib import Path

from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics

from keys.base.errors import InvalidInput
from keys.custody.encryption_keys import read_key_file, write_key_file

MOST_SHARES = 16  # SLIP-39 numbers them with four bits
_FEWEST_NEEDED = 2


class SharesInvalid(InvalidInput):
    """Too few shares, shares of different sets, a wrong word, or numbers of shares that make no sense."""

    code = "KEY_SHARES_INVALID"
    public = ("密钥分片不足、不属于同一组或抄写有误。", "The key shares are too few, belong to different sets, or a word is wrong.")


def split(secret: bytes, threshold: int, count: int) -> tuple[str, ...]:
    """``count`` shares of ``secret``, any ``threshold`` of which bring it back: 2 ≤ threshold ≤ count ≤ 16.

    One share alone is never enough: it would be a copy of the key. Raises :class:`SharesInvalid`.
    """
    if not _FEWEST_NEEDED <= threshold <= count <= MOST_SHARES:
        raise SharesInvalid(f"{threshold} of {count}")
    (shares,) = generate_mnemonics(group_threshold=1, groups=[(threshold, count)], master_secret=secret)
    return tuple(shares)


def join(shares: Sequence[str]) -> bytes:
    """The secret that the shares are of; more than are needed may be given, and each must be readable.

    Raises :class:`SharesInvalid`; neither it nor its cause quotes a word.
    """
    spoken = [" ".join(share.split()).lower() for share in shares]
    try:
        read = {mnemonic: Share.from_mnemonic(mnemonic) for mnemonic in spoken if mnemonic}
        needed = max((share.member_threshold for share in read.values()), default=1)
        secret: bytes = combine_mnemonics(list(read)[:needed])
    except (MnemonicError, ValueError, IndexError):
        raise SharesInvalid(f"{len(spoken)} shares: unfit") from None
    return secret


def shares_of_file(path: Path, threshold: int, count: int) -> tuple[str, ...]:
    """Shares of the key-encryption key in ``path``. Raises :class:`SharesInvalid`, ``KeyFileUnusable``, ``KeyFileTooOpen``."""
    return split(read_key_file(path), threshold, count)


def file_of_shares(shares: Sequence[str], path: Path) -> None:
    """Writes the key-encryption key anew. Raises :class:`SharesInvalid`; ``KeyFileExists``: it never replaces one."""
    write_key_file(path, join(shares))
