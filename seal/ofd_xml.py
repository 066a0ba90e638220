"""XML of strangers (GB/T 33190-2016 is XML throughout), as a tree of what stands there and nothing else.

The parser is expat, which comes with Python, driven directly: a document type declaration ends the reading at once, so that there are no
entities, no defaults and no addresses to fetch, and size, depth and number of elements are bounded.
"""

from dataclasses import dataclass, field
from xml.parsers import expat

NAMESPACE = "http://www.ofdspec.org/2016"
MAX_OCTETS = 8 * 1024 * 1024
MAX_DEPTH = 24
MAX_ELEMENTS = 100_000
_SEPARATOR = "\n"  # occurs in no name and in no namespace


class XmlRefused(ValueError):
    """Not well-formed, declares a document type, or larger than it may be."""


@dataclass(slots=True)
class Element:
    """``name``: local name of an element in OFD's namespace, else the namespace and the name; attributes without their prefix."""

    name: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def all(self, name: str) -> list["Element"]:
        """The children of this name."""
        return [child for child in self.children if child.name == name]

    def only(self, name: str) -> "Element":
        """The one child of this name. Raises :class:`XmlRefused`."""
        found = self.all(name)
        if len(found) != 1:
            raise XmlRefused(f"{len(found)} elements {name} in {self.name[:60]}")
        return found[0]

    def maybe(self, name: str) -> "Element | None":
        """The child of this name, if there is one. Raises :class:`XmlRefused` for several."""
        return self.only(name) if self.all(name) else None

    def attribute(self, name: str) -> str:
        """Raises :class:`XmlRefused` where it is missing."""
        value = self.attributes.get(name)
        if value is None:
            raise XmlRefused(f"{self.name[:60]} without {name}")
        return value

    @property
    def content(self) -> str:
        """The text of an element that has no children. Raises :class:`XmlRefused`."""
        if self.children:
            raise XmlRefused(f"{self.name[:60]} is not text")
        return "".join(self.pieces).strip()


class _Builder:
    """Expat's events become the tree; whatever is too much ends the reading."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, name: str, attributes: list[str]) -> None:
        self._count += 1
        if len(self._open) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise XmlRefused("too deep, or too many elements")
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        element = Element(_local(name), {_local(key): value for key, value in pairs})
        if len(element.attributes) * 2 != len(attributes):
            raise XmlRefused("two attributes of one name")
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        self._open[-1].pieces.append(text)

    def refuse(self, *_: object) -> int:
        raise XmlRefused("it declares a document type or an entity")


def _local(name: str) -> str:
    namespace, _, local = name.rpartition(_SEPARATOR)
    return local if namespace in ("", NAMESPACE) else f"{namespace} {local}"


def parse_xml(data: bytes, root: str) -> Element:
    """The tree of a document whose root is the element ``root``. Raises :class:`XmlRefused`."""
    if len(data) > MAX_OCTETS:
        raise XmlRefused(f"larger than {MAX_OCTETS >> 20} MB")
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    parser.ExternalEntityRefHandler = builder.refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # a name of an encoding that is none is a LookupError
        raise XmlRefused(f"not readable XML: {error}"[:160]) from error
    if builder.root is None or builder.root.name != root:
        raise XmlRefused(f"the root is not {root}")
    return builder.root
