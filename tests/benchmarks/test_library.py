"""The library's benchmark on 20,000 certificates: what it fills in is found, and no select reads a whole table."""

from benchmarks.library import marks_of, plans, selects
from benchmarks.library_stock import fill, resident, uscc
from certs.library_reads import found
from certs.reads import certificate_by_code
from identity.numbers import check
from identity.personal_data import open_personal_data
from keys.base.clock import civil_date
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from tests.conftest import TestClock

ROWS = 20_000
WINDOW = "11990102MB000006XL"


async def test_what_is_looked_for_is_found_and_no_table_is_read_whole(
    database: Database, keystore: SoftwareKeyStore, clock: TestClock
) -> None:
    personal = await open_personal_data(database, keystore, clock)
    stock, today = await fill(database, personal, ROWS, WINDOW), civil_date(clock.now())
    async with database.begin() as session:
        for number in (0, 777):
            assert await certificate_by_code(session, stock.codes[number]) is not None
            for name, (marks, scope) in marks_of(personal, stock, number).items():
                page = await found(session, scope, marks, today, limit=5)
                everything = await found(session, scope, marks, today, limit=200)
                assert [one.id for one in everything.items[:5]] == [one.id for one in page.items], name
                assert [one.id for one in page.items] == sorted((one.id for one in page.items), reverse=True), name
                assert everything.items or name in {"an issuer's, cancelled", "an issuer's, of a month", "by words, an issuer's"}, name
    assert set(selects(database, personal, stock, today)) >= {"select by code", "select by holder, a client"}
    told = await plans(database, personal, stock, today)
    whole = ("Seq Scan on certificates", "Seq Scan on holders", "Seq Scan on search_entries")
    assert {name for name, plan in told.items() if any(scan in plan for scan in whole)} == set()


def test_the_numbers_are_well_formed() -> None:
    for number in (0, 1, 19_999, 99_999):
        assert check("111", resident(number)).passes
        assert check("001", uscc(number)).well_formed
