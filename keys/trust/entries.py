"""What it means to trust an authority: for which uses, within which scope, from when to when, and what became of it.

Plain values and the one rule that reads them; no clock, no database, no parser.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from keys.trust.lifecycle import Status

JSON = dict[str, Any]


class Use(StrEnum):
    """What certificates under an authority are believed for. One is never a substitute for another."""

    SEAL_MAKER = "seal-maker"
    SEAL_SIGNER = "seal-signer"
    DOCUMENT_SIGNER = "document-signer"
    TIMESTAMP = "timestamp"
    PERSON = "person"


USE_NAMES: dict[Use, tuple[str, str]] = {
    Use.SEAL_MAKER: ("制章", "making seals"),
    Use.SEAL_SIGNER: ("电子签章", "stamping"),
    Use.DOCUMENT_SIGNER: ("文件签名", "signing documents"),
    Use.TIMESTAMP: ("时间戳", "time stamps"),
    Use.PERSON: ("个人证书", "certificates of people"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an authority is believed; an empty part sets no bound.

    ``organisation``  USCC of the one organisation its signers belong to
    ``divisions``     GB/T 2260 codes, six digits; 990100 covers 990102, 990000 both
    ``seal_kinds``    kinds of seals (``approval``, ``certificate`` …)
    """

    organisation: str = ""
    divisions: tuple[str, ...] = ()
    seal_kinds: tuple[str, ...] = ()

    def to_json(self) -> JSON:
        return {"organisation": self.organisation, "divisions": list(self.divisions), "seal_kinds": list(self.seal_kinds)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Scope":
        return cls(value["organisation"], tuple(value["divisions"]), tuple(value["seal_kinds"]))


EVERYWHERE = Scope()


@dataclass(frozen=True, slots=True)
class Since:
    """One step of a history: what the status became, and when."""

    status: Status
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class TrustedAuthority:
    """An authority as a verifier takes it.

    ``certificate``       DER; a root, an intermediate or an authority of seal makers: the end of every chain through it
    ``subordinates``      DER; authorities below it that help to build chains and to check revocation lists
    ``valid_from``, ``valid_to``  signatures of this span are believed
    ``history``           oldest first; before its first step nothing was approved
    ``legal_effect``      False: a demonstration, whatever it vouches for has no legal effect
    ``until``             nextUpdate of the signed list it was read from; believed no longer than this
    """

    certificate: bytes
    uses: frozenset[Use]
    scope: Scope
    valid_from: dt.datetime
    valid_to: dt.datetime
    history: tuple[Since, ...]
    subordinates: tuple[bytes, ...] = ()
    crl_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()
    legal_effect: bool = False
    own: bool = False
    until: dt.datetime | None = field(default=None)

    def status_at(self, instant: dt.datetime) -> Status | None:
        """The status at that instant; None before the first step."""
        return next((step.status for step in reversed(self.history) if step.since <= instant), None)

    def objection(self, use: Use, signed_at: dt.datetime | None, at: dt.datetime) -> str | None:
        """Why this authority does not vouch at ``at`` for a signature of ``signed_at`` (None: not known); None: it does.

        1. for another use
        2. the list it was read from is out of date
        3. not trusted now: not yet approved, suspended or withdrawn
        4. the signature is not of the span agreed on, or was made while the authority was suspended
        """
        if use not in self.uses:
            return f"not trusted for {USE_NAMES[use][1]}"
        if self.until is not None and at > self.until:
            return f"the trust list is out of date since {self.until:%Y-%m-%d}"
        status = self.status_at(at)
        if status is not Status.ACTIVE:
            return f"{status or 'not approved'} at that time"
        return self._objection_to_time(at if signed_at is None else signed_at)

    def _objection_to_time(self, signed_at: dt.datetime) -> str | None:
        if not self.valid_from <= signed_at <= self.valid_to:
            return f"trusted only from {self.valid_from:%Y-%m-%d} to {self.valid_to:%Y-%m-%d}"
        # Before its first day on the list nothing speaks against it: the span above was agreed on for that.
        if self.status_at(signed_at) in (Status.SUSPENDED, Status.WITHDRAWN):
            return "suspended when it was signed"
        return None

    def to_json(self) -> JSON:
        """What crosses a process boundary; octets in hexadecimal."""
        return {
            "certificate": self.certificate.hex(),
            "uses": sorted(self.uses),
            "scope": self.scope.to_json(),
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to.isoformat(),
            "history": [[step.status, step.since.isoformat()] for step in self.history],
            "subordinates": [one.hex() for one in self.subordinates],
            "crl_urls": list(self.crl_urls),
            "ocsp_urls": list(self.ocsp_urls),
            "legal_effect": self.legal_effect,
            "own": self.own,
            "until": self.until.isoformat() if self.until else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TrustedAuthority":
        """The inverse of :meth:`to_json`."""
        return cls(
            certificate=bytes.fromhex(value["certificate"]),
            uses=frozenset(map(Use, value["uses"])),
            scope=Scope.from_json(value["scope"]),
            valid_from=dt.datetime.fromisoformat(value["valid_from"]),
            valid_to=dt.datetime.fromisoformat(value["valid_to"]),
            history=tuple(Since(Status(status), dt.datetime.fromisoformat(since)) for status, since in value["history"]),
            subordinates=tuple(bytes.fromhex(one) for one in value["subordinates"]),
            crl_urls=tuple(value["crl_urls"]),
            ocsp_urls=tuple(value["ocsp_urls"]),
            legal_effect=value["legal_effect"],
            own=value["own"],
            until=dt.datetime.fromisoformat(value["until"]) if value["until"] else None,
        )
