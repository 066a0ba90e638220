"""Seal a PDF that must not leave your office: 符节 Fujie never sees it, only two digests of it.

Take this one file. It needs Python 3.11 and pyHanko (``pip install pyhanko``; MIT licence), nothing of Fujie.

    from seal_by_hash import Service, seal_pdf

    service = Service("https://fujie.example", token)         # an access token with the scope seals:hash
    sealed = seal_pdf(service, pdf, seal="99010000000001", matter="000117004000", reason="内部文件",
                      page=0, x_mm=150, y_mm=240, key="letter-2026-118")

1. fetch the seal's picture, certificates and revocation lists
2. append one revision to the PDF: the picture, the certification (nothing may change any more), the validation material, a hole
3. send SHA-256 and SM3 of every octet around the hole, and where the hole is
4. fill the hole with the answer: a PAdES signature with the GM/T 0031 stamp in it

Send it an ordinary PDF, without scripts, forms and hidden content: nobody here cleans it, nobody here looks at it.
The same ``key`` again gives the same stamp, so a broken connection does not use the seal twice: keep the hole, send it again.
"""

import base64
import datetime as dt
import hashlib
import io
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

POINTS_PER_MM = 72 / 25.4
RANGE_WIDTH = 44
SIGNATURE = (
    "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/M(D:%sZ)/Name<%s>"
    "/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/V/1.2/P 1>>>>]/ByteRange"
)
Ask = Callable[[str, str, dict[str, Any] | None, dict[str, str]], dict[str, Any]]


class Refused(Exception):
    """The service said no; ``code`` is its stable code."""

    def __init__(self, code: str, title: str) -> None:
        super().__init__(f"{code}: {title}")
        self.code = code


