"""The judge of documents with several seals: honest ones pass, whatever else was done to them fails.

Every attack is made with genuine seals around it; where a signature is needed the attacker has a key of their own.
"""

import datetime as dt
import io
import re
from collections.abc import Callable
from dataclasses import replace

import pikepdf
import pytest

from seal.document_stamping import stamp_document
from seal.increment import Increment
from seal.joint_dictionary import Terms, organisation_name
from seal.joint_document import standing_of
from seal.joint_fields import head_of, pictures_of_field
from seal.joint_pictures import Size
from seal.joint_writing import Ink, fill
from seal.levels import Store, prepare, stamped
from seal.pdf_reading import Foreign
from seal.pdf_syntax import spelled
from seal.placing import AtPoint, Certification, CrossPage, Profile, StampPlan
from seal.revision import Hollow, NotStampable
from seal.verdict import Indication, Verdict
from seal.verification import verify
from tests.joint import Town, approval, code, extra_revision, updated
from tests.stamped import NOW, World

LATER = NOW + dt.timedelta(hours=1)
FAILED, PASSED, INDETERMINATE = Indication.TOTAL_FAILED, Indication.TOTAL_PASSED, Indication.INDETERMINATE
INK = b"1 0 0 rg 0 0 119 119 re f"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return Town(World(tmp_path_factory.mktemp("town")))


@pytest.fixture(scope="module")
def sealed(town: Town) -> list[bytes]:
    """A document after its first, second and third seal; a fourth place stays open."""
    later = (
        town.later(2, AtPoint(2, 60, 250), CrossPage(position_mm=200)),
        town.later(3, AtPoint(0, 110, 250)),
        town.later(4, AtPoint(1, 110, 250)),
    )
    made = [town.stamp(approval(), StampPlan((AtPoint(2, 150, 250), CrossPage(position_mm=80)), Certification.P2, later))]
    for ordinal in (2, 3):
        made.append(town.stamp(made[-1], StampPlan(), ordinal))
    return made


def judged(town: Town, pdf: bytes) -> Verdict:
    return verify(pdf, town.world.trust, LATER)


def rewritten(increment: Increment, reference: bytes, old: bytes, new: bytes) -> None:
    node = increment.reading.node(reference)
    body = spelled(node.entries)
    assert old in body
    increment.write(node.number, body.replace(old, new, 1), node.generation)


def field_reference(pdf: bytes, name: str) -> bytes:
    (found,) = (one for one in standing_of(pdf, Foreign(pdf)).fields if one.name == name)
    return found.node.reference


def test_every_stage_passes(town: Town, sealed: list[bytes]) -> None:
    for count, pdf in enumerate(sealed, 1):
        verdict = judged(town, pdf)
        assert verdict.indication is PASSED, verdict.to_json()
        assert len(verdict.signatures) == count
        coverage = [check.detail for one in verdict.signatures for check in one.checks if check.name == "COVERAGE"]
        assert coverage[-1] == "the entire file"
        assert {one.level for one in verdict.signatures} == {"PAdES-B-B"}
        assert all(one.seal is not None and one.signing_time == one.seal.stamped_at for one in verdict.signatures)


def test_cut_off_at_a_seal_it_is_the_document_as_it_was(town: Town, sealed: list[bytes]) -> None:
    """Leaving out the last seals gives an older document, which is genuine; it is not one with another content."""
    assert sealed[2].startswith(sealed[1])
    assert judged(town, sealed[2][: len(sealed[1])]).indication is PASSED
    for length in (len(sealed[1]) - 1, len(sealed[1]) + 1, len(sealed[2]) - 7):
        assert judged(town, sealed[2][:length]).indication is not PASSED


def extra_comment(pdf: bytes) -> bytes:
    return pdf + b"% a comment\n"


def changed_metadata(pdf: bytes) -> bytes:
    def change(increment: Increment) -> None:
        root = increment.reading.root
        rewritten(increment, root.reference, b"/Type/Catalog", b"/Type/Catalog/PageLayout/OneColumn")

    return updated(pdf, change)


