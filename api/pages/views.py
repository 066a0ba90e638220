"""From reports to what the verification pages say. Pure: a report and a language in, a view out."""

from dataclasses import dataclass, field, replace

from api.pages.copy_words import annotations_of, answer_of, title_with_copy
from api.pages.i18n import CHINESE, day, moment, translate
from api.pages.spoken import story_of, title_of, validity_of
from api.pages.words import (
    FILES,
    INDICATIONS,
    NOT_IN_FORCE,
    NOT_ISSUED_HERE,
    OTHER_CERTIFICATE,
    OUTCOMES,
    RECORDS,
    STATUS_TAGS,
    UNCLEAR_RECORD,
    WHOM_TO_ASK,
    Answer,
)
from api.verdict_words import check_words, meaning, reason
from certs.federation_verifying import ToldElsewhere
from certs.lifecycle import Standing
from certs.verification import RecordReport, ShownHolder
from seal.comparison import PagePair
from seal.verdict import Check, Indication, SignatureVerdict, Verdict


@dataclass(frozen=True, slots=True)
class RecordView:
    """The page behind the QR code. ``picture`` is its address, ``whole``: it is the document itself, shown to its holder."""

    status: str
    known: bool
    tone: str
    headline: str
    sentence: str
    story: str
    code: str
    answered_at: str
    title: str = ""
    number: str = ""
    identifier: str = ""
    issuer: str = ""
    seal: str = ""
    issued_on: str = ""
    validity: str = ""
    holders: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    picture: str = ""
    whole: bool = False
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CheckView:
    """A check: what it asks, or where it did not pass what that means; ``detail`` is the technical sentence, in English."""

    tone: str
    title: str
    detail: str
    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class SignatureView:
    tone: str
    answer: str
    signer: str
    signing_time: str
    seal: str
    level: str
    checks: tuple[CheckView, ...]


@dataclass(frozen=True, slots=True)
class FileView:
    """The full check of a file. ``status``: what the record says today, where it is held here."""

    indication: str
    sub_indication: str
    tone: str
    headline: str
    sentence: str
    story: str
    file: str
    checked_at: str
    record: str = ""
    record_link: str = ""
    record_notice: str = ""
    status: str = ""
    signatures: tuple[SignatureView, ...] = ()
    checks: tuple[CheckView, ...] = field(default=())
    pairs: tuple[PagePair, ...] = ()


def record_answer(report: RecordReport) -> Answer:
    """A record that exists with an unclear status is not "no such record"; a copy is spoken of as a copy."""
    if report.copy is not None:
        return answer_of(report)
    if report.certificate is not None and report.status is Standing.UNKNOWN:
        return UNCLEAR_RECORD
    return RECORDS[report.status]


def record_view(report: RecordReport, locale: str, picture: str = "", whole: bool = False) -> RecordView:
    answer, found = record_answer(report).within(locale), report.certificate
    bare = RecordView(
        status=report.status.value,
        known=found is not None,
        tone=answer.tone,
        headline=answer.headline,
        sentence=answer.sentence,
        story=story_of(report, locale),
        code=report.code,
        answered_at=moment(report.checked_at, locale),
    )
    if found is None:
        return bare
    return replace(
        bare,
        title=title_of(found.type_name, report.type_name_en, locale),
        number=found.number,
        identifier=found.identifier,
        issuer=found.issuer_name,
        seal=found.seal_name or "",
        issued_on=day(found.issued_on, locale) if found.issued_on else "",
        validity=validity_of(found.valid_from, found.valid_to, locale),
        holders=tuple(_holder(one) for one in report.holders),
        fields=report.fields,
        picture=picture,
        whole=whole,
        annotations=annotations_of(report, locale),
    )


def _holder(holder: ShownHolder) -> str:
    return f"{holder.name}（{holder.code}）" if holder.code else holder.name


def _what_is_wrong(verdict: Verdict, locale: str) -> str:
    """The one plain sentence on why a file did not pass; empty where there is none."""
    said = reason(verdict, _language(locale))
    return said and said + ("。" if locale == CHINESE else ".")


