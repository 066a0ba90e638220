"""``fujie trust``: whom we trust beside ourselves. What changes the list asks the acting person, who proves to be one."""

import datetime as dt
import getpass
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import orjson
import typer

from api.code_services import CodeServices
from api.commands.house import with_house
from api.wiring import House
from identity.login import LogIn, SecondFactorDue, finish_second_factor, log_in, log_out
from identity.people import actor_of
from keys.base.actor import Actor
from keys.base.clock import SystemClock
from keys.custody.store import Algorithm
from keys.suites import Crypto
from keys.trust.certificates import fingerprint, read_bundle
from keys.trust.documents import instant_text, list_document, require_current, verify_list
from keys.trust.entries import Scope, Use
from keys.trust.importing import ImportOrder, import_list
from keys.trust.lifecycle import Move, Status
from keys.trust.proposals import Proposal, approve, move, propose
from keys.trust.publishing import current_list
from keys.trust.reads import Entry, get_entry, list_entries

T = TypeVar("T")
REMOTE = "terminal"
app = typer.Typer(add_completion=False, no_args_is_help=True, help="The list of trusted authorities.", pretty_exceptions_enable=False)

As = Annotated[str, typer.Option("--as", metavar="NAME", help="the security administrator who does this; asked for password and code")]
Reason = Annotated[str, typer.Option(help="why; kept in the entry's history")]
Uses = Annotated[list[Use] | None, typer.Option("--use", help="what it is trusted for")]
Divisions = Annotated[list[str] | None, typer.Option("--division", help="GB/T 2260 code, 6 digits")]
Kinds = Annotated[list[str] | None, typer.Option("--seal-kind", help="kind of seal")]
Organisation = Annotated[str, typer.Option(help="USCC of the one organisation it is trusted for")]
Roots = Annotated[Path | None, typer.Option("--root", metavar="PEM", exists=True, dir_okay=False, help="the list must be signed under it")]
Input = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)]


def _print(value: object) -> None:
    print(orjson.dumps(value).decode())


def _asked(prompt: str) -> str:
    """A secret from the terminal, unseen; from standard input where that is none."""
    return getpass.getpass(f"{prompt}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def as_person(username: str, journey: Callable[[House, Actor], Awaitable[T]]) -> T:
    """Run ``journey`` for the person, who logs in for it with both factors and is logged out again."""
    password, code = _asked(f"{username}, password"), _asked("code of the authenticator")

    async def acting(house: House) -> T:
        login = LogIn(house.database, house.redis, house.clock, house.personal)
        try:
            logged_in = await log_in(login, username, password, None, REMOTE)
        except SecondFactorDue as due:
            logged_in = await finish_second_factor(login, due.pending, code, REMOTE)
        try:
            return await journey(house, actor_of(logged_in.account, logged_in.session))
        finally:
            await log_out(login, logged_in.secret)

    return with_house(acting)


@app.command("propose")
def propose_file(
    file: Input,
    username: As,
    use: Uses,
    reason: Reason,
    organisation: Organisation = "",
    division: Divisions = None,
    seal_kind: Kinds = None,
    valid_from: Annotated[dt.datetime | None, typer.Option("--from", help="signatures from this time on (UTC); default now")] = None,
    valid_to: Annotated[dt.datetime | None, typer.Option("--to", help="and until this time (UTC); default the certificate's end")] = None,
    crl: Annotated[list[str] | None, typer.Option(help="where its revocation lists are")] = None,
    ocsp: Annotated[list[str] | None, typer.Option(help="where its OCSP responder is")] = None,
    subordinates: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="authorities below it, PEM or PKCS #7")] = None,
    legal_effect: Annotated[bool, typer.Option("--legal-effect", help="what it vouches for has legal effect")] = False,
) -> None:
    """Propose the authority of each certificate in FILE (PEM, DER, PKCS #7); another person approves."""
    orders = [
        Proposal(
            certificate=certificate,
            uses=frozenset(use or ()),
            scope=Scope(organisation, tuple(division or ()), tuple(seal_kind or ())),
            subordinates=read_bundle(subordinates.read_bytes()) if subordinates else (),
            valid_from=_utc(valid_from),
            valid_to=_utc(valid_to),
            crl_urls=tuple(crl or ()),
            ocsp_urls=tuple(ocsp or ()),
            legal_effect=legal_effect,
            source=f"file {file.name}",
            reason=reason,
        )
        for certificate in read_bundle(file.read_bytes())
    ]

    async def journey(house: House, actor: Actor) -> list[Entry]:
        return [await propose(house.database, house.clock, actor, one) for one in orders]

    for entry in as_person(username, journey):
        _print(entry.to_json())


