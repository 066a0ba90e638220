"""Kinds and their shapes, the emblem that is never drawn, and orders that say how the seal looks, on a real database."""

import dataclasses
import hashlib
import subprocess

import pytest
from sqlalchemy import text

from keys.custody import sm2
from keys.custody.store import Purpose
from seal import asn1, making, reads
from seal.appearance import check, draw
from seal.asn1_build import SignerList
from seal.designs import Colour, LowerStyle, Relief, SealShapeUnsuitable, Shape
from seal.impressions import MediaType, Upload
from seal.kinds import KINDS, SealKind, bears_emblem
from seal.looks import AS_THE_KIND, SealLook, design_of
from seal.material import load_material
from seal.picturing import EmblemNeedsImpression, Subject, engraved, plate_for, preview
from seal.verification_stamp import Evidence, judge_stamp
from tests.conftest import require_command
from tests.seal.test_impressions import png, svg
from tests.seal.test_making import reviewed

CODE = "99010000000001"
TAX = "91350100M000100Y43"


def design(kind, look=AS_THE_KIND, name="示范市示范科技有限公司"):
    lower = KINDS[SealKind(kind)].lower_text
    return design_of(kind, look, name=name, organisation=TAX, lower_text=lower, code=CODE)


def subject(kind="statutory", name="示范市住房和城乡建设局", lower=""):
    return Subject(kind, TAX, name, lower)


# Kinds


@pytest.mark.parametrize(
    ("kind", "shape", "size", "star", "middle", "lower", "coded"),
    [
        ("statutory", Shape.ROUND, (42, 42), True, "", "", True),
        ("approval", Shape.ROUND, (42, 42), True, "", "行政审批专用章", True),
        ("finance", Shape.ROUND, (38, 38), True, "", "财务专用章", True),
        ("contract", Shape.ROUND, (38, 38), True, "", "合同专用章", True),
        ("invoice", Shape.OVAL, (40, 30), False, TAX, "发票专用章", False),
        ("personal_name", Shape.SQUARE, (20, 20), False, "", "", False),
    ],
)
def test_every_kind_has_its_shape(kind, shape, size, star, middle, lower, coded):
    one = design(kind, name="张小凡" if kind == "personal_name" else "示范市示范科技有限公司")
    assert (one.shape, (one.width_mm, one.height), one.star, one.middle, one.lower) == (shape, size, star, middle, lower)
    assert bool(one.code) is coded
    check(one)


@pytest.mark.parametrize("kind", list(SealKind))
@pytest.mark.parametrize("diameter", [38, 40, 42, 45])
def test_every_kind_can_be_round_of_every_usual_size(kind, diameter):
    one = design(kind, SealLook(shape=Shape.ROUND, width_mm=diameter, middle="", star=True))
    check(one)
    assert (one.width_mm, one.height) == (diameter, diameter)


@pytest.mark.parametrize(
    ("look", "size"),
    [
        (SealLook(shape=Shape.SQUARE, upper="财务专用章"), (22, 22)),
        (SealLook(shape=Shape.OVAL), (45, 30)),
        (SealLook(shape=Shape.OVAL, width_mm=40, height_mm=30), (40, 30)),
        (SealLook(width_mm=40), (40, 40)),
    ],
)
def test_an_order_may_say_otherwise(look, size):
    one = design("finance", look)
    check(one)
    assert (one.width_mm, one.height) == size


def test_a_look_survives_being_kept():
    look = SealLook("甲乙", "（1）", Shape.OVAL, 45, 30, False, True, Colour.BLUE, LowerStyle.ARC, Relief.RAISED)
    assert SealLook.from_json(look.to_json()) == look
    assert SealLook.from_json({}) == AS_THE_KIND


@pytest.mark.parametrize("members", [{"shape": "triangle"}, {"colour": "green"}, {"relief": ""}, {"lower_style": "zigzag"}])
def test_words_nobody_knows_are_refused(members):
    with pytest.raises(SealShapeUnsuitable):
        SealLook.from_json(members)


