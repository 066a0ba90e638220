"""``fujie worker``."""

from rich.console import Console

from api.commands.run import settings
from api.work import work


def worker() -> None:
    """Run the background jobs and batches beside the servers until Ctrl-C or SIGTERM; any number may, on any machine."""
    work(settings(), Console(highlight=False, soft_wrap=True))
