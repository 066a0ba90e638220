"""The code of a seal: 6 digits of division (GB/T 2260) and 8 of serial, unique for ever (STANDARDS.md §3)."""

from sqlalchemy.dialects.postgresql import insert

from keys.base.db import AsyncSession
from keys.base.errors import Conflict
from seal.models import CodeCounterRow

SERIAL_DIGITS = 8


class CodesExhausted(Conflict):
    code = "SEAL_CODES_EXHAUSTED"
    public = ("该行政区划的印章编码已用完。", "This division has no seal codes left.")


async def next_code(session: AsyncSession, division: str) -> str:
    """The next code of a division. The counter only grows: a number once committed is never given again."""
    first = insert(CodeCounterRow).values(division=division, last=1)
    counted = first.on_conflict_do_update(index_elements=[CodeCounterRow.division], set_={"last": CodeCounterRow.last + 1})
    serial = await session.scalar(counted.returning(CodeCounterRow.last))
    if serial is None or serial >= 10**SERIAL_DIGITS:
        raise CodesExhausted(division)
    return f"{division}{serial:0{SERIAL_DIGITS}d}"
