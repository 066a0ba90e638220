"""``fujie seal rules``: what may differ in the seals of systems that already exist. What changes something asks the acting person."""

import uuid
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.commands.trust import as_person
from api.files import require_new
from api.wiring import House
from keys.base.actor import Actor
from seal.foreign_rules import Algorithm, AuthorityRules, Encoding, SystemRules, Tolerance, rules_document
from seal.foreign_rules_list import (
    KeptRules,
    RulesStatus,
    approve_rules,
    list_rules,
    propose_rules,
    reject_rules,
    rules_in_force,
    withdraw_rules,
)

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Rules for the seals of other systems.", pretty_exceptions_enable=False)

As = Annotated[str, typer.Option("--as", metavar="NAME", help="the security administrator who does this; asked for password and code")]
Reason = Annotated[str, typer.Option(help="why; kept with the rules")]


def _print(kept: KeptRules) -> None:
    print(orjson.dumps(kept.to_json()).decode())


@app.command()
def propose(
    authority: Annotated[str, typer.Argument(metavar="SHA256", help="of the certificate on the trust list")],
    username: As,
    reason: Reason,
    tolerate: Annotated[list[Tolerance] | None, typer.Option(help="a departure to put up with, with a warning")] = None,
    algorithm: Annotated[list[Algorithm] | None, typer.Option(help="instead of sm2-sm3 alone")] = None,
    encoding: Annotated[list[Encoding] | None, typer.Option(help="of signature values; default both")] = None,
    timestamp_required: Annotated[bool, typer.Option("--timestamp-required", help="believe no stamp without a trusted time stamp")] = False,
) -> None:
    """Propose rules for an authority of the trust list; another person approves."""
    usual = SystemRules()
    rules = SystemRules(
        algorithms=frozenset(algorithm) if algorithm else usual.algorithms,
        encodings=frozenset(encoding) if encoding else usual.encodings,
        tolerances=frozenset(tolerate or ()),
        timestamp_required=timestamp_required,
    )
    order = AuthorityRules.from_json({"authority": authority.lower().replace(":", ""), **rules.to_json()})

    async def journey(house: House, actor: Actor) -> KeptRules:
        return await propose_rules(house.database, house.clock, actor, order, reason)

    _print(as_person(username, journey))


@app.command()
def approve(rules: uuid.UUID, username: As, reason: Reason) -> None:
    """Agree to somebody else's proposal: the rules are in force from now on, in place of those before."""
    _print(as_person(username, lambda house, actor: approve_rules(house.database, house.clock, actor, rules, reason)))


@app.command()
def reject(rules: uuid.UUID, username: As, reason: Reason) -> None:
    """Refuse a proposal."""
    _print(as_person(username, lambda house, actor: reject_rules(house.database, house.clock, actor, rules, reason)))


@app.command()
def withdraw(rules: uuid.UUID, username: As, reason: Reason) -> None:
    """Back to what holds without rules."""
    _print(as_person(username, lambda house, actor: withdraw_rules(house.database, house.clock, actor, rules, reason)))


@app.command("list")
def list_all(status: Annotated[RulesStatus | None, typer.Option(help="only these")] = None) -> None:
    """Print the rules, one JSON object a line."""

    async def journey(house: House) -> list[KeptRules]:
        async with house.database.session() as session:
            return await list_rules(session, status)

    for kept in with_house(journey):
        _print(kept)


@app.command()
def export(output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="a new file")]) -> None:
    """Write the rules in force, for ``fujie verify --trust FILE`` elsewhere."""
    require_new(output)

    async def journey(house: House) -> tuple[AuthorityRules, ...]:
        async with house.database.session() as session:
            return await rules_in_force(session)

    output.write_bytes(orjson.dumps(rules_document(with_house(journey)), option=orjson.OPT_INDENT_2))
