"""The schema of a version: two validators agree about it, and an approval is held to it."""

from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from certs.approvals import HolderInput
from certs.catalogue import (
    CertificateTypeRetired,
    Field,
    FieldKind,
    HolderKind,
    Mask,
    Sharing,
    SharingClass,
    definition,
    parse_type,
    shipped_types,
)
from certs.catalogue_keeping import take_step
from certs.catalogue_reads import get_versions
from certs.issuance import approve
from certs.library import Library, read
from certs.lifecycle import Standing
from certs.metadata import describe
from certs.reads import put_types
from certs.type_admission import TypeNeedsOtherSeal, TypeNotOfIssuer, TypeNotOfMatter, check_content, check_rights
from certs.type_diff import Change, differences
from certs.type_lifecycle import TypeMove
from certs.type_rules import TypeMalformed, check_type, read_definition
from certs.type_schema import check_fields, json_schema
from certs.verification import record_by_code
from keys.base.actor import SYSTEM
from keys.base.errors import InvalidInput
from tests.certs.catalogue_people import HAWKER, REVIEWER
from tests.certs.conftest import City, approval

SEWAGE = next(kind for kind in shipped_types() if kind.name_en.startswith("Urban sewage"))
RICH = replace(
    HAWKER,
    fields=(
        Field("登记日期", "KZ_DJRQ", True, Mask.NONE, FieldKind.DATE),
        Field("面积", "KZ_MJ", False, Mask.NONE, FieldKind.DECIMAL),
        Field("座位数", "KZ_ZWS", False, Mask.NONE, FieldKind.INTEGER),
        Field("业态", "KZ_YT", True, Mask.NONE, FieldKind.CHOICE, choices=("小餐饮", "小作坊")),
        Field("编号", "KZ_BH", False, Mask.NUMBER, pattern="[A-Z]{2}[0-9]{4}", longest=6),
    ),
    offline_fields=("ZZBH", "KZ_YT"),
)
GOOD = {"登记日期": "2026-11-22", "面积": "35.5", "座位数": "12", "业态": "小餐饮", "编号": "SH0001"}


def faults(fields: dict[str, str]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refusal:
        check_fields(RICH, fields)
    return {one["field"]: one["message"] for one in refusal.value.extra["errors"]}  # type: ignore[attr-defined]


def test_every_field_is_held_to_its_kind() -> None:
    check_fields(RICH, GOOD)
    wrong = {"登记日期": "2026-02-30", "面积": "1e9", "座位数": "012", "业态": "大餐饮", "编号": "sh00011"}
    assert set(faults(wrong)) == set(wrong)
    assert faults({"登记日期": "2026-11-22"}) == {"fields": "missing"}
    assert faults(GOOD | {"编号": "SH0001\n"}).keys() == {"编号"}


def test_the_schema_is_one_of_2020_12_and_the_reference_reader_agrees() -> None:
    for kind in (*shipped_types(), RICH):
        Draft202012Validator.check_schema(json_schema(kind))
    schema = json_schema(RICH)
    assert schema["properties"]["KZ_YT"] == {
        "type": "string", "maxLength": 500, "minLength": 1, "enum": ["小餐饮", "小作坊"],
        "x-label": "业态", "x-mask": "none", "x-offline": 2,
    }  # fmt: skip
    assert schema["properties"]["CZZTDM"]["x-mask"] == "number"
    assert "x-offline" not in schema["properties"]["KZ_MJ"]
    assert schema["required"][-3:] == ["ZZYXQJZRQ", "KZ_DJRQ", "KZ_YT"]


def test_a_definition_survives_its_json_and_older_ones_have_defaults() -> None:
    assert parse_type(definition(RICH)) == RICH
    assert read_definition(definition(RICH)) == RICH
    bare = read_definition({"code": HAWKER.code, "name_zh": " 登记卡 ", "holder_kind": "legal"})
    assert (bare.name_zh, bare.version, bare.sharing.sharing_class) == ("登记卡", 1, SharingClass.CONDITIONAL)


@pytest.mark.parametrize(
    "row",
    [None, [], {"code": HAWKER.code}, definition(RICH) | {"holder_kind": "plant"}, definition(RICH) | {"fields": "x"},
     definition(RICH) | {"max_years": True, "fields": [1]}],
)  # fmt: skip
def test_what_is_no_definition_is_refused_by_its_name(row: object) -> None:
    with pytest.raises(TypeMalformed):
        read_definition(row)


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"fields": (Field("a", "KZ_A", True, Mask.NONE, pattern="(a+)+\\1"),)}, "fields"),
        ({"fields": (Field("a", "KZ_A", True, Mask.NONE), Field("a", "KZ_B", True, Mask.NONE))}, "fields"),
        ({"fields": (Field("a", "ZZMC", True, Mask.NONE),)}, "fields.0.short"),
        ({"fields": (Field("a", "KZ_A", True, Mask.NONE, FieldKind.CHOICE),)}, "fields.0.choices"),
        ({"sharing": Sharing(SharingClass.NOT_SHARED)}, "sharing.basis"),
        ({"exact_term": True, "max_years": None}, "exact_term"),
        ({"offline_fields": ("ZZMC",) * 2}, "offline_fields"),
        ({"issuers": ("1",)}, "issuers"),
    ],
)
def test_each_rule_of_a_definition_names_its_member(changes: dict[str, Any], member: str) -> None:
    with pytest.raises(TypeMalformed) as refusal:
        check_type(replace(HAWKER, **changes))
    assert member in {one["field"] for one in refusal.value.extra["errors"]}  # type: ignore[attr-defined]


