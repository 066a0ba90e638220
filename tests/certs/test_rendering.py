"""Rendering: what comes out, that it never differs, and what is refused before anything is typeset."""

import concurrent.futures
import dataclasses
import datetime as dt
import hashlib
import multiprocessing
import pickle

import pypdfium2
import pytest

from certs import rendering
from certs.fonts import REQUIRED_FONTS, coverage, missing_characters
from certs.forms import TemplateMissing, form_of, forms, templates
from certs.legibility import complaint_about
from certs.rendering import FieldsTooLong, GlyphMissing, Rendered, grouped, printed_fields, render
from keys.base.errors import InvalidInput
from seal.placement import Placement
from tests.render_jobs import ESTATE, FOOD, SEVEN, SEWAGE, TYPES, job, stretched


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    try:
        assert len(document) == 1
        return str(document[0].get_textpage().get_text_bounded())
    finally:
        document.close()


def squeezed(text: str) -> str:
    """Without white space: spread labels and wrapped values come back in pieces."""
    return "".join(text.split())


@pytest.mark.parametrize("type_code", TYPES)
def test_everything_the_job_says_stands_on_the_page(type_code: str) -> None:
    task = job(type_code)
    text = squeezed(text_of(render(task).pdf))
    for label, value in task.fields:
        assert squeezed(label) in text or "列入重点排" in text
        assert squeezed(value) in text
    for words in (task.title_zh, task.title_en.upper(), task.number, task.identifier, task.issuer, task.verify_url, *task.holders):
        assert squeezed(words) in text
    assert "7Q4M-XK2P-9HTD-3RWB" in text
    assert "2026年11月21日" in text


def test_the_period_of_validity_is_a_row_where_the_form_has_one() -> None:
    assert "2026年11月21日至2031年11月20日" in squeezed(text_of(render(job(FOOD)).pdf))
    assert "2026年11月21日至长期" in squeezed(text_of(render(job(FOOD, valid_to=None)).pdf))
    assert "有效期限" not in squeezed(text_of(render(job(ESTATE)).pdf))
    assert "有效期限" not in dict(printed_fields(form_of(FOOD), job(FOOD, valid_from=None, valid_to=None)))


def test_a_statutory_form_keeps_its_rows_and_strikes_out_the_empty_ones() -> None:
    rows = printed_fields(form_of(ESTATE), job(ESTATE))
    assert [label for label, _ in rows] == ["证明权利或事项", "权利人（申请人）", "义务人", "坐落", "不动产单元号", "其他", "附记"]
    assert dict(rows)["权利人（申请人）"] == "卫思远、郑雨桐"
    assert dict(rows)["义务人"] == "／"


def test_fields_the_form_does_not_know_are_printed_too() -> None:
    rows = printed_fields(form_of(ESTATE), job(ESTATE, fields={"抵押金额": "壹佰万元整"}))
    assert rows[-1] == ("抵押金额", "壹佰万元整")


def test_equal_jobs_give_equal_octets_and_another_instant_another_file() -> None:
    first, again = render(job()), render(job())
    assert first == again
    assert first.sha256 == hashlib.sha256(first.pdf).hexdigest()
    later = render(job(timestamp=dt.datetime(2026, 11, 21, 3, tzinfo=dt.UTC)))
    assert later.sha256 != first.sha256


def test_a_fresh_process_gives_the_same_octets() -> None:
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        elsewhere = pool.submit(render, job(ESTATE)).result(timeout=60)
    assert elsewhere == render(job(ESTATE))


def test_threads_do_not_mix_their_jobs() -> None:
    tasks = [job(type_code, number=f"编号{n}") for n in range(4) for type_code in TYPES]
    expected = [render(task).sha256 for task in tasks]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert [done.sha256 for done in pool.map(render, tasks)] == expected


def test_jobs_results_and_refusals_can_be_sent_between_processes() -> None:
    assert pickle.loads(pickle.dumps(job())) == job()
    result = render(job())
    assert isinstance(pickle.loads(pickle.dumps(result)), Rendered)
    refusal = pickle.loads(pickle.dumps(GlyphMissing("U+2FFFF", characters=["\U0002ffff"])))
    assert refusal.extra == {"characters": ["\U0002ffff"]}


