"""Who keeps the catalogue in the tests, and a type to keep there."""

from dataclasses import replace

from certs.catalogue import CertificateType, Field, HolderKind, Mask, Sharing, SharingClass
from keys.base.actor import Actor, ActorKind, Role

MARKET = "11990100MB0000035A"
HOUSING = "11990100MB00000435"
CODE = f"{MARKET}901"


def person(name: str, *roles: Role, organisation: str = MARKET, factors: int = 2) -> Actor:
    return Actor(ActorKind.PERSON, name, name.title(), organisation, "990100", frozenset(roles), assurance=2, authenticator=factors)


WRITER = person("writer", Role.APPROVER)
COLLEAGUE = person("colleague", Role.APPROVER)
REVIEWER = person("reviewer", Role.SECURITY_ADMIN, organisation="11990100MB0000027F")
SYSADMIN = person("sysadmin", Role.SYSTEM_ADMIN, organisation="11990100MB0000027F")
STRANGER = person("stranger", Role.APPROVER, organisation=HOUSING)
HAWKER = CertificateType(
    code=CODE,
    name_zh="小餐饮经营登记卡",
    name_en="Small catering registration card",
    holder_kind=HolderKind.BOTH,
    issued_here=True,
    open_ended=False,
    max_years=3,
    fields=(Field("经营者", "KZ_JYZ", True, Mask.NAME), Field("经营场所", "KZ_JYCS", True, Mask.ADDRESS)),
    issuers=(MARKET,),
    seal_kind="approval",
    sharing=Sharing(SharingClass.UNCONDITIONAL, "示范市政务数据共享条例第八条"),
)


def changed(kind: CertificateType, **members: object) -> CertificateType:
    return replace(kind, **members)  # type: ignore[arg-type]
