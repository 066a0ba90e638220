"""Holders as they are stored: people's numbers as blind index and sealed value, organisations' codes in the plain."""

import uuid

from certs.models import HolderRow
from identity.numbers import is_person, mask, normalise
from identity.personal_data import PersonalData


def seal_context(certificate_id: uuid.UUID | str, position: int) -> str:
    """What a sealed number is bound to: it opens nowhere but in its own row."""
    return f"certs.holder:{certificate_id}:{position}"


def holder_index(personal: PersonalData, code_type: str, code: str) -> bytes:
    """The blind index of a holder; empty where there is no code to look for."""
    value = normalise(code)
    return personal.index(code_type, value) if value else b""


def holder_values(
    personal: PersonalData, certificate_id: uuid.UUID | str, position: int, *, name: str, code_type: str, code: str
) -> dict[str, object]:
    """The columns of one holder's row."""
    value, natural = normalise(code), is_person(code_type)
    return {
        "certificate_id": certificate_id,
        "position": position,
        "name": name,
        "code_type": code_type,
        "code": None if natural else value,
        "code_masked": mask(value) if natural else value,
        "code_index": personal.index(code_type, value) if value else b"",
        "code_sealed": personal.seal(value, seal_context(certificate_id, position)) if natural and value else None,
    }


def open_number(personal: PersonalData, row: HolderRow) -> str:
    """The number in a row; for the issuing journey only: every other reading goes through ``identity.personal_data.reveal``."""
    if row.code is not None:
        return row.code
    return personal.open(row.code_sealed, seal_context(row.certificate_id, row.position)) if row.code_sealed else ""
