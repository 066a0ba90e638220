"""Parts of other packages' statements: whether certificates of ours stand, asked in the statement that relies on it."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, Text, exists, func, select

from keys.models import CertificateRow
from keys.trust.models import ExternalCrlRow


def any_revoked(serials: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether one of these (``keys.pki.reads.serial_text``) is revoked or on hold. What we did not issue is neither."""
    return exists().where(CertificateRow.serial == func.any(serials), CertificateRow.revoked_at.is_not(None))


def standing_mark(serials: ColumnElement[Any]) -> ColumnElement[str]:
    """Changes whenever the status of one of these does, or a list of somebody else arrived: what was read before is out of date."""
    changes = select(func.sum(CertificateRow.status_changes)).where(CertificateRow.serial == func.any(serials)).scalar_subquery()
    arrived = select(func.extract("epoch", func.max(ExternalCrlRow.fetched_at))).scalar_subquery()
    return func.concat_ws(" ", func.coalesce(changes, 0), func.coalesce(arrived, 0), type_=Text)


def held_certificates(serials: ColumnElement[Any]) -> CTE:
    """Their rows (``serial``, ``revoked_at``), held shared until the transaction ends: a revocation waits for it, or was before it.

    The statement must read all of them, or those it does not read are not held.
    """
    rows = select(CertificateRow.serial, CertificateRow.revoked_at).where(CertificateRow.serial == func.any(serials))
    return rows.order_by(CertificateRow.serial).with_for_update(read=True).cte("held_certificates")
