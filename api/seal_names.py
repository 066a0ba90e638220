"""The register of organisations, as ``seal`` asks it for a name."""

from dataclasses import dataclass

from identity.organisations import get_organisation
from keys.base.db import Database


@dataclass(frozen=True, slots=True)
class RegisteredNames:
    """A :class:`seal.naming.NameRegister`; an organisation that is no longer active has no name to cut."""

    database: Database

    async def name_of(self, uscc: str) -> str | None:
        async with self.database.session() as session:
            known = await get_organisation(session, uscc)
        return known.name if known is not None and known.active else None
