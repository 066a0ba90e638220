"""PDFs as they are uploaded: honest ones, and those that hide something; written octet by octet or through pikepdf."""

import io
from collections.abc import Callable
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf

TEXT = b"BT /F1 24 Tf 72 700 Td (Shown to everybody) Tj ET"


def document(content: bytes = TEXT, *, pages: int = 1, change: Callable[[Pdf], None] = lambda _: None, **save: Any) -> bytes:
    """A PDF of ``pages`` pages with this content, changed before it is saved."""
    pdf = pikepdf.new()
    font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    for _ in range(pages):
        page = Dictionary(
            Type=Name.Page,
            MediaBox=Array([0, 0, 595, 842]),
            Resources=Dictionary(Font=Dictionary(F1=font)),
            Contents=pdf.make_stream(content),
        )
        pdf.pages.append(pikepdf.Page(pdf.make_indirect(page)))
    change(pdf)
    out = io.BytesIO()
    pdf.save(out, **save)
    return out.getvalue()


def with_scripts(pdf: Pdf) -> None:
    script = Dictionary(S=Name.JavaScript, JS="app.alert('hidden script')")
    pdf.Root.OpenAction = script
    pdf.Root.AA = Dictionary(WC=script)
    pdf.Root.Names = Dictionary(JavaScript=Dictionary(Names=Array(["run", script])))
    pdf.pages[0].obj.AA = Dictionary(O=script)


def with_attachment(pdf: Pdf) -> None:
    pdf.attachments["secret.txt"] = pikepdf.AttachedFileSpec(pdf, b"hidden attachment")


def with_link(pdf: Pdf) -> None:
    action = Dictionary(S=Name.URI, URI="https://hidden.example/")
    link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([70, 690, 300, 720]), Border=Array([0, 0, 0]), A=action)
    launch = Dictionary(S=Name.Launch, F="hidden.exe")
    other = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([0, 0, 9, 9]), Border=Array([0, 0, 0]), A=launch)
    pdf.pages[0].obj.Annots = Array([pdf.make_indirect(link), pdf.make_indirect(other)])


def _appearance(pdf: Pdf, content: bytes, font: Any) -> Any:
    return pdf.make_stream(
        content, Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 200, 30]), Resources=Dictionary(Font=Dictionary(F1=font))
    )


def with_form(pdf: Pdf) -> None:
    """A text field whose value is shown, and a hidden one."""
    page = pdf.pages[0].obj
    fields = []
    for name, flags, text in (("shown", 4, b"(Field value)"), ("hidden", 2, b"(hidden field)")):
        look = _appearance(pdf, b"BT /F1 14 Tf 4 8 Td " + text + b" Tj ET", page.Resources.Font.F1)
        field = Dictionary(
            Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T=name, V=text.decode(), F=flags, Rect=Array([72, 500, 272, 530]),
            AP=Dictionary(N=look), DA="/F1 14 Tf",
        )  # fmt: skip
        fields.append(pdf.make_indirect(field))
    page.Annots = Array(fields)
    pdf.Root.AcroForm = pdf.make_indirect(Dictionary(Fields=Array(fields), DA="/F1 14 Tf"))


def with_layers(pdf: Pdf) -> None:
    """Three layers: one shown, one hidden, one hidden by way of its XObject."""
    page = pdf.pages[0].obj
    shown, hidden = (pdf.make_indirect(Dictionary(Type=Name.OCG, Name=name)) for name in ("shown", "hidden layer"))
    pdf.Root.OCProperties = Dictionary(OCGs=Array([shown, hidden]), D=Dictionary(Order=Array([shown, hidden]), OFF=Array([hidden])))
    look = _appearance(pdf, b"BT /F1 14 Tf 4 8 Td (hidden form) Tj ET", page.Resources.Font.F1)
    look.OC = hidden
    page.Resources.Properties = Dictionary(MC0=shown, MC1=hidden)
    page.Resources.XObject = Dictionary(Fm0=look)
    page.Contents = pdf.make_stream(
        TEXT + b" /OC /MC0 BDC BT /F1 12 Tf 72 600 Td (On a layer) Tj ET EMC"
        b" /OC /MC1 BDC BT /F1 12 Tf 72 580 Td (hidden text) Tj ET 10 10 50 50 re f EMC /Fm0 Do"
    )


