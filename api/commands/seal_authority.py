"""``fujie seal grant|delegate|window|…``: who may use a seal for what, where and how often; ``why`` explains it.

Where a person is needed (handing on, approving, confirming) ``--as NAME`` names them: they log in at the terminal with both factors.
Everything else an administrator of the machine may also do without, and stands in the audit log as the system.
"""

import datetime as dt
import locale
import uuid
from typing import Annotated

import typer

from api.commands.house import with_house
from api.commands.seal_life import From, Person, PersonOrSystem, To, acted, say, utc
from api.seal_authority_views import (
    ANY_DOCUMENT,
    Explained,
    Question,
    explained_json,
    find_account,
    grant_json,
    grantee,
    plain,
    why,
    window_step,
)
from api.wiring import House
from keys.base.actor import SYSTEM, Actor
from keys.base.errors import InvalidInput
from seal.delegation import Delegation, delegate
from seal.grants import Grant, GranteeKind, StandingGrant, grant_use, list_grants, withdraw_grant
from seal.policy import Answer
from seal.policy_facts import Requirements
from seal.requirements import put_requirements
from seal.reviews import confirm_grant, due_reviews
from seal.use_log import read_uses
from seal.windows import Window, list_windows, put_window

YEARS = dt.timedelta(days=365)
grants = typer.Typer(add_completion=False, no_args_is_help=True, help="Grants: who may use a seal.", pretty_exceptions_enable=False)
windows = typer.Typer(add_completion=False, no_args_is_help=True, help="Service windows.", pretty_exceptions_enable=False)

Seal = Annotated[str, typer.Argument(help="the seal's code")]
Id = Annotated[uuid.UUID, typer.Argument(help="its identifier")]
Networks = Annotated[list[str] | None, typer.Option("--network", help="only from this network (CIDR)")]
Hours = Annotated[list[str] | None, typer.Option("--hours", help="only then, civil time: 'mon-fri 08:30-17:30'")]
Day = Annotated[int | None, typer.Option("--quota-day", min=1, help="uses on one civil day")]
Ever = Annotated[int | None, typer.Option("--quota-total", min=1, help="uses ever")]
Type = Annotated[str | None, typer.Option("--type", help="only this type of certificate")]
Kind = Annotated[str | None, typer.Option("--document-kind", help="only this kind of document")]


@grants.command("give")
def give(
    seal: Seal,
    matter: Annotated[str, typer.Option(help="the matter's code")],
    to: Annotated[str | None, typer.Option("--person", help="username")] = None,
    client: Annotated[str | None, typer.Option(help="client_id")] = None,
    at_window: Annotated[str | None, typer.Option("--to-window", help="a window: its clerks, there")] = None,
    place: Annotated[str | None, typer.Option("--window", help="only at this window")] = None,
    certificate_type: Type = None,
    document_kind: Kind = None,
    network: Networks = None,
    hours: Hours = None,
    quota_day: Day = None,
    quota_total: Ever = None,
    unattended: Annotated[bool, typer.Option(help="without a person at hand; has a quota always")] = False,
    delegable: Annotated[int, typer.Option(min=0, max=3, help="how many times it may be handed on")] = 1,
    valid_from: From = None,
    valid_to: To = None,
    username: PersonOrSystem = None,
) -> None:
    """Give a grant to a person, a client or a window."""
    named = [(GranteeKind.PERSON, to), (GranteeKind.CLIENT, client), (GranteeKind.WINDOW, at_window)]
    chosen = [(kind, name) for kind, name in named if name]
    if len(chosen) != 1:
        raise typer.BadParameter("exactly one of --person, --client, --to-window")

    async def journey(house: House, actor: Actor) -> str:
        (kind, name), now = chosen[0], house.clock.now()
        grant = Grant(
            seal, kind, await grantee(house, kind, name), matter, certificate_type, utc(valid_from) or now, utc(valid_to) or now + YEARS,
            unattended, document_kind, place, tuple(network or ()), tuple(hours or ()), quota_day, quota_total, delegable,
        )  # fmt: skip
        async with house.database.begin() as session:
            return str(await grant_use(session, now, actor, grant))

    say({"id": acted(username, journey)})


