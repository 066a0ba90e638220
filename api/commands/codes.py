"""``fujie codes``: what verifying offline codes without a network takes: the keys, and the status lists."""

import asyncio
import ssl
from pathlib import Path
from typing import Annotated

import httpx2
import typer

from api.code_services import CodeServices
from api.commands.house import with_house
from api.commands.run import settings
from api.offline_trust import KEYS_FILE, LISTS_FOLDER, MOST_LIST
from api.wiring import House
from certs.code_key_set import CodeKeySet, verify_key_set
from certs.offline_verdict import believed_list, spoken_age
from certs.token_status import CWT_TYPE, StatusListMalformed
from keys.base.clock import SystemClock
from keys.base.errors import FujieError
from seal.trust import Trust

SECONDS = 20.0
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Offline codes.", pretty_exceptions_enable=False)


class CodesNotFetched(FujieError):
    """The address did not answer as a service like ours does."""

    code = "CODES_NOT_FETCHED"
    status = 502
    public = ("无法从该地址取得离线码公钥或状态列表。", "The keys or status lists could not be fetched from that address.")


@app.callback()
def _group() -> None:
    """Offline codes."""


@app.command()
def fetch(
    address: Annotated[str, typer.Argument(metavar="URL", help="the base address of the service that issues the codes")],
    trust: Annotated[
        Path | None, typer.Option(metavar="PEM", help="roots, in place of the home's trust.pem", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Fetch the keys and the status lists into this home; what no trusted root stands behind is not kept."""
    chosen = settings()
    roots = Trust.from_pem((trust or chosen.trust_file).read_bytes()).certificates
    signed, lists = asyncio.run(_fetched(address.rstrip("/"), roots))
    now = SystemClock().now()
    _write(chosen.home / KEYS_FILE, signed)
    for number, data in lists.items():
        _write(chosen.home / LISTS_FOLDER / f"{number}.cwt", data)
        _, listed = believed_list(data, verify_key_set(signed, roots).keys)
        print(f"status list {number}: {spoken_age(now - listed.issued_at)} old, good until {listed.expires_at:%Y-%m-%d %H:%M} UTC")


@app.command()
def export(
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", file_okay=False, help="where the files go")],
) -> None:
    """Write this service's own signed key set and status lists to files, for verifiers that no network reaches."""

    async def journey(house: House) -> tuple[bytes, dict[int, bytes]]:
        services = CodeServices(house)
        signed, _ = await services.signed_keys()
        return signed, {number: (await services.lists.current(number)).cwt for number in await services.lists.numbers()}

    signed, lists = with_house(journey)
    _write(folder / KEYS_FILE, signed)
    for number, data in lists.items():
        _write(folder / LISTS_FOLDER / f"{number}.cwt", data)


async def _fetched(address: str, roots: tuple[bytes, ...]) -> tuple[bytes, dict[int, bytes]]:
    """Raises :class:`CodesNotFetched`, and what the signatures' checks raise."""
    context = ssl.create_default_context()
    async with httpx2.AsyncClient(timeout=SECONDS, follow_redirects=False, verify=context, trust_env=False) as client:
        signed = await _get(client, f"{address}/pki/code-keys")
        keys = verify_key_set(signed, roots)
        lists = dict([await _list(client, one, keys) for one in keys.status_lists])
    return signed, lists


async def _list(client: httpx2.AsyncClient, address: str, keys: CodeKeySet) -> tuple[int, bytes]:
    if not address.startswith(f"{keys.issuer}/"):
        raise CodesNotFetched("a list that is kept elsewhere")
    data = await _get(client, address)
    try:
        number, _ = believed_list(data, keys.keys)
    except StatusListMalformed as error:
        raise CodesNotFetched(error.detail) from error
    return number, data


async def _get(client: httpx2.AsyncClient, address: str) -> bytes:
    try:
        async with client.stream("GET", address, headers={"Accept": f"{CWT_TYPE}, */*;q=0.1"}) as answer:
            parts, size = [], 0
            async for part in answer.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > MOST_LIST:
                    raise CodesNotFetched("too large")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise CodesNotFetched(type(error).__name__) from error
    if answer.status_code != httpx2.codes.OK:
        raise CodesNotFetched(f"HTTP {answer.status_code}")
    return b"".join(parts)


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all: another process may be reading it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(data)
    new.replace(file)