def _utc(instant: dt.datetime | None) -> dt.datetime | None:
    return instant.replace(tzinfo=dt.UTC) if instant is not None and instant.tzinfo is None else instant


@app.command("import")
def import_file(
    file: Input,
    username: As,
    reason: Reason,
    root: Roots = None,
    only: Annotated[list[str] | None, typer.Option(metavar="SHA256", help="these certificates only")] = None,
    use: Uses = None,
    organisation: Organisation = "",
    division: Divisions = None,
    seal_kind: Kinds = None,
) -> None:
    """Propose the authorities of another instance's signed list, within its bounds or narrower ones."""
    order = ImportOrder(
        data=file.read_bytes(),
        roots=read_bundle(root.read_bytes()) if root else (),
        chosen=frozenset(one.lower().replace(":", "") for one in only or ()),
        uses=frozenset(use or ()),
        scope=Scope(organisation, tuple(division or ()), tuple(seal_kind or ())),
        reason=reason,
    )
    done = as_person(username, lambda house, actor: import_list(house.database, house.clock, actor, order))
    for entry in done.proposed:
        _print(entry.to_json())
    told = f"{done.issuer} v{done.version}, {len(done.proposed)} proposed, {len(done.skipped)} known already"
    print(f"{told}; compare by telephone: root sha256 {done.root.hex()}", file=sys.stderr)


@app.command("approve")
def approve_entry(entry: uuid.UUID, username: As, reason: Reason) -> None:
    """Agree to somebody else's proposal: the authority is trusted from now on."""
    _print(as_person(username, lambda house, actor: approve(house.database, house.clock, actor, entry, reason)).to_json())


def _move(entry: uuid.UUID, username: str, step: Move, reason: str) -> None:
    _print(as_person(username, lambda house, actor: move(house.database, house.clock, actor, entry, step, reason)).to_json())


@app.command()
def reject(entry: uuid.UUID, username: As, reason: Reason) -> None:
    """Refuse a proposal."""
    _move(entry, username, Move.REJECT, reason)


@app.command()
def suspend(entry: uuid.UUID, username: As, reason: Reason) -> None:
    """Stop trusting an authority for now."""
    _move(entry, username, Move.SUSPEND, reason)


@app.command()
def resume(entry: uuid.UUID, username: As, reason: Reason) -> None:
    """Trust a suspended authority again; takes another person than who suspended it."""
    _move(entry, username, Move.RESUME, reason)


@app.command()
def withdraw(entry: uuid.UUID, username: As, reason: Reason) -> None:
    """Stop trusting an authority for good."""
    _move(entry, username, Move.WITHDRAW, reason)


@app.command("list")
def list_all(status: Annotated[Status | None, typer.Option(help="only these")] = None) -> None:
    """Print the entries, one JSON object a line."""

    async def journey(house: House) -> list[Entry]:
        async with house.database.session() as session:
            return await list_entries(session, status)

    for entry in with_house(journey):
        _print(entry.to_json())


@app.command()
def show(entry: uuid.UUID) -> None:
    """Print an entry with its history."""

    async def journey(house: House) -> Entry:
        async with house.database.session() as session:
            return await get_entry(session, entry)

    _print(with_house(journey).to_json())


@app.command()
def export(output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="default: standard output")] = None) -> None:
    """Write our own signed list, as ``/pki/trust-list`` serves it."""

    async def journey(house: House) -> bytes:
        algorithm = Algorithm.SM2 if house.settings.crypto is Crypto.SM else Algorithm.P256
        code_keys = [one.to_json() for one in await CodeServices(house).keys()]
        return (await current_list(house.database, house.keystore, house.clock, house.base_url, algorithm, code_keys)).jws

    jws = with_house(journey)
    if output is None:
        sys.stdout.buffer.write(jws + b"\n")
    else:
        output.write_bytes(jws)


@app.command()
def verify(file: Input, root: Roots = None) -> None:
    """Verify a signed list and print what it says. Needs no running service. Exit 1 where it does not hold or is out of date."""
    signed = verify_list(file.read_bytes(), read_bundle(root.read_bytes()) if root else ())
    require_current(signed, SystemClock().now())
    _print(list_document(signed.list))
    told = f"signed by {signed.chain[0].name}, good to {instant_text(signed.list.next_update)}"
    print(f"{told}; root sha256 {fingerprint(signed.root).hex()}", file=sys.stderr)
