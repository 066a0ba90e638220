"""``fujie serve``."""

from rich.console import Console

from api.commands.run import settings
from api.serve import serve as serve_forever


def serve() -> None:
    """Start everything on FUJIE_PORT and serve until Ctrl-C, which stops everything it started."""
    serve_forever(settings(), Console(highlight=False, soft_wrap=True))