@grants.command("list")
def list_all(seal: Seal, withdrawn: Annotated[bool, typer.Option(help="those that were withdrawn as well")] = False) -> None:
    """Print the grants on a seal, one JSON object a line."""

    async def journey(house: House) -> list[dict[str, object]]:
        found: list[StandingGrant] = []
        after: uuid.UUID | None = None
        async with house.database.session() as session:
            while page := await list_grants(session, house.clock.now(), seal_code=seal, after=after, withdrawn=withdrawn):
                found, after = found + page, page[-1].id
        return [grant_json(one) for one in found]

    for one in with_house(journey):
        say(one)


@grants.command()
def withdraw(grant: Id, username: PersonOrSystem = None) -> None:
    """End a grant and all that was handed on from it, at this instant; permits already given die with it."""
    acted(username, lambda house, actor: withdraw_grant(house.database, house.clock, actor, grant))
    say({"id": str(grant), "withdrawn": True})


@grants.command()
def confirm(grant: Id, note: Annotated[str, typer.Option(help="why it is still needed")] = "", username: PersonOrSystem = None) -> None:
    """The yearly review: this grant is still needed."""
    due = acted(username, lambda house, actor: confirm_grant(house.database, house.clock, actor, grant, note))
    say({"id": str(grant), "review_due": due.isoformat()})


@grants.command()
def reviews(organisation: Annotated[str, typer.Argument(help="USCC")]) -> None:
    """Print the grants that lapse within a month unless confirmed, or have lapsed."""

    async def journey(house: House) -> list[dict[str, object]]:
        async with house.database.session() as session:
            return [grant_json(one) for one in await due_reviews(session, house.clock.now(), organisation=organisation, limit=1000)]

    for one in with_house(journey):
        say(one)


def delegate_grant(
    grant: Id,
    to: Annotated[str, typer.Option(help="the colleague's username")],
    valid_to: Annotated[dt.datetime, typer.Option("--to-time", help="until when (UTC)")],
    username: Person,
    valid_from: From = None,
    certificate_type: Type = None,
    document_kind: Kind = None,
    network: Networks = None,
    hours: Hours = None,
    quota_day: Day = None,
    quota_total: Ever = None,
    further: Annotated[int, typer.Option(min=0, max=2, help="how many times the colleague may hand it on")] = 0,
) -> None:
    """Hand an own grant to a colleague for a while, never wider than it is."""

    async def journey(house: House, actor: Actor) -> str:
        begins, ends = utc(valid_from) or house.clock.now(), utc(valid_to)
        if ends is None:
            raise InvalidInput("no end")
        wanted = Delegation(
            grant, str((await find_account(house, to)).id), begins, ends, certificate_type, document_kind, tuple(network or ()),
            tuple(hours or ()), quota_day, quota_total, further,
        )  # fmt: skip
        return str(await delegate(house.database, house.clock, actor, wanted))

    say({"id": acted(username, journey)})


def why_command(
    seal: Annotated[str, typer.Option(help="the seal's code")],
    matter: Annotated[str, typer.Option(help="the matter's code")],
    person: Annotated[str | None, typer.Option(help="username")] = None,
    client: Annotated[str | None, typer.Option(help="client_id")] = None,
    certificate_type: Annotated[str | None, typer.Option("--type", help="of certificate")] = None,
    document_kind: Annotated[str | None, typer.Option("--document-kind", help="of a document that is no certificate")] = None,
    document: Annotated[str | None, typer.Option(help="its SHA-256 in hexadecimal")] = None,
    requester: Annotated[str | None, typer.Option(help="identifier of who asks for it")] = None,
    place: Annotated[str | None, typer.Option("--place", help="a window's name, or a network address")] = None,
    authenticator: Annotated[
        int | None, typer.Option(min=0, max=3, help="of the log-in; default: what the account's factors reach")
    ] = None,
    unattended: Annotated[bool, typer.Option(help="without a person at hand")] = False,
    at: Annotated[dt.datetime | None, typer.Option(help="when (UTC); default now")] = None,
    json: Annotated[bool, typer.Option("--json", help="as one JSON object")] = False,
) -> None:
    """May this person use this seal for this? Every rule's answer, in words; exit 1 if not."""
    if (person is None) == (client is None):
        raise typer.BadParameter("one of --person, --client")
    address = place if place and ("." in place or ":" in place) else None
    asked = Question(
        seal, matter, person, client, certificate_type, document_kind, bytes.fromhex(document) if document else ANY_DOCUMENT, requester,
        None if address else place, address, unattended, authenticator, utc(at),
    )  # fmt: skip
    told = with_house(lambda house: why(house, asked))
    if json:
        say(explained_json(told))
    else:
        print("\n".join(spoken(told, locale.getlocale()[0])))
    raise SystemExit(0 if told.permitted else 1)


