"""Rules of issuing and series of numbers as they are told, over HTTP and by commands."""

from certs.issuing_rules import IssuingRule
from certs.merging import MergeRule
from certs.numbers import Series


def rule_json(rule: IssuingRule) -> dict[str, object]:
    """An issuing rule as it is told."""
    return {
        "type": rule.type_code, "issuer": rule.issuer, "pattern": rule.pattern, "yearly": rule.yearly, "common": rule.common,
        "unique_number": rule.unique_number, "in_force": rule.in_force.value,
    }  # fmt: skip


def merge_json(rule: MergeRule) -> dict[str, object]:
    """A merge rule as it is told."""
    return {
        "type": rule.type_code, "absorbed": rule.absorbed, "department": rule.department, "claim_days": rule.claim_days,
        "basis": rule.basis,
    }  # fmt: skip


def series_json(series: Series) -> dict[str, object]:
    """A series and its gaps as they are told."""
    gaps = [
        {
            "first": one.first,
            "last": one.last,
            "certificate": str(one.certificate_id) if one.certificate_id else None,
            "code": one.why or None,
        }
        for one in series.gaps
    ]
    return {
        "type": series.type_code, "issuer": series.issuer, "year": series.year, "last": series.last, "used": series.used, "gaps": gaps,
    }  # fmt: skip
