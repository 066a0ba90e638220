"""``fujie seal``: the life of a seal from its application to the filing of its cancellation.

Where a person is needed (applying, reviewing) ``--as NAME`` names them: they log in at the terminal with both factors, hold the role, and
stand in the audit log. Everything else an administrator of the machine may also do without, and stands there as the system.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer

from api.commands.house import with_house
from api.commands.trust import as_person
from api.seal_names import RegisteredNames
from api.seal_views import notice_json, seal_json, statistics_json
from api.wiring import House
from identity.organisations import get_organisation
from keys.base.actor import SYSTEM, Actor
from seal.activation import activate_seal, file_seal
from seal.asn1_build import DEFAULT_VERSION
from seal.changes import expire_seals, file_cancellation, move_seal
from seal.impressions import MediaType, Upload
from seal.kinds import SealKind
from seal.lifecycle import Move, Succession
from seal.making import SealOrder, apply_for_seal, make_reviewed_seal
from seal.motives import Why, read_papers
from seal.notices import mark_read, notices_of
from seal.reads import Seal, list_applications
from seal.reviewing import review_seal
from seal.statistics import statistics
from seal.succession import Changes, succeed

T = TypeVar("T")
Person = Annotated[str, typer.Option("--as", metavar="NAME", help="who does this; asked for password and code")]
PersonOrSystem = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="who does this, asked for password and code; else the system itself")
]
Reason = Annotated[str, typer.Option(help="why, in words; kept in the seal's history")]
Code = Annotated[str, typer.Option("--reason-code", help="why, a code of docs/seals.md; else the step's usual one")]
Papers = Annotated[
    list[str] | None, typer.Option("--document", metavar="KIND:FILE", help="what it rests on; the file's SHA-256 and name are kept")
]
From = Annotated[dt.datetime | None, typer.Option("--from", help="valid from (UTC); default now")]
To = Annotated[dt.datetime | None, typer.Option("--to", help="valid until (UTC)")]
_MEDIA_TYPES = {".png": MediaType.PNG, ".svg": MediaType.SVG, ".jpg": MediaType.JPEG, ".jpeg": MediaType.JPEG}


def say(value: object) -> None:
    print(orjson.dumps(value).decode())


def why(code: str, reason: str, papers: list[str] | None) -> Why:
    """The reason as it was typed; each document is read for its hash."""
    return Why(code, reason, read_papers(_paper(one) for one in papers or ()))


def _paper(text: str) -> dict[str, Any]:
    kind, _, name = text.partition(":")
    file = Path(name)
    if not file.is_file():
        raise typer.BadParameter(f"{text!r} is not KIND:FILE")
    return {"kind": kind, "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "name": file.name}


def acted(username: str | None, journey: Callable[[House, Actor], Awaitable[T]]) -> T:
    """Run it for the person, who logs in for it, or for the system."""
    return as_person(username, journey) if username else with_house(lambda house: journey(house, SYSTEM))


def utc(instant: dt.datetime | None) -> dt.datetime | None:
    return instant.replace(tzinfo=dt.UTC) if instant is not None and instant.tzinfo is None else instant


def apply(
    name: Annotated[str, typer.Argument(help="the seal's name, as it stands in the structure")],
    username: Person,
    valid_to: Annotated[dt.datetime, typer.Option("--to", help="valid until (UTC)")],
    kind: Annotated[SealKind, typer.Option(help="what kind of seal")] = SealKind.STATUTORY,
    organisation: Annotated[str | None, typer.Option(help="USCC; default the person's own")] = None,
    organisation_name: Annotated[str | None, typer.Option(help="the name on the arc; default as registered")] = None,
    lower_text: Annotated[str | None, typer.Option(help="below the star; default the kind's own")] = None,
    valid_from: From = None,
    ses_version: Annotated[int, typer.Option(help="5, or 4 for readers that know no other")] = DEFAULT_VERSION,
    impression: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="an uploaded impression (PNG, SVG, JPEG) instead of a drawn one")
    ] = None,
    size: Annotated[tuple[float, float], typer.Option(metavar="WIDTH HEIGHT", help="of the impression, in mm")] = (42.0, 42.0),
    reason: Reason = "",
    reason_code: Code = "",
    document: Papers = None,
) -> None:
    """Apply for a seal, as the organisation's keeper; two other people review it."""
    motive = why(reason_code, reason, document)

    async def journey(house: House, actor: Actor) -> Seal:
        uscc = organisation or actor.organisation or ""
        async with house.database.session() as session:
            known = await get_organisation(session, uscc)
        order = SealOrder(
            name=name,
            kind=kind,
            organisation=uscc,
            organisation_name=organisation_name or (known.name if known else ""),
            division=(known.division if known else actor.division) or "",
            lower_text=lower_text,
            valid_from=utc(valid_from) or house.clock.now(),
            valid_to=utc(valid_to) or house.clock.now(),
            ses_version=ses_version,
            impression=None if impression is None else _upload(impression, size),
        )
        return await apply_for_seal(house.database, house.guard, actor, order, motive, register=RegisteredNames(house.database))

    say(seal_json(as_person(username, journey)))


