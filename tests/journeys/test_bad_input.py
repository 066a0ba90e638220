"""Bad input at the door of a running city: each kind has its own stable code and a clear sentence, is written down where it
matters, and leaves nothing half-done. Everything over HTTP; only time is moved in the city's own database.
"""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import httpx2
import pytest

from api.cookies import SESSION_COOKIE
from api.demo import city as demonstration
from api.demo.browser import Browser
from identity.numbers import FLAGS
from tests.running import PROGRAM, City
from tests.watching import Watch, connected, nothing_changes, resident_memory, says, sentences

LANGUAGES = (("zh-CN,zh;q=0.9", "zh"), ("en", "en"))
MEGABYTE = 1 << 20
LIMIT = 200 * MEGABYTE
VERIFIER = "v" * 64
UNPRINTABLE = "\U000323af"

Send = Callable[[dict[str, str]], Awaitable[httpx2.Response]]


@pytest.fixture
async def http(city: City) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=60) as client:
        yield client


async def in_both_languages(send: Send, status: int, code: str) -> None:
    """The same refusal, said in the reader's language each time."""
    for accepted, language in LANGUAGES:
        says(await send({"Accept-Language": accepted}), status, code, language)


async def pages_in_both_languages(send: Send, status: int, code: str) -> None:
    """The same refusal on a page: the code for programs, the sentence for people."""
    for accepted, language in LANGUAGES:
        page = await send({"Accept-Language": accepted, "Accept": "text/html"})
        assert page.status_code == status, page.text
        assert f'data-code="{code}"' in page.text
        assert sentences(code)[0 if language == "zh" else 1] in page.text
        assert f'<html lang="{language}' in page.text


# ── logging in ──


async def test_a_wrong_password(city: City, http: httpx2.AsyncClient) -> None:
    fields = {"username": city.account("citizen")["username"], "password": "not the password"}
    async with nothing_changes(city) as watch:
        await pages_in_both_languages(lambda headers: http.post("/login", data=fields, headers=headers), 401, "BAD_CREDENTIALS")
    assert not http.cookies.get(SESSION_COOKIE)
    assert len(watch.refusals("BAD_CREDENTIALS")) == 2
    assert fields["password"] not in json.dumps(watch.events)


@dataclass(frozen=True)
class Portal:
    """A public client of this test's own."""

    city: City
    client_id: str
    callback: str

    def request(self, **changes: str | None) -> dict[str, str]:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        parameters: dict[str, str | None] = {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": self.callback, "scope": "openid profile",
            "state": "st", "nonce": "no", "code_challenge": challenge, "code_challenge_method": "S256",
        } | changes  # fmt: skip
        return {name: value for name, value in parameters.items() if value is not None}

    async def code(self) -> str:
        """The citizen logs in and allows it."""
        account = self.city.account("citizen")
        async with Browser(self.city.base_url) as browser:
            await browser.visit(str(httpx2.URL("/oauth/authorize", params=self.request())))
            page = await browser.log_in(account["username"], account["password"])
            if page.url.path == "/consent":
                page = await browser.submit("/consent", decision="allow")
        return parse_qs(page.url.query.decode())["code"][0]

    async def exchange(self, http: httpx2.AsyncClient, code: str) -> httpx2.Response:
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.callback, "code_verifier": VERIFIER}
        return await http.post("/oauth/token", data=fields | {"client_id": self.client_id})


@pytest.fixture(scope="module")
def portal(city: City) -> Portal:
    callback = f"{city.base_url}/callback-of-nobody"
    made = replace(city, command=PROGRAM).fujie(
        "client", "create", "测试门户", "Test portal", "--division", "990100", "--redirect-uri", callback, "--public"
    )
    assert made.returncode == 0, made.stderr
    return Portal(city, json.loads(made.stdout)["client_id"], callback)


async def test_an_unknown_client(city: City, http: httpx2.AsyncClient, portal: Portal) -> None:
    request = portal.request(client_id="nobody")
    async with nothing_changes(city) as watch:
        await pages_in_both_languages(lambda headers: http.get("/oauth/authorize", params=request, headers=headers), 400, "UNKNOWN_CLIENT")
    assert len(watch.refusals("UNKNOWN_CLIENT")) == 2