@pytest.mark.parametrize(("type_code", "place"), [(FOOD, (244, 163)), (SEWAGE, (244, 163)), (ESTATE, (162, 226))])
def test_the_place_of_the_seal_is_told(type_code: str, place: tuple[float, float]) -> None:
    assert render(job(type_code)).seal_place == Placement(0, float(place[0]), float(place[1]))


def test_every_form_names_a_template_and_a_type_of_its_own() -> None:
    assert set(forms()) == set(SEVEN)
    assert len({form.document for form in templates().values()}) == len(templates()) == len(SEVEN) + 2


def test_a_type_without_a_form_of_its_own_is_printed_with_the_general_one_or_the_one_it_names() -> None:
    other = dataclasses.replace(job(), type_code="11100000MB0143028R999", fields=(("许可事项", "危险货物道路运输"),))
    portrait, landscape = (210, 297), (297, 210)
    for name, size in (
        ("", portrait),
        ("general_portrait", portrait),
        ("general_landscape", landscape),
        ("food_business_licence", landscape),
    ):
        made = render(dataclasses.replace(other, template=name)).pdf
        document = pypdfium2.PdfDocument(made)
        assert tuple(round(side * 25.4 / 72) for side in document[0].get_size()) == size
        document.close()
        words = squeezed(text_of(made))
        assert all(one in words for one in ("危险货物道路运输", other.holders[0], other.title_zh, other.number)), name
    with pytest.raises(TemplateMissing):
        render(dataclasses.replace(other, template="nobody_drew_it"))


# ---- what may be printed ----


@pytest.mark.parametrize("name", ["钱䶮", "喆堃", "㛃", "𬱖", "龘", "鿫", "〇", "\U00030ede"])
def test_rare_characters_of_names_are_printed(name: str) -> None:
    assert name in squeezed(text_of(render(job(fields={"法定代表人（负责人）": name})).pdf))


@pytest.mark.parametrize("character", ["\U0002ffff", "\ue000", "\U00030000", "\U00031350", "ᚠ", "😀"])
def test_characters_without_a_glyph_are_named(character: str) -> None:
    with pytest.raises(GlyphMissing) as caught:
        render(job(fields={"住所": f"示范市{character}路{character}号", "附注": character}))
    assert caught.value.extra["characters"] == [character]
    assert f"U+{ord(character):04X}" in caught.value.detail


def test_several_missing_characters_are_listed_once_each_in_order() -> None:
    assert missing_characters(["甲\ue001乙\ue000", "\ue001"]) == ("\ue001", "\ue000")


def test_the_required_fonts_hold_the_common_characters() -> None:
    held = coverage(REQUIRED_FONTS.required())
    assert len(held) > 30_000
    assert all(code in held for code in range(0x4E00, 0x9FA6))


@pytest.mark.parametrize(
    "hostile",
    [
        "甲\n乙", "甲\r乙", "甲\t乙", "甲\x00乙", "甲\x1b[31m乙", "甲\u2028乙", "甲\u2029乙", "甲\x85乙",
        "\u202e0001〕", "甲\u202d乙", "甲\u2066乙\u2069", "甲\u200f乙", "甲\u061c乙",
        "甲\u200b乙", "甲\u200c乙", "甲\u200d乙", "甲\u2060乙", "甲\ufeff乙", "甲\u00ad乙", "甲\u034f乙", "甲\u3164乙", "甲\uffa0乙",
        "葛\U000e0100", "葛\ufe00", "甲\U000e0041乙", "甲\u2003乙", "甲\u2009乙",
        " 甲", "甲 ", "　甲", "a\u0301\u0302\u0303\u0304", "\u0301甲",
    ],
)  # fmt: skip
def test_text_that_could_mislead_is_refused_wherever_it_stands(hostile: str) -> None:
    assert complaint_about(hostile)
    for changed in (
        {"fields": {"住所": hostile}}, {"fields": {hostile: "值"}}, {"number": hostile}, {"issuer": hostile},
        {"title_zh": hostile}, {"identifier": hostile}, {"title_en": hostile}, {"verification_code": hostile},
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as caught:
            render(job(**changed))  # type: ignore[arg-type]
        assert caught.value.extra["errors"]


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidInput):
        render(job(fields={"住所": "甲\ud800乙"}))


