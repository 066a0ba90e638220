"""Revocation: CRLs as RFC 5280 §6.3 says, OCSP answers as RFC 6960 does, for every certificate of a chain but the anchor.

A certificate is not revoked only if a list or an answer that may be believed and is current says so for every reason; a
certificate without a distribution point is looked for on its issuer's own lists all the same. A revocation once published
stands, however old the list, save a hold that a later list has lifted.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from keys.base import der
from keys.pki.validation_certificate import UNREADABLE, Party
from keys.pki.validation_crl import (
    CERTIFICATE_HOLD,
    REMOVE_FROM_CRL,
    Entry,
    IssuingPoint,
    RevocationList,
    find_entry,
    names_strange_entries,
)
from keys.pki.validation_extensions import ALL_REASONS, DIRECTORY, DistributionPoint, GeneralName
from keys.pki.validation_names import same
from keys.pki.validation_ocsp import Answer, OcspResponse, may_answer
from keys.pki.validation_path import Path, build, check, usable_key
from keys.pki.validation_rules import Budget, Fault, Reason, Rules

_OCTETS_A_STEP = 1 << 16
_NO_LIST = "no revocation list or answer of its issuer"
_NOT_CURRENT = "the revocation list is not current at that time"
_NOT_USABLE = "its issuer's revocation list is not one of RFC 5280, or says what is not understood"
_NOT_COMPLETE = "the revocation lists do not cover every reason"


@dataclass(frozen=True, slots=True)
class RevocationData:
    lists: tuple[RevocationList, ...] = ()
    responses: tuple[OcspResponse, ...] = ()


@dataclass(frozen=True, slots=True)
class Revoked:
    """``depth`` 0 is the signer's certificate, 1 its issuer's …; ``published`` is thisUpdate of the list that says so."""

    depth: int
    since: dt.datetime
    published: dt.datetime
    reason: int | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """No list or answer at hand that may be believed at that instant for the certificate at ``depth``."""

    depth: int
    reason: str


Status = Revoked | Unknown | None
"""None: not revoked."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything one question about revocation may rest on. ``visiting``: certificates whose status is being asked already."""

    candidates: tuple[Party, ...]
    anchors: tuple[Party, ...]
    data: RevocationData
    at: dt.datetime
    rules: Rules
    budget: Budget
    visiting: frozenset[bytes] = frozenset()


def worst(path: Path, scene: Scene) -> Status:
    """The status of the whole chain: a revoked certificate outweighs an unknown one, the deepest authority a lower one.

    May raise ``OutOfBudgetError``.
    """
    answers = [status(path, depth, scene) for depth in reversed(range(len(path) - 1))]
    return next((one for one in answers if isinstance(one, Revoked)), None) or next((one for one in answers if one), None)


def fault_of(answer: Status) -> Fault | None:
    if isinstance(answer, Revoked):
        return Fault(Reason.REVOKED, f"revoked {answer.since:%Y-%m-%dT%H:%M:%SZ}", answer.depth)
    return Fault(Reason.REVOCATION_UNKNOWN, answer.reason, answer.depth) if answer else None


def status(path: Path, depth: int, scene: Scene) -> Status:
    """What is known about one certificate of a chain that stands."""
    asking = replace(scene, visiting=scene.visiting | {path[depth].encoded})
    answered = _answered(path, depth, asking)
    if isinstance(answered, Revoked):
        return answered
    listed = _listed(path, depth, asking)
    return listed if isinstance(listed, Revoked) or not isinstance(answered, _Good) else None


class _Good:
    """An answer that is current says: not revoked."""


# --- OCSP ---------------------------------------------------------------------------------------------------------------------


def _answered(path: Path, depth: int, scene: Scene) -> Revoked | _Good | None:
    party, issuer = path[depth], path[depth + 1]
    good: _Good | None = None
    for response in scene.data.responses[: scene.rules.limits.lists]:
        about = [answer for answer in response.answers if _is_about(answer, party, issuer, scene)]
        if not about or not _may_be_believed(response, path, depth, scene):
            continue
        for answer in about:
            if answer.good is False and answer.since is not None and answer.since <= scene.at:
                return Revoked(depth, answer.since, answer.this_update, answer.reason)
            if answer.good and answer.fresh_at(scene.at):
                good = _Good()
    return good


def _is_about(answer: Answer, party: Party, issuer: Party, scene: Scene) -> bool:
    scene.budget.step()
    try:
        return answer.is_about(party, issuer)
    except UNREADABLE:
        return False


