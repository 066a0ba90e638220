"""The words a template is previewed with: invented, of the usual length, and nobody's. Pure."""

import datetime as dt
from collections.abc import Mapping

from certs.forms import Form
from certs.rendering import RenderJob

CODE = "7Q4MXK2P9HTD3RWB"
OFFLINE = "FJ1:" + "6BFOXN%TSMAHN-H9Z8KRK4 7UQ+7$J1D2FLT12BK.P8*:WVE" * 9
"""As long as most, in the right alphabet, and no code: nothing is signed for a preview."""
_DAY = dt.date(2026, 11, 21)


def sample(form: Form, words: Mapping[str, str]) -> RenderJob:
    """The form's own rows filled in; ``words`` replace or add values by their label."""
    fields = {label: f"{label}样例内容" for label in form.rows} | dict(words)
    holder = fields.setdefault(form.holders_label, "示范市白鹤建材有限公司")
    return RenderJob(
        type_code=form.type_code,
        title_zh=words.get("title_zh", "证照样例"),
        title_en=words.get("title_en", "Sample certificate"),
        number="示样〔2026〕第0001号",
        identifier=f"1.2.156.3005.2.{form.type_code}.11990100MB0000027F.20260000001.001.X",
        holders=(holder,),
        fields=tuple((label, value) for label, value in fields.items() if label not in {"title_zh", "title_en"}),
        issuer="示范市行政审批局",
        issued_on=_DAY,
        valid_from=_DAY,
        valid_to=dt.date(2031, 11, 20),
        verify_url=f"https://zhengzhao.example.cn/v/{CODE}",
        verification_code=CODE,
        metadata=b"{}",
        timestamp=dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
        offline_text=OFFLINE,
    )
