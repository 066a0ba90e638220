"""Nothing leaves its place: every character of every page is found and its box compared with the page's plan."""

import dataclasses
import io
import math
import tomllib
from collections.abc import Iterator
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from certs.forms import TEMPLATES, form_of
from certs.pictures import picture
from certs.rendering import RenderJob, render
from tests.render_jobs import ESTATE, FIELDS, FOOD, SEWAGE, TYPES, URL, job, stretched

MM = 25.4 / 72
FRAME_MM = 17.4
RING_MM = 2.5
LONG_FIELD = {FOOD: "住所", SEWAGE: "详细地址", ESTATE: "坐落"}
STUBBORN = [
    "W" * 300,
    "））））" * 60,
    "9" * 250,
    "Internationalisation\u00a0" * 10 + "x",
    "……" * 60,
    "；" * 200,
    "0431-88888888；" * 20,
    "“”" * 80,
]

Box = tuple[float, float, float, float]  # left, top, right, bottom in mm from the page's top left corner


def plan(type_code: str, template: str = "") -> dict[str, Any]:
    return tomllib.loads((TEMPLATES / form_of(type_code, template).document).with_suffix(".toml").read_text(encoding="utf-8"))


def characters(pdf: bytes) -> Iterator[tuple[str, Box]]:
    document = pypdfium2.PdfDocument(pdf)
    try:
        page = document[0]
        height, text = page.get_height(), page.get_textpage()
        everything = text.get_text_range()
        for index in range(text.count_chars()):
            left, bottom, right, top = text.get_charbox(index)
            if right > left and everything[index : index + 1].strip():
                yield everything[index], (left * MM, (height - top) * MM, right * MM, (height - bottom) * MM)
    finally:
        document.close()


def overlaps(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def reaches(box: Box, x: float, y: float, radius: float) -> bool:
    return math.hypot(max(box[0] - x, 0, x - box[2]), max(box[1] - y, 0, y - box[3])) < radius


def check_page(task: RenderJob) -> None:
    form = plan(task.type_code, task.template)
    seal, qr, body = form["seal"], form["qr"], form["body"]
    qr_box = (qr["x_mm"], qr["y_mm"], qr["x_mm"] + qr["side_mm"], qr["y_mm"] + qr["side_mm"])
    found = list(characters(render(task).pdf))
    assert len(found) > 100
    in_seal = ""
    for character, box in found:
        assert box[0] > FRAME_MM, (character, box)
        assert box[1] > FRAME_MM, (character, box)
        assert box[2] < form["page"]["width_mm"] - FRAME_MM, (character, box)
        assert box[3] < form["page"]["height_mm"] - FRAME_MM, (character, box)
        assert not overlaps(box, qr_box), (character, box)
        if reaches(box, seal["x_mm"], seal["y_mm"], seal["diameter_mm"] / 2):
            in_seal += character
        assert not reaches(box, seal["x_mm"], seal["y_mm"], seal["diameter_mm"] / 2 - RING_MM), "only the ring crosses a character"
    assert {task.issuer[-1], "日"} <= set(in_seal) <= set(task.issuer + "2026年11月21日"), "the seal stands on issuer and date"
    below = body["y_mm"] + body["height_mm"]
    for _, box in found:
        assert not (box[1] < below < box[3]), "a line lies across the lower edge of the fields"


@pytest.mark.parametrize("type_code", TYPES)
def test_the_plan_keeps_fields_seal_and_code_apart(type_code: str) -> None:
    form = plan(type_code)
    body, seal, qr = form["body"], form["seal"], form["qr"]
    bottom = body["y_mm"] + body["height_mm"]
    assert bottom < seal["y_mm"] - seal["diameter_mm"] / 2
    assert bottom < qr["y_mm"]
    assert qr["x_mm"] + qr["side_mm"] + 4 + qr["text_mm"] < seal["x_mm"] - seal["diameter_mm"] / 2
    assert seal["y_mm"] + seal["diameter_mm"] / 2 < form["page"]["height_mm"] - 22.6


@pytest.mark.parametrize("type_code", TYPES)
@pytest.mark.parametrize("times", [1, 3, 10])
def test_nothing_touches_frame_code_or_seal(type_code: str, times: int) -> None:
    check_page(stretched(type_code, times))


@pytest.mark.parametrize("template", ["general_portrait", "general_landscape"])
def test_the_general_templates_keep_everything_apart_whatever_the_fields_are(template: str) -> None:
    for type_code in TYPES:
        for times in (1, 3):
            task = stretched(type_code, times)
            check_page(dataclasses.replace(task, type_code="11990100MB0000035A999", template=template))


@pytest.mark.parametrize("type_code", TYPES)
@pytest.mark.parametrize("value", STUBBORN)
def test_values_without_a_place_to_break_stay_in_their_column(type_code: str, value: str) -> None:
    task = job(type_code, fields={LONG_FIELD[type_code]: value})
    check_page(task)
    if type_code != ESTATE:
        middle = 297 / 2
        across = [box for character, box in characters(render(task).pdf) if 68 < box[1] < 138 and box[0] < middle - 3 < middle + 3 < box[2]]
        assert not across


@pytest.mark.parametrize("type_code", TYPES)
@pytest.mark.parametrize("label", [0, 1, 2])
def test_each_value_alone_may_be_ten_times_as_long(type_code: str, label: int) -> None:
    name = list(FIELDS[type_code])[label]
    check_page(job(type_code, fields={name: FIELDS[type_code][name] * 10}))


def test_long_names_of_everything_else_stay_inside_too() -> None:
    for type_code in TYPES:
        check_page(
            dataclasses.replace(
                job(type_code),
                issuer="示范市示范经济技术开发区行政审批服务局（政务服务和数字化建设管理局）市场监管所",
                number="示（2026）" * 9,
                title_zh=job(type_code).title_zh * 3,
                title_en="A very long title in English " * 4 + "x",
                identifier="1.2.156.3005.2." + "8" * 110,
                verify_url="https://" + "zhengzhao." * 7 + "cn/v/0123456789ABCDEF",
            )
        )


@pytest.mark.parametrize("type_code", TYPES)
@pytest.mark.parametrize("dpi", [100, 200])
def test_the_code_is_read_from_the_page_and_is_large_enough(type_code: str, dpi: int) -> None:
    page = Image.open(io.BytesIO(picture(render(job(type_code)).pdf, dpi=dpi)))
    codes = zxingcpp.read_barcodes(page)
    assert [code.text for code in codes] == [URL]
    corners = codes[0].position
    side = math.hypot(corners.top_right.x - corners.top_left.x, corners.top_right.y - corners.top_left.y) / dpi * 25.4
    assert side >= 20 - 25.4 / dpi  # ISO/IEC 18004 symbol without its quiet zone, to a pixel


def test_a_long_address_is_still_read() -> None:
    address = "https://dianzizhengzhao.zhengwufuwu.shifan.example.cn/chayan/v/7Q4MXK2P9HTD3RWB"
    page = Image.open(io.BytesIO(picture(render(job(verify_url=address)).pdf)))
    assert [code.text for code in zxingcpp.read_barcodes(page)] == [address]
