"""Chains: building one from what is at hand (RFC 4158) and checking it as RFC 5280 §6.1 says.

Building climbs from the signer's certificate to an anchor, looks only at issuers of the right name that may certify and whose
key holds, never at one certificate or one key of one name twice, and asks the whole of §6.1 about each chain that is complete. The anchor
is judged as a certificate, too: its validity, constraints and extensions bind what is below it (RFC 5937).
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from keys.base import der, der_values
from keys.custody.verifying_keys import DSA, read_public_key, weakness
from keys.pki.validation_certificate import Party
from keys.pki.validation_constraints import Constraints
from keys.pki.validation_names import same
from keys.pki.validation_policies import Policies
from keys.pki.validation_rules import Budget, Fault, OutOfBudgetError, Reason, Rules

Path = tuple[Party, ...]
"""The signer's certificate, its issuers and the anchor, in this order."""
Judge = Callable[[Path], Fault | None]

ANY_USE = "2.5.29.37.0"
_NULL = b"\x05\x00"


@dataclass(frozen=True, slots=True)
class Found:
    """``path`` is the chain that stands, or the one that came nearest; ``fault`` is None where it stands."""

    path: Path
    fault: Fault | None = None


def build(leaf: Party, candidates: Iterable[Party], anchors: Iterable[Party], judge: Judge, rules: Rules, budget: Budget) -> Found:
    """The first chain ``judge`` has nothing against, else the fault of the chain that came nearest. Never raises."""
    trusted = tuple(dict.fromkeys(anchors))
    offered = tuple(one for one in dict.fromkeys(candidates) if one not in trusted)[: rules.limits.candidates]
    climb = _Climb(trusted, offered, judge, rules, budget)
    try:
        found = climb.from_here((leaf,))
    except OutOfBudgetError as error:
        return climb.nearest or Found((), Fault(Reason.LIMIT_EXCEEDED, str(error)))
    return found or climb.nearest or Found((), Fault(Reason.NO_CHAIN, "no chain to a trusted root"))


class _Climb:
    def __init__(self, trusted: Path, offered: Path, judge: Judge, rules: Rules, budget: Budget) -> None:
        self.nearest: Found | None = None
        self._trusted, self._offered = trusted, offered
        self._judge, self._rules, self._budget = judge, rules, budget

    def from_here(self, path: Path) -> Found | None:
        for anchor in self._issuers(path, self._trusted):
            fault = self._judge((*path, anchor))
            if fault is None:
                return Found((*path, anchor))
            self._remember(Found((*path, anchor), fault))
        if len(path) >= self._rules.limits.depth - 1:
            return None
        for issuer in self._issuers(path, self._offered):
            if found := self.from_here((*path, issuer)):
                return found
        return None

    def _remember(self, found: Found) -> None:
        """A chain that fails only at revocation came nearer than any other; the first of its kind stays."""
        if self.nearest is None or (_about_revocation(found) and not _about_revocation(self.nearest)):
            self.nearest = found

    def _issuers(self, path: Path, among: Path) -> Iterator[Party]:
        subject = path[-1]
        named = [issuer for issuer in among if self._is_issuer(issuer, path)]
        wanted = subject.authority_key.identifier if subject.authority_key else None
        for issuer in sorted(named, key=lambda one: one.subject_key != wanted):
            if _unsettled(issuer) or self._budget.signed(issuer.public, subject):
                yield issuer

    def _is_issuer(self, issuer: Party, path: Path) -> bool:
        self._budget.step()
        subject = path[-1]
        if not same(issuer.subject, subject.issuer) or may_not_certify(issuer, self._rules):
            return False
        # One certificate, or one key under one name, twice: a loop that proves nothing new.
        return not any(issuer is one or (issuer.public == one.public and same(issuer.subject, one.subject)) for one in path)


def _about_revocation(found: Found) -> bool:
    return found.fault is not None and found.fault.reason in (Reason.REVOKED, Reason.REVOCATION_UNKNOWN)


def _unsettled(party: Party) -> bool:
    """A DSA key whose parameters are its issuer's: whether it signed is known once the chain is complete."""
    key = read_public_key(party.public)
    return key is not None and key.kind == DSA and key.parameters in (b"", _NULL)


def may_not_certify(issuer: Party, rules: Rules) -> bool:
    """RFC 5280 §6.1.4 (k) and (n)."""
    usage = issuer.key_usage
    return not issuer.is_authority or (rules.key_usage_required if usage is None else "key_cert_sign" not in usage)


def check(path: Path, at: dt.datetime | None, rules: Rules, budget: Budget) -> Fault | None:
    """RFC 5280 §6.1 for one chain without revocation; ``at`` None leaves validity to the caller. May raise ``OutOfBudgetError``."""
    checking = _Checking(path, at, rules, budget)
    for depth in reversed(range(len(path))):
        fault = checking.enter(depth) or (checking.leave(depth) if depth else checking.finish())
        if fault is not None:
            return fault
    return None


