"""Makes the demonstration city in an empty home; a second run finds everything and only says so.

Each part looks for itself first, so a set-up that was interrupted is finished by the next. Passwords and client secrets
are made afresh until ``demo.json`` is written, because only their hashes are kept.
"""

import datetime as dt
import json
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from api.demo import city
from api.demo.portals import register_portals
from api.demo.story import tell
from api.files import write_private
from api.wiring import House
from certs.copy_seals import grant_copies
from certs.matter_papers import import_papers
from certs.own_documents import TYPE as DOCUMENT_TYPE
from certs.reads import grant_issuing
from certs.windows import entrust
from identity.clients import NewClient, create_client, get_client, rotate_secret
from identity.credentials import enrol_totp, set_password
from identity.login_policy import needs_second_factor
from identity.organisations import Organisation, put_organisation
from identity.people import Account, NewAccount, actor_of, create_account, find_by_username
from identity.realname import bind_real_name, with_registry
from identity.realname_sources import Claim, load_legal_persons, load_population
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.db import AsyncSession
from keys.evidence.audit import Event, Outcome, record
from keys.pki.authority import establish, trust_bundle
from seal.grants import Grant, GranteeKind, grant_use, grants_of
from seal.kinds import KINDS, SealKind
from seal.making import SealOrder, make_seal
from seal.matters import Matter, put_matter
from seal.reads import Seal, find_seal

SEAL_YEARS = 3


@dataclass(slots=True)
class Secrets:
    """What only ``demo.json`` will know."""

    accounts: list[dict[str, str]] = field(default_factory=list)
    clients: list[dict[str, Any]] = field(default_factory=list)

    def account(self, role: Role) -> dict[str, str]:
        return next(account for account in self.accounts if account["role"] == role)

    def client(self, name: str) -> dict[str, Any]:
        return next(client for client in self.clients if client["name"] == name)


def demo_file(house: House) -> Path:
    return house.settings.home / "demo.json"


async def establish_demo(house: House, console: Console) -> None:
    """Authorities, trust bundle, registries, organisations, matters, certificate types: everything without a secret."""
    await establish(house.database, house.keystore, house.guard, house.base_url)
    async with house.database.session() as session:
        bundle = await trust_bundle(session)
    write_private(house.settings.trust_file, bundle)
    await register_portals(house.database, house.clock, house.base_url)
    if demo_file(house).exists():
        _warn_of_another_address(house, console)
        return
    console.print("[bold]符节 Fujie[/]  建立示范市 making the demonstration city (990100)")
    now = house.clock.now()
    async with house.database.begin() as session:
        await _load_registries(session, now, house)
        for row in city.matters():
            await put_matter(session, now, SYSTEM, Matter(row["matter_code"], row["name"], row["is_approval"] == "1", row["organisation"]))
        event = Event("demo.establish", f"division:{city.DIVISION}", Outcome.DONE, SYSTEM)
        await record(session, now, event)


def _warn_of_another_address(house: House, console: Console) -> None:
    """Certificates and revocation lists name the address this home was made for."""
    made_for = json.loads(demo_file(house).read_text(encoding="utf-8"))["base_url"]
    if made_for != house.base_url:
        console.print(
            f"[yellow]此数据目录为 {made_for} 而建，已签发证照的二维码与吊销列表仍指向该地址。 This home was made for {made_for}: "
            "the QR codes and revocation lists of what was issued still lead there.[/]"
        )


async def _load_registries(session: AsyncSession, now: dt.datetime, house: House) -> None:
    await load_population(session, now, house.personal, city.population())
    organisations = city.organisations()
    await load_legal_persons(session, now, house.personal, [{"uscc": uscc, "name": name} for uscc, name, _ in organisations])
    for uscc, name, kind in organisations:
        await put_organisation(session, now, Organisation(uscc, name, city.division_of(uscc), kind))


