"""``fujie user``: accounts of people and staff."""

import secrets
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.applicants import applicant_of
from api.commands.house import with_house
from api.files import require_new
from api.wiring import House
from identity.credentials import enrol_totp, totp_address
from identity.login import LogIn
from identity.login import unlock as unlock_account
from identity.login_policy import needs_second_factor
from identity.people import Account, NewAccount, Office, create_account, find_by_username, set_active, set_office
from keys.base.actor import SYSTEM, Role
from keys.base.db import AsyncSession
from keys.base.errors import NotFound
from keys.evidence.audit import JSON, Event, Outcome, record
from keys.pki.enrolment import Enrolment, enrol_with_new_key, enrol_with_request
from keys.pki.issuing import IssuedCertificate
from keys.pki.reads import serial_text
from seal.departures import come_back, depart

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Accounts.", pretty_exceptions_enable=False)


async def _require(session: AsyncSession, username: str) -> Account:
    account = await find_by_username(session, username)
    if account is None:
        raise NotFound("account")
    return account


@app.command()
def show(username: str) -> None:
    """Print an account; its number stays masked."""

    async def journey(house: House) -> Account:
        async with house.database.session() as session:
            return await _require(session, username)

    shown = asdict(with_house(journey))
    print(orjson.dumps(shown | {"id": str(shown["id"]), "roles": sorted(shown["roles"])}).decode())


@app.command()
def create(
    username: str,
    display_name: str,
    division: Annotated[str, typer.Option(help="GB/T 2260 division code, 6 digits")],
    role: Annotated[list[Role] | None, typer.Option(help="what the account may do")] = None,
    organisation: Annotated[str | None, typer.Option(help="USCC of the employer")] = None,
) -> None:
    """Create an account with a random first password (and a second factor where its roles need one); both are printed this once."""
    roles = frozenset(role or [Role.CITIZEN])
    password = secrets.token_urlsafe(15)

    async def journey(house: House) -> dict[str, str]:
        async with house.database.begin() as session:
            now = house.clock.now()
            account = await create_account(session, now, NewAccount(username, display_name, division, roles, organisation), password)
            printed = {"username": account.username, "password": password}
            if needs_second_factor(roles):
                printed["totp"] = totp_address(await enrol_totp(session, house.personal, now, account.id), account.username)
            details: dict[str, JSON] = {"roles": list[JSON](sorted(roles))}
            await record(session, now, Event("identity.account.create", f"account:{account.id}", Outcome.DONE, SYSTEM, details))
        return printed

    print(orjson.dumps(with_house(journey)).decode())


@app.command()
def certificate(
    username: str,
    output: Annotated[Path, typer.Option("--output", "-o", help="where the certificate and its chain go (PEM), or the PKCS #12 file")],
    request: Annotated[
        Path | None, typer.Option("--request", help="the person's PKCS #10 request; without it a key is made for them")
    ] = None,
) -> None:
    """Certify a person's key for logging in. Without --request the key is made here, handed out as PKCS #12 under a passphrase
    that is asked for (or read from a pipe), and kept nowhere."""
    require_new(output)
    passphrase = None if request else _passphrase()
    asked = request.read_bytes() if request else b""

    async def journey(house: House) -> tuple[IssuedCertificate, bytes]:
        house.guard.now()  # nothing is certified while the clock is in doubt
        async with house.database.session() as session:
            applicant = await applicant_of(session, await _require(session, username))
        parts = Enrolment(house.database, house.keystore, house.clock, SYSTEM)
        if passphrase is not None:
            return await enrol_with_new_key(parts, applicant, passphrase)
        issued = await enrol_with_request(parts, applicant, asked)
        return issued, issued.pem()

    issued, file = with_house(journey)
    with output.open("xb") as handle:
        output.chmod(0o600)
        handle.write(file)
    print(orjson.dumps({"serial": serial_text(issued.serial), "file": str(output)}).decode())


def _passphrase() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Passphrase for the new key", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


@app.command()
def unlock(username: str) -> None:
    """End a lock-out after too many wrong passwords."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            account = await _require(session, username)
        await unlock_account(LogIn(house.database, house.redis, house.clock, house.personal), SYSTEM, account.id)

    with_house(journey)


@app.command()
def close(username: str) -> None:
    """Close an account: its sessions end, it logs in no more, and its authority over seals ends, also for permits given before."""

    async def journey(house: House) -> None:
        async with house.database.begin() as session:
            account, now = await _require(session, username), house.clock.now()
            await set_active(session, now, account.id, False)
            await depart(session, now, SYSTEM, str(account.id), barred=True)
            await record(session, now, Event("identity.account.close", f"account:{account.id}", Outcome.DONE, SYSTEM))

    with_house(journey)


@app.command()
def reopen(username: str) -> None:
    """Open a closed account again. What ended with it does not come back: seals are granted anew."""

    async def journey(house: House) -> None:
        async with house.database.begin() as session:
            account, now = await _require(session, username), house.clock.now()
            await set_active(session, now, account.id, True)
            await come_back(session, now, SYSTEM, str(account.id))
            await record(session, now, Event("identity.account.reopen", f"account:{account.id}", Outcome.DONE, SYSTEM))

    with_house(journey)


@app.command()
def change(
    username: str,
    role: Annotated[list[Role] | None, typer.Option(help="what the account may do from now on: all of it")] = None,
    organisation: Annotated[str | None, typer.Option(help="USCC of the employer; an empty one: none")] = None,
    division: Annotated[str | None, typer.Option(help="GB/T 2260 division code, 6 digits")] = None,
) -> None:
    """Change roles, employer or division. Who loses a role or leaves an organisation keeps no authority over seals."""

    async def journey(house: House) -> None:
        async with house.database.begin() as session:
            account, now = await _require(session, username), house.clock.now()
            employer = account.organisation if organisation is None else organisation or None
            office = Office(division or account.division, employer, frozenset(role) if role else account.roles)
            await set_office(session, now, account, office)
            before = Office(account.division, account.organisation, account.roles)
            if office != replace(before, roles=before.roles | office.roles):  # more than roles were added
                await depart(session, now, SYSTEM, str(account.id), barred=not account.active)
            details: dict[str, JSON] = {"roles": list[JSON](sorted(office.roles)), "organisation": employer, "division": office.division}
            await record(session, now, Event("identity.account.change", f"account:{account.id}", Outcome.DONE, SYSTEM, details))

    with_house(journey)