@pytest.mark.parametrize("change", ["/more", "?a=b", "#a", "@evil.example"])
async def test_an_altered_redirect_is_shown_here_and_sent_nowhere(
    city: City, http: httpx2.AsyncClient, portal: Portal, change: str
) -> None:
    request = portal.request(redirect_uri=portal.callback + change)
    async with nothing_changes(city) as watch:
        await pages_in_both_languages(
            lambda headers: http.get("/oauth/authorize", params=request, headers=headers), 400, "REDIRECT_URI_MISMATCH"
        )
    assert len(watch.refusals("REDIRECT_URI_MISMATCH")) == 2


async def test_missing_pkce(city: City, http: httpx2.AsyncClient, portal: Portal) -> None:
    request = portal.request(code_challenge=None, code_challenge_method=None)
    async with nothing_changes(city) as watch:
        answer = await http.get("/oauth/authorize", params=request)
    location = httpx2.URL(answer.headers["location"])
    assert answer.status_code == 303
    assert str(location).startswith(portal.callback)
    assert location.params["error"] == "invalid_request"
    assert location.params["state"] == "st"
    assert "code" not in location.params
    assert location.params["error_description"] == sentences("PKCE_REQUIRED")[1]
    assert len(watch.refusals("PKCE_REQUIRED")) == 1


def refused_by_token_endpoint(answer: httpx2.Response, code: str) -> None:
    """RFC 6749 §5.2 allows ASCII only, so the sentence there is the English one."""
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_grant", "error_description": sentences(code)[1], "code": code}


async def test_a_code_used_twice_takes_everything_back(city: City, http: httpx2.AsyncClient, portal: Portal) -> None:
    code = await portal.code()
    tokens = (await portal.exchange(http, code)).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await http.get("/oauth/userinfo", headers=bearer)).status_code == 200
    async with nothing_changes(city) as watch:
        refused_by_token_endpoint(await portal.exchange(http, code), "CODE_REUSED")
    assert (await http.get("/oauth/userinfo", headers=bearer)).status_code == 401
    assert len(watch.refusals("CODE_REUSED")) == 1


async def test_an_expired_code(city: City, http: httpx2.AsyncClient, portal: Portal) -> None:
    code = await portal.code()
    async with connected(city) as database:
        past = "UPDATE identity.oidc_grants SET code_expires_at = now() - interval '1 second' WHERE code_hash = $1"
        assert await database.execute(past, hashlib.sha256(code.encode()).digest()) == "UPDATE 1"
    async with nothing_changes(city) as watch:
        refused_by_token_endpoint(await portal.exchange(http, code), "CODE_EXPIRED")
    assert len(watch.refusals("CODE_EXPIRED")) == 1


# ── numbers of people ──


def with_check_digit(number: str) -> str:
    """The eighteenth character of a resident ID number (GB 11643: ISO 7064 MOD 11-2)."""
    total = sum(int(digit) * pow(2, 17 - position, 11) for position, digit in enumerate(number))
    return number + "10X98765432"[total % 11]


NO_SUCH_DATE = with_check_digit("99010019870230102")
NOBODY = with_check_digit("99010019900101998")


async def test_a_number_with_a_wrong_date_at_the_check_for_portals(city: City, http: httpx2.AsyncClient) -> None:
    headers = city.token("approvals", "identity:check")
    claim = {"name": "郑雨桐", "code": NO_SUCH_DATE, "code_type": "111"}
    async with nothing_changes(city, but={"identity.evidence"}) as watch:
        for accepted, language in LANGUAGES:
            answer = await http.post("/api/v1/identity/checks", json=claim, headers=headers | {"Accept-Language": accepted})
            problem = says(answer, 422, "ID_NUMBER_INVALID", language)
            assert "no_such_date" in {error["code"] for error in problem["errors"]}
            assert NO_SUCH_DATE not in answer.text
    assert [event["action"] for event in watch.events] == ["identity.realname.check"] * 2
    assert {event["details"]["result"] for event in watch.events} == {"id_invalid"}
    assert NO_SUCH_DATE not in json.dumps(watch.events)