class _Checking:
    """The state of §6.1.2, from the anchor down."""

    def __init__(self, path: Path, at: dt.datetime | None, rules: Rules, budget: Budget) -> None:
        self._path, self._at, self._rules, self._budget = path, at, rules, budget
        self._top = len(path) - 1
        self._constraints = Constraints(budget)
        self._policies = Policies(rules, self._top, budget)
        self._room = self._top
        self._key = b""

    def enter(self, depth: int) -> Fault | None:
        """§6.1.3: the certificate at this depth by itself and under what is above it."""
        party = self._path[depth]
        fault = self._itself(party, depth)
        if fault is not None or depth == self._top:
            return fault
        if not same(party.issuer, self._path[depth + 1].subject):
            return Fault(Reason.NO_CHAIN, "issued under another name", depth)
        if not self._budget.signed(self._key, party):
            return self._unsigned(party, depth)
        if (depth == 0 or not party.self_issued) and (kind := self._constraints.refused(party)):
            return Fault(Reason.NAME_NOT_PERMITTED, f"{kind} outside the name constraints", depth)
        if not self._policies.enter(party, last=depth == 0):
            return Fault(Reason.POLICY_NOT_ACCEPTED, "no certificate policy is left", depth)
        return None

    def _itself(self, party: Party, depth: int) -> Fault | None:
        self._budget.step()
        if party.unknown_critical:
            return Fault(
                Reason.CRITICAL_EXTENSION_UNKNOWN, f"a critical extension that is not understood: {party.unknown_critical[0]}", depth
            )
        if self._rules.regular and (wrong := (*party.irregular, *(party.misissued if depth != self._top else ()))):
            return Fault(Reason.IRREGULAR, wrong[0], depth)
        if self._at is not None and not party.valid_at(self._at):
            early = self._at < party.not_before
            return Fault(Reason.NOT_YET_VALID if early else Reason.EXPIRED, "not yet valid" if early else "expired", depth)
        if depth == 0 and (weak := weakness(party.public, self._budget.algorithms.keys)):
            return Fault(Reason.ALGORITHM_REFUSED, weak, depth)
        return None

    def _unsigned(self, party: Party, depth: int) -> Fault:
        weak = weakness(self._key, self._budget.algorithms.keys)
        if weak or party.algorithm not in self._budget.algorithms.signatures:
            return Fault(Reason.ALGORITHM_REFUSED, weak or "a signature algorithm that is not accepted", depth)
        return Fault(Reason.SIGNATURE_INVALID, "its issuer did not sign it", depth)

    def leave(self, depth: int) -> Fault | None:
        """§6.1.4: what the certificate says about those below it."""
        party = self._path[depth]
        if may_not_certify(party, self._rules):
            return Fault(Reason.NOT_AN_AUTHORITY, "not a certificate of an authority", depth)
        if depth != self._top:
            if not party.self_issued:
                if self._room <= 0:
                    return Fault(Reason.PATH_TOO_LONG, "more authorities than those above it allow", depth)
                self._room -= 1
            if not self._policies.leave(party):
                return Fault(Reason.POLICY_NOT_ACCEPTED, "a policy mapping that is not allowed", depth)
        if party.path_length is not None:
            self._room = min(self._room, party.path_length)
        if not _allows(party, self._rules.extended_key_usage, required=False):
            return Fault(Reason.USE_NOT_ALLOWED, "an authority that may not certify for this use", depth)
        self._constraints.add(party)
        self._key = _complete(party.public, self._key)
        return None

    def finish(self) -> Fault | None:
        """§6.1.5, and what the signer's key may be used for."""
        party, rules = self._path[0], self._rules
        if not self._policies.finish(party):
            return Fault(Reason.POLICY_NOT_ACCEPTED, "no acceptable certificate policy")
        if rules.key_usage and party.key_usage is not None and not party.may(*rules.key_usage):
            return Fault(Reason.USE_NOT_ALLOWED, "a key for other uses")
        if not _allows(party, rules.extended_key_usage, required=rules.extended_required):
            return Fault(Reason.USE_NOT_ALLOWED, "an extended key usage for something else")
        return None


def _allows(party: Party, use: str | None, *, required: bool) -> bool:
    stated = party.extended_key_usage
    if use is None:
        return True
    if stated is None:
        return not required
    return use in stated or (ANY_USE in stated and not required)


def _complete(public: bytes, above: bytes) -> bytes:
    """§6.1.4 (d)–(f): a DSA key without parameters takes those of the key above it."""
    key, parent = read_public_key(public), read_public_key(above)
    if key is None or key.kind != DSA or key.parameters not in (b"", _NULL) or parent is None or parent.kind != DSA:
        return public
    bits = der.members(der.outermost(public))[1]
    algorithm = der.sequence(der.object_identifier(DSA), parent.parameters)
    return der.sequence(algorithm, der.bit_string(der_values.whole_bits(bits)))


def usable_key(path: Sequence[Party], depth: int) -> bytes:
    """The key of the certificate at ``depth`` with the parameters it inherits."""
    key = b""
    for party in reversed(path[depth:]):
        key = _complete(party.public, key)
    return key
