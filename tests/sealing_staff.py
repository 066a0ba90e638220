"""Staff who have documents sealed, for the tests of their pages: a department's keeper and approver, a window's clerk, an administrator."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import text

from api.sealing import sealing_of
from api.wiring import House
from identity.people import NewAccount, create_account, set_identity
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.ids import new_code
from seal.batch_values import Batch, BatchOrder
from seal.batches import request_batch
from seal.document_requests import request_sealing, upload
from seal.document_values import SealingOrder, SealLine, SealRequest
from seal.grants import Grant, GranteeKind, grant_use
from seal.windows import Window, hand_over, post, put_window
from tests.certs.conftest import approvals
from tests.pages_house import PASSWORD, Approver, add_second_factor, keeper_of
from tests.seal import hostile_pdfs as hostile

DEPARTMENT, MATTER = approvals()[0]["issuer"], approvals()[0]["matter_code"]
OTHER, OTHER_MATTER = next((one["issuer"], one["matter_code"]) for one in approvals() if one["issuer"] != DEPARTMENT)
CENTRE = "11990100MB0000019L"
WINDOW = "hall-1"
PLACE = {"kind": "point", "page": 1, "x_mm": 150.0, "y_mm": 240.0}
_ALERT = text(
    "INSERT INTO seal.alerts (id, seal_id, rule, mark, at, details, note) SELECT gen_random_uuid(), id, 'REFUSED_IN_A_ROW', 'x', :at,"
    " jsonb_build_object('actor', cast(:actor AS text), 'refusals', 5, 'code', 'NO_GRANT'), '' FROM seal.seals WHERE code = :code"
)
_AGED = text("UPDATE seal.grants SET granted_at = granted_at - interval '350 days' WHERE id = :grant")


async def add_staff(house: House, name: str, shown: str, role: Role, organisation: str) -> Approver:
    """An account with that role, known by name and number, with a second factor."""
    now = house.clock.now()
    async with house.database.begin() as session:
        new = NewAccount(name, shown, "990100", frozenset({role}), organisation)
        account = await create_account(session, now, new, PASSWORD)
        await set_identity(session, now, account.id, name=shown, level=2)
    return Approver(account, await add_second_factor(house, account))


def acting(one: Approver) -> Actor:
    """The person as they act once logged in with both factors."""
    account = one.account
    return Actor(
        ActorKind.PERSON, str(account.id), account.display_name, account.organisation, "990100", account.roles, assurance=2, authenticator=2
    )


@dataclass(frozen=True)
class Desk:
    """Who and what is there. ``waiting``: for the approver of the department; ``at_window``: for the other's approver, then the clerk."""

    keeper: Approver
    approver: Approver
    other_approver: Approver
    clerk: Approver
    waiting: SealRequest
    at_window: SealRequest
    batch: Batch


async def set_up(house: House, seals: dict[str, str]) -> Desk:
    """The department's seal is used by its approver; the other organisation's is kept at a window of the service centre."""
    keeper = await add_staff(house, "keeper", "印章保管员", Role.SEAL_KEEPER, DEPARTMENT)
    approver = await add_staff(house, "approver", "审批员", Role.APPROVER, DEPARTMENT)
    other = await add_staff(house, "other", "水务审批员", Role.APPROVER, OTHER)
    clerk = await add_staff(house, "clerk", "窗口人员", Role.WINDOW_CLERK, CENTRE)
    await _grant(house, keeper_of(DEPARTMENT), Grant(seals[DEPARTMENT], "person", acting(approver).id, MATTER, None, *_period(house)))
    await _window(house, seals[OTHER], acting(clerk).id)
    await _to_supervise(house, seals[DEPARTMENT], acting(approver).id)
    return Desk(
        keeper, approver, other, clerk,
        await _requested(house, acting(keeper), seals[DEPARTMENT], MATTER),
        await _requested(house, acting(clerk), seals[OTHER], OTHER_MATTER),
        await _batch(house, acting(keeper), seals[DEPARTMENT]),
    )  # fmt: skip


def _period(house: House) -> tuple[dt.datetime, dt.datetime]:
    now = house.clock.now()
    return now, now + dt.timedelta(days=90)


async def _grant(house: House, keeper: Actor, grant: Grant) -> str:
    async with house.database.begin() as session:
        return str(await grant_use(session, house.clock.now(), keeper, grant))


async def _window(house: House, seal: str, clerk: str) -> None:
    database, clock = house.database, house.clock
    await put_window(database, clock, SYSTEM, Window(WINDOW, "一号窗口", CENTRE, "990100", "示范市政务服务中心一层"))
    await post(database, clock, SYSTEM, window_id=WINDOW, person=clerk)
    await hand_over(database, clock, keeper_of(OTHER), window_id=WINDOW, seal_code=seal)
    await _grant(house, keeper_of(OTHER), Grant(seal, GranteeKind.WINDOW, WINDOW, OTHER_MATTER, None, *_period(house)))


async def _to_supervise(house: House, seal: str, person: str) -> None:
    """An alert, and a grant that is due for its review within a month."""
    begins, ends = _period(house)
    grant = await _grant(house, keeper_of(DEPARTMENT), Grant(seal, "person", person, MATTER, None, begins, ends, document_kind="letter"))
    async with house.database.begin() as session:
        await session.execute(_AGED, {"grant": grant})
        await session.execute(_ALERT, {"at": begins, "actor": person, "code": seal})


async def _requested(house: House, actor: Actor, seal: str, matter: str) -> SealRequest:
    sealing = sealing_of(house)
    document = await upload(sealing, actor, hostile.document(), "关于停水的通知.pdf")
    order = SealingOrder(document.id, "关于停水的通知", None, (SealLine(seal, matter, (PLACE,)),))
    return await request_sealing(sealing, actor, order, new_code())


async def _batch(house: House, actor: Actor, seal: str) -> Batch:
    sealing = sealing_of(house)
    documents = [(await upload(sealing, actor, hostile.document(pages=number), f"通知-{number}.pdf")).id for number in (1, 2)]
    order = BatchOrder("停水通知一批", seal, MATTER, None, tuple(documents), (PLACE,))
    return await request_batch(sealing, actor, order, new_code())
