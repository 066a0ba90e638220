"""Two readers of what an update must know of its base: the same answer, the same octets, whoever reads."""

import io

import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer

from seal.pdf_reading import Foreign, Plain
from seal.pdf_syntax import NotPlain, canonical, dictionary, spelled
from seal.placement import Placement
from seal.revision import NotStampable, append_revision
from seal.stamping_press import press_for
from tests.stamped import NOW, World, certificate_page

MANY = "#set page(width: 210mm, height: 297mm)\n" + "\n#pagebreak()\n".join(f"= Page {number}" for number in range(40))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def typeset(source: str, standard: str | None = None) -> bytes:
    return bytes(typst.compile(source.encode(), format="pdf", pdf_standards=standard or []))


def with_streams(document: bytes) -> bytes:
    out = io.BytesIO()
    copy_into_new_writer(PdfFileReader(io.BytesIO(document)), {"stream_xrefs": True}).write(out)
    return out.getvalue()


def touched(document: bytes) -> bytes:
    """As another program left it: an update of its own behind the document."""
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    writer.root["/Extra"] = generic.DictionaryObject({generic.pdf_name("/A b#"): generic.FloatObject("1.50")})
    writer.update_root()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


DOCUMENTS = {
    "certificate": certificate_page(),
    "plain": typeset("= Hello"),
    "many pages": typeset(MANY),
    "links": typeset('#link("https://example.org/(a)")[here] and #link("https://example.com")[there]'),
    "archive": typeset('#set document(title: "证照", date: datetime(year: 2026, month: 1, day: 2))\n= 证照', "a-2b"),
    "streams": with_streams(certificate_page()),
    "updated": touched(certificate_page()),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_file_does_not_tell_who_read_its_base(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_plain(document: bytes) -> Plain:
        raise NotPlain("read by pyHanko whatever it is")

    document = DOCUMENTS[name]
    for page in (0, 27) if name == "many pages" else (0,):
        stampee = press_for(world.material()).stampee(Placement(page, 100, 100), NOW, 1, None)
        ours = append_revision(document, stampee).octets
        with monkeypatch.context() as patched:
            patched.setattr("seal.revision.Plain", not_plain)
            assert append_revision(document, stampee).octets == ours


@pytest.mark.parametrize("name", ["certificate", "plain", "many pages", "links", "archive"])
def test_what_our_renderer_writes_is_read_plainly(name: str) -> None:
    own, foreign = Plain(DOCUMENTS[name]), Foreign(DOCUMENTS[name])
    assert (own.size, own.previous, own.streams) == (foreign.size, foreign.previous, foreign.streams)
    assert own.root == foreign.root
    assert own.page(0) == foreign.page(0)


def test_what_we_stamped_is_read_plainly_again(world: World) -> None:
    pdf = world.archived(world.archived(world.stamped()))
    own, foreign = Plain(pdf), Foreign(pdf)
    assert own.root == foreign.root
    assert own.page(0) == foreign.page(0)
    streams = own.node(own.root.entries[b"/DSS"]).entries[b"/Certs"]
    first = streams[1:].split(b" R")[0] + b" R"
    assert own.stream(first) == foreign.stream(first)


def bent(old: bytes, new: bytes) -> bytes:
    document = certificate_page()
    assert document.count(old) >= 1
    return document.replace(old, new, 1)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"%PDF-1.7\n",
        bent(b"%PDF-1.7", b"%PDX-1.7"),
        bent(b"xref\n0 35", b"xref\n0 36"),
        bent(b"/Size 35", b"/Size 30"),
        bent(b"0000000000 65535 f", b"0000000000 65535 x"),
        bent(b"%%EOF", b"%%EOF\nmore"),
        bent(b"/Type/Catalog", b"/Type/Catalox"),
        bent(b"trailer\n<<", b"trailer\n<</Encrypt 3 0 R"),
        bent(b"trailer\n<<", b"trailer\n<</XRefStm 16"),
        bent(b"/Lang(en)", b"/Lang(e\\)"),
        bent(b"/Lang(en)", b"/La#6eg(en)"),
        bent(b"/Lang(en)", b"/Lang(en)/Lang(en)"),
        bent(b"/Lang(en)", b"/Lang%en\n"),
        DOCUMENTS["streams"],
        DOCUMENTS["updated"],
    ],
)
def test_what_is_not_plain_is_left_to_the_other_reader(document: bytes) -> None:
    with pytest.raises((NotPlain, ValueError)):
        Plain(document).page(0)


def test_circles_of_revisions_and_pages_end() -> None:
    document = certificate_page()
    at = document.rindex(b"startxref\n") + len(b"startxref\n")
    own = document[at:].split()[0]
    with pytest.raises(NotPlain):
        Plain(document.replace(b"trailer\n<<", b"trailer\n<</Prev " + own, 1))
    circle = document.replace(b"/Kids[20 0 R]", b"/Kids[ 1 0 R]", 1).replace(b"/Count 1/Kids", b"/Count 1/Kids", 1)
    with pytest.raises((NotPlain, IndexError)):
        Plain(circle).page(0)


def test_a_page_that_does_not_exist_is_refused_by_both(world: World) -> None:
    for page in (1, -1, 10**9):
        stampee = press_for(world.material()).stampee(Placement(page, 100, 100), NOW, 1, None)
        with pytest.raises(NotStampable):
            append_revision(certificate_page(), stampee)


NUMBERS = st.one_of(st.integers(-(10**9), 10**9).map(str), st.decimals(-10000, 10000, places=3).map(lambda one: f"{one:f}"))
NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789.+-_", min_size=1, max_size=8).map("/{}".format)
STRINGS = st.one_of(
    st.text("abc xyz/<>[]!?,", max_size=8).map("({})".format), st.binary(max_size=6).map(lambda one: f"<{one.hex().upper()}>")
)
LEAVES = st.one_of(NUMBERS, NAMES, STRINGS, st.sampled_from(["true", "false", "null", "12 0 R", "7 3 R"]))
SPACES = st.sampled_from([" ", "\n", "  "])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda many: "[" + " ".join(many) + "]"),
        st.dictionaries(NAMES, inner, max_size=3).map(lambda many: "<<" + " ".join(f"{k} {v}" for k, v in many.items()) + ">>"),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4), SPACES)
def test_both_spell_plain_syntax_alike(members: dict[str, str], space: str) -> None:
    text = ("<<" + space.join(f"{name}{space}{value}" for name, value in members.items()) + ">>").encode()
    entries, end = dictionary(text)
    assert end == len(text)
    read = generic.DictionaryObject.read_from_stream(io.BytesIO(text), generic.Reference(1))
    assert spelled(entries) == canonical(read)