@pytest.mark.parametrize(
    "members", [{"emblem": True}, {"width_mm": "42"}, {"width_mm": True}, {"star": 1}, {"upper": 5}, {"upper": ["示"]}]
)
def test_members_of_another_type_are_refused(members):
    with pytest.raises(TypeError):
        SealLook.from_json(members)


# The emblem


@pytest.mark.parametrize(
    "name",
    ["示范市人民政府", "示范区人民政府", "示范自治县人民政府", "示范镇江市人民政府", "示范市人民法院", "示范市人民代表大会常务委员会",
     "示范市监察委员会", "示范市人民检察院"],
)  # fmt: skip
def test_a_seal_that_bears_the_emblem_is_never_drawn(name):
    assert bears_emblem("statutory", name)
    with pytest.raises(EmblemNeedsImpression) as refusal:
        plate_for(subject(name=name), AS_THE_KIND, None)
    assert (refusal.value.code, refusal.value.status) == ("SEAL_EMBLEM_NEEDS_IMPRESSION", 422)


@pytest.mark.parametrize(
    "name", ["青山乡人民政府", "示范县河口镇人民政府", "查干苏木人民政府", "示范市人民政府办公室", "示范市住房和城乡建设局"]
)
def test_townships_offices_and_departments_have_a_star(name):
    assert not bears_emblem("statutory", name)
    assert plate_for(subject(name=name), AS_THE_KIND, None).source.star


def test_a_business_seal_of_a_government_is_drawn():
    assert not bears_emblem("approval", "示范市人民政府")


# Previews


def test_a_preview_shows_zeros_for_the_code_and_is_else_the_seal():
    look = SealLook(colour=Colour.BLUE)
    shown = preview(subject("approval", lower="行政审批专用章"), look, None)
    wanted = design_of("approval", look, name="示范市住房和城乡建设局", organisation=TAX, lower_text="行政审批专用章", code="0" * 14)
    assert shown == draw(wanted)
    assert "1D3F94" in shown.svg.decode()


def test_a_preview_of_an_impression_takes_the_colour_of_the_order():
    upload = Upload(svg(), MediaType.SVG, 42, 42)
    shown = preview(subject(name="示范市人民政府"), SealLook(colour=Colour.BLACK), upload)
    assert b"#1C1C1C" in shown.svg
    assert engraved(plate_for(subject(), SealLook(colour=Colour.BLACK), upload)) == shown


# Orders


async def made_of(city, seal):
    async with city.database.begin() as session:
        material = await load_material(session, city.keystore, city.clock.now(), seal.code)
        return asn1.parse_seal(material.seal_der), material, await reads.pictures_of(session, seal.code)


async def test_an_invoice_seal_with_a_list_of_digests(city, tmp_path):
    """Oval, the tax number in its middle; the SESeal names the certificate by its SM3 digest, and a second reader finds it there."""
    order = {"kind": "invoice", "name": "示范市住建局发票专用章", "signer_list": SignerList.DIGESTS}
    seal, material, pictures = await made_of(city, await city.make(**order))
    assert (seal.width_mm, seal.height_mm) == (40, 30) == (pictures.width_mm, pictures.height_mm)
    assert seal.certificates == ()
    assert seal.digests == (("SM3", sm2.sm3(material.sm_certificate)),)
    file = tmp_path / "seal.der"
    file.write_bytes(material.seal_der)
    openssl = require_command("openssl", "openssl")
    read = subprocess.run([openssl, "asn1parse", "-inform", "DER", "-in", file], check=True, capture_output=True, timeout=30).stdout
    assert b"PRINTABLESTRING   :SM3" in read
    assert sm2.sm3(material.sm_certificate).hex().upper().encode() in read
    now = city.clock.now()
    tbs = asn1.build_tbs_sign(material.seal_der, now, b"\x5a" * 32, "[0 1 2 3]")
    stamped = asn1.assemble_ses_signature(tbs, material.sm_certificate, city.keystore.sign(material.sm_key, tbs, Purpose.SEALS))
    stranger = asn1.assemble_ses_signature(tbs, material.signer_certificate, city.keystore.sign(material.sm_key, tbs, Purpose.SEALS))
    nothing = Evidence(anchors=(), candidates=(), crls=(), at=now)
    for encoded, outcome in ((stamped, "PASSED"), (stranger, "FAILED")):
        listed = [check for check in judge_stamp(encoded, nothing, None).checks if check.name == "SIGNER_NOT_AUTHORISED"]
        assert [check.outcome for check in listed] == [outcome]


