"""``fujie federation …``: what each command does, what it prints, how it refuses. Two instances, over real mutual TLS."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from api import federation_channel
from api.commands import federation
from api.embedded import Addresses
from certs.federation import Level
from certs.federation_keys import AUTHORITY
from keys.custody.software import SoftwareKeyStore
from keys.suites import Crypto
from tests.certs.catalogue_people import MARKET
from tests.certs.instances import ANNE, BERT, CITY, PROVINCE, PROVINCE_OFFICE, Instance, Two, prepared
from tests.certs.sharing_people import CLERK, LICENCE
from tests.commanding import Commanding
from tests.conftest import TestClock

PEOPLE = {"anne": ANNE, "bert": BERT, "clerk": CLERK}
UNKNOWN = uuid.UUID(int=1)


@pytest.fixture(scope="module")
def two(servers: Addresses, key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Two:
    return prepared(servers, key_file, tmp_path_factory.mktemp("commanded"))


@pytest.fixture
async def instances(two: Two, keystore: SoftwareKeyStore, clock: TestClock) -> AsyncIterator[tuple[Instance, Instance]]:
    async with two.open(keystore, clock, agreed=False) as (city, province):
        yield city, province


@pytest.fixture
async def fujie(instances: tuple[Instance, Instance], monkeypatch: pytest.MonkeyPatch) -> Commanding:
    """The province's commands."""
    _, province = instances
    monkeypatch.setattr(federation_channel, "SECONDS", 100.0)
    monkeypatch.setattr(federation, "exchange_of", lambda house: house.exchange)
    exchange = province.exchange
    house = SimpleNamespace(
        database=province.database, keystore=exchange.keystore, clock=exchange.library.clock, exchange=exchange,
        settings=SimpleNamespace(crypto=Crypto.INTL),
    )  # fmt: skip
    commands = Commanding(federation.app, house, PEOPLE)
    commands.replace_in(monkeypatch, federation)
    return commands


async def test_from_two_cards_to_a_status_of_the_other(fujie: Commanding, instances: tuple[Instance, Instance], tmp_path: Path) -> None:
    city, _ = instances
    file, reason = tmp_path / "city.json", ("--reason", "协议第七号")
    file.write_bytes(await city.card())
    shown = await fujie("card", "-o", tmp_path / "province.json")
    assert (shown.exit_code, "compare by telephone: card sha256" in shown.stderr) == (0, True)
    assert orjson.loads((tmp_path / "province.json").read_bytes())["name"] == "示范省"
    assert orjson.loads((await fujie("card")).stdout) == orjson.loads((tmp_path / "province.json").read_bytes())
    assert await fujie.refusal("card", "-o", tmp_path / "province.json") == "OUTPUT_EXISTS"

    (proposed,) = await fujie.told("propose", file, "--as", "anne", "--level", "lower", "--division", CITY, *reason)
    assert (proposed["status"], proposed["divisions"], proposed["level"]) == ("proposed", [CITY], "lower")
    assert await fujie.refusal("propose", file, "--as", "bert", "--level", "equal", *reason) == "FEDERATION_PEER_DUPLICATE"
    peer = proposed["id"]
    assert await fujie.refusal("approve", peer, "--as", "anne", *reason) == "FEDERATION_SAME_PERSON"
    (agreed,) = await fujie.told("approve", peer, "--as", "bert", *reason)
    assert (agreed["status"], agreed["sha256"]) == ("active", proposed["sha256"])

    held = await city.stage.hold(LICENCE, issuer=MARKET)
    await _refused_turn(fujie)
    await city.register((tmp_path / "province.json").read_bytes(), Level.UPPER)
    async with city.listen():
        await city.order()
        (turn,) = await fujie.told("sync")
    assert (turn["peer"], turn["statuses"], turn["out_of_scope"], turn["problem"]) == ("示范市", 1, 0, None)
    (told,) = await fujie.told("status", held)
    assert (told["standing"], told["peer"]["name"]) == ("in_force", "示范市")
    assert await fujie.told("status", "1.2.156.3005.2.none") == []
    (listed,) = await fujie.told("list")
    assert (listed["certificates"], listed["heard_at"] is None) == (1, False)

    (stopped,) = await fujie.told("suspend", peer, "--as", "anne", *reason)
    assert stopped["status"] == "suspended"
    assert await fujie.told("sync") == [], "nothing is exchanged for now"
    assert await fujie.refusal("resume", peer, "--as", "anne", *reason) == "FEDERATION_SAME_PERSON"
    assert (await fujie.told("resume", peer, "--as", "bert", *reason))[0]["status"] == "active"
    assert (await fujie.told("pair", peer, "--as", "anne"))[0]["id"] == peer
    assert (await fujie.told("withdraw", peer, "--as", "anne", *reason))[0]["status"] == "withdrawn"
    (whole,) = await fujie.told("show", peer)
    assert [one["move"] for one in whole["history"]] == ["propose", "approve", "suspend", "resume", "withdraw"]
    assert whole["card"] == orjson.loads(file.read_bytes())


