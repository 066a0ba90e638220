"""People of the demonstration city at their browsers, each logged in once a test process.

A one-time code is good once and lasts half a minute: tests that share a city would wait for each other's, or use one twice.
"""

import time

import httpx2
import pyotp

from tests.one_time_codes import STEP
from tests.pages_house import field_value
from tests.running import City

_sessions: dict[tuple[str, str], dict[str, str]] = {}


def browser(city: City) -> httpx2.AsyncClient:
    headers = {"Accept": "text/html", "Accept-Language": "en"}
    return httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=60, headers=headers)


async def log_in(city: City, client: httpx2.AsyncClient, role: str) -> None:
    """The account of that role is at the browser, with two factors where it has them."""
    known = _sessions.get((city.base_url, role))
    if known is not None:
        client.cookies.update(known)
        if (await client.get("/account")).status_code == 200:
            return
        client.cookies.clear()
    account = city.account(role)
    answer = await client.post("/login", data={"username": account["username"], "password": account["password"], "next": "/account"})
    if answer.status_code == 200:
        # The step to come is accepted, and later than any that the city's own story may have used a moment ago.
        code = pyotp.TOTP(account["totp_secret"]).generate_otp(int(time.time()) // STEP + 1)
        answer = await client.post("/login", data={"otp": code, "next": field_value(answer.text, "next") or ""})
    assert answer.status_code == 303, answer.text
    _sessions[city.base_url, role] = {cookie.name: cookie.value or "" for cookie in client.cookies.jar}
