"""The catalogue directory of GB/T 36902: every type in force, for others to read."""

from certs.catalogue_files import directory_entry
from certs.catalogue_reads import in_force
from identity.organisations import names_of
from keys.base.db import AsyncSession
from seal.matters import matter_names


async def directory(session: AsyncSession, organisation: str = "") -> list[dict[str, str]]:
    """The entries by code; of one organisation (it defines the type, or may issue it) where it is given."""
    kinds = [one.kind for one in await in_force(session, organisation)]
    organisations = await names_of(session, {kind.authority for kind in kinds})
    matters = await matter_names(session, {code for kind in kinds for code in kind.matters})
    return [directory_entry(kind, organisations, matters) for kind in kinds]
