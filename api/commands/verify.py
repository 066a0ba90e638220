"""``fujie verify``: judge files without any running service. ``fujie seal extract``: take the GM/T 0031 stamp out of a PDF or an OFD."""

import datetime as dt
import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.text import Text

from api.commands.run import settings
from api.files import require_new
from api.masking import masked_metadata
from api.offline_trust import CodeFiles, judge_codes
from api.settings import language
from api.verdict_report import ReportJob, report_pdf
from api.verdict_words import INDICATIONS, OUTCOMES, check_words, meaning, words
from api.verdict_words import reason as reason_of
from keys.base.clock import CHINA_STANDARD_TIME, SystemClock
from seal.extraction import extract_seal, extract_stamp
from seal.sandbox import CORE, FileTooLarge, verify_file
from seal.trust import Trust
from seal.trust_files import read_trust
from seal.verdict import SEVERITY, Check, Indication, Kind, Outcome, SignatureVerdict, Verdict, claimed, unreadable

EXIT_CODES = {
    Indication.TOTAL_PASSED: 0,
    Indication.TOTAL_FAILED: 1,
    Indication.INDETERMINATE: 2,
    Indication.UNREADABLE: 3,
    Indication.NO_SIGNATURE: 3,
}
_COLOURS = {Indication.TOTAL_PASSED: "green", Indication.TOTAL_FAILED: "red", Indication.INDETERMINATE: "yellow"}
_MARKS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.INDETERMINATE: "?", Outcome.NOTICE: "·"}
_MAX_FILE = 200 * 1024 * 1024


def verify(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE…", help="PDF, OFD, seal file or picture of a QR code")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a file")] = False,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="trusted roots (PEM) or a signed trust list, in place of the home's", exists=True, dir_okay=False
        ),
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="judge as of this time, ISO 8601 (UTC where no zone is given)")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="open no socket (this version never does)")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.pdf", help="of one file: the verdict as a PDF, into a new file")
    ] = None,
    qr: Annotated[str | None, typer.Option("--qr", metavar="TEXT", help="what a QR code says")] = None,
    number: Annotated[
        str | None, typer.Option("--number", metavar="NUMBER", help="what is printed on the paper: its number, identifier or code")
    ] = None,
    keys: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="keys of offline codes, in place of the home's", exists=True, dir_okay=False)
    ] = None,
    status_list: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="status lists (CWT), in place of the home's", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Verify files. Exit 0: passed, 1: failed, 2: cannot be decided, 3: unreadable or not signed."""
    del offline  # nothing is ever fetched: see docs/verification.md
    if not files and qr is None:
        raise typer.BadParameter("a FILE or --qr TEXT")
    if report is not None:
        _require_one(files, report)
    if files:
        CORE.start()
    trusted, instant = _trust(trust), _instant(at)
    codes = CodeFiles(settings().home, settings().trust_file, trust, keys, status_list)
    verdicts = []
    for verdict in [judge_codes((qr,), codes, instant, number) or claimed(qr)] if qr is not None else []:
        _show("", verdict, as_json)
        verdicts.append(verdict)
    for path in files or []:
        verdict = judge_path(path, trusted, instant)
        verdict = judge_codes(verdict.codes, codes, instant, number) or verdict
        _show(str(path), verdict, as_json)
        verdicts.append(verdict)
        if report is not None:
            _write_report(report, path, verdict, instant)
    worst = min((verdict.indication for verdict in verdicts), key=SEVERITY.index)
    raise SystemExit(EXIT_CODES[worst])


def _require_one(files: list[Path] | None, report: Path) -> None:
    if files is None or len(files) != 1:
        raise typer.BadParameter("--report takes exactly one FILE")
    require_new(report)


def _write_report(report: Path, path: Path, verdict: Verdict, instant: dt.datetime) -> None:
    digest = ""
    if verdict.indication is not Indication.UNREADABLE or path.is_file():
        with path.open("rb") as judged:
            digest = hashlib.file_digest(judged, "sha256").hexdigest()
    content = report_pdf(ReportJob(path.name, digest, instant, verdict, {}))
    with report.open("xb") as file:
        file.write(content)


def extract(
    document: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="PDF, OFD or bare stamp")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="a new file: where the DER SES_Signature goes")],
    field: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="signature field, identifier in the OFD's list, or 1 for the first; default the last"),
    ] = None,
    seal: Annotated[bool, typer.Option("--seal", help="the seal within (DER SESeal) instead")] = False,
) -> None:
    """Take the GM/T 0031 stamp (DER SES_Signature) out of a stamped document. It is not judged: use ``fujie verify``."""
    require_new(output)
    if document.stat().st_size > _MAX_FILE:
        raise FileTooLarge
    taken = (extract_seal if seal else extract_stamp)(document.read_bytes(), field)
    with output.open("xb") as file:
        file.write(taken)


def judge_path(path: Path, trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict on a file by its path; what is no readable regular file is UNREADABLE."""
    try:
        # Not to wait for a writer of a pipe, nor to read a device.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        return unreadable(Kind.PDF, getattr(error, "strerror", None) or "no such file")
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return unreadable(Kind.PDF, "not a regular file")
        return verify_file(descriptor, trust, at)
    finally:
        os.close(descriptor)


