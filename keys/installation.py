"""What an installation is and stays: it keeps the family of algorithms that it was made with."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import Conflict
from keys.installation_models import InstallationRow
from keys.suites import SUITES, Crypto, Suite


class SuiteMismatch(Conflict):
    """The home was made with the other family of algorithms; ``detail`` names both."""

    code = "CRYPTO_SUITE_MISMATCH"
    public = (
        "此数据目录是用另一套密码算法建立的，不能更改 FUJIE_CRYPTO。",
        "This home was made with the other family of algorithms; FUJIE_CRYPTO cannot be changed.",
    )


async def keep_suite(database: Database, clock: Clock, wanted: Crypto) -> Suite:
    """The suite of this installation: ``wanted``, written down at the first start. ``SuiteMismatch`` where it has another.

    Several processes may start at once: the first row stands.
    """
    async with database.begin() as session:
        first = insert(InstallationRow).values(single=True, crypto=wanted, made_at=clock.now())
        await session.execute(first.on_conflict_do_nothing())
        kept = await session.scalar(select(InstallationRow.crypto))
    if kept != wanted:
        raise SuiteMismatch(f"made with {kept}, started with {wanted}")
    return SUITES[wanted]
