"""Reading tables that anybody brings: encodings, line ends, broken rows; each costs its own line and nothing else."""

import io
import tracemalloc
from collections.abc import Iterator
from typing import cast

import pytest

from certs.tables import LONGEST_ROW, TOO_LONG, UNREADABLE, WRONG_CELLS, TableRow, TableUnreadable, open_table

MARK = b"\xef\xbb\xbf"


def rows(document: bytes, encoding: str = "") -> list[TableRow]:
    return list(open_table(io.BytesIO(document), encoding).rows)


@pytest.mark.parametrize(
    "document",
    [
        "a,b\n示范,2\n".encode(),
        MARK + "a,b\n示范,2\n".encode(),
        "a,b\n示范,2\n".encode("gb18030"),
        "a,b\n示范,2\n".encode("gbk"),
        MARK + "a,b\n示范,2\n".encode("gbk"),
        b"\x84\x31\x95\x33" + "a,b\n示范,2\n".encode("gb18030"),
        "a,b\n示范,2\n".encode("utf-16"),
        "\ufeffa\tb\r\n示范\t2\r\n".encode("utf-16-le"),
        "a;b\n示范;2".encode("gb18030"),
        '{"a": "示范", "b": "2"}\n'.encode("gbk"),
        MARK + '\n{"a": "示范", "b": "2"}\n'.encode(),
    ],
)  # fmt: skip
def test_the_encoding_is_found_out(document: bytes) -> None:
    assert [row.members for row in rows(document)] == [{"a": "示范", "b": "2"}]


def test_one_line_of_another_encoding_does_not_change_the_others() -> None:
    document = "a,b\n示范,1\n证照,2\n".encode() + "乱,3\n".encode("gbk") + "市,4\n".encode()
    found = rows(document)
    assert [row.members["b"] for row in found] == ["1", "2", "3", "4"]
    assert [("\ufffd" in row.members["a"]) for row in found] == [False, False, True, False]


def test_line_ends_may_be_mixed() -> None:
    found = rows(b'a,b\r\n1,2\r3,4\n5,"6\r\n7"\r\n\r\n8,9')
    assert [tuple(row.members.values()) for row in found] == [("1", "2"), ("3", "4"), ("5", "6\n7"), ("8", "9")]
    assert [row.line for row in found] == [2, 3, 5, 7]


def test_a_row_of_ten_megabytes_costs_itself_and_little_memory() -> None:
    class Long(io.RawIOBase):
        """A header, a row of 10 MB, one good row; made while it is read."""

        def __init__(self) -> None:
            self._parts: Iterator[bytes] = iter([b"a,b\n", b'1,"', *([b"x" * 100_000] * 100), b'"\n', b"3,4\n"])

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return next(self._parts, b"")

    tracemalloc.start()
    found = list(open_table(cast(io.BufferedReader, Long())).rows)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(row.line, row.fault) for row in found] == [(2, TOO_LONG), (3, "")]
    assert found[1].members == {"a": "3", "b": "4"}
    assert most < 5_000_000


def test_a_quotation_mark_that_is_never_closed_swallows_nothing() -> None:
    document = b'a,b\n1,"open\n' + b"".join(b"%d,x\n" % number for number in range(3000))
    found = rows(document)
    assert found[0].fault
    assert [row.members["a"] for row in found[1:]] == [str(number) for number in range(3000)]


def test_broken_rows_are_told_and_the_rest_goes_on() -> None:
    document = b'a,b\nonly\n1,2,3\n"bad"x,5\n6,7\n'
    assert [(row.line, row.fault) for row in rows(document)] == [(2, WRONG_CELLS), (3, WRONG_CELLS), (4, UNREADABLE), (5, "")]
    lines = b'{"a": 1}\r\nno json\n[1]\n{"a": "' + b"x" * LONGEST_ROW + b'"}\n{"a": 2}'
    assert [(row.line, row.fault, row.members) for row in rows(lines)] == [
        (1, "", {"a": 1}), (2, UNREADABLE, {}), (3, UNREADABLE, {}), (4, TOO_LONG, {}), (5, "", {"a": 2}),
    ]  # fmt: skip


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_piece_may_end_anywhere(cut: int) -> None:
    class Pieces(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(cut)

    document = 'a,b\r\n示范,"2\r\n3"\r\n4,5\r6,7'.encode()
    assert [tuple(row.members.values()) for row in open_table(Pieces(document), "utf-8").rows] == [("示范", "2\n3"), ("4", "5"), ("6", "7")]


def test_octets_are_those_of_the_file() -> None:
    document = MARK + b"a,b\r\n1,2\r\n\r\n3,4\n5,6"
    assert [row.octets for row in rows(document)] == [13, 19, len(document)]


def test_a_header_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(TableUnreadable):
        open_table(io.BytesIO(b"x" * (LONGEST_ROW + 1)))
