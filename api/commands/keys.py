"""``fujie keys``: what signs, until when."""

import contextlib

import orjson
import typer
from asn1crypto import x509

from api.commands.house import with_house
from api.wiring import House
from keys.jwks import public_jwks
from keys.pki.authority import authority_certificate
from keys.pki.errors import AuthorityUnknown
from keys.pki.profiles import DEMONSTRATION_AUTHORITIES

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Keys and authorities.", pretty_exceptions_enable=False)


def _authority(name: str, der: bytes) -> dict[str, str]:
    certificate = x509.Certificate.load(der)
    return {
        "kind": "authority",
        "name": name,
        "subject": certificate.subject.human_friendly,
        "not_after": certificate["tbs_certificate"]["validity"]["not_after"].native.isoformat(),
    }


@app.callback()
def _group() -> None:
    """Keys and authorities."""


@app.command("list")
def list_all() -> None:
    """Print the authorities and the token signing keys, one JSON object a line."""

    async def journey(house: House) -> list[dict[str, str]]:
        async with house.database.session() as session:
            rows = [{"kind": "token", "kid": key["kid"], "alg": key["alg"]} for key in (await public_jwks(session))["keys"]]
            for name in (plan.name for plan in DEMONSTRATION_AUTHORITIES):
                with contextlib.suppress(AuthorityUnknown):  # there are none outside a demonstration
                    rows.append(_authority(name, await authority_certificate(session, name)))
        return rows

    for row in with_house(journey):
        print(orjson.dumps(row).decode())
