"""Who may do what with seals and documents over HTTP: strangers find nothing, staff of one organisation nothing of another's."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from identity.organisations import Organisation, put_organisation
from keys.base.actor import Role
from tests.attacks.seal_doors import Doors, client, open_doors, organisations, person
from tests.certs.conftest import approvals
from tests.furnished import Furnished
from tests.pages_house import add_person
from tests.seal import hostile_pdfs as hostile

OWN, OTHER = organisations()
PLACE = {"kind": "point", "page": 1, "x_mm": 150, "y_mm": 240}
FAR = "11880100MB0000019L"
FAR_OFF = "2027-06-01T00:00:00Z"


@pytest.fixture
def template(furnished: Furnished) -> str:
    return furnished.template


@pytest.fixture
async def doors(
    furnished: Furnished,
    database: Any,
    redis_url: str,
    keystore: Any,
    clock: Any,
    workers: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Doors]:
    async with open_doors(furnished, database, redis_url, keystore, clock, workers, tmp_path, monkeypatch) as opened:
        opened.callers.update(
            {
                "client": client("own", OWN),
                "narrow": client("narrow", OWN, frozenset({"certificates:issue"})),
                "keeper": person("keeper", Role.SEAL_KEEPER, organisation=OWN),
                "approver": person("approver", Role.APPROVER, organisation=OWN),
                "weak": person("weak", Role.SEAL_KEEPER, Role.APPROVER, organisation=OWN, authenticator=1),
                "agent": person("agent", Role.AGENT, organisation=OWN),
                "representative": person("representative", Role.LEGAL_REPRESENTATIVE, organisation=OWN),
                "citizen": person("citizen", Role.CITIZEN),
                "foreign-client": client("foreign", OTHER),
                "foreign-keeper": person("foreign keeper", Role.SEAL_KEEPER, organisation=OTHER),
                "foreign-approver": person("foreign-approver", Role.APPROVER, organisation=OTHER),
                "far-admin": person("far", Role.SECURITY_ADMIN, organisation=FAR, division="880100"),
                "far-auditor": person("far-auditor", Role.AUDITOR, organisation=FAR, division="880100"),
            }
        )
        yield opened


OUTSIDERS = ("foreign-client", "foreign-keeper", "foreign-approver", "far-admin", "far-auditor", "citizen", "agent", "representative")


async def test_what_strangers_see(doors: Doors) -> None:
    """One city for all: making it takes longer than looking at it."""
    await _another_organisations_documents_are_not_there(doors)
    await _seals_are_listed_for_those_who_may_open_them(doors)
    await _the_impression_reaches_nobody_before_its_people_agreed(doors)


async def test_what_strangers_change(doors: Doors) -> None:
    await _who_may_change_a_seal_and_its_authority(doors)
    await _a_matter_is_no_administrators_of_elsewhere(doors)
    await _no_address_tells_strangers_which_usernames_there_are(doors)
    await _what_no_table_can_hold_is_refused(doors)
    await _a_name_reads_as_what_it_is(doors)


async def _asked(doors: Doors) -> dict[str, str]:
    """An upload, a request and a batch of the first organisation's client; by name."""
    code = doors.seals[OWN]
    document = (await doors.ask("client", "POST", "/api/v1/seal-documents", content=hostile.document())).json()["id"]
    line = {"seal": code, "matter_code": approvals()[0]["matter_code"], "placements": [PLACE]}
    body = {"document_id": document, "title": "关于停水的通知", "seals": [line]}
    request = await doors.ask("client", "POST", "/api/v1/seal-requests", json=body)
    assert request.status_code == 202, request.text
    batch = await doors.ask("client", "POST", "/api/v1/seal-batches", json=line | {"title": "批量", "documents": [document]})
    assert batch.status_code == 202, batch.text
    return {
        "document": document,
        "request": request.json()["id"],
        "batch": batch.json()["id"],
        "digest": request.json()["seals"][0]["digest"],
    }