_MARKS = {Answer.GRANT: "✓", Answer.DENY: "✗", Answer.ABSTAIN: "·"}


def spoken(told: Explained, language: str | None) -> list[str]:
    """One line a rule, then what they come to: in Chinese, in English, or in both where the terminal has no language."""
    speaks = (language is None or language.startswith("zh"), language is None or not language.startswith("zh"))
    outcome = ("可以用印", "permitted") if told.permitted else ("不可以用印", "not permitted")
    lines = [f"{_MARKS[one.answer]} {one.answer:7} {one.rule:30} {_said((one.zh, one.en), speaks)}" for one in told.answers]
    return [*lines, f"{_said(outcome, speaks)}  {told.code}"]


def _said(both: tuple[str, str], speaks: tuple[bool, bool]) -> str:
    return " ".join(text for text, wanted in zip(both, speaks, strict=True) if wanted)


def uses(seal: Seal, limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100) -> None:
    """Print the log of use, the latest first: document, matter, person, place, grant."""

    async def journey(house: House) -> list[object]:
        async with house.database.session() as session:
            return [plain(one) for one in await read_uses(session, SYSTEM, seal, limit=limit)]

    for one in with_house(journey):
        say(one)


def requirements(
    seal: Seal,
    assurance: Annotated[int, typer.Option(help="identity assurance")] = 2,
    authenticator: Annotated[int, typer.Option(help="authenticator level")] = 2,
    approvals: Annotated[int, typer.Option(help="approvers of each document")] = 1,
    username: PersonOrSystem = None,
) -> None:
    """Demand more than every seal does; permits given before are worth nothing."""
    wanted = Requirements(assurance, authenticator, approvals)
    acted(username, lambda house, actor: put_requirements(house.database, house.clock, actor, seal, wanted))
    say({"seal": seal, **plain(wanted)})


@windows.command("put")
def put(
    window: Annotated[str, typer.Argument(help="letters, digits and hyphens")],
    name: str,
    organisation: Annotated[str, typer.Option(help="USCC of who runs it")],
    division: Annotated[str, typer.Option(help="GB/T 2260")],
    place: Annotated[str, typer.Option(help="where it stands")],
    network: Networks = None,
    username: PersonOrSystem = None,
) -> None:
    """Add or change a window."""
    made = Window(window, name, organisation, division, place, tuple(network or ()))
    acted(username, lambda house, actor: put_window(house.database, house.clock, actor, made))
    say(plain(made))


def _step(step: str, text: str) -> None:
    def command(
        window: Annotated[str, typer.Argument(help="the window")],
        name: Annotated[str, typer.Argument(help="a seal's code (give, take), a username (post, leave)")] = "",
        username: PersonOrSystem = None,
    ) -> None:
        acted(username, lambda house, actor: window_step(house, actor, window, step, name))
        say({"id": window, "step": step, "name": name})

    windows.command(step, help=text)(command)


_step("give", "Give a seal to the window to keep: from now on it is used at its windows only.")
_step("take", "Take a seal back.")
_step("post", "Somebody works at the window from now on.")
_step("leave", "They work there no longer.")
_step("close", "Close the window.")


@windows.command("list")
def list_of_windows(organisation: Annotated[str | None, typer.Option(help="USCC; all without it")] = None) -> None:
    """Print the windows, with the seals they keep and who works there."""

    async def journey(house: House) -> list[dict[str, object]]:
        async with house.database.session() as session:
            found = await list_windows(session, organisation=organisation, limit=10_000)
        return [{**plain(one.window), "closed": one.closed, "seals": one.seals, "people": one.people} for one in found]

    for one in with_house(journey):
        say(one)
