"""Honestly signed PDFs of several producers: what forgers start from, and what must go on passing.

Ours at every level; pyHanko in many variants; PDFBox with BouncyCastle; CMS by ``openssl cms``. All signers stand under one world's roots.
"""

import datetime as dt
import io
import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pikepdf
from asn1crypto import algos, cms, keys, x509
from cryptography import x509 as crypto_x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers, timestamps
from pyhanko.sign.signers.pdf_signer import DSSContentSettings, TimestampDSSContentSettings
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from benchmarks.peers import installing
from keys.custody.store import Algorithm, Purpose, StoredKey
from seal.increment import Increment
from seal.trust import Trust
from tests.attacks.forged_cases import fill_text, updated
from tests.attacks.forged_trailing import trailing
from tests.conftest import require_command
from tests.others_clock import TimedSigner
from tests.stamped import NOW, World, certificate_page, pem

SECOND = dt.timedelta(seconds=1)
PADES, ADOBE = fields.SigSeedSubFilter.PADES, fields.SigSeedSubFilter.ADOBE_PKCS7_DETACHED
NO_CHANGES, FILL, ANNOTATE = fields.MDPPerm.NO_CHANGES, fields.MDPPerm.FILL_FORMS, fields.MDPPerm.ANNOTATE


def rich(*, streams: bool = False, linear: bool = False) -> bytes:
    """Two pages, a layer, a form XObject, an attachment, a text field and a link: something for every attack to take hold of."""
    pdf = pikepdf.new()
    font = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica))
    pdf.Root.OCProperties = pikepdf.Dictionary(OCGs=[], D=pikepdf.Dictionary(ON=[], OFF=[]))
    for number, amount in enumerate(("one hundred", "two hundred")):
        form = pdf.make_stream(b"BT /F1 20 Tf 10 10 Td (Form %d) Tj ET" % number)
        form.update(pikepdf.Dictionary(Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 200, 50]))
        form["/Resources"] = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        layer = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.OCG, Name=f"Layer {number}"))
        page = pdf.add_blank_page(page_size=(595, 842))
        page.Contents = pdf.make_stream(
            b"BT /F1 24 Tf 72 700 Td (Pay %b) Tj ET q 1 0 0 1 72 600 cm /X1 Do Q /OC /L1 BDC 0 0 1 rg 72 500 50 50 re f EMC"
            % amount.encode()
        )
        page.Resources = pikepdf.Dictionary(
            Font=pikepdf.Dictionary(F1=font), XObject=pikepdf.Dictionary(X1=form), Properties=pikepdf.Dictionary(L1=layer)
        )
        pdf.Root.OCProperties.OCGs.append(layer)
        pdf.Root.OCProperties.D.ON.append(layer)
    text = pikepdf.Dictionary(
        Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Tx, T="Amount", V="100", Rect=[72, 400, 272, 420], F=4,
        P=pdf.pages[0].obj, DA="/F1 12 Tf 0 g",
    )  # fmt: skip
    pdf.pages[0].Annots = pdf.make_indirect(pikepdf.Array([pdf.make_indirect(text)]))
    pdf.Root.AcroForm = pdf.make_indirect(
        pikepdf.Dictionary(Fields=[pdf.pages[0].Annots[0]], DR=pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font)))
    )
    pdf.attachments["a.txt"] = b"attached"
    out = io.BytesIO()
    mode = pikepdf.ObjectStreamMode.generate if streams else pikepdf.ObjectStreamMode.disable
    pdf.save(out, object_stream_mode=mode, linearize=linear, deterministic_id=True, fix_metadata_version=False)
    return out.getvalue()


class OwnStamper(timestamps.TimeStamper):
    """The world's own time-stamping authority, for pyHanko."""

    def __init__(self, world: World, at: dt.datetime) -> None:
        super().__init__()
        self._world, self._at = world, at

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        return cms.ContentInfo.load(self._world.token(message_digest, self._at, algorithm=md_algorithm))


