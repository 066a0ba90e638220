"""What the version in force says to an approval: fields, holders, span, issuer, matter, seal. Pure."""

from certs.approvals import Approval
from certs.catalogue import CertificateType, check_holder_kind, check_validity, order_fields
from certs.type_schema import check_fields
from keys.base.errors import FujieError


class TypeNotOfIssuer(FujieError):
    """The catalogue names who issues this type, and it is somebody else."""

    code = "TYPE_NOT_OF_ISSUER"
    status = 422
    public = ("按证照目录，该机构不颁发这种证照。", "By the catalogue this organisation does not issue this type of certificate.")


class TypeNotOfMatter(FujieError):
    """The catalogue names the matters that lead to this type, and it is another."""

    code = "TYPE_NOT_OF_MATTER"
    status = 422
    public = ("按证照目录，该事项不产生这种证照。", "By the catalogue this matter does not lead to this type of certificate.")


class TypeNeedsOtherSeal(FujieError):
    """``extra['seal_kind']`` is the kind of seal that the catalogue asks for."""

    code = "TYPE_NEEDS_OTHER_SEAL"
    status = 422
    public = ("按证照目录，该证照须使用另一种印章。", "By the catalogue this type of certificate takes another kind of seal.")


def check_rights(kind: CertificateType, *, issuer: str, matter: str, seal_kind: str) -> None:
    """Raises :class:`TypeNotOfIssuer`, :class:`TypeNotOfMatter`, :class:`TypeNeedsOtherSeal`."""
    if kind.issuers and issuer not in kind.issuers:
        raise TypeNotOfIssuer(issuer)
    if kind.matters and matter not in kind.matters:
        raise TypeNotOfMatter(matter)
    if kind.seal_kind and seal_kind != kind.seal_kind:
        raise TypeNeedsOtherSeal(seal_kind, seal_kind=kind.seal_kind)


def check_content(kind: CertificateType, approval: Approval) -> tuple[tuple[str, str], ...]:
    """The fields in the type's order. Raises ``InvalidInput`` naming everything of one sort that does not fit."""
    fields = order_fields(kind, approval.fields)
    check_fields(kind, dict(fields))
    check_validity(kind, approval.valid_from, approval.valid_to)
    check_holder_kind(kind, tuple(one.code_type for one in approval.holders))
    return fields
