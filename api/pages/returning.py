"""Where a page leads after its form: somewhere on this site, and through it perhaps back to a registered client."""

import base64
from urllib.parse import parse_qsl, urlsplit

import orjson
from starlette.requests import Request

from api.pages.guard import house_of, origin_of
from identity.clients import get_client, without_loopback_port
from identity.oauth_validation import CLIENT_ID

LONGEST_PATH = 8192
AUTHORIZE, END_SESSION = "/oauth/authorize", "/oauth/logout"


def local_path(value: str | None, default: str = "/account") -> str:
    r"""``value`` if it is an address on this very site, else ``default``: nobody is led elsewhere by a link of ours.

    Refused are other schemes and hosts, ``//host``, ``/\host``, and blanks and control characters, which browsers drop unseen.

    >>> local_path("//evil.example"), local_path("/oauth/authorize?state=1")
    ('/account', '/oauth/authorize?state=1')
    """
    if not value or len(value) > LONGEST_PATH or not value.startswith("/") or value.startswith("//"):
        return default
    if "\\" in value or any(character <= " " or character == "\x7f" for character in value):
        return default
    return value


def parameters_of(path: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(path).query)


def source_of(uri: str, any_port: bool = False) -> str:
    """The origin of a registered address as a CSP source; of a private-use scheme, the scheme.

    ``any_port``: of a client that may listen on any port of the loopback interface.
    """
    scheme = urlsplit(uri).scheme
    if any_port and (loopback := without_loopback_port(uri)):
        return f"http://{loopback[0]}:*"
    return origin_of(uri) if scheme in {"http", "https"} else f"{scheme}:"


async def form_targets(request: Request, path: str) -> tuple[str, ...]:
    """The origins a form may end at when ``path`` follows: those its client registered, never what the address asks for."""
    client_id = _client_id(path)
    if client_id is None:
        return ()
    house = house_of(request)
    async with house.database.session() as session:
        client = await get_client(session, house.clock.now(), client_id)
    if client is None:
        return ()
    back = {source_of(uri, client.public) for uri in client.redirect_uris}
    return tuple(sorted(back.union(map(source_of, client.post_logout_redirect_uris))))


def _client_id(path: str) -> str | None:
    """Whom the request in ``path`` is from, as it says itself: good enough to look up what that client registered."""
    if urlsplit(path).path not in {AUTHORIZE, END_SESSION}:
        return None
    parameters = dict(parameters_of(path))
    named = parameters.get("client_id") or _audience(parameters.get("id_token_hint", "")) or ""
    return named if CLIENT_ID.fullmatch(named) else None


def _audience(token: str) -> str | None:
    """The ``aud`` of an ID token, unverified: it only chooses among registered addresses."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        audience = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["aud"]
    except (ValueError, KeyError, TypeError):
        return None
    return audience if isinstance(audience, str) else None