def _upload(file: Path, size: tuple[float, float]) -> Upload:
    if file.suffix.lower() not in _MEDIA_TYPES:
        raise typer.BadParameter("an impression is PNG, SVG or JPEG")
    return Upload(file.read_bytes(), _MEDIA_TYPES[file.suffix.lower()], *size)


def applications(division: Annotated[str, typer.Option(help="GB/T 2260; and those below it")]) -> None:
    """Print what waits for a reviewer, one JSON object a line."""

    async def journey(house: House) -> list[Seal]:
        async with house.database.session() as session:
            return await list_applications(session, division=division)

    for seal in with_house(journey):
        say(seal_json(seal))


def review(
    application: uuid.UUID,
    username: Person,
    reject: Annotated[bool, typer.Option("--reject", help="say no")] = False,
    reason: Reason = "",
    reason_code: Code = "",
    document: Papers = None,
) -> None:
    """Agree to an application, or refuse it; it takes two people who agree, neither of them the applicant."""
    motive = why(reason_code, reason, document)

    async def journey(house: House, actor: Actor) -> Seal:
        return await review_seal(house.database, house.clock, actor, application, approved=not reject, reason=motive)

    say(seal_json(as_person(username, journey)))


def make(application: uuid.UUID, username: PersonOrSystem = None, reason: Reason = "", reason_code: Code = "") -> None:
    """Make a reviewed seal: code, impression, keys, certificates, structure."""
    motive = why(reason_code, reason, None)

    async def journey(house: House, actor: Actor) -> Seal:
        return await make_reviewed_seal(house.database, house.keystore, house.guard, actor, application, motive)

    say(seal_json(acted(username, journey)))


def file(code: str, username: PersonOrSystem = None, reason: Reason = "", reason_code: Code = "", document: Papers = None) -> None:
    """File a made seal under its code."""
    motive = why(reason_code, reason, document)
    say(seal_json(acted(username, lambda house, actor: file_seal(house.database, house.clock, actor, code, motive))))


def activate(code: str, username: PersonOrSystem = None, reason: Reason = "", reason_code: Code = "", document: Papers = None) -> None:
    """From now on the seal may be used; the one whose place it takes ends at the same instant."""
    motive = why(reason_code, reason, document)
    say(seal_json(acted(username, lambda house, actor: activate_seal(house.database, house.clock, actor, code, motive))))


def _succeed(code: str, username: str, succession: Succession, changes: Changes, motive: Why) -> None:
    async def journey(house: House, actor: Actor) -> Seal:
        names = RegisteredNames(house.database)
        return await succeed(house.database, house.guard, actor, code, succession, changes, motive, register=names)

    say(seal_json(as_person(username, journey)))


def change(
    code: str,
    username: Person,
    name: Annotated[str | None, typer.Option(help="the seal's new name")] = None,
    organisation_name: Annotated[str | None, typer.Option(help="the new name on the arc")] = None,
    lower_text: Annotated[str | None, typer.Option(help="the new text below the star")] = None,
    valid_from: From = None,
    valid_to: To = None,
    reason: Reason = "",
    reason_code: Code = "",
    document: Papers = None,
) -> None:
    """Order a seal with another name, other words or another period in the place of this one; it gets a code of its own."""
    changes = Changes(name, organisation_name, lower_text, utc(valid_from), utc(valid_to))
    _succeed(code, username, Succession.CHANGE, changes, why(reason_code, reason, document))


