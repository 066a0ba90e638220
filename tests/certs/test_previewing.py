"""A draft of a template is shown with sample words; what is wrong with it comes back with its line; it reads and reaches nothing."""

import base64

import pytest

from certs.forms import TEMPLATES, forms
from certs.previewing import MOST_TEXT, Draft, preview_draft
from keys.base.errors import InvalidInput
from tests.render_jobs import FOOD, OWNERSHIP, SAFETY

FORM = (TEMPLATES / "food_business_licence.toml").read_text(encoding="utf-8")
SOURCE = """#import "kit.typ": *
#let form = toml("draft.toml")
#certificate(form, (width, height) => two-columns(form, data.fields, width, height))
"""


def draft(form: str = FORM, source: str = SOURCE, **words: str) -> Draft:
    return Draft(form, source, words)


@pytest.mark.parametrize(("type_code", "pages"), [(FOOD, 1), (OWNERSHIP, 3), (SAFETY, 2)])
def test_every_kind_of_paper_can_be_previewed(type_code: str, pages: int) -> None:
    document = TEMPLATES / forms()[type_code].document
    source = document.read_text(encoding="utf-8").replace(document.with_suffix(".toml").name, "draft.toml")
    seen = preview_draft(draft(document.with_suffix(".toml").read_text(encoding="utf-8"), source, title_zh="样张"))
    assert seen.faults == ()
    assert len(seen.pages) == pages
    assert all(base64.b64decode(page).startswith(b"\x89PNG") for page in seen.pages)
    assert base64.b64decode(seen.pdf).startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("changed", "file", "line", "words"),
    [
        (draft(source=SOURCE + "#nothing\n"), "draft.typ", 4, "unknown variable"),
        (draft(source=SOURCE.replace("data.fields", "data.fild")), "draft.typ", 3, "fild"),
        (draft(form=FORM + "\nx = = 2\n"), "draft.toml", FORM.count("\n") + 2, "line"),
        (draft(form=FORM.replace('document = "food_business_licence.typ"\n', "")), "draft.toml", None, "document is missing"),
        (draft(form=FORM.replace("x_mm = 244", 'x_mm = "far"')), "draft.toml", None, "could not convert"),
        (draft(form=FORM.replace("height_mm = 70", "height_mm = 1")), "parts.typ", None, "does not fit"),
        (draft(住所="\U000323af"), "sample", None, "\U000323af"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(changed: Draft, file: str, line: int | None, words: str) -> None:
    (fault,) = preview_draft(changed).faults
    assert fault.file == file
    assert line is None or fault.line == line
    assert words in fault.en
    assert fault.zh
    assert "/tmp" not in fault.en


@pytest.mark.parametrize(
    "reaching",
    [
        '#read("/etc/passwd")',
        '#read("../../../../etc/passwd")',
        '#import "@preview/cetz:0.3.0"',
        '#image("https://example.org/a.png")',
        '#plugin("x.wasm")',
    ],
)
def test_a_draft_reads_and_reaches_nothing(reaching: str) -> None:
    seen = preview_draft(draft(source=SOURCE + reaching))
    assert seen.pages == ()
    assert seen.faults[0].line == 4
    assert "root:" not in str(seen)


@pytest.mark.parametrize("endless", ["#while true { }", "#let f(x) = f(x + 1)\n#f(0)", '#let a = "x" * 100000\n#while true { a += a }'])
def test_a_draft_that_never_ends_is_ended(endless: str) -> None:
    assert preview_draft(draft(source=SOURCE + endless)).faults


@pytest.mark.parametrize("words", [{"住所": "甲\u202e乙"}, {f"栏目{n}": "值" for n in range(60)}, {"住所": "长" * (MOST_TEXT + 1)}])
def test_drafts_are_bounded(words: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        preview_draft(Draft(FORM, SOURCE, words))


@pytest.mark.parametrize("text", ["", "x" * (MOST_TEXT + 1)])
def test_texts_are_bounded(text: str) -> None:
    with pytest.raises(InvalidInput):
        preview_draft(draft(source=text))
