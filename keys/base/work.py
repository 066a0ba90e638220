"""Work that burns CPU runs in worker processes; journeys see only this protocol."""

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Workers(Protocol):
    """A pool of processes. ``function`` and its arguments must be picklable; its exception is raised here."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in another process."""
        ...
