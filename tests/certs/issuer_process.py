"""A process of its own that issues without pause, for ``test_kill``: prints each identifier once it is acknowledged."""

import asyncio
import datetime as dt
import json
import sys
from pathlib import Path

from api.workers import ProcessWorkers
from certs.approvals import Approval, HolderInput
from certs.blobs import FolderBlobStore
from certs.issuance import Issuing, approve
from identity.personal_data import open_personal_data
from keys.base.actor import Actor, ActorKind
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore

DEMO = Path(__file__).parents[2] / "api" / "demo" / "data"


def first_approval() -> Approval:
    values = json.loads((DEMO / "approvals.jsonl").read_text(encoding="utf-8").splitlines()[0])
    holders = tuple(HolderInput(**one) for one in values.pop("holders"))
    begins, ends = (dt.date.fromisoformat(values.pop(name)) for name in ("valid_from", "valid_to"))
    return Approval(**values, holders=holders, valid_from=begins, valid_to=ends)


async def main(database_url: str, blobs: Path, key_file: Path, client_id: str, number: int) -> None:
    database, clock, keystore = Database(database_url), SystemClock(), SoftwareKeyStore(key_file)
    personal = await open_personal_data(database, keystore, clock)
    workers = ProcessWorkers(processes=1)
    issuing = Issuing(database, keystore, clock, workers, FolderBlobStore(blobs), personal, "http://127.0.0.1:8000")
    client = Actor(ActorKind.CLIENT, client_id, client_id, "11990100MB0000027F", "990100")
    approval = first_approval()
    await workers.run(json.dumps, 1)
    print("ready", flush=True)
    while True:
        outcome = await approve(issuing, client, approval, f"key-{number}")
        print(outcome.identifier, flush=True)
        number += 1


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], int(sys.argv[5])))
