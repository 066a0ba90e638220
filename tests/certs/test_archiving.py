"""Which certificates are kept provable, and that the library hands out the newest version of a file."""

import dataclasses
import hashlib
from typing import Any

import pytest

from certs.archiving import Archived, enrol_older, read_choice
from certs.issuance import approve
from certs.known_files import known_file
from certs.library import Library, file_of
from certs.reads import get_certificate
from keys.pki.ocsp import OcspService
from keys.time.source import LocalTimestampSource
from seal import levels
from seal.levels_obtaining import Obtaining
from seal.upgrades import Upgrading, backlog, keep_up, version_of

OTHER = "11990100MB00000435999"


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("off", Archived()),
        ("", Archived()),
        ("all", Archived(None)),
        ("11990100MB00000435001, 11990100MB00000435002", Archived(frozenset({"11990100MB00000435001", "11990100MB00000435002"}))),
    ],
)
def test_an_operators_choice(text: str, chosen: Archived) -> None:
    assert read_choice(text) == chosen


def test_what_a_choice_covers() -> None:
    assert not read_choice("off").covers(OTHER)
    assert read_choice("all").covers(OTHER)
    assert read_choice(OTHER).covers(OTHER)
    assert not read_choice("11990100MB00000435001").covers(OTHER)


def upgrading(issuing: Any) -> Upgrading:
    source = LocalTimestampSource(issuing.database, issuing.keystore, issuing.clock)
    ocsp = OcspService(issuing.database, issuing.keystore, issuing.clock)
    obtaining = Obtaining(issuing.database, issuing.keystore, issuing.clock, issuing.workers, source, ocsp)
    return Upgrading(issuing.database, issuing.clock, issuing.blobs, obtaining)


async def kept(issuing: Any) -> int:
    async with issuing.database.session() as session:
        return (await backlog(session, issuing.clock.now())).kept


async def test_nothing_is_kept_unless_it_was_chosen(city: Any) -> None:
    issued = await approve(city.issuing, city.client, city.approval(), "a")
    assert issued.id is not None
    assert await kept(city.issuing) == 0
    assert await enrol_older(city.issuing.database, city.issuing.clock, Archived()) == 0
    for _ in range(2):
        assert await enrol_older(city.issuing.database, city.issuing.clock, Archived(None)) == 1
        assert await kept(city.issuing) == 1


async def test_the_library_hands_out_the_newest_version_and_the_record_keeps_its_hash(city: Any) -> None:
    issuing = dataclasses.replace(city.issuing, archived=Archived(None))
    issued = await approve(issuing, city.client, city.approval(), "a")
    library = Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)
    async with issuing.database.session() as session:
        before = await get_certificate(session, issued.id)
    assert before is not None
    assert before.document_hash is not None
    first = await file_of(library, city.client, issued.id, "核验")
    assert await keep_up(upgrading(issuing)) == 1
    second = await file_of(library, city.client, issued.id, "核验")
    assert second.startswith(first)
    assert levels.look(second).level == "PAdES-B-LTA"
    async with issuing.database.session() as session:
        after = await get_certificate(session, issued.id)
        version = await version_of(session, before.document_hash)
    assert after == before
    assert version is not None
    assert version.subject == f"certificate:{issued.id}"
    assert version.superseded


async def test_any_version_of_a_file_finds_its_record(city: Any) -> None:
    issuing = dataclasses.replace(city.issuing, archived=Archived(None))
    issued = await approve(issuing, city.client, city.approval(), "a")
    library = Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)
    first = hashlib.sha256(await file_of(library, city.client, issued.id, "核验")).digest()
    await keep_up(upgrading(issuing))
    second = hashlib.sha256(await file_of(library, city.client, issued.id, "核验")).digest()
    now = issuing.clock.now()
    told = [await known_file(issuing.database, now, one) for one in (first, second)]
    assert [one and one.to_json() for one in told] == [
        {
            "kind": "certificate", "identifier": issued.identifier, "status": "in_force", "story": None, "level": level,
            "sha256": digest.hex(), "newest_sha256": second.hex(), "superseded": digest == first,
        }
        for level, digest in (("PAdES-B-B", first), ("PAdES-B-LTA", second))
    ]  # fmt: skip
    assert await known_file(issuing.database, now, bytes(32)) is None


async def test_a_file_that_is_not_kept_up_is_found_by_its_one_hash(city: Any) -> None:
    issued = await approve(city.issuing, city.client, city.approval(), "a")
    library = Library(city.issuing.database, city.issuing.clock, city.issuing.blobs, city.issuing.personal)
    digest = hashlib.sha256(await file_of(library, city.client, issued.id, "核验")).digest()
    found = await known_file(city.issuing.database, city.issuing.clock.now(), digest)
    assert found is not None
    assert found.report is not None
    assert (found.newest, found.level, found.report.certificate and found.report.certificate.id) == (digest, None, issued.id)
