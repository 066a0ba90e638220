"""``fujie seal``: the status of seals for others and by others: status, signed list, feed, registries."""

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from api.commands.house import with_house
from api.commands.seal_life import PersonOrSystem, acted, say, utc
from api.wiring import House
from keys.base.actor import Actor
from keys.base.clock import SystemClock
from keys.custody.store import Algorithm
from keys.suites import Crypto
from keys.trust.certificates import fingerprint, read_bundle
from seal.national_feed import Taken, export_all, take
from seal.public_status import instant_text, public_seal, status_document
from seal.reads import SealNotFound
from seal.registries import Registry, register, registries, withdraw
from seal.status_list import current_status_list, require_current, verify_status_list

feed = typer.Typer(add_completion=False, no_args_is_help=True, help="The register as JSON lines.", pretty_exceptions_enable=False)
registry = typer.Typer(add_completion=False, no_args_is_help=True, help="Registries of others.", pretty_exceptions_enable=False)
At = Annotated[dt.datetime | None, typer.Option("--at", help="the status at this past instant (UTC); default now")]
Roots = Annotated[Path | None, typer.Option("--root", metavar="PEM", exists=True, dir_okay=False, help="it must be signed under it")]
Listed = Annotated[
    Path | None, typer.Option("--list", metavar="FILE", exists=True, dir_okay=False, help="a signed list; no service needed")
]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="default: standard output")]


def status(code: str, at: At = None, listed: Listed = None, root: Roots = None) -> None:
    """Print the public status of a seal, now or at a past instant. With --list it is read from a signed list, of whomever."""
    instant = utc(at)
    if listed is not None:
        _status_by_list(code, instant, listed, root)
        return

    async def journey(house: House) -> dict[str, Any]:
        now = house.clock.now()
        async with house.database.session() as session:
            seal = await public_seal(session, code)
        if seal is None:
            raise SealNotFound(code)
        return status_document(house.base_url, code, seal, instant or now, now)

    say(with_house(journey))


def _status_by_list(code: str, instant: dt.datetime | None, file: Path, root: Path | None) -> None:
    found = verify_status_list(file.read_bytes(), read_bundle(root.read_bytes()) if root else ())
    require_current(found, SystemClock().now())
    asked = instant or found.issued_at
    step = found.step_at(code, asked)
    told = {"issuer": found.issuer, "code": code, "known": code in found.seals, "at": instant_text(asked)}
    say(told | {"status": step.status.value if step else None, "since": instant_text(step.at) if step else None})
    print(f"root sha256 {fingerprint(found.signed.chain[-1].encoded).hex()}", file=sys.stderr)


def status_list(output: Output = None) -> None:
    """Write our signed list of the status of all seals, as ``/pki/seal-status-list`` serves it."""

    async def journey(house: House) -> bytes:
        algorithm = Algorithm.SM2 if house.settings.crypto is Crypto.SM else Algorithm.P256
        return (await current_status_list(house.database, house.keystore, house.guard, house.base_url, algorithm)).jws

    _write(with_house(journey), output)


def _write(octets: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(octets + b"\n")
        sys.stdout.flush()
    else:
        output.write_bytes(octets)


@feed.command("export")
def export(
    after: Annotated[int, typer.Option(min=0, help="go on after this position")] = 0,
    since: Annotated[dt.datetime | None, typer.Option(help="only what was recorded from this instant on (UTC)")] = None,
    output: Output = None,
) -> None:
    """Write the steps in the lives of our seals as JSON lines, oldest first."""

    async def journey(house: House) -> int:
        lines, target = 0, output.open("wb") if output else sys.stdout.buffer
        try:
            async for line in export_all(house.database, after=after, since=utc(since)):
                target.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                lines += 1
        finally:
            target.flush()
            if output:
                target.close()
        return lines

    print(f"{with_house(journey)} lines", file=sys.stderr)


@feed.command("import")
def import_feed(
    lines: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    source: Annotated[str, typer.Option("--registry", metavar="NAME", help="whose feed it is: a registered registry")],
    username: PersonOrSystem = None,
) -> None:
    """Take in the feed of another registry; lines that are wrong are named and left out. Exit 1 where there were any."""

    async def journey(house: House, actor: Actor) -> Taken:
        with lines.open("rb") as handle:
            return await take(house.database, house.clock, actor, source, handle)

    done = acted(username, journey)
    say({"registry": source, "position": done.position, "taken": done.taken, "known": done.known, "flagged": len(done.flags)})
    for flag in done.flags:
        print(f"line {flag.line}: {flag.why}", file=sys.stderr)
    raise typer.Exit(1 if done.flags else 0)


@registry.command("add")
def add(
    name: str,
    division: Annotated[list[str], typer.Option(help="GB/T 2260: of whose seals it speaks")],
    url: Annotated[str, typer.Option(help="its base address; without one it is never asked")] = "",
    root: Roots = None,
    username: PersonOrSystem = None,
) -> None:
    """Register another registry of seals: it is asked at this address, and believed when signed under these roots."""
    made = Registry(name, url.rstrip("/"), tuple(division), tuple(read_bundle(root.read_bytes())) if root else ())
    say(_shown(acted(username, lambda house, actor: register(house.database, house.clock, actor, made, house.settings.reachable))))


def _shown(one: Registry) -> dict[str, Any]:
    return {"name": one.name, "url": one.url, "divisions": list(one.divisions), "roots": len(one.roots)}


@registry.command("list")
def list_all() -> None:
    """Print the registries whose word counts here."""

    async def journey(house: House) -> tuple[Registry, ...]:
        async with house.database.session() as session:
            return await registries(session)

    for one in with_house(journey):
        say(_shown(one))


@registry.command("withdraw")
def stop(name: str, username: PersonOrSystem = None) -> None:
    """Its word counts no more and it is asked no more."""
    acted(username, lambda house, actor: withdraw(house.database, house.clock, actor, name))


REGISTER: dict[str, Callable[..., None]] = {"status": status, "status-list": status_list}
"""The commands by their names below ``fujie seal``."""
