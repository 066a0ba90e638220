"""``fujie client``: the portals and systems that speak OpenID Connect with us."""

from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.wiring import House
from identity.clients import NewClient, create_client, list_clients, rotate_secret

app = typer.Typer(add_completion=False, no_args_is_help=True, help="OpenID clients.", pretty_exceptions_enable=False)


@app.command()
def create(
    name_zh: Annotated[str, typer.Argument(help="the portal's Chinese name, shown when consent is asked")],
    name_en: Annotated[str, typer.Argument(help="its English name")],
    division: Annotated[str, typer.Option(help="GB/T 2260 division code, 6 digits")],
    redirect_uri: Annotated[list[str] | None, typer.Option(help="where codes are sent, exactly")] = None,
    logout_uri: Annotated[list[str] | None, typer.Option(help="where a browser may be sent after logging out")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="what it may ask for")] = None,
    organisation: Annotated[str | None, typer.Option(help="USCC of the organisation it acts for")] = None,
    service: Annotated[bool, typer.Option("--service", help="acts for itself (client credentials)")] = False,
    public: Annotated[bool, typer.Option("--public", help="keeps no secret (a mobile or browser application)")] = False,
) -> None:
    """Register a client and print its identifier and secret; the secret is shown this once."""
    new = NewClient(
        name_zh=name_zh,
        name_en=name_en,
        division=division,
        organisation=organisation,
        redirect_uris=tuple(redirect_uri or ()),
        post_logout_redirect_uris=tuple(logout_uri or ()),
        grant_types=("client_credentials",) if service else ("authorization_code", "refresh_token"),
        scopes=tuple(scope or (("verify",) if service else ("openid", "profile"))),
        public=public,
    )

    async def journey(house: House) -> dict[str, str | None]:
        async with house.database.begin() as session:
            client, secret = await create_client(session, house.clock.now(), new)
        return {"client_id": client.client_id, "client_secret": secret}

    print(orjson.dumps(with_house(journey)).decode())


@app.command("list")
def list_all() -> None:
    """Print every active client, one JSON object a line."""

    async def journey(house: House) -> list[dict[str, object]]:
        async with house.database.session() as session:
            clients = await list_clients(session, house.clock.now())
        return [
            {"client_id": client.client_id, "name": client.name_zh, "division": client.division, "scopes": sorted(client.scopes)}
            for client in clients
        ]

    for row in with_house(journey):
        print(orjson.dumps(row).decode())


@app.command()
def rotate(client_id: str) -> None:
    """Give a client a new secret and print it; the old one stays valid for two weeks."""

    async def journey(house: House) -> str:
        async with house.database.begin() as session:
            return await rotate_secret(session, house.clock.now(), client_id)

    print(with_house(journey))
