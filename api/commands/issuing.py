"""``fujie certs entrust``, ``number`` and ``merge``: who brings approvals for whom, how certificates are numbered, what licences absorb."""

from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.issuing_views import merge_json, rule_json, series_json
from api.wiring import House
from certs.issuing_keeping import drop_issuing_rule, drop_merge_rule, issuing_rules, merge_rules, put_issuing_rule, put_merge_rule
from certs.issuing_rules import InForce, IssuingRule
from certs.merging import MergeRule
from certs.numbers import list_series, series_of
from certs.windows import end_entrusting, entrust, entrustings
from keys.base.actor import SYSTEM
from keys.base.errors import NotFound

entrusting = typer.Typer(add_completion=False, no_args_is_help=True, help="Who brings approvals for whom.", pretty_exceptions_enable=False)
numbers = typer.Typer(add_completion=False, no_args_is_help=True, help="How certificates are numbered.", pretty_exceptions_enable=False)
merging = typer.Typer(add_completion=False, no_args_is_help=True, help="What licences take up (多证合一).", pretty_exceptions_enable=False)

Organisation = Annotated[
    str, typer.Argument(metavar="TO", help="USCC of whose window clerks, or the id of the client, that may bring them")
]
Issuer = Annotated[str, typer.Argument(metavar="ISSUER", help="USCC of the department whose approvals they are")]
Type = Annotated[str, typer.Argument(metavar="TYPE", help="GB/T 36904 type code, 21 characters")]
Absorbed = Annotated[str, typer.Argument(metavar="ABSORBED", help="the type that is taken up")]


def say(value: object) -> None:
    print(orjson.dumps(value).decode())


@entrusting.command("give")
def give(to: Organisation, issuer: Issuer) -> None:
    """Let an organisation's window clerks, or a client, bring approvals of a department; the seal stays the department's."""

    async def journey(house: House) -> None:
        await entrust(house.database, house.clock, SYSTEM, to, issuer)
        say({"to": to, "issuer": issuer})

    with_house(journey)


@entrusting.command("end")
def end(to: Organisation, issuer: Issuer) -> None:
    """They bring no more; what they brought stays."""

    async def journey(house: House) -> None:
        await end_entrusting(house.database, house.clock, SYSTEM, to, issuer)
        say({"to": to, "issuer": issuer, "ended": True})

    with_house(journey)


@entrusting.command("list")
def list_entrustings() -> None:
    """Print who brings approvals for whom, one a line."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for one in await entrustings(session):
                say({"to": one.organisation, "issuer": one.issuer, "since": one.since.isoformat()})

    with_house(journey)


@numbers.command("rule")
def put_rule(
    type_code: Type,
    pattern: Annotated[str, typer.Option(help="text with {serial:N}, {year}, {division}, {issuer}; empty: departments number")] = "",
    issuer: Annotated[str, typer.Option(help="USCC: for this issuer only")] = "",
    yearly: Annotated[bool, typer.Option(help="the series begins at 1 each year")] = True,
    common: Annotated[bool, typer.Option(help="all issuers number in one series")] = False,
    unique: Annotated[bool, typer.Option(help="no number twice, not for the same holder either")] = False,
    in_force: Annotated[InForce, typer.Option(help="how many valid ones a holder can have")] = InForce.ANY,
) -> None:
    """Say how certificates of a type are numbered, and what keeps a further one from being issued."""

    async def journey(house: House) -> None:
        rule = IssuingRule(type_code, issuer, pattern, yearly, common, unique, in_force)
        say(rule_json(await put_issuing_rule(house.database, house.clock, SYSTEM, rule)))

    with_house(journey)


@numbers.command("drop")
def drop_rule(type_code: Type, issuer: Annotated[str, typer.Option(help="USCC: this issuer's own rule")] = "") -> None:
    """Departments number as they like again."""

    async def journey(house: House) -> None:
        await drop_issuing_rule(house.database, house.clock, SYSTEM, type_code, issuer)
        say({"type": type_code, "issuer": issuer, "dropped": True})

    with_house(journey)


@numbers.command("rules")
def list_rules(type_code: Type) -> None:
    """Print the rules of a type, one a line."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for one in await issuing_rules(session, type_code):
                say(rule_json(one))

    with_house(journey)


@numbers.command("series")
def list_all_series(type_code: Type) -> None:
    """Print the series of a type's numbers, one a line."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for one in await list_series(session, type_code):
                say(series_json(one))

    with_house(journey)


@numbers.command("gaps")
def show_gaps(
    type_code: Type,
    year: Annotated[int, typer.Argument(help="0 where no year begins the series anew")],
    issuer: Annotated[str, typer.Option(help="USCC; none where all issuers share the series")] = "",
) -> None:
    """Print a series with its gaps, and why each is one."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            found = await series_of(session, type_code, issuer, year)
        if found is None:
            raise NotFound("series")
        say(series_json(found))

    with_house(journey)


@merging.command("rule")
def put_merge(
    type_code: Type,
    absorbed: Absorbed,
    days: Annotated[int, typer.Option(help="within which the department claims its item")],
    basis: Annotated[str, typer.Option(help="the rule that lets the licence take it up")],
    department: Annotated[str, typer.Option(help="USCC of who claims the item; none: who issued what was absorbed")] = "",
) -> None:
    """Let a type of licence take up another type."""

    async def journey(house: House) -> None:
        rule = MergeRule(type_code, absorbed, department, days, basis)
        say(merge_json(await put_merge_rule(house.database, house.clock, SYSTEM, rule)))

    with_house(journey)


@merging.command("drop")
def drop_merge(type_code: Type, absorbed: Absorbed) -> None:
    """It takes up the other no more."""

    async def journey(house: House) -> None:
        await drop_merge_rule(house.database, house.clock, SYSTEM, type_code, absorbed)
        say({"type": type_code, "absorbed": absorbed, "dropped": True})

    with_house(journey)


@merging.command("rules")
def list_merge(type_code: Type) -> None:
    """Print what a type of licence may take up, one a line."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for one in await merge_rules(session, type_code):
                say(merge_json(one))

    with_house(journey)
