"""Logging out at a portal's wish (OpenID Connect RP-Initiated Logout 1.0), and what ends with a session.

:func:`log_out_for_client`
  1. *read*        a genuine ``id_token_hint`` (expired or not, §2), the client, the registered return address
  2. *may_end*     the hint is of the browser's own session, or there is no session left: nothing is asked; else the person is
  3. *end*         the session, its access tokens, its refresh tokens that are not offline; audited
  4. *return*      to the client's registered address with ``state``, else to our own page
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select, update

from identity.authorization import with_parameters
from identity.clients import Client, get_client
from identity.oauth_validation import CLIENT_ID
from identity.oidc_errors import OAuthError, UnknownClient
from identity.oidc_models import ACCESS_TOKENS, GRANTS, SESSIONS
from identity.provider import ID_TOKEN_TYPE, Provider
from identity.sessions import Session, end_session, find_session
from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from keys.evidence.audit import Event, Outcome, record

ADDRESS = "/oauth/logout"
CONFIRM = "/logout"
DONE = "/logout?done=1"


class BadLogoutHint(OAuthError):
    """The hint is not an ID token of ours, or another client's: nothing is ended, nobody is sent anywhere (§4)."""

    code = "BAD_LOGOUT_HINT"
    public = ("退出请求中的 id_token_hint 无效。", "The id_token_hint of the log-out is not valid.")


class BadLogoutAddress(OAuthError):
    """The return address is not registered exactly so (§3): nobody is sent anywhere."""

    code = "POST_LOGOUT_REDIRECT_URI_MISMATCH"
    public = ("该应用的退出返回地址与登记的不一致。", "The return address after the log-out is not the registered one.")
    audited = True


async def log_out_for_client(provider: Provider, parameters: Mapping[str, str], session_secret: str | None) -> tuple[str, bool]:
    """Where the browser goes next, and whether its session is over.

    Raises BadLogoutHint, BadLogoutAddress, UnknownClient: shown on a page of ours.
    """
    now = provider.clock.now()
    hint = await _read_hint(provider, now, parameters.get("id_token_hint"))
    async with provider.database.begin() as session:
        client = await _client(session, now, parameters, hint)
        target = _return_address(client, parameters)
        present = await find_session(session, now, session_secret) if session_secret else None
        if not _may_end(hint, present):
            return f"{CONFIRM}?{urlencode({'next': f'{ADDRESS}?{urlencode(parameters)}'})}", False
        ended = (present.id, present.account_id) if present else await _hinted_session(session, hint)
        if ended is not None:
            await end_everything(session, now, *ended, "logged out by a client")
        return target, True


async def log_out_confirmed(provider: Provider, parameters: Mapping[str, str], session_secret: str | None) -> str:
    """The person said yes on our page: end their session and go where the client's request, if there is one, leads.

    ``parameters`` are those of the ``next`` that :func:`log_out_for_client` gave the page, or none.
    """
    now = provider.clock.now()
    hint = await _read_hint(provider, now, parameters.get("id_token_hint"))
    async with provider.database.begin() as session:
        target = _return_address(await _client(session, now, parameters, hint), parameters)
        present = await find_session(session, now, session_secret) if session_secret else None
        if present is not None:
            await end_everything(session, now, present.id, present.account_id, "logged out")
        return target


async def _hinted_session(session: AsyncSession, hint: dict[str, Any] | None) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The session that the hint names, idle or not: a form post from another site brings the hint but not the cookie."""
    if hint is None:
        return None
    named = select(*SESSIONS.c["id", "account_id"]).where(SESSIONS.c.id == uuid.UUID(hint["sid"]), SESSIONS.c.ended_at.is_(None))
    row = (await session.execute(named)).one_or_none()
    return (row.id, row.account_id) if row else None


async def end_everything(session: AsyncSession, now: dt.datetime, session_id: uuid.UUID, account_id: uuid.UUID, reason: str) -> None:
    """End the session, and with it its access tokens and every grant that is not offline. Audited."""
    await end_session(session, now, session_id, "logout")
    await session.execute(
        update(GRANTS)
        .where(GRANTS.c.session_id == session_id, GRANTS.c.offline.is_(False), GRANTS.c.revoked_at.is_(None))
        .values(revoked_at=now, revoked_because=reason)
    )
    offline = select(GRANTS.c.id).where(GRANTS.c.session_id == session_id, GRANTS.c.offline)
    await session.execute(
        update(ACCESS_TOKENS).where(ACCESS_TOKENS.c.grant_id.in_(offline), ACCESS_TOKENS.c.expires_at > now).values(revoked_at=now)
    )
    actor = Actor(ActorKind.PERSON, str(account_id))
    await record(session, now, Event("identity.logout.end", f"session:{session_id}", Outcome.DONE, actor, {"reason": reason}))


async def _read_hint(provider: Provider, now: dt.datetime, token: str | None) -> dict[str, Any] | None:
    if token is None:
        return None
    claims = await provider.keys.recognise(now, ID_TOKEN_TYPE, token)
    if claims is None or claims.get("iss") != provider.issuer:
        raise BadLogoutHint
    return claims


async def _client(session: AsyncSession, now: dt.datetime, parameters: Mapping[str, str], hint: dict[str, Any] | None) -> Client | None:
    """The client that asks. §2: client_id, when given beside the hint, MUST be the hint's audience."""
    named = parameters.get("client_id")
    if hint is not None and named not in {None, hint.get("aud")}:
        raise BadLogoutHint("another client")
    client_id = named or (hint or {}).get("aud")
    if client_id is None:
        return None
    client = await get_client(session, now, client_id) if CLIENT_ID.fullmatch(client_id) else None
    if client is None:
        raise UnknownClient
    return client


def _return_address(client: Client | None, parameters: Mapping[str, str]) -> str:
    target = parameters.get("post_logout_redirect_uri")
    if target is None:
        return DONE
    if client is None or target not in client.post_logout_redirect_uris:
        raise BadLogoutAddress
    state = parameters.get("state")
    return with_parameters(target, {"state": state}) if state else target


def _may_end(hint: dict[str, Any] | None, present: Session | None) -> bool:
    """Whether nothing need be asked: the hint is of this very session, or of this person, or nobody is logged in.

    Another person's hint must not end this person's session; without a hint anybody's link could (§6).
    """
    if present is None:
        return True
    return hint is not None and (hint.get("sid") == present.sid or hint.get("sub") == str(present.account_id))
