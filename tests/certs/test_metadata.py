import datetime as dt
import uuid

import orjson
import pytest

from certs.catalogue import CODE_TYPE_NAMES, shipped_types
from certs.lifecycle import Status
from certs.metadata import describe, encode
from certs.privacy import hide_numbers, holds_number, mask_fields
from certs.records import Certificate, Holder, Source, Stage
from identity.numbers import CodeType

PROOF = next(kind for kind in shipped_types() if kind.name_zh == "不动产登记证明")
NEVER_EMPTY = ("ZZLXDM", "ZZBFJG", "ZZBFJGDM", "ZZBFRQ", "CZZT", "CZZTDM", "CZZTDMLX", "CZZTDMLXDM")


def certificate(**changes: object) -> Certificate:
    values: dict[str, object] = dict.fromkeys(Certificate.__slots__) | {
        "id": uuid.UUID(int=1), "stage": Stage.ISSUED, "status": Status.VALID, "source": Source.ISSUED, "type_code": PROOF.code,
        "type_name": PROOF.name_zh, "number": "第1号", "identifier": "1.2.156.3005.2.x", "issuer": "11990100MB00000510",
        "issuer_name": "示范市自然资源局", "division": "990100", "issued_on": dt.date(2026, 11, 21), "valid_from": dt.date(2026, 11, 21),
        "fields": {"坐落": "示范市示范区新市街道白鹤路6号2单元301室", "不动产单元号": "990102001001GB00001F00020007", "自定": "值"},
        "trust_grade": "A", "flags": (), "created_at": dt.datetime(2026, 11, 21, tzinfo=dt.UTC), "seal_name": "审批专用章",
        "holders": (
            Holder("卫思远", "111", None, "990***********1017"),
            Holder("某公司", "001", "91990100MA1TEXT14M", "91990100MA1TEXT14M")),
    }  # fmt: skip
    return Certificate(**(values | changes))  # type: ignore[arg-type]


def test_the_names_of_the_standard_and_what_is_never_empty() -> None:
    found = describe(certificate(), PROOF)
    assert all(found[name] for name in NEVER_EMPTY)
    assert found["CZZT"] == ["卫思远", "某公司"]
    assert found["CZZTDM"] == ["990***********1017", "91990100MA1TEXT14M"]
    assert found["CZZTDMLX"] == ["公民身份号码", "统一社会信用代码"]
    assert found["KZ_BDCDYH"] == "990102001001GB00001F00020007"
    assert found["自定"] == "值", "a field the type does not know keeps its name"
    assert "ZZYXQJZRQ" not in found, "open-ended"
    assert describe(certificate(valid_to=dt.date(2031, 1, 2)), PROOF)["ZZYXQJZRQ"] == "2031-01-02"
    assert orjson.loads(encode(found)) == found


def test_every_code_type_has_its_name() -> None:
    assert set(CODE_TYPE_NAMES) == set(CodeType)


def test_what_a_stranger_sees_of_the_fields() -> None:
    shown = mask_fields(certificate().fields, PROOF)
    assert shown == {"坐落": "示范市示范区***", "不动产单元号": "990*********************0007", "自定": "***"}
    assert mask_fields({"KZ_DZ": "示范区1号"}, None) == {"KZ_DZ": "***"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("T11010519491231002X号", True), ("证件 11010519491231002x。", True), ("110105194912310021", False), ("11010519490231002X", False),
        ("990102001001GB00001F00020007", False), ("1234567890123456789011010519491231002X", False), ("", False),
    ],
)  # fmt: skip
def test_resident_numbers_in_texts_are_seen_and_hidden(text: str, found: bool) -> None:
    assert holds_number(text) is found
    assert holds_number(hide_numbers(text)) is False
    assert (hide_numbers(text) == text) is not found