@pytest.mark.parametrize("honest", ["甲 乙", "甲　乙", "甲\u00a0乙", "é", "e\u0301", "〔2026〕第1号", "ＡＢ１２", "《》、；：？！—…·", ""])
def test_honest_text_is_not_refused(honest: str) -> None:
    assert complaint_about(honest) is None


@pytest.mark.parametrize(
    "markup",
    [
        '#panic("x")', "#panic()", "*bold*", "_it_", "$x^2$", "\\", "\\u{41}", "#let a = 1", '"; #panic("FIELDS_TOO_LONG")',
        "#include \"kit.typ\"", "<label>", "@ref", "`raw`", "= 标题", "- 列", "+ 列", "/ 项: 目", "// 注", "/* 注 */", "~", "---", "'\"",
        '#image("/etc/passwd")', "[x]", "{x}", "https://example.cn/?a=1&b=2#c",
    ],
)  # fmt: skip
def test_markup_in_values_is_only_ever_text(markup: str) -> None:
    task = job(fields={"住所": markup, "经营项目": f"前{markup}后"}, number=markup)
    text = squeezed(text_of(render(task).pdf))
    assert f"前{squeezed(markup)}后" in text


def test_the_print_must_name_every_holder() -> None:
    with pytest.raises(InvalidInput) as caught:
        render(job(fields={"经营者名称": "别的公司"}))
    assert caught.value.extra["errors"] == [{"field": "经营者名称", "message": "与持证主体不一致 (does not name every holder)"}]
    with pytest.raises(InvalidInput):
        render(job(ESTATE, fields={"权利人（申请人）": "卫思远"}))
    with pytest.raises(InvalidInput):
        render(job(FOOD, holders=()))


def test_a_label_may_not_stand_twice() -> None:
    with pytest.raises(InvalidInput):
        render(dataclasses.replace(job(), fields=(*job().fields, ("住所", "别处"))))


# ---- long values ----


@pytest.mark.parametrize("type_code", TYPES)
def test_ten_times_as_long_still_fits_on_one_page(type_code: str) -> None:
    task = stretched(type_code, 10)
    text = squeezed(text_of(render(task).pdf))
    assert all(squeezed(value) in text for _, value in task.fields)


@pytest.mark.parametrize("type_code", TYPES)
def test_what_cannot_fit_is_refused_and_says_so(type_code: str) -> None:
    with pytest.raises(FieldsTooLong):
        render(stretched(type_code, 60 if type_code == ESTATE else 22))
    with pytest.raises(FieldsTooLong):
        render(stretched(type_code, 200))
    with pytest.raises(FieldsTooLong):
        render(job(type_code, fields={f"栏目{n}": "值" for n in range(30)}))


@pytest.mark.parametrize(
    "changes",
    [
        {"number": "1" * 65}, {"number": ""}, {"issuer": "局" * 41}, {"title_zh": ""}, {"title_en": "x" * 121}, {"identifier": "1" * 129},
        {"verification_code": ""}, {"metadata": b" " * (1 << 20) + b"{}"}, {"verify_url": "http://x/" + "y" * 100}, {"verify_url": ""},
        {"metadata": b"\xff"}, {"fields": {"标" * 21: "值"}}, {"fields": {"": "值"}},
    ],
)  # fmt: skip
def test_sizes_are_bounded(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        render(job(**changes))  # type: ignore[arg-type]


def test_a_fault_of_the_template_is_ours_not_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    real = rendering.template_data
    monkeypatch.setattr(rendering, "template_data", lambda *given: {**real(*given), "fields": 7})
    with pytest.raises(rendering.RenderFailed) as caught:
        render(job())
    assert caught.value.status == 500


def test_codes_are_read_in_fours() -> None:
    assert grouped("7Q4MXK2P9HTD3RWB") == "7Q4M-XK2P-9HTD-3RWB"
    assert grouped("ABCDE") == "ABCD-E"
