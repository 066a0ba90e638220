"""Photographs and copies over HTTP and on the page of a window: large ones come through, bad ones are named, nothing is kept between."""

import base64
import io
import os
import re
from typing import Any

import httpx2
from PIL import Image

from api.approval_rows import approval_of
from api.wiring import House
from certs.bulk_work import work_until_done
from certs.models import CertificateRow, IssuingRow
from certs.photograph_models import PhotographRow
from certs.portraits import portrait_of
from certs.windows import entrust
from keys.base.actor import SYSTEM, Role
from tests.api.test_issuing_routes import house, system, template
from tests.api.test_pages_issuing import client, log_in
from tests.certs.catalogue_people import HOUSING
from tests.certs.conftest import CITY, approvals
from tests.certs.test_issuing import rows
from tests.certs.test_photographs import face, is_face
from tests.furnished import Furnished
from tests.pages_house import data_codes
from tests.render_jobs import BUSINESS, FIELDS, SAFETY

__all__ = ["client", "house", "template"]
NUMBER = "990100197003131003"


def text_of(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def card(**changes: Any) -> dict[str, Any]:
    fields = {label: value for label, value in FIELDS[SAFETY].items() if label != "姓名"}
    holders = [{"name": "钱晓明", "code": NUMBER, "code_type": "111"}]
    return approvals()[0] | {"certificate_type": SAFETY, "holders": holders, "fields": fields} | changes


async def newest_file(house: House) -> bytes:
    row = max(await rows(house.database, CertificateRow), key=lambda one: one.id)
    return await house.blobs.get(row.document_hash)


async def test_systems_send_a_photograph_and_name_a_copy(house: House, furnished: Furnished) -> None:
    caller = await system(house, furnished.seals)
    large = io.BytesIO()
    Image.frombytes("RGB", (900, 1260), os.urandom(900 * 1260 * 3)).save(large, "JPEG", quality=97)
    assert len(large.getvalue()) > 1 << 20, "more than bodies are wont to have"
    status, said = await caller.send("POST", "/api/v1/approvals", card(photo=text_of(large.getvalue()), approval_number="大"))
    assert (status, portrait_of(await newest_file(house)) is not None) == (201, True), said
    status, said = await caller.send("POST", "/api/v1/approvals", card(photo=text_of(face())))
    assert (status, is_face(portrait_of(await newest_file(house)))) == (201, True), said
    for changes, code in (
        ({"photo": "照片"}, "PHOTOGRAPH_UNUSABLE"), ({"photo": text_of(b"no picture")}, "PHOTOGRAPH_UNUSABLE"),
        ({"copy": "副本"}, "COPY_UNKNOWN"),
        ({"certificate_type": BUSINESS, "fields": FIELDS[BUSINESS], "photo": text_of(face())}, "TYPE_TAKES_NO_PHOTOGRAPH"),
        ({"photo": 1}, "INVALID_INPUT"),
    ):  # fmt: skip
        status, said = await caller.send("POST", "/api/v1/approvals", card(approval_number="another") | changes)
        assert (status, said["code"], said["errors"][0]["field"]) == (422, code, next(reversed(changes))), said
    status, said = await caller.send("POST", "/api/v1/approvals/check", card(approval_number="2", photo=text_of(b"no picture")))
    assert [one["code"] for one in said["checks"] if one["outcome"] == "FAILED"] == ["PHOTOGRAPH_UNUSABLE"]
    told = (await caller.browser.get("/api/openapi.json")).json()["paths"]["/api/v1/approvals"]["post"]["requestBody"]
    assert {"photo", "copy"} <= set(told["content"]["application/json"]["schema"]["properties"])


async def test_rows_of_a_file_bring_theirs(house: House, furnished: Furnished) -> None:
    caller, small = await system(house, furnished.seals), io.BytesIO()
    Image.linear_gradient("L").resize((100, 140)).convert("RGB").save(small, "JPEG")
    columns = {name: value for name, value in card().items() if isinstance(value, str)} | card()["fields"]
    columns |= {"holder_name": "钱晓明", "holder_code": NUMBER, "holder_code_type": "111", "photo": text_of(small.getvalue())}
    lines = [columns, columns | {"approval_number": "bad", "photo": text_of(b"no picture")}]
    file = "\n".join(",".join(f'"{one}"' for one in line) for line in [list(columns), *(line.values() for line in lines)])
    status, job = await caller.send("POST", "/api/v1/bulk-issues?name=cards", key="cards", content=file.encode())
    assert status == 202, job
    await work_until_done(house.issuing, approval_of, seconds=60)
    report = (await caller.browser.get(f"/api/v1/bulk-issues/{job['id']}/rows", headers=caller.headers)).text
    assert ('"issued"' in report, "PHOTOGRAPH_UNUSABLE" in report) == (True, True), report
    assert portrait_of(await newest_file(house)) is not None
    assert await rows(house.database, PhotographRow) == []


def typed(seals: dict[str, str], **changes: str) -> dict[str, str]:
    return {
        "holders": "1", "holder_name_0": "钱晓明", "holder_code_0": NUMBER, "holder_type_0": "111", "number": "示建安C3（2026）0000316",
        "valid_from": "2026-11-21", "valid_to": "2031-11-20", "matter": approvals()[0]["matter_code"], "seal": seals[HOUSING],
        "key": "KEY1", "decision": "preview", "KZ_XB": "男", "KZ_QYMC": "示范市白鹤建材有限公司", "KZ_ZW": "专职安全生产管理人员",
        "KZ_LB": "C3", **changes,
    }  # fmt: skip


async def test_a_window_takes_a_photograph_and_keeps_it_on_the_page_only(
    house: House, furnished: Furnished, client: httpx2.AsyncClient
) -> None:
    await entrust(house.database, house.clock, SYSTEM, CITY, HOUSING)
    await log_in(house, client, "clerk", Role.WINDOW_CLERK, CITY)
    address = f"/issue/{SAFETY}"
    empty = (await client.get(address)).text
    assert ('type="file"' in empty, 'enctype="multipart/form-data"' in empty, 'name="copy"' in empty) == (True, True, False)
    bad = await client.post(address, data=typed(furnished.seals), files={"photo": ("face.jpg", b"no picture", "image/jpeg")})
    assert (bad.status_code, set(data_codes(bad.text)), 'id="photo-error"' in bad.text) == (422, {"PHOTOGRAPH_UNUSABLE"}, True)
    shown = await client.post(address, data=typed(furnished.seals), files={"photo": ("face.jpg", face(), "image/jpeg")})
    (kept,) = re.findall(r'name="photo_kept" value="([^"]+)"', shown.text)
    assert (shown.status_code, is_face(base64.b64decode(kept)), "data:image/png" in shown.text) == (200, True, True)
    assert "img-src 'self' data:" in shown.headers["content-security-policy"]
    left = await client.post(address, data=typed(furnished.seals, photo_kept=kept, photo_out="1"))
    assert "photo_kept" not in left.text
    wrong = await client.post(address, data=typed(furnished.seals, photo_kept="?", decision="issue"))
    assert (wrong.status_code, "PHOTOGRAPH_UNUSABLE" in wrong.text) == (422, True)
    assert await rows(house.database, PhotographRow) == []
    done = await client.post(address, data=typed(furnished.seals, photo_kept=kept, decision="issue"))
    assert done.status_code == 303, done.text
    (row,) = await rows(house.database, CertificateRow)
    async with house.database.session() as session:
        unsealed = (await session.get_one(IssuingRow, row.id)).unsealed_hash
    assert unsealed is not None
    assert is_face(portrait_of(await house.blobs.get(unsealed)))
    licence = (await client.get(f"/issue/{BUSINESS}")).text
    assert ('type="file"' in licence, ">Duplicate 副本<" in licence) == (False, True)
    words = dict.fromkeys(("KZ_MC", "KZ_LX", "KZ_FDDBR", "KZ_ZS", "KZ_JYFW"), "x") | {"copy": "抄本"}
    refused = await client.post(f"/issue/{BUSINESS}", data=typed(furnished.seals, holder_type_0="001", **words))
    assert (refused.status_code, 'id="copy-error"' in refused.text) == (422, True)
