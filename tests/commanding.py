"""Commands run without a city: the command beside the test's loop, its journey in it, over what the test has at hand."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from keys.base.actor import SYSTEM, Actor
from keys.base.errors import FujieError

T = TypeVar("T")
SECONDS = 100.0


async def _awaited(given: Awaitable[T]) -> T:
    return await given


class Commanding:
    """``fujie`` with these commands, over ``house``. ``people``: who may be named with ``--as``; they have logged in already."""

    def __init__(self, app: typer.Typer, house: Any, people: Mapping[str, Actor]) -> None:
        self._app, self._house, self._people, self._loop = app, house, people, asyncio.get_running_loop()

    def replace_in(self, patch: pytest.MonkeyPatch, module: ModuleType) -> None:
        """Put the test's house in the place of the one that commands open."""
        for name, here in (("with_house", self._with_house), ("acted", self._acted), ("as_person", self._acted)):
            if hasattr(module, name):
                patch.setattr(module, name, here)

    async def __call__(self, *words: object) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, self._app, [str(one) for one in words])

    async def told(self, *words: object) -> list[Any]:
        """What it printed, one JSON object a line; it went well."""
        done = await self(*words)
        assert done.exit_code == 0, (done.output, done.exception)
        return [orjson.loads(line) for line in done.stdout.splitlines()]

    async def refusal(self, *words: object) -> str:
        """The code of the error that ``api.commands.run`` prints, with exit code 1."""
        done = await self(*words)
        assert isinstance(done.exception, FujieError), (done.output, done.exception)
        return done.exception.code

    async def misused(self, *words: object) -> str:
        """What is said of words that are no command; exit code 2."""
        done = await self(*words)
        assert done.exit_code == 2, (done.output, done.exception)
        return " ".join(done.stderr.split())

    def _with_house(self, journey: Callable[[Any], Awaitable[T]]) -> T:
        return asyncio.run_coroutine_threadsafe(_awaited(journey(self._house)), self._loop).result(SECONDS)

    def _acted(self, username: str | None, journey: Callable[[Any, Actor], Awaitable[T]]) -> T:
        return self._with_house(lambda house: journey(house, self._people[username] if username else SYSTEM))
