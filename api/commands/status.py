"""``fujie keys status|suspend|resume|revoke``: the status of certificates, from the machine itself. Every change is audited."""

import datetime as dt
from typing import Annotated, Any

import orjson
import typer

from api.commands.house import with_house
from api.wiring import House
from keys.base.actor import SYSTEM
from keys.base.errors import InvalidInput
from keys.pki.reads import serial_text, status_at, status_history
from keys.pki.status import resume_certificate, revoke_certificate, suspend_certificate

_LONGEST_SERIAL = 40  # hexadecimal digits of 20 octets, RFC 5280 §4.1.2.2

Serial = Annotated[str, typer.Argument(metavar="SERIAL", help="serial number of the certificate, hexadecimal, colons allowed")]
Reason = Annotated[str, typer.Option(help="RFC 5280: key_compromise, superseded, cessation_of_operation, affiliation_changed, …")]
Instant = Annotated[str, typer.Option("--at", metavar="TIME", help="ISO 8601 with its zone; now if none is given")]
Invalid = Annotated[str, typer.Option("--invalid-since", metavar="TIME", help="since when the key is thought to be compromised")]


def status(serial: Serial, at: Instant = "") -> None:
    """Print a certificate's status, now or at an instant of the past, and its history."""
    number, instant = parse_serial(serial), _instant(at)

    async def journey(house: House) -> dict[str, Any]:
        async with house.database.session() as session:
            when = instant or house.clock.now()
            report = await status_at(session, number, when)
            changes = await status_history(session, number)
        told = {"serial": serial_text(number), "at": _text(when), "status": report.status.value}
        if report.revoked_at is not None:
            told |= {"since": _text(report.revoked_at), "reason": report.reason or ""}
        return told | {"history": [{"at": _text(one.at), "move": one.move, "to": one.status, "by": one.actor_id} for one in changes]}

    print(orjson.dumps(with_house(journey)).decode())


def revoke(serial: Serial, reason: Reason, invalid_since: Invalid = "") -> None:
    """Revoke a certificate, for good."""
    number, since = parse_serial(serial), _instant(invalid_since)
    with_house(lambda house: revoke_certificate(house.database, house.clock, SYSTEM, number, reason, since))
    status(serial)


def suspend(serial: Serial) -> None:
    """Put a certificate on hold (certificateHold)."""
    number = parse_serial(serial)
    with_house(lambda house: suspend_certificate(house.database, house.clock, SYSTEM, number))
    status(serial)


def resume(serial: Serial) -> None:
    """End the hold of a certificate."""
    number = parse_serial(serial)
    with_house(lambda house: resume_certificate(house.database, house.clock, SYSTEM, number))
    status(serial)


def parse_serial(text: str) -> int:
    """As openssl prints serial numbers; ``InvalidInput``."""
    digits = text.strip().removeprefix("0x").replace(":", "")
    if not 1 <= len(digits) <= _LONGEST_SERIAL or not all(one in "0123456789abcdefABCDEF" for one in digits):
        raise InvalidInput("not a serial number")
    return int(digits, 16)


def _instant(text: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("not an ISO 8601 time") from None
    if instant.tzinfo is None:
        raise InvalidInput("a time needs its zone, such as +08:00")
    return instant.astimezone(dt.UTC)


def _text(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).isoformat(timespec="seconds")