async def _another_organisations_documents_are_not_there(doors: Doors) -> None:
    """Refused exactly as something that does not exist, by every address; and no list names it."""
    made = await _asked(doors)
    nothing = "00000000-0000-7000-8000-000000000000"
    bodies: dict[str, dict[str, str]] = {step: {"digest": "ab" * 32} for step in ("approve", "stamp")}
    reason = {"reason": "because"}
    addresses = [
        ("GET", "seal-documents/{document}", None),
        *(("GET", f"seal-requests/{{request}}{tail}", None) for tail in ("", "/events", "/pages/1", "/file")),
        *(("POST", f"seal-requests/{{request}}/{step}", bodies.get(step, reason)) for step in ("approve", "stamp", "reject", "cancel")),
        *(("GET", f"seal-batches/{{batch}}{tail}", None) for tail in ("", "/documents", "/documents/0/file")),
        *(("POST", f"seal-batches/{{batch}}/{step}", bodies.get(step, reason)) for step in ("approve", "pause", "cancel", "reject")),
    ]
    found = []
    for who in OUTSIDERS:
        for method, address, body in addresses:
            path = f"/api/v1/{address}"
            real = await doors.ask(who, method, path.format(**made), json=body)
            none = await doors.ask(who, method, path.format(document=nothing, request=nothing, batch=nothing), json=body)
            if (real.status_code, real.content) != (none.status_code, none.content) or real.status_code != 404:
                found.append((who, method, address, real.status_code, none.status_code))
        for path in ("seal-requests", "seal-batches"):
            if (answer := await doors.ask(who, "GET", f"/api/v1/{path}")).json()["items"]:
                found.append((who, "GET", path, answer.status_code, 200))
    assert found == []
    assert (await doors.ask("approver", "GET", f"/api/v1/seal-requests/{made['request']}")).status_code == 200


async def _seals_are_listed_for_those_who_may_open_them(doors: Doors) -> None:
    """What a list names can be opened, and the other way round."""
    codes = list(doors.seals.values())
    for who in ("keeper", "approver", "client", *OUTSIDERS):
        listed = {one["code"] for one in (await doors.ask(who, "GET", f"/api/v1/seals?organisation={OWN}")).json()["items"]}
        listed |= {one["code"] for one in (await doors.ask(who, "GET", "/api/v1/seals")).json()["items"]}
        opened = {code for code in codes if (await doors.ask(who, "GET", f"/api/v1/seals/{code}")).status_code == 200}
        assert listed == opened, who
        if who in OUTSIDERS:
            assert doors.seals[OWN] not in opened, who


async def _who_may_change_a_seal_and_its_authority(doors: Doors) -> None:
    """Every change asked for by everybody who may not: refused with 401, 403 or 404, and nothing of it happens."""
    code, year = doors.seals[OWN], FAR_OFF
    grant = {"grantee_kind": "client", "grantee": "own", "matter_code": approvals()[0]["matter_code"], "valid_to": year}
    why, steps = {"reason": "because"}, ("suspend", "resume", "lost", "cancel", "activate", "file", "remake", "change")
    changes: list[tuple[str, str, object]] = [
        *(("POST", f"seals/{code}/{step}", why) for step in steps),
        ("POST", f"seals/{code}/grants", grant),
        ("PUT", f"seals/{code}/requirements", {}),
        ("POST", f"seals/{code}/legal-bases", {"matter_code": grant["matter_code"], "basis": "条例第十条"}),
        ("POST", f"seals/{code}/approvals", {"document_hash": "ab" * 32, "requester": "x"}),
        ("POST", f"seals/{code}/why", {"matter_code": "x", "client": "own"}),
        ("GET", f"seals/{code}/grants", None),
        ("GET", f"seals/{code}/uses", None),
        ("GET", f"seals/{code}/alerts", None),
        ("PUT", f"matters/{grant['matter_code']}", {"name": "x", "is_approval": False, "organisation": OWN}),
        ("PUT", "windows/W-9", {"name": "x", "organisation": OWN, "division": "990100", "place": "x"}),
        ("POST", "seal-registries", {"name": "x", "divisions": ["880100"]}),
    ]
    found = []
    for who in (None, "narrow", "weak", "client", *OUTSIDERS):
        for method, address, body in changes:
            if who == "far-admin" and address == "seal-registries":
                continue  # registries are of the whole system
            answer = await doors.ask(who, method, f"/api/v1/{address}", json=body)
            if answer.status_code not in (401, 403, 404):
                found.append((who, method, address, answer.status_code, answer.text[:80]))
    assert found == []


