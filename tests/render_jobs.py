"""Jobs to render: the three types as the demonstration city issues them."""

import dataclasses
import datetime as dt
import json
from typing import Any

from certs.rendering import RenderJob

SEWAGE, FOOD, ESTATE = "11990100MB00000435001", "11990100MB0000035A002", "11100000MB03271699022"
TYPES = (SEWAGE, FOOD, ESTATE)
CODE = "7Q4MXK2P9HTD3RWB"
URL = f"http://127.0.0.1:8000/v/{CODE}"

_TITLES = {
    SEWAGE: ("城镇污水排入排水管网许可证", "Urban sewage discharge-to-pipe permit", "示范市住房和城乡建设局", "11990100MB00000435"),
    FOOD: ("食品经营许可证", "Food business licence", "示范市市场监督管理局", "11990100MB0000035A"),
    ESTATE: ("不动产登记证明", "Real estate registration proof", "示范市自然资源局", "11990100MB00000510"),
}
_NUMBERS = {SEWAGE: "示排许字〔2026〕第0001号", FOOD: "JY29901020000018", ESTATE: "示（2026）示范市不动产证明第0000016号"}
_HOLDERS = {SEWAGE: ("示范市白鹤建材有限公司",), FOOD: ("示范市江畔餐饮管理有限公司",), ESTATE: ("卫思远", "郑雨桐")}
FIELDS: dict[str, dict[str, str]] = {
    SEWAGE: {
        "排水户名称": "示范市白鹤建材有限公司",
        "法定代表人": "钱晓明",
        "详细地址": "示范市示范区白鹤大街128号",
        "排水户类型": "一般",
        "列入重点排污单位名录": "否",
        "许可内容": "排水口 1 个，日排水量 45 立方米，排入白鹤大街市政污水管网",
    },
    FOOD: {
        "经营者名称": "示范市江畔餐饮管理有限公司",
        "法定代表人（负责人）": "钱喆堃",
        "住所": "示范市示范区临江街道鸭绿江大街128号",
        "经营场所": "示范市示范区临江街道鸭绿江大街128号一层103室",
        "主体业态": "餐饮服务经营者（中型餐馆）",
        "经营项目": "热食类食品制售；冷食类食品制售；自制饮品制售（不含使用压力容器制作饮品）",
        "日常监督管理机构": "示范市市场监督管理局示范分局",
    },
    ESTATE: {"证明权利或事项": "抵押权", "坐落": "示范市示范区新市街道白鹤路6号2单元301室", "不动产单元号": "990102001001GB00001F00020007"},
}


def job(type_code: str = FOOD, *, fields: dict[str, str] | None = None, **changes: Any) -> RenderJob:
    """A job of one type; ``fields`` are added to or replace the usual ones."""
    zh, en, issuer, issuer_code = _TITLES[type_code]
    identifier = f"1.2.156.3005.2.{type_code}.{issuer_code}.20260000016.001.K"
    usual = RenderJob(
        type_code=type_code,
        title_zh=zh,
        title_en=en,
        number=_NUMBERS[type_code],
        identifier=identifier,
        holders=_HOLDERS[type_code],
        fields=tuple((FIELDS[type_code] | (fields or {})).items()),
        issuer=issuer,
        issued_on=dt.date(2026, 11, 21),
        valid_from=dt.date(2026, 11, 21),
        valid_to=None if type_code == ESTATE else dt.date(2031, 11, 20),
        verify_url=URL,
        verification_code=CODE,
        metadata=json.dumps({"ZZBS": identifier, "ZZMC": zh}, ensure_ascii=False).encode(),
        timestamp=dt.datetime(2026, 11, 21, 2, tzinfo=dt.UTC),
    )
    return dataclasses.replace(usual, **changes)


def stretched(type_code: str, times: int) -> RenderJob:
    """Every value ``times`` as long as usual."""
    return job(type_code, fields={label: value * times for label, value in FIELDS[type_code].items()})