def _may_be_believed(response: OcspResponse, path: Path, depth: int, scene: Scene) -> bool:
    """§4.2.2.2: signed by the issuer itself or by a delegate it certified for answering."""
    issuer, key = path[depth + 1], usable_key(path, depth + 1)
    if response.is_by(issuer):
        return _answer_holds(response, key, scene)
    return any(
        may_answer(one, issuer, scene.at)
        and scene.budget.signed(key, one)
        and _answer_holds(response, one.public, scene)
        and (one.unchecked or _delegate_stands(one, path, depth, scene))
        for one in response.responders()
    )


def _answer_holds(response: OcspResponse, key: bytes, scene: Scene) -> bool:
    return scene.budget.holds(key, response.algorithm_identifier, response.signed, response.signature)


def _delegate_stands(responder: Party, path: Path, depth: int, scene: Scene) -> bool:
    """A delegate without id-pkix-ocsp-nocheck is itself asked about, on lists only."""
    if responder.encoded in scene.visiting:
        return False
    lists_only = replace(scene, data=RevocationData(scene.data.lists))
    return status((responder, *path[depth + 1 :]), 0, lists_only) is None


# --- CRLs ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Word:
    """What one believed list, with its latest delta, says: ``published`` is the delta's thisUpdate where there is one."""

    published: dt.datetime
    entry: Entry | None
    current: bool
    reasons: frozenset[int]

    def revokes_by(self, at: dt.datetime) -> bool:
        return self.entry is not None and self.entry.since <= at


def _listed(path: Path, depth: int, scene: Scene) -> Status:
    words = list(_words(path, depth, scene))
    latest = max((word.published for word in words if word.published <= scene.at), default=None)
    for word in words:
        # A hold counts as long as the latest list still has it, any other entry for good. One that began by ``at`` and stands on a list
        # made after it stood at ``at``.
        lifted = word.entry is not None and word.entry.reason == CERTIFICATE_HOLD and latest is not None and word.published < latest
        if word.entry is not None and word.revokes_by(scene.at) and not lifted:
            return Revoked(depth, word.entry.since, word.published, word.entry.reason)
    covered = frozenset[int]().union(*(word.reasons for word in words if word.current))
    if covered >= ALL_REASONS:
        return None
    if covered or words:
        return Unknown(depth, _NOT_COMPLETE if covered else _NOT_CURRENT)
    refused = any(same(crl.issuer, path[depth].issuer) and not _usable(crl, scene) for crl in scene.data.lists[: scene.rules.limits.lists])
    return Unknown(depth, _NOT_USABLE if refused else _NO_LIST)


