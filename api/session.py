"""Who is logged in at this browser, for the pages: the account and its live session, or nobody."""

from dataclasses import dataclass

from starlette.requests import Request

from api.cookies import clear_session_cookie, session_secret, set_session_cookie
from identity.people import Account, actor_of, get_account
from identity.sessions import Session, find_session
from keys.base.actor import Actor
from keys.base.errors import FujieError


class LoginRequired(FujieError):
    """The page is for people who are logged in; a browser is sent to the log-in instead of seeing this."""

    code = "NOT_LOGGED_IN"
    status = 401
    public = ("请先登录。", "Please log in first.")


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who is logged in."""

    account: Account
    session: Session

    @property
    def actor(self) -> Actor:
        return actor_of(self.account, self.session)


async def current(request: Request) -> Present | None:
    """The person at the browser. Seeing them counts as activity of the session, hence the transaction."""
    secret = session_secret(request)
    if secret is None:
        return None
    house = request.app.state.house
    async with house.database.begin() as database_session:
        session = await find_session(database_session, house.clock.now(), secret)
        account = await get_account(database_session, session.account_id) if session else None
    return Present(account, session) if session and account else None


def require_login(request: Request) -> Present:
    """The person the guard found at the browser. Raises LoginRequired."""
    present: Present | None = getattr(request.state, "present", None)
    if present is None:
        raise LoginRequired
    return present


__all__ = ["LoginRequired", "Present", "clear_session_cookie", "current", "require_login", "session_secret", "set_session_cookie"]