async def _refused_turn(fujie: Commanding) -> None:
    """Nobody listens: it is said, and the exit code is 1."""
    alone = await fujie("sync")
    assert (alone.exit_code, orjson.loads(alone.stdout.splitlines()[-1])["problem"]) == (1, "FEDERATION_PEER_UNREACHABLE")


async def test_our_card_and_our_keys(fujie: Commanding, instances: tuple[Instance, Instance]) -> None:
    asked = ("--organisation", PROVINCE_OFFICE, "--division", PROVINCE, "--address", "https://province.example:8443")
    done = await fujie("establish", "--name", "示范省政务服务", *asked, "--authority", AUTHORITY)
    assert (done.exit_code, "示范省政务服务; compare by telephone" in done.stderr) == (0, True)
    before = orjson.loads((await fujie("card")).stdout)
    assert (before["name"], before["address"], before["divisions"]) == ("示范省政务服务", "https://province.example:8443", [PROVINCE])
    (key,) = await fujie.told("rotate", "--as", "anne")
    after = orjson.loads((await fujie("card")).stdout)
    assert {one["kid"] for one in after["keys"]} == {before["keys"][0]["kid"], key["kid"]}
    (newest,) = await fujie.told("rotate", "--as", "anne", "--revoke-others")
    assert [one["kid"] for one in orjson.loads((await fujie("card")).stdout)["keys"]] == [newest["kid"]]
    assert await fujie.refusal("rotate", "--as", "clerk") == "FEDERATION_ACTOR_REFUSED"
    for wrong in (("--address", "http://province.example"), ("--organisation", "123"), ("--division", "99")):
        words = dict(zip(asked[::2], asked[1::2], strict=True)) | dict([wrong])
        assert await fujie.refusal("establish", "--name", "x", *sum(words.items(), ())) == "FEDERATION_CARD_MALFORMED"
    assert await fujie.refusal("establish", "--name", "x", *asked, "--authority", "none") == "AUTHORITY_UNKNOWN"


async def test_what_is_refused_by_name(fujie: Commanding, instances: tuple[Instance, Instance], tmp_path: Path) -> None:
    city, province = instances
    file, asked = tmp_path / "card.json", ("--level", "lower", "--reason", "x")
    for content in (b"", b"{}", b"\x89PNG", (await city.card()).replace(b"https://", b"http://")):
        file.write_bytes(content)
        assert await fujie.refusal("propose", file, "--as", "anne", *asked) == "FEDERATION_CARD_MALFORMED"
    file.write_bytes(await province.card())
    assert await fujie.refusal("propose", file, "--as", "anne", *asked) == "FEDERATION_PEER_IS_OURSELVES"
    file.write_bytes(await city.card())
    assert await fujie.refusal("propose", file, "--as", "clerk", *asked) == "FEDERATION_ACTOR_REFUSED"
    assert await fujie.refusal("propose", file, "--as", "anne", "--level", "lower", "--reason", " ") == "REASON_REQUIRED"
    assert "--level" in await fujie.misused("propose", file, "--as", "anne", "--reason", "x", "--level", "sideways")
    assert "--as" in await fujie.misused("propose", file, *asked)
    for move in ("approve", "reject", "suspend", "resume", "withdraw"):
        assert await fujie.refusal(move, UNKNOWN, "--as", "anne", "--reason", "x") == "FEDERATION_PEER_UNKNOWN"
        await fujie.misused(move, "not-an-id", "--as", "anne", "--reason", "x")
    assert await fujie.refusal("show", UNKNOWN) == "FEDERATION_PEER_UNKNOWN"
    assert await fujie.refusal("pair", UNKNOWN, "--as", "anne") == "FEDERATION_PEER_UNKNOWN"
    (proposed,) = await fujie.told("propose", file, "--as", "anne", *asked)
    assert await fujie.refusal("suspend", proposed["id"], "--as", "bert", "--reason", "x") == "FEDERATION_MOVE_NOT_ALLOWED"
    assert (await fujie.told("reject", proposed["id"], "--as", "bert", "--reason", "x"))[0]["status"] == "rejected"
    assert (await fujie.told("list"))[0]["certificates"] == 0
