import csv
import datetime as dt
from pathlib import Path

import pytest

from certs.catalogue import check_holder_kind, check_validity, definition, order_fields, parse_type, shipped_types
from keys.base.errors import InvalidInput

TYPES = {kind.code: kind for kind in shipped_types()}
FOOD = TYPES["11990100MB0000035A002"]
PROOF = TYPES["11100000MB03271699022"]
DEMO = Path(__file__).parents[2] / "api" / "demo" / "data"


def test_the_shipped_types_are_those_of_the_city_and_survive_a_round_trip() -> None:
    with (DEMO / "certificate_types.csv").open(encoding="utf-8") as file:
        wanted = {row["type_code"]: (row["name_zh"], row["name_en"], row["holder_kind"]) for row in csv.DictReader(file)}
    shipped = {code: (kind.name_zh, kind.name_en, kind.holder_kind.value) for code, kind in TYPES.items() if not kind.own_documents}
    assert shipped == wanted
    assert [kind.name_zh for kind in TYPES.values() if kind.own_documents] == ["行政审批批文"]
    assert all(parse_type(definition(kind)) == kind for kind in TYPES.values())
    assert all(kind.issued_here == bool(kind.fields) for kind in TYPES.values())


def test_fields_come_in_the_order_of_the_type() -> None:
    given = {field.name: f"值{field.name}" for field in reversed(FOOD.fields)}
    assert [name for name, _ in order_fields(FOOD, given)] == [field.name for field in FOOD.fields]
    optional = next(field.name for field in FOOD.fields if not field.mandatory)
    assert optional not in dict(order_fields(FOOD, given | {optional: " "}))


def test_every_field_that_does_not_fit_is_named() -> None:
    given = {field.name: "值" for field in FOOD.fields}
    wrong = given | {"住所": "  ", "经营项目": "长" * 501, "颜色": "红"}
    with pytest.raises(InvalidInput) as refusal:
        order_fields(FOOD, wrong)
    assert {(error["field"], error["message"]) for error in refusal.value.extra["errors"]} == {  # type: ignore[attr-defined]
        ("颜色", "unknown field"), ("住所", "missing"), ("经营项目", "too long"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "days", "fits"), [(FOOD, 0, True), (FOOD, 1826, True), (FOOD, 1827, False), (FOOD, -1, False), (PROOF, 9999, True)]
)
def test_the_span_of_validity_follows_the_type(kind: object, days: int, fits: bool) -> None:
    begins = dt.date(2026, 11, 21)
    if fits:
        check_validity(kind, begins, begins + dt.timedelta(days))  # type: ignore[arg-type]
    else:
        with pytest.raises(InvalidInput):
            check_validity(kind, begins, begins + dt.timedelta(days))  # type: ignore[arg-type]


def test_only_a_type_that_says_so_is_open_ended() -> None:
    check_validity(PROOF, dt.date(2024, 2, 29), None)
    check_validity(FOOD, dt.date(2024, 2, 29), dt.date(2029, 3, 1))
    with pytest.raises(InvalidInput):
        check_validity(FOOD, dt.date(2026, 11, 21), None)


def test_a_person_cannot_hold_what_is_given_to_organisations() -> None:
    check_holder_kind(FOOD, ("001",))
    check_holder_kind(PROOF, ("001", "111"))
    for wrong in (("111",), ("001", "414"), ("000",), ("",)):
        with pytest.raises(InvalidInput):
            check_holder_kind(FOOD, wrong)
