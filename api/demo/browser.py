"""A browser as simple as can be: cookies, redirects, and forms sent as a person would send them, without scripts."""

from html.parser import HTMLParser
from types import TracebackType

import httpx2

from keys.base.tls import web_trust


class _Form(HTMLParser):
    """The hidden fields and the address of the first form posted to ``action`` (any, if empty)."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self._wanted = action
        self._inside = False
        self.action: str | None = None
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None and attributes.get("method", "").lower() == "post":
            if attributes.get("action", "").startswith(self._wanted):
                self.action, self._inside = attributes.get("action", ""), True
        elif tag == "input" and self._inside and attributes.get("type") == "hidden":
            self.hidden[attributes.get("name", "")] = attributes.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class UnexpectedPage(RuntimeError):
    """A page did not offer the form the visitor looked for; says status, path and the page's error code."""


class Browser:
    """One person's browser; an asynchronous context manager. ``page`` is the response last seen."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx2.AsyncClient(
            base_url=base_url,
            follow_redirects=True,
            timeout=60,
            trust_env=False,
            verify=web_trust(),
            headers={"Accept": "text/html", "Accept-Language": "zh-CN"},
        )
        self.page: httpx2.Response | None = None

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.aclose()

    async def visit(self, address: str) -> httpx2.Response:
        self.page = await self._client.get(address)
        return self.page

    async def submit(self, action: str, **fields: str) -> httpx2.Response:
        """Fill in and send the form of the present page whose address begins with ``action``. Raises UnexpectedPage."""
        if self.page is None:
            raise UnexpectedPage("no page is open")
        form = _Form(action)
        form.feed(self.page.text)
        if form.action is None:
            raise UnexpectedPage(f"{self.page.status_code} {self.page.url.path}: no form for {action}")
        address = self.page.url.join(form.action)
        self.page = await self._client.post(address, data={**form.hidden, **fields}, headers={"Origin": str(address.join("/")).rstrip("/")})
        return self.page

    async def log_in(self, username: str, password: str, otp: str | None = None) -> httpx2.Response:
        """Fill in the log-in page that is open, and the second factor if one is due."""
        page = await self.submit("/login", username=username, password=password)
        return await self.submit("/login", otp=otp) if otp is not None else page
