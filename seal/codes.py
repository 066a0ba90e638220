"""The code of a seal: 6 digits of division (GB/T 2260) and 8 of serial, unique for ever (STANDARDS.md §3)."""

from sqlalchemy.dialects.postgresql import insert

from keys.base.db import AsyncSession
from keys.base.errors import Conflict
from seal.life_models import CodeRow
from seal.models import CodeCounterRow

DIVISION_DIGITS = 6
SERIAL_DIGITS = 8


class CodesExhausted(Conflict):
    code = "SEAL_CODES_EXHAUSTED"
    public = ("该行政区划的印章编码已用完。", "This division has no seal codes left.")


async def next_code(session: AsyncSession, division: str) -> str:
    """The next code of a division that no seal ever had. The counter only grows: a number once committed is never given again."""
    while True:
        first = insert(CodeCounterRow).values(division=division, last=1)
        counted = first.on_conflict_do_update(index_elements=[CodeCounterRow.division], set_={"last": CodeCounterRow.last + 1})
        serial = await session.scalar(counted.returning(CodeCounterRow.last))
        if serial is None or serial >= 10**SERIAL_DIGITS:
            raise CodesExhausted(division)
        code = f"{division}{serial:0{SERIAL_DIGITS}d}"
        if await take_code(session, code):
            return code


async def take_code(session: AsyncSession, code: str, source: str | None = None) -> bool:
    """Whether the code was free and is taken now, for ever; ``source``: whose registry it is of, None ours."""
    new = insert(CodeRow).values(canonical=canonical(code), code=code, source=source).on_conflict_do_nothing()
    return await session.scalar(new.returning(CodeRow.canonical)) is not None


async def owner_of(session: AsyncSession, code: str) -> CodeRow | None:
    """Who has this code, or one that somebody could take for it."""
    found: CodeRow | None = await session.get(CodeRow, canonical(code))
    return found


def is_code(text: str) -> bool:
    """6 digits of division, 8 of serial, or 7 in the older form."""
    return text.isascii() and text.isdigit() and len(text) in (DIVISION_DIGITS + SERIAL_DIGITS - 1, DIVISION_DIGITS + SERIAL_DIGITS)


def canonical(code: str) -> str:
    """14 digits: of the older form with 13 the serial is widened, so that the two forms of one number are one.

    >>> canonical("1101081234567")
    '11010801234567'
    """
    return code[:DIVISION_DIGITS] + code[DIVISION_DIGITS:].zfill(SERIAL_DIGITS)
