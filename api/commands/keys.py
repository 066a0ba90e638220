"""``fujie keys``: what signs, until when."""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer
from asn1crypto import x509

from api.commands.ceremony import ceremony
from api.commands.house import with_house
from api.commands.key_keeping import check, from_shares, shares
from api.commands.status import resume, revoke, status, suspend
from api.commands.successors import encryption_pair, rekey, renew
from api.wiring import House
from certs.code_keys import CodeKey, code_keys
from certs.code_keys import rotate as rotate_codes
from certs.rewrapping import SEALED
from identity.personal_data import NOTICE, rotate_data_key
from identity.rewrapping import DataKeyState, data_key_states
from keys import kek_rotation
from keys.jwks import SigningKey, read_plan
from keys.pki.reads import get_authorities
from keys.rotation import replace_compromised
from keys.rotation import rotate as rotate_tokens

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Keys and authorities.", pretty_exceptions_enable=False)


class Rotated(StrEnum):
    """What ``fujie keys rotate --purpose`` takes."""

    TOKENS = "tokens"
    PERSONAL_DATA = "personal-data"
    KEY_ENCRYPTION = "key-encryption"
    CODES = "codes"


def _authority(name: str, der: bytes) -> dict[str, str]:
    certificate = x509.Certificate.load(der)
    return {
        "kind": "authority",
        "name": name,
        "subject": certificate.subject.human_friendly,
        "not_after": certificate["tbs_certificate"]["validity"]["not_after"].native.isoformat(),
    }


@app.callback()
def _group() -> None:
    """Keys and authorities."""


for command in (ceremony, check, shares, from_shares, status, suspend, resume, revoke, renew, rekey, encryption_pair):
    app.command()(command)


def _instant(at: dt.datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def _token(key: SigningKey, now: dt.datetime) -> dict[str, Any]:
    names = ("created_at", "signs_from", "signs_until", "published_until", "compromised_at")
    known = {name: _instant(instant) for name in names if (instant := getattr(key, name))}
    return {"kind": "token", "kid": key.kid, "alg": key.alg, "state": key.state(now), **known}


def _code_key(key: CodeKey, now: dt.datetime) -> dict[str, Any]:
    names = ("created_at", "signs_from", "signs_until", "good_until", "compromised_at")
    known = {name: _instant(instant) for name in names if (instant := getattr(key, name))}
    return {"kind": "code", "kid": key.kid.hex(), "alg": key.algorithm.name, "state": key.state(now), **known}


def _data_key(key: DataKeyState) -> dict[str, Any]:
    row = {"kind": "personal-data", "key": str(key.key_id), "algorithm": key.algorithm, "state": key.state}
    return row | {"seals_from": _instant(key.seals_from)} | ({} if key.envelopes is None else {"envelopes": key.envelopes})


@app.command("list")
def list_all() -> None:
    """Print the authorities, the keys of tokens, of offline codes and of personal data with their states, one JSON object a line."""

    async def journey(house: House) -> list[dict[str, Any]]:
        async with house.database.session() as session:
            now = house.clock.now()
            rows = [_token(key, now) for key in (await read_plan(session)).keys]
            rows += [_code_key(key, now) for key in await code_keys(session)]
            rows += [_data_key(key) for key in await data_key_states(session, now, SEALED)]
            rows += [_authority(name, one.certificate) for name, one in sorted((await get_authorities(session)).items())]
        return rows

    for row in with_house(journey):
        print(orjson.dumps(row).decode())


@app.command()
def rotate(
    purpose: Annotated[Rotated, typer.Option(help="which keys")],
    now: Annotated[bool, typer.Option("--now", help="compromised: the present keys are taken back at once")] = False,
    also_next: Annotated[bool, typer.Option("--also-next", help="with --now: the announced token keys are taken back too")] = False,
) -> None:
    """Change keys. Without --now nobody notices; --now is for a key that somebody else may have (docs/rotation.md)."""
    if now and purpose is Rotated.KEY_ENCRYPTION:
        raise typer.BadParameter("the key-encryption key always changes at once")
    if also_next and not (now and purpose is Rotated.TOKENS):
        raise typer.BadParameter("--also-next belongs to --purpose tokens --now")

    async def journey(house: House) -> list[dict[str, Any]]:
        return await ROTATIONS[purpose](house, now, also_next)

    for row in with_house(journey):
        print(orjson.dumps(row).decode())


async def _rotate_tokens(house: House, now: bool, also_next: bool) -> list[dict[str, Any]]:
    if now:
        plan = await replace_compromised(house.database, house.keystore, house.clock, announced_too=also_next)
    else:
        plan = await rotate_tokens(house.database, house.keystore, house.clock, house.rotation)
    return [_token(key, house.clock.now()) for key in plan.keys]


async def _rotate_personal_data(house: House, now: bool, _: bool) -> list[dict[str, Any]]:
    notice = dt.timedelta() if now else NOTICE
    made = await rotate_data_key(house.database, house.keystore, house.clock, house.suite, notice=notice)
    return [{"kind": "personal-data", "key": str(made.key_id), "seals_from": _instant(made.seals_from)}]


async def _rotate_codes(house: House, now: bool, _: bool) -> list[dict[str, Any]]:
    made = await rotate_codes(house.database, house.keystore, house.clock, at_once=now)
    return [_code_key(key, house.clock.now()) for key in made]


async def _rotate_key_encryption(house: House, _: bool, __: bool) -> list[dict[str, Any]]:
    store = kek_rotation.own_store(house.keystore)
    count = await kek_rotation.rotate(house.database, store, house.clock)
    kept = store.encryption_keys.kept_since()
    return [{"kind": "key-encryption", "rewrapped": count, "previous_until": _instant(kept + kek_rotation.SETTLE) if kept else None}]


ROTATIONS: Mapping[Rotated, Callable[[House, bool, bool], Awaitable[list[dict[str, Any]]]]] = {
    Rotated.TOKENS: _rotate_tokens,
    Rotated.PERSONAL_DATA: _rotate_personal_data,
    Rotated.KEY_ENCRYPTION: _rotate_key_encryption,
    Rotated.CODES: _rotate_codes,
}
