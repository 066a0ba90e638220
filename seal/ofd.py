"""What an OFD says of its signatures: OFD.xml, Signatures.xml, Signature.xml (GB/T 33190-2016 §7.3, §18).

Only the form is read here; :mod:`seal.verification_ofd` judges it. Names of parts come out absolute and without the leading ``/``.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from keys.base.errors import FujieError
from seal.ofd_package import Package, PackageRefused, PackageUnreadable, open_package, shown
from seal.ofd_xml import MAX_OCTETS, Element, XmlRefused, parse_xml

ROOT = "OFD.xml"
MAX_SIGNATURES = 64
MAX_VALUE = 16 * 1024 * 1024
_DIGEST_OCTETS = 64
_NUMBER = re.compile(r"\D*(\d{1,9})")


class OfdUnreadable(FujieError):
    """Not a package that can be read, or not an OFD."""

    code = "OFD_UNREADABLE"
    status = 422
    public = ("该 OFD 文件无法读取。", "This OFD file cannot be read.")


class OfdRefused(FujieError):
    """A package that readers would disagree about, or whose description of its signatures is not well-formed."""

    code = "OFD_REFUSED"
    status = 422
    public = ("该 OFD 文件的结构不合规范。", "This OFD file is not in the form it must have.")


@dataclass(frozen=True, slots=True)
class Reference:
    """A part that is protected, and the digest it must have (``None``: not base64)."""

    name: str
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class OfdSignature:
    """One signature of the package.

    ``id``, ``type``  as Signatures.xml lists it: ``Seal`` or ``Sign``
    ``name``          of its Signature.xml, ``encoded`` its octets: what the value is made over
    ``method``        SignatureMethod, ``digest`` CheckMethod, as written
    ``value_name``, ``seal_name``  of SignedValue.dat and of the seal beside it, where there is one
    """

    id: str
    type: str
    name: str
    encoded: bytes
    method: str
    digest: str
    references: tuple[Reference, ...]
    value_name: str
    seal_name: str | None

    @property
    def path(self) -> str:
        """The absolute path of Signature.xml, what propertyInfo names."""
        return f"/{self.name}"


@dataclass(frozen=True, slots=True)
class Ofd:
    """An OFD package: ``signatures`` in the order of their lists, ``lists`` the names of those lists."""

    package: Package
    signatures: tuple[OfdSignature, ...]
    lists: frozenset[str]

    @property
    def own_parts(self) -> frozenset[str]:
        """The parts that make up the signatures: a later signature adds such parts without breaking an earlier one."""
        named = [(one.name, one.value_name, one.seal_name or one.name) for one in self.signatures]
        return self.lists | {part for parts in named for part in parts}

    def value(self, signature: OfdSignature) -> bytes:
        """The octets of SignedValue.dat. Raises :class:`OfdRefused`."""
        return _octets(self.package, signature.value_name, MAX_VALUE)

    def seal(self, signature: OfdSignature) -> bytes | None:
        """The octets of the seal beside the signature. Raises :class:`OfdRefused`."""
        return _octets(self.package, signature.seal_name, MAX_VALUE) if signature.seal_name else None


def read_ofd(data: bytes) -> Ofd:
    """The package and its signatures. Raises :class:`OfdUnreadable`, :class:`OfdRefused`."""
    try:
        package = open_package(data)
    except PackageUnreadable as error:
        raise OfdUnreadable(str(error)) from error
    except PackageRefused as error:
        raise OfdRefused(str(error)) from error
    if ROOT not in package.parts:
        raise OfdUnreadable("a package that is not an OFD")
    try:
        root = parse_xml(package.read(ROOT, MAX_OCTETS), "OFD")
    except (XmlRefused, PackageRefused) as error:
        raise OfdUnreadable(f"OFD.xml: {error}") from error
    try:
        return _read(package, root)
    except (XmlRefused, PackageRefused) as error:
        raise OfdRefused(str(error)) from error


def _read(package: Package, root: Element) -> Ofd:
    bodies = root.all("DocBody")
    if not bodies:
        raise XmlRefused("no document")
    found: list[OfdSignature] = []
    lists: set[str] = set()
    for body in bodies:
        _present(package, located(ROOT, body.only("DocRoot").content))
        place = body.maybe("Signatures")
        if place is not None:
            name = _present(package, located(ROOT, place.content))
            if name in lists:
                raise XmlRefused("one list of signatures for two documents")
            lists.add(name)
            found += _listed(package, name)
        if len(found) > MAX_SIGNATURES:
            raise XmlRefused(f"more than {MAX_SIGNATURES} signatures")
    own = [*lists, *(part for one in found for part in (one.name, one.value_name))]
    if len(set(own)) != len(own):
        raise XmlRefused("one signature listed as two")
    return Ofd(package, tuple(found), frozenset(lists))


def _listed(package: Package, name: str) -> list[OfdSignature]:
    """The signatures of one list; its identifiers are unique and none is above MaxSignId."""
    listing = parse_xml(package.read(name, MAX_OCTETS), "Signatures")
    entries = listing.all("Signature")
    ids = [entry.attribute("ID") for entry in entries]
    highest = listing.maybe("MaxSignId")
    if len(set(ids)) != len(ids) or len(ids) > MAX_SIGNATURES:
        raise XmlRefused("two signatures of one identifier, or too many")
    if highest is not None and _number(highest.content) < max(map(_number, ids), default=0):
        raise XmlRefused("a signature above MaxSignId")
    return [_signature(package, entry, located(name, entry.attribute("BaseLoc"))) for entry in entries]


def _number(identifier: str) -> int:
    """Producers write ``1``, ``s001`` or ``Sign_1``."""
    match = _NUMBER.fullmatch(identifier)
    return int(match[1]) if match else 0


def _signature(package: Package, entry: Element, name: str) -> OfdSignature:
    encoded = package.read(_present(package, name), MAX_OCTETS)
    root = parse_xml(encoded, "Signature")
    info = root.only("SignedInfo")
    references = info.only("References")
    seal = info.maybe("Seal")
    return OfdSignature(
        id=entry.attribute("ID"),
        type=entry.attributes.get("Type", "Seal"),
        name=name,
        encoded=encoded,
        method=info.only("SignatureMethod").content,
        digest=references.attribute("CheckMethod"),
        references=tuple(_reference(one, name) for one in references.all("Reference")),
        value_name=_present(package, located(name, root.only("SignedValue").content)),
        seal_name=_present(package, located(name, seal.only("BaseLoc").content)) if seal is not None else _beside(package, name),
    )


def _beside(package: Package, name: str) -> str | None:
    """Producers put the seal beside Signature.xml without naming it."""
    beside = located(name, "Seal.esl")
    return beside if beside in package.parts else None


def _reference(element: Element, base: str) -> Reference:
    name = located(base, element.attribute("FileRef"))
    try:
        digest = base64.b64decode("".join(element.only("CheckValue").content.split()), validate=True)
    except binascii.Error:
        return Reference(name, None)
    return Reference(name, digest if len(digest) <= _DIGEST_OCTETS else None)


def located(base: str, text: str) -> str:
    """An ST_Loc (GB/T 33190 §7.1), absolute or relative to the part ``base``. Raises :class:`XmlRefused` where it leaves the package."""
    path = [] if text.startswith("/") else base.split("/")[:-1]
    if not text or "\\" in text or ":" in text or text.startswith("//"):
        raise XmlRefused(f"a location that leads astray: {shown(text)}")
    for part in text.split("/"):
        if part == ".." and not path:
            raise XmlRefused(f"a location outside of the package: {shown(text)}")
        if part == "..":
            path.pop()
        elif part not in ("", "."):
            path.append(part)
    return "/".join(path)


def _present(package: Package, name: str) -> str:
    if name not in package.parts:
        raise XmlRefused(f"a part is missing: {shown(name)}")
    return name


def _octets(package: Package, name: str, most: int) -> bytes:
    try:
        return package.read(name, most)
    except PackageRefused as error:
        raise OfdRefused(str(error)) from error
