"""Subscriptions, the feed, entrances and the file drop over a whole house."""

import asyncio
import base64
import csv
import dataclasses
import datetime as dt
import hashlib
import io
import json
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from api.app import create_app
from api.approval_rows import approval_of
from api.event_services import subscribing_of, telling_of
from api.wiring import House
from certs import drop_files
from certs.delivery import Courier
from certs.drop_files import Watch
from certs.drops import Dropping, drops_of
from certs.subscriptions import Wanted, subscribe
from certs.webhook_signing import Message, sign
from identity.clients import NewClient, create_client
from keys.base.actor import SYSTEM
from keys.base.blobs import StoreUnreachable
from tests.certs.conftest import APPROVALS_CLIENT, CITY, approvals
from tests.certs.test_issuing import audit_trail
from tests.furnished import Furnished, open_furnished
from tests.receiving import Receiver

SCOPES = ("certificates:issue", "certificates:read", "events:receive")


@pytest.fixture
def template(furnished: Furnished) -> str:
    return furnished.template


@dataclasses.dataclass
class Door:
    house: House
    http: httpx2.AsyncClient
    token: dict[str, str]

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        more = {"Idempotency-Key": headers.pop("key", uuid.uuid4().hex)}
        answer = await self.http.request(method, f"/api/v1{path}", json=body, headers=self.token | more | headers)
        return answer.status_code, answer.json() if answer.content else None

    async def knock(self, entrance: dict[str, Any], body: bytes, message_id: str = "msg_1", **changes: Any) -> tuple[int, Any]:
        """A signed message at an entrance; ``changes`` of its headers or ``sent_at``."""
        sent_at = changes.pop("sent_at", self.house.clock.now())
        headers = sign(Message(message_id, sent_at, body), [changes.pop("secret", entrance["secret"])]) | changes
        answer = await self.http.post(entrance["address"], content=body, headers=headers)
        return answer.status_code, answer.json()


@pytest.fixture
async def door(
    furnished: Furnished, database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> AsyncIterator[Door]:
    async with open_furnished(furnished, database, redis_url, keystore, clock, workers, tmp_path / "home") as house:
        house.settings.webhook_networks = "127.0.0.0/8"
        new = NewClient(
            name_zh="审批平台", name_en="Approvals", division="990100", organisation=CITY, grant_types=("client_credentials",),
            scopes=SCOPES, client_id=APPROVALS_CLIENT.id,
        )  # fmt: skip
        async with house.database.begin() as session:
            client, secret = await create_client(session, clock.now(), new)
        app = create_app(house)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=house.base_url) as http:
            asked = {"grant_type": "client_credentials", "scope": " ".join(SCOPES)}
            answer = await http.post("/oauth/token", data=asked, auth=(client.client_id, secret or ""))
            yield Door(house, http, {"Authorization": f"Bearer {answer.json()['access_token']}"})


async def tell(house: House) -> None:
    """One round, to its end."""
    async with Courier(telling_of(house)) as courier:
        await courier.step()
        await courier.settle()


async def test_a_department_subscribes_is_told_and_asks_again(door: Door) -> None:
    async with Receiver() as receiver:
        body = {"name": "监管平台", "url": receiver.url, "topics": ["certificate.issued", "certificate.status"]}
        status, made = await door.send("POST", "/subscriptions", body, key="one")
        assert (status, made["state"], made["secret"][:6]) == (201, "active", "whsec_")
        assert await door.send("POST", "/subscriptions", body, key="one") == (201, made)
        assert (await door.send("POST", "/subscriptions", body | {"name": "x"}, key="one"))[1]["code"] == "IDEMPOTENCY_KEY_REUSED"
        status, issued = await door.send("POST", "/approvals", approvals()[1])
        assert status == 201
        suspension = {"reason": "核查", "reason_code": "UNDER_INVESTIGATION"}
        assert (await door.send("POST", f"/certificates/{issued['id']}/suspend", suspension))[0] == 200
        await tell(door.house)
        assert [one.event["type"] for one in receiver.told] == ["certificate.issued", "certificate.status"]
        first = receiver.told[0].event
        for secret in ("示范市", "91990100MA1TEXT06T", "JY2990"):
            assert secret not in receiver.told[0].body.decode()
        status, whole = await door.send("GET", first["links"]["event"].partition("/api/v1")[2])
        assert (status, whole["id"]) == (200, first["id"])
        status, certificate = await door.send("GET", first["links"]["certificate"].partition("/api/v1")[2])
        assert (status, certificate["identifier"]) == (200, issued["identifier"])
        own = f"/subscriptions/{made['id']}"
        assert (await door.send("POST", f"{own}/replay", {"events": [first["id"]]}))[1] == {"queued": 1}
        await tell(door.house)
        assert receiver.ids.count(first["id"]) == 2
        assert (await door.send("POST", f"{own}/test"))[1]["outcome"] == "delivered"
        status, queue = await door.send("GET", f"{own}/deliveries?state=delivered")
        assert queue["items"][-1]["event"] == first["id"]
        status, feed = await door.send("GET", "/events?limit=1")
        assert (feed["items"][0]["id"], feed["next_cursor"]) == (first["id"], 1)
        assert (await door.send("POST", f"{own}/pause"))[1]["state"] == "paused"
        assert (await door.send("POST", f"{own}/secret"))[1]["secret"] != made["secret"]
        assert (await door.send("DELETE", own))[0] == 204
        assert (await door.send("GET", own))[0] == 404


