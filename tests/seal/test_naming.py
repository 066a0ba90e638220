"""Names on seals: the organisation's own, in one writing, like no other's."""

import doctest
from typing import Any

import pytest
from sqlalchemy import text

from seal import making, naming
from seal.looks import SealLook
from seal.naming import ALIKE, PLAIN, Names, SealNameImitates, SealNameNotRegistered, mixes_scripts, require_own_name, skeleton

BUREAU = "示范市住房和城乡建设局"


def test_the_examples_in_the_text_hold() -> None:
    assert doctest.testmod(naming).failed == 0


def test_every_look_alike_has_its_like_once() -> None:
    assert len(set(ALIKE)) == len(ALIKE)
    assert len(ALIKE) > len(PLAIN)
    assert skeleton(PLAIN) == skeleton(skeleton(PLAIN)), "what it looks like looks like nothing else"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("示范市АВС中心", "示范市ABC中心"),  # Cyrillic
        ("示范市ΑΒΕ中心", "示范市ABE中心"),  # Greek
        ("示范市ＡＢＣ中心", "示范市ABC中心"),  # full width
        ("示范市第ニ中学", "示范市第二中学"),  # Katakana
        ("示范市第—中学", "示范市第一中学"),  # a dash
        ("示范市ㄌ公司", "示范市力公司"),  # Bopomofo
        ("示范市第1O中学", "示范市第10中学"),
        ("示范市 住建局", "示范市住建局"),
        ("示范市住·建局", "示范市住建局"),
    ],
)
def test_what_looks_alike_has_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(("one", "other"), [("示范市民政局", "示范市财政局"), ("王千", "王干"), ("未来公司", "末来公司")])
def test_names_of_honest_people_are_told_apart(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@pytest.mark.parametrize(
    ("text", "mixed"), [("示范市А区", True), ("Оriental公司", True), ("ОАО", False), ("内蒙古ᠮᠣᠩᠭᠣᠯ", False), ("ABC公司", False)]
)
def test_alphabets_that_imitate_do_not_mix(text: str, mixed: bool) -> None:
    assert mixes_scripts(text) is mixed


OWN: list[tuple[str, Names]] = [
    ("approval", Names("章", BUREAU)),
    ("approval", Names("章", BUREAU, upper="示范市住建局")),
    ("internal", Names("章", f"{BUREAU}办公室")),
    ("branch", Names("章", f"{BUREAU}示范分局", upper="示范市住建局示范分局")),
    ("personal_name", Names("章", BUREAU, upper="张小凡")),
]
OTHERS: list[tuple[str, Names]] = [
    ("approval", Names("章", "示范市公安局")),
    ("approval", Names("章", f"{BUREAU}办公室")),
    ("approval", Names("章", BUREAU, upper="示范市公安局")),
    ("approval", Names("章", BUREAU, upper="")),
    ("internal", Names("章", "示范市公安局办公室")),
    ("personal_name", Names("章", "示范市公安局", upper="张小凡")),
]


@pytest.mark.parametrize(("kind", "names"), OWN)
def test_the_registered_name_or_what_begins_with_it(kind: str, names: Names) -> None:
    require_own_name(kind, names, BUREAU)


@pytest.mark.parametrize(("kind", "names", "registered"), [*((*one, BUREAU) for one in OTHERS), (*OWN[0], None)])
def test_the_name_of_another_is_refused(kind: str, names: Names, registered: str | None) -> None:
    with pytest.raises(SealNameNotRegistered):
        require_own_name(kind, names, registered)


class Register:
    async def name_of(self, uscc: str) -> str | None:
        return BUREAU


async def test_an_order_that_imitates_a_seal_is_refused_and_audited(city: Any, approval_seal: Any) -> None:
    async def applied(**changes: Any) -> Any:
        return await making.apply_for_seal(
            city.database, city.clock, city.keeper, city.order(kind="contract", **changes), register=Register()
        )

    name = approval_seal.name
    imitations = (name.replace("市", " 市"), name + "·", name.replace("一", "—") + "・")
    for imitation in imitations:
        with pytest.raises(SealNameImitates):
            await applied(name=imitation)
    with pytest.raises(making.SealOrderInvalid):
        await applied(name="示范市А合同章")
    with pytest.raises(SealNameNotRegistered):
        await applied(organisation_name="示范市公安局")
    with pytest.raises(SealNameNotRegistered):
        await applied(look=SealLook(upper="示范市公安局"))
    assert (await applied(name=name)).name == name, "the same name is no imitation: kinds tell the seals of one organisation apart"
    assert (await applied(name="示范市住建局合同专用章A")).name == "示范市住建局合同专用章A"
    with pytest.raises(SealNameImitates):
        await applied(name="示范市住建局合同专用章 A")
    async with city.database.session() as session:
        told = text("SELECT count(*) FROM keys.audit_events WHERE action = 'seal.apply' AND convert_from(body, 'UTF8') LIKE :code")
        assert await session.scalar(told, {"code": "%SEAL_NAME_IMITATES%"}) == len(imitations) + 1