def _trust(given: list[Path] | None) -> Trust:
    if given:
        return read_trust(path.read_bytes() for path in given)
    default = settings().trust_file
    return read_trust([default.read_bytes()]) if default.is_file() else Trust()


def _instant(text: str | None) -> dt.datetime:
    if text is None:
        return SystemClock().now()
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an ISO 8601 time") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)


def _show(file: str, verdict: Verdict, as_json: bool) -> None:
    if as_json:
        document = verdict.to_json(file) | {"certificate": masked_metadata(verdict.certificate)}
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
    else:
        _print(Console(highlight=False, soft_wrap=True), file, verdict, language())


def _plain(text: str) -> str:
    """Text from a file or a name of one, without anything a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _print(console: Console, file: str, verdict: Verdict, tongue: str) -> None:
    """The verdict first, then who and when, then whatever did not simply pass."""
    headline = Text(words(INDICATIONS[verdict.indication], tongue), style=f"bold {_COLOURS.get(verdict.indication, 'default')}")
    code = f"  {verdict.sub_indication}" if verdict.sub_indication else ""
    console.print(Text.assemble(headline, (code, "dim"), f"  {_plain(file)}" if file else ""))
    if said := reason_of(verdict, tongue):
        console.print(Text(f"  {said}{'。' if tongue == 'zh' else '.'}", style="bold"))
    for signature in verdict.signatures:
        _print_signature(console, signature, tongue)
    for check in verdict.checks:
        _print_check(console, check, tongue)
    for label, value in _certificate_lines(verdict, tongue):
        console.print(Text(f"  {label}  {_plain(value)}"))


def _print_signature(console: Console, signature: SignatureVerdict, tongue: str) -> None:
    labels = ("签名人", "时间", "印章", "项检查通过") if tongue == "zh" else ("Signer", "Time", "Seal", "checks passed")
    seal = f"{signature.seal.name} {signature.seal.code}" if signature.seal else None
    when = signature.signing_time.astimezone(CHINA_STANDARD_TIME).strftime("%Y-%m-%d %H:%M:%S +08:00") if signature.signing_time else None
    for label, value in zip(labels, (signature.signer, when, seal), strict=False):
        if value:
            console.print(Text(f"  {label}  {_plain(value)}"))
    good = [check for check in signature.checks if check.outcome is Outcome.PASSED]
    console.print(Text(f"  ✓ {len(good)} {labels[3]}", style="green"))
    for check in signature.checks:
        if check.outcome is not Outcome.PASSED:
            _print_check(console, check, tongue)


def _print_check(console: Console, check: Check, tongue: str) -> None:
    style = {Outcome.FAILED: "red", Outcome.INDETERMINATE: "yellow"}.get(check.outcome, "dim")
    said = meaning(check, tongue)
    line = f"  {_MARKS[check.outcome]} {said or f'{check_words(check.name, tongue)}: {words(OUTCOMES[check.outcome], tongue)}'}"
    console.print(Text.assemble((line, style), (f"  {_plain(check.detail)}" if check.detail else "", "dim"), (f"  [{check.name}]", "dim")))


def _certificate_lines(verdict: Verdict, tongue: str) -> list[tuple[str, str]]:
    shown = masked_metadata(verdict.certificate)
    if not shown:
        return []
    labels = {
        "ZZMC": ("证照", "Certificate"),
        "ZZBS": ("标识", "Identifier"),
        "CZZT": ("持证主体", "Holder"),
        "ZZBFJG": ("颁发机构", "Issuer"),
    }
    lines = []
    for name, pair in labels.items():
        value = shown.get(name)
        if value:
            lines.append((words(pair, tongue), "、".join(value) if isinstance(value, list) else value))
    return lines