@pytest.mark.parametrize("version", [4, 5])
def test_both_lists_are_written_in_both_versions_and_read_back(version):
    for kind in SignerList:
        content = asn1.SealContent(
            CODE, "示范", (b"one", b"two"), *[making.dt.datetime(2026, 11, 21, tzinfo=making.dt.UTC)] * 3, b"picture", 42, 42,
            signer_list=kind,
        )  # fmt: skip
        info = asn1.build_seal_info(content, version)
        read = asn1.parse_seal(asn1.assemble_seal(info, b"maker", b"0\0"))
        assert (read.version, read.signed) == (version, info)
        listed = read.certificates if kind is SignerList.CERTIFICATES else tuple(value for _, value in read.digests)
        assert listed == ((b"one", b"two") if kind is SignerList.CERTIFICATES else (sm2.sm3(b"one"), sm2.sm3(b"two")))


async def test_a_personal_name_seal_is_square_and_says_so(city):
    look = SealLook(upper="张小凡", width_mm=18, relief=Relief.SUNK)
    seal, _, pictures = await made_of(city, await city.make(kind="personal_name", name="示范市住建局法定代表人名章", look=look))
    assert (seal.type, seal.width_mm, seal.height_mm) == (2, 18, 18)
    assert b"evenodd" in pictures.svg
    assert (await made_of(city, await city.make(kind="personal_name", name="示范市住建局财务负责人名章", look=look)))[0].type == 2


async def test_an_uploaded_impression_is_kept_untouched_and_becomes_the_seal(city):
    """A government's own seal: drawn by nobody here, made from what was uploaded."""
    source = png(1100, 1100)
    order = {"kind": "statutory", "name": "示范市人民政府", "organisation_name": "示范市人民政府"}
    with pytest.raises(EmblemNeedsImpression):
        await city.make(**order)
    async with city.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM seal.seals")) == 0
        refused = await session.scalar(text("SELECT convert_from(body, 'UTF8') FROM keys.audit_events WHERE outcome = 'refused'"))
    assert "SEAL_EMBLEM_NEEDS_IMPRESSION" in refused
    made = await city.make(**order, impression=Upload(source, MediaType.PNG, 45, 45))
    seal, material, pictures = await made_of(city, made)
    assert (seal.width_mm, seal.height_mm, pictures.width_mm) == (45, 45, 45)
    assert source not in material.seal_der
    assert b" l\n" in material.pdf_content
    async with city.database.session() as session:
        kept = (await session.execute(text("SELECT source, sha256, shape, uploaded_by FROM seal.impressions"))).one()
    assert (kept.source, kept.sha256) == (source, hashlib.sha256(source).digest())
    assert (kept.shape, kept.uploaded_by) == ("round", "keeper")


async def test_a_bad_impression_leaves_nothing_behind(city):
    bad = city.order(impression=Upload(svg("<script/>"), MediaType.SVG, 42, 42))
    with pytest.raises(making.InvalidInput) as refusal:
        await making.apply_for_seal(city.database, city.clock, city.keeper, bad)
    assert refusal.value.code == "IMPRESSION_SVG_SCRIPT"
    async with city.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM seal.seals")) == 0
        assert await session.scalar(text("SELECT count(*) FROM seal.impressions")) == 0


async def test_what_is_applied_for_is_what_is_made(city):
    """The outlines are those that were cleaned when the order came in, whatever the room would answer later."""
    order = city.order(impression=Upload(svg(), MediaType.SVG, 42, 42), look=SealLook(colour=Colour.BLUE))
    applied = await making.apply_for_seal(city.database, city.clock, city.keeper, order)
    await reviewed(city, applied)
    made = await making.make_reviewed_seal(city.database, city.keystore, city.clock, city.admin, applied.id)
    _, _, pictures = await made_of(city, made)
    assert pictures.svg == preview(subject(), order.look, order.impression).svg
    assert dataclasses.asdict(order.look)["colour"] == "blue"
