"""``fujie keys renew`` and ``rekey``: a certificate's successor, from the machine itself. The certificate before stays in force."""

from pathlib import Path
from typing import Annotated

import orjson
import typer
from asn1crypto import pem

from api.commands.house import with_house
from api.commands.status import Serial, parse_serial
from api.wiring import House
from keys.base.actor import SYSTEM
from keys.pki.issuing import IssuedCertificate
from keys.pki.reads import serial_text
from keys.pki.renewal import rekey as rekey_certificate
from keys.pki.renewal import renew as renew_certificate
from keys.pki.requests import read_request

Output = Annotated[Path, typer.Option("--output", "-o", help="where the certificate and its chain go (PEM); the file must not exist")]
Request = Annotated[Path, typer.Option(help="a PKCS #10 request made with the new key", exists=True, dir_okay=False)]


def renew(serial: Serial, output: Output) -> None:
    """Certify the same key for another period."""
    number = parse_serial(serial)

    async def journey(house: House) -> IssuedCertificate:
        house.guard.now()  # nothing is certified while the clock is in doubt
        return await renew_certificate(house.database, house.keystore, house.clock, SYSTEM, number)

    _write(with_house(journey), output)


def rekey(serial: Serial, request: Request, output: Output) -> None:
    """Certify a new key for the same subject. Only the key is taken from the request, and proof that somebody has it."""
    number, wanted = parse_serial(serial), read_request(request.read_bytes())

    async def journey(house: House) -> IssuedCertificate:
        house.guard.now()
        return await rekey_certificate(house.database, house.keystore, house.clock, SYSTEM, number, wanted.public_key)

    _write(with_house(journey), output)


def _write(issued: IssuedCertificate, output: Path) -> None:
    with output.open("xb") as file:
        file.write(b"".join(pem.armor("CERTIFICATE", der) for der in (issued.certificate, *issued.chain)))
    print(orjson.dumps({"serial": serial_text(issued.serial), "file": str(output)}).decode())
