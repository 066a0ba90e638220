"""What annotated copies, applications and rates need in the background."""

from collections.abc import Awaitable, Callable

from api.wiring import House
from certs.access_applications import mark_overdue
from certs.access_rates import forget_uses
from certs.copy_reading import tidy_copies
from certs.library import Library

OVERDUE_SECONDS = 60.0
TIDY_SECONDS = 3600.0
Step = Callable[[], Awaitable[object]]


def copy_steps(house: House) -> dict[str, tuple[float, Step]]:
    """Name → seconds between turns, and the step."""
    library = Library(house.database, house.clock, house.blobs, house.personal)
    return {
        "applications for access": (OVERDUE_SECONDS, lambda: mark_overdue(house.database, house.clock)),
        "annotated copies": (TIDY_SECONDS, lambda: tidy_copies(library)),
        "uses of requesters": (TIDY_SECONDS, lambda: _forget(house)),
    }


async def _forget(house: House) -> None:
    async with house.database.begin() as session:
        await forget_uses(session, house.clock.now())
