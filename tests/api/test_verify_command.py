"""``fujie verify`` and ``fujie seal extract`` as a person runs them: in a process of their own, without any service.

Each is loaded anew once (``PROGRAM``); the other processes are forked from one that is loaded.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from api.commands.verify import EXIT_CODES
from api.masking import masked_metadata
from seal.asn1 import parse_ses_signature
from seal.verdict import Indication
from tests.stamped import NOW, World, certificate_page, pem

PROGRAM = (sys.executable, "-c", "from api.cli import main; main()")
AT = ("--at", NOW.isoformat())
METADATA = {
    "ZZMC": "食品经营许可证",
    "ZZLXDM": "11100000000013338W011",
    "CZZT": ["钱守礼", "示范水务有限公司"],
    "CZZTDM": ["11010519491231002X", "91990100MA0000001X"],
    "CZZTDMLX": ["公民身份号码", "统一社会信用代码"],
    "CZZTDMLXDM": ["111", "001"],
    "KZ_ADDRESS": "某某路 1 号",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def files(world: World, tmp_path_factory: pytest.TempPathFactory, loaded_fujie: str) -> Path:
    """A home with trust.pem, and one file of each kind."""
    folder = tmp_path_factory.mktemp("files")
    sealed = world.stamped(certificate_page(json.dumps(METADATA, ensure_ascii=False)))
    (folder / "good.pdf").write_bytes(sealed)
    (folder / "changed.pdf").write_bytes(sealed.replace(b"/Title", b"/Titlf", 1))
    (folder / "unsigned.pdf").write_bytes(certificate_page())
    (folder / "nothing").write_bytes(b"nothing")
    (folder / "seal.esl").write_bytes(world.seal())
    (folder / "fujie").symlink_to(loaded_fujie)
    home = folder / "home"
    home.mkdir()
    (home / "trust.pem").write_bytes(pem("CERTIFICATE", world["root"].certificate) + pem("CERTIFICATE", world["root-sm"].certificate))
    return folder


def fujie(files: Path, *arguments: str, language: str = "en_US.UTF-8", program: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "FUJIE_HOME": str(files / "home"), "LC_ALL": language, "PYTHONIOENCODING": "utf-8"}
    command = [*(program or [str(files / "fujie")]), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, cwd=files, timeout=60, check=False)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["good.pdf"], 0),
        (["changed.pdf"], 1),
        (["seal.esl"], 2),
        (["unsigned.pdf"], 3),
        (["nothing"], 3),
        (["missing.pdf"], 3),
        (["home"], 3),
        (["good.pdf", "seal.esl", "nothing"], 3),
        (["good.pdf", "nothing", "changed.pdf", "seal.esl"], 1),
    ],
)
def test_the_exit_code_is_the_worst(files: Path, names: list[str], code: int) -> None:
    done = fujie(files, "verify", *names, "--json", *AT)
    assert done.returncode == code, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == names
    assert done.stderr == ""


def test_every_indication_has_an_exit_code() -> None:
    assert set(EXIT_CODES) == set(Indication)


def test_json_masks_people_and_not_organisations(files: Path) -> None:
    done = fujie(files, "verify", "good.pdf", "--json", *AT)
    certificate = json.loads(done.stdout)["certificate"]
    assert certificate["CZZT"] == ["钱**", "示范水务有限公司"]
    assert certificate["CZZTDM"] == ["110***********002X", "91990100MA0000001X"]
    assert certificate["KZ_ADDRESS"] == "***"
    assert "11010519491231002X" not in done.stdout


def test_other_roots_decide_nothing(files: Path, world: World, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(pem("CERTIFICATE", World(tmp_path, prefix="Other")["root"].certificate))
    done = fujie(files, "verify", "good.pdf", "--json", "--trust", str(other), "--offline", *AT)
    assert done.returncode == 2
    assert json.loads(done.stdout)["sub_indication"] == "NO_CERTIFICATE_CHAIN_FOUND"
    unknown_home = subprocess.run(
        [*PROGRAM, "verify", str(files / "good.pdf"), "--json"],
        env={"PATH": os.environ["PATH"], "FUJIE_HOME": str(tmp_path / "none")},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert unknown_home.returncode == 2


def test_people_read_it_in_their_language(files: Path) -> None:
    chinese = fujie(files, "verify", "good.pdf", *AT, language="zh_CN.UTF-8")
    assert chinese.returncode == 0
    assert "验证通过" in chinese.stdout
    assert "测试市行政审批专用章" in chinese.stdout
    assert "钱**" in chinese.stdout
    english = fujie(files, "verify", "changed.pdf", *AT)
    assert english.returncode == 1
    assert "Not genuine" in english.stdout
    assert "[DATA_HASH]" in english.stdout
    assert "This document was changed after it was sealed." in english.stdout
    assert "文件在用印后被改动。" in fujie(files, "verify", "changed.pdf", *AT, language="zh_CN.UTF-8").stdout


def test_terminals_are_not_commanded_by_names(files: Path) -> None:
    done = fujie(files, "verify", "--qr", "http://x/\x1b[31mred\x07", *AT)
    assert done.returncode == 2
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_a_qr_text_waits_for_the_record(files: Path) -> None:
    done = fujie(files, "verify", "--qr", "http://127.0.0.1:8000/v/0123456789ABCDEF", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 2
    assert (document["kind"], document["indication"]) == ("qr", "INDETERMINATE")


def test_wrong_use_is_told_in_a_line(files: Path) -> None:
    for arguments in (["verify"], ["verify", "good.pdf", "--at", "yesterday"], ["verify", "good.pdf", "--trust", "missing.pem"]):
        done = fujie(files, *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_the_stamp_is_extracted(files: Path, tmp_path: Path) -> None:
    done = fujie(files, "seal", "extract", "good.pdf", "-o", str(tmp_path / "stamp.der"), program=PROGRAM)
    assert done.returncode == 0, done.stderr
    assert parse_ses_signature((tmp_path / "stamp.der").read_bytes()).time == NOW
    done = fujie(files, "seal", "extract", "good.pdf", "-o", str(tmp_path / "seal.esl"), "--seal", "--field", "1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seal.esl").read_bytes() == parse_ses_signature((tmp_path / "stamp.der").read_bytes()).seal.encoded
    again = fujie(files, "seal", "extract", "good.pdf", "-o", str(tmp_path / "stamp.der"))
    assert (again.returncode, "OUTPUT_EXISTS" in again.stderr) == (1, True)
    refused = fujie(files, "seal", "extract", "unsigned.pdf", "-o", str(tmp_path / "none.der"))
    assert refused.returncode == 1
    assert "NO_STAMP" in refused.stderr
    assert not (tmp_path / "none.der").exists()


@pytest.mark.parametrize(
    "strange", [{"CZZT": 5, "CZZTDM": None}, {"CZZT": [1, {}], "CZZTDM": ["x"]}, {"ZZLXDM": ["a"]}, {"KZ_X": {"deep": [1]}}, {}]
)
def test_masking_takes_any_metadata(strange: dict[str, object]) -> None:
    shown = masked_metadata(strange)
    assert shown is not None
    assert "deep" not in str(shown)


def test_an_undeclared_holder_is_taken_for_a_person() -> None:
    shown = masked_metadata({"CZZT": "钱守礼", "CZZTDM": "11010519491231002X"})
    assert shown is not None
    assert (shown["CZZT"], shown["CZZTDM"]) == (["钱**"], ["110***********002X"])
    assert masked_metadata(None) is None