def swapped_pages(pdf: bytes) -> bytes:
    def change(increment: Increment) -> None:
        pages = increment.reading.root.entries[b"/Pages"]
        kids = increment.reading.node(pages).entries[b"/Kids"]
        one, two = re.findall(rb"\d+ 0 R", kids)[:2]
        rewritten(increment, pages, kids, kids.replace(one, b"#").replace(two, one).replace(b"#", two))

    return updated(pdf, change)


def moved_widget(pdf: bytes) -> bytes:
    reference = field_reference(pdf, "Seal")
    return updated(pdf, lambda increment: rewritten(increment, reference, b"/Rect[", b"/Rect[1 "))


def changed_look(pdf: bytes) -> bytes:
    reference = field_reference(pdf, "Seal")

    def change(increment: Increment) -> None:
        look = increment.add(b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<<>>/Length 0>>stream\n\nendstream")
        appearance = increment.reading.node(reference).entries[b"/AP"]
        rewritten(increment, reference, appearance, b"<</N %d 0 R>>" % look)

    return updated(pdf, change)


def changed_strip(pdf: bytes) -> bytes:
    reference = field_reference(pdf, "Seal_2")

    def change(increment: Increment) -> None:
        appearance = increment.reading.node(reference).entries[b"/AP"]
        rewritten(increment, reference, appearance, b"<</N<</On null>>>>")

    return updated(pdf, change)


def strip_of_another_seal(pdf: bytes) -> bytes:
    """The strips of one seal, put where those of the other are."""
    mine, other = field_reference(pdf, "Seal_1"), field_reference(pdf, f"Seal2-{code(2)}_1")

    def change(increment: Increment) -> None:
        looks = [increment.reading.node(one).entries[b"/AP"] for one in (mine, other)]
        rewritten(increment, mine, looks[0], looks[1])

    return updated(pdf, change)


def ink_in_the_open_place(pdf: bytes) -> bytes:
    """A picture of a seal in the place of one that has not come: no signature, only the look."""
    reference = field_reference(pdf, f"Seal4-{code(4)}")

    def change(increment: Increment) -> None:
        look = increment.reading.node(field_reference(pdf, "Seal")).entries[b"/AP"]
        rewritten(increment, reference, increment.reading.node(reference).entries[b"/AP"], look)

    return updated(pdf, change)


def two_fields_of_one_value(pdf: bytes) -> bytes:
    """The open place takes the value of the first seal."""
    reference = field_reference(pdf, f"Seal4-{code(4)}")
    value = Foreign(pdf).node(field_reference(pdf, "Seal")).entries[b"/V"]
    return updated(pdf, lambda increment: rewritten(increment, reference, b"/Type/Annot", b"/Type/Annot/V %b" % value))


def removed_field(pdf: bytes) -> bytes:
    reference = field_reference(pdf, f"Seal2-{code(2)}")
    root = Foreign(pdf).root.reference
    return updated(pdf, lambda increment: rewritten(increment, root, b" " + reference, b""))


def added_annotation(pdf: bytes) -> bytes:
    def change(increment: Increment) -> None:
        note = increment.add(b"<</Type/Annot/Subtype/FreeText/Rect[100 100 400 200]/Contents(forged)/DA(/Helv 12 Tf)>>")
        page = increment.reading.page(0).node
        rewritten(increment, page.reference, b"/Annots[", b"/Annots[%d 0 R " % note)

    return updated(pdf, change)


def replaced_impression(pdf: bytes) -> bytes:
    """The form XObject behind the first seal's pictures, written again with other ink."""
    number = int(re.search(rb"(\d+) 0 obj\n<</Type/XObject/Subtype/Form/BBox\[0 0 [\d. ]+\]/Group", pdf)[1])  # type: ignore[index]
    return updated(pdf, lambda increment: increment.write(number, Ink.of(INK, Size(42, 42)).body()) and None)


ATTACKS = [
    extra_comment,
    extra_revision,
    changed_metadata,
    swapped_pages,
    moved_widget,
    changed_look,
    changed_strip,
    strip_of_another_seal,
    ink_in_the_open_place,
    two_fields_of_one_value,
    removed_field,
    added_annotation,
    replaced_impression,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_whatever_is_appended_fails(town: Town, sealed: list[bytes], attack: Callable[[bytes], bytes]) -> None:
    verdict = judged(town, attack(sealed[2]))
    assert verdict.indication is FAILED, verdict.to_json()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_what_is_hidden_between_two_seals_fails(town: Town, sealed: list[bytes], attack: Callable[[bytes], bytes]) -> None:
    """The next department seals a forged file: its own signature covers all of it, and the file is refused all the same."""
    forged = attack(sealed[2])
    try:
        continued = town.stamp(forged, StampPlan(), 4)
    except NotStampable:  # the writer refuses some of them itself, which is as good
        return
    verdict = judged(town, continued)
    assert verdict.indication is FAILED, verdict.to_json()


def test_every_octet_counts(town: Town, sealed: list[bytes]) -> None:
    """A sample of single octets over the whole file: none can be changed."""
    pdf = sealed[2]
    for at in range(7, len(pdf), len(pdf) // 80):
        changed = bytearray(pdf)
        changed[at] ^= 0x01
        assert judged(town, bytes(changed)).indication is not PASSED, at


def hollow_fill(town: Town, pdf: bytes, name: str, **changed: object) -> Hollow:
    """The revision of a later seal, made by our writer with the attacker's choices."""
    reading = Foreign(pdf)
    standing = standing_of(pdf, reading)
    own = pictures_of_field(standing.fields, name)
    material = town.material(4)
    choices = {
        "signing_time": NOW + dt.timedelta(minutes=4),
        "organisation": organisation_name("测试市水利局"),
        "certification": Certification.NONE,
        "locked": tuple((one.name or "").encode() for one in own[1:]),
        "profile": Profile.PADES,
        "reserved": 20000,
    }
    dressed = [(one, head_of(pdf, reading, one)) for one in own]
    more = standing.missing(material.validation)
    return fill(Increment(pdf, reading), dressed, Ink.of(INK, Size(42, 42)), standing.store, more, Terms(**{**choices, **changed}))  # type: ignore[arg-type]


def test_a_stranger_fills_the_open_place(town: Town, sealed: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a whole hierarchy of their own, and with the right seal's code in their SESeal."""
    stranger = Town(World(tmp_path_factory.mktemp("stranger"), prefix="Stranger"))
    forged = stranger.stamp(sealed[2], StampPlan(), 4)
    verdict = judged(town, forged)
    assert verdict.indication is INDETERMINATE
    assert [one.indication for one in verdict.signatures] == [PASSED, PASSED, PASSED, INDETERMINATE]


def test_another_department_fills_the_place(town: Town, sealed: list[bytes]) -> None:
    """A genuine seal of the same town in a place that was declared for another seal."""
    material = replace(town.material(5), code=code(4))
    permit = town.world.permit(sealed[2], seal_code=code(4), expires=NOW + dt.timedelta(minutes=9))
    forged = stamp_document(permit, sealed[2], material, StampPlan(), town.world.keystore, NOW + dt.timedelta(minutes=4)).pdf
    verdict = judged(town, forged)
    assert verdict.indication is FAILED
    assert [check.name for check in verdict.signatures[-1].checks if check.outcome == "FAILED"] == ["SIGNER_NOT_AUTHORISED"]


@pytest.mark.parametrize(
    "changed",
    [
        {"certification": Certification.P1},
        {"certification": Certification.P2},
        {"locked": (b"Seal_1",)},
        {"profile": Profile.GM},
    ],
)
def test_a_later_seal_says_no_more_than_it_may(town: Town, sealed: list[bytes], changed: dict[str, object]) -> None:
    """A second certification, a lock on somebody else's pictures, a stamp that says it is one of another kind."""
    hollow = hollow_fill(town, sealed[2], f"Seal4-{code(4)}", **changed)
    assert judged(town, hollow.filled(b"\x30\x03\x02\x01\x00")).indication is FAILED


def test_seals_of_another_document_are_none_here(town: Town, sealed: list[bytes]) -> None:
    """The last revision of one document behind another of the same length and form."""
    other = town.stamp(
        approval(), StampPlan((AtPoint(2, 150, 240), CrossPage(position_mm=80)), Certification.P2, (town.later(2, AtPoint(2, 60, 250)),))
    )
    grafted = other + sealed[1][len(sealed[0]) :]
    assert judged(town, grafted).indication is not PASSED


def test_a_level_raised_and_a_seal_after_it(town: Town, sealed: list[bytes]) -> None:
    """What is not a seal or a time stamp of ours stays out; a pretended time stamp proves nothing."""
    hollow, _ = prepare(sealed[2], Store())
    verdict = judged(town, stamped(hollow, b"\x30\x03\x02\x01\x00"))
    assert verdict.indication is FAILED


def test_a_plain_certificate_is_still_judged_by_its_own_judge(town: Town) -> None:
    verdict = judged(town, town.world.stamped())
    assert verdict.indication is PASSED
    assert verdict.certificate is not None


def test_time_stamps_behind_and_between_seals(town: Town, sealed: list[bytes]) -> None:
    """A level is raised, another department seals, the level is raised again: everything holds, long after the certificates."""
    archived = town.world.archived(sealed[2], NOW + dt.timedelta(minutes=4))
    verdict = judged(town, archived)
    assert verdict.indication is PASSED, verdict.to_json()
    assert [one.level for one in verdict.signatures] == ["PAdES-B-LTA"] * 3 + ["TIMESTAMP"]
    fourth = town.stamp(archived, StampPlan(), 4, NOW + dt.timedelta(minutes=5))
    assert judged(town, fourth).indication is PASSED
    finished = town.world.archived(fourth, NOW + dt.timedelta(minutes=6))
    for at in (LATER, NOW + dt.timedelta(days=80)):
        verdict = verify(finished, town.world.trust, at)
        assert verdict.indication is PASSED, verdict.to_json()
    assert len(verdict.signatures) == 6
    times = [check.outcome for one in verdict.signatures for check in one.checks if check.name == "TIMESTAMP"]
    assert times == ["PASSED"] * 6
    assert judged(town, extra_revision(finished)).indication is FAILED


def test_a_time_stamp_over_something_else(town: Town, sealed: list[bytes]) -> None:
    validation = town.world.time_validation()
    hollow = prepare(sealed[2], Store(validation.certificates, validation.crls))[0]
    forged = stamped(hollow, town.world.token(bytes(32), NOW + dt.timedelta(minutes=4)))
    verdict = judged(town, forged)
    assert verdict.indication is not PASSED
    assert verdict.signatures[-1].indication is not PASSED


def test_a_base_with_streams_of_objects(town: Town) -> None:
    """Cross-reference streams and compressed objects, as other programs write them: the same journey, the same verdicts."""
    with pikepdf.open(io.BytesIO(approval())) as opened:
        out = io.BytesIO()
        opened.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    later = (town.later(2, CrossPage(position_mm=200)), town.later(3, AtPoint(0, 60, 250)))
    document = town.stamp(out.getvalue(), StampPlan((AtPoint(2, 150, 250), CrossPage(position_mm=80)), Certification.P2, later))
    for ordinal in (2, 3):
        document = town.stamp(document, StampPlan(), ordinal)
        verdict = judged(town, document)
        assert verdict.indication is PASSED, verdict.to_json()
    assert len(verdict.signatures) == 3
    assert judged(town, town.world.archived(document, NOW + dt.timedelta(minutes=4))).indication is PASSED
    for attack in (extra_comment, extra_revision, changed_strip, swapped_pages):
        assert judged(town, attack(document)).indication is FAILED
