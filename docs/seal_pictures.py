"""``make seal-pictures``: ``docs/pictures/seals.png``, every shape of seal on one sheet. The same octets every time."""

import io
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from pylopdf_fonts_zh_cn import sans_path

from seal.appearance import drawing_of
from seal.designs import Colour, LowerStyle, Relief, SealDesign, Shape
from seal.engraving import rasterise

DPI = 220
CELL_MM = (52.0, 55.0)
COLUMNS = 4
LONG = "示范市示范经济技术开发区（自由贸易试验区示范片区）管理委员会政务服务和数据资源管理局"
CODE = "99010000000001"
TAX_NUMBER = "91350100M000100Y43"
OUT = Path(__file__).parent / "pictures" / "seals.png"

_INVOICE = SealDesign("示范市示范科技有限公司", "发票专用章", 40, False, shape=Shape.OVAL, height_mm=30, middle=TAX_NUMBER)
_PERSON = SealDesign("李明", width_mm=18, star=False, shape=Shape.SQUARE)

SEALS: tuple[tuple[str, SealDesign], ...] = (
    ("法定名称章 statutory, 42 mm", SealDesign("示范市住房和城乡建设局", code=CODE)),
    ("行政审批专用章 approval, 42 mm", SealDesign("示范市行政审批局", "行政审批专用章", code=CODE)),
    ("24 个字 24 characters", SealDesign(LONG[:24], "电子证照专用章", code=CODE)),
    ("40 个字 40 characters", SealDesign(LONG[:40], "合同专用章", code=CODE)),
    ("乡镇 township, 42 mm", SealDesign("青山乡人民政府")),
    ("财务专用章 finance, 38 mm", SealDesign("示范科技有限公司", "财务专用章", 38, code=CODE)),
    ("下弧文 lower text on the arc", SealDesign("示范市示范科技有限公司", "合同专用章", 40, True, CODE, lower_style=LowerStyle.ARC)),
    ("蓝色 blue, 4 个字, 38 mm", SealDesign("示范公司", "业务专用章", 38, colour=Colour.BLUE)),
    ("发票专用章 invoice, 40 × 30 mm", _INVOICE),
    ("40 个字 40 characters", replace(_INVOICE, upper=LONG[:40])),
    ("椭圆 oval, 45 × 30 mm", replace(_INVOICE, width_mm=45, star=True, middle="", lower="合同专用章")),
    ("下弧文 lower text on the arc", replace(_INVOICE, width_mm=45, star=True, middle="", lower="合同专用章", lower_style=LowerStyle.ARC)),
    ("个人名章 阳文 raised, 18 mm", _PERSON),
    ("个人名章 阴文 sunk, 20 mm", replace(_PERSON, upper="张小凡", width_mm=20, relief=Relief.SUNK)),
    ("个人名章 four characters, 22 mm", replace(_PERSON, upper="王国维印", width_mm=22)),
    ("财务方章 square finance seal, 25 mm", replace(_PERSON, upper="示范市示范科技有限公司财务专用章", width_mm=25)),
)


def sheet() -> Image.Image:
    """All of them at their real size, in rows of four."""
    cell = tuple(round(length / 25.4 * DPI) for length in CELL_MM)
    rows = -(-len(SEALS) // COLUMNS)
    paper = Image.new("RGBA", (cell[0] * COLUMNS, cell[1] * rows), "white")
    pen, font = ImageDraw.Draw(paper), ImageFont.truetype(str(sans_path()), round(2.6 / 25.4 * DPI))
    for index, (caption, design) in enumerate(SEALS):
        left, top = index % COLUMNS * cell[0], index // COLUMNS * cell[1]
        picture = Image.open(io.BytesIO(rasterise(drawing_of(design), DPI, design.colour))).convert("RGBA")
        middle = round(cell[1] * 0.46)
        paper.alpha_composite(picture, (left + (cell[0] - picture.width) // 2, top + middle - picture.height // 2))
        pen.text((left + cell[0] / 2, top + round(cell[1] * 0.93)), caption, fill=(90, 90, 90), font=font, anchor="mm")
    return paper.convert("RGB")


def main() -> None:
    sheet().quantize(64, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(OUT, optimize=True, dpi=(DPI, DPI))


if __name__ == "__main__":
    main()