async def test_a_number_with_a_wrong_date_on_the_persons_own_page(city: City) -> None:
    made = city.fujie("user", "create", f"newcomer-{secrets.token_hex(4)}", "新来的人", "--division", "990100")
    account = json.loads(made.stdout)
    async with Browser(city.base_url) as browser:
        await browser.visit("/login?next=/account")
        await browser.log_in(account["username"], account["password"])
        async with nothing_changes(city, but={"identity.evidence"}) as watch:
            page = await browser.submit("/account/real-name", name="郑雨桐", code=NO_SUCH_DATE, code_type="111")
    assert page.status_code == 422
    assert 'data-code="REAL_NAME_ID_INVALID"' in page.text
    assert FLAGS["no_such_date"][0] in page.text
    assert [(event["action"], event["outcome"]) for event in watch.events] == [("identity.realname.bind", "refused")]
    assert NO_SUCH_DATE not in page.text + json.dumps(watch.events)


# ── approvals ──

SEWAGE, FOOD, ESTATE = range(3)


def approval(which: int = FOOD, **changes: Any) -> dict[str, Any]:
    body = demonstration.approvals()[which] | {"approval_number": f"坏输入〔2026〕{secrets.token_hex(4)}号"}
    return body | changes


def key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(8)}


@pytest.fixture
def issuing(city: City) -> dict[str, str]:
    return city.token("approvals", "certificates:issue certificates:read")


async def refused_approval(
    city: City, http: httpx2.AsyncClient, headers: dict[str, str], body: dict[str, Any], status: int, code: str
) -> Watch:
    """Refused in both languages, audited each time, and nothing left."""
    async with nothing_changes(city) as watch:
        await in_both_languages(lambda more: http.post("/api/v1/approvals", json=body, headers=headers | key() | more), status, code)
    assert len(watch.refusals(code)) >= 2
    return watch


async def test_an_approval_for_a_number_with_a_wrong_date(city: City, http: httpx2.AsyncClient, issuing: dict[str, str]) -> None:
    holders = [{"name": "郑雨桐", "code": NO_SUCH_DATE, "code_type": "111"}]
    watch = await refused_approval(city, http, issuing, approval(ESTATE, holders=holders), 422, "ID_NUMBER_INVALID")
    assert NO_SUCH_DATE not in json.dumps(watch.events)


@pytest.mark.parametrize(
    ("which", "holder"),
    [
        (ESTATE, {"name": "郑雨桐", "code": NOBODY, "code_type": "111"}),
        (ESTATE, {"name": "郑雨彤", "code": "990100198701171023", "code_type": "111"}),
        (FOOD, {"name": "示范市江畔餐饮管理有限公司", "code": "91990100MA1TEXT14M", "code_type": "001"}),
    ],
    ids=["no such number", "another name", "another company's code"],
)
async def test_an_unknown_holder(city: City, http: httpx2.AsyncClient, issuing: dict[str, str], which: int, holder: dict[str, str]) -> None:
    watch = await refused_approval(city, http, issuing, approval(which, holders=[holder]), 422, "HOLDER_NOT_FOUND")
    assert holder["code"] not in json.dumps(watch.events)


@asynccontextmanager
async def internal_matter(city: City) -> AsyncIterator[str]:
    """A matter of the market bureau's own office: nothing to approve."""
    code = "990100900099"
    async with connected(city) as database:
        await database.execute(
            "INSERT INTO seal.matters (code, name, is_approval, organisation, changed_at) VALUES ($1, '内部公文用印', false, $2, now())",
            code, demonstration.MARKET_BUREAU,
        )  # fmt: skip
        try:
            yield code
        finally:
            await database.execute("DELETE FROM seal.matters WHERE code = $1", code)


async def test_an_approval_seal_used_for_what_is_no_approval(city: City, http: httpx2.AsyncClient, issuing: dict[str, str]) -> None:
    async with internal_matter(city) as matter:
        body = approval(matter_code=matter)
        await refused_approval(city, http, issuing, body, 403, "APPROVAL_SEAL_ONLY_FOR_APPROVAL_MATTERS")


@pytest.mark.parametrize("matter", ["000117004000", "990100900001", "990100900002"])
async def test_a_seal_used_for_a_matter_of_somebody_else(
    city: City, http: httpx2.AsyncClient, issuing: dict[str, str], matter: str
) -> None:
    await refused_approval(city, http, issuing, approval(matter_code=matter), 403, "MATTER_OF_OTHER_ORGANISATION")


async def test_a_matter_that_does_not_exist(city: City, http: httpx2.AsyncClient, issuing: dict[str, str]) -> None:
    await refused_approval(city, http, issuing, approval(matter_code="990100999999"), 422, "UNKNOWN_MATTER")