async def tell_story_once(house: House, console: Console) -> None:
    """In a home without ``demo.json``: people, seals, clients, then the story over HTTP, then the file."""
    if demo_file(house).exists():
        return
    known = Secrets()
    accounts = {one.username: await _account(house, one, known) for one in city.ACCOUNTS}
    for client in city.CLIENTS:
        await _client(house, client, known)
    await _seals_and_grants(house, accounts)
    await import_papers(house.database, house.clock, SYSTEM, city.papers())
    certificate = await tell(house, known.accounts, known.clients, console)
    content = {
        "base_url": house.base_url,
        "accounts": known.accounts,
        "clients": known.clients,
        "certificate": certificate,
        "trust": str(house.settings.trust_file),
        "log_vkey": str(house.log_key),
    }
    write_private(demo_file(house), json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    console.print(f"  示范账号与密码 accounts and passwords: {demo_file(house)}")


async def _account(house: House, one: city.DemoAccount, known: Secrets) -> Account:
    """The account with a fresh password; staff are known by name and have a second factor."""
    password = secrets.token_urlsafe(12)
    roles = frozenset({one.role})
    now = house.clock.now()
    async with house.database.begin() as session:
        account = await find_by_username(session, one.username)
        if account is None:
            new = NewAccount(one.username, one.name, city.DIVISION, roles, one.organisation)
            account = await create_account(session, now, new, password)
        else:
            await set_password(session, now, account.id, password, one.username)
        entry = {"role": one.role.value, "username": one.username, "password": password}
        if needs_second_factor(roles):
            entry["totp_secret"] = await enrol_totp(session, house.personal, now, account.id)
        await record(session, now, Event("demo.account", f"account:{account.id}", Outcome.DONE, SYSTEM, {"role": one.role.value}))
    known.accounts.append(entry)
    if one.role is not Role.CITIZEN and account.identity_level == 0:
        await _identify(house, account, one)
    return account


async def _identify(house: House, account: Account, one: city.DemoAccount) -> None:
    realname = with_registry(house.database, house.redis, house.clock, house.personal)
    await bind_real_name(realname, actor_of(account), Claim(one.name, one.number, "111"))


async def _client(house: House, one: city.DemoClient, known: Secrets) -> None:
    now = house.clock.now()
    redirect_uris = one.redirect_uris
    async with house.database.begin() as session:
        if await get_client(session, now, one.client_id) is None:
            new = NewClient(
                name_zh=one.name_zh,
                name_en=one.name_en,
                division=city.DIVISION,
                organisation=one.organisation,
                redirect_uris=redirect_uris,
                post_logout_redirect_uris=tuple(address for uri in redirect_uris for address in (uri, uri.removesuffix("callback"))),
                grant_types=one.grant_types,
                scopes=one.scopes,
                client_id=one.client_id,
            )
            _, secret = await create_client(session, now, new)
        else:
            secret = await rotate_secret(session, now, one.client_id)
        for seal in city.SEALS if "certificates:issue" in one.scopes else ():
            await grant_issuing(session, now, one.client_id, seal.organisation, SYSTEM.id)
    entry = {"name": one.name, "client_id": one.client_id, "client_secret": secret}
    known.clients.append(entry | {"redirect_uris": list(redirect_uris), "scopes": list(one.scopes)})


def _person(account: Account, organisation: str | None = None) -> Actor:
    """The account at a desk of the set-up, before anybody has logged in."""
    return Actor(
        ActorKind.PERSON,
        str(account.id),
        account.display_name,
        organisation or account.organisation,
        account.division,
        account.roles,
        assurance=account.identity_level,
    )


async def _seals_and_grants(house: House, accounts: dict[str, Account]) -> None:
    """Each bureau's approval seal: ordered by its keeper, reviewed by two others, of whom the second makes it, then granted."""
    reviewers = (_person(accounts["reviewer"]), _person(accounts["secadmin"]))
    names = {uscc: name for uscc, name, _ in city.organisations()}
    for one in city.SEALS:
        async with house.database.session() as session:
            seal = await find_seal(session, organisation=one.organisation, kind=SealKind.APPROVAL)
        if seal is None:
            keeper = _person(accounts["keeper"], one.organisation)
            seal = await make_seal(
                house.database, house.keystore, house.guard, keeper, _order(house.clock.now(), one, names), reviewers=reviewers
            )
        await entrust(house.database, house.clock, SYSTEM, city.SERVICE_CENTRE, one.organisation)
        await _grant(house, seal, one, GranteeKind.CLIENT, "approvals", unattended=True)
        async with house.database.begin() as session:
            await grant_copies(session, house.clock.now(), SYSTEM, seal.code, one.matter)
        if one.organisation == city.MARKET_BUREAU:
            for kind in (one, replace(one, certificate_type=DOCUMENT_TYPE)):
                await _grant(house, seal, kind, GranteeKind.PERSON, str(accounts["approver"].id), unattended=False)


def _order(now: dt.datetime, one: city.DemoSeal, names: dict[str, str]) -> SealOrder:
    kind = KINDS[SealKind.APPROVAL]
    return SealOrder(
        name=f"{names[one.organisation]}{kind.zh}",
        kind=SealKind.APPROVAL,
        organisation=one.organisation,
        organisation_name=names[one.organisation],
        division=city.division_of(one.organisation),
        lower_text=None,
        valid_from=now,
        valid_to=now + dt.timedelta(days=365 * SEAL_YEARS),
    )


async def _grant(house: House, seal: Seal, one: city.DemoSeal, kind: GranteeKind, grantee: str, *, unattended: bool) -> None:
    now = house.clock.now()
    async with house.database.begin() as session:
        held = await grants_of(session, grantee_kind=kind, grantee_id=grantee)
        same = (seal.code, one.matter, one.certificate_type)
        if any((grant.seal_code, grant.matter_code, grant.certificate_type) == same for _, grant in held):
            return
        grant = Grant(seal.code, kind, grantee, one.matter, one.certificate_type, now, seal.valid_to, unattended)
        await grant_use(session, now, SYSTEM, grant)