def _words(path: Path, depth: int, scene: Scene) -> Iterator[_Word]:
    party = path[depth]
    for point, crl, reasons in _applicable(party, scene):
        if not _is_signed(crl, point, path, depth, scene):
            continue
        scene.budget.step(1 + len(crl.revoked) // _OCTETS_A_STEP)
        try:
            entry, published = _last_word(crl, party, scene)
            current = crl.fresh_at(scene.at) and not names_strange_entries(crl)
        except UNREADABLE:
            continue
        yield _Word(published, entry, current, reasons)


def _applicable(party: Party, scene: Scene) -> Iterator[tuple[DistributionPoint, RevocationList, frozenset[int]]]:
    """§6.3.3 (a)–(e): each complete list with the reasons for which it speaks about this certificate."""
    default = DistributionPoint(names=((DIRECTORY, party.issuer),))
    seen: set[int] = set()
    for point in (*party.points, default):
        for crl in scene.data.lists[: scene.rules.limits.lists]:
            scene.budget.step()
            if id(crl) in seen or crl.base is not None or not _usable(crl, scene):
                continue
            if reasons := _scope(crl, point, party, scene):
                seen.add(id(crl))
                yield point, crl, reasons


def _usable(crl: RevocationList, scene: Scene) -> bool:
    return not crl.unknown_critical and not (scene.rules.regular and crl.irregular)


def _scope(crl: RevocationList, point: DistributionPoint, party: Party, scene: Scene) -> frozenset[int]:
    listing = crl.point or IssuingPoint()
    issuers = [value for number, value in point.issuer if number == DIRECTORY]
    if point.issuer and not (listing.indirect and any(same(crl.issuer, name) for name in issuers)):
        return frozenset()
    if not point.issuer and not same(crl.issuer, party.issuer):
        return frozenset()
    if listing.attributes_only or (listing.authorities_only if not party.is_authority else listing.users_only):
        return frozenset()
    if listing.named and not _meet(_listed_names(crl, listing), _point_names(point, party, issuers), scene):
        return frozenset()
    return point.reasons & listing.reasons


def _listed_names(crl: RevocationList, listing: IssuingPoint) -> tuple[GeneralName, ...]:
    return listing.names or ((DIRECTORY, _below(crl.issuer, listing.relative or b"")),)


def _point_names(point: DistributionPoint, party: Party, issuers: Sequence[bytes]) -> tuple[GeneralName, ...]:
    if point.names:
        return point.names
    if point.relative is None:
        return point.issuer
    return tuple((DIRECTORY, _below(name, point.relative)) for name in issuers or (party.issuer,))


def _below(name: bytes, relative: bytes) -> bytes:
    return der.sequence(der.outermost(name).value, relative)


def _meet(listed: tuple[GeneralName, ...], wanted: tuple[GeneralName, ...], scene: Scene) -> bool:
    scene.budget.step(len(listed) * len(wanted))
    return any(
        kind == other and (value == against or (kind == DIRECTORY and same(value, against)))
        for kind, value in listed
        for other, against in wanted
    )


def _is_signed(crl: RevocationList, point: DistributionPoint, path: Path, depth: int, scene: Scene) -> bool:
    """§6.3.3 (f), (g): by the issuer's own key, else by a certificate of the list's issuer that stands under the same anchor."""
    issuer = path[depth + 1]
    if same(issuer.subject, crl.issuer) and _may_list(issuer, scene.rules) and _list_holds(crl, usable_key(path, depth + 1), scene):
        return True
    others = dict.fromkeys((*scene.candidates[: scene.rules.limits.candidates], *scene.anchors, *path[depth + 1 :]))
    # A lister may vouch for its own certificate only where that certificate's issuer named it for this (PKITS 4.14.30).
    barred = frozenset() if point.issuer else scene.visiting
    return any(
        same(other.subject, crl.issuer)
        and other != issuer
        and other.encoded not in barred
        and _may_list(other, scene.rules)
        and _list_holds(crl, other.public, scene)
        and _lister_stands(other, path[-1], scene)
        for other in others
    )


def _may_list(party: Party, rules: Rules) -> bool:
    return party.may("crl_sign") or (party.key_usage is None and not rules.key_usage_required)


def _list_holds(crl: RevocationList, key: bytes, scene: Scene) -> bool:
    return scene.budget.holds(key, crl.algorithm_identifier, crl.signed, crl.signature)


def _lister_stands(lister: Party, anchor: Party, scene: Scene) -> bool:
    if lister == anchor:
        return True
    rules = replace(scene.rules, key_usage=frozenset(), extended_key_usage=None)
    inside = replace(scene, rules=rules, visiting=scene.visiting | {lister.encoded})

    asked = lister.encoded not in scene.visiting

    def judge(path: Path) -> Fault | None:
        return check(path, scene.at, rules, scene.budget) or (fault_of(worst(path, inside)) if asked else None)

    return build(lister, scene.candidates, (anchor,), judge, rules, scene.budget).fault is None


def _last_word(crl: RevocationList, party: Party, scene: Scene) -> tuple[Entry | None, dt.datetime]:
    """The entry of the complete list as the latest delta that fits it changes it (§5.2.4), and when that was published.

    A delta made after the instant that is asked about lifts nothing, but what it says was revoked by then was.
    """
    deltas = [one for one in scene.data.lists[: scene.rules.limits.lists] if _adds_to(one, crl, scene)]
    for delta in (one for one in deltas if one.this_update > scene.at):
        entry = find_entry(delta, party.serial, party.issuer)
        if entry is not None and entry.reason != REMOVE_FROM_CRL and entry.since <= scene.at:
            return entry, delta.this_update
    if made := [one for one in deltas if one.this_update <= scene.at]:
        latest = max(made, key=lambda one: one.number or 0)
        if (entry := find_entry(latest, party.serial, party.issuer)) is not None:
            return (None if entry.reason == REMOVE_FROM_CRL else entry), latest.this_update
    return find_entry(crl, party.serial, party.issuer), crl.this_update


def _adds_to(delta: RevocationList, crl: RevocationList, scene: Scene) -> bool:
    scene.budget.step()
    if delta.base is None or delta.number is None or crl.number is None or not _usable(delta, scene):
        return False
    if not (delta.base <= crl.number <= delta.number and delta.point == crl.point):
        return False
    return same(delta.issuer, crl.issuer) and delta.authority_key == crl.authority_key and _same_signer(delta, crl, scene)


def _same_signer(delta: RevocationList, crl: RevocationList, scene: Scene) -> bool:
    """The key that signed the complete list, which is known by now, signed the delta."""
    keys = (one.public for one in dict.fromkeys((*scene.candidates[: scene.rules.limits.candidates], *scene.anchors)))
    signers = [key for key in keys if scene.budget.known(key, crl.algorithm_identifier, crl.signed, crl.signature)]
    return any(_list_holds(delta, key, scene) for key in signers)