def file_view(
    name: str,
    verdict: Verdict,
    checked_at: str,
    locale: str,
    record: RecordReport | None = None,
    *,
    asked: str = "",
    told: ToldElsewhere | None = None,
) -> FileView:
    """``record``: the issuer's record of the certificate in the file; ``asked``: the code whose page the file was given to; ``told``:
    what another instance told of it, which our own record of it, where it does not stand, leaves unsaid."""
    answer, wrong = FILES[verdict.indication].within(locale), _what_is_wrong(verdict, locale)
    altered = wrong and verdict.indication is Indication.TOTAL_FAILED
    view = FileView(
        indication=verdict.indication.value,
        sub_indication=verdict.sub_indication or "",
        tone=answer.tone,
        headline=answer.headline,
        sentence=translate(locale, WHOM_TO_ASK) if altered else answer.sentence,
        story=wrong,
        file=name,
        checked_at=checked_at,
        signatures=tuple(_signature(one, locale) for one in verdict.signatures),
        checks=_checks(verdict.checks, locale),
        pairs=verdict.comparison.pairs if verdict.comparison else (),
    )
    if verdict.indication is not Indication.TOTAL_PASSED:
        return view
    known = _with_record(view, record, locale, asked)
    return _with_told(known, told, locale) if told and known.tone == "good" else known


def _with_record(view: FileView, record: RecordReport | None, locale: str, asked: str) -> FileView:
    """A genuine file speaks of the day it was sealed; the record says whether the certificate stands today."""
    if record is None or record.certificate is None:
        return replace(view, record_notice=translate(locale, NOT_ISSUED_HERE))
    standing = translate(locale, STATUS_TAGS[record.status][1])
    title = title_with_copy(record, locale)
    known = replace(view, status=record.status.value, record=f"{title} · {standing}", record_link=f"/v/{record.code}")
    if asked and asked != record.code:
        return replace(known, tone="bad", record_notice=translate(locale, OTHER_CERTIFICATE))
    if record.status is Standing.IN_FORCE:
        return known
    answer = record_answer(record).within(locale)
    headline = translate(locale, NOT_IN_FORCE)
    return replace(known, tone=answer.tone, headline=headline, sentence=answer.sentence, story=story_of(record, locale))


def _with_told(view: FileView, told: ToldElsewhere, locale: str) -> FileView:
    """The word of another instance beside a genuine file: what it says, how old that is, and no more than is known."""
    said = told.words[0 if locale == CHINESE else 1]
    if told.status is Standing.UNKNOWN:
        return replace(view, record_notice=said)
    record = f"{told.told.entry.type_name} · {translate(locale, STATUS_TAGS[told.status][1])}"
    known = replace(view, status=told.status.value, record=record, record_notice="", story=said)
    if told.status is Standing.IN_FORCE:
        return known
    return replace(known, tone=RECORDS[told.status].tone, headline=translate(locale, NOT_IN_FORCE))


def _signature(verdict: SignatureVerdict, locale: str) -> SignatureView:
    tone, label = INDICATIONS[verdict.indication]
    return SignatureView(
        tone=tone,
        answer=translate(locale, label),
        signer=verdict.signer or "",
        signing_time=moment(verdict.signing_time, locale) if verdict.signing_time else "",
        seal=f"{verdict.seal.name}（{verdict.seal.code}）" if verdict.seal else "",
        level=verdict.level or "",
        checks=_checks(verdict.checks, locale),
    )


def _checks(checks: tuple[Check, ...], locale: str) -> tuple[CheckView, ...]:
    return tuple(_check(one, _language(locale)) for one in checks)


def _check(check: Check, language: str) -> CheckView:
    title = meaning(check, language) or check_words(check.name, language)
    return CheckView(OUTCOMES[check.outcome], title, check.detail if check.outcome != "PASSED" else "", check.name)


def _language(locale: str) -> str:
    return "zh" if locale == CHINESE else "en"
