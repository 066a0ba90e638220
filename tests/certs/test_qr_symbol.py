"""Our own QR encoder: every version it writes is read by zxing, and drawn alike by another encoder given the same mask."""

import random

import pytest
import qrcode
import zxingcpp
from PIL import Image

from certs.qr_symbol import ALPHABET, LARGEST, TooLong, symbol

READ = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
# ISO/IEC 18004:2015 table 7, level M: the most alphanumeric characters and octets of versions 1 to 15.
MOST = (
    (20, 14), (38, 26), (61, 42), (90, 62), (122, 84), (154, 106), (178, 122), (221, 152), (262, 180), (311, 213), (366, 251), (419, 287),
    (483, 331), (528, 362), (600, 412),
)  # fmt: skip


def picture(rows: tuple[bytes, ...]) -> Image.Image:
    quiet = 4
    image = Image.new("L", (len(rows) + 2 * quiet,) * 2, 255)
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            if dark:
                image.putpixel((x + quiet, y + quiet), 0)
    return image.resize((image.width * 3, image.height * 3), Image.Resampling.NEAREST)


def read(rows: tuple[bytes, ...]) -> list[str]:
    return [one.text for one in zxingcpp.read_barcodes(picture(rows), formats=READ)]


def version_of(rows: tuple[bytes, ...]) -> int:
    return (len(rows) - 17) // 4


@pytest.mark.parametrize("version", range(1, LARGEST + 1))
def test_each_version_holds_what_the_standard_says_and_is_read(version: int) -> None:
    letters = random.Random(version)
    alphanumeric, octets = MOST[version - 1]
    for text in ("".join(letters.choices(ALPHABET, k=alphanumeric)), "".join(letters.choices("abcxyz/?=&", k=octets))):
        rows = symbol(text)
        assert version_of(rows) == version
        assert read(rows) == [text]
        assert version == LARGEST or version_of(symbol(text + text[0])) > version


@pytest.mark.parametrize("text", ["A" * 61, "FJ1:" + "6BFOXN%TSMAHN-H9Z8KRK4 7UQ+7$J1D2FLT12BK.P8*:WVE" * 9, "x" * 320, "x" * 200])
def test_another_encoder_given_the_same_mask_draws_the_same(text: str) -> None:
    others = []
    for mask in range(8):
        other = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0, mask_pattern=mask)
        other.add_data(text, optimize=0)
        other.make()
        others.append(tuple(bytes(row) for row in other.modules))
    assert others.count(symbol(text)) == 1


def test_text_that_is_not_ascii_is_announced_as_utf_8() -> None:
    assert read(symbol("证照 certificate")) == ["证照 certificate"]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(TooLong):
        symbol("x" * 413)


def test_it_is_settled_which_mask_is_taken() -> None:
    assert symbol("HELLO WORLD") == symbol("HELLO WORLD")
    assert {symbol(text)[8] for text in ("HELLO WORLD", "HELLO WORLE", "HELLO WORLF", "A1", "B22", "C333")} != {symbol("A1")[8]}
