"""Jobs to render: every type with a template, as the demonstration city issues them."""

import dataclasses
import datetime as dt
import json
from typing import Any

from certs.rendering import RenderJob

SEWAGE, FOOD, ESTATE = "11990100MB00000435001", "11990100MB0000035A002", "11100000MB03271699022"
TYPES = (SEWAGE, FOOD, ESTATE)
BUSINESS, OWNERSHIP = "11100000MB0143028R001", "11100000MB03271699001"
SAFETY, OPERATIONS = "11100000000013338W011", "11100000000013338W032"
SEVEN = (BUSINESS, OWNERSHIP, ESTATE, SAFETY, OPERATIONS, SEWAGE, FOOD)
OFFLINE = "FJ1:" + "6BFOXN%TSMAHN-H9Z8KRK4 7UQ+7$J1D2FLT12BK.P8*:WVE" * 9
CODE = "7Q4MXK2P9HTD3RWB"
URL = f"http://127.0.0.1:8000/v/{CODE}"

_TITLES = {
    SEWAGE: ("城镇污水排入排水管网许可证", "Urban sewage discharge-to-pipe permit", "示范市住房和城乡建设局", "11990100MB00000435"),
    FOOD: ("食品经营许可证", "Food business licence", "示范市市场监督管理局", "11990100MB0000035A"),
    ESTATE: ("不动产登记证明", "Real estate registration proof", "示范市自然资源局", "11990100MB00000510"),
    BUSINESS: ("营业执照", "Business licence", "示范市市场监督管理局", "11990100MB0000035A"),
    OWNERSHIP: ("不动产权证书", "Real estate ownership certificate", "示范市自然资源局", "11990100MB00000510"),
    SAFETY: ("安全生产管理人员考核合格证书", "Safety management assessment certificate", "示范市住房和城乡建设局", "11990100MB00000435"),
    OPERATIONS: (
        "建筑施工特种作业操作资格证书",
        "Special operations qualification (construction)",
        "示范市住房和城乡建设局",
        "11990100MB00000435",
    ),
}
_NUMBERS = {SEWAGE: "示排许字〔2026〕第0001号", FOOD: "JY29901020000018", ESTATE: "示（2026）示范市不动产证明第0000016号"}
_NUMBERS |= {
    BUSINESS: "91990100MA0000H28K",
    OWNERSHIP: "示（2026）示范市不动产权第0000128号",
    SAFETY: "示建安C3（2026）0000316",
    OPERATIONS: "示A012026000417",
}
_HOLDERS = {SEWAGE: ("示范市白鹤建材有限公司",), FOOD: ("示范市江畔餐饮管理有限公司",), ESTATE: ("卫思远", "郑雨桐")}
_HOLDERS |= {BUSINESS: ("示范市白鹤建材有限公司",), OWNERSHIP: ("卫思远", "郑雨桐"), SAFETY: ("钱晓明",), OPERATIONS: ("郑雨桐",)}
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
    BUSINESS: {
        "名称": "示范市白鹤建材有限公司",
        "类型": "有限责任公司（自然人投资或控股）",
        "法定代表人": "钱晓明",
        "注册资本": "伍佰万元整",
        "成立日期": "2026 年 11 月 21 日",
        "住所": "示范市示范区白鹤大街128号",
        "经营范围": "一般项目：建筑材料销售；建筑装饰材料销售；五金产品批发；普通货物仓储服务。（除依法须经批准的项目外，"
        "凭营业执照依法自主开展经营活动）",
    },
    OWNERSHIP: {
        "共有情况": "共同共有",
        "坐落": "示范市示范区新市街道白鹤路6号2单元301室",
        "不动产单元号": "990102001001GB00001F00020007",
        "权利类型": "国有建设用地使用权／房屋所有权",
        "权利性质": "出让／市场化商品房",
        "用途": "城镇住宅用地／住宅",
        "面积": "共有宗地面积 12680.50 平方米／房屋建筑面积 118.36 平方米",
        "使用期限": "国有建设用地使用权 2018 年 6 月 1 日起 2088 年 5 月 31 日止",
        "权利其他状况": "专有建筑面积 92.14 平方米，分摊建筑面积 26.22 平方米；房屋总层数 18 层，所在层 3 层",
        "附记": "本房屋为夫妻双方共同共有。",
    },
    SAFETY: {"姓名": "钱晓明", "性别": "男", "企业名称": "示范市白鹤建材有限公司", "职务": "专职安全生产管理人员", "类别": "C3"},
    OPERATIONS: {"姓名": "郑雨桐", "性别": "女", "操作类别": "建筑电工", "工作单位": "示范市江畔建筑工程有限公司"},
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
        valid_to=None if type_code in (ESTATE, OWNERSHIP, BUSINESS) else dt.date(2031, 11, 20),
        verify_url=URL,
        verification_code=CODE,
        metadata=json.dumps({"ZZBS": identifier, "ZZMC": zh}, ensure_ascii=False).encode(),
        timestamp=dt.datetime(2026, 11, 21, 2, tzinfo=dt.UTC),
    )
    return dataclasses.replace(usual, **changes)


def stretched(type_code: str, times: int) -> RenderJob:
    """Every value ``times`` as long as usual."""
    return job(type_code, fields={label: value * times for label, value in FIELDS[type_code].items()})