async def _the_impression_reaches_nobody_before_its_people_agreed(doors: Doors) -> None:
    """An impression is all that a forgery on paper takes: neither its operators nor a preview with it go to another organisation."""
    code = doors.seals[OWN]
    for who, status in (("foreign-client", 404), ("foreign-approver", 404), ("client", 200), ("approver", 200)):
        assert (await doors.ask(who, "GET", f"/api/v1/seal-hashes/material/{code}")).status_code == status, who
    document = (await doors.ask("foreign-client", "POST", "/api/v1/seal-documents", content=hostile.document())).json()["id"]
    line = {"seal": code, "matter_code": approvals()[0]["matter_code"], "placements": [PLACE]}
    body = {"document_id": document, "title": "空白", "seals": [line]}
    request = (await doors.ask("foreign-client", "POST", "/api/v1/seal-requests", json=body)).json()["id"]
    stranger, own = [
        (await doors.ask(who, "GET", f"/api/v1/seal-requests/{request}/pages/1")).content for who in ("foreign-client", "approver")
    ]
    assert stranger.startswith(b"\x89PNG")
    assert own.startswith(b"\x89PNG")
    assert stranger != own
    line["seal"] = doors.seals[OTHER]
    blank = (await doors.ask("foreign-client", "POST", "/api/v1/seal-requests", json=body | {"seals": [line]})).json()["id"]
    stamped = (await doors.ask("foreign-client", "GET", f"/api/v1/seal-requests/{blank}/pages/1")).content
    assert stamped != stranger, "their own seal they see"


async def _a_matter_is_no_administrators_of_elsewhere(doors: Doors) -> None:
    """That an approval is none any more would let any seal serve for it: not the keeper alone, and nobody of another division."""
    matter = approvals()[0]["matter_code"]
    async with doors.house.database.begin() as session:
        await put_organisation(session, doors.house.clock.now(), Organisation(OWN, "示范市某局", "990100", "authority"))
    doors.callers["admin"] = person("admin", Role.SECURITY_ADMIN, organisation=FAR)
    body = {"name": "x", "is_approval": True, "organisation": OWN}
    path = f"/api/v1/matters/{matter}"
    assert (await doors.ask("far-admin", "PUT", path, json=body)).json()["code"] == "MATTER_FORBIDDEN"
    assert (await doors.ask("keeper", "PUT", path, json=body)).status_code == 200
    assert (await doors.ask("keeper", "PUT", path, json=body | {"is_approval": False})).json()["code"] == "MATTER_FORBIDDEN"
    assert (await doors.ask("admin", "PUT", path, json=body | {"is_approval": False})).status_code == 200


async def _no_address_tells_strangers_which_usernames_there_are(doors: Doors) -> None:
    await add_person(doors.house, "zhang.san")
    year, nothing = FAR_OFF, "00000000-0000-7000-8000-000000000000"
    code = doors.seals[OWN]
    asked: list[tuple[str, dict[str, object], str]] = [
        (f"seal-grants/{nothing}/delegate", {"valid_to": year}, "to"),
        (f"seals/{code}/grants", {"grantee_kind": "person", "matter_code": "x", "valid_to": year}, "grantee"),
        ("windows/W-1/post", {}, "name"),
        (f"seals/{code}/why", {"matter_code": "x"}, "person"),
    ]
    for address, body, member in asked:
        answers = [await doors.ask("citizen", "POST", f"/api/v1/{address}", json=body | {member: name}) for name in ("zhang.san", "nobody")]
        assert answers[0].content == answers[1].content, address
    unknown = asked[1][1] | {"grantee": "nobody"}
    assert (await doors.ask("keeper", "POST", f"/api/v1/seals/{code}/grants", json=unknown)).json()["code"] == "SEAL_GRANT_INVALID"