@dataclass(frozen=True)
class Service:
    """Where Fujie is, and the access token. ``ask`` sends one request; replace it to use your own HTTP client."""

    base_url: str
    token: str
    ask: Ask | None = None

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        headers |= {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if self.ask is not None:
            return self.ask(method, path, body, headers)
        data = None if body is None else json.dumps(body).encode()
        if not self.base_url.startswith(("https://", "http://127.0.0.1")):
            raise ValueError("the token goes over https only")
        request = urllib.request.Request(self.base_url + path, data, headers, method=method)  # noqa: S310 - checked above
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            problem = json.loads(error.read() or b"{}")
            raise Refused(problem.get("code", str(error.code)), problem.get("title", "")) from error


@dataclass(frozen=True)
class Hole:
    """A PDF that waits for its signature: everything but the hole is final. Keep it until the stamp has come.

    The hole runs from ``start`` (its ``<``) to ``end`` (behind its ``>``).
    """

    octets: bytes
    start: int
    end: int
    signing_time: dt.datetime

    @property
    def byte_range(self) -> str:
        """As GM/T 0031 spells it: ``[0 a b c]``."""
        return f"[0 {self.start} {self.end} {len(self.octets) - self.end}]"

    def digest(self, algorithm: str) -> str:
        """Of the octets around the hole, hexadecimal. ``sm3`` takes an OpenSSL that knows it (1.1.1 and later)."""
        whole, made = memoryview(self.octets), hashlib.new(algorithm)
        made.update(whole[: self.start])
        made.update(whole[self.end :])
        return made.hexdigest()

    def filled(self, cms: bytes) -> bytes:
        """The finished file; the rest of the hole stays zero, as readers expect."""
        room = self.end - self.start - 2
        if 2 * len(cms) > room:
            raise ValueError("the hole is too small for this stamp")
        return b"".join((self.octets[: self.start], b"<", cms.hex().encode().ljust(room, b"0"), b">", self.octets[self.end :]))


class _AsIs(generic.PdfObject):
    """A dictionary whose octets matter: verifiers of Fujie know this signature by its spelling."""

    def __init__(self, octets: bytes) -> None:
        super().__init__()
        self.octets = octets

    def write_to_stream(self, stream: Any, handler: Any = None, container_ref: Any = None) -> None:
        stream.write(self.octets)


def make_hole(pdf: bytes, material: dict[str, Any], page: int, x_mm: float, y_mm: float) -> Hole:
    """Append the revision. The seal's middle stands ``x_mm`` and ``y_mm`` from the top left corner of ``page`` (counted from 0)."""
    writer, signing_time = IncrementalPdfFileWriter(io.BytesIO(pdf)), dt.datetime.fromisoformat(material["now"])
    if any(name in writer.root for name in ("/AcroForm", "/Perms")) or writer.prev.encrypted:
        raise ValueError("a form, signed, certified or encrypted: not taken")
    signature = writer.add_object(_AsIs(_dictionary(signing_time, material)))
    reference = writer.prev.find_page_for_modification(page)[0]
    node = reference.get_object()
    width, height = (material[side] * POINTS_PER_MM for side in ("width_mm", "height_mm"))
    left, top = _corner(node)
    x, y = left + x_mm * POINTS_PER_MM - width / 2, top - y_mm * POINTS_PER_MM - height / 2
    field = writer.add_object(
        _dict(
            Type="/Annot", Subtype="/Widget", FT="/Sig", T=generic.TextStringObject("Seal"), F=132, P=reference, V=signature,
            Rect=[x, y, x + width, y + height], AP=_dict(N=_appearance(writer, material, width, height)),
        )
    )  # fmt: skip
    node["/Annots"] = generic.ArrayObject([*node.get("/Annots", ()), field])
    writer.mark_update(reference)
    writer.root["/AcroForm"] = _dict(Fields=[field], SigFlags=3)
    writer.root["/Perms"] = _dict(DocMDP=signature)
    writer.root["/DSS"] = _validation_material(writer, material)
    writer.update_root()
    output = io.BytesIO()
    writer.write(output)
    return _measured(bytearray(output.getvalue()), len(pdf), signing_time)


def _dictionary(signing_time: dt.datetime, material: dict[str, Any]) -> bytes:
    """The signature dictionary (ISO 32000-1 table 252), certifying with P 1, in the one spelling of Fujie's profile."""
    time = signing_time.astimezone(dt.UTC).strftime("%Y%m%d%H%M%S")
    name = "feff" + material["organisation_name"].encode("utf-16-be").hex()
    return (SIGNATURE % (time, name)).encode() + b" " * RANGE_WIDTH + b"/Contents<" + b"0" * (2 * material["reserved"]) + b">>>"


def _measured(octets: bytearray, base: int, signing_time: dt.datetime) -> Hole:
    """Find the hole in what was appended and write where it is."""
    contents = octets.index(b"/Contents<000000", base)
    start, end = contents + len(b"/Contents"), octets.index(b">", contents) + 1
    written = f"[0 {start} {end} {len(octets) - end}]".ljust(RANGE_WIDTH).encode()
    octets[contents - RANGE_WIDTH : contents] = written
    return Hole(bytes(octets), start, end, signing_time)


def seal_pdf(
    service: Service, pdf: bytes, *, seal: str, matter: str, reason: str, page: int, x_mm: float, y_mm: float, key: str,
    document_kind: str | None = None,
) -> bytes:  # fmt: skip
    """The sealed PDF. Raises :class:`Refused`."""
    hole = make_hole(pdf, service.call("GET", f"/api/v1/seal-hashes/material/{seal}"), page, x_mm, y_mm)
    return hole.filled(request_stamp(service, hole, seal=seal, matter=matter, reason=reason, key=key, document_kind=document_kind))


def request_stamp(
    service: Service, hole: Hole, *, seal: str, matter: str, reason: str, key: str, document_kind: str | None = None
) -> bytes:
    """The CMS for this hole. Repeating it with the same key is safe."""
    body = {
        "seal": seal, "matter_code": matter, "document_kind": document_kind, "reason": reason, "byte_range": hole.byte_range,
        "sha256": hole.digest("sha256"), "sm3": hole.digest("sm3"), "signing_time": hole.signing_time.isoformat(),
    }  # fmt: skip
    return base64.b64decode(service.call("POST", "/api/v1/seal-hashes", body, **{"Idempotency-Key": key})["cms"])


def _dict(**members: Any) -> generic.DictionaryObject:
    return generic.DictionaryObject({generic.NameObject(f"/{name}"): _pdf(value) for name, value in members.items()})


def _pdf(value: Any) -> Any:
    """Names, numbers and arrays as PDF objects; everything else is one already."""
    if isinstance(value, list):
        return generic.ArrayObject([_pdf(item) for item in value])
    if isinstance(value, str) and value.startswith("/"):
        return generic.NameObject(value)
    if isinstance(value, float):
        return generic.FloatObject(f"{value:.3f}")
    return generic.NumberObject(value) if isinstance(value, int) else value


def _validation_material(writer: IncrementalPdfFileWriter, material: dict[str, Any]) -> Any:
    """The DSS (EN 319 142-1 §5.4), in the signature's own revision: the document verifies without a network."""
    streams = {
        name: [writer.add_object(generic.StreamObject(stream_data=base64.b64decode(one))) for one in material[kind]]
        for name, kind in (("Certs", "certificates"), ("CRLs", "crls"))
    }
    return writer.add_object(_dict(Type="/DSS", **streams))


def _appearance(writer: IncrementalPdfFileWriter, material: dict[str, Any], width: float, height: float) -> Any:
    members = _dict(Type="/XObject", Subtype="/Form", BBox=[0, 0, width, height], Resources=_dict())
    return writer.add_object(generic.StreamObject(members, stream_data=base64.b64decode(material["pdf_content"])))


def _corner(node: Any) -> tuple[float, float]:
    """The page's top left corner in its own space; for a page that is cropped or turned, make the hole with your own tool."""
    while "/MediaBox" not in node:
        node = node["/Parent"]
    return float(node["/MediaBox"][0]), float(node["/MediaBox"][3])
