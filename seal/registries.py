"""Other registries of seals: registered by an administrator, each with an address, the roots its answers are signed under, and the
divisions of whose seals it may speak. No other address is ever asked, and none speaks of seals that are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Forbidden, InvalidInput, NotFound
from keys.evidence.audit import Event, Outcome, record
from keys.trust.certificates import read_certificate
from seal.changes import refusals_audited
from seal.divisions import covers, is_division
from seal.life_models import RegistryRow
from seal.reachable import PUBLIC, Reachable, is_literal

_LONGEST = 200
_MOST_DIVISIONS = 64


class SealRegistryForbidden(Forbidden):
    """A security administrator who logged in with a second factor decides whose word counts."""

    code = "SEAL_REGISTRY_FORBIDDEN"
    public = (
        "只有使用双因素登录的安全管理员可以登记其他印章系统。",
        "Only a security administrator with two factors registers other registries of seals.",
    )


class SealRegistryInvalid(InvalidInput):
    code = "SEAL_REGISTRY_INVALID"
    public = ("其他印章系统的登记内容不正确。", "The registration of another registry of seals is not well-formed.")


class SealRegistryUnreachable(InvalidInput):
    """The operator has not named this network as one that may be asked."""

    code = "SEAL_REGISTRY_UNREACHABLE"
    public = (
        "该地址指向本机或内部网络，须由运行维护人员先行允许。",
        "The address is of this machine or of an internal network, which the operator must allow first.",
    )


class SealRegistryUnknown(NotFound):
    code = "SEAL_REGISTRY_UNKNOWN"
    public = ("没有登记这个印章系统。", "No such registry of seals is registered.")


@dataclass(frozen=True, slots=True)
class Registry:
    """``url``: the base address of its service, ``""`` where only feeds of it are taken in; ``roots``: DER."""

    name: str
    url: str
    divisions: tuple[str, ...]
    roots: tuple[bytes, ...]

    def speaks_of(self, code: str) -> bool:
        """Whether seals of this code are its own to speak of."""
        return any(covers(division, code[:6]) for division in self.divisions)


async def register(database: Database, clock: Clock, actor: Actor, registry: Registry, reachable: Reachable = PUBLIC) -> Registry:
    """Its word counts from now on; registering a name again replaces what was registered. Raises :class:`SealRegistryForbidden`,
    :class:`SealRegistryInvalid`, :class:`SealRegistryUnreachable`; every refusal is audited.

    An address is looked at here where it says by itself where it leads; where a name leads is looked at whenever it is asked.
    """
    async with refusals_audited(database, clock, "seal.registry.register", f"seal-registry:{registry.name[:40]}", actor):
        _check_actor(actor)
        _check(registry)
        _check_reachable(registry.url, reachable)
        values = {
            "url": registry.url.rstrip("/"),
            "divisions": list(registry.divisions),
            "roots": list(registry.roots),
            "registered_by": actor.id,
            "registered_at": clock.now(),
            "withdrawn_at": None,
        }
        new = insert(RegistryRow).values(name=registry.name, **values)
        async with database.begin() as session:
            await session.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))
            event = Event("seal.registry.register", f"seal-registry:{registry.name}", Outcome.DONE, actor, {"url": registry.url})
            await record(session, clock.now(), event)
    return registry


async def withdraw(database: Database, clock: Clock, actor: Actor, name: str) -> None:
    """It is asked no more and nothing it said counts. Raises :class:`SealRegistryForbidden`, :class:`SealRegistryUnknown`."""
    async with refusals_audited(database, clock, "seal.registry.withdraw", f"seal-registry:{name[:40]}", actor):
        _check_actor(actor)
        async with database.begin() as session:
            row = await session.get(RegistryRow, name, with_for_update=True)
            if row is None or row.withdrawn_at is not None:
                raise SealRegistryUnknown(name[:40])
            row.withdrawn_at = clock.now()
            await record(session, clock.now(), Event("seal.registry.withdraw", f"seal-registry:{name}", Outcome.DONE, actor))


async def registries(session: AsyncSession) -> tuple[Registry, ...]:
    """Those whose word counts now, by name."""
    rows = await session.scalars(select(RegistryRow).where(RegistryRow.withdrawn_at.is_(None)).order_by(RegistryRow.name))
    return tuple(Registry(row.name, row.url, tuple(row.divisions), tuple(row.roots)) for row in rows)


async def get_registry(session: AsyncSession, name: str) -> Registry:
    """Raises :class:`SealRegistryUnknown`."""
    found = next((one for one in await registries(session) if one.name == name), None)
    if found is None:
        raise SealRegistryUnknown(name[:40])
    return found


def _check_actor(actor: Actor) -> None:
    strong = Role.SECURITY_ADMIN in actor.roles and actor.authenticator >= 2
    if not (actor.kind is ActorKind.SYSTEM or (actor.kind is ActorKind.PERSON and strong)):
        raise SealRegistryForbidden


def _check(registry: Registry) -> None:
    faults = [
        (not 1 <= len(registry.name) <= 100 or not registry.name.isprintable(), "name"),
        (bool(registry.url) and not _is_address(registry.url), "url"),
        (not 1 <= len(registry.divisions) <= _MOST_DIVISIONS or not all(map(is_division, registry.divisions)), "divisions"),
        (bool(registry.url) and not registry.roots, "roots"),
    ]
    if found := [name for wrong, name in faults if wrong]:
        raise SealRegistryInvalid(", ".join(found), errors=[{"field": one, "message": "not well-formed"} for one in found])
    _check_roots(registry.roots)


def _check_reachable(url: str, reachable: Reachable) -> None:
    host = urlsplit(url).hostname or ""
    address = "127.0.0.1" if host.endswith("localhost") else host
    if is_literal(host) and not reachable.permits(address):
        raise SealRegistryUnreachable(host[:60])


def _check_roots(roots: Sequence[bytes]) -> None:
    for root in roots:
        read_certificate(root)  # raises TrustBundleMalformed


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain and port_fits and len(url) <= _LONGEST