def with_hidden_text(pdf: Pdf) -> None:
    pdf.pages[0].obj.Contents = pdf.make_stream(
        TEXT + b" q 3 Tr BT /F1 12 Tf 72 400 Td (hidden under) Tj ET Q"
        b" BT /F1 12 Tf 72 -400 Td (hidden below the page) Tj ET 700 10 50 50 re f"
        b" q 1 0 0 1 2000 0 cm /Im0 Do Q /Span <</ActualText (hidden spoken)>> BDC BT /F1 12 Tf 72 300 Td (Marked) Tj ET EMC"
    )
    picture = pdf.make_stream(b"\xff" * 300, Type=Name.XObject, Subtype=Name.Image, Width=10, Height=10, BitsPerComponent=8)
    picture.ColorSpace = Name.DeviceRGB
    pdf.pages[0].obj.Resources.XObject = Dictionary(Im0=picture, Unused=_appearance(pdf, b"(hidden unused) pop", Dictionary()))


def with_metadata(pdf: Pdf) -> None:
    with pdf.open_metadata() as metadata:
        metadata["dc:creator"] = ["hidden author"]
    pdf.docinfo["/Author"] = "hidden author"
    pdf.Root.PieceInfo = Dictionary(Tool=Dictionary(Private="hidden private"))
    pdf.pages[0].obj.PieceInfo = Dictionary(Tool=Dictionary(Private="hidden private"))
    pdf.Root.Outlines = pdf.make_indirect(Dictionary(Type=Name.Outlines, Title="hidden outline"))


def with_alternates(pdf: Pdf) -> None:
    """An image that prints as another one, and a font that carries strange members."""
    other = pdf.make_stream(b"\x00" * 300, Type=Name.XObject, Subtype=Name.Image, Width=10, Height=10, BitsPerComponent=8)
    other.ColorSpace = Name.DeviceRGB
    picture = pdf.make_stream(b"\xee" * 300, Type=Name.XObject, Subtype=Name.Image, Width=10, Height=10, BitsPerComponent=8)
    picture.ColorSpace = Name.DeviceRGB
    picture.Alternates = Array([Dictionary(Image=other, DefaultForPrinting=True)])
    picture.Metadata = pdf.make_stream(b"hidden picture notes")
    page = pdf.pages[0].obj
    page.Resources.XObject = Dictionary(Im0=picture)
    page.Resources.ExtGState = Dictionary(GS0=Dictionary(OP=True, TR=Name.Identity, ca=1))
    page.Resources.Font.F1.Hidden = pikepdf.String("hidden member")
    page.Contents = pdf.make_stream(TEXT + b" /GS0 gs q 100 0 0 100 72 300 cm /Im0 Do Q")


def turned(pdf: Pdf) -> None:
    page = pdf.pages[0].obj
    page.MediaBox, page.CropBox, page.Rotate = Array([-100, -50, 700, 900]), Array([0, 100, 400, 842]), 90


def unbalanced(pdf: Pdf) -> None:
    pdf.pages[0].obj.Contents = pdf.make_stream(b"Q Q q 2 0 0 2 0 0 cm q " + TEXT.replace(b"700", b"300"))


