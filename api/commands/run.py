"""How every command is run: errors become one clear line on stderr and a stable exit code, never a traceback."""

import sys
from collections.abc import Callable
from typing import Any

import typer
from pydantic import ValidationError

from api.settings import Settings, language
from keys.base.errors import FujieError


def settings() -> Settings:
    """The settings, or one line saying which variable is wrong and exit code 2."""
    try:
        return Settings()
    except ValidationError as error:
        for item in error.errors():
            print(f"fujie: FUJIE_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}", file=sys.stderr)
        raise SystemExit(2) from None


def say(error: FujieError) -> None:
    chinese, english = error.public
    sentence = chinese if language() == "zh" else english
    print(f"fujie: {sentence} [{error.code}]{' ' + error.detail if error.detail else ''}", file=sys.stderr)


def run(command: "typer.Typer | Callable[..., Any]") -> None:
    """Run a typer application or a single function of typer parameters."""
    app = command
    if not isinstance(app, typer.Typer):
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command()(command)
    try:
        app()
    except FujieError as error:
        say(error)
        raise SystemExit(1) from None
