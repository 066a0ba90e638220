"""What a person's sign-in certificate says of them, taken from their account."""

from identity.organisations import get_organisation
from identity.people import Account
from keys.base.db import AsyncSession
from keys.pki.enrolment import Applicant


async def applicant_of(session: AsyncSession, account: Account) -> Applicant:
    """The verified name where a registry confirmed one, else the username: a name that someone gave themselves is not certified.

    Staff are named with their employer. No ID number is in an account's columns, so none can be in the certificate.
    """
    employer = await get_organisation(session, account.organisation) if account.organisation else None
    name = account.name or account.username
    if employer is None:
        return Applicant(account.id, name, account.division)
    return Applicant(account.id, name, account.division, employer.name, employer.uscc)