@asynccontextmanager
async def seal_over(city: City) -> AsyncIterator[None]:
    """The market bureau's seal, its period over since yesterday."""
    where = "organisation = $1 AND kind = 'approval'"
    async with connected(city) as database:
        before = await database.fetchval(f"SELECT valid_to FROM seal.seals WHERE {where}", demonstration.MARKET_BUREAU)
        await database.execute(f"UPDATE seal.seals SET valid_to = now() - interval '1 day' WHERE {where}", demonstration.MARKET_BUREAU)
        try:
            yield
        finally:
            await database.execute(f"UPDATE seal.seals SET valid_to = $2 WHERE {where}", demonstration.MARKET_BUREAU, before)


async def test_a_seal_after_its_period(city: City, http: httpx2.AsyncClient, issuing: dict[str, str]) -> None:
    async with seal_over(city):
        await refused_approval(city, http, issuing, approval(), 403, "SEAL_EXPIRED")
    assert (await http.post("/api/v1/approvals", json=approval(), headers=issuing | key())).status_code == 201


async def test_an_approval_repeated_with_another_body(city: City, http: httpx2.AsyncClient, issuing: dict[str, str]) -> None:
    same, body = key(), approval()
    issued = await http.post("/api/v1/approvals", json=body, headers=issuing | same)
    assert issued.status_code == 201
    other = body | {"approval_number": "another"}
    async with nothing_changes(city) as watch:
        await in_both_languages(
            lambda more: http.post("/api/v1/approvals", json=other, headers=issuing | same | more), 422, "IDEMPOTENCY_KEY_REUSED"
        )
    assert len(watch.refusals("IDEMPOTENCY_KEY_REUSED")) == 2
    assert (await http.post("/api/v1/approvals", json=body, headers=issuing | same)).json() == issued.json()


async def test_an_unknown_certificate_type(city: City, http: httpx2.AsyncClient, issuing: dict[str, str]) -> None:
    body = approval(certificate_type="11990100MB0000035A999")
    await refused_approval(city, http, issuing, body, 422, "UNKNOWN_CERTIFICATE_TYPE")


async def test_a_glyph_that_no_font_has_makes_the_certificate_wait_and_names_it(
    city: City, http: httpx2.AsyncClient, issuing: dict[str, str]
) -> None:
    same, body = key(), approval()
    unprintable = body | {"fields": body["fields"] | {"经营项目": f"热食类食品制售{UNPRINTABLE}"}}
    answer = await http.post("/api/v1/approvals", json=unprintable, headers=issuing | same)
    assert (answer.status_code, answer.json()["status"]) == (202, "awaiting_glyph")
    again = await http.post("/api/v1/approvals", json=unprintable, headers=issuing | same)
    assert again.json() == answer.json()
    query = """SELECT c.stage, c.document_hash, i.stage AS issuing, i.unsealed_hash, i.lease_owner, w.character
               FROM certs.certificates c JOIN certs.issuings i ON i.certificate_id = c.id
               JOIN certs.glyph_waits w ON w.certificate_id = c.id
               WHERE c.number = $1"""
    async with connected(city) as database:
        rows = await database.fetch(query, body["approval_number"])
    assert {tuple(row) for row in rows} == {("awaiting_glyph", None, "awaiting_glyph", None, None, UNPRINTABLE)}


# ── files and codes ──


@pytest.fixture(scope="module")
def genuine(city: City) -> bytes:
    return Path(city.demo["certificate"]["pdf"]).read_bytes()


def flipped(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated in the middle": (lambda pdf: pdf[: len(pdf) // 2], "UNREADABLE"),
    "truncated by its last line": (lambda pdf: pdf[: pdf.rindex(b"startxref")], "UNREADABLE"),
    "altered in its text": (lambda pdf: flipped(pdf, pdf.index(b"stream") + 40), "TOTAL_FAILED"),
    "altered in its signature": (lambda pdf: flipped(pdf, pdf.rindex(b"/Contents<") + 4000), "TOTAL_FAILED"),
    "with something appended": (lambda pdf: pdf + b"\n9999 0 obj\n<</A 1>>\nendobj\n%%EOF\n", "UNREADABLE"),
    "not a PDF": (lambda _: b"This is no certificate.", "UNREADABLE"),
    "a PDF's first line only": (lambda _: b"%PDF-1.7\n", "UNREADABLE"),
}


