"""The table in the documentation: what was measured anew takes the place of what it replaces, and nothing else is lost."""

from benchmarks.__main__ import _merged
from benchmarks.rows import Row, as_markdown


def test_rows_measured_anew_replace_those_of_the_same_name() -> None:
    stamps = [Row("stamp", 11.0, "a", 24.7), Row("stamp", 11.0, "b", 10.7)]
    before = as_markdown([Row("render", 27.5, "", None), *stamps, Row("store", 1.6, "", None)])
    after = _merged(before, [Row("stamp", 2.0, "a", 20.0), Row("verify", 3.0, "", None)])
    assert after == as_markdown(
        [Row("render", 27.5, "", None), Row("stamp", 2.0, "a", 20.0), Row("verify", 3.0, "", None), Row("store", 1.6, "", None)]
    )


def test_an_empty_table_takes_all_rows() -> None:
    rows = [Row("render", 27.5, "", None)]
    assert _merged("\n", rows) == as_markdown(rows)
    assert _merged(as_markdown(rows), [Row("store", 1.6, "", None)]) == as_markdown([*rows, Row("store", 1.6, "", None)])
