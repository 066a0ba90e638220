"""Identity assurance: which facts give which level. Data, read by one function.

GB/T 40651-2021 keeps identity, authenticator and federation assurance apart, and so do we: nothing here is an ``acr``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Fact(StrEnum):
    """What has been shown about a person's or organisation's identity."""

    WELL_FORMED = "well_formed"
    REGISTRY_MATCH = "registry_match"
    SECOND_SOURCE_MATCH = "second_source_match"
    MOBILE_MATCH = "mobile_match"
    CERTIFICATE_LOGIN = "certificate_login"
    SEEN_AT_WINDOW = "seen_at_window"


@dataclass(frozen=True, slots=True)
class Level:
    """``name`` (zh, en); ``ways``: sets of facts, any one of which suffices."""

    name: tuple[str, str]
    ways: tuple[frozenset[Fact], ...]


LEVELS: Mapping[int, Level] = {
    1: Level(("自行申报", "self-declared"), (frozenset({Fact.WELL_FORMED}),)),
    2: Level(("登记信息核验一致", "agrees with the registry"), (frozenset({Fact.WELL_FORMED, Fact.REGISTRY_MATCH}),)),
    3: Level(
        ("多源核验一致", "agrees with two sources"),
        (
            frozenset({Fact.WELL_FORMED, Fact.REGISTRY_MATCH, Fact.MOBILE_MATCH}),
            frozenset({Fact.WELL_FORMED, Fact.REGISTRY_MATCH, Fact.SECOND_SOURCE_MATCH}),
        ),
    ),
    4: Level(
        ("数字证书或窗口核验", "certificate-based or seen at a window"),
        (
            frozenset({Fact.WELL_FORMED, Fact.REGISTRY_MATCH, Fact.CERTIFICATE_LOGIN}),
            frozenset({Fact.WELL_FORMED, Fact.REGISTRY_MATCH, Fact.SEEN_AT_WINDOW}),
        ),
    ),
}
"""The default table of STANDARDS §1; another may be given to :func:`level_of`."""

TRUST_FRAMEWORK = "cn_gbt_40651"


def level_of(facts: Iterable[Fact], levels: Mapping[int, Level] = LEVELS) -> int:
    """The highest level one of whose ways the facts contain; 0 where there is none."""
    shown = frozenset(facts)
    reached = (number for number, level in levels.items() if any(way <= shown for way in level.ways))
    return max(reached, default=0)
