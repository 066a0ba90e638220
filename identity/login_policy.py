"""Who must show what at log-in, as data; and what a log-in's methods are called in ``acr`` and ``amr``.

``acr`` says how somebody logged in; who they are is the identity level of ``assurance``: the two never mix.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from keys.base.actor import Role

SECOND_FACTOR_DUE: dict[Role, bool] = {
    Role.CITIZEN: False,
    Role.LEGAL_REPRESENTATIVE: False,
    Role.AGENT: False,
    Role.WINDOW_CLERK: True,
    Role.APPROVER: True,
    Role.SEAL_KEEPER: True,
    Role.SYSTEM_ADMIN: True,
    Role.SECURITY_ADMIN: True,
    Role.AUDITOR: True,
}
"""GB/T 22239 §8.1.4: two factors for administrators; here for everyone who acts for an authority."""

SEPARATE_ROLES = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDITOR})
"""The three-way split of administrators: one account holds at most one of these."""

IDLE = dt.timedelta(minutes=30)
ABSOLUTE = dt.timedelta(hours=12)
HALF_LOGIN = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Strength:
    """How somebody logged in: ``level`` as NIST 800-63B AAL, ``amr`` as RFC 8176."""

    level: int
    acr: str
    amr: tuple[str, ...]


PASSWORD = Strength(1, "urn:fujie:acr:aal1", ("pwd",))
PASSWORD_AND_OTP = Strength(2, "urn:fujie:acr:aal2", ("pwd", "otp", "mfa"))
ACR_VALUES = (PASSWORD.acr, PASSWORD_AND_OTP.acr)
"""Every ``acr`` a session can have, weakest first (for ``acr_values_supported``)."""


def needs_second_factor(roles: Iterable[Role]) -> bool:
    """Whether any of the roles demands a second factor."""
    return any(SECOND_FACTOR_DUE[role] for role in roles)


def satisfies(acr: str, wanted: Iterable[str]) -> bool:
    """Whether a session of ``acr`` is at least as strong as the weakest wanted value we know; unknown values ask nothing."""
    known = [ACR_VALUES.index(value) for value in wanted if value in ACR_VALUES]
    return not known or (acr in ACR_VALUES and ACR_VALUES.index(acr) >= min(known))
