"""What a key ceremony shall make: one TOML file, read before anybody is asked for anything.

    title = "…"                      what the ceremony is called in its transcript
    organisation = "…"               O of every authority
    organisation_code = "…"          its USCC; optional
    division = "110000"              GB/T 2260
    legal_effect = true              false marks a rehearsal: every name then says that it has no legal effect

    [roles]
    administrator = "zhang.wei"      account with the role security_admin: makes the keys
    witness = "li.na"                account with the role auditor: watches and signs off

    [[authorities]]                  parents before their children
    name = "root"                    the name in addresses (/pki/root.crt)
    parent = "root"                  itself for a root (default)
    profile = "root"                 root, seal-ca, seal-maker-ca, document-ca, person-ca or tsa-ca
    algorithm = "EC_P384"            EC_P256, EC_P384, RSA_3072, RSA_4096, ED25519, SM2
    common_name = "…"                CN, at most 64 octets of UTF-8: some readers count so

The product looks for the authorities ``seal``, ``seal-sm``, ``seal-maker``, ``documents``, ``persons`` and ``tsa`` by their names.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keys.base.errors import InvalidInput
from keys.custody.store import Algorithm
from keys.pki.profiles import PROFILES, AuthorityPlan

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DIVISION = re.compile(r"[0-9]{6}")
_NAME_LIMIT = 64
NO_LEGAL_EFFECT = "无法律效力 NO LEGAL EFFECT"
_TOP = frozenset({"title", "organisation", "organisation_code", "division", "legal_effect", "roles", "authorities"})
_ROLES = frozenset({"administrator", "witness"})
_AUTHORITY = frozenset({"name", "parent", "profile", "algorithm", "common_name"})


class CeremonyPlanInvalid(InvalidInput):
    """The configuration file is not TOML or not what this module's docstring says; ``extra['errors']`` lists every fault."""

    code = "CEREMONY_PLAN_INVALID"
    public = ("密钥仪式的配置文件有误。", "The configuration of the key ceremony is not right.")


@dataclass(frozen=True, slots=True)
class CeremonyPlan:
    """See the module. ``administrator`` and ``witness`` are usernames of two people."""

    title: str
    organisation: str
    organisation_code: str
    division: str
    legal_effect: bool
    administrator: str
    witness: str
    authorities: tuple[AuthorityPlan, ...]


def read_plan(octets: bytes) -> CeremonyPlan:
    """The plan in a configuration file. Raises :class:`CeremonyPlanInvalid` with every fault at once."""
    try:
        content = tomllib.loads(octets.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CeremonyPlanInvalid(f"not TOML: {error}") from error
    faults = list(_faults(content))
    if faults:
        errors = [{"field": field, "message": message} for field, message in faults]
        raise CeremonyPlanInvalid("; ".join(f"{field}: {message}" for field, message in faults), errors=errors)
    return _plan(content)


def _plan(content: Mapping[str, Any]) -> CeremonyPlan:
    effect = content["legal_effect"]
    authorities = tuple(
        AuthorityPlan(
            one["name"],
            one.get("parent", one["name"]),
            one["profile"],
            one["common_name"] if effect else f"{one['common_name']} {NO_LEGAL_EFFECT}",
            Algorithm(one["algorithm"]),
        )
        for one in content["authorities"]
    )
    roles = content["roles"]
    return CeremonyPlan(
        content["title"],
        content["organisation"],
        content.get("organisation_code", ""),
        content["division"],
        effect,
        roles["administrator"],
        roles["witness"],
        authorities,
    )


Faults = Iterable[tuple[str, str]]


def _faults(content: Mapping[str, Any]) -> Faults:
    yield from (("", f"unknown entry {name}") for name in sorted(content.keys() - _TOP))
    for name in ("title", "organisation"):
        if not _is_text(content.get(name)):
            yield name, "a text of 1-64 characters"
    if not isinstance(content.get("organisation_code", ""), str):
        yield "organisation_code", "a text"
    if not _DIVISION.fullmatch(str(content.get("division"))):
        yield "division", "six digits (GB/T 2260), in quotes"
    if not isinstance(content.get("legal_effect"), bool):
        yield "legal_effect", "true or false"
    yield from _role_faults(content.get("roles"))
    yield from _authorities_faults(content.get("authorities"), content.get("legal_effect") is False)


def _is_text(value: object, limit: int = _NAME_LIMIT) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= limit and value.isprintable()


def _role_faults(roles: object) -> Faults:
    if not isinstance(roles, dict) or roles.keys() != _ROLES or not all(map(_is_text, roles.values())):
        yield "roles", "administrator and witness, each a username"
    elif roles["administrator"].strip().casefold() == roles["witness"].strip().casefold():
        yield "roles", "two different people"


def _authorities_faults(authorities: object, rehearsal: bool) -> Faults:
    if not isinstance(authorities, list) or not authorities or not all(isinstance(one, dict) for one in authorities):
        yield "authorities", "at least one [[authorities]]"
        return
    known: set[str] = set()
    for number, one in enumerate(authorities):
        yield from ((f"authorities[{number}].{field}", message) for field, message in _authority_faults(one, known, rehearsal))
        known.add(str(one.get("name")))


def _authority_faults(one: Mapping[str, Any], known: set[str], rehearsal: bool) -> Faults:
    yield from (("", f"unknown entry {name}") for name in sorted(one.keys() - _AUTHORITY))
    name = str(one.get("name"))
    if not _NAME.fullmatch(name):
        yield "name", "small letters, digits and hyphens, at most 40"
    elif name in known:
        yield "name", "named twice"
    if one.get("parent", name) not in known | {name}:
        yield "parent", "no authority above it has this name"
    yield from _kind_faults(one)
    limit = _NAME_LIMIT - len(f" {NO_LEGAL_EFFECT}".encode()) if rehearsal else _NAME_LIMIT
    if not _is_text(one.get("common_name")) or len(one["common_name"].encode()) > limit:
        yield "common_name", f"a text of 1-{limit} octets"


def _kind_faults(one: Mapping[str, Any]) -> Faults:
    kinds = {name: profile for name, profile in PROFILES.items() if profile.is_authority}
    profile = kinds.get(str(one.get("profile")))
    if profile is None:
        yield "profile", "one of " + ", ".join(kinds)
    elif one.get("algorithm") not in set(profile.algorithms):
        yield "algorithm", "one of " + ", ".join(profile.algorithms)
    is_root = one.get("parent", one.get("name")) == one.get("name")
    if profile is not None and is_root != (profile.name == "root"):
        yield "profile", "a root, and only a root, is its own parent"
