"""``fujie keys``: what signs, until when."""

import orjson
import typer
from cryptography import x509

from api.commands.house import with_house
from api.wiring import House
from keys.jwks import public_jwks
from keys.pki.authority import authority_certificate
from keys.pki.profiles import DEMONSTRATION_AUTHORITIES

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Keys and authorities.", pretty_exceptions_enable=False)


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
                certificate = x509.load_der_x509_certificate(await authority_certificate(session, name))
                rows.append(
                    {
                        "kind": "authority",
                        "name": name,
                        "subject": certificate.subject.rfc4514_string(),
                        "not_after": certificate.not_valid_after_utc.isoformat(),
                    }
                )
        return rows

    for row in with_house(journey):
        print(orjson.dumps(row).decode())