def remake(code: str, username: Person, valid_to: To = None, reason: Reason = "", reason_code: Code = "", document: Papers = None) -> None:
    """Order the same seal again, with a code of its own: damaged, lost, expired, or its certificate was re-issued."""
    _succeed(code, username, Succession.REMAKE, Changes(valid_to=utc(valid_to)), why(reason_code, reason, document))


def _move(code: str, username: str | None, step: Move, motive: Why) -> None:
    say(seal_json(acted(username, lambda house, actor: move_seal(house.database, house.clock, actor, code, step, motive))))


Needed = Annotated[str, typer.Option(help="why, in words; kept in the seal's history")]


def suspend(code: str, reason: Needed, username: PersonOrSystem = None, reason_code: Code = "", document: Papers = None) -> None:
    """Stop a seal for now: from this instant it stamps nothing, and its certificates are on hold."""
    _move(code, username, Move.SUSPEND, why(reason_code, reason, document))


def resume(code: str, reason: Needed, username: PersonOrSystem = None, reason_code: Code = "", document: Papers = None) -> None:
    """Let a suspended seal be used again."""
    _move(code, username, Move.RESUME, why(reason_code, reason, document))


def report_lost(code: str, reason: Needed, username: PersonOrSystem = None, reason_code: Code = "", document: Papers = None) -> None:
    """Control over the seal was lost: stop it for good and revoke its certificates."""
    _move(code, username, Move.REPORT_LOST, why(reason_code, reason, document))


def cancel(code: str, reason: Needed, username: PersonOrSystem = None, reason_code: Code = "", document: Papers = None) -> None:
    """End a seal; its code is never given again."""
    _move(code, username, Move.CANCEL, why(reason_code, reason, document))


def close(code: str, username: PersonOrSystem = None, reason: Reason = "", reason_code: Code = "", document: Papers = None) -> None:
    """File the cancellation of a seal."""
    motive = why(reason_code, reason, document)
    say(seal_json(acted(username, lambda house, actor: file_cancellation(house.database, house.clock, actor, code, motive))))


def expire() -> None:
    """End the seals whose period is over, as the running service does by itself, and print their codes."""

    async def journey(house: House) -> list[str]:
        return await expire_seals(house.database, house.clock)

    for code in with_house(journey):
        say({"code": code, "status": "expired"})


def notices(username: Person, read: Annotated[bool, typer.Option("--read", help="mark them as seen")] = False) -> None:
    """Print what the keepers of the person's organisation are told, latest first."""

    async def journey(house: House, actor: Actor) -> list[dict[str, Any]]:
        async with house.database.begin() as session:
            found = await notices_of(session, actor)
            if read and found:
                await mark_read(session, house.clock.now(), actor, found[0].id)
        return [notice_json(one) for one in found]

    for notice in as_person(username, journey):
        say(notice)


def count(
    organisation: Annotated[str | None, typer.Option(help="USCC; all without it")] = None,
    months: Annotated[int, typer.Option(min=1, max=36, help="uses of so many months")] = 12,
) -> None:
    """Print how many seals there are of which organisation, kind and status, and their uses by month."""

    async def journey(house: House) -> dict[str, Any]:
        async with house.database.session() as session:
            return statistics_json(await statistics(session, SYSTEM, house.clock.now(), organisation=organisation, months=months))

    say(with_house(journey))


LIFE: dict[str, Callable[..., None]] = {
    "apply": apply,
    "applications": applications,
    "review": review,
    "make": make,
    "file": file,
    "activate": activate,
    "change": change,
    "remake": remake,
    "suspend": suspend,
    "resume": resume,
    "report-lost": report_lost,
    "cancel": cancel,
    "file-cancellation": close,
    "expire": expire,
    "notices": notices,
    "statistics": count,
}
"""The commands by their names below ``fujie seal``."""