async def _what_no_table_can_hold_is_refused(doors: Doors) -> None:
    """A NUL, half a surrogate pair, a number beyond every column: the sender's fault everywhere, never a failure of ours."""
    code, matter = doors.seals[OWN], approvals()[0]["matter_code"]
    document = (await doors.ask("client", "POST", "/api/v1/seal-documents", content=hostile.document())).json()["id"]
    addresses = [f"seals/%00{tail}" for tail in ("", "/history", "/status", "/grants", "/uses")]
    addresses += ["windows?cursor=%00", "windows?organisation=%ED%A0%80", "seal-requests?status=%00", "seal-hashes?seal=%00"]
    addresses += ["seals/notices?before=99999999999999999999999", "seals?cursor=%00", f"seals/{code}/uses?cursor=%00"]
    found = []
    for who in ("keeper", "client"):
        for address in addresses:
            answer = await doors.ask(who, "GET", f"/api/v1/{address}")
            found += [(address, answer.status_code)] if answer.status_code >= 500 else []
    line = {"seal": code, "matter_code": matter, "placements": [PLACE]}
    bodies: list[tuple[str, str, str]] = [
        ("client", "seal-requests", json.dumps({"document_id": document, "title": "a\0b", "seals": [line]})),
        ("client", "seal-requests", json.dumps({"document_id": document, "title": "\ud800", "seals": [line]})),
        (
            "client",
            "seal-requests",
            json.dumps({"document_id": document, "title": "x", "seals": [line | {"placements": [PLACE | {"page": 10**40}]}]}),
        ),
        ("keeper", "seals/notices/read", json.dumps({"up_to": 2**63})),
        (
            "keeper",
            f"seals/{code}/grants",
            json.dumps({"grantee_kind": "client", "grantee": "a\0b", "matter_code": matter, "valid_to": FAR_OFF}),
        ),
        ("approver", f"seals/{code}/approvals", json.dumps({"document_hash": "ab" * 32, "requester": "a\0b"})),
    ]
    for who, address, body in bodies:
        answer = await doors.ask(who, "POST", f"/api/v1/{address}", content=body, headers={"Content-Type": "application/json"})
        found += [] if answer.status_code in (400, 422) else [(address, answer.status_code)]
    named = await doors.ask("client", "POST", "/api/v1/seal-documents", content=hostile.document(), headers={"Document-Name": "%00.pdf"})
    assert found == []
    assert named.status_code == 422


async def _a_name_reads_as_what_it_is(doors: Doors) -> None:
    """Nothing that hides, reorders or imitates stands in what a reviewer or an approver reads before they agree."""
    code, matter = doors.seals[OWN], approvals()[0]["matter_code"]
    document = (await doors.ask("client", "POST", "/api/v1/seal-documents", content=hostile.document())).json()["id"]
    line, ends = {"seal": code, "matter_code": matter, "placements": [PLACE]}, {"valid_from": "2026-12-01T00:00:00Z", "valid_to": FAR_OFF}
    for text in ("通知\u202etxt.exe", "通\u200b知", "⼀号通知", "通知\n已批准", "金\uf90a", "\U000e0041"):
        order: dict[str, object] = {"name": text, "kind": "contract", "organisation_name": "示范市某局"} | ends
        asked: list[tuple[str, str, dict[str, object]]] = [
            ("keeper", "seals", order),
            ("keeper", "seals", order | {"name": "某局合同专用章", "lower_text": text}),
            ("client", "seal-requests", {"document_id": document, "title": text, "seals": [line]}),
            ("client", "seal-batches", line | {"title": text, "documents": [document]}),
        ]
        for who, address, body in asked:
            answer = await doors.ask(who, "POST", f"/api/v1/{address}", json=body)
            assert answer.status_code == 422, (address, ascii(text), answer.text)
            assert text not in answer.text
        named = {"Document-Name": quote(text)}
        upload = await doors.ask("client", "POST", "/api/v1/seal-documents", content=hostile.document(), headers=named)
        assert upload.status_code == 422, ascii(text)
    kept = {"document_id": document, "title": "关于（一）①号、㎡、𠮷、々的通知 No. 1", "seals": [line]}
    assert (await doors.ask("client", "POST", "/api/v1/seal-requests", json=kept)).status_code == 202