def with_pattern(pdf: Pdf) -> None:
    """A tiling pattern, a soft mask and a Type 3 font, each with a stream of its own that hides something."""
    page = pdf.pages[0].obj
    hide = b" 3 Tr BT /F1 1 Tf (hidden deep) Tj ET "
    fonts = Dictionary(Font=Dictionary(F1=page.Resources.Font.F1))
    tile = pdf.make_stream(
        b"0 0 1 rg 0 0 5 5 re f" + hide, Type=Name.Pattern, PatternType=1, PaintType=1, TilingType=1, BBox=Array([0, 0, 10, 10]),
        XStep=10, YStep=10, Resources=fonts,
    )  # fmt: skip
    glyph = pdf.make_stream(b"500 0 d0 0 0 400 700 re f" + hide)
    font = Dictionary(
        Type=Name.Font, Subtype=Name.Type3, FontBBox=Array([0, 0, 500, 700]), FontMatrix=Array([0.001, 0, 0, 0.001, 0, 0]),
        CharProcs=Dictionary(a=glyph), Encoding=Dictionary(Type=Name.Encoding, Differences=Array([97, Name("/a")])), FirstChar=97,
        LastChar=97, Widths=Array([500]), Resources=fonts,
    )  # fmt: skip
    group = pdf.make_stream(
        b"1 g 0 0 300 300 re f" + hide, Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 300, 300]),
        Group=Dictionary(S=Name.Transparency, CS=Name.DeviceGray), Resources=fonts,
    )  # fmt: skip
    page.Resources.Pattern = Dictionary(P0=tile)
    page.Resources.Font.F3 = pdf.make_indirect(font)
    page.Resources.ExtGState = Dictionary(GS0=Dictionary(SMask=Dictionary(S=Name.Luminosity, G=group)))
    page.Contents = pdf.make_stream(
        TEXT + b" BT /F3 40 Tf 72 500 Td (aaa) Tj ET /Pattern cs /P0 scn 72 350 100 100 re f q /GS0 gs 0 1 0 rg 0 0 200 200 re f Q"
    )


# What is refused


def with_xfa(pdf: Pdf) -> None:
    pdf.Root.AcroForm = Dictionary(Fields=Array([]), XFA=pdf.make_stream(b"<xdp/>"))


def signed(pdf: Pdf) -> None:
    value = Dictionary(Type=Name.Sig, Filter=Name("/Adobe.PPKLite"), ByteRange=Array([0, 1, 2, 3]), Contents=pikepdf.String("x"))
    pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(Dictionary(FT=Name.Sig, T="s", V=value))]))


def certified(pdf: Pdf) -> None:
    signed(pdf)
    pdf.Root.Perms = Dictionary(DocMDP=pdf.Root.AcroForm.Fields[0].V)


def outside(pdf: Pdf) -> None:
    stream = pdf.make_stream(b"", Type=Name.XObject, Subtype=Name.Image, Width=1, Height=1, BitsPerComponent=8, ColorSpace=Name.DeviceGray)
    stream.F = pikepdf.String("/etc/passwd")
    pdf.pages[0].obj.Resources.XObject = Dictionary(Im0=stream)
    pdf.pages[0].obj.Contents = pdf.make_stream(b"/Im0 Do")


def huge_page(pdf: Pdf) -> None:
    pdf.pages[0].obj.MediaBox = Array([0, 0, 100_000, 100_000])


def tiny_page(pdf: Pdf) -> None:
    pdf.pages[0].obj.MediaBox = Array([0, 0, 3, 3])


def moved_by_hiding(pdf: Pdf) -> None:
    """Visible text that stands where it does because of invisible text before it."""
    pdf.pages[0].obj.Contents = pdf.make_stream(b"BT /F1 24 Tf 72 700 Td 3 Tr (wide wide wide) Tj 0 Tr (Shown) Tj ET")


def looping_form(pdf: Pdf) -> None:
    form = pdf.make_stream(b"/Fm0 Do", Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 100, 100]))
    form.Resources = Dictionary(XObject=Dictionary(Fm0=form))
    pdf.pages[0].obj.Resources.XObject = Dictionary(Fm0=form)
    pdf.pages[0].obj.Contents = pdf.make_stream(TEXT + b" /Fm0 Do")


def encrypted() -> bytes:
    return document(encryption=pikepdf.Encryption(owner="owner", user=""))
