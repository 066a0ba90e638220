"""The pages people see: server-rendered, in Chinese and English, working without JavaScript."""

from starlette.routing import BaseRoute

from api.pages import account, approve, audit, consent, documents, home, login, rendering, seals, verify
from api.pages.errors import error_page

routes: list[BaseRoute] = [
    *rendering.routes,
    *home.routes,
    *login.routes,
    *consent.routes,
    *account.routes,
    *approve.routes,
    *documents.routes,
    *seals.routes,
    *audit.routes,
    *verify.routes,
]

__all__ = ["error_page", "routes"]
