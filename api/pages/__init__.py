"""The pages people see: server-rendered, in Chinese and English, working without JavaScript."""

from starlette.routing import BaseRoute

from api.pages import (
    account,
    approve,
    audit,
    batches,
    catalogue,
    catalogue_edit,
    consent,
    consents,
    documents,
    home,
    library,
    login,
    matters,
    offline,
    public,
    rendering,
    requesting,
    seal_applications,
    seals,
    sharing_desk,
    showing,
    supervision,
    verify,
    wallet,
)
from api.pages.errors import error_page

routes: list[BaseRoute] = [
    *rendering.routes,
    *home.routes,
    *login.routes,
    *consent.routes,
    *account.routes,
    *approve.routes,
    *requesting.routes,
    *documents.routes,
    *batches.routes,
    *seal_applications.routes,
    *supervision.routes,
    *seals.routes,
    *matters.routes,
    *catalogue_edit.routes,
    *catalogue.routes,
    *audit.routes,
    *verify.routes,
    *sharing_desk.routes,
    *showing.routes,
    *consents.routes,
    *wallet.routes,
    *library.routes,
    *offline.routes,
    *public.routes,
]

__all__ = ["error_page", "routes"]
