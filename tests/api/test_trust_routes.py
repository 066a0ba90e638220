"""``/api/v1/trust/authorities`` over the whole application: two security administrators, and everybody who is none."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from api.app import create_app
from api.openapi import document
from api.wiring import House
from identity.login_policy import PASSWORD, PASSWORD_AND_OTP, Strength
from keys.base.actor import Role
from keys.pki.authority import establish
from keys.trust.certificates import fingerprint, read_bundle
from keys.trust.publishing import listed_authorities
from tests.licensed import Licensed
from tests.pages_house import ISSUER, add_person, open_test_house
from tests.portal import City

PATH = "/api/v1/trust/authorities"
SCOPES = ("openid", "profile", "trust:manage")


@pytest.fixture(autouse=True)
def present(clock: Any) -> None:
    clock.instant = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=10)


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    await establish(database, keystore, clock, ISSUER)
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return (Licensed(tmp_path_factory.mktemp("other"), "http://127.0.0.1:1", "Other City").establish().folder / "ca.pem").read_text()


class Administrator:
    """Somebody with a token of scope ``trust:manage``, as a portal has it of them."""

    def __init__(self, house: House, client: httpx2.AsyncClient, token: str) -> None:
        self.house, self.client, self.headers = house, client, {"Authorization": f"Bearer {token}"}

    async def post(self, path: str, body: object, key: str | None = "") -> httpx2.Response:
        given = {} if key is None else {"Idempotency-Key": key or uuid.uuid4().hex}
        return await self.client.post(PATH + path, json=body, headers=self.headers | given)

    async def get(self, path: str = "") -> httpx2.Response:
        return await self.client.get(PATH + path, headers=self.headers)


async def administrator(
    house: House, name: str, *, role: Role = Role.SECURITY_ADMIN, strength: Strength = PASSWORD_AND_OTP
) -> Administrator:
    account = await add_person(house, name, roles=frozenset({role}))
    city = City(create_app(house), house.database, house.clock, account)
    client, secret = await city.register(scopes=SCOPES)
    await city.log_in(strength)
    await city.consent(client)
    tokens = await city.tokens(client, secret, scope=" ".join(SCOPES))
    return Administrator(house, city.browser, tokens["access_token"])


def proposal(root: str, **changes: object) -> dict[str, object]:
    return {"certificate": root, "uses": ["seal-signer"], "scope": {"divisions": ["990000"]}, "reason": "agreement no. 7"} | changes


async def codes(house: House) -> list[tuple[str, str]]:
    async with house.database.session() as session:
        query = "SELECT action, convert_from(body, 'UTF8')::jsonb->>'code' FROM keys.audit_events WHERE outcome = 'refused' ORDER BY id"
        return [(row[0], row[1]) for row in await session.execute(text(query))]


async def test_two_people_over_http(house: House, root: str) -> None:
    first, second = await administrator(house, "first"), await administrator(house, "second")
    key = uuid.uuid4().hex
    made = await first.post("", proposal(root), key)
    assert made.status_code == 201, made.text
    entry = made.json()
    assert made.headers["location"] == f"{PATH}/{entry['id']}"
    assert (entry["status"], entry["sha256"]) == ("proposed", fingerprint(read_bundle(root.encode())[0]).hex())
    again = await first.post("", proposal(root), key)
    assert (again.status_code, again.json()) == (201, entry), "asked again it is the same entry"
    other = await first.post("", proposal(root, reason="another"), key)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    for answer, status, code in (
        (await first.post("", proposal(root)), 409, "TRUST_DUPLICATE"),
        (await first.post("", proposal(root), None), 400, "IDEMPOTENCY_KEY_REQUIRED"),
        (await first.post("", proposal("nothing")), 422, "TRUST_BUNDLE_MALFORMED"),
        (await first.post("", proposal(root, uses=["everything"])), 422, "INVALID_INPUT"),
        (await first.post("", proposal(root, surprise=1)), 422, "INVALID_INPUT"),
        (await first.post("", proposal(root, reason=" ")), 422, "TRUST_PROPOSAL_INVALID"),
        (await first.post(f"/{entry['id']}/approve", {"reason": "mine"}), 403, "TRUST_SAME_PERSON"),
        (await second.post(f"/{uuid.uuid4()}/approve", {"reason": "seen"}), 404, "TRUST_ENTRY_UNKNOWN"),
        (await second.post(f"/{entry['id']}/resume", {"reason": "seen"}), 409, "TRUST_MOVE_NOT_ALLOWED"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text

    for who, step, status in (
        (second, "approve", "active"),
        (first, "suspend", "suspended"),
        (second, "resume", "active"),
        (second, "withdraw", "withdrawn"),
    ):
        key = uuid.uuid4().hex
        moved = await who.post(f"/{entry['id']}/{step}", {"reason": "agreement no. 7"}, key)
        assert (moved.status_code, moved.json()["status"]) == (200, status), moved.text
        async with house.database.session() as session:
            listed = [one for one in await listed_authorities(session) if not one.own]
        assert [one.history[-1].status for one in listed] == [status]
        repeated = await who.post(f"/{entry['id']}/{step}", {"reason": "agreement no. 7"}, key)
        assert (repeated.status_code, repeated.json()) == (200, moved.json()), "done once"
    history = (await first.get(f"/{entry['id']}")).json()["history"]
    assert [one["move"] for one in history] == ["propose", "approve", "activate", "suspend", "resume", "withdraw"]
    rejected = (await first.post("", proposal(root))).json()
    assert (await first.post(f"/{rejected['id']}/reject", {"reason": "no"})).json()["status"] == "rejected"
    assert [one["id"] for one in (await first.get()).json()["items"]] == [entry["id"], rejected["id"]]
    assert [one["id"] for one in (await first.get("?status=withdrawn")).json()["items"]] == [entry["id"]]


async def test_nobody_else(house: House, root: str) -> None:
    """No token, no scope, another role, one factor: refused, and those who are known are written down."""
    one_factor = await administrator(house, "third", strength=PASSWORD)
    keeper = await administrator(house, "keeper", role=Role.SEAL_KEEPER)
    for who in (one_factor, keeper):
        assert (await who.get()).json()["code"] == "TRUST_ACTOR_REFUSED"
        assert (await who.post("", proposal(root))).json()["code"] == "TRUST_ACTOR_REFUSED"
        assert (await who.post(f"/{uuid.uuid4()}/withdraw", {"reason": "x"})).json()["code"] == "TRUST_ACTOR_REFUSED"
    refusals = [(action, code) for action, code in await codes(house) if action.startswith("keys.trust.")]
    assert refusals == [(f"keys.trust.{one}", "TRUST_ACTOR_REFUSED") for one in ("list", "propose", "withdraw")] * 2
    stranger = Administrator(house, keeper.client, "nothing")
    assert (await stranger.get()).json()["code"] == "INVALID_TOKEN"
    stranger.headers = {}
    assert (await stranger.post("", {"reason": "x"})).json()["code"] == "TOKEN_REQUIRED"
    described = document(create_app(house), ISSUER)
    assert {path for path in described["paths"] if path.startswith(PATH)} == {
        PATH,
        f"{PATH}/{{entry_id}}",
        *(f"{PATH}/{{entry_id}}/{step}" for step in ("approve", "reject", "suspend", "resume", "withdraw")),
    }
