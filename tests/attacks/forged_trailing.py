"""What could come in beside validation data that no signature covers, and what BER leaves to a forger's taste.

``plain_store`` is the honest revision, by hand; every other one of :data:`REVISIONS` is it with something smuggled in.
"""

import re
from collections.abc import Callable, Iterator

from seal.increment import Increment, extended, stream
from tests.attacks.forged_cases import hole

EVIL = b"BT /F1 40 Tf 72 300 Td (Pay nine hundred) Tj ET"
Body = Callable[[Increment, bytes], bytes]
"""Writes what it likes and tells what the catalogue gains."""


def plain_store(inc: Increment, certificate: bytes) -> bytes:
    return b"/DSS %d 0 R" % inc.add(b"<</Certs[%d 0 R]>>" % inc.add(stream(certificate)))


def with_orphan(inc: Increment, certificate: bytes) -> bytes:
    inc.add(stream(EVIL))
    return plain_store(inc, certificate)


def with_object_stream(inc: Increment, certificate: bytes) -> bytes:
    inner = b"1 0 <</Type/Catalog>>"
    inc.add(b"<</Type/ObjStm/N 1/First 4/Length %d>>stream\n%b\nendstream" % (len(inner), inner))
    return plain_store(inc, certificate)


def page_again(inc: Increment, certificate: bytes) -> bytes:
    contents = _contents(inc)
    inc.write(contents, stream(EVIL))
    return plain_store(inc, certificate)


def page_as_certificate(inc: Increment, certificate: bytes) -> bytes:
    """The page's own content written again, as a certificate of the DSS."""
    contents = _contents(inc)
    inc.write(contents, stream(certificate))
    return b"/DSS %d 0 R" % inc.add(b"<</Certs[%d 0 R]>>" % contents)


def awaited(inc: Increment, certificate: bytes) -> bytes:
    """A number that the signed revision refers to already, and that is none of its objects."""
    inc.write(AWAITED, stream(certificate))
    return b"/DSS %d 0 R" % inc.add(b"<</Certs[%d 0 R]>>" % AWAITED)


def no_certificate(inc: Increment, certificate: bytes) -> bytes:
    return plain_store(inc, EVIL)


def longer_certificate(inc: Increment, certificate: bytes) -> bytes:
    return plain_store(inc, certificate + EVIL)


def picture(inc: Increment, certificate: bytes) -> bytes:
    head = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]"
    return b"/DSS %d 0 R" % inc.add(b"<</Certs[%d 0 R]>>" % inc.add(stream(certificate, head)))


def more_members(inc: Increment, certificate: bytes) -> bytes:
    return b"/DSS %d 0 R" % inc.add(b"<</Certs[%d 0 R]/Extra(x)>>" % inc.add(stream(certificate)))


def wrong_kind(inc: Increment, certificate: bytes) -> bytes:
    return b"/DSS %d 0 R" % inc.add(b"<</CRLs[%d 0 R]>>" % inc.add(stream(certificate)))


def twice(inc: Increment, certificate: bytes) -> bytes:
    one = inc.add(stream(certificate))
    return b"/DSS %d 0 R" % inc.add(b"<</Certs[%d 0 R %d 0 R]>>" % (one, one))


def evil_vri(inc: Increment, certificate: bytes) -> bytes:
    return b"/DSS %d 0 R" % inc.add(b"<</Certs[%d 0 R]/VRI<</EVIL<</Cert[]>>>>>>" % inc.add(stream(certificate)))


def vri_of_pages(inc: Increment, certificate: bytes) -> bytes:
    pages = inc.reader.root.raw_get("/Pages").idnum
    return b"/DSS %d 0 R" % inc.add(b"<</Certs[]/VRI<</%b<</Cert[%d 0 R]>>>>>>" % (b"A" * 40, pages))


def pages_as_store(inc: Increment, certificate: bytes) -> bytes:
    return b"/DSS %d 0 R" % inc.reader.root.raw_get("/Pages").idnum


def script(inc: Increment, certificate: bytes) -> bytes:
    return plain_store(inc, certificate) + b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"


def evil_extension(inc: Increment, certificate: bytes) -> bytes:
    return plain_store(inc, certificate) + b"/Extensions<</EVIL<</BaseVersion/2.0/ExtensionLevel 9>>>>"


def rich_extension(inc: Increment, certificate: bytes) -> bytes:
    return plain_store(inc, certificate) + b"/Extensions<</ESIC<</BaseVersion/2.0/ExtensionLevel 9/URL(x)>>>>"


def metadata(inc: Increment, certificate: bytes) -> bytes:
    return plain_store(inc, certificate) + b"/Metadata %d 0 R" % inc.add(stream(b"<x/>", b"/Type/Metadata/Subtype/XML"))


