"""``fujie seal document``: uploads, requests and batches, for the machine's administrator.

Approving takes a person with two factors: the page ``/documents`` or the API. What is asked for here waits for them.
"""

import dataclasses
import uuid
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.sealing import sealing_of
from api.wiring import House
from keys.base.actor import SYSTEM, Actor
from keys.base.ids import new_code
from seal.batch_values import Batch
from seal.batch_work import work_until_done
from seal.batches import get_batch, list_batches, move_batch
from seal.document_approving import cancel_request, picture_of, sealed_file
from seal.document_carrying import sweep_requests
from seal.document_levels import Level
from seal.document_lifecycle import BatchMove
from seal.document_reads import get_request, list_requests
from seal.document_requests import request_sealing, upload
from seal.document_values import Document, SealingOrder, SealLine, SealRequest

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Documents to be sealed: upload, request, look, batches.")
batch = typer.Typer(add_completion=False, no_args_is_help=True, help="Batches: list, show, pause, resume, cancel, work.")
app.add_typer(batch, name="batch")

Organisation = Annotated[str, typer.Option(help="USCC of the organisation that asks")]
Reason = Annotated[str, typer.Option(help="why; kept in the history")]
Output = Annotated[Path, typer.Option("-o", "--output", help="where to write it")]


def _print(value: object) -> None:
    print(orjson.dumps(value, default=str).decode())


def _acting_for(organisation: str) -> Actor:
    return dataclasses.replace(SYSTEM, organisation=organisation)


def _document(one: Document) -> dict[str, object]:
    return {
        "id": str(one.id), "sha256": one.document_hash.hex(), "source_sha256": one.source_hash.hex(), "pages": len(one.pages),
        "removed": dict(one.removed), "fonts_not_embedded": list(one.not_embedded),
    }  # fmt: skip


def _request(one: SealRequest) -> dict[str, object]:
    return {
        "id": str(one.id), "title": one.title, "status": one.status, "since": one.status_since, "position": one.position,
        "seals": [{"seal": seal.seal_code, "sealed": seal.sealed_hash is not None, "failure": seal.failure} for seal in one.seals],
    }  # fmt: skip


def _batch(one: Batch) -> dict[str, object]:
    return {
        "id": str(one.id), "title": one.title, "status": one.status, "reason": one.reason, "total": one.total, "sealed": one.sealed,
        "refused": one.refused, "waiting": one.waiting,
    }  # fmt: skip


@app.command("upload")
def upload_file(file: Path, organisation: Organisation) -> None:
    """Rebuild a PDF and keep it for sealing; prints what went. The file itself is not changed."""
    source = file.read_bytes()
    _print(_document(with_house(lambda house: upload(sealing_of(house), _acting_for(organisation), source, file.name))))


@app.command()
def request(
    document: uuid.UUID,
    organisation: Organisation,
    seal: Annotated[str, typer.Option(help="the seal's code")],
    matter: Annotated[str, typer.Option(help="the matter's code")],
    place: Annotated[list[str], typer.Option(help='JSON, e.g. {"kind":"point","page":1,"x_mm":150,"y_mm":240}; may be repeated')],
    title: Annotated[str, typer.Option(help="what approvers read")] = "",
    key: Annotated[str, typer.Option(help="the same key again asks nothing new")] = "",
    level: Annotated[Level, typer.Option(help="PAdES level of the sealed file")] = Level.B_B,
) -> None:
    """Ask that a document be sealed; an approver decides."""
    line = SealLine(seal, matter, tuple(orjson.loads(one) for one in place))
    order = SealingOrder(document, title or str(document), None, (line,), level=level)
    _print(_request(with_house(lambda house: request_sealing(sealing_of(house), _acting_for(organisation), order, key or new_code()))))


@app.command("list")
def list_all(status: Annotated[str | None, typer.Option(help="only these")] = None) -> None:
    """Print the newest requests, one JSON object a line."""

    async def journey(house: House) -> list[SealRequest]:
        async with house.database.session() as session:
            return await list_requests(session, SYSTEM, status=status)

    for one in with_house(journey):
        _print(_request(one))


@app.command()
def show(request_id: uuid.UUID) -> None:
    """Print one request."""

    async def journey(house: House) -> SealRequest:
        async with house.database.session() as session:
            return await get_request(session, SYSTEM, request_id)

    _print(_request(with_house(journey)))


@app.command()
def picture(request_id: uuid.UUID, output: Output, page: Annotated[int, typer.Option(help="from 1")] = 1) -> None:
    """Write one page as PNG, as it will be sealed or as it was."""
    output.write_bytes(with_house(lambda house: picture_of(sealing_of(house), SYSTEM, request_id, page - 1)))


@app.command("file")
def sealed(request_id: uuid.UUID, output: Output) -> None:
    """Write the sealed document."""
    output.write_bytes(with_house(lambda house: sealed_file(sealing_of(house), SYSTEM, request_id)))


@app.command()
def cancel(request_id: uuid.UUID, reason: Reason) -> None:
    """Take a request back that was made on this machine."""
    _print(_request(with_house(lambda house: cancel_request(sealing_of(house), SYSTEM, request_id, reason))))


@app.command()
def sweep() -> None:
    """Finish or send back what a killed process left behind, as the background does every few seconds."""
    _print({"brought on": with_house(lambda house: sweep_requests(sealing_of(house)))})


@batch.command("list")
def list_of_batches() -> None:
    """Print the newest batches, one JSON object a line."""
    for one in with_house(lambda house: list_batches(sealing_of(house), SYSTEM)):
        _print(_batch(one))


@batch.command("show")
def show_batch(batch_id: uuid.UUID) -> None:
    """Print one batch and its progress."""
    _print(_batch(with_house(lambda house: get_batch(sealing_of(house), SYSTEM, batch_id))))


@batch.command()
def pause(batch_id: uuid.UUID, reason: Reason) -> None:
    """Stop for now; what is being stamped is finished."""
    _print(_batch(with_house(lambda house: move_batch(sealing_of(house), SYSTEM, batch_id, BatchMove.PAUSE, reason))))


@batch.command()
def resume(batch_id: uuid.UUID) -> None:
    """Go on where it stopped."""
    _print(_batch(with_house(lambda house: move_batch(sealing_of(house), SYSTEM, batch_id, BatchMove.RESUME))))


@batch.command("cancel")
def cancel_batch(batch_id: uuid.UUID, reason: Reason) -> None:
    """End it; what is not sealed yet stays unsealed."""
    _print(_batch(with_house(lambda house: move_batch(sealing_of(house), SYSTEM, batch_id, BatchMove.CANCEL, reason))))


@batch.command()
def work(seconds: Annotated[float, typer.Option(help="at most so long")] = 3600.0) -> None:
    """Stamp what waits, beside the servers: any number of machines may, each document is stamped once."""
    _print({"taken": with_house(lambda house: work_until_done(sealing_of(house), seconds=seconds))})
