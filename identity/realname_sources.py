"""Where a real name is checked: the protocol of a source, and the registries kept as tables.

Another source (a carrier's three factors, the national network identity) implements :class:`RealNameSource` and is put
beside the registry; a network source may answer "matched" with no data at all (Order 173).
"""

import datetime as dt
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from identity import numbers
from identity.models import LegalPersonRow, PopulationRow
from identity.numbers import CodeType
from identity.personal_data import PersonalData
from keys.base.db import AsyncSession, Database
from keys.base.errors import InvalidInput


class Outcome(StrEnum):
    """What a check says (STANDARDS §1)."""

    MATCH = "match"
    NAME_DIFFERS = "name_differs"
    MOBILE_DIFFERS = "mobile_differs"
    NO_RECORD = "no_record"
    ID_INVALID = "id_invalid"
    SOURCE_UNAVAILABLE = "source_unavailable"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who somebody says they are: ``code`` under the kind they declare; ``mobile`` 11 digits, optional."""

    name: str
    code: str
    code_type: str
    mobile: str | None = None

    def __repr__(self) -> str:
        return f"Claim(code_type={self.code_type!r})"


@dataclass(frozen=True, slots=True)
class Answer:
    """``outcome`` about name and number; ``mobile`` only where one was asked and the source knows one."""

    outcome: Outcome
    mobile: Outcome | None = None
    flags: tuple[str, ...] = ()


class RealNameSource(Protocol):
    """Asked outside any transaction, with a time limit; raises whatever it likes when it cannot answer."""

    @property
    def name(self) -> str:
        """Stable name of the source, kept with the evidence."""
        ...

    def covers(self, code_type: str) -> bool:
        """Whether it keeps this kind of number."""
        ...

    async def ask(self, claim: Claim) -> Answer:
        """The answer to a claim whose number is well-formed and normalised."""
        ...


def normalise_name(name: str) -> str:
    """A name as it is compared: NFKC, blanks at the ends gone and inner runs made one, every middle dot the same."""
    folded = unicodedata.normalize("NFKC", name).translate(_MIDDLE_DOTS)
    return " ".join(folded.split()).casefold()


_MIDDLE_DOTS = str.maketrans(dict.fromkeys("•‧∙・･．", "·"))


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """The population registry, for people, and the legal-person registry, for unified social credit codes."""

    database: Database
    personal: PersonalData

    @property
    def name(self) -> str:
        return "registry"

    def covers(self, code_type: str) -> bool:
        return code_type == CodeType.USCC or numbers.is_person(code_type)

    async def ask(self, claim: Claim) -> Answer:
        async with self.database.session() as session:
            if claim.code_type == CodeType.USCC:
                return self._legal_person(claim, await session.get(LegalPersonRow, claim.code))
            index = self.personal.index(claim.code_type, claim.code)
            return self._person(claim, index, await session.get(PopulationRow, index))

    def _person(self, claim: Claim, index: bytes, row: PopulationRow | None) -> Answer:
        # The digests are made either way: "no such person" takes as long as "another name".
        name = self.personal.linked_index(index, "name", normalise_name(claim.name))
        mobile = self.personal.linked_index(index, "mobile", claim.mobile or "")
        if row is None:
            return Answer(Outcome.NO_RECORD)
        if row.name_index != name:
            return Answer(Outcome.NAME_DIFFERS)
        if claim.mobile is None or row.mobile_index is None:
            return Answer(Outcome.MATCH)
        return Answer(Outcome.MATCH, Outcome.MATCH if row.mobile_index == mobile else Outcome.MOBILE_DIFFERS)

    def _legal_person(self, claim: Claim, row: LegalPersonRow | None) -> Answer:
        if row is None or row.status != "active":
            return Answer(Outcome.NO_RECORD)
        same = normalise_name(row.name) == normalise_name(claim.name)
        return Answer(Outcome.MATCH if same else Outcome.NAME_DIFFERS, flags=tuple(row.flags))


async def load_population(session: AsyncSession, now: dt.datetime, personal: PersonalData, rows: Iterable[Mapping[str, str]]) -> int:
    """Loads people into the population registry; the number of them.

    A row has ``id_number``, ``name``, perhaps ``mobile`` and ``code_type`` (default resident ID). A number whose form is
    wrong raises :class:`InvalidInput` with the row's place, never its content.
    """
    values = [_population_values(now, personal, place, row) for place, row in enumerate(rows, 1)]
    if values:
        statement = insert(PopulationRow)
        changed = {name: statement.excluded[name] for name in values[0] if name != "number_index"}
        await session.execute(statement.on_conflict_do_update(index_elements=["number_index"], set_=changed), values)
    return len(values)


def _population_values(now: dt.datetime, personal: PersonalData, place: int, row: Mapping[str, str]) -> dict[str, Any]:
    code_type = row.get("code_type") or CodeType.RESIDENT_ID
    number, name, mobile = numbers.normalise(row["id_number"]), row["name"].strip(), (row.get("mobile") or "").strip()
    if not numbers.check(code_type, number, now).well_formed or not name:
        raise InvalidInput("population row", errors=[{"field": f"rows[{place}]", "message": "not well-formed"}])
    index = personal.index(code_type, number)
    context = population_context(index)
    return {
        "number_index": index,
        "code_type": code_type,
        "name_index": personal.linked_index(index, "name", normalise_name(name)),
        "mobile_index": personal.linked_index(index, "mobile", mobile) if mobile else None,
        "number_sealed": personal.seal(number, f"{context}:number"),
        "name_sealed": personal.seal(name, f"{context}:name"),
        "mobile_sealed": personal.seal(mobile, f"{context}:mobile") if mobile else None,
        "loaded_at": now,
    }


def population_context(index: bytes) -> str:
    """What the envelopes of a population row are bound to, before ``:number``, ``:name`` and ``:mobile``."""
    return f"identity.population:{index.hex()}"


async def load_legal_persons(session: AsyncSession, now: dt.datetime, personal: PersonalData, rows: Iterable[Mapping[str, str]]) -> int:
    """Loads organisations into the legal-person registry; the number of them.

    A row has ``uscc`` and ``name``, perhaps ``status`` (``active``) and ``representative`` (a resident ID number, kept as
    its blind index only). A wrong check digit is kept with its flag: the registry decides what exists.
    """
    values = [_legal_person_values(now, personal, place, row) for place, row in enumerate(rows, 1)]
    if values:
        statement = insert(LegalPersonRow)
        changed = {name: statement.excluded[name] for name in values[0] if name != "uscc"}
        await session.execute(statement.on_conflict_do_update(index_elements=["uscc"], set_=changed), values)
    return len(values)


def _legal_person_values(now: dt.datetime, personal: PersonalData, place: int, row: Mapping[str, str]) -> dict[str, Any]:
    uscc, name, representative = numbers.normalise(row["uscc"]), row["name"].strip(), row.get("representative")
    report = numbers.check(CodeType.USCC, uscc)
    if not report.well_formed or not name:
        raise InvalidInput("legal-person row", errors=[{"field": f"rows[{place}]", "message": "not well-formed"}])
    return {
        "uscc": uscc,
        "name": name,
        "status": row.get("status") or "active",
        "representative_index": personal.index(CodeType.RESIDENT_ID, representative) if representative else None,
        "flags": list(report.flags),
        "loaded_at": now,
    }


async def forget_person(session: AsyncSession, personal: PersonalData, code_type: str, number: str) -> bool:
    """Takes a person out of the population registry; False where they were not in it (PIPL 47)."""
    found = await session.scalar(
        delete(PopulationRow).where(PopulationRow.number_index == personal.index(code_type, number)).returning(PopulationRow.number_index)
    )
    return found is not None
