"""``fujie certs glyph list | supply | substitute``: the queue of rare characters (生僻字). Every command is audited."""

import uuid
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.wiring import House
from certs.glyphs import from_font, from_svg
from certs.rare_characters import agree_substitute, code_point, supply_glyph, waiting
from keys.base.actor import SYSTEM
from keys.base.errors import InvalidInput

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Rare characters that certificates wait for.")

Character = Annotated[str, typer.Argument(help="the character itself, or its code as U+20BB7")]


@app.command("list")
def show() -> None:
    """Print the queue: a character a line, and the certificates that wait for it."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            queue = await waiting(session)
        for one in queue:
            ids = [str(found) for found in one.certificates]
            _print({"character": one.character, "code": code_point(one.character), "since": one.since.isoformat(), "certificates": ids})

    with_house(journey)


@app.command()
def supply(
    character: Character,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="an SVG of one outline in a square viewBox, or an OTF or TTF")],
    licence: Annotated[str, typer.Option(help="by what right it is used: a licence's name, or that the outline is your own; it is kept")],
) -> None:
    """Give the outline of a character; the certificates that wait for it go on."""
    one, octets = parse_character(character), file.read_bytes()
    kind = "svg" if file.suffix.lower() == ".svg" else "font"

    async def journey(house: House) -> None:
        glyph = from_svg(one, octets) if kind == "svg" else from_font(one, octets)
        released = await supply_glyph(house.issuing, SYSTEM, glyph, octets, kind, licence)
        _print({"character": one, "code": code_point(one), "went_on": released})

    with_house(journey)


@app.command()
def substitute(
    certificate: Annotated[uuid.UUID, typer.Argument(help="the certificate's id")],
    character: Character,
    text: Annotated[str, typer.Argument(help="what is printed in its place")],
    agreement: Annotated[str, typer.Option(help="who agreed, and how; it is kept in the audit log")],
) -> None:
    """Print other characters in place of one, on one certificate, as agreed."""
    one = parse_character(character)

    async def journey(house: House) -> None:
        goes_on = await agree_substitute(house.issuing, SYSTEM, certificate, one, text, agreement)
        _print({"certificate": str(certificate), "code": code_point(one), "goes_on": goes_on})

    with_house(journey)


def parse_character(text: str) -> str:
    """The character, given as itself or as ``U+…``. Raises InvalidInput."""
    try:
        one = chr(int(text[2:], 16)) if text.upper().startswith("U+") else text
    except (ValueError, OverflowError):
        one = ""
    if len(one) != 1:
        raise InvalidInput("not one character", errors=[{"field": "character", "message": "U+XXXX"}])
    return one


def _print(value: object) -> None:
    print(orjson.dumps(value).decode())
