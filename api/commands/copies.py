"""``fujie certs copy`` and ``fujie certs access``: annotated copies, applications for access, rates of requesters, working days.

The system itself may arrange, set rates and enter days; making a copy and reviewing an application take a person: ``--as NAME``, who logs
in at the terminal with both factors.
"""

import uuid
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.commands.seal_life import acted
from api.files import require_new
from api.routes.copies import copy_json
from api.wiring import House
from certs.access_applications import Move, applications_of, take_move, to_review
from certs.access_rates import EVERY_TYPE, Rate, Rule, Use, rules_of, set_rate, used_on
from certs.copies import DAYS, CopyWanted, make_copy
from certs.copy_reading import Seen, file_of_copy, list_copies, read_copy, withdraw_copy
from certs.copy_seals import arrange_copies, arrangements
from certs.library import Library
from certs.reads import find_certificate
from certs.working_days import calendar_of, enter_days, parse
from keys.base.actor import SYSTEM, Actor
from keys.base.clock import civil_date
from keys.base.errors import NotFound
from keys.base.ids import new_secret

copies = typer.Typer(add_completion=False, no_args_is_help=True, help="Annotated copies (加注件).", pretty_exceptions_enable=False)
access = typer.Typer(add_completion=False, no_args_is_help=True, help="Applications for access, rates, working days.")

Name = Annotated[str, typer.Argument(help="id, GB/T 36904 identifier or verification code of the certificate")]
Person = Annotated[str, typer.Option("--as", metavar="NAME", help="who does this; asked for password and code")]
Identifier = Annotated[uuid.UUID, typer.Argument(metavar="ID")]


def say(value: object) -> None:
    """One JSON object a line."""
    print(orjson.dumps(value).decode(), flush=True)


def _library(house: House) -> Library:
    return Library(house.database, house.clock, house.blobs, house.personal)


async def _found(house: House, name: str) -> uuid.UUID:
    async with house.database.session() as session:
        found = await find_certificate(session, name)
    if found is None:
        raise NotFound(name[:80])
    return found.id


@copies.command("make")
def make(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="a new file")],
    purpose: Annotated[str, typer.Option(help="printed and logged, 1 to 200 characters")],
    username: Person,
    matter: Annotated[str, typer.Option(help="code of the matter it is needed for")] = "",
    days: Annotated[int, typer.Option(min=1, max=366, help="how long it holds")] = DAYS,
) -> None:
    """Make an annotated copy of a certificate, for the organisation of who asks."""
    require_new(output)

    async def journey(house: House, actor: Actor) -> tuple[Seen, bytes, str]:
        wanted = CopyWanted(purpose, matter, await _found(house, name), days=days)
        copy = await make_copy(house.issuing, actor, wanted, new_secret(16))
        library = _library(house)
        return await read_copy(library, actor, copy.id), await file_of_copy(library, actor, copy.id), house.base_url

    seen, pdf, base_url = acted(username, journey)
    output.write_bytes(pdf)
    say(copy_json(base_url, seen))


@copies.command("list")
def list_made(name: Name) -> None:
    """Print the copies of a certificate, newest first."""

    async def journey(house: House) -> None:
        certificate_id = await _found(house, name)
        found, _ = await list_copies(_library(house), SYSTEM, certificate_id=certificate_id, limit=1000)
        for one in found:
            say(copy_json(house.base_url, one))

    with_house(journey)


@copies.command("withdraw")
def withdraw(copy_id: Identifier, reason: Annotated[str, typer.Option(help="whoever verifies the copy reads it")]) -> None:
    """End a copy before its time."""

    async def journey(house: House) -> None:
        say(copy_json(house.base_url, await withdraw_copy(_library(house), SYSTEM, copy_id, reason)))

    with_house(journey)


@copies.command("seal")
def seal(
    organisation: Annotated[str, typer.Argument(metavar="USCC", help="whose certificates are copied; none: print what is arranged")] = "",
    seal_code: Annotated[str, typer.Option("--seal", help="code of the seal")] = "",
    matter: Annotated[str, typer.Option(help="code of the matter the seal is used in")] = "",
) -> None:
    """Choose the seal for copies of an issuer's certificates, and grant its use; else a copy bears the seal of its original."""

    async def journey(house: House) -> None:
        async with house.database.begin() as session:
            if organisation:
                await arrange_copies(session, house.clock.now(), SYSTEM, organisation, seal_code, matter)
            for issuer, code, used_in in await arrangements(session):
                say({"organisation": issuer, "seal": code, "matter": used_in})

    with_house(journey)


@access.command("list")
def list_applications(
    organisation: Annotated[str, typer.Option(help="USCC: those of one organisation")] = "", username: Person = ""
) -> None:
    """Print the applications of an organisation, or those that wait for a person's review."""

    async def journey(house: House, actor: Actor) -> None:
        async with house.database.session() as session:
            found = await applications_of(session, organisation) if organisation else await to_review(session, actor)
        for one in found:
            say(one.to_json(house.clock.now()))

    acted(username or None, journey)


@access.command("decide")
def decide(
    application_id: Identifier,
    move: Annotated[Move, typer.Argument(help="what to do")],
    username: Person,
    reason: Annotated[str, typer.Option(help="required but for open")] = "",
) -> None:
    """Open, refuse or close an application, or withdraw one of the person's organisation."""

    async def journey(house: House, actor: Actor) -> None:
        found = await take_move(house.database, house.clock, actor, application_id, move, reason)
        say(found.to_json(house.clock.now()))

    acted(username, journey)


@access.command("rate")
def rate(
    requester: Annotated[str, typer.Argument(help="client_id or USCC")],
    use: Annotated[Use, typer.Argument(help="what is counted")],
    per_minute: Annotated[int, typer.Option(min=0)],
    per_day: Annotated[int, typer.Option(min=0)],
    type_code: Annotated[str, typer.Option("--type", help="for one type only")] = EVERY_TYPE,
) -> None:
    """Set how often a requester may do what."""

    async def journey(house: House) -> None:
        async with house.database.begin() as session:
            await set_rate(session, house.clock.now(), SYSTEM, Rule(requester, use, type_code, Rate(per_minute, per_day)))

    with_house(journey)


@access.command("rates")
def rates() -> None:
    """Print every rate that was set, then what was used today."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for one in await rules_of(session):
                limits = {"per_minute": one.rate.per_minute, "per_day": one.rate.per_day}
                say({"requester": one.requester, "use": one.use.value, "type": one.type_code, **limits})
            for who, use, kind, times in await used_on(session, civil_date(house.clock.now())):
                say({"requester": who, "use": use, "type": kind, "used_today": times})

    with_house(journey)


@access.command("calendar")
def calendar(
    file: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="CSV: day,works,name; none: print it")] = None,
    year: Annotated[int, typer.Option(help="which year to print")] = 0,
) -> None:
    """Enter the holidays and worked weekends of a year, or print them."""
    days = parse(file.read_bytes()) if file else ()

    async def journey(house: House) -> None:
        now = house.clock.now()
        async with house.database.begin() as session:
            if days:
                say({"entered": await enter_days(session, now, SYSTEM, days)})
                return
            known = await calendar_of(session)
        wanted = year or civil_date(now).year
        for one in sorted((day for day in known.special.values() if day.day.year == wanted), key=lambda day: day.day):
            say({"day": one.day.isoformat(), "works": one.works, "name": one.name})
        say({"year": wanted, "known": known.knows(wanted), "due_in_one_working_day": known.due(now, 1).isoformat()})

    with_house(journey)