@pytest.mark.parametrize("kind", FILES)
async def test_a_file_that_is_no_genuine_certificate(city: City, http: httpx2.AsyncClient, genuine: bytes, kind: str) -> None:
    make, indication = FILES[kind]
    async with nothing_changes(city):
        verdict = (await http.post("/api/v1/verify", content=make(genuine))).json()
        pages = [
            await http.post(
                "/verify", files={"file": ("a.pdf", make(genuine))}, headers={"Accept-Language": accepted, "Accept": "text/html"}
            )
            for accepted, _ in LANGUAGES
        ]
    assert verdict["indication"] == indication, verdict
    headlines = set()
    for page, (_, language) in zip(pages, LANGUAGES, strict=True):
        assert page.status_code == 200
        assert f'data-indication="{indication}"' in page.text
        assert f'<html lang="{language}' in page.text
        headlines.add(page.text.partition("<h1>")[2].partition("</h1>")[0])
    assert len(headlines) == 2
    assert all(headlines)


async def chunks(size: int, first: bytes = b"%PDF-1.7\n") -> AsyncIterator[bytes]:
    yield first
    part, left = bytes(MEGABYTE), size - len(first)
    while left > 0:
        yield part[: min(left, MEGABYTE)]
        left -= MEGABYTE


@asynccontextmanager
async def memory_bounded(city: City, growth: int) -> AsyncIterator[None]:
    """The server's memory, looked at twenty times a second, stays within ``growth`` octets of where it was."""
    assert city.process is not None
    pid, before, peak = city.process.pid, resident_memory(city.process.pid), [0]

    async def look() -> None:
        while True:
            peak[0] = max(peak[0], resident_memory(pid))
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
    assert peak[0] - before < growth, f"{(peak[0] - before) // MEGABYTE} MB more"


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_a_file_past_the_limit_is_refused_while_it_arrives(city: City, http: httpx2.AsyncClient, announced: bool) -> None:
    length = {"Content-Length": str(LIMIT + MEGABYTE)} if announced else {}

    async def send(headers: dict[str, str]) -> httpx2.Response:
        return await http.post("/api/v1/verify", content=chunks(LIMIT + MEGABYTE), headers=headers | length)

    async with nothing_changes(city), memory_bounded(city, 64 * MEGABYTE):
        await in_both_languages(send, 413, "FILE_TOO_LARGE")


async def test_a_file_of_the_limit_is_judged_in_bounded_memory(city: City, http: httpx2.AsyncClient) -> None:
    async with nothing_changes(city), memory_bounded(city, 64 * MEGABYTE):
        answer = await http.post("/api/v1/verify", content=chunks(LIMIT))
    assert answer.status_code == 200
    assert answer.json()["indication"] == "UNREADABLE"


async def test_a_form_with_a_file_past_the_limit(city: City, http: httpx2.AsyncClient) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    async with nothing_changes(city), memory_bounded(city, 64 * MEGABYTE):
        await pages_in_both_languages(
            lambda headers: http.post("/verify", content=chunks(LIMIT + MEGABYTE, head), headers=headers | form), 413, "FILE_TOO_LARGE"
        )


@pytest.mark.parametrize("code", ["0000000000000000", "ZZZZZZZZZZZZZZZZ", "short", "0000-0000", "%00", "Ü" * 16, "9" * 5000])
async def test_a_code_that_does_not_exist(city: City, http: httpx2.AsyncClient, code: str) -> None:
    async with nothing_changes(city):
        for accepted, language in LANGUAGES:
            answer = await http.get(f"/api/v1/verify/{quote(code, safe='%')}", headers={"Accept-Language": accepted})
            assert answer.status_code == 404
            record = answer.json()
            assert (record["code"], record["kind"], record["status"], record["signatures"]) == ("UNKNOWN_CODE", "record", "unknown", [])
            assert record["title"] == UNKNOWN_CODE[language]
            page = await http.get(f"/v/{quote(code, safe='%')}", headers={"Accept-Language": accepted, "Accept": "text/html"})
            assert page.status_code == 404
            assert 'data-status="unknown"' in page.text
            assert f'<html lang="{language}' in page.text


UNKNOWN_CODE = {"zh": "没有证照使用这个核验码。", "en": "No certificate has this verification code."}