SMUGGLED: tuple[Body, ...] = (
    with_orphan, with_object_stream, page_again, page_as_certificate, awaited, no_certificate, longer_certificate, picture, more_members,
    wrong_kind, twice, evil_vri, vri_of_pages, pages_as_store, script, evil_extension, rich_extension, metadata,
)  # fmt: skip

AWAITED = 900


def trailing(pdf: bytes, certificate: bytes, body: Body = plain_store) -> bytes:
    """One revision more, by hand."""
    inc = Increment(pdf)
    gained = body(inc, certificate)
    replaced = {name.decode() for name in re.findall(rb"/(?:DSS|Extensions|OpenAction|Metadata)\b", gained)}
    inc.write(inc.root.idnum, extended(inc.reader.root, gained, replaced))
    return bytes(inc.finish())


def _contents(inc: Increment) -> int:
    number: int = inc.reader.root["/Pages"]["/Kids"][0].raw_get("/Contents").idnum
    return number


def spoilt_ends(pdf: bytes) -> Iterator[tuple[str, bytes]]:
    """The honest revision, its octets changed where nothing covers them."""
    body = pdf.rindex(b"%%EOF", 0, len(pdf) - 9) + 6
    section, end = int(pdf[pdf.rindex(b"startxref") :].split()[1]), pdf.rindex(b"startxref")
    yield "no end", pdf[: pdf.rindex(b"%%EOF")]
    yield "no startxref", pdf[:end]
    yield "more behind", pdf + b"%hidden\n"
    yield "a revision behind it", pdf + pdf[body:]
    yield "comment before it", _shifted(pdf, body, b"%hidden\n", section)
    yield "object nobody names", _shifted(pdf, body, b"900 0 obj\n(hidden)\nendobj\n", section)
    yield "octets before the section", pdf[:section] + b"(hidden)\n" + pdf[section:end] + b"startxref\n%d\n%%%%EOF\n" % (section + 9)
    yield (
        "leads to another section",
        re.sub(rb"/Prev \d+", lambda found: b"/Prev 9".ljust(len(found[0])), pdf[body:]).join((pdf[:body], b"")),
    )


def _shifted(pdf: bytes, at: int, hidden: bytes, section: int) -> bytes:
    """Octets put in; the table's offsets follow."""

    def moved(found: re.Match[bytes]) -> bytes:
        return b"%010d %b" % (int(found[1]) + len(hidden), found[2])

    rest = re.sub(rb"(\d{10}) (00000 n)", moved, pdf[at : pdf.rindex(b"startxref")])
    return pdf[:at] + hidden + rest + b"startxref\n%d\n%%%%EOF\n" % (section + len(hidden))


# --- BER ----------------------------------------------------------------------------------------------------------------------


def ber_tricks(pdf: bytes) -> Iterator[tuple[str, bytes]]:
    """Of a message without lengths: ``30 80 06 09 … a0 80 30 80 …``, ended by three pairs of zeros and padded with more."""
    gap = hole(pdf)
    octets = bytes.fromhex(pdf[gap.start + 1 : gap.end - 1].decode())
    assert octets.startswith(b"\x30\x80\x06\x09")
    message = octets.rstrip(b"\0")
    room = len(octets)
    certificate, signer = octets.index(b"\x30\x82", 40), octets.rindex(b"\x31", 0, octets.index(b"\x02\x01\x01\x30", 60))
    tricks = {
        "octets behind the end": message + bytes(8) + b"\1",
        "a second message behind it": message + bytes(8) + message[: room - len(message) - 8],
        "never ends": message + b"\x04\x01\1" * ((room - len(message)) // 3),
        "a member more in the frame": message + bytes(2) + b"\x04\x01\1" + bytes(6),
        "certificate without length": octets[:certificate] + b"\x30\x80" + octets[certificate + 4 :],
        "signers without length": octets[:signer] + b"\x31\x80" + octets[signer + 2 :],
        "length not minimal": octets[:2] + b"\x06\x81\x09" + octets[4:],
        "length too long": b"\x30\x83\x00" + octets[2:],
        "type in pieces": octets[:2] + b"\x26\x80" + octets[2:13] + b"\0\0" + octets[13:],
        "high tag": b"\x3f\x30\x80" + octets[2:],
        "primitive without length": b"\x10\x80" + octets[2:],
        "nested without end": b"\x30\x80" * 400 + octets,
        "empty frame": b"\x30\x80\0\0" + octets[4:],
    }
    for name, changed in tricks.items():
        text = changed[:room].ljust(room, b"\0").hex().encode()
        yield name, pdf[: gap.start + 1] + text + pdf[gap.end - 1 :]
