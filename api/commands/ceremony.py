"""``fujie keys ceremony``: two people make the authorities, at one terminal, on the record."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.house import with_house
from api.files import require_new, write_private
from api.settings import Settings
from api.wiring import House
from identity.login import LogIn, log_in
from identity.people import actor_of
from identity.sessions import end_session
from keys.base.actor import Actor
from keys.ceremony.holding import Hall, People, hold
from keys.ceremony.plan import CeremonyPlan, read_plan
from keys.ceremony.transcript import Transcript
from keys.pki.authority import trust_bundle

_SHOWN = 8
"""Characters of the digest that are typed to sign off."""


def ceremony(
    plan: Annotated[Path, typer.Argument(help="the configuration (TOML)", exists=True, dir_okay=False)],
    transcript: Annotated[Path, typer.Option(help="where the transcript is written; the file must not exist")],
) -> None:
    """Make the planned authorities. The administrator and the witness each enter password and code, and sign the transcript off."""
    configuration = plan.read_bytes()
    planned = read_plan(configuration)
    require_new(transcript)

    async def journey(house: House) -> Transcript:
        house.guard.now()  # nothing is certified while the clock is in doubt
        people = await _identify(house, planned)
        hall = Hall(house.database, house.keystore, house.clock, house.base_url, _store(house.settings))
        held = await hold(hall, planned, configuration, people, _sign_off)
        write_private(transcript, held.text())
        async with house.database.session() as session:
            write_private(house.settings.trust_file, await trust_bundle(session))
        return held

    held = with_house(journey)
    typer.echo(f"\n{transcript}  SHA-256 {held.digest()}")


def _store(settings: Settings) -> str:
    """The key store as the transcript names it."""
    if settings.pkcs11_module:
        return f"PKCS #11, token {settings.pkcs11_token}"
    return "软件密钥库 software, keys wrapped under the key-encryption key"


async def _identify(house: House, planned: CeremonyPlan) -> People:
    administrator = await _log_in(house, planned.administrator, "操作人 administrator")
    witness = await _log_in(house, planned.witness, "见证人 witness")
    return People(administrator, witness)


async def _log_in(house: House, username: str, part: str) -> Actor:
    """The person named in the plan, who proves it here and now; the session ends at once."""
    typer.echo(f"{part}: {username}")
    password = typer.prompt("  密码 password", hide_input=True)
    code = typer.prompt("  验证码 code")
    login = LogIn(house.database, house.redis, house.clock, house.personal)
    entered = await log_in(login, username, password, code, remote="terminal")
    async with house.database.begin() as session:
        await end_session(session, house.clock.now(), entered.session.id)
    return actor_of(entered.account, entered.session)


async def _sign_off(actor: Actor, transcript: Transcript) -> bool:
    """The transcript is shown; whoever agrees types the beginning of its digest."""
    typer.echo(f"\n{transcript.text()}\nSHA-256 {transcript.digest()}")
    question = f"{actor.name}: 属实请输入摘要前 {_SHOWN} 位 type the first {_SHOWN} characters of the digest to sign off"
    return str(typer.prompt(question, default="", show_default=False)).strip().lower() == transcript.digest()[:_SHOWN]