@dataclass
class Studio:
    """A world, a stranger with a certificate of it, and the tools of other producers."""

    world: World
    folder: Path
    made: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.party = self._party("stranger", self.key)

    def _party(self, name: str, key: ec.EllipticCurvePrivateKey) -> object:
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        stored = self.world.keystore.generate(Algorithm.P256, Purpose.SEALS)
        return self.world.leaf(
            name, "document-signer", "seal", key=StoredKey(stored.id, stored.algorithm, stored.purpose, spki, stored.wrapped)
        )

    @cached_property
    def trust(self) -> Trust:
        return Trust(self.world.trust.certificates, (*self.world.crls(), self.world.crl("tsa")))

    @cached_property
    def signer(self) -> signers.SimpleSigner:
        return self.signer_of(self.world["stranger"].certificate, self.key)

    def signer_of(self, certificate: bytes, key: ec.EllipticCurvePrivateKey) -> signers.SimpleSigner:
        store = SimpleCertificateStore()
        store.register_multiple([x509.Certificate.load(self.world["seal"].certificate)])
        return signers.SimpleSigner(
            signing_cert=x509.Certificate.load(certificate),
            signing_key=keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
            cert_registry=store,
            signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
        )

    def context(self) -> ValidationContext:
        return ValidationContext(
            trust_roots=[x509.Certificate.load(self.world["root"].certificate)],
            crls=list(self.trust.crls),
            moment=NOW + SECOND,
            allow_fetching=False,
        )

    def pyhanko(
        self,
        document: bytes,
        name: str = "Signature1",
        *,
        stamp: bool = False,
        lta: bool = False,
        lt: bool = False,
        box: bool = False,
        signer: signers.SimpleSigner | None = None,
        **options: object,
    ) -> bytes:
        """Signed by pyHanko. ``stamp``: with a time stamp; ``box``: visible.

        ``lt``: with validation data behind it, by default; ``lta``: with the data covered by a document time stamp.
        """
        if lt:
            options |= {"embed_validation_info": True, "validation_context": self.context()}
        if lta:
            before = DSSContentSettings(next_ts_settings=TimestampDSSContentSettings(update_before_ts=True, include_vri=False))
            options |= {"embed_validation_info": True, "use_pades_lta": True, "validation_context": self.context(), "dss_settings": before}
        metadata = signers.PdfSignatureMetadata(field_name=name, md_algorithm="sha256", **{"subfilter": PADES} | options)
        stamper = OwnStamper(self.world, NOW + SECOND) if stamp or lta else None
        spec = fields.SigFieldSpec(name, on_page=0, box=(50, 50, 150, 90) if box else None)
        writer = IncrementalPdfFileWriter(io.BytesIO(document), strict=False)
        tool = TimedSigner(metadata, signer=signer or self.signer, timestamper=stamper, new_field_spec=spec)
        return bytes(tool.sign_pdf(writer).getvalue())

    def pdfbox(self, *jobs: tuple[bytes, int]) -> list[bytes]:
        """Signed by PDFBox and BouncyCastle: (document, P or 0) each, in one process."""
        require_command("javac", "default-jdk-headless")
        jars = installing._jars(Path("/usr/share/java"))
        if jars is None:
            require_command("pdfbox", "libpdfbox2-java")
        path = ":".join(map(str, jars or ()))
        source = Path(__file__).parent / "PdfBoxSigner.java"
        subprocess.run(["javac", "-cp", path, "-d", str(self.folder), str(source)], check=True, timeout=120)
        authority = crypto_x509.load_der_x509_certificate(self.world["seal"].certificate)
        own = crypto_x509.load_der_x509_certificate(self.world["stranger"].certificate)
        bundle = serialize_key_and_certificates(b"s", self.key, own, [authority], BestAvailableEncryption(b"test"))
        (self.folder / "s.p12").write_bytes(bundle)
        arguments: list[str] = [str(self.folder / "s.p12")]
        for number, (document, permission) in enumerate(jobs):
            (self.folder / f"in{number}.pdf").write_bytes(document)
            arguments += [str(self.folder / f"in{number}.pdf"), str(self.folder / f"out{number}.pdf"), str(permission)]
        subprocess.run(
            ["java", "-Xshare:auto", f"-Dsigned={int(NOW.timestamp())}", "-cp", f"{path}:{self.folder}", "PdfBoxSigner", *arguments],
            check=True,
            timeout=120,
        )
        return [(self.folder / f"out{number}.pdf").read_bytes() for number in range(len(jobs))]

    def openssl(self, document: bytes, *, cades: bool = True) -> bytes:
        """An incremental update by hand, its CMS by ``openssl cms``."""
        increment = Increment(document)
        signature, widget = increment.number(), increment.number()
        room = 6000
        kind = b"ETSI.CAdES.detached" if cades else b"adbe.pkcs7.detached"
        body = b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/%b/M(D:20261121020000Z)/ByteRange[0 %b]/Contents<%b>>>" % (
            kind, b"0" * 30, b"0" * 2 * room)  # fmt: skip
        increment.write(signature, body)
        increment.write(widget, b"<</Type/Annot/Subtype/Widget/FT/Sig/T(OpenSSL)/F 132/Rect[0 0 0 0]/V %d 0 R>>" % signature)
        root = increment.reader.root
        fields_before = [f"{one.idnum} {one.generation} R" for one in root["/AcroForm"]["/Fields"]] if "/AcroForm" in root else []
        listed = " ".join([*fields_before, f"{widget} 0 R"])
        head = re.sub(rb"\s*>>\s*$", b"", _spelled(root, {"/AcroForm"}))
        increment.write(increment.root.idnum, head + f"/AcroForm<</Fields[{listed}]/SigFlags 3>>>>".encode())
        out = bytearray(increment.finish())
        at = out.rindex(b"/Contents<") + len(b"/Contents")
        end = at + 2 * room + 2
        numbers = b"%d %d %d" % (at, end, len(out) - end)
        place = out.rindex(b"[0 " + b"0" * 30) + 3
        out[place : place + 30] = numbers.ljust(30)
        covered = self.folder / "covered.bin"
        covered.write_bytes(out[:at] + out[end:])
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "key.pem").write_bytes(private)
        (self.folder / "own.pem").write_bytes(pem("CERTIFICATE", self.world["stranger"].certificate))
        (self.folder / "ca.pem").write_bytes(pem("CERTIFICATE", self.world["seal"].certificate))
        done = subprocess.run(
            ["openssl", "cms", "-sign", "-binary", "-md", "sha256", *(["-cades"] if cades else []), "-in", str(covered), "-signer",
             str(self.folder / "own.pem"), "-inkey", str(self.folder / "key.pem"), "-certfile", str(self.folder / "ca.pem"),
             "-outform", "DER"], capture_output=True, check=True, timeout=60)  # fmt: skip
        digits = self._dated(done.stdout).hex().encode()
        out[at + 1 : at + 1 + len(digits)] = digits
        return bytes(out)

    def _dated(self, message: bytes) -> bytes:
        """OpenSSL states the machine's time, whatever it is told: the world's own in its place, and OpenSSL's signature over that."""
        content = cms.ContentInfo.load(message)
        (signer,) = content["content"]["signer_infos"]
        for attribute in signer["signed_attrs"]:
            if attribute["type"].native == "signing_time":
                attribute["values"] = [cms.Time({"utc_time": NOW})]
        (self.folder / "attributes.der").write_bytes(cms.CMSAttributes(list(signer["signed_attrs"])).dump(force=True))
        arguments = ["-sha256", "-sign", str(self.folder / "key.pem"), str(self.folder / "attributes.der")]
        signer["signature"] = subprocess.run(["openssl", "dgst", *arguments], capture_output=True, check=True, timeout=60).stdout
        return bytes(content.dump(force=True))


