"""``fujie authority``: certificates that somebody else issues for keys of ours: request out, certificate and chain in."""

from pathlib import Path
from typing import Annotated

import orjson
import typer
from asn1crypto import pem

from api.commands.house import with_house
from api.commands.trust import As, as_person
from api.wiring import House
from keys.custody.store import Algorithm
from keys.pki.certificate import Subject
from keys.pki.external import RequestOrder, accept, request
from keys.trust.answers import refresh_all
from keys.trust.certificates import fingerprint, read_certificate

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Certificates that others issue for keys of ours.", pretty_exceptions_enable=False
)


@app.command("request")
def request_certificate(
    name: Annotated[str, typer.Argument(help="of the authority, as in /pki/NAME.crt, or of the signer")],
    username: As,
    profile: Annotated[str, typer.Option(help="seal-ca, seal-maker-ca, document-ca …; document-signer, seal-signer-sm, seal-maker")],
    common_name: Annotated[str, typer.Option(help="whom the certificate names")],
    organisation: Annotated[str, typer.Option(help="its organisation")],
    division: Annotated[str, typer.Option(help="GB/T 2260 code, 6 digits")],
    organisation_code: Annotated[str, typer.Option(help="USCC")] = "",
    algorithm: Annotated[Algorithm, typer.Option(help="kind of key")] = Algorithm.P256,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="default: standard output")] = None,
) -> None:
    """Make a key in custody and write a request (PKCS #10, PEM) for the authority above. Again: the same request."""
    order = RequestOrder(name, profile, Subject(common_name, organisation, organisation_code, division), algorithm)
    encoded = as_person(username, lambda house, actor: request(house.database, house.keystore, house.clock, actor, house.base_url, order))
    text = pem.armor("CERTIFICATE REQUEST", encoded).decode()
    if output is None:
        print(text, end="")
    else:
        output.write_text(text)


@app.command("accept")
def accept_certificate(
    name: Annotated[str, typer.Argument(help="the name it was requested under")],
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="certificate and chain: PEM, DER, PKCS #7")],
    username: As,
) -> None:
    """Take the certificate in, with its chain up to an approved authority (``fujie trust``)."""
    bundle = file.read_bytes()
    taken = as_person(username, lambda house, actor: accept(house.database, house.clock, actor, name, bundle))
    told = {
        "name": taken.name,
        "sha256": fingerprint(taken.certificate).hex(),
        "not_after": read_certificate(taken.certificate).not_after.isoformat(),
        "chain": [read_certificate(one).name for one in taken.chain],
    }
    print(orjson.dumps(told).decode())


@app.command("refresh")
def refresh_lists() -> None:
    """Fetch the revocation lists and OCSP answers of others that are due now. Exit 1 where one could not be had."""

    async def journey(house: House) -> tuple[int, dict[str, str]]:
        done = await refresh_all(house.database, house.clock)
        return done.kept, dict(done.failed)

    kept, failed = with_house(journey)
    print(orjson.dumps({"kept": kept, "failed": failed}).decode())
    raise SystemExit(1 if failed else 0)