def test_differences_name_what_a_reviewer_must_see() -> None:
    fields = (replace(RICH.fields[1], mask=Mask.HIDDEN), RICH.fields[0], Field("新", "KZ_X", False, Mask.NONE), *RICH.fields[2:4])
    found = {one.member: one.change for one in differences(RICH, replace(RICH, max_years=5, fields=fields))}
    assert found == {
        "max_years": Change.CHANGED, "fields.KZ_BH": Change.REMOVED, "fields.KZ_X": Change.ADDED, "fields.KZ_MJ.mask": Change.CHANGED,
        "fields": Change.MOVED,
    }  # fmt: skip
    assert differences(None, RICH) == differences(RICH, RICH) == ()


def test_the_catalogue_says_who_issues_from_what_and_with_which_seal() -> None:
    kind = replace(HAWKER, matters=("000131015000",))
    check_rights(kind, issuer=HAWKER.issuers[0], matter="000131015000", seal_kind="approval")
    with pytest.raises(TypeNotOfIssuer):
        check_rights(kind, issuer="11990100MB00000435", matter="000131015000", seal_kind="approval")
    with pytest.raises(TypeNotOfMatter):
        check_rights(kind, issuer=HAWKER.issuers[0], matter="990100900001", seal_kind="approval")
    with pytest.raises(TypeNeedsOtherSeal):
        check_rights(kind, issuer=HAWKER.issuers[0], matter="000131015000", seal_kind="certificate")


def test_an_exact_term_and_the_number_of_holders() -> None:
    kind = replace(SEWAGE, exact_term=True, most_holders=1, holder_kind=HolderKind.LEGAL)
    check_content(kind, approval(0))
    with pytest.raises(InvalidInput, match="shorter"):
        check_content(kind, approval(0, valid_to="2031-11-19"))
    twice = (HolderInput("甲", "91990100MA1TEXT14M", "001"), HolderInput("乙", "91990100MA1TEXT06T", "001"))
    with pytest.raises(InvalidInput, match="too many"):
        check_content(kind, approval(0, holders=twice))


async def test_a_certificate_remembers_its_version_and_a_retired_type_refuses_new_ones(city: City) -> None:
    issuing, database = city.issuing, city.issuing.database
    first = await approve(issuing, city.client, city.approval(0), "one")
    library = Library(database, issuing.clock, issuing.blobs, issuing.personal)
    certificate, kind = await read(library, SYSTEM, first.id)
    assert (certificate.type_version, kind) == (1, SEWAGE)
    metadata = describe(certificate, kind)
    Draft202012Validator(json_schema(SEWAGE), format_checker=FormatChecker()).validate(metadata)
    async with database.begin() as session:
        await put_types(session, issuing.clock.now(), [replace(SEWAGE, name_zh="排水许可证", fields=SEWAGE.fields[:6])])
    second = await approve(issuing, city.client, city.approval(0, approval_number="二"), "two")
    assert (await read(library, SYSTEM, second.id))[0].type_version == 2
    assert (await read(library, SYSTEM, first.id))[1] == SEWAGE
    async with database.session() as session:
        newest = (await get_versions(session, SEWAGE.code))[0]
    await take_step(database, issuing.clock, REVIEWER, SEWAGE.code, 2, TypeMove.RETIRE, seen=newest.digest, reason="改为备案")
    with pytest.raises(CertificateTypeRetired):
        await approve(issuing, city.client, city.approval(0, approval_number="三"), "three")
    report = await record_by_code(database, issuing.clock.now(), first.verification_code)
    assert report.status is Standing.IN_FORCE
    assert [name for name, _ in report.fields] == [one.name for one in SEWAGE.fields[:6]]