def _spelled(dictionary: generic.DictionaryObject, without: set[str]) -> bytes:
    kept = generic.DictionaryObject({key: dictionary.raw_get(key) for key in dictionary if key not in without})
    out = io.BytesIO()
    kept.write_to_stream(out, None)
    return out.getvalue()


def prepared(document: bytes) -> bytes:
    """With an empty, visible signature field that a later signer fills."""
    writer = IncrementalPdfFileWriter(io.BytesIO(document), strict=False)
    fields.append_signature_field(writer, fields.SigFieldSpec("Second", on_page=0, box=(200, 50, 300, 90)))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def honest(studio: Studio) -> dict[str, bytes]:
    """At least fifty files that must pass, by producer and variant."""
    world, plain = studio.world, certificate_page()
    documents = {"typst": plain, "rich": rich(), "streams": rich(streams=True), "linear": rich(linear=True)}
    made = _ours(world, documents)
    for name, document in documents.items():
        made |= _pyhanko(studio, name, document)
    box = studio.pdfbox(*((document, p) for document in documents.values() for p in (0, 1, 2)))
    made |= {f"pdfbox {name} P{p}": pdf for (name, p), pdf in zip(((n, p) for n in documents for p in (0, 1, 2)), box, strict=True)}
    for name, document in documents.items():
        made[f"openssl {name} pades"] = studio.openssl(document)
        made[f"openssl {name} cms"] = studio.openssl(document, cades=False)
    made["hybrid openssl pyhanko"] = studio.pyhanko(studio.openssl(rich()), "Second")
    made["hybrid pdfbox pyhanko lta"] = studio.pyhanko(made["pdfbox rich P2"], "Second", lta=True)
    made["pdfbox rich P0, validation data by hand"] = trailing(made["pdfbox rich P0"], world["root"].certificate)
    made["openssl streams pades, validation data by hand"] = trailing(made["openssl streams pades"], world["root"].certificate)
    made["pyhanko rich filled, then signed again"] = studio.pyhanko(updated(made["pyhanko rich approval"], fill_text), "Second")
    return made


