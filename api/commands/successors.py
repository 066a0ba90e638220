"""``fujie keys renew``, ``rekey`` and ``encryption-pair``: what follows a certificate, from the machine itself. It stays in force."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.commands.status import Serial, parse_serial
from api.files import require_new
from api.wiring import House
from keys.base.actor import SYSTEM
from keys.pki.encryption_pairs import EncryptionPair, issue_encryption_pair
from keys.pki.issuing import IssuedCertificate
from keys.pki.reads import serial_text
from keys.pki.renewal import rekey as rekey_certificate
from keys.pki.renewal import renew as renew_certificate
from keys.pki.requests import read_request

Output = Annotated[Path, typer.Option("--output", "-o", help="where the certificate and its chain go (PEM); the file must not exist")]
Request = Annotated[Path, typer.Option(help="a PKCS #10 request made with the new key", exists=True, dir_okay=False)]


def renew(serial: Serial, output: Output) -> None:
    """Certify the same key for another period."""
    require_new(output)
    number = parse_serial(serial)

    async def journey(house: House) -> IssuedCertificate:
        house.guard.now()  # nothing is certified while the clock is in doubt
        return await renew_certificate(house.database, house.keystore, house.clock, SYSTEM, number)

    _write(with_house(journey), output)


def rekey(serial: Serial, request: Request, output: Output) -> None:
    """Certify a new key for the same subject. Only the key is taken from the request, and proof that somebody has it."""
    require_new(output)
    number, wanted = parse_serial(serial), read_request(request.read_bytes())

    async def journey(house: House) -> IssuedCertificate:
        house.guard.now()
        return await rekey_certificate(house.database, house.keystore, house.clock, SYSTEM, number, wanted.public_key)

    _write(with_house(journey), output)


def encryption_pair(
    serial: Serial,
    output: Output,
    key: Annotated[Path, typer.Option(help="where the private key goes, enveloped for the signing key (GB/T 35276); must not exist")],
) -> None:
    """Make the encryption pair beside an SM2 signing certificate (GB/T 20518). No copy of the private key stays here."""
    require_new(output)
    require_new(key)
    number = parse_serial(serial)

    async def journey(house: House) -> EncryptionPair:
        house.guard.now()
        return await issue_encryption_pair(house.database, house.keystore, house.clock, SYSTEM, number)

    pair = with_house(journey)
    with key.open("xb") as file:
        file.write(pair.enveloped_key)
    _write(pair.issued, output)


def _write(issued: IssuedCertificate, output: Path) -> None:
    with output.open("xb") as file:
        file.write(issued.pem())
    print(orjson.dumps({"serial": serial_text(issued.serial), "file": str(output)}).decode())
