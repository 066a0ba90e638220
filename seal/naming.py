"""Names on seals: the organisation's own, in one writing, and like no other's. Pure.

A seal is recognised by its words. Whoever may cut another organisation's name, or one that only looks the same, needs no key to deceive.

1. :func:`require_own_name`   the arc bears the name the register has; an internal body's or a branch's begins with it
2. :func:`mixes_scripts`      no Greek or Cyrillic among Han or Latin letters (UTS #39 §5.2, "highly restrictive")
3. :func:`skeleton`           two names with one skeleton look alike (UTS #39 §4); :mod:`seal.imitations` asks the register of seals
"""

import unicodedata
from dataclasses import dataclass
from typing import Protocol

from keys.base.errors import Conflict, InvalidInput
from seal.kinds import KINDS, SealKind

# What looks like a Latin letter or digit, above what it looks like. Letters that are like none are left out.
_LATIN = (
    ("АВЕЅІЈКМНОРСТХУҮԛԝаеѕіјорсхуһԁӏ", "ABESlJKMHOPCTXYYqwaesijopcxyhdl"),
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϳανορυγιχ", "ABEZHlKMNOPTYXjavopuyix"),
    ("0〇○◯1I|∣", "OOOOllll"),
)
# Kana, Bopomofo, strokes and dashes that look like a Han character; and two Han characters that print does not tell apart from others.
_HAN = (
    ("ニハロカタトエチムノミ", "二八口力夕卜工千厶丿三"),
    ("ㄏㄕㄗㄦㄌㄈㄇㄩㄚㄙㄠㄧ", "厂尸卩儿力匚冂凵丫厶幺一"),
    ("ー—―–−─囗曰", "一一一一一一口日"),
)
_NOTHING = " ·・•‧∙᛫"
ALIKE = "".join(of for of, _ in (*_LATIN, *_HAN)) + _NOTHING
PLAIN = "".join(to for _, to in (*_LATIN, *_HAN))
"""Character by character what :data:`ALIKE` looks like; what has no counterpart there is left out. As SQL's ``translate`` takes them."""

_TABLE = str.maketrans(ALIKE[: len(PLAIN)], PLAIN, _NOTHING)
_IMITATING = ("GREEK", "CYRILLIC", "COPTIC", "ARMENIAN", "CHEROKEE", "LISU", "DESERET")
_LONGEST = 100


class SealNameImitates(Conflict):
    """Another seal has a name that looks the same and is not."""

    code = "SEAL_NAME_IMITATES"
    public = ("名称与已有印章的名称形似而字不同。", "The name looks like that of another seal, and is another name.")


class SealNameNotRegistered(InvalidInput):
    """Not the name that the register has for the organisation."""

    code = "SEAL_NAME_NOT_REGISTERED"
    public = (
        "印章上的单位名称须与登记的单位名称一致（内设机构、分支机构的名称须以其开头）。",
        "The name on the seal must be the organisation's registered one; that of an internal body or a branch begins with it.",
    )


class NameRegister(Protocol):
    """Where the names of organisations are registered."""

    async def name_of(self, uscc: str) -> str | None:
        """None: the organisation is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Names:
    """The words of an order. ``upper``: cut in place of the organisation's name."""

    name: str
    organisation_name: str
    lower_text: str = ""
    upper: str | None = None
    middle: str | None = None

    def all(self) -> tuple[str, ...]:
        return tuple(text for text in (self.name, self.organisation_name, self.lower_text, self.upper, self.middle) if text)


def skeleton(text: str) -> str:
    """What is left when all that looks alike is one.

    >>> skeleton("АВС中心") == skeleton("ABC中心"), skeleton("第—中学") == skeleton("第一中学"), skeleton("甲") == skeleton("乙")
    (True, True, False)
    """
    return unicodedata.normalize("NFKC", text).translate(_TABLE)


def mixes_scripts(text: str) -> bool:
    """Whether letters of an alphabet that imitates another stand among letters of another.

    >>> mixes_scripts("示范市А区"), mixes_scripts("ОАО"), mixes_scripts("示范市ABC中心")
    (True, False, False)
    """
    scripts = {_script(character) for character in unicodedata.normalize("NFKC", text) if character.isalpha()}
    return len(scripts) > 1 and bool(scripts & set(_IMITATING))


def _script(character: str) -> str:
    script = unicodedata.name(character, "UNKNOWN").partition(" ")[0]
    return script if script in _IMITATING else "OTHER"


def require_own_name(kind: str, names: Names, registered: str | None) -> None:
    """Raises :class:`SealNameNotRegistered`. ``registered``: the name of the organisation in the register; None: it is not there.

    What is cut in place of the name is a shorter form of it: its own characters in their order. A person's seal bears the person's.
    """
    if registered is None:
        raise SealNameNotRegistered("the organisation is not in the register")
    inner = kind in (SealKind.INTERNAL, SealKind.BRANCH)
    own = names.organisation_name.startswith(registered) if inner else names.organisation_name == registered
    personal = kind in set(SealKind) and KINDS[SealKind(kind)].personal
    if not own or not (personal or names.upper is None or _is_short_for(names.upper, names.organisation_name)):
        raise SealNameNotRegistered(f"{names.organisation_name[:_LONGEST]!r} is not {registered[:_LONGEST]!r}")


def _is_short_for(text: str, name: str) -> bool:
    """Its characters occur in the name in this order.

    >>> _is_short_for("示范市住建局", "示范市住房和城乡建设局"), _is_short_for("示范市公安局", "示范市住房和城乡建设局")
    (True, False)
    """
    rest = iter(name)
    return bool(text) and all(character in rest for character in text)
