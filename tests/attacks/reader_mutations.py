"""How files are mutated for :mod:`tests.attacks.campaign_readers`, which says what for."""

import hashlib
import io
import random
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from seal import levels
from seal.trust import Trust
from tests.ofd_by_hand import LIST, zipped
from tests.stamped import NOW, World

_OBJECT = re.compile(rb"(\d{1,10}) 0 obj\n(.*?)\nendobj\n", re.DOTALL)
_SPARE = b"0 g 0 0 600 900 re f"


@dataclass(frozen=True)
class Base:
    """A file that passes; ``sealed``: how much of it the seal itself covers (all, save of B-LTA)."""

    name: str
    data: bytes
    trust: Trust
    sealed: int = 0


# --- 1. octets ----------------------------------------------------------------------------------------------------------------


def octets(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    out, at, width = bytearray(data), chance.randrange(len(data)), chance.choice((1, 1, 2, 20, 300))
    what = chance.choice(("change", "cut", "put in", "double", "exchange", "end"))
    if what == "change":
        out[at] ^= chance.choice([0x20, 1, 0x80, chance.randrange(1, 256)])
    elif what == "cut":
        del out[at : at + width]
    elif what == "put in":
        out[at:at] = chance.choice((b" ", b"\n", b"\0", b"%\n", chance.randbytes(width)))
    elif what == "double":
        out[at:at] = out[at : at + width]
    elif what == "exchange":
        other = chance.randrange(len(data))
        one, two = out[at : at + width], out[other : other + width]
        out[at : at + len(one)], out[other : other + len(two)] = two[: len(one)].ljust(len(one)), one[: len(two)].ljust(len(two))
    else:
        out = out[:-width] if chance.random() < 0.5 else out + chance.choice((b"\n", b"\0", b"%%EOF\n", chance.randbytes(width)))
    return f"{what} at {at}", bytes(out)


# --- 2. tokens ----------------------------------------------------------------------------------------------------------------

Respell = Callable[[re.Match[bytes], random.Random], bytes]


def _escaped(found: re.Match[bytes], chance: random.Random) -> bytes:
    name, at = found[0], chance.randrange(1, len(found[0]))
    return name[:at] + b"#%02x" % name[at] + name[at + 1 :]


def _twice(found: re.Match[bytes], chance: random.Random) -> bytes:
    key = chance.choice(
        (b"/Contents", b"/Kids", b"/Type", b"/V", b"/AP", b"/Root", b"/Pages", b"/Prev", b"/ByteRange", b"/Length", b"/Fields")
    )
    return found[0] + key + chance.choice((b" 1 0 R", b" 7 0 R", b"[]", b"<<>>", b" null", b" 0"))


def _added(found: re.Match[bytes], chance: random.Random) -> bytes:
    return found[0] + chance.choice(ADDED)


def _number(found: re.Match[bytes], chance: random.Random) -> bytes:
    value = chance.choice((0, 1, 2, 5, 2**31, int(found[2]) + chance.choice((-1, 1, 20))))
    return found[1] + (b"%d" % max(value, 0)).rjust(len(found[2]) if chance.random() < 0.7 else 1, b"0" if found[1] == b"\n" else b" ")


ADDED = (
    b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>",
    b"/AcroForm<</NeedAppearances true/Fields[]>>",
    b"/Version/2.0",
    b"/NeedsRendering true",
    b"/Names<</JavaScript<</Names[(a)<</S/JavaScript/JS(1)>>]>>>>",
    b"/AA<</WC<</S/JavaScript/JS(1)>>>>",
    b"/Collection<</View/T>>",
    b"/XFA[]",
    b"/OCProperties<</OCGs[]/D<</BaseState/OFF>>>>",
    b"/Extensions<</X<</BaseVersion/1.7/ExtensionLevel 1>>>>",
    b"/Rotate 90",
    b"/MediaBox[0 0 9 9]",
    b"/Annots[]",
    b"/AS/Off",
    b"/F 2",
    b"/Encrypt<<>>",
    b"/XRefStm 20",
    b"/Parent 3 0 R",
    b"/SigFlags 0",
    b"/Type/Other",
    b"/Lang(x)",
)
TOKENS: tuple[tuple[re.Pattern[bytes], Respell], ...] = (
    (re.compile(rb"/[A-Za-z]{2,20}"), _escaped),
    (re.compile(rb"<<"), _twice),
    (re.compile(rb"<<"), _added),
    (re.compile(rb"( |\[)(\d{1,6})(?= 0 R)"), _number),
    (re.compile(rb"(\n)(\d{10})(?= \d{5} n)"), _number),
    (re.compile(rb"(/(?:Prev|Size|Length|P|V) )(\d+)"), _number),
    (re.compile(rb"(startxref\n)(\d+)"), _number),
    (re.compile(rb" (\d) (?=R)"), lambda found, chance: b" %d " % chance.randrange(3)),
    (re.compile(rb"\d{10} \d{5} n"), lambda found, chance: found[0][:-1] + b"f"),
    (
        re.compile(rb"endobj\n|endstream\n|>>\n"),
        lambda found, chance: found[0] + chance.choice((b"%x\n", b"9 0 obj\n<<>>\nendobj\n", b"\r")),
    ),
    (re.compile(rb"obj\n"), lambda found, chance: chance.choice((b"obj ", b"obj%x\n", b"obj\r\n"))),
    (re.compile(rb"\("), lambda found, chance: chance.choice((b"(\\\n", b"(\\101", b"(()"))),
    (re.compile(rb"<[0-9a-f]{8}"), lambda found, chance: found[0].upper() if chance.random() < 0.5 else found[0][:3] + b" " + found[0][3:]),
    (re.compile(rb"startxref\n\d+\n%%EOF\n"), lambda found, chance: found[0] * 2),
    (
        re.compile(rb"%PDF-1\.\d"),
        lambda found, chance: chance.choice((b"%PDF-2.0", b"x" * 40 + b"\n" + found[0], b"%PDF-1.0", found[0] + b"\n" + found[0])),
    ),
    (re.compile(rb"0{12}>"), lambda found, chance: chance.choice((b"0" * 11 + b"1>", b"0" * 12 + b" >", b"0" * 10 + b">"))),
)


def tokens(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    for _ in range(20):
        pattern, respell = chance.choice(TOKENS)
        found = list(pattern.finditer(data))
        if found:
            one = chance.choice(found[-60:] if chance.random() < 0.6 else found)
            new = respell(one, chance)
            return f"{one[0][:20]!r} at {one.start()} becomes {new[:40]!r}", data[: one.start()] + new + data[one.end() :]
    return octets(data, chance)


# --- 3. revisions with a genuine time stamp over them --------------------------------------------------------------------------


@dataclass
class Tail:
    """An upgrade taken apart: object bodies by number, its trailer, and what its table says of objects it does not hold."""

    objects: list[tuple[int, bytes]]
    trailer: bytes
    named: list[tuple[int, bytes]] = field(default_factory=list)
    between: bytes = b""


def tail_of(hollow: bytes, start: int) -> Tail:
    tail = hollow[start:]
    trailer = re.search(rb"trailer\s*(<<.*>>)\s*startxref", tail, re.DOTALL)
    if trailer is None:
        raise ValueError("an upgrade with a table is what is taken apart here")
    return Tail([(int(one[1]), one[2]) for one in _OBJECT.finditer(tail)], trailer[1])


def written(before: bytes, tail: Tail, chance: random.Random) -> tuple[bytearray, int]:
    """The revision, and where the ``<`` of its hole is."""
    out, rows = bytearray(before), []
    for number, body in tail.objects:
        rows.append((number, b"%010d 00000 n \n" % len(out)))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body) + (tail.between if chance.random() < 0.5 else b"")
    at = len(out)
    out += b"xref\n"
    for number, row in sorted({**dict(tail.named), **dict(rows)}.items()):
        out += b"%d 1\n%b" % (number, row)
    out += b"trailer\n%b\nstartxref\n%d\n%%%%EOF\n" % (tail.trailer, at)
    return out, out.rindex(b"/Contents<") + len(b"/Contents")


def _body(tail: Tail, chance: random.Random, change: Callable[[bytes], bytes]) -> None:
    at = chance.randrange(len(tail.objects))
    number, body = tail.objects[at]
    tail.objects[at] = number, change(body)


def _insert(tail: Tail, chance: random.Random) -> None:
    _body(tail, chance, lambda body: body.replace(b"<<", b"<<" + chance.choice(ADDED), 1))


def _respelled(tail: Tail, chance: random.Random) -> None:
    _body(tail, chance, lambda body: tokens(body, chance)[1])


def _override(tail: Tail, chance: random.Random) -> None:
    body = chance.choice((b"<</Length %d>>stream\n%b\nendstream" % (len(_SPARE), _SPARE), b"<<>>", b"null", b"[]"))
    tail.objects.insert(chance.randrange(len(tail.objects) + 1), (chance.randrange(1, 40), body))


def _free(tail: Tail, chance: random.Random) -> None:
    tail.named.append(
        (chance.randrange(0, 40), chance.choice((b"0000000000 65535 f \n", b"0000000000 00001 f \n", b"0000000020 00000 n \n")))
    )


def _trailer(tail: Tail, chance: random.Random) -> None:
    change = chance.choice(("size", "token", "add"))
    if change == "size":
        tail.trailer = re.sub(rb"/Size \d+", b"/Size %d" % chance.choice((0, 1, 3, 10, 9999)), tail.trailer)
    elif change == "token":
        tail.trailer = tokens(tail.trailer, chance)[1]
    else:
        tail.trailer = tail.trailer.replace(b"<<", b"<<" + chance.choice(ADDED), 1)


def _shuffled(tail: Tail, chance: random.Random) -> None:
    chance.shuffle(tail.objects)


def _between(tail: Tail, chance: random.Random) -> None:
    tail.between = chance.choice((b"\n", b"% a comment\n", b"4 0 obj\n<<>>\nendobj\n", b" ", b"\0"))


def _extension(tail: Tail, chance: random.Random) -> None:
    _body(tail, chance, lambda body: body.replace(b"/ESIC", chance.choice((b"/ADBE", b"/ESIC<<>>/ADBE", b"/esic")), 1))


Change = Callable[[Tail, random.Random], None]
CHANGES: tuple[Change, ...] = (_insert, _respelled, _override, _free, _trailer, _shuffled, _between, _extension)


def restamped(world: World, base: Base, chance: random.Random, changes: Sequence[Change] | None = None) -> tuple[str, bytes]:
    """The upgrade of a B-LT file written otherwise, with a genuine document time stamp over whatever it has become."""
    before = base.data[: base.sealed]
    hollow = levels.append_timestamp(before, levels.Store(world.time_validation().certificates, base.trust.crls))
    tail = tail_of(bytes(hollow.octets), base.sealed)
    changes = chance.choices(CHANGES, k=chance.choice((0, 1, 1, 1, 2))) if changes is None else changes
    for change in changes:
        change(tail, chance)
    out, start = written(before, tail, chance)
    end = out.find(b">", start) + 1
    place = re.search(rb"/ByteRange\s*\[[^\]]*\] *|/ByteRange {20,}", bytes(out[base.sealed :]))
    if place is None or end <= start:
        return "no hole left", bytes(out)
    at, width = base.sealed + place.start(), place.end() - place.start()
    out[at : at + width] = (b"/ByteRange[0 %d %d %d]" % (start, end, len(out) - end)).ljust(width)
    digest = hashlib.sha256(out[:start] + out[end:]).digest()
    token = world.token(digest, NOW).hex().encode()
    if end - start - 2 >= len(token):
        out[start + 1 : end - 1] = token.ljust(end - start - 2, b"0")
    return ", ".join(change.__name__ for change in changes) or "as it is", bytes(out)


# --- OFD ----------------------------------------------------------------------------------------------------------------------


def package(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Parts changed, added, removed, renamed; packed again."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        parts = {one: opened.read(one) for one in opened.namelist()}
    name, what = chance.choice(list(parts)), chance.choice(("change", "add", "remove", "rename", "move", "list", "list", "octets"))
    if what == "change":
        parts[name] = octets(parts[name] or b" ", chance)[1]
    elif what == "add":
        parts[chance.choice(("Doc_0/Annotations.xml", "Doc_0/Attachs/a.xml", "doc_0/document.xml", name.upper(), f"{name}.bak"))] = parts[
            name
        ]
    elif what == "remove":
        del parts[name]
    elif what == "rename":
        parts[name.replace("0", "1", 1)] = parts.pop(name)
    elif what == "move":
        other = chance.choice(list(parts))
        parts[name], parts[other] = parts[other], parts[name]
    elif what == "list":
        text = parts[LIST]
        found = chance.choice(list(re.finditer(rb"(Sign_)?\d|Seal|<ofd:Signature [^>]*>|</?ofd:\w+", text)))
        parts[LIST] = text[: found.end()] + chance.choice((found[0], b"1", b"", b"/../x")) + text[found.end() :]
    else:
        return octets(data, chance)
    return f"{what} {name}", zipped(parts, stored=chance.random() < 0.3)


def mutated(world: World, base: Base, chance: random.Random) -> tuple[str, bytes]:
    if base.name == "OFD":
        return package(base.data, chance)
    if base.sealed and chance.random() < 0.7:
        return restamped(world, base, chance)
    return tokens(base.data, chance) if chance.random() < 0.75 else octets(base.data, chance)