def _ours(world: World, documents: dict[str, bytes]) -> dict[str, bytes]:
    made = {f"ours {level}": world.stamped_at_level(level) for level in ("B-B", "B-T", "B-LT")}
    made["ours B-LTA"] = world.archived(made["ours B-LT"], NOW + 2 * SECOND)
    made["ours B-B to B-LTA"] = world.archived(made["ours B-B"], NOW + 2 * SECOND)
    made["ours renewed"] = world.archived(made["ours B-LTA"], NOW + 4 * SECOND)
    made["ours P2"] = world.stamped_at_level("B-B", permission=2)
    return made


def _pyhanko(studio: Studio, name: str, document: bytes) -> dict[str, bytes]:
    sign = studio.pyhanko
    made = {
        f"pyhanko {name} approval": sign(document),
        f"pyhanko {name} P1": sign(document, certify=True, docmdp_permissions=NO_CHANGES),
        f"pyhanko {name} B-T": sign(document, stamp=True),
        f"pyhanko {name} two": sign(sign(document), "Second", box=True),
    }
    if name in ("streams", "typst"):
        made[f"pyhanko {name} B-LT default"] = sign(document, stamp=True, lt=True)
    made[f"pyhanko {name} B-LTA default"] = sign(document, stamp=True, lt=True, use_pades_lta=True)
    if name in ("typst", "linear"):
        return made
    return made | {
        f"pyhanko {name} cms visible": sign(document, subfilter=ADOBE, box=True),
        f"pyhanko {name} P2": sign(document, certify=True, docmdp_permissions=FILL),
        f"pyhanko {name} P3": sign(document, certify=True, docmdp_permissions=ANNOTATE),
        f"pyhanko {name} B-LTA": sign(document, lta=True),
        f"pyhanko {name} certified, then signed": sign(sign(prepared(document), certify=True, docmdp_permissions=FILL), "Second"),
    }