async def test_an_address_of_our_own_networks_is_refused_when_it_is_registered(door: Door) -> None:
    door.house.settings.webhook_networks = ""
    status, problem = await door.send("POST", "/subscriptions", {"name": "x", "url": "https://10.1.2.3/hook"})
    assert (status, problem["code"]) == (422, "WEBHOOK_ADDRESS_REFUSED")
    assert "10.1.2.3" not in json.dumps(problem)
    assert await audit_trail(door.house.database, "certs.subscription.subscribe") == [("refused", "WEBHOOK_ADDRESS_REFUSED")]


async def test_an_approval_comes_in_signed_once(door: Door) -> None:
    status, entrance = await door.send("POST", "/entrances", {"client_id": APPROVALS_CLIENT.id, "name": "旧系统"})
    assert status == 201
    body = json.dumps(approvals()[1]).encode()
    status, issued = await door.knock(entrance, body)
    assert (status, issued["status"]) == (201, "issued")
    assert await door.knock(entrance, body) == (201, issued)  # the same message again
    assert (await door.knock(entrance, body, sent_at=door.house.clock.now() + dt.timedelta(minutes=4)))[1] == issued
    async with door.house.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM certs.certificates")) == 1
    other = json.dumps(approvals()[1] | {"approval_number": "另一号"}).encode()
    assert (await door.knock(entrance, other))[1]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert (await door.knock(entrance, b"{", "msg_2"))[1]["code"] == "INVALID_INPUT"


async def test_messages_that_name_nobody_are_refused_alike(door: Door) -> None:
    _, entrance = await door.send("POST", "/entrances", {"client_id": APPROVALS_CLIENT.id, "name": "旧系统"})
    body, now = json.dumps(approvals()[1]).encode(), door.house.clock.now()
    nobody = entrance | {"address": entrance["address"].replace(entrance["id"], str(uuid.uuid4()))}
    attempts = [
        await door.knock(entrance, body, secret="whsec_" + base64.b64encode(b"x" * 32).decode()),
        await door.knock(entrance, body, sent_at=now - dt.timedelta(minutes=6)),
        await door.knock(entrance, body, sent_at=now + dt.timedelta(minutes=6)),
        await door.knock(entrance, body, **{"webhook-signature": ""}),
        await door.knock(entrance, body, **{"webhook-id": "another"}),
        await door.knock(entrance, body, **{"webhook-timestamp": str(int(now.timestamp()) + 1)}),
        await door.knock(nobody, body),
        await door.knock(entrance | {"address": entrance["address"].replace(entrance["id"], "x")}, body),
    ]
    assert {(status, problem["code"]) for status, problem in attempts} == {(401, "WEBHOOK_SIGNATURE_INVALID")}
    assert len({problem["detail"] if "detail" in problem else problem["title"] for _, problem in attempts}) == 1
    async with door.house.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM certs.certificates")) == 0
    old = entrance["secret"]
    _, rotated = await door.send("POST", f"/entrances/{entrance['id']}/secret")
    assert rotated["secret"] != old
    assert (await door.knock(entrance, body, "msg_3"))[0] == 201  # the old secret, within its day
    assert (await door.send("DELETE", f"/entrances/{entrance['id']}"))[0] == 204
    assert (await door.knock(entrance | {"secret": rotated["secret"]}, body, "msg_4"))[0] == 401


