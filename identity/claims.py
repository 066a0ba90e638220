"""Claims about a person: what an ID token and the userinfo endpoint say. Pure; no ID number ever enters one.

``sub`` is the account's identifier, the same for every client (``public``, OpenID Connect Core 1.0 §8).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from authlib.oidc.core.util import create_half_hash

from identity.reads import NameEvidence
from identity.tokens import Person
from keys.evidence.audit import JSON

ID_TOKEN_LIFETIME = dt.timedelta(minutes=10)
# Our levels 0–4 are a table of our own, drawn from GB/T 40651-2021.
TRUST_FRAMEWORK = "cn_gbt_40651"
RECORD_TYPES = {"registry": "population_register"}
CLAIMS = (
    *("iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"),
    *("name", "updated_at", "identity_assurance_level", "verified_claims"),
)


@dataclass(frozen=True, slots=True)
class Authentication:
    """One log-in as an ID token tells it. ``nonce`` is absent after a refresh (OpenID Connect Core 1.0 §12.2)."""

    subject: str
    session_id: str
    auth_time: dt.datetime
    acr: str
    amr: Sequence[str]
    nonce: str | None = None


def id_token_claims(issuer: str, client_id: str, now: dt.datetime, login: Authentication, access_token: str, alg: str) -> dict[str, JSON]:
    """The claims of an ID token (OpenID Connect Core 1.0 §2), ``at_hash`` and ``azp`` included."""
    issued = int(now.timestamp())
    claims: dict[str, JSON] = {
        "iss": issuer,
        "sub": login.subject,
        "aud": client_id,
        "azp": client_id,
        "iat": issued,
        "exp": issued + int(ID_TOKEN_LIFETIME.total_seconds()),
        "auth_time": int(login.auth_time.timestamp()),
        "acr": login.acr,
        "amr": list(login.amr),
        "sid": login.session_id,
        "at_hash": create_half_hash(access_token, alg).decode(),
    }
    if login.nonce is not None:
        claims["nonce"] = login.nonce
    return claims


def userinfo_claims(person: Person, scopes: frozenset[str], evidence: NameEvidence | None = None) -> dict[str, JSON]:
    """What the scopes of the token release (OpenID Connect Core 1.0 §5.4); ``evidence`` is what the name was verified by."""
    claims: dict[str, JSON] = {"sub": str(person.account_id)}
    if "profile" in scopes:
        claims["name"] = person.real_name or person.display_name
        claims["updated_at"] = int(person.updated_at.timestamp())
    if "real_name" in scopes:
        claims["identity_assurance_level"] = person.identity_level
        if person.real_name is not None:
            claims["verified_claims"] = _verified(person.real_name, person.identity_level, evidence)
    return claims


def _verified(name: str, level: int, evidence: NameEvidence | None) -> JSON:
    """The name as it was verified (OpenID Identity Assurance schema definition 1.0 §5); never the number it was checked with."""
    verification: dict[str, JSON] = {"trust_framework": TRUST_FRAMEWORK, "assurance_level": str(level)}
    if evidence is not None:
        time = evidence.checked_at.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        verification |= {"time": time, "evidence": [_record(source, time) for source in evidence.sources]}
    return {"verification": verification, "claims": {"name": name}}


def _record(source: str, time: str) -> JSON:
    """An electronic record that agreed (§5.4.4.2), compared by its data (``check_method``: ``data``)."""
    return {
        "type": "electronic_record",
        "check_details": [{"check_method": "data", "organization": source}],
        "time": time,
        "record": {"type": RECORD_TYPES.get(source, source), "source": {"name": source}},
    }
