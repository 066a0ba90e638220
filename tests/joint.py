"""Documents with several seals, made by the product itself: a world of departments, each with its own seal; no database."""

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import typst
from pylopdf_fonts_zh_cn import __file__ as fonts

from keys.pki.material import ValidationMaterial
from seal.document_stamping import stamp_document
from seal.increment import Increment
from seal.material import SealMaterial
from seal.pdf_reading import Foreign
from seal.placing import LaterSeal, StampPlan
from tests.stamped import NOW, World

DEPARTMENTS = ("发展和改革委员会", "自然资源局", "生态环境局", "住房和城乡建设局", "交通运输局", "水利局", "应急管理局", "市场监督管理局")

_PAGES = """
#set document(title: "联合审批意见书", date: datetime(year: 2026, month: 11, day: 21))
#set page(width: 210mm, height: 297mm, margin: 25mm, numbering: "1")
#set text(font: "Noto Serif SC", lang: "zh", size: 11pt)
#for number in range(1, int(sys.inputs.pages) + 1) [
  #align(center, text(16pt)[联合审批意见书（第 #number 部分）])
  #v(8mm)
  #for _ in range(6) [ 经有关部门联合审查，申请材料齐全，符合法定形式，现依法予以批准，请按照批准的内容组织实施。#parbreak() ]
  #if number < int(sys.inputs.pages) { pagebreak() }
]
#v(10mm)
#align(right)[审批机关（盖 章）#h(20mm)]
"""


@cache
def approval(pages: int = 3) -> bytes:
    """An unsealed PDF/A-3b of so many pages; on the last stands 审批机关（盖章）."""
    inputs = {"pages": str(pages)}
    press = {"format": "pdf", "pdf_standards": "a-3b", "font_paths": [str(Path(fonts).parent)]}
    return bytes(typst.compile(_PAGES.encode(), sys_inputs=inputs, **press))


def code(ordinal: int) -> str:
    return f"9901000000{ordinal:04d}"


@dataclass
class Town:
    """A world whose departments all have seals; the keys are the world's, the seals differ."""

    world: World
    ink: bytes | None = None
    materials: dict[int, SealMaterial] = field(default_factory=dict)
    validation: ValidationMaterial | None = None

    def material(self, ordinal: int) -> SealMaterial:
        if ordinal not in self.materials:
            name = f"测试市{DEPARTMENTS[(ordinal - 1) % len(DEPARTMENTS)]}"
            der = self.world.seal(es_id=code(ordinal), name=name)
            self.validation = self.validation or self.world.material().validation
            made = self.world.material(code=code(ordinal), name=name, organisation_name=name, seal_der=der, validation=self.validation)
            self.materials[ordinal] = replace(made, pdf_content=self.ink) if self.ink else made
        return self.materials[ordinal]

    def later(self, ordinal: int, *places: object, **changed: object) -> LaterSeal:
        material = self.material(ordinal)
        declared = LaterSeal(material.name, places, material.width_mm, material.height_mm, material.code)  # type: ignore[arg-type]
        return replace(declared, **changed)  # type: ignore[arg-type]

    def stamp(self, document: bytes, plan: StampPlan, ordinal: int = 1, at: dt.datetime | None = None) -> bytes:
        at = at or NOW + dt.timedelta(minutes=ordinal)
        material = self.material(ordinal)
        permit = self.world.permit(document, seal_code=material.code, expires=at + dt.timedelta(minutes=5))
        assert permit.document_hash == hashlib.sha256(document).digest()
        return stamp_document(permit, document, material, plan, self.world.keystore, at).pdf


def updated(pdf: bytes, change: Callable[[Increment], None]) -> bytes:
    """The document with one more revision, well formed in every respect."""
    increment = Increment(pdf, Foreign(pdf))
    change(increment)
    return bytes(increment.finish())


def extra_revision(pdf: bytes) -> bytes:
    return updated(pdf, lambda increment: increment.write(increment.number(), b"<</Some/Thing>>") and None)