class Inbox:
    """The old system's side of a folder."""

    def __init__(self, root: Path, house: House) -> None:
        self.folder = root / APPROVALS_CLIENT.id
        (self.folder / "inbox").mkdir(parents=True)
        self.house = house
        self.dropping = Dropping(house.issuing, root, approval_of)

    def lay(self, name: str, content: bytes) -> Path:
        path = self.folder / "inbox" / name
        path.write_bytes(content)
        return path

    async def look(self, *, times: int = 2) -> int:
        """Looks with the pause between them already over."""
        done = 0
        for _ in range(times):
            await self.dropping.step()
            done += await self.dropping.settle()
        return done

    async def until(self, count: int) -> int:
        """Looks until so many files were put away: on a busy machine a registry may be slow, and then a file waits."""
        done = 0
        async with asyncio.timeout(100):
            while done < count:
                done += await self.look(times=1)
        return done

    def receipt(self, path: Path, content: bytes) -> list[dict[str, Any]]:
        name = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:8]}.receipt.jsonl"
        return [json.loads(line) for line in (self.folder / "receipts" / name).read_text().splitlines()]

    def names(self, where: str) -> list[str]:
        return sorted(os.listdir(self.folder / where)) if (self.folder / where).is_dir() else []


@pytest.fixture
def inbox(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    monkeypatch.setattr(drop_files, "SETTLED_SECONDS", 0.0)
    return Inbox(tmp_path / "drop", door.house)


def flat(number: int, **changes: str) -> dict[str, str]:
    """An approval as a row of a table."""
    one = approvals()[number]
    holders = {f"holder_{name}": "^".join(holder[name] for holder in one["holders"]) for name in ("name", "code", "code_type")}
    plain = {name: value or "" for name, value in one.items() if isinstance(value, str) or value is None}
    return plain | holders | one["fields"] | changes


def table(*rows: dict[str, str]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode("gb18030")


async def test_a_file_becomes_certificates_and_a_receipt(inbox: Inbox) -> None:
    content = table(
        flat(1), flat(1, approval_number="二", certificate_type="无此类型"), flat(1, valid_from="昨天"), flat(1, approval_number="三")
    )
    path = inbox.lay("batch.csv", content)
    assert await inbox.until(1) == 1
    lines = inbox.receipt(path, content)
    assert [one["status"] for one in lines] == ["issued", "refused", "refused", "issued"]
    assert [one.get("code") for one in lines[1:3]] == ["UNKNOWN_CERTIFICATE_TYPE", "INVALID_INPUT"]
    assert lines[2]["errors"] == [{"field": "valid_from", "message": "date_from_datetime_parsing"}]
    assert {one["row"] for one in lines} == {1, 2, 3, 4}
    assert lines[0]["approval_number"] == approvals()[1]["approval_number"]
    assert (inbox.names("inbox"), len(inbox.names("done"))) == ([], 1)
    async with inbox.house.database.session() as session:
        (drop,) = await drops_of(session, [APPROVALS_CLIENT.id])
    assert (drop.state, drop.issued, drop.waiting, drop.refused) == ("done", 2, 0, 2)
    assert await audit_trail(inbox.house.database, "certs.drop.work") == [("done", None)]
    for holder in approvals()[1]["holders"]:
        assert holder["code"] not in json.dumps(lines)


async def test_what_is_laid_down_twice_is_issued_once(inbox: Inbox) -> None:
    one, two = (
        json.dumps(approvals()[1]).encode(),
        json.dumps([approvals()[1], approvals()[1] | {"approval_number": "四"}], indent=1).encode(),
    )
    first = inbox.lay("a.json", one)
    await inbox.until(1)
    again, more = inbox.lay("a.json", one), inbox.lay("b.json", two)
    assert await inbox.until(2) == 2
    told = [inbox.receipt(path, content) for path, content in ((first, one), (again, one), (more, two))]
    assert len({line["id"] for lines in told for line in lines}) == 2
    async with inbox.house.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM certs.certificates")) == 2


async def test_half_written_files_wait_and_others_are_left_alone(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.dumps(approvals()[1]).encode()
    inbox.lay("half.json", whole[:-20])
    inbox.lay("half.csv", table(flat(1)).rstrip())
    for name in ("x.json.tmp", ".y.json", "z.json.part"):
        inbox.lay(name, whole)
    (inbox.folder / "inbox" / "link.json").symlink_to("/etc/passwd")
    told = inbox.lay("told.json", whole)
    told.with_name("told.json.sha256").write_text(hashlib.sha256(whole + b" ").hexdigest())
    assert await inbox.look(times=3) == 0
    inbox.lay("half.json", whole)
    told.with_name("told.json.sha256").write_text(hashlib.sha256(whole).hexdigest() + "  told.json")
    assert await inbox.until(2) == 2
    assert inbox.names("inbox") == [".y.json", "half.csv", "link.json", "x.json.tmp", "z.json.part"]
    monkeypatch.setattr(drop_files, "UNFINISHED_SECONDS", 0.0)
    assert await inbox.until(1) == 1  # it was whole, without a line end


def test_a_file_that_still_grows_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    watch, path = Watch(tmp_path), tmp_path / "inbox" / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    assert list(watch.ready(0.0)) == []
    path.write_bytes(b"a,b\n1,2\n3,4\n")
    assert list(watch.ready(5.0)) == []
    assert list(watch.ready(6.0)) == []
    assert list(watch.ready(7.1)) == [path]


async def test_files_that_are_none_are_put_aside_with_their_reason(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop_files, "UNFINISHED_SECONDS", 0.0)
    monkeypatch.setattr(drop_files, "LARGEST", 2000)
    broken, large, good = (
        inbox.lay("a.json", b"{no"),
        inbox.lay("b.csv", b"x" * 3000),
        inbox.lay("c.json", json.dumps(approvals()[1]).encode()),
    )
    assert await inbox.until(3) == 3
    assert [inbox.receipt(broken, b"{no")[0]["code"], inbox.receipt(large, b"")[0]["code"]] == ["DROP_UNREADABLE"] * 2
    assert len(inbox.names("refused")) == 2
    assert inbox.receipt(good, json.dumps(approvals()[1]).encode())[0]["status"] == "issued"
    assert sorted(await audit_trail(inbox.house.database, "certs.drop.work")) == [
        ("done", None), ("refused", "DROP_UNREADABLE"), ("refused", "DROP_UNREADABLE"),
    ]  # fmt: skip


async def test_while_the_store_is_away_the_file_waits_and_nothing_is_lost(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.dumps([approvals()[1] | {"approval_number": str(number)} for number in range(3)]).encode()
    path = inbox.lay("a.json", content)

    async def away(*_: Any) -> None:
        raise StoreUnreachable

    with monkeypatch.context() as patched:
        patched.setattr(type(inbox.house.blobs), "put", away)
        assert await inbox.look() == 0
        assert inbox.names("inbox") == ["a.json"]
    inbox.house.clock.advance(minutes=10)  # type: ignore[attr-defined]
    assert await inbox.until(1) == 1
    assert [one["status"] for one in inbox.receipt(path, content)] == ["issued"] * 3
    async with inbox.house.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM certs.certificates WHERE stage = 'issued'")) == 3


async def test_killed_between_receipt_and_moving_it_begins_again(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.dumps(approvals()[1]).encode()
    path = inbox.lay("a.json", content)

    def die(*_: Any) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("certs.drops.put_away", die)
        assert await inbox.look() == 0
    before = inbox.receipt(path, content)
    assert await inbox.until(1) == 1
    assert inbox.receipt(path, content) == before


async def test_folders_of_nobody_are_left_alone(inbox: Inbox) -> None:
    stranger = inbox.folder.with_name("stranger") / "inbox"
    stranger.mkdir(parents=True)
    (stranger / "a.json").write_text(json.dumps(approvals()[1]))
    (inbox.folder / "inbox").chmod(0o777)
    inbox.lay("a.json", json.dumps(approvals()[1]).encode())
    assert await inbox.look() == 0
    (inbox.folder / "inbox").chmod(0o770)
    assert await inbox.until(1) == 1
    assert (stranger / "a.json").exists()


def test_what_was_put_away_is_removed_after_a_week(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    old, young = tmp_path / "done" / "old.csv", tmp_path / "done" / "young.csv"
    old.write_text("x")
    young.write_text("x")
    now = young.stat().st_mtime
    os.utime(old, (now - 8 * 86_400, now - 8 * 86_400))
    assert drop_files.forget_old(Watch(tmp_path), now) == 1
    assert (old.exists(), young.exists()) == (False, True)


async def test_a_system_with_a_type_of_its_own_subscribes_on_the_machine(door: Door) -> None:
    async with Receiver() as receiver:
        made, _ = await subscribe(subscribing_of(door.house), SYSTEM, Wanted("x", receiver.url, types=("11990100MB0000035A002",)), CITY)
        assert made.types == ("11990100MB0000035A002",)
