"""The signer of a certificate of ours: its chain at the instant of judging, then revocation (EN 319 102-1 §5.2.6)."""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence

from keys.trust.entries import Use
from seal.recognition import bounds_checks
from seal.verdict import Check, failed, open_question, passed
from seal.verification_path import Party, Revoked, find_path, out_of_bounds, revocation
from seal.verification_stamp import Evidence, revocation_check

_SIGNING_USES = ("digital_signature", "non_repudiation")


def signer_checks(
    signer: Party | None, carried: Collection[bytes], evidence: Evidence, signing_time: dt.datetime | None
) -> Iterator[Check]:
    """``CHAIN`` and ``REVOCATION``. ``carried``: the certificates in the SignedData, which must be the chain without its root."""
    standpoint = evidence.standpoint
    path = find_path(signer, evidence.candidates, standpoint.anchors(Use.DOCUMENT_SIGNER, signing_time)) if signer else None
    if path is None:
        objection = standpoint.objection(signer, Use.DOCUMENT_SIGNER, signing_time) if signer else None
        yield open_question("CHAIN", objection or "no chain from the signer to a trusted root")
        yield open_question("REVOCATION", "not asked without a chain")
        return
    yield _chain(path, carried, evidence.at)
    proven = isinstance(revocation(path, evidence.covered, evidence.at), Revoked)
    yield revocation_check("REVOCATION", evidence.revocation(path), signing_time, proven)
    yield from bounds_checks(standpoint, path, Use.DOCUMENT_SIGNER, signing_time)


def _chain(path: Sequence[Party], carried: Collection[bytes], at: dt.datetime) -> Check:
    outside = out_of_bounds(path, at)
    if outside is not None and at < outside.not_before:
        return open_question("CHAIN", f"not yet valid: {outside.name}", "NOT_YET_VALID")
    if outside is not None:
        return open_question("CHAIN", f"expired: {outside.name}", "OUT_OF_BOUNDS_NO_POE")
    if {party.encoded for party in path[:-1]} != set(carried):
        return failed("CHAIN", "the signature carries other certificates than its chain", "FORMAT_FAILURE")
    if not path[0].may(*_SIGNING_USES):
        return failed("CHAIN", "the signer's certificate is not one for signatures", "CHAIN_CONSTRAINTS_FAILURE")
    return passed("CHAIN", " < ".join(party.name for party in path))
