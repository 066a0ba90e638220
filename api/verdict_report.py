"""A verdict as a PDF for the file: what was judged, when, each signature with its checks in plain words, Chinese and English.

The report says what it is: the judgement of one verifier at one time, made from the file whose SHA-256 it names. It repeats no
number of a person unmasked, whatever names and texts the file holds. Burns CPU: called in a worker.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typst

from api.masking import masked_metadata
from api.verdict_words import CHECKS, INDICATIONS, meaning, reason
from certs.catalogue import CertificateType
from certs.fonts import REQUIRED_FONTS, coverage
from certs.privacy import hide_numbers
from certs.rendering import RenderFailed, loaded
from keys.base.clock import CHINA_STANDARD_TIME
from seal.verdict import Check, Indication, SignatureVerdict, Verdict

_SOURCE = Path(__file__).with_name("verdict_report.typ")
_LONGEST = 300
_MOST_SIGNATURES = 50
_FOOTER = "本报告仅反映出具时刻对该文件的核验结果。 This report states what was found about this file at the time given."
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReportJob:
    """``sha256``: of the file, lower-case hexadecimal. ``pictures``: SVG of seals from our own register, by code; ``kind``: the type that
    the file's metadata state, as the catalogue knows it."""

    file: str
    sha256: str
    judged_at: dt.datetime
    verdict: Verdict
    pictures: Mapping[str, str]
    kind: CertificateType | None = None


def report_pdf(job: ReportJob) -> bytes:
    """The report, PDF/A-3b. Raises ``RenderFailed``."""
    inputs = {"data": json.dumps(report_data(job), ensure_ascii=False), "pictures": json.dumps(dict(job.pictures))}
    try:
        pdf = typst.compile(
            str(_SOURCE),
            root=str(_SOURCE.parent),
            font_paths=loaded(REQUIRED_FONTS),
            format="pdf",
            sys_inputs=inputs,
            pdf_standards="a-3b",
            timestamp=job.judged_at.replace(microsecond=0),
        )
    except typst.TypstError as error:
        raise RenderFailed("verdict report") from error
    return bytes(pdf)


def report_data(job: ReportJob) -> JSON:
    """What stands in the report. Pure."""
    verdict = job.verdict
    return {
        "title": "文件核验报告 Verification report",
        "footer": _FOOTER,
        "indication": verdict.indication,
        "headline": _pair(INDICATIONS[verdict.indication]),
        "reason": {language: reason(verdict, language) for language in ("zh", "en")},
        "facts": _file_facts(job),
        "signatures": [_signature(one) for one in verdict.signatures[:_MOST_SIGNATURES]],
        "certificate": _certificate(job),
    }


def _file_facts(job: ReportJob) -> list[JSON]:
    verdict = job.verdict
    return _facts(
        ("文件", "File", job.file),
        ("摘要", "SHA-256", f"{job.sha256[:32]} {job.sha256[32:]}"),
        ("核验时间", "Judged at", _moment(job.judged_at)),
        ("结论代码", "Indication", " / ".join(filter(None, (verdict.indication, verdict.sub_indication)))),
        ("签名数", "Signatures", str(len(verdict.signatures))),
    )


def _signature(signature: SignatureVerdict) -> JSON:
    seal = signature.seal
    return {
        "indication": signature.indication,
        "headline": _pair(INDICATIONS[signature.indication]),
        "picture": seal.code if seal and signature.indication is Indication.TOTAL_PASSED else "",
        "facts": _facts(
            ("印章", "Seal", f"{seal.name}（{seal.code}）" if seal else ""),
            ("签名者", "Signer", signature.signer or ""),
            ("签名时间", "Signed at", _moment(signature.signing_time) if signature.signing_time else ""),
            ("签名级别", "Level", signature.level or ""),
            ("签名域", "Field", signature.field),
        ),
        "checks": [_check(one) for one in signature.checks],
    }


def _check(check: Check) -> JSON:
    names = CHECKS.get(check.name, (check.name, check.name))
    return {
        "outcome": check.outcome,
        **{language: _printable(name) for language, name in _pair(names).items()},
        "meaning": {language: meaning(check, language) for language in ("zh", "en")},
    }


def _certificate(job: ReportJob) -> list[JSON]:
    masked = masked_metadata(job.verdict.certificate, job.kind) or {}
    told = ((name, "、".join(map(str, value)) if isinstance(value, list) else value) for name, value in masked.items())
    return [{"zh": _printable(name), "en": "", "value": _printable(value)} for name, value in told if isinstance(value, str)]


def _facts(*entries: tuple[str, str, str]) -> list[JSON]:
    return [{"zh": zh, "en": en, "value": _printable(value)} for zh, en, value in entries if value]


def _pair(words: tuple[str, str]) -> dict[str, str]:
    return {"zh": words[0], "en": words[1]}


def _moment(instant: dt.datetime) -> str:
    return f"{instant.astimezone(CHINA_STANDARD_TIME):%Y-%m-%d %H:%M:%S} (UTC+8)"


def _printable(text: str) -> str:
    """Numbers of people masked; bounded; a character that no font of ours has is a square."""
    known = coverage(REQUIRED_FONTS.required())
    shown = hide_numbers(text)[:_LONGEST]
    return "".join(one if ord(one) in known else "\N{WHITE SQUARE}" for one in shown)
