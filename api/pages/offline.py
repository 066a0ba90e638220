"""The page that verifies offline codes in the browser, without a network after the first visit; the same by a form, without JavaScript.

A service worker keeps the page itself; keys and status lists are fetched, kept and judged by ``assets/offline.js``.
"""

import hashlib

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.code_services import code_services
from api.limits import throttle
from api.offline_trust import code_in_address
from api.pages.forms import Trouble
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import locale_of, mark, moment, translate
from api.pages.rendering import ASSETS, asset, policy, render
from api.pages.views import file_view
from api.verdict_words import CHECKS, FAILURES, OPEN_QUESTIONS
from certs.offline_code import MOST_TEXT, OfflineCodeMalformed, decode_offline
from certs.offline_verdict import judge_offline
from certs.present import record_by_identifier

PARTS = ("fujie.css", "fujie.js", "favicon.svg", "offline.js", "offline-page.js")
MINUTE = 60
MOST_CODES = 60
CHECK_NAMES = ("CODE_KEY", "CODE_SIGNATURE", "CODE_MATCH", "CODE_DATES", "CODE_STATUS")
NO_CODE = mark("This is no offline code. It begins with FJ1: and is to be pasted whole.")
WORDS = {
    "answer-good": mark("Genuine and in force"),
    "answer-bad": mark("Do not accept this certificate"),
    "answer-open": mark("Cannot be decided here"),
    "answer-unreadable": mark("No offline code was found"),
    "certificate": mark("Certificate"),
    "holder": mark("Holder"),
    "number": mark("Number"),
    "issuer": mark("Issuer"),
    "issued": mark("Issued on"),
    "valid": mark("Valid"),
    "open": mark("no last day"),
    "identifier": mark("Identifier"),
    "keys": mark("Keys"),
    "list": mark("Status list"),
    "none": mark("not fetched yet"),
    "age": mark("Status list:"),
    "days": mark("# d # h old"),
    "hours": mark("# h # min old"),
    "minutes": mark("# min old"),
}


def _words(locale: str) -> list[tuple[str, str]]:
    """What the script says, in the page's language: its own words, and what each check means in each outcome."""
    place = 0 if locale.startswith("zh") else 1
    found = [(name, translate(locale, text)) for name, text in WORDS.items()]
    for table, outcome in ((CHECKS, "good"), (FAILURES, "bad"), (OPEN_QUESTIONS, "open")):
        found += [(f"{name}-{outcome}", table[name][place]) for name in CHECK_NAMES if name in table]
    return found


@page
async def show_offline(request: Request) -> Response:
    """The page; it is the same for everybody, and nothing typed here leaves the device while scripts run."""
    return _form(request)


def _form(request: Request, *, status: int = 200, typed: str = "", error: Trouble | None = None) -> Response:
    response = render(request, "offline.html", status=status, typed=typed, error=error, words=_words(locale_of(request)))
    response.headers["Content-Security-Policy"] = policy(fetching=True)
    response.headers["Permissions-Policy"] = "camera=(self), geolocation=(), microphone=()"
    return response


@page
async def submit_offline(request: Request) -> Response:
    """Without JavaScript: the code is judged here, by the keys and the lists as they are now. An address code leads to its record."""
    await throttle(request, "offline-code", limit=MOST_CODES, seconds=MINUTE)
    form = await request.form(max_files=0, max_fields=4)
    text, number = str(form.get("code", ""))[:MOST_TEXT].strip(), str(form.get("number", ""))[:120].strip()
    if (code := code_in_address(text)) is not None:
        return redirect(f"/v/{code}")
    locale, house = locale_of(request), house_of(request)
    try:
        signed = decode_offline(text)
    except OfflineCodeMalformed as error:
        return _form(request, status=422, typed=text, error=Trouble(error.code, translate(locale, NO_CODE)))
    now = house.clock.now()
    verdict = judge_offline(text, await code_services(request).trust(signed.code.status.list), now, number or None)
    record = await record_by_identifier(house.database, now, signed.code.identifier) if verdict.certificate else None
    return render(request, "report.html", view=file_view("", verdict, moment(now, locale), locale, record), paper=None)


async def send_worker(request: Request) -> Response:
    """The service worker, told which addresses the page is made of; another version of any of them makes another worker."""
    shell = ["/verify/offline", *map(asset, PARTS)]
    version = hashlib.sha256(repr(shell).encode()).hexdigest()[:12]
    script = f"const SHELL = {orjson.dumps(shell).decode()};\nconst VERSION = {orjson.dumps(version).decode()};\n".encode()
    headers = {
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; connect-src 'self'",
    }
    return Response(script + ASSETS["offline-worker.js"], media_type="text/javascript; charset=utf-8", headers=headers)


routes: list[BaseRoute] = [
    Route("/verify/offline", show_offline, methods=["GET"]),
    Route("/verify/offline", submit_offline, methods=["POST"]),
    Route("/verify/offline-worker.js", send_worker, methods=["GET"]),
]
