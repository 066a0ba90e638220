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
from pyhanko.pdf_utils.content import RawContent
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import BoxConstraints
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigAppearanceSetup, SigIOSetup, SigMDPSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest, SignatureObject
from pyhanko.stamp import StaticStampStyle

POINTS_PER_MM = 72 / 25.4
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


@dataclass
class Hole:
    """A PDF that waits for its signature: everything but the hole is final. Keep it until the stamp has come."""

    file: io.BytesIO
    prepared: PreparedByteRangeDigest
    signing_time: dt.datetime

    @property
    def byte_range(self) -> str:
        """As GM/T 0031 spells it: ``[0 a b c]``."""
        start, end = self.prepared.reserved_region_start, self.prepared.reserved_region_end
        return f"[0 {start} {end} {len(self.file.getbuffer()) - end}]"

    def digest(self, algorithm: str) -> str:
        """Of the octets around the hole, hexadecimal. ``sm3`` takes an OpenSSL that knows it (1.1.1 and later)."""
        whole, made = self.file.getbuffer(), hashlib.new(algorithm)
        made.update(whole[: self.prepared.reserved_region_start])
        made.update(whole[self.prepared.reserved_region_end :])
        return made.hexdigest()

    def filled(self, cms: bytes) -> bytes:
        """The finished file."""
        self.prepared.fill_with_cms(self.file, cms)
        return self.file.getvalue()


def make_hole(pdf: bytes, material: dict[str, Any], page: int, x_mm: float, y_mm: float) -> Hole:
    """Append the revision. The seal's middle stands ``x_mm`` and ``y_mm`` from the top left corner of ``page`` (counted from 0)."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    signing_time = dt.datetime.fromisoformat(material["now"])
    _add_validation_material(writer, material)
    width, height = (material[side] * POINTS_PER_MM for side in ("width_mm", "height_mm"))
    left, _, _, top = _box(writer, page)
    x, y = left + x_mm * POINTS_PER_MM - width / 2, top - y_mm * POINTS_PER_MM - height / 2
    field = SigFieldSpec("Seal", on_page=page, box=tuple(round(side) for side in (x, y, x + width, y + height)))
    steps = PdfCMSEmbedder(new_field_spec=field).write_cms("Seal", writer)
    next(steps)
    steps.send(
        SigObjSetup(
            sig_placeholder=SignatureObject(
                bytes_reserved=2 * material["reserved"], subfilter=SigSeedSubFilter.PADES, timestamp=signing_time,
                name=material["organisation_name"],
            ),
            mdp_setup=SigMDPSetup(md_algorithm="sha256", certify=True, docmdp_perms=MDPPerm.NO_CHANGES),
            appearance_setup=SigAppearanceSetup(
                style=_style(base64.b64decode(material["pdf_content"]), width, height), timestamp=signing_time, name="",
            ),
        )
    )  # fmt: skip
    output = io.BytesIO()
    prepared, _ = steps.send(SigIOSetup(md_algorithm="sha256", output=output))
    return Hole(output, prepared, signing_time)


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


def _add_validation_material(writer: IncrementalPdfFileWriter, material: dict[str, Any]) -> None:
    """The DSS (EN 319 142-1 §5.4), in the signature's own revision: the document verifies without a network."""
    store = generic.DictionaryObject({generic.NameObject("/Type"): generic.NameObject("/DSS")})
    for name, kind in (("/Certs", "certificates"), ("/CRLs", "crls")):
        streams = [writer.add_object(generic.StreamObject(stream_data=base64.b64decode(one))) for one in material[kind]]
        store[generic.NameObject(name)] = generic.ArrayObject(streams)
    writer.root[generic.NameObject("/DSS")] = writer.add_object(store)
    writer.update_root()


def _box(writer: IncrementalPdfFileWriter, page: int) -> list[float]:
    reference, _ = writer.prev.find_page_for_modification(page)
    node = reference.get_object()
    while "/MediaBox" not in node:
        node = node["/Parent"]
    return [float(value) for value in node["/MediaBox"]]


def _style(operators: bytes, width: float, height: float) -> StaticStampStyle:
    content = RawContent(operators, box=BoxConstraints(width=width, height=height))
    return StaticStampStyle(background=content, border_width=0, background_opacity=1)
