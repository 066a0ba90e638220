"""What revisions of a foreign file refer to, and how their values are spelled: for comparing one revision with the one before it."""
# mypy: allow-untyped-calls

import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from seal.verification_pdf import entry

TRAILER = -1
"""The owner of what trailers refer to."""

_MAX_OBJECTS = 50_000
_EXTENSION = frozenset({"/Type", "/BaseVersion", "/ExtensionLevel"})
_DATE = re.compile(r"D:\d{14}(?:Z|[+-]\d\d'\d\d'?)?")


class NotOnlyData(ValueError):
    """Something else than validation data stands behind the last signature; the message says what."""


class References:
    """Every number that revisions ``0`` to ``last`` give to an object or refer to, and which object refers to which."""

    def __init__(self, reader: PdfFileReader, last: int) -> None:
        self.known: set[int] = set()
        self._sources: defaultdict[int, set[int]] = defaultdict(set)
        for revision in range(last + 1):
            numbers = reader.xrefs.explicit_refs_in_revision(revision)
            self.known.update(ref.idnum for ref in numbers)
            if len(self.known) > _MAX_OBJECTS:
                raise NotOnlyData("too many objects to look through")
            for ref in numbers:
                self._look(ref.idnum, reader.get_object(ref, revision=revision))
            self._look(TRAILER, reader.trailer.flatten(revision))
        self.known.update(self._sources)

    def _look(self, source: int, value: Any) -> None:
        for target in _targets(value):
            self._sources[target].add(source)

    def only_from(self, number: int, owner: int) -> bool:
        """Whether nobody but the owner refers to an object."""
        return self._sources[number] <= {owner}


def _targets(value: Any) -> Iterator[int]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, generic.IndirectObject):
            yield one.idnum
        elif isinstance(one, generic.DictionaryObject):
            waiting += [one.raw_get(key) for key in one]
        elif isinstance(one, generic.ArrayObject):
            waiting += [one.raw_get(index) for index in range(len(one))]


def spelled(value: Any) -> bytes:
    """A value in one spelling; references stay what they are."""
    if isinstance(value, generic.DictionaryObject):
        return b"<<%b>>" % b" ".join(spelled(key) + b" " + spelled(value.raw_get(key)) for key in sorted(value))
    if isinstance(value, generic.ArrayObject):
        return b"[%b]" % b" ".join(spelled(value.raw_get(index)) for index in range(len(value)))
    if value is None:
        return b""
    out = io.BytesIO()
    value.write_to_stream(out, None)
    return out.getvalue()


def raw(dictionary: Any, key: str) -> Any:
    """The value as it stands, a reference if it is one; None where there is none."""
    return dictionary.raw_get(key) if key in dictionary else None


def require_same_trailer(now: Any, then: Any) -> None:
    """But for where it leads back to, and the second part of ``/ID``."""
    same = all(spelled(raw(now, key)) == spelled(raw(then, key)) for key in ("/Root", "/Info"))
    first = [spelled((entry(one, "/ID") or [None])[0]) for one in (now, then)]
    if not same or first[0] != first[1] or "/Encrypt" in now:
        raise NotOnlyData("a trailer that names another document")


def require_same_catalogue(now: Any, then: Any) -> None:
    """But for the DSS, and the extension that announces it."""
    kept = [{key: spelled(root.raw_get(key)) for key in root if key not in ("/DSS", "/Extensions")} for root in (now, then)]
    if kept[0] != kept[1]:
        raise NotOnlyData("the catalogue was changed")
    new, old = (entry(root, "/Extensions", {}) for root in (now, then))
    if set(old) - set(new) or any(spelled(new.raw_get(key)) != spelled(old.raw_get(key)) for key in old):
        raise NotOnlyData("other extensions")
    for key in set(new) - set(old):
        one = new.raw_get(key)
        if key not in ("/ESIC", "/ADBE") or not isinstance(one, generic.DictionaryObject) or set(one) - _EXTENSION:
            raise NotOnlyData("other extensions")


def require_same_information(now: Mapping[str, Any], then: Any) -> None:
    """But for the date of the last change."""
    masked = [{key: spelled(raw(one, key)) for key in one if key != "/ModDate"} for one in (now, then)]
    if masked[0] != masked[1] or not _DATE.fullmatch(str(entry(now, "/ModDate", ""))):
        raise NotOnlyData("the document's information was changed")
